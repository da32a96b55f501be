"""Arrays from other libraries, buffers and texts."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp


def aligned(count: int) -> np.ndarray:
    """Floats at an address that XLA takes without a copy."""
    raw = np.zeros(4 * count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start:start + 4 * count].view(np.float32)


def test_memory_is_shared_unless_a_copy_is_asked_for():
    x = aligned(16)
    x[:] = np.arange(16)
    assert jnp.from_dlpack(x).unsafe_buffer_pointer() == x.ctypes.data
    assert jnp.from_dlpack(x, copy=False).unsafe_buffer_pointer() == x.ctypes.data
    assert jnp.from_dlpack(x, copy=True).unsafe_buffer_pointer() != x.ctypes.data
    np.testing.assert_array_equal(jnp.from_dlpack(x, copy=True), x)


def test_round_trip():
    x = jnp.arange(6.0).reshape(2, 3)
    back = jnp.from_dlpack(np.from_dlpack(x).copy())
    np.testing.assert_array_equal(back, x)
    assert back.dtype == x.dtype and not back.weak_type
    assert jnp.from_dlpack(x).unsafe_buffer_pointer() == x.unsafe_buffer_pointer()
    np.testing.assert_array_equal(jax.jit(lambda a: a + 1)(back), x + 1)


def test_64_bits_become_32():
    assert jnp.from_dlpack(np.arange(3)).dtype == np.int32
    assert jnp.from_dlpack(np.arange(3.0) * 1j).dtype == np.complex64
    with jax.enable_x64(True):
        assert jnp.from_dlpack(np.arange(3)).dtype == np.int64


def test_a_device_commits():
    device = jax.devices()[0]
    found = jnp.from_dlpack(np.arange(3.0), device=device)
    assert found.committed and found.devices() == {device}


def test_refused():
    with pytest.raises(TypeError, match="must have __dlpack__ and __dlpack_device__ methods"):
        jnp.from_dlpack([1, 2])
    with pytest.raises(ValueError, match="not aligned to 64 bytes"):
        jnp.from_dlpack(aligned(16)[1:3], copy=False)
    with pytest.raises(NotImplementedError, match=r"jnp.fromfile\(\) is not implemented"):
        jnp.fromfile("x")


def test_the_facts_of_ufuncs_are_read_only():
    assert (jnp.add.nin, jnp.add.identity, jnp.negative.nargs) == (2, 0, 1)
    with pytest.raises(AttributeError):
        jnp.add.nin = 3
    assert not hasattr(jax.jit(lambda x: x), "nin")


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array([1, 2], [True, False])
    for call in (jnp.asarray, jnp.sin, lambda m: jnp.add(1, m), jax.jit(lambda m: m)):
        with pytest.raises(ValueError, match="masked arrays are not supported"):
            call(masked)
