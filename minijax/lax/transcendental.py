"""Exponentials, logarithms, trigonometric and hyperbolic functions.

Derivatives are written with the result where that is exact and cheap (`exp`, `tanh`, `logistic`),
so that reverse mode keeps one array instead of two. `accuracy` asks the compiler for a variant.

    >>> lax.sin(jnp.float32(0.0), accuracy=lax.AccuracyMode.HIGHEST)
    Array(0., dtype=float32)
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, aval_of, convert_element_type, each_operand,
                          pointwise)
from minijax.lax.elementwise import Accuracy, add, div, mul, neg, rsqrt, square, sub
from minijax.lax.logic import choose, eq
from minijax.lax.rules import (INEXACT, NUMBER, ArrayLike, binary, broadcast_to, check_dtype,
                               fill_like, joint_shape, like_any, scalar_like, unary)


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
expm1_p = unary("expm1", INEXACT, each_operand(lambda g, out, x, accuracy: mul(g, _one_plus(out))))
log_p = unary("log", INEXACT, each_operand(lambda g, out, x, accuracy: div(g, x)))
log1p_p = unary("log1p", INEXACT, each_operand(lambda g, out, x, accuracy: div(g, _one_plus(x))))


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
    lambda g, out, x: mul(g, rsqrt(_one_plus(square(x))))))
# Two roots rather than one of x**2 - 1: that one is on the wrong branch for complex Re(x) < 0.
acosh_p = unary("acosh", INEXACT, each_operand(
    lambda g, out, x: mul(g, mul(rsqrt(sub(x, scalar_like(x, 1))), rsqrt(_one_plus(x))))))
atanh_p = unary("atanh", INEXACT, each_operand(
    lambda g, out, x: div(g, mul(_one_plus(x), _one_minus(x)))))
