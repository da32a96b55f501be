"""Arrays with elements added or taken away: append, insert, delete, resize, trim_zeros.

Invariant: sizes of results are static.  Positions that are concrete are worked out by NumPy and
become one gather; traced positions are possible where the size does not depend on their values.

    insert(jnp.arange(3), 1, 9)         # [0, 9, 1, 2]
    delete(jnp.arange(4), slice(1, 3))  # [0, 3]
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import Tracer, structural
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy.creation import shape_tuple
from minijax.numpy.joining import _concatenated, _operands
from minijax.numpy.manipulation import _moveaxis, _sizes, gather_rows, take_rows
from minijax.numpy.promotion import along, as_array, broadcast, convert, operand, to_rank
from minijax.runtime.call import fused


@fused(static_argnames=("axis",))
def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Array:
    """arr with values after it along the axis; without an axis both flattened."""
    return _concatenated(_operands("append", [arr, values], None), axis)


# --- delete ------------------------------------------------------------------------------------


def delete(arr: ArrayLike, obj: ArrayLike | slice, axis: int | None = None, *,
           assume_unique_indices: bool = False) -> Array:
    """arr without the slices at the positions obj along the axis (or of the flat array).

    Traced positions need assume_unique_indices, and must then be integers.
    """
    arr = operand("delete", arr)
    size, axis = _axis_size(arr, axis)
    if isinstance(obj, slice):
        return _pick_rows(arr, np.delete(np.arange(size), obj), axis)
    obj = operand("delete", obj, 1)
    if isinstance(obj, Tracer) and obj.concrete() is None:
        if assume_unique_indices and obj.dtype.kind in "iu":
            return _delete_traced(arr, obj, axis)
        raise errors.ConcretizationTypeError(obj, "'obj' array argument of jnp.delete()")
    index = np.asarray(obj if not isinstance(obj, Tracer) else obj.concrete())
    if index.ndim == 0 and index.dtype.kind in "iu":
        index = canonicalize_axis(int(index), size)
    return _pick_rows(arr, np.delete(np.arange(size), index), axis)


def _axis_size(arr: Any, axis: int | None) -> tuple[int, int | None]:
    if axis is None:
        return np.size(arr), None
    axis = canonicalize_axis(axis, np.ndim(arr))
    return np.shape(arr)[axis], axis


def _pick_rows(arr: Any, index: np.ndarray, axis: int | None) -> Any:
    """The slices at these rising positions; at most two runs of them are cut out, not gathered."""
    breaks = np.flatnonzero(np.diff(index) != 1) + 1
    if len(breaks) > 1:
        return gather_rows(arr, index.astype(np.int32), axis)
    runs = tuple((int(run[0]), int(run[-1]) + 1) for run in np.split(index, breaks) if len(run))
    return _cut_rows(arr, runs, axis)


@fused(static_argnums=(1, 2))
def _cut_rows(arr: ArrayLike, runs: tuple, axis: int | None) -> Array:
    x, axis = along("delete", arr, axis)
    parts = [lax.slice_in_dim(x, start, stop, axis=axis) for start, stop in runs or ((0, 0),)]
    return _concatenated(parts, axis)


@fused(static_argnums=(2,))
def _delete_traced(arr: ArrayLike, obj: ArrayLike, axis: int | None) -> Array:
    x, axis = along("delete", arr, axis)
    size = x.shape[axis]
    gone = lax.sort(_wrapped_positions(structural.reshape(obj, (obj.size,)), size))
    kept = lax.iota(gone.dtype, size - gone.size)
    # Position i of the result skips every deleted position that is not after it.
    before = lax.sub(gone, lax.iota(gone.dtype, gone.size))
    skipped = lax.ge(broadcast(structural.reshape(kept, (*kept.shape, 1)),
                               (*kept.shape, gone.size)), broadcast(before, (kept.size, gone.size)))
    count = structural.reduce_sum(structural.convert_element_type(skipped, gone.dtype), (1,))
    return take_rows(x, lax.add(kept, count), axis)


def _wrapped_positions(index: Any, size: int) -> Any:
    zero, full = scalar_like(index, 0), scalar_like(index, size)
    index = lax.select(lax.lt(index, zero), lax.add(index, full), index)
    return lax.clamp(zero, index, full)


# --- insert ------------------------------------------------------------------------------------


def insert(arr: ArrayLike, obj: ArrayLike | slice, values: ArrayLike,
           axis: int | None = None) -> Array:
    """arr with values put in front of the positions obj along the axis (or of the flat array)."""
    arr = operand("insert", arr)
    size, axis = _axis_size(arr, axis)
    obj = np.arange(*obj.indices(size)) if isinstance(obj, slice) else operand("insert", obj, 1)
    if np.ndim(obj) > 1:
        raise ValueError(errors.describe(
            "obj must be a slice, a one-dimensional array, or a scalar",
            fix="jnp.insert(x, jnp.ravel(obj), values)"))
    values = operand("insert", values, 2)
    if isinstance(obj, Tracer) and obj.concrete() is None:
        return _insert(arr, obj, values, axis)
    index = np.asarray(obj if not isinstance(obj, Tracer) else obj.concrete())
    if index.dtype.kind == "b":
        index = np.flatnonzero(index)
    return _insert(arr, index.astype(np.int32), values, axis)


@fused(static_argnums=(3,))
def _insert(arr: ArrayLike, obj: ArrayLike, values: ArrayLike, axis: int | None) -> Array:
    x, axis = along("insert", arr, axis)
    obj, values = as_array(obj), as_array(convert(as_array(values), x.dtype))
    size = x.shape[axis]
    index = _wrapped_positions(structural.reshape(obj, (obj.size,)), size)
    if obj.size == 1:  # as in NumPy: the values may be several slices for the one position
        values = to_rank(values, x.ndim)
        if not obj.ndim:
            values = _moveaxis.body(values, 0, axis)
        index = broadcast(index, (values.shape[axis],))
    values = broadcast(values, (*x.shape[:axis], index.size, *x.shape[axis + 1:]))
    # Values come first among equal keys, so each one lands in front of its position.
    keys = lax.concatenate([index, lax.iota(index.dtype, size)], 0)
    order = lax.sort((keys, lax.iota(np.int32, keys.size)), is_stable=True, num_keys=1)[1]
    return take_rows(lax.concatenate([values, x], axis), order, axis)


# --- resize, trim_zeros ------------------------------------------------------------------------


def resize(a: ArrayLike, new_shape: int | Sequence[int]) -> Array:
    """The elements of a, repeated as often as needed, in another shape; zeros if a is empty."""
    return _resize(a, shape_tuple(_sizes(new_shape)))


@fused(static_argnums=(1,))
def _resize(a: ArrayLike, new_shape: tuple[int, ...]) -> Array:
    x, _ = along("resize", a, None)
    total = math.prod(new_shape)
    if not x.size or not total:
        return lax.full(new_shape, 0, x.dtype)
    if x.size < total:
        x = lax.tile(x, (-(-total // x.size),))
    return structural.reshape(lax.slice_in_dim(x, 0, total), new_shape)


def trim_zeros(filt: ArrayLike, trim: str = "fb",
               axis: int | Sequence[int] | None = None) -> Array:
    """filt without the zeros in front ("f") and at the back ("b"), along the axes.

    The values must be concrete, since they decide the size.
    """
    filt = operand("trim_zeros", filt)
    value = filt.concrete() if isinstance(filt, Tracer) else filt
    if value is None:
        raise errors.ConcretizationTypeError(
            filt, "Error arose in the `filt` argument of trim_zeros()")
    x = as_array(filt)
    if not x.ndim:
        return x
    axes = range(x.ndim) if axis is None else (axis,) if np.ndim(axis) == 0 else axis
    axes = {canonicalize_axis(operator.index(i), x.ndim) for i in axes}
    found = np.nonzero(np.asarray(value))
    trim = trim.lower()
    bounds = []
    for i, size in enumerate(x.shape):
        low, high = (found[i].min(), found[i].max() + 1) if len(found[i]) else (size, size)
        low = low if i in axes and "f" in trim else 0
        bounds.append((int(low), int(high) if i in axes and "b" in trim else size))
    return _cut(x, tuple(bounds))


@fused(static_argnums=(1,))
def _cut(x: Array, bounds: tuple) -> Array:
    return lax.slice(x, [low for low, _ in bounds], [max(low, high) for low, high in bounds])
