"""Samples of the factorizations and solves in minijax.lax.linalg.

Where vectors have a free phase (complex `eigh` and `svd`), what is checked is a function of them
that has none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import minijax.numpy as jnp

from .sample import Sample

BOTH = ("l", "c")
rng = np.random.default_rng(7)
NO_RULE = "JAX has no derivative of it"


def matrix(*shape: int) -> np.ndarray:
    """Well conditioned, with singular values and eigenvalues that are far apart."""
    steps = np.arange(1.0, min(shape[-2:]) + 1)
    out = 0.3 * rng.standard_normal(shape)
    out[..., np.arange(len(steps)), np.arange(len(steps))] += 1.5 * steps
    return out


def adjoint(x: Any) -> Any:
    return jnp.conj(jnp.swapaxes(x, -1, -2))


def hermitian(bind: Callable) -> Callable:
    return lambda x: bind(x + adjoint(x))


def spectral(bind: Callable) -> Callable:
    """v exp(-w) v^H, which does not depend on the phases of v; and w."""
    def fun(x: Any) -> list:
        v, w = bind(x + adjoint(x))
        return [(v * jnp.exp(-w / 8)[..., None, :].astype(v.dtype)) @ adjoint(v), w]
    return fun


def phaseless(bind: Callable) -> Callable:
    """u diag(s^2) vh and s."""
    def fun(x: Any) -> list:
        s, u, vh = bind(x)
        return [(u * (s * s)[..., None, :].astype(u.dtype)) @ vh, s]
    return fun


def positive(bind: Callable) -> Callable:
    def fun(x: Any) -> list:
        eye = jnp.eye(x.shape[-1], dtype=x.dtype)
        return [jnp.tril(out) for out in bind(x @ adjoint(x) + eye)]
    return fun


def upper(bind: Callable) -> Callable:
    return lambda r, w: bind(jnp.triu(r), w)


def qr(full: bool, pivoting: bool = False) -> dict[str, Any]:
    return dict(pivoting=pivoting, full_matrices=full, use_magma=None)


def svd(full: bool, vectors: bool = True) -> dict[str, Any]:
    return dict(full_matrices=full, compute_uv=vectors, subset_by_index=None, algorithm=None)


def eig(left: bool, right: bool, derivatives: bool = True) -> dict[str, Any]:
    return dict(compute_left_eigenvectors=left, compute_right_eigenvectors=right,
                enable_eigvec_derivs=derivatives, implementation=None)


def eigh(lower: bool = True) -> dict[str, Any]:
    return dict(lower=lower, sort_eigenvalues=True, subset_by_index=None, algorithm=None)


def triangular(flags: str) -> dict[str, Any]:
    names = ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")
    return {name: letter == "1" for name, letter in zip(names, flags)}


def unchecked(args: Sequence[Any], params: dict, **fields: Any) -> Sample:
    return Sample(tuple(args), params, grad=False, reason=NO_RULE, dtypes=BOTH, **fields)


SQUARE = matrix(3, 3)

SAMPLES = {
    "cholesky": [
        Sample((SQUARE,), dtypes=BOTH, around=positive),
        Sample((matrix(2, 3, 3),), dtypes=BOTH, around=positive),
    ],
    "cholesky_update": [
        Sample((SQUARE, (3,)), grad=False, reason=NO_RULE, around=upper),
    ],
    "lu": [
        Sample((SQUARE,), dtypes=BOTH),
        Sample((matrix(4, 3),), dtypes=BOTH),
        Sample((matrix(2, 3, 4),), dtypes=BOTH),
    ],
    "lu_pivots_to_permutation": [
        Sample((np.array([[2, 1, 2], [1, 3, 3]], np.int32),), dict(permutation_size=4),
               grad=False, reason="integers", dtypes=("i",), keep=(0,)),
    ],
    "qr": [
        Sample((SQUARE,), qr(True), dtypes=BOTH),
        Sample((matrix(4, 2),), qr(True), dtypes=BOTH),
        Sample((matrix(2, 4, 3),), qr(False), dtypes=BOTH),
        Sample((matrix(2, 4),), qr(True), dtypes=BOTH),
        Sample((matrix(4, 3),), qr(False, pivoting=True), dtypes=BOTH),
    ],
    "geqrf": [unchecked((matrix(2, 3, 4),), {})],
    "householder_product": [unchecked(((4, 3), (3,)), {}), unchecked(((2, 3, 3), (2, 2)), {})],
    "ormqr": [
        unchecked(((4, 3), (3,), (4, 2)), dict(left=True, transpose=False)),
        unchecked(((4, 3), (3,), (2, 4)), dict(left=False, transpose=True)),
    ],
    "triangular_solve": [
        Sample((SQUARE, (3, 2)), triangular("11000"), dtypes=("f", "c")),
        Sample((SQUARE, (2, 3)), triangular("01110"), dtypes=BOTH),
        Sample((SQUARE, (3, 2)), triangular("10011"), dtypes=("c",)),
        Sample((matrix(2, 3, 3), (2, 2, 3)), triangular("00101"), dtypes=BOTH),
    ],
    "tridiagonal_solve": [
        Sample(((4,), 4 + np.arange(4.0), (4,), (4, 2)), dict(perturb_singular=False),
               dtypes=BOTH),
        Sample(((2, 1), 2 + np.ones((2, 1)), (2, 1), (2, 1, 3)), dict(perturb_singular=False),
               dtypes=BOTH),
        Sample(((3,), 4 + np.arange(3.0), (3,), (3, 1)), dict(perturb_singular=True),
               dtypes=("l",)),
    ],
    "symmetric_product": [Sample(((3, 2), (3, 3)), dict(alpha=2.0, beta=0.5), grad=False,
                                 reason=NO_RULE)],
    "eigh": [
        Sample((SQUARE,), eigh(), dtypes=("l",), around=hermitian),
        Sample((matrix(2, 3, 3),), eigh(False), dtypes=BOTH, around=spectral),
    ],
    "tridiagonal": [unchecked((SQUARE,), dict(lower=True), around=hermitian),
                    unchecked((matrix(2, 3, 3),), dict(lower=False), around=hermitian)],
    "eig": [
        Sample((SQUARE,), eig(True, True), dtypes=BOTH),
        Sample((np.array([[1.0, 2.0, 0.3], [-2.0, 1.5, 0.1], [0.2, 0.4, 3.0]]),),
               eig(False, True), dtypes=("l",)),
        Sample((matrix(2, 3, 3),), eig(False, False, derivatives=False), dtypes=BOTH),
    ],
    "schur": [
        unchecked((SQUARE,), dict(compute_schur_vectors=True, sort_eig_vals=False,
                                  select_callable=None)),
        unchecked((SQUARE,), dict(compute_schur_vectors=False, sort_eig_vals=False,
                                  select_callable=None)),
    ],
    "hessenberg": [unchecked((SQUARE,), {}), unchecked(((2, 4, 4),), {})],
    "svd": [
        Sample((matrix(4, 3),), svd(False), dtypes=("l",)),
        Sample((SQUARE,), svd(True), dtypes=("l",)),
        Sample((matrix(2, 3, 4),), svd(False), dtypes=BOTH, around=phaseless),
        Sample((matrix(4, 3),), svd(False), dtypes=BOTH, around=phaseless),
        Sample((matrix(4, 3),), svd(True, vectors=False), dtypes=BOTH),
        unchecked((matrix(4, 3),), svd(True)),
    ],
}
