"""jax.ops: reductions over segments, compared with loops of NumPy."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

RNG = np.random.default_rng(0)
RULES = {"sum": (np.add, 0), "prod": (np.multiply, 1), "max": (np.maximum, -np.inf),
         "min": (np.minimum, np.inf)}
DATA = RNG.normal(size=(7, 2)).astype(np.float32)
IDS = np.array([3, 0, 3, 5, 0, 3, -1])  # -1 is never a segment, 5 only of eight


def expected(name, size):
    op, empty = RULES[name]
    out = np.full((size, *DATA.shape[1:]), empty, np.float32)
    for row, i in zip(DATA, IDS):
        if 0 <= i < size:
            out[i] = op(out[i], row)
    return out


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("bucket_size", [None, 2, 10])
@pytest.mark.parametrize("size", [4, 8])
def test_values(name, bucket_size, size):
    fun = getattr(jax.ops, f"segment_{name}")
    out = fun(DATA, IDS, size, bucket_size=bucket_size)
    np.testing.assert_allclose(out, expected(name, size), rtol=1e-6)
    traced = jax.jit(fun, static_argnums=2)(DATA, IDS, size)
    np.testing.assert_allclose(traced, expected(name, size), rtol=1e-6)


def test_the_default_number_of_segments_is_the_largest_id_plus_one():
    assert jax.ops.segment_sum(jnp.ones(3), jnp.array([0, 4, 1])).shape == (5,)
    assert jax.ops.segment_max(jnp.ones(1), jnp.array([-7])).shape == (0,)
    message = r"segment_sum\(\) `num_segments` argument."
    with pytest.raises(jax.errors.ConcretizationTypeError, match=message):
        jax.jit(jax.ops.segment_sum)(jnp.ones(3), jnp.arange(3))


@pytest.mark.parametrize("dtype,low,high", [
    ("int8", -128, 127), ("uint16", 0, 65535), ("bfloat16", -np.inf, np.inf),
    ("bool", False, True)])
def test_empty_segments_hold_the_neutral_element(dtype, low, high):
    x, ids = jnp.ones(1, dtype), jnp.array([1])
    assert jax.ops.segment_max(x, ids, 2).tolist() == [low, 1]
    assert jax.ops.segment_min(x, ids, 2).tolist() == [high, 1]
    assert jax.ops.segment_max(x, ids, 2).dtype == dtype


def test_modes_and_promises():
    x, ids = jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 1, 7])
    assert jax.ops.segment_sum(x, ids, 2).tolist() == [1, 2]
    assert jax.ops.segment_sum(x, ids, 2, mode="clip").tolist() == [1, 6]
    eqn = jax.make_jaxpr(lambda x, i: jax.ops.segment_sum(
        x, i, 9, indices_are_sorted=True, unique_indices=True))(x, ids).eqns[-1]
    assert eqn.primitive.name == "scatter-add"
    assert eqn.params["indices_are_sorted"] and eqn.params["unique_indices"]


def test_transformations():
    x, ids = jnp.array([1.0, 2.0, 4.0]), jnp.array([0, 1, 1])
    weights = jnp.array([3.0, 5.0])
    gradient = jax.grad(lambda x: jax.ops.segment_sum(x, ids, 2) @ weights)(x)
    np.testing.assert_array_equal(gradient, [3, 5, 5])
    largest = jax.grad(lambda x: jax.ops.segment_max(x, ids, 2) @ weights)(x)
    np.testing.assert_array_equal(largest, [3, 0, 5])
    rows = jax.vmap(lambda x, i: jax.ops.segment_sum(x, i, 2))(
        jnp.stack([x, x]), jnp.stack([ids, 1 - ids]))
    np.testing.assert_array_equal(rows, [[1, 6], [6, 1]])


def test_mistakes():
    x = jnp.ones(3)
    with pytest.raises(ValueError, match="num_segments must be non-negative."):
        jax.ops.segment_sum(x, jnp.arange(3), num_segments=-1)
    with pytest.raises(TypeError, match="segment_sum requires ndarray or scalar arguments"):
        jax.ops.segment_sum(x, [0, 1, 2])
    with pytest.raises(ValueError, match='Unknown gather mode "nearest"'):
        jax.ops.segment_sum(x, jnp.arange(3), mode="nearest")
    with pytest.raises(ValueError, match="Incompatible types for broadcasting"):
        jax.ops.segment_sum(x, jnp.arange(2))
