"""Arithmetic and the elementary functions, one element at a time.

Each operation is a user function, which only binds, followed by its primitive with every rule.
Operands of binary operations have one dtype; they may have rank 0 beside arrays, or sizes 1 beside
larger ones, and nothing is promoted (the jnp functions do that). Derivatives are written with the
result where that is exact and cheap (`exp`, `tanh`), so that reverse mode keeps one array less.

    >>> lax.add(jnp.float32([1, 2]), 2.0)
    Array([3., 4.], dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, Values, Zero, aval_of, convert_element_type,
                          each_operand, is_linear, linear, nondifferentiable, pointwise)
from minijax.lax.logic import choose, eq, ge
from minijax.lax.rules import (ANY, COMPLEX, FLOATING, INEXACT, INTEGER, NUMBER, REAL, ArrayLike,
                               binary, broadcast_to, check_dtype, check_same_dtypes, fill_like,
                               joint_shape, like_any, same_shape, scalar_like, unary, unbroadcast)
from minijax.lax.types import AccuracyMode, RoundingMethod, Tolerance

Accuracy = Tolerance | AccuracyMode | None

# --- Sums --------------------------------------------------------------------------------------


def neg(x: ArrayLike) -> Array:
    """Elementwise -x; wraps around for unsigned integers."""
    return neg_p.bind(x)


neg_p = unary("neg", NUMBER, linear, transpose=lambda ct, x: neg(ct))


def add(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x + y."""
    return add_p.bind(x, y)


def sub(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x - y."""
    return sub_p.bind(x, y)


def _sum_jvp(op: Callable, second: Callable) -> Callable:
    """The rule of `op(x, y)`, whose derivative is `op(dx, dy)`; `second(dy)` is op(0, dy)."""
    def jvp(primals: Values, tangents: Values) -> tuple:
        x, y = primals
        dx, dy = tangents
        out = op(x, y)
        if type(dx) is not Zero and type(dy) is not Zero:
            return out, op(dx, dy)
        if type(dx) is Zero and type(dy) is Zero:
            return out, Zero(aval_of(out).to_tangent_aval())
        return out, broadcast_to(second(dy) if type(dx) is Zero else dx, aval_of(out).shape)
    return jvp


add_p = binary(
    "add", NUMBER, tip="add", jvp=_sum_jvp(add, lambda dy: dy),
    transpose=lambda ct, x, y: [unbroadcast(ct, x.aval) if is_linear(x) else None,
                                unbroadcast(ct, y.aval) if is_linear(y) else None])
sub_p = binary(
    "sub", NUMBER, tip="subtract", jvp=_sum_jvp(sub, neg),
    transpose=lambda ct, x, y: [unbroadcast(ct, x.aval) if is_linear(x) else None,
                                neg(unbroadcast(ct, y.aval)) if is_linear(y) else None])

# --- Products ----------------------------------------------------------------------------------


def mul(x: ArrayLike, y: ArrayLike, *, out_dtype: Any = None) -> Array:
    """Elementwise x * y; with `out_dtype` both are converted to that dtype first."""
    return mul_p.bind(x, y, out_dtype=out_dtype)


def _mul_shape(x: ShapedArray, y: ShapedArray, *, out_dtype: Any) -> ShapedArray:
    shape = joint_shape("mul", (x, y))
    for i, aval in enumerate((x, y)):
        check_dtype("mul", aval.dtype, NUMBER, f" at position {i}")
    if out_dtype is None:
        check_same_dtypes("mul", (x, y), "multiply")
    dtype = x.dtype if out_dtype is None else dtypes.canonicalize_dtype(out_dtype)
    return like_any((x, y), shape, dtype)


def _mul_transpose(ct: Any, x: Any, y: Any, *, out_dtype: Any) -> list:
    if is_linear(x):
        to = None if out_dtype is None else x.aval.dtype
        return [unbroadcast(mul(ct, y, out_dtype=to), x.aval), None]
    to = None if out_dtype is None else y.aval.dtype
    return [None, unbroadcast(mul(x, ct, out_dtype=to), y.aval)]


mul_p = Primitive(
    "mul", shape=_mul_shape, transpose=_mul_transpose, vmap=pointwise,
    jvp=each_operand(lambda g, out, x, y, out_dtype: mul(g, y, out_dtype=out_dtype),
                     lambda g, out, x, y, out_dtype: mul(x, g, out_dtype=out_dtype)))


def mulhi(x: ArrayLike, y: ArrayLike, /) -> Array:
    """Elementwise upper half of the bits of the double-width product of integers."""
    return mulhi_p.bind(x, y)


mulhi_p = binary("mulhi", INTEGER, jvp=nondifferentiable)


def div(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x / y; for integers the quotient rounded towards zero."""
    return div_p.bind(x, y)


div_p = binary(
    "div", NUMBER, tip="divide",
    transpose=lambda ct, x, y: [unbroadcast(div(ct, y), x.aval), None],
    # Not -out/y: programs that take many steps show how the derivative is rounded.
    jvp=each_operand(lambda g, out, x, y: div(g, y),
                     lambda g, out, x, y: mul(mul(neg(g), x), integer_pow(y, -2))))


def rem(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise remainder of x / y rounded towards zero: it has the sign of x."""
    return rem_p.bind(x, y)


def _truncated_quotient(x: Any, y: Any) -> Any:
    quotient = div(x, y)
    return mul(sign(quotient), floor(abs(quotient)))


rem_p = binary(
    "rem", REAL,
    jvp=each_operand(lambda g, out, x, y: broadcast_to(g, aval_of(out).shape),
                     lambda g, out, x, y: mul(g, neg(_truncated_quotient(x, y)))))

# --- Order -------------------------------------------------------------------------------------


def max(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise maximum; NaN where either is NaN; complex numbers in lexicographic order."""
    return max_p.bind(x, y)


def min(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise minimum; NaN where either is NaN; complex numbers in lexicographic order."""
    return min_p.bind(x, y)


def _share(out: Any, x: Any, other: Any) -> Any:
    """The part of the derivative that goes to `x`: 1 where it is the result, 1/2 in a tie."""
    tied = choose(eq(other, out), 0.5, 1, out)
    return choose(eq(x, out), tied, 0, out)


_extremum = each_operand(lambda g, out, x, y: mul(g, _share(out, x, y)),
                         lambda g, out, x, y: mul(g, _share(out, y, x)))
max_p = binary("max", ANY, tip="maximum", jvp=_extremum)
min_p = binary("min", ANY, tip="minimum", jvp=_extremum)

# --- Signs and rounding ------------------------------------------------------------------------


def sign(x: ArrayLike) -> Array:
    """Elementwise -1, 0 or 1 (0.0 and NaN stay); x / |x| for complex numbers."""
    return sign_p.bind(x)


sign_p = unary("sign", NUMBER, nondifferentiable)


def floor(x: ArrayLike) -> Array:
    """Elementwise the largest integer not above x, as a float."""
    return floor_p.bind(x)


def ceil(x: ArrayLike) -> Array:
    """Elementwise the smallest integer not below x, as a float."""
    return ceil_p.bind(x)


def round(x: ArrayLike,
          rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO) -> Array:
    """Elementwise the nearest integer, as a float; `rounding_method` decides on halves."""
    return round_p.bind(x, rounding_method=RoundingMethod(rounding_method))


floor_p = unary("floor", FLOATING, nondifferentiable)
ceil_p = unary("ceil", FLOATING, nondifferentiable)
round_p = unary("round", FLOATING, nondifferentiable)


def nextafter(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Elementwise the float next to x1 in the direction of x2."""
    return nextafter_p.bind(x1, x2)


nextafter_p = binary("nextafter", FLOATING, tip="nextafter")

# --- Complex numbers ---------------------------------------------------------------------------


def real(x: ArrayLike) -> Array:
    """Elementwise real part of complex numbers."""
    return real_p.bind(x)


def imag(x: ArrayLike) -> Array:
    """Elementwise imaginary part of complex numbers."""
    return imag_p.bind(x)


def complex(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x + iy of float32 or float64 parts."""
    return complex_p.bind(x, y)


def conj(x: ArrayLike) -> Array:
    """Elementwise complex conjugate; real operands become complex."""
    return conj_p.bind(x, input_dtype=aval_of(x).dtype)


# Transposes are those of complex-linear maps, without conjugation: <ct, f(z)> = <f^T(ct), z> for
# the bilinear product, hence the minus sign of the imaginary part.
real_p = unary("real", COMPLEX, linear, dtype=dtypes.to_real,
               transpose=lambda ct, x: complex(ct, scalar_like(ct, 0)))
imag_p = unary("imag", COMPLEX, linear, dtype=dtypes.to_real,
               transpose=lambda ct, x: complex(scalar_like(ct, 0), neg(ct)))


def _complex_jvp(primals: Values, tangents: Values) -> tuple:
    out = complex(*primals)
    dx, dy = [scalar_like(p, 0) if type(t) is Zero else t for p, t in zip(primals, tangents)]
    return out, broadcast_to(complex(dx, dy), aval_of(out).shape)


complex_p = binary(
    "complex", ("float32", "float64"), jvp=_complex_jvp, dtype=dtypes.to_complex,
    transpose=lambda ct, x, y: [unbroadcast(real(ct), x.aval) if is_linear(x) else None,
                                neg(unbroadcast(imag(ct), y.aval)) if is_linear(y) else None])


def _conj_transpose(ct: Any, x: Any, *, input_dtype: Any) -> Any:
    return conj(ct) if input_dtype.kind == "c" else real(ct)


conj_p = unary("conj", ("float32", "complexfloating", "float64"), linear, dtype=dtypes.to_complex,
               transpose=_conj_transpose)


def abs(x: ArrayLike) -> Array:
    """Elementwise |x|, real for complex numbers."""
    return abs_p.bind(x)


def _abs_shape(x: ShapedArray) -> ShapedArray:
    check_dtype("abs", x.dtype, ("floating", "complexfloating", "signedinteger"))
    if x.dtype.kind == "V" and dtypes.issubdtype(x.dtype, np.integer):
        raise TypeError(errors.describe(
            f"abs does not accept dtype {x.dtype.name}. Support for narrow-width integers is "
            "platform-dependent and limited to a few specific operations, e.g. basic arithmetic "
            "and type casting.", fix="convert the operand: x.astype(jnp.int8)"))
    return x.update(dtype=dtypes.to_real(x.dtype)) if x.dtype.kind == "c" else x


def _abs_term(g: Any, out: Any, x: Any) -> Any:
    if aval_of(x).dtype.kind != "c":  # at 0 the derivative is taken to be 1
        return mul(g, choose(ge(x, scalar_like(x, 0)), 1, -1, x))
    safe = choose(eq(out, scalar_like(out, 0)), 1, out, out)
    return real(mul(g, div(conj(x), complex(safe, scalar_like(safe, 0)))))


abs_p = Primitive("abs", shape=_abs_shape, jvp=each_operand(_abs_term), vmap=pointwise)

# --- Powers and roots --------------------------------------------------------------------------


def square(x: ArrayLike) -> Array:
    """Elementwise x * x."""
    return square_p.bind(x)


square_p = unary("square", NUMBER,
                 each_operand(lambda g, out, x: mul(g, mul(scalar_like(x, 2), x))))


def integer_pow(x: ArrayLike, y: int) -> Array:
    """Elementwise x**y for a static integer y, by repeated multiplication."""
    return integer_pow_p.bind(x, y=y)


def reciprocal(x: ArrayLike) -> Array:
    """Elementwise 1 / x."""
    return integer_pow_p.bind(x, y=-1)


_integer_pow_type = same_shape("integer_pow", NUMBER)


def _integer_pow_shape(x: ShapedArray, *, y: int) -> ShapedArray:
    out = _integer_pow_type(x)
    if y < 0 and dtypes.issubdtype(x.dtype, np.integer):
        raise TypeError(errors.describe(
            "Integers cannot be raised to negative powers, got "
            f"integer_pow({x}, {y})",
            fix="convert to a float dtype first"))
    return out


def _integer_pow_term(g: Any, out: Any, x: Any, *, y: int) -> Any:
    if y == 1:
        return g
    slope = scalar_like(x, y)
    return mul(g, mul(slope, x if y == 2 else integer_pow(x, y - 1)))


def _integer_pow_jvp(primals: Values, tangents: Values, *, y: int) -> tuple:
    out = integer_pow(*primals, y)
    if y == 0 or type(tangents[0]) is Zero:
        return out, Zero(aval_of(out).to_tangent_aval())
    return out, _integer_pow_term(tangents[0], out, primals[0], y=y)


integer_pow_p = Primitive("integer_pow", shape=_integer_pow_shape, jvp=_integer_pow_jvp,
                          vmap=pointwise)


def sqrt(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise square root; NaN for negative real numbers."""
    return sqrt_p.bind(x, accuracy=accuracy)


def rsqrt(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise 1 / sqrt(x)."""
    return rsqrt_p.bind(x, accuracy=accuracy)


def cbrt(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise real cube root."""
    return cbrt_p.bind(x, accuracy=accuracy)


sqrt_p = unary("sqrt", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, div(scalar_like(x, 0.5), out))))
rsqrt_p = unary("rsqrt", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, mul(scalar_like(x, -0.5), div(out, x)))))
cbrt_p = unary("cbrt", FLOATING, each_operand(
    lambda g, out, x, accuracy: mul(g, mul(scalar_like(x, 1 / 3), integer_pow(out, -2)))))


def _one_plus(x: Any) -> Any:
    return add(scalar_like(x, 1), x)


def _one_minus(x: Any) -> Any:
    return sub(scalar_like(x, 1), x)


# --- Exponentials and logarithms ---------------------------------------------------------------


def exp(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise e**x."""
    return exp_p.bind(x, accuracy=accuracy)


def exp2(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise 2**x."""
    return exp2_p.bind(x, accuracy=accuracy)


def expm1(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise e**x - 1, exact for small x."""
    return expm1_p.bind(x, accuracy=accuracy)


def log(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise natural logarithm."""
    return log_p.bind(x, accuracy=accuracy)


def log1p(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise log(1 + x), exact for small x."""
    return log1p_p.bind(x, accuracy=accuracy)


exp_p = unary("exp", INEXACT, each_operand(lambda g, out, x, accuracy: mul(g, out)))
exp2_p = unary("exp2", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, mul(scalar_like(x, math.log(2)), out))))
expm1_p = unary("expm1", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, add(out, scalar_like(x, 1)))))
log_p = unary("log", INEXACT, each_operand(lambda g, out, x, accuracy: div(g, x)))
log1p_p = unary("log1p", INEXACT, each_operand(
    lambda g, out, x, accuracy: div(g, add(x, scalar_like(x, 1)))))


def logistic(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise 1 / (1 + e**-x), the sigmoid."""
    return logistic_p.bind(x, accuracy=accuracy)


logistic_p = unary("logistic", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, mul(out, _one_minus(out)))))


def pow(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x**y for float or complex x; y has the dtype of x, or is an integer."""
    return pow_p.bind(x, y)


def _pow_shape(x: ShapedArray, y: ShapedArray) -> ShapedArray:
    shape = joint_shape("pow", (x, y))
    check_dtype("pow", x.dtype, INEXACT, " at position 0")
    check_dtype("pow", y.dtype, NUMBER, " at position 1")
    if x.dtype != y.dtype and not dtypes.issubdtype(y.dtype, np.integer):
        raise TypeError(errors.describe(
            "the first argument to pow must have an inexact dtype (float or complex), and the "
            "second argument must have an inexact or integer dtype, and two inexact dtypes must "
            f"match, but got {x.dtype.name} and {y.dtype.name} respectively.",
            fix="use jnp.power, which promotes"))
    return like_any((x, y), shape, x.dtype)


def _pow_base_term(g: Any, out: Any, x: Any, y: Any) -> Any:
    if isinstance(y, (int, np.integer)):
        slope = mul(scalar_like(x, y), pow(x, int(y) - 1)) if y else fill_like(out, 0)
        return mul(g, slope)
    if not dtypes.issubdtype(aval_of(y).dtype, np.integer):
        return mul(g, mul(y, pow(x, sub(y, scalar_like(y, 1)))))
    # An integer exponent of 0 means the constant 1, also at x = 0, where x**-1 is infinite.
    constant = eq(y, scalar_like(y, 0))
    safe = choose(constant, 1, y, y)
    factor = convert_element_type(safe, aval_of(x).dtype, aval_of(x).weak_type)
    slope = mul(factor, pow(x, sub(safe, scalar_like(y, 1))))
    return mul(g, choose(broadcast_to(constant, aval_of(slope).shape), 0, slope, slope))


def _pow_exponent_term(g: Any, out: Any, x: Any, y: Any) -> Any:
    logarithm = log(choose(eq(x, scalar_like(x, 0)), 1, x, x))  # 0**y does not change with y
    return mul(g, mul(logarithm, out))


pow_p = Primitive("pow", shape=_pow_shape, vmap=pointwise,
                  jvp=each_operand(_pow_base_term, _pow_exponent_term))

# --- Trigonometric functions -------------------------------------------------------------------


def sin(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise sine."""
    return sin_p.bind(x, accuracy=accuracy)


def cos(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise cosine."""
    return cos_p.bind(x, accuracy=accuracy)


def tan(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise tangent."""
    return tan_p.bind(x, accuracy=accuracy)


sin_p = unary("sin", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, cos(x, accuracy=accuracy))))
cos_p = unary("cos", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, neg(sin(x, accuracy=accuracy)))))
tan_p = unary("tan", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, _one_plus(square(out)))))


def asin(x: ArrayLike) -> Array:
    """Elementwise inverse sine; NaN outside [-1, 1] for real numbers."""
    return asin_p.bind(x)


def acos(x: ArrayLike) -> Array:
    """Elementwise inverse cosine; NaN outside [-1, 1] for real numbers."""
    return acos_p.bind(x)


def atan(x: ArrayLike) -> Array:
    """Elementwise inverse tangent."""
    return atan_p.bind(x)


def atan2(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise angle of the point (y, x): the inverse tangent of x / y in the right quadrant."""
    return atan2_p.bind(x, y)


asin_p = unary("asin", INEXACT, each_operand(
    lambda g, out, x: mul(g, rsqrt(_one_minus(square(x))))))
acos_p = unary("acos", INEXACT, each_operand(
    lambda g, out, x: mul(g, neg(rsqrt(_one_minus(square(x)))))))
atan_p = unary("atan", INEXACT, each_operand(lambda g, out, x: div(g, _one_plus(square(x)))))
atan2_p = binary("atan2", INEXACT, tip="arctan2", jvp=each_operand(
    lambda g, out, x, y: mul(g, div(y, add(square(x), square(y)))),
    lambda g, out, x, y: mul(g, div(neg(x), add(square(x), square(y))))))

# --- Hyperbolic functions ----------------------------------------------------------------------


def sinh(x: ArrayLike) -> Array:
    """Elementwise hyperbolic sine."""
    return sinh_p.bind(x)


def cosh(x: ArrayLike) -> Array:
    """Elementwise hyperbolic cosine."""
    return cosh_p.bind(x)


def tanh(x: ArrayLike, *, accuracy: Accuracy = None) -> Array:
    """Elementwise hyperbolic tangent."""
    return tanh_p.bind(x, accuracy=accuracy)


sinh_p = unary("sinh", INEXACT, each_operand(lambda g, out, x: mul(g, cosh(x))))
cosh_p = unary("cosh", INEXACT, each_operand(lambda g, out, x: mul(g, sinh(x))))
# (1 + y)(1 - y) rather than 1 - y**2: exact where y is close to 1.
tanh_p = unary("tanh", INEXACT, each_operand(
    lambda g, out, x, accuracy: mul(g, mul(_one_plus(out), _one_minus(out)))))


def asinh(x: ArrayLike) -> Array:
    """Elementwise inverse hyperbolic sine."""
    return asinh_p.bind(x)


def acosh(x: ArrayLike) -> Array:
    """Elementwise inverse hyperbolic cosine; NaN below 1 for real numbers."""
    return acosh_p.bind(x)


def atanh(x: ArrayLike) -> Array:
    """Elementwise inverse hyperbolic tangent; NaN outside [-1, 1] for real numbers."""
    return atanh_p.bind(x)


asinh_p = unary("asinh", INEXACT, each_operand(
    lambda g, out, x: mul(g, rsqrt(add(square(x), scalar_like(x, 1))))))
# Two roots rather than one of x**2 - 1: that one is on the wrong branch for complex Re(x) < 0.
acosh_p = unary("acosh", INEXACT, each_operand(
    lambda g, out, x: mul(g, mul(rsqrt(sub(x, scalar_like(x, 1))), rsqrt(_one_plus(x))))))
atanh_p = unary("atanh", INEXACT, each_operand(
    lambda g, out, x: div(g, mul(_one_plus(x), _one_minus(x)))))
