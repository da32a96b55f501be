"""Operators and methods of arrays and tracers."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.base.jaxlib import ArrayImpl, PjitFunction
from minijax.core import Tracer
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("methods")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


@pytest.mark.parametrize("text", [t for t in RECORDED if t.startswith("x.")])
def test_the_same_on_tracers(text):
    if "error" in RECORDED[text]:
        return
    names = dict(SCOPE)
    x = names.pop("x")
    found = jax.jit(lambda x: eval(text, {**names, "x": x}))(x)
    for ours, theirs in zip(jax.tree.leaves(found), jax.tree.leaves(eval(text, dict(SCOPE)))):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(np.asarray(ours, np.complex64),
                                   np.asarray(theirs, np.complex64), rtol=1e-5)


def test_operators_are_compiled_functions():
    for name in ("__add__", "__rsub__", "__lt__", "__neg__", "__and__"):
        assert isinstance(ArrayImpl.__dict__[name], PjitFunction)
        assert not isinstance(Tracer.__dict__[name], PjitFunction)


class Other:
    def __add__(self, x):
        return "other + array"

    def __radd__(self, x):
        return "array + other"

    def __eq__(self, x):
        return "equal"


def test_other_classes_get_their_turn():
    x = jnp.arange(3)
    assert x + Other() == "array + other" and Other() + x == "other + array"
    assert (x == Other()) == "equal"
    jax.make_jaxpr(lambda x: (x + Other(), x)[1])(x)
    assert (x == None) is False and (x != "a") is True  # noqa: E711


@pytest.mark.parametrize("operation", [
    lambda x: x + [1], lambda x: [1] * x, lambda x: x * [1], lambda x: x - "a", lambda x: x < None,
    lambda x: x @ {1: 2}])
def test_unsupported_operands(operation):
    with pytest.raises(TypeError, match="not supported between|unsupported operand type"):
        operation(jnp.arange(3))
    with pytest.raises(TypeError, match="not supported between|unsupported operand type"):
        jax.jit(operation)(jnp.arange(3))


def test_numpy_arrays_defer():
    x = jnp.arange(3.0)
    for y in (np.ones(3) + x, np.float64(2) * x, np.ones((2, 3)) @ x, np.ones(3) < x):
        assert isinstance(y, jax.Array)
    assert isinstance(np.add(x, 1), np.ndarray)


def test_arrays_do_not_change():
    x = jnp.arange(3)
    with pytest.raises(TypeError, match=r"immutable.*use x = x.at\[idx\].set\(y\)"):
        x[0] = 1
    with pytest.raises(TypeError, match=r"use x = x.at\[idx\].set\(y\)"):
        jax.jit(lambda x: x.__setitem__(0, 1))(x)
    y = x
    y += 1
    np.testing.assert_array_equal(x, [0, 1, 2])


def test_iteration_and_membership():
    x = jnp.arange(6).reshape(3, 2)
    np.testing.assert_array_equal(jax.jit(lambda x: [2 * row for row in x])(x),
                                  [2 * row for row in x])
    assert 2 in jnp.arange(3) and 5 not in jnp.arange(3)
    with pytest.raises(ValueError, match="search array must be one-dimensional"):
        2 in x
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        jax.jit(lambda x: list(x))(1)


def test_views_as_numpy():
    x = np.arange(8, dtype=np.float32)
    for dtype in ("int32", "int16", "uint8", "complex64"):
        np.testing.assert_array_equal(jnp.asarray(x).view(dtype), x.view(dtype))
    np.testing.assert_array_equal(jnp.arange(300, 303).byteswap(),
                                  np.arange(300, 303, dtype=np.int32).byteswap())
    with pytest.raises(ValueError, match="divisor of the total size"):
        jnp.ones(7, "int8").view("float32")


def test_namespace():
    assert jnp.arange(3).__array_namespace__() is jnp
