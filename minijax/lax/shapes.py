"""Making, reshaping, joining and splitting arrays, without touching their elements.

The one invariant: everything here is linear, so tangents are treated as the arrays are, and a
transpose undoes it: `pad` is transposed to cutting, `concatenate` to `split`, `tile` to a sum.

    >>> lax.pad(jnp.float32([1, 2]), 0.0, [(1, 0, 1)])
    Array([0., 1., 0., 2.], dtype=float32)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import (Primitive, ShapedArray, Tracer, Zero, aval_of, broadcast_in_dim_p,
                          convert_element_type_p, get_aval, instantiate, is_linear, linear,
                          materialize, move_axis, nondifferentiable, reduce_sum, reshape_p,
                          structural, transpose_p, zeros)
from minijax.lax.identity import stage
from minijax.lax.logic import select_n
from minijax.lax.rules import ArrayLike, check_dtype, check_same_dtypes
from minijax.lax.types import check_conversion

Shape = Sequence[int]


def _shape(sizes: int | Sequence[int], what: str) -> tuple[int, ...]:
    """A checked tuple of sizes; `what` names it in errors, e.g. "iota shape"."""
    try:
        shape = (operator.index(sizes),)
    except TypeError:
        shape = tuple(sizes)
    try:
        shape = tuple([operator.index(n) for n in shape])
    except TypeError as exc:
        if any(isinstance(n, Tracer) for n in shape):
            raise exc from None
        raise TypeError(errors.describe(
            f"{what} must have every element be an integer type, "
            f"got {tuple(type(n) for n in shape)}.", fix="use Python integers")) from None
    if any(n < 0 for n in shape):
        raise TypeError(errors.describe(
            f"{what} must have every element be nonnegative, got {shape}.",
            fix="sizes are static and not inferred here; jnp.reshape accepts one -1"))
    return shape


def _axes(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    return tuple([canonicalize_axis(a, ndim) for a in axes])


# --- Broadcasting ------------------------------------------------------------------------------


def broadcast_in_dim(operand: ArrayLike, shape: Shape, broadcast_dimensions: Sequence[int], *,
                     out_sharding: Any = None) -> Array:
    """`operand` repeated into `shape`; its axis i becomes axis `broadcast_dimensions[i]`.

    Axes of size 1 are stretched. Returns `operand` itself when nothing changes.
    """
    shape = _shape(shape, "broadcast_in_dim shape")
    dims = tuple([operator.index(d) for d in broadcast_dimensions])
    aval = get_aval(operand)
    if aval.shape == shape and isinstance(operand, (Array, Tracer)) and out_sharding is None:
        if dims == tuple(range(aval.ndim)):
            return operand
    _check_broadcast(aval.shape, shape, dims)
    order = tuple(sorted(range(len(dims)), key=dims.__getitem__))
    if order != tuple(range(len(dims))):
        operand = transpose_p.bind(operand, permutation=order)
        dims = tuple(sorted(dims))
    return broadcast_in_dim_p.bind(operand, shape=shape, broadcast_dimensions=dims,
                                   sharding=out_sharding)


def _check_broadcast(have: tuple, shape: tuple, dims: tuple) -> None:
    ndim, fail = len(have), None
    if len(dims) != ndim:
        fail = ("broadcast_dimensions must have length equal to operand ndim; got "
                f"broadcast_dimensions {dims} for operand ndim {ndim}.")
    elif len(shape) < ndim:
        fail = ("target broadcast shape must have equal or higher rank to the operand shape; got "
                f"operand ndim {ndim} and target broadcast ndim {len(shape)}.")
    elif any(d < 0 for d in dims):
        fail = f"broadcast_dimensions must have every element be nonnegative, got {dims}."
    elif any(d >= len(shape) for d in dims):
        fail = ("broadcast_dimensions must be a subset of output dimensions, got "
                f"{dims} for operand ndim {ndim} and shape {shape}.")
    elif len(set(dims)) != ndim:
        fail = ("broadcast_dimensions must not contain duplicates, got broadcast_dimensions "
                f"{dims}")
    elif any(n not in (1, shape[d]) for n, d in zip(have, dims)):
        fail = ("operand dimension sizes must either be 1, or be equal to their corresponding "
                f"dimensions in the target broadcast shape; got operand of shape {have}, target "
                f"broadcast shape {shape}, broadcast_dimensions {dims} ")
    if fail:
        raise TypeError(errors.describe(
            f"broadcast_in_dim {fail}", fix="use jnp.broadcast_to for NumPy's broadcasting"))


def broadcast(operand: ArrayLike, sizes: Sequence[int], *, out_sharding: Any = None) -> Array:
    """`operand` repeated along new leading axes of the given sizes."""
    if not len(sizes) and out_sharding is None and isinstance(operand, (Array, Tracer)):
        return operand
    have = get_aval(operand).shape
    dims = tuple(range(len(sizes), len(sizes) + len(have)))
    return broadcast_in_dim(operand, (*sizes, *have), dims, out_sharding=out_sharding)


def broadcast_to_rank(x: ArrayLike, rank: int) -> Array:
    """`x` with leading axes of size 1 up to `rank`."""
    have = get_aval(x).shape
    if len(have) >= rank:
        return x
    return expand_dims(x, range(rank - len(have)))


def broadcast_like(arr: ArrayLike, like_arr: ArrayLike) -> Array:
    """`arr` broadcast, as NumPy does, to the shape of `like_arr`."""
    have, want = get_aval(arr), get_aval(like_arr)
    if have.ndim > want.ndim:
        raise ValueError(errors.describe(
            f"Cannot broadcast to shape with fewer dimensions: arr_shape={have.shape} "
            f"shape={want.shape}", fix="exchange the arguments"))
    offset = want.ndim - have.ndim
    if any(n not in (1, m) for n, m in zip(have.shape, want.shape[offset:])):
        raise ValueError(errors.describe(
            f"Incompatible types for broadcasting: input type={have.str_short(False)} and "
            f"requested type={have.update(shape=want.shape).str_short(False)}",
            fix="axes are matched from the last; sizes must be equal or 1"))
    return broadcast_in_dim(arr, want.shape, tuple(range(offset, want.ndim)))


def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which NumPy broadcasts arrays of the given shapes; ValueError if none."""
    rank = builtin_max([len(s) for s in shapes])
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    result = tuple([next((n for n in sizes if n != 1), 1) for sizes in zip(*padded)])
    if any(n not in (1, m) for s in padded for n, m in zip(s, result)):
        raise ValueError(errors.describe(
            f"Incompatible shapes for broadcasting: shapes={[tuple(s) for s in shapes]}",
            fix="axes are matched from the last; sizes must be equal or 1"))
    return result


# --- One array, another shape ------------------------------------------------------------------


def reshape(operand: ArrayLike, new_sizes: Shape, dimensions: Sequence[int] | None = None, *,
            out_sharding: Any = None) -> Array:
    """`operand` with another shape of the same size, read in row-major order.

    `dimensions` is the order in which its axes are read. Returns `operand` itself when nothing
    changes.
    """
    new_sizes = _shape(new_sizes, "reshape new_sizes")
    aval = get_aval(operand)
    if dimensions is not None:
        dimensions = tuple([operator.index(d) for d in dimensions])
        if sorted(dimensions) != list(range(aval.ndim)):
            raise TypeError(errors.describe(
                "reshape dimensions must be a permutation of operand dimensions, got dimensions "
                f"{dimensions} for shape {aval.shape}.", fix="leave out `dimensions`"))
        operand = transpose(operand, dimensions)
        aval = get_aval(operand)
    if aval.shape == new_sizes and isinstance(operand, (Array, Tracer)) and out_sharding is None:
        return operand
    return reshape_p.bind(operand, new_sizes=new_sizes, dimensions=None, sharding=out_sharding)


def collapse(operand: Array, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """`operand` with its axes from start to stop (exclusive, default: all that follow) joined."""
    shape = get_aval(operand).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    if stop < start:
        raise ValueError(errors.describe(
            f"Invalid dimension range passed to collapse: {shape}[{start}:{stop}]",
            fix="lax.collapse(x, start, stop) needs start <= stop"))
    return reshape(operand, (*shape[:start], math.prod(shape[start:stop]), *shape[stop:]))


def transpose(operand: ArrayLike, permutation: Sequence[int] | np.ndarray) -> Array:
    """`operand` with axis `permutation[i]` at place i."""
    permutation = tuple([operator.index(i) for i in permutation])
    if permutation == tuple(range(get_aval(operand).ndim)) and isinstance(operand,
                                                                          (Array, Tracer)):
        return operand
    return transpose_p.bind(operand, permutation=permutation)


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """`array` with axes of size 1 at the given places of the result."""
    shape = get_aval(array).shape
    rank = len(shape) + len(dimensions)
    new = set(_axes(dimensions, rank))
    if len(new) != len(dimensions):
        raise ValueError(errors.describe(
            f"repeated axis in lax.expand_dims: {tuple(dimensions)}", fix="name each axis once"))
    sizes = iter(shape)
    result = [1 if i in new else next(sizes) for i in range(rank)]
    return broadcast_in_dim(array, result, [i for i in range(rank) if i not in new])


def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """`array` without the given axes, which have size 1."""
    shape = get_aval(array).shape
    axes = tuple(sorted(_axes(dimensions, len(shape))))
    if len(set(axes)) != len(axes):
        raise ValueError(errors.describe(f"dimensions are not unique: {tuple(dimensions)}",
                                         fix="name each axis once"))
    if any(shape[a] != 1 for a in axes):
        raise ValueError(errors.describe(
            "cannot select an axis to squeeze out which has size not equal to one, got "
            f"shape={shape} and dimensions={axes}", fix="reduce the axis, or index it"))
    if not axes and isinstance(array, (Array, Tracer)):
        return array
    return squeeze_p.bind(array, dimensions=axes)


def _without(shape: tuple[int, ...], axes: Sequence[int]) -> tuple[int, ...]:
    return tuple([n for i, n in enumerate(shape) if i not in axes])


def _squeeze_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int], *,
                  dimensions: tuple) -> tuple:
    dim = dims[0]
    shifted = tuple([a + (a >= dim) for a in dimensions])
    out = squeeze_p.bind(args[0], dimensions=shifted)
    return out, dim - sum([a < dim for a in shifted])


squeeze_p = Primitive(
    "squeeze", jvp=linear, vmap=_squeeze_vmap,
    shape=lambda x, *, dimensions: x.update(shape=_without(x.shape, dimensions)),
    transpose=lambda ct, x, *, dimensions: expand_dims(ct, dimensions))


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """`operand` with the order of elements along the given axes reversed."""
    return rev_p.bind(operand, dimensions=tuple(dimensions))


def _rev_shape(x: ShapedArray, *, dimensions: tuple) -> ShapedArray:
    fail = None
    if any(d < 0 for d in dimensions):
        fail = f"must have every element be nonnegative, got {dimensions}."
    elif len(set(dimensions)) != len(dimensions):
        fail = f"must be unique, got {dimensions}."
    elif any(d >= x.ndim for d in dimensions):
        fail = (f"must all be less than operand ndim, got dimensions {dimensions} for operand "
                f"ndim {x.ndim}.")
    if fail:
        raise TypeError(errors.describe(f"rev dimensions {fail}", fix="or use jnp.flip"))
    return x


def _rev_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int], *, dimensions: tuple) -> tuple:
    shifted = tuple([d + (d >= dims[0]) for d in dimensions])
    return rev_p.bind(args[0], dimensions=shifted), dims[0]


rev_p = Primitive("rev", shape=_rev_shape, jvp=linear, vmap=_rev_vmap,
                  transpose=lambda ct, x, *, dimensions: rev(ct, dimensions))


def tile(operand: ArrayLike, reps: Sequence[int]) -> Array:
    """`operand` repeated as a block `reps[i]` times along each axis i."""
    return tile_p.bind(operand, reps=tuple(reps))


def _tile_shape(x: ShapedArray, *, reps: tuple) -> ShapedArray:
    if len(reps) != x.ndim:
        raise TypeError(errors.describe(
            f"reps length must be equal to the ndim of x, got len(reps)={len(reps)} and "
            f"x.ndim={x.ndim}.", fix="use jnp.tile, which fills up with ones"))
    if any(r < 0 for r in reps):
        raise TypeError(errors.describe(f"tile reps must be nonnegative, got {reps}.",
                                        fix="use 0 for an empty result"))
    return x.update(shape=tuple([n * r for n, r in zip(x.shape, reps)]))


def _tile_transpose(ct: Any, x: Any, *, reps: tuple) -> Any:
    blocks = [n for pair in zip(reps, x.aval.shape) for n in pair]
    return reduce_sum(structural.reshape(ct, tuple(blocks)), tuple(range(0, len(blocks), 2)))


def _tile_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int], *, reps: tuple) -> tuple:
    dim = dims[0]
    return tile_p.bind(args[0], reps=(*reps[:dim], 1, *reps[dim:])), dim


tile_p = Primitive("tile", shape=_tile_shape, jvp=linear, transpose=_tile_transpose,
                   vmap=_tile_vmap)

# --- Joining and splitting ---------------------------------------------------------------------


def concatenate(operands: Array | Sequence[ArrayLike], dimension: int) -> Array:
    """The arrays joined along an existing axis; all have one dtype and rank."""
    if not len(operands):
        raise ValueError(errors.describe(
            "concatenate requires a non-empty sequences of arrays", fix="pass at least one array"))
    if isinstance(operands, (Array, Tracer, np.ndarray)):
        operands = unstack(operands)
    if len(operands) == 1 and isinstance(operands[0], (Array, Tracer)):
        return operands[0]
    return concatenate_p.bind(*operands, dimension=operator.index(dimension))


def _concatenate_shape(*avals: ShapedArray, dimension: int) -> ShapedArray:
    first = avals[0]
    shapes = ", ".join([str(a.shape) for a in avals])
    fail = None
    if any(a.ndim != first.ndim for a in avals):
        fail = f"Cannot concatenate arrays with different numbers of dimensions: got {shapes}."
    elif not 0 <= dimension < first.ndim:
        fail = f"concatenate dimension out of bounds: dimension {dimension} for shapes {shapes}."
    elif len({_without(a.shape, (dimension,)) for a in avals}) > 1:
        fail = ("Cannot concatenate arrays with shapes that differ in dimensions other than the "
                f"one being concatenated: concatenating along dimension {dimension} for shapes "
                f"{shapes}.")
    if fail:
        raise TypeError(errors.describe(fail, fix="reshape or broadcast the operands first"))
    check_same_dtypes("concatenate", avals, "concatenate")
    size = sum([a.shape[dimension] for a in avals])
    return first.update(shape=(*first.shape[:dimension], size, *first.shape[dimension + 1:]),
                        weak_type=all([a.weak_type for a in avals]))


def _concatenate_transpose(ct: Any, *operands: Any, dimension: int) -> list:
    sizes = [aval_of(x).shape[dimension] for x in operands]
    pieces = split(ct, sizes, dimension)
    return [p if is_linear(x) else None for p, x in zip(pieces, operands)]


def _all_batched(axis: Any, args: Sequence[Any], dims: Sequence[int | None]) -> tuple[list, int]:
    """All operands with the batch axis at one place."""
    dim = next(d for d in dims if d is not None)
    return [materialize(x, d, axis.size, dim) for x, d in zip(args, dims)], dim


def _concatenate_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int | None], *,
                      dimension: int) -> tuple:
    args, dim = _all_batched(axis, args, dims)
    return concatenate_p.bind(*args, dimension=dimension + (dimension >= dim)), dim


concatenate_p = Primitive("concatenate", shape=_concatenate_shape, jvp=linear,
                          transpose=_concatenate_transpose, vmap=_concatenate_vmap)


def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> Sequence[Array]:
    """`operand` cut along `axis` into pieces of the given sizes, as a list."""
    axis = canonicalize_axis(axis, get_aval(operand).ndim)
    return split_p.bind(operand, sizes=tuple([operator.index(n) for n in sizes]), axis=axis)


def _split_shape(x: ShapedArray, *, sizes: tuple, axis: int) -> list:
    fail = None
    if any(n < 0 for n in sizes):
        fail = f"Sizes passed to split must be nonnegative, got {list(sizes)}"
    elif sum(sizes) != x.shape[axis]:
        fail = (f"Sum of sizes {sum(sizes)} must be equal to dimension {axis} of the operand "
                f"shape {list(x.shape)}")
    if fail:
        raise ValueError(errors.describe(fail, fix="use jnp.split to cut at indices"))
    return [x.update(shape=(*x.shape[:axis], n, *x.shape[axis + 1:])) for n in sizes]


def _split_transpose(cts: Sequence[Any], x: Any, *, sizes: tuple, axis: int) -> Any:
    return concatenate([instantiate(ct) for ct in cts], axis)


def _split_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int], *, sizes: tuple,
                **params: Any) -> tuple:
    along = params["axis"]
    outs = split_p.bind(args[0], sizes=sizes, axis=along + (along >= dims[0]))
    return outs, dims * len(outs)
