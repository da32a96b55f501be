"""Products over groups of rows against a loop over the groups; derivatives, batches, errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.lax import RaggedDotDimensionNumbers

RNG = np.random.default_rng(0)
SIZES = np.array([3, 0, 2, 1], np.int32)


def rows(x, y, sizes):
    out = np.zeros((x.shape[0], y.shape[2]), x.dtype)
    start = 0
    for group, size in enumerate(sizes):
        out[start:start + size] = x[start:start + size] @ y[group]
        start += size
    return out


def sums(x, y, sizes):
    ends = np.cumsum(sizes)
    return np.stack([x[e - n:e].T @ y[e - n:e] for n, e in zip(sizes, ends)])


def matrices(*shapes):
    return [RNG.standard_normal(s).astype(np.float32) for s in shapes]


def test_rows_of_each_group():
    x, y = matrices((7, 5), (4, 5, 3))
    np.testing.assert_allclose(lax.ragged_dot(x, y, SIZES), rows(x, y, SIZES), atol=1e-5)
    np.testing.assert_allclose(jax.jit(lax.ragged_dot)(x, y, SIZES), rows(x, y, SIZES), atol=1e-5)


def test_sums_over_each_group():
    x, y = matrices((7, 5), (7, 3))
    numbers = RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), [0], [])
    out = lax.ragged_dot_general(x, y, SIZES, numbers)
    np.testing.assert_allclose(out, sums(x, y, SIZES), atol=1e-5)


def test_groups_along_a_batch_dimension_change_nothing():
    x, y = matrices((4, 2, 5), (4, 5, 3))
    numbers = RaggedDotDimensionNumbers((((2,), (1,)), ((0,), (0,))), [0], [])
    out = lax.ragged_dot_general(x, y, np.array([1, 3]), numbers)
    np.testing.assert_allclose(out, x @ y, atol=1e-5)


def test_derivatives_are_products_over_groups():
    x, y, ct = matrices((7, 5), (4, 5, 3), (7, 3))
    dx, dy = jax.vjp(lambda x, y: lax.ragged_dot(x, y, SIZES), x, y)[1](ct)
    np.testing.assert_allclose(dx, rows(ct, y.transpose(0, 2, 1), SIZES), atol=1e-5)
    np.testing.assert_allclose(dy, sums(x, ct, SIZES), atol=1e-5)


def test_vmap_over_sizes_too():
    x, y = matrices((2, 7, 5), (4, 5, 3))
    sizes = np.stack([SIZES, SIZES[::-1]])
    out = jax.vmap(lax.ragged_dot, (0, None, 0))(x, y, sizes)
    np.testing.assert_allclose(out, [rows(a, y, s) for a, s in zip(x, sizes)], atol=1e-5)


def test_result_dtype():
    x, y = matrices((7, 5), (4, 5, 3))
    assert lax.ragged_dot(jnp.bfloat16(x), y, SIZES).dtype == np.float32
    assert lax.ragged_dot(x, y, SIZES, preferred_element_type=jnp.bfloat16).dtype == jnp.bfloat16


@pytest.mark.parametrize("numbers, text", [
    (((((1,), (1,)), ((), ())), [0, 1], [0]), "expects exactly one lhs ragged dimension"),
    (((((1,), (1,)), ((), ())), [3], [0]), "requires lhs ragged dimension numbers to be nonneg"),
    (((((1,), (1,)), ((), ())), [0], [1]), "requires rhs group dimension numbers to be distinct"),
    (((((1,), (1,)), ((), ())), [0], [0, 2]), "requires exactly one rhs group dimension when"),
    (((((1,), (1,)), ((), ())), [1], [0]), "requires zero group dimensions in the rhs when"),
])
def test_errors_in_dimension_numbers(numbers, text):
    x, y = matrices((7, 5), (4, 5, 3))
    with pytest.raises(TypeError, match=text):
        lax.ragged_dot_general(x, y, SIZES, RaggedDotDimensionNumbers(*numbers))


def test_errors_in_group_sizes():
    x, y = matrices((7, 5), (4, 5, 3))
    with pytest.raises(TypeError, match="group_sizes.dtype is subtype of np.integer"):
        lax.ragged_dot(x, y, np.ones(4, np.float32))
    with pytest.raises(TypeError, match="expected rhs group dimension size to be 3, got 4"):
        lax.ragged_dot(x, y, np.ones(3, np.int32))
    with pytest.raises(TypeError, match=r"expected group_sizes to have shape \(2,\), got \(2, 2\)"):
        lax.ragged_dot(x, y, np.ones((2, 2), np.int32))
    with pytest.raises(NotImplementedError, match="Unimplemented group_offset support"):
        lax.ragged_dot(x, y, SIZES, group_offset=np.array([0]))
