"""Gamma floats, and what is made of them: beta, chi-square, Dirichlet, F, Student's t, balls.

Source: Marsaglia and Tsang, "A simple method for generating gamma variables" (2000). The cube of
an affine function of a normal float is accepted often; parameters below 1 go by way of
Gamma(a) ~ Gamma(a + 1) * u ** (1 / a), if asked in logarithms, for u ** (1 / a) is soon 0.
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minijax import core, lax
from minijax import numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, aval_of, each_operand
from minijax.lax.casts import vary_as
from minijax.lax.rules import ArrayLike
from minijax.passes.physicalize import by_decomposition
from minijax.random.common import (
    Shape, aligned, body, canonical_shape, draw, float_dtype, placed, result_shape, split_keys,
    spread)
from minijax.random.keys import as_key, random_split_p
from minijax.random.samplers import exponential_body, normal_body, rademacher_body, unit


def gamma(key: Array, a: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
          out_sharding: Any = None) -> Array:
    """Gamma floats of shape parameter `a` and scale 1; differentiable with respect to `a`."""
    return draw("gamma", _gamma, key, (a,), shape, dtype, out_sharding)


def loggamma(key: Array, a: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
             out_sharding: Any = None) -> Array:
    """log(gamma(key, a)), accurate where small `a` make the gamma float underflow."""
    return draw("gamma", _loggamma, key, (a,), shape, dtype, out_sharding)


@body()
def _gamma(key: Any, a: Any, shape: tuple, dtype: Any) -> Any:
    return random_gamma_p.bind(key, spread(a, dtype, shape), log_space=False)


@body()
def _loggamma(key: Any, a: Any, shape: tuple, dtype: Any) -> Any:
    return _log(key, a, shape, dtype)


def _log(key: Any, a: Any, shape: tuple, dtype: Any) -> Any:
    return random_gamma_p.bind(key, spread(a, dtype, shape), log_space=True)


# --- The primitive -----------------------------------------------------------------------------


def _samples(key: Any, a: Any, *, log_space: bool) -> Any:
    """One sample per element of `a`; the leading axes of `a` are those of `key`."""
    keys = aval_of(key)
    count = math.prod(a.shape[keys.ndim:])
    keys = lax.reshape(random_split_p.bind(key, shape=(count,)), (a.size,))
    flat = lax.reshape(a, (a.size,))

    def one(pair: tuple) -> Any:
        return _sample(*pair, log_space)

    def all_at_once(keys: Any, flat: Any) -> Any:
        outs, dims = core.batch(lambda k, x: [one((k, x))], core.AxisData(None, a.size),
                                [keys, flat], [0, 0])
        return core.materialize(outs[0], dims[0], a.size)

    # Rejection takes as many rounds as the unluckiest element needs: on a CPU each on its own.
    out = lax.platform_dependent(keys, flat, cpu=lambda *pair: lax.map(one, pair),
                                 default=all_at_once) if a.size else flat
    return lax.reshape(out, a.shape)


def _sample(key: Any, a: Any, log_space: bool) -> Any:
    dtype = a.dtype
    large = a >= 1
    shifted = lax.select(large, a, a + 1)
    d = shifted - dtype.type(1 / 3)
    c = dtype.type(1 / 3) / lax.sqrt(d)

    def rejected(state: tuple) -> Any:
        _, x_squared, v, u = state
        quick = u >= 1 - dtype.type(0.0331) * (x_squared * x_squared)
        return quick & (lax.log(u) >= x_squared * 0.5 + d * ((1 - v) + lax.log(v)))

    def propose(state: tuple) -> tuple:
        key, x_key, u_key = split_keys(state[0], 3)

        def draw_positive(state: tuple) -> tuple:
            key, subkey = split_keys(state[0])
            x = normal_body(subkey, (), dtype)
            return key, x, 1 + x * c

        start = vary_as((x_key, dtype.type(0), dtype.type(-1)), x_key, c)
        _, x, v = lax.while_loop(lambda state: state[2] <= 0, draw_positive, start)
        return key, x * x, v * v * v, unit(u_key, (), dtype)

    key, boost_key = split_keys(key)
    start = (key, dtype.type(0), dtype.type(1), dtype.type(2))  # rejected, whatever `a` is
    v = lax.while_loop(rejected, propose, vary_as(start, key, c))[2]
    if log_space:
        log_u = -exponential_body(boost_key, (), dtype)
        boost = lax.select(large | (log_u == 0), dtype.type(0), log_u * (1 / a))
        return lax.log(d) + lax.log(v) + boost
    u = 1 - unit(boost_key, (), dtype)
    return d * v * lax.select(large, dtype.type(1), lax.pow(u, 1 / a))


def _derivative(g: Any, out: Any, key: Any, a: Any, *, log_space: bool) -> Any:
    """How a sample moves with `a` at a fixed probability of lesser samples."""
    if not log_space:
        return g * lax.random_gamma_grad(a, out)
    sample = lax.exp(out)
    tiny = lax.full_like(sample, dtypes.finfo(sample.dtype).tiny)
    sample = lax.select(sample == 0, tiny, sample)
    return g * (lax.random_gamma_grad(a, sample) / sample)


def _shape(key: ShapedArray, a: ShapedArray, *, log_space: bool) -> ShapedArray:
    if not dtypes.issubdtype(a.dtype, np.floating):
        raise TypeError(errors.describe(f"random_gamma takes floats, got {a.dtype.name}",
                                        fix="jax.random.gamma(key, a), which converts them"))
    if a.shape[:key.ndim] != key.shape:
        raise TypeError(errors.describe(
            f"random_gamma takes one key, or one for each of the leading elements; got keys of "
            f"shape {key.shape} and parameters of shape {a.shape}", fix="use jax.vmap"))
    return ShapedArray(a.shape, a.dtype)


def _vmap(axis: Any, args: Any, dims: Any, *, log_space: bool) -> tuple:
    args = [core.materialize(x, d, axis.size) for x, d in zip(args, dims)]
    return random_gamma_p.bind(*args, log_space=log_space), 0


random_gamma_p = Primitive(
    "random_gamma", shape=_shape, jvp=each_operand(None, _derivative), vmap=_vmap,
    physical=by_decomposition(_samples))

# --- Quotients and powers of gamma floats ------------------------------------------------------


def beta(key: Array, a: ArrayLike, b: ArrayLike, shape: Shape | None = None, dtype: Any = None,
         *, out_sharding: Any = None) -> Array:
    """Beta floats: density x**(a - 1) * (1 - x)**(b - 1), up to a constant."""
    return draw("beta", _beta, key, (a, b), shape, dtype, out_sharding)


@body()
def _beta(key: Any, a: Any, b: Any, shape: tuple, dtype: Any) -> Any:
    key_a, key_b = split_keys(key)
    log_a, log_b = _log(key_a, a, shape, dtype), _log(key_b, b, shape, dtype)
    top = lax.max(log_a, log_b)
    gamma_a, gamma_b = lax.exp(log_a - top), lax.exp(log_b - top)
    return gamma_a / (gamma_a + gamma_b)


def dirichlet(key: Array, alpha: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
              out_sharding: Any = None) -> Array:
    """Dirichlet vectors of concentration alpha [..., n]; `shape` is without the last axis."""
    key, _ = as_key("dirichlet", key)
    dtype = float_dtype("dirichlet", dtype)
    given = aval_of(alpha).shape
    if not given:
        raise ValueError(errors.describe(
            "dirichlet requires alpha.ndim >= 1, got alpha.ndim == 0",
            fix="jax.random.dirichlet(key, jnp.ones(3))"))
    shape = result_shape("dirichlet", shape, given[:-1])
    return placed(_dirichlet(key, alpha, shape=(*shape, given[-1]), dtype=dtype), out_sharding)


@body()
def _dirichlet(key: Any, alpha: Any, shape: tuple, dtype: Any) -> Any:
    logs = _log(key, alpha, shape, dtype)
    parts = lax.exp(logs - lax.stop_gradient(jnp.max(logs, axis=-1, keepdims=True,
                                                     initial=-np.inf)))
    return parts / jnp.sum(parts, axis=-1, keepdims=True)


def chisquare(key: Array, df: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
              out_sharding: Any = None) -> Array:
    """Chi-square floats of `df` degrees of freedom."""
    return draw("chisquare", _chisquare, key, (df,), shape, dtype, out_sharding)


@body()
def _chisquare(key: Any, df: Any, shape: tuple, dtype: Any) -> Any:
    return _chi(key, aligned(df, dtype, shape), shape, dtype)


def _chi(key: Any, df: Any, shape: tuple, dtype: Any) -> Any:
    return lax.exp(_log(key, df / 2, shape, dtype)) * 2


def f(key: Array, dfnum: ArrayLike, dfden: ArrayLike, shape: Shape | None = None,
      dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """F floats: the ratio of two chi-square floats, each divided by its degrees of freedom."""
    return draw("f", _f, key, (dfnum, dfden), shape, dtype, out_sharding)


@body()
def _f(key: Any, dfnum: Any, dfden: Any, shape: tuple, dtype: Any) -> Any:
    dfnum, dfden = aligned(dfnum, dtype, shape), aligned(dfden, dtype, shape)
    key_below, key_above = split_keys(key)
    above = _chi(key_above, dfnum, shape, dtype) / dfnum
    return above / (_chi(key_below, dfden, shape, dtype) / dfden)


def t(key: Array, df: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
      out_sharding: Any = None) -> Array:
    """Student's t floats of `df` degrees of freedom."""
    return draw("t", _t, key, (df,), shape, dtype, out_sharding)


@body()
def _t(key: Any, df: Any, shape: tuple, dtype: Any) -> Any:
    key_normal, key_gamma = split_keys(key)
    x = normal_body(key_normal, shape, dtype)
    half = aligned(df, dtype, shape) / 2
    g = random_gamma_p.bind(key_gamma, spread(half, dtype, shape), log_space=False)
    return x * lax.sqrt(half / g)


def generalized_normal(key: Array, p: ArrayLike, shape: Shape = (), dtype: Any = None, *,
                       out_sharding: Any = None) -> Array:
    """Floats of density exp(-abs(x)**p), up to a constant."""
    key, _ = as_key("generalized_normal", key)
    dtype = float_dtype("gamma", dtype)
    shape = result_shape("gamma", () if shape is None else shape, aval_of(p).shape)
    return placed(_generalized_normal(key, p, shape=shape, dtype=dtype), out_sharding)


@body()
def _generalized_normal(key: Any, p: Any, shape: tuple, dtype: Any) -> Any:
    return _generalized(key, p, shape, dtype)


def _generalized(key: Any, p: Any, shape: tuple, dtype: Any) -> Any:
    key_gamma, key_sign = split_keys(key)
    inverse = aligned(1 / p, dtype, shape)
    g = random_gamma_p.bind(key_gamma, spread(inverse, dtype, shape), log_space=False)
    return rademacher_body(key_sign, shape, dtype) * jnp.power(g, inverse)


def ball(key: Array, d: int, p: float = 2, shape: Shape = (), dtype: Any = None, *,
         out_sharding: Any = None) -> Array:
    """Uniform vectors in the unit ball of dimension `d` of the norm sum(abs(x)**p)**(1/p).

    Source: Barthe, Guedon, Mendelson, Naor, "A probabilistic approach to the geometry of the
    l_p^n-ball" (2005).
    """
    key, _ = as_key("ball", key)
    dtype = float_dtype("gamma", dtype)
    shape = canonical_shape("ball", (*canonical_shape("ball", shape), operator.index(d)))
    result_shape("gamma", shape, aval_of(p).shape)
    return placed(_ball(key, p, shape=shape, dtype=dtype), out_sharding)


@body()
def _ball(key: Any, p: Any, shape: tuple, dtype: Any) -> Any:
    key_direction, key_radius = split_keys(key)
    g = _generalized(key_direction, p, shape, dtype)
    e = exponential_body(key_radius, shape[:-1], dtype)
    size = jnp.power(jnp.sum(jnp.power(jnp.abs(g), p), axis=-1) + e, 1 / p)
    return g / lax.expand_dims(size, (size.ndim,))
