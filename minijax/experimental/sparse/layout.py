"""BCOO arrays from dense ones and back, their entries in order, and other kinds of axes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors, source
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import BCOO
from minijax.experimental.sparse.places import (beside, columns, gathered, grouped, inside, masked,
                                                nse_of, places, scattered, stacked, taken, whole)
from minijax.experimental.sparse.util import SparseEfficiencyError, SparseEfficiencyWarning
from minijax.runtime.call import fused

__all__ = [
    "bcoo_eliminate_zeros", "bcoo_extract", "bcoo_fromdense", "bcoo_sort_indices",
    "bcoo_sum_duplicates", "bcoo_todense", "bcoo_update_layout"]

Sizes = Sequence[int]


# --- Dense and sparse ---------------------------------------------------------------------------


def bcoo_fromdense(mat: Any, *, nse: int | None = None, n_batch: int = 0, n_dense: int = 0,
                   index_dtype: Any = np.int32) -> BCOO:
    """The nonzero elements of `mat`, in `nse` places per batch (default: as many as needed)."""
    mat = jnp.asarray(mat)
    present = _present(mat, n_batch, n_dense)
    nse = nse_of(present.sum(-1), nse, "bcoo_fromdense")
    return _filled(mat, present, nse, n_batch, n_dense, np.dtype(index_dtype))


@fused(static_argnums=(1, 2))
def _present(mat: Array, n_batch: int, n_dense: int) -> Array:
    """Which places have elements, as a mask of the shape (*batch, size of the sparse axes)."""
    present = mat != 0
    if n_dense:
        present = present.any(axis=tuple(range(mat.ndim - n_dense, mat.ndim)))
    sizes = mat.shape[n_batch:mat.ndim - n_dense]
    return present.reshape(*mat.shape[:n_batch], math.prod(sizes))


@fused(static_argnums=(2, 3, 4, 5))
def _filled(mat: Array, present: Array, nse: int, n_batch: int, n_dense: int,
            index_dtype: Any) -> BCOO:
    batch, sizes = mat.shape[:n_batch], mat.shape[n_batch:mat.ndim - n_dense]
    # The flat place of each element, in order; that of padding is the size.
    count = jnp.cumsum(present, axis=-1, dtype=np.int32) - 1
    slot = jnp.where(present, count, nse)
    flat = lax.broadcasted_iota(np.int32, present.shape, n_batch)
    found = jnp.full((*batch, nse), math.prod(sizes), np.int32)
    own = places(jnp.zeros((*batch, present.shape[-1], 0), np.int32), batch)
    found = found.at[(*own, slot)].set(flat, mode="drop")
    like = jnp.zeros((*batch, nse, 0), index_dtype)
    indices = stacked(_unravelled(found, sizes), like)
    return BCOO((extracted(indices, mat, n_batch), indices), shape=mat.shape,
                indices_sorted=True, unique_indices=True)


def _unravelled(flat: Array, sizes: Sizes) -> list[Array]:
    """Indices along axes of the given sizes; those of the place after the last one are outside."""
    end = flat >= math.prod(sizes)
    found = []
    for size in reversed(sizes):
        found.append(jnp.where(end, size, flat % size if size else flat))
        flat = flat // size if size else flat
    return found[::-1]


@fused(static_argnums=2)
def extracted(indices: Array, mat: Array, n_batch: int) -> Array:
    """The elements of a dense array at the places of a sparse one; zeros for padding."""
    cols = places(indices, mat.shape[:n_batch])
    if cols:
        return gathered(mat, cols)
    return jnp.broadcast_to(mat, (indices.shape[-2], *mat.shape))


def bcoo_extract(sparr: BCOO, arr: Any, *, assume_unique: bool | None = None) -> BCOO:
    """The elements of the dense `arr` at the places of `sparr`.

    Where an index occurs several times the first entry has it all, unless indices are assumed to
    be unique (default: what `sparr` says of them).
    """
    arr = jnp.asarray(arr)
    if arr.shape != sparr.shape:
        raise ValueError(errors.describe(
            f"shape mismatch: sparr.shape={sparr.shape} a.shape={arr.shape}",
            fix="broadcast the dense array to the shape of the sparse one"))
    data = extracted(sparr.indices, arr, sparr.n_batch)
    if not (sparr.unique_indices if assume_unique is None else assume_unique):
        data = masked(data, _is_first(sparr))
    return sparr.like(data)


@fused
def _is_first(mat: BCOO) -> Array:
    """Which entries are the first with their index, as a mask of the shape (*batch, nse)."""
    indices = jnp.broadcast_to(mat.indices, (*mat.shape[:mat.n_batch], *mat.indices.shape[-2:]))
    like = indices[..., 0] if mat.n_sparse else jnp.zeros(indices.shape[:-1], np.int32)
    order, first, _ = grouped(columns(indices), like)
    own = places(indices[..., :0], indices.shape[:-2])
    return jnp.zeros(first.shape, bool).at[(*own, order)].set(first)


@fused
def bcoo_todense(mat: BCOO) -> Array:
    """The array with its zeros."""
    batch, _, dense = mat.split()
    data = jnp.broadcast_to(mat.data, (*batch, mat.nse, *dense))
    cols = places(mat.indices, batch)
    if not cols:
        return data.any(0) if data.dtype == bool else data.sum(0, dtype=data.dtype)
    return scattered(mat.shape, cols, data)


# --- The order of entries -----------------------------------------------------------------------


def bcoo_sort_indices(mat: BCOO) -> BCOO:
    """Indices in lexicographic order, padding last."""
    return mat if mat.indices_sorted else _sorted(mat)


@fused
def _sorted(mat: BCOO) -> BCOO:
    n = mat.n_batch
    order = grouped(columns(mat.indices), jnp.zeros(mat.indices.shape[:-1], np.int32))[0]
    batch = np.broadcast_shapes(mat.data.shape[:n], mat.indices.shape[:n])
    data = jnp.broadcast_to(mat.data, (*batch, *mat.data.shape[n:]))
    return BCOO((taken(data, order), taken(mat.indices, order)), shape=mat.shape,
                indices_sorted=True, unique_indices=mat.unique_indices)


def bcoo_sum_duplicates(mat: BCOO, nse: int | None = None) -> BCOO:
    """Each index once, in order, with the sum of its elements (default: as many as there are)."""
    return _merged(mat, nse, inside(mat.indices, mat.split()[1]), "bcoo_sum_duplicates")


def bcoo_eliminate_zeros(mat: BCOO, nse: int | None = None) -> BCOO:
    """The same without the elements that are zero."""
    return _merged(mat, nse, _nonzero(mat), "bcoo_eliminate_zeros")


@fused
def _nonzero(mat: BCOO) -> Array:
    present = (mat.data != 0).any(axis=tuple(range(mat.n_batch + 1, mat.data.ndim)))
    return present & inside(mat.indices, mat.split()[1])


def _merged(mat: BCOO, nse: int | None, present: Array, name: str) -> BCOO:
    mat, *group, counts = _grouped(mat, present)
    return _put_together(mat, *group, nse_of(counts, nse, name))


@fused
def _grouped(mat: BCOO, present: Array) -> tuple:
    """The array with its entries in order, which are present, their groups, and how many of those.

    The indices of entries that are not present are outside of the array.
    """
    sizes = mat.split()[1]
    data, indices = whole(mat)
    present = jnp.broadcast_to(present, indices.shape[:-1])
    cols = [jnp.where(present, col, size).astype(indices.dtype)
            for col, size in zip(columns(indices), sizes)]
    order, first, slot = grouped(cols, present)
    present = taken(present, order)
    ordered = BCOO((taken(data, order), taken(stacked(cols, indices), order)), shape=mat.shape)
    return ordered, present, slot, (first & present).sum(-1)


@fused(static_argnums=3)
def _put_together(mat: BCOO, present: Array, slot: Array, nse: int) -> BCOO:
    _, sizes, dense = mat.split()
    lead = mat.data.shape[:mat.n_batch]
    own = places(mat.indices[..., :0], lead)
    merged = scattered((*lead, nse, *dense), (*own, slot), masked(mat.data, present))
    padding = [jnp.full((*lead, nse), size, mat.indices.dtype) for size in sizes]
    indices = stacked(padding, jnp.zeros((*lead, nse, 0), mat.indices.dtype))
    indices = indices.at[(*own, slot)].set(mat.indices, mode="drop")
    return BCOO((merged, indices), shape=mat.shape, indices_sorted=True, unique_indices=True)


# --- Other kinds of axes ------------------------------------------------------------------------


def bcoo_update_layout(mat: BCOO, *, n_batch: int | None = None, n_dense: int | None = None,
                       on_inefficient: str | None = "error") -> BCOO:
    """The same array with other numbers of batch and dense axes.

    More of them store many more elements; `on_inefficient` says what then: "error", "warn", None.
    """
    n_batch = mat.n_batch if n_batch is None else operator.index(n_batch)
    n_dense = mat.n_dense if n_dense is None else operator.index(n_dense)
    if min(n_batch, n_dense) < 0 or n_batch + n_dense > mat.ndim:
        raise ValueError(errors.describe(
            f"sum of {n_batch=} and {n_dense=} cannot be larger than mat.ndim={mat.ndim}.",
            fix="give each axis one kind"))
    if on_inefficient not in ("error", "warn", None):
        raise ValueError(f"{on_inefficient=}; expected one of ['error', 'warn', None].")
    for name, now, new in (("n_batch", mat.n_batch, n_batch), ("n_dense", mat.n_dense, n_dense)):
        text = (f"For matrix of shape {mat.shape}, increasing {name} from {now} to {new} results "
                "in inefficient storage. To disable this {}, set the on_inefficient argument of "
                "bcoo_update_layout to {}None.")
        if new > now and on_inefficient == "error":
            raise SparseEfficiencyError(text.format("error", "'warn' or "))
        if new > now and on_inefficient == "warn":
            source.warn(text.format("warning", ""), SparseEfficiencyWarning)
    while mat.n_dense > n_dense:
        mat = _dense_to_sparse(mat)
    while mat.n_batch > n_batch:
        mat = _batch_to_sparse(mat)
    while mat.n_dense < n_dense:
        mat = _sparse_to_dense(mat)
    while mat.n_batch < n_batch:
        mat = _sparse_to_batch(mat)
    return mat


@fused
def _dense_to_sparse(mat: BCOO) -> BCOO:
    """The first dense axis as the last sparse one."""
    n, size = mat.n_batch, mat.data.shape[mat.n_batch + 1]
    data = mat.data.reshape(*mat.data.shape[:n], mat.nse * size, *mat.data.shape[n + 2:])
    return _with_own_index(mat, data, mat.indices[..., :, None, :], size, last=True)


@fused
def _batch_to_sparse(mat: BCOO) -> BCOO:
    """The last batch axis as the first sparse one."""
    n, size = mat.n_batch - 1, mat.shape[mat.n_batch - 1]
    x = mat.data
    data = jnp.broadcast_to(x, (*x.shape[:n], size, *x.shape[n + 1:]))
    data = data.reshape(*x.shape[:n], size * mat.nse, *x.shape[n + 2:])
    return _with_own_index(mat, data, mat.indices, size, last=False)


def _with_own_index(mat: BCOO, data: Array, indices: Array, size: int, last: bool) -> BCOO:
    """An axis of `indices`, the third or the second before the last, as one more column."""
    axis = indices.ndim - (2 if last else 3)
    shape = [*indices.shape[:-1], 1]
    shape[axis] = size
    own = lax.broadcasted_iota(indices.dtype, tuple(shape), axis)
    others = jnp.broadcast_to(indices, (*shape[:-1], indices.shape[-1]))
    joined = jnp.concatenate([others, own] if last else [own, others], -1)
    *outer, rows, entries, width = joined.shape
    joined = joined.reshape(*outer, rows * entries, width)
    return BCOO((data, joined), shape=mat.shape, indices_sorted=mat.indices_sorted,
                unique_indices=mat.unique_indices)


@fused
def _sparse_to_dense(mat: BCOO) -> BCOO:
    """The last sparse axis as the first dense one."""
    size = mat.split()[1][-1]
    shape = (*mat.indices.shape[:-1], size)
    own = lax.broadcasted_iota(mat.indices.dtype, shape, len(shape) - 1)
    chosen = mat.indices[..., -1:] == own
    data = jnp.expand_dims(mat.data, mat.n_batch + 1)
    data = jnp.where(beside(chosen, data), data, jnp.zeros((), data.dtype))
    return BCOO((data, mat.indices[..., :-1]), shape=mat.shape)


@fused
def _sparse_to_batch(mat: BCOO) -> BCOO:
    """The first sparse axis as the last batch one."""
    n, size = mat.n_batch, mat.split()[1][0]
    shape = (*mat.indices.shape[:n], size, mat.nse)
    chosen = mat.indices[..., None, :, 0] == lax.broadcasted_iota(mat.indices.dtype, shape, n)
    data = masked(jnp.expand_dims(mat.data, n), chosen)
    indices = jnp.broadcast_to(mat.indices[..., None, :, 1:], (
        *mat.indices.shape[:n], size, mat.nse, mat.n_sparse - 1))
    return BCOO((data, indices), shape=mat.shape)
