"""Objects that say by `__jax_array__` how they become arrays: taken wherever arrays are.

JAX refuses some of them where a function is compiled as a whole; here none is refused, so these
calls are compared with the same calls on arrays.
"""

import numpy as np
import pytest

import minijax.numpy as jnp


class Held:
    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return jnp.asarray(self.value)


VECTOR = np.array([3.0, 1.0, -2.5, 4.0], np.float32)
RISING = np.array([-1.0, 0.5, 2.0, 6.0], np.float32)
COUNTS = np.array([0, 2, 1, 2], np.int32)
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4) ** 2

CALLS = {
    "bincount": lambda of: jnp.bincount(of(COUNTS), of(VECTOR)),
    "clip": lambda of: jnp.clip(of(VECTOR), of(-1.0), of(3)),
    "cov": lambda of: jnp.cov(of(MATRIX), fweights=of(COUNTS), aweights=of(RISING + 2)),
    "delete": lambda of: jnp.delete(of(VECTOR), of(COUNTS)),
    "digitize": lambda of: jnp.digitize(of(VECTOR), of(RISING)),
    "gradient": lambda of: jnp.gradient(of(VECTOR), of(RISING)),
    "histogram": lambda of: jnp.histogram(of(VECTOR), of(RISING), weights=of(VECTOR)),
    "histogramdd": lambda of: jnp.histogramdd(of(MATRIX), 2, weights=of(np.ones(3, np.float32))),
    "interp": lambda of: jnp.interp(of(VECTOR), of(RISING), of(VECTOR)),
    "percentile": lambda of: jnp.percentile(of(VECTOR), of(30)),
    "polyfit": lambda of: jnp.polyfit(of(RISING), of(VECTOR), 1, w=of(RISING)),
    "put": lambda of: jnp.put(of(VECTOR), of(COUNTS), of(RISING), inplace=False),
    "put_along_axis": lambda of: jnp.put_along_axis(
        of(VECTOR), of(COUNTS), of(RISING), 0, inplace=False),
    "repeat": lambda of: jnp.repeat(of(VECTOR), of(COUNTS)),
    "roll": lambda of: jnp.roll(of(VECTOR), of(1)),
    "searchsorted": lambda of: jnp.searchsorted(of(RISING), of(VECTOR)),
    "setxor1d": lambda of: jnp.setxor1d(of(VECTOR), of(RISING)),
    "vander": lambda of: jnp.vander(of(VECTOR)),
}


@pytest.mark.parametrize("name", CALLS)
def test_as_the_array(name):
    found, expected = CALLS[name](Held), CALLS[name](jnp.asarray)
    as_tuple = (lambda out: out if isinstance(out, tuple) else (out,))
    for ours, theirs in zip(as_tuple(found), as_tuple(expected), strict=True):
        np.testing.assert_array_equal(ours, theirs)
