"""Factorizations of matrices and the systems they solve, with SciPy's arguments.

Invariant: leading axes are batches. Arguments that ask SciPy to overwrite or to check its input
are accepted and do nothing.

    lu, piv = lu_factor(a); x = lu_solve((lu, piv), b)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.lax import linalg
from minijax.lax.linalg.common import adjoint
from minijax.lax.linalg.solve import lu_solve as solve_with_lu
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

# --- Cholesky ----------------------------------------------------------------------------------


def _matrices(name: str, *args: Any) -> list:
    """The operands at their common inexact dtype; SciPy's factorizations take lists too."""
    given = [jnp.asarray(x) if isinstance(x, (list, tuple)) else promotion.operand(name, x, i)
             for i, x in enumerate(args)]
    return [promotion.as_array(x) for x in promotion.promote_inexact(*given)]


@fused(static_argnames=("lower", "overwrite_a", "check_finite"))
def cholesky(a: ArrayLike, lower: bool = False, overwrite_a: bool = False,
             check_finite: bool = True) -> Array:
    """The triangular factor of a Hermitian positive matrix: u^H u, or l l^H if `lower`.

    Only the triangle of a that the factor fills is read.
    """
    a, = _matrices("cholesky", a)
    factor = linalg.cholesky(a if lower else jnp.conj(a.mT), symmetrize_input=False)
    return factor if lower else adjoint(factor)


def cho_factor(a: ArrayLike, lower: bool = False, overwrite_a: bool = False,
               check_finite: bool = True) -> tuple[Array, bool]:
    """(factor, lower), as `cho_solve` takes them."""
    return cholesky(a, lower=lower), lower


def cho_solve(c_and_lower: tuple[ArrayLike, bool], b: ArrayLike, overwrite_b: bool = False,
              check_finite: bool = True) -> Array:
    """The x with a x = b, for the factor of a that `cho_factor` gave."""
    factor, lower = c_and_lower
    return _cho_solve(factor, b, bool(lower))


@fused(static_argnums=2)
def _cho_solve(factor: Any, b: Any, lower: bool) -> Any:
    factor, b = _matrices("cho_solve", factor, b)
    b, vector = _columns(factor, b)
    options = dict(left_side=True, lower=lower)
    b = linalg.triangular_solve(factor, b, transpose_a=not lower, conjugate_a=not lower, **options)
    b = linalg.triangular_solve(factor, b, transpose_a=lower, conjugate_a=lower, **options)
    return b[..., 0] if vector else b


def _columns(a: Any, b: Any) -> tuple[Any, bool]:
    """(b as matrices with the batch axes of a, whether b was made of vectors)."""
    vector = b.ndim == 1
    b = b[..., None] if vector else b
    outer = lax.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return jnp.broadcast_to(b, (*outer, *b.shape[-2:])), vector


# --- LU and triangular systems -----------------------------------------------------------------


@fused(static_argnames=("permute_l", "overwrite_a", "check_finite"))
def lu(a: ArrayLike, permute_l: bool = False, overwrite_a: bool = False,
       check_finite: bool = True) -> tuple[Array, ...]:
    """(p, l, u) with p l u = a; (p l, u) with `permute_l`."""
    a, = _matrices("lu", a)
    factors, _, permutation = linalg.lu(a)
    m, n = a.shape[-2:]
    k = min(m, n)
    below = jnp.tril(factors[..., :k], -1)
    lower = below + promotion.to_rank(jnp.eye(m, k, dtype=a.dtype), a.ndim)
    upper = jnp.triu(factors[..., :k, :])
    rows = lax.broadcasted_iota(permutation.dtype, (*a.shape[:-2], m, m), a.ndim - 2)
    p = (rows == permutation[..., None, :]).astype(dtypes.to_real(a.dtype))
    return (p.astype(a.dtype) @ lower, upper) if permute_l else (p, lower, upper)


@fused(static_argnames=("overwrite_a", "check_finite"))
def lu_factor(a: ArrayLike, overwrite_a: bool = False,
              check_finite: bool = True) -> tuple[Array, Array]:
    """(lu, piv): both factors in one matrix, and the rows that were exchanged in turn."""
    a, = _matrices("lu_factor", a)
    return tuple(linalg.lu(a)[:2])


@fused(static_argnames=("trans", "overwrite_b", "check_finite"))
def lu_solve(lu_and_piv: tuple[Array, ArrayLike], b: ArrayLike, trans: int = 0,
             overwrite_b: bool = False, check_finite: bool = True) -> Array:
    """The x with a x = b, a^T x = b (trans 1) or a^H x = b (2), for `lu_factor(a)`."""
    factors, pivots = lu_and_piv
    if trans not in (0, 1, 2):
        raise ValueError(errors.describe(f"'trans' value must be 0, 1, or 2, got {trans}",
                                         fix="trans=0"))
    factors, b = _matrices("lu_solve", factors, b)
    b, vector = _columns(factors, b)
    permutation = linalg.lu_pivots_to_permutation(pivots, factors.shape[-1])
    outer = b.shape[:-2]
    out = solve_with_lu(jnp.broadcast_to(factors, (*outer, *factors.shape[-2:])),
                        jnp.broadcast_to(permutation, (*outer, permutation.shape[-1])), b, trans)
    return out[..., 0] if vector else out


@fused(static_argnames=("trans", "lower", "unit_diagonal", "overwrite_b", "debug",
                        "check_finite"))
def solve_triangular(a: ArrayLike, b: ArrayLike, trans: int | str = 0, lower: bool = False,
                     unit_diagonal: bool = False, overwrite_b: bool = False, debug: Any = None,
                     check_finite: bool = True) -> Array:
    """The x with op(a) x = b for triangular a; op is none, transpose or adjoint by `trans`."""
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(errors.describe(f"Invalid 'trans' value {trans}", fix="trans='T'"))
    a, b = _matrices("solve_triangular", a, b)
    b, vector = _columns(a, b)
    a = jnp.broadcast_to(a, (*b.shape[:-2], *a.shape[-2:]))
    out = linalg.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=trans not in (0, "N"),
        conjugate_a=trans in (2, "C"), unit_diagonal=unit_diagonal)
    return out[..., 0] if vector else out


@fused(static_argnames=("lower", "overwrite_a", "overwrite_b", "debug", "check_finite",
                        "assume_a"))
def solve(a: ArrayLike, b: ArrayLike, lower: bool = False, overwrite_a: bool = False,
          overwrite_b: bool = False, debug: bool = False, check_finite: bool = True,
          assume_a: str = "gen") -> Array:
    """The x with a x = b; with assume_a "pos" by Cholesky's factors of one triangle."""
    kinds = ["gen", "sym", "her", "pos"]
    if assume_a not in kinds:
        raise ValueError(errors.describe(
            f"Expected assume_a to be one of {kinds}; got {assume_a!r}", fix="assume_a='gen'"))
    if assume_a != "pos":
        return jnp.linalg.solve(a, b)
    return cho_solve((cholesky(a, lower), lower), b)


@fused(static_argnames=("overwrite_a", "check_finite"))
def det(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The determinants of square matrices."""
    return jnp.linalg.det(a)


@fused(static_argnames=("overwrite_a", "check_finite"))
def inv(a: ArrayLike, overwrite_a: bool = False, check_finite: bool = True) -> Array:
    """The inverses of square matrices."""
    return jnp.linalg.inv(a)


# --- Orthogonal factors ------------------------------------------------------------------------


@fused(static_argnames=("overwrite_a", "lwork", "mode", "pivoting", "check_finite"))
def qr(a: ArrayLike, overwrite_a: bool = False, lwork: Any = None, mode: str = "full",
       pivoting: bool = False, check_finite: bool = True) -> tuple[Array, ...]:
    """(q, r), (r,) for mode "r", with `pivoting` a permutation p last: q r = a[..., p]."""
    if mode not in ("full", "r", "economic"):
        raise ValueError(errors.describe(f"Unsupported QR decomposition mode '{mode}'",
                                         fix="mode='economic'"))
    a, = _matrices("qr", a)
    q, *rest = linalg.qr(a, pivoting=pivoting, full_matrices=mode != "economic")
    return tuple(rest) if mode == "r" else (q, *rest)


@fused(static_argnames=("mode", "pivoting", "conjugate", "overwrite_a", "overwrite_c"))
def qr_multiply(a: ArrayLike, c: ArrayLike, mode: str = "right", pivoting: bool = False,
                conjugate: bool = False, overwrite_a: bool = False,
                overwrite_c: bool = False) -> tuple[Array, ...]:
    """(c q, r) or, for mode "left", (q c, r), where q r = a with thin q; p last if `pivoting`."""
    if mode not in ("right", "left"):
        raise ValueError(errors.describe(f"mode must be 'right' or 'left', got {mode!r}",
                                         fix="mode='left'"))
    a, c = _matrices("qr_multiply", a, c)
    q, *rest = linalg.qr(a, pivoting=pivoting, full_matrices=False)
    if mode == "left" and c.shape[-2 if c.ndim > 1 else -1] != q.shape[-1]:
        q, *rest = linalg.qr(a, pivoting=pivoting, full_matrices=True)
        rest[0] = rest[0][..., :min(a.shape[-2:]), :]
    q = jnp.conj(q) if conjugate else q
    return (q @ c if mode == "left" else c @ q, *rest)


@fused(static_argnames=("full_matrices", "compute_uv", "overwrite_a", "check_finite",
                        "lapack_driver"))
def svd(a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True,
        overwrite_a: bool = False, check_finite: bool = True,
        lapack_driver: str = "gesdd") -> Array | tuple[Array, Array, Array]:
    """(u, s, vh) with u diag(s) vh = a and s descending; s alone without `compute_uv`."""
    a, = _matrices("svd", a)
    out = jnp.linalg.svd(a, full_matrices=full_matrices, compute_uv=compute_uv)
    return tuple(out) if compute_uv else out


@fused(static_argnames=("lower", "eigvals_only", "overwrite_a", "overwrite_b", "turbo", "eigvals",
                        "type", "check_finite"))
def eigh(a: ArrayLike, b: None = None, lower: bool = True, eigvals_only: bool = False,
         overwrite_a: bool = False, overwrite_b: bool = False, turbo: bool = True,
         eigvals: None = None, type: int = 1, check_finite: bool = True) -> Any:
    """(w, v): ascending eigenvalues of a Hermitian matrix and its eigenvectors in columns."""
    for name, value, default in (("b", b, None), ("type", type, 1), ("eigvals", eigvals, None)):
        if value is not default and value != default:
            end = "" if name == "b" else "."
            raise NotImplementedError(f"Only the {name}={default} case of eigh is implemented{end}")
    a, = _matrices("eigh", a)
    v, w = linalg.eigh(a, lower=lower)
    return w if eigvals_only else (w, v)


@fused(static_argnames="output")
def schur(a: ArrayLike, output: str = "real") -> tuple[Array, Array]:
    """(t, z) with z t z^H = a, t (almost) upper triangular: 2 x 2 blocks stay if all is real."""
    if output not in ("real", "complex"):
        raise ValueError(errors.describe(
            f"Expected 'output' to be either 'real' or 'complex', got output={output!r}.",
            fix="output='complex'"))
    a, = _matrices("schur", a)
    if output == "complex":
        a = a.astype(dtypes.to_complex(a.dtype))
    return tuple(linalg.schur(a))


@fused(static_argnames="check_finite")
def rsf2csf(T: ArrayLike, Z: ArrayLike, check_finite: bool = True) -> tuple[Array, Array]:
    """The complex Schur form (t, z) made of a real one, whose 2 x 2 blocks are rotated away."""
    T, Z = _matrices("rsf2csf", T, Z)
    T, Z = [x.astype(dtypes.to_complex(x.dtype)) for x in (T, Z)]
    n = T.shape[-1]

    def rotated(state: tuple, m: Any) -> tuple:
        t, z = state
        block = lax.dynamic_slice(t, (m - 1, m - 1), (2, 2))
        mu, c = jnp.linalg.eigvals(block)[0] - block[1, 1], block[1, 0]
        r = jnp.sqrt(jnp.abs(mu) ** 2 + jnp.abs(c) ** 2).astype(t.dtype)
        cosine, sine = mu / r, c / r
        turn = jnp.stack([jnp.stack([jnp.conj(cosine), sine]), jnp.stack([-sine, cosine])])
        back = adjoint(turn)
        # Only the triangle: what is left of the block or below it is taken for 0.
        rows = lax.dynamic_slice_in_dim(t, m - 1, 2, 0)
        rows = jnp.where(jnp.arange(n) < m - 1, rows, turn @ rows)
        t = lax.dynamic_update_slice_in_dim(t, rows, m - 1, 0)
        columns = lax.dynamic_slice_in_dim(t, m - 1, 2, 1)
        columns = jnp.where(jnp.arange(n)[:, None] > m, columns, columns @ back)
        t = lax.dynamic_update_slice_in_dim(t, columns, m - 1, 1)
        z = lax.dynamic_update_slice_in_dim(
            z, lax.dynamic_slice_in_dim(z, m - 1, 2, 1) @ back, m - 1, 1)
        return t, z

    def step(i: Any, state: tuple) -> tuple:
        m = n - 1 - i
        t, z = state
        below = jnp.abs(t[m, m - 1])
        eps = float(np.finfo(T.dtype).eps)
        large = below > eps * (jnp.abs(t[m - 1, m - 1]) + jnp.abs(t[m, m]))
        t, z = lax.cond(large, rotated, lambda state, m: state, (t, z), m)
        return t.at[m, m - 1].set(0), z

    return lax.fori_loop(0, max(n - 1, 0), step, (T, Z))


def hessenberg(a: ArrayLike, *, calc_q: bool = False, overwrite_a: bool = False,
               check_finite: bool = True) -> Array | tuple[Array, Array]:
    """The h with q h q^H = a and zeros below its first subdiagonal; (h, q) with `calc_q`."""
    return _hessenberg(a, bool(calc_q))


@fused(static_argnums=1)
def _hessenberg(a: Any, calc_q: bool) -> Any:
    a, = _matrices("hessenberg", a)
    n = a.shape[-1]
    if a.ndim < 2 or a.shape[-2] != n:
        raise ValueError(errors.describe(
            "Argument to Hessenberg reduction must have shape [..., n, n], got shape "
            f"{tuple(a.shape)}", fix="pass square matrices"))
    if n == 0:
        return (a, a) if calc_q else a
    reduced, taus = linalg.hessenberg(a)
    h = jnp.triu(reduced, -1)
    if not calc_q:
        return h
    q = linalg.householder_product(reduced[..., 1:, :-1], taus)
    corner = [(0, 0)] * (a.ndim - 2) + [(1, 0), (1, 0)]
    first = np.zeros((n, n), a.dtype)
    first[0, 0] = 1
    return h, jnp.pad(q, corner) + first.reshape((1,) * (a.ndim - 2) + (n, n))


# --- Tridiagonal matrices ----------------------------------------------------------------------


def eigh_tridiagonal(d: ArrayLike, e: ArrayLike, *, eigvals_only: bool = False,
                     select: str = "a", select_range: tuple[float, float] | None = None,
                     tol: float | None = None, key: Any = None) -> Any:
    """Eigenvalues of the Hermitian matrix with diagonal d [n] and off-diagonal e [n - 1], and
    unless `eigvals_only` its eigenvectors [n, k].

    select: "a" all, "i" those with indices from select_range[0] to select_range[1]. Values are
    found by bisection up to `tol`; `key` is not needed.
    """
    if select not in ("a", "i", "v"):
        raise ValueError("'select must have a value in {'a', 'i', 'v'}.")
    if select != "a" and select_range is None:
        raise ValueError(f"for select='{select}', select_range must be specified.")
    if select == "v":
        raise NotImplementedError(errors.describe(
            "eigh_tridiagonal(..., select='v') is not implemented", fix="select='i'"))
    n = np.shape(d)[0]
    first, last = (0, n - 1) if select == "a" else (int(select_range[0]), int(select_range[1]))
    if not 0 <= first <= last < n and n:
        raise ValueError(errors.describe("Got empty index range in select_range.",
                                         fix="0 <= first <= last < n"))
    if eigvals_only:
        return _tridiagonal_values(d, e, first, last, tol)
    return _tridiagonal_vectors(d, e, first, last)


@fused(static_argnums=(2, 3, 4))
def _tridiagonal_values(d: Any, e: Any, first: int, last: int, tol: float | None) -> Any:
    d, size = [jnp.real(*_matrices("eigh_tridiagonal", d)),
               jnp.abs(*_matrices("eigh_tridiagonal", e))]
    square, n = size * size, d.shape[0]
    radius = jnp.pad(size, (0, 1)) + jnp.pad(size, (1, 0))
    info = np.finfo(d.dtype)
    low, high = jnp.min(d - radius), jnp.max(d + radius)
    slack = jnp.maximum(jnp.abs(low), jnp.abs(high)) * (2 * n * float(info.eps)) + float(info.tiny)
    wanted = np.arange(first, last + 1, dtype=np.int32)
    tiny = jnp.maximum(slack * float(info.eps), float(info.tiny))

    def below(x: Any) -> Any:
        """How many eigenvalues are less than x: the negative pivots of t - x (Sturm)."""
        def step(state: tuple, row: tuple) -> tuple:
            pivot, count = state
            pivot = row[0] - x - row[1] / pivot
            pivot = jnp.where(jnp.abs(pivot) < tiny, -tiny, pivot)
            return (pivot, count + (pivot < 0).astype(count.dtype)), None

        start = lax.full_like(x, 1.0), jnp.zeros(x.shape, np.int32)
        return lax.scan(step, start, (d, jnp.pad(square, (1, 0))))[0][1]

    def halve(_: Any, bounds: tuple) -> tuple:
        left, right = bounds
        middle = left + (right - left) / 2
        few = below(middle) <= wanted
        return jnp.where(few, middle, left), jnp.where(few, right, middle)

    shape = (len(wanted),)
    bounds = jnp.broadcast_to(low - slack, shape), jnp.broadcast_to(high + slack, shape)
    steps = info.nmant + 8 if tol is None else 2 * info.nmant
    left, right = lax.fori_loop(0, steps, halve, bounds)
    return (left + right) / 2


@fused(static_argnums=(2, 3))
def _tridiagonal_vectors(d: Any, e: Any, first: int, last: int) -> Any:
    (d,), (e,) = _matrices("eigh_tridiagonal", d), _matrices("eigh_tridiagonal", e)
    d = d.astype(e.dtype)
    v, w = linalg.eigh(jnp.diag(d) + jnp.diag(jnp.conj(e), -1) + jnp.diag(e, 1))
    return w[first:last + 1], v[:, first:last + 1]
