"""Elementwise functions of two operands that take more than one operation.

Invariant: bodies (names with an underscore) take operands that are promoted already, in rank too;
an operand of rank 0 stays one, so a selection between operands goes through `pick`.

    floor_divide(-7, 2), remainder(-7, 2)       # -4, 1
    logaddexp(1000.0, 1000.0)                   # 1000.6931
"""

from typing import Any

import numpy as np

from minijax import lax
from minijax.api.custom_jvp import custom_jvp
from minijax.api.jit import jit
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy.floats import _isnan, _signbit
from minijax.numpy.promotion import (
    COMPLEX, FLOATING, INTEGER, UNSIGNED, arguments, as_array, common_dtype, constant_for,
    convert, dtype_of, inexact_operand, inexact_operands, numeric_operands, operands,
    promote_shapes, scalar, strong)
from minijax.numpy.ufuncs import binary, pick
from minijax.runtime.call import fused

# --- Division and remainders -------------------------------------------------------------------


@fused
def floor_divide(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Largest integer <= x1 / x2; TypeError for complex operands."""
    return _floor_divide(*numeric_operands("floor_divide", x1, x2))


def _floor_divide(x: Any, y: Any, dtype: Any) -> Any:
    if dtype in UNSIGNED:
        return lax.div(x, y)
    if dtype in INTEGER:
        quotient = lax.div(x, y)
        inexact = lax.ne(lax.rem(x, y), scalar_like(quotient, 0))
        down = lax.bitwise_and(lax.ne(lax.sign(x), lax.sign(y)), inexact)
        return lax.select(down, lax.sub(quotient, scalar_like(quotient, 1)), quotient)
    if dtype in COMPLEX:
        raise TypeError(errors.describe("floor_divide does not support complex-valued inputs"))
    return _float_divmod(x, y)[0]


def _float_divmod(x: Any, y: Any) -> tuple[Any, Any]:
    rest = lax.rem(x, y)
    # A zero divisor must give inf or nan; x - rest would already be nan there.
    exact = pick(lax.eq(y, scalar_like(y, 0)), x, lax.sub(x, rest))
    quotient = lax.div(exact, y)
    wrong_sign = lax.ne(lax.sign(y), lax.sign(rest))
    down = lax.bitwise_and(lax.ne(rest, scalar_like(rest, 0)), wrong_sign)
    rest = lax.select(down, lax.add(rest, y), rest)
    quotient = lax.select(down, lax.sub(quotient, scalar_like(quotient, 1)), quotient)
    return lax.round(quotient), rest


@fused
def remainder(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 - floor_divide(x1, x2) * x2, which has the sign of x2; 0 for an integer x2 of 0."""
    return _remainder(*numeric_operands("remainder", x1, x2))


@fused
def mod(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 - floor_divide(x1, x2) * x2, which has the sign of x2; 0 for an integer x2 of 0."""
    return _remainder(*numeric_operands("remainder", x1, x2))


def _remainder(x: Any, y: Any, dtype: Any) -> Any:
    y = _nonzero_divisor(y, dtype)
    rest = lax.rem(x, y)
    if dtype in UNSIGNED:
        return rest
    zero = scalar_like(rest, 0)
    wrong_sign = lax.ne(lax.lt(rest, zero), lax.lt(y, scalar_like(y, 0)))
    up = lax.bitwise_and(wrong_sign, lax.ne(rest, zero))
    return lax.select(up, lax.add(rest, y), rest)


def _nonzero_divisor(y: Any, dtype: Any) -> Any:
    # Integer division by zero is undefined on some devices.
    return pick(lax.eq(y, scalar_like(y, 0)), scalar_like(y, 1), y) if dtype in INTEGER else y


@fused
def fmod(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """Rest of dividing towards zero, with the sign of x1; 0 for an integer x2 of 0."""
    x, y, dtype = numeric_operands("fmod", x1, x2)
    return lax.rem(x, _nonzero_divisor(y, dtype))


@fused
def divmod(x1: ArrayLike, x2: ArrayLike, /) -> tuple[Array, Array]:
    """The pair (floor_divide(x1, x2), remainder(x1, x2))."""
    x, y, dtype = numeric_operands("divmod", x1, x2)
    if dtype in FLOATING:
        return _float_divmod(x, y)
    return _floor_divide(x, y, dtype), _remainder(x, y, dtype)


# --- Extremes ----------------------------------------------------------------------------------


@fused
def fmax(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The larger of x1 and x2; the other one if one of them is nan."""
    x, y, dtype = operands("fmax", x1, x2)
    return _prefer(lax.gt, x, y, dtype)


@fused
def fmin(x1: ArrayLike, x2: ArrayLike) -> Array:
    """The smaller of x1 and x2; the other one if one of them is nan."""
    x, y, dtype = operands("fmin", x1, x2)
    return _prefer(lax.lt, x, y, dtype)


def _prefer(op: Any, x: Any, y: Any, dtype: Any) -> Any:
    if dtype in COMPLEX:
        same = lax.eq(lax.real(x), lax.real(y))
        first = pick(same, op(lax.imag(x), lax.imag(y)), op(lax.real(x), lax.real(y)))
    else:
        first = op(x, y)
    return pick(lax.bitwise_or(first, _isnan(y)), x, y)


@fused
def clip(arr: ArrayLike | None = None, /, min: ArrayLike | None = None,
         max: ArrayLike | None = None) -> Array:
    """arr with values below min raised to it and values above max lowered to it.

    A bound that is None does nothing; all three broadcast.  ValueError for complex operands.
    """
    if arr is None:
        raise ValueError(errors.describe("No input was provided to the clip function."))
    arr, min, max = arguments("clip", arr, min, max)
    given = [x for x in (arr, min, max) if x is not None]
    if any(dtype_of(x) in COMPLEX for x in given):
        raise ValueError(errors.describe(
            "Clip received a complex value either through the input or the min/max keywords. "
            "Complex values have no ordering and cannot be clipped. Please convert to a real "
            "value or array by taking the real or imaginary components via jax.numpy.real/imag "
            "respectively.", fix="jnp.clip(x.real, ...)"))
    dtype, weak = common_dtype(*given)
    arr = as_array(convert(arr, dtype, weak))
    if min is not None:
        arr = lax.max(*promote_shapes("clip", convert(min, dtype, weak), arr))
    if max is not None:
        arr = lax.min(*promote_shapes("clip", convert(max, dtype, weak), arr))
    return arr


# --- Integers ----------------------------------------------------------------------------------


@jit
def gcd(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Greatest common divisor of integers; ValueError for other dtypes."""
    x, y = _integer_operands("gcd", x1, x2)
    return _gcd(_magnitude(x), _magnitude(y))


@jit
def lcm(x1: ArrayLike, x2: ArrayLike) -> Array:
    """Least common multiple of integers, 0 where one is 0; ValueError for other dtypes."""
    x, y = _integer_operands("lcm", x1, x2)
    x, y = _magnitude(x), _magnitude(y)
    divisor = _gcd(x, y)
    zero = scalar_like(divisor, 0)
    none = lax.eq(divisor, zero)
    product = lax.mul(x, lax.div(y, pick(none, scalar_like(divisor, 1), divisor)))
    return pick(none, zero, product)


def _integer_operands(name: str, x1: Any, x2: Any) -> tuple[Any, Any]:
    x, y, dtype = operands(name, x1, x2)
    if dtype not in INTEGER:
        raise ValueError(errors.describe(
            f"Arguments to jax.numpy.{name} must be integers.",
            because=f"their common dtype is {dtype}", fix="convert them, e.g. x.astype('int32')"))
    return strong(x), strong(y)


def _magnitude(x: Any) -> Any:
    return x if dtype_of(x) in UNSIGNED else lax.abs(x)


def _gcd(x: Any, y: Any) -> Any:
    zero, one = scalar_like(x, 0), scalar_like(x, 1)
    start = lax.add(x, lax.mul(y, zero)), lax.add(y, lax.mul(x, zero))  # both at the joint shape

    def running(pair: tuple) -> Any:
        left = lax.ne(pair[1], zero)
        return lax.reduce_or(left, tuple(range(left.ndim)))

    def step(pair: tuple) -> tuple:
        x, y = pair
        left = lax.ne(y, zero)
        rest = lax.rem(x, pick(left, y, one))
        return lax.select(left, y, x), pick(left, rest, zero)

    return lax.while_loop(running, step, start)[0]


# --- Logarithms of sums, hypotenuse, sign, steps -----------------------------------------------


@custom_jvp
def _logaddexp(x: Array, y: Array) -> Array:
    return _log_sum(x, y, lambda gap: lax.log1p(lax.exp(gap)), np.pi)


@custom_jvp
def _logaddexp2(x: Array, y: Array) -> Array:
    factor = 1 / np.log(2)
    return _log_sum(
        x, y, lambda gap: lax.mul(lax.log1p(lax.exp2(gap)), scalar(factor, gap.dtype)),
        np.pi * factor)


def _log_sum(x: Any, y: Any, correction: Any, half_turn: float) -> Any:
    if dtype_of(x) in COMPLEX:
        return _complex_log_sum(x, y, correction, half_turn)
    gap = lax.sub(x, y)
    total = lax.add(lax.max(x, y), correction(lax.neg(lax.abs(gap))))
    # The gap is nan for equal infinities, whose sum is the answer, and for nans.
    return lax.select(lax.ne(gap, gap), lax.add(x, y), total)


def _complex_log_sum(x: Any, y: Any, correction: Any, half_turn: float) -> Any:
    """The sum's logarithm with its imaginary part brought into [-half_turn, half_turn)."""
    larger = lax.max(x, y)
    gap = lax.sub(lax.add(x, y), lax.mul(larger, scalar(2, larger.dtype)))
    total = lax.add(larger, correction(gap))
    angle = lax.imag(total)
    half = scalar(half_turn, angle.dtype)
    turned = _remainder(lax.add(angle, half), scalar(2 * half_turn, angle.dtype), angle.dtype)
    return lax.complex(lax.real(total), lax.sub(turned, half))


logaddexp = binary("logaddexp", _logaddexp, "log(exp(x1) + exp(x2)) without overflow.",
                   prepare=inexact_operands)
logaddexp2 = binary("logaddexp2", _logaddexp2, "log2(2**x1 + 2**x2) without overflow.",
                    prepare=inexact_operands)


def _weights(exp: Any, x: Any, y: Any, out: Any) -> tuple[Any, Any]:
    """exp(x - out) and exp(y - out), where equal infinities count as 0 apart."""
    def weight(x: Any) -> Any:
        return exp(pick(lax.eq(x, out), scalar_like(out, 0), lax.sub(x, out)))

    return weight(x), weight(y)


def _log_sum_rule(fun: Any, exp: Any) -> None:
    @fun.defjvp
    def rule(primals: tuple, tangents: tuple) -> tuple:
        x, y = primals
        out = fun(x, y)
        x_weight, y_weight = _weights(exp, x, y, out)
        return out, lax.add(lax.mul(tangents[0], x_weight), lax.mul(tangents[1], y_weight))


_log_sum_rule(_logaddexp, lax.exp)
_log_sum_rule(_logaddexp2, lax.exp2)


@fused
def hypot(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """sqrt(x1**2 + x2**2) without overflow; ValueError for complex operands."""
    x, y, dtype = inexact_operands("hypot", x1, x2)
    if dtype in COMPLEX:
        raise ValueError(errors.describe(
            "jnp.hypot is not well defined for complex-valued inputs. Please convert to real "
            "values first, such as by using abs(x)", fix="jnp.hypot(abs(x), abs(y))"))
    x, y = lax.abs(x), lax.abs(y)
    inf = constant_for(x, np.inf)
    infinite = lax.bitwise_or(lax.eq(x, inf), lax.eq(y, inf))
    large, small = lax.max(x, y), lax.min(x, y)
    zero = lax.eq(large, constant_for(large, 0))
    one = constant_for(large, 1)
    ratio = lax.div(small, pick(zero, one, large))
    length = lax.mul(large, lax.sqrt(lax.add(one, lax.square(ratio))))
    return pick(infinite, inf, lax.select(zero, large, length))


@fused
def copysign(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """abs(x1) with the sign of x2, that of zeros included; TypeError for complex operands."""
    x, y, dtype = inexact_operands("copysign", x1, x2)
    if dtype in COMPLEX:
        raise TypeError(errors.describe("copysign does not support complex-valued inputs"))
    size = lax.abs(x) if common_dtype(x, y)[1] else strong(lax.abs(x))
    return pick(_signbit(y), lax.neg(size), size)


@fused
def heaviside(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """0 for negative x1, 1 for positive x1, x2 for zero, nan for nan."""
    x, y, _ = inexact_operands("heaviside", x1, x2)
    zero, one = constant_for(x, 0), constant_for(x, 1)
    rest = pick(lax.gt(x, zero), one, pick(_isnan(x), x, y))
    return pick(lax.lt(x, zero), zero, rest)


# --- sinc --------------------------------------------------------------------------------------


@fused
def sinc(x: ArrayLike, /) -> Array:
    """sin(pi x) / (pi x), and 1 at 0, where derivatives of all orders are right too."""
    x = as_array(inexact_operand("sinc", x))
    zero = lax.eq(x, scalar_like(x, 0))
    angle = lax.mul(constant_for(x, np.pi), x)
    safe = pick(zero, constant_for(x, 1), angle)
    return lax.select(zero, _sinc_at_zero(angle, 0), lax.div(lax.sin(safe), safe))


def _sinc_at_zero(x: Any, order: int) -> Any:
    """The derivative of this order of sin(x) / x at 0, as a function with derivatives."""
    sign = (1, 0, -1, 0)[order % 4]
    value = sign / (order + 1)

    @custom_jvp
    def at_zero(x: Any) -> Any:
        return lax.full_like(x, value)

    @at_zero.defjvp
    def rule(primals: tuple, tangents: tuple) -> tuple:
        slope = _sinc_at_zero(primals[0], order + 1)
        return at_zero(*primals), lax.mul(slope, tangents[0])

    return at_zero(x)
