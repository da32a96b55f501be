"""Iterative solvers of A x = b for operators that are only known as functions.

Invariant: the iterations work on one flat vector; trees of arrays are joined before and split
after. Derivatives come from the equation A x = b (`lax.custom_linear_solve`), not from the steps.

    x, info = cg(lambda x: a @ x, b)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import dtypes, errors, tree
from minijax.core import get_aval, structural
from minijax.numpy import promotion

__all__ = ["bicgstab", "cg", "gmres"]

Operator = Callable[[Any], Any]

# --- Operands ----------------------------------------------------------------------------------


def _operator(A: Any) -> Operator:
    """A as a function: it may be one, a square matrix, or have `__matmul__` and a shape."""
    if callable(A):
        return A
    if not promotion.is_array_like(A) and not (hasattr(A, "__matmul__") and hasattr(A, "shape")):
        raise TypeError(errors.describe(
            f"linear operator must be either a function or ndarray: {A}", fix="lambda x: a @ x"))
    if len(A.shape) != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(errors.describe(
            f"linear operator must be a square matrix, but has shape: {A.shape}",
            fix="pass an [n, n] matrix or a function"))
    return lambda x: A @ x


def _joined(x: Any) -> Any:
    """The leaves of a tree as one vector."""
    leaves = [jnp.ravel(leaf) for leaf in tree.leaves(x)]
    return leaves[0] if len(leaves) == 1 else jnp.concatenate(promotion.promote(*leaves))


def _splitter(like: Any) -> Callable[[Any], Any]:
    """The function that brings a vector into the form of a tree."""
    leaves, structure = tree.flatten(like)
    avals = [get_aval(leaf) for leaf in leaves]

    def split(x: Any) -> Any:
        out, start = [], 0
        for aval in avals:
            part = lax.slice_in_dim(x, start, start + aval.size)
            start += aval.size
            part = structural.convert_element_type(part, aval.dtype, aval.weak_type)
            out.append(jnp.reshape(part, aval.shape))
        return tree.unflatten(structure, out)

    return split


def _solved(solver: Callable, A: Any, b: Any, x0: Any, M: Any, tol: float, atol: float,
            maxiter: int | None, symmetric: bool) -> tuple[Any, None]:
    """The solution with derivatives; `solver(matvec, b, x0, precondition, threshold, limit)`."""
    x0 = tree.map(jnp.zeros_like, b) if x0 is None else x0
    b, x0 = [tree.map(jnp.asarray, v) for v in (b, x0)]
    if tree.structure(x0) != tree.structure(b):
        raise ValueError(errors.describe(
            "x0 and b must have matching tree structure: "
            f"{tree.structure(x0)} vs {tree.structure(b)}", fix="x0 = jax.tree.map(zeros_like, b)"))
    shapes = [[leaf.shape for leaf in tree.leaves(v)] for v in (x0, b)]
    if shapes[0] != shapes[1]:
        raise ValueError(errors.describe(
            f"x0 and b must have matching shape: {shapes[0]} vs {shapes[1]}",
            fix="x0 = jax.tree.map(zeros_like, b)"))
    matvec = _operator(A)
    precondition = (lambda x: x) if M is None else _operator(M)
    maxiter = 10 * sum(leaf.size for leaf in tree.leaves(b)) if maxiter is None else maxiter
    split = _splitter(b)

    def flat(operator: Operator) -> Operator:
        return lambda x: _joined(operator(split(x)))

    def solve(matvec: Operator, b: Any) -> Any:
        rhs = _joined(b)
        threshold = jnp.maximum(tol * _norm(rhs), atol)
        x = solver(flat(matvec), rhs, promotion.promote(_joined(x0), rhs)[0], flat(precondition),
                   threshold, maxiter)
        return split(x)

    real = not any(jnp.iscomplexobj(leaf) for leaf in tree.leaves(b))
    x = lax.custom_linear_solve(matvec, b, solve=solve, transpose_solve=solve,
                                symmetric=symmetric and real)
    return x, None


def _dot(x: Any, y: Any) -> Any:
    return jnp.vdot(x, y, precision=lax.Precision.HIGHEST)


def _norm(x: Any) -> Any:
    return jnp.sqrt(jnp.real(_dot(x, x)))


# --- Conjugate gradients -----------------------------------------------------------------------


def cg(A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0,
       maxiter: int | None = None, M: Any = None) -> tuple[Any, None]:
    """(x, None) with A x = b for Hermitian positive A, by conjugate gradients.

    Stops when |A x - b| <= max(tol |b|, atol). A and the preconditioner M (an inverse of A,
    roughly) are functions or matrices; b may be a tree of arrays.
    """
    return _solved(_cg, A, b, x0, M, tol, atol, maxiter, True)


def _cg(matvec: Operator, b: Any, x: Any, precondition: Operator, threshold: Any,
        limit: int) -> Any:
    def going(state: tuple) -> Any:
        _, r, _, _, k = state
        return (_norm(r) > threshold) & (k < limit)

    def step(state: tuple) -> tuple:
        x, r, p, gamma, k = state
        image = matvec(p)
        alpha = gamma / _dot(p, image).astype(gamma.dtype)
        x, r = x + alpha * p, r - alpha * image
        z = precondition(r)
        new = _dot(r, z)
        return x, r, z + new / gamma * p, new, k + 1

    r = b - matvec(x)
    p = precondition(r)
    return lax.while_loop(going, step, (x, r, p, _dot(r, p), 0))[0]


# --- BiCGSTAB ----------------------------------------------------------------------------------


def bicgstab(A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0,
             maxiter: int | None = None, M: Any = None) -> tuple[Any, None]:
    """(x, None) with A x = b for any regular A, by stabilized biconjugate gradients.

    The arguments are those of `cg`. H. A. van der Vorst, SIAM J. Sci. Stat. Comput. 13 (1992).
    """
    return _solved(_bicgstab, A, b, x0, M, tol, atol, maxiter, False)


def _bicgstab(matvec: Operator, b: Any, x: Any, precondition: Operator, threshold: Any,
              limit: int) -> Any:
    start = b - matvec(x)

    def going(state: tuple) -> Any:
        _, r, _, _, _, _, _, k, failed = state
        return (_norm(r) > threshold) & (k < limit) & ~failed

    def step(state: tuple) -> tuple:
        x, r, alpha, omega, rho, p, q, k, _ = state
        new = _dot(start, r)
        beta = new / rho * alpha / omega
        p = r + beta * (p - omega * q)
        p_hat = precondition(p)
        q = matvec(p_hat)
        alpha = new / _dot(start, q)
        s = r - alpha * q
        early = _norm(s) < threshold
        s_hat = precondition(s)
        t = matvec(s_hat)
        omega = _dot(t, s) / _dot(t, t)
        x = x + alpha * p_hat + jnp.where(early, 0, omega * s_hat)
        r = jnp.where(early, s, s - omega * t)
        failed = ((omega == 0) | (alpha == 0)) & ~early
        return x, r, alpha, omega, new, p, q, k + 1, failed

    one = lax.full_like(_dot(start, start), 1)
    zero = jnp.zeros_like(start)
    state = x, start, one, one, one, zero, zero, 0, False
    return lax.while_loop(going, step, state)[0]


# --- GMRES -------------------------------------------------------------------------------------


def gmres(A: Any, b: Any, x0: Any = None, *, tol: float = 1e-5, atol: float = 0.0,
          restart: int = 20, maxiter: int | None = None, M: Any = None,
          solve_method: str = "batched") -> tuple[Any, Any]:
    """(x, info) with A x = b for any regular A, the least residual in Krylov spaces.

    Each of at most `maxiter` rounds builds a space of `restart` dimensions; "incremental" stops
    inside a round once the residual is small, "batched" looks only at its end. Other arguments
    are those of `cg`; info is -1 if x is NaN, else 0. Y. Saad, M. Schultz, SIAM J. Sci. Stat.
    Comput. 7 (1986).
    """
    if solve_method not in ("batched", "incremental"):
        raise ValueError(errors.describe(
            f"invalid solve_method {solve_method}, must be either 'incremental' or 'batched'",
            fix="solve_method='batched'"))
    size = sum(np.size(leaf) for leaf in tree.leaves(b))
    solver = partial(_gmres, restart=min(restart, size), early=solve_method == "incremental")
    x, _ = _solved(solver, A, b, x0, M, tol, atol, maxiter, False)
    return x, jnp.where(jnp.isnan(_norm(_joined(x))), -1, 0)


def _gmres(matvec: Operator, b: Any, x: Any, precondition: Operator, threshold: Any, limit: int,
           *, restart: int, early: bool) -> Any:
    size = _norm(b)
    # the residual that is minimized is the preconditioned one
    goal = threshold * jnp.where(size > 0, _norm(precondition(b)) / jnp.where(size > 0, size, 1), 1)

    def residual(x: Any) -> tuple[Any, Any]:
        r = precondition(b - matvec(x))
        return r, _norm(r)

    def going(state: tuple) -> Any:
        return (state[2] > goal) & (state[3] < limit)

    def round(state: tuple) -> tuple:
        x, r, norm, k = state
        x = x + _krylov_step(matvec, precondition, r, norm, goal, restart, early)
        return x, *residual(x), k + 1

    return lax.while_loop(going, round, (x, *residual(x), 0))[0]


def _krylov_step(matvec: Operator, precondition: Operator, r: Any, norm: Any, goal: Any,
                 restart: int, early: bool) -> Any:
    """The change of x in the Krylov space of the residual r that leaves least of it."""
    eps = float(dtypes.finfo(r.dtype).eps)
    scale = jnp.where(norm > 0, norm, 1)
    basis = jnp.zeros((restart + 1, r.shape[0]), r.dtype).at[0].set(r / scale.astype(r.dtype))
    h = jnp.zeros((restart + 1, restart), r.dtype)
    target = jnp.zeros(restart + 1, r.dtype).at[0].set(norm.astype(r.dtype))

    def fit(h: Any) -> tuple[Any, Any]:
        y = jnp.linalg.lstsq(h, target)[0]
        return y, _norm(target - jnp.dot(h, y, precision=lax.Precision.HIGHEST))

    def grow(state: tuple) -> tuple:
        basis, h, k, _ = state
        w = precondition(matvec(lax.dynamic_index_in_dim(basis, k, keepdims=False)))
        size = _norm(w)
        column = jnp.zeros(restart + 1, r.dtype)
        for _ in range(2):  # the second projection removes what rounding left of the first
            part = jnp.dot(jnp.conj(basis), w, precision=lax.Precision.HIGHEST)
            w = w - jnp.dot(part, basis, precision=lax.Precision.HIGHEST)
            column = column + part
        rest = _norm(w)
        full = rest <= eps * size  # the space cannot grow: the solution lies in it
        unit = jnp.where(full, 0, w / jnp.where(full, 1, rest).astype(w.dtype))
        column = column.at[k + 1].set(jnp.where(full, 0, rest).astype(column.dtype))
        h = h.at[:, k].set(column)
        left = fit(h)[1] if early else jnp.full((), math.inf, norm.dtype)
        return basis.at[k + 1].set(unit), h, k + 1, jnp.where(full, 0, left).astype(norm.dtype)

    def going(state: tuple) -> Any:
        return (state[2] < restart) & (state[3] > goal)

    start = basis, h, 0, jnp.full((), math.inf, norm.dtype)
    basis, h, _, _ = lax.while_loop(going, grow, start)
    return jnp.dot(fit(h)[0], basis[:-1], precision=lax.Precision.HIGHEST)
