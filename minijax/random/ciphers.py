"""Counter-based generators of wider blocks: Philox-2x32, Philox-4x32 and Threefry-4x32.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011), with
10 rounds of Philox and 20 of Threefry. Element i of an array of random bits is a function of the
key and of i alone. Splitting and folding put their counter into the last words of a block, bits
put theirs into the first ones, so that keys and bits come from different blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import lax
from minijax.core import Primitive, ShapedArray, align, nondifferentiable
from minijax.lax.rules import broadcasting
from minijax.numpy import stack
from minijax.random import threefry

_WORD = np.dtype(np.uint32)
_ZERO = np.uint32(0)
_GOLDEN, _SQUARE_ROOT = 0x9E3779B9, 0xBB67AE85  # what the two words of a Philox key grow by


def _cipher(name: str, key_words: int, block_words: int, body: Callable) -> Primitive:
    """The operation (key words, block words) -> block words, elementwise."""
    same = broadcasting(name, *[("integer",)] * (key_words + block_words))

    def shape(*avals: ShapedArray) -> list[ShapedArray]:
        return [same(*avals)] * block_words

    def vmap(axis: Any, args: Any, dims: Any) -> tuple:
        args, dim = align(args, dims)
        return primitive.bind(*args), [dim] * block_words

    def decompose(*words: Any) -> list:
        shape = np.broadcast_shapes(*map(np.shape, words))
        block = [lax.broadcast_in_dim(w, shape, tuple(range(len(shape) - np.ndim(w), len(shape))))
                 for w in words[key_words:]]
        return body(words[:key_words], block)

    primitive = Primitive(name, shape=shape, multiple_results=True, jvp=nondifferentiable,
                          vmap=vmap, decompose=decompose)
    return primitive


def _product(x: Any, factor: int) -> tuple[Any, Any]:
    """The upper and the lower word of a product of two words."""
    return lax.mulhi(x, np.uint32(factor)), lax.mul(x, np.uint32(factor))


def _philox2(key: Sequence[Any], block: Sequence[Any]) -> list:
    k, = key
    x, y = block
    for _ in range(10):
        hi, lo = _product(x, 0xD256D193)
        x, y = lax.bitwise_xor(lax.bitwise_xor(hi, k), y), lo
        k = lax.add(k, np.uint32(_GOLDEN))
    return [x, y]


def _philox4(key: Sequence[Any], block: Sequence[Any]) -> list:
    k0, k1 = key
    x0, x1, x2, x3 = block
    for _ in range(10):
        hi0, lo0 = _product(x0, 0xD2511F53)
        hi1, lo1 = _product(x2, 0xCD9E8D57)
        x0, x1, x2, x3 = (lax.bitwise_xor(lax.bitwise_xor(hi1, x1), k0), lo1,
                          lax.bitwise_xor(lax.bitwise_xor(hi0, x3), k1), lo0)
        k0, k1 = lax.add(k0, np.uint32(_GOLDEN)), lax.add(k1, np.uint32(_SQUARE_ROOT))
    return [x0, x1, x2, x3]


_ROTATIONS = ((10, 26), (11, 21), (13, 27), (23, 5), (6, 20), (17, 11), (25, 10), (18, 20))


def _threefry4(key: Sequence[Any], block: Sequence[Any]) -> list:
    parity = np.uint32(0x1BD11BDA)
    for word in key:
        parity = lax.bitwise_xor(word, parity)
    keys = [*key, parity]
    x = [lax.add(b, k) for b, k in zip(block, keys)]
    for i in range(20):
        other = (1, 3) if i % 2 == 0 else (3, 1)  # the odd words change places in every round
        for target, source, distance in zip((0, 2), other, _ROTATIONS[i % 8]):
            x[target] = lax.add(x[target], x[source])
            x[source] = lax.bitwise_xor(_rotate(x[source], distance), x[target])
        if i % 4 == 3:
            group = i // 4 + 1
            x = [lax.add(word, keys[(group + j) % 5]) for j, word in enumerate(x)]
            x[3] = lax.add(x[3], np.uint32(group))
    return x


def _rotate(x: Any, distance: int) -> Any:
    return lax.bitwise_or(lax.shift_left(x, np.uint32(distance)),
                          lax.shift_right_logical(x, np.uint32(32 - distance)))


philox2x32_p = _cipher("philox2x32", 1, 2, _philox2)
philox4x32_p = _cipher("philox4x32", 2, 4, _philox4)
threefry4x32_p = _cipher("threefry4x32", 4, 4, _threefry4)


class Cipher(NamedTuple):
    """A generator made of a cipher; its methods are the functions of a `PRNGImpl`."""

    primitive: Primitive
    key_words: int
    block_words: int
    seed_in_key: bool

    @property
    def functions(self) -> tuple:
        """Those that a `PRNGImpl` holds, in its order."""
        return self.seed, self.split, self.random_bits, self.fold_in

    def seed(self, value: Any) -> Any:
        """The key of an integer: an encrypted block, the integer being its key or its start."""
        given = list(threefry.words_of_seed(value))
        zeros = [_ZERO] * 4
        key, block = (given, []) if self.seed_in_key else ([], given)
        return self._as_key(self._encrypt([*key, *zeros][:self.key_words],
                                          [*block, *zeros][:self.block_words]))

    def split(self, key: Any, shape: tuple[int, ...]) -> Any:
        """An array of new keys, of shape (*shape, words)."""
        counters = threefry.counters(shape)
        return self._as_key(self._encrypt(_words(key), [*self._padding(), *counters]))

    def fold_in(self, key: Any, data: Any) -> Any:
        """A new key from a key and a 32-bit integer."""
        return self._as_key(self._encrypt(_words(key), [*self._padding(), _ZERO, data]))

    def random_bits(self, key: Any, bit_width: int, shape: tuple[int, ...]) -> Any:
        """Uniform unsigned integers of `bit_width` bits."""
        out = self._encrypt(_words(key), [*threefry.counters(shape), *self._padding()])
        if bit_width == 64:
            if self.seed_in_key:  # all four words of a block count, in pairs
                out = [lax.bitwise_xor(out[0], out[2]), lax.bitwise_xor(out[1], out[3])]
            return threefry.join_words(out[0], out[1])
        bits = out[0]
        for word in out[1:]:
            bits = lax.bitwise_xor(bits, word)
        return bits if bit_width == 32 else lax.convert_element_type(
            bits, threefry.UINT[bit_width])

    def _padding(self) -> list:
        return [_ZERO] * (self.block_words - 2)

    def _encrypt(self, key: Sequence[Any], block: Sequence[Any]) -> Sequence[Any]:
        return self.primitive.bind(*key, *block)

    def _as_key(self, block: Sequence[Any]) -> Any:
        return stack(list(block[:self.key_words]), axis=-1)


def _words(key: Any) -> list:
    return [lax.index_in_dim(key, i, keepdims=False) for i in range(key.shape[0])]


philox2x32 = Cipher(philox2x32_p, 1, 2, False)
philox4x32 = Cipher(philox4x32_p, 2, 4, False)
threefry4x32 = Cipher(threefry4x32_p, 4, 4, True)
