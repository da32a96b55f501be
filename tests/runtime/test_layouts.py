"""Arrays whose last dimension is not the fastest compute the same numbers, wherever they go."""

import copy
import pickle

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.layout import Format, Layout

VALUE = np.arange(12, dtype=np.float32).reshape(3, 4)
COLUMNS, ROWS = Layout((1, 0)), Layout((0, 1))


def columns(value=VALUE):
    """The value with its columns contiguous."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.device_put(value, Format(COLUMNS, here))


@pytest.mark.parametrize("fun", [
    lambda x: x[:, 0], lambda x: x * 2, lambda x: x.T, lambda x: x.sum(1), lambda x: x.reshape(-1),
    lambda x: x @ VALUE.T, lambda x: x.at[0, 1].set(5.), lambda x: jax.grad(
        lambda x: (x * x).sum())(x), lambda x: jax.vmap(jnp.sum)(x), lambda x: x.copy() + 1,
    lambda x: copy.deepcopy(x)[1], lambda x: pickle.loads(pickle.dumps(x))[1],
    lambda x: jnp.asarray(x) + 0, lambda x: jnp.array(x) + 0, lambda x: x.addressable_data(0)[1],
    lambda x: jax.device_put(x, jax.devices()[-1])[1], lambda x: list(x)[1],
    lambda x: jnp.from_dlpack(x) + 0,
])
def test_operations_take_any_order(fun):
    np.testing.assert_array_equal(fun(columns()), fun(jnp.asarray(VALUE)))


def test_one_function_takes_both_orders_in_turn():
    f = jax.jit(lambda x: x[:, 0] * 1)
    for x in (jnp.asarray(VALUE), columns()) * 3:
        np.testing.assert_array_equal(f(x), VALUE[:, 0])


@pytest.mark.parametrize("size", [3, 300])
def test_captured_arrays_in_any_order(size):
    value = np.arange(size * 400, dtype=np.float32).reshape(size, 400)
    captured = columns(value)
    np.testing.assert_array_equal(jax.jit(lambda x: x + captured)(np.float32(1)), value + 1)


def test_compiled_functions_say_which_order_they_want():
    f = jax.jit(lambda x: x[:, 0] * 1)
    rows, of_columns = f.lower(jnp.asarray(VALUE)).compile(), f.lower(columns()).compile()
    np.testing.assert_array_equal(rows(jnp.asarray(VALUE)), VALUE[:, 0])
    np.testing.assert_array_equal(of_columns(columns()), VALUE[:, 0])
    np.testing.assert_array_equal(of_columns(jnp.asarray(VALUE)), VALUE[:, 0])  # may be moved
    with pytest.raises(ValueError, match="compiled for input layouts that disagree") as error:
        rows(columns())
    text = str(error.value)
    assert "Argument x with shape float32[3,4]:\n  Passed layout: Layout(major_to_minor=(1, 0)" \
        in text
    assert f"  Required layout: {ROWS}" in text


def test_the_format_of_a_deleted_array():
    x = jnp.ones((2, 3))
    x.delete()
    with pytest.raises(RuntimeError, match="Array has been deleted with shape=float32"):
        x.format
