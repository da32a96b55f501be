"""Threefry-2x32 as a counter-based generator.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A key
is two 32-bit words. In the default layout element i of an array of random bits is a function of
the key and of i alone, so any part of the array can be computed anywhere; the older layout, chosen
with `jax_threefry_partitionable=False`, hashes the two halves of a range of counters.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dims
from minijax.base.config import config
from minijax.core import Primitive, ShapedArray, align, nondifferentiable
from minijax.lax.rules import broadcasting
from minijax.numpy import stack

UINT = {8: np.dtype("uint8"), 16: np.dtype("uint16"), 32: np.dtype("uint32"),
        64: np.dtype("uint64")}
_WORD = UINT[32]
_same = broadcasting("threefry2x32", *[("integer",)] * 4)


def _shape(*avals: ShapedArray) -> list[ShapedArray]:
    out = _same(*avals)
    return [out, out]


def _vmap(axis: Any, args: Any, dims: Any) -> tuple:
    args, dim = align(args, dims)
    return threefry2x32_p.bind(*args), [dim, dim]


threefry2x32_p = Primitive("threefry2x32", shape=_shape, multiple_results=True,
                           jvp=nondifferentiable, vmap=_vmap)


def hash_words(key: Any, hi: Any, lo: Any) -> tuple[Any, Any]:
    """Encrypt the counters `hi`, `lo` with the key, an array of shape (..., 2)."""
    first, second = key_words(key)
    return tuple(threefry2x32_p.bind(first, second, hi, lo))


def key_words(key: Any) -> tuple[Any, Any]:
    """The two words of one key."""
    return (lax.index_in_dim(key, 0, keepdims=False), lax.index_in_dim(key, 1, keepdims=False))


def words_of_seed(value: Any) -> tuple[Any, Any]:
    """The upper and the lower 32 bits of an integer."""
    bits = np.iinfo(value.dtype).bits
    lo = lax.convert_element_type(value, _WORD)
    hi = lax.full_like(lo, 0)
    if bits == 64:
        shifted = lax.shift_right_logical(value, lax.full_like(value, 32))
        hi = lax.convert_element_type(shifted, _WORD)
    return hi, lo


def seed(value: Any) -> Any:
    """The key of an integer: its upper and lower 32 bits."""
    return lax.concatenate([lax.reshape(word, (1,)) for word in words_of_seed(value)], 0)


def fold_in(key: Any, data: Any) -> Any:
    """A new key from a key and a 32-bit integer."""
    return stack(hash_words(key, np.uint32(0), data))


def counters(shape: tuple[int, ...]) -> tuple[Any, Any]:
    """The index of each element of an array, as upper and lower words."""
    size = math.prod(shape)
    lo = lax.reshape(lax.iota(_WORD, size), shape) if len(shape) != 1 else lax.iota(_WORD, size)
    if not dims.below(2 ** 32, size):
        return np.uint32(0), lo
    rows = math.prod(shape[1:])  # 64-bit arithmetic on the index, one leading axis at a time
    if rows > 2 ** 32:
        raise ValueError(f"random arrays of shape {shape} need counters beyond 64-bit rows")
    index = np.arange(shape[0], dtype=np.uint64) * np.uint64(rows)
    first = lax.broadcast_in_dim((index & np.uint64(2 ** 32 - 1)).astype(_WORD), shape, (0,))
    upper = lax.broadcast_in_dim((index >> np.uint64(32)).astype(_WORD), shape, (0,))
    within = lax.reshape(lax.iota(_WORD, rows), shape[1:])
    lo = lax.add(first, lax.broadcast_in_dim(within, shape, tuple(range(1, len(shape)))))
    carry = lax.convert_element_type(lax.lt(lo, first), _WORD)
    return lax.add(upper, carry), lo


def split(key: Any, shape: tuple[int, ...]) -> Any:
    """An array of new keys, of shape (*shape, 2)."""
    if config.jax_threefry_partitionable:
        hi, lo = hash_words(key, *counters(shape))
        return stack([hi, lo], axis=-1)
    return lax.reshape(_hash_range(key, 2 * math.prod(shape)), (*shape, 2))


def random_bits(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    """Uniform unsigned integers of `bit_width` bits."""
    if not config.jax_threefry_partitionable:
        return _random_bits_of_range(key, bit_width, shape)
    hi, lo = hash_words(key, *counters(shape))
    if bit_width == 64:
        return join_words(hi, lo)
    bits = lax.bitwise_xor(hi, lo)
    return bits if bit_width == 32 else lax.convert_element_type(bits, UINT[bit_width])


def join_words(hi: Any, lo: Any) -> Any:
    """64-bit integers of their upper and lower words."""
    # A NumPy scalar of 64 bits would become one of 32 where only this dtype was allowed explicitly.
    hi = lax.convert_element_type(hi, UINT[64])
    upper = lax.shift_left(hi, lax.convert_element_type(lax.full_like(lo, 32), UINT[64]))
    return lax.bitwise_or(upper, lax.convert_element_type(lo, UINT[64]))


# --- The older layout --------------------------------------------------------------------------


def _hash_range(key: Any, size: int) -> Any:
    """Random words from hashing the first half of range(size) against the second half."""
    half = -(-size // 2)
    lo = lax.add(lax.iota(_WORD, half), np.uint32(half))
    if size % 2:  # an odd range is made even with a counter 0 at its end
        lo = lax.select(lax.eq(lo, np.uint32(size)), lax.full_like(lo, 0), lo)
    parts = lax.concatenate(hash_words(key, lax.iota(_WORD, half), lo), 0)
    return lax.slice(parts, (0,), (size,))


def _random_bits_of_range(key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
    size = math.prod(shape)
    words = _hash_range(key, -(-bit_width * size // 32))
    if bit_width == 64:
        return lax.reshape(join_words(lax.slice(words, (0,), (size,)),
                                      lax.slice(words, (size,), (2 * size,))), shape)
    if bit_width < 32:
        per_word = 32 // bit_width
        count = words.shape[0]
        shifts = np.arange(per_word, dtype=_WORD) * np.uint32(bit_width)
        parts = lax.shift_right_logical(
            lax.broadcast_in_dim(words, (count, per_word), (0,)),
            lax.broadcast_in_dim(shifts, (count, per_word), (1,)))
        words = lax.convert_element_type(lax.reshape(parts, (per_word * count,)), UINT[bit_width])
        words = lax.slice(words, (0,), (size,))
    return lax.reshape(words, shape)
