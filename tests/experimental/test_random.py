"""Generators with a counter, against draws with the keys that they make."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.random import StatefulPRNG, stateful_rng


def key_number(n, seed=3):
    return jax.random.fold_in(jax.random.key(seed), n)


def test_each_draw_folds_the_counter_into_the_key():
    rng = stateful_rng(3)
    assert rng.key() == key_number(0)
    np.testing.assert_array_equal(rng.uniform(size=4), jax.random.uniform(key_number(1), (4,)))
    np.testing.assert_array_equal(
        rng.normal(1, 2, 4), 1 + 2 * jax.random.normal(key_number(2), (4,)))
    np.testing.assert_array_equal(rng.integers(1, 9, (2, 3)),
                                  jax.random.randint(key_number(3), (2, 3), 1, 9))
    np.testing.assert_array_equal(rng.integers(9), jax.random.randint(key_number(4), (), 0, 9))
    assert (rng.key((2, 3)) == jax.random.split(key_number(5), (2, 3))).all()
    assert rng._counter[...] == 6


def test_parameters_are_arrays_too():
    rng = stateful_rng(0)
    low = np.array([0, 5], np.float32)
    draws = rng.uniform(low, low + 1, (3, 2))
    assert draws.shape == (3, 2) and ((low <= draws) & (draws < low + 1)).all()
    assert rng.random((2,), "float16").dtype == "float16"
    assert rng.integers(np.array([0, 10]), 20).shape == (2,)


def test_the_counter_counts_under_jit():
    draw = jax.jit(lambda rng: rng.uniform())
    rng, other = stateful_rng(3), stateful_rng(3)
    assert [draw(rng), draw(rng)] == [other.uniform(), other.uniform()]


def test_children():
    rng, other = stateful_rng(3), stateful_rng(3)
    children, array = rng.spawn(2), other.split(2)
    assert all(a._base_key == b for a, b in zip(children, array._base_key))
    drawn = jax.vmap(lambda rng, x: x + rng.uniform())(array, jnp.arange(2.0))
    np.testing.assert_array_equal(drawn, [c.uniform() + i for i, c in enumerate(children)])
    with pytest.raises(ValueError, match="cannot operate on split stateful generator"):
        array.uniform()


def test_mistakes():
    with pytest.raises(ValueError, match="Expected base_key to be a typed PRNG key; got"):
        StatefulPRNG(jnp.zeros(2, "uint32"), jax.new_ref(0))
    with pytest.raises(ValueError, match="Expected counter to be a scalar integer ref; got 0"):
        StatefulPRNG(jax.random.key(0), 0)
    with pytest.raises(TypeError, match="When used within transformed code"):
        jax.jit(lambda: stateful_rng().uniform())()
    assert stateful_rng().uniform(size=2).shape == (2,)
