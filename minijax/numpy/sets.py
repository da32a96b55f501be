"""Sets held in arrays: unique elements, membership, union, intersection, difference.

Sizes depend on values, so under jit `size=` must be given; results are padded with `fill_value`.
Eager calls on a CPU without `size` are NumPy's, which needs no program per size.

    unique(x, return_counts=True)
    intersect1d(x, y, size=4, fill_value=-1)
"""

from __future__ import annotations

import operator
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.util import canonicalize_axis
from minijax.core import get_aval, is_concrete, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import host, indexing, promotion, selection, sorting
from minijax.numpy.sorting import position_dtype
from minijax.runtime.call import fused

_NEED_SIZE = ("The error arose for the first argument of jnp.{0}(). To make jnp.{0}() compatible "
              "with JIT and other transforms, you can specify a concrete value for the size "
              "argument, which will determine the output size.")
_NEED_FILL = ("jnp.unique: for zero-sized input with nonzero size argument, fill_value must be "
              "specified")


class _UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class _UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class _UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def unique(ar: ArrayLike, return_index: bool = False, return_inverse: bool = False,
           return_counts: bool = False, axis: int | None = None, *, equal_nan: bool = True,
           size: int | None = None, fill_value: ArrayLike | None = None,
           sorted: bool = True) -> Any:
    """The sorted distinct elements (or slices along `axis`).

    Returns also, if asked: where each occurs first, which of them each element is (in the shape
    of `ar`), how often each occurs. `size` pads with `fill_value` (default: the smallest), or cuts.
    """
    ar = promotion.operand("unique", ar)
    size = host.known(size, "the 'size' argument of jnp.unique")
    wanted = (True, return_index, return_inverse, return_counts)
    if size is None:
        found = _unique_on_host(ar, equal_nan) if axis is None else None
        if found is not None:
            return _chosen(found, wanted)
        if not is_concrete(ar):
            raise errors.ConcretizationTypeError(ar, _NEED_SIZE.format("unique"))
    shape = np.shape(ar)
    place = None if axis is None else canonicalize_axis(axis, len(shape))
    if axis is not None and 0 in np.delete(shape, place) and (size is None or shape[place]):
        size = 1  # slices without elements are equal
    elif size is None:
        size = int(_count_unique(ar, axis, equal_nan)) if 0 not in shape else 0
    elif fill_value is None and size and 0 in shape:
        raise ValueError(errors.describe(_NEED_FILL, fix="fill_value=0"))
    return _chosen(_unique(ar, fill_value, (axis, equal_nan, operator.index(size))), wanted)


def _chosen(results: tuple, wanted: tuple[bool, ...]) -> Any:
    out = tuple(x for x, flag in zip(results, wanted) if flag)
    return out[0] if len(out) == 1 else out


def _unique_on_host(x: Any, equal_nan: bool) -> tuple | None:
    values = host.elements(x)
    if values is None:
        return None
    dtype = position_dtype()
    result, *rest = np.unique(values, True, True, True, equal_nan=equal_nan)
    aval = get_aval(x)
    first = host.array(result.astype(aval.dtype), x, weak_type=aval.weak_type)
    return first, *[host.array(i.astype(dtype), x) for i in rest]


def _rows(x: Any, axis: int | None) -> tuple[Any, Any]:
    """The elements, or slices, along axis 0; and the same as rows of a matrix."""
    x = promotion.array_operand("unique", x)
    if axis is None:
        x = structural.reshape(x, (x.size,))
        return x, structural.reshape(x, (x.size, 1))
    x = structural.move_axis(x, canonicalize_axis(axis, x.ndim), 0)
    count = x.shape[0]
    return x, structural.reshape(x, (count, x.size // count if count else 0))


def _sorted_rows(x: Any, rows: Any, equal_nan: bool) -> tuple[Any, Any, Any]:
    """The slices of x in sorted order, whether each is the first of its kind, the order."""
    count = rows.shape[0]
    columns = lax.unstack(rows, 1)
    order = (sorting.lexsort.body(columns[::-1]) if columns else
             lax.iota(position_dtype(), count))
    x = indexing.getitem_traced(x, order)
    rows = indexing.getitem_traced(rows, order)
    after, before = lax.slice_in_dim(rows, 1, None), lax.slice_in_dim(rows, 0, count - 1)
    differ = lax.ne(after, before)
    if equal_nan and rows.dtype in promotion.INEXACT:
        both = lax.bitwise_and(lax.ne(after, after), lax.ne(before, before))
        differ = lax.bitwise_and(differ, lax.bitwise_not(both))
    first = structural.broadcast_in_dim(np.True_, (1,), ())
    return x, lax.concatenate((first, lax.reduce_or(differ, (1,))), 0), order


@fused(static_argnums=(1, 2))
def _count_unique(x: Any, axis: int | None, equal_nan: bool) -> Any:
    x, rows = _rows(x, axis)
    if not rows.shape[0]:
        return np.zeros((), np.int32)
    mask = _sorted_rows(x, rows, equal_nan)[1]
    return structural.reduce_sum(structural.convert_element_type(mask, position_dtype()), (0,))


@fused(static_argnums=2)
def _unique(ar: Any, fill_value: Any, options: tuple) -> tuple:
    """All four results of `unique`, of a fixed size."""
    axis, equal_nan, size = options
    shape = np.shape(ar)
    x, rows = _rows(ar, axis)
    count = rows.shape[0]
    dtype = position_dtype()
    zeros = structural.broadcast_in_dim(dtype.type(0), (size,), ())
    if not count:
        values = structural.zeros(get_aval(x).update(shape=(size, *x.shape[1:])))
        results = [values, zeros, structural.broadcast_in_dim(dtype.type(0), (0,), ()), zeros]
        missing = structural.broadcast_in_dim(np.True_, (size,), ())
    else:
        x, mask, order = _sorted_rows(x, rows, equal_nan)
        starts = selection._nonzero.body(mask, size + 1, count)[0]
        place = lax.slice(starts, (0,), (size,))
        rank = lax.cumsum(structural.convert_element_type(mask, dtype))
        missing = lax.ge(place, structural.broadcast_in_dim(dtype.type(count), (size,), ()))
        place = lax.select(missing, zeros, place)
        counts = lax.sub(lax.slice(starts, (1,), (size + 1,)), lax.slice(starts, (0,), (size,)))
        inverse = lax.scatter(
            structural.broadcast_in_dim(dtype.type(0), (count,), ()),
            structural.broadcast_in_dim(order, (count, 1), (0,)), lax.sub(rank, dtype.type(1)),
            lax.ScatterDimensionNumbers((), (0,), (0,)), unique_indices=True)
        results = [indexing.getitem_traced(x, place), indexing.getitem_traced(order, place),
                   inverse, counts]
    if fill_value is not None:
        results[0] = _fill_missing(results[0], missing, fill_value)
    if axis is None:
        results[2] = structural.reshape(results[2], shape)
    else:
        results[0] = structural.move_axis(results[0], 0, axis)
    return tuple(results)


def _fill_missing(values: Any, missing: Any, fill_value: Any) -> Any:
    mask = structural.broadcast_in_dim(missing, values.shape, (0,))
    fill = promotion.as_array(promotion.convert(fill_value, values.dtype))
    return lax.select(mask, promotion.broadcast(fill, values.shape), values)


def unique_all(x: ArrayLike, /, *, size: int | None = None,
               fill_value: ArrayLike | None = None) -> _UniqueAllResult:
    """`unique` with all its results; NaNs count as different."""
    x = promotion.operand("unique_all", x)
    return _UniqueAllResult(*unique(x, True, True, True, equal_nan=False, size=size,
                                    fill_value=fill_value))


def unique_counts(x: ArrayLike, /, *, size: int | None = None,
                  fill_value: ArrayLike | None = None) -> _UniqueCountsResult:
    """The distinct elements and how often each occurs; NaNs count as different."""
    x = promotion.operand("unique_counts", x)
    return _UniqueCountsResult(*unique(x, return_counts=True, equal_nan=False, size=size,
                                       fill_value=fill_value))


def unique_inverse(x: ArrayLike, /, *, size: int | None = None,
                   fill_value: ArrayLike | None = None) -> _UniqueInverseResult:
    """The distinct elements and which of them each element is; NaNs count as different."""
    x = promotion.operand("unique_inverse", x)
    return _UniqueInverseResult(*unique(x, return_inverse=True, equal_nan=False, size=size,
                                        fill_value=fill_value))


def unique_values(x: ArrayLike, /, *, size: int | None = None,
                  fill_value: ArrayLike | None = None) -> Any:
    """The distinct elements; NaNs count as different."""
    x = promotion.operand("unique_values", x)
    return unique(x, equal_nan=False, size=size, fill_value=fill_value)


# --- Membership --------------------------------------------------------------------------------


def isin(element: ArrayLike, test_elements: ArrayLike, assume_unique: bool = False,
         invert: bool = False, *, method: str = "auto") -> Any:
    """Whether each element is among the test elements.

    method: "compare_all", "binary_search" or "sort"; "auto" compares with all.
    """
    if method not in ("auto", "compare_all", "binary_search", "sort"):
        raise ValueError(errors.describe(
            f"{method=} is not implemented; options are 'compare_all', 'binary_search', 'sort', "
            "and 'auto'", fix="method='auto'"))
    return _isin(element, test_elements, bool(invert), method)


@fused(static_argnums=(2, 3))
def _isin(element: Any, test: Any, invert: bool, method: str) -> Any:
    x, test = promotion.promoted("isin", element, test)
    test = structural.reshape(test, (test.size,))
    if not x.size or not test.size:
        return structural.broadcast_in_dim(np.bool_(invert), x.shape, ())
    if method in ("sort", "binary_search"):
        test = lax.sort(test)
        place = sorting._searchsorted.body(test, x, "left", None,
                                           "sort" if method == "sort" else "scan")
        last = structural.broadcast_in_dim(place.dtype.type(test.size - 1), x.shape, ())
        found = lax.eq(x, indexing.getitem_traced(test, lax.min(place, last)))
    else:
        plane = (*x.shape, test.size)
        found = lax.reduce_or(lax.eq(
            structural.broadcast_in_dim(x, plane, tuple(range(x.ndim))),
            structural.broadcast_in_dim(test, plane, (x.ndim,))), (x.ndim,))
    return lax.bitwise_not(found) if invert else found


# --- Operations on two sets --------------------------------------------------------------------


def union1d(ar1: ArrayLike, ar2: ArrayLike, *, size: int | None = None,
            fill_value: ArrayLike | None = None) -> Any:
    """The sorted distinct elements of both arrays."""
    return _combined("union1d", (ar1, ar2), size, fill_value)


def setdiff1d(ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, *,
              size: int | None = None, fill_value: ArrayLike | None = None) -> Any:
    """The distinct elements of the first array that the second lacks (padded with 0)."""
    fill_value = 0 if fill_value is None else fill_value
    ar1, ar2 = promotion.arguments("setdiff1d", ar1, ar2)
    if not assume_unique:
        out = _combined("setdiff1d", (ar1, ar2), size, fill_value)
        return promotion.convert(out, get_aval(ar1).dtype)
    return selection.extract(isin(ar1, ar2, invert=True), ar1, size=size, fill_value=fill_value)


def setxor1d(ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False, *,
             size: int | None = None, fill_value: ArrayLike | None = None) -> Any:
    """The sorted elements that are in exactly one of the two arrays."""
    return _combined("setxor1d", (ar1, ar2), size, fill_value, assume_unique=assume_unique)


def intersect1d(ar1: ArrayLike, ar2: ArrayLike, assume_unique: bool = False,
                return_indices: bool = False, *, size: int | None = None,
                fill_value: ArrayLike | None = None) -> Any:
    """The sorted distinct elements that both arrays have; with `return_indices` also where.

    Padding is with `fill_value` (default: the smallest), and positions with the arrays' sizes.
    """
    return _combined("intersect1d", (ar1, ar2), size, fill_value, return_indices=return_indices)


def _combined(name: str, arrays: tuple[Any, Any], size: int | None, fill_value: Any,
              **options: bool) -> Any:
    """The set operation `name`: NumPy's if the size is free, else one program."""
    arrays = promotion.arguments(name, *arrays)
    size = host.known(size, f"the 'size' argument of jnp.{name}")
    if size and name == "union1d" and fill_value is None and not any(map(np.size, arrays)):
        raise ValueError(errors.describe(_NEED_FILL, fix="fill_value=0"))
    if size is None:
        found = _on_host(name, arrays, options)
        if found is not None:
            return found
        for x in arrays:
            if not is_concrete(x):
                raise errors.ConcretizationTypeError(x, _NEED_SIZE.format(name))
        size = int(_groups(*arrays, name)[-1])
    out = _pick(name, operator.index(size), fill_value, *arrays)
    return out if options.get("return_indices") else out[0]


def _on_host(name: str, arrays: tuple[Any, Any], options: dict[str, bool]) -> Any:
    """NumPy's answer for two arrays that lie in host memory; else None."""
    values = [host.elements(x) for x in arrays]
    dtype = promotion.common_dtype(*arrays)[0]
    if any(v is None for v in values) or dtype.kind not in "biufc":
        return None
    found = getattr(np, name)(*[v.astype(dtype) for v in values], **options)
    if not isinstance(found, tuple):
        return host.array(found, arrays[0])
    first, *places = found
    return host.array(first, arrays[0]), *[host.array(p.astype(position_dtype()), arrays[0])
                                           for p in places]


_WANTED = {
    "union1d": lax.bitwise_or,
    "intersect1d": lax.bitwise_and,
    "setxor1d": lax.bitwise_xor,
    "setdiff1d": lambda x, y: lax.bitwise_and(x, lax.bitwise_not(y)),
}


@fused(static_argnums=2)
def _groups(x: Any, y: Any, name: str) -> tuple:
    """All elements in order, with each first one of its kind marked if it is in the result.

    Returns (elements, marks, first places in x, first places in y, number of marks).
    """
    x, y = [structural.reshape(z, (z.size,)) for z in promotion.promoted(name, x, y)]
    both = lax.concatenate((x, y), 0)
    n, dtype = both.size, position_dtype()
    if not n:
        nowhere = structural.broadcast_in_dim(dtype.type(0), (0,), ())
        return both, structural.broadcast_in_dim(np.False_, (0,), ()), nowhere, nowhere, nowhere
    both, place = lax.sort((both, lax.iota(dtype, n)), num_keys=1)
    new = lax.concatenate((structural.broadcast_in_dim(np.True_, (1,), ()), lax.ne(
        lax.slice_in_dim(both, 1, None), lax.slice_in_dim(both, 0, n - 1))), 0)
    group = lax.sub(lax.cumsum(structural.convert_element_type(new, dtype)), dtype.type(1))
    column = structural.broadcast_in_dim(group, (n, 1), (0,))
    outside = structural.broadcast_in_dim(dtype.type(n), (n,), ())
    in_first = lax.lt(place, dtype.type(x.size))
    firsts = []
    for own, start in ((in_first, 0), (lax.bitwise_not(in_first), x.size)):
        own_place = lax.select(own, lax.sub(place, dtype.type(start)), outside)
        least = lax.scatter_min(outside, column, own_place,
                                lax.ScatterDimensionNumbers((), (0,), (0,)))
        firsts.append(indexing.getitem_traced(least, group))
    marks = _WANTED[name](*[lax.lt(first, dtype.type(n)) for first in firsts])
    marks = lax.bitwise_and(marks, new)
    count = structural.reduce_sum(structural.convert_element_type(marks, dtype), (0,))
    return both, marks, *firsts, count


@fused(static_argnums=(0, 1))
def _pick(name: str, size: int, fill_value: Any, x: Any, y: Any) -> tuple:
    """The marked elements and their places in x and in y, padded or cut to `size`."""
    values, marks, *firsts, _ = _groups.body(x, y, name)
    n = values.shape[0]
    places = selection._nonzero.body(marks, size, n)[0]
    if not n:
        fill = promotion.convert(0 if fill_value is None else fill_value, values.dtype)
        return promotion.broadcast(fill, (size,)), places, places
    if fill_value is None and size:
        place = lax.index_in_dim(places, 0, keepdims=False)
        first = indexing.getitem_traced(values, lax.min(place, places.dtype.type(n - 1)))
        fill_value = lax.select(lax.lt(place, places.dtype.type(n)), first, lax.full_like(first, 0))
    fills = (0 if fill_value is None else fill_value, np.size(x), np.size(y))
    return tuple(selection._get_or_fill.body(part, places, fill, 0)
                 for part, fill in zip((values, *firsts), fills))
