"""Cumulative sums, products, extrema and log-sum-exps along an axis.

Each is one primitive for the platform to do as it likes best; without a lowering rule, and for
derivatives of those that are not linear, it is a parallel prefix: log2(n) elementwise steps.

    >>> cumsum(jnp.array([1, 2, 3]), reverse=True)
    Array([6, 5, 3], dtype=int32)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.core import Deferred, Primitive, ShapedArray, aval_of, jvp, linear
from minijax.lax import elementwise, logic, shapes
from minijax.lax.rules import ANY, NUMBER, ArrayLike, check_dtype, scalar_like
from minijax.lax.slicing import slice_in_dim


def cumsum(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Any:
    """Sums of the first 1, 2, ... elements along `axis` (of the last ones if `reverse`)."""
    return cumsum_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cumprod(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Any:
    """Products of the first 1, 2, ... elements along `axis`."""
    return cumprod_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cummax(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Any:
    """Maxima of the first 1, 2, ... elements along `axis`."""
    return cummax_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cummin(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Any:
    """Minima of the first 1, 2, ... elements along `axis`."""
    return cummin_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def cumlogsumexp(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Any:
    """Logarithms of the sums of exponentials of the first 1, 2, ... elements along `axis`."""
    return cumlogsumexp_p.bind(operand, axis=operator.index(axis), reverse=bool(reverse))


def _cumulative_shape(name: str, kinds: Sequence[str]) -> Callable[..., ShapedArray]:
    def shape(x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        check_dtype(name, x.dtype, kinds)
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


def _prefix(combine: Callable[[Any, Any], Any], x: Any, axis: int) -> Any:
    """All prefixes of `x` combined: pairs first, their prefixes, then the places in between."""
    size = aval_of(x).shape[axis]
    if size < 2:
        return x
    pairs = combine(slice_in_dim(x, 0, size - 1, 2, axis), slice_in_dim(x, 1, size, 2, axis))
    odd = _prefix(combine, pairs, axis)  # the results at places 1, 3, 5, ...
    first = slice_in_dim(x, 0, 1, 1, axis)
    if size == 2:
        return shapes.concatenate([first, odd], axis)
    before = odd if size % 2 else slice_in_dim(odd, 0, size // 2 - 1, 1, axis)
    even = combine(before, slice_in_dim(x, 2, size, 2, axis))
    return _interleave(shapes.concatenate([first, even], axis), odd, axis)


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Elements of `even` and `odd` in turns along `axis`."""
    shape = list(aval_of(even).shape)
    rest = shape[axis] - aval_of(odd).shape[axis]  # 0 or 1
    last = slice_in_dim(even, shape[axis] - rest, shape[axis], 1, axis) if rest else None
    head = slice_in_dim(even, 0, shape[axis] - rest, 1, axis) if rest else even
    both = shapes.concatenate([shapes.expand_dims(head, (axis + 1,)),
                               shapes.expand_dims(odd, (axis + 1,))], axis + 1)
    shape[axis] = 2 * (shape[axis] - rest)
    mixed = shapes.reshape(both, tuple(shape))
    return shapes.concatenate([mixed, last], axis) if rest else mixed


def _logaddexp(x: Any, y: Any) -> Any:
    """log(exp(x) + exp(y)), finite derivatives included where one or both are infinite."""
    if dtypes.issubdtype(aval_of(x).dtype, np.complexfloating):
        first = logic.ge(elementwise.real(x), elementwise.real(y))
        high, low = logic.select(first, x, y), logic.select(first, y, x)
    else:
        high, low = elementwise.max(x, y), elementwise.min(x, y)
    infinite = logic.eq(elementwise.real(high) if high.dtype.kind == "c" else high,
                        elementwise.real(low) if low.dtype.kind == "c" else low)
    gap = elementwise.sub(low, high)
    return elementwise.add(high, elementwise.log1p(elementwise.exp(gap))), infinite


def _decomposed(combine: Callable) -> Callable:
    def decompose(x: Any, *, axis: int, reverse: bool) -> Any:
        if reverse:
            x = shapes.rev(x, (axis,))
        out = _prefix(combine, x, axis)
        return shapes.rev(out, (axis,)) if reverse else out
    return decompose
