"""Matrices that are made of a few numbers.

Invariant: arguments that are vectors may have leading batch axes, which come first in the result;
matrices that depend on their size only are computed in NumPy.

    toeplitz(c, r), companion(a), hilbert(3)
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused


def _vectors(name: str, *args: Any) -> list:
    """The operands with a common dtype, numbers as vectors of one element."""
    return [jnp.atleast_1d(promotion.strong(x)) for x in promotion.promoted(name, *args)]


def _join(x: Any, y: Any) -> Any:
    """Two vectors one after the other; batches broadcast."""
    outer = lax.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    return jnp.concatenate([jnp.broadcast_to(v, (*outer, v.shape[-1])) for v in (x, y)], axis=-1)


def _size(name: str, n: Any, least: int = 0) -> int:
    n = operator.index(n)
    if n < least:
        raise ValueError(errors.describe(f"n must be a positive integer; got {n}.",
                                         fix=f"{name}(3)"))
    return n


@fused
def block_diag(*arrs: ArrayLike) -> Array:
    """The matrix with the given matrices (vectors are rows) along its diagonal, else zeros."""
    arrs = arrs or (np.zeros((1, 0), np.float32),)
    arrs = promotion.promote(*[promotion.operand("block_diag", x, i) if np.ndim(x) or not
                               isinstance(x, (list, tuple)) else x for i, x in enumerate(arrs)])
    for i, x in enumerate(arrs):
        if np.ndim(x) > 2:
            raise ValueError(errors.describe(
                "Arguments to jax.scipy.linalg.block_diag must have at most 2 dimensions, got "
                f"{x} at argument {i}.", fix="use jax.vmap for batches"))
    blocks = [jnp.atleast_2d(promotion.as_array(x)) for x in arrs]
    width = sum(b.shape[1] for b in blocks)
    rows, left = [], 0
    for block in blocks:
        right = width - left - block.shape[1]
        zero = promotion.scalar(0, block.dtype)
        rows.append(lax.pad(block, zero, ((0, 0, 0), (left, right, 0))))
        left += block.shape[1]
    return jnp.concatenate(rows, axis=0)


@fused
def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with first column c and first row r (default: conj(c)) and equal diagonals."""
    if r is None:
        c, = _vectors("toeplitz", c)
        r = jnp.conj(c)
    else:
        c, r = _vectors("toeplitz", c, r)
    m, n = c.shape[-1], r.shape[-1]
    if not m or not n:
        outer = lax.broadcast_shapes(c.shape[:-1], r.shape[:-1])
        return jnp.zeros((*outer, m, n), c.dtype)
    values = _join(jnp.flip(c, -1), r[..., 1:])
    return values[..., m - 1 - np.arange(m)[:, None] + np.arange(n)]


@fused
def hankel(c: ArrayLike, r: ArrayLike | None = None) -> Array:
    """The matrix with first column c and last row r (default: zeros), equal antidiagonals."""
    for x in (c, r):
        if x is not None and not np.ndim(promotion.operand("hankel", x)):
            raise ValueError("hankel: c must be at least 1-dimensional, got a scalar.")
    if r is None:
        c, = _vectors("hankel", c)
        r = jnp.zeros_like(c)
    else:
        c, r = _vectors("hankel", c, r)
    values = _join(c, r[..., 1:])
    return values[..., np.arange(c.shape[-1])[:, None] + np.arange(r.shape[-1])]


@fused
def circulant(c: ArrayLike) -> Array:
    """The matrix with first column c whose columns are turned by one step each."""
    c, = _vectors("circulant", c)
    n = c.shape[-1]
    return c[..., (np.arange(n)[:, None] - np.arange(n)) % max(n, 1)]


@fused
def companion(a: ArrayLike) -> Array:
    """The companion matrix of the polynomial a, whose eigenvalues are its roots."""
    a, = promotion.promote_inexact(*_vectors("companion", a))
    n = a.shape[-1]
    if n < 2:
        raise ValueError(errors.describe(
            "The length of `a` along the last axis must be at least 2; got shape "
            f"{tuple(a.shape)}.", fix="companion(jnp.array([1.0, 2.0]))"))
    first = -a[..., 1:] / a[..., :1]
    rest = jnp.broadcast_to(jnp.eye(n - 2, n - 1, dtype=a.dtype), (*a.shape[:-1], n - 2, n - 1))
    return jnp.concatenate([first[..., None, :], rest], axis=-2)


@fused
def fiedler(a: ArrayLike) -> Array:
    """The matrix of |a[i] - a[j]|."""
    a, = _vectors("fiedler", a)
    return jnp.abs(a[..., :, None] - a[..., None, :])


@fused
def fiedler_companion(a: ArrayLike) -> Array:
    """The pentadiagonal companion matrix of the polynomial a."""
    a, = promotion.promote_inexact(*_vectors("fiedler_companion", a))
    n = a.shape[-1] - 1
    if n < 0:
        raise ValueError(errors.describe(
            "fiedler_companion: the last axis of `a` must have a nonzero length; got shape "
            f"{tuple(a.shape)}", fix="fiedler_companion(jnp.array([1.0, 2.0]))"))
    if n == 0:
        return jnp.zeros((*a.shape[:-1], 0, 0), a.dtype)
    a = a / a[..., :1]
    out = jnp.zeros((*a.shape[:-1], n, n), a.dtype)
    if n == 1:
        return out.at[..., 0, 0].set(-a[..., 1])
    out = out.at[..., 0, 0].set(-a[..., 1]).at[..., 0, 1].set(-a[..., 2]).at[..., 1, 0].set(1)
    even, odd = np.arange(0, n - 2, 2), np.arange(1, n - 2, 2)
    out = out.at[..., even, even + 2].set(1)
    out = out.at[..., np.arange(2, n, 2), np.arange(1, n - 1, 2)].set(-a[..., 3::2])
    out = out.at[..., np.arange(2, n - 1, 2), np.arange(3, n, 2)].set(-a[..., 4::2])
    return out.at[..., odd + 2, odd].set(1)


@fused
def leslie(f: ArrayLike, s: ArrayLike) -> Array:
    """The Leslie matrix of fecundities f [n] and survival rates s [n - 1]."""
    f, s = _vectors("leslie", f, s)
    n = f.shape[-1]
    if s.shape[-1] != n - 1:
        raise ValueError(errors.describe(
            "Incorrect lengths for f and s. The length of s along the last axis must be one less "
            f"than the length of f; got f shape {tuple(f.shape)} and s shape {tuple(s.shape)}.",
            fix="leslie(f, f[1:])"))
    outer = lax.broadcast_shapes(f.shape[:-1], s.shape[:-1])
    ones = jnp.eye(n - 1, n, dtype=s.dtype)
    below = s[..., :, None] * jnp.expand_dims(ones, tuple(range(s.ndim - 1)))
    first = jnp.broadcast_to(f, (*outer, n))[..., None, :]
    return jnp.concatenate([first, jnp.broadcast_to(below, (*outer, n - 1, n))], axis=-2)


@fused(static_argnames=("n", "mode"))
def convolution_matrix(a: ArrayLike, n: int, mode: str = "full") -> Array:
    """The matrix m with m @ v = convolve(a, v, mode) for vectors v [n]."""
    n = _size("convolution_matrix", n, 1)
    a, = _vectors("convolution_matrix", a)
    m = a.shape[-1]
    if mode not in ("full", "valid", "same"):
        raise ValueError(errors.describe(
            f"mode must be one of 'full', 'valid', 'same'; got {mode!r}.", fix="mode='full'"))
    if not m:
        raise ValueError(errors.describe(
            f"len(a) must be at least 1; got shape {tuple(a.shape)}.", fix="give some weights"))
    whole = toeplitz(jnp.pad(a, [(0, 0)] * (a.ndim - 1) + [(0, n - 1)]),
                     jnp.pad(a[..., :1], [(0, 0)] * (a.ndim - 1) + [(0, n - 1)]))
    short, long = min(m, n), max(m, n)
    begin, size = {"full": (0, m + n - 1), "valid": (short - 1, long - short + 1),
                   "same": ((short - 1) // 2, long)}[mode]
    return whole[..., begin:begin + size, :]


# --- Matrices of a size ------------------------------------------------------------------------


def dft(n: int, scale: str | None = None, *, dtype: Any = None) -> Array:
    """The matrix of the discrete Fourier transform; scale is None, "sqrtn" or "n"."""
    n = _size("dft", n)
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(errors.describe(f"scale must be None, 'sqrtn', or 'n'; got {scale!r}.",
                                         fix="scale='sqrtn'"))
    dtype = jnp.result_type(complex) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.complexfloating):
        raise ValueError(errors.describe(
            f"dtype must be a complex floating-point type; got {dtype.name}.", fix="dtype=complex"))
    turns = np.outer(np.arange(n), np.arange(n)) % max(n, 1)
    out = np.exp(-2j * np.pi * turns / max(n, 1))
    factor = {None: 1, "sqrtn": math.sqrt(max(n, 1)), "n": max(n, 1)}[scale]
    return jnp.asarray(out / factor, dtype)


def hadamard(n: int, dtype: Any = int) -> Array:
    """Sylvester's matrix of ones and minus ones; n is a power of 2."""
    n = operator.index(n)
    if n < 1 or n & (n - 1):
        raise ValueError(errors.describe(f"n must be a positive power of 2; got {n}.",
                                         fix="hadamard(4)"))
    both = np.arange(n)[:, None] & np.arange(n)
    odd = np.array([[bin(x).count("1") % 2 for x in row] for row in both])
    return jnp.asarray(1 - 2 * odd, dtype)


def helmert(n: int, full: bool = False) -> Array:
    """Helmert's orthogonal matrix, without its first (constant) row unless `full`."""
    n = _size("helmert", n, 1)
    i = np.arange(1, n)
    out = np.tril(np.ones((n - 1, n)), 0)
    out[i - 1, i] = -i
    out /= np.sqrt(i * (i + 1))[:, None]
    if full:
        out = np.concatenate([np.full((1, n), 1 / math.sqrt(n)), out])
    return jnp.asarray(out, float)


def hilbert(n: int) -> Array:
    """The matrix of 1 / (i + j + 1)."""
    i = np.arange(_size("hilbert", n))
    return jnp.asarray(1 / (i[:, None] + i + 1), float)


def invhilbert(n: int) -> Array:
    """The inverse of `hilbert(n)`, of integers."""
    n = _size("invhilbert", n)
    comb = math.comb
    return jnp.asarray(np.array(
        [[float((-1) ** (i + j) * (i + j + 1) * comb(n + i, n - j - 1) * comb(n + j, n - i - 1)
                * comb(i + j, i) ** 2) for j in range(n)] for i in range(n)]).reshape(n, n), float)


def _binomials(name: str, n: int, kind: str | None) -> np.ndarray:
    """Pascal's triangle as a lower triangular matrix; ValueError for an unknown kind."""
    if kind not in (None, "symmetric", "lower", "upper"):
        raise ValueError(errors.describe(
            f"Expected kind to be {'on' if name == 'pascal' else 'one'} of: "
            f"['symmetric', 'lower', 'upper']; got {kind}",
            fix="kind='lower'"))
    n = _size(name, n)
    return np.array([[float(math.comb(i, j)) for j in range(n)] for i in range(n)]).reshape(n, n)


def pascal(n: int, kind: str | None = None) -> Array:
    """The "symmetric" matrix of comb(i + j, i), or its "lower" or "upper" triangular factor."""
    lower = _binomials("pascal", n, kind)
    chosen = {"lower": lower, "upper": lower.T}.get(kind, lower @ lower.T)
    return jnp.asarray(chosen, float)


def invpascal(n: int, kind: str | None = None) -> Array:
    """The inverse of `pascal(n, kind)`."""
    lower = _binomials("invpascal", n, kind)
    signs = (-1.0) ** np.arange(lower.shape[0])
    inverse = lower * signs[:, None] * signs
    chosen = {"lower": inverse, "upper": inverse.T}.get(kind, inverse.T @ inverse)
    return jnp.asarray(chosen, float)
