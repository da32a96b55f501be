"""Solutions of linear systems whose matrix has a structure, or has been factored.

The one invariant: all solves are linear in the right-hand side and transpose to a solve with the
transposed matrix, so reverse mode never sees the steps of a substitution.

    x = triangular_solve(l, b, left_side=True, lower=True)        # l @ x == b
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, each_operand, get_aval,
                          move_axis, zeros)
from minijax.lax.control_flow.solvers import custom_linear_solve
from minijax.lax.elementwise import add, mul, neg
from minijax.lax.rules import FLOATING, ArrayLike, check_dtype, scalar_like
from minijax.lax.shapes import concatenate, expand_dims, merge_axes, reshape, squeeze
from minijax.lax.slicing import slice_in_dim
from minijax.lax.sorting import sort

from minijax.lax.linalg.common import (batched, check_matrices, check_square, column, conjugate,
                                       matmul, shown, swapped, take_rows, tril, triu)

# --- Triangular systems ------------------------------------------------------------------------


def triangular_solve(a: ArrayLike, b: ArrayLike, *, left_side: bool = False, lower: bool = False,
                     transpose_a: bool = False, conjugate_a: bool = False,
                     unit_diagonal: bool = False) -> Array:
    """The x with op(a) x = b (`left_side`) or x op(a) = b, for triangular a [..., n, n].

    op(a) is a, transposed and conjugated as asked. Only the triangle that `lower` names is read,
    and with `unit_diagonal` not its diagonal. b is [..., n, m], [..., m, n] or [..., n].
    """
    conjugate_a = conjugate_a and get_aval(a).dtype.kind == "c"
    vectors = get_aval(b).ndim == get_aval(a).ndim - 1
    place = get_aval(b).ndim if left_side else get_aval(b).ndim - 1
    if vectors:
        b = expand_dims(b, (place,))
    out = triangular_solve_p.bind(a, b, left_side=left_side, lower=lower, transpose_a=transpose_a,
                                  conjugate_a=conjugate_a, unit_diagonal=unit_diagonal)
    return squeeze(out, (place,)) if vectors else out


def _triangular_shape(a: ShapedArray, b: ShapedArray, *, left_side: bool,
                      **_: Any) -> ShapedArray:
    check_matrices("triangular_solve", (a, b), (2, 2))
    check_square("triangular_solve", a)
    if a.shape[-1] != b.shape[-2 if left_side else -1]:
        raise ValueError(errors.describe(
            f"Incompatible shapes for arguments to triangular_solve: {shown((a, b))}.",
            fix="left_side=True solves a @ x == b, left_side=False x @ a == b"))
    return b.strip_weak_type()


def _triangular_term(g: Any, out: Any, a: Any, b: Any, *, left_side: bool, lower: bool,
                     transpose_a: bool, conjugate_a: bool, unit_diagonal: bool) -> Any:
    """From op(a) x = b: op(da) x + op(a) dx = 0."""
    k = 1 if unit_diagonal else 0
    g = tril(g, -k) if lower else triu(g, k)
    g = swapped(g) if transpose_a else g
    g = conjugate(g) if conjugate_a else g
    product = matmul(g, out) if left_side else matmul(out, g)
    return triangular_solve_p.bind(
        a, neg(product), left_side=left_side, lower=lower, transpose_a=transpose_a,
        conjugate_a=conjugate_a, unit_diagonal=unit_diagonal)


def _triangular_transpose(ct: Any, a: Any, b: Any, *, transpose_a: bool, **params: Any) -> list:
    return [None, triangular_solve_p.bind(a, ct, transpose_a=not transpose_a, **params)]


def _triangular_vmap(axis: Any, args: Values, dims: Dims, *, left_side: bool,
                     **params: Any) -> tuple:
    """One matrix for all right-hand sides: these become its columns (or rows)."""
    a, b = args
    if dims[0] is not None or axis.split is not None:  # columns are not split
        return _in_front(axis, args, dims, left_side=left_side, **params)
    at = aval_of(b).ndim - (1 if left_side else 2)
    b = move_axis(b, dims[1], at)
    out = triangular_solve_p.bind(a, merge_axes(b, at - 1), left_side=left_side, **params)
    return reshape(out, aval_of(b).shape), at


triangular_solve_p = Primitive(
    "triangular_solve", shape=_triangular_shape, transpose=_triangular_transpose,
    vmap=_triangular_vmap,
    jvp=each_operand(_triangular_term,
                     lambda g, out, a, b, **params: triangular_solve_p.bind(a, g, **params)))
_in_front = batched.make(triangular_solve_p)

# --- Tridiagonal systems -----------------------------------------------------------------------


def tridiagonal_solve(dl: Array, d: Array, du: Array, b: Array, *,
                      perturb_singular: bool = False) -> Array:
    """The x [..., n, k] with t x = b for tridiagonal t, given by its diagonals [..., n].

    t[i, i-1] is dl[i], t[i, i] is d[i], t[i, i+1] is du[i]; dl[0] and du[n-1] are not read. With
    `perturb_singular`, pivots that are zero are replaced by the smallest positive ones.
    """
    return tridiagonal_solve_p.bind(dl, d, du, b, perturb_singular=bool(perturb_singular))


def _tridiagonal_shape(dl: ShapedArray, d: ShapedArray, du: ShapedArray, b: ShapedArray, *,
                       perturb_singular: bool) -> ShapedArray:
    check_matrices("tridiagonal_solve", (dl, d, du, b), (1, 1, 1, 2))
    fail = None
    if dl.shape != d.shape or d.shape != du.shape:
        fail = "tridiagonal_solve requires that all diagonal arguments have the same shape."
    elif b.shape[:-1] != d.shape:
        fail = ("tridiagonal_solve requires that the leading ndim-1 dimensions of b equal the "
                "dimensions of the diagonal arguments.")
    if fail:
        raise TypeError(errors.describe(
            fail, because=f"the shapes are {shown((dl, d, du, b))}",
            fix="pass diagonals [..., n] and right-hand sides [..., n, k]"))
    return b.strip_weak_type()


def _shifted(x: Any, by: int) -> Any:
    """x[i + by] at place i, by being 1 or -1; zero where that is outside."""
    axis = aval_of(x).ndim - 1
    n = aval_of(x).shape[axis]
    part = slice_in_dim(x, max(by, 0), n + min(by, 0), axis=axis)
    zero = zeros(aval_of(part).update(shape=(*aval_of(x).shape[:-1], 1)))
    return concatenate([part, zero] if by > 0 else [zero, part], axis)


def _tridiagonal_term(which: int) -> Any:
    def term(g: Any, x: Any, dl: Any, d: Any, du: Any, b: Any, **params: Any) -> Any:
        if which:
            x = swapped(_shifted(swapped(x), which))
        return tridiagonal_solve_p.bind(dl, d, du, neg(mul(column(g, x), x)), **params)
    return term


def _tridiagonal_transpose(ct: Any, dl: Any, d: Any, du: Any, b: Any, **params: Any) -> list:
    return [None, None, None, tridiagonal_solve_p.bind(_shifted(du, -1), d, _shifted(dl, 1), ct,
                                                       **params)]


tridiagonal_solve_p = Primitive(
    "tridiagonal_solve", shape=_tridiagonal_shape, vmap=batched, transpose=_tridiagonal_transpose,
    jvp=each_operand(
        _tridiagonal_term(-1), _tridiagonal_term(0), _tridiagonal_term(1),
        lambda g, out, dl, d, du, b, **params: tridiagonal_solve_p.bind(dl, d, du, g, **params)))

# --- Systems factored by lu --------------------------------------------------------------------


def lu_solve(lu: Any, permutation: Any, b: Any, trans: int = 0) -> Any:
    """The x with op(a) x = b for a[permutation] = L U; op is none, transpose (1), adjoint (2)."""
    if trans == 0:
        b = take_rows(b, permutation)
        b = triangular_solve(lu, b, left_side=True, lower=True, unit_diagonal=True)
        return triangular_solve(lu, b, left_side=True)
    flags = dict(left_side=True, transpose_a=True, conjugate_a=trans == 2)
    b = triangular_solve(lu, b, **flags)
    b = triangular_solve(lu, b, lower=True, unit_diagonal=True, **flags)
    return take_rows(b, inverted(permutation))


def inverted(permutation: Any) -> Any:
    """The inverse permutations of the last axis."""
    aval = aval_of(permutation)
    steps = np.broadcast_to(np.arange(aval.shape[-1], dtype=aval.dtype), aval.shape)
    return sort((permutation, steps), dimension=aval.ndim - 1, num_keys=1)[1]


def solve_factored(a: Any, lu: Any, permutation: Any, b: Any) -> Any:
    """The x [..., n, k] with a x = b; `lu` and `permutation` are the factors of a.

    The derivative with respect to `a` comes from the equation, not from the factors.
    """
    return custom_linear_solve(
        lambda x: matmul(a, x), b, solve=lambda _, v: lu_solve(lu, permutation, v),
        transpose_solve=lambda _, v: lu_solve(lu, permutation, v, 1))


# --- Symmetric products ------------------------------------------------------------------------


def symmetric_product(a_matrix: ArrayLike, c_matrix: ArrayLike, *, alpha: float = 1.0,
                      beta: float = 0.0, symmetrize_output: bool = False) -> Array:
    """alpha a a^T + beta c for a [..., n, m] and symmetric c [..., n, n].

    Without `symmetrize_output` only the lower triangle of the result is defined.
    """
    out = symmetric_product_p.bind(a_matrix, c_matrix, alpha=alpha, beta=beta)
    return add(tril(out), swapped(tril(out, -1))) if symmetrize_output else out


def _symmetric_shape(a: ShapedArray, c: ShapedArray, *, alpha: float, beta: float) -> ShapedArray:
    check_dtype("symmetric_product", a.dtype, FLOATING, " at position 0")
    check_matrices("symmetric_product", (a, c), (2, 2))
    if c.shape[-1] != c.shape[-2] or c.shape[-1] != a.shape[-2]:
        raise ValueError(errors.describe(
            "symmetric_product expects matrices of shapes [..., n, m] and [..., n, n]. "
            f"Got shapes {shown((a, c))}.", fix="c_matrix has the shape of a @ a.T"))
    return c.strip_weak_type()


def _symmetric_steps(a: Any, c: Any, *, alpha: float, beta: float) -> Any:
    product = matmul(a, swapped(a))
    return add(mul(scalar_like(product, alpha), product), mul(scalar_like(c, beta), c))


symmetric_product_p = Primitive("symmetric_product", shape=_symmetric_shape, vmap=batched,
                                decompose=_symmetric_steps)
