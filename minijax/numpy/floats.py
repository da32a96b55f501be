"""Elementwise functions about the parts and the special values of floating-point numbers.

Invariant: bits are taken apart with integer operations, so results are exact and signed zeros,
infinities and nans come out as in NumPy.

    frexp(jnp.float32(10))       # 0.625, 4
    nan_to_num(jnp.inf)          # 3.4028235e+38
"""

import operator
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy.creation import asarray
from minijax.numpy.promotion import (
    BOOL, COMPLEX, FLOATING, INEXACT, INTEGER, as_array, broadcast, constant_for, convert, dtype_of,
    inexact_operand, inexact_operands, numeric_dtype, operand, operands, promote_shapes, refuse_out,
    scalar, strong)
from minijax.numpy.ufuncs import _imag, pick
from minijax.runtime.call import fused

_BITS_OF = {1: np.dtype("int8"), 2: np.dtype("int16"), 4: np.dtype("int32"), 8: np.dtype("int64")}

# --- Tests for special values ------------------------------------------------------------------


def _isnan(x: Any) -> Any:
    return lax.ne(x, x)


def _isinf(x: Any) -> Any:
    return lax.eq(lax.abs(x), scalar(np.inf, dtypes.to_real(dtype_of(x))))


def _parts(x: Any, test: Any, join: Any) -> Any:
    """`test` of a float, or of both parts of a complex number."""
    if dtype_of(x) in COMPLEX:
        return join(test(lax.real(x)), test(lax.imag(x)))
    return test(x)


def _everywhere(x: Any, value: bool) -> Any:
    return lax.full_like(x, value, dtype=BOOL)


@fused
def isnan(x: ArrayLike, /) -> Array:
    """Whether x is nan, in one of its parts if complex."""
    return _isnan(operand("isnan", x))


@fused
def isinf(x: ArrayLike, /) -> Array:
    """Whether x is infinite, in one of its parts if complex."""
    x = operand("isinf", x)
    if dtype_of(x) not in INEXACT:
        return _everywhere(x, False)
    return _parts(x, _isinf, lax.bitwise_or)


@fused
def isfinite(x: ArrayLike, /) -> Array:
    """Whether x is neither infinite nor nan."""
    x = operand("isfinite", x)
    if dtype_of(x) not in INEXACT:
        return _everywhere(x, True)
    return _parts(x, lax.is_finite, lax.bitwise_and)


def _isposneginf(name: str, x: Any, infinity: float, out: Any) -> Any:
    refuse_out(name, out)
    x = operand(name, x)
    dtype = dtype_of(x)
    if dtype in COMPLEX:
        raise ValueError(errors.describe(
            "isposinf/isneginf are not well defined for complex types",
            fix="test x.real and x.imag"))
    if dtype not in FLOATING:
        return _everywhere(x, False)
    return lax.eq(x, scalar(infinity, dtype))


@fused
def isposinf(x: ArrayLike, /, out: None = None) -> Array:
    """Whether x is +infinity; ValueError for complex x."""
    return _isposneginf("isposinf", x, np.inf, out)


@fused
def isneginf(x: ArrayLike, /, out: None = None) -> Array:
    """Whether x is -infinity; ValueError for complex x."""
    return _isposneginf("isneginf", x, -np.inf, out)


@fused
def iscomplex(x: ArrayLike) -> Array:
    """Whether the imaginary part of x is not zero."""
    part = _imag(operand("iscomplex", x))
    return lax.ne(part, constant_for(part, 0))


@fused
def isreal(x: ArrayLike) -> Array:
    """Whether the imaginary part of x is zero."""
    part = _imag(operand("isreal", x))
    return lax.eq(part, constant_for(part, 0))


@fused
def signbit(x: ArrayLike, /) -> Array:
    """Whether the sign bit of x is set, as it is for -0.0; ValueError for complex x."""
    return _signbit(operand("signbit", x))


def _signbit(x: Any) -> Any:
    dtype = dtype_of(x)
    if dtype in COMPLEX:
        raise ValueError(errors.describe(
            f"jax.numpy.signbit is not well defined for {dtype}", fix="use x.real or x.imag"))
    if dtype is BOOL:
        return _everywhere(x, False)
    if dtype not in FLOATING:
        return lax.lt(x, scalar(0, dtype))
    if dtype.itemsize == 1:
        raise NotImplementedError(
            "jax.numpy.signbit only supports 16, 32, and 64-bit types.")
    bits = lax.bitcast_convert_type(x, _BITS_OF[dtype.itemsize])
    return lax.lt(bits, scalar_like(bits, 0))


# --- Comparing ---------------------------------------------------------------------------------


@fused(static_argnames=("equal_nan",))
def isclose(a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08,
            equal_nan: bool = False) -> Array:
    """Whether abs(a - b) <= atol + rtol * abs(b), or a == b."""
    return _isclose("isclose", a, b, rtol, atol, equal_nan)


@fused(static_argnames=("equal_nan",))
def allclose(a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-05, atol: ArrayLike = 1e-08,
             equal_nan: bool = False) -> Array:
    """Whether `isclose` holds for all elements."""
    close = _isclose("allclose", a, b, rtol, atol, equal_nan)
    return lax.reduce_and(close, tuple(range(close.ndim)))


def _isclose(name: str, a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool) -> Any:
    a, b, dtype = operands(name, a, b)
    if isinstance(dtype, dtypes.ExtendedDType):
        return lax.eq(a, b)
    a, b, dtype = inexact_operands(name, a, b)
    a, b = map(as_array, (a, b))
    real = dtypes.to_real(dtype)
    rtol, atol = convert(operand(name, rtol, 2), real), convert(operand(name, atol, 3), real)
    gap, size = lax.abs(lax.sub(a, b)), lax.abs(b)
    _, rtol, atol = promote_shapes(name, size, rtol, atol)
    bound = lax.add(atol, lax.mul(rtol, size))
    near = lax.bitwise_and(_parts(b, lax.is_finite, lax.bitwise_and), lax.le(gap, bound))
    close = lax.bitwise_or(lax.eq(a, b), near)
    if equal_nan:
        close = lax.bitwise_or(close, lax.bitwise_and(_isnan(a), _isnan(b)))
    return close


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Array:
    """Whether the arrays have the same shape and elements."""
    a1, a2 = asarray(a1), asarray(a2)
    if a1.shape != a2.shape:
        return as_array(np.bool_(False))
    return _array_equal(a1, a2, equal_nan)


@fused(static_argnums=(2,))
def _array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool) -> Array:
    a, b, _ = operands("array_equal", a1, a2)
    same = as_array(lax.eq(a, b))
    if equal_nan:
        same = lax.bitwise_or(same, lax.bitwise_and(_isnan(a), _isnan(b)))
    return lax.reduce_and(same, tuple(range(same.ndim)))


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Array:
    """Whether the arrays are equal after broadcasting them to a common shape."""
    a1, a2 = asarray(a1), asarray(a2)
    try:
        shape = lax.broadcast_shapes(a1.shape, a2.shape)
    except ValueError:
        return as_array(np.bool_(False))
    return _array_equal(*[broadcast(a, shape) for a in (a1, a2)], False)


@fused
def nan_to_num(x: ArrayLike, copy: bool = True, nan: ArrayLike = 0.0,
               posinf: ArrayLike | None = None, neginf: ArrayLike | None = None) -> Array:
    """x with nan, +infinity and -infinity replaced; by default by 0 and the extreme values."""
    x = operand("nan_to_num", x)
    dtype = dtype_of(x)
    if dtype not in INEXACT:
        return as_array(x)
    if dtype in COMPLEX:
        parts = lax.real(x), lax.imag(x)
        return lax.complex(*[_nan_to_num(part, nan, posinf, neginf) for part in parts])
    return _nan_to_num(as_array(x), nan, posinf, neginf)


def _nan_to_num(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    dtype = dtype_of(x)
    info = dtypes.finfo(dtype)
    posinf = scalar_like(x, info.max) if posinf is None else convert(posinf, dtype)
    neginf = scalar_like(x, info.min) if neginf is None else convert(neginf, dtype)
    x = pick(_isnan(x), convert(nan, dtype), x)
    x = pick(lax.eq(x, scalar_like(x, np.inf)), posinf, x)
    return pick(lax.eq(x, scalar_like(x, -np.inf)), neginf, x)


# --- Rounding ----------------------------------------------------------------------------------


@fused
def rint(x: ArrayLike, /) -> Array:
    """The integer nearest to x as a float, the even one of two."""
    x = operand("rint", x)
    if dtype_of(x) not in INEXACT:
        return strong(inexact_operand("rint", x))
    return _parts(x, _to_nearest, lax.complex)


@fused(static_argnames=("decimals",))
def round(a: ArrayLike, decimals: int = 0, out: None = None) -> Array:
    """a rounded to this many decimals, halves to even; integers for decimals >= 0 unchanged."""
    return _round("round", a, decimals, out)


@fused(static_argnames=("decimals",))
def around(a: ArrayLike, decimals: int = 0, out: None = None) -> Array:
    """a rounded to this many decimals, halves to even; integers for decimals >= 0 unchanged."""
    return _round("around", a, decimals, out)


def _to_nearest(x: Any) -> Any:
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


def _round(name: str, a: Any, decimals: int, out: Any) -> Any:
    refuse_out(name, out)
    a, decimals = operand(name, a), operator.index(decimals)
    dtype = dtype_of(a)
    if dtype in INTEGER:
        if decimals < 0:
            raise NotImplementedError(errors.describe(
                "integer np.round not implemented for decimals < 0"))
        return as_array(a)
    if dtype is BOOL:
        raise ValueError(errors.describe("data type <class 'numpy.bool'> not inexact",
                                         fix="convert it first, e.g. x.astype('float32')"))
    return _parts(as_array(a), lambda x: _round_float(x, decimals), lax.complex)


def _round_float(x: Any, decimals: int) -> Any:
    if not decimals:
        return _to_nearest(x)
    dtype = dtype_of(x)
    # In half precision the scaled value would soon overflow or lose its fraction.
    wide = lax.convert_element_type(x, np.float32) if dtype.itemsize < 4 else x
    factor = scalar_like(wide, 10.0 ** decimals)
    return convert(lax.div(_to_nearest(lax.mul(wide, factor)), factor), dtype)


# --- Mantissa and exponent ---------------------------------------------------------------------


def _layout(dtype: Any) -> tuple[Any, int, int]:
    """(integer dtype of the same size, bits of the mantissa, bias of the exponent)."""
    info = dtypes.finfo(dtype)
    return _BITS_OF[dtype.itemsize], info.nmant, 1 - info.minexp


def _power_of_two(exponent: Any, dtype: Any) -> Any:
    """2**exponent for exponents of normal numbers, made of bits."""
    bits_dtype, mantissa, bias = _layout(dtype)
    biased = lax.add(exponent, scalar_like(exponent, bias))
    bits = lax.convert_element_type(biased, bits_dtype)
    return lax.bitcast_convert_type(lax.shift_left(bits, scalar_like(bits, mantissa)), dtype)


@fused
def frexp(x: ArrayLike, /) -> tuple[Array, Array]:
    """(m, e) with x = m * 2**e, 0.5 <= abs(m) < 1 and integer e; (x, 0) for 0, inf and nan."""
    x = as_array(inexact_operand("frexp", x))
    if dtype_of(x) in COMPLEX:
        raise TypeError(errors.describe("frexp does not support complex-valued inputs"))
    return _frexp(x)


def _frexp(x: Any) -> tuple[Any, Any]:
    dtype = dtype_of(x)
    bits_dtype, mantissa, bias = _layout(dtype)
    # Subnormal numbers are made normal first.
    tiny = lax.lt(lax.abs(x), scalar_like(x, dtypes.finfo(dtype).tiny))
    normal = lax.select(tiny, lax.mul(x, scalar_like(x, 2.0 ** mantissa)), x)
    bits = lax.bitcast_convert_type(lax.stop_gradient(normal), bits_dtype)
    field = lax.shift_right_logical(bits, scalar_like(bits, mantissa))
    field = lax.bitwise_and(field, scalar_like(bits, 2 * bias + 1))
    exponent = lax.convert_element_type(field, np.int32)
    exponent = lax.sub(exponent, scalar_like(exponent, bias - 1))
    special = lax.bitwise_or(lax.bitwise_not(lax.is_finite(x)), lax.eq(x, scalar_like(x, 0)))
    zero = scalar_like(exponent, 0)
    shift = pick(special, zero, lax.neg(exponent))
    # In two steps: 2**-e itself may be too small to be a normal number.
    half = lax.div(shift, scalar_like(shift, 2))
    fraction = lax.mul(normal, _power_of_two(half, dtype))
    fraction = lax.mul(fraction, _power_of_two(lax.sub(shift, half), dtype))
    shown = lax.sub(exponent, pick(tiny, scalar_like(exponent, mantissa), zero))
    return pick(special, x, fraction), pick(special, zero, shown)


@fused
def ldexp(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 * 2**x2 for integer x2, rounded once; ValueError for other dtypes of x2."""
    x, n = operand("ldexp", x1), operand("ldexp", x2, 1)
    dtypes_given = dtype_of(x), dtype_of(n)
    if dtypes_given[0] in COMPLEX or dtypes_given[1] in INEXACT:
        raise ValueError(errors.describe(
            f"ldexp not supported for input types {dtypes_given}",
            fix="jnp.ldexp(x, n.astype('int32'))"))
    x = as_array(inexact_operand("ldexp", x))
    n = as_array(convert(n, numeric_dtype(dtypes_given[1])))
    x, n = promote_shapes("ldexp", x, n)
    return _ldexp(x, _small_exponent(n, x.dtype))


def _small_exponent(n: Any, dtype: Any) -> Any:
    """The exponent as int32, cut to what can make a difference."""
    info = dtypes.finfo(dtype)
    most = 2 * (info.maxexp - info.minexp + info.nmant)
    if n.dtype.itemsize > 2:
        low = 0 if n.dtype.kind == "u" else -most
        n = lax.clamp(scalar_like(n, low), n, scalar_like(n, most))
    return lax.convert_element_type(n, np.int32)


def _ldexp(x: Any, n: Any) -> Any:
    dtype = x.dtype
    info = dtypes.finfo(dtype)
    fraction, exponent = _frexp(x)
    total = lax.sub(lax.add(exponent, n), scalar_like(exponent, 1))
    low, high = scalar_like(total, info.minexp), scalar_like(total, info.maxexp - 1)
    # The first factor keeps the number normal, so that only the second one rounds.
    normal = lax.clamp(low, total, high)
    rest = lax.clamp(low, lax.sub(total, normal), high)
    scaled = lax.mul(lax.mul(fraction, scalar_like(fraction, 2)), _power_of_two(normal, dtype))
    scaled = lax.mul(scaled, _power_of_two(rest, dtype))
    special = lax.bitwise_or(lax.bitwise_not(lax.is_finite(x)), lax.eq(x, scalar_like(x, 0)))
    return pick(special, x, scaled)


@fused
def modf(x: ArrayLike, /, out: None = None) -> tuple[Array, Array]:
    """(fraction, integer part) of x, both with the sign of x."""
    refuse_out("modf", out)
    x = as_array(inexact_operand("modf", x))
    whole = lax.select(lax.ge(x, scalar_like(x, 0)), lax.floor(x), lax.ceil(x))
    return lax.sub(x, whole), whole


@fused
def spacing(x: ArrayLike, /) -> Array:
    """Distance from x to the next float away from zero, with the sign of x."""
    x = strong(inexact_operand("spacing", x))
    dtype = dtype_of(x)
    if dtype in COMPLEX:
        raise ValueError(errors.describe("jnp.spacing is not defined for complex inputs."))
    inf = scalar_like(x, np.inf)
    if dtype == np.float16:
        return lax.sub(lax.nextafter(x, inf), x)
    negative = _signbit(x)
    gap = lax.sub(lax.nextafter(x, pick(negative, lax.neg(inf), inf)), x)
    smallest = scalar_like(x, dtypes.finfo(dtype).smallest_subnormal)
    least = pick(negative, lax.neg(smallest), smallest)
    return lax.select(lax.eq(gap, scalar_like(gap, 0)), least, gap)


# --- Complex numbers ---------------------------------------------------------------------------


@fused(static_argnames=("deg",))
def angle(z: ArrayLike, deg: bool = False) -> Array:
    """The argument of the complex number z, in radians or degrees."""
    z = operand("angle", z)
    z = as_array(z) if dtype_of(z) in INEXACT else strong(inexact_operand("angle", z))
    real, imag = (lax.real(z), lax.imag(z)) if dtype_of(z) in COMPLEX else (z, _imag(z))
    result = lax.atan2(imag, real)
    return lax.mul(result, scalar_like(result, 180 / np.pi)) if deg else result
