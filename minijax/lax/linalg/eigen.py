"""Factorizations that iterate: eigenvalues, singular values, Schur form, and reductions to them.

    v, w = eigh(a)                 # a @ v == v * w, a Hermitian
    u, s, vh = svd(a)
    w, vl, vr = eig(a)

The one invariant: vectors have unit length, and their free sign or phase is LAPACK's; derivatives
keep it fixed. Where eigenvalues or singular values coincide, derivatives of vectors are NaN.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, Values, aval_of, convert_element_type, reduce_sum
from minijax.lax.elementwise import abs, add, complex, conj, div, imag, mul, real, sub
from minijax.lax.logic import choose, eq
from minijax.lax.reduction import argmax
from minijax.lax.rules import ArrayLike, broadcast_to, scalar_like
from minijax.lax.shapes import broadcasted_iota, expand_dims

from minijax.lax.linalg.common import (adjoint, batched, check_matrices, check_square, column,
                                       diagonal, eye_like, matmul, row, scale_columns, scale_rows,
                                       symmetrized)
from minijax.lax.linalg.factor import solve


class EighImplementation(enum.Enum):
    """How `eigh` finds eigenvalues; LAPACK on the CPU knows only QR."""

    QR = "qr"
    JACOBI = "jacobi"
    QDWH = "qdwh"


class EigImplementation(enum.Enum):
    """The library that `eig` calls; on the CPU that is LAPACK."""

    CUSOLVER = "cusolver"
    MAGMA = "magma"
    LAPACK = "lapack"


class SvdAlgorithm(enum.Enum):
    """How `svd` finds singular values; LAPACK knows QR and DIVIDE_AND_CONQUER (the default)."""

    DEFAULT = "default"
    QR = "QR"
    JACOBI = "Jacobi"
    POLAR = "polar"
    DIVIDE_AND_CONQUER = "divide_and_conquer"


# --- Hermitian matrices ------------------------------------------------------------------------


def eigh(x: Array, *, lower: bool = True, symmetrize_input: bool = True,
         sort_eigenvalues: bool = True, subset_by_index: tuple[int, int] | None = None,
         implementation: EighImplementation | None = None) -> tuple[Array, Array]:
    """(v, w): eigenvectors in the columns of v [..., n, n] and ascending eigenvalues w [..., n].

    Without `symmetrize_input` only the triangle of x that `lower` names is read. NaN where the
    iteration fails.
    """
    if symmetrize_input:
        x = symmetrized(x)
    v, w = eigh_p.bind(x, lower=lower, sort_eigenvalues=sort_eigenvalues,
                       subset_by_index=subset_by_index, algorithm=implementation)
    return v, w


def _count(subset: tuple[int, int] | None, n: int) -> int:
    """How many values a range of indices asks for."""
    return n if subset is None else subset[1] - subset[0]


def _eigh_shape(x: ShapedArray, *, subset_by_index: Any, **_: Any) -> list[ShapedArray]:
    check_matrices("eigh", (x,), (2,))
    check_square("eigh", x)
    x = x.strip_weak_type()
    *outer, n = x.shape[:-1]
    d = _count(subset_by_index, n)
    return [x.update(shape=(*outer, n, d)),
            x.update(shape=(*outer, d), dtype=dtypes.to_real(x.dtype))]


def _reciprocal_gaps(w: Any, like: Any) -> Any:
    """1 / (w[j] - w[i]) with zeros on the diagonal, at the dtype of `like`."""
    return _inverses(sub(row(w, like), column(w, like)))


def _inverses(gaps: Any) -> Any:
    """1 / gaps, but for the diagonal, which is zero in both."""
    ones = eye_like(gaps)
    return sub(div(ones_like(gaps), add(gaps, ones)), ones)


def ones_like(x: Any) -> Any:
    return broadcast_to(scalar_like(x, 1), aval_of(x).shape)


def _eigh_jvp(primals: Values, tangents: Values, *, subset_by_index: Any, **params: Any) -> tuple:
    """dw = diag(v^H dx v), dv = v (gaps * (v^H dx v))."""
    x, = primals
    v, w = eigh_p.bind(x, subset_by_index=subset_by_index, **params)
    if _count(subset_by_index, aval_of(x).shape[-1]) != aval_of(x).shape[-1]:
        raise NotImplementedError(errors.describe(
            "Derivatives not defined for partial eigen decomposition.",
            fix="ask for all eigenvalues and take a slice of them"))
    turned = matmul(matmul(adjoint(v), tangents[0]), v)
    dv = matmul(v, mul(_reciprocal_gaps(w, turned), turned))
    dw = diagonal(turned)
    return [v, w], [dv, real(dw) if aval_of(dw).dtype.kind == "c" else dw]


eigh_p = Primitive("eigh", shape=_eigh_shape, jvp=_eigh_jvp, vmap=batched, multiple_results=True)


def tridiagonal(a: ArrayLike, *, lower: bool = True) -> list[Array]:
    """(a, d, e, taus): a Hermitian matrix [..., n, n] made tridiagonal by reflectors.

    The result has the diagonal d [..., n] and off-diagonal e [..., n - 1], both real; the
    triangle of `a` that `lower` names holds the vectors of the reflectors, `taus` their factors.
    """
    return tridiagonal_p.bind(a, lower=lower)


def _tridiagonal_shape(a: ShapedArray, *, lower: bool) -> list[ShapedArray]:
    check_matrices("tridiagonal", (a,), (2,))
    check_square("tridiagonal", a, 1)
    a = a.strip_weak_type()
    *outer, n = a.shape[:-1]
    part = a.update(dtype=dtypes.to_real(a.dtype))
    return [a, part.update(shape=(*outer, n)), part.update(shape=(*outer, n - 1)),
            a.update(shape=(*outer, n - 1))]


tridiagonal_p = Primitive("tridiagonal", shape=_tridiagonal_shape, vmap=batched,
                          multiple_results=True)

# --- General matrices --------------------------------------------------------------------------


def eig(x: ArrayLike, *, compute_left_eigenvectors: bool = True,
        compute_right_eigenvectors: bool = True, enable_eigvec_derivs: bool = False,
        implementation: EigImplementation | None = None,
        use_magma: bool | None = None) -> list[Array]:
    """[w, vl, vr]: complex eigenvalues [..., n] and, as asked, eigenvectors in columns.

    x vr = vr diag(w) and vl^H x = diag(w) vl^H; columns have unit length and a real component of
    greatest modulus. Derivatives of vectors need `enable_eigvec_derivs`: they hold where
    eigenvalues are distinct and that component is unique, which nobody checks.
    """
    if implementation is None and use_magma is not None:
        implementation = EigImplementation.MAGMA if use_magma else EigImplementation.CUSOLVER
    return eig_p.bind(x, compute_left_eigenvectors=compute_left_eigenvectors,
                      compute_right_eigenvectors=compute_right_eigenvectors,
                      enable_eigvec_derivs=enable_eigvec_derivs, implementation=implementation)


def _eig_shape(x: ShapedArray, *, compute_left_eigenvectors: bool,
               compute_right_eigenvectors: bool, **_: Any) -> list[ShapedArray]:
    check_matrices("eig", (x,), (2,))
    check_square("eig", x)
    vectors = x.update(dtype=np.dtype(dtypes.to_complex(x.dtype)), weak_type=False)
    w = vectors.update(shape=x.shape[:-1])
    return [w] + [vectors] * (compute_left_eigenvectors + compute_right_eigenvectors)


def _eig_jvp(primals: Values, tangents: Values, *, compute_left_eigenvectors: bool,
             compute_right_eigenvectors: bool, enable_eigvec_derivs: bool,
             implementation: Any) -> tuple:
    if (compute_left_eigenvectors or compute_right_eigenvectors) and not enable_eigvec_derivs:
        raise NotImplementedError(errors.describe(
            "Derivatives of non-symmetric eigenvectors are only valid under assumptions on the "
            "input that JAX cannot check (see the enable_eigvec_derivs argument to "
            "jax.lax.linalg.eig). Pass enable_eigvec_derivs=True to jax.lax.linalg.eig to opt in.",
            because="eigenvectors have a free phase, and none at all where eigenvalues coincide",
            fix="lax.linalg.eig(x, enable_eigvec_derivs=True)"))
    w, *vectors = eig_p.bind(
        *primals, compute_left_eigenvectors=compute_left_eigenvectors,
        compute_right_eigenvectors=True, enable_eigvec_derivs=True, implementation=implementation)
    right = vectors[-1]
    dx = convert_element_type(tangents[0], aval_of(right).dtype)
    turned = solve(right, matmul(dx, right))
    out = [diagonal(turned)]
    if compute_left_eigenvectors:
        left = vectors[0]
        out.append(_vector_tangent(conj(w), left, solve(left, matmul(adjoint(dx), left))))
    if compute_right_eigenvectors:
        out.append(_vector_tangent(w, right, turned))
    else:
        vectors.pop()
    return [w, *vectors], out


def _vector_tangent(w: Any, v: Any, turned: Any) -> Any:
    """dv for v^-1 dx v = turned, such that columns keep their length and their real component."""
    dv = matmul(v, mul(_reciprocal_gaps(w, turned), turned))
    shape = aval_of(v).shape
    rows = len(shape) - 2
    largest = expand_dims(argmax(abs(v), rows, np.int32), (rows,))
    mask = eq(broadcasted_iota(np.dtype(np.int32), shape, rows), broadcast_to(largest, shape))

    def component(x: Any) -> Any:
        return reduce_sum(choose(mask, x, 0, x), (rows,))

    stretch = real(reduce_sum(mul(conj(v), dv), (rows,)))
    turn = imag(div(component(dv), component(v)))
    return sub(dv, scale_columns(v, complex(stretch, turn)))


eig_p = Primitive("eig", shape=_eig_shape, jvp=_eig_jvp, vmap=batched, multiple_results=True)


def schur(x: ArrayLike, *, compute_schur_vectors: bool = True, sort_eig_vals: bool = False,
          select_callable: Callable[..., Any] | None = None) -> tuple[Array, Array]:
    """[t, z] with x = z t z^H, z unitary and t upper triangular (with 2x2 blocks if real).

    Only [t] unless `compute_schur_vectors`. LAPACK's sorting of eigenvalues is not available.
    """
    return schur_p.bind(x, compute_schur_vectors=compute_schur_vectors,
                        sort_eig_vals=sort_eig_vals, select_callable=select_callable)


def _schur_shape(x: ShapedArray, *, compute_schur_vectors: bool,
                 **_: Any) -> list[ShapedArray]:
    check_matrices("schur", (x,), (2,))
    check_square("schur", x)
    return [x.strip_weak_type()] * (1 + compute_schur_vectors)


schur_p = Primitive("schur", shape=_schur_shape, vmap=batched, multiple_results=True)


def hessenberg(a: ArrayLike) -> list[Array]:
    """(a, taus): a square matrix made upper Hessenberg by reflectors.

    What is below the first subdiagonal holds their vectors, taus [..., n - 1] their factors.
    """
    return hessenberg_p.bind(a)


def _hessenberg_shape(a: ShapedArray) -> list[ShapedArray]:
    check_matrices("hessenberg", (a,), (2,))
    if a.shape[-1] != a.shape[-2] or not a.shape[-1]:
        raise ValueError(errors.describe(
            f"Argument to Hessenberg reduction must have shape [..., n, n], got shape {a.shape}",
            fix="pass square matrices with at least one row"))
    a = a.strip_weak_type()
    return [a, a.update(shape=(*a.shape[:-2], a.shape[-1] - 1))]


hessenberg_p = Primitive("hessenberg", shape=_hessenberg_shape, vmap=batched,
                         multiple_results=True)

# --- Singular values ---------------------------------------------------------------------------


def svd(x: ArrayLike, *, full_matrices: bool = True, compute_uv: bool = True,
        subset_by_index: tuple[int, int] | None = None,
        algorithm: SvdAlgorithm | None = None) -> Array | tuple[Array, Array, Array]:
    """(u, s, vh) with x = u diag(s) vh, or only s: singular values s [..., k] in descending order.

    k is min(m, n) for x [..., m, n]; u is [..., m, m] and vh [..., n, n], or with k columns and
    rows unless `full_matrices`. NaN where the iteration fails.
    """
    out = svd_p.bind(x, full_matrices=full_matrices, compute_uv=compute_uv,
                     subset_by_index=subset_by_index, algorithm=algorithm)
    if not compute_uv:
        return out[0]
    s, u, vh = out
    return u, s, vh


def _svd_shape(x: ShapedArray, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any,
               algorithm: Any) -> list[ShapedArray]:
    check_matrices("svd", (x,), (2,))
    x = x.strip_weak_type()
    *outer, m, n = x.shape
    k = _count(subset_by_index, min(m, n))
    if full_matrices and k < min(m, n):
        raise ValueError(errors.describe("full_matrices and subset_by_index cannot both be set",
                                         fix="full_matrices=False"))
    s = x.update(shape=(*outer, k), dtype=dtypes.to_real(x.dtype))
    if not compute_uv:
        return [s]
    return [s, x.update(shape=(*outer, m, m if full_matrices else k)),
            x.update(shape=(*outer, n if full_matrices else k, n))]


def _svd_jvp(primals: Values, tangents: Values, *, full_matrices: bool, compute_uv: bool,
             subset_by_index: Any, algorithm: Any) -> tuple:
    """Townsend, "Differentiating the singular value decomposition" (2016)."""
    x, = primals
    dx, = tangents
    m, n = aval_of(x).shape[-2:]
    if _count(subset_by_index, min(m, n)) < min(m, n):
        raise NotImplementedError(errors.describe(
            "Singular value decomposition JVP not implemented for subset_by_index",
            fix="compute all singular values and take a slice of them"))
    if compute_uv and full_matrices and m != n:
        raise NotImplementedError(errors.describe(
            "Singular value decomposition JVP not implemented for full matrices",
            because="the vectors beyond the singular ones are not unique",
            fix="full_matrices=False"))
    s, u, vh = svd_p.bind(x, full_matrices=False, compute_uv=True,
                          subset_by_index=subset_by_index, algorithm=algorithm)
    v = adjoint(vh)
    turned = matmul(matmul(adjoint(u), dx), v)
    ds = diagonal(turned)
    ds = real(ds) if aval_of(ds).dtype.kind == "c" else ds
    if not compute_uv:
        return [s], [ds]
    du, dv = _singular_vector_tangents(u, s, v, dx, turned)
    return [s, u, vh], [ds, du, adjoint(dv)]


def _singular_vector_tangents(u: Any, s: Any, v: Any, dx: Any, turned: Any) -> tuple:
    m, n = aval_of(dx).shape[-2:]
    # 1 / (s[j]^2 - s[i]^2), the difference taken before squaring
    gaps = mul(sub(row(s, s), column(s, s)), add(row(s, s), column(s, s)))
    gaps = convert_element_type(_inverses(gaps), aval_of(turned).dtype)
    right, left = scale_columns(turned, s), scale_rows(s, turned)
    safe = choose(eq(s, scalar_like(s, 0)), 1, s, s)
    in_u = mul(gaps, add(right, adjoint(right)))
    if aval_of(turned).dtype.kind == "c":  # the free phase of each pair of vectors goes to u
        phases = div(imag(diagonal(turned)), safe)
        phases = complex(scalar_like(phases, 0), phases)
        in_u = add(in_u, scale_columns(eye_like(in_u), phases))
    du = matmul(u, in_u)
    dv = matmul(v, mul(gaps, add(left, adjoint(left))))
    inverse = div(ones_like(safe), safe)
    if m > n:
        image = matmul(dx, v)
        du = add(du, scale_columns(sub(image, matmul(u, matmul(adjoint(u), image))), inverse))
    if n > m:
        image = matmul(adjoint(dx), u)
        dv = add(dv, scale_columns(sub(image, matmul(v, matmul(adjoint(v), image))), inverse))
    return du, dv


svd_p = Primitive("svd", shape=_svd_shape, jvp=_svd_jvp, vmap=batched, multiple_results=True)
