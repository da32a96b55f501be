"""jax.nn: values, dtypes and derivatives."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import nn
from tests.data import record_results
from tests.helpers import finite_difference
from tests.numpy import recorded

RECORDED = recorded.load("nn")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


SMOOTH = [nn.sigmoid, nn.softplus, nn.silu, nn.gelu, nn.mish, nn.soft_sign, nn.squareplus,
          nn.log_sigmoid, nn.elu, nn.celu, nn.selu, nn.softmax, nn.log_softmax, nn.logsumexp,
          nn.logmeanexp, nn.standardize]


@pytest.mark.parametrize("fun", SMOOTH, ids=lambda f: f.__name__)
def test_gradient_is_the_slope(fun):
    with jax.enable_x64(True):
        x = jnp.array([0.3, -1.2, 2.0, 0.7])
        weights = jnp.array([1.0, -2.0, 0.5, 3.0])

        def total(x):
            return (fun(x) * weights).sum()

        slopes = [finite_difference(total, x, direction) for direction in np.eye(4)]
        np.testing.assert_allclose(jax.grad(total)(x), slopes, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("fun", [nn.relu, nn.relu6, nn.elu, nn.softplus, nn.silu, nn.gelu,
                                 nn.mish, nn.log_sigmoid, nn.sparse_plus, nn.hard_silu],
                         ids=lambda f: f.__name__)
@pytest.mark.parametrize("x", [-1e4, -80.0, 0.0, 80.0, 1e4])
def test_no_nan_in_values_or_gradients(fun, x):
    assert np.isfinite(fun(jnp.float32(x)))
    assert np.isfinite(jax.grad(fun)(jnp.float32(x)))


def test_softmax_of_large_numbers():
    x = jnp.array([1e4, 1e4, -1e4])
    np.testing.assert_allclose(nn.softmax(x), [0.5, 0.5, 0], atol=1e-7)
    np.testing.assert_allclose(nn.logsumexp(x), 1e4 + np.log(2), rtol=1e-6)


def test_softmax_takes_no_gradient_of_the_maximum():
    names = [eqn.primitive.name for eqn in jax.make_jaxpr(
        jax.grad(lambda x: (nn.softmax(x) ** 2).sum()))(jnp.ones(3)).eqns]
    assert names.count("reduce_max") == 1 and "eq" not in names


def test_relu_under_transformations():
    x = jnp.array([-1.0, 0.0, 2.0])
    np.testing.assert_array_equal(jax.vmap(jax.grad(nn.relu))(x), [0, 0, 1])
    np.testing.assert_array_equal(jax.jit(nn.relu)(x), [0, 0, 2])
    np.testing.assert_array_equal(jax.jacrev(nn.relu)(x), np.diag([0.0, 0.0, 1.0]))


def test_one_hot_rules():
    codes = jax.vmap(lambda i: nn.one_hot(i, 4))(jnp.array([1, 3]))
    np.testing.assert_array_equal(codes, np.eye(4)[[1, 3]])


@pytest.mark.parametrize("init", [
    nn.initializers.zeros, nn.initializers.constant(2.0), nn.initializers.uniform(),
    nn.initializers.normal(), nn.initializers.truncated_normal(),
    nn.initializers.he_normal(), nn.initializers.orthogonal()])
def test_initializers_put_values_where_out_sharding_says(init):
    assert isinstance(init, nn.initializers.Initializer)
    with jax.set_mesh(jax.make_mesh((1,), ("x",))):
        found = init(jax.random.key(0), (4, 3), out_sharding=jax.P("x", None))
    assert str(jax.typeof(found)) == "float32[4@x,3]"


def test_one_hot_needs_a_known_number_of_classes():
    with pytest.raises(jax.errors.ConcretizationTypeError, match="argument `num_classes`"):
        jax.jit(nn.one_hot)(3, 5)


@pytest.mark.parametrize("shape", [(0, 2), (2, 0), (0, 0), (3, 2), (1, 3)])
def test_orthogonal_of_any_shape(shape):
    with jax.numpy_rank_promotion("raise"):
        found = nn.initializers.orthogonal()(jax.random.key(0), shape, jnp.float32)
    assert found.shape == shape
    short = found.T @ found if shape[0] >= shape[1] else found @ found.T
    np.testing.assert_allclose(short, np.eye(min(shape)), atol=1e-5)
