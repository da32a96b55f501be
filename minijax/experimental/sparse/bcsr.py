"""BCSR, batched compressed rows: to BCOO and back, and what needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.experimental.sparse import bcoo
from minijax.experimental.sparse.arrays import BCOO, BCSR, JAXSparse
from minijax.experimental.sparse.layout import extracted

__all__ = ["BCSR", "bcsr_broadcast_in_dim", "bcsr_concatenate", "bcsr_dot_general",
           "bcsr_eliminate_zeros", "bcsr_extract", "bcsr_fromdense", "bcsr_sum_duplicates",
           "bcsr_todense"]


def rows_of(indptr: Array, nse: int) -> Array:
    """The row of each entry; those after the last row get its end, so they are padding."""
    entry = lax.broadcasted_iota(indptr.dtype, (*(1,) * (indptr.ndim - 1), 1, nse), indptr.ndim)
    return (indptr[..., 1:, None] <= entry).sum(-2, dtype=indptr.dtype)


def row_ends(rows: Array, count: int) -> Array:
    """`indptr` of `count` rows, given the row of each entry, in any order."""
    row = lax.broadcasted_iota(rows.dtype, (*(1,) * (rows.ndim - 1), count + 1, 1), rows.ndim - 1)
    return (rows[..., None, :] < row).sum(-1, dtype=rows.dtype)


def to_bcoo(mat: BCSR) -> BCOO:
    """The same array in coordinates."""
    rows = rows_of(mat.indptr, mat.nse).astype(mat.indices.dtype)
    shape = np.broadcast_shapes(rows.shape, mat.indices.shape)
    indices = jnp.stack([jnp.broadcast_to(x, shape) for x in (rows, mat.indices)], -1)
    return BCOO((mat.data, indices), shape=mat.shape, indices_sorted=mat.indices_sorted,
                unique_indices=mat.unique_indices)


def from_bcoo(arr: BCOO) -> BCSR:
    """An array of two sparse axes in compressed rows."""
    if arr.n_sparse != 2:
        raise NotImplementedError(errors.describe(
            f"BSCR.from_bcoo requires n_sparse=2; got arr.n_sparse={arr.n_sparse}",
            fix="arr.update_layout(n_batch=..., n_dense=...)"))
    arr = arr.sort_indices()
    rows = arr.indices[..., 0]
    indptr = row_ends(rows, arr.split()[1][0])
    return BCSR((arr.data, arr.indices[..., 1], indptr), shape=arr.shape, indices_sorted=True,
                unique_indices=arr.unique_indices)


def bcsr_fromdense(mat: Any, *, nse: int | None = None, n_batch: int = 0, n_dense: int = 0,
                   index_dtype: Any = np.int32) -> BCSR:
    """The nonzero elements of `mat`, in `nse` places per batch (default: as many as needed)."""
    mat = jnp.asarray(mat)
    if mat.ndim - n_batch - n_dense != 2:
        raise ValueError(errors.describe(
            "bcsr_fromdense: must have 2 sparse dimensions.",
            because=f"the array has {mat.ndim} axes, {n_batch=} and {n_dense=}",
            fix="choose n_batch and n_dense so that two axes are left"))
    return from_bcoo(bcoo.bcoo_fromdense(mat, nse=nse, n_batch=n_batch, n_dense=n_dense,
                                         index_dtype=index_dtype))


def bcsr_todense(mat: BCSR) -> Array:
    """The array with its zeros."""
    return bcoo.bcoo_todense(to_bcoo(mat))


def bcsr_extract(indices: Any, indptr: Any, mat: Any) -> Array:
    """The elements of a dense array at the places of a BCSR array."""
    indices, indptr = jnp.asarray(indices), jnp.asarray(indptr)
    rows = rows_of(indptr, indices.shape[-1]).astype(indices.dtype)
    return extracted(jnp.stack([rows, indices], -1), jnp.asarray(mat), indices.ndim - 1)


def bcsr_sum_duplicates(mat: BCSR, nse: int | None = None) -> BCSR:
    """Each place once, in order, with the sum of its elements."""
    return from_bcoo(bcoo.bcoo_sum_duplicates(to_bcoo(mat), nse))


def bcsr_eliminate_zeros(mat: BCSR, nse: int | None = None) -> BCSR:
    """The same without the elements that are zero."""
    return from_bcoo(bcoo.bcoo_eliminate_zeros(to_bcoo(mat), nse))


def bcsr_broadcast_in_dim(mat: BCSR, *, shape: Sequence[int],
                          broadcast_dimensions: Sequence[int], sharding: Any = None) -> BCSR:
    """New batch and dense axes."""
    return from_bcoo(bcoo.bcoo_broadcast_in_dim(
        to_bcoo(mat), shape=shape, broadcast_dimensions=broadcast_dimensions))


def bcsr_concatenate(operands: Sequence[BCSR], *, dimension: int) -> BCSR:
    """Arrays joined along a batch or sparse axis."""
    return from_bcoo(bcoo.bcoo_concatenate([to_bcoo(m) for m in operands], dimension=dimension))


def bcsr_dot_general(lhs: Any, rhs: Any, *, dimension_numbers: Any, precision: Any = None,
                     preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """`lax.dot_general` of a BCSR array and a dense one."""
    if not isinstance(lhs, BCSR) or isinstance(rhs, JAXSparse):
        raise NotImplementedError(errors.describe(
            "bcsr_dot_general currently implemented for BCSR lhs and ndarray rhs.",
            fix="mat.to_bcoo() can be multiplied with sparse arrays, and from the right"))
    return bcoo.bcoo_dot_general(to_bcoo(lhs), rhs, dimension_numbers=dimension_numbers,
                                 precision=precision,
                                 preferred_element_type=preferred_element_type)
