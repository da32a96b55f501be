"""Sorting and top_k against NumPy: several keys, NaN and zeros, derivatives, errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

X = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)


def equal(actual, expected):
    np.testing.assert_array_equal(np.asarray(actual), expected)


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint8", "bool", "complex64"])
@pytest.mark.parametrize("dimension", [0, 1, -1])
def test_values(dtype, dimension):
    x = np.abs(3 * X).astype(dtype) if dtype == "uint8" else (3 * X).astype(dtype)
    equal(lax.sort(x, dimension), np.sort(x, dimension))
    order = np.argsort(x, dimension, kind="stable")
    positions = np.indices(x.shape)[dimension]
    keys, values = lax.sort_key_val(x, positions, dimension)
    equal(keys, np.sort(x, dimension))
    equal(values, order)


def test_nan_comes_last_and_zeros_are_equal():
    x = np.array([np.nan, 0.0, -0.0, -np.inf, np.nan, np.inf], np.float32)
    values, order = lax.sort_key_val(x, np.arange(6))
    equal(values, [-np.inf, 0, 0, np.inf, np.nan, np.nan])
    equal(order, [3, 1, 2, 5, 0, 4])


def test_several_keys():
    first, second = np.array([1, 0, 1, 0]), np.array([3.0, 2, 1, 2])
    third = np.arange(4)
    out = lax.sort((first, second, third), num_keys=2)
    assert isinstance(out, tuple)
    equal(out[0], [0, 0, 1, 1])
    equal(out[1], [2, 2, 1, 3])
    equal(out[2], [1, 3, 2, 0])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_top_k(axis, k):
    values, indices = lax.top_k(X, k, axis=axis)
    order = np.flip(np.argsort(X, axis), axis).take(np.arange(k), axis)
    equal(indices, order)
    equal(values, np.take_along_axis(X, order, axis))
    assert indices.dtype == np.int32


@pytest.mark.parametrize("call, kind, message", [
    (lambda: lax.sort((X, X[:2])), TypeError,
     "Arguments to sort must have equal shapes, got: (4, 5) (2, 5)"),
    (lambda: lax.sort(()), TypeError, "Sort requires at least one operand"),
    (lambda: lax.sort((X,), num_keys=2), ValueError,
     "num_keys=2 must be between 1 and len(operand)=1"),
    (lambda: lax.sort(X, 3), ValueError, "axis 3 is out of bounds for array of dimension 2"),
    (lambda: lax.top_k(X, 7), ValueError,
     "k argument to top_k must be no larger than size along axis; got k=7 with shape=[4, 5] and "
     "axis=1"),
    (lambda: lax.top_k(X, -1), ValueError, "k argument to top_k must be nonnegative, got -1"),
    (lambda: lax.top_k(X + 1j, 1), ValueError, "top_k is not compatible with complex inputs."),
])
def test_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).splitlines()[0] == message


def test_gradients_go_back_to_where_the_elements_were():
    weights = np.arange(20, dtype=np.float32).reshape(4, 5)
    grad = jax.grad(lambda x: jnp.sum(lax.sort(x) * weights))(X)
    expected = np.zeros_like(X)
    np.put_along_axis(expected, np.argsort(X, 1), weights, 1)
    equal(grad, expected)
    grad = jax.grad(lambda x: jnp.sum(lax.top_k(x, 2, axis=0)[0]))(X)
    equal(grad, (np.argsort(np.argsort(-X, 0), 0) < 2).astype(np.float32))


def test_operands_that_only_follow_have_derivatives_too():
    keys = np.array([3, 1, 2], np.int32)
    out, tangent = jax.jvp(lambda v: lax.sort_key_val(keys, v)[1], (X[0, :3],), (X[1, :3],))
    equal(out, X[0, [1, 2, 0]])
    equal(tangent, X[1, [1, 2, 0]])


def test_weak_types():
    weak = jax.ShapeDtypeStruct((4,), np.float32, weak_type=True)
    strong = jax.ShapeDtypeStruct((4,), np.float32)
    outs = jax.eval_shape(lambda x, y: lax.sort((x, y)), weak, strong)
    assert [o.weak_type for o in outs] == [True, False]


def test_approximate_extremes():
    values, indices = lax.approx_max_k(X, 2)
    for actual, expected in zip((values, indices), lax.top_k(X, 2)):
        equal(actual, expected)
    values, indices = lax.approx_min_k(X, 2, reduction_dimension=0)
    equal(values, np.sort(X, 0)[:2])
    grad = jax.grad(lambda x: jnp.sum(lax.approx_max_k(x, 1)[0]))(X)
    equal(grad, X == X.max(1, keepdims=True))
    with pytest.raises(ValueError, match="operand must be a floating type"):
        lax.approx_max_k(np.arange(4), 2)
    with pytest.raises(ValueError, match="k must be smaller than the size of reduction_dim 5"):
        lax.approx_max_k(X, 9)


def test_top_k_of_more_elements_than_int32_can_number():
    big = jax.ShapeDtypeStruct((2 ** 31 + 1,), np.float16)
    with pytest.raises(ValueError, match="top_k returns int32 indices, which will overflow"):
        jax.eval_shape(lambda x: lax.top_k(x, 2), big)
