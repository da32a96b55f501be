"""Shapes, joins, borders and edits: as JAX and NumPy do them, also traced."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("manipulation")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


X = np.arange(12.0, dtype=np.float32).reshape(3, 4)
MODES = ["constant", "edge", "linear_ramp", "maximum", "mean", "median", "minimum", "reflect",
         "symmetric", "wrap"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("widths", [1, (2, 0), ((0, 3), (5, 1)), ((7, 8), (0, 9))])
def test_pad_as_numpy(mode, widths):
    np.testing.assert_allclose(jnp.pad(X, widths, mode=mode), np.pad(X, widths, mode=mode),
                               rtol=1e-6)


@pytest.mark.parametrize("mode, options", [
    ("constant", {"constant_values": ((1, 2), (3, 4))}), ("mean", {"stat_length": 2}),
    ("linear_ramp", {"end_values": (5, -4)}), ("reflect", {"reflect_type": "odd"}),
    ("symmetric", {"reflect_type": "odd"}), ("maximum", {"stat_length": ((1, 2), (3, 1))})])
def test_pad_options_as_numpy(mode, options):
    np.testing.assert_allclose(jnp.pad(X, 3, mode=mode, **options),
                               np.pad(X, 3, mode=mode, **options), rtol=1e-6, atol=1e-6)


def test_pad_by_a_function():
    def border(vector, width, axis, options):
        vector[:width[0]] = options["value"]
        vector[vector.size - width[1]:] = options["value"]

    def traced(vector, width, axis, options):
        inside = jnp.arange(vector.size)
        mask = (inside < width[0]) | (inside >= vector.size - width[1])
        return jnp.where(mask, options["value"], vector)

    np.testing.assert_array_equal(jnp.pad(X, 2, traced, value=9), np.pad(X, 2, border, value=9))


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(st.integers(-9, 9), st.sampled_from([None, 0, 1, (0, 1)]))
def test_roll_as_numpy(shift, axis):
    np.testing.assert_array_equal(jnp.roll(X, shift, axis), np.roll(X, shift, axis))
    traced = jax.jit(lambda x, s: jnp.roll(x, s, axis))
    np.testing.assert_array_equal(traced(X, shift), np.roll(X, shift, axis))


@pytest.mark.parametrize("length", [2, 6, 9])
def test_traced_repeats(length):
    counts = jnp.array([2, 0, 4])
    fun = jax.jit(lambda x, n: jnp.repeat(x, n, axis=0, total_repeat_length=length))
    whole = np.repeat(X, counts, axis=0)
    want = np.concatenate([whole, np.repeat(X[-1:], 9, 0)])[:length]
    np.testing.assert_array_equal(fun(X, counts), want)
    with pytest.raises(jax.errors.ConcretizationTypeError, match="total_repeat_length"):
        jax.jit(jnp.repeat)(X, counts)


def test_traced_positions_of_insert_and_delete():
    x = jnp.arange(5)
    np.testing.assert_array_equal(
        jax.jit(lambda i: jnp.insert(x, i, 9))(jnp.array([1, 1, 4])),
        np.insert(np.arange(5), [1, 1, 4], 9))
    delete = jax.jit(lambda i: jnp.delete(x, i, assume_unique_indices=True))
    np.testing.assert_array_equal(delete(jnp.array([3, -5])), [1, 2, 4])
    with pytest.raises(jax.errors.ConcretizationTypeError, match="jnp.delete"):
        jax.jit(lambda i: jnp.delete(x, i))(jnp.array([3, 0]))


def names(fun, *args):
    return [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]


def test_few_operations():
    x = jnp.ones((3, 4))
    assert names(lambda x: jnp.reshape(x, (3, 4)), x) == []
    assert names(lambda x: jnp.moveaxis(x, 0, 0), x) == []
    assert names(lambda x: jnp.stack([x] * 9), x) == ["stack"]
    assert names(lambda x: jnp.concatenate([x] * 9), x) == ["concatenate"]
    assert names(lambda x: jnp.split(x, 2, axis=1), x) == ["split"]
    assert names(jnp.transpose, x) == ["transpose"]
    assert names(lambda x: jnp.repeat(x, 2, axis=0), x) == ["broadcast_in_dim", "reshape"]


@pytest.mark.parametrize("fun", [
    lambda x: jnp.reshape(x, (2, -1)), lambda x: jnp.moveaxis(x, 0, 1),
    lambda x: jnp.concatenate([x, 2 * x]), lambda x: jnp.stack([x, x * x], axis=1),
    lambda x: jnp.split(x, 2, axis=1)[1], lambda x: jnp.tile(x, (2, 1)),
    lambda x: jnp.flip(x, 0), lambda x: jnp.pad(x, 1, mode="reflect"), jnp.rot90,
    lambda x: jnp.broadcast_to(x, (2, 3, 4)), lambda x: jnp.insert(x, 1, 0.0, axis=1)])
def test_derivatives_are_linear_and_batches_agree(fun):
    x, v = jnp.asarray(X), jnp.asarray(X[::-1] / 7)
    out, tangent = jax.jvp(fun, (x,), (v,))
    _, pull = jax.vjp(fun, x)
    ct = jnp.cos(out)
    left, right = jnp.sum(ct * tangent), jnp.sum(pull(ct)[0] * v)
    np.testing.assert_allclose(left, right, rtol=1e-5)
    np.testing.assert_allclose(jax.vmap(fun)(jnp.stack([x, v]))[1], fun(v), rtol=1e-6)
