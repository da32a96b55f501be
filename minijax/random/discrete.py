"""Counts: Poisson, binomial and multinomial.

Sources: Hormann, "The transformed rejection method for generating Poisson random variables"
(1993) and "The generation of binomial random variates" (1993), for large means; for small ones
Knuth's product of uniforms and the sum of geometric floats. All elements of an array go through
the rounds of a loop together, until the last one is accepted.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import aval_of
from minijax.lax.casts import vary_as
from minijax.lax.rules import ArrayLike
from minijax.random.common import (
    Shape, body, canonical_shape, draw, float_dtype, integer_dtype, placed, split_keys, spread)
from minijax.random.keys import as_key, clone, random_split_p
from minijax.random.samplers import unit

_FLOAT = np.dtype(np.float32)


def poisson(key: Array, lam: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
            out_sharding: Any = None) -> Array:
    """Poisson integers of mean `lam`; -1 where that is NaN. Keys must be of threefry2x32."""
    key, _ = as_key("poisson", key)
    impl = aval_of(key).dtype._impl
    if impl.name != "threefry2x32":
        raise NotImplementedError(errors.describe(
            f"`poisson` is only implemented for the threefry2x32 RNG, not {impl}",
            fix="jax.random.key(0, impl='threefry2x32')"))
    dtype = integer_dtype("poisson", dtype, ValueError, "Invalid integer data type of {name}: "
                          "{dtype}")
    shape = aval_of(lam).shape if shape is None else canonical_shape("poisson", shape)
    return placed(_poisson(key, lam, shape=shape, dtype=dtype), out_sharding)


@body()
def _poisson(key: Any, lam: Any, shape: tuple, dtype: Any) -> Any:
    lam = spread(lam, _FLOAT, shape)
    small = (lam != lam) | (lam < 10)
    zero = lax.full_like(lam, 0)
    few = _count_products(key, lax.select(small, lam, zero), shape, dtype)
    many = _reject_poisson(clone(key), lax.select(small, lax.full_like(lam, 1e5), lam), shape,
                           dtype)
    out = lax.select(small, few, many)
    return lax.select(lam == 0, lax.full_like(out, 0), out)


def _count_products(key: Any, lam: Any, shape: tuple, dtype: Any) -> Any:
    """How many uniforms can be multiplied until the product is below exp(-lam), less one."""
    limit = _most_rounds(dtype)

    def going(state: tuple) -> Any:
        i, _, _, log_product = state
        return jnp.any(log_product > -lam) & (i < limit)

    def multiply(state: tuple) -> tuple:
        i, count, key, log_product = state
        key, subkey = split_keys(key)
        count = lax.select(log_product > -lam, count + 1, count)
        return i + 1, count, key, log_product + lax.log(unit(subkey, shape, _FLOAT))

    start = (_zero_round(), lax.full(shape, 0, dtype), key, lax.full_like(lam, 0))
    return lax.while_loop(going, multiply, vary_as(start, key, lam))[1] - 1


def _zero_round() -> Any:
    return np.zeros((), dtypes.default_int())[()]


def _most_rounds(dtype: Any) -> Any:
    """The largest integer of the dtype, or that of the counter of rounds if it is less."""
    counter = dtypes.default_int()
    return np.asarray(min(dtypes.iinfo(dtype).max, dtypes.iinfo(counter).max), counter)


def _reject_poisson(key: Any, lam: Any, shape: tuple, dtype: Any) -> Any:
    log_lam = lax.log(lam)
    b = 0.931 + 2.53 * lax.sqrt(lam)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_limit = 0.9277 - 3.6624 / (b - 2)

    def propose(u: Any, v: Any) -> tuple[Any, Any]:
        u = u - 0.5
        us = 0.5 - lax.abs(u)
        k = lax.floor((2 * a / us + b) * u + lam + 0.43)
        s = lax.log(v * inverse_alpha / (a / (us * us) + b))
        t = -lam + k * log_lam - lax.lgamma(k + 1)
        quick = (us >= 0.07) & (v <= v_limit)
        outside = (k < 0) | ((us < 0.013) & (v > us))
        return k, quick | (~outside & (s <= t))

    out = _until_accepted(key, propose, lam, _most_rounds(dtype))
    return lax.convert_element_type(out, dtype)


def _until_accepted(key: Any, propose: Any, like: Any, limit: Any) -> Any:
    """Rounds of `propose(uniforms, uniforms) -> (values, accepted)` until all were accepted."""
    shape, dtype = like.shape, like.dtype

    def going(state: tuple) -> Any:
        i, _, accepted, _ = state
        return jnp.any(~accepted) & (lax.convert_element_type(i, limit.dtype) < limit)

    def one_round(state: tuple) -> tuple:
        i, out, accepted, key = state
        key, u_key, v_key = split_keys(key, 3)
        u, v = unit(u_key, shape, dtype), unit(v_key, shape, dtype)
        value, accept = propose(u, v)
        return i + 1, lax.select(accept, value, out), accepted | accept, key

    start = (_zero_round(), lax.full_like(like, -1), lax.full(shape, False), key)
    return lax.while_loop(going, one_round, vary_as(start, key, like))[1]


def binomial(key: Array, n: ArrayLike, p: ArrayLike, shape: Shape | None = None,
             dtype: Any = None) -> Array:
    """Binomial counts, as floats: how many of `n` tosses come out, each with probability `p`."""
    return draw("binomial", _binomial, key, (n, p), shape, dtype, None)


@body()
def _binomial(key: Any, n: Any, p: Any, shape: tuple, dtype: Any) -> Any:
    return _binomial_counts(key, spread(n, dtype, shape), spread(p, _real(p), shape))


def _real(x: Any) -> Any:
    return dtypes.to_inexact(aval_of(x).dtype)


def _binomial_counts(key: Any, n: Any, p: Any) -> Any:
    """Counts of the rarer outcome, `n` less that where `p` is above 1/2; at the dtype of n."""
    rare = p < 0.5
    q = lax.select(rare, p, 1 - p)
    bad_n = (n != n) | (n < 0)
    bad_q = (q != q) | (q < 0)
    safe_q = lax.select(bad_q, lax.full_like(q, 0.01), q)
    small = bad_n | (n * safe_q.astype(n.dtype) <= 10)
    whole = lax.floor(n)
    few = _sum_of_geometrics(key, lax.select(small, whole, lax.full_like(n, 0)),
                             safe_q)
    many = _reject_binomial(clone(key), lax.select(small, lax.full_like(n, 10000), whole),
                            lax.select(small, lax.full_like(q, 0.5), safe_q))
    out = lax.select(small, few, many)
    invalid = bad_q | bad_n
    endless = jnp.isinf(n)
    out = lax.select(invalid, lax.full_like(out, np.nan), out)
    out = lax.select(endless & ~invalid, lax.full_like(out, np.inf), out)
    return lax.select(rare | bad_n | (q != q) | endless, out, whole - out)


def _sum_of_geometrics(key: Any, n: Any, p: Any) -> Any:
    """How many geometric numbers add up to at most n."""
    log_miss = lax.log1p(-p).astype(n.dtype)
    limit = dtypes.finfo(n.dtype).max

    def going(state: tuple) -> Any:
        i, _, total, _ = state
        return jnp.any(total <= n) & (lax.convert_element_type(i, n.dtype) < limit)

    def add(state: tuple) -> tuple:
        i, count, total, key = state
        subkey, key = split_keys(key)
        count = lax.select(total <= n, count + 1, count)
        gap = lax.ceil(lax.log(unit(subkey, n.shape, n.dtype)) / log_miss)
        return i + 1, count, total + gap, key

    zero = lax.full_like(n, 0)
    start = vary_as((_zero_round(), zero, zero, key), key, n, log_miss)
    return lax.while_loop(going, add, start)[1] - 1


_TAILS = (0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
          0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
          0.00925546218271273, 0.00833056343336287)


def _stirling_tail(k: Any) -> Any:
    """log(k!) less Stirling's formula for it: a table up to 9, then a series."""
    table = np.array(_TAILS, k.dtype)
    within = lax.clamp(k.dtype.type(0), k, k.dtype.type(9))
    square = (within + 1) * (within + 1)
    series = (1 / 12 - (1 / 360 - 1 / 1260 / square) / square) / (within + 1)
    index = lax.convert_element_type(lax.floor(within), np.dtype(np.int32))
    return lax.select(k <= 9, jnp.asarray(table)[index], series)


def _reject_binomial(key: Any, n: Any, p: Any) -> Any:
    hit, miss, odds = (x.astype(n.dtype) for x in (p, 1 - p, p / (1 - p)))
    deviation = lax.sqrt(n * hit * miss)
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + (0.01 * p).astype(n.dtype)
    centre = n * hit + 0.5
    v_limit = 0.92 - 4.2 / b
    alpha = (2.83 + 5.1 / b) * deviation
    mode = lax.floor((n + 1) * hit)

    def propose(u: Any, v: Any) -> tuple[Any, Any]:
        u = u - 0.5
        us = 0.5 - lax.abs(u)
        quick = (us >= 0.07) & (v <= v_limit)
        k = lax.floor((2 * a / us + b) * u + centre)
        outside = (k < 0) | (k > n)
        s = lax.log(v * alpha / (a / (us * us) + b))
        bound = ((mode + 0.5) * lax.log((mode + 1) / (odds * (n - mode + 1)))
                 + (n + 1) * lax.log((n - mode + 1) / (n - k + 1))
                 + (k + 0.5) * lax.log(odds * (n - k + 1) / (k + 1))
                 + _stirling_tail(mode) + _stirling_tail(n - mode)
                 - _stirling_tail(k) - _stirling_tail(n - k))
        return k, quick | (~outside & (s <= bound))

    return _until_accepted(key, propose, n, np.asarray(dtypes.finfo(n.dtype).max, n.dtype))


def multinomial(key: Array, n: ArrayLike, p: ArrayLike, *, shape: Shape | None = None,
                dtype: Any = None, unroll: int | bool = 1) -> Array:
    """How many of `n` draws fall into each class, the probabilities of classes being p [..., k].

    n: [...]. shape: that of the result, with the last axis. unroll: as in `lax.scan`.
    """
    key, _ = as_key("multinomial", key)
    dtype = dtypes.default_float() if dtype is None else dtypes.check_user_dtype(
        dtype, "multinomial")
    p = jnp.asarray(p)
    shape = lax.broadcast_shapes((*aval_of(n).shape, 1), p.shape) if shape is None else (
        canonical_shape("multinomial", shape))
    return _multinomial(key, n, p, shape=shape, dtype=dtype, unroll=unroll)


@body("shape", "dtype", "unroll")
def _multinomial(key: Any, n: Any, p: Any, shape: tuple, dtype: Any, unroll: int) -> Any:
    real = float_dtype("multinomial", None)
    n = lax.convert_element_type(jnp.broadcast_to(n, shape[:-1]), real)
    p = lax.convert_element_type(jnp.moveaxis(jnp.broadcast_to(p, shape), -1, 0), real)
    rest = lax.cumsum(p, 0, reverse=True)
    share = p / lax.select(rest == 0, lax.full_like(rest, 1), rest)

    def one_class(left: Any, args: tuple) -> tuple:
        share, key = args
        count = _binomial_counts(key, left, jnp.clip(share, 0, 1))
        return left - count, count

    keys = random_split_p.bind(key, shape=(p.shape[0],))
    _, counts = lax.scan(one_class, n, (share, keys), unroll=unroll)
    return lax.convert_element_type(jnp.moveaxis(counts, 0, -1), dtype)
