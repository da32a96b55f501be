"""`jax.extend.random`: generators of random bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.base.jaxlib import Array
from minijax.random.keys import PRNGImpl, _resolve_impl, random_seed_p
from minijax.random.threefry import threefry2x32_p

__all__ = ["define_prng_impl", "random_seed", "rbg_prng_impl", "seed_with_impl",
           "threefry2x32_p", "threefry_2x32", "threefry_prng_impl", "unsafe_rbg_prng_impl"]

threefry_prng_impl = _resolve_impl("threefry2x32")
rbg_prng_impl = _resolve_impl("rbg")
unsafe_rbg_prng_impl = _resolve_impl("unsafe_rbg")


def define_prng_impl(*, key_shape: tuple[int, ...], seed: Callable, split: Callable,
                     random_bits: Callable, fold_in: Callable, name: str = "<unnamed>",
                     tag: str = "?") -> PRNGImpl:
    """A generator, which can be given as `impl` to `jax.random.key`.

    seed(integer) gives the words of a key, of shape `key_shape`; split(key, shape) those of new
    keys; random_bits(key, bit_width, shape) unsigned integers; fold_in(key, integer) a key.
    """
    return PRNGImpl(tuple(key_shape), seed, split, random_bits, fold_in, name, tag)


def random_seed(seeds: Any, impl: PRNGImpl) -> Array:
    """Keys of a generator made of an array of integers."""
    return random_seed_p.bind(seeds, impl=impl)


def seed_with_impl(impl: PRNGImpl, seed: int | Array) -> Array:
    """The key of a generator made of one integer."""
    return random_seed(np.asarray(seed) if isinstance(seed, int) else seed, impl)


def threefry_2x32(keypair: tuple[Array, Array], count: Array) -> Array:
    """The words `count`, of an even number or padded, enciphered in pairs by the key."""
    flat = lax.reshape(count, (count.size,))
    odd = flat.shape[0] % 2
    if odd:
        flat = lax.pad(flat, np.uint32(0), [(0, 1, 0)])
    half = flat.shape[0] // 2
    first, second = threefry2x32_p.bind(
        *keypair, lax.slice(flat, (0,), (half,)), lax.slice(flat, (half,), (2 * half,)))
    out = lax.concatenate([first, second], 0)
    return lax.reshape(lax.slice(out, (0,), (out.shape[0] - odd,)), count.shape)
