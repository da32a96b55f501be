"""Communication over named axes: `psum`, `all_gather`, `ppermute`, ... and `axis_index`.

`vmap(..., axis_name="i")` binds a name. Its own rule here removes the name and turns the operation
into a local one; names of enclosing axes stay in the parameters for the traces further out.

    >>> jax.vmap(lambda x: x / lax.psum(x, "i"), axis_name="i")(jnp.ones(4))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, aval_of, axis_data, linear, materialize,
                          move_axis, nondifferentiable)
from minijax.lax.elementwise import add, div, mul
from minijax.lax.gather import index_take
from minijax.lax.logic import select
from minijax.lax.reduction import reduce_max, reduce_min, reduce_sum
from minijax.lax.rules import scalar_like
from minijax.lax.shapes import broadcast_in_dim, full_like, iota, reshape

__all__ = ["all_gather", "all_to_all", "axis_index", "axis_size", "pmax", "pmean", "pmin",
           "ppermute", "pshuffle", "psum", "psum_scatter", "pswapaxes"]

AxisName = Any


def _names(axis_name: AxisName) -> tuple:
    return axis_name if isinstance(axis_name, tuple) else (axis_name,)


def _single(name: str, axis_name: AxisName) -> Any:
    """The one axis name that operations which move data take."""
    names = _names(axis_name)
    if len(names) != 1:
        raise NotImplementedError(errors.describe(
            f"{name} over several axes {names} at once", fix="communicate over one axis after the "
            "other"))
    axis_data(names[0])
    return names[0]


def _no_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(errors.describe(
            f"axis_index_groups not supported with {name} under vmap",
            fix="split the mapped axis with a reshape and two vmaps"))


def axis_size(axis_name: AxisName) -> int:
    """The size of a named axis, or the product of the sizes of several."""
    return math.prod(axis_data(name).size for name in _names(axis_name))


# --- Reductions over an axis -------------------------------------------------------------------


def _reduction(name: str, local: Callable, repeated: Callable[[Any, int], Any],
               **rules: Any) -> Primitive:
    """A collective whose result is the same everywhere along the axis.

    `repeated(x, n)` is the result when all n values are equal.
    """
    def vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], *, axes: tuple,
             axis_index_groups: Any) -> tuple:
        rest = tuple(a for a in axes if a != axis.name)
        x, dim = args[0], dims[0]
        if axis.name in axes:
            _no_groups(name, axis_index_groups)
            if dim is None:
                x = repeated(x, axis.size)
            else:
                x = local(x, (dim,))
                dim = None
        if rest:
            x = primitive.bind(x, axes=rest, axis_index_groups=axis_index_groups)
        return x, dim

    primitive = Primitive(name, shape=lambda x, **_: x, vmap=vmap,
                          axes=lambda params: params["axes"], **rules)
    return primitive


psum_p = _reduction(
    "psum", reduce_sum, lambda x, n: mul(x, scalar_like(x, n)), jvp=linear,
    transpose=lambda ct, x, *, axes, axis_index_groups: psum_p.bind(
        ct, axes=axes, axis_index_groups=axis_index_groups))
pmax_p = _reduction("pmax", reduce_max, lambda x, n: x)
pmin_p = _reduction("pmin", reduce_min, lambda x, n: x)


def _reduce(primitive: Primitive, x: Any, axis_name: AxisName, groups: Any) -> Any:
    names = _names(axis_name)
    for name in names:
        axis_data(name)
    params = dict(axes=names, axis_index_groups=groups)
    return tree.map(lambda leaf: primitive.bind(leaf, **params), x)


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The sum over the named axis (or axes) of each leaf; of a Python number, a Python number."""
    scalars = tree.leaves(x)
    if all(type(leaf) in (bool, int, float, complex) for leaf in scalars):
        size = axis_size(axis_name)
        return tree.map(lambda leaf: size * leaf, x)
    return _reduce(psum_p, x, axis_name, axis_index_groups)


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The mean over the named axis (or axes) of each leaf."""
    size = psum(1, axis_name, axis_index_groups=axis_index_groups)
    total = psum(x, axis_name, axis_index_groups=axis_index_groups)
    return tree.map(lambda v: v / size if type(v) in (int, float, complex)
                    else div(v, scalar_like(v, size)), total)


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The maximum over the named axis (or axes) of each leaf."""
    return _reduce(pmax_p, x, axis_name, axis_index_groups)


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The minimum over the named axis (or axes) of each leaf."""
    return _reduce(pmin_p, x, axis_name, axis_index_groups)


# --- The index ---------------------------------------------------------------------------------


def _axis_index_vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], *,
                     axis_name: Any) -> tuple:
    return iota(np.dtype(np.int32), axis.size), 0


axis_index_p = Primitive(
    "axis_index", shape=lambda *, axis_name: ShapedArray((), np.dtype(np.int32)),
    jvp=nondifferentiable, vmap=_axis_index_vmap, axes=lambda params: (params["axis_name"],))


def axis_index(axis_name: AxisName) -> Array:
    """The position along the named axis, an int32; row-major over several names."""
    index = None
    for name in _names(axis_name):
        size = axis_data(name).size
        own = axis_index_p.bind(axis_name=name)
        index = own if index is None else add(mul(index, np.int32(size)), own)
    return index


# --- Moving data along an axis -----------------------------------------------------------------


def _movement(name: str, shape: Callable, mapped: Callable, transpose: Callable) -> Primitive:
    """A linear collective; `mapped(axis, x, **params)` gets `x` with the axis in front.

    It returns the value and the place of the axis, or None if the value is equal along it.
    """
    def vmap(axis: Any, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        if params["axis_name"] == axis.name:
            _no_groups(name, params.get("axis_index_groups"))
            return mapped(axis, materialize(args[0], dims[0], axis.size), **params)
        out = primitive_over_batch(primitive, args[0], dims[0], axis.size, params)
        return out, 0

    primitive = Primitive(name, shape=shape, jvp=linear, transpose=transpose, vmap=vmap,
                          axes=lambda params: (params["axis_name"],))
    return primitive


_AXIS_PARAMS = ("all_gather_dimension", "scatter_dimension", "split_axis", "concat_axis")


def primitive_over_batch(primitive: Primitive, x: Any, dim: int, size: int, params: dict) -> Any:
    """The collective over an outer axis, on an operand with one more axis in front."""
    shifted = {k: v + 1 if k in _AXIS_PARAMS else v for k, v in params.items()}
    return primitive.bind(move_axis(x, dim, 0), **shifted)


def _ppermute_mapped(axis: Any, x: Any, *, axis_name: Any, perm: tuple) -> tuple:
    source = np.zeros(axis.size, np.int32)
    filled = np.zeros(axis.size, bool)
    for src, dst in perm:
        source[dst], filled[dst] = src, True
    out = index_take(x, (source,), (0,))
    if not filled.all():
        mask = broadcast_in_dim(filled, aval_of(out).shape, (0,))
        out = select(mask, out, full_like(out, 0))
    return out, 0


ppermute_p = _movement(
    "ppermute", lambda x, **_: x, _ppermute_mapped,
    lambda ct, x, *, axis_name, perm: ppermute_p.bind(
        ct, axis_name=axis_name, perm=tuple((dst, src) for src, dst in perm)))


def ppermute(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Send values along the axis, from src to dst for each pair; zeros where nothing arrives."""
    name = _single("ppermute", axis_name)
    perm = tuple((int(src), int(dst)) for src, dst in perm)
    size = axis_data(name).size
    for side in zip(*perm):
        if len(set(side)) != len(side) or any(not 0 <= i < size for i in side):
            raise ValueError(errors.describe(
                f"ppermute sources and destinations must be unique and in range({size}), "
                f"got {perm}", fix="name each source and each destination at most once"))
    return tree.map(lambda leaf: ppermute_p.bind(leaf, axis_name=name, perm=perm), x)


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """Position i receives the value of position `perm[i]`."""
    size = axis_size(axis_name)
    if sorted(perm) != list(range(size)):
        raise ValueError(errors.describe(
            f"`perm` does not represent a permutation: {perm}", fix=f"name each of 0..{size - 1}"))
    return ppermute(x, axis_name, [(src, dst) for dst, src in enumerate(perm)])


def _all_gather_shape(x: ShapedArray, *, all_gather_dimension: int, axis_size: int, tiled: bool,
                      **_: Any) -> ShapedArray:
    shape = list(x.shape)
    if tiled:
        shape[all_gather_dimension] *= axis_size
    else:
        shape.insert(all_gather_dimension, axis_size)
    return x.update(shape=tuple(shape))


def _all_gather_mapped(axis: Any, x: Any, *, all_gather_dimension: int, tiled: bool,
                       **_: Any) -> tuple:
    out = move_axis(x, 0, all_gather_dimension)
    return (_merge(out, all_gather_dimension) if tiled else out), None


def _merge(x: Any, at: int) -> Any:
    """Make the axes `at` and `at + 1` one."""
    shape = aval_of(x).shape
    return reshape(x, (*shape[:at], shape[at] * shape[at + 1], *shape[at + 2:]))


def _cut(x: Any, at: int, parts: int) -> Any:
    """Make the axis `at` two, the first of size `parts`."""
    shape = aval_of(x).shape
    return reshape(x, (*shape[:at], parts, shape[at] // parts, *shape[at + 1:]))


def _all_gather_transpose(ct: Any, x: Any, *, all_gather_dimension: int, **params: Any) -> Any:
    return reduce_scatter_p.bind(ct, scatter_dimension=all_gather_dimension, **params)


all_gather_p = _movement("all_gather", _all_gather_shape, _all_gather_mapped,
                         _all_gather_transpose)


def all_gather(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None, axis: int = 0,
               tiled: bool = False) -> Any:
    """All values along the named axis, stacked at `axis` (or concatenated, with `tiled`)."""
    name = _single("all_gather", axis_name)
    size = axis_data(name).size

    def gather(leaf: Any) -> Any:
        rank = aval_of(leaf).ndim + (not tiled)
        return all_gather_p.bind(leaf, all_gather_dimension=axis % max(rank, 1), axis_name=name,
                                 axis_index_groups=axis_index_groups, axis_size=size, tiled=tiled)
    return tree.map(gather, x)


def _reduce_scatter_shape(x: ShapedArray, *, scatter_dimension: int, axis_size: int, tiled: bool,
                          **_: Any) -> ShapedArray:
    shape = list(x.shape)
    size = shape[scatter_dimension]
    if size % axis_size or (not tiled and size != axis_size):
        raise ValueError(errors.describe(
            f"reduce_scatter operand scatter dimension size {size} must "
            + (f"be divisible by the axis size {axis_size}" if tiled
               else f"match the axis size {axis_size}"),
            fix="pad the operand, or use psum"))
    if tiled:
        shape[scatter_dimension] = size // axis_size
    else:
        del shape[scatter_dimension]
    return x.update(shape=tuple(shape))


def _reduce_scatter_mapped(axis: Any, x: Any, *, scatter_dimension: int, tiled: bool,
                           **_: Any) -> tuple:
    total = reduce_sum(x, (0,))
    if tiled:
        total = _cut(total, scatter_dimension, axis.size)
    return total, scatter_dimension


def _reduce_scatter_transpose(ct: Any, x: Any, *, scatter_dimension: int, **params: Any) -> Any:
    return all_gather_p.bind(ct, all_gather_dimension=scatter_dimension, **params)


reduce_scatter_p = _movement("reduce_scatter", _reduce_scatter_shape, _reduce_scatter_mapped,
                             _reduce_scatter_transpose)


def psum_scatter(x: Any, axis_name: AxisName, *, scatter_dimension: int = 0,
                 axis_index_groups: Any = None, tiled: bool = False) -> Any:
    """The sum over the named axis, of which each position keeps its part."""
    name = _single("psum_scatter", axis_name)
    size = axis_data(name).size
    return tree.map(lambda leaf: reduce_scatter_p.bind(
        leaf, scatter_dimension=scatter_dimension % aval_of(leaf).ndim, axis_name=name,
        axis_index_groups=axis_index_groups, axis_size=size, tiled=tiled), x)


def _all_to_all_shape(x: ShapedArray, *, split_axis: int, concat_axis: int, axis_name: Any,
                      tiled: bool, **_: Any) -> ShapedArray:
    size = axis_data(axis_name).size
    shape = list(x.shape)
    if tiled:
        if shape[split_axis] % size:
            raise ValueError(errors.describe(
                f"all_to_all operand dimension {split_axis} of size {shape[split_axis]} must be "
                f"divisible by the axis size {size}", fix="pad the operand"))
        shape[split_axis] //= size
        shape[concat_axis] *= size
    else:
        if shape[split_axis] != size:
            raise ValueError(errors.describe(
                f"all_to_all requires the size of the mapped axis axis_name to equal "
                f"x.shape[split_axis], but they are {size} and {shape[split_axis]} respectively.",
                fix="reshape the operand, or use tiled=True"))
        del shape[split_axis]
        shape.insert(concat_axis, size)
    return x.update(shape=tuple(shape))


def _all_to_all_mapped(axis: Any, x: Any, *, split_axis: int, concat_axis: int, tiled: bool,
                       **_: Any) -> tuple:
    if tiled:
        x = _cut(x, split_axis + 1, axis.size)
    # Receivers are along the split axis, which becomes the mapped one; senders were along axis 0.
    x = move_axis(x, split_axis + 1, 0)
    x = move_axis(x, 1, concat_axis + 1)
    return (_merge(x, concat_axis + 1) if tiled else x), 0


def _all_to_all_transpose(ct: Any, x: Any, *, split_axis: int, concat_axis: int,
                          **params: Any) -> Any:
    return all_to_all_p.bind(ct, split_axis=concat_axis, concat_axis=split_axis, **params)


all_to_all_p = _movement("all_to_all", _all_to_all_shape, _all_to_all_mapped,
                         _all_to_all_transpose)


def all_to_all(x: Any, axis_name: AxisName, split_axis: int, concat_axis: int, *,
               axis_index_groups: Any = None, tiled: bool = False) -> Any:
    """Cut each value along `split_axis`, send part i to position i, join along `concat_axis`."""
    name = _single("all_to_all", axis_name)
    return tree.map(lambda leaf: all_to_all_p.bind(
        leaf, split_axis=split_axis % aval_of(leaf).ndim,
        concat_axis=concat_axis % aval_of(leaf).ndim, axis_name=name,
        axis_index_groups=axis_index_groups, tiled=tiled), x)


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Exchange the named axis with the positional one, which has the same size."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)
