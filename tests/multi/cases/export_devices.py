"""Exported programs that run on several devices."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import export
from minijax.sharding import AbstractMesh, Mesh, NamedSharding
from minijax.sharding import PartitionSpec as P

X = np.arange(64, dtype=np.float32).reshape(16, 4)


@pytest.fixture(scope="module")
def mesh():
    return Mesh(np.array(jax.devices()[:2]), ("x",))


def stored(made, vjp_order=0):
    return export.deserialize(made.serialize(vjp_order=vjp_order))


def test_shardings_of_arguments_and_results(mesh):
    f = jax.jit(lambda x, y: x * 2, in_shardings=(NamedSharding(mesh, P("x", None)), None),
                out_shardings=NamedSharding(mesh, P(None, "x")))
    made = stored(export.export(f)(X, X))
    assert made.nr_devices == 2 and made.in_shardings_hlo[1] is None
    assert made.in_shardings_hlo[0].tile_assignment_dimensions() == [2, 1]
    assert made.out_shardings_hlo[0].tile_assignment_dimensions() == [1, 2]
    other = Mesh(np.array(jax.devices()[4:6]), ("y",))
    x = jax.device_put(X, made.in_shardings_jax(other)[0])
    out = made.call(x, jax.device_put(X, NamedSharding(other, P())))
    np.testing.assert_array_equal(out, 2 * X)
    assert out.addressable_shards[0].index == (slice(None), slice(0, 2))
    assert {s.device for s in out.addressable_shards} == set(other.devices.flat)
    same = made.in_shardings_jax(mesh)
    assert same == (NamedSharding(mesh, P("x", None)), None)


def test_the_number_of_devices_is_checked(mesh):
    f = jax.jit(lambda x: x.sum(), in_shardings=NamedSharding(mesh, P("x")))
    made = export.export(f)(X)
    with pytest.raises(ValueError, match="was exported for 2 devices and is called in a context "
                                         "with 1 devices"):
        made.call(X)
    whole = Mesh(np.array(jax.devices()), ("x",))
    with pytest.raises(ValueError, match="in a context with 8 devices"):
        made.call(jax.device_put(X, NamedSharding(whole, P("x"))))
    one = export.export(jax.jit(lambda x: x.sum(0)))(X)
    np.testing.assert_array_equal(one.call(jax.device_put(X, NamedSharding(whole, P("x")))),
                                  X.sum(0))


def test_derivatives_are_placed_like_arguments(mesh):
    along, across = NamedSharding(mesh, P(None, "x")), NamedSharding(mesh, P("x", None))
    f = jax.jit(lambda x: jnp.sin(x.T), in_shardings=along, out_shardings=across)
    made = stored(export.export(f)(X), vjp_order=2)
    back = made.vjp()
    assert back.nr_devices == back.vjp().nr_devices == 2
    assert back.in_shardings_jax(mesh) == (along, across)
    assert back.out_shardings_jax(mesh) == (along,)
    x, ct = jax.device_put(X, along), jax.device_put(np.ones((4, 16), np.float32), across)
    np.testing.assert_allclose(back.call(x, ct)[0], np.cos(X), rtol=1e-6, atol=1e-6)


def test_manual_programs_of_symbolic_size(mesh):
    @jax.jit
    @jax.shard_map(mesh=mesh, in_specs=P("x", None), out_specs=P("x", None))
    def f(x):
        return jax.lax.ppermute(x, "x", [(0, 1), (1, 0)]) * x

    made = stored(export.export(f)(*export.symbolic_args_specs((X,), ("2*b, c",))))
    out = made.call(jax.device_put(X, NamedSharding(mesh, P())))
    np.testing.assert_allclose(out, np.concatenate([X[8:], X[:8]]) * X, rtol=1e-6)


def test_an_abstract_mesh_is_enough():
    abstract = AbstractMesh((2,), ("x",))
    spec = jax.ShapeDtypeStruct((16, 4), np.float32, sharding=NamedSharding(abstract, P("x", None)))
    made = stored(export.export(jax.jit(lambda x: jax.lax.with_sharding_constraint(
        x @ x.T, NamedSharding(abstract, P(None, "x")))))(spec))
    mesh = Mesh(np.array(jax.devices()[:2]), ("x",))
    out = made.call(jax.device_put(X, NamedSharding(mesh, P("x", None))))
    np.testing.assert_allclose(out, X @ X.T)
    assert out.addressable_shards[1].index == (slice(None), slice(8, 16))
