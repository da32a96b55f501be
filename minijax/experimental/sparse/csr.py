"""Matrices in compressed rows or columns."""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import CSC, CSR
from minijax.experimental.sparse.bcsr import bcsr_fromdense
from minijax.experimental.sparse.coo import matmul, todense

__all__ = ["CSC", "CSR", "csr_fromdense", "csr_matmat", "csr_matvec", "csr_todense"]


def csr_fromdense(mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32) -> CSR:
    """The nonzero elements of a matrix, in `nse` places (default: as many as needed)."""
    made = bcsr_fromdense(mat, nse=nse, index_dtype=index_dtype)
    return CSR((made.data, made.indices, made.indptr), shape=made.shape)


def csr_todense(mat: CSR) -> Array:
    """The matrix with its zeros."""
    return todense(mat)


def csr_matvec(mat: CSR, v: Any, transpose: bool = False) -> Array:
    """The product with a vector, of the transposed matrix if `transpose`."""
    return matmul(mat, v, transpose)


def csr_matmat(mat: CSR, B: Any, *, transpose: bool = False) -> Array:
    """The product with a matrix, of the transposed matrix if `transpose`."""
    return matmul(mat, B, transpose)
