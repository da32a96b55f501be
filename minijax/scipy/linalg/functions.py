"""Functions of whole matrices: exponential, roots, polar factors, and Sylvester's equation.

    expm(a), sqrtm(a), u, p = polar(a), solve_sylvester(a, b, c)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.autodiff import jvp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.lax import linalg
from minijax.lax.linalg.common import adjoint
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.linalg.factoring import _matrices

# --- The exponential ---------------------------------------------------------------------------


@fused(static_argnames=("upper_triangular", "max_squarings"))
def expm(A: ArrayLike, *, upper_triangular: bool = False, max_squarings: int = 16) -> Array:
    """The exponential of square matrices [..., n, n], by Pade approximation and squaring.

    NaN where more than `max_squarings` squarings would be needed. N. Higham, The scaling and
    squaring method for the matrix exponential revisited, SIAM J. Matrix Anal. 26 (2005).
    """
    A, = _matrices("expm", A)
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise ValueError(errors.describe(
            f"Expected A to be a (batched) square matrix, got A.shape={tuple(A.shape)}.",
            fix="jnp.exp for elementwise exponentials"))
    if A.shape[-1] <= 1:
        return jnp.exp(A)
    order, reach = (13, 5.371920351148152) if A.dtype in (np.float64, np.complex128) else (
        7, 3.925724783138660)
    norm = jnp.max(jnp.sum(jnp.abs(lax.stop_gradient(A)), axis=-2), axis=-1)
    squarings = jnp.maximum(jnp.ceil(jnp.log2(norm / reach)), 0)
    scale = jnp.exp2(-jnp.minimum(squarings, max_squarings))[..., None, None]
    small = A * scale.astype(A.dtype)
    top, bottom = _pade(small, order)
    if upper_triangular:
        out = linalg.triangular_solve(bottom, top, left_side=True)
    else:
        out = jnp.linalg.solve(bottom, top)
    out = _squared(out, squarings, max_squarings)
    possible = (squarings <= max_squarings)[..., None, None]
    return jnp.where(possible, out, jnp.nan)


def _pade(a: Any, order: int) -> tuple[Any, Any]:
    """Numerator and denominator of the diagonal Pade approximant of exp."""
    f = math.factorial
    c = [float(f(2 * order - k) * f(order) // f(k) // f(order - k) // f(order)) for k in
         range(order + 1)]
    c = [x / c[0] for x in c]
    one = jnp.broadcast_to(jnp.eye(a.shape[-1], dtype=a.dtype), a.shape)
    square = a @ a
    powers = [one, square]
    while len(powers) < 4:
        powers.append(powers[-1] @ square)
    odd = sum(c[2 * k + 1] * powers[k] for k in range(4))
    even = sum(c[2 * k] * powers[k] for k in range(4))
    if order == 13:
        cube = powers[3]
        odd = odd + cube @ sum(c[2 * k + 7] * powers[k] for k in range(1, 4))
        even = even + cube @ sum(c[2 * k + 6] * powers[k] for k in range(1, 4))
    odd = a @ odd
    return even + odd, even - odd


def _squared(x: Any, times: Any, limit: int) -> Any:
    """x squared `times` times, each matrix of a batch as often as it needs."""
    most = jnp.max(times) if times.size else jnp.zeros((), times.dtype)

    def step(i: Any, x: Any) -> Any:
        i = lax.convert_element_type(i, times.dtype)
        return lax.cond(i < most, lambda x: jnp.where((i < times)[..., None, None], x @ x, x),
                        lambda x: x, x)

    return lax.fori_loop(0, limit, step, x)


@fused(static_argnames=("method", "compute_expm"))
def expm_frechet(A: ArrayLike, E: ArrayLike, *, method: str | None = None,
                 compute_expm: bool = True) -> Array | tuple[Array, Array]:
    """(expm(A), its derivative in the direction E), or the derivative alone; one method only."""
    A, E = _matrices("expm_frechet", A, E)
    for name, x in (("A", A), ("E", E)):
        if x.ndim != 2 or x.shape[0] != x.shape[1]:
            raise ValueError(errors.describe(f"expected {name} to be a square matrix",
                                             because=f"its shape is {tuple(x.shape)}",
                                             fix="use jax.vmap for batches"))
    if A.shape != E.shape:
        raise ValueError(errors.describe("expected A and E to be the same shape",
                                         because=f"they are {A.shape} and {E.shape}",
                                         fix="pass matrices of one size"))
    out, slope = jvp(expm, (A,), (E,))
    return (out, slope) if compute_expm else slope


# --- Functions through Schur's form ------------------------------------------------------------


def _complex_schur(name: str, a: Any) -> tuple[Any, Any]:
    a, = _matrices(name, a)
    if a.ndim != 2 or a.shape[0] != a.shape[1]:
        raise ValueError(errors.describe(f"{name}: expected a square matrix, got shape "
                                         f"{tuple(a.shape)}", fix="use jax.vmap for batches"))
    return tuple(linalg.schur(a.astype(dtypes.to_complex(a.dtype))))


@fused(static_argnames="blocksize")
def sqrtm(A: ArrayLike, blocksize: int = 1) -> Array:
    """The principal square root of a matrix [n, n], complex."""
    if blocksize > 1:
        raise NotImplementedError(errors.describe("Blocked version is not implemented yet.",
                                                  fix="blocksize=1"))
    t, z = _complex_schur("sqrtm", A)
    n = t.shape[0]

    def entry(k: Any, state: tuple) -> tuple:
        root, j = state
        i = j - 1 - k
        rest = t[i, j] - root[i] @ root[:, j]
        value = jnp.where(rest == 0, 0, rest / (root[i, i] + root[j, j]))
        return root.at[i, j].set(value), j

    def column(j: Any, root: Any) -> Any:
        return lax.fori_loop(0, j, entry, (root, j))[0]

    root = lax.fori_loop(1, n, column, jnp.diag(jnp.sqrt(jnp.diag(t))))
    return z @ root @ adjoint(z)


@fused(static_argnames=("func", "disp"))
def funm(A: ArrayLike, func: Callable[[Array], Array], disp: bool = True) -> Any:
    """The function of a matrix [n, n] that `func` is for numbers, complex, by Parlett's recurrence.

    Without `disp`, (value, an estimate of the error), which is large for close eigenvalues.
    """
    t, z = _complex_schur("funm", A)
    n = t.shape[0]
    places = np.arange(n)
    eps = float(np.finfo(t.dtype).eps)

    def entry(i: Any, state: tuple) -> tuple:
        f, closest, gap = state
        j = i + gap
        inside = (places > i) & (places < j)
        inner = jnp.sum(jnp.where(inside, t[i] * f[:, j] - f[i] * t[:, j], 0))
        total = t[i, j] * (f[j, j] - f[i, i]) + inner
        below = t[j, j] - t[i, i]
        zero = below == 0
        value = jnp.where(zero, total, total / jnp.where(zero, 1, below))
        return f.at[i, j].set(value), jnp.minimum(closest, jnp.abs(below)), gap

    def stripe(gap: Any, state: tuple) -> tuple:
        return lax.fori_loop(0, n - gap, entry, (*state, gap))[:2]

    start = jnp.diag(func(jnp.diag(t))), jnp.abs(t[0, 0])
    f, closest = lax.fori_loop(1, n, stripe, start)
    out = z @ f @ adjoint(z)
    if disp:
        return out
    size = jnp.max(jnp.sum(jnp.abs(jnp.triu(t, 1)), axis=0))
    error = jnp.clip(eps / jnp.where(closest == 0, eps, closest) * size, eps, 1)
    return out, jnp.where(jnp.any(jnp.isinf(out)), jnp.inf, error)


@fused(static_argnames="method")
def solve_sylvester(A: ArrayLike, B: ArrayLike, C: ArrayLike, *, method: str = "schur",
                    tol: float = 1e-8) -> Array:
    """The x with A x + x B = C, for A [m, m] and B [n, n]; NaN where there is no unique one.

    method: "schur", or "eigen" for matrices that have all eigenvectors.
    """
    A, B, C = _matrices("solve_sylvester", A, B, C)
    m, n = C.shape
    if A.shape != (m, m) or B.shape != (n, n):
        raise ValueError(errors.describe(
            "Incompatible shapes for Sylvester's equation",
            because=f"A is {A.shape}, B is {B.shape}, C is {C.shape}",
            fix="A must be [m, m], B [n, n] and C [m, n]"))
    if method not in ("schur", "eigen"):
        raise ValueError(errors.describe(
            f"Unrecognized method {method}. The two valid methods are either \"schur\" or "
            "\"eigen\".", fix="method='schur'"))
    wide = [x.astype(dtypes.to_complex(x.dtype)) for x in (A, B, C)]
    out, gaps = (_sylvester_schur if method == "schur" else _sylvester_eigen)(*wide)
    out = jnp.where(jnp.min(jnp.abs(gaps)) < tol, jnp.nan, out)
    return out if C.dtype.kind == "c" else jnp.real(out)


def _sylvester_schur(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    r, u = linalg.schur(a)
    s, v = linalg.schur(b)
    right = adjoint(u) @ c @ v
    one = jnp.eye(a.shape[0], dtype=a.dtype)

    def column(k: Any, y: Any) -> Any:
        rest = right[:, k] - y @ s[:, k]  # the columns from k on are still zero
        solved = linalg.triangular_solve(r + s[k, k] * one, rest[:, None], left_side=True)
        return y.at[:, k].set(solved[:, 0])

    y = lax.fori_loop(0, b.shape[0], column, jnp.zeros_like(right))
    return u @ y @ adjoint(v), jnp.diag(r)[:, None] + jnp.diag(s)[None]


def _sylvester_eigen(a: Any, b: Any, c: Any) -> tuple[Any, Any]:
    (s, u), (t, v) = jnp.linalg.eig(a), jnp.linalg.eig(b)
    gaps = s[:, None] + t[None]
    y = jnp.linalg.solve(u, c @ v) / gaps
    return jnp.linalg.solve(v.T, (u @ y).T).T, gaps


# --- Polar factors -----------------------------------------------------------------------------


@fused(static_argnames=("side", "method", "max_iterations"))
def polar(a: ArrayLike, side: str = "right", *, method: str = "qdwh", eps: float | None = None,
          max_iterations: int | None = None) -> tuple[Array, Array]:
    """(u, p): u with orthonormal columns (or rows) and p positive, u p = a or p u = a ("left").

    method: "svd", or "qdwh" for a that is tall (side "right") or wide ("left"), an iteration that
    stops at changes of `eps` or after `max_iterations`.
    """
    if side not in ("right", "left"):
        raise ValueError("The argument `side` must be either 'right' or 'left'.")
    a, = _matrices("polar", a)
    if a.ndim < 2:
        raise ValueError("The input `a` must be a matrix.")
    if a.dtype.itemsize < 4:
        raise NotImplementedError(errors.describe(
            f"polar does not support {a.dtype.name}", fix="convert a to float32"))
    m, n = a.shape[-2:]
    if method == "svd":
        u, s, vh = jnp.linalg.svd(a, full_matrices=False)
        s = s.astype(a.dtype)
        p = (adjoint(vh) * s[..., None, :]) @ vh if side == "right" else (
            u * s[..., None, :]) @ adjoint(u)
        return u @ vh, p
    if method != "qdwh":
        raise ValueError(f"Unknown polar decomposition method {method}.")
    if (side == "right" and m < n) or (side == "left" and m >= n):
        raise NotImplementedError(errors.describe(
            "method='qdwh' only supports mxn matrices where m < n where side='right' and m >= n "
            f"side='left', got {(m, n)} with side={side!r}", fix="method='svd'"))
    u = _halley(a if side == "right" else adjoint(a), eps, max_iterations or 10)
    u = u if side == "right" else adjoint(u)
    p = adjoint(u) @ a if side == "right" else a @ adjoint(u)
    return u, (p + adjoint(p)) / 2


def _halley(a: Any, eps: Any, limit: int) -> Any:
    """The unitary factor of a tall matrix by Halley's iteration with dynamic weights.

    Y. Nakatsukasa, Z. Bai, F. Gygi, SIAM J. Matrix Anal. 31 (2010). `low` bounds the least
    singular value, so the weights do not depend on the matrix.
    """
    m, n = a.shape[-2:]
    real = dtypes.to_real(a.dtype)
    eps = float(np.finfo(real).eps) if eps is None else eps
    size = jnp.linalg.norm(a, axis=(-2, -1), keepdims=True)
    start = a / jnp.where(size == 0, 1, size).astype(a.dtype)
    one = jnp.broadcast_to(jnp.eye(n, dtype=a.dtype), (*a.shape[:-2], n, n))

    def going(state: tuple) -> Any:
        _, low, change, k = state
        return (k < limit) & ((jnp.abs(1 - low) > 10 * eps) | (change > (4 * eps) ** (1 / 3)))

    def step(state: tuple) -> tuple:
        u, low, _, k = state
        square = low * low
        d = jnp.cbrt(4 * (1 - square) / (square * square))
        root = jnp.sqrt(1 + d)
        x = root + 0.5 * jnp.sqrt(8 - 4 * d + 8 * (2 - square) / (square * root))
        y = (x - 1) ** 2 / 4
        z = x + y - 1
        q, _ = linalg.qr(jnp.concatenate([jnp.sqrt(z).astype(a.dtype) * u, one], axis=-2),
                         full_matrices=False)
        product = q[..., :m, :] @ adjoint(q[..., m:, :])
        new = (y / z).astype(a.dtype) * u + ((x - y / z) / jnp.sqrt(z)).astype(a.dtype) * product
        low = jnp.minimum(low * (x + y * square) / (1 + z * square), 1)
        return new, low, jnp.max(jnp.abs(new - u)), k + 1

    low = jnp.full((), float(np.finfo(real).eps), real)
    return lax.while_loop(going, step, (start, low, jnp.full((), jnp.inf, real), 0))[0]
