"""Factorizations of matrices as NumPy has them, and the inverse.

    w, v = eigh(a)
    u, s, vh = svd(a, full_matrices=False)

The one invariant: operands are promoted to an inexact dtype, results are those of `lax.linalg`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.core import structural
from minijax.lax import linalg
from minijax.lax.linalg.common import adjoint, scale_columns, swapped, take_rows
from minijax.lax.linalg.factor import geqrf, solve
from minijax.lax.rules import ArrayLike

from minijax.numpy import promotion
from minijax.runtime.call import fused


class EigResult(NamedTuple):
    """Eigenvalues [..., n], and eigenvectors in the columns of [..., n, n]."""

    eigenvalues: Any
    eigenvectors: Any


class EighResult(NamedTuple):
    """Ascending eigenvalues [..., n], and eigenvectors in the columns of [..., n, n]."""

    eigenvalues: Any
    eigenvectors: Any


class QRResult(NamedTuple):
    """A unitary and an upper triangular matrix."""

    Q: Any
    R: Any


class SVDResult(NamedTuple):
    """Left vectors in columns, descending singular values, right vectors in rows."""

    U: Any
    S: Any
    Vh: Any


def matrices(name: str, x: Any) -> Any:
    """The operand of a function as an array of an inexact dtype."""
    return promotion.as_array(promotion.inexact_operand(f"jnp.linalg.{name}", x))


def square(name: str, x: Any) -> Any:
    """As `matrices`; ValueError unless the last two axes have one size."""
    x = matrices(name, x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise ValueError(errors.describe(
            f"Argument to {name} must have shape [..., n, n], got {tuple(x.shape)}.",
            fix="pass square matrices; lstsq and pinv take rectangular ones"))
    return x


def eye_for(x: Any) -> Any:
    """Identity matrices with the shape and dtype of `x`."""
    eye = np.eye(x.shape[-1], dtype=np.int8).astype(x.dtype)
    return structural.broadcast_in_dim(eye, x.shape, (x.ndim - 2, x.ndim - 1))


@fused
def inv(a: ArrayLike) -> Any:
    """The inverses of square matrices [..., n, n]; inf and NaN where they are singular."""
    a = square("inv", a)
    return solve(a, eye_for(a))


@fused(static_argnames=("upper", "symmetrize_input"))
def cholesky(a: ArrayLike, *, upper: bool = False, symmetrize_input: bool = True) -> Any:
    """The lower triangular l with l l^H = a, or its adjoint if `upper`.

    `a` is Hermitian and positive definite; NaN where it is not positive definite.
    """
    out = linalg.cholesky(matrices("cholesky", a), symmetrize_input=symmetrize_input)
    return adjoint(out) if upper else out


# --- Eigenvalues -------------------------------------------------------------------------------


@fused
def eig(a: ArrayLike) -> EigResult:
    """Eigenvalues and right eigenvectors of square matrices; both complex."""
    return EigResult(*linalg.eig(matrices("eig", a), compute_left_eigenvectors=False))


@fused
def eigvals(a: ArrayLike) -> Any:
    """The complex eigenvalues of square matrices."""
    return linalg.eig(matrices("eigvals", a), compute_left_eigenvectors=False,
                      compute_right_eigenvectors=False)[0]


@fused(static_argnames=("UPLO", "symmetrize_input"))
def eigh(a: ArrayLike, UPLO: str | None = None, symmetrize_input: bool = True) -> EighResult:
    """Eigenvalues, ascending and real, and eigenvectors of Hermitian matrices.

    Without `symmetrize_input` only the triangle UPLO, "L" (the default) or "U", is read.
    """
    return EighResult(*_eigh("eigh", a, UPLO, symmetrize_input))


@fused(static_argnames=("UPLO", "symmetrize_input"))
def eigvalsh(a: ArrayLike, UPLO: str | None = "L", *, symmetrize_input: bool = True) -> Any:
    """The eigenvalues of Hermitian matrices, ascending."""
    return _eigh("eigvalsh", a, UPLO, symmetrize_input)[0]


def _eigh(name: str, a: Any, uplo: str | None, symmetrize: bool) -> tuple:
    if uplo not in (None, "L", "U"):
        raise ValueError(errors.describe(f"UPLO must be one of None, 'L', or 'U', got {uplo}",
                                         fix="name the triangle that is read"))
    v, w = linalg.eigh(matrices(name, a), lower=uplo != "U", symmetrize_input=symmetrize)
    return w, v


# --- QR and singular values --------------------------------------------------------------------


@fused(static_argnames="mode")
def qr(a: ArrayLike, mode: str = "reduced") -> Any:
    """The factors q, r of a [..., m, n], q unitary and r upper triangular.

    mode "reduced": q [..., m, k], k = min(m, n); "complete": q [..., m, m]; "r": only r; "raw":
    LAPACK's reflectors, transposed, and their factors.
    """
    a = matrices("qr", a)
    if mode == "raw":
        reflectors, taus = geqrf(a)
        return QRResult(swapped(reflectors), taus)
    if mode not in ("reduced", "r", "full", "complete"):
        raise ValueError(errors.describe(f"Unsupported QR decomposition mode '{mode}'",
                                         fix="'reduced', 'complete', 'r' or 'raw'"))
    q, r = linalg.qr(a, pivoting=False, full_matrices=mode == "complete")
    return r if mode == "r" else QRResult(q, r)


@fused(static_argnames=("full_matrices", "compute_uv", "hermitian", "subset_by_index"))
def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True,
        hermitian: bool = False, subset_by_index: tuple[int, int] | None = None) -> Any:
    """(U, S, Vh) with a = U diag(S) Vh, S descending; only S without `compute_uv`.

    U is [..., m, m] and Vh [..., n, n], or with min(m, n) columns and rows unless
    `full_matrices`. With `hermitian` the factors come from the eigenvectors of a.
    """
    a = matrices("svd", a)
    if hermitian:
        return _hermitian_svd(a, compute_uv, subset_by_index)
    out = linalg.svd(a, full_matrices=full_matrices, compute_uv=compute_uv,
                     subset_by_index=subset_by_index)
    return SVDResult(*out) if compute_uv else out


def _hermitian_svd(a: Any, compute_uv: bool, subset: Any) -> Any:
    v, w = linalg.eigh(a, subset_by_index=subset)
    last = w.ndim - 1
    if not compute_uv:
        return lax.rev(lax.sort(lax.abs(w), last), (last,))
    places = lax.broadcasted_iota(np.dtype(np.int32), w.shape, last)
    _, order = lax.sort((lax.abs(w), places), last, num_keys=1)
    order = lax.rev(order, (last,))
    w = take_rows(lax.expand_dims(w, (last + 1,)), order)[..., 0]
    v = swapped(take_rows(swapped(v), order))
    return SVDResult(v, lax.abs(w), adjoint(scale_columns(v, lax.sign(w))))


@fused
def svdvals(x: ArrayLike, /) -> Any:
    """The singular values of matrices [..., m, n], descending."""
    return linalg.svd(matrices("svdvals", x), compute_uv=False)
