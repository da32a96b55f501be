"""Gather and scatter: many small slices of an array read, or written, at computed places.

The batch of start indices is `indices.shape[:-1]`; the last axis of `indices` holds one index for
each operand dimension in `start_index_map` (`scatter_dims_to_operand_dims`).

    >>> dnums = GatherDimensionNumbers((1,), (0,), (0,))      # rows of a matrix
    >>> gather(x, np.array([[2], [0]]), dnums, slice_sizes=(1, 5))   # x[[2, 0]]

The one invariant: out-of-bounds behaviour lives in the parameter `mode` alone, so derivative and
batching rules keep it by passing it on.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from operator import index
from typing import Any, NamedTuple

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, Zero, aval_of, convert_element_type,
                          cotangent_aval, each_operand, instantiate, is_linear, materialize_output,
                          move_axis, sharding_of, with_sharding, zero_tangent, zeros)
from minijax.core.primitive import Deferred
from minijax.lax import elementwise, logic, shapes
from minijax.lax.computation import binary_jaxpr, trace_computation
from minijax.lax.rules import fill_like, linear_in_values, remembered


class GatherDimensionNumbers(NamedTuple):
    """The part that each dimension plays in :func:`gather`.

    offset_dims: result dimensions that run inside a slice; the others run over the indices.
    collapsed_slice_dims: operand dimensions whose slice size is 1 and which are dropped.
    start_index_map: the operand dimension that each component of a start index addresses.
    operand_batching_dims, start_indices_batching_dims: paired dimensions that run together.
    """

    offset_dims: tuple[int, ...]
    collapsed_slice_dims: tuple[int, ...]
    start_index_map: tuple[int, ...]
    operand_batching_dims: tuple[int, ...] = ()
    start_indices_batching_dims: tuple[int, ...] = ()


class ScatterDimensionNumbers(NamedTuple):
    """The part that each dimension plays in :func:`scatter`.

    update_window_dims: dimensions of `updates` that run inside a window.
    inserted_window_dims: operand dimensions of window size 1 that `updates` does not have.
    scatter_dims_to_operand_dims: the operand dimension each component of an index addresses.
    operand_batching_dims, scatter_indices_batching_dims: paired dimensions that run together.
    """

    update_window_dims: Sequence[int]
    inserted_window_dims: Sequence[int]
    scatter_dims_to_operand_dims: Sequence[int]
    operand_batching_dims: Sequence[int] = ()
    scatter_indices_batching_dims: Sequence[int] = ()


class GatherScatterMode(enum.Enum):
    """What happens to a slice that is not entirely inside the operand.

    CLIP ("clip"): the start index is moved to the nearest valid one.
    FILL_OR_DROP ("fill", "drop"): a gather gives the fill value, a scatter leaves it out.
    PROMISE_IN_BOUNDS ("promise_in_bounds"): the caller promises that it does not occur.
    """

    CLIP = enum.auto()
    FILL_OR_DROP = enum.auto()
    PROMISE_IN_BOUNDS = enum.auto()
    ONE_HOT = enum.auto()

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a Python call

    @staticmethod
    def from_any(s: str | GatherScatterMode | None) -> GatherScatterMode:
        """The mode that a name stands for; None is FILL_OR_DROP."""
        if type(s) is GatherScatterMode:
            return s
        try:
            return _MODE_NAMES[s]
        except (KeyError, TypeError):
            raise ValueError(errors.describe(
                f'Unknown gather mode "{s}"',
                fix='use mode="clip", "fill", "drop" or "promise_in_bounds"')) from None


_MODE_NAMES = {
    None: GatherScatterMode.FILL_OR_DROP,
    "clip": GatherScatterMode.CLIP,
    "fill": GatherScatterMode.FILL_OR_DROP,
    "drop": GatherScatterMode.FILL_OR_DROP,
    "promise_in_bounds": GatherScatterMode.PROMISE_IN_BOUNDS,
    "one_hot": GatherScatterMode.ONE_HOT,
}
_CLIP = GatherScatterMode.CLIP
_FILL = GatherScatterMode.FILL_OR_DROP
_PROMISE = GatherScatterMode.PROMISE_IN_BOUNDS


# --- User functions ----------------------------------------------------------------------------


def gather(operand: Any, start_indices: Any, dimension_numbers: GatherDimensionNumbers,
           slice_sizes: Sequence[int], *, unique_indices: bool = False,
           indices_are_sorted: bool = False, mode: str | GatherScatterMode | None = None,
           fill_value: Any = None) -> Array:
    """Slices of `operand` of one size, read at `start_indices` (XLA's Gather).

    `mode=None` promises that the indices are in bounds. The fill value of mode "fill" defaults to
    NaN, to the smallest signed and the largest unsigned integer, and to True.
    """
    mode = _PROMISE if mode is None else GatherScatterMode.from_any(mode)
    if mode is not _FILL:
        fill_value = None
    elif fill_value is None:
        fill_value = _default_fill(aval_of(operand).dtype)
    return gather_p.bind(
        operand, start_indices, dimension_numbers=dimension_numbers,
        slice_sizes=tuple(map(index, slice_sizes)), unique_indices=unique_indices,
        indices_are_sorted=indices_are_sorted, mode=mode, fill_value=fill_value)


def scatter(operand: Any, scatter_indices: Any, updates: Any,
            dimension_numbers: ScatterDimensionNumbers, *, indices_are_sorted: bool = False,
            unique_indices: bool = False, mode: str | GatherScatterMode | None = None) -> Array:
    """`operand` with windows replaced by `updates` (XLA's Scatter).

    Which update wins where windows overlap is not defined.
    """
    return scatter_p.bind(
        operand, scatter_indices, updates, update_jaxpr=None, update_consts=(),
        dimension_numbers=dimension_numbers, indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices, mode=GatherScatterMode.from_any(mode))


def scatter_apply(operand: Any, scatter_indices: Any, func: Callable[[Any], Any],
                  dimension_numbers: ScatterDimensionNumbers, *,
                  update_shape: Sequence[int] = (), indices_are_sorted: bool = False,
                  unique_indices: bool = False,
                  mode: str | GatherScatterMode | None = None) -> Array:
    """`operand` with the scalar function `func` applied to the elements of its windows.

    `update_shape` is the shape that `updates` would have; not differentiable.
    """
    scalar = ShapedArray((), aval_of(operand).dtype)
    jaxpr = trace_computation(lambda x, _: [func(x)], [scalar, scalar], "scatter_apply")
    unused = shapes.full(tuple(update_shape), 0, scalar.dtype)
    return scatter_p.bind(
        operand, scatter_indices, unused, update_jaxpr=jaxpr, update_consts=(),
        dimension_numbers=dimension_numbers, indices_are_sorted=indices_are_sorted,
        unique_indices=unique_indices, mode=GatherScatterMode.from_any(mode))


def index_take(src: Any, idxs: Sequence[Any], axes: Sequence[int]) -> Array:
    """Slices of size 1 along `axes` at the positions `zip(*idxs)`, counted modulo the sizes.

    Each of `idxs` is a vector of one length n; the result is n slices, stacked in front.
    """
    src_shape = aval_of(src).shape
    indices = shapes.concatenate([shapes.expand_dims(i, (1,)) for i in idxs], 1)
    dtype = aval_of(indices).dtype
    sizes = np.array([[src_shape[a] for a in axes]], dtype)
    rest = elementwise.rem(indices, sizes)
    wrapped = logic.select(logic.lt(rest, np.zeros((), dtype)),
                                 elementwise.add(rest, sizes), rest)
    collapsed = tuple(sorted(axes))
    offset_dims = tuple(range(1, 1 + len(src_shape) - len(axes)))
    return gather(src, wrapped, GatherDimensionNumbers(offset_dims, collapsed, tuple(axes)),
                  tuple([1 if i in collapsed else n for i, n in enumerate(src_shape)]))


_NAN = float("nan")  # one object: parameters are compared by identity first, NaN is not == NaN


@lru_cache(maxsize=None)
def _default_fill(dtype: Any) -> Any:
    if dtypes.issubdtype(dtype, np.inexact):
        return _NAN
    if dtypes.issubdtype(dtype, np.signedinteger):
        return int(dtypes.iinfo(dtype).min)
    if dtypes.issubdtype(dtype, np.unsignedinteger):
        return int(dtypes.iinfo(dtype).max)
    if dtype == np.bool_:
        return True
    if isinstance(dtype, dtypes.ExtendedDType):
        return int(dtypes.iinfo(dtype.word_dtype).max)
    raise ValueError(errors.describe(
        f"gather has no default fill value for dtype {dtype.name}", fix="pass fill_value="))


# --- Checks shared by both shape rules ---------------------------------------------------------


def _fail(text: str, fix: str) -> None:
    raise TypeError(errors.describe(text, fix=fix))


def _check_dims(op: str, name: str, dims: Sequence[int], bound: int, is_sorted: bool = True,
                what: str = "set") -> None:
    """Dimension numbers must be in range, distinct and (mostly) in order."""
    fix = f"give {name} as increasing numbers in range({bound})"
    if is_sorted and list(dims) != sorted(dims):
        _fail(f"{name} in {op} op must be sorted; got {dims}", fix)
    for d in dims:
        if not 0 <= d < bound:
            _fail(f"Invalid {name} {what} in {op} op; valid range is [0, {bound}); got: {d}.", fix)
    if len(set(dims)) != len(dims):
        _fail(f"{name} in {op} op must not repeat; got: {dims}.", fix)


def _check_disjoint(op: str, name: str, dims: Sequence[int], other: str,
                    other_dims: Sequence[int]) -> None:
    if set(dims) & set(other_dims):
        _fail(f"{name} and {other} in {op} op must be disjoint; got: {tuple(dims)} and "
              f"{tuple(other_dims)}.", f"name each dimension in only one of {name}, {other}")


def _check_absent(op: str, operand: ShapedArray, name: str, dims: Sequence[int],
                  batching: Sequence[int]) -> None:
    """The operand's dimensions that slices lack: those `dims` of size 1, and batching ones."""
    _check_dims(op, name, dims, operand.ndim)
    _check_dims(op, "operand_batching_dims", batching, operand.ndim)
    _check_disjoint(op, name, dims, "operand_batching_dims", batching)


def _check_batching(op: str, operand: ShapedArray, indices: ShapedArray, index_map: Sequence[int],
                    batching: Sequence[int], index_batching: Sequence[int],
                    names: tuple[str, str]) -> None:
    """The paired batching dimensions of the operand and of the indices."""
    map_name, index_name = names
    title = op.capitalize()
    fix = f"pair operand_batching_dims with {index_name}, of equal sizes"
    _check_disjoint(op, map_name, index_map, "operand_batching_dims", batching)
    _check_dims(op, index_name, index_batching, indices.ndim, is_sorted=False)
    if indices.ndim - 1 in index_batching:
        _fail(f"{title} op cannot have the index vector dimension as a batching dimension; got "
              f"{index_batching}.", fix)
    if len(batching) != len(index_batching):
        _fail(f"{title} op requires equal numbers of operand_batching_dims and {index_name}, got "
              f"{tuple(batching)} and {tuple(index_batching)}.", fix)
    ours = tuple([operand.shape[d] for d in batching])
    theirs = tuple([indices.shape[d] for d in index_batching])
    if ours != theirs:
        _fail(f"{title} op requires operand batching dimensions and indices batching dimensions "
              f"to have the same shape, got {ours} and {theirs}.", fix)


def _check_index_vector(op: str, indices: ShapedArray) -> None:
    if not indices.ndim:
        _fail(f"{op.capitalize()} index leaf dimension must be within [0, rank(indices) + 1). "
              f"rank(indices) is 0 and {op} index leaf dimension is -1.",
              "give the indices a last axis that holds the components of one index")


def _check_integers(indices: ShapedArray) -> None:
    if not dtypes.issubdtype(indices.dtype, np.integer):
        raise ValueError(errors.describe(
            "indices must have an integer type", because=f"they are {indices.str_short(False)}",
            fix="convert them, e.g. indices.astype(int)"))


def _check_index_map(op: str, operand: ShapedArray, indices: ShapedArray, map_name: str,
                     index_map: Sequence[int]) -> None:
    """It says for each component of an index along which dimension of the operand it counts."""
    last = indices.shape[-1]
    if len(index_map) != last:
        _fail(f"{op.capitalize()} op has {len(index_map)} elements in {map_name} and the bound of "
              f"dimension index_vector_dim={indices.ndim - 1} of indices is {last}. These two "
              f"numbers must be equal{'.' * (op == 'gather')}",
              f"name one operand dimension in {map_name} for each component of an index")
    for i, d in enumerate(index_map):
        if not 0 <= d < operand.ndim:
            what = f"{map_name} mapping" if op == "scatter" else map_name
            _fail(f"Invalid {what}; domain is [0, {operand.ndim}), got: {i}->{d}.",
                  f"use operand dimensions, in range({operand.ndim})")
    _check_dims(op, map_name, index_map, operand.ndim, is_sorted=False)


# --- gather ------------------------------------------------------------------------------------


def _gather_shape(operand: ShapedArray, indices: ShapedArray, *,
                  dimension_numbers: GatherDimensionNumbers, slice_sizes: tuple,
                  unique_indices: bool, indices_are_sorted: bool, mode: GatherScatterMode,
                  fill_value: Any) -> ShapedArray:
    dnums = dimension_numbers
    if mode is GatherScatterMode.ONE_HOT:
        raise ValueError(errors.describe('gather has no mode "one_hot"',
                                         fix='use mode="clip", "fill" or "promise_in_bounds"'))
    _check_index_vector("gather", indices)
    _check_offset_dims(dnums.offset_dims, indices.ndim - 1 + len(dnums.offset_dims))
    _check_index_map("gather", operand, indices, "start_index_map", dnums.start_index_map)
    _check_absent("gather", operand, "collapsed_slice_dims", dnums.collapsed_slice_dims,
                  dnums.operand_batching_dims)
    _check_batching("gather", operand, indices, dnums.start_index_map, dnums.operand_batching_dims,
                    dnums.start_indices_batching_dims,
                    ("start_index_map", "start_indices_batching_dims"))
    _check_slice_sizes(operand, slice_sizes, dnums)
    _check_integers(indices)
    dropped = {*dnums.collapsed_slice_dims, *dnums.operand_batching_dims}
    window = [n for i, n in enumerate(slice_sizes) if i not in dropped]
    batch = iter(indices.shape[:-1])
    inside = iter(window)
    rank = indices.ndim - 1 + len(window)
    shape = [next(inside) if i in dnums.offset_dims else next(batch) for i in range(rank)]
    return ShapedArray(tuple(shape), operand.dtype, operand.weak_type)


def _check_offset_dims(offset_dims: Sequence[int], out_rank: int) -> None:
    fix = "name the result dimensions that run inside a slice, in increasing order"
    if list(offset_dims) != sorted(offset_dims):
        _fail(f"offset_dims in gather op must be sorted; got {offset_dims}", fix)
    if len(set(offset_dims)) != len(offset_dims):
        _fail(f"offset_dims in gather op must not repeat; got: {offset_dims}.", fix)
    for i, d in enumerate(offset_dims):
        if not 0 <= d < out_rank:
            _fail(f"Offset dimension {i} in gather op is out of bounds; got {d}, but should have "
                  f"been in [0, {out_rank})", fix)


def _check_slice_sizes(operand: ShapedArray, slice_sizes: tuple,
                       dnums: GatherDimensionNumbers) -> None:
    if len(slice_sizes) != operand.ndim:
        _fail("Gather op must have one slice size for every input dimension; got: "
              f"len(slice_sizes)={len(slice_sizes)}, input_shape.rank={operand.ndim}",
              f"give {operand.ndim} slice sizes")
    dropped = (*dnums.collapsed_slice_dims, *dnums.operand_batching_dims)
    if len(slice_sizes) != len(dnums.offset_dims) + len(dropped):
        _fail("All components of the offset index in a gather op must either be a offset "
              f"dimension or explicitly collapsed/batching; got len(slice_sizes)="
              f"{len(slice_sizes)}, offset_dims={dnums.offset_dims}, collapsed_slice_dims="
              f"{dnums.collapsed_slice_dims}, operand_batching_dims="
              f"{dnums.operand_batching_dims}.",
              "name the result dimensions that run inside a slice, one for each that is kept")
    for i, (n, bound) in enumerate(zip(slice_sizes, operand.shape)):
        if not 0 <= n <= bound:
            _fail(f"Slice size at index {i} in gather op is out of range, must be within [0, "
                  f"{bound} + 1), got {n}.", "use slices no larger than the operand")
    for kind, most, dims in (("collapse slice", "1", dnums.collapsed_slice_dims),
                             ("have operand batching", "0/1", dnums.operand_batching_dims)):
        for i, d in enumerate(dims):
            if slice_sizes[d] > 1:
                _fail(f"Gather op can only {kind} dims with bound {most}, but bound is "
                      f"{slice_sizes[d]} for index {d} at position {i}.",
                      f"use slice size 1 in dimension {d}")


def _gather_term(g: Any, out: Any, operand: Any, indices: Any, *, fill_value: Any,
                 **params: Any) -> Any:
    zero = 0 if params["mode"] is _FILL else None  # a fill value is a constant
    return gather_p.bind(g, indices, fill_value=zero, **params)


def _gather_transpose(ct: Any, operand: Any, indices: Any, *,
                      dimension_numbers: GatherDimensionNumbers, slice_sizes: tuple,
                      unique_indices: bool, indices_are_sorted: bool, mode: GatherScatterMode,
                      fill_value: Any) -> list:
    dnums = ScatterDimensionNumbers(*dimension_numbers)  # the same fields, other names
    # custom rules may change the dtype; along manual axes, the sum itself decides where it is
    empty = zeros(with_sharding(ShapedArray(operand.aval.shape, aval_of(ct).dtype),
                                sharding_of(cotangent_aval(operand.aval))))
    return [scatter_add(empty, indices, ct, dnums, indices_are_sorted=indices_are_sorted,
                        unique_indices=unique_indices, mode=mode), None]


def _shift(dims: Sequence[int], *front: int) -> tuple[int, ...]:
    """Dimension numbers after a new axis 0, preceded by `front`."""
    return (*front, *[d + 1 for d in dims])


def _gather_vmap(axis: Any, args: Values, dims: Dims, *, dimension_numbers: GatherDimensionNumbers,
                 slice_sizes: tuple, unique_indices: bool, indices_are_sorted: bool,
                 mode: GatherScatterMode, fill_value: Any) -> tuple:
    operand, indices = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
    offset, collapsed, index_map, batching, index_batching = dimension_numbers
    if dims[1] is None:  # the whole new axis is part of each slice
        dnums = GatherDimensionNumbers(_shift(offset, 0), _shift(collapsed), _shift(index_map),
                                       _shift(batching), index_batching)
        slice_sizes = (axis.size, *slice_sizes)
    elif dims[0] is None:  # one more dimension of indices
        dnums = GatherDimensionNumbers(_shift(offset), collapsed, index_map, batching,
                                       _shift(index_batching))
        unique_indices = indices_are_sorted = False
    else:
        dnums = GatherDimensionNumbers(_shift(offset), _shift(collapsed), _shift(index_map),
                                       _shift(batching, 0), _shift(index_batching, 0))
        slice_sizes = (1 if axis.size else 0, *slice_sizes)
    out = gather_p.bind(operand, indices, dimension_numbers=dnums, slice_sizes=slice_sizes,
                        unique_indices=unique_indices, indices_are_sorted=indices_are_sorted,
                        mode=mode, fill_value=fill_value)
    return out, 0


gather_p = Primitive("gather", shape=_gather_shape, jvp=each_operand(_gather_term),
                     transpose=_gather_transpose, vmap=_gather_vmap)


# --- scatter: type, batching -------------------------------------------------------------------


@remembered(4096)
def _check_scatter(operand: ShapedArray, indices: ShapedArray, updates: ShapedArray,
                       dnums: ScatterDimensionNumbers) -> ShapedArray:
    if operand.dtype != updates.dtype:
        _fail("lax.scatter requires arguments to have the same dtypes, got "
              f"{operand.dtype.name}, {updates.dtype.name}.",
              "convert the updates: updates.astype(operand.dtype)")
    _check_index_vector("scatter", indices)
    rank = indices.ndim - 1 + len(dnums.update_window_dims)
    if updates.ndim != rank:
        _fail(f"Updates tensor must be of rank {rank}; got {updates.ndim}.",
              "updates have the dimensions of indices but the last, and the window dimensions")
    _check_dims("scatter", "update_window_dims", dnums.update_window_dims, updates.ndim)
    _check_absent("scatter", operand, "inserted_window_dims", dnums.inserted_window_dims,
                  dnums.operand_batching_dims)
    window_size = (len(dnums.update_window_dims) + len(dnums.inserted_window_dims)
                   + len(dnums.operand_batching_dims))
    if window_size != operand.ndim:
        _fail(f"Scatter op has window of size {window_size}; doesn't match operand of rank "
              f"{operand.ndim}.", "each operand dimension is a window, an inserted or a batching "
              "dimension")
    _check_batching("scatter", operand, indices, dnums.scatter_dims_to_operand_dims,
                    dnums.operand_batching_dims, dnums.scatter_indices_batching_dims,
                    ("scatter_dims_to_operand_dims", "scatter_indices_batching_dims"))
    _check_index_map("scatter", operand, indices, "scatter_dims_to_operand_dims",
                     dnums.scatter_dims_to_operand_dims)
    _check_updates(operand, indices, updates, dnums)
    _check_integers(indices)
    return ShapedArray(operand.shape, operand.dtype, operand.weak_type)


def _scatter_shape(operand: ShapedArray, indices: ShapedArray, updates: ShapedArray, *,
                   update_jaxpr: Any, update_consts: tuple, dimension_numbers: Any,
                   indices_are_sorted: bool, unique_indices: bool, mode: Any) -> ShapedArray:
    # `infer` caches no results of operations with inner jaxprs
    return _check_scatter(operand, indices, updates, dimension_numbers)


def _check_updates(operand: ShapedArray, indices: ShapedArray, updates: ShapedArray,
                   dnums: ScatterDimensionNumbers) -> None:
    absent = {*dnums.inserted_window_dims, *dnums.operand_batching_dims}
    bounds = [n for i, n in enumerate(operand.shape) if i not in absent]
    for d, bound in zip(dnums.update_window_dims, bounds):
        if updates.shape[d] > bound:
            _fail("Bounds of the window dimensions of updates must not exceed the bounds of the "
                  f"corresponding dimensions of operand. For dimension {d}, updates bound is "
                  f"{updates.shape[d]}, operand bound is {bound}.", "use smaller windows")
    scatter_dims = [d for d in range(updates.ndim) if d not in dnums.update_window_dims]
    for d, bound in zip(scatter_dims, indices.shape):
        if updates.shape[d] != bound:
            _fail("Bounds of the scatter dimensions of updates must be the same as the bounds of "
                  "the corresponding dimensions of scatter indices. For scatter dimension "
                  f"{d}, updates bound is {updates.shape[d]}, indices bound is {bound}.",
                  "give one window of updates for each index")


def _scatter_vmap(primitive: Primitive, axis: Any, args: Values, dims: Dims, *,
                  dimension_numbers: ScatterDimensionNumbers, **params: Any) -> tuple:
    operand, indices, updates = args
    window, inserted, index_map, batching, index_batching = dimension_numbers
    operand = materialize_output(operand, dims[0], axis)
    updates = materialize_output(updates, dims[2], axis)
    if dims[1] is None:  # the whole new axis is part of each window
        dnums = ScatterDimensionNumbers(_shift(window, 0), _shift(inserted), _shift(index_map),
                                        _shift(batching), index_batching)
    else:
        indices = move_axis(indices, dims[1], 0)
        dnums = ScatterDimensionNumbers(_shift(window), _shift(inserted), _shift(index_map),
                                        _shift(batching, 0), _shift(index_batching, 0))
    return primitive.bind(operand, indices, updates, dimension_numbers=dnums, **params), 0


def _scatter(name: str, jvp: Deferred, transpose: Callable | None = None) -> Primitive:
    """A member of the scatter family; `transpose` takes the primitive first."""
    return Primitive(name, shape=_scatter_shape, jvp=jvp,
                     transpose=transpose and Deferred(lambda p: partial(transpose, p)),
                     vmap=Deferred(lambda p: partial(_scatter_vmap, p)))


def _with_tangents(jvp: Callable) -> Deferred:
    """The rule `jvp`, which takes the primitive first, for when there is a tangent at all."""
    def make(primitive: Primitive) -> Callable:
        def rule(primals: Values, tangents: Values, **params: Any) -> tuple:
            if type(tangents[0]) is type(tangents[2]) is Zero:
                out = primitive.bind(*primals, **params)
                return out, zero_tangent(out)
            return jvp(primitive, primals, tangents, **params)
        return rule
    return Deferred(make)


# --- scatter: derivatives ----------------------------------------------------------------------


def _read_back(x: Any, indices: Any, updates: Any, params: dict, mode: GatherScatterMode,
               fill_value: Any = None) -> Any:
    """The windows of `x` that the scatter with `params` would write."""
    dnums = params["dimension_numbers"]
    shape = aval_of(updates).shape
    window = iter(dnums.update_window_dims)
    absent = {*dnums.inserted_window_dims, *dnums.operand_batching_dims}
    sizes = tuple([1 if d in absent else shape[next(window)] for d in range(aval_of(x).ndim)])
    return gather_p.bind(
        x, indices, dimension_numbers=GatherDimensionNumbers(*map(tuple, dnums)),
        slice_sizes=sizes, unique_indices=params["unique_indices"],
        indices_are_sorted=params["indices_are_sorted"], mode=mode, fill_value=fill_value)


def _read_cotangent(ct: Any, indices: Any, updates: Any, params: dict) -> Any:
    """The cotangent of `updates`: zero for windows that were dropped."""
    mode = params["mode"]
    mode = _FILL if mode is GatherScatterMode.ONE_HOT else mode
    return _read_back(ct, indices, updates, params, mode, 0 if mode is _FILL else None)


def _writes_once(indices: Any, params: dict) -> bool:
    """Whether no element is written twice: promised, or there is only one window."""
    if params["unique_indices"]:
        return True
    batching = params["dimension_numbers"].scatter_indices_batching_dims
    shape = aval_of(indices).shape
    return math.prod([n for d, n in enumerate(shape[:-1]) if d not in batching]) <= 1


def _sum_transpose(primitive: Primitive, ct: Any, operand: Any, indices: Any, updates: Any,
                   **params: Any) -> list:
    result = [ct if is_linear(operand) else None, None, None]
    if is_linear(updates):
        back = _read_cotangent(ct, indices, updates, params)
        result[2] = elementwise.neg(back) if primitive is scatter_sub_p else back
    return result


scatter_add_p = _scatter("scatter-add", linear_in_values, _sum_transpose)
scatter_sub_p = _scatter("scatter-sub", linear_in_values, _sum_transpose)


def _add_like(operand: Any, indices: Any, updates: Any, params: dict) -> Any:
    """`scatter_add` at the places of the scatter with `params`."""
    return scatter_add(operand, indices, updates, params["dimension_numbers"],
                       indices_are_sorted=params["indices_are_sorted"],
                       unique_indices=params["unique_indices"], mode=params["mode"])


def _require_unique(indices: Any, params: dict) -> None:
    if not _writes_once(indices, params):
        raise NotImplementedError(errors.describe(
            "scatter_mul gradients are only implemented if `unique_indices=True`",
            because="an element multiplied by several updates needs the product of the others",
            fix="pass unique_indices=True if no element is updated twice"))


@_with_tangents
def _mul_jvp(primitive: Primitive, primals: Values, tangents: Values, **params: Any) -> tuple:
    operand, indices, updates = primals
    out = primitive.bind(*primals, **params)
    tangent = None
    if type(tangents[0]) is not Zero:
        tangent = primitive.bind(tangents[0], indices, updates, **params)
    if type(tangents[2]) is not Zero:
        _require_unique(indices, params)
        part = _add_like(fill_like(operand, 0), indices, tangents[2], params)
        part = elementwise.mul(operand, part)
        tangent = part if tangent is None else elementwise.add(tangent, part)
    return out, tangent


def _mul_transpose(primitive: Primitive, ct: Any, operand: Any, indices: Any, updates: Any,
                   **params: Any) -> list:
    if is_linear(operand):
        return [primitive.bind(ct, indices, updates, **params), None, None]
    _require_unique(indices, params)
    return [None, None, _read_cotangent(elementwise.mul(ct, operand), indices, updates, params)]


scatter_mul_p = _scatter("scatter-mul", _mul_jvp, _mul_transpose)


@_with_tangents
def _extremum_jvp(primitive: Primitive, primals: Values, tangents: Values, **params: Any) -> tuple:
    """Each element's tangent is the mean of the tangents of all that equal the extremum."""
    operand, indices, updates = primals
    out = primitive.bind(*primals, **params)
    kept = logic.eq(operand, out)
    hit = logic.eq(updates, _read_back(out, indices, updates, params, _CLIP))
    dtype = aval_of(operand).dtype
    count = _add_like(convert_element_type(kept, dtype), indices,
                      convert_element_type(hit, dtype), params)
    total = None
    if type(tangents[0]) is not Zero:
        total = _masked(kept, tangents[0])
    if type(tangents[2]) is not Zero:
        base = fill_like(operand, 0) if total is None else total
        total = _add_like(base, indices, _masked(hit, tangents[2]), params)
    return out, elementwise.div(total, count)


def _masked(mask: Any, x: Any) -> Any:
    return logic.select(mask, x, fill_like(x, 0))


scatter_min_p = _scatter("scatter-min", _extremum_jvp)
scatter_max_p = _scatter("scatter-max", _extremum_jvp)


@_with_tangents
def _replace_jvp(primitive: Primitive, primals: Values, tangents: Values, **params: Any) -> tuple:
    if params["update_jaxpr"] is not None:
        raise NotImplementedError(errors.describe(
            "scatter_apply JVP not implemented", fix="gather, apply the function, and scatter"))
    if _writes_once(primals[1], params):
        return linear_in_values.make(primitive)(primals, tangents, **params)
    # Which of several updates wins is up to the device. To differentiate the one that does, let
    # numbered updates compete, then add the winners to an operand with zeros in their places.
    operand, indices, updates = primals
    shape = aval_of(updates).shape
    size = math.prod(shape)
    ids_dtype = np.uint32 if size < np.iinfo(np.uint32).max else np.uint64
    ids = elementwise.add(shapes.reshape(shapes.iota(ids_dtype, size), shape), ids_dtype(1))
    owner = primitive.bind(shapes.full(aval_of(operand).shape, 0, ids_dtype), indices, ids,
                           **params)
    won = logic.eq(ids, _read_back(owner, indices, updates, params, _CLIP))
    untouched = logic.eq(owner, fill_like(owner, 0))

    def replace(x: Any, new: Any) -> Any:
        return _add_like(_masked(untouched, x), indices, _masked(won, new), params)

    return replace(operand, updates), replace(instantiate(tangents[0]),
                                              instantiate(tangents[2]))


def _replace_transpose(primitive: Primitive, ct: Any, operand: Any, indices: Any, updates: Any,
                       **params: Any) -> list:
    result = [None, None, None]
    if not _writes_once(indices, params):
        raise NotImplementedError(errors.describe(
            "scatter transpose is only implemented where unique_indices=True",
            fix="pass unique_indices=True if no element is written twice"))
    if is_linear(operand):
        empty = shapes.full(aval_of(updates).shape, 0, aval_of(updates).dtype)
        result[0] = primitive.bind(ct, indices, empty, **params)
    if is_linear(updates):
        result[2] = _read_cotangent(ct, indices, updates, params)
    return result


scatter_p = _scatter("scatter", _replace_jvp, _replace_transpose)


# --- Scatters that combine ---------------------------------------------------------------------


def _combining(primitive: Primitive, combine: Callable[[Any, Any], Any], doc: str) -> Callable:
    """A function like `scatter` that writes combine(element, update)."""
    def scatter(operand: Any, scatter_indices: Any, updates: Any,
                dimension_numbers: ScatterDimensionNumbers, *, indices_are_sorted: bool = False,
                unique_indices: bool = False, mode: str | GatherScatterMode | None = None) -> Array:
        return primitive.bind(
            operand, scatter_indices, updates,
            update_jaxpr=binary_jaxpr(combine, aval_of(operand).dtype), update_consts=(),
            dimension_numbers=dimension_numbers, indices_are_sorted=indices_are_sorted,
            unique_indices=unique_indices, mode=GatherScatterMode.from_any(mode))
    scatter.__name__ = scatter.__qualname__ = primitive.name.replace("-", "_")
    scatter.__doc__ = doc
    return scatter


scatter_add = _combining(scatter_add_p, elementwise.add, "`operand` with `updates` added to its "
                         "windows; overlapping updates add up.")
scatter_sub = _combining(scatter_sub_p, elementwise.sub,
                         "`operand` with `updates` subtracted from its windows.")
scatter_mul = _combining(
    scatter_mul_p, elementwise.mul, "`operand` with its windows multiplied by `updates`.\n\n"
    "The derivative with respect to `updates` needs `unique_indices=True`.")
scatter_min = _combining(scatter_min_p, elementwise.min,
                         "`operand` with the minimum of its windows and `updates`.")
scatter_max = _combining(scatter_max_p, elementwise.max,
                         "`operand` with the maximum of its windows and `updates`.")
