"""Contiguous pieces of an array, read or written at static or computed places.

Static starts are `slice`; computed ones are `dynamic_slice` and `dynamic_update_slice`, whose
starts are clamped so that the piece lies inside the array. The user functions count negative
starts from the end; the primitives never see a negative start that was meant that way.

    >>> dynamic_slice(jnp.arange(5), (3,), (4,))
    Array([1, 2, 3, 4], dtype=int32)
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import dims, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, cotangent_aval, is_linear,
                          is_tracer, linear, materialize_output, move_axis, zeros)
from minijax.lax import elementwise, logic, shapes
from minijax.lax.gather import (GatherDimensionNumbers, GatherScatterMode,
                                ScatterDimensionNumbers, gather_p, scatter_p)
from minijax.lax.rules import ArrayLike, check_same_dtypes, linear_in_values, scalar_like

_CLIP = GatherScatterMode.CLIP

# --- slice -------------------------------------------------------------------------------------


def slice(operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int],
          strides: Sequence[int] | None = None) -> Array:
    """`operand[start:limit:stride, ...]` with one entry per dimension, all nonnegative."""
    try:  # plain integers: 0.0 == 0 must not find the entry of 0 in a cache
        starts = tuple(map(operator.index, start_indices))
        limits = tuple(map(operator.index, limit_indices))
        steps = None if strides is None else tuple(map(operator.index, strides))
    except TypeError:
        if not dims.constant(*start_indices, *limit_indices):
            return slice_p.bind(operand, start_indices=dims.indices(start_indices),
                                limit_indices=dims.indices(limit_indices),
                                strides=None if strides is None else tuple(strides))
        _check_ints(start_indices=start_indices, limit_indices=limit_indices, strides=strides)
        raise
    return slice_p.bind(operand, start_indices=starts, limit_indices=limits, strides=steps)


def slice_in_dim(operand: ArrayLike, start_index: int | None, limit_index: int | None,
                 stride: int = 1, axis: int = 0) -> Array:
    """`operand[start:limit:stride]` along one axis; None and negative bounds as in Python."""
    shape = aval_of(operand).shape
    ndim = len(shape)
    axis = canonicalize_axis(axis, ndim)
    size = shape[axis]
    starts, limits, strides = [0] * ndim, list(shape), [1] * ndim
    if start_index is not None:
        start = dims.index(start_index)
        starts[axis] = start if start >= 0 else start + size
    if limit_index is not None:
        limit = dims.index(limit_index)
        limits[axis] = limit if limit >= 0 else limit + size
    strides[axis] = operator.index(stride)
    return slice_p.bind(operand, start_indices=tuple(starts), limit_indices=tuple(limits),
                        strides=tuple(strides))


def index_in_dim(operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True) -> Array:
    """The slice of size 1 at `index` along `axis`; IndexError when it is out of range."""
    index, axis = dims.index(index), operator.index(axis)
    shape = aval_of(operand).shape
    size = shape[canonicalize_axis(axis, len(shape))]
    place = index + size if index < 0 else index
    if not 0 <= place < size:
        raise IndexError(errors.describe(
            f"index {index} is out of bounds for axis {axis} with size {size}",
            fix=f"use an index in range({-size}, {size})"))
    piece = slice_in_dim(operand, place, place + 1, 1, axis)
    return piece if keepdims else shapes.squeeze(piece, (axis,))


def _check_ints(**given: Sequence[Any] | None) -> None:
    for name, values in given.items():
        kinds = tuple([type(v) for v in values or ()])
        if any(issubclass(k, (float, complex, np.inexact)) for k in kinds):
            raise TypeError(errors.describe(
                f"slice {name} must have every element be an integer type, got {kinds}.",
                fix=f"pass Python integers as {name}")) from None


def _slice_error(x: ShapedArray, starts: tuple, limits: tuple, strides: tuple | None) -> str | None:
    """What is wrong with the bounds of a slice, if anything."""
    rank = ("must have length equal to the number of dimensions of the operand, got {} {} for "
            f"operand shape {x.shape}.").format
    if len(starts) != x.ndim:
        return f"start_indices {rank('indices', starts)}"
    if len(limits) != len(starts):
        return ("limit_indices must have the same length as start_indices, got start_indices "
                f"{starts} and limit_indices {limits}.")
    if strides is not None and len(strides) != x.ndim:
        return f"strides {rank('strides', strides)}"
    if any(s < 0 for s in starts):
        return f"start_indices must have every element be nonnegative, got {starts}."
    if any(limit > n for limit, n in zip(limits, x.shape)):
        return (f"limit_indices must be less than or equal to operand shape, got limit_indices "
                f"{limits} for operand shape {x.shape}.")
    if any(limit < s for s, limit in zip(starts, limits)):
        return ("limit_indices must be greater than or equal to start_indices, got start_indices "
                f"{starts} and limit_indices {limits}.")
    if strides is not None and any(s <= 0 for s in strides):
        wanted = "nonnegative" if any(s < 0 for s in strides) else "positive"
        return f"strides must have every element be {wanted}, got {strides}."
    return None


def _slice_shape(x: ShapedArray, *, start_indices: tuple, limit_indices: tuple,
                 strides: tuple | None) -> ShapedArray:
    fail = _slice_error(x, start_indices, limit_indices, strides)
    if fail:
        raise TypeError(errors.describe(
            f"slice {fail}", fix="use x[start:stop:step], which counts and clips like NumPy"))
    steps = strides or (1,) * x.ndim
    shape = tuple([-((start - limit) // step)
                   for start, limit, step in zip(start_indices, limit_indices, steps)])
    return ShapedArray(shape, x.dtype, x.weak_type)


def _slice_transpose(ct: Any, x: Any, *, start_indices: tuple, limit_indices: tuple,
                     strides: tuple | None) -> Any:
    shape = x.aval.shape
    steps = strides or (1,) * len(shape)
    config = []
    for start, n, count, step in zip(start_indices, shape, aval_of(ct).shape, steps):
        covered = start + ((count - 1) * step + 1 if count else 0)
        config.append((start, n - covered, step - 1))
    return shapes.pad(ct, scalar_like(ct, 0), tuple(config))


def _slice_vmap(axis: Any, args: Values, dims: Sequence[int], *, start_indices: tuple,
                limit_indices: tuple, strides: tuple | None) -> tuple:
    d = dims[0]

    def insert(values: tuple, entry: int) -> tuple:
        return (*values[:d], entry, *values[d:])

    out = slice_p.bind(args[0], start_indices=insert(start_indices, 0),
                       limit_indices=insert(limit_indices, axis.size),
                       strides=None if strides is None else insert(strides, 1))
    return out, d


slice_p = Primitive("slice", shape=_slice_shape, jvp=linear, transpose=_slice_transpose,
                    vmap=_slice_vmap)


# --- Starts of dynamic slices ------------------------------------------------------------------


def _starts(operand: Any, indices: Any, allow_negative: bool | Sequence[bool]) -> list:
    """One scalar per dimension, with negative starts counted from the end."""
    shape = aval_of(operand).shape
    if not isinstance(indices, (tuple, list)):
        ndim = aval_of(indices).ndim
        if ndim != 1:
            raise ValueError(errors.describe(
                f"Slice indices must be a 1D sequence, got {aval_of(indices).shape}",
                fix="pass a vector with one index per dimension, or a tuple of scalars"))
        indices = _unstack(indices)
    if len(indices) != len(shape):
        raise ValueError(errors.describe(
            "Length of slice indices must match number of operand dimensions "
            f"({len(indices)} vs {shape})", fix=f"give {len(shape)} start indices"))
    flags = ((allow_negative,) * len(shape) if isinstance(allow_negative, bool)
             else tuple(allow_negative))
    if len(flags) != len(shape):
        raise ValueError(errors.describe(
            "Length of allow_negative_indices must match number of operand dimensions "
            f"({len(flags)} vs {shape})", fix="pass a single bool"))
    return [_start(i, n, flag) if type(i) is not int else i + n if i < 0 and flag else i
            for i, n, flag in zip(indices, shape, flags)]


def _start(index: Any, size: int, allow_negative: bool) -> Any:
    """A start index of an integer dtype, counted from the front."""
    if isinstance(index, (int, np.integer)) and not isinstance(index, bool):
        return type(index)(index + size if allow_negative and index < 0 else index)
    if not allow_negative:
        return index
    aval = aval_of(index)
    dtype = aval.dtype
    if aval.ndim or not dtypes.issubdtype(dtype, np.signedinteger):
        return index  # unsigned, or an error that the shape rule reports
    negative = logic.lt(index, dtype.type(0))
    return logic.select(negative, elementwise.add(index, dtype.type(size)), index)


def _unstack(vector: Any) -> list:
    """The elements of a vector, as NumPy scalars if it is a NumPy array."""
    if not is_tracer(vector) and isinstance(vector, np.ndarray):
        return [dtypes.canonicalize_dtype(vector.dtype).type(v) for v in vector]
    count = aval_of(vector).shape[0]
    return [shapes.squeeze(slice_p.bind(vector, start_indices=(i,), limit_indices=(i + 1,),
                                        strides=(1,)), (0,)) for i in range(count)]


def _stack_starts(starts: Values, dims: Dims, axis: Any) -> Any:
    """The starts, some of them batched, as index vectors along the last axis."""
    columns = [shapes.expand_dims(start if d is not None else materialize_output(start, None, axis),
                                  (1,)) for start, d in zip(starts, dims)]
    return shapes.concatenate(columns, 1)


# --- dynamic_slice -----------------------------------------------------------------------------


def dynamic_slice(operand: ArrayLike, start_indices: Any, slice_sizes: Sequence[int], *,
                  allow_negative_indices: bool | Sequence[bool] = True) -> Array:
    """A piece of `operand` of the shape `slice_sizes`, beginning at computed `start_indices`.

    Starts are moved so that the piece lies inside the operand.
    """
    return dynamic_slice_p.bind(
        operand, *_starts(operand, start_indices, allow_negative_indices),
        slice_sizes=dims.indices(slice_sizes))


def dynamic_slice_in_dim(operand: ArrayLike, start_index: ArrayLike, slice_size: int,
                         axis: int = 0, *, allow_negative_indices: bool = True) -> Array:
    """`dynamic_slice` along one axis."""
    shape = aval_of(operand).shape
    axis = canonicalize_axis(axis, len(shape))
    sizes = list(shape)
    sizes[axis] = dims.index(slice_size)
    return dynamic_slice_p.bind(
        operand, *_starts_in_dim(shape, axis, start_index, allow_negative_indices),
        slice_sizes=tuple(sizes))


def dynamic_index_in_dim(operand: ArrayLike, index: ArrayLike, axis: int = 0,
                         keepdims: bool = True, *, allow_negative_indices: bool = True) -> Array:
    """The slice of size 1 at a computed index along `axis`."""
    piece = dynamic_slice_in_dim(operand, index, 1, axis,
                                 allow_negative_indices=allow_negative_indices)
    return piece if keepdims else shapes.squeeze(piece, (axis,))


def _starts_in_dim(shape: tuple, axis: int, index: Any, allow_negative: bool) -> list:
    start = _start(index, shape[axis], allow_negative)
    starts: list = [0 if type(start) is int else aval_of(start).dtype.type(0)] * len(shape)
    starts[axis] = start
    return starts


def _check_starts(op: str, rank: int, starts: Sequence[ShapedArray], colon: str) -> None:
    fail, kinds = None, [s.dtype for s in starts]
    if len(starts) != rank:
        fail = (f"{op} start_indices must have length equal to the number of dimensions of the "
                f"operand, got {len(starts)} indices for rank {rank}.")
    elif any(s.ndim for s in starts):
        shown = "(" + ", ".join(map(str, starts)) + ("," if len(starts) == 1 else "") + ")"
        fail = f"start_indices arguments to {op} must be scalars, got indices {shown}"
    elif any(k != kinds[0] or not dtypes.issubdtype(k, np.integer) for k in kinds):
        fail = (f"index arguments to {op} must be integers of the same type, got{colon} "
                f"{', '.join(k.name for k in kinds)}")
    if fail:
        raise TypeError(errors.describe(
            fail, fix="use integer scalars of one dtype as start indices"))


def _dynamic_slice_shape(x: ShapedArray, *starts: ShapedArray, slice_sizes: tuple) -> ShapedArray:
    fail = None
    if len(slice_sizes) != x.ndim:
        fail = ("have length equal to the number of dimensions of the operand, got slice_sizes "
                f"{slice_sizes} for operand shape {x.shape}.")
    elif any(n < 0 for n in slice_sizes):
        fail = f"be greater than or equal to zero, got slice_sizes of {slice_sizes}."
    elif any(dims.below(bound, n) for n, bound in zip(slice_sizes, x.shape)):
        fail = ("be less than or equal to operand shape, got slice_sizes "
                f"{slice_sizes} for operand shape {x.shape}.")
    if fail:
        raise TypeError(errors.describe(
            f"slice slice_sizes must {fail}", fix="give one size for each dimension, not negative "
            "and no larger than the operand's"))
    _check_starts("dynamic_slice", x.ndim, starts, ":")
    return ShapedArray(slice_sizes, x.dtype, x.weak_type)


def _dynamic_slice_transpose(ct: Any, operand: Any, *starts: Any, slice_sizes: tuple) -> list:
    empty = zeros(cotangent_aval(operand.aval))
    return [dynamic_update_slice_p.bind(empty, ct, *starts), *[None] * len(starts)]


def _dynamic_slice_vmap(axis: Any, args: Values, dims: Dims, *, slice_sizes: tuple) -> tuple:
    operand, *starts = args
    d, *start_dims = dims
    if all(s is None for s in start_dims):  # the same piece of each: still a dynamic slice
        zero = aval_of(starts[0]).dtype.type(0) if starts else np.int32(0)
        starts = [*starts[:d], zero, *starts[d:]]
        sizes = (*slice_sizes[:d], axis.size, *slice_sizes[d:])
        return dynamic_slice_p.bind(operand, *starts, slice_sizes=sizes), d
    indices = _stack_starts(starts, start_dims, axis)
    rank = len(slice_sizes)
    if d is None:
        dnums = GatherDimensionNumbers(tuple(range(1, rank + 1)), (), tuple(range(rank)))
    else:
        operand = move_axis(operand, d, 0)
        inner = tuple(range(1, rank + 1))
        dnums = GatherDimensionNumbers(inner, (), inner, (0,), (0,))
        slice_sizes = (min(1, axis.size), *slice_sizes)
    out = gather_p.bind(operand, indices, dimension_numbers=dnums, slice_sizes=slice_sizes,
                        unique_indices=True, indices_are_sorted=d is not None, mode=_CLIP,
                        fill_value=None)
    return out, 0


dynamic_slice_p = Primitive("dynamic_slice", shape=_dynamic_slice_shape, jvp=linear_in_values,
                            transpose=_dynamic_slice_transpose, vmap=_dynamic_slice_vmap)


# --- dynamic_update_slice ----------------------------------------------------------------------


def dynamic_update_slice(operand: ArrayLike, update: ArrayLike, start_indices: Any, *,
                         allow_negative_indices: bool | Sequence[bool] = True) -> Array:
    """`operand` with a piece replaced by `update`, beginning at computed `start_indices`.

    Starts are moved so that the update lies inside the operand.
    """
    return dynamic_update_slice_p.bind(
        operand, update, *_starts(operand, start_indices, allow_negative_indices))


def dynamic_update_slice_in_dim(operand: ArrayLike, update: ArrayLike, start_index: ArrayLike,
                                axis: int, *, allow_negative_indices: bool = True) -> Array:
    """`dynamic_update_slice` along one axis."""
    shape = aval_of(operand).shape
    axis = canonicalize_axis(axis, len(shape))
    return dynamic_update_slice_p.bind(
        operand, update, *_starts_in_dim(shape, axis, start_index, allow_negative_indices))


def dynamic_update_index_in_dim(operand: ArrayLike, update: ArrayLike, index: ArrayLike,
                                axis: int, *, allow_negative_indices: bool = True) -> Array:
    """`operand` with the slice at a computed index along `axis` replaced.

    `update` has size 1 along `axis`, or lacks that axis.
    """
    ndim = aval_of(operand).ndim
    axis = canonicalize_axis(axis, ndim)
    if aval_of(update).ndim != ndim:
        update = shapes.expand_dims(update, (axis,))
    return dynamic_update_slice_in_dim(operand, update, index, axis,
                                       allow_negative_indices=allow_negative_indices)


def _dynamic_update_slice_shape(x: ShapedArray, update: ShapedArray,
                                *starts: ShapedArray) -> ShapedArray:
    check_same_dtypes("dynamic_update_slice", (x, update))
    if update.ndim != x.ndim:
        raise TypeError(errors.describe(
            "dynamic_update_slice update must have the same rank as operand, got update shape "
            f"{update.shape} for operand shape {x.shape}.",
            fix="reshape the update to the operand's rank"))
    if any(dims.below(bound, n) for n, bound in zip(update.shape, x.shape)):
        raise TypeError(errors.describe(
            "dynamic_update_slice update shape must be smaller than operand shape, got update "
            f"shape {update.shape} for operand shape {x.shape}.", fix="use a smaller update"))
    _check_starts("dynamic_update_slice", x.ndim, starts, "")
    return ShapedArray(x.shape, x.dtype)


def _dynamic_update_slice_transpose(ct: Any, operand: Any, update: Any, *starts: Any) -> list:
    result: list = [None] * (2 + len(starts))
    aval = update.aval if is_linear(update) else aval_of(update)
    if is_linear(operand):
        nothing = zeros(cotangent_aval(aval.update(weak_type=False)))
        result[0] = dynamic_update_slice_p.bind(ct, nothing, *starts)
    if is_linear(update):
        result[1] = dynamic_slice_p.bind(ct, *starts, slice_sizes=aval.shape)
    return result


def _dynamic_update_slice_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    operand, update, *starts = args
    d, update_dim, *start_dims = dims
    if all(s is None for s in start_dims):
        at = update_dim if d is None else d
        operand = materialize_output(operand, d, axis, at)
        update = materialize_output(update, update_dim, axis, at)
        zero = aval_of(starts[0]).dtype.type(0) if starts else np.int32(0)
        return dynamic_update_slice_p.bind(operand, update, *starts[:at], zero, *starts[at:]), at
    operand = materialize_output(operand, d, axis)
    update = materialize_output(update, update_dim, axis)
    indices = _stack_starts(starts, start_dims, axis)
    inner = tuple(range(1, aval_of(operand).ndim))
    out = scatter_p.bind(
        operand, indices, update, update_jaxpr=None, update_consts=(),
        dimension_numbers=ScatterDimensionNumbers(inner, (), inner, (0,), (0,)),
        indices_are_sorted=True, unique_indices=True, mode=_CLIP)
    return out, 0


dynamic_update_slice_p = Primitive(
    "dynamic_update_slice", shape=_dynamic_update_slice_shape, jvp=linear_in_values,
    transpose=_dynamic_update_slice_transpose, vmap=_dynamic_update_slice_vmap)
