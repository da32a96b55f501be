"""Integers in a range, and choices: permutations, categories, elements of an array."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import aval_of
from minijax.lax.rules import ArrayLike
from minijax.numpy import host, promotion
from minijax.random.common import (
    Shape, aligned, body, canonical_shape, constant, integer_dtype, placed, result_shape,
    split_keys)
from minijax.random.keys import as_key, bits_of
from minijax.random.samplers import gumbel, gumbel_body, gumbel_mode, uniform
from minijax.random.threefry import UINT

# --- Integers ----------------------------------------------------------------------------------


def randint(key: Array, shape: Shape, minval: ArrayLike, maxval: ArrayLike, dtype: Any = None, *,
            out_sharding: Any = None) -> Array:
    """Uniform integers in [minval, maxval); minval where the range is empty.

    Bounds beyond the dtype are clipped to it; a maxval above its largest value includes that one.
    """
    key, _ = as_key("randint", key)
    dtype = integer_dtype("randint", dtype)
    promotion.check_array_like("randint", minval, maxval)
    minval, maxval = _whole(minval), _whole(maxval)
    shape = result_shape("randint", canonical_shape("randint", shape), np.shape(minval),
                         np.shape(maxval))
    info = dtypes.iinfo(dtype)
    if info.bits < 8:
        raise TypeError(errors.describe(
            f"randint only accepts 8-, 16-, 32-, or 64-bit dtypes, got {dtype}",
            fix="jax.random.randint(key, shape, 0, 8, 'int8').astype('int4')"))
    if info.bits < 32:  # narrow integers are drawn as wider ones, so that maxval may be max + 1
        wide = np.dtype(np.int32)
        low = _clip_bound(minval, int(info.min), int(info.max), wide)
        high = _clip_bound(maxval, int(info.min), int(info.max) + 1, wide)
        out = _randint(key, low, high, shape=shape, dtype=wide, includes_largest=False)
        return placed(lax.convert_element_type(out, dtype), out_sharding)
    includes_largest = type(maxval) is int and maxval > info.max
    low, high = (_clip_bound(b, int(info.min), int(info.max)) for b in (minval, maxval))
    return placed(_randint(key, low, high, shape=shape, dtype=dtype,
                           includes_largest=includes_largest), out_sharding)


def _whole(bound: Any) -> Any:
    """A bound as an integer."""
    if type(bound) is int:
        return bound
    if type(bound) in (float, bool):
        return int(bound)
    if dtypes.issubdtype(aval_of(bound).dtype, np.integer):
        return bound
    return lax.convert_element_type(bound, dtypes.default_int())


def _clip_bound(bound: Any, low: int, high: int, dtype: Any = None) -> Any:
    """A bound within [low, high]; of `dtype` if given, else as it came."""
    if type(bound) is int:
        return min(max(bound, low), high)
    if dtype is None:
        return bound
    own = dtypes.iinfo(aval_of(bound).dtype)
    clipped = jnp.clip(bound, max(low, int(own.min)), min(high, int(own.max)))
    return lax.convert_element_type(clipped, dtype)


@body("shape", "dtype", "includes_largest")
def _randint(key: Any, minval: Any, maxval: Any, shape: tuple, dtype: Any,
             includes_largest: bool) -> Any:
    info = dtypes.iinfo(dtype)
    if not includes_largest:
        given = aval_of(maxval)
        includes_largest = (lax.gt(maxval, constant(info.max, given.dtype))
                            if dtypes.iinfo(given.dtype).max > info.max else False)
    minval = aligned(_into_range(minval, info, dtype), dtype, shape)
    maxval = aligned(_into_range(maxval, info, dtype), dtype, shape)
    uint = UINT[info.bits]
    first, second = split_keys(key)
    higher, lower = bits_of(first, info.bits, shape), bits_of(second, info.bits, shape)
    span = lax.convert_element_type(lax.sub(maxval, minval), uint)
    one = lax.full_like(span, 1)
    span = lax.select(lax.le(maxval, minval), one, span)
    if includes_largest is not False:
        more = lax.gt(maxval, minval)
        if includes_largest is not True:
            more = lax.bitwise_and(more, includes_largest)
        span = lax.select(lax.broadcast_in_dim(more, aval_of(span).shape, tuple(
            range(aval_of(more).ndim))), lax.add(span, one), span)
    # 2**bits modulo span, from half of the bits at a time, joins the two words.
    half = lax.rem(lax.full_like(span, 2 ** (info.bits // 2)), span)
    multiplier = lax.rem(lax.mul(half, half), span)
    offset = lax.add(lax.mul(lax.rem(higher, span), multiplier), lax.rem(lower, span))
    return lax.add(minval, lax.convert_element_type(lax.rem(offset, span), dtype))


def _into_range(bound: Any, info: Any, dtype: Any) -> Any:
    given = aval_of(bound).dtype
    own = dtypes.iinfo(given)
    if own.max > info.max:
        bound = lax.min(bound, constant(info.max, given))
    if own.min < info.min:
        bound = lax.max(bound, constant(info.min, given))
    return lax.convert_element_type(bound, dtype)


# --- Choices -----------------------------------------------------------------------------------


def permutation(key: Array, x: int | Array, axis: int = 0, independent: bool = False, *,
                out_sharding: Any = None) -> Array:
    """`x` (or range(x)) in a random order along `axis`.

    With `independent`, each vector along the axis is shuffled on its own.
    """
    key, _ = as_key("permutation", key)
    promotion.check_array_like("permutation", x)
    axis = canonicalize_axis(axis, np.ndim(x) or 1)
    aval = aval_of(x)
    if not aval.ndim:
        if not dtypes.issubdtype(aval.dtype, np.integer):
            raise TypeError(errors.describe("x must be an integer or at least 1-dimensional",
                                            fix="jax.random.permutation(key, 10)"))
        size = operator.index(host.known(x, "the 'x' argument of jax.random.permutation"))
        return placed(_shuffle(key, _indices(size), axis=0), out_sharding)
    if independent or aval.ndim == 1:
        return placed(_shuffle(key, x, axis=axis), out_sharding)
    order = _shuffle(key, _indices(aval.shape[axis]), axis=0)
    return placed(jnp.take(x, order, axis=axis, unique_indices=True), out_sharding)


def _indices(size: int) -> Any:
    return lax.iota(dtypes.default_int(), max(size, 0))


@body("axis")
def _shuffle(key: Any, x: Any, axis: int) -> Any:
    """Sort by random keys, so often that ties among 32-bit keys do not matter."""
    exponent = 3
    x = jnp.asarray(x)
    rounds = math.ceil(exponent * math.log(max(1, x.size)) / math.log(2 ** 32 - 1))
    for _ in range(rounds):
        key, subkey = split_keys(key)
        order = bits_of(subkey, 32, x.shape)
        _, x = lax.sort_key_val(order, x, dimension=axis)
    return x


def categorical(key: Array, logits: ArrayLike, axis: int = -1, shape: Shape | None = None,
                replace: bool = True, mode: str | None = None, *,
                out_sharding: Any = None) -> Array:
    """Indices along `axis` with probabilities softmax(logits).

    shape: the shape of the result, of which the batch shape of logits is a suffix (default).
    Without replacement the draws along the leading axes of `shape` are distinct.
    """
    key, _ = as_key("categorical", key)
    promotion.check_array_like("categorical", logits)
    logits = jnp.asarray(logits)
    mode = gumbel_mode(mode)
    if not -logits.ndim <= axis < logits.ndim:
        raise IndexError(errors.describe(
            f"index {axis} is out of bounds for axis 0 with size {logits.ndim}",
            because=f"logits have the shape {logits.shape}", fix="choose an axis of logits"))
    if not dtypes.issubdtype(logits.dtype, np.floating):
        raise ValueError(errors.describe(
            f"dtype argument to `gumbel` must be a float dtype, got {logits.dtype}",
            fix="logits.astype(float)"))
    axis = axis % logits.ndim - logits.ndim
    rest = logits.shape[:axis] + logits.shape[logits.ndim + axis + 1:]
    shape = result_shape("categorical", shape, rest)
    lead = shape[:len(shape) - len(rest)]
    return placed(_categorical(key, logits, axis=axis, lead=lead, replace=replace, mode=mode),
                  out_sharding)


@body("axis", "lead", "replace", "mode")
def _categorical(key: Any, logits: Any, axis: int, lead: tuple, replace: bool, mode: str) -> Any:
    if replace:
        full = (*lead, *logits.shape)
        noise = gumbel_body(key, full, logits.dtype, mode)
        logits = lax.broadcast_in_dim(logits, full, tuple(range(len(lead), len(full))))
        return jnp.argmax(lax.add(noise, logits), axis=axis)
    count = math.prod(lead)
    size = logits.shape[axis]
    if count > size:
        raise ValueError(errors.describe(
            f"Number of samples without replacement ({count}) cannot exceed number of categories "
            f"({size}).", fix="draw fewer, or replace=True"))
    noisy = lax.add(logits, gumbel_body(key, logits.shape, logits.dtype, mode))
    _, chosen = lax.top_k(jnp.moveaxis(noisy, axis, -1), count)
    chosen = jnp.moveaxis(chosen, -1, 0)
    return lax.reshape(chosen, (*lead, *chosen.shape[1:]))


def choice(key: Array, a: int | ArrayLike, shape: Shape = (), replace: bool = True,
           p: ArrayLike | None = None, axis: int = 0, mode: str | None = None) -> Array:
    """Random elements of `a` (or of range(a)) along `axis`, with probabilities `p`."""
    key, _ = as_key("choice", key)
    shape = canonical_shape("choice", shape)
    promotion.check_array_like("choice", a)
    rank = np.ndim(a)
    axis = canonicalize_axis(axis, rank or 1)
    size = aval_of(a).shape[axis] if rank else int(a)
    count = math.prod(shape)
    if count and size <= 0:
        raise ValueError(errors.describe("a must be greater than 0 unless no samples are taken",
                                         fix="choose from at least one element"))
    if not replace and count > size:
        raise ValueError(errors.describe(
            f"Cannot take a larger sample (size {count}) than population (size {size}) when "
            "'replace=False'", fix="draw fewer, or replace=True"))
    if not count:
        return jnp.zeros(shape, aval_of(a).dtype if rank else dtypes.default_int())
    if p is None and not replace:
        picked = lax.slice_in_dim(permutation(key, a if rank else size, axis), 0, count,
                                  axis=axis)
    elif p is None:
        picked = _take(a, randint(key, shape, 0, size), axis)
    else:
        promotion.check_array_like("choice", p)
        picked = _take(a, _weighted(key, jnp.asarray(p), size, shape, replace, mode), axis)
    if not rank:
        return lax.reshape(picked, shape)
    whole = aval_of(a).shape
    return lax.reshape(picked, (*whole[:axis], *shape, *whole[axis + 1:]))


def _take(a: Any, indices: Any, axis: int) -> Any:
    return indices if not aval_of(a).ndim else jnp.take(a, indices, axis=axis)


def _weighted(key: Any, p: Any, size: int, shape: tuple, replace: bool, mode: str | None) -> Any:
    p = p.astype(dtypes.to_inexact(p.dtype))
    if p.shape != (size,):
        raise ValueError(errors.describe(
            f"p must be None or a 1D vector with the same size as a.shape[axis]. p has shape "
            f"{p.shape} and a.shape[axis] is {size}.", fix="give one probability per element"))
    if not replace:
        noisy = lax.add(gumbel(key, (size,), p.dtype, mode), lax.log(p))
        return lax.top_k(noisy, math.prod(shape))[1]
    cumulative = jnp.cumsum(p)
    total = cumulative[-1]
    r = lax.mul(total, lax.sub(constant(1, p.dtype), uniform(key, shape, p.dtype)))
    return jnp.searchsorted(cumulative, r)
