"""Factorizations that take finitely many steps: Cholesky, LU, QR, and products of reflectors.

    l = cholesky(a)                    # l @ l^H == a
    lu, pivots, permutation = lu(a)    # a[permutation] == L @ U
    q, r = qr(a)                       # q @ r == a

The one invariant: a derivative is written with the factors alone, by solves with triangles and
products, so that it can be differentiated again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, Zero, aval_of, batch,
                          nondifferentiable, zeros)
from minijax.lax.control_flow.scan import scan
from minijax.lax.elementwise import add, complex, div, imag, mul, sqrt, sub
from minijax.lax.identity import stop_gradient
from minijax.lax.logic import choose, eq
from minijax.lax.rules import FLOATING, ArrayLike, check_dtype, check_same_dtypes, scalar_like
from minijax.lax.shapes import concatenate
from minijax.lax.slicing import dynamic_index_in_dim, slice_in_dim

from minijax.lax.linalg.common import (adjoint, batched, check_matrices, check_square, diagonal,
                                       eye_like, matmul, scale_columns, shown, swapped,
                                       symmetrized, take_rows, tril, triu)
from minijax.lax.linalg.solve import solve_factored, triangular_solve

# --- Cholesky ----------------------------------------------------------------------------------


def cholesky(x: Array, *, symmetrize_input: bool = True) -> Array:
    """The lower triangular l [..., n, n] with l l^H = x, for x Hermitian and positive definite.

    NaN where x is not positive definite. Without `symmetrize_input` only the lower triangle of x
    is read.
    """
    return tril(cholesky_p.bind(symmetrized(x) if symmetrize_input else x))


def _cholesky_shape(x: ShapedArray) -> ShapedArray:
    check_matrices("cholesky", (x,), (2,))
    check_square("cholesky", x)
    return x.strip_weak_type()


def _cholesky_jvp(primals: Values, tangents: Values) -> tuple:
    """dl = l phi(l^-1 dx l^-H), phi being the lower triangle with half of the diagonal."""
    out = tril(cholesky_p.bind(*primals))
    inner = triangular_solve(out, tangents[0], left_side=False, transpose_a=True,
                             conjugate_a=True, lower=True)
    inner = tril(triangular_solve(out, inner, left_side=True, lower=True))
    ones = eye_like(inner)
    return out, matmul(out, div(inner, add(ones, scalar_like(ones, 1))))


cholesky_p = Primitive("cholesky", shape=_cholesky_shape, jvp=_cholesky_jvp, vmap=batched)


def cholesky_update(r_matrix: ArrayLike, w_vector: ArrayLike) -> Array:
    """The upper triangular factor of r^T r + w w^T, for r [n, n] upper triangular and w [n]."""
    return cholesky_update_p.bind(r_matrix, w_vector)


def _update_shape(r: ShapedArray, w: ShapedArray) -> ShapedArray:
    for i, (aval, rank) in enumerate(((r, 2), (w, 1))):
        check_dtype("cholesky_update", aval.dtype, FLOATING, f" at position {i}")
        if aval.ndim != rank:
            raise TypeError(errors.describe(
                f"Input {i} to cholesky_update must have a rank of exactly {rank}, but got "
                f"shape={aval.shape}", fix="use jax.vmap for batches"))
    check_same_dtypes("cholesky_update", (r, w))
    if r.shape != (*w.shape, *w.shape):
        raise ValueError(errors.describe(
            "Rank-1 update to Cholesky decomposition takes a square matrix and a vector of the "
            f"same size as input. Got shapes {shown((r, w))} instead",
            fix="pass r [n, n] and w [n]"))
    return r.strip_weak_type()


def _update_steps(r: Any, w: Any) -> Any:
    """One plane rotation of each row of r with w, chosen so that w loses an entry."""
    n = aval_of(w).shape[0]

    def step(w: Any, item: tuple) -> tuple:
        row, k = item
        a = dynamic_index_in_dim(row, k, keepdims=False)
        b = dynamic_index_in_dim(w, k, keepdims=False)
        length = sqrt(add(mul(a, a), mul(b, b)))
        idle = eq(length, scalar_like(length, 0))
        length = choose(idle, 1, length, length)
        c, s = choose(idle, 1, div(a, length), a), div(b, length)
        return sub(mul(c, w), mul(s, row)), add(mul(c, row), mul(s, w))

    return scan(step, w, (r, np.arange(n, dtype=np.int32)))[1]


def _update_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    (out,), (dim,) = batch(lambda r, w: [_update_steps(r, w)], axis, args, dims)
    return out, dim


cholesky_update_p = Primitive("cholesky_update", shape=_update_shape, vmap=_update_vmap,
                              decompose=_update_steps)

# --- LU ----------------------------------------------------------------------------------------


def lu(x: ArrayLike) -> tuple[Array, Array, Array]:
    """(lu, pivots, permutation) of x [..., m, n], with x[permutation] = L U.

    L is unit lower triangular and U upper triangular, stored together. pivots [..., min(m, n)]
    int32 are the rows that were exchanged in turn; permutation is [..., m] int32.
    """
    return lu_p.bind(x)


def _lu_shape(x: ShapedArray) -> list[ShapedArray]:
    check_matrices("lu", (x,), (2,))
    *outer, m, n = x.shape
    return [x.strip_weak_type(), ShapedArray((*outer, min(m, n)), np.dtype(np.int32)),
            ShapedArray((*outer, m), np.dtype(np.int32))]


def _padded_factors(out: Any) -> tuple[Any, Any]:
    """Square L [m, m] and U [n, n], the identity where `out` has no columns or rows left."""
    *outer, m, n = aval_of(out).shape
    k = min(m, n)
    left = tril(slice_in_dim(out, 0, k, axis=-1), -1)
    right = triu(slice_in_dim(out, 0, k, axis=-2))
    if m > k:
        left = concatenate([left, zeros(aval_of(out).update(shape=(*outer, m, m - k)))],
                           len(outer) + 1)
    if n > k:
        ones = eye_like(zeros(aval_of(out).update(shape=(*outer, n, n))))
        right = concatenate([right, slice_in_dim(ones, k, n, axis=-2)], len(outer))
    return add(left, eye_like(left)), right


def _lu_jvp(primals: Values, tangents: Values) -> tuple:
    """dx[p] = dL U + L dU; with c = L^-1 dx[p] U^-1, dL = L tril(c, -1) and dU = triu(c) U."""
    out, pivots, permutation = lu_p.bind(*primals)
    left, right = _padded_factors(out)
    inner = take_rows(tangents[0], permutation)
    inner = triangular_solve(left, inner, left_side=True, lower=True, unit_diagonal=True)
    inner = triangular_solve(right, inner)
    tangent = add(matmul(left, tril(inner, -1)), matmul(triu(inner), right))
    rest = [Zero(aval_of(x).to_tangent_aval()) for x in (pivots, permutation)]
    return [out, pivots, permutation], [tangent, *rest]


lu_p = Primitive("lu", shape=_lu_shape, jvp=_lu_jvp, vmap=batched, multiple_results=True)


def solve(a: Any, b: Any) -> Any:
    """The x [..., n, k] with a x = b for square a [..., n, n]."""
    factors, _, permutation = lu_p.bind(stop_gradient(a))
    return solve_factored(a, factors, permutation, b)


def lu_pivots_to_permutation(pivots: ArrayLike, permutation_size: int) -> Array:
    """The permutation of range(permutation_size) that exchanging i with pivots[i] in turn gives."""
    return lu_pivots_to_permutation_p.bind(pivots, permutation_size=int(permutation_size))


def _pivots_shape(pivots: ShapedArray, *, permutation_size: int) -> ShapedArray:
    name = "lu_pivots_to_permutation"
    if pivots.dtype != np.int32:
        raise TypeError(errors.describe(
            f"{name} does not accept dtype {pivots.dtype.name} at position 0. Accepted dtypes at "
            "position 0 are subtypes of int32.", fix="pass the pivots that lax.linalg.lu gives"))
    if pivots.ndim < 1:
        raise TypeError(errors.describe(
            f"Input 0 to {name} must have rank at least 1, but got shape={pivots.shape}",
            fix="pass the pivots that lax.linalg.lu gives"))
    if pivots.shape[-1] > permutation_size:
        raise ValueError(errors.describe(
            f"Output permutation size {permutation_size} has to exceed the trailing dimension of "
            f"the pivots. Got pivots size {pivots.shape[-1]}",
            fix="permutation_size is the number of rows of the matrix"))
    return pivots.update(shape=(*pivots.shape[:-1], permutation_size), weak_type=False)


lu_pivots_to_permutation_p = Primitive("lu_pivots_to_permutation", shape=_pivots_shape,
                                       vmap=batched, jvp=nondifferentiable)

# --- QR ----------------------------------------------------------------------------------------


def qr(x: ArrayLike, *, pivoting: bool = False, full_matrices: bool = True,
       use_magma: bool | None = None) -> tuple[Array, ...]:
    """(q, r) with q r = x [..., m, n], q unitary and r upper triangular.

    q is [..., m, m], or [..., m, min(m, n)] unless `full_matrices`. With `pivoting`, (q, r, p)
    where q r = x[..., p] and the diagonal of r descends. `use_magma` chooses a library on GPUs.
    """
    return tuple(qr_p.bind(x, pivoting=bool(pivoting), full_matrices=bool(full_matrices),
                           use_magma=use_magma))


def _qr_shape(x: ShapedArray, *, pivoting: bool, full_matrices: bool,
              use_magma: bool | None) -> list[ShapedArray]:
    check_matrices("qr", (x,), (2,))
    x = x.strip_weak_type()
    *outer, m, n = x.shape
    k = m if full_matrices else min(m, n)
    out = [x.update(shape=(*outer, m, k)), x.update(shape=(*outer, k, n))]
    return [*out, ShapedArray((*outer, n), np.dtype(np.int32))] if pivoting else out


def _qr_jvp(primals: Values, tangents: Values, *, pivoting: bool, **params: Any) -> tuple:
    """dq = q w and dr = q^H dx - w r, with w skew; its lower part is that of q^H dx r^-1."""
    q, r, *permutation = qr_p.bind(*primals, pivoting=pivoting, **params)
    dx, = tangents
    if pivoting:
        dx = swapped(take_rows(swapped(dx), permutation[0]))
    m, n = aval_of(dx).shape[-2:]
    k = min(m, n)
    q1, r1 = slice_in_dim(q, 0, k, axis=-1), slice_in_dim(r, 0, k, axis=-2)
    turned = triangular_solve(slice_in_dim(r1, 0, k, axis=-1), slice_in_dim(dx, 0, k, axis=-1))
    seen = matmul(adjoint(q1), turned)
    low = tril(seen, -1)
    skew = sub(low, adjoint(low))
    if aval_of(q).dtype.kind == "c":  # the diagonal of r stays real
        phases = imag(diagonal(seen))
        phases = complex(scalar_like(phases, 0), phases)
        skew = add(skew, scale_columns(eye_like(skew), phases))
    dq = add(matmul(q1, sub(skew, seen)), turned)
    dr = triu(sub(matmul(adjoint(q1), dx), matmul(skew, r1)))
    if aval_of(q).shape[-1] > k:
        dq = concatenate([dq, _complement_tangent(q1, dq)], aval_of(q).ndim - 1)
        dr = concatenate([dr, zeros(aval_of(slice_in_dim(r, k, m, axis=-2)))], aval_of(r).ndim - 2)
    rest = [Zero(aval_of(p).to_tangent_aval()) for p in permutation]
    return [q, r, *permutation], [dq, dr, *rest]


def _complement_tangent(q: Any, dq: Any) -> Any:
    """The tangent of the columns that complete q [..., m, k] to a unitary matrix.

    Reflectors make these a function of q: with blocks q = [t; b], they are e + (q - [1; 0]) z,
    where e = [0; 1] and (t - 1)^H z = b^H.
    """
    m, k = aval_of(q).shape[-2:]
    top, dtop = (slice_in_dim(x, 0, k, axis=-2) for x in (q, dq))
    bottom, dbottom = (slice_in_dim(x, k, m, axis=-2) for x in (q, dq))
    shifted = sub(top, eye_like(top))
    z = solve(adjoint(shifted), adjoint(bottom))
    dz = solve(adjoint(shifted), sub(adjoint(dbottom), matmul(adjoint(dtop), z)))
    from_identity = concatenate([shifted, bottom], aval_of(q).ndim - 2)
    return add(matmul(dq, z), matmul(from_identity, dz))


qr_p = Primitive("qr", shape=_qr_shape, jvp=_qr_jvp, vmap=batched, multiple_results=True)

# --- Products of reflectors --------------------------------------------------------------------


def geqrf(a: ArrayLike) -> tuple[Array, Array]:
    """(a, taus): r above the diagonal of `a`, the vectors of the reflectors below."""
    return tuple(geqrf_p.bind(a))


def _geqrf_shape(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("geqrf", (a,), (2,))
    a = a.strip_weak_type()
    return [a, a.update(shape=(*a.shape[:-2], min(a.shape[-2:])))]


geqrf_p = Primitive("geqrf", shape=_geqrf_shape, vmap=batched, multiple_results=True)


def householder_product(a: ArrayLike, taus: ArrayLike) -> Array:
    """The first n columns of the product of elementary reflectors, a [..., m, n] with m >= n.

    Column i of `a` below the diagonal is the i-th vector, taus[..., i] its factor.
    """
    return householder_product_p.bind(a, taus)


def _householder_shape(a: ShapedArray, taus: ShapedArray) -> ShapedArray:
    check_matrices("householder_product", (a, taus), (2, 1))
    m, n = a.shape[-2:]
    fail = None
    if m < n:
        fail = ("The first argument to householder_product must have at least as many rows as "
                f"columns, got shape {a.shape}")
    elif taus.shape[-1] > min(m, n):
        fail = ("The second argument to householder_product must not have more rows than the "
                "minimum of the first argument's rows and columns.")
    if fail:
        raise ValueError(errors.describe(fail, because=f"the shapes are {shown((a, taus))}",
                                         fix="pass a [..., m, n] with m >= n, taus [..., n]"))
    return a.strip_weak_type()


householder_product_p = Primitive("householder_product", shape=_householder_shape, vmap=batched)


def ormqr(a: ArrayLike, taus: ArrayLike, c: ArrayLike, *, left: bool = True,
          transpose: bool = False) -> Array:
    """q c, or c q if not `left`, for q a product of reflectors (see `householder_product`).

    With `transpose` the adjoint of q takes its place.
    """
    return ormqr_p.bind(a, taus, c, left=left, transpose=transpose)


def _ormqr_shape(a: ShapedArray, taus: ShapedArray, c: ShapedArray, *, left: bool,
                 transpose: bool) -> ShapedArray:
    check_matrices("ormqr", (a, taus, c), (2, 1, 2))
    m, n = a.shape[-2:]
    side, size = ("rows", c.shape[-2]) if left else ("columns", c.shape[-1])
    fail = None
    if size != m:
        fail = (f"ormqr with left={left} expects c to have the same number of {side} as the "
                f"Householder matrix a. Got a shape {a.shape} and c shape {c.shape}.")
    elif taus.shape[-1] > min(m, n):
        fail = (f"ormqr expects at most {min(m, n)} factors for a of shape {a.shape}. Got taus "
                f"shape {taus.shape}.")
    if fail:
        raise ValueError(errors.describe(
            fail, fix="a [..., m, n], taus [..., n] and c [..., m, k] if left, else [..., k, m]"))
    return c.strip_weak_type()


ormqr_p = Primitive("ormqr", shape=_ormqr_shape, vmap=batched)
