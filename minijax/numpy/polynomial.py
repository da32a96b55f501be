"""Polynomials as vectors of coefficients, the highest power first.

    polyval(jnp.array([1.0, 2.0, 3.0]), x)      # x**2 + 2 * x + 3
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.core import structural
from minijax.lax.control_flow.scan import scan
from minijax.lax.rules import ArrayLike
from minijax.numpy import editing, host, misc, promotion, ufuncs
from minijax.runtime.call import fused


def _vector(name: str, x: Any, position: int = 0) -> Any:
    x = promotion.as_array(promotion.operand(name, x, position))
    return x if x.ndim else structural.reshape(x, (1,))


@fused(static_argnames="unroll")
def polyval(p: ArrayLike, x: ArrayLike, *, unroll: int = 16) -> Any:
    """The polynomial with coefficients `p` at x, by Horner's rule."""
    p, x = promotion.promote(promotion.operand("polyval", p), promotion.operand("polyval", x, 1))
    p, x = promotion.as_array(p), promotion.as_array(x)
    shape = lax.broadcast_shapes(p.shape[1:], x.shape)
    start = structural.broadcast_in_dim(np.zeros((), p.dtype)[()], shape, ())

    def step(value: Any, coefficient: Any) -> tuple[Any, None]:
        return ufuncs.add(ufuncs.multiply(value, x), coefficient), None

    return scan(step, start, p, unroll=unroll)[0]


def _padded(x: Any, size: int) -> Any:
    return lax.pad(x, np.zeros((), x.dtype)[()], [(size - x.shape[0], 0, 0)])


def _combined(name: str, op: Any, a: Any, b: Any) -> Any:
    a, b = promotion.promote(promotion.operand(name, a), promotion.operand(name, b, 1))
    a, b = _vector(name, a), _vector(name, b)
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
    promotion.check_array_like("polymul", a1, a2)
    a, b = promotion.promote_inexact(a1, a2)
    a, b = _vector("polymul", a), _vector("polymul", b)
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
    u, v = promotion.promote_inexact(promotion.operand("polydiv", u),
                                     promotion.operand("polydiv", v, 1))
    u, v = _vector("polydiv", u), _vector("polydiv", v)
    m, n = u.shape[0] - 1, v.shape[0] - 1
    quotient = []
    for k in range(max(0, m - n + 1)):
        factor = u[k] / v[0]
        quotient.append(lax.expand_dims(factor, (0,)))
        u = u.at[k:k + n + 1].add(-factor * v)
    if not quotient:
        return structural.broadcast_in_dim(np.zeros((), u.dtype)[()], (0,), ()), u
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
    p, = promotion.promote_inexact(promotion.operand("polyder", p))
    p = promotion.as_array(p)
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
    p, k = promotion.promote_inexact(promotion.operand("polyint", p),
                                     promotion.operand("polyint", k, 1))
    p, k = promotion.as_array(p), _vector("polyint", k)
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


@fused
def poly(seq_of_zeros: ArrayLike) -> Any:
    """The coefficients of the polynomial with the given zeros and leading coefficient 1."""
    zeros, = promotion.promote_inexact(promotion.operand("poly", seq_of_zeros))
    zeros = _vector("poly", zeros)
    if zeros.ndim != 1:
        raise ValueError(errors.describe("input must be 1d or non-empty square 2d array.",
                                         because=f"its shape is {tuple(zeros.shape)}",
                                         fix="a vector of zeros"))
    out = structural.broadcast_in_dim(np.ones((), zeros.dtype)[()], (1,), ())
    for i in range(zeros.shape[0]):
        shifted = lax.pad(out, np.zeros((), out.dtype)[()], [(0, 1, 0)])
        delayed = lax.pad(out, np.zeros((), out.dtype)[()], [(1, 0, 0)])
        out = shifted - delayed * zeros[i]
    return out
