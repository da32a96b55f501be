"""Functions with a `vmap` rule of their own, and functions with a transpose of their own."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.custom_batching import custom_vmap, sequential_vmap
from minijax.custom_derivatives import linear_call


def sine_mapped_as_cosine():
    seen = []

    @custom_vmap
    def f(x, y):
        return jnp.sin(x) * y

    @f.def_vmap
    def f_rule(axis_size, in_batched, x, y):
        seen.append((axis_size, list(in_batched)))
        return jnp.cos(x) * y, any(in_batched)
    return f, seen


def test_the_rule_replaces_the_operations():
    f, seen = sine_mapped_as_cosine()
    x = jnp.arange(3.0)
    assert f(1.0, 2.0) == jnp.sin(1.0) * 2
    np.testing.assert_allclose(jax.vmap(f, (0, None))(x, 2.0), np.cos(x) * 2, rtol=1e-6)
    np.testing.assert_allclose(jax.jit(jax.vmap(f, (None, 0)))(1.0, x), np.cos(1.0) * x, rtol=1e-6)
    assert seen == [(3, [True, False]), (3, [False, True])]


def test_forward_mode_differentiates_the_rule():
    f, seen = sine_mapped_as_cosine()
    x, t = jnp.arange(3.0), jnp.ones(3)
    push = lambda x, t: jax.jvp(lambda a: f(a, 2.0), (x,), (t,))  # noqa: E731
    for out, tangent in (jax.vmap(push)(x, t), jax.vmap(push, (0, None))(x, 1.0),
                         jax.jvp(jax.vmap(lambda a: f(a, 2.0)), (x,), (t,))):
        np.testing.assert_allclose(out, 2 * np.cos(x), rtol=1e-6)
        np.testing.assert_allclose(tangent, -2 * np.sin(x), rtol=1e-6, atol=1e-6)
    # Only the primal is mapped, not its tangent: the rule sees nothing mapped, and is mapped.
    assert [False, False] in [marks for _, marks in seen]
    np.testing.assert_allclose(jax.jacfwd(lambda a: f(a, 2.0))(x), -2 * np.diag(np.sin(x)),
                               atol=1e-6)


def test_reverse_mode_asks_for_a_custom_vjp():
    f, _ = sine_mapped_as_cosine()
    with pytest.raises(ValueError, match="Linearization failed to produce known values"):
        jax.grad(f)(1.0, 2.0)


@pytest.mark.parametrize("result, error", [
    (lambda x: (x, (True, False)), "do not match"),
    (lambda x: ([x], [True]), "does not match that of original"),
])
def test_wrong_rules(result, error):
    f = custom_vmap(lambda x: x)
    f.def_vmap(lambda size, batched, x: result(x))
    with pytest.raises(ValueError, match=error):
        jax.vmap(f)(jnp.ones(3))
    with pytest.raises(AttributeError, match="No batching rule defined for custom_vmap function"):
        custom_vmap(lambda x: x)(1.0)


def test_sequential_vmap_is_a_loop():
    f = sequential_vmap(lambda x, y: {"a": x + y["b"]})
    x = jnp.arange(3.0)
    jaxpr = jax.make_jaxpr(jax.vmap(f, (0, None)))(x, {"b": 1.0})
    assert [eqn.primitive.name for eqn in jaxpr.eqns] == ["scan"]
    np.testing.assert_allclose(jax.vmap(f, (0, None))(x, {"b": 1.0})["a"], x + 1)


def divide(x, y):
    return linear_call(lambda r, v: v / r, lambda r, ct: 10 * ct / r, y, x)


def test_linear_call_uses_the_given_transpose():
    assert divide(6.0, 3.0) == 2
    assert jax.jvp(lambda x: divide(x, 2.0), (1.0,), (4.0,))[1] == 2
    assert jax.grad(divide)(1.0, 4.0) == 2.5  # ten times the true one, as the transpose says
    twice = jax.linear_transpose(lambda ct: jax.linear_transpose(
        lambda x: divide(x, 4.0), 1.0)(ct)[0], 1.0)(1.0)[0]
    assert twice == 0.25  # the transpose of the transpose is the function
    x, y = jnp.arange(3.0), jnp.arange(1.0, 4.0)
    np.testing.assert_allclose(jax.vmap(divide)(x, y), x / y)
    np.testing.assert_allclose(jax.vmap(jax.grad(divide), (None, 0))(1.0, y), 10 / y, rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda x: jax.vmap(divide, (None, 0))(x, y).sum())(1.0), (10 / y).sum(),
        rtol=1e-6)


def test_linear_call_is_not_differentiated_by_its_residuals():
    with pytest.raises(NotImplementedError, match="residual arguments"):
        jax.grad(divide, 1)(1.0, 2.0)
