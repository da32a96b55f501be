"""Random bits from the compiler's own generators, which differ between platforms.

`jax.random` does not need these, except for keys of the "rbg" kinds.

    >>> state, bits = rng_bit_generator(np.zeros(4, np.uint32), (2, 3))
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import Primitive, ShapedArray, Values, materialize
from minijax.lax.rules import ArrayLike, asked
from minijax.lax.shapes import concatenate
from minijax.lax.slicing import index_in_dim, slice_in_dim


class RandomAlgorithm(enum.IntEnum):
    """The generator of :func:`rng_bit_generator`; the default is the platform's choice."""

    RNG_DEFAULT = 0
    RNG_THREE_FRY = 1
    RNG_PHILOX = 2

    def __str__(self) -> str:
        return self.name


def rng_bit_generator(key: ArrayLike, shape: Sequence[int], dtype: Any = np.uint32,
                      algorithm: Any = RandomAlgorithm.RNG_DEFAULT, *,
                      out_sharding: Any = None) -> tuple[Array, Array]:
    """The generator's next state and random bits of an unsigned dtype.

    `key` is the state: uint32[4] or uint64[2].
    """
    dtype = dtypes.check_user_dtype(dtype, "rng_bit_generator")
    if np.dtype(dtype).name not in ("uint8", "uint16", "uint32", "uint64"):
        raise TypeError(errors.describe(f"rng_bit_generator: unsupported dtype {dtype}",
                                        fix="use uint8, uint16, uint32 or uint64"))
    return tuple(rng_bit_generator_p.bind(
        key, shape=tuple(map(index, shape)), dtype=dtype, algorithm=RandomAlgorithm(algorithm),
        out_sharding=asked(out_sharding, "rng_bit_generator")))


def rng_uniform(a: ArrayLike, b: ArrayLike, shape: Sequence[int]) -> Array:
    """Numbers between the scalars `a` and `b`, of a generator with a hidden state.

    Two calls in one program may or may not give the same numbers.
    """
    return rng_uniform_p.bind(a, b, shape=tuple(map(index, shape)))


_STATES = {("uint32", (4,)), ("uint64", (2,))}


def _rng_bit_generator_shape(key: ShapedArray, *, shape: tuple, dtype: Any, algorithm: Any,
                             out_sharding: Any) -> list[ShapedArray]:
    if (key.dtype.name, key.shape) not in _STATES:
        raise TypeError(errors.describe(
            f"rng_bit_generator takes a state of type uint32[4] or uint64[2], got "
            f"{key.str_short(False)}", fix="use np.zeros(4, np.uint32), or jax.random.key_data"))
    return [key, ShapedArray(shape, np.dtype(dtype))]


def _rng_bit_generator_vmap(axis: Any, args: Values, dims: Sequence[int], *, shape: tuple,
                            **params: Any) -> tuple:
    """All bits from the first state; only that state moves on."""
    keys = materialize(args[0], dims[0], axis.size)
    first = index_in_dim(keys, 0, 0, keepdims=False)
    state, bits = rng_bit_generator_p.bind(first, shape=(axis.size, *shape), **params)
    states = concatenate([materialize(state, None, 1), slice_in_dim(keys, 1, axis.size)], 0)
    return [states, bits], [0, 0]


rng_bit_generator_p = Primitive("rng_bit_generator", shape=_rng_bit_generator_shape,
                                multiple_results=True, vmap=_rng_bit_generator_vmap)


def _rng_uniform_shape(a: ShapedArray, b: ShapedArray, *, shape: tuple) -> ShapedArray:
    fail = None
    if a.dtype != b.dtype:
        fail = f"have identical dtypes, got {a.dtype.name} and {b.dtype.name}."
    elif a.ndim or b.ndim:
        fail = f"be scalars; got shapes {a.shape} and {b.shape}."
    if fail:
        raise ValueError(errors.describe(f"Arguments to rng_uniform must {fail}",
                                         fix="use scalars of one dtype, or jax.random.uniform"))
    return ShapedArray(shape, a.dtype)


rng_uniform_p = Primitive("rng_uniform", shape=_rng_uniform_shape)
