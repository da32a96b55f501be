"""Reductions: values as JAX's, accumulation in half precision, derivatives."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("reductions")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


def test_half_precision_is_summed_in_single():
    x = jnp.full(4096, 1.0, jnp.bfloat16)
    assert jnp.sum(x) == 4096 and jnp.mean(x) == 1
    names = [e.params.get("new_dtype") for e in jax.make_jaxpr(jnp.sum)(x).eqns]
    assert names == [np.dtype("float32"), None, x.dtype]
    assert len(jax.make_jaxpr(lambda x: jnp.sum(x, dtype=jnp.bfloat16))(x).eqns) == 1


@pytest.mark.parametrize("fun", [jnp.sum, jnp.roll, jnp.expand_dims, jax.nn.softmax])
def test_traced_axes_are_refused(fun):
    args = (1,) if fun is jnp.roll else ()
    with pytest.raises(jax.errors.ConcretizationTypeError, match="The axis must be known."):
        jax.jit(lambda x, axis: fun(x, *args, axis))(jnp.ones((2, 3)), 0)


@pytest.mark.parametrize("fun, want", [
    (jnp.sum, [1, 1, 1, 1]),
    (jnp.mean, [0.25] * 4),
    (jnp.max, [0, 0, 0.5, 0.5]),
    (jnp.var, [-0.625, -0.125, 0.375, 0.375]),
    (lambda x: jnp.sum(x, where=x > 2), [0, 0, 1, 1]),
    (lambda x: jnp.cumsum(x)[-2], [1, 1, 1, 0]),
    (lambda x: jnp.prod(x), [18, 9, 6, 6]),
    (lambda x: jnp.average(x, weights=jnp.arange(4.0)), [0, 1 / 6, 1 / 3, 0.5]),
])
def test_derivatives(fun, want):
    np.testing.assert_allclose(jax.grad(fun)(jnp.array([1.0, 2.0, 3.0, 3.0])), want, atol=1e-6)


@pytest.mark.parametrize("fun", [jnp.nansum, jnp.nanmean, jnp.nanvar, jnp.nanstd, jnp.nanmax])
def test_derivatives_do_not_see_nans(fun):
    x = jnp.array([1.0, jnp.nan, 3.0, 4.0])
    grad = np.asarray(jax.grad(fun)(x))
    assert grad[1] == 0 and not np.isnan(grad).any()
    plain = getattr(jnp, fun.__name__.removeprefix("nan"))
    np.testing.assert_allclose(grad[[0, 2, 3]], jax.grad(plain)(x[jnp.array([0, 2, 3])]),
                               rtol=1e-6)


def test_one_dispatch_and_few_operations():
    x = jnp.ones((3, 4))
    for fun, want in [(jnp.sum, ["reduce_sum"]), (jnp.max, ["reduce_max"]),
                      (jnp.mean, ["reduce_sum", "div"]), (jnp.cumsum, ["reshape", "cumsum"]),
                      (jnp.argmax, ["reshape", "argmax"])]:
        assert [e.primitive.name for e in jax.make_jaxpr(fun)(x).eqns] == want
        assert [e.primitive.name for e in jax.make_jaxpr(lambda x: fun(x, axis=1))(x).eqns] == [
            name for name in want if name != "reshape"]


@pytest.mark.parametrize("name", ["sum", "prod", "max", "mean", "var", "any", "argmin", "cumsum"])
def test_vmap_is_an_axis_less(name):
    x = jnp.arange(24.0).reshape(2, 3, 4) % 5
    fun = getattr(jnp, name)
    want = np.stack([np.asarray(fun(row, axis=0)) for row in x])
    np.testing.assert_allclose(jax.vmap(lambda row: fun(row, axis=0))(x), want, rtol=1e-6)
