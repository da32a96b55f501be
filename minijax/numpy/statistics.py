"""Order statistics and histograms: quantile, median, histogram, covariance.

A quantile of data with NaN is NaN; the nan versions leave NaN out.  Positions between two
elements are treated as `method` says.

    quantile(x, jnp.array([0.25, 0.75]), axis=0)
    histogram(x, bins=20, range=(0.0, 1.0))
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axes
from minijax.core import get_aval, structural
from minijax.lax.explicit import left_to_compiler
from minijax.lax.rules import ArrayLike
from minijax.numpy import (grids, indexing, products, promotion, reductions, selection, sorting,
                           ufuncs)
from minijax.runtime.call import fused

_METHODS = ("linear", "lower", "higher", "midpoint", "nearest", "inverted_cdf")


# --- Quantiles ---------------------------------------------------------------------------------


def _refuse(name: str, out: Any, overwrite_input: bool) -> None:
    if out is not None or overwrite_input:
        raise ValueError(errors.describe(
            f"jax.numpy.{name} does not support overwrite_input=True or out != None",
            fix="use the result"))


def quantile(a: ArrayLike, q: ArrayLike, axis: int | tuple[int, ...] | None = None,
             out: None = None, overwrite_input: bool = False, method: str = "linear",
             keepdims: bool = False, *, weights: ArrayLike | None = None) -> Any:
    """The values below which the shares `q` (in [0, 1]) of the elements over `axis` lie.

    The axis of `q`, if it has one, comes first. Weights need method="inverted_cdf".
    """
    _refuse("quantile", out, overwrite_input)
    a, q = promotion.arguments("quantile", a, q)
    return _quantile(a, q, weights, (reductions.static_axis(axis), method, bool(keepdims), False))


def nanquantile(a: ArrayLike, q: ArrayLike, axis: int | tuple[int, ...] | None = None,
                out: None = None, overwrite_input: bool = False, method: str = "linear",
                keepdims: bool = False, *, weights: ArrayLike | None = None) -> Any:
    """`quantile` of the elements that are not NaN."""
    _refuse("nanquantile", out, overwrite_input)
    a, q = promotion.arguments("nanquantile", a, q)
    return _quantile(a, q, weights, (reductions.static_axis(axis), method, bool(keepdims), True))


def percentile(a: ArrayLike, q: ArrayLike, axis: int | tuple[int, ...] | None = None,
               out: None = None, overwrite_input: bool = False, method: str = "linear",
               keepdims: bool = False, *, weights: ArrayLike | None = None,
               out_sharding: Any = None) -> Any:
    """`quantile` with `q` in percent."""
    a, q = promotion.arguments("percentile", a, q)
    def run(a: Any, q: Any) -> Any:
        return quantile(a, q, axis, out, overwrite_input, method, keepdims, weights=weights)

    if out_sharding is None:
        return run(a, _share(q))
    return left_to_compiler("quantile", run, out_sharding, a, _share(q))


def nanpercentile(a: ArrayLike, q: ArrayLike, axis: int | tuple[int, ...] | None = None,
                  out: None = None, overwrite_input: bool = False, method: str = "linear",
                  keepdims: bool = False, *, weights: ArrayLike | None = None) -> Any:
    """`nanquantile` with `q` in percent."""
    a, q = promotion.arguments("nanpercentile", a, q)
    return nanquantile(a, _share(q), axis, out, overwrite_input, method, keepdims,
                       weights=weights)


def _share(percent: Any) -> Any:
    return percent / 100 if isinstance(percent, (int, float)) else ufuncs.true_divide(percent, 100)


def median(a: ArrayLike, axis: int | tuple[int, ...] | None = None, out: None = None,
           overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """The middle element over `axis`, or the mean of the two in the middle."""
    _refuse("median", out, overwrite_input)
    return _median(a, reductions.static_axis(axis), bool(keepdims), False)


def nanmedian(a: ArrayLike, axis: int | tuple[int, ...] | None = None, out: None = None,
              overwrite_input: bool = False, keepdims: bool = False) -> Any:
    """`median` of the elements that are not NaN."""
    _refuse("nanmedian", out, overwrite_input)
    return _median(a, reductions.static_axis(axis), bool(keepdims), True)


@fused(static_argnums=(1, 2, 3))
def _median(a: Any, axis: Any, keepdims: bool, skip_nan: bool) -> Any:
    return _quantile.body(a, 0.5, None, (axis, "midpoint", keepdims, skip_nan))


@fused(static_argnums=3)
def _quantile(a: Any, q: Any, weights: Any, options: tuple) -> Any:
    axis, method, keepdims, skip_nan = options
    _check_quantile(a, q, weights, method)
    a = promotion.as_array(promotion.inexact_operand("quantile", a))
    q = promotion.as_array(promotion.convert(promotion.operand("quantile", q, 1), a.dtype))
    if a.dtype in promotion.COMPLEX:
        raise ValueError(errors.describe(
            "quantile does not support complex input, as the operation is poorly defined.",
            fix="take the quantile of abs(x)"))
    axes = canonicalize_axes(axis, a.ndim)
    kept = [i for i in range(a.ndim) if i not in axes]
    lead = tuple(a.shape[i] for i in kept)
    size = math.prod(a.shape[i] for i in axes)

    def as_rows(x: Any) -> Any:
        return structural.reshape(structural.transpose(x, (*kept, *axes)), (*lead, size))

    rows = as_rows(a)
    if weights is not None:
        weights = promotion.broadcast(promotion.as_array(promotion.convert(weights, a.dtype)),
                                      a.shape)
        out = _weighted(rows, q, as_rows(weights), skip_nan)
    else:
        out = _from_sorted(rows, q, method, skip_nan)
    if keepdims:
        full = tuple(1 if i in axes else n for i, n in enumerate(a.shape))
        out = structural.reshape(out, (*q.shape, *full))
    return structural.convert_element_type(out, out.dtype)


def _check_quantile(a: Any, q: Any, weights: Any, method: str) -> None:
    if method not in _METHODS:
        raise ValueError(errors.describe(
            "method can only be 'linear', 'lower', 'higher', 'midpoint', 'nearest' or "
            "'inverted_cdf'", because=f"method={method!r}", fix="method='linear'"))
    dtype = dtypes.dtype(promotion.operand("quantile", q, 1))
    if not dtypes.issubdtype(dtype, np.floating):
        raise TypeError(errors.describe(
            f"floor does not accept dtype {dtype}. Accepted dtypes are subtypes of floating.",
            because="the shares are numbers of [0, 1]", fix="jnp.quantile(x, 1.0)"))
    if np.ndim(q) > 1:
        raise ValueError(errors.describe(f"q must be have rank <= 1, got shape {np.shape(q)}",
                                         fix="q.ravel()"))
    if weights is not None and method != "inverted_cdf":
        raise NotImplementedError(errors.describe(
            f"{method} doesn't support weights. Only method 'inverted_cdf' supports weights.",
            fix="method='inverted_cdf'"))


def _from_sorted(rows: Any, q: Any, method: str, skip_nan: bool) -> Any:
    """The quantiles of the last axis; the axis of q comes first."""
    last = rows.ndim - 1
    lead = rows.shape[:-1]
    size = rows.shape[-1]
    dtype = rows.dtype
    is_nan = lax.ne(rows, rows)
    ordered = lax.sort(rows if skip_nan else _spoiled(rows, is_nan), dimension=last)
    shape = (*q.shape, *lead)
    share = structural.broadcast_in_dim(q, shape, tuple(range(q.ndim)))
    if skip_nan:
        valid = structural.convert_element_type(lax.bitwise_not(is_nan), np.dtype(np.int32))
        count = structural.convert_element_type(structural.reduce_sum(valid, (last,)), dtype)
        top = lax.sub(count, dtype.type(1))
        top = structural.broadcast_in_dim(top, shape, tuple(range(q.ndim, len(shape))))
    else:
        top = structural.broadcast_in_dim(promotion.number(size - 1, dtype), shape, ())
    if method == "inverted_cdf":
        count = lax.add(top, dtype.type(1))
        position = lax.sub(lax.ceil(lax.mul(share, count)), dtype.type(1))
    else:
        position = lax.mul(share, top)
    zero = lax.full_like(top, 0)
    low = lax.max(zero, lax.min(lax.floor(position), top))
    high = lax.max(zero, lax.min(lax.ceil(position), top))
    weight = lax.sub(position, lax.floor(position))

    def at(place: Any) -> Any:
        index = structural.convert_element_type(place, np.dtype(np.int32))
        index = structural.move_axis(index, 0, last) if q.ndim else lax.expand_dims(index, (last,))
        found = selection.take_along_axis(ordered, index, last, "clip")
        return structural.move_axis(found, last, 0) if q.ndim else lax.squeeze(found, (last,))

    if method == "lower":
        out = at(low)
    elif method == "higher" or method == "inverted_cdf":
        out = at(high)
    elif method == "nearest":  # a half goes down, as JAX has it
        upper = lax.gt(weight, dtype.type(0.5))
        out = at(lax.select(upper, high, low))
    elif method == "midpoint":
        out = lax.mul(lax.add(at(low), at(high)), dtype.type(0.5))
    else:
        out = lax.add(lax.mul(at(low), lax.sub(dtype.type(1), weight)),
                      lax.mul(at(high), weight))
    return lax.select(lax.ne(share, share), lax.full_like(out, np.nan), out)


def _spoiled(rows: Any, is_nan: Any) -> Any:
    """The rows with nan everywhere where there is one."""
    last = rows.ndim - 1
    mask = structural.broadcast_in_dim(lax.reduce_or(is_nan, (last,)), rows.shape,
                                       tuple(range(last)))
    return lax.select(mask, lax.full_like(rows, np.nan), rows)


def _weighted(rows: Any, q: Any, weights: Any, skip_nan: bool) -> Any:
    """The smallest element at which the share of the weights so far reaches q."""
    last = rows.ndim - 1
    is_nan = lax.ne(rows, rows)
    if skip_nan:
        weights = lax.select(is_nan, lax.full_like(weights, 0), weights)
    else:
        rows = _spoiled(rows, is_nan)
    ordered, weights = lax.sort((rows, weights), dimension=last, num_keys=1)
    sums = lax.cumsum(weights, axis=last)
    total = lax.slice_in_dim(sums, rows.shape[-1] - 1, None, axis=last)
    shape = (*q.shape, *rows.shape)
    axes = tuple(range(q.ndim, len(shape)))
    needed = lax.mul(structural.broadcast_in_dim(q, shape, tuple(range(q.ndim))),
                     structural.broadcast_in_dim(total, shape, axes))
    enough = lax.ge(structural.broadcast_in_dim(sums, shape, axes), needed)
    values = structural.broadcast_in_dim(ordered, shape, axes)
    found = lax.select(enough, values, lax.full_like(values, np.inf))
    return lax.reduce_min(found, (len(shape) - 1,))


# --- Histograms --------------------------------------------------------------------------------


def _bins(name: str, bins: Any) -> Any:
    """The number of bins as an int, or their edges as they are."""
    if isinstance(bins, str):
        raise NotImplementedError(errors.describe("string values for `bins` not implemented.",
                                                  fix="give a number of bins"))
    bins = promotion.operand(name, bins)
    if np.ndim(bins):
        return bins
    return int(bins)


def histogram_bin_edges(a: ArrayLike, bins: ArrayLike = 10, range: Any = None,
                        weights: ArrayLike | None = None) -> Any:
    """The edges of `bins` equal bins from the smallest to the largest element, or in `range`."""
    a = promotion.operand("histogram_bin_edges", a)
    bins = _bins("histogram_bin_edges", bins)
    if np.ndim(bins):
        dtype = promotion.inexact_dtype(promotion.dtype_of(a))
        return promotion.as_array(promotion.convert(bins, dtype))
    return _edges(a, bins, _pair(range))


def _pair(range: Any) -> Any:
    """The range as a tuple of two operands, None if it is not given."""
    return None if range is None else tuple(range)


@fused(static_argnums=1)
def _edges(a: Any, bins: int, range: Any) -> Any:
    a, = promotion.promoted_inexact("histogram", a)
    if range is None:
        low, high = reductions._min.body(a), reductions._max.body(a)
    else:
        low, high = [promotion.as_array(promotion.convert(end, a.dtype)) for end in range]
    empty = lax.eq(low, high)
    half = a.dtype.type(0.5)
    low, high = (lax.select(empty, lax.sub(low, half), low),
                 lax.select(empty, lax.add(high, half), high))
    return grids.linspace(low, high, bins + 1, dtype=a.dtype)


def histogram(a: ArrayLike, bins: ArrayLike = 10, range: Any = None,
              weights: ArrayLike | None = None, density: bool | None = None) -> tuple[Any, Any]:
    """How many elements (or how much weight) each bin holds, and the edges of the bins.

    With `density` the integral over the bins is 1. The last bin includes its upper edge.
    """
    a, weights = promotion.arguments("histogram", a, weights)
    bins = _bins("histogram", bins)
    if weights is not None and np.shape(weights) != np.shape(a):
        raise ValueError(errors.describe("weights should have the same shape as a.",
                                         because=f"{np.shape(weights)} and {np.shape(a)}",
                                         fix="one weight for each element"))
    edges = histogram_bin_edges(a, bins, range)
    return _histogram(a, edges, weights, bool(density)), edges


@fused(static_argnums=3)
def _histogram(a: Any, edges: Any, weights: Any, density: bool) -> Any:
    a, = promotion.promoted_inexact("histogram", a)
    a = structural.reshape(a, (a.size,))
    if weights is None:
        weights = structural.broadcast_in_dim(a.dtype.type(1), a.shape, ())
    else:
        weights, = promotion.promoted_inexact("histogram", weights)
        weights = structural.reshape(weights, (weights.size,))
    counts = sorting._bincount.body(_bin_numbers(a, edges), weights, edges.shape[0] + 1)
    counts = lax.slice(counts, (1,), (edges.shape[0],))
    if density:
        widths = lax.sub(lax.slice_in_dim(edges, 1, None),
                         lax.slice_in_dim(edges, 0, edges.shape[0] - 1))
        total = structural.reduce_sum(counts, (0,))
        counts = ufuncs.true_divide.body(ufuncs.true_divide.body(counts, widths), total)
    return counts


def _bin_numbers(x: Any, edges: Any) -> Any:
    """1 + the bin of each element; 0 and len(edges) for elements outside."""
    place = sorting._searchsorted.body(edges, x, "right", None, "scan")
    last = lax.index_in_dim(edges, edges.shape[0] - 1, keepdims=False)
    at_end = lax.eq(x, structural.broadcast_in_dim(last, x.shape, ()))
    inner = structural.broadcast_in_dim(place.dtype.type(edges.shape[0] - 1), x.shape, ())
    return lax.select(at_end, inner, place)


def histogram2d(x: ArrayLike, y: ArrayLike, bins: Any = 10, range: Any = None,
                weights: ArrayLike | None = None,
                density: bool | None = None) -> tuple[Any, Any, Any]:
    """`histogramdd` of the points (x, y): counts, edges of x, edges of y."""
    x, y = promotion.operand("histogram2d", x), promotion.operand("histogram2d", y, 1)
    if np.ndim(x) != 1 or np.shape(x) != np.shape(y):
        raise ValueError(errors.describe("x and y must have the same length.",
                                         because=f"{np.shape(x)} and {np.shape(y)}",
                                         fix="two vectors of equal length"))
    if not isinstance(bins, (list, tuple)) and np.ndim(bins):
        bins = [bins, bins]
    counts, edges = histogramdd(_points(x, y), bins, range, weights, density)
    return counts, *edges


@fused
def _points(*columns: Any) -> Any:
    return lax.stack(promotion.promoted_inexact("histogram2d", *columns), 1)


def histogramdd(sample: ArrayLike, bins: Any = 10, range: Any = None,
                weights: ArrayLike | None = None,
                density: bool | None = None) -> tuple[Any, list]:
    """How many rows of `sample` fall into each box of a grid, and the edges along each axis."""
    sample, weights = promotion.arguments("histogramdd", sample, weights)
    count, axes = np.shape(sample)
    if weights is not None and np.shape(weights) != (count,):
        raise ValueError(errors.describe("should have one weight for each sample.",
                                         because=f"{np.shape(weights)} and {count} samples",
                                         fix="a vector of weights"))
    if not isinstance(bins, (list, tuple)):
        bins = [bins] * axes
    if len(bins) != axes:
        raise ValueError(errors.describe("should be a bin for each dimension.",
                                         because=f"{len(bins)} bins for {axes} dimensions",
                                         fix="a list of one entry for each column"))
    if range is not None and len(range) != axes:
        raise ValueError(errors.describe(
            f"For sample.shape[1]={axes} the sequence of range pairs must have length {axes}",
            fix="a list of one pair, or None, for each column"))
    x = promotion.as_array(sample)
    edges = [histogram_bin_edges(lax.index_in_dim(x, i, 1, keepdims=False), bins[i],
                                 None if range is None else range[i])
             for i in builtins.range(axes)]
    return _histogramdd(x, edges, weights, bool(density)), edges


@fused(static_argnums=3)
def _histogramdd(x: Any, edges: Sequence[Any], weights: Any, density: bool) -> Any:
    shape = tuple(e.shape[0] + 1 for e in edges)
    flat = None
    for i, axis_edges in enumerate(edges):
        column = lax.index_in_dim(x, i, 1, keepdims=False)
        place = _bin_numbers(*promotion.promoted("histogramdd", column, axis_edges))
        flat = place if flat is None else lax.add(
            lax.mul(flat, flat.dtype.type(shape[i])), place)
    weights = dtypes.scalar_dtype(int).type(1) if weights is None else weights
    counts = sorting._bincount.body(flat, weights, math.prod(shape))
    counts = structural.reshape(counts, shape)
    counts = lax.slice(counts, (1,) * len(shape), tuple(n - 1 for n in shape))
    if density:
        total = reductions._sum.body(counts)
        counts = ufuncs.true_divide.body(counts, total)
        for i, axis_edges in enumerate(edges):
            widths = lax.sub(lax.slice_in_dim(axis_edges, 1, None),
                             lax.slice_in_dim(axis_edges, 0, axis_edges.shape[0] - 1))
            counts = ufuncs.true_divide.body(counts, structural.broadcast_in_dim(
                widths, counts.shape, (i,)))
    return counts


# --- Covariance --------------------------------------------------------------------------------


def cov(m: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, bias: bool = False,
        ddof: int | None = None, fweights: ArrayLike | None = None,
        aweights: ArrayLike | None = None, dtype: Any = None) -> Any:
    """The covariance matrix of variables in rows (columns if not `rowvar`) of m, and of y."""
    m, y, fweights, aweights = promotion.arguments("cov", m, y, fweights, aweights)
    _check_weights("fweights", fweights)
    if fweights is not None and not dtypes.issubdtype(get_aval(fweights).dtype, np.integer):
        raise TypeError(errors.describe("fweights must be integer.",
                                        because=f"their dtype is {get_aval(fweights).dtype}",
                                        fix="fweights.astype(int)"))
    _check_weights("aweights", aweights)
    if dtype is not None and not dtypes.issubdtype(dtype, np.inexact):
        raise ValueError(errors.describe(
            f"cov: dtype must be a subclass of float or complex; got dtype={dtype!r}",
            fix="dtype=float"))
    freedom = (0 if bias else 1) if ddof is None else ddof
    return _cov(m, y, fweights, aweights, (bool(rowvar), freedom, dtype))


def _check_weights(name: str, weights: Any) -> None:
    if weights is not None and np.ndim(weights) > 1:
        raise RuntimeError(errors.describe(f"cannot handle multidimensional {name}",
                                           because=f"their shape is {np.shape(weights)}",
                                           fix="one weight for each observation"))


@fused(static_argnums=4)
def _cov(m: Any, y: Any, fweights: Any, aweights: Any, options: tuple) -> Any:
    rowvar, freedom, dtype = options
    for name, x in (("m", m), ("y", y)):
        if x is not None and np.ndim(x) > 2:
            raise promotion.shape_error(f"{name} has more than 2 dimensions", x, "reshape it")
    blocks = [_variables(x, rowvar) for x in promotion.promote_inexact(
        *(x for x in (m, y) if x is not None))]
    x = blocks[0] if len(blocks) == 1 else lax.concatenate(blocks, 0)
    if dtype is not None:
        x = promotion.convert(x, dtypes.check_user_dtype(dtype, "cov"))
    count = x.shape[1]
    weights = None
    for given in (fweights, aweights):
        if given is not None:
            given = promotion.as_array(promotion.convert(given, x.dtype))
            weights = given if weights is None else lax.mul(weights, given)
    if weights is None:
        mean = reductions._mean.body(x, (1,), None, True)
        norm = x.dtype.type(count - freedom if count else 0)
        right = lax.sub(x, mean)
    else:
        total = structural.reduce_sum(weights, (0,))
        wide = structural.broadcast_in_dim(weights, x.shape, (1,))
        mean = lax.div(reductions._sum.body(lax.mul(x, wide), (1,), None, True), total)
        norm = _weighted_norm(weights, total, aweights, freedom)
        right = lax.mul(lax.sub(x, mean), wide)
    left = lax.sub(x, mean)
    right = lax.conj(right) if x.dtype in promotion.COMPLEX else right
    out = ufuncs.true_divide.body(products.dot.body(left, lax.transpose(right, (1, 0))), norm)
    return lax.squeeze(out, tuple(i for i, n in enumerate(out.shape) if n == 1))


def _variables(x: Any, rowvar: bool) -> Any:
    if np.ndim(x) < 2:
        return promotion.to_rank(promotion.as_array(x), 2)
    return promotion.as_array(x) if rowvar else lax.transpose(x, (1, 0))


def _weighted_norm(weights: Any, total: Any, aweights: Any, freedom: int) -> Any:
    if freedom == 0:
        return total
    one = total.dtype.type(freedom)
    if aweights is None:
        return lax.sub(total, one)
    aweights = promotion.convert(aweights, total.dtype)
    share = structural.reduce_sum(lax.mul(weights, promotion.as_array(aweights)), (0,))
    return lax.sub(total, lax.div(lax.mul(one, share), total))


def corrcoef(x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True,
             dtype: Any = None) -> Any:
    """Pearson's correlation coefficients of the variables that `cov` takes."""
    x, y = promotion.arguments("corrcoef", x, y)
    return _corrcoef(x, y, bool(rowvar), dtype)


@fused(static_argnums=(2, 3))
def _corrcoef(x: Any, y: Any, rowvar: bool, dtype: Any) -> Any:
    c = _cov.body(x, y, None, None, (rowvar, 1, dtype))
    if not c.ndim:
        return lax.div(c, c)
    n = c.shape[0]
    steps = np.arange(n, dtype=np.int32)
    spread = lax.sqrt(indexing.getitem_traced(lax.real(c) if c.dtype in promotion.COMPLEX else c,
                                              (steps, steps)))
    c = ufuncs.true_divide.body(c, structural.broadcast_in_dim(spread, (n, 1), (0,)))
    c = ufuncs.true_divide.body(c, structural.broadcast_in_dim(spread, (1, n), (1,)))
    if c.dtype not in promotion.COMPLEX:
        return lax.clamp(c.dtype.type(-1), c, c.dtype.type(1))
    one = np.finfo(c.dtype).dtype.type(1)
    return lax.complex(lax.clamp(-one, lax.real(c), one), lax.clamp(-one, lax.imag(c), one))
