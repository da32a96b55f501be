"""Matrices in coordinates, and what all formats of matrices share: they go through BCOO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.experimental.sparse import bcoo
from minijax.experimental.sparse.arrays import BCOO, COO, CSC, CSR, JAXSparse
from minijax.experimental.sparse.bcsr import rows_of

__all__ = ["COO", "coo_fromdense", "coo_matmat", "coo_matvec", "coo_todense"]


def as_bcoo(mat: JAXSparse) -> BCOO:
    """A matrix of any format as BCOO."""
    if isinstance(mat, COO):
        row, col = mat.row, mat.col
    elif isinstance(mat, CSC):
        row, col = mat.indices, rows_of(mat.indptr, mat.nse)
    else:
        row, col = rows_of(mat.indptr, mat.nse), mat.indices
    dtype = jnp.promote_types(row.dtype, col.dtype)
    indices = jnp.stack([row.astype(dtype), col.astype(dtype)], -1)
    return BCOO((mat.data, indices), shape=mat.shape)


def todense(mat: JAXSparse) -> Array:
    """A matrix of any format with its zeros."""
    return bcoo.bcoo_todense(as_bcoo(mat))


def matmul(mat: JAXSparse, other: Any, transpose: bool = False) -> Array:
    """The product of a matrix of any format with a dense vector or matrix."""
    if isinstance(other, JAXSparse):
        raise NotImplementedError(errors.describe("matmul between two sparse objects.",
                                                  fix="BCOO arrays can be multiplied"))
    other = jnp.asarray(other)
    if other.ndim not in (1, 2):
        raise NotImplementedError(f"matmul with object of shape {other.shape}")
    contract = ((0,) if transpose else (1,), (0,))
    dtype = jnp.result_type(mat.data, other)
    return bcoo.bcoo_dot_general(as_bcoo(mat), other, preferred_element_type=dtype,
                                 dimension_numbers=(contract, ((), ())))


def coo_fromdense(mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32) -> COO:
    """The nonzero elements of a matrix, in `nse` places (default: as many as needed)."""
    made = bcoo.bcoo_fromdense(mat, nse=nse, index_dtype=index_dtype)
    return COO((made.data, made.indices[:, 0], made.indices[:, 1]), shape=made.shape,
               rows_sorted=True)


def coo_todense(mat: COO) -> Array:
    """The matrix with its zeros."""
    return todense(mat)


def coo_matvec(mat: COO, v: Any, transpose: bool = False) -> Array:
    """The product with a vector, of the transposed matrix if `transpose`."""
    return matmul(mat, v, transpose)


def coo_matmat(mat: COO, B: Any, *, transpose: bool = False) -> Array:
    """The product with a matrix, of the transposed matrix if `transpose`."""
    return matmul(mat, B, transpose)


def sorted_rows(mat: COO) -> COO:
    """The entries in the order of their rows."""
    made = bcoo.bcoo_sort_indices(as_bcoo(mat))
    return COO((made.data, made.indices[:, 0], made.indices[:, 1]), shape=mat.shape,
               rows_sorted=True)


def transposed(mat: JAXSparse, axes: Sequence[int] | None = None) -> JAXSparse:
    """A matrix of any format with its axes exchanged; nothing is moved."""
    if axes is not None and tuple(axes) != (1, 0):
        raise NotImplementedError(f"axes argument to transpose(): {axes}")
    shape = mat.shape[::-1]
    if isinstance(mat, COO):
        return COO((mat.data, mat.col, mat.row), shape=shape, rows_sorted=mat._cols_sorted,
                   cols_sorted=mat._rows_sorted)
    other = CSR if isinstance(mat, CSC) else CSC
    return other((mat.data, mat.indices, mat.indptr), shape=shape)
