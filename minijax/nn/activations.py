"""Activation functions, softmax and what belongs to it.

Invariant: the derivative at a kink is JAX's (0 at 0 for `relu`, 1 for `elu`), and no finite
input makes a derivative NaN, which is why the choosing ones take care of both branches.

    gelu(x), silu(x), softmax(logits, axis=-1, where=mask), one_hot(labels, 10)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.custom_jvp import custom_jvp
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import get_aval, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import arithmetic, host, promotion, reductions, ufuncs
from minijax.runtime.call import fused

Axis = int | Sequence[int] | None

_add, _sub = ufuncs.add.body, ufuncs.subtract.body
_mul, _div = ufuncs.multiply.body, ufuncs.true_divide.body
_max, _min = ufuncs.maximum.body, ufuncs.minimum.body
_where = ufuncs.pick
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


def _operand(name: str, x: Any) -> Any:
    return promotion.array_operand(name, x)


def _inexact(name: str, x: Any) -> Any:
    return promotion.as_array(promotion.inexact_operand(name, x))


def _selected(condition: Any, x: Any) -> Any:
    """x where the condition holds, else zero."""
    return lax.select(condition, x, structural.zeros(get_aval(x)))


# --- Rectifiers and their relatives ------------------------------------------------------------


@custom_jvp
def _relu(x: Any) -> Any:
    return _max(x, 0)


@_relu.defjvp
def _relu_jvp(primals: tuple, tangents: tuple) -> tuple:
    (x,), (g,) = primals, tangents
    return _relu(x), _selected(ufuncs.greater.body(x, 0), g)


@fused
def relu(x: ArrayLike) -> Any:
    """max(x, 0), with derivative 0 at 0."""
    return _relu(_operand("maximum", x))


@custom_jvp
def _relu6(x: Any) -> Any:
    return _min(_max(x, 0), 6.0)


@_relu6.defjvp
def _relu6_jvp(primals: tuple, tangents: tuple) -> tuple:
    (x,), (g,) = primals, tangents
    between = lax.bitwise_and(ufuncs.greater.body(x, 0), ufuncs.less.body(x, 6))
    return _relu6(x), _selected(between, g)


@fused
def relu6(x: ArrayLike) -> Any:
    """min(max(x, 0), 6), with derivative 0 at both kinks."""
    return _relu6(_operand("maximum", x))


@fused
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 1e-2) -> Any:
    """x where x >= 0, else negative_slope * x."""
    x = _operand("leaky_relu", x)
    return _where(ufuncs.greater_equal.body(x, 0), x, _mul(negative_slope, x))


@fused
def elu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Any:
    """x where x > 0, else alpha * (exp(x) - 1)."""
    return _elu(_operand("elu", x), alpha)


def _elu(x: Any, alpha: Any) -> Any:
    positive = ufuncs.greater.body(x, 0)
    safe = _where(positive, 0.0, x)  # exp(x) of the other branch must not overflow
    return _where(positive, x, _mul(alpha, ufuncs.expm1.body(safe)))


@fused
def selu(x: ArrayLike) -> Any:
    """Scaled `elu` that keeps mean 0 and variance 1 (self-normalizing networks)."""
    return _mul(_SELU_SCALE, _elu(_operand("elu", x), _SELU_ALPHA))


@fused
def celu(x: ArrayLike, alpha: ArrayLike = 1.0) -> Any:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    x = _operand("maximum", x)
    low = ufuncs.expm1.body(_div(_min(x, 0.0), alpha))
    return _add(_max(x, 0.0), _mul(alpha, low))


@fused(static_argnames="approximate")
def gelu(x: ArrayLike, approximate: bool = True) -> Any:
    """x times the normal distribution function at x, or its approximation with tanh."""
    x = _inexact("gelu", x)
    x = structural.convert_element_type(x, x.dtype)
    number = x.dtype.type
    if not approximate:
        tail = lax.erfc(lax.mul(lax.neg(x), number(math.sqrt(0.5))))
        return lax.mul(lax.mul(number(0.5), x), tail)
    cubic = lax.add(x, lax.mul(number(0.044715), lax.integer_pow(x, 3)))
    share = lax.add(number(1), lax.tanh(lax.mul(number(math.sqrt(2 / math.pi)), cubic)))
    return lax.mul(x, lax.mul(number(0.5), share))


# --- Sigmoids ----------------------------------------------------------------------------------


@fused
def sigmoid(x: ArrayLike) -> Any:
    """1 / (1 + exp(-x)); TypeError for integers."""
    return lax.logistic(x)


@fused
def silu(x: ArrayLike) -> Any:
    """x * sigmoid(x)."""
    x = _operand("silu", x)
    return lax.mul(x, lax.logistic(x))


swish = silu


@fused
def softplus(x: ArrayLike) -> Any:
    """log(1 + exp(x))."""
    return _softplus(x)


def _softplus(x: Any) -> Any:
    return arithmetic.logaddexp(x, 0)


@fused
def log_sigmoid(x: ArrayLike) -> Any:
    """log(sigmoid(x)), accurate everywhere."""
    return ufuncs.negative.body(_softplus(ufuncs.negative.body(_operand("log_sigmoid", x))))


@fused
def mish(x: ArrayLike) -> Any:
    """x * tanh(softplus(x))."""
    x = _operand("mish", x)
    return _mul(x, ufuncs.tanh.body(_softplus(x)))


@fused
def soft_sign(x: ArrayLike) -> Any:
    """x / (1 + abs(x))."""
    x = _operand("soft_sign", x)
    return _div(x, _add(ufuncs.abs.body(x), 1))


@fused
def squareplus(x: ArrayLike, b: ArrayLike = 4) -> Any:
    """(x + sqrt(x**2 + b)) / 2."""
    x, b = _operand("squareplus", x), promotion.operand("squareplus", b, 1)
    root = ufuncs.sqrt.body(_add(ufuncs.square.body(x), b))
    return _div(_add(x, root), 2)


@fused
def sparse_plus(x: ArrayLike) -> Any:
    """0 for x <= -1, (x + 1)**2 / 4 up to 1, then x: a softplus with a finite range."""
    x = _operand("sparse_plus", x)
    shifted = _add(x, 1.0)
    curve = _div(lax.integer_pow(promotion.as_array(shifted), 2), 4)
    upper = _where(ufuncs.greater_equal.body(x, 1.0), x, curve)
    return _where(ufuncs.less_equal.body(x, -1.0), 0.0, upper)


@fused
def sparse_sigmoid(x: ArrayLike) -> Any:
    """0 for x <= -1, (x + 1) / 2 up to 1, then 1."""
    x = promotion.operand("sparse_sigmoid", x)
    return _mul(0.5, _min(_max(_add(x, 1.0), 0.0), 2.0))


@fused
def hard_tanh(x: ArrayLike) -> Any:
    """x limited to [-1, 1]."""
    x = _operand("hard_tanh", x)
    lower = _where(ufuncs.less.body(x, -1), -1, x)
    return _where(ufuncs.greater.body(x, 1), 1, lower)


@fused
def hard_sigmoid(x: ArrayLike) -> Any:
    """relu6(x + 3) / 6."""
    return _hard_sigmoid(promotion.operand("hard_sigmoid", x))


def _hard_sigmoid(x: Any) -> Any:
    return _div(_relu6(promotion.as_array(_add(x, 3.0))), 6.0)


@fused
def hard_silu(x: ArrayLike) -> Any:
    """x * hard_sigmoid(x)."""
    x = _operand("hard_silu", x)
    return _mul(x, _hard_sigmoid(x))


hard_swish = hard_silu
tanh = ufuncs.tanh


@fused
def identity(x: ArrayLike) -> Any:
    """x itself."""
    return _operand("identity", x)


@custom_jvp
def _log1mexp(x: Any) -> Any:
    small = ufuncs.less.body(x, math.log(2.0))
    minus = lax.neg(x)
    return _where(small, lax.log(lax.neg(lax.expm1(minus))), lax.log1p(lax.neg(lax.exp(minus))))


@_log1mexp.defjvp
def _log1mexp_jvp(primals: tuple, tangents: tuple) -> tuple:
    (x,), (g,) = primals, tangents
    return _log1mexp(x), _div(g, lax.expm1(x))


@fused
def log1mexp(x: ArrayLike) -> Any:
    """log(1 - exp(-x)) for x > 0, accurate for small and for large x."""
    return _log1mexp(_inexact("log1mexp", x))


@fused(static_argnames="axis")
def glu(x: ArrayLike, axis: int = -1) -> Any:
    """The first half along `axis` times the sigmoid of the second half."""
    x = _operand("glu", x)
    axis = canonicalize_axis(axis, x.ndim)
    size = x.shape[axis]
    if size % 2:
        raise AssertionError(errors.describe("axis size must be divisible by 2",
                                             because=f"axis {axis} has size {size}",
                                             fix="choose another axis, or pad it"))
    first = lax.slice_in_dim(x, 0, size // 2, axis=axis)
    second = lax.slice_in_dim(x, size // 2, size, axis=axis)
    return lax.mul(first, lax.logistic(second))


# --- Softmax -----------------------------------------------------------------------------------


def _reduced(x: Any, axes: tuple[int, ...], where: Any, largest: bool, keep: bool = True) -> Any:
    """The maximum or the sum over axes, by default kept with size 1, at x's dtype."""
    if largest:
        sure = where is None and all(x.shape[i] for i in axes)
        return reductions._max.body(x, axes, keep, None if sure else reductions.lowest(x.dtype),
                                    where)
    return reductions._sum.body(x, axes, None, keep, None, where, True)


def _exponentials(x: Any, axes: tuple[int, ...], where: Any) -> tuple[Any, Any, Any]:
    """(x less its maximum, exp of that, their sum): no overflow, and no gradient of the maximum."""
    top = _reduced(lax.stop_gradient(x), axes, where, True)
    shifted = _sub(x if where is None else _where(where, x, -np.inf), top)
    exps = ufuncs.exp.body(shifted)
    return shifted, exps, _reduced(exps, axes, where, False)


def softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Any:
    """exp(x) / sum(exp(x)) over `axis`; only elements `where` it holds take part, others give 0."""
    return _softmax(x, reductions.static_axis(axis), where)


@fused(static_argnums=1)
def _softmax(x: Any, axis: Any, where: Any) -> Any:
    x = _operand("softmax", x)
    axes = canonicalize_axes(axis, x.ndim)
    _, exps, total = _exponentials(x, axes, where)
    out = _div(exps, total)
    return out if where is None else _where(where, out, 0)


def log_softmax(x: ArrayLike, axis: Axis = -1, where: ArrayLike | None = None) -> Any:
    """log(softmax(x)), accurate everywhere; -inf where `where` does not hold."""
    return _log_softmax(x, reductions.static_axis(axis), where)


@fused(static_argnums=1)
def _log_softmax(x: Any, axis: Any, where: Any) -> Any:
    x = _operand("log_softmax", x)
    axes = canonicalize_axes(axis, x.ndim)
    shifted, _, total = _exponentials(x, axes, where)
    out = _sub(shifted, ufuncs.log.body(total))
    return out if where is None else _where(where, out, -np.inf)


def logsumexp(a: ArrayLike, axis: Axis = None, b: ArrayLike | None = None,
              keepdims: bool = False, return_sign: bool = False,
              where: ArrayLike | None = None) -> Any:
    """log(sum(b * exp(a))) without overflow; with `return_sign` (log of the modulus, sign)."""
    return _logsumexp(a, b, where, reductions.static_axis(axis), bool(keepdims),
                      bool(return_sign))


@fused(static_argnums=(3, 4, 5))
def _logsumexp(a: Any, b: Any, where: Any, axis: Any, keepdims: bool, return_sign: bool) -> Any:
    a = promotion.operand("logsumexp", a)
    if b is None:
        a, = promotion.promote_inexact(a)
    else:
        a, b = promotion.promote_inexact(a, promotion.operand("logsumexp", b, 1))
        a = _where(ufuncs.not_equal.body(b, 0), a, -np.inf)
    a = promotion.as_array(a)
    if where is not None:
        a = _where(where, a, 0)
    axes = canonicalize_axes(axis, a.ndim)
    top = _reduced(lax.stop_gradient(lax.real(a) if a.dtype in promotion.COMPLEX else a), axes,
                   where, True, keepdims)
    top = _selected(lax.is_finite(top), top)
    spread = top if keepdims else lax.expand_dims(top, axes)
    exps = ufuncs.exp.body(_sub(a, promotion.convert(spread, a.dtype)))
    total = _reduced(exps if b is None else _mul(exps, b), axes, where, False, keepdims)
    sign = lax.sign(total)
    real = total.dtype not in promotion.COMPLEX
    out = lax.log(lax.abs(total) if return_sign or real else total)
    out = _add(out, promotion.convert(top, promotion.dtype_of(out)))
    if b is not None and real and not return_sign:
        out = _where(ufuncs.less.body(sign, 0), np.nan, out)
    return (out, sign) if return_sign else out


def logmeanexp(x: ArrayLike, axis: Axis = None, where: ArrayLike | None = None,
               keepdims: bool = False) -> Any:
    """log(mean(exp(x))) without overflow."""
    return _logmeanexp(x, where, reductions.static_axis(axis), bool(keepdims))


@fused(static_argnums=(2, 3))
def _logmeanexp(x: Any, where: Any, axis: Any, keepdims: bool) -> Any:
    total = _logsumexp.body(x, None, where, axis, keepdims, False)
    shape = np.shape(x)
    axes = canonicalize_axes(axis, len(shape))
    if where is None:
        count = math.prod(shape[i] for i in axes)
        return _sub(total, math.log(count) if count else -np.inf)
    held = promotion.broadcast(promotion.as_array(where), shape)
    count = reductions._sum.body(held, axes, total.dtype, keepdims)
    return _sub(total, lax.log(count))


def standardize(x: ArrayLike, axis: Axis = -1, mean: ArrayLike | None = None,
                variance: ArrayLike | None = None, epsilon: ArrayLike = 1e-5,
                where: ArrayLike | None = None, *, algorithm: str = "fast") -> Any:
    """(x - mean) / sqrt(variance + epsilon), both over `axis` unless they are given.

    algorithm: "fast" takes mean(x**2) - mean**2 for the variance, "stable" mean((x - mean)**2).
    """
    if algorithm not in ("fast", "stable"):
        raise ValueError(errors.describe(
            f"Unknown algorithm {algorithm!r}. Expected 'fast' or 'stable'.",
            fix="algorithm='stable'"))
    return _standardize(x, mean, variance, epsilon, where, reductions.static_axis(axis), algorithm)


@fused(static_argnums=(5, 6))
def _standardize(x: Any, mean: Any, variance: Any, epsilon: Any, where: Any, axis: Any,
                 algorithm: str) -> Any:
    x = _operand("standardize", x)
    axes = canonicalize_axes(axis, x.ndim)

    def average(y: Any) -> Any:
        return reductions._mean.body(y, axes, None, True, where)

    if mean is None:
        mean = average(x)
    if variance is None and algorithm == "stable":
        variance = average(ufuncs.square.body(_sub(x, mean)))
    elif variance is None:  # rounding may make the difference negative
        variance = _max(_sub(average(ufuncs.square.body(x)), ufuncs.square.body(mean)), 0)
    scale = lax.rsqrt(promotion.as_array(promotion.promote_inexact(_add(variance, epsilon))[0]))
    return _mul(_sub(x, mean), scale)


# --- one_hot -----------------------------------------------------------------------------------


def one_hot(x: Any, num_classes: int, *, dtype: Any = None, axis: int = -1) -> Any:
    """1 at the place that each element of x names along a new axis, else 0.

    Elements outside [0, num_classes) give zeros only. The default dtype is float.
    """
    count = _class_count(num_classes)
    if isinstance(x, (list, tuple)):
        x = np.asarray(x)
    dtype = dtypes.scalar_dtype(float) if dtype is None else dtypes.check_user_dtype(
        dtype, "one_hot")
    return _one_hot(x, count, dtype, axis)


def _class_count(num_classes: Any) -> int:
    return operator.index(host.concrete(
        num_classes, "The error arose in jax.nn.one_hot argument `num_classes`."))


@fused(static_argnums=(1, 2, 3))
def _one_hot(x: Any, count: int, dtype: Any, axis: int) -> Any:
    x = _operand("one_hot", x)
    axis = canonicalize_axis(axis, x.ndim + 1)
    left = lax.expand_dims(x, (axis,))
    shape = (*x.shape[:axis], count, *x.shape[axis:])
    classes = lax.broadcasted_iota(x.dtype, shape, axis)
    hit = lax.eq(structural.broadcast_in_dim(left, shape, tuple(range(len(shape)))), classes)
    return structural.convert_element_type(hit, dtype)

