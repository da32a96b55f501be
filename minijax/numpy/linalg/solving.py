"""Determinants, and solutions of linear systems, exact or in the sense of least squares.

    x = solve(a, b)
    x, residuals, rank, s = lstsq(a, b)

The one invariant: derivatives come from the defining equations, not from the steps of a
factorization, and hold where pivots vanish or singular values coincide.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.api.custom_jvp import custom_jvp
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axis
from minijax.core import structural
from minijax.lax import linalg
from minijax.lax.linalg.common import adjoint, diagonal, matmul, on_diagonal
from minijax.lax.linalg.factor import geqrf, solve as solve_matrices
from minijax.lax.linalg.solve import solve_factored
from minijax.lax.logic import choose
from minijax.lax.rules import ArrayLike, scalar_like

from minijax.numpy import manipulation, promotion, reductions, ufuncs
from minijax.numpy.linalg.factoring import eye_for, inv, matrices, square, svd
from minijax.runtime.call import fused

# --- Linear systems ----------------------------------------------------------------------------


@fused
def solve(a: ArrayLike, b: ArrayLike) -> Any:
    """The x with a x = b, for a [..., n, n] and b [n] or [..., n, k]; batches broadcast."""
    a, b = promotion.promoted_inexact("jnp.linalg.solve", a, b)
    if a.ndim < 2:
        raise ValueError(errors.describe(
            f"left hand array must be at least two dimensional; got a.shape={tuple(a.shape)}",
            fix="pass square matrices"))
    vector = b.ndim == 1
    if not b.ndim or a.shape[-1] != a.shape[-2] or b.shape[-1 if vector else -2] != a.shape[-1]:
        raise ValueError(errors.describe(
            f"solve: shapes {tuple(a.shape)} and {tuple(b.shape)} do not fit",
            because="a must be [..., n, n] and b [n] or [..., n, k]",
            fix="use b[..., None] for a batch of vectors"))
    out = _solve(a, lax.expand_dims(b, (1,)) if vector else b)
    return lax.squeeze(out, (out.ndim - 1,)) if vector else out


def _solve(a: Any, b: Any) -> Any:
    n, k = b.shape[-2:]
    if a.ndim == 2 and b.ndim > 2:  # one factorization: all right-hand sides are its columns
        outer = b.shape[:-2]
        wide = lax.reshape(manipulation.moveaxis(b, -2, 0), (n, math.prod(outer) * k))
        out = lax.reshape(solve_matrices(a, wide), (n, *outer, k))
        return manipulation.moveaxis(out, 0, -2)
    outer = lax.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return solve_matrices(promotion.broadcast(a, (*outer, n, n)),
                          promotion.broadcast(b, (*outer, n, k)))


def tensorsolve(a: ArrayLike, b: ArrayLike, axes: tuple[int, ...] | None = None) -> Any:
    """The x with tensordot(a, x, x.ndim) == b, after moving `axes` of a to its end."""
    a, b = [promotion.array_operand("jnp.linalg.tensorsolve", x, i) for i, x in enumerate((a, b))]
    if axes is not None:
        ends = tuple(range(a.ndim - len(axes), a.ndim))
        a = manipulation.moveaxis(a, tuple(canonicalize_axis(i, a.ndim) for i in axes), ends)
    if a.shape[:b.ndim] != b.shape:
        raise ValueError(errors.describe(
            "After moving axes to end, leading shape of a must match shape of b. got "
            f"a.shape={tuple(a.shape)}, b.shape={tuple(b.shape)}", fix="name other axes"))
    rest = a.shape[b.ndim:]
    if b.size != math.prod(rest):
        raise ValueError(errors.describe(
            "Input arrays must have prod(a.shape[:b.ndim]) == prod(a.shape[b.ndim:]); got "
            f"a.shape={tuple(a.shape)}, b.ndim={b.ndim}.", fix="the system must be square"))
    out = solve(lax.reshape(a, (b.size, b.size)), lax.reshape(b, (b.size,)))
    return lax.reshape(out, rest)


def tensorinv(a: ArrayLike, ind: int = 2) -> Any:
    """The x with tensordot(x, a, ind) the identity; `ind` axes of a are those of b in a y = b."""
    a = promotion.array_operand("jnp.linalg.tensorinv", a)
    if ind <= 0:
        raise ValueError(errors.describe(f"ind must be a positive integer; got {ind=}",
                                         fix="tensorinv(a, ind=2)"))
    leading, rest = a.shape[:ind], a.shape[ind:]
    n = math.prod(leading)
    if n != math.prod(rest):
        raise ValueError(errors.describe(
            "tensorinv is only possible when the product of the first `ind` dimensions equals that "
            f"of the remaining dimensions. got arr.shape={tuple(a.shape)} with {ind=}.",
            fix="choose another ind"))
    return lax.reshape(inv(lax.reshape(a, (n, n))), (*rest, *leading))


# --- Determinants ------------------------------------------------------------------------------


class SlogdetResult(NamedTuple):
    """The sign (or phase) of a determinant, and the logarithm of its modulus."""

    sign: Any
    logabsdet: Any


@fused(static_argnames="method")
def slogdet(a: ArrayLike, *, method: str | None = None) -> SlogdetResult:
    """Sign and logarithm of the modulus of determinants: det = sign * exp(logabsdet).

    0 and -inf where a is singular. method "lu" (the default) or "qr", for real matrices.
    """
    a = square("slogdet()", a)
    if method not in (None, "lu", "qr"):
        raise ValueError(errors.describe(
            f"Unknown slogdet method '{method}'. Supported methods are 'lu' (`None`), and 'qr'.",
            fix="leave method=None"))
    if method == "qr" and a.dtype.kind == "c":
        raise NotImplementedError(errors.describe(
            "slogdet method='qr' not implemented for complex inputs", fix='method="lu"'))
    return SlogdetResult(*(_slogdet_qr if method == "qr" else _slogdet_lu)(a))


def _from_pivots(pivots: Any, parity: Any) -> tuple:
    """Sign and logarithm for a triangle's diagonal; the sign changes with each odd `parity`."""
    size = lax.abs(pivots)
    singular = reductions._any.body(lax.eq(pivots, scalar_like(pivots, 0)), -1)
    signs = lax.mul(lax.sign(pivots), _sign(parity, pivots.dtype))
    sign = lax.reduce_prod(signs, (signs.ndim - 1,))
    log = structural.reduce_sum(lax.log(size), (size.ndim - 1,))
    return choose(singular, 0, sign, sign), choose(singular, -np.inf, log, log)


def _sign(odd: Any, dtype: Any) -> Any:
    """-1 where the mask holds, else 1."""
    one = np.ones((), dtype)[()]
    shape = odd.shape
    return lax.select(odd, promotion.broadcast(-one, shape), promotion.broadcast(one, shape))


def _exchanges(pivots: Any) -> Any:
    """The mask of steps of LU that exchanged two rows."""
    return lax.ne(pivots, lax.broadcasted_iota(pivots.dtype, pivots.shape, pivots.ndim - 1))


@custom_jvp
def _slogdet_lu(a: Any) -> tuple:
    factors, pivots, _ = linalg.lu(a)
    return _from_pivots(diagonal(factors), _exchanges(pivots))


@custom_jvp
def _slogdet_qr(a: Any) -> tuple:
    factors, taus = geqrf(a)
    return _from_pivots(diagonal(factors), lax.ne(taus, scalar_like(taus, 0)))


def _log_tangent(sign: Any, log: Any, growth: Any) -> tuple:
    """Tangents of sign and logarithm, det changing by det * growth."""
    if growth.dtype.kind != "c":
        return lax.full_like(sign, 0), growth
    turn = lax.complex(scalar_like(log, 0), lax.imag(growth))
    return lax.mul(sign, turn), lax.real(growth)


def _trace(x: Any) -> Any:
    values = diagonal(x)
    return structural.reduce_sum(values, (values.ndim - 1,))


@_slogdet_lu.defjvp
def _slogdet_lu_jvp(primals: tuple, tangents: tuple) -> tuple:
    (a,), (da,) = primals, tangents
    factors, pivots, permutation = linalg.lu(lax.stop_gradient(a))
    out = _slogdet_lu(a)
    return out, _log_tangent(*out, _trace(solve_factored(a, factors, permutation, da)))


@_slogdet_qr.defjvp
def _slogdet_qr_jvp(primals: tuple, tangents: tuple) -> tuple:
    (a,), (da,) = primals, tangents
    out = _slogdet_qr(a)
    return out, _log_tangent(*out, _trace(solve_matrices(a, da)))


@fused
def det(a: ArrayLike) -> Any:
    """The determinants of square matrices [..., n, n]."""
    a = square("det()", a)
    n = a.shape[-1]
    if n == 2:
        return a[..., 0, 0] * a[..., 1, 1] - a[..., 0, 1] * a[..., 1, 0]
    if n == 3:
        minors = [a[..., 1, i] * a[..., 2, j] - a[..., 1, j] * a[..., 2, i]
                  for i, j in ((1, 2), (0, 2), (0, 1))]
        return a[..., 0, 0] * minors[0] - a[..., 0, 1] * minors[1] + a[..., 0, 2] * minors[2]
    return _det(a)


def _product_of_pivots(factors: Any, pivots: Any) -> Any:
    values = lax.mul(diagonal(factors), _sign(_exchanges(pivots), factors.dtype))
    return lax.reduce_prod(values, (values.ndim - 1,))


@custom_jvp
def _det(a: Any) -> Any:
    factors, pivots, _ = linalg.lu(a)
    return _product_of_pivots(factors, pivots)


@_det.defjvp
def _det_jvp(primals: tuple, tangents: tuple) -> tuple:
    """The derivative is the trace of adj(a) da; adj(a) is det(a) a^-1 unless a is singular."""
    (a,), (da,) = primals, tangents
    out = _det(a)
    singular = lax.eq(out, scalar_like(out, 0))
    mask = structural.broadcast_in_dim(singular, a.shape, tuple(range(singular.ndim)))
    regular = lax.select(mask, eye_for(a), a)
    tangent = lax.mul(out, _trace(solve_matrices(regular, da)))
    any_singular = lax.reduce_or(singular, tuple(range(singular.ndim)))
    return out, lax.cond(
        any_singular,
        lambda: lax.select(singular, _trace(matmul(_adjugate(a, mask), da)), tangent),
        lambda: tangent)


def _adjugate(a: Any, mask: Any) -> Any:
    """The adjugates of the matrices under `mask`: det(u) det(vh) v diag(products of s) u^H."""
    n = a.shape[-1]
    # elsewhere a matrix whose singular values are distinct, for the sake of derivatives
    other = promotion.broadcast(np.diag(np.arange(1, n + 1)).astype(a.dtype), a.shape)
    u, s, vh = linalg.svd(lax.select(mask, a, other))
    s = lax.convert_element_type(s, a.dtype)
    rows = structural.broadcast_in_dim(s, a.shape, (*range(a.ndim - 2), a.ndim - 1))
    products = lax.reduce_prod(choose(on_diagonal(a), 1, rows, rows), (a.ndim - 1,))
    factor = lax.expand_dims(lax.mul(_det(u), _det(vh)), (a.ndim - 2,))
    products = lax.expand_dims(lax.mul(products, factor), (a.ndim - 2,))
    return matmul(lax.mul(adjoint(vh), products), adjoint(u))


# --- Least squares -----------------------------------------------------------------------------


def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None, *,
          numpy_resid: bool = False) -> tuple[Any, Any, Any, Any]:
    """(x, residuals, rank, s): the x of least norm that minimizes |a x - b|, for a [m, n].

    b is [m] or [m, k]; singular values below rcond * s[0] count as zero (default: eps times
    max(m, n)). With `numpy_resid`, residuals are empty where NumPy leaves them out.
    """
    x, residuals, rank, s = _lstsq(a, b, rcond)
    if numpy_resid and (rank < np.shape(a)[1] or np.shape(a)[0] <= np.shape(a)[1]):
        residuals = residuals[:0]
    return x, residuals, rank, s


@fused(static_argnums=2)
def _lstsq(a: Any, b: Any, rcond: Any) -> tuple:
    a, b = promotion.promoted_inexact("jnp.linalg.lstsq", a, b)
    vector = b.ndim == 1
    _check_lstsq(a, b)
    b = lax.expand_dims(b, (1,)) if vector else b
    m, n = a.shape
    eps = float(dtypes.finfo(a.dtype).eps)
    if rcond is None:
        rcond = eps * max(m, n)
    elif rcond < 0:
        rcond = eps
    if a.size == 0:
        s = lax.full((0,), 0, dtypes.to_real(a.dtype))
        x = lax.full((n, b.shape[1]), 0, a.dtype)
        rank = lax.full((), 0, dtypes.default_int())
    else:
        u, s, vh = svd.body(a, full_matrices=False)
        mask = lax.bitwise_and(lax.gt(s, scalar_like(s, 0)),
                               lax.ge(s, lax.mul(s[0], scalar_like(s, rcond))))
        rank = reductions._sum.body(mask)
        inverse = choose(mask, lax.div(lax.full_like(s, 1), choose(mask, s, 1, s)), 0, s)
        inverse = lax.expand_dims(lax.convert_element_type(inverse, a.dtype), (1,))
        x = matmul(adjoint(vh), lax.mul(inverse, matmul(adjoint(u), b)))
    error = lax.abs(lax.sub(b, matmul(a, x)))
    residuals = structural.reduce_sum(lax.mul(error, error), (0,))
    return (lax.squeeze(x, (1,)) if vector else x), residuals, rank, s


def _check_lstsq(a: Any, b: Any) -> None:
    if a.shape[:1] != b.shape[:1]:
        raise ValueError(errors.describe(
            "Leading dimensions of input arrays must match",
            because=f"the shapes are {tuple(a.shape)} and {tuple(b.shape)}",
            fix="a is [m, n], b is [m] or [m, k]"))
    for x, ranks, wanted in ((a, (2,), "two"), (b, (1, 2), "one or two")):
        if x.ndim not in ranks:
            raise TypeError(errors.describe(
                f"{x.ndim}-dimensional array given. Array must be {wanted}-dimensional",
                fix="use jax.vmap for batches"))


def matrix_rank(M: ArrayLike, rtol: ArrayLike | None = None, *, hermitian: bool = False,
                tol: ArrayLike | None = None) -> Any:
    """How many singular values exceed a threshold (default: s[0] * eps * max(m, n)).

    Both `rtol` and `tol` are that threshold itself, as in JAX.
    """
    if rtol is not None and tol is not None:
        raise ValueError(errors.describe(
            "matrix_rank: only one of tol or rtol may be specified.", fix="matrix_rank(a, rtol)"))
    return _matrix_rank(M, tol if rtol is None else rtol, bool(hermitian))


@fused(static_argnums=2)
def _matrix_rank(M: Any, threshold: Any, hermitian: bool) -> Any:
    M = matrices("matrix_rank", M)
    if M.ndim < 2:
        nonzero = reductions._any.body(lax.ne(M, scalar_like(M, 0)))
        return lax.convert_element_type(nonzero, np.int32)
    if hermitian:
        s = lax.abs(linalg.eigh(M)[1])
    else:
        s = linalg.svd(M, compute_uv=False)
    if threshold is None:
        eps = float(dtypes.finfo(M.dtype).eps)
        largest = reductions._max.body(s, -1, True)
        threshold = lax.mul(largest, scalar_like(s, max(M.shape[-2:]) * eps))
    return reductions._sum.body(ufuncs.greater.body(s, threshold), -1)


def pinv(a: ArrayLike, rtol: ArrayLike | None = None, hermitian: bool = False, *,
         rcond: ArrayLike | None = None) -> Any:
    """The Moore-Penrose inverse [..., n, m] of a [..., m, n].

    Singular values of at most rtol * s[0] count as zero (default: 10 max(m, n) eps); `rcond` is
    another name for `rtol`.
    """
    if rtol is not None and rcond is not None:
        raise ValueError(errors.describe("pinv: only one of rtol and rcond may be specified.",
                                         fix="pinv(a, rtol)"))
    return _pinv(a, rcond if rtol is None else rtol, bool(hermitian))


@fused(static_argnums=2)
def _pinv(a: Any, rtol: Any, hermitian: bool) -> Any:
    a = matrices("pinv", a)
    if a.ndim < 2:
        raise ValueError(errors.describe(f"pinv: the operand of shape {tuple(a.shape)} is no "
                                         "matrix", fix="pass a [..., m, n]"))
    if 0 in a.shape:
        return lax.full((*a.shape[:-2], a.shape[-1], a.shape[-2]), 0, a.dtype)
    if rtol is None:
        rtol = 10 * max(a.shape[-2:]) * float(dtypes.finfo(a.dtype).eps)

    rtol = promotion.convert(rtol, np.dtype(dtypes.to_real(a.dtype)))
    return _pseudo_inverse(a, promotion.as_array(rtol), hermitian)


@functools.partial(custom_jvp, nondiff_argnums=(2,))
def _pseudo_inverse(a: Any, rtol: Any, hermitian: bool) -> Any:
    u, s, vh = svd.body(a, full_matrices=False, hermitian=hermitian)
    cutoff = ufuncs.multiply.body(lax.expand_dims(rtol, (rtol.ndim,)), s[..., :1])
    large = lax.gt(s, promotion.broadcast(cutoff, s.shape))
    s = lax.convert_element_type(choose(large, s, np.inf, s), a.dtype)
    return matmul(adjoint(vh), lax.div(adjoint(u), lax.expand_dims(s, (s.ndim,))))


@_pseudo_inverse.defjvp
def _pseudo_inverse_jvp(hermitian: bool, primals: tuple, tangents: tuple) -> tuple:
    a, rtol = primals
    p = _pseudo_inverse(a, rtol, hermitian)
    return p, _pinv_tangent(a, p, tangents[0])


def _pinv_tangent(a: Any, p: Any, da: Any) -> Any:
    """Golub and Pereyra (1973), for matrices whose rank does not change."""
    ph, dah = adjoint(p), adjoint(da)
    first = matmul(matmul(p, da), p)
    rows = matmul(matmul(p, ph), dah)
    columns = matmul(dah, matmul(ph, p))
    second = lax.sub(rows, matmul(matmul(rows, a), p))
    third = lax.sub(columns, matmul(p, matmul(a, columns)))
    return lax.add(lax.sub(second, first), third)
