"""Polynomials as vectors of coefficients, the highest power first.

    polyval(jnp.array([1.0, 2.0, 3.0]), x)      # x**2 + 2 * x + 3
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.core import structural
from minijax.lax.control_flow.scan import scan
from minijax.lax.rules import ArrayLike
from minijax.numpy import (
    choosing, diagonals, editing, host, linalg, misc, products, promotion, reductions, ufuncs)
from minijax.runtime.call import fused


def _vector(x: Any) -> Any:
    return x if x.ndim else structural.reshape(x, (1,))


@fused(static_argnames="unroll")
def polyval(p: ArrayLike, x: ArrayLike, *, unroll: int = 16) -> Any:
    """The polynomial with coefficients `p` at x, by Horner's rule."""
    p, x = promotion.promoted("polyval", p, x)
    shape = lax.broadcast_shapes(p.shape[1:], x.shape)
    start = structural.broadcast_in_dim(np.zeros((), p.dtype)[()], shape, ())

    def step(value: Any, coefficient: Any) -> tuple[Any, None]:
        return ufuncs.add(ufuncs.multiply(value, x), coefficient), None

    return scan(step, start, p, unroll=unroll)[0]


def _padded(x: Any, size: int) -> Any:
    return lax.pad(x, lax.full_like(x, 0, shape=()), [(size - x.shape[0], 0, 0)])


def _combined(name: str, op: Any, a: Any, b: Any) -> Any:
    a, b = map(_vector, promotion.promoted(name, a, b))
    size = max(a.shape[0], b.shape[0])
    return op(_padded(a, size), _padded(b, size))


@fused
def polyadd(a1: ArrayLike, a2: ArrayLike) -> Any:
    """The sum of two polynomials."""
    return _combined("polyadd", ufuncs.add, a1, a2)


@fused
def polysub(a1: ArrayLike, a2: ArrayLike) -> Any:
    """The difference of two polynomials."""
    return _combined("polysub", ufuncs.subtract, a1, a2)


def polymul(a1: ArrayLike, a2: ArrayLike, *, trim_leading_zeros: bool = False) -> Any:
    """The product of two polynomials; trimming needs known values."""
    given = [promotion.array_operand("polymul", x, i) for i, x in enumerate((a1, a2))]
    a, b = map(_vector, promotion.promoted_inexact("polymul", *given))
    if trim_leading_zeros and (a.shape[0] > 1 or b.shape[0] > 1):
        a, b = editing.trim_zeros(a, "f"), editing.trim_zeros(b, "f")
    if not a.shape[0]:
        a = host.array(np.zeros(1, a.dtype), a)
    if not b.shape[0]:
        b = host.array(np.zeros(1, b.dtype), b)
    return misc.convolve(a, b, mode="full")


def polydiv(u: ArrayLike, v: ArrayLike, *, trim_leading_zeros: bool = False) -> tuple[Any, Any]:
    """Quotient and remainder; trimming the remainder needs known values."""
    quotient, rest = _polydiv(u, v)
    if trim_leading_zeros:
        rest = editing.trim_zeros(rest, "f")
    return quotient, rest


@fused
def _polydiv(u: Any, v: Any) -> tuple[Any, Any]:
    u, v = map(_vector, promotion.promoted_inexact("polydiv", u, v))
    m, n = u.shape[0] - 1, v.shape[0] - 1
    quotient = []
    for k in range(max(0, m - n + 1)):
        factor = u[k] / v[0]
        quotient.append(lax.expand_dims(factor, (0,)))
        u = u.at[k:k + n + 1].add(-factor * v)
    if not quotient:
        return structural.broadcast_in_dim(np.zeros((), u.dtype)[()], (1,), ()), u
    return lax.concatenate(quotient, 0), u


def polyder(p: ArrayLike, m: int = 1) -> Any:
    """The m-th derivative."""
    m = operator.index(m)
    if m < 0:
        raise ValueError(errors.describe("Order of derivative must be positive",
                                         because=f"m={m}", fix="m=1"))
    return _polyder(p, m)


@fused(static_argnums=1)
def _polyder(p: Any, m: int) -> Any:
    p, = promotion.promoted_inexact("polyder", p)
    if m == 0:
        return p
    degree = p.shape[0] - 1
    if m > degree:
        return lax.slice_in_dim(p, 0, 0)
    powers = np.arange(degree, m - 1, -1, dtype=np.float64)
    factors = np.prod([powers - k for k in range(m)], axis=0)
    return ufuncs.multiply(lax.slice_in_dim(p, 0, degree - m + 1),
                           factors.astype(p.dtype))


def polyint(p: ArrayLike, m: int = 1, k: Any = None) -> Any:
    """The m-th integral, with integration constants `k` (default 0), the first one first."""
    m = operator.index(m)
    if m < 0:
        raise ValueError(errors.describe("Order of integral must be positive (see polyder)",
                                         because=f"m={m}", fix="m=1"))
    return _polyint(p, 0 if k is None else k, m)


@fused(static_argnums=2)
def _polyint(p: Any, k: Any, m: int) -> Any:
    p, k = promotion.promoted_inexact("polyint", p, k)
    k = _vector(k)
    if k.shape[0] == 1:
        k = promotion.broadcast(k, (m,))
    if k.shape != (m,):
        raise ValueError(errors.describe("k must be a scalar or a rank-1 array of length 1 or m.",
                                         because=f"m={m} and k has shape {tuple(k.shape)}",
                                         fix="one constant per integration"))
    if m == 0:
        return p
    size = p.shape[0] + m
    top = np.arange(size - 1, -1, -1, dtype=np.float64)
    factors = np.prod([np.maximum(top - j, 1) for j in range(m)], axis=0).astype(p.dtype)
    both = lax.concatenate((p, k), 0)
    return ufuncs.true_divide(both, factors)


# --- Coefficients from zeros or samples, zeros from coefficients -------------------------------


@fused
def poly(seq_of_zeros: ArrayLike) -> Any:
    """The coefficients of the polynomial with the given zeros and leading coefficient 1.

    Of a square matrix, its characteristic polynomial.
    """
    zeros, = map(_vector, promotion.promoted_inexact("poly", seq_of_zeros))
    if zeros.ndim == 2 and zeros.shape[0] == zeros.shape[1] and zeros.size:
        zeros = linalg.eigvals.body(zeros)
    if zeros.ndim != 1:
        raise promotion.shape_error("input must be 1d or non-empty square 2d array.", zeros,
                                    "a vector of zeros")
    one = promotion.scalar(1, zeros.dtype)
    if not zeros.size:
        return promotion.as_array(one)
    out = structural.broadcast_in_dim(one, (1,), ())
    for i in range(zeros.shape[0]):
        shifted = lax.pad(out, np.zeros((), out.dtype)[()], [(0, 1, 0)])
        delayed = lax.pad(out, np.zeros((), out.dtype)[()], [(1, 0, 0)])
        out = shifted - delayed * zeros[i]
    return out


def roots(p: ArrayLike, *, strip_zeros: bool = True) -> Any:
    """The zeros of a polynomial: the eigenvalues of its companion matrix.

    Leading zeros of `p` must be known, for they lower the number of roots; with
    `strip_zeros=False` they may be traced, and the roots that are missing are nan.
    """
    p, = map(_vector, promotion.promoted_inexact("roots", p))
    if p.ndim != 1:
        raise promotion.shape_error("Input must be a rank-1 array.", p, "p.ravel()")
    dtype = dtypes.to_complex(p.dtype)
    if p.shape[0] < 2:
        return host.array(np.zeros(0, dtype), p)
    if not strip_zeros:
        return _roots_or_nan(p)
    where = np.flatnonzero(host.concrete(
        p, "jnp.roots must know which coefficients are zero; strip_zeros=False lifts that."))
    if not where.size:
        return host.array(np.zeros(0, dtype), p)
    at_zero = p.shape[0] - 1 - int(where[-1])
    found = _companion_roots(lax.slice_in_dim(p, int(where[0]), int(where[-1]) + 1))
    return lax.concatenate((found, np.zeros(at_zero, dtype)), 0) if at_zero else found


@fused
def _companion_roots(p: Any) -> Any:
    size = p.shape[0] - 1
    if not size:
        return promotion.as_array(np.zeros(0, dtypes.to_complex(p.dtype)))
    first = lax.expand_dims(-lax.slice_in_dim(p, 1, None) / p[0], (0,))
    matrix = lax.concatenate((first, diagonals.eye(size - 1, size, dtype=p.dtype)), 0)
    return linalg.eigvals.body(matrix)


@fused
def _roots_or_nan(p: Any) -> Any:
    """Leading zeros go to the end, where each adds a root 0; as many of those become nan."""
    size = p.shape[0]
    is_zero = ufuncs.equal(p, 0)
    leading = reductions.sum(reductions.cumprod(promotion.convert(is_zero, np.dtype(np.int32))))
    p = choosing.where(leading == size, promotion.scalar(1, p.dtype), p)
    p = lax.dynamic_slice(lax.concatenate((p, p), 0), (leading,), (size,))
    found = _companion_roots.body(p)
    _, found = lax.sort((ufuncs.equal(found, 0), found), num_keys=1)
    return choosing.where(np.arange(size - 1) < size - 1 - leading, found, complex(np.nan, np.nan))


def polyfit(x: ArrayLike, y: ArrayLike, deg: int, rcond: float | None = None, full: bool = False,
            w: ArrayLike | None = None, cov: bool | str = False) -> Any:
    """The polynomial of degree `deg` that fits y[i] (a number or a row) at x[i] best.

    `w` weighs the differences before they are squared.  With `full` also (residuals, rank,
    singular values, rcond); with `cov` the covariance of the coefficients, "unscaled" or scaled.
    """
    x, y = promotion.arguments("polyfit", x, y)
    deg = int(deg) if deg == int(deg) else operator.index(deg)
    _check_samples(np.shape(x), np.shape(y), deg)
    if w is not None:
        w = promotion.operand("polyfit", w)
        _check_weights(np.shape(w), np.shape(y))
    if cov and not full and cov != "unscaled" and np.shape(x)[0] <= deg + 1:
        raise ValueError(errors.describe(
            "the number of data points must exceed order to scale the covariance matrix",
            because=f"there are {np.shape(x)[0]} points for {deg + 1} coefficients",
            fix='cov="unscaled"'))
    what = "full" if full else "unscaled" if cov == "unscaled" else "scaled" if cov else "fit"
    return _polyfit(x, y, w, deg, rcond, what)


def _check_samples(x: tuple, y: tuple, deg: int) -> None:
    if deg < 0:
        raise ValueError(errors.describe("expected deg >= 0", because=f"deg={deg}", fix="deg=1"))
    problems = {"expected 1D vector for x": len(x) != 1,
                "expected non-empty vector for x": x[:1] == (0,),
                "expected 1D or 2D array for y": len(y) not in (1, 2),
                "expected x and y to have same length": x[:1] != y[:1]}
    fail = next(filter(problems.get, problems), None)
    if fail:
        raise TypeError(errors.describe(fail, because=f"jnp.polyfit got x of shape {x} and y of "
                                        f"shape {y}", fix="one row of y for each number in x"))


def _check_weights(w: tuple, y: tuple) -> None:
    if len(w) == 1 and w[0] == y[0]:
        return
    fail = "expected a 1-d array for weights" if len(w) != 1 else (
        "expected w and y to have the same length")
    raise TypeError(errors.describe(fail, because=f"jnp.polyfit got w of shape {w} and y of "
                                    f"shape {y}", fix="one weight for each row of y"))


@fused(static_argnums=(3, 4, 5))
def _polyfit(x: Any, y: Any, w: Any, deg: int, rcond: float | None, what: str) -> Any:
    x, y = promotion.promote_inexact(promotion.as_array(x), promotion.as_array(y))
    rcond = x.shape[0] * float(dtypes.finfo(x.dtype).eps) if rcond is None else rcond
    powers = misc.vander(x, deg + 1)
    if w is not None:
        w, powers, y = promotion.promote_inexact(promotion.as_array(w), powers, y)
        powers = powers * lax.expand_dims(w, (1,))
        y = y * (lax.expand_dims(w, (1,)) if y.ndim == 2 else w)
    # Columns of norm 1 make the smallest singular value comparable with the largest.
    scale = ufuncs.sqrt(reductions.sum(powers * powers, axis=0))
    fitted, residuals, rank, s = linalg.lstsq(powers / scale[None], y, rcond)
    fitted = fitted / (lax.expand_dims(scale, (1,)) if y.ndim == 2 else scale)
    if what == "fit":
        return fitted
    if what == "full":
        return fitted, residuals, rank, s, rcond
    both = scale[:, None] * scale[None]
    covariance = linalg.inv.body(products.matmul(powers.T, powers) / both) / both
    covariance = covariance if y.ndim == 1 else covariance[:, :, None]
    if what == "scaled":
        spread = residuals / (x.shape[0] - deg - 1)
        covariance = covariance * (spread[0] if y.ndim == 1 else spread[None, None])
    return fitted, covariance
