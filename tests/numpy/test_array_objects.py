"""Objects that say by `__jax_array__` how they become arrays: taken wherever arrays are.

JAX refuses some of them where a function is compiled as a whole; here none is refused, so these
calls are compared with the same calls on arrays.
"""

import numpy as np
import pytest

import minijax as jax
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
    "array": lambda of: jnp.array([of(COUNTS), (1, 2.5, of(3), of(4))]),
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


class _Variable:
    """Stands for an array and forwards its attributes, as variables of libraries do."""

    def __init__(self, value):
        self.value = value

    def __jax_array__(self):
        return self.value

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.value, dtype)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.value, name)


jax.tree_util.register_pytree_node(_Variable, lambda v: ((v.value,), None),
                                   lambda _, children: _Variable(*children))


@pytest.mark.parametrize("f", [
    jnp.sin, lambda v: jnp.dot(jnp.ones((2, 2)), v), lambda v: jnp.add(jnp.ones((2, 2)), v),
    lambda v: jnp.where(jnp.eye(2, dtype=bool), v, v), jnp.sum, lambda v: jnp.stack([v, v]),
    lambda v: jnp.array([v, v]), lambda v: jnp.einsum("ij,jk", v, v),
    lambda v: jnp.maximum(v, 0.5), jax.nn.softmax,
    lambda v: jnp.linalg.norm(v), lambda v: jnp.ones(2) * v])
def test_variables_that_hold_mapped_and_differentiated_values(f):
    x = jnp.linspace(0.1, 0.9, 12).reshape(3, 2, 2)
    expected = np.stack([f(row) for row in x])
    for batch in (jax.vmap(lambda row: f(_Variable(row))), jax.vmap(jax.jit(
            lambda row: f(_Variable(row))))):
        np.testing.assert_allclose(batch(x), expected, rtol=2e-6)
    out, tangent = jax.jvp(lambda row: f(_Variable(row)), (x[0],), (x[1],))
    np.testing.assert_allclose(out, expected[0], rtol=2e-6)
    np.testing.assert_allclose(tangent, jax.jvp(f, (x[0],), (x[1],))[1], rtol=2e-6)
