"""Samplers of floats that have parameters, made from the standard ones."""

from __future__ import annotations

import operator
from typing import Any

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import aval_of
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.random.common import (
    Shape, aligned, body, canonical_shape, check_width, draw, float_dtype, placed, result_shape,
    split_keys, spread)
from minijax.random.keys import as_key
from minijax.random.samplers import (
    exponential_body, maxwell_body, normal_body, rademacher_body, unit)


def lognormal(key: Array, sigma: ArrayLike = 1.0, shape: Shape | None = None,
              dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """exp(sigma * normal)."""
    key, _ = as_key("lognormal", key)
    dtype = float_dtype("lognormal", dtype, complex_too=True)
    check_width("lognormal", dtype, sigma)
    shape = result_shape("lognormal", shape, aval_of(sigma).shape)
    return placed(_lognormal(key, sigma, shape=shape, dtype=dtype), out_sharding)


@body()
def _lognormal(key: Any, sigma: Any, shape: tuple, dtype: Any) -> Any:
    return lax.exp(lax.mul(normal_body(key, shape, dtype), aligned(sigma, dtype, shape)))


def pareto(key: Array, b: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
           out_sharding: Any = None) -> Array:
    """Pareto floats: density b / x**(b + 1) above 1."""
    return draw("pareto", _pareto, key, (b,), shape, dtype, out_sharding)


@body()
def _pareto(key: Any, b: Any, shape: tuple, dtype: Any) -> Any:
    return lax.exp(lax.div(exponential_body(key, shape, dtype), aligned(b, dtype, shape)))


def rayleigh(key: Array, scale: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
             out_sharding: Any = None) -> Array:
    """Rayleigh floats: density x * exp(-x**2 / 2), up to a constant, times `scale`."""
    return draw("rayleigh", _rayleigh, key, (scale,), shape, dtype, out_sharding)


@body()
def _rayleigh(key: Any, scale: Any, shape: tuple, dtype: Any) -> Any:
    radius = lax.sqrt(lax.log(unit(key, shape, dtype)) * -2)
    return lax.mul(spread(scale, dtype, shape), radius)


def weibull_min(key: Array, scale: ArrayLike, concentration: ArrayLike, shape: Shape = (),
                dtype: Any = None) -> Array:
    """Weibull floats: scale * exponential ** (1 / concentration)."""
    key, _ = as_key("weibull_min", key)
    dtype = float_dtype("weibull_min", dtype)
    return _weibull_min(key, scale, concentration, shape=canonical_shape("weibull_min", shape),
                        dtype=dtype)


@body()
def _weibull_min(key: Any, scale: Any, concentration: Any, shape: tuple, dtype: Any) -> Any:
    power = aligned(1.0 / concentration, dtype, shape)
    return jnp.power(exponential_body(key, shape, dtype), power) * aligned(scale, dtype, shape)


def double_sided_maxwell(key: Array, loc: ArrayLike, scale: ArrayLike, shape: Shape = (),
                         dtype: Any = None) -> Array:
    """loc + scale * (Maxwell floats with a random sign).

    The shape of the result is `shape` followed by that of the parameters.
    """
    key, _ = as_key("double_sided_maxwell", key)
    dtype = float_dtype("double_sided_maxwell", dtype)
    inner = lax.broadcast_shapes(aval_of(loc).shape, aval_of(scale).shape)
    shape = canonical_shape("double_sided_maxwell", shape) or inner
    return _double_sided_maxwell(key, loc, scale, shape=shape + inner, dtype=dtype)


@body()
def _double_sided_maxwell(key: Any, loc: Any, scale: Any, shape: tuple, dtype: Any) -> Any:
    key, sign_key = split_keys(key)
    radius = maxwell_body(key, shape, dtype)
    signed = lax.mul(rademacher_body(sign_key, shape, dtype), radius)
    return lax.add(lax.mul(signed, aligned(scale, dtype, shape)), aligned(loc, dtype, shape))


def triangular(key: Array, left: ArrayLike, mode: ArrayLike, right: ArrayLike,
               shape: Shape | None = None, dtype: Any = None, *,
               out_sharding: Any = None) -> Array:
    """Floats whose density rises linearly from `left` to `mode` and falls until `right`."""
    return draw("triangular", _triangular, key, (left, mode, right), shape, dtype, out_sharding)


@body()
def _triangular(key: Any, left: Any, mode: Any, right: Any, shape: tuple, dtype: Any) -> Any:
    left, mode, right = (spread(x, dtype, shape) for x in (left, mode, right))
    width = right - left
    u = unit(key, shape, dtype)
    rising = left + lax.sqrt(u * width * (mode - left))
    falling = right - lax.sqrt((1 - u) * width * (right - mode))
    return lax.select(u < (mode - left) / width, rising, falling)


def wald(key: Array, mean: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
         out_sharding: Any = None) -> Array:
    """Wald (inverse Gaussian) floats of scale 1.

    Source: Michael, Schucany, Haas, "Generating random variates using transformations with
    multiple roots" (1976).
    """
    return draw("wald", _wald, key, (mean,), shape, dtype, out_sharding)


@body()
def _wald(key: Any, mean: Any, shape: tuple, dtype: Any) -> Any:
    normal_key, uniform_key = split_keys(key)
    mean = spread(mean, dtype, shape)
    v = normal_body(normal_key, shape, dtype)
    u = unit(uniform_key, shape, dtype)
    y = v ** 2
    squared = mean ** 2
    root = lax.sqrt(4 * mean * y + squared * y ** 2)
    x = mean + squared * y / 2 - mean / 2 * root
    return lax.select(u <= mean / (mean + x), x, squared / x)


# --- Vectors and matrices ----------------------------------------------------------------------


def multivariate_normal(key: Array, mean: ArrayLike, cov: ArrayLike, shape: Shape | None = None,
                        dtype: Any = None, method: str = "cholesky", *,
                        out_sharding: Any = None) -> Array:
    """Normal vectors with the given mean [..., n] and covariance [..., n, n].

    shape: that of the result without its last axis. dtype: that of the normal floats, while the
    result has that of mean and covariance if this is wider. method: how the covariance is factored:
    "cholesky" (fastest), "eigh" or "svd" (which takes singular ones).
    """
    key, _ = as_key("multivariate_normal", key)
    if method not in _FACTORS:
        raise ValueError(errors.describe(
            "method must be one of {'svd', 'eigh', 'cholesky'}", fix="method='eigh'"))
    dtype = float_dtype("multivariate_normal", dtype)
    mean, cov = jnp.asarray(mean), jnp.asarray(cov)
    for what, x, rank in (("mean", mean, 1), ("cov", cov, 2)):
        if x.ndim < rank:
            raise ValueError(errors.describe(
                f"multivariate_normal requires {what}.ndim >= {rank}, got {what}.ndim == {x.ndim}",
                fix="the mean is a vector, the covariance a matrix"))
    n = mean.shape[-1]
    if cov.shape[-2:] != (n, n):
        raise ValueError(errors.describe(
            f"multivariate_normal requires cov.shape == (..., n, n) for n={n}, but got "
            f"cov.shape == {cov.shape}.", fix="cov[i, j] is the covariance of elements i and j"))
    shape = result_shape("normal", shape, mean.shape[:-1], cov.shape[:-2])
    return placed(_multivariate_normal(key, mean, cov, shape=shape, dtype=dtype, method=method),
                  out_sharding)


def _scaled_columns(vectors: Any, values: Any) -> Any:
    return vectors * lax.sqrt(lax.expand_dims(values, (values.ndim - 1,)))


def _by_eigh(cov: Any) -> Any:
    values, vectors = jnp.linalg.eigh(cov)
    return _scaled_columns(vectors, values)


def _by_svd(cov: Any) -> Any:
    vectors, values, _ = jnp.linalg.svd(cov)
    return _scaled_columns(vectors, values)


_FACTORS = {"cholesky": lambda cov: jnp.linalg.cholesky(cov), "eigh": _by_eigh, "svd": _by_svd}


@body("shape", "dtype", "method")
def _multivariate_normal(key: Any, mean: Any, cov: Any, shape: tuple, dtype: Any,
                         method: str) -> Any:
    mean, cov = promotion.promote_inexact(mean, cov)
    factor = _FACTORS[method](cov)
    x = normal_body(key, (*shape, mean.shape[-1]), dtype)
    offset = jnp.einsum("...ij,...j->...i", factor, x)
    return promotion.to_rank(mean, offset.ndim) + offset


def orthogonal(key: Array, n: int, shape: Shape = (), dtype: Any = None, m: int | None = None, *,
               out_sharding: Any = None) -> Array:
    """Uniform among orthogonal (or unitary) n x n matrices, or n x m ones with orthonormal
    rows or columns, whichever are fewer.
    """
    key, _ = as_key("orthogonal", key)
    shape = canonical_shape("orthogonal", shape)
    n = operator.index(n)
    m = n if m is None else operator.index(m)
    if n < 0 or m < 0:
        raise ValueError(errors.describe(
            f"negative dimensions are not allowed, got {n} and {m}", fix="sizes start at 0"))
    out = _orthogonal(key, shape=(*shape, n, m),
                      dtype=float_dtype("normal", dtype, complex_too=True))
    return placed(out, out_sharding)


@body()
def _orthogonal(key: Any, shape: tuple, dtype: Any) -> Any:
    *lead, n, m = shape
    q, r = jnp.linalg.qr(normal_body(key, (*lead, max(n, m), min(n, m)), dtype))
    # The factors with a positive diagonal are the ones that are uniformly distributed.
    signs = lax.sign(jnp.diagonal(r, axis1=-2, axis2=-1))
    q = q * lax.expand_dims(signs, (signs.ndim - 1,))
    return jnp.matrix_transpose(q) if n < m else q
