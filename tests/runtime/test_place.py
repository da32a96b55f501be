"""Moving values: device_put and its relatives, without compiling anything."""

import numpy as np
import pytest

import minijax as jax
from minijax import lax
from minijax.core import ShapedArray
from minijax.runtime import place


def test_scalars_get_weak_types():
    for value, dtype in [(1, np.int32), (1.0, np.float32), (1j, np.complex64)]:
        x = jax.device_put(value)
        assert x.weak_type
        assert x.dtype == dtype
    assert not jax.device_put(True).weak_type
    assert not jax.device_put(np.float64(3)).weak_type


def test_commitment():
    here = jax.devices()[0]
    x = jax.device_put(np.arange(3))
    assert not x.committed
    assert jax.device_put(x) is x
    y = jax.device_put(x, here)
    assert y.committed
    assert y is not x
    assert y.unsafe_buffer_pointer() == x.unsafe_buffer_pointer()
    assert jax.device_put(y) is y
    assert jax.device_put(y, here) is y
    assert jax.device_put(1, here).committed
    assert jax.device_put(x, x.sharding).committed
    assert lax.neg(y).committed
    assert not lax.neg(x).committed


def test_trees():
    out = jax.device_put({"a": [1, 2.0], "b": None})
    assert out["b"] is None
    assert [x.dtype for x in out["a"]] == [np.int32, np.float32]
    here = jax.devices()[0]
    first, second = jax.device_put([1, (2, 3)], [None, here])
    assert not first.committed
    assert all(x.committed for x in second)


def test_wrong_prefix():
    with pytest.raises(ValueError, match="device_put device specification must be a tree prefix"):
        jax.device_put([1, 2], [jax.devices()[0]])
    with pytest.raises(ValueError, match=r"(?s)\(2 found\).*device\['a'\].*device\['b'\].*fix:"):
        jax.device_put({"a": 1, "b": 2}, {"a": [None], "b": (None,)})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "Argument 'a' of type <class 'str'> is not a valid JAX type"),
        ({"k": "c"}, "Argument 'c' of type <class 'str'> is not a valid JAX type"),
        (np.array(["a"]), "Dtype <U1 is not a valid JAX array type"),
        (np.array([1], ">i4"), "Dtype >i4 is not a valid JAX array type"),
        (np.array([object()]), "Dtype object is not a valid JAX array type"),
    ],
)
def test_no_arrays(value, text):
    with pytest.raises(TypeError) as error:
        jax.device_put(value)
    assert text in str(error.value)


def test_device_must_be_one():
    with pytest.raises(ValueError, match="Received invalid value: cpu"):
        jax.device_put(1, "cpu")


def test_overflow():
    with pytest.raises(OverflowError, match="Python int 1099511627776 too large to convert to"):
        jax.device_put(2**40)


def test_strides():
    whole = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(jax.device_put(whole[::2, ::-1]), whole[::2, ::-1])
    np.testing.assert_array_equal(jax.device_put(whole.T), whole.T)


def test_may_alias():
    x = jax.device_put(np.ones(3))
    y = jax.device_put(x, may_alias=False)
    assert y.unsafe_buffer_pointer() != x.unsafe_buffer_pointer()
    with pytest.raises(ValueError, match="may_alias and donate cannot be True at the same time"):
        jax.device_put(x, may_alias=True, donate=True)
    np.testing.assert_array_equal(jax.device_put(x, jax.devices()[0], donate=True), np.ones(3))


def test_under_a_trace():
    here = jax.devices()[0]

    def g(x):
        return lax.mul(jax.device_put(x, here), 3.0)

    assert float(jax.jit(g)(2.0)) == 6.0
    assert float(jax.grad(g)(2.0)) == 3.0
    np.testing.assert_array_equal(jax.vmap(g)(np.ones(2, np.float32)), [3.0, 3.0])
    (eqn, _) = jax.make_jaxpr(g)(2.0).eqns
    assert eqn.primitive.name == "device_put"
    assert eqn.params["devices"] == (here,)
    assert eqn.params["srcs"] == (None,)


def test_device_get():
    out = jax.device_get([1, jax.device_put(np.ones(2)), "a", np.float32(2)])
    assert out[0] == 1
    assert out[2] == "a"
    assert isinstance(out[1], np.ndarray)


def test_waiting_accepts_anything():
    x = jax.device_put(np.ones(2))
    assert jax.block_until_ready([1, "a", x])[2] is x
    assert jax.block_until_ready({"a": x, "b": x})["a"] is x
    assert jax.copy_to_host_async([1, x])[1] is x


def test_constants_are_not_compiled(monkeypatch):
    monkeypatch.setattr("minijax.runtime.compile.lowering_package", lambda: pytest.fail("compiles"))
    x = place.asarray_const(np.zeros(3), ShapedArray((3,), np.dtype(np.float32), True))
    assert x.weak_type
    assert x.dtype == np.float32
    assert place.as_array(x) is x
    assert place.as_array(2).weak_type


def test_copy_and_rewrap():
    x = jax.device_put(np.ones(3, np.float32))
    assert place.copy(x).unsafe_buffer_pointer() != x.unsafe_buffer_pointer()
    y = place.rewrap(x, x.aval.update(weak_type=True), committed=True)
    assert y.weak_type
    assert y.committed
    assert y.unsafe_buffer_pointer() == x.unsafe_buffer_pointer()


def test_masked_arrays_are_refused():
    masked = np.ma.masked_array([1.0, 2.0], [False, True])
    for use in (jax.device_put, jax.jit(lambda x: x)):
        with pytest.raises(ValueError, match="numpy masked arrays are not supported as direct"):
            use(masked)


def test_float0_stays_with_numpy():
    nothing = np.zeros(3, jax.float0)
    assert jax.device_put(nothing) is nothing
    assert jax.jit(lambda x: x)(nothing).dtype == jax.float0
    assert jax.jit(lambda x, y: y)(nothing, 2.0) == 2.0
