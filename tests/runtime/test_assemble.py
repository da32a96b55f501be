"""Arrays put together from parts."""

import numpy as np
import pytest

import minijax as jax
from minijax.sharding.single import single_device


def here():
    return single_device(jax.devices()[0])


def test_from_callback():
    indices = []

    def part(index):
        indices.append(index)
        return np.ones((2, 3))

    x = jax.make_array_from_callback((2, 3), here(), part)
    assert x.committed
    assert indices == [(slice(None), slice(None))]
    np.testing.assert_array_equal(x, np.ones((2, 3)))
    x = jax.make_array_from_callback((2, 3), here(), part, dtype=np.int32)
    assert x.dtype == np.int32


def test_from_parts():
    part = jax.device_put(np.ones(3, np.float32))
    x = jax.make_array_from_single_device_arrays((3,), here(), [part])
    assert x.committed
    assert x.unsafe_buffer_pointer() == part.unsafe_buffer_pointer()


@pytest.mark.parametrize(
    ("shape", "count", "text"),
    [
        ((3,), 0, "`dtype` must be provided via the `dtype` argument"),
        ((4,), 1, r"Expected shard shape \(4,\) doesn't match the single device array shape \(3,"),
        ((3,), 2, "Expected 1 per-device arrays .* but got 2"),
    ],
)
def test_parts_that_do_not_fit(shape, count, text):
    parts = [jax.device_put(np.ones(3, np.float32))] * count
    with pytest.raises(ValueError, match=text):
        jax.make_array_from_single_device_arrays(shape, here(), parts)


def test_parts_must_be_given_one_by_one_and_concrete():
    with pytest.raises(TypeError, match="`arrays` argument must be a list or tuple"):
        jax.make_array_from_single_device_arrays((3,), here(), np.ones(3))
    with pytest.raises(ValueError, match="requires a list of concrete arrays"):
        jax.jit(lambda x: jax.make_array_from_single_device_arrays((3,), here(), [x]))(np.ones(3))


def test_from_process_local_data():
    x = jax.make_array_from_process_local_data(here(), np.ones((2, 3)))
    assert x.shape == (2, 3)
    x = jax.make_array_from_process_local_data(here(), np.ones((2, 3)), (2, 3))
    assert x.shape == (2, 3)


def test_keys():
    keys = jax.random.split(jax.random.key(3), 2)
    made = (jax.make_array_from_callback((2,), here(), lambda index: keys[index]),
            jax.make_array_from_callback((2,), here(), lambda index: keys[index], keys.dtype),
            jax.make_array_from_single_device_arrays((2,), here(), [keys]),
            jax.make_array_from_single_device_arrays((), here(), [keys[1]]))
    for found, want in zip(made, (keys, keys, keys, keys[1])):
        assert found.dtype == keys.dtype and found.shape == want.shape
        assert found.sharding == here()
        np.testing.assert_array_equal(jax.random.key_data(found), jax.random.key_data(want))
