"""Every function of arrays on generated operands: shapes, dtypes, axes, masks, empty and wrong ones.

NumPy and SciPy say the values, and which calls are mistakes; JAX says the dtype and the weak type
(tests/data/numpy_dtypes.json, by function and dtypes of the operands).  Functions that no generated
call fits are compared in fixed calls only (tests/data/table.txt).
"""

import functools
import json
import operator
import pathlib
import types
import warnings

import hypothesis
import numpy as np
import pytest
import scipy.fft
import scipy.linalg
import scipy.signal
import scipy.special
import scipy.stats
from hypothesis import strategies as st

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_dtypes, record_table
from tests.scipy.test_stats import DISTRIBUTIONS, SHAPES

RECORDED = json.loads((pathlib.Path(record_dtypes.__file__).parent / "numpy_dtypes.json").read_text())["x32"]
REAL = "int8 int32 uint8 float16 bfloat16 float32 int32* float32*".split()
FLOATS = "float16 bfloat16 float32 float32*".split()
INTEGERS = "int8 int16 int32 uint8 uint32".split()
INEXACT = ["float32", "complex64"]
NUMBERS = [-3, -2, -1, 0, 1, 2, 3, 5, 2, 1]


class Draw:
    """Operands and arguments of one call."""

    def __init__(self, data):
        self.data, self.dtypes = data, []

    def __call__(self, *args, **kwargs):
        return args, {name: value for name, value in kwargs.items() if value is not None}

    def one(self, *choices):
        return self.data.draw(st.sampled_from(choices))

    def int(self, low, high):
        return self.data.draw(st.integers(low, high))

    def shape(self, least=0, most=3, sides=(0, 3)):
        return self.data.draw(st.lists(st.integers(*sides), min_size=least, max_size=most).map(tuple))

    def of(self, shape, dtypes=record_dtypes.DTYPES, numbers=NUMBERS):
        """An array of this shape, or a Python scalar for a weak type."""
        dtype = self.one(*dtypes)
        self.dtypes.append(dtype)
        plain = np.dtype(dtype.rstrip("*"))
        shape = () if dtype.endswith("*") else shape
        size = int(np.prod(shape))
        flat = self.data.draw(st.lists(st.sampled_from(numbers), min_size=size, max_size=size))
        value = np.array(flat, np.float64)
        if plain.kind not in "biu":
            value = value * 0.75 + (0.5j * value[::-1] if plain.kind == "c" else 0)
        value = (abs(value) if plain.kind == "u" else value).astype(plain).reshape(shape)
        return value.item() if dtype.endswith("*") else value

    def array(self, least=0, most=3, dtypes=record_dtypes.DTYPES, numbers=NUMBERS, sides=(0, 3)):
        return self.of(self.shape(least, most, sides), dtypes, numbers)

    def pair(self, dtypes=record_dtypes.DTYPES, numbers=NUMBERS):
        """Two arrays whose shapes broadcast, or now and then do not."""
        x = self.array(dtypes=dtypes)
        shape = tuple(n if self.int(0, 3) else 1 for n in np.shape(x))[self.int(0, np.ndim(x)):]
        return x, self.of(shape if self.int(0, 5) else (*shape, 2), dtypes, numbers)

    def axis(self, x, outside=1):
        return self.int(-np.ndim(x) - outside, np.ndim(x) - 1 + outside)

    def axes(self, x):
        """None, an axis or several; now and then one that does not exist, or one twice."""
        several = st.lists(st.integers(-np.ndim(x), max(np.ndim(x) - 1, 0)), max_size=2).map(tuple)
        return self.data.draw(st.none() | several | st.just(self.axis(x)))

    def mask(self, x):
        """None or booleans that broadcast against x."""
        if self.int(0, 1):
            return None
        shape = tuple(n if self.int(0, 1) else 1 for n in np.shape(x))[self.int(0, np.ndim(x)):]
        return self.data.draw(st.lists(st.booleans(), min_size=int(np.prod(shape)),
                                       max_size=int(np.prod(shape))).map(
            lambda flat: np.array(flat, bool).reshape(shape)))

    def flag(self):
        return self.one(True, False, None)

    def square(self, least=0, dtypes=INEXACT):
        """Well-conditioned square matrices, or now and then others that are not square."""
        *batch, n = self.shape(1, 2, (least, 3))
        x = self.of((*batch, n, n), dtypes)
        return x + np.asarray(8 * np.eye(n), x.dtype) if self.int(0, 7) else x[..., :n // 2]

    def positive(self, least=0):
        x = self.square(least)
        return x if x.shape[-1] != x.shape[-2] else x @ x.conj().swapaxes(-1, -2)

    def unit(self, count, dtypes=FLOATS):
        """So many arrays of numbers between 0 and 1, ends excluded, that broadcast."""
        shape = self.shape()
        return [self.of(shape[self.int(0, len(shape)):], dtypes, [0.1, 0.4, 0.9, 1.2])
                for _ in range(count)]


def reduction(d, dtypes=record_dtypes.DTYPES, **more):
    x = d.array(dtypes=dtypes)
    return d(x, axis=d.axes(x), keepdims=d.flag(), where=d.mask(x),
             **{name: d.one(*choices) for name, choices in more.items()})


def extremum(d):
    args, kwargs = reduction(d)
    return args, kwargs | ({"initial": 1} if "where" in kwargs or d.int(0, 1) else {})


def along(d, dtypes=record_dtypes.DTYPES, least=0, axis=None, **more):
    """An array and perhaps an axis."""
    x = d.array(least, dtypes=dtypes)
    given = axis or d.axis(x) if axis or np.ndim(x) and d.int(0, 3) else None
    return d(x, axis=given, **{name: d.one(*choices) for name, choices in more.items()})


def listed(d, alike=True):
    """A list of arrays of one rank."""
    first = d.array(1, sides=(1, 3), dtypes=record_dtypes.DTYPES[:10])
    return [first, d.of(first.shape if d.int(0, 4) else (2, *first.shape[1:]),
                        record_dtypes.DTYPES[:10])]


def matrices(d):
    """Operands of a matrix product, of any rank; some do not fit."""
    n, m, k = d.shape(3, 3, (0, 3))
    plain = record_dtypes.DTYPES[:10]
    x = d.of(d.one((m,), (n, m), (2, n, m), (1, n, m)), plain)
    return d(x, d.of(d.one((m,), (m, k), (2, m, k), (n, k)), plain))


def quantile(d, scale):
    x = d.array(1, dtypes=["float32", "int32", "float16"], sides=(1, 3))
    q = d.one(0.3, 0.5, 1.0, [0.25, 0.75])
    return d(x, np.float32(q) * np.float32(scale), axis=d.axes(x), keepdims=d.flag(),
             method=d.one("linear", "lower", "higher", "nearest", "midpoint"))


def transform(d, several, kinds=("float32", "complex64", "int32")):
    """An array, and of a Fourier transform: length, axes and norm."""
    x = d.array(1 + (several == "2"), dtypes=kinds, sides=(1, 4))
    if several:
        given = {} if d.int(0, 2) else {"axes": d.one((0, 1), (-1, 0), (0, 3))}
        return d(x, **given, norm=d.one(None, "ortho", "forward", "backward"))
    return d(x, d.one(None, 1, 2, 5), axis=d.axis(x), norm=d.one(None, "ortho", "forward"))


def split(d, name):
    x = d.array(1, sides=(1, 4))
    parts = d.one(1, 2, 3, [1], [1, 2])
    return d(x, parts, axis=d.axis(x)) if name in ("split", "array_split") else d(x, parts)


CALLS = {}  # name: what draws a call


def calls(names, draw):
    CALLS.update(dict.fromkeys(names.split(), draw))


calls("""abs absolute acos angle arccos arcsin arcsinh arctan around asin asinh atan
bitwise_count bitwise_invert bitwise_not cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1
fabs floor frexp i0 imag invert iscomplex isfinite isinf isnan isneginf isposinf isreal logical_not
modf nan_to_num negative positive rad2deg radians real rint round sign signbit sin sinc sinh
spacing square tan tanh trunc""", lambda d: d(d.array()))
calls("acosh arccosh log log10 log2 log1p sqrt reciprocal arctanh atanh",
      lambda d: d(d.array(numbers=[0.5, 0.7, 0.25] if d.int(0, 1) else [1, 2, 5])))
calls("""add bitwise_and bitwise_or bitwise_xor copysign equal fmax fmin greater greater_equal
heaviside hypot isclose less less_equal logaddexp logaddexp2 logical_and logical_or logical_xor
maximum minimum multiply not_equal subtract gcd lcm allclose array_equiv broadcast_arrays""",
      lambda d: d(*d.pair()))
calls("""arctan2 atan2 divide divmod floor_divide fmod mod remainder true_divide
left_shift right_shift bitwise_left_shift bitwise_right_shift""",
      lambda d: d(*d.pair(numbers=[1, 2, 3, 5])))
calls("power pow float_power", lambda d: d(*d.pair(numbers=[0, 1, 2, 3])))
calls("nextafter", lambda d: d(*d.pair(["float32"])))
calls("ldexp", lambda d: d(*d.pair(["float32", "float16", "int32"])))
calls("sum prod nansum nanprod", lambda d: reduction(d, initial=(None, 2)))
calls("all any mean nanmean", reduction)
calls("std var nanstd nanvar", lambda d: reduction(d, ddof=(None, 1)))
calls("amax amin max min nanmax nanmin", extremum)
calls("average ptp count_nonzero median nanmedian",
      lambda d: (lambda x: d(x, axis=d.axes(x), keepdims=d.flag()))(d.array(dtypes=REAL)))
for scale, suffix in ((1, "quantile"), (100, "percentile")):
    calls(f"{suffix} nan{suffix}", functools.partial(quantile, scale=scale))
calls("argmax argmin nanargmax nanargmin", lambda d: along(d, keepdims=(True, False, None)))
calls("""cumprod cumsum nancumprod nancumsum flip sort roll unwrap""", lambda d: along(d))
calls("cumulative_sum cumulative_prod", lambda d: along(d, include_initial=(True, None)))
calls("diff", lambda d: along(d, least=1, n=(None, 2, 0)))
calls("trapezoid gradient", lambda d: along(d, ["float32", "int32", "complex64"], least=1))
calls("argsort", lambda d: along(d, stable=(True,)))
calls("expand_dims", lambda d: (lambda x: d(x, d.axis(x, 2)))(d.array()))
calls("squeeze", lambda d: (lambda x: d(x, d.axes(x)))(d.array(sides=(1, 2))))
calls("moveaxis swapaxes rollaxis", lambda d: (lambda x: d(x, d.axis(x), d.axis(x)))(d.array(1)))
calls("repeat take delete partition", lambda d: (lambda x: d(x, d.int(0, 1), axis=d.axis(x)))(
    d.array(1, sides=(2, 3), dtypes=REAL)))
calls("insert", lambda d: (lambda x: d(x, d.int(0, 1), 1, axis=d.axis(x)))(d.array(1)))
calls("take_along_axis", lambda d: (lambda x: d(x, np.argsort(x, 0)[:d.int(0, 3)], d.axis(x)))(
    d.array(1, dtypes=["int32", "float32"])))
calls("tile", lambda d: d(d.array(), d.one(0, 2, (2, 1), (1, 2, 1, 2))))
calls("reshape resize broadcast_to", lambda d: d(d.array(), d.one((2, 3), (3, 2), (6,), (1, 2, 3), (2, 0))))
calls("rot90", lambda d: d(d.array(1), d.int(-2, 5), d.one((0, 1), (1, 0), (0, 2))))
calls("pad", lambda d: d(d.array(1, sides=(1, 3)), d.one(1, (0, 2), ((1, 0), (2, 1)), -1),
                         mode=d.one("constant", "edge", "reflect", "wrap", "symmetric")))
calls("ravel transpose fliplr flipud atleast_1d atleast_2d atleast_3d matrix_transpose argwhere "
      "flatnonzero nonzero unique_values trim_zeros copy ones_like zeros_like ndim shape size "
      "iscomplexobj isrealobj array_equal", lambda d: d(d.array(least=1)))
calls("permute_dims", lambda d: d(d.array(), d.one((0,), (1, 0), (0, 1), (2, 0, 1), (-1, 0), (0, 0))))
calls("full_like", lambda d: d(d.array(), d.int(0, 9)))
calls("split array_split", lambda d: split(d, "split"))
calls("hsplit vsplit dsplit", lambda d: split(d, ""))
calls("unstack", lambda d: (lambda x: d(x, axis=d.axis(x)))(d.array(1)))
calls("concatenate concat stack", lambda d: (lambda xs: d(xs, axis=d.axis(xs[0])))(listed(d)))
calls("hstack vstack dstack column_stack", lambda d: d(listed(d)))
calls("append", lambda d: (lambda xs: d(*xs, axis=d.one(None, d.axis(xs[0]))))(listed(d)))
calls("tril triu diag diagonal trace diagflat", lambda d: d(d.array(), d.int(-2, 2)))
calls("diag_indices_from tril_indices_from triu_indices_from", lambda d: d(d.array(2, 2)))
calls("matmul dot vdot inner outer vecdot matvec vecmat cross kron linalg.matmul linalg.outer "
      "linalg.vecdot", matrices)
calls("tensordot", lambda d: (lambda call: d(*call[0], d.int(0, 2)))(matrices(d)))
calls("einsum", lambda d: (lambda x, y: d(d.one("...i,...i", "...i,...i->...", "...ij,...jk"), x, y))(
    *d.pair(record_dtypes.DTYPES[:10])))
calls("convolve correlate", lambda d: d(d.array(1, 1), d.array(1, 1), d.one("full", "same", "valid")))
calls("where", lambda d: (lambda x, y: d(d.mask(x), x, y))(*d.pair()))
calls("clip", lambda d: (lambda x, y: d(x, y, None))(*d.pair(REAL)))
calls("select piecewise", lambda d: (lambda x: d([x > 1, x < 0], [x, -x]))(d.array(1, dtypes=["float32"])))
calls("compress extract", lambda d: (lambda x: d(np.ravel(x) > 0, x))(d.array(1)))
calls("unique", lambda d: d(d.array(1, dtypes=REAL[:6]), return_index=d.flag(),
                            return_inverse=d.flag(), return_counts=d.flag()))
calls("unique_counts unique_inverse unique_all sort_complex", lambda d: d(d.array(1, 1, REAL[:6])))
calls("intersect1d setdiff1d setxor1d union1d isin",
      lambda d: d(d.array(1, dtypes=INTEGERS), d.array(1, dtypes=INTEGERS)))
calls("searchsorted", lambda d: d(np.sort(d.array(1, 1, REAL[:6])), d.array(dtypes=REAL[:6]),
                                  side=d.one("left", "right")))
calls("digitize", lambda d: d(d.array(dtypes=REAL[:6]), np.sort(d.array(1, 1, REAL[:6]))))
calls("bincount", lambda d: d(d.array(1, 1, ["int32", "uint8"], [0, 2, 5]), minlength=d.int(0, 7)))
calls("interp", lambda d: d(d.array(dtypes=["float32"]), np.arange(3.0, dtype="f"), d.of((3,), ["float32"])))
calls("vander", lambda d: d(d.array(1, dtypes=REAL[:6]), d.int(0, 4)))
calls("polyadd polysub polymul", lambda d: d(d.array(1, 1, sides=(1, 4)), d.array(1, 1, sides=(1, 4))))
calls("polyval", lambda d: d(d.array(1, 1), d.array()))
calls("polyder polyint", lambda d: d(d.array(1, 1, REAL[:6]), d.int(0, 2)))
calls("ediff1d", lambda d: d(d.array(1)))
calls("cov corrcoef", lambda d: d(d.array(1, 2, REAL[:6], sides=(2, 4)), rowvar=d.one(True, False)))
calls("histogram histogram_bin_edges", lambda d: d(d.array(1, dtypes=["float32", "int32"]), d.int(1, 4)))
calls("fft.fft fft.ifft fft.hfft fft.irfft", lambda d: transform(d, ""))
calls("fft.rfft fft.ihfft", lambda d: transform(d, "", INEXACT[:1] + ["int32"]))
calls("fft.fftn fft.ifftn fft.irfftn", lambda d: transform(d, "n"))
calls("fft.fft2 fft.ifft2 fft.irfft2", lambda d: transform(d, "2"))
calls("fft.rfftn fft.rfft2", lambda d: transform(d, "2", INEXACT[:1]))
calls("fft.fftshift fft.ifftshift", lambda d: (lambda x: d(x, axes=d.axes(x)))(d.array(1)))
calls("linalg.det linalg.slogdet linalg.inv linalg.pinv linalg.cond linalg.matrix_rank "
      "linalg.svdvals linalg.matrix_norm", lambda d: d(d.square()))
calls("linalg.cholesky linalg.eigvalsh", lambda d: d(d.positive()))
calls("linalg.solve", lambda d: (lambda a: d(a, d.of((np.shape(a)[-1], 2), INEXACT)))(d.square()))
calls("linalg.lstsq", lambda d: (lambda a: d(a[0], a[0].sum(-1)))(np.atleast_3d(d.square(2)[None])))
calls("linalg.matrix_power", lambda d: d(d.square(), d.int(-2, 3)))
calls("linalg.norm", lambda d: (lambda x: d(x, d.one(None, 1, 2, np.inf), axis=d.axes(x), keepdims=d.flag()))(
    d.array(1, dtypes=REAL[:6] + ["complex64"])))
calls("linalg.vector_norm", lambda d: (lambda x: d(x, axis=d.axes(x), keepdims=d.flag()))(d.array(1)))
calls("linalg.trace linalg.diagonal linalg.matrix_transpose", lambda d: d(d.array(1)))
calls("linalg.cross", lambda d: (lambda x, y: d(x, y, axis=d.axis(x)))(*d.pair(REAL[:6])))
calls("linalg.tensordot", CALLS["tensordot"])
for module, names in {1: """entr erf erfc erfcx erfinv exp1 expi expit gammaln gamma gammasgn digamma i0
        i0e i1 i1e log_ndtr logit ndtr ndtri spence dawsn factorial sici fresnel loggamma wofz""",
        2: "beta betaln boxcox boxcox1p gammainc gammaincc kl_div rel_entr xlogy xlog1py poch owens_t comb",
        3: "betainc hyp1f1"}.items():
    for name in names.split():
        calls("scipy.special." + name, lambda d, count=module: d(*d.unit(count)))
for name in DISTRIBUTIONS:
    for function in getattr(jax.scipy.stats, name).__all__:
        calls(f"scipy.stats.{name}.{function}", lambda d, name=name: (lambda x, loc: d(
            x, *SHAPES.get(name, ()), *(() if name in ("gennorm", "vonmises", "wrapcauchy") else (loc,))
        ))(*d.unit(2, ["float32"])))
calls("scipy.signal.convolve scipy.signal.correlate", lambda d: d(
    d.array(1, 1, FLOATS[2:3], sides=(1, 4)), d.array(1, 1, FLOATS[2:3], sides=(1, 4)), d.one("full", "same", "valid")))
calls("scipy.signal.fftconvolve scipy.signal.convolve2d scipy.signal.correlate2d", lambda d: d(
    d.array(2, 2, FLOATS[2:3], sides=(2, 4)), d.array(2, 2, FLOATS[2:3], sides=(1, 2)), d.one("full", "same", "valid")))
calls("scipy.signal.detrend", lambda d: d(d.array(1, dtypes=FLOATS[2:3], sides=(2, 4)), type=d.one("linear", "constant")))
calls("scipy.fft.dct scipy.fft.idct", lambda d: (lambda x: d(
    x, type=2, n=d.one(None, 2, 5), axis=d.axis(x), norm=d.one(None, "ortho")))(d.array(1, dtypes=FLOATS[2:3], sides=(1, 4))))
calls("scipy.fft.dctn scipy.fft.idctn", lambda d: d(
    d.array(2, dtypes=FLOATS[2:3], sides=(1, 4)), norm=d.one(None, "ortho")))
calls("scipy.linalg.det scipy.linalg.inv scipy.linalg.expm scipy.linalg.lu_factor", lambda d: d(d.square(1)))
calls("scipy.linalg.cholesky", lambda d: d(d.positive(1), lower=d.one(True, False)))
calls("scipy.linalg.toeplitz scipy.linalg.hankel scipy.linalg.block_diag",
      lambda d: d(d.array(1, 1, sides=(1, 3)), d.array(1, 1, sides=(1, 3))))
calls("scipy.linalg.circulant scipy.linalg.fiedler", lambda d: d(d.array(1, 1, REAL[:3] + ["float32"], sides=(1, 3))))
calls("scipy.linalg.hilbert scipy.linalg.invhilbert scipy.linalg.pascal scipy.linalg.invpascal "
      "scipy.linalg.helmert scipy.linalg.dft", lambda d: d(d.int(2, 5)))
calls("scipy.linalg.hadamard", lambda d: d(d.one(1, 2, 4, 8, 3)))
calls("scipy.linalg.solve", lambda d: (lambda a: d(a, a[..., 0]))(d.square(1)))
calls("scipy.linalg.solve_triangular", lambda d: (lambda a: d(a, a[..., 0], lower=d.one(True, False)))(d.square(1)))
calls("scipy.integrate.trapezoid", CALLS["trapezoid"])
calls("scipy.special.logsumexp scipy.special.softmax scipy.special.log_softmax",
      lambda d: (lambda x: d(x, axis=d.axis(x)))(d.array(1, dtypes=["float32", "float16"], sides=(1, 3))))


def softplus(x):
    return np.logaddexp(x, 0)


def normal(x, axis):
    return np.exp(x - x.max(axis, keepdims=True)) / np.exp(x - x.max(axis, keepdims=True)).sum(axis, keepdims=True)


NN = {
    "celu": lambda x: np.where(x > 0, x, np.expm1(x)), "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "gelu": lambda x: x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3))),
    "hard_sigmoid": lambda x: np.clip(x + 3, 0, 6) / 6, "hard_silu": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "hard_swish": lambda x: x * np.clip(x + 3, 0, 6) / 6, "hard_tanh": lambda x: np.clip(x, -1, 1),
    "identity": lambda x: x, "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "log_sigmoid": lambda x: -softplus(-x), "mish": lambda x: x * np.tanh(softplus(x)),
    "relu": lambda x: np.maximum(x, 0), "relu6": lambda x: np.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
    "sigmoid": scipy.special.expit, "silu": lambda x: x * scipy.special.expit(x),
    "soft_sign": lambda x: x / (1 + abs(x)), "softplus": softplus,
    "sparse_plus": lambda x: np.where(x < -1, 0, np.where(x > 1, x, (x + 1) ** 2 / 4)),
    "sparse_sigmoid": lambda x: np.clip((x + 1) / 2, 0, 1), "squareplus": lambda x: (x + np.sqrt(x * x + 4)) / 2,
    "swish": lambda x: x * scipy.special.expit(x), "tanh": np.tanh,
    "log1mexp": lambda x: np.log(-np.expm1(-x)),
}
REDUCING = {
    "logsumexp": scipy.special.logsumexp, "softmax": scipy.special.softmax, "log_softmax": scipy.special.log_softmax,
    "logmeanexp": lambda x, axis: scipy.special.logsumexp(x, axis) - np.log(x.shape[axis]),
    "standardize": lambda x, axis: (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 1e-5),
    "glu": lambda x, axis: np.split(x, 2, axis)[0] * scipy.special.expit(np.split(x, 2, axis)[1]),
}
for name in NN:
    calls("nn." + name, lambda d: d(d.array(dtypes=FLOATS, numbers=[1, 2, 0.25])))
for name in REDUCING:
    calls("nn." + name, lambda d: (lambda x: d(x, axis=d.axis(x)))(d.array(1, dtypes=FLOATS[:3], sides=(1, 3))))


def widened(value):
    """The operand that NumPy gets: of 64 bits, if it is not of integers."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(widened, value))
    if isinstance(value, np.ndarray) and value.dtype.kind not in "biu":
        return value.astype(np.complex128 if value.dtype.kind == "c" else np.float64)
    return value


def find(name, numpys):
    root = (types.SimpleNamespace(nn=types.SimpleNamespace(**NN, **REDUCING), scipy=scipy) if numpys else jax)
    if not name.startswith(("nn.", "scipy.")):
        root = np if numpys else jnp
    return operator.attrgetter(name)(root)


def code(name, dtypes):
    """The dtype JAX gives, or the class of its error; None where it is not recorded."""
    row = RECORDED.get(" ".join([name, *dtypes[:-1]]))
    return row and row.split(" ")[record_dtypes.DTYPES.index(dtypes[-1])]


def answer(function, args, kwargs):
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return record_table.leaves(function(*args, **kwargs))
    except Exception as error:
        return error


def check(name, dtypes, args, kwargs):
    wanted = answer(find(name, True), widened(args), kwargs)
    found, recorded = answer(find(name, False), args, kwargs), code(name, dtypes)
    shown = f"{name}{args} {kwargs}: {found!r} for {recorded} {wanted!r}"
    if isinstance(found, Exception):
        assert isinstance(found, (ValueError, TypeError, IndexError, NotImplementedError)), shown
        assert isinstance(wanted, Exception) or type(found).__name__ == recorded, shown
        return
    if recorded:
        types_of = [record_table.type_of(leaf).replace("*", "") for leaf in found]
        assert ",".join(t.partition("[")[0] for t in types_of) == recorded.replace("*", ""), shown
        assert [bool(getattr(leaf, "weak_type", False)) for leaf in found] == [
            "*" in part for part in recorded.split(",")], shown
    if isinstance(wanted, Exception):  # NumPy may lack the dtype
        assert isinstance(wanted, TypeError), shown
        return
    wanted = [np.asarray(w).astype(np.asarray(f).dtype) if np.asarray(f).dtype.kind in "iu" else w
              for f, w in zip(found, wanted)]
    assert record_table.same(found, wanted), shown


@pytest.mark.parametrize("name", CALLS)
@hypothesis.settings(max_examples=5, deadline=None, derandomize=True, database=None, phases=[hypothesis.Phase.generate],
                     suppress_health_check=list(hypothesis.HealthCheck))
@hypothesis.given(data=st.data())
def test_as_numpy(name, data):
    draw = Draw(data)
    args, kwargs = CALLS[name](draw)
    check(name, draw.dtypes, args, kwargs)
