"""Sorting along a dimension, and the largest elements.

    >>> sort((keys, values), num_keys=1)      # values in the order of the keys

The one invariant: all operands of a sort have one shape and move together. NaN comes last, and
-0.0 equals 0.0.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.dims import is_symbolic_dim
from minijax.base.jaxlib import Array, _jax
from minijax.base.util import canonicalize_axis
from minijax.core import (Dims, Primitive, ShapedArray, Values, Zero, aval_of, materialize,
                          zero_tangent, zeros)
from minijax.lax import shapes
from minijax.lax.gather import GatherDimensionNumbers, GatherScatterMode, gather_p
from minijax.lax.rules import ArrayLike, along


def sort(operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1) -> Array:
    """`operand` in ascending order along `dimension`.

    A tuple or list of arrays is sorted by the first `num_keys` of them, lexicographically, and
    gives a tuple.
    """
    if isinstance(operand, Sequence) and not isinstance(operand, str):
        if not operand:
            raise TypeError(errors.describe("Sort requires at least one operand",
                                            fix="pass a tuple of arrays"))
        if not 1 <= num_keys <= len(operand):
            raise ValueError(errors.describe(
                f"num_keys={num_keys} must be between 1 and len(operand)={len(operand)}",
                fix="sort by at least one operand"))
        dimension = canonicalize_axis(dimension, aval_of(operand[0]).ndim)
        return tuple(sort_p.bind(*operand, dimension=dimension, is_stable=is_stable,
                                 num_keys=num_keys))
    dimension = canonicalize_axis(dimension, aval_of(operand).ndim)
    return sort_p.bind(operand, dimension=dimension, is_stable=is_stable, num_keys=1)[0]


def sort_key_val(keys: ArrayLike, values: ArrayLike, dimension: int = -1,
                 is_stable: bool = True) -> tuple[Array, Array]:
    """`keys` in ascending order along `dimension`, and `values` in the order of the keys."""
    dimension = canonicalize_axis(dimension, aval_of(keys).ndim)
    return tuple(sort_p.bind(keys, values, dimension=dimension, is_stable=is_stable, num_keys=1))


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> list[Array]:
    """The `k` largest elements along `axis`, in descending order, and their int32 positions."""
    k = k if is_symbolic_dim(k) else operator.index(k)
    if k < 0:
        raise ValueError(errors.describe(f"k argument to top_k must be nonnegative, got {k}",
                                         fix="ask for at least 0 elements"))
    axis = canonicalize_axis(axis, aval_of(operand).ndim)
    return top_k_p.bind(operand, k=k, axis=axis)


def approx_max_k(operand: ArrayLike, k: int, reduction_dimension: int = -1,
                 recall_target: float = 0.95, reduction_input_size_override: int = -1,
                 aggregate_to_topk: bool = True) -> list[Array]:
    """About the `k` largest elements and their positions: fast on TPU, exact elsewhere.

    `recall_target` is the expected share of the true ones. Without `aggregate_to_topk` more
    candidates than k are returned, unsorted; `reduction_input_size_override` is the size of the
    whole dimension when the operand is a part of it.
    """
    return _approx_top_k(operand, k, reduction_dimension, recall_target, True,
                         reduction_input_size_override, aggregate_to_topk)


def approx_min_k(operand: ArrayLike, k: int, reduction_dimension: int = -1,
                 recall_target: float = 0.95, reduction_input_size_override: int = -1,
                 aggregate_to_topk: bool = True) -> list[Array]:
    """About the `k` smallest elements and their positions; see `approx_max_k`."""
    return _approx_top_k(operand, k, reduction_dimension, recall_target, False,
                         reduction_input_size_override, aggregate_to_topk)


def _approx_top_k(operand: Any, k: int, dimension: int, recall_target: float, is_max_k: bool,
                  size_override: int, aggregate: bool) -> list[Array]:
    return approx_top_k_p.bind(
        operand, k=operator.index(k), reduction_dimension=operator.index(dimension),
        recall_target=float(recall_target), is_max_k=is_max_k,
        reduction_input_size_override=operator.index(size_override),
        aggregate_to_topk=bool(aggregate))


# --- Derivatives: the tangents move as the elements do ------------------------------------------


def _take_along(x: Any, indices: Any, axis: int, unique: bool) -> Any:
    """`x` at `indices` along `axis`: one position for each element of the result."""
    aval = aval_of(x)
    if not aval.size:  # no slice of size 1 fits
        return zeros(aval.update(shape=aval_of(indices).shape))
    ndim = aval.ndim
    others = tuple([d for d in range(ndim) if d != axis])
    dnums = GatherDimensionNumbers((), (axis,), (axis,), others, others)
    return gather_p.bind(
        x, shapes.expand_dims(indices, (ndim,)), dimension_numbers=dnums,
        slice_sizes=(1,) * ndim, unique_indices=unique, indices_are_sorted=False,
        mode=GatherScatterMode.PROMISE_IN_BOUNDS, fill_value=None)


# --- sort --------------------------------------------------------------------------------------


def _sort_shape(*avals: ShapedArray, dimension: int, is_stable: bool,
                num_keys: int) -> list[ShapedArray]:
    if any(a.shape != avals[0].shape for a in avals):
        raise TypeError(errors.describe(
            f"Arguments to sort must have equal shapes, got: "
            f"{' '.join(str(a.shape) for a in avals)}", fix="broadcast the operands first"))
    for i, a in enumerate(avals[:num_keys]):
        if isinstance(a.dtype, dtypes.ExtendedDType):
            raise TypeError(errors.describe(
                f"lt_to does not accept dtype {a.dtype.name} at position {i}. Accepted dtypes at "
                f"position {i} are subtypes of integer, floating, bool.",
                fix="sort jax.random.key_data(keys)"))
    return [ShapedArray(a.shape, a.dtype, a.weak_type) for a in avals]


def _sort_jvp(primals: Values, tangents: Values, *, dimension: int, is_stable: bool,
              num_keys: int) -> tuple:
    params = dict(dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    if all(type(t) is Zero for t in tangents):
        outs = sort_p.bind(*primals, **params)
        return outs, [zero_tangent(x) for x in outs]
    shape = aval_of(primals[0]).shape
    index_dtype = np.dtype(np.uint32 if shape[dimension] < 1 << 32 else np.uint64)
    positions = shapes.broadcasted_iota(index_dtype, shape, dimension)
    *outs, order = sort_p.bind(*primals, positions, **params)
    moved = [zero_tangent(x) if type(t) is Zero else _take_along(t, order, dimension, True)
             for x, t in zip(outs, tangents)]
    return outs, moved


def _sort_vmap(axis: Any, args: Values, dims: Dims, *, dimension: int, is_stable: bool,
               num_keys: int) -> tuple:
    at = next(d for d in dims if d is not None)
    operands = [materialize(x, d, axis.size, at) for x, d in zip(args, dims)]
    outs = sort_p.bind(*operands, dimension=dimension + (dimension >= at), is_stable=is_stable,
                       num_keys=num_keys)
    return outs, [at] * len(outs)


sort_p = Primitive("sort", shape=_sort_shape, multiple_results=True, jvp=_sort_jvp,
                   vmap=_sort_vmap)


# --- top_k -------------------------------------------------------------------------------------


def _top_k_shape(x: ShapedArray, *, k: int, axis: int) -> list[ShapedArray]:
    if dtypes.issubdtype(x.dtype, np.complexfloating):
        raise ValueError(errors.describe("top_k is not compatible with complex inputs.",
                                         fix="rank by jnp.abs(x)"))
    if x.shape[axis] > np.iinfo(np.int32).max:
        raise ValueError(errors.describe(
            "top_k returns int32 indices, which will overflow for array dimensions larger than "
            f"the maximum int32 ({np.iinfo(np.int32).max}). Got shape={list(x.shape)} and "
            f"axis={axis}", fix="take the top k of parts of the array first"))
    if k > x.shape[axis]:
        raise ValueError(errors.describe(
            "k argument to top_k must be no larger than size along axis; got "
            f"k={k} with shape={list(x.shape)} and axis={axis}", fix="use min(k, x.shape[axis])"))
    shape = (*x.shape[:axis], k, *x.shape[axis + 1:])
    return [ShapedArray(shape, x.dtype, x.weak_type),
            ShapedArray(shape, np.dtype(np.int32), x.weak_type)]


def _top_k_jvp(primals: Values, tangents: Values, *, k: int, axis: int) -> tuple:
    values, indices = top_k_p.bind(*primals, k=k, axis=axis)
    if type(tangents[0]) is Zero:
        return [values, indices], [zero_tangent(values), zero_tangent(indices)]
    moved = _take_along(tangents[0], indices, axis, True)
    return [values, indices], [moved, zero_tangent(indices)]


top_k_p = Primitive("top_k", shape=_top_k_shape, multiple_results=True, jvp=_top_k_jvp,
                    vmap=along("axis"))


# --- approx_top_k ------------------------------------------------------------------------------


def _approx_top_k_shape(x: ShapedArray, *, k: int, reduction_dimension: int, recall_target: float,
                        is_max_k: bool, reduction_input_size_override: int,
                        aggregate_to_topk: bool) -> list[ShapedArray]:
    if not dtypes.issubdtype(x.dtype, np.floating):
        raise ValueError(errors.describe("operand must be a floating type",
                                         because=f"it is {x.str_short(short_dtypes=False)}",
                                         fix="use lax.top_k, or convert the operand"))
    axis = canonicalize_axis(reduction_dimension, x.ndim)
    size = x.shape[axis]
    if size < k:
        raise ValueError(errors.describe(
            f"k must be smaller than the size of reduction_dim {size}, got {k}",
            fix="ask for at most as many elements as there are"))
    count = _jax.approx_top_k_reduction_output_size(
        size, x.ndim, k, recall_target, aggregate_to_topk, reduction_input_size_override)[0]
    shape = (*x.shape[:axis], count, *x.shape[axis + 1:])
    return [ShapedArray(shape, x.dtype, x.weak_type), ShapedArray(shape, np.dtype(np.int32))]


def _approx_top_k_jvp(primals: Values, tangents: Values, **params: Any) -> tuple:
    values, indices = approx_top_k_p.bind(*primals, **params)
    zero = zero_tangent(indices)
    if type(tangents[0]) is Zero:
        return [values, indices], [zero_tangent(values), zero]
    axis = canonicalize_axis(params["reduction_dimension"], aval_of(values).ndim)
    # Candidates that were not found have positions out of bounds, so these are not unique.
    return [values, indices], [_take_along(tangents[0], indices, axis, False), zero]


def _approx_top_k_vmap(mapped: Any, args: Values, dims: Sequence[int], *, reduction_dimension: int,
                       **params: Any) -> tuple:
    d = dims[0]
    axis = canonicalize_axis(reduction_dimension, aval_of(args[0]).ndim - 1)
    out = approx_top_k_p.bind(args[0], reduction_dimension=axis + (axis >= d), **params)
    return out, [d, d]


approx_top_k_p = Primitive("approx_top_k", shape=_approx_top_k_shape, multiple_results=True,
                           jvp=_approx_top_k_jvp, vmap=_approx_top_k_vmap)
