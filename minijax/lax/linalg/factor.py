"""Factorizations that take finitely many steps: Cholesky, LU, QR, and products of reflectors.

    l = cholesky(a)                    # l @ l^H == a
    lu, pivots, permutation = lu(a)    # a[permutation] == L @ U
    q, r = qr(a)                       # q @ r == a

The one invariant: a derivative is written with the factors alone, by solves with triangles and
products, so that it can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, Zero, aval_of, batch, zeros
from minijax.lax.control_flow.loops import fori_loop
from minijax.lax.control_flow.scan import scan
from minijax.lax.elementwise import add, complex, div, imag, mul, neg, sqrt, sub
from minijax.lax.logic import choose, eq
from minijax.lax.rules import FLOATING, ArrayLike, check_dtype, check_same_dtypes, scalar_like
from minijax.lax.shapes import broadcasted_iota, concatenate
from minijax.lax.slicing import dynamic_index_in_dim, slice_in_dim

from minijax.lax.linalg.common import (adjoint, batched, check_matrices, check_square, diagonal,
                                       eye_like, matmul, scale_columns, shown, swapped,
                                       symmetrized, take_rows, tril, triu)
from minijax.lax.linalg.solve import inverted, solve_factored, triangular_solve

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


def _cholesky_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
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


def _update_vmap(axis: Any, args: Sequence[Any], dims: Sequence[int | None]) -> tuple:
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


def _lu_jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
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
    factors, _, permutation = lu_p.bind(a)
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


def _pivots_steps(pivots: Any, *, permutation_size: int) -> Any:
    shape = (*aval_of(pivots).shape[:-1], permutation_size)
    places = broadcasted_iota(np.dtype(np.int32), shape, len(shape) - 1)

    def exchange(i: Any, permutation: Any) -> Any:
        j = dynamic_index_in_dim(pivots, i, -1)
        ith = dynamic_index_in_dim(permutation, i, -1)
        jth = take_rows(_as_rows(permutation), _flat(j))
        out = choose(eq(places, i), _wide(jth, shape), permutation, permutation)
        return choose(eq(places, j), _wide(ith, shape), out, out)

    return fori_loop(np.int32(0), np.int32(aval_of(pivots).shape[-1]), exchange, places)
