"""Eigenvectors and linear systems of large matrices: `lobpcg_standard`, `spsolve`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.callback import pure_callback
from minijax.api.jit import jit
from minijax.api.misc import eval_shape
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import CSR
from minijax.experimental.sparse.bcsr import row_ends, rows_of
from minijax.experimental.sparse.csr import csr_matvec

__all__ = ["lobpcg_standard", "spsolve"]


# --- Eigenvectors -------------------------------------------------------------------------------


def lobpcg_standard(A: Array | Callable[[Array], Array], X: Array, m: int = 100,
                    tol: Any = None) -> tuple[Array, Array, Array]:
    """The largest eigenvalues of the symmetric `A`, their eigenvectors, and the steps taken.

    A: a matrix, or a function that multiplies matrices of any width by it.  X: a matrix whose k
    columns are a first guess; 5 * k is less than the size of A.  m: steps at most.  An
    eigenvector u has converged when |A u - t u| < tol * 10 * n * (t + |A u|); tol is the dtype's
    eps by default.

    Knyazev, "Toward the Optimal Preconditioned Eigensolver", 2001, without preconditioner: each
    step finds the best vectors in the span of the last ones, their residuals, and the last step.
    That basis is made orthonormal by one Householder QR, so it cannot degenerate.
    """
    X = jnp.asarray(X)
    if callable(A):
        _check(X, eval_shape(A, X))
        return _lobpcg(A, X, m, _tolerance(X, tol))
    A = jnp.asarray(A)
    _check(X, A, A)
    run = jit(lambda A, X, tol: _lobpcg(lambda v: _mm(A, v), X, m, tol))
    return run(A, X, _tolerance(X, tol))


def _tolerance(X: Array, tol: Any) -> Array:
    return jnp.asarray(float(jnp.finfo(X.dtype).eps) if tol is None else tol, X.dtype)


def _check(X: Array, AX: Any, A: Any = None) -> None:
    n, k = X.shape
    problem = None
    if k == 0:
        problem = f"must have search dim > 0, got {k}"
    elif A is not None and A.shape != (n, n):
        problem = f"A must be ({n}, {n}), got {A.shape}"
    elif k * 5 >= n:
        problem = f"expected search dim * 5 < matrix dim, got {k * 5} and {n}"
    elif X.dtype != AX.dtype:
        problem = f"A, X must have same dtypes, got {AX.dtype} and {X.dtype}"
    if problem is not None:
        raise ValueError(errors.describe(problem, fix="X has one column for each eigenvector, "
                                                      "all much shorter than the matrix is wide"))


def _mm(a: Array, b: Array) -> Array:
    return lax.dot(a, b, precision=lax.Precision.HIGHEST)


def _lobpcg(A: Callable[[Array], Array], X: Array, m: int, tol: Array) -> tuple:
    n, k = X.shape

    def best(basis: Array) -> tuple[Array, Array, Array, Array]:
        """The k best vectors in the span of a basis, X first: values, vectors, residuals, step."""
        basis, _ = jnp.linalg.qr(basis)
        image = A(basis)
        small = _mm(basis.T, image)
        values, mixed = jnp.linalg.eigh((small + small.T) / 2)
        values, mixed = values[::-1][:k], mixed[:, ::-1][:, :k]
        vectors, images = _mm(basis, mixed), _mm(image, mixed)
        step = _mm(basis[:, k:], mixed[k:])
        return values, vectors, images, step

    def residual(values: Array, vectors: Array, images: Array) -> tuple[Array, Array]:
        rest = images - vectors * values[None]
        size = jnp.linalg.norm(rest, axis=0)
        scale = values + jnp.linalg.norm(images, axis=0)
        return rest, size < tol * 10 * n * scale

    def go_on(state: tuple) -> Array:
        return (state[0] < m) & ~jnp.all(state[-1])

    def step(state: tuple) -> tuple:
        i, values, vectors, last, rest, _ = state
        basis = jnp.concatenate([vectors, _unit(last), _unit(rest)], axis=1)
        values, vectors, images, last = best(basis)
        return (i + 1, values, vectors, last, *residual(values, vectors, images))

    values, vectors, images, _ = best(X)
    start = (jnp.zeros((), int), values, vectors, jnp.zeros_like(X),
             *residual(values, vectors, images))
    i, values, vectors, *_ = lax.while_loop(go_on, step, start)
    return values, vectors, i


def _unit(x: Array) -> Array:
    """Columns of length one; those of zeros stay."""
    size = jnp.linalg.norm(x, axis=0, keepdims=True)
    return x / jnp.where(size > 0, size, jnp.ones((), x.dtype))


# --- Linear systems -----------------------------------------------------------------------------


def spsolve(data: Any, indices: Any, indptr: Any, b: Any, tol: float = 1e-6,
            reorder: int = 1) -> Array:
    """The solution x of A x = b, where `data, indices, indptr` are a square matrix A in CSR form.

    SciPy solves it on the host, by factors of A; `tol` and `reorder`, of other solvers, are
    ignored.
    """
    data, indices, indptr, b = map(jnp.asarray, (data, indices, indptr, b))
    n = b.shape[0]
    if b.ndim != 1 or indptr.shape != (n + 1,):
        raise ValueError(errors.describe(
            f"spsolve of a matrix of {indptr.shape[0] - 1} rows and b of shape {b.shape}",
            fix="b is a vector with an element for each row"))
    dtype = dtypes.to_inexact(jnp.promote_types(data.dtype, b.dtype))
    data, b = data.astype(dtype), b.astype(dtype)
    at = lax.stop_gradient(data)

    def matvec(x: Array) -> Array:
        return csr_matvec(CSR((data, indices, indptr), shape=(n, n)), x)

    def solve(_: Any, b: Array) -> Array:
        return pure_callback(_solve_on_host, b, at, indices, indptr, b, vmap_method="sequential")

    def solve_transposed(_: Any, b: Array) -> Array:
        rows = rows_of(indptr, data.shape[0])
        order = jnp.argsort(indices, stable=True)
        return pure_callback(_solve_on_host, b, at[order], rows[order], row_ends(indices, n), b,
                             vmap_method="sequential")

    return lax.custom_linear_solve(matvec, b, solve, solve_transposed)


def _solve_on_host(data: Any, indices: Any, indptr: Any, b: Any) -> np.ndarray:
    import scipy.sparse.linalg

    data, indices, indptr, b = map(np.asarray, (data, indices, indptr, b))
    matrix = scipy.sparse.csr_matrix((data, indices, indptr), shape=(len(b), len(b)))
    return scipy.sparse.linalg.spsolve(matrix.tocsc(), b).astype(b.dtype)
