"""NumPy indexing: one translator from an index to slices, gathers and scatters.

`parse` reads an index against a shape and splits it into a *form* (hashable: which axis is
sliced, picked from, added) and operands (arrays, and numbers that may vary from call to call).
`get` and `place` build the operations from the two.  The invariant: the form alone decides which
operations are made, so an eager call is one look-up of a compiled program by form; and since
positions are operands there, a Python loop over `x[i]` compiles once.

    form, operands, _ = parse((5, 4), (2, slice(None)))   # ((2, (0, 4, 1)), [], True)
    get(x, form, operands)                                # slice, squeeze
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.base import config, dims, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.window import Slice
from minijax.core import (AbstractRef, Tracer, eval_trace, get_aval, refs, state, structural,
                          to_concrete)
from minijax.numpy import host, promotion
from minijax.runtime.call import fused

# The items of a form: None is a new axis; a tuple (low, size, step) a slice of one axis, low being
# the smallest index that it touches; an int a position in one axis; or one of these words:
HOST = "host"  # a position, or a low, that is an operand and known to be in bounds
SCALAR = "scalar"  # a position, or a low, that is an operand: any integer of rank 0
ARRAY = "array"  # an operand: an integer array
TRUE = "true"  # the boolean scalars: an array index of length 1, or 0, into a new axis
FALSE = "false"
GAP = "gap"  # an ellipsis that stands for no axis still separates array indices

_BLOCK = "block"
_BOOLEANS = (bool, np.bool_)
_INT32 = np.dtype(np.int32)
_INT64 = np.dtype(np.int64)
_BIG = np.iinfo(np.int32).max


# --- Reading an index --------------------------------------------------------------------------


def parse(shape: Sequence[int], index: Any, *, host: bool = False, wrap: bool = True,
          clamp: bool = True) -> tuple[tuple, list, bool]:
    """The form of an index into an array of this shape, its operands, and "all in bounds".

    host: positions and slice starts become operands (HOST) instead of parts of the form.
    wrap: negative positions count from the end.
    clamp: positions outside an axis mean its first or last element.
    The last result says that every position is a Python number within its axis.
    """
    entries = _entries(shape, index)
    form: list = []
    operands: list = []
    inside = True
    axis = 0
    for entry in entries:
        kind = type(entry)
        if entry is None:
            form.append(None)
            continue
        if kind is str:  # TRUE, FALSE, GAP
            form.append(entry)
            continue
        if (kind is int and not -shape[axis] <= entry < shape[axis]
                and config.keep_static_indices.value):
            operands.append(np.int32(entry))
            form.append(SCALAR)
            inside = False
        elif kind is int:
            position, fits = _position(entry, shape[axis], axis, wrap, clamp)
            inside = inside and fits
            if host:
                operands.append(position)
                position = HOST
            elif type(position) is not int:  # symbolic, as the axis is
                operands.append(position.dimension_as_value())
                position = SCALAR
            form.append(position)
        elif kind is slice:
            form.append(_range(entry, shape[axis], axis, host, operands))
        elif kind is Slice:
            start = entry.start
            operands.append(np.int32(start) if type(start) is int else _integer_array(start))
            form.append((SCALAR, *entry.within(shape[axis])))
            inside = False
        else:
            operands.append(entry)
            if not entry.ndim and not shape[axis]:
                raise _outside("", axis, 0)
            form.append(ARRAY if entry.ndim else SCALAR)
            inside = False
        axis += 1
    return tuple(form), operands, inside


def _position(given: int, size: int, axis: int, wrap: bool, clamp: bool) -> tuple[int, bool]:
    """The position counted from the front, and whether it is within the axis."""
    position = given + size if given < 0 and wrap else given
    try:
        if 0 <= position < size:
            return position, True
    except errors.InconclusiveDimensionOperation:
        return position, False
    if not size:
        raise _outside("", axis, size)
    if config.check_static_indices.value:
        raise _outside(f"{given} ", axis, size)
    if not clamp:
        return position, False
    return (0 if position < 0 else size - 1), True


def _outside(position: str, axis: int, size: int) -> IndexError:
    what = f"index {position or 'is '}out of bounds for axis {axis} with size {size}"
    return IndexError(errors.describe(what, fix="compare the index with x.shape"))


def _range(entry: slice, size: int, axis: int, host: bool, operands: list) -> tuple:
    """A slice as (low, size, step); a low other than 0 becomes an operand if `host`."""
    try:
        if dims.constant(size, entry.start, entry.stop):
            start, stop, step = entry.indices(size)
            count = len(range(start, stop, step))
        else:
            start, stop, step, count = dims.slice_indices(entry, size)
    except errors.TracerIntegerConversionError:
        raise IndexError(errors.describe(
            f"Slice entries must be static integers. Got {entry} at position {axis}",
            because="the size of the result would depend on a traced value",
            fix="jax.lax.dynamic_slice(x, starts, sizes) slices at a traced position")) from None
    if count == size and step == 1:
        return (0, size, 1)
    if not count:
        return (0, 0, 1)
    low = start if step > 0 else start + (count - 1) * step
    if count == 1:
        step = 1
    if host and (low or count == 1):
        operands.append(low)
        low = HOST
    return (low, count, step)


def _entries(shape: Sequence[int], index: Any) -> list:
    """The index as a list: ints, slices, arrays of integers, None, and TRUE, FALSE, GAP."""
    if type(index) is not tuple:
        index = (index,) if type(index) is int else _as_tuple(index)
    entries: list = []
    used = 0
    ellipsis = -1
    masked = False
    for entry in index:
        kind = type(entry)
        if kind is int or kind is slice:
            used += 1
        elif entry is Ellipsis:
            if ellipsis >= 0:
                raise IndexError(errors.describe(
                    "an index can only have a single ellipsis ('...')",
                    fix="write ':' for the other one"))
            ellipsis = len(entries)
        elif isinstance(entry, (Tracer, Array)) and entry.dtype in promotion.INTEGER:
            used += 1
        elif entry is not None:
            used += _read_array(entry, entries)
            masked = masked or type(entries[-1]) is _Mask
            continue
        entries.append(entry)
    missing = len(shape) - used
    if missing < 0:
        raise IndexError(errors.describe(
            f"Too many indices: array is {len(shape)}-dimensional, but {used} were indexed",
            fix="index with x[..., i] to count axes from the end"))
    if ellipsis >= 0:
        entries[ellipsis:ellipsis + 1] = [slice(None)] * missing or [GAP]
    else:
        entries.extend([slice(None)] * missing)
    return _without_masks(shape, entries) if masked else entries


def _as_tuple(index: Any) -> tuple:
    if isinstance(index, list):
        several = any(np.ndim(e) if hasattr(e, "ndim") or isinstance(e, list | tuple)
                      else isinstance(e, slice | None) or e is Ellipsis for e in index)
        raise TypeError(errors.describe(
            "Using a non-tuple sequence for multidimensional indexing is not allowed; use "
            f"`arr[{'tuple' if several else 'array'}(seq)]` instead of `arr[seq]`.",
            fix="x[tuple(index)]" if several else "x[jnp.array([0, 2])]"))
    return tuple(index) if isinstance(index, tuple) else (index,)


class _Mask(NamedTuple):
    """A boolean array among the entries: its shape, and the index arrays it stands for."""

    shape: tuple[int, ...]
    indices: tuple


def _read_array(entry: Any, entries: list) -> int:
    """Append an entry that is not an int, slice or None; returns how many axes it uses."""
    if type(entry) is Slice:
        entries.append(entry)
        return 1
    if isinstance(entry, (np.integer, int)) and not isinstance(entry, _BOOLEANS):
        entries.append(int(entry))
        return 1
    entry = _integer_array(entry)
    if entry.dtype != np.bool_:
        known = isinstance(entry, np.ndarray) and not entry.ndim
        entries.append(int(entry) if known else entry)
        return 1
    value = to_concrete(entry)
    if value is None:
        raise errors.NonConcreteBooleanIndexError(entry)
    mask = np.asarray(value)
    if not mask.ndim:
        entries.append(TRUE if mask else FALSE)
        return 0
    indices = tuple(i.astype(np.int32) for i in np.nonzero(mask))
    entries.append(_Mask(mask.shape, indices))
    return mask.ndim


def _integer_array(entry: Any) -> Any:
    """An entry as an array, NumPy array or tracer of integers or booleans."""
    if hasattr(entry, "__jax_array__"):
        entry = entry.__jax_array__()
    if not isinstance(entry, (Tracer, Array, np.ndarray)):
        entry = _converted(entry)
    dtype = entry.dtype
    if dtype == np.bool_ or dtype in promotion.INTEGER:
        return entry
    if isinstance(entry, np.ndarray) and not entry.size and entry.dtype == np.float64:
        return entry.astype(np.int32)  # NumPy's empty list
    raise TypeError(errors.describe(
        f"Indexer must have integer or boolean type, got indexer with type {dtype}",
        fix="convert it, e.g. i.astype(int)"))


def _converted(entry: Any) -> Any:
    if isinstance(entry, str):
        raise TypeError(errors.describe(f"JAX does not support string indexing; got idx={entry!r}",
                                        fix="use a dict or a dataclass for named parts"))
    if isinstance(entry, (list, tuple)):
        if any(isinstance(leaf, Tracer) for leaf in entry):
            return _stack(entry)
        return np.asarray([np.asarray(leaf) for leaf in entry]) if entry else np.zeros(0, np.int32)
    if isinstance(entry, (np.generic, bool, float, complex)):
        return np.asarray(entry)
    raise IndexError(errors.describe(
        "only integers, slices (`:`), ellipsis (`...`), newaxis (`None`) and integer or boolean "
        f"arrays are valid indices. Got {entry}", fix="x[int(i)]"))


def _stack(leaves: Sequence[Any]) -> Any:
    """A list of rank-0 indices, some of them traced, as one index array."""
    dtype = index_dtype(leaves, ())
    columns = [structural.broadcast_in_dim(cast_index(leaf, dtype), (1,), ()) for leaf in leaves]
    return lax.concatenate(columns, 0)


def _without_masks(shape: Sequence[int], entries: list) -> list:
    """The entries with the index arrays of masks in their places, sizes checked."""
    out: list = []
    axis = 0
    for place, entry in enumerate(entries):
        if type(entry) is not _Mask:
            out.append(entry)
            axis += entry is not None and type(entry) is not str
            continue
        expected = list(shape[axis:axis + len(entry.shape)])
        if len(expected) != len(entry.shape) or any(
                n not in (0, m) for n, m in zip(entry.shape, expected)):
            raise IndexError(errors.describe(
                "boolean index did not match shape of indexed array in index "
                f"{place}: got {entry.shape}, expected {expected}",
                fix="a mask must have the sizes of the axes that it selects from"))
        out.extend(entry.indices)
        axis += len(entry.shape)
    return out


# --- Slices ------------------------------------------------------------------------------------


def get(x: Any, form: tuple, operands: Sequence[Any], *, mode: Any = None, fill_value: Any = None,
        indices_are_sorted: bool = False, unique_indices: bool = False, wrap: bool = True,
        inside: bool = False) -> Any:
    """`x[index]` in operations, for an index that has been parsed."""
    plain = ARRAY not in form and TRUE not in form and FALSE not in form
    if plain:
        filling = mode is not None and mode is not lax.GatherScatterMode.PROMISE_IN_BOUNDS
        filling = filling and mode is not lax.GatherScatterMode.CLIP
        if inside or not filling:
            return _slice(x, form, operands, wrap)
        indices_are_sorted = unique_indices = True
    how = plan(x.shape, form, operands, wrap)
    if not all(how.batch_shape):
        out = structural.zeros(get_aval(x).update(shape=how.shape))
    else:
        dnums = lax.GatherDimensionNumbers(how.offset_dims, how.collapsed, how.index_map)
        out = lax.gather(x, how.indices, dnums, how.slice_sizes, fill_value=fill_value,
                         mode=mode or lax.GatherScatterMode.PROMISE_IN_BOUNDS,
                         indices_are_sorted=indices_are_sorted, unique_indices=unique_indices)
    return lax.expand_dims(out, how.new_axes) if how.new_axes else out


class _Cut(NamedTuple):
    """What a form of slices, positions and new axes does, one entry per axis of the operand.

    limits: None where a start is an operand; whole: every element is taken.
    """

    starts: tuple
    sizes: tuple
    limits: tuple | None
    strides: tuple | None
    whole: bool
    flipped: tuple[int, ...]
    dropped: tuple[int, ...]
    new: tuple[int, ...]


@functools.lru_cache(maxsize=4096)
def _cut(shape: tuple, form: tuple) -> _Cut:
    starts, sizes, strides = [], [], []
    flipped, dropped, new = [], [], []
    place = 0
    for item in form:
        axis = len(starts)
        if item is None:
            new.append(place)
        elif item is GAP:
            continue
        else:
            low, count, step = item if type(item) is tuple else (item, 1, 1)
            stride = abs(step)
            starts.append(low)
            sizes.append((count - 1) * stride + 1 if count else 0)
            strides.append(stride)
            if step < 0:
                flipped.append(axis)
            if type(item) is not tuple:
                dropped.append(axis)
                continue
        place += 1
    strided = tuple(strides) if any(s != 1 for s in strides) else None
    static = not {HOST, SCALAR}.intersection(starts)
    limits = dims.indices(map(operator.add, starts, sizes)) if static else None
    return _Cut(dims.indices(starts) if static else tuple(starts), tuple(sizes), limits,
                strided, static and not strided and tuple(sizes) == shape, tuple(flipped),
                tuple(dropped), tuple(new))


def _slice(x: Any, form: tuple, operands: Sequence[Any], wrap: bool) -> Any:
    """Slices, positions and new axes: (dynamic_)slice, rev, squeeze, broadcast_in_dim."""
    cut = _cut(x.shape, form)
    if cut.limits is None:
        x = _dynamic(x, cut, iter(operands), wrap)
    elif not cut.whole:
        x = lax.slice_p.bind(x, start_indices=cut.starts, limit_indices=cut.limits,
                             strides=cut.strides)
    if cut.flipped:
        x = lax.rev(x, cut.flipped)
    if cut.dropped:
        x = lax.squeeze_p.bind(x, dimensions=cut.dropped)
    return lax.expand_dims(x, cut.new) if cut.new else x


def _dynamic(x: Any, cut: _Cut, values: Iterator, wrap: bool) -> Any:
    """The cut where some starts are operands: their next value, counted from the end if `wrap`."""
    starts = [wrapped(next(values), n, wrap) if s is SCALAR else next(values) if s is HOST else s
              for s, n in zip(cut.starts, x.shape)]
    dtype = index_dtype(starts, x.shape)
    starts = [cast_index(s, dtype) for s in starts]
    x = lax.dynamic_slice(x, starts, cut.sizes, allow_negative_indices=False)
    if cut.strides:
        x = lax.slice(x, (0,) * len(cut.sizes), cut.sizes, cut.strides)
    return x


def index_dtype(values: Sequence[Any], shape: Sequence[int]) -> Any:
    """int32, unless an index or an axis is larger."""
    for value in values:
        if type(value) is not int and get_aval(value).dtype.itemsize == 8:
            return _INT64
    return _INT64 if any([type(n) is int and n > _BIG for n in shape]) else _INT32


def cast_index(index: Any, dtype: Any) -> Any:
    """An index at the dtype; numbers stay numbers."""
    if isinstance(index, (int, np.integer)):
        return dtype.type(index)
    if isinstance(index, np.ndarray):
        return index.astype(dtype)
    aval = get_aval(index)
    if aval.dtype == dtype and not aval.weak_type:
        return index
    return structural.convert_element_type(index, dtype)


def wrapped(index: Any, size: int, wrap: bool) -> Any:
    """An integer array with its negative elements counted from the end."""
    unsigned = index.dtype in promotion.UNSIGNED
    if not dims.constant(size):
        size = size.dimension_as_value()
        return lax.select(lax.lt(index, lax.full_like(index, 0)), lax.add(
            index, lax.broadcast(lax.convert_element_type(size, index.dtype), index.shape)), index)
    dtype = _INT64 if index.dtype.itemsize == 8 or size > _BIG else _INT32
    if isinstance(index, np.ndarray):
        dtype = dtypes.canonicalize_dtype(dtype)
        index = index.astype(dtype)
        return np.where(index < 0, index + dtype.type(size), index) if wrap else index
    index = cast_index(index, dtype)
    if not wrap or unsigned:
        return index
    return lax.select(lax.lt(index, dtype.type(0)), lax.add(index, dtype.type(size)), index)


# --- Gathers and scatters ----------------------------------------------------------------------


class Plan(NamedTuple):
    """The dimension numbers of the gather or scatter that an index means.

    shape: of the result without its new axes; new_axes: their places in the full result.
    batch_shape: the axes of the result that come from `indices`, which has one more axis.
    """

    shape: tuple[int, ...]
    new_axes: tuple[int, ...]
    batch_shape: tuple[int, ...]
    offset_dims: tuple[int, ...]
    collapsed: tuple[int, ...]
    index_map: tuple[int, ...]
    slice_sizes: tuple[int, ...]
    indices: Any


def plan(shape: Sequence[int], form: tuple, operands: Sequence[Any], wrap: bool = True) -> Plan:
    """What a gather from, or a scatter to, `x[index]` needs to know; x has this shape."""
    picks, ranges, order = _read_form(shape, form, operands, wrap)
    arrays = [np.shape(v) for _, v in picks]
    flags = [(1,) if item is TRUE else (0,) for item in form if item is TRUE or item is FALSE]
    block = lax.broadcast_shapes(*arrays, *flags) if arrays or flags else ()
    out: list[int] = []  # the result, without its new axes
    new: list[int] = []
    batch: list[int] = []
    offsets: list[int] = []
    columns: dict[int, tuple[Any, tuple[int, ...]]] = {}  # axis of x: index array, its batch axes
    sizes = [1] * len(shape)
    for item in order:
        if item is None:
            new.append(len(out) + len(new))
        elif item is _BLOCK:
            for axis, value in picks:
                first = len(batch) + len(block) - np.ndim(value)
                columns[axis] = value, tuple(range(first, first + np.ndim(value)))
            batch.extend(block)
            out.extend(block)
        else:
            low, count, step = ranges[item]
            if step == 1:
                offsets.append(len(out))
                sizes[item] = count
                if type(low) is not int or low:
                    columns[item] = low, ()
            else:
                columns[item] = _progression(low, count, step), (len(batch),)
                batch.append(count)
            out.append(count)
    collapsed = tuple(a for a in range(len(shape)) if a not in ranges or ranges[a][2] != 1)
    index_map = tuple(sorted(columns))
    indices = _columns([columns[a] for a in index_map], tuple(batch), shape)
    return Plan(tuple(out), tuple(new), tuple(batch), tuple(offsets), collapsed, index_map,
                tuple(sizes), indices)


def _read_form(shape: Sequence[int], form: tuple, operands: Sequence[Any],
               wrap: bool) -> tuple[list, dict, list]:
    """The picked axes with their index arrays, the sliced axes, and the order of the result.

    The order lists None for a new axis, the number of a sliced axis, and _BLOCK for the axes that
    the picks make together: where they are if they stand side by side, else in front.
    """
    picks: list[tuple[int, Any]] = []
    ranges: dict[int, tuple] = {}
    order: list = []
    values = iter(operands)
    places = []
    axis = 0
    for place, item in enumerate(form):
        if item is None:
            order.append(None)
        elif type(item) is tuple:
            low, count, step = item
            ranges[axis] = (low if type(low) is int else next(values)), count, step
            order.append(axis)
            axis += 1
        elif item is not GAP:
            places.append(place)
            order.append(_BLOCK)
            if item is not TRUE and item is not FALSE:
                picks.append((axis, _pick(item, values, shape[axis], wrap)))
                axis += 1
    if not places:
        return picks, ranges, order
    adjacent = places[-1] - places[0] + 1 == len(places)
    first = order.index(_BLOCK) if adjacent else 0
    rest = [item for item in order if item is not _BLOCK]
    return picks, ranges, [*rest[:first], _BLOCK, *rest[first:]]


def _pick(item: Any, values: Any, size: int, wrap: bool) -> Any:
    """An index array; a NumPy one where its values are known."""
    if type(item) is int:
        return np.asarray(item, _INT64 if size > _BIG else _INT32)
    if item is HOST:
        return next(values)
    return wrapped(next(values), size, wrap)


def _progression(low: Any, count: int, step: int) -> Any:
    """The indices that a slice with a step touches."""
    offset = step * np.arange(count, dtype=_INT32) - min(step * (count - 1), 0)
    if type(low) is int:
        return (low + offset).astype(_INT32)
    dtype = get_aval(low).dtype
    low = structural.convert_element_type(low, dtype)
    return lax.add(structural.broadcast_in_dim(low, (count,), ()), offset.astype(dtype))


def _columns(columns: Sequence[tuple], batch: tuple[int, ...], shape: Sequence[int]) -> Any:
    """The index arrays, broadcast and side by side on a new last axis."""
    if not columns:
        return np.zeros((*batch, 0), _INT32)
    values = [value for value, _ in columns]
    dtype = index_dtype(values, shape)
    parts = [_column(cast_index(value, dtype), axes, (*batch, 1)) for value, axes in columns]
    if len(parts) == 1:
        return parts[0]
    if all(isinstance(part, np.ndarray) for part in parts):
        return np.concatenate(parts, -1)
    return lax.concatenate(parts, len(batch))


def _column(value: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    if isinstance(value, (np.ndarray, np.generic)):
        own = [1] * len(shape)
        for axis, size in zip(axes, value.shape, strict=True):
            own[axis] = size
        return np.ascontiguousarray(np.broadcast_to(value.reshape(own), shape))
    return structural.broadcast_in_dim(value, shape, axes)


# --- x[index] ----------------------------------------------------------------------------------


def getitem(x: Any, index: Any) -> Any:
    """`x[index]` for a concrete array: one call of a compiled program."""
    kind = type(index)
    if kind is int and not config.check_static_indices.value:
        return _row(x, index)
    if isinstance(index, Array) and index.dtype != np.bool_:
        return _rows(x, index)
    if kind is not slice:
        found = host.masked(x, index)
        if found is not None:
            return found
    return lookup(x, index)


def getitem_traced(x: Any, index: Any) -> Any:
    """`x[index]` for a tracer: slices and gathers in the current trace."""
    if type(x.aval) is AbstractRef:
        return refs.get_item(x, index)
    form, operands, inside = parse(x.shape, index)
    return get(x, form, operands, inside=inside)


def lookup(x: Any, index: Any, *, mode: Any = None, fill_value: Any = None,
           indices_are_sorted: bool = False, unique_indices: bool = False,
           wrap: bool = True) -> Any:
    """`x[index]` with the options of `x.at[index].get`."""
    if mode is not None:
        mode = lax.GatherScatterMode.from_any(mode)
    clamp = mode is not lax.GatherScatterMode.FILL_OR_DROP
    host = state.trace is eval_trace and isinstance(x, Array)
    form, operands, inside = parse(x.shape, index, host=host, wrap=wrap, clamp=clamp)
    if not host or any(isinstance(v, Tracer) for v in operands):
        return get(x, form, operands, mode=mode, fill_value=fill_value, inside=inside, wrap=wrap,
                   indices_are_sorted=indices_are_sorted, unique_indices=unique_indices)
    if not operands and _is_everything(x.shape, form):
        return x
    options = (mode, fill_value, indices_are_sorted, unique_indices, wrap, inside)
    return _get(x, form, options, *operands)


def _is_everything(shape: tuple[int, ...], form: tuple) -> bool:
    return len(form) == len(shape) and all(
        type(item) is tuple and item == (0, size, 1) for item, size in zip(form, shape))


@fused(static_argnums=(1, 2))
def _get(x: Any, form: tuple, options: tuple, *operands: Any) -> Any:
    mode, fill_value, indices_are_sorted, unique_indices, wrap, inside = options
    return get(x, form, operands, mode=mode, fill_value=fill_value, wrap=wrap, inside=inside,
               indices_are_sorted=indices_are_sorted, unique_indices=unique_indices)


@fused
def _row(x: Any, index: Any) -> Any:
    """x[index] for a Python int: the position is an operand, wrapped within the program."""
    if type(index) is int or not x.ndim or not x.shape[0]:
        return getitem_traced(x, index if type(index) is int else 0)
    full = [(0, n, 1) for n in x.shape[1:]]
    return get(x, (SCALAR, *full), (index,))


@fused
def _rows(x: Any, index: Any) -> Any:
    """x[index] for an integer array."""
    return getitem_traced(x, index)
