"""Kinds of memory in types: what moves values there, and what operations make of them."""

import minijax as jax
import minijax.numpy as jnp
import numpy as np
import pytest
from minijax.core import ShapedArray
from minijax.memory import Space
from minijax.sharding import NamedSharding, PartitionSpec as P, SingleDeviceSharding

ON_HOST = SingleDeviceSharding(jax.devices()[0], memory_kind="pinned_host")
X = jnp.arange(1., 4.)


def host(x):
    return jax.device_put(x, Space.Host)


def device(x):
    return jax.device_put(x, Space.Device)


def test_types_say_the_memory():
    aval = ShapedArray((8,), np.float32, memory_space=Space.Host)
    assert aval.str_short(True) == "f32<host>[8]" and str(aval) == "float32<host>[8]"
    assert repr(aval) == "ShapedArray(float32<host>[8])" and aval.memory_space is Space.Host
    plain = ShapedArray((8,), np.float32, memory_space=Space.Device)
    assert plain is ShapedArray((8,), np.float32) and plain.memory_space is Space.Device
    assert plain.update(memory_space=Space.Host) is aval
    assert aval.update(shape=(4,)).memory_space is Space.Host


@pytest.mark.parametrize("where, name", [
    (Space.Host, "f32<host>[3]"), (Space.Any, "f32<any>[3]"), (ON_HOST, "f32<host>[3]"),
    (Space.Device, "f32[3]"), (None, "f32[3]"), (jax.devices()[0], "f32[3]")])
def test_device_put_says_it_in_the_type(where, name):
    moved = jax.make_jaxpr(lambda x: jax.device_put(x, where))(X)
    assert moved.out_avals[0].str_short() == name
    if where is not Space.Any:
        assert jax.typeof(jax.device_put(X, where)).str_short() == name
        assert jax.typeof(jax.device_put(np.ones(3, "f4"), where)).str_short() == name


@pytest.mark.parametrize("fun, name", [
    (lambda x: x * 2., "f32<host>[3]"), (lambda x: x.sum(), "f32<host>[]"),
    (lambda x: x @ x, "f32<host>[]"), (lambda x: x.at[0].set(1.), "f32<host>[3]"),
    (lambda x: jax.device_put(x, jax.devices()[0]), "f32<host>[3]"),
    (lambda x: jax.jit(jnp.sin)(x), "f32<host>[3]"),
    (lambda x: jax.vmap(jnp.sin)(x), "f32<host>[3]"),
    (lambda x: jax.lax.fori_loop(0, 2, lambda i, y: y + 1, x), "f32<host>[3]"),
    (device, "f32[3]"), (jnp.zeros_like, "f32[3]")])
def test_operations_stay_where_their_operands_are(fun, name):
    assert jax.make_jaxpr(lambda x: fun(host(x)))(X).out_avals[0].str_short() == name
    result = jax.jit(fun)(host(X))
    assert result.sharding.memory_kind == ("pinned_host" if "host" in name else "device")
    np.testing.assert_allclose(result, fun(X))


def test_one_operation_has_one_memory():
    for call in (lambda x: host(x) + x, jax.jit(lambda x: host(x) + x),
                 lambda x: jnp.concatenate([x, host(x)]), lambda x: host(x)[x.astype(int)]):
        with pytest.raises(ValueError, match="memory_space of all inputs passed to `.*` must be "
                           r"the same. Got one operand with type: (.|\n)*device_put\(x, jax.mem"):
            call(X)
    with pytest.raises(TypeError, match="the memory spaces do not match"):
        jax.lax.cond(True, host, lambda x: x, X)
    with pytest.raises(TypeError, match="the memory spaces do not match"):
        jax.lax.while_loop(lambda x: x.sum() < 9, host, X)


@pytest.mark.parametrize("transform", [lambda f: f, jax.jit])
def test_derivatives_come_back(transform):
    def f(x):
        return (device(jnp.cos(host(jnp.sin(x)))) ** 2).sum()

    np.testing.assert_allclose(transform(jax.grad(f))(X), jax.grad(
        lambda x: (jnp.cos(jnp.sin(x)) ** 2).sum())(X), rtol=1e-6)
    assert jax.typeof(transform(jax.grad(f))(X)).str_short() == "f32[3]"


@pytest.mark.parametrize("sharding", [
    ON_HOST, NamedSharding(jax.make_mesh((1,), ("x",)), P("x"), memory_kind="pinned_host")])
def test_shardings_of_jit_name_memories(sharding):
    made = jax.jit(lambda x: (x * 2, x + 1), out_shardings=(sharding, None))
    kinds = [x.sharding.memory_kind for x in made(X)]
    assert kinds == ["pinned_host", "device"]
    assert 'mhlo.memory_kind = "pinned_host"' in made.lower(X).as_text()
    taken = jax.jit(lambda x: x + 1, in_shardings=sharding)
    assert taken(jax.device_put(X, sharding)).sharding.memory_kind == "pinned_host"
    np.testing.assert_array_equal(taken(np.asarray(X)), np.asarray(X) + 1)
    compiled = jax.jit(lambda x: x + 1).lower(jax.device_put(X, sharding)).compile()
    assert compiled(jax.device_put(X, sharding)).sharding.memory_kind == "pinned_host"
