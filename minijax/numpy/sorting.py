"""Sorting and searching: sort, argsort, lexsort, partition, searchsorted, digitize, bincount.

NaN comes last everywhere and -0.0 equals 0.0, as in NumPy; `_before` is that order.

    argsort(x, descending=True)
    searchsorted(sorted_x, values, side="right")
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dims, dtypes, errors
from minijax.base.util import canonicalize_axis
from minijax.core import get_aval, structural
from minijax.lax.casts import vary_as
from minijax.lax.control_flow.loops import fori_loop
from minijax.lax.explicit import left_to_compiler
from minijax.lax.rules import ArrayLike
from minijax.numpy import host, indexing, promotion
from minijax.runtime.call import fused

_METHODS = ("compare_all", "scan", "scan_unrolled", "sort")


def _check_options(name: str, kind: Any, order: Any) -> None:
    if kind is not None:
        raise TypeError(errors.describe(
            f"'kind' argument to {name} is not supported. Use stable=True or stable=False to "
            "specify sort stability.", fix=f"{name}(x, stable=True)"))
    if order is not None:
        raise TypeError(errors.describe(f"'order' argument to {name} is not supported.",
                                        fix="arrays have no named fields; use lexsort"))


@fused(static_argnames=("axis", "kind", "order", "stable", "descending"))
def sort(a: ArrayLike, axis: int | None = -1, *, kind: None = None, order: None = None,
         stable: bool = True, descending: bool = False) -> Any:
    """A sorted copy along `axis` (None: of all elements)."""
    _check_options("sort", kind, order)
    a, axis = promotion.along("sort", a, axis)
    out = lax.sort(a, dimension=axis, is_stable=stable)
    return lax.rev(out, (axis,)) if descending else out


@fused(static_argnames=("axis", "kind", "order", "stable", "descending", "dtype"))
def argsort(a: ArrayLike, axis: int | None = -1, *, kind: None = None, order: None = None,
            stable: bool = True, descending: bool = False, dtype: Any = None) -> Any:
    """The positions along `axis` that sort; equal elements keep their order if `stable`."""
    _check_options("argsort", kind, order)
    a, axis = promotion.along("argsort", a, axis)
    dtype = position_dtype() if dtype is None else dtypes.check_user_dtype(dtype, "argsort")
    positions = lax.broadcasted_iota(dtype, a.shape, axis)
    if descending:  # reversed before and after, so that equal elements keep their order
        a, positions = lax.rev(a, (axis,)), lax.rev(positions, (axis,))
    _, out = lax.sort((a, positions), dimension=axis, is_stable=stable, num_keys=1)
    return lax.rev(out, (axis,)) if descending else out


def position_dtype() -> np.dtype:
    """The dtype of positions in an array of this shape: int64 with x64, else int32."""
    return dtypes.scalar_dtype(int)


@fused(static_argnames=("axis",))
def lexsort(keys: Any, axis: int = -1) -> Any:
    """The positions that sort by the last of the keys, then by the one before it, and so on."""
    keys = [promotion.array_operand("lexsort", key) for key in _rows(keys)]
    if not keys:
        raise TypeError(errors.describe("need sequence of keys with len > 0 in lexsort",
                                        fix="lexsort((secondary, primary))"))
    if len({tuple(key.shape) for key in keys}) > 1:
        raise ValueError(errors.describe("all keys need to be the same shape",
                                         because=f"shapes {[tuple(k.shape) for k in keys]}",
                                         fix="broadcast the keys first"))
    if not keys[0].ndim:
        return np.zeros((), position_dtype())
    axis = canonicalize_axis(axis, keys[0].ndim)
    positions = lax.broadcasted_iota(position_dtype(), keys[0].shape, axis)
    return lax.sort((*keys[::-1], positions), dimension=axis, num_keys=len(keys))[-1]


def _rows(keys: Any) -> list:
    if isinstance(keys, (list, tuple)):
        return list(keys)
    keys = promotion.array_operand("lexsort", keys)
    if not keys.ndim:
        raise TypeError(errors.describe("iteration over a 0-d array",
                                        fix="lexsort((secondary, primary))"))
    return lax.unstack(keys, 0)


@fused
def sort_complex(a: ArrayLike) -> Any:
    """Complex numbers sorted by real, then by imaginary part."""
    a = promotion.array_operand("sort_complex", a)
    return promotion.strong(lax.sort(a, dimension=a.ndim - 1), dtypes.to_complex(a.dtype))


# --- Partitions --------------------------------------------------------------------------------


def _opposite(x: Any) -> Any:
    """Numbers in the opposite order; integers without overflow."""
    if dtypes.issubdtype(x.dtype, np.integer):
        return lax.bitwise_not(x)
    return lax.neg(x)


def _for_partition(name: str, a: Any, axis: int) -> tuple[Any, int]:
    a, axis = promotion.along(name, a, axis)
    if a.dtype in promotion.COMPLEX:
        raise NotImplementedError(errors.describe(
            f"{name} for complex dtype is not implemented.", fix="use sort"))
    return structural.move_axis(a, axis, -1), axis


@fused(static_argnames=("kth", "axis"))
def partition(a: ArrayLike, kth: int, axis: int = -1) -> Any:
    """A copy whose element `kth` along `axis` is where sorting puts it, smaller ones before."""
    a, axis = _for_partition("partition", a, axis)
    size = a.shape[-1]
    kth = canonicalize_axis(kth, size)
    low = _opposite(lax.top_k(_opposite(a), kth + 1)[0])
    high = lax.top_k(a, size - kth - 1)[0]
    return structural.move_axis(lax.concatenate((low, high), a.ndim - 1), -1, axis)


@fused(static_argnames=("kth", "axis"))
def argpartition(a: ArrayLike, kth: int, axis: int = -1) -> Any:
    """The positions that partition: see `partition`."""
    a, axis = _for_partition("argpartition", a, axis)
    last, size = a.ndim - 1, a.shape[-1]
    kth = canonicalize_axis(kth, size)
    low = lax.top_k(_opposite(a), kth + 1)[1]
    plane = (*a.shape[:-1], kth + 1, size)
    here = lax.broadcasted_iota(low.dtype, plane, last + 1)
    wanted = structural.broadcast_in_dim(low, plane, tuple(range(last + 1)))
    taken = lax.reduce_or(lax.eq(here, wanted), (last,))
    rest = lax.top_k(promotion.convert(lax.bitwise_not(taken), np.dtype(np.int32)),
                     size - kth - 1)[1]
    return structural.move_axis(lax.concatenate((low, rest), last), -1, axis)


# --- Searching in sorted arrays ----------------------------------------------------------------


def searchsorted(a: ArrayLike, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None,
                 *, method: str = "scan") -> Any:
    """Where to insert `v` into the sorted vector `a`: before ("left") or after equal elements.

    method: "scan" and "scan_unrolled" bisect, "compare_all" compares with all of `a`, "sort"
    sorts both together.
    """
    if side not in ("left", "right"):
        raise ValueError(errors.describe(
            f"invalid argument side={side!r}, expected 'left' or 'right'", fix="side='left'"))
    if method not in _METHODS:
        raise ValueError(errors.describe(
            f"invalid argument method={method!r}, expected one of {list(_METHODS)}",
            fix="method='scan'"))
    a, v, sorter = promotion.arguments("searchsorted", a, v, sorter)
    if np.ndim(a) != 1:
        raise promotion.shape_error("a should be 1-dimensional", a, "a.ravel()")
    return _searchsorted(a, v, side, sorter, method)


@fused(static_argnums=(2, 4))
def _searchsorted(a: Any, v: Any, side: str, sorter: Any, method: str) -> Any:
    if sorter is not None:
        a = indexing.getitem_traced(promotion.array_operand("searchsorted", a), sorter)
    a, v = promotion.promoted("searchsorted", a, v)
    dtype = _place_dtype(a.size)
    if not a.size:
        return structural.broadcast_in_dim(dtype.type(0), v.shape, ())
    find = {"compare_all": _by_comparison, "sort": _by_sorting}.get(method)
    return find(a, v, side, dtype) if find else _by_bisection(a, v, side, dtype, method == "scan")


def _place_dtype(size: int) -> np.dtype:
    """The dtype of places in a sorted vector: int32, with x64 too, unless it is longer."""
    return np.dtype(np.int64 if dims.below(np.iinfo(np.int32).max, size) else np.int32)


def _before(x: Any, y: Any, or_equal: bool) -> Any:
    """x < y (or x <= y) in sorting order: NaN after everything, complex lexicographically."""
    if x.dtype in promotion.COMPLEX:
        real = _before(lax.real(x), lax.real(y), False)
        same = lax.bitwise_not(lax.bitwise_or(real, _before(lax.real(y), lax.real(x), False)))
        imag = _before(lax.imag(x), lax.imag(y), or_equal)
        return lax.bitwise_or(real, lax.bitwise_and(same, imag))
    if x.dtype not in promotion.INEXACT:
        return lax.le(x, y) if or_equal else lax.lt(x, y)
    y_nan = lax.ne(y, y)
    if or_equal:
        return lax.bitwise_or(lax.le(x, y), y_nan)
    return lax.bitwise_or(lax.lt(x, y), lax.bitwise_and(y_nan, lax.eq(x, x)))


def _by_comparison(a: Any, v: Any, side: str, dtype: np.dtype) -> Any:
    plane = (a.shape[0], *v.shape)
    rows = structural.broadcast_in_dim(a, plane, (0,))
    values = structural.broadcast_in_dim(v, plane, tuple(range(1, len(plane))))
    ahead = _before(rows, values, side == "right")
    return structural.reduce_sum(structural.convert_element_type(ahead, dtype), (0,))


def _by_sorting(a: Any, v: Any, side: str, dtype: np.dtype) -> Any:
    flat = structural.reshape(v, (v.size,))
    n, m = a.shape[0], v.size
    parts = (flat, a) if side == "left" else (a, flat)
    first = 0 if side == "left" else n
    order = argsort.body(lax.concatenate(parts, 0), dtype=dtype)
    place = argsort.body(order, dtype=dtype)  # where each element of the two went
    among_all = lax.slice(place, (first,), (first + m,))
    among_own = argsort.body(argsort.body(flat, dtype=dtype), dtype=dtype)
    return structural.reshape(lax.sub(among_all, among_own), v.shape)


def _by_bisection(a: Any, v: Any, side: str, dtype: np.dtype, loop: bool) -> Any:
    """Halve [low, high) until it is empty: `low` ends where v belongs."""
    size = a.shape[0]
    steps = int(size).bit_length()

    def halve(_: Any, bounds: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bounds
        middle = lax.add(low, lax.shift_right_logical(lax.sub(high, low), dtype.type(1)))
        element = indexing.get(a, (indexing.ARRAY,), (middle,), wrap=False,
                               mode=lax.GatherScatterMode.CLIP) if v.ndim else (
            indexing.get(a, (indexing.SCALAR,), (middle,), wrap=False))
        ahead = _before(element, v, side == "right")
        open_ = lax.lt(low, high)
        right = lax.bitwise_and(ahead, open_)
        left = lax.bitwise_and(lax.bitwise_not(ahead), open_)
        return (lax.select(right, lax.add(middle, dtype.type(1)), low),
                lax.select(left, middle, high))

    bounds = tuple(structural.broadcast_in_dim(dtype.type(n), v.shape, ()) for n in (0, size))
    bounds = vary_as(bounds, a, v)
    if loop:
        return fori_loop(0, steps, halve, bounds)[0]
    for step in range(steps):
        bounds = halve(step, bounds)
    return bounds[0]


def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False, *,
             method: str | None = None) -> Any:
    """The number of the bin that each element falls into; `bins` ascends or descends."""
    x, bins = promotion.arguments("digitize", x, bins)
    if np.ndim(bins) != 1:
        raise ValueError(errors.describe(f"digitize: bins must be a 1-dimensional array; got "
                                         f"bins of shape {np.shape(bins)}", fix="bins.ravel()"))
    return _digitize(x, bins, bool(right), method or "scan")


@fused(static_argnums=(2, 3))
def _digitize(x: Any, bins: Any, right: bool, method: str) -> Any:
    x = promotion.array_operand("digitize", x)
    bins = promotion.array_operand("digitize", bins, 1)
    size = bins.shape[0]
    dtype = _place_dtype(size)
    if not size:
        return structural.broadcast_in_dim(dtype.type(0), x.shape, ())
    side = "left" if right else "right"
    last = lax.index_in_dim(bins, size - 1, keepdims=False)
    rising = lax.ge(last, lax.index_in_dim(bins, 0, keepdims=False))
    up = _searchsorted.body(bins, x, side, None, method)
    down = lax.sub(structural.broadcast_in_dim(dtype.type(size), x.shape, ()),
                   _searchsorted.body(lax.rev(bins, (0,)), x, side, None, method))
    return lax.select(rising, up, down)


# --- bincount ----------------------------------------------------------------------------------


def bincount(x: ArrayLike, weights: ArrayLike | None = None, minlength: int = 0, *,
             length: int | None = None, out_sharding: Any = None) -> Any:
    """How often each of 0, 1, ... occurs, or the sum of the weights where it does.

    `length` is the size of the result (elements beyond it do not count); under jit it must be
    given. Negative elements count as 0.
    """
    x, weights = promotion.arguments("bincount", x, weights)
    aval = get_aval(x)
    if aval.dtype != np.bool_ and not dtypes.issubdtype(aval.dtype, np.integer):
        raise TypeError(errors.describe(
            f"x argument to bincount must have an integer type; got {aval.dtype}",
            fix="bincount(x.astype(int))"))
    if aval.ndim != 1:
        raise ValueError(errors.describe("only 1-dimensional input supported.",
                                         because=f"the shape of x is {aval.shape}",
                                         fix="bincount(x.ravel())"))
    minlength = operator.index(host.known(minlength, "the 'minlength' argument of jnp.bincount"))
    if length is None:
        values = host.concrete(x, "The error occurred because of argument 'x' of jnp.bincount. "
                                  "To avoid this error, pass a static `length` argument.")
        length = max(minlength, int(values.max()) + 1 if values.size else 0)
    else:
        length = operator.index(host.known(length, "the 'length' argument of jnp.bincount"))
    if weights is not None and np.shape(weights) != aval.shape:
        raise ValueError(errors.describe("shape of weights must match shape of x.",
                                         because=f"shapes {np.shape(weights)} and {aval.shape}",
                                         fix="one weight for each element"))
    weights = 1 if weights is None else weights
    if out_sharding is None:
        return _bincount(x, weights, length)
    return left_to_compiler("bincount", _bincount, out_sharding, x, weights, length)


@fused(static_argnums=2)
def _bincount(x: Any, weights: Any, length: int) -> Any:
    x = promotion.as_array(x)
    dtype = get_aval(weights).dtype
    counts = structural.broadcast_in_dim(np.zeros((), dtype)[()], (length,), ())
    x = lax.max(x, structural.broadcast_in_dim(x.dtype.type(0), x.shape, ()))
    if not length or not x.size:
        return counts
    column = lax.expand_dims(promotion.convert(x, np.dtype(np.int32)), (1,))
    values = promotion.broadcast(promotion.convert(weights, dtype), x.shape)
    return lax.scatter_add(counts, column, values, lax.ScatterDimensionNumbers((), (0,), (0,)))
