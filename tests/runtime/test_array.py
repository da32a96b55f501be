"""The concrete array: attributes, printing, conversions, copies, exchange with NumPy."""

import copy
import operator
import pickle
import re

import numpy as np
import pytest

import minijax as jax
from minijax.base import dtypes
from minijax.runtime import place


def array(value, dtype=None, weak=False):
    x = place.from_value(np.asarray(value, dtype))
    return place.rewrap(x, x.aval.update(weak_type=True)) if weak else x


# What JAX 0.10.2 prints for the same arrays.
PRINTED = [
    (array([0.0, 1.0, 2.0]), "Array([0., 1., 2.], dtype=float32)", "[0. 1. 2.]"),
    (array(2.5), "Array(2.5, dtype=float32)", "2.5"),
    (array(3, np.int32), "Array(3, dtype=int32)", "3"),
    (array(True), "Array(True, dtype=bool)", "True"),
    (array(1.0, weak=True), "Array(1., dtype=float32, weak_type=True)", "1.0"),
    (array(2, dtypes.bfloat16), "Array(2, dtype=bfloat16)", "2"),
    (
        array(1 + 2j, weak=True),
        "Array(1.+2.j, dtype=complex64, weak_type=True)",
        "(1+2j)",
    ),
    (array(np.arange(15.0)), "Array([ 0.,  1.,  2.,  3.,  4.,  5.,  6.,  7.,  8.,  9., 10., 11., "
     "12.,\n       13., 14.], dtype=float32)",
     "[ 0.  1.  2.  3.  4.  5.  6.  7.  8.  9. 10. 11. 12. 13. 14.]"),
    (array(np.full((1, 11), 0.5)), "Array([[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, "
     "0.5]],      dtype=float32)", "[[0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5 0.5]]"),
    (array(np.zeros((0, 3))), "Array([], shape=(0, 3), dtype=float32)", "[]"),
    (array([True, False]), "Array([ True, False], dtype=bool)", "[ True False]"),
    (array([0, 1, 2], np.int8), "Array([0, 1, 2], dtype=int8)", "[0 1 2]"),
    (array([1.5, np.nan, np.inf]), "Array([1.5, nan, inf], dtype=float32)", "[1.5 nan inf]"),
    (array([1e-10, 1e10]), "Array([1.e-10, 1.e+10], dtype=float32)", "[1.e-10 1.e+10]"),
    (array([0, 1, 2], dtypes.float8_e4m3fn), "Array([0, 1, 2], dtype=float8_e4m3fn)", "[0 1 2]"),
    (
        array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        "Array([[0., 1., 2.],\n       [3., 4., 5.]], dtype=float32)",
        "[[0. 1. 2.]\n [3. 4. 5.]]",
    ),
    (
        array(np.arange(2000.0)),
        "Array([0.000e+00, 1.000e+00, 2.000e+00, ..., 1.997e+03, 1.998e+03,\n"
        "       1.999e+03], dtype=float32)",
        "[0.000e+00 1.000e+00 2.000e+00 ... 1.997e+03 1.998e+03 1.999e+03]",
    ),
]


@pytest.mark.parametrize(("x", "shown", "text"), PRINTED, ids=lambda v: str(type(v).__name__))
def test_printing(x, shown, text):
    assert repr(x) == shown
    assert str(x) == text
    assert f"{x}" == (text if x.dtype != dtypes.bfloat16 else "2.0")


def test_format_of_scalars():
    assert f"{array(2.5):.2f}" == "2.50"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{array([1.0]):.2f}"


def test_attributes():
    x = array(np.ones((2, 3)))
    assert (x.shape, x.ndim, x.size, x.dtype) == ((2, 3), 2, 6, np.float32)
    assert (x.itemsize, x.nbytes, x.weak_type, x.committed) == (4, 24, False, False)
    assert x.devices() == {jax.devices()[0]}
    assert x.device == jax.devices()[0]
    assert x.is_fully_addressable
    assert x.is_fully_replicated
    assert x.sharding.device_set == {jax.devices()[0]}
    assert x.on_device_size_in_bytes() == 24
    assert x.format.layout.major_to_minor == (0, 1)
    assert isinstance(x, jax.Array)


def test_shards():
    x = array([1.0, 2.0])
    (shard,) = x.addressable_shards
    assert shard.device == jax.devices()[0]
    assert shard.index == (slice(None),)
    assert shard.replica_id == 0
    np.testing.assert_array_equal(shard.data, [1.0, 2.0])
    np.testing.assert_array_equal(x.addressable_data(0), [1.0, 2.0])
    assert repr(shard) == (
        "Shard(device=CpuDevice(id=0), index=(slice(None, None, None),), replica_id=0, "
        "data=[1. 2.])"
    )
    assert len(x.global_shards) == 1


def test_python_scalars():
    assert float(array(2.5)) == 2.5
    assert int(array(2.5)) == 2
    assert complex(array(1 + 2j)) == 1 + 2j
    assert bool(array([0.0])) is False
    assert bool(array(3)) is True
    assert operator.index(array(3)) == 3
    assert hex(array(255)) == "0xff"
    assert [10, 20, 30][array(1)] == 20
    assert float(array(2, dtypes.bfloat16)) == 2.0
    assert operator.index(array(3, dtypes.int4)) == 3


@pytest.mark.parametrize("convert", [int, float, complex])
def test_only_rank_zero_becomes_a_scalar(convert):
    with pytest.raises(TypeError, match=re.escape("got arr.ndim=1")):
        convert(array([1.0]))


def test_complex_is_no_real():
    with pytest.raises(TypeError, match="not 'complex'"):
        float(array(1 + 2j))
    with pytest.raises(TypeError, match="not 'complex'"):
        int(array(1 + 2j))


@pytest.mark.parametrize("x", [array(1.0), array(True), array([1])], ids=str)
def test_only_integers_are_indices(x):
    with pytest.raises(TypeError, match="Only integer scalar arrays"):
        operator.index(x)


def test_truth_of_several_elements():
    with pytest.raises(ValueError, match="more than one element is ambiguous"):
        bool(array([1.0, 2.0]))
    with pytest.raises(ValueError, match="empty array is ambiguous"):
        bool(array([]))


def test_len_and_iteration():
    assert len(array([1.0, 2.0])) == 2
    rows = list(array([[1, 2], [3, 4]], weak=True))
    assert [r.shape for r in rows] == [(2,), (2,)]
    assert all(r.weak_type for r in rows)
    np.testing.assert_array_equal(rows[1], [3, 4])
    with pytest.raises(TypeError, match=re.escape("len() of unsized object")):
        len(array(1))
    with pytest.raises(TypeError, match="iteration over a 0-d array"):
        iter(array(1))


def test_rows_are_committed_like_the_whole():
    x = jax.device_put(np.ones((2, 2)), jax.devices()[0])
    assert all(row.committed for row in x)


def test_not_hashable():
    with pytest.raises(TypeError, match="unhashable type"):
        hash(array(1))


def test_items():
    x = array([[1.0, 2.0], [3.0, 4.0]])
    assert x.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert x.item(1) == x.item(0, 1) == x.item((0, 1)) == 2.0
    assert array(3).item() == 3
    assert isinstance(array(3).item(), int)
    with pytest.raises(ValueError, match="can only convert an array of size 1"):
        x.item()
    assert array([1], np.int8).tobytes() == b"\x01"


def test_no_assignment():
    with pytest.raises(TypeError, match=r"use x = x.at\[idx\].set\(y\)"):
        array([1.0])[0] = 2.0


def test_old_attributes_explain_themselves():
    with pytest.raises(AttributeError, match="Use arr.addressable_data"):
        _ = array(1).device_buffer
    with pytest.raises(NotImplementedError, match="consider arr.flatten"):
        _ = array(1).flat
    with pytest.raises(AttributeError, match="only defined for GPU"):
        _ = array(1).__cuda_array_interface__


def test_numpy_view_is_read_only_and_not_a_copy():
    x = array(np.arange(100.0))
    view = np.asarray(x)
    assert not view.flags.writeable
    assert view.ctypes.data == x.unsafe_buffer_pointer()
    assert np.array(x).flags.writeable
    assert np.asarray(x, dtype=np.int32).dtype == np.int32
    assert np.asarray(array(2, dtypes.bfloat16)).dtype == dtypes.bfloat16


def test_memory_of_the_user_is_never_shared():
    # 64-byte alignment is what makes zero-copy possible in the runtime.
    raw = np.zeros(1024 + 16, np.float32)
    start = (-raw.ctypes.data % 64) // 4
    mine = raw[start : start + 1024]
    x = jax.device_put(mine)
    mine[:] = 1.0
    np.testing.assert_array_equal(x, np.zeros(1024))


def test_pickle_keeps_weak_type():
    x = pickle.loads(pickle.dumps(array(1.5, weak=True)))
    assert x.weak_type
    assert float(x) == 1.5
    assert pickle.loads(pickle.dumps(array([1, 2], dtypes.int4))).dtype == dtypes.int4


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_copies_have_their_own_buffer(copied):
    x = array([1.0, 2.0], weak=True)
    y = copied(x)
    assert y.weak_type
    assert y.unsafe_buffer_pointer() != x.unsafe_buffer_pointer()
    x.delete()
    np.testing.assert_array_equal(y, [1.0, 2.0])


def test_dlpack_to_numpy():
    x = array([1.0, 2.0])
    y = np.from_dlpack(x)
    np.testing.assert_array_equal(y, [1.0, 2.0])
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match="cannot export"):
        x.__dlpack__(dl_device=(2, 0))


@pytest.mark.parametrize(
    "use",
    [repr, str, np.asarray, list, jax.device_get, copy.copy, float, lambda x: x.tolist(),
     lambda x: x.devices(), lambda x: x.addressable_shards, lambda x: x.copy_to_host_async(),
     lambda x: jax.device_put(x, jax.devices()[0]), lambda x: jax.lax.neg(x), jax.jit(lambda x: x)],
)
def test_deleted(use):
    x = array([1.0, 2.0]) if use is not float else array(1.0)
    x.delete()
    assert x.is_deleted()
    assert x.dtype == np.float32
    with pytest.raises(RuntimeError, match=r"Array has been deleted with shape=float32\["):
        use(x)


def test_64_bit():
    with jax.config._state("jax_enable_x64")(True):
        x = array([1.0, 2.0])
        assert x.dtype == np.float64
        assert repr(x) == "Array([1., 2.], dtype=float64)"
    y = array(np.arange(3))
    assert y.dtype == np.int32
    assert y.nbytes == 12


def test_to_device():
    x = array([1.0]).to_device(jax.devices()[0])
    assert x.committed
    with pytest.raises(NotImplementedError):
        x.to_device(jax.devices()[0], stream=1)
