"""Generators of random numbers that remember how many they have drawn, as NumPy's do.

    rng = stateful_rng(0)
    rng.uniform(size=3), rng.uniform(size=3)   # different numbers, also under jit

A generator is a pytree: a key, and a reference to a counter that each draw folds into it.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax import random
from minijax.base import dtypes, errors, tree
from minijax.base.jaxlib import Array
from minijax.core import aval_of, eval_trace, is_ref, state
from minijax.ref import Ref, addupdate, new_ref

__all__ = ["StatefulPRNG", "stateful_rng"]

Size = int | Sequence[int] | None


@tree.register_pytree_node_class
class StatefulPRNG:
    """A stateful generator; made by `stateful_rng`."""

    def __init__(self, _base_key: Array, _counter: Ref):
        if not dtypes.issubdtype(getattr(_base_key, "dtype", None), dtypes.prng_key):
            raise ValueError(errors.describe(
                f"Expected base_key to be a typed PRNG key; got {_base_key}",
                fix="use jax.experimental.random.stateful_rng(seed)"))
        if not is_ref(getattr(_counter, "aval", None)):
            raise ValueError(errors.describe(
                f"Expected counter to be a scalar integer ref; got {_counter}",
                fix="use jax.experimental.random.stateful_rng(seed)"))
        self._base_key = _base_key
        self._counter = _counter

    def tree_flatten(self) -> tuple[tuple, None]:
        """For pytrees."""
        return (self._base_key, self._counter), None

    @classmethod
    def tree_unflatten(cls, aux: None, children: tuple) -> StatefulPRNG:
        """The way back; the children may be anything."""
        made = object.__new__(cls)
        made._base_key, made._counter = children
        return made

    def __repr__(self) -> str:
        return f"StatefulPRNG(_base_key={self._base_key!r}, _counter={self._counter!r})"

    def key(self, shape: int | Sequence[int] = ()) -> Array:
        """A new key, or an array of them.  ValueError for a split generator."""
        if self._base_key.shape:
            raise ValueError(errors.describe(
                "cannot operate on split stateful generator",
                fix="map over it: jax.vmap(lambda rng: rng.uniform())(rng.split(3))"))
        key = random.fold_in(self._base_key, self._counter[...])
        addupdate(self._counter, ..., 1)
        shape = _shape(shape)
        return random.split(key, shape) if shape else key

    def random(self, size: Size = None, dtype: Any = float) -> Array:
        """Uniform numbers from [0, 1)."""
        return self.uniform(size=size, dtype=dtype)

    def uniform(self, low: Any = 0, high: Any = 1, size: Size = None, *,
                dtype: Any = float) -> Array:
        """Uniform numbers from [low, high)."""
        dtype = dtypes.canonicalize_dtype(dtype)
        return random.uniform(self.key(), _common(size, low, high), dtype, minval=low, maxval=high)

    def normal(self, loc: Any = 0, scale: Any = 1, size: Size = None, *,
               dtype: Any = float) -> Array:
        """Normally distributed numbers with the mean `loc` and the standard deviation `scale`."""
        dtype = dtypes.canonicalize_dtype(dtype)
        draws = random.normal(self.key(), _common(size, loc, scale), dtype)
        return jnp.asarray(loc, dtype) + jnp.asarray(scale, dtype) * draws

    def integers(self, low: Any, high: Any = None, size: Size = None, *,
                 dtype: Any = int) -> Array:
        """Uniform integers from [low, high), or from [0, low)."""
        if high is None:
            low, high = 0, low
        return random.randint(self.key(), _common(size, low, high), low, high,
                              dtypes.canonicalize_dtype(dtype))

    def spawn(self, n_children: int) -> list[StatefulPRNG]:
        """A list of new, independent generators."""
        return [StatefulPRNG(key, new_ref(0)) for key in self.key(n_children)]

    def split(self, num: int | Sequence[int]) -> StatefulPRNG:
        """An array of generators in one, to be mapped over with `jax.vmap`."""
        return StatefulPRNG(self.key(num), new_ref(jnp.zeros(_shape(num), int)))


def _shape(size: Size) -> tuple[int, ...]:
    if size is None:
        return ()
    return tuple(size) if isinstance(size, Sequence) else (int(size),)


def _common(size: Size, *params: Any) -> tuple[int, ...]:
    return np.broadcast_shapes(_shape(size), *[aval_of(p).shape for p in params])


def stateful_rng(seed: Any = None, *, impl: Any = None) -> StatefulPRNG:
    """A generator that begins with the integer `seed`, or outside of traces with one by chance."""
    if seed is None:
        if state.trace is not eval_trace:
            raise TypeError(errors.describe(
                "When used within transformed code, jax.experimental.random.stateful_rng() "
                "requires an explicit seed to be set.", fix="stateful_rng(seed)"))
        seed = secrets.randbits(31)
    return StatefulPRNG(random.key(seed, impl=impl), new_ref(0))
