"""Shapes and axes of arrays: reshape, transpose, squeeze, broadcast, flip, roll, repeat, tile.

Invariant: a call that changes nothing returns its operand, and every other one is as few
operations as the lax layer allows; sizes, axes and orders are static.

    reshape(x, (2, -1)), moveaxis(x, 0, -1), expand_dims(x, (0, 2))
    broadcast_to(x, (5, 3)), repeat(x, 2, axis=0), roll(x, 1)
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.dims import constant, index, indices
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import Tracer, structural
from minijax.lax.explicit import check_same_sums, left_to_compiler, split_as
from minijax.lax.rules import ArrayLike, asked, scalar_like
from minijax.numpy.creation import shape_tuple
from minijax.numpy.promotion import (
    along, array_operand, as_array, broadcast, indexed_axes, keep_axes, operand)
from minijax.numpy.reductions import static_axis
from minijax.runtime.call import fused
from minijax.sharding.context import NO_MESH
from minijax.sharding.named import padded

Axes = int | Sequence[int]

# Tuples of static sizes are compared with ==, and (2.0, 3) would be taken for (2, 3).
_INT_ONLY = {int}

# --- reshape, ravel ----------------------------------------------------------------------------


def reshape(a: ArrayLike, shape: Any, order: str = "C", *, copy: bool | None = None,
            out_sharding: Any = None) -> Array:
    """The elements of a in another shape, one size of which may be -1; order "C" or "F".

    TypeError when the number of elements does not fit.
    """
    if out_sharding is None:
        return _reshape(a, _sizes(shape), order, bool(copy))
    check_same_sums(a, out_sharding, "reshape")
    sharding = asked(out_sharding, "reshape")
    if order == "C" and getattr(sharding, "mesh", NO_MESH).explicit_axes:
        a = array_operand("reshape", a)
        sizes = _known_sizes(a.shape, _sizes(shape))
        return structural.reshape_p.bind(a, new_sizes=sizes, dimensions=None,
                                         sharding=padded(sharding, len(sizes)))
    return split_as(_reshape(a, _sizes(shape), order, bool(copy)), sharding, "reshape")


def _sizes(shape: Any) -> tuple[int, ...]:
    """Sizes as a tuple of ints, -1 among them; TypeError for what is no integer."""
    if type(shape) is int:
        return (shape,)
    if type(shape) is tuple and set(map(type, shape)) <= _INT_ONLY:
        return shape
    shape = tuple(shape) if np.iterable(shape) else (shape,)
    try:
        return tuple(map(operator.index, shape))
    except TypeError:
        return shape_tuple(shape) if constant(*shape) else indices(shape)


@fused(static_argnums=(1, 2, 3))
def _reshape(a: ArrayLike, shape: tuple[int, ...], order: str = "C", copy: bool = False) -> Array:
    a = array_operand("reshape", a)
    sizes = _known_sizes(a.shape, shape)
    if order == "F":
        axes = tuple(range(a.ndim))[::-1]
        back = tuple(range(len(sizes)))[::-1]
        return lax.transpose(lax.reshape(a, sizes[::-1], axes), back)
    if order != "C":
        raise _bad_order("reshape", order)
    if sizes == a.shape:
        return lax.copy_p.bind(a) if copy else a
    return structural.reshape(a, sizes)


def _bad_order(name: str, order: Any) -> Exception:
    if order in ("A", "K"):
        title = "Ravel not implemented for order='K'." if (name, order) == ("ravel", "K") else \
            f"np.{name} order={order} is not implemented."
        return NotImplementedError(errors.describe(title, fix="order='C' or order='F'"))
    return ValueError(errors.describe(f"Unexpected value for 'order' argument: {order}.",
                                      fix="order='C' or order='F'"))


def _known_sizes(have: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The new shape with its -1 filled in."""
    total = math.prod(have)
    if -1 not in shape:
        sizes = shape_tuple(shape)
        if math.prod(sizes) != total:
            raise TypeError(errors.describe(
                f"cannot reshape array of shape {have} (size {total}) into shape {shape} "
                f"(size {math.prod(sizes)})",
                fix="let one size be inferred, e.g. x.reshape(3, -1)"))
        return sizes
    if shape.count(-1) > 1:
        raise TypeError(errors.describe(
            f"can only specify one unknown axis size with a `-1` value, got {shape}",
            fix="give all sizes but one"))
    known = shape_tuple(tuple(n for n in shape if n != -1))
    rest = math.prod(known)
    if not constant(total) and not total % -rest:  # -rest: as constraints of users have it
        return tuple([-(total // -rest) if n == -1 else n for n in shape])
    if rest == 0 or total % rest:
        raise TypeError(errors.describe(
            f"cannot reshape array of shape {have} (size {total}) into shape {shape} because the "
            f"product of specified axis sizes ({rest}) does not evenly divide {total}",
            fix="choose sizes whose product divides the number of elements"))
    return tuple([total // rest if n == -1 else index(n) for n in shape])


@fused(static_argnums=(1,))
def _ravel(a: ArrayLike, order: str = "C") -> Array:
    a = array_operand("ravel", a)
    if order == "F":
        return lax.reshape(a, (a.size,), tuple(range(a.ndim))[::-1])
    if order != "C":
        raise _bad_order("ravel", order)
    return a if a.ndim == 1 else structural.reshape(a, (a.size,))


def ravel(a: ArrayLike, order: str = "C", *, out_sharding: Any = None) -> Array:
    """The elements of a in a vector; order "C" or "F"."""
    return _ravel(a, order) if out_sharding is None else reshape(
        a, -1, order, out_sharding=out_sharding)


# --- Order of axes -----------------------------------------------------------------------------


@fused(static_argnums=(1,))
def _transpose(a: ArrayLike, axes: Any = None) -> Array:
    a = array_operand("transpose", a)
    if axes is None:
        axes = tuple(range(a.ndim))[::-1]
    else:
        axes = tuple([canonicalize_axis(i, a.ndim) for i in axes])
    return _permuted(a, axes)


def _permuted(a: Any, axes: tuple[int, ...]) -> Any:
    return a if axes == tuple(range(a.ndim)) else structural.transpose(a, axes)


def transpose(a: ArrayLike, axes: Sequence[int] | None = None) -> Array:
    """a with axis axes[i] at place i; by default all axes in reverse order."""
    return _transpose(a, None if axes is None else tuple(map(operator.index, axes)))


def permute_dims(a: ArrayLike, /, axes: tuple[int, ...]) -> Array:
    """a with axis axes[i] at place i."""
    return transpose(a, axes)


@fused
def matrix_transpose(x: ArrayLike, /) -> Array:
    """x with its last two axes exchanged; ValueError below rank 2."""
    x = array_operand("matrix_transpose", x)
    ndim = x.ndim
    if ndim < 2:
        raise ValueError(errors.describe(
            f"x must be at least two-dimensional for matrix_transpose; got ndim={ndim}",
            fix="add axes first, e.g. x[None, :]"))
    return structural.transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


@fused(static_argnums=(1, 2))
def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Array:
    """a with two axes exchanged."""
    a = array_operand("swapaxes", a)
    axes = list(range(a.ndim))
    (i,), (j,) = indexed_axes(axis1, a.ndim), indexed_axes(axis2, a.ndim)
    axes[i], axes[j] = j, i
    return _permuted(a, tuple(axes))


@fused(static_argnums=(1, 2))
def _moveaxis(a: ArrayLike, source: Any, destination: Any) -> Array:
    a = array_operand("moveaxis", a)
    source = _axis_tuple(source, a.ndim)
    destination = _axis_tuple(destination, a.ndim)
    if len(source) != len(destination):
        raise ValueError(errors.describe(
            f"Inconsistent number of elements: {len(source)} vs {len(destination)}",
            fix="name one destination for each source axis"))
    order = [i for i in range(a.ndim) if i not in source]
    for to, at in sorted(zip(destination, source)):
        order.insert(to, at)
    return _permuted(a, tuple(order))


def _axis_tuple(axes: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front, in the order given and perhaps repeated."""
    return tuple(canonicalize_axis(i, ndim) for i in ((axes,) if type(axes) is int else axes))


def moveaxis(a: ArrayLike, source: Axes, destination: Axes) -> Array:
    """a with the source axes at the destinations, the others in order."""
    return _moveaxis(a, static_axis(source), static_axis(destination))


@fused(static_argnums=(1, 2))
def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Array:
    """a with the axis moved in front of what is now axis `start`."""
    a = array_operand("rollaxis", a)
    start = a.ndim if start == a.ndim else canonicalize_axis(start, a.ndim)
    axis = canonicalize_axis(axis, a.ndim)
    return _moveaxis.body(a, axis, start - 1 if axis < start else start)


# --- Axes of size 1 ----------------------------------------------------------------------------


@fused(static_argnums=(1,))
def _squeeze(a: ArrayLike, axis: Any = None) -> Array:
    a = array_operand("squeeze", a)
    if axis is None:
        axis = tuple(i for i, size in enumerate(a.shape) if size == 1)
    axes = canonicalize_axes(axis, a.ndim)
    return lax.squeeze(a, axes) if axes else a


def squeeze(a: ArrayLike, axis: Axes | None = None) -> Array:
    """a without the axes, which must have size 1; by default without all such axes."""
    return _squeeze(a, static_axis(axis))


@fused(static_argnums=(1,))
def _expand_dims(a: ArrayLike, axis: Any) -> Array:
    a = array_operand("expand_dims", a)
    given = (axis,) if type(axis) is int else axis
    ndim = a.ndim + len(given)
    new = [canonicalize_axis(i, ndim) for i in given]
    if len(set(new)) != len(new):
        raise ValueError(errors.describe(f"repeated axis in lax.expand_dims: {tuple(given)}",
                                         fix="name each new axis once"))
    return keep_axes(a, new, ndim)


def expand_dims(a: ArrayLike, axis: Axes) -> Array:
    """a with new axes of size 1 at these places of the result."""
    return _expand_dims(a, static_axis(axis))


def _at_least(name: str, x: Any, rank: int) -> Any:
    x = array_operand(name, x)
    ndim = x.ndim
    if ndim >= rank:
        return x
    front = 1 if rank == 3 and ndim == 1 else rank - ndim if rank < 3 else rank - ndim - (ndim > 0)
    shape = (1,) * front + x.shape
    shape += (1,) * (rank - len(shape))
    return structural.broadcast_in_dim(x, shape, tuple(range(front, front + ndim)))


def _all_at_least(name: str, arys: tuple, rank: int) -> Any:
    results = [_at_least(name, x, rank) for x in arys]
    return results[0] if len(results) == 1 else results


@fused
def atleast_1d(*arys: ArrayLike) -> Array | list[Array]:
    """The array with rank 1 or more; a list of arrays for several."""
    return _all_at_least("atleast_1d", arys, 1)


@fused
def atleast_2d(*arys: ArrayLike) -> Array | list[Array]:
    """The array with rank 2 or more, new axes in front; a list of arrays for several."""
    return _all_at_least("atleast_2d", arys, 2)


@fused
def atleast_3d(*arys: ArrayLike) -> Array | list[Array]:
    """The array with rank 3 or more, a vector in the middle axis; a list for several."""
    return _all_at_least("atleast_3d", arys, 3)


# --- Broadcasting ------------------------------------------------------------------------------


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """The shape to which all the shapes broadcast; ValueError if there is none."""
    return lax.broadcast_shapes(*[_sizes(shape) for shape in shapes])


@fused(static_argnums=(1,))
def _broadcast_to(array: ArrayLike, shape: tuple[int, ...]) -> Array:
    x = array_operand("broadcast_to", array)
    if x.ndim > len(shape):
        raise ValueError(errors.describe(
            "Cannot broadcast to shape with fewer dimensions: "
            f"arr_shape={x.shape} shape={shape}", fix="reshape the array first"))
    if any(n not in (1, m) for n, m in zip(x.shape, shape[len(shape) - x.ndim:])):
        want = ",".join(map(str, shape))
        have = ",".join(map(str, x.shape))
        raise ValueError(errors.describe(
            f"Incompatible types for broadcasting: input type={x.dtype}[{have}] and requested "
            f"type={x.dtype}[{want}]", fix="sizes must be equal or 1, counted from the last axis"))
    return broadcast(x, shape)


def broadcast_to(array: ArrayLike, shape: Any, *, out_sharding: Any = None) -> Array:
    """The array repeated to the shape; ValueError when it does not broadcast to it."""
    if out_sharding is None:
        return _broadcast_to(array, _sizes(shape))
    return left_to_compiler("jnp.broadcast_to", _broadcast_to, out_sharding, array, _sizes(shape))


@fused
def _broadcast_arrays(*args: ArrayLike) -> list[Array]:
    xs = [array_operand("broadcast_arrays", x, i) for i, x in enumerate(args)]
    shape = lax.broadcast_shapes(*[x.shape for x in xs])
    return [broadcast(x, shape) for x in xs]


def broadcast_arrays(*args: ArrayLike) -> list[Array]:
    """The arrays repeated to their common shape."""
    return _broadcast_arrays(*args) if args else []


# --- Reversing and rolling ---------------------------------------------------------------------


@fused(static_argnums=(1, 2))
def _flip(m: ArrayLike, axis: Any = None, name: str = "flip") -> Array:
    m = array_operand(name, m)
    axes = canonicalize_axes(axis, m.ndim)
    return lax.rev(m, axes) if axes else m


def flip(m: ArrayLike, axis: Axes | None = None) -> Array:
    """m in reverse order along the axes, by default along all."""
    return _flip(m, static_axis(axis))


def fliplr(m: ArrayLike) -> Array:
    """m in reverse order along axis 1."""
    return _flip(m, 1, "fliplr")


def flipud(m: ArrayLike) -> Array:
    """m in reverse order along axis 0."""
    return _flip(m, 0, "flipud")


@fused(static_argnums=(1, 2))
def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """m rotated k times by 90 degrees in the plane of two axes, from the first to the second."""
    m = array_operand("rot90", m)
    if m.ndim < 2:
        raise ValueError(errors.describe(
            "rot90 requires its first argument to have ndim at least two, but got first argument "
            f"of shape {m.shape}, which has ndim {m.ndim}", fix="add an axis, e.g. m[None, :]"))
    first, second = (canonicalize_axis(i, m.ndim) for i in axes)
    if first == second:
        raise ValueError(errors.describe(f"Axes must be different: got {axes}"))
    turns = k % 4
    if turns == 0:
        return m
    if turns == 2:
        return lax.rev(m, tuple(sorted((first, second))))
    if turns == 1:
        return swapaxes.body(lax.rev(m, (second,)), first, second)
    return lax.rev(swapaxes.body(m, first, second), (second,))


def roll(a: ArrayLike, shift: ArrayLike | Sequence[int], axis: Axes | None = None) -> Array:
    """a with its elements moved on by `shift` along the axes, those that fall off in front.

    Without an axis the flat array is rolled.  A traced shift is possible.
    """
    axis = static_axis(axis)
    if not isinstance(shift, (tuple, list)):
        shift = operand("roll", shift, 1)
    if isinstance(shift, Tracer) or isinstance(shift, Array) and shift.ndim and shift.size > 8:
        return _roll_dynamic(a, shift, axis)
    shifts = np.asarray(shift)
    shifts = tuple(map(int, shifts.ravel())) if shifts.ndim else int(shifts)
    return _roll_static(a, shifts, axis)


@fused(static_argnums=(1, 2))
def _roll_static(a: ArrayLike, shift: Any, axis: Any) -> Array:
    x = array_operand("roll", a)
    if axis is None:
        total = sum(shift) if isinstance(shift, tuple) else shift
        flat = structural.reshape(x, (x.size,))
        return structural.reshape(_rolled(flat, total, 0), x.shape)
    for amount, at in _shifts(shift, axis, x.ndim):
        x = _rolled(x, amount, at)
    return x


def _shifts(shift: Any, axis: Any, ndim: int) -> list[tuple[int, int]]:
    """Pairs of shift and axis, broadcast against each other."""
    axes = _axis_tuple(axis, ndim)
    shifts = shift if isinstance(shift, tuple) else (shift,)
    count = max(len(axes), len(shifts))
    if len(axes) not in (1, count) or len(shifts) not in (1, count):
        raise ValueError(errors.describe(
            "shape mismatch: objects cannot be broadcast to a single shape.",
            because=f"there are {len(shifts)} shifts and {len(axes)} axes",
            fix="give one shift for each axis"))
    return list(zip(shifts * (count // len(shifts)), axes * (count // len(axes))))


def _rolled(x: Any, shift: int, axis: int) -> Any:
    size = x.shape[axis]
    cut = -shift % size if size else 0
    if not cut:
        return x
    return lax.concatenate([lax.slice_in_dim(x, cut, size, axis=axis),
                            lax.slice_in_dim(x, 0, cut, axis=axis)], axis)


@fused(static_argnums=(2,))
def _roll_dynamic(a: ArrayLike, shift: ArrayLike, axis: Any) -> Array:
    x, shift = array_operand("roll", a), array_operand("roll", shift, 1)
    shape = x.shape
    if axis is None:
        x, axis = structural.reshape(x, (x.size,)), 0
    axes = _axis_tuple(axis, x.ndim)
    count = max(len(axes), shift.size)
    axes *= count // len(axes)
    shifts = broadcast(structural.reshape(shift, (shift.size,)), (count,))
    for i, at in enumerate(axes):
        amount = structural.reshape(lax.slice_in_dim(shifts, i, i + 1), ())
        x = _rolled_by(x, amount, at)
    return structural.reshape(x, shape)


def _rolled_by(x: Any, shift: Any, axis: int) -> Any:
    size = x.shape[axis]
    if not size:
        return x
    divisor = scalar_like(shift, size)
    rest = lax.rem(shift, divisor)
    rest = lax.select(lax.lt(rest, scalar_like(rest, 0)), lax.add(rest, divisor), rest)
    twice = lax.concatenate([x, x], axis)
    return lax.dynamic_slice_in_dim(twice, lax.sub(divisor, rest), size, axis)


# --- Repeating ---------------------------------------------------------------------------------


def tile(A: ArrayLike, reps: Any) -> Array:
    """A laid side by side reps[i] times along axis i; missing axes and counts are 1."""
    return _tile(A, _sizes(reps))


@fused(static_argnums=(1,))
def _tile(A: ArrayLike, reps: tuple[int, ...]) -> Array:
    x = array_operand("tile", A)
    reps = (1,) * (x.ndim - len(reps)) + reps
    x = broadcast(x, (1,) * (len(reps) - x.ndim) + x.shape)
    return lax.tile(x, reps) if reps else x


def repeat(a: ArrayLike, repeats: ArrayLike, axis: int | None = None, *,
           total_repeat_length: int | None = None, out_sharding: Any = None) -> Array:
    """a with each element along the axis (or of the flat array) `repeats` times.

    Under jit an array of repeats needs total_repeat_length, the size of the result: what is beyond
    it is cut off, and what is missing is filled with the last element.
    """
    a, repeats = operand("repeat", a), operand("repeat", repeats, 1)
    axis = None if axis is None or not np.ndim(a) else operator.index(axis)
    if isinstance(repeats, Tracer) and repeats.concrete() is None:
        if total_repeat_length is None:
            raise errors.ConcretizationTypeError(
                repeats, "When jit-compiling jnp.repeat, the total number of repeats must be "
                "static. To fix this, either specify a static value for `repeats`, or pass a "
                "static value to `total_repeat_length`.")
        return _repeat_traced(a, repeats, axis, operator.index(total_repeat_length))
    counts = np.asarray(repeats if not isinstance(repeats, Tracer) else repeats.concrete())
    if counts.dtype.kind not in "iub":
        raise TypeError(errors.describe(f"repeats must be integers, got dtype {counts.dtype}"))
    if counts.ndim == 0 and total_repeat_length is None:
        return _repeat_each(a, int(counts), axis)
    size = np.size(a) if axis is None else np.shape(a)[canonicalize_axis(axis, np.ndim(a))]
    counts = np.broadcast_to(counts.ravel(), (size,))
    index = np.repeat(np.arange(size), counts)
    if total_repeat_length is not None:
        length = operator.index(total_repeat_length)
        index = np.concatenate([index, np.full(max(length - len(index), 0), size - 1)])[:length]
    return gather_rows(a, index.astype(np.int32), axis)


@fused(static_argnums=(1, 2))
def _repeat_each(a: ArrayLike, count: int, axis: int | None) -> Array:
    x, axis = along("repeat", a, axis)
    shape_tuple((count,))
    spread = (*x.shape[:axis + 1], count, *x.shape[axis + 1:])
    kept = tuple(i for i in range(x.ndim + 1) if i != axis + 1)
    merged = (*x.shape[:axis], x.shape[axis] * count, *x.shape[axis + 1:])
    return structural.reshape(structural.broadcast_in_dim(x, spread, kept), merged)


@fused(static_argnums=(2,))
def gather_rows(a: ArrayLike, index: ArrayLike, axis: int | None) -> Array:
    """`take_rows` of the array, or of the flat array."""
    x, axis = along("take", a, axis)
    return take_rows(x, as_array(index), axis)


def take_rows(x: Any, index: Any, axis: int) -> Any:
    """The slices of `x` at a vector of positions, which must be in bounds, along the axis."""
    sizes = tuple(1 if i == axis else n for i, n in enumerate(x.shape))
    if not index.size:
        return lax.full((*x.shape[:axis], 0, *x.shape[axis + 1:]), 0, x.dtype)
    dims = lax.GatherDimensionNumbers(
        offset_dims=tuple(i for i in range(x.ndim) if i != axis), collapsed_slice_dims=(axis,),
        start_index_map=(axis,))
    starts = structural.reshape(index, (*index.shape, 1))
    return lax.gather(x, starts, dims, sizes, mode="promise_in_bounds")


@fused(static_argnums=(2, 3))
def _repeat_traced(a: ArrayLike, repeats: ArrayLike, axis: int | None, length: int) -> Array:
    x, axis = along("repeat", a, axis)
    size = x.shape[axis]
    repeats = broadcast(array_operand("repeat", repeats, 1), (size,))
    # Each element begins where the ones before it end: mark these places and count the marks.
    ends = lax.slice_in_dim(lax.cumsum(repeats, 0), 0, max(size - 1, 0))
    marks = lax.full((length,), 0, np.int32)
    dims = lax.ScatterDimensionNumbers(update_window_dims=(), inserted_window_dims=(0,),
                                       scatter_dims_to_operand_dims=(0,))
    ones = lax.full(ends.shape, 1, np.int32)
    marks = lax.scatter_add(marks, structural.reshape(ends, (*ends.shape, 1)), ones, dims,
                            mode="drop")
    return take_rows(x, lax.cumsum(marks, 0), axis)
