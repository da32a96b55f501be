"""Factorizations of matrices and solutions of linear systems, `lax.linalg`.

    l = lax.linalg.cholesky(a)
    x = lax.linalg.triangular_solve(l, b, left_side=True, lower=True)

The last two axes are matrices, those before are batches.
"""

from types import ModuleType as _ModuleType

from minijax.lax.linalg.eigen import (
    EighImplementation, EigImplementation, SvdAlgorithm, eig, eig_p, eigh, eigh_p, hessenberg,
    hessenberg_p, schur, schur_p, svd, svd_p, tridiagonal, tridiagonal_p)
from minijax.lax.linalg.factor import (
    cholesky, cholesky_p, cholesky_update, cholesky_update_p, householder_product,
    householder_product_p, lu, lu_p, lu_pivots_to_permutation, lu_pivots_to_permutation_p, ormqr,
    ormqr_p, qr, qr_p)
from minijax.lax.linalg.polar import qdwh
from minijax.lax.linalg.solve import (
    symmetric_product, symmetric_product_p, triangular_solve, triangular_solve_p, tridiagonal_solve,
    tridiagonal_solve_p)

__all__ = [name for name, value in globals().items()
           if not name.startswith("_") and not isinstance(value, _ModuleType)]
