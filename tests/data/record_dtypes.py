"""Record the dtypes and weak types that JAX's elementwise functions and reductions give.

    python tests/data/record_dtypes.py          # needs jax; writes numpy_dtypes.json

For each function and each dtype (or pair of dtypes) an entry is the dtype of the result, with a
star if it is weak, or the class of the error.  Rows are strings, so that a difference is a line.
"""

from __future__ import annotations

import importlib
import json
import operator
import pathlib
import warnings

UNARY = """abs acos acosh angle around asin asinh atan atanh bitwise_count bitwise_invert cbrt ceil
conj cos cosh deg2rad exp exp2 expm1 fabs floor frexp imag invert iscomplex isfinite isinf isnan
isneginf isposinf isreal log log10 log1p log2 logical_not modf nan_to_num negative positive rad2deg
real reciprocal rint sign signbit sin sinc sinh spacing sqrt square tan tanh trunc
all any argmax argmin average count_nonzero cumprod cumsum cumulative_sum max mean min nanmax
nanmean nanprod nansum nanstd nanvar prod ptp std sum var
ravel reshape squeeze transpose flip roll tile repeat full_like zeros_like atleast_2d
absolute amax amin arccos arccosh arcsin arcsinh arctan arctanh argsort atleast_1d atleast_3d
bitwise_not conjugate copy cumulative_prod degrees diagflat diff ediff1d fft.fft fft.fftn
fft.fftshift fft.hfft fft.ifft fft.ifftn fft.ifftshift fft.ihfft fft.irfft fft.rfft fft.rfftn
flipud gradient i0 linalg.norm linalg.vector_norm median nanargmax nanargmin nancumprod nancumsum
nanmedian nanquantile ones_like percentile quantile radians round sort sort_complex trapezoid unwrap
nn.celu nn.elu nn.gelu nn.glu nn.hard_sigmoid nn.hard_silu nn.hard_swish nn.hard_tanh nn.identity
nn.leaky_relu nn.log_sigmoid nn.log_softmax nn.logmeanexp nn.logsumexp nn.mish nn.relu
nn.relu6 nn.selu nn.sigmoid nn.silu nn.soft_sign nn.softmax nn.softplus nn.sparse_plus
nn.squareplus nn.swish nn.tanh
scipy.fft.dct scipy.fft.idct scipy.integrate.trapezoid scipy.special.dawsn scipy.special.digamma
scipy.special.erf scipy.special.erfc scipy.special.erfcx scipy.special.erfinv
scipy.special.exp1 scipy.special.expi scipy.special.expit scipy.special.factorial
scipy.special.fresnel scipy.special.gamma scipy.special.gammaln scipy.special.gammasgn
scipy.special.i0 scipy.special.i0e scipy.special.i1 scipy.special.i1e scipy.special.log_ndtr
scipy.special.log_softmax scipy.special.loggamma scipy.special.logsumexp
scipy.special.ndtr scipy.special.ndtri scipy.special.sici scipy.special.softmax
scipy.special.spence scipy.special.wofz""".split()
BINARY = """add arctan2 bitwise_and bitwise_or copysign divide divmod equal float_power floor_divide
fmax fmin fmod gcd greater heaviside hypot isclose lcm ldexp left_shift less logaddexp logaddexp2
logical_and maximum minimum multiply nextafter not_equal power remainder right_shift subtract
true_divide append where clip stack concatenate select linspace
convolve dot inner matmul outer vdot vecdot linalg.vecdot polymul polyval
scipy.special.beta scipy.special.betaln scipy.special.gammainc scipy.special.gammaincc
scipy.special.xlogy""".split()
DTYPES = """bool int8 int16 int32 uint8 uint32 float16 bfloat16 float32 complex64
int32* float32* complex64*""".split()
WIDE = """bool int8 int32 int64 uint64 bfloat16 float32 float64 complex64 complex128
int64* float64* complex128*""".split()

ORDERED = ("argmax", "argmin", "nanargmax", "nanargmin")  # complex numbers have no order

# Functions of lists or more operands, and arguments that are not arrays.
CALLS = {
    "where": lambda jnp: lambda x, y: jnp.where(True, x, y),
    "stack": lambda jnp: lambda x, y: jnp.stack([x, y]),
    "concatenate": lambda jnp: lambda x, y: jnp.concatenate([x, y]),
    "select": lambda jnp: lambda x, y: jnp.select([True], [x], y),
    "linspace": lambda jnp: lambda x, y: jnp.linspace(x, y, 3),
    "reshape": lambda jnp: lambda x: jnp.reshape(x, -1),
    "roll": lambda jnp: lambda x: jnp.roll(x, 1),
    "tile": lambda jnp: lambda x: jnp.tile(x, 2),
    "nanquantile": lambda jnp: lambda x: jnp.nanquantile(x, 0.5),
    "percentile": lambda jnp: lambda x: jnp.percentile(x, 50.0),
    "quantile": lambda jnp: lambda x: jnp.quantile(x, 0.5),
    "repeat": lambda jnp: lambda x: jnp.repeat(x, 2),
    "full_like": lambda jnp: lambda x: jnp.full_like(x, 1),
}


def find(jax, name: str):
    """The function of jax.numpy of this name, or of jax.nn or jax.scipy."""
    other = name.startswith(("nn.", "scipy."))
    if other:
        importlib.import_module(f"{jax.__name__}.{name.rpartition('.')[0]}")
    return CALLS[name](jax.numpy) if name in CALLS else (
        operator.attrgetter(name)(jax if other else jax.numpy))


def code(jax, function, *names: str) -> str:
    """What the function gives for vectors of these dtypes."""
    specs = [jax.ShapeDtypeStruct((4,), name.rstrip("*"), weak_type=name.endswith("*"))
             for name in names]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            leaves = jax.tree_util.tree_leaves(jax.eval_shape(function, *specs))
    except Exception as error:
        return type(error).__name__
    return ",".join(f"{leaf.dtype.name}{'*' if leaf.weak_type else ''}" for leaf in leaves)


def table(jax, dtypes: list[str], unary: list[str], binary: list[str]) -> dict[str, str]:
    """Rows of codes: one per unary function, one per binary function and first dtype."""
    rows = {}
    for name in unary:
        function = find(jax, name)
        rows[name] = " ".join(code(jax, function, dtype) for dtype in dtypes)
    for name in binary:
        function = find(jax, name)
        for first in dtypes:
            rows[f"{name} {first}"] = " ".join(code(jax, function, first, d) for d in dtypes)
    return rows


WIDE_UNARY = ["sin", "abs", "sum", "mean", "cumsum", "argmax", "square", "real", "var", "frexp"]
WIDE_BINARY = ["add", "true_divide", "power", "floor_divide", "where", "ldexp", "equal"]


def main() -> None:
    jax = importlib.import_module("jax")
    found = {"x32": table(jax, DTYPES, UNARY, BINARY)}
    jax.config.update("jax_enable_x64", True)
    found["x64"] = table(jax, WIDE, WIDE_UNARY, WIDE_BINARY)
    for name, dtypes in ((n, d) for n in ORDERED for d in (DTYPES, WIDE)):
        rows = found["x32" if dtypes is DTYPES else "x64"]
        if name in rows:  # JAX says so only when it compiles
            rows[name] = " ".join("TypeError" if dtype.startswith("complex") else entry
                                  for dtype, entry in zip(dtypes, rows[name].split(" ")))
    path = pathlib.Path(__file__).with_name("numpy_dtypes.json")
    path.write_text(json.dumps(found, indent=0) + "\n")


if __name__ == "__main__":
    main()
