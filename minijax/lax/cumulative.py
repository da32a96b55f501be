"""Cumulative sums, products, extrema and log-sum-exps along an axis.

Each is one primitive for the platform to do as it likes best. Large ones on CPU, and derivatives
of those that are not linear, are a parallel prefix: log2(n) elementwise steps.

    >>> cumsum(jnp.array([1, 2, 3]), reverse=True)
    Array([6, 5, 3], dtype=int32)
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, Values, aval_of, jvp, linear
from minijax.core.primitive import Deferred
from minijax.lax import elementwise, logic, shapes
from minijax.lax.rules import INEXACT, ArrayLike, along, check_dtype, fill_like
from minijax.lax.slicing import slice_in_dim


def cumsum(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Sums of the first 1, 2, ... elements along `axis` (of the last ones if `reverse`)."""
    return cumsum_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cumprod(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Products of the first 1, 2, ... elements along `axis`."""
    return cumprod_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cummax(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Maxima of the first 1, 2, ... elements along `axis`."""
    return cummax_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cummin(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Minima of the first 1, 2, ... elements along `axis`."""
    return cummin_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cumlogsumexp(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
    """Logarithms of the sums of exponentials of the first 1, 2, ... elements along `axis`."""
    return cumlogsumexp_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def _cumulative_shape(name: str) -> Callable[..., ShapedArray]:
    def shape(x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        check_dtype(name, x.dtype, ("number",))
        if name == "cumlogsumexp":
            check_dtype(name, x.dtype, INEXACT)
        if axis < 0:
            raise ValueError(errors.describe(
                "XLA operations do not allow negative axes",
                fix=f"pass axis={x.ndim + axis}, or use the jnp function"))
        if axis >= x.ndim:
            raise ValueError(errors.describe(
                f"axis {axis} is out of bounds for array of shape {x.shape}",
                fix=f"choose an axis in range({x.ndim})"))
        return ShapedArray(x.shape, x.dtype, x.weak_type)
    return shape


# --- The parallel prefix -----------------------------------------------------------------------

Step = Callable[[list, list], list]


def _prefix(combine: Step, xs: list, axis: int, small: int = 1,
            whole: Callable[[list], list] | None = None) -> list:
    """All prefixes of the arrays `xs` combined: pairs first, their prefixes, then those between.

    `combine(earlier, later)` takes and returns lists as long as `xs`. Up to the size `small`,
    `whole(xs)` does it at once.
    """
    size = aval_of(xs[0]).shape[axis]
    if size <= small:
        return xs if whole is None or size < 2 else whole(xs)
    pairs = combine(_every_other(xs, 0, size - 1, axis), _every_other(xs, 1, size, axis))
    odd = _prefix(combine, pairs, axis, small, whole)  # the results at places 1, 3, 5, ...
    even = [slice_in_dim(x, 0, 1, 1, axis) for x in xs]
    if size > 2:
        before = [slice_in_dim(x, 0, (size - 1) // 2, 1, axis) for x in odd]
        between = combine(before, _every_other(xs, 2, size, axis))
        even = [shapes.concatenate([e, b], axis) for e, b in zip(even, between)]
    return [_interleave(e, o, axis) for e, o in zip(even, odd)]


def _every_other(xs: list, start: int, stop: int, axis: int) -> list:
    return [slice_in_dim(x, start, stop, 2, axis) for x in xs]


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Elements of `even` and `odd` in turns; `even` may have one element more."""
    shape = list(aval_of(odd).shape)
    count = shape[axis]
    last = None
    if aval_of(even).shape[axis] > count:
        last = slice_in_dim(even, count, count + 1, 1, axis)
        even = slice_in_dim(even, 0, count, 1, axis)
    both = shapes.concatenate([shapes.expand_dims(even, (axis + 1,)),
                               shapes.expand_dims(odd, (axis + 1,))], axis + 1)
    shape[axis] = 2 * count
    mixed = shapes.reshape(both, tuple(shape))
    return mixed if last is None else shapes.concatenate([mixed, last], axis)


def prefixes(combine: Step, xs: list, axis: int, reverse: bool, small: int = 1,
             whole: Callable[[list], list] | None = None) -> list:
    """`_prefix`, or with `reverse` all suffixes combined, the last element first."""
    if reverse:
        xs = [shapes.rev(x, (axis,)) for x in xs]
    outs = _prefix(combine, xs, axis, small, whole)
    return [shapes.rev(x, (axis,)) for x in outs] if reverse else outs


def _decomposed(primitive: Primitive, combine: Callable[[Any, Any], Any]) -> Callable:
    """The operation as a few steps of the prefix around a much smaller operation.

    Along the last axis four steps are as fast as all, and compile twice as fast.
    """
    def decompose(x: Any, *, axis: int, reverse: bool) -> Any:
        shape = aval_of(x).shape
        small = max(16, shape[axis] >> 4 if axis == len(shape) - 1 else 0)
        return prefixes(
            lambda xs, ys: [combine(xs[0], ys[0])], [x], axis, reverse, small,
            lambda xs: [primitive.bind(xs[0], axis=axis, reverse=False)])[0]
    return decompose


# --- Primitives --------------------------------------------------------------------------------


def _through_prefix(combine: Callable[[Any, Any], Any]) -> Callable:
    """The `jvp` rule that differentiates the prefix."""
    def prefix(x: Any, axis: int, reverse: bool) -> list:
        return prefixes(lambda xs, ys: [combine(xs[0], ys[0])], [x], axis, reverse)

    def rule(primals: Values, tangents: Values, *, axis: int, reverse: bool) -> tuple:
        (out,), (tangent,) = jvp(lambda x: prefix(x, axis, reverse), primals, tangents)
        return out, tangent
    return rule


def _cumulative(name: str, combine: Callable, **rules: Any) -> Primitive:
    rules.setdefault("jvp", _through_prefix(combine))
    return Primitive(name, shape=_cumulative_shape(name), vmap=along("axis"),
                     decompose=Deferred(lambda primitive: _decomposed(primitive, combine)),
                     **rules)


cumsum_p = _cumulative(
    "cumsum", elementwise.add, jvp=linear,
    transpose=lambda ct, x, *, axis, reverse: cumsum(ct, axis, not reverse))
cumprod_p = _cumulative("cumprod", elementwise.mul)
cummax_p = _cumulative("cummax", elementwise.max)
cummin_p = _cumulative("cummin", elementwise.min)


# --- Log-sum-exp -------------------------------------------------------------------------------


def _gap(x: Any, y: Any) -> Any:
    """x - y, and 0 where they are equal, infinities included."""
    return logic.select(logic.eq(x, y), fill_like(x, 0), elementwise.sub(x, y))


def _logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y))."""
    if dtypes.issubdtype(aval_of(x).dtype, np.complexfloating):
        first = logic.ge(elementwise.real(x), elementwise.real(y))
        high, low = logic.select(first, x, y), logic.select(first, y, x)
    else:
        high, low = elementwise.max(x, y), elementwise.min(x, y)
    return elementwise.add(high, elementwise.log1p(elementwise.exp(_gap(low, high))))


def _dual_logaddexp(first: list, second: list) -> list:
    """`_logaddexp` of pairs of a value and its tangent, without 0/0 at infinities."""
    (x, dx), (y, dy) = first, second
    out = _logaddexp(x, y)
    tangent = elementwise.add(elementwise.mul(dx, elementwise.exp(_gap(x, out))),
                              elementwise.mul(dy, elementwise.exp(_gap(y, out))))
    return [out, tangent]


def _cumlogsumexp_jvp(primals: Values, tangents: Values, *, axis: int, reverse: bool) -> tuple:
    return tuple(prefixes(_dual_logaddexp, [primals[0], tangents[0]], axis, reverse))


cumlogsumexp_p = _cumulative("cumlogsumexp", _logaddexp, jvp=_cumlogsumexp_jvp)
