"""Communication over named axes: `psum`, `all_gather`, `ppermute`, ... and `axis_index`.

`vmap(..., axis_name="i")` binds a name. Its own rule here removes the name and turns the operation
into a local one; names of enclosing axes stay in the parameters for the traces further out.

    >>> jax.vmap(lambda x: x / lax.psum(x, "i"), axis_name="i")(jnp.ones(4))
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import (Primitive, ShapedArray, Values, aval_of, axis_data, batch,
                          convert_element_type, linear, manual_type, materialize, move_axis,
                          nondifferentiable, with_varying)
from minijax.lax import casts
from minijax.lax.casts import bound, names_of, pcast, placed, typed_axes, vary
from minijax.lax.elementwise import add, mul
from minijax.lax.gather import index_take
from minijax.lax.logic import eq, select
from minijax.lax.reduction import reduce_max, reduce_min, reduce_sum
from minijax.lax.rules import scalar_like
from minijax.lax.shapes import broadcast_in_dim, cut_axis, full_like, iota, merge_axes, squeeze
from minijax.lax.slicing import dynamic_slice_in_dim, index_in_dim

__all__ = ["all_gather", "all_to_all", "axis_index", "axis_size", "pbroadcast", "pmax", "pmean",
           "pcast", "pmin", "ppermute", "pshuffle", "psum", "psum_scatter", "pswapaxes"]

AxisName = Any


def _no_groups(name: str, groups: Any) -> None:
    if groups is not None:
        raise NotImplementedError(errors.describe(
            f"axis_index_groups not supported in vmap collectives, here {name}.",
            fix="split the mapped axis with a reshape and two vmaps"))


def axis_size(axis_name: AxisName) -> int:
    """The size of a named axis, or the product of the sizes of several."""
    return math.prod(axis_data(name).size for name in names_of(axis_name))


def _in_groups(names: AxisName, groups: Any) -> tuple[int, tuple | None]:
    """How many positions communicate with each other, and the groups of them as tuples."""
    if groups is None:
        return axis_size(names), None
    if len(set(map(len, groups))) > 1:
        raise ValueError(errors.describe(
            f"axis_index_groups must all have the same size; got {groups}",
            fix="groups of one size; psum, pmax and pmin take others, too"))
    return len(groups[0]), tuple(map(tuple, groups))


def _index_place(avals: Sequence[Any], outs: Sequence[Any], *, axis_name: Any) -> list:
    return [with_varying(outs[0], frozenset(typed_axes((axis_name,))))]


# --- Reductions over an axis -------------------------------------------------------------------


def _reduction(name: str, local: Callable, repeated: Callable[[Any, int], Any],
               **rules: Any) -> Primitive:
    """A collective whose result is the same everywhere along the axis.

    `repeated(x, n)` is the result when all n values are equal.
    """
    def vmap(axis: Any, args: Values, dims: Sequence[Any], *, axes: tuple, **params: Any) -> tuple:
        rest = tuple(a for a in axes if a != axis.name)
        x, dim = args[0], dims[0]
        if axis.name in axes:
            _no_groups(name, params.get("axis_index_groups"))
            x, dim = (repeated(x, axis.size) if dim is None else local(x, (dim,))), None
        if rest:
            x = primitive.bind(x, axes=rest, **params)
        return x, dim

    rules = {"place": placed("varying", None), **rules}
    primitive = Primitive(name, shape=lambda x, **_: x, vmap=vmap,
                          axes=lambda params: params["axes"], **rules)
    return primitive


_sum = functools.partial(_reduction, local=reduce_sum, jvp=linear,
                         repeated=lambda x, n: mul(x, scalar_like(x, n)))
psum_p = _sum(
    "psum", transpose=lambda ct, x, *, axes, axis_index_groups: psum_p.bind(
        ct, axes=axes, axis_index_groups=axis_index_groups))
# The sum over axes that types keep account of: its result is known to be the same along them.
psum_invariant_p = _sum(
    "psum_invariant", show={"axis_index_groups": None},
    transpose=lambda ct, x, *, axes, axis_index_groups: vary(ct, axes))
# The sum of what is a sum already, whose terms are on the devices along the axes.
unreduced_psum_p = _sum(
    "unreduced_psum", place=placed("unreduced", None),
    transpose=lambda ct, x, *, axes: casts.preduced_p.bind(ct, axes=axes))
casts.psum_invariant_p, casts.unreduced_psum_p = psum_invariant_p, unreduced_psum_p
pmax_p = _reduction("pmax", reduce_max, lambda x, n: x)
pmin_p = _reduction("pmin", reduce_min, lambda x, n: x)


def _reduce(primitive: Primitive, local: Callable, x: Any, axis_name: AxisName,
            groups: Any) -> Any:
    """The reduction of each leaf; integers among the names are axes of the leaf itself."""
    places = tuple(a for a in names_of(axis_name) if type(a) is int)
    names = bound(tuple(a for a in names_of(axis_name) if type(a) is not int), primitive.name)
    groups = groups and tuple(map(tuple, groups))

    def reduced(leaf: Any) -> Any:
        if places:
            rank = aval_of(leaf).ndim
            leaf = local(leaf, tuple(canonicalize_axis(a, rank) for a in places))
        typed = typed_axes(names)
        terms = manual_type(aval_of(leaf)).unreduced.intersection(typed)
        if terms and primitive is psum_p:
            leaf = unreduced_psum_p.bind(leaf, axes=tuple(a for a in typed if a in terms))
            typed = [a for a in typed if a not in terms]
        if typed and groups is not None:
            raise NotImplementedError(errors.describe(
                f"axis_index_groups in {primitive.name} under shard_map with check_vma=True",
                fix="jax.shard_map(f, ..., check_vma=False)"))
        rest = [a for a in names if a not in typed and a not in terms]
        for own, axes in ((invariant, typed), (primitive, rest)):
            if axes:
                leaf = own.bind(vary(leaf, axes), axes=tuple(axes), axis_index_groups=groups)
        return leaf
    invariant = psum_invariant_p if primitive is psum_p else primitive
    return tree.map(reduced, x)


def _number(x: Any) -> Any:
    """Booleans as integers, which have a sum."""
    return convert_element_type(x, np.dtype(np.int32)) if aval_of(x).dtype == np.bool_ else x


def psum(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The sum over the named axis (or axes) of each leaf; of a Python number, a Python number."""
    scalars = tree.leaves(x)
    if all(type(leaf) in (bool, int, float, complex) for leaf in scalars):
        size, _ = _in_groups(axis_name, axis_index_groups)
        return tree.map(lambda leaf: size * leaf, x)
    return _reduce(psum_p, reduce_sum, tree.map(_number, x), axis_name, axis_index_groups)


def pmean(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The mean over the named axis (or axes) of each leaf; that of integers is a float."""
    size = psum(1, axis_name, axis_index_groups=axis_index_groups)
    total = psum(x, axis_name, axis_index_groups=axis_index_groups)
    return tree.map(lambda v: v / size, total)


def pmax(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The maximum over the named axis (or axes) of each leaf."""
    return _reduce(pmax_p, reduce_max, x, axis_name, axis_index_groups)


def pmin(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None) -> Any:
    """The minimum over the named axis (or axes) of each leaf."""
    return _reduce(pmin_p, reduce_min, x, axis_name, axis_index_groups)


# --- The index ---------------------------------------------------------------------------------


axis_index_p = Primitive(
    "axis_index", shape=lambda *, axis_name: ShapedArray((), np.dtype(np.int32)),
    jvp=nondifferentiable, place=_index_place,
    vmap=lambda axis, args, dims, **_: (iota(np.dtype(np.int32), axis.size), 0),
    axes=lambda params: (params["axis_name"],))


def axis_index(axis_name: AxisName) -> Array:
    """The position along the named axis, an int32; row-major over several names."""
    index = None
    for name in names_of(axis_name):
        size = axis_data(name, "axis_index").size
        own = axis_index_p.bind(axis_name=name)
        index = own if index is None else add(mul(index, np.int32(size)), own)
    return index


# --- Moving data along an axis -----------------------------------------------------------------


def _movement(name: str, shape: Callable, mapped: Callable, transpose: Callable,
              one_by_one: Callable, **rules: Any) -> Primitive:
    """A linear collective; `mapped(axis, x, **params)` gets `x` with the axis in front.

    It returns the value and the place of the axis, or None if the value is equal along it. User
    functions call `shape` for its checks, because under vmap no rule does.
    `one_by_one(x, **params)` writes the collective over several axes in ones over single axes.
    """
    def vmap(axis: Any, args: Values, dims: Sequence[Any], **params: Any) -> tuple:
        (x,), (dim,) = args, dims
        names = names_of(params["axis_name"])
        if axis.name not in names:
            return primitive_over_batch(primitive, x, dim, axis.size, params), 0
        _no_groups(name, params.get("axis_index_groups"))
        if len(names) > 1:
            outs, out_dims = batch(lambda x: [one_by_one(x, **params)], axis, args, dims)
            return outs[0], out_dims[0]
        return mapped(axis, materialize(x, dim, axis.size), **params)

    primitive = Primitive(name, shape=shape, jvp=linear, transpose=transpose, vmap=vmap,
                          axes=lambda params: names_of(params["axis_name"]), **rules)
    return primitive


_AXIS_PARAMS = ("all_gather_dimension", "scatter_dimension", "split_axis", "concat_axis")


def primitive_over_batch(primitive: Primitive, x: Any, dim: int, size: int, params: dict) -> Any:
    """The collective over an outer axis, on an operand with one more axis in front."""
    shifted = {k: v + 1 if k in _AXIS_PARAMS else v for k, v in params.items()}
    return primitive.bind(move_axis(x, dim, 0), **shifted)


def _ppermute_shape(x: ShapedArray | None, *, axis_name: AxisName,
                    perm: tuple) -> ShapedArray | None:
    size = axis_size(axis_name)
    for side in zip(*perm):
        if len(set(side)) != len(side) or any(not 0 <= i < size for i in side):
            raise ValueError(errors.describe(
                f"ppermute sources and destinations must be unique and in range({size}), "
                f"got {perm}", fix="name each source and each destination at most once"))
    return x


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


def _ppermute_one_by_one(x: Any, *, axis_name: tuple, perm: tuple) -> Any:
    raise NotImplementedError(errors.describe(
        f"ppermute over several axes {axis_name} at once under vmap",
        fix="permute along one axis after the other"))


ppermute_p = _movement(
    "ppermute", _ppermute_shape, _ppermute_mapped,
    lambda ct, x, *, axis_name, perm: ppermute_p.bind(
        ct, axis_name=axis_name, perm=tuple((dst, src) for src, dst in perm)),
    _ppermute_one_by_one)


def ppermute(x: Any, axis_name: AxisName, perm: Sequence[tuple[int, int]]) -> Any:
    """Send values along the axis, from src to dst for each pair; zeros where nothing arrives."""
    names = bound(axis_name, "ppermute")
    perm = tuple((operator.index(src), operator.index(dst)) for src, dst in perm)
    _ppermute_shape(None, axis_name=names, perm=perm)
    return tree.map(
        lambda leaf: ppermute_p.bind(vary(leaf, names), axis_name=names, perm=perm), x)


def pshuffle(x: Any, axis_name: AxisName, perm: Sequence[int]) -> Any:
    """Position i receives the value of position `perm[i]`."""
    size = axis_size(axis_name)
    if sorted(perm) != list(range(size)):
        raise ValueError(errors.describe(
            f"`perm` does not represent a permutation: {perm}", fix=f"name each of 0..{size - 1}"))
    return ppermute(x, axis_name, [(src, dst) for dst, src in enumerate(perm)])


def _pbroadcast_one_by_one(x: Any, *, axis_name: tuple, source: int) -> Any:
    for name in reversed(axis_name):
        source, place = divmod(source, axis_data(name).size)
        x = pbroadcast_p.bind(x, axis_name=(name,), source=place)
    return x


def _pbroadcast_transpose(ct: Any, x: Any, *, axis_name: Any, source: int) -> Any:
    total = psum(ct, axis_name)
    here = eq(axis_index(axis_name), np.int32(source))
    return select(broadcast_in_dim(here, aval_of(total).shape, ()), total, full_like(total, 0))


pbroadcast_p = _movement(
    "pbroadcast", lambda x, **_: x,
    lambda axis, x, *, source, **_: (index_in_dim(x, source, 0, keepdims=False), None),
    _pbroadcast_transpose, _pbroadcast_one_by_one)


def pbroadcast(x: Any, axis_name: AxisName, source: int) -> Any:
    """The value at position `source` of the named axis, everywhere along it."""
    size = axis_size(axis_name)
    source = operator.index(source)
    if not 0 <= source < size:
        raise ValueError(errors.describe(
            f"pbroadcast source must be in range({size}), got {source}",
            fix="name a position along the axis"))
    names = names_of(axis_name)
    return tree.map(lambda leaf: pbroadcast_p.bind(vary(leaf, names), axis_name=axis_name,
                                                   source=source), x)


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
    return (merge_axes(out, all_gather_dimension) if tiled else out), None


def _sizes(names: Sequence[Any]) -> list[int]:
    return [axis_data(name).size for name in names]


def _all_gather_transpose(ct: Any, x: Any, *, all_gather_dimension: int, **params: Any) -> Any:
    return reduce_scatter_p.bind(ct, scatter_dimension=all_gather_dimension, **params)


def _all_gather_one_by_one(x: Any, *, all_gather_dimension: int, axis_name: tuple, tiled: bool,
                           **params: Any) -> Any:
    for name in reversed(axis_name):
        x = all_gather_p.bind(x, all_gather_dimension=all_gather_dimension, axis_name=(name,),
                              tiled=False, **{**params, "axis_size": axis_data(name).size})
    return merge_axes(x, all_gather_dimension, len(axis_name) + tiled)


all_gather_p = _movement("all_gather", _all_gather_shape, _all_gather_mapped,
                         _all_gather_transpose, _all_gather_one_by_one)


def _own_part(ct: Any, x: Any, *, all_gather_dimension: int, axis_name: tuple, tiled: bool,
              **_: Any) -> Any:
    """Of the cotangent of everything, which all devices have, that of the device's own part."""
    size = x.aval.shape[all_gather_dimension] if tiled else 1
    start = mul(axis_index(axis_name), np.int32(size))
    part = dynamic_slice_in_dim(vary(ct, axis_name), start, size, all_gather_dimension)
    return part if tiled else squeeze(part, (all_gather_dimension,))


def _scatter_terms(ct: Any, x: Any, *, all_gather_dimension: int, **params: Any) -> Any:
    return unreduced_reduce_scatter_p.bind(ct, scatter_dimension=all_gather_dimension, **params)


all_gather_invariant_p = _movement(
    "all_gather_invariant", _all_gather_shape, _all_gather_mapped, _own_part,
    _all_gather_one_by_one, place=placed("varying", None))
all_gather_reduced_p = _movement(
    "all_gather_reduced", _all_gather_shape, _all_gather_mapped, _scatter_terms,
    _all_gather_one_by_one, place=placed("varying", "reduced"))
_GATHERS = {"varying": all_gather_p, "invarying": all_gather_invariant_p,
            "reduced": all_gather_reduced_p}


def all_gather(x: Any, axis_name: AxisName, *, axis_index_groups: Any = None, axis: int = 0,
               tiled: bool = False, to: str = "varying") -> Any:
    """All values along the named axis, stacked at `axis` (or concatenated, with `tiled`).

    Over several axes the positions are in row-major order. to: what the type of the result says of
    the axes, "varying", "invarying" or "reduced".
    """
    if to not in _GATHERS:
        raise ValueError(errors.describe(
            f"Got unexpected `to` value for `jax.lax.all_gather`: {to!r}. Allowed `to` values "
            "are: {'varying', 'invarying', 'reduced'}", fix='leave out `to`'))
    names = bound(axis_name, "all_gather")
    size, axis_index_groups = _in_groups(names, axis_index_groups)
    params = {"axis_index_groups": axis_index_groups} if to == "varying" else {}
    if axis_index_groups is not None and not params:
        raise NotImplementedError(errors.describe(
            f"axis_index_groups in all_gather to={to!r}", fix='to="varying"'))

    def gather(leaf: Any) -> Any:
        place = canonicalize_axis(axis, aval_of(leaf).ndim + (not tiled))
        return _GATHERS[to].bind(vary(leaf, names), all_gather_dimension=place, axis_name=names,
                                 axis_size=size, tiled=tiled, **params)
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
        total = cut_axis(total, scatter_dimension, axis.size)
    return total, scatter_dimension


def _reduce_scatter_transpose(ct: Any, x: Any, *, scatter_dimension: int, **params: Any) -> Any:
    return all_gather_p.bind(ct, all_gather_dimension=scatter_dimension, **params)


def _reduce_scatter_one_by_one(x: Any, *, scatter_dimension: int, axis_name: tuple, tiled: bool,
                               **params: Any) -> Any:
    sizes = _sizes(axis_name)
    x = cut_axis(x, scatter_dimension, *sizes)
    for name, size in zip(axis_name, sizes):
        x = reduce_scatter_p.bind(x, scatter_dimension=scatter_dimension, axis_name=(name,),
                                  tiled=False, **{**params, "axis_size": size})
    return x if tiled else squeeze(x, (scatter_dimension,))


reduce_scatter_p = _movement("reduce_scatter", _reduce_scatter_shape, _reduce_scatter_mapped,
                             _reduce_scatter_transpose, _reduce_scatter_one_by_one)
unreduced_reduce_scatter_p = _movement(
    "unreduced_reduce_scatter", _reduce_scatter_shape, _reduce_scatter_mapped,
    lambda ct, x, *, scatter_dimension, **params: all_gather_reduced_p.bind(
        vary(ct, params["axis_name"]), all_gather_dimension=scatter_dimension, **params),
    _reduce_scatter_one_by_one, place=placed("unreduced", "varying"))


def psum_scatter(x: Any, axis_name: AxisName, *, scatter_dimension: int = 0,
                 axis_index_groups: Any = None, tiled: bool = False) -> Any:
    """The sum over the named axis, of which each position keeps its part."""
    names = bound(axis_name, "psum_scatter")
    size, axis_index_groups = _in_groups(names, axis_index_groups)

    def scatter(leaf: Any) -> Any:
        params = dict(
            scatter_dimension=canonicalize_axis(scatter_dimension, aval_of(leaf).ndim),
            axis_name=names, axis_size=size, tiled=tiled)
        _reduce_scatter_shape(aval_of(leaf), **params)
        if manual_type(aval_of(leaf)).unreduced.intersection(names):
            return unreduced_reduce_scatter_p.bind(leaf, **params)
        return reduce_scatter_p.bind(vary(leaf, names), axis_index_groups=axis_index_groups,
                                     **params)
    return tree.map(scatter, x)


def _all_to_all_shape(x: ShapedArray, *, split_axis: int, concat_axis: int, axis_name: Any,
                      axis_index_groups: tuple | None, tiled: bool) -> ShapedArray:
    size, _ = _in_groups(axis_name, axis_index_groups)
    shape = list(x.shape)
    if tiled:
        if shape[split_axis] % size:
            raise ValueError(errors.describe(
                f"The size of all_to_all split_axis ({shape[split_axis]}) has to be divisible "
                f"by the size of the named axis {axis_name} ({size})", fix="pad the operand"))
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
        x = cut_axis(x, split_axis + 1, axis.size)
    # Receivers are along the split axis, which becomes the mapped one; senders were along axis 0.
    x = move_axis(x, split_axis + 1, 0)
    x = move_axis(x, 1, concat_axis + 1)
    return (merge_axes(x, concat_axis + 1) if tiled else x), 0


def _all_to_all_transpose(ct: Any, x: Any, *, split_axis: int, concat_axis: int,
                          **params: Any) -> Any:
    return all_to_all_p.bind(ct, split_axis=concat_axis, concat_axis=split_axis, **params)


def _all_to_all_one_by_one(x: Any, *, split_axis: int, concat_axis: int, axis_name: tuple,
                           tiled: bool, **params: Any) -> Any:
    sizes = _sizes(axis_name)
    x = cut_axis(x, split_axis, *sizes)  # axes for the receivers along each name, and the rest
    if not tiled:
        x = squeeze(x, (split_axis + len(sizes),))
    for place, name in enumerate(axis_name):
        x = all_to_all_p.bind(x, split_axis=split_axis + place, concat_axis=split_axis + place,
                              axis_name=name, tiled=False, **params)
    x = move_axis(merge_axes(x, split_axis, len(sizes)), split_axis, concat_axis)
    return merge_axes(x, concat_axis) if tiled else x


all_to_all_p = _movement("all_to_all", _all_to_all_shape, _all_to_all_mapped,
                         _all_to_all_transpose, _all_to_all_one_by_one)


def all_to_all(x: Any, axis_name: AxisName, split_axis: int, concat_axis: int, *,
               axis_index_groups: Any = None, tiled: bool = False) -> Any:
    """Cut each value along `split_axis`, send part i to position i, join along `concat_axis`."""
    _, groups = _in_groups(axis_name, axis_index_groups)

    def exchange(leaf: Any) -> Any:
        aval = aval_of(leaf)
        params = dict(split_axis=canonicalize_axis(split_axis, aval.ndim),
                      concat_axis=canonicalize_axis(concat_axis, aval.ndim), axis_name=axis_name,
                      axis_index_groups=groups, tiled=tiled)
        _all_to_all_shape(aval, **params)
        return all_to_all_p.bind(vary(leaf, names_of(axis_name)), **params)
    return tree.map(exchange, x)


def pswapaxes(x: Any, axis_name: AxisName, axis: int, *, axis_index_groups: Any = None) -> Any:
    """Exchange the named axis with the positional one, which has the same size."""
    return all_to_all(x, axis_name, axis, axis, axis_index_groups=axis_index_groups)
