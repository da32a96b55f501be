"""Generators that draw their bits from XLA's own RngBitGenerator, which is fast on accelerators.

Bits differ between platforms, and under `vmap` all of a batch come from its first key. The keys of
"rbg" are split and folded like two Threefry keys; those of "unsafe_rbg" by the generator itself,
of which nobody has shown that the keys are independent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minijax import core, lax
from minijax.random import threefry

_WORD = np.dtype(np.uint32)
_HASH = 10  # how many blocks of the generator stand for one application of a hash


def seed(value: Any) -> Any:
    """The key of an integer: a Threefry key, twice."""
    half = threefry.seed(value)
    return lax.concatenate([half, half], 0)


def _on_halves(fun: Any, key: Any) -> Any:
    """fun(half of the key) for both halves, side by side in the last axis."""
    halves = lax.reshape(key, (2, 2))
    outs, dims = core.batch(lambda half: [fun(half)], core.AxisData(None, 2), [halves], [0])
    out = core.materialize(outs[0], dims[0], 2)
    out = lax.transpose(out, (*range(1, out.ndim - 1), 0, out.ndim - 1))
    return lax.reshape(out, (*out.shape[:-2], 4))


def split(key: Any, shape: tuple[int, ...]) -> Any:
    """An array of new keys, of shape (*shape, 4)."""
    return _on_halves(lambda half: threefry.split(half, shape), key)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and a 32-bit integer."""
    return _on_halves(lambda half: threefry.fold_in(half, data), key)


def random_bits(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    """Uniform unsigned integers of `bit_width` bits."""
    return lax.rng_bit_generator(key, shape, threefry.UINT[bit_width])[1]


def unsafe_split(key: Any, shape: tuple[int, ...]) -> Any:
    """An array of new keys, of shape (*shape, 4)."""
    _, words = lax.rng_bit_generator(key, (_HASH * math.prod(shape), 4), _WORD)
    return lax.reshape(lax.slice(words, (0, 0), words.shape, (_HASH, 1)), (*shape, 4))


def unsafe_fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and a 32-bit integer."""
    _, words = lax.rng_bit_generator(seed(data), (_HASH, 4), _WORD)
    return lax.bitwise_xor(key, lax.index_in_dim(words, _HASH - 1, keepdims=False))
