"""`pad`: an array with a border, made in eleven ways or by a function.

Invariant: axes are padded one after the other, so corners come out as in NumPy, and all widths
are static.

    pad(x, 1)                                   # zeros around
    pad(x, ((0, 0), (2, 3)), mode="reflect")
    pad(x, 2, mode="linear_ramp", end_values=(-4, 8))
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.vmap import vmap
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import Tracer, structural
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy import reductions
from minijax.numpy.manipulation import moveaxis
from minijax.numpy.promotion import (
    INTEGER, array_operand, as_array, broadcast, convert, operand, scalar)
from minijax.runtime.call import fused



def _median(x: Any, axis: int) -> Any:
    """The middle element along the axis, or the mean of the middle two; nans are the largest."""
    size = x.shape[axis]
    ordered = lax.sort(x, axis)
    low, high = (size - 1) // 2, size // 2
    middle = lax.slice_in_dim(ordered, low, high + 1, axis=axis)
    return reductions._mean.body(middle, axis, None, True)


_STATISTICS = {
    "maximum": lambda x, axis: reductions._max.body(x, axis, True),
    "minimum": lambda x, axis: reductions._min.body(x, axis, True),
    "mean": lambda x, axis: reductions._mean.body(x, axis, None, True),
    "median": _median,
}
_OPTIONS = {
    "constant": {"constant_values": 0},
    "linear_ramp": {"end_values": 0},
    "reflect": {"reflect_type": "even"},
    "symmetric": {"reflect_type": "even"},
    "edge": {}, "empty": {}, "wrap": {},
    **{mode: {"stat_length": None} for mode in _STATISTICS},
}


def pad(array: ArrayLike, pad_width: Any, mode: str | Callable[..., Any] = "constant",
        **kwargs: Any) -> Array:
    """The array with pad_width = ((before, after), ...) elements added along each axis.

    Modes: constant (constant_values), edge, linear_ramp (end_values), reflect and symmetric
    (reflect_type), wrap, empty, maximum, minimum, mean and median (stat_length), or a function
    of (vector, (before, after), axis, kwargs) that returns the padded vector.
    """
    array = operand("pad", array)
    widths = _pairs("pad_width", pad_width, np.ndim(array), integral=True)
    if callable(mode):
        return _pad_by(array, widths, mode, kwargs)
    if mode not in _OPTIONS:
        raise NotImplementedError(errors.describe(
            f"Unimplemented padding mode '{mode}' for np.pad.",
            fix=f"use one of {', '.join(sorted(_OPTIONS))}"))
    options = _OPTIONS[mode]
    unknown = set(kwargs) - set(options)
    if unknown:
        raise ValueError(errors.describe(
            f"unsupported keyword arguments for mode '{mode}': {unknown}",
            fix=f"mode '{mode}' takes {', '.join(options) or 'no options'}"))
    value = {**options, **kwargs}.get(next(iter(options), ""))
    if mode in ("constant", "linear_ramp"):
        value = value if isinstance(value, (Array, Tracer)) else _value_pairs(value, len(widths))
        return _pad_values(array, value, widths, mode)
    if mode in _STATISTICS and value is not None:
        value = _pairs("stat_length", value, np.ndim(array), integral=True)
        if any(n < 1 for pair in value for n in pair):
            raise ValueError(errors.describe("stat_length of 0 yields no value for padding",
                                             fix="give lengths of 1 or more"))
    return _pad(array, widths, mode, value)


def _pairs(name: str, value: Any, ndim: int, integral: bool) -> tuple[tuple[int, int], ...]:
    """The argument spread to one pair per axis."""
    if isinstance(value, dict) or np.asarray(value).dtype.kind not in "iu" and np.size(value):
        raise TypeError(errors.describe(f"`{name}` must be of integral type.",
                                        fix=f"give integers, e.g. {name}=((1, 1), (2, 2))"))
    pairs = np.asarray(value)
    if pairs.shape not in ((ndim, 2), (1, 2), (2,), (1,), ()):
        raise ValueError(errors.describe(
            f"jnp.pad: {name} with nd={ndim} has unsupported shape {pairs.shape}. "
            f"Valid shapes are ({ndim}, 2), (1, 2), (2,), (1,), or ().",
            fix="give (before, after), or one such pair for each axis"))
    pairs = np.broadcast_to(pairs, (ndim, 2))
    if (pairs < 0).any():
        raise ValueError(errors.describe("index can't contain negative values",
                                         fix="cut with slices instead, e.g. x[1:-1]"))
    return tuple((int(before), int(after)) for before, after in pairs)


# --- Values on the border ----------------------------------------------------------------------


def _value_pairs(values: Any, ndim: int) -> Any:
    """One value, or a tuple of pairs of values."""
    if np.ndim(values) == 0:
        return values
    if len(values) == 1:
        return _value_pairs(values[0], ndim)
    if all(np.ndim(v) == 0 for v in values) and len(values) == 2:
        return (tuple(values),) * ndim
    pairs = tuple(tuple(v) if np.ndim(v) and len(v) == 2 else (v, v) if not np.ndim(v)
                  else (v[0], v[0]) for v in values)
    if len(pairs) != ndim:
        raise ValueError(errors.describe(
            f"jnp.pad: {len(pairs)} pairs of values for an array of rank {ndim}",
            fix="give one value, a pair, or one pair for each axis"))
    return pairs


@fused(static_argnums=(2, 3))
def _pad_values(array: ArrayLike, values: Any, widths: tuple, mode: str) -> Array:
    """constant and linear_ramp: the values may be arrays, so they are not static."""
    x = as_array(array)
    if isinstance(values, tuple):
        pairs = [[operand("pad", v) for v in pair] for pair in values]
    else:
        values = array_operand("pad", values)
        if mode == "constant" and not values.ndim:
            return lax.pad(x, convert(values, x.dtype), [(*width, 0) for width in widths])
        pairs = [lax.unstack(row, 0) for row in lax.unstack(broadcast(values, (x.ndim, 2)), 0)]
    for axis, width in enumerate(widths):
        x = _bordered(x, axis, width, pairs[axis], mode)
    return x


def _bordered(x: Any, axis: int, width: tuple[int, int], values: list, mode: str) -> Any:
    if mode == "constant":
        for value, ends in zip(values, ((width[0], 0, 0), (0, width[1], 0))):
            config = [ends if i == axis else (0, 0, 0) for i in range(x.ndim)]
            x = lax.pad(x, convert(value, x.dtype), config)
        return x
    _refuse_empty(x, axis, mode)
    first, last = _end(x, axis, 0), _end(x, axis, 1)
    left = _ramp(values[0], first, width[0], axis)
    right = lax.rev(_ramp(values[1], last, width[1], axis), (axis,))
    return lax.concatenate([left, x, right], axis)


def _end(x: Any, axis: int, side: int, length: int = 1) -> Any:
    size = x.shape[axis]
    start = 0 if side == 0 else size - length
    return lax.slice_in_dim(x, start, start + length, axis=axis)


def _ramp(value: Any, edge: Any, steps: int, axis: int) -> Any:
    """`steps` numbers from `value` towards, and without, those of the edge."""
    shape = tuple(steps if i == axis else n for i, n in enumerate(edge.shape))
    if not steps:
        return lax.full(shape, 0, edge.dtype)
    real = np.float32 if edge.dtype in INTEGER else edge.dtype
    value = convert(convert(value, edge.dtype), real)
    part = lax.div(lax.broadcasted_iota(real, shape, axis), scalar(steps, real))
    edge_part = lax.mul(convert(edge, real), part)
    line = lax.add(lax.mul(value, lax.sub(scalar(1, real), part)), edge_part)
    return structural.convert_element_type(line, edge.dtype)


def _refuse_empty(x: Any, axis: int, mode: str) -> None:
    if not x.shape[axis]:
        raise ValueError(errors.describe(f"Cannot apply '{mode}' padding to empty axis",
                                         because=f"axis {axis} of shape {x.shape} is empty",
                                         fix="pad with mode='constant'"))


# --- Borders made of the array itself ----------------------------------------------------------


@fused(static_argnums=(1, 2, 3))
def _pad(array: ArrayLike, widths: tuple, mode: str, option: Any) -> Array:
    x = as_array(array)
    for axis, width in enumerate(widths):
        if width == (0, 0):
            continue
        if mode == "empty":
            x = lax.pad(x, scalar_like(x, 0), [(*width, 0) if i == axis else (0, 0, 0)
                                               for i in range(x.ndim)])
            continue
        _refuse_empty(x, axis, mode)
        if mode == "wrap":
            x = _wrapped(x, axis, width)
        elif mode in ("reflect", "symmetric"):
            x = _mirrored(x, axis, width, int(mode == "reflect"), option)
        else:
            lengths = (None, None) if option is None else option[axis]
            ends = [_end(x, axis, side) if mode == "edge" else
                    _statistic(x, axis, side, mode, lengths[side]) for side in (0, 1)]
            left, right = [_spread(end, axis, size) for end, size in zip(ends, width)]
            x = lax.concatenate([left, x, right], axis)
    return x


def _spread(x: Any, axis: int, size: int) -> Any:
    """A slice of size 1 repeated along its axis."""
    shape = tuple(size if i == axis else n for i, n in enumerate(x.shape))
    return structural.broadcast_in_dim(x, shape, tuple(range(x.ndim)))


def _statistic(x: Any, axis: int, side: int, mode: str, length: int | None) -> Any:
    size = x.shape[axis]
    part = x if length is None or length >= size else _end(x, axis, side, length)
    value = _STATISTICS[mode](part, axis)
    if x.dtype in INTEGER and value.dtype not in INTEGER:
        value = lax.round(value, lax.RoundingMethod.TO_NEAREST_EVEN)
    return convert(value, x.dtype)


def _wrapped(x: Any, axis: int, width: tuple[int, int]) -> Any:
    size = x.shape[axis]
    parts = [x]
    for side, total in enumerate(width):
        whole, rest = divmod(total, size)
        pieces = [x] * whole
        if rest:
            pieces.append(_end(x, axis, 1 - side, rest))
        parts = [*pieces[::-1], *parts] if side == 0 else [*parts, *pieces]
    return lax.concatenate(parts, axis)


def _mirrored(x: Any, axis: int, width: tuple[int, int], skip: int, kind: str) -> Any:
    """reflect (skip = 1: the edge is not repeated) and symmetric (skip = 0)."""
    if kind not in ("even", "odd"):
        raise ValueError(errors.describe(f"reflect_type must be 'even' or 'odd', got {kind!r}",
                                         fix="reflect_type='even'"))
    for side in (0, 1):
        size, left = x.shape[axis], width[side]
        if size == 1 and skip:
            edge = _spread(_end(x, axis, side), axis, left)
            x = lax.concatenate([edge, x] if side == 0 else [x, edge], axis)
            continue
        while left > 0:
            length = min(left, size - skip)
            start = skip if side == 0 else x.shape[axis] - length - skip
            part = lax.rev(lax.slice_in_dim(x, start, start + length, axis=axis), (axis,))
            if kind == "odd":
                edge = _end(x, axis, side)
                part = lax.sub(lax.mul(edge, scalar_like(edge, 2)), part)
            x = lax.concatenate([part, x] if side == 0 else [x, part], axis)
            left -= length
            size = x.shape[axis]
    return x


# --- Borders made by a function ----------------------------------------------------------------


def _pad_by(array: Any, widths: tuple, function: Callable, kwargs: dict) -> Any:
    x = as_array(array)
    x = lax.pad(x, scalar_like(x, 0), [(*width, 0) for width in widths])
    for axis, width in enumerate(widths):
        def one(vector: Any, axis: int = axis, width: tuple = width) -> Any:
            result = function(vector, width, axis, kwargs)
            return vector if result is None else result

        for _ in range(x.ndim - 1):
            one = vmap(one)
        x = moveaxis(one(moveaxis(x, axis, -1)), -1, axis)
    return x
