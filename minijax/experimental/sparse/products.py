"""Products of sparse arrays: with dense ones, with each other, and convolutions.

A product with a dense array gathers elements of it at the places of the sparse one, multiplies, and
adds up what has the same place in the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import BCOO, JAXSparse
from minijax.experimental.sparse.layout import (bcoo_fromdense, bcoo_sum_duplicates,
                                                bcoo_update_layout, extracted)
from minijax.experimental.sparse.places import (columns, gathered, grouped, inside, masked, places,
                                                scattered, stacked, taken, whole)
from minijax.experimental.sparse.shapes import bcoo_broadcast_in_dim, bcoo_transpose
from minijax.runtime.call import fused

__all__ = ["bcoo_conv_general_dilated", "bcoo_dot_general", "bcoo_dot_general_sampled",
           "bcoo_multiply_dense", "bcoo_multiply_sparse"]

Dims = tuple[int, ...]


# --- Element by element -------------------------------------------------------------------------


@fused
def bcoo_multiply_dense(sp_mat: BCOO, v: Any) -> Array:
    """The elements of `sp_mat * v`, at the places of `sp_mat`."""
    v = jnp.asarray(v)
    rank, shape = sp_mat.ndim, sp_mat.shape
    if v.ndim > rank or any(s not in (1, t) for s, t in zip(v.shape[::-1], shape[::-1])):
        raise NotImplementedError(errors.describe(
            "multiplication between sparse and dense is only implemented for cases where the "
            f"output shape matches the sparse matrix shape. Got shape={shape}, v.shape={v.shape}",
            fix="broadcast the sparse array with bcoo_broadcast_in_dim first"))
    data = sp_mat.data.astype(jnp.result_type(sp_mat.data, v))
    v = v.astype(data.dtype)
    if not v.ndim:
        return data * v
    v = v.reshape((1,) * (rank - v.ndim) + v.shape)
    n = sp_mat.n_batch
    cols = [jnp.zeros_like(col) if v.shape[d] == 1 else col
            for d, col in enumerate(places(sp_mat.indices, v.shape[:n]))]
    return data * (gathered(v, cols) if cols else v[None])


@fused
def bcoo_multiply_sparse(lhs: BCOO, rhs: BCOO) -> BCOO:
    """The product element by element, at the places of `lhs` (of `rhs` if that is larger)."""
    if lhs.ndim != rhs.ndim:
        raise NotImplementedError("bcoo_multiply_sparse: arrays of different numbers of axes")
    shape = np.broadcast_shapes(lhs.shape, rhs.shape)
    if lhs.shape != shape and rhs.shape == shape:
        lhs, rhs = rhs, lhs
    if lhs.shape != shape:
        lhs = bcoo_broadcast_in_dim(lhs, shape=shape, broadcast_dimensions=range(len(shape)))
    layout = dict(n_batch=min(lhs.n_batch, rhs.n_batch), n_dense=min(lhs.n_dense, rhs.n_dense))
    lhs, rhs = bcoo_update_layout(lhs, **layout), bcoo_update_layout(rhs, **layout)
    batch, sizes, _ = lhs.split()
    both = [d for d, size in enumerate(rhs.split()[1]) if size == sizes[d]]

    def picked(mat: BCOO) -> tuple[Array, Array]:
        data, indices = whole(mat)
        data = jnp.broadcast_to(data, (*batch, *data.shape[len(batch):]))
        indices = jnp.broadcast_to(indices, (*batch, *indices.shape[-2:]))
        return masked(data, inside(indices, mat.split()[1])), indices[..., np.array(both, int)]

    (x, at_x), (y, at_y) = picked(lhs), picked(rhs)
    # Number the different places of both; the sum of what rhs has at each goes to lhs.
    cols = columns(lax.concatenate([at_x, at_y.astype(at_x.dtype)], len(batch)))
    like = jnp.zeros((*batch, lhs.nse + rhs.nse), np.int32)
    order, _, slot = grouped(cols, like)
    own = places(jnp.zeros((*like.shape, 0), np.int32), batch)
    number = jnp.zeros_like(slot).at[(*own, order)].set(slot)
    own_y = places(at_y[..., :0], batch)
    sums = scattered((*like.shape, *y.shape[len(batch) + 1:]),
                     (*own_y, number[..., lhs.nse:]), y)
    dtype = jnp.promote_types(x.dtype, y.dtype)
    data = x.astype(dtype) * taken(sums, number[..., :lhs.nse]).astype(dtype)
    return BCOO((data, lhs.indices), shape=shape, indices_sorted=lhs.indices_sorted,
                unique_indices=lhs.unique_indices)


# --- dot_general --------------------------------------------------------------------------------


def bcoo_dot_general(lhs: Any, rhs: Any, *, dimension_numbers: Any, precision: Any = None,
                     preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """`lax.dot_general` where one operand or both are sparse; dense unless both are."""
    (lc, rc), (lb, rb) = numbers = [tuple(tuple(map(int, dims)) for dims in pair)
                                    for pair in dimension_numbers]
    for what, left, right in (("contracting", lc, rc), ("batch", lb, rb)):
        shapes = [tuple(x.shape[d] for d in dims) for x, dims in ((lhs, left), (rhs, right))]
        if shapes[0] != shapes[1]:
            raise TypeError(errors.describe(
                f"dot_general requires {what} dimensions to have the same shape, got "
                f"{shapes[0]} and {shapes[1]}.",
                because=f"the shapes are {tuple(lhs.shape)} and {tuple(rhs.shape)}",
                fix="transpose one operand"))
    sparse = [isinstance(x, JAXSparse) for x in (lhs, rhs)]
    if not any(sparse):
        return lax.dot_general(lhs, rhs, tuple(numbers), precision, preferred_element_type)
    if all(sparse):
        return _sparse_sparse(lhs, rhs, lc, rc, lb, rb, preferred_element_type)
    if sparse[0]:
        return _sparse_dense(lhs, jnp.asarray(rhs), lc, rc, lb, rb, preferred_element_type)
    swapped = _sparse_dense(rhs, jnp.asarray(lhs), rc, lc, rb, lb, preferred_element_type)
    n, right = len(lb), rhs.ndim - len(rc) - len(rb)
    order = (*range(n), *range(n + right, swapped.ndim), *range(n, n + right))
    return jnp.transpose(swapped, order)


@fused(static_argnums=(2, 3, 4, 5, 6))
def _sparse_dense(lhs: BCOO, rhs: Array, lc: Dims, rc: Dims, lb: Dims, rb: Dims,
                  dtype: Any) -> Array:
    end = lhs.n_batch + lhs.n_sparse
    if any(d >= end for d in (*lc, *lb)):
        raise NotImplementedError(errors.describe(
            "bcoo_dot_general: contracting over dense dimensions.",
            fix="mat.update_layout(n_dense=0) makes them sparse"))
    dtype = dtype or jnp.promote_types(lhs.dtype, rhs.dtype)
    batch, _, dense = lhs.split()
    cols = places(lhs.indices, batch)
    kept = [d for d in range(end) if d not in lc and d not in lb]
    rest = [d for d in range(rhs.ndim) if d not in rc and d not in rb]
    rows = jnp.transpose(rhs, (*rb, *rc, *rest))
    picked_at = [cols[d] for d in (*lb, *lc)]
    entries = (*batch, lhs.nse)
    picked = gathered(rows, picked_at) if picked_at else rows[(None,) * len(entries)]
    width = picked.ndim - len(entries)
    data = masked(lhs.data, inside(lhs.indices, lhs.split()[1]))
    data = data.reshape(*data.shape, *(1,) * width).astype(dtype)
    picked = picked.reshape(*picked.shape[:len(entries)], *(1,) * len(dense),
                            *picked.shape[len(entries):]).astype(dtype)
    parts = data * picked
    parts = jnp.broadcast_to(parts, (*entries, *parts.shape[len(entries):]))
    to = [*lb, *kept]
    if not to:
        return parts.sum(tuple(range(len(entries))), dtype=dtype)
    shape = [lhs.shape[d] for d in to]
    return scattered((*shape, *parts.shape[len(entries):]), [cols[d] for d in to], parts)


@fused(static_argnums=(2, 3, 4, 5, 6))
def _sparse_sparse(lhs: BCOO, rhs: BCOO, lc: Dims, rc: Dims, lb: Dims, rb: Dims,
                   dtype: Any) -> BCOO:
    """Every entry of `lhs` with every one of `rhs`: those with equal contracted indices count."""
    if lhs.n_dense or rhs.n_dense:
        raise NotImplementedError("bcoo_dot_general: dense dimensions in both operands.")
    if any(d >= lhs.n_batch for d in lb) or any(d >= rhs.n_batch for d in rb):
        raise NotImplementedError(errors.describe(
            "bcoo_dot_general batch dimensions must be among the batch dimensions in the sparse "
            f"representation.\ngot lhs_batch={lb}, rhs_batch={rb}, with n_batch={lhs.n_batch} and "
            f"{rhs.n_batch}", fix="mat.update_layout(n_batch=..., on_inefficient=None)"))
    lhs, lc = _batch_first(lhs, lb, lc)
    rhs, rc = _batch_first(rhs, rb, rc)
    n, more_l, more_r = len(lb), lhs.n_batch - len(lb), rhs.n_batch - len(rb)
    if more_r and lhs.n_sparse > len(lc):
        raise ValueError(errors.describe(
            "bcoo_dot_general: cannot have unused batch dims on rhs with unused sparse dims on "
            "lhs.", fix="exchange the operands"))

    def spread(mat: BCOO, before: int, after: int, side: int) -> tuple:
        """Data and columns of the shape (*common, *lhs batch, *rhs batch, lhs nse, rhs nse)."""
        present = inside(mat.indices, mat.split()[1])
        data, indices = whole(mat.like(masked(mat.data, present)))
        lead, own = data.shape[:n], data.shape[n:-1]
        pair = (data.shape[-1], 1) if side == 0 else (1, data.shape[-1])
        shape = (*lead, *(1,) * before, *own, *(1,) * after, *pair)
        return data.reshape(shape), [col.reshape(shape) for col in columns(indices)]

    x, x_cols = spread(lhs, 0, more_r, 0)
    y, y_cols = spread(rhs, more_l, 0, 1)
    dtype = dtype or jnp.promote_types(x.dtype, y.dtype)
    product = x.astype(dtype) * y.astype(dtype)
    for i, j in zip(lc, rc):
        same = x_cols[i - lhs.n_batch] == y_cols[j - rhs.n_batch].astype(x_cols[0].dtype)
        product = jnp.where(same, product, jnp.zeros((), dtype))
    kept = [c for d, c in enumerate(x_cols) if d + lhs.n_batch not in lc]
    kept += [c for d, c in enumerate(y_cols) if d + rhs.n_batch not in rc]
    batch = (*lhs.shape[:n], *lhs.shape[n:lhs.n_batch], *rhs.shape[n:rhs.n_batch])
    sizes = [s for d, s in enumerate(lhs.shape) if d >= lhs.n_batch and d not in lc]
    sizes += [s for d, s in enumerate(rhs.shape) if d >= rhs.n_batch and d not in rc]
    flat = (*product.shape[:-2], math.prod(product.shape[-2:]))
    like = jnp.zeros((*flat, 0), lhs.indices.dtype)
    indices = stacked([jnp.broadcast_to(c.astype(like.dtype), product.shape).reshape(flat)
                       for c in kept], like)
    out = BCOO((product.reshape(flat), indices), shape=(*batch, *sizes))
    most = math.prod(sizes)
    return bcoo_sum_duplicates(out, most) if out.nse > most else out


def _batch_first(mat: BCOO, batch: Dims, contract: Dims) -> tuple[BCOO, Dims]:
    """`mat` with these batch axes in front and no contracted axis among the others."""
    free = [d for d in range(mat.n_batch) if d not in batch and d not in contract]
    last = [d for d in range(mat.n_batch) if d in contract]
    order = [*batch, *free, *last, *range(mat.n_batch, mat.ndim)]
    mat = bcoo_transpose(mat, permutation=order)
    mat = bcoo_update_layout(mat, n_batch=mat.n_batch - len(last))
    return mat, tuple(order.index(d) for d in contract)


def bcoo_dot_general_sampled(A: Any, B: Any, indices: Array, *,
                             dimension_numbers: Any) -> Array:
    """The elements of `lax.dot_general(A, B)` at the places `indices` of a BCOO array."""
    A, B = jnp.asarray(A), jnp.asarray(B)
    (lc, rc), (lb, rb) = [tuple(map(tuple, pair)) for pair in dimension_numbers]
    rank = A.ndim + B.ndim - len(lc) - len(rc) - len(lb)
    n_batch = indices.ndim - 2
    if lb or n_batch or indices.shape[-1] != rank or not (lc and rank):
        return extracted(indices, lax.dot_general(A, B, ((lc, rc), (lb, rb))), n_batch)
    # Only the rows and columns that are asked for.
    cols = columns(indices)
    count = A.ndim - len(lc)
    rows = gathered(jnp.transpose(A, _others_first(A, lc)), cols[:count]) if count else A[None]
    others = gathered(jnp.transpose(B, _others_first(B, rc)), cols[count:]) if rank > count \
        else B[None]
    return (rows * others).sum(tuple(range(1, 1 + len(lc))), dtype=rows.dtype)


def _others_first(x: Array, contract: Dims) -> Dims:
    return (*[d for d in range(x.ndim) if d not in contract], *contract)


# --- Convolution --------------------------------------------------------------------------------


def bcoo_conv_general_dilated(lhs: Any, rhs: Any, *, window_strides: Sequence[int], padding: Any,
                              lhs_dilation: Any = None, rhs_dilation: Any = None,
                              dimension_numbers: Any = None, feature_group_count: int = 1,
                              batch_group_count: int = 1, precision: Any = None,
                              preferred_element_type: Any = None,
                              out_sharding: Any = None) -> BCOO:
    """`lax.conv_general_dilated` of one row with one, with stride 1: shapes (1, 1, n), (1, 1, m).

    NotImplementedError for all else.
    """
    plain = dimension_numbers is None or str(dimension_numbers) == str(
        lax.conv_dimension_numbers(lhs.shape, rhs.shape, None))
    if not (lhs.ndim == rhs.ndim == 3 and lhs.shape[:2] == rhs.shape[:2] == (1, 1)
            and tuple(window_strides) == (1,) and plain
            and {feature_group_count, batch_group_count, *(lhs_dilation or [1]),
                 *(rhs_dilation or [1])} == {1}):
        raise NotImplementedError(errors.describe(
            "bcoo convolution with anything but one row, one kernel and stride 1",
            fix="use lax.conv_general_dilated on dense arrays"))
    n, m = lhs.shape[2], rhs.shape[2]
    if isinstance(padding, str):
        padding = lax.padtype_to_pads((n,), (m,), (1,), padding)
    (low, high), = padding
    size = n + low + high - m + 1
    (x, x_at), (y, y_at) = _row(lhs), _row(rhs)
    dtype = preferred_element_type or jnp.promote_types(x.dtype, y.dtype)
    data = (x.astype(dtype)[:, None] * y.astype(dtype)[None]).reshape(-1)
    at = (x_at[:, None] + low - y_at[None]).reshape(-1)
    at = jnp.where((at >= 0) & (at < size), at, size)
    out = BCOO((data[None, None], at[None, None, :, None]), shape=(1, 1, size))
    return bcoo_sum_duplicates(out, size) if out.nse > size else out


def _row(x: Any) -> tuple[Array, Array]:
    """The elements of an array of shape (1, 1, n), and their indices along the last axis."""
    if not isinstance(x, JAXSparse):
        x = bcoo_fromdense(jnp.asarray(x), nse=x.shape[2], n_batch=2)
    x = bcoo_update_layout(x, n_batch=2, n_dense=0, on_inefficient=None)
    data = masked(x.data, inside(x.indices, x.split()[1]))
    return data[0, 0], x.indices[0, 0, :, 0].astype(np.int32)
