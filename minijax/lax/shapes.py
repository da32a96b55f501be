"""Making, reshaping, joining and splitting arrays, without touching their elements.

The one invariant: everything here is linear, so tangents are treated as the arrays are, and a
transpose undoes it: `pad` is transposed to cutting, `concatenate` to `split`, `tile` to a sum.

    >>> lax.pad(jnp.float32([1, 2]), 0.0, [(1, 0, 1)])
    Array([0., 1., 0., 2.], dtype=float32)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minijax.base import dims, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import (Dims, Primitive, ShapedArray, Tracer, Values, aval_of, broadcast_in_dim_p,
                          convert_element_type_p, get_aval, instantiate_cotangent, is_linear,
                          is_valid, linear, materialize, materialize_output, nondifferentiable,
                          reduce_sum, reshape_p, sharding_of, structural, transpose_p, zeros)
from minijax.lax import elementwise, placement
from minijax.lax.identity import stage
from minijax.lax.logic import select_n
from minijax.lax.rules import (NUMBER, ArrayLike, along, asked, check_dtype, check_same_dtypes,
                               remembered)
from minijax.lax.types import check_conversion
from minijax.sharding.named import check_fits

Shape = Sequence[int]


def _shape(sizes: int | Sequence[int], what: str,
           rule: str = "have every element be nonnegative",
           tell_kinds: bool = False) -> tuple[int, ...]:
    """A checked tuple of sizes; `what` names it in errors, e.g. "iota shape"."""
    try:
        shape = tuple(map(operator.index, sizes))
    except TypeError:
        shape = dims.symbolic_shape_or_none(sizes)
        if shape is not None:
            return shape
        shape = _size_or_mistake(sizes, what, tell_kinds)
    if shape and min(shape) < 0:
        raise TypeError(errors.describe(
            f"{what} must {rule}, got {shape}.",
            fix="sizes are static and not inferred here; jnp.reshape accepts one -1"))
    return shape


def _size_or_mistake(sizes: Any, what: str, tell_kinds: bool) -> tuple[int, ...]:
    if hasattr(sizes, "__index__") and not isinstance(sizes, Tracer):
        return (operator.index(sizes),)
    sizes = tuple(sizes)
    for n in sizes:
        if isinstance(n, Tracer):
            operator.index(n)  # raises the error about traced sizes
    text = f"Shapes must be 1D sequences of concrete values of integer type, got {sizes}."
    if tell_kinds:
        kinds = tuple(type(n) for n in sizes)
        text = f"{what} must have every element be an integer type, got {kinds}."
    raise TypeError(errors.describe(text, because=f"it is the {what}", fix="use Python integers"))


def _axes(axes: Sequence[int], ndim: int) -> tuple[int, ...]:
    return tuple([canonicalize_axis(a, ndim) for a in axes])


# --- Broadcasting ------------------------------------------------------------------------------


def broadcast_in_dim(operand: ArrayLike, shape: Shape, broadcast_dimensions: Sequence[int], *,
                     out_sharding: Any = None) -> Array:
    """`operand` repeated into `shape`; its axis i becomes axis `broadcast_dimensions[i]`.

    Axes of size 1 are stretched. Returns `operand` itself when nothing changes.
    """
    shape = _shape(shape, "broadcast_in_dim shape", tell_kinds=True)
    dims = tuple(map(operator.index, broadcast_dimensions))
    have = aval_of(operand).shape
    dims, order = _broadcast_plan(have, shape, dims)
    if have == shape and order is None and out_sharding is None:
        if isinstance(operand, (Array, Tracer)):
            return operand
    if order is not None:
        operand = transpose_p.bind(operand, permutation=order)
    return broadcast_in_dim_p.bind(operand, shape=shape, broadcast_dimensions=dims,
                                   sharding=None if out_sharding is None else asked(
                                       out_sharding, "broadcast_in_dim"))


@lru_cache(maxsize=4096)
def _broadcast_plan(have: tuple, shape: tuple, dims: tuple) -> tuple[tuple, tuple | None]:
    """Increasing dimensions, and how to transpose the operand first (None: not at all)."""
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
    order = tuple(sorted(range(ndim), key=dims.__getitem__))
    if order == tuple(range(ndim)):
        return dims, None
    return tuple(sorted(dims)), order


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
    return broadcast_in_dim(arr, want.shape, tuple(range(offset, want.ndim)),
                            out_sharding=sharding_of(want))


def _indices(shape: Sequence[int]) -> tuple[int, ...]:
    """The shape as a tuple; TypeError unless it is a sequence of integers, none negative."""
    try:
        sizes = tuple([operator.index(n) for n in shape])
    except TypeError:
        symbolic = dims.symbolic_shape_or_none(shape)
        if symbolic is not None:
            return symbolic
        raise TypeError(errors.describe(
            "Shapes must be 1D sequences of concrete values of integer type, got "
            f"{shape}.", fix="use a tuple of integers")) from None
    if any(n < 0 for n in sizes):
        raise TypeError(errors.describe(
            "Only non-negative indices are allowed when broadcasting static shapes, but got "
            f"shape {shape!r}.", fix="use x.shape, which has no -1"))
    return sizes


@remembered(4096)
def broadcast_shapes(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape to which NumPy broadcasts arrays of the given shapes; ValueError if none."""
    sizes = [_indices(s) for s in shapes]
    rank = max([len(s) for s in sizes], default=0)
    padded = [(1,) * (rank - len(s)) + s for s in sizes]
    result = tuple([next((n for n in axis if n != 1), 1) for axis in zip(*padded)])
    if any(n not in (1, m) for s in padded for n, m in zip(s, result)):
        raise ValueError(errors.describe(
            f"Incompatible shapes for broadcasting: shapes={sizes}",
            fix="axes are matched from the last; sizes must be equal or 1"))
    return result


def shape_as_value(shape: Sequence[int]) -> Array:
    """The sizes in `shape` as a vector of integers."""
    if dims.constant(*shape):
        return stage(np.array(shape, np.int32))
    sizes = [np.int32(n) if dims.constant(n) else n.__jax_array__() for n in shape]
    sizes = [structural.convert_element_type(n, np.dtype(np.int32)) for n in sizes]
    return concatenate([reshape(n, (1,)) for n in sizes], 0)


# --- One array, another shape ------------------------------------------------------------------


def reshape(operand: ArrayLike, new_sizes: Shape, dimensions: Sequence[int] | None = None, *,
            out_sharding: Any = None) -> Array:
    """`operand` with another shape of the same size, read in row-major order.

    `dimensions` is the order in which its axes are read. Returns `operand` itself when nothing
    changes.
    """
    new_sizes = _shape(new_sizes, "reshape new_sizes", "all be positive")
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
    sharding = None if out_sharding is None else asked(out_sharding, "reshape")
    return reshape_p.bind(operand, new_sizes=new_sizes, dimensions=None, sharding=sharding)


def collapse(operand: Array, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """`operand` with its axes from start to stop (exclusive, default: all that follow) joined."""
    shape = get_aval(operand).shape
    start, stop, _ = slice(start_dimension, stop_dimension).indices(len(shape))
    if stop < start:
        raise ValueError(errors.describe(
            f"Invalid dimension range passed to collapse: {shape}[{start}:{stop}]",
            fix="lax.collapse(x, start, stop) needs start <= stop"))
    return reshape(operand, (*shape[:start], math.prod(shape[start:stop]), *shape[stop:]))


def merge_axes(x: Any, at: int, count: int = 2) -> Any:
    """`x` with the `count` axes from `at` on made one."""
    shape = aval_of(x).shape
    return reshape(x, (*shape[:at], math.prod(shape[at:at + count]), *shape[at + count:]))


def cut_axis(x: Any, at: int, *outer: int) -> Any:
    """`x` with the axis `at` made several, of the sizes `outer` and what remains."""
    shape = aval_of(x).shape
    parts = math.prod(outer)
    return reshape(x, (*shape[:at], *outer, shape[at] // parts if parts else 0, *shape[at + 1:]))


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


def _squeeze_vmap(axis: Any, args: Values, dims: Sequence[int], *, dimensions: tuple) -> tuple:
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


def _rev_vmap(axis: Any, args: Values, dims: Sequence[int], *, dimensions: tuple) -> tuple:
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


def _tile_vmap(axis: Any, args: Values, dims: Sequence[int], *, reps: tuple) -> tuple:
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


def _all_batched(axis: Any, args: Values, dims: Dims) -> tuple[list, int]:
    """All operands with the batch axis at one place."""
    dim = next(d for d in dims if d is not None)
    return [materialize_output(x, d, axis, dim) for x, d in zip(args, dims)], dim


def _concatenate_vmap(axis: Any, args: Values, dims: Dims, *, dimension: int) -> tuple:
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


def _split_transpose(cts: Values, x: Any, *, sizes: tuple, axis: int) -> Any:
    return concatenate([instantiate_cotangent(ct) for ct in cts], axis)


split_p = Primitive("split", shape=_split_shape, multiple_results=True, jvp=linear,
                    transpose=_split_transpose, vmap=along("axis"))


def stack(operands: Sequence[ArrayLike], axis: int = 0) -> Array:
    """The arrays, which have one shape and dtype, joined along a new axis."""
    if not len(operands):
        raise ValueError(errors.describe("stack requires at least one array",
                                         fix="pass a non-empty sequence"))
    return stack_p.bind(*operands, axis=canonicalize_axis(axis, get_aval(operands[0]).ndim + 1))


def _stack_shape(*avals: ShapedArray, axis: int) -> ShapedArray:
    first = avals[0]
    if any(a.shape != first.shape for a in avals):
        shapes = ", ".join([str(a.shape) for a in avals])
        raise ValueError(errors.describe(
            f"All input arrays must have the same shape. Got {shapes}.",
            fix="broadcast the arrays first"))
    check_same_dtypes("stack", avals)
    return first.update(shape=(*first.shape[:axis], len(avals), *first.shape[axis:]),
                        weak_type=all([a.weak_type for a in avals]))


def _stack_transpose(ct: Any, *operands: Any, axis: int) -> list:
    return [c if is_linear(x) else None for c, x in zip(unstack(ct, axis), operands)]


# The mapped axis is called `mapped` where a parameter of the primitive is called `axis`.
def _stack_vmap(mapped: Any, args: Values, dims: Dims, *, axis: int) -> tuple:
    args, dim = _all_batched(mapped, args, dims)
    return stack_p.bind(*args, axis=axis + (axis > dim)), dim + (axis <= dim)


stack_p = Primitive("stack", shape=_stack_shape, jvp=linear, transpose=_stack_transpose,
                    vmap=_stack_vmap)


def unstack(x: ArrayLike, axis: int = 0) -> tuple[Array, ...]:
    """The slices of `x` along `axis`, as a tuple."""
    return tuple(unstack_p.bind(x, axis=canonicalize_axis(axis, get_aval(x).ndim)))


def _unstack_shape(x: ShapedArray, *, axis: int) -> list:
    return [x.update(shape=_without(x.shape, (axis,)))] * x.shape[axis]


def _unstack_transpose(cts: Values, x: Any, *, axis: int) -> Any:
    return stack([instantiate_cotangent(ct) for ct in cts], axis)


def _unstack_vmap(mapped: Any, args: Values, dims: Sequence[int], *, axis: int) -> tuple:
    dim = dims[0]
    axis = axis + (axis >= dim)
    outs = unstack_p.bind(args[0], axis=axis)
    return outs, [dim - (axis < dim)] * len(outs)


unstack_p = Primitive("unstack", shape=_unstack_shape, multiple_results=True, jvp=linear,
                      transpose=_unstack_transpose, vmap=_unstack_vmap)

# --- pad ---------------------------------------------------------------------------------------


def pad(operand: ArrayLike, padding_value: ArrayLike,
        padding_config: Sequence[tuple[int, int, int]]) -> Array:
    """`operand` with the scalar `padding_value` around and between its elements.

    One entry (low, high, interior) per axis; negative low or high cut elements off.
    """
    config = tuple([(operator.index(low), operator.index(high), operator.index(interior))
                    for low, high, interior in padding_config])
    return pad_p.bind(operand, padding_value, padding_config=config)


def _padded_shape(shape: tuple, config: tuple) -> tuple[int, ...]:
    return tuple([low + high + n + max(n - 1, 0) * interior
                  for n, (low, high, interior) in zip(shape, config)])


def _pad_shape(x: ShapedArray, value: ShapedArray, *, padding_config: tuple) -> ShapedArray:
    fail = None
    if x.dtype != value.dtype:
        raise TypeError(errors.describe(
            "pad operand and padding_value must be same dtype: got "
            f"{x.dtype.name} and {value.dtype.name}.", fix="lax.pad(x, x.dtype.type(0), ...)"))
    if value.shape:
        fail = f"padding_value must be a scalar; got np.shape(padding_value)={value.shape}"
    elif len(padding_config) != x.ndim:
        fail = ("length of padding_config must equal the number of axes of operand, got "
                f"padding_config {padding_config} for operand shape {x.shape}")
    elif any(interior < 0 for _, _, interior in padding_config):
        fail = ("interior padding in padding_config must be nonnegative, got padding_config "
                f"{padding_config}")
    elif any(n < 0 for n in _padded_shape(x.shape, padding_config)):
        fail = ("Dimension size after padding is not at least 0, got result shape "
                f"{_padded_shape(x.shape, padding_config)}, for padding_config {padding_config} "
                f"and operand shape {x.shape}")
    if fail:
        raise ValueError(errors.describe(fail, fix="lax.pad(x, 0., [(1, 1, 0)] * x.ndim)"))
    return x.update(shape=_padded_shape(x.shape, padding_config),
                    weak_type=x.weak_type and value.weak_type)


def _cut_interior(x: Any, axis: int, interior: int) -> Any:
    """Every (interior + 1)-th element along `axis`, by a reshape to rows and a cut."""
    shape = aval_of(x).shape
    if not interior or not shape[axis]:
        return x
    zero = zeros(aval_of(x).update(shape=()))
    rows = (shape[axis] + interior) // (interior + 1)
    x = pad(x, zero, _config(len(shape), axis, interior))
    x = structural.reshape(x, (*shape[:axis], rows, interior + 1, *shape[axis + 1:]))
    x = pad(x, zero, _config(len(shape) + 1, axis + 1, -interior))
    return structural.reshape(x, (*shape[:axis], rows, *shape[axis + 1:]))


def _config(ndim: int, axis: int, high: int) -> list[tuple[int, int, int]]:
    return [(0, high if i == axis else 0, 0) for i in range(ndim)]


def _pad_transpose(ct: Any, x: Any, value: Any, *, padding_config: tuple) -> list:
    zero = zeros(aval_of(ct).update(shape=()))
    inner = pad(ct, zero, [(-low, -high, 0) for low, high, _ in padding_config])
    for axis, (_, _, interior) in enumerate(padding_config):
        inner = _cut_interior(inner, axis, interior)
    if not is_linear(value):
        return [inner, None]
    everything = tuple(range(len(padding_config)))
    rest = elementwise.sub(reduce_sum(ct, everything), reduce_sum(inner, everything))
    return [inner if is_linear(x) else None, rest]


def _pad_vmap(axis: Any, args: Values, dims: Dims, *, padding_config: tuple) -> tuple:
    x, value = args
    if dims[1] is None:
        config = list(padding_config)
        config.insert(dims[0], (0, 0, 0))
        return pad_p.bind(x, value, padding_config=tuple(config)), dims[0]
    x = materialize(x, dims[0], axis.size)
    config = ((0, 0, 0), *padding_config)
    padded = pad_p.bind(x, zeros(aval_of(value).update(shape=())), padding_config=config)
    inside = pad(full(aval_of(x).shape, np.True_), np.False_, config)
    values = structural.broadcast_in_dim(value, aval_of(padded).shape, (0,))
    return select_n(inside, values, padded), 0


pad_p = Primitive("pad", shape=_pad_shape, jvp=linear, transpose=_pad_transpose, vmap=_pad_vmap)

# --- New arrays --------------------------------------------------------------------------------


def full(shape: Shape, fill_value: ArrayLike, dtype: Any = None, *, sharding: Any = None) -> Array:
    """An array with `fill_value`, a scalar, everywhere; default dtype is that of the value."""
    shape = _shape(shape, "broadcast_in_dim shape")
    aval = get_aval(fill_value)
    if aval.shape:
        raise TypeError(errors.describe(
            f"full must be called with scalar fill_value, got fill_value.shape {aval.shape}.",
            fix="use jnp.broadcast_to(fill_value, shape)"))
    if dtype is None:
        value = fill_value
    else:
        value = _converted(fill_value, dtypes.check_user_dtype(dtype, "full"), False)
    if sharding is not None:
        check_fits(sharding, shape, "full results")
    elif not shape:
        return stage(value)
    return broadcast_in_dim_p.bind(value, shape=shape, broadcast_dimensions=(), sharding=sharding)


def _converted(value: Any, dtype: Any, weak: bool) -> Any:
    """The scalar `value` with a dtype: a literal unless it is traced or on a device."""
    if isinstance(value, (Array, Tracer)):
        aval = value.aval
        if aval.dtype == dtype and aval.weak_type == weak:
            return value
        check_conversion(aval.dtype, dtype)
        return convert_element_type_p.bind(value, new_dtype=dtype, weak_type=weak, sharding=None)
    value = np.asarray(value).astype(dtype)[()]
    return value.item() if weak and dtypes.scalar_dtype(type(value.item())) == dtype else value


def full_like(x: Any, fill_value: ArrayLike, dtype: Any = None, shape: Shape | None = None,
              sharding: Any = None) -> Array:
    """`full` with the shape and dtype of `x`, an array or anything that has these."""
    aval = x if hasattr(x, "shape") and hasattr(x, "dtype") else get_aval(x)
    weak = dtype is None and dtypes.is_weak(x)
    if dtype is None:
        dtype = dtypes.canonicalize_dtype(aval.dtype, allow_extended_dtype=True)
    else:
        dtype = dtypes.check_user_dtype(dtype, "full_like")
    shape = aval.shape if shape is None else shape
    if isinstance(dtype, dtypes.ExtendedDType):
        return dtype.full(tuple(shape), fill_value)
    device = placement.committed_device(x) if sharding is None else sharding
    out = full(shape, _converted(fill_value, dtype, weak), sharding=device)
    if device is None and tuple(shape) == aval.shape and is_valid(x):
        return placement.like(out, x)
    return out


def empty(shape: int | Shape, dtype: Any, *, out_sharding: Any = None) -> Array:
    """An array whose elements may be anything."""
    return empty_p.bind(shape=_shape(shape, "empty shape"),
                        dtype=dtypes.check_user_dtype(dtype, "empty"),
                        out_sharding=asked(out_sharding, "empty"))


empty_p = Primitive(
    "empty", shape=lambda *, shape, dtype, out_sharding: ShapedArray(shape, dtype),
    jvp=nondifferentiable)


def iota(dtype: Any, size: int) -> Array:
    """0, 1, ..., size - 1 in the given dtype."""
    return broadcasted_iota(dtype, (size,), 0)


def broadcasted_iota(dtype: Any, shape: Shape, dimension: int, *,
                     out_sharding: Any = None) -> Array:
    """An array whose elements are their index along the axis `dimension`."""
    return iota_p.bind(dtype=dtypes.check_user_dtype(dtype, "broadcasted_iota"),
                       shape=_shape(shape, "iota shape"), dimension=operator.index(dimension),
                       sharding=None if out_sharding is None else asked(
                           out_sharding, "broadcasted_iota"))


def _iota_shape(*, dtype: Any, shape: tuple, dimension: int, sharding: Any) -> ShapedArray:
    check_dtype("iota", dtype, NUMBER)
    if not 0 <= dimension < len(shape):
        raise ValueError(errors.describe(
            f"iota dimension must be between 0 and len(shape), got dimension={dimension} for "
            f"shape={shape}", fix="dimension names an axis of the result"))
    return ShapedArray(shape, dtype)


iota_p = Primitive("iota", shape=_iota_shape, jvp=nondifferentiable)
