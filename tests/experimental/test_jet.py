"""Taylor series against known derivatives."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.jet import fact, jet, jet2


def test_derivatives_of_sin():
    with jax.enable_x64(True):
        value, terms = jet(jnp.sin, (0.3,), ((1.0, 0.0, 0.0),))
    np.testing.assert_allclose([value, *terms],
                               [np.sin(0.3), np.cos(0.3), -np.sin(0.3), -np.cos(0.3)])


def test_chain_rule_for_second_derivatives():
    x, first, second = np.array([0.5, 1.5]), np.array([2.0, -1.0]), np.array([0.3, 0.7])
    with jax.enable_x64(True):
        _, (one, two) = jet(lambda x, y: x ** 3 * y, (x, 2.0), ([first, second], [1.0, 0.0]))
    np.testing.assert_allclose(one, 3 * x ** 2 * first * 2 + x ** 3)
    np.testing.assert_allclose(
        two, 2 * (6 * x * first ** 2 + 3 * x ** 2 * second) + 2 * 3 * x ** 2 * first)


def test_plain_coefficients():
    value, terms = jet2(jnp.exp, (0.0,), ((1.0, 0.0, 0.0),))
    np.testing.assert_allclose(terms, [1, 1 / 2, 1 / 6], rtol=1e-6)
    assert value == 1 and fact(4).weak_type
    np.testing.assert_allclose(fact(4), 24, rtol=1e-5)


def test_trees_integers_and_inner_derivatives():
    value, terms = jet(lambda x, n: {"n": n + 1, "x": jax.grad(lambda y: x * y ** 2)(x)},
                       (2.0, 3), ((1.0, 0.0), (0, 0)))
    assert value == {"n": 4, "x": 8.0}
    assert terms == {"n": [0, 0], "x": [8.0, 4.0]}


def test_mistakes():
    with pytest.raises(ValueError, match="jet terms have inconsistent lengths"):
        jet(jnp.add, (1.0, 2.0), ((1.0,), (1.0, 0.0)))
    with pytest.raises(ValueError, match="primal value at position 0 is not an array"):
        jet(jnp.sin, ([1.0],), ((1.0,),))
