"""Cumulative operations against NumPy, also through their decomposition."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

NUMPY = {"cumsum": np.add, "cumprod": np.multiply, "cummax": np.maximum, "cummin": np.minimum,
         "cumlogsumexp": np.logaddexp}


def close(actual, expected):
    np.testing.assert_allclose(np.asarray(actual), expected, rtol=2e-5, atol=2e-5)


def expected(name, x, axis, reverse):
    turned = np.flip(x, axis) if reverse else x
    out = NUMPY[name].accumulate(turned, axis)
    return np.flip(out, axis) if reverse else out


@pytest.mark.parametrize("name", NUMPY)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
def test_values(name, reverse, size):
    x = np.random.default_rng(size).standard_normal((2, size)).astype(np.float32)
    close(getattr(lax, name)(x, 1, reverse), expected(name, x, 1, reverse))
    decompose = getattr(lax, f"{name}_p").decompose
    close(decompose(x, axis=1, reverse=reverse), expected(name, x, 1, reverse))


def test_other_dtypes():
    x = np.array([3, -1, 2, 5], np.int32)
    np.testing.assert_array_equal(lax.cumsum(x), x.cumsum())
    np.testing.assert_array_equal(lax.cummax(x), [3, 3, 3, 5])
    close(lax.cumprod(x * (1 + 1j)), (x * (1 + 1j)).cumprod())


@pytest.mark.parametrize("name", NUMPY)
def test_errors(name):
    fun = getattr(lax, name)
    with pytest.raises(ValueError, match="XLA operations do not allow negative axes"):
        fun(np.ones(3), -1)
    with pytest.raises(ValueError, match="axis 2 is out of bounds for array of shape"):
        fun(np.ones((3, 2)), 2)
    with pytest.raises(TypeError, match=f"{name} does not accept dtype bool. Accepted dtypes are "
                                        "subtypes of number."):
        fun(np.array([True]))


def test_derivative_of_cumprod_at_zero():
    jacobian = jax.jacrev(lax.cumprod)(np.array([2, 0, 3], np.float32))
    np.testing.assert_array_equal(jacobian, [[1, 0, 0], [0, 2, 0], [0, 6, 0]])


def test_log_sum_exp_at_infinity():
    x = np.array([-np.inf, -np.inf, 1, 2, np.inf, 3], np.float32)
    with np.errstate(invalid="ignore"):
        close(lax.cumlogsumexp(x), np.logaddexp.accumulate(x))
    grad = jax.grad(lambda x: lax.cumlogsumexp(x)[3])(x)
    weights = np.exp(np.array([1, 2]) - np.logaddexp(1, 2))
    close(grad, [0, 0, *weights, 0, 0])


def test_transpose_of_cumsum_runs_backwards():
    grad = jax.grad(lambda x: jnp.sum(lax.cumsum(x) * jnp.arange(3.0)))(np.zeros(3, np.float32))
    np.testing.assert_array_equal(grad, [3, 3, 2])


@pytest.mark.parametrize("name", ["cumsum", "cummax", "cummin", "cumprod"])
@pytest.mark.parametrize("shape, axis", [((120_001,), 0), ((300, 400), 1), ((400, 300), 0),
                                         ((9000, 20), 1), ((7000, 33), 1)])
@pytest.mark.parametrize("reverse", [False, True])
def test_large_arrays(name, shape, axis, reverse):
    """On CPU these are lowered as a prefix, not as windows."""
    x = np.random.default_rng(0).choice([-1, 1], shape).astype(np.float32)
    loop = {"cumsum": np.cumsum, "cumprod": np.cumprod, "cummax": np.maximum.accumulate,
            "cummin": np.minimum.accumulate}[name]
    want = np.flip(loop(np.flip(x, axis), axis), axis) if reverse else loop(x, axis)
    np.testing.assert_array_equal(getattr(lax, name)(x, axis, reverse), want)
