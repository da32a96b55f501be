"""Static and dynamic slices against NumPy indexing, and what their errors say."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

X = np.arange(20, dtype=np.float32).reshape(4, 5)


def equal(actual, expected):
    np.testing.assert_array_equal(np.asarray(actual), expected)


def test_slice():
    equal(lax.slice(X, (1, 0), (4, 3)), X[1:4, 0:3])
    equal(lax.slice(X, (1, 0), (4, 5), (2, 3)), X[1:4:2, ::3])
    equal(lax.slice_in_dim(X, -3, None, 2), X[-3::2])
    equal(lax.slice_in_dim(X, None, -1, axis=1), X[:, :-1])


@pytest.mark.parametrize("bounds, message", [
    (((0, 0), (5, 5)), "slice limit_indices must be less than or equal to operand shape, got "
                       "limit_indices (5, 5) for operand shape (4, 5)."),
    (((-1, 0), (2, 2)), "slice start_indices must have every element be nonnegative, got (-1, 0)."),
    (((3, 0), (2, 2)), "slice limit_indices must be greater than or equal to start_indices, got "
                       "start_indices (3, 0) and limit_indices (2, 2)."),
    (((0,), (2,)), "slice start_indices must have length equal to the number of dimensions of the "
                   "operand, got indices (0,) for operand shape (4, 5)."),
    (((0, 0.0), (2, 2)), "slice start_indices must have every element be an integer type, got "
                         "(<class 'int'>, <class 'float'>)."),
])
def test_slice_errors(bounds, message):
    with pytest.raises(TypeError) as error:
        lax.slice(X, *bounds)
    text = str(error.value)
    assert text.splitlines()[0] == message
    assert "fix: " in text


def test_index_in_dim():
    equal(lax.index_in_dim(X, -1), X[-1:])
    equal(lax.index_in_dim(X, 2, 1, keepdims=False), X[:, 2])
    with pytest.raises(IndexError, match="index 4 is out of bounds for axis 0 with size 4"):
        lax.index_in_dim(X, 4)


@pytest.mark.parametrize("start", [0, 1, 3, -1, -4, 9, -9])
def test_dynamic_slice_counts_from_the_end_and_clamps(start):
    begin = min(max(start + 4 if start < 0 else start, 0), 2)
    expected = X[begin:begin + 2]
    equal(lax.dynamic_slice(X, (start, 0), (2, 5)), expected)
    equal(jax.jit(lambda i: lax.dynamic_slice_in_dim(X, i, 2))(start), expected)
    equal(jax.jit(lambda i: lax.dynamic_slice(X, i, (2, 5)))(np.array([start, 0])), expected)


def test_negative_starts_can_be_taken_literally():
    piece = lax.dynamic_slice_in_dim(X, np.int32(-1), 2, allow_negative_indices=False)
    equal(piece, X[:2])
    piece = lax.dynamic_slice(X, (-1, -1), (2, 2), allow_negative_indices=(False, True))
    equal(piece, X[:2, 3:])


def test_unsigned_starts_are_not_compared_with_zero():
    jaxpr = jax.make_jaxpr(lambda i: lax.dynamic_slice_in_dim(X, i, 2, 0))(np.uint8(1))
    assert [e.primitive.name for e in jaxpr.eqns] == ["dynamic_slice"]


def test_dynamic_update():
    expected = X.copy()
    expected[2:, 1:3] = 7
    update = np.full((2, 2), 7, np.float32)
    equal(lax.dynamic_update_slice(X, update, (-2, 1)), expected)
    expected = X.copy()
    expected[:, 4] = 1
    equal(lax.dynamic_update_index_in_dim(X, np.ones(4, np.float32), -1, 1), expected)
    equal(lax.dynamic_update_slice_in_dim(X, np.ones((4, 1), np.float32), 9, 1), expected)


@pytest.mark.parametrize("call, kind, message", [
    (lambda: lax.dynamic_slice(X, (0, 0), (2, 9)), TypeError,
     "slice slice_sizes must be less than or equal to operand shape, got slice_sizes (2, 9) for "
     "operand shape (4, 5)."),
    (lambda: lax.dynamic_slice(X, (0,), (2, 2)), ValueError,
     "Length of slice indices must match number of operand dimensions (1 vs (4, 5))"),
    (lambda: lax.dynamic_slice(X, (0, 0.0), (2, 2)), TypeError,
     "index arguments to dynamic_slice must be integers of the same type, got: int32, float32"),
    (lambda: lax.dynamic_update_slice(X, X[:, :2].astype(int), (0, 0)), TypeError,
     "lax.dynamic_update_slice requires arguments to have the same dtypes, got float32, int32."),
    (lambda: lax.dynamic_update_slice(X, np.float32(1), (0, 0)), TypeError,
     "dynamic_update_slice update must have the same rank as operand, got update shape () for "
     "operand shape (4, 5)."),
])
def test_dynamic_errors(call, kind, message):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).splitlines()[0] == message


def test_weak_types():
    weak = jax.ShapeDtypeStruct((4,), np.float32, weak_type=True)
    assert jax.eval_shape(lambda x: lax.slice(x, (0,), (2,)), weak).weak_type
    assert jax.eval_shape(lambda x: lax.dynamic_slice(x, (0,), (2,)), weak).weak_type
    updated = jax.eval_shape(lambda x: lax.dynamic_update_slice(x, x, (0,)), weak)
    assert not updated.weak_type


def test_same_slice_of_each_stays_a_slice_under_vmap():
    batch = np.stack([X, 2 * X])
    fun = jax.vmap(lambda x: lax.dynamic_slice(x, (1, -2), (2, 2)))
    assert [e.primitive.name for e in jax.make_jaxpr(fun)(batch).eqns] == ["dynamic_slice"]
    equal(fun(batch), batch[:, 1:3, 3:])


def test_a_slice_of_its_own_for_each():
    batch = np.stack([X, 2 * X])
    starts = np.array([-1, 1])
    picked = jax.vmap(lambda x, i: lax.dynamic_slice(x, (i, 0), (1, 5)))(batch, starts)
    equal(picked, np.stack([batch[0, 3:4], batch[1, 1:2]]))
    updated = jax.vmap(lambda x, i: lax.dynamic_update_slice(x, X[:1], (i, 0)))(batch, starts)
    expected = batch.copy()
    expected[0, 3] = expected[1, 1] = X[0]
    equal(updated, expected)


def test_gradient_of_a_clamped_slice():
    grad = jax.grad(lambda x: jnp.sum(lax.dynamic_slice(x, (9, 1), (2, 2)) ** 2))(X)
    expected = np.zeros_like(X)
    expected[2:, 1:3] = 2 * X[2:, 1:3]
    equal(grad, expected)
