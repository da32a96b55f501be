"""Calls of the functions of arrays, with operands and options that hypothesis draws.

`CALLS[name](Draw(data))` gives the arguments of a call; axes and masks are for the first array that
was drawn.  Some do not fit: shapes that do not broadcast, axes that do not exist, empty arrays.
"""

import functools

import numpy as np
from hypothesis import strategies as st

import minijax as jax
import minijax.numpy as jnp
from tests.data.record_dtypes import DTYPES
from tests.scipy.test_stats import DISTRIBUTIONS, SHAPES

PLAIN = DTYPES[:10]  # none that is weak
REAL = "int8 int32 uint8 float16 bfloat16 float32 int32* float32*".split()
SORTED = REAL[:6]
FLOATS = "float16 bfloat16 float32 float32*".split()
SINGLE, INEXACT = ["float32"], ["float32", "complex64"]
INTEGERS = "int8 int16 int32 uint8 uint32".split()
SIDES = (1, 4)


class Draw:
    """Draws operands, whose dtypes it notes, and options."""

    def __init__(self, data):
        self.data, self.dtypes, self.x = data, [], None

    def __call__(self, *args, **kwargs):
        return args, {name: value for name, value in kwargs.items() if value is not None}

    def one(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def int(self, low, high):
        return self.data.draw(st.integers(low, high))

    def flag(self):
        return self.one(True, False, None)

    def listed(self, strategy, size):
        return self.data.draw(st.lists(strategy, min_size=size, max_size=size))

    def shape(self, least=0, most=3, sides=(0, 3)):
        return tuple(self.listed(st.integers(*sides), self.int(least, most)))

    def of(self, shape, dtypes=DTYPES, numbers=(-3, -2, -1, 0, 1, 2, 3, 5)):
        """An array of this shape; where its type is to be weak, all elements are the same."""
        dtype = self.one(*dtypes)
        plain = np.dtype(dtype.rstrip("*"))
        value = np.array(self.listed(st.sampled_from(numbers), int(np.prod(shape))), np.float64)
        if plain.kind not in "biu":
            value = value * 0.75 + (0.5j * value[::-1] if plain.kind == "c" else 0)
        value = (abs(value) if plain.kind == "u" else value).astype(plain).reshape(shape)
        if dtype.endswith("*") and value.size:
            value = jnp.broadcast_to(jnp.asarray(value.flat[0].item()), shape)
        self.dtypes.append(dtype if isinstance(value, jax.Array) else plain.name)
        self.x = value if self.x is None else self.x
        return value

    def array(self, least=0, most=3, dtypes=DTYPES, sides=(0, 3), **numbers):
        return self.of(self.shape(least, most, sides), dtypes, **numbers)

    def vector(self, dtypes=DTYPES, sides=SIDES):
        return self.array(1, 1, dtypes, sides)

    def part(self, shape):
        """A shape that broadcasts against this one."""
        return tuple(n if self.int(0, 3) else 1 for n in shape)[self.int(0, len(shape)):]

    def pair(self, dtypes=DTYPES, **numbers):
        """Two arrays whose shapes broadcast, or now and then do not."""
        x = self.array(dtypes=dtypes)
        shape = self.part(np.shape(x))
        return x, self.of(shape if self.int(0, 5) else (*shape, 2), dtypes, **numbers)

    def axis(self, outside=1):
        rank = np.ndim(self.x)
        return self.int(-rank - outside, rank - 1 + outside)

    def axes(self):
        """None, an axis or several; now and then one that does not exist, or one twice."""
        rank = np.ndim(self.x)
        several = st.lists(st.integers(-rank, max(rank - 1, 0)), max_size=2).map(tuple)
        found = self.data.draw(st.none() | several | st.integers(-rank - 1, rank))
        return None if not rank and found in (0, -1) else found  # NumPy lets a number have them

    def mask(self):
        """None, or booleans that broadcast against the array."""
        shape = self.part(np.shape(self.x))
        flat = self.listed(st.booleans(), int(np.prod(shape)))
        return np.array(flat, bool).reshape(shape) if self.int(0, 1) else None

    def square(self, least=1):
        """Square matrices far from singular, or now and then some that are not square."""
        *batch, n = self.shape(1, 2, (least, 3))
        x = self.of((*batch, n, n), INEXACT)
        return x + np.asarray(8 * np.eye(n), x.dtype) if self.int(0, 7) else x[..., :n // 2]

    def positive(self):
        x = self.square()
        return x if x.shape[-1] != x.shape[-2] else x @ x.conj().swapaxes(-1, -2)

    def unit(self, count, dtypes=FLOATS):
        """So many arrays of numbers between 0 and 1 that broadcast."""
        shape = self.shape()
        return [self.of(shape[self.int(0, len(shape)):], dtypes, [0.1, 0.4, 0.9, 1.2])
                for _ in range(count)]


CALLS = {}


def calls(names, draw):
    CALLS.update(dict.fromkeys(names.split(), draw))


def reduction(d, **more):
    return d(d.array(), axis=d.axes(), keepdims=d.flag(), where=d.mask(),
             **{name: d.one(*choices) for name, choices in more.items()})


def extremum(d):
    args, kwargs = reduction(d)
    return args, kwargs | ({"initial": 1} if "where" in kwargs or d.int(0, 1) else {})


def along(d, dtypes=DTYPES, least=0, **more):
    """An array, perhaps an axis, and options."""
    return d(d.array(least, dtypes=dtypes),
             axis=d.axis() if np.ndim(d.x) and d.int(0, 3) else None,
             **{name: d.one(*choices) for name, choices in more.items()})


def listed(d):
    """Arrays of one rank, not always of one shape."""
    x = d.array(1, sides=(1, 3), dtypes=PLAIN)
    return [x, d.of(x.shape if d.int(0, 4) else (2, *x.shape[1:]), PLAIN)]


def matrices(d):
    """Operands of a matrix product, of any rank; some do not fit."""
    n, m, k = d.shape(3, 3)
    x = d.of(d.one((m,), (n, m), (2, n, m), (1, n, m)), PLAIN)
    return d(x, d.of(d.one((m,), (m, k), (2, m, k), (n, k)), PLAIN))


def quantile(d, scale):
    x = d.array(1, dtypes=["float32", "int32", "float16"], sides=(1, 3))
    q = np.float32(d.one(0.3, 0.5, 1.0, [0.25, 0.75])) * np.float32(scale)
    return d(x, q, axis=d.axes(), keepdims=d.flag(),
             method=d.one("linear", "lower", "higher", "nearest", "midpoint"))


def transform(d, kinds=("float32", "complex64", "int32")):
    return d(d.array(1, dtypes=kinds, sides=(2, 4)), d.one(None, 2, 5), axis=d.axis(),
             norm=d.one(None, "ortho", "forward"))


def transforms(d, kinds=("float32", "complex64", "int32")):
    return d(d.array(2, dtypes=kinds, sides=(2, 4)), axes=d.one(None, (0, 1), (-1, 0), (0, 3)),
             norm=d.one(None, "ortho", "forward", "backward"))


# --- Elementwise -------------------------------------------------------------------------------

calls("""abs absolute acos angle arccos arcsin arcsinh arctan asin asinh atan bitwise_count
bitwise_invert bitwise_not cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1 fabs
floor frexp i0 imag invert iscomplex isfinite isinf isnan isneginf isposinf isreal logical_not modf
nan_to_num negative positive rad2deg radians real rint sign signbit sin sinc sinh spacing square
tan tanh trunc""", lambda d: d(d.array()))
calls("around round", lambda d: d(d.array(dtypes=REAL), d.int(0, 2)))
calls("acosh arccosh arctanh atanh log log10 log2 log1p sqrt",
      lambda d: d(d.array(numbers=(1, 2, 5))))
calls("reciprocal", lambda d: d(d.array(dtypes=FLOATS + ["complex64"], numbers=(1, 2, 5))))
calls("""add bitwise_and bitwise_or bitwise_xor copysign equal fmax fmin greater greater_equal
heaviside hypot isclose less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor
maximum minimum multiply not_equal subtract gcd lcm allclose array_equiv broadcast_arrays""",
      lambda d: d(*d.pair()))
calls("""arctan2 atan2 divide divmod floor_divide fmod mod remainder true_divide left_shift
right_shift bitwise_left_shift bitwise_right_shift""", lambda d: d(*d.pair(numbers=(1, 2, 3))))
calls("power pow float_power", lambda d: d(*d.pair(numbers=(0, 1, 2, 3))))
calls("nextafter", lambda d: d(*d.pair(SINGLE)))
calls("ldexp", lambda d: d(*d.pair(["float32", "float16", "int32"])))
calls("clip", lambda d: d(*d.pair(REAL), None))
calls("where", lambda d: (lambda x, y: d(np.asarray(x) != 1, x, y))(*d.pair()))

# --- Reductions --------------------------------------------------------------------------------

calls("sum prod nansum nanprod", lambda d: reduction(d, initial=(None, 2)))
calls("all any mean nanmean", reduction)
calls("std var nanstd nanvar", lambda d: reduction(d, ddof=(None, 1)))
calls("amax amin max min nanmax nanmin", extremum)
calls("average ptp count_nonzero",
      lambda d: d(d.array(1, dtypes=REAL), axis=d.axes(), keepdims=d.flag()))
calls("median nanmedian",
      lambda d: d(d.array(1, dtypes=REAL, sides=(1, 3)), axis=d.axes(), keepdims=d.flag()))
calls("quantile nanquantile", functools.partial(quantile, scale=1))
calls("percentile nanpercentile", functools.partial(quantile, scale=100))
calls("argmax argmin nanargmax nanargmin",
      lambda d: along(d, REAL, keepdims=(True, False, None)))
calls("cumprod cumsum nancumprod nancumsum flip sort roll", along)
calls("unwrap", lambda d: along(d, SINGLE))
calls("cumulative_sum cumulative_prod",
      lambda d: along(d, least=1, include_initial=(True, None)))
calls("diff", lambda d: along(d, least=1, n=(None, 2, 0)))
calls("argsort", lambda d: along(d, least=1, stable=(True,)))
calls("trapezoid gradient scipy.integrate.trapezoid", lambda d: d(
    d.array(1, dtypes=["float32", "int32", "complex64"], sides=(2, 4)), axis=d.axis()))
calls("cov corrcoef", lambda d: d(d.array(1, 2, SORTED, (2, 4)), rowvar=d.one(True, False)))
calls("histogram histogram_bin_edges",
      lambda d: d(d.array(1, dtypes=["float32", "int32"], sides=(1, 3)), d.int(1, 4)))

# --- Shapes and places -------------------------------------------------------------------------

calls("expand_dims", lambda d: d(d.array(), d.axis(2)))
calls("squeeze", lambda d: d(d.array(sides=(1, 2)), d.axes()))
calls("moveaxis swapaxes rollaxis", lambda d: d(d.array(1), d.axis(), d.axis()))
calls("repeat take delete partition",
      lambda d: d(d.array(1, sides=(2, 3), dtypes=REAL), d.int(0, 1), axis=d.axis()))
calls("insert", lambda d: d(d.array(1), 0, 1, axis=d.axis()))
calls("take_along_axis", lambda d: (lambda x: d(x, np.argsort(x, 0)[:d.int(0, 3)], d.axis()))(
    d.array(1, dtypes=["int32", "float32"])))
calls("tile", lambda d: d(d.array(), d.one(0, 2, (2, 1), (1, 2, 1, 2))))
calls("reshape resize broadcast_to",
      lambda d: d(d.array(), d.one((2, 3), (3, 2), (6,), (1, 2, 3), (2, 0))))
calls("permute_dims",
      lambda d: d(d.array(), d.one((0,), (1, 0), (0, 1), (2, 0, 1), (-1, 0), (0, 0))))
calls("rot90", lambda d: d(d.array(1), d.int(-2, 5), d.one((0, 1), (1, 0), (0, 2))))
calls("pad", lambda d: d(d.array(1, sides=(1, 3)), d.one(1, (0, 2), ((1, 0), (2, 1)), -1),
                         mode=d.one("constant", "edge", "reflect", "wrap", "symmetric")))
calls("""ravel transpose fliplr flipud atleast_1d atleast_2d atleast_3d matrix_transpose argwhere
flatnonzero nonzero unique_values trim_zeros copy ones_like zeros_like ndim shape size iscomplexobj
isrealobj ediff1d linalg.trace linalg.diagonal linalg.matrix_transpose""",
      lambda d: d(d.array(1)))
calls("full_like", lambda d: d(d.array(), d.int(0, 9)))
calls("split array_split",
      lambda d: d(d.array(1, sides=SIDES), d.one(1, 2, 3, [1], [1, 2]), axis=d.axis()))
calls("hsplit vsplit dsplit", lambda d: d(d.array(2, sides=SIDES), d.one(1, 2, [1], [1, 2])))
calls("unstack", lambda d: d(d.array(1), axis=d.axis()))
calls("concatenate concat stack", lambda d: d(listed(d), axis=d.axis()))
calls("hstack vstack dstack column_stack", lambda d: d(listed(d)))
calls("append", lambda d: d(*listed(d), axis=d.one(None, d.axis())))
calls("array_equal", lambda d: d(*listed(d)))
calls("tril triu", lambda d: d(d.array(2), d.int(-2, 2)))
calls("diag diagonal trace diagflat", lambda d: d(d.array(1), d.int(-2, 2)))
calls("diag_indices_from tril_indices_from triu_indices_from", lambda d: d(d.array(2, 2)))
calls("select piecewise",
      lambda d: (lambda x: d([x > 1, x < 0], [x, -x]))(d.array(1, dtypes=SINGLE)))
calls("compress extract", lambda d: (lambda x: d(np.ravel(x) > 0, x))(d.array(1, dtypes=PLAIN)))
calls("fft.fftshift fft.ifftshift", lambda d: d(d.array(1), axes=d.axes()))

# --- Sets, searching, polynomials --------------------------------------------------------------

calls("unique", lambda d: d(d.array(1, dtypes=SORTED), return_index=d.flag(),
                            return_inverse=d.flag(), return_counts=d.flag()))
calls("unique_counts unique_inverse unique_all sort_complex", lambda d: d(d.vector(SORTED)))
calls("intersect1d setdiff1d setxor1d union1d isin",
      lambda d: d(d.array(1, dtypes=INTEGERS), d.array(1, dtypes=INTEGERS)))
calls("searchsorted", lambda d: d(np.sort(d.vector(SORTED)), d.array(dtypes=SORTED),
                                  side=d.one("left", "right")))
calls("digitize", lambda d: d(d.array(dtypes=SORTED), np.sort(d.vector(SORTED))))
calls("bincount", lambda d: d(d.array(1, 1, ["int32", "uint8"], numbers=(0, 2, 5)),
                              minlength=d.int(0, 7)))
calls("interp", lambda d: d(d.array(dtypes=SINGLE), np.arange(3, dtype="f"), d.of((3,), SINGLE)))
calls("vander", lambda d: d(d.array(1, dtypes=SORTED), d.int(0, 4)))
calls("polyadd polysub", lambda d: d(d.vector(), d.vector()))
calls("polymul", lambda d: d(*[d.of((d.int(1, 4),), numbers=(1, 2, 3)) for _ in range(2)]))
calls("polyval", lambda d: d(d.vector(), d.array()))
calls("polyder polyint", lambda d: d(d.vector(SORTED), d.int(0, 2)))
calls("convolve correlate", lambda d: d(d.vector(), d.vector(), d.one("full", "same", "valid")))

# --- Products, linear algebra, Fourier transforms ----------------------------------------------

calls("""matmul dot vdot inner outer vecdot matvec vecmat kron linalg.matmul linalg.outer
linalg.vecdot""", matrices)
calls("tensordot linalg.tensordot", lambda d: d(*matrices(d)[0], d.int(0, 2)))
calls("einsum", lambda d: d(d.one("...i,...i", "...i,...i->...", "...ij,...jk"), *d.pair(PLAIN)))
calls("cross linalg.cross", lambda d: (lambda shape: d(
    d.of(shape, REAL[:5]), d.of(shape, REAL[:5]), axis=d.axis()))(d.shape(1, 3, (3, 3))))
calls("""linalg.det linalg.slogdet linalg.inv linalg.pinv linalg.cond linalg.svdvals
linalg.matrix_norm scipy.linalg.det scipy.linalg.inv scipy.linalg.expm scipy.linalg.lu_factor""",
      lambda d: d(d.square()))
calls("linalg.cholesky linalg.eigvalsh", lambda d: d(d.positive()))
calls("scipy.linalg.cholesky", lambda d: d(d.positive(), lower=d.one(True, False)))
calls("linalg.solve", lambda d: (lambda a: d(a, d.of((np.shape(a)[-1], 2), INEXACT)))(d.square()))
calls("linalg.matrix_rank", lambda d: d(d.array(1, sides=(1, 3), dtypes=INEXACT)))
calls("linalg.matrix_power", lambda d: d(d.square(), d.int(-2, 3)))
calls("linalg.norm", lambda d: d(d.array(1, dtypes=SORTED + ["complex64"], sides=(1, 3)),
                                 d.one(None, 1, 2, np.inf), axis=d.axes(), keepdims=d.flag()))
calls("linalg.vector_norm", lambda d: d(d.array(1), axis=d.axes(), keepdims=d.flag()))
calls("scipy.linalg.solve", lambda d: (lambda a: d(a, a.sum(-1)))(d.square()))
calls("scipy.linalg.solve_triangular",
      lambda d: (lambda a: d(a, a.sum(-1), lower=d.one(True, False)))(d.square()))
calls("scipy.linalg.toeplitz scipy.linalg.hankel scipy.linalg.block_diag",
      lambda d: d(d.vector(), d.vector()))
calls("scipy.linalg.circulant scipy.linalg.fiedler",
      lambda d: d(d.vector(["int8", "int32", "float32"])))
calls("""scipy.linalg.hilbert scipy.linalg.invhilbert scipy.linalg.pascal scipy.linalg.invpascal
scipy.linalg.helmert scipy.linalg.dft""", lambda d: d(d.int(2, 5)))
calls("scipy.linalg.hadamard", lambda d: d(d.one(1, 2, 4, 8, 3)))
calls("fft.fft fft.ifft fft.hfft fft.irfft", transform)
calls("fft.rfft fft.ihfft", lambda d: transform(d, ["float32", "int32"]))
calls("fft.fftn fft.ifftn fft.irfftn fft.fft2 fft.ifft2 fft.irfft2", transforms)
calls("fft.rfftn fft.rfft2", lambda d: transforms(d, SINGLE))
calls("scipy.fft.dct scipy.fft.idct", lambda d: d(
    d.array(1, dtypes=SINGLE, sides=SIDES), type=2, n=d.one(None, 2, 5), axis=d.axis(),
    norm=d.one(None, "ortho")))
calls("scipy.fft.dctn scipy.fft.idctn",
      lambda d: d(d.array(2, dtypes=SINGLE, sides=SIDES), norm=d.one(None, "ortho")))
calls("scipy.signal.convolve scipy.signal.correlate",
      lambda d: d(d.vector(SINGLE), d.vector(SINGLE), d.one("full", "same", "valid")))
calls("scipy.signal.fftconvolve scipy.signal.convolve2d scipy.signal.correlate2d", lambda d: d(
    d.array(2, 2, SINGLE, (2, 4)), d.array(2, 2, SINGLE, (1, 2)), d.one("full", "same", "valid")))
calls("scipy.signal.detrend", lambda d: d(d.array(1, dtypes=SINGLE, sides=(2, 4)),
                                          type=d.one("linear", "constant")))

# --- Special functions, distributions, layers --------------------------------------------------


def special(count, names, dtypes=FLOATS):
    for name in names.split():
        calls(f"scipy.special.{name}", lambda d: d(*d.unit(count, dtypes)))


special(1, """dawsn digamma entr erf erfc erfcx erfinv exp1 expi expit factorial fresnel gamma
gammaln gammasgn i0 i0e i1 i1e loggamma logit sici wofz""")
special(1, "log_ndtr ndtr ndtri spence", SINGLE)
special(2, """beta betaln boxcox boxcox1p comb gammainc gammaincc kl_div owens_t poch rel_entr
xlog1py xlogy""")
special(3, "betainc hyp1f1")


def distribution(d, name):
    x, loc = d.unit(2, SINGLE)
    place = () if name in ("gennorm", "vonmises", "wrapcauchy") else (loc,)
    return d(x, *SHAPES.get(name, ()), *place)


for _name in DISTRIBUTIONS:  # the discrete ones need integers: tests/scipy compares them
    _functions = getattr(jax.scipy.stats, _name).__all__
    for _function in [] if "pmf" in _functions else _functions:
        calls(f"scipy.stats.{_name}.{_function}", functools.partial(distribution, name=_name))

calls("""nn.celu nn.elu nn.gelu nn.hard_sigmoid nn.hard_silu nn.hard_swish nn.hard_tanh nn.identity
nn.leaky_relu nn.log1mexp nn.log_sigmoid nn.mish nn.relu nn.relu6 nn.selu nn.sigmoid nn.silu
nn.soft_sign nn.softplus nn.sparse_plus nn.sparse_sigmoid nn.squareplus nn.swish nn.tanh""",
      lambda d: d(d.array(dtypes=FLOATS, numbers=(1, 2, 0.25))))
calls("""nn.glu nn.log_softmax nn.logmeanexp nn.logsumexp nn.softmax nn.standardize
scipy.special.log_softmax scipy.special.logsumexp scipy.special.softmax""",
      lambda d: d(d.array(1, dtypes=["float32", "float16"], sides=(2, 2)), axis=d.axis()))
