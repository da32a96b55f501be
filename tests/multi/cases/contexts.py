"""Which mesh a program runs on: that of its arguments, of `set_mesh`, of `with mesh:`.

The expected shardings and errors are those of JAX 0.10.2 for the same programs.
"""

import warnings

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.experimental.layout import Format, Layout
from minijax.experimental.pjit import pjit
from minijax.sharding import AxisType
from tests.helpers import assert_close, error_of

P = jax.P
DEVICES = np.array(jax.devices()[:4])
AUTO = jax.sharding.Mesh(DEVICES.reshape(2, 2), ("x", "y"), (AxisType.Auto,) * 2)
BACKWARDS = jax.sharding.Mesh(DEVICES[::-1].reshape(2, 2), ("x", "y"), (AxisType.Auto,) * 2)
EXPLICIT = AUTO.update(axis_types=(AxisType.Explicit,) * 2)
LINE = jax.sharding.Mesh(DEVICES, ("x",), (AxisType.Explicit,))
ONE = jax.sharding.Mesh(DEVICES[:1], ("x",), (AxisType.Auto,))
V = np.arange(8.0, dtype=np.float32)


def over(*entries, mesh=AUTO):
    return jax.NamedSharding(mesh, P(*entries))


def put(*entries, mesh=AUTO):
    return jax.device_put(V, over(*entries, mesh=mesh))


def inner(y):
    return jax.jit(lambda y: y * 2, in_shardings=over("x"), out_shardings=over("y"))(y)


@pytest.mark.parametrize("f, spec", [
    (jax.jit(inner), P("y")),
    (jax.jit(lambda x: inner(x) + 1), P("y")),
    (jax.grad(lambda x: inner(x).sum()), P("x")),
    (jax.jit(lambda x: lax.scan(lambda c, _: (inner(c), None), x, length=1)[0]), P("y")),
    (lambda x: jax.vmap(inner)(jnp.stack([x, x])), P(None, "y")),
    (lambda x: jax.jvp(inner, (x,), (x,))[1], P("y"))], ids=range(6))
def test_a_jit_within_a_program_demands_its_shardings(f, spec):
    out = f(V)
    assert out.sharding.is_equivalent_to(over(*spec), out.ndim)
    text = jax.jit(lambda x: inner(x) + 1).lower(V).as_text()
    assert text.count("sdy.sharding_constraint") == 2


@pytest.mark.parametrize("f, spec", [
    (lambda x: x, P("x")), (lambda x: x * 2, P("x")), (lambda x: x.sum(), P()),
    (lambda x: x.reshape(2, 4), P()), (lambda x: jax.vmap(jnp.sin)(x), P("x"))], ids=range(5))
@pytest.mark.parametrize("jit", [False, True])
def test_a_mesh_of_one_device_stays(f, spec, jit):
    out = (jax.jit(f) if jit else f)(put("x", mesh=ONE))
    assert out.sharding == over(*spec, mesh=ONE) and out.committed
    assert_close(out, f(V))
    with jax.set_mesh(ONE):
        assert jnp.arange(8).sharding == over(mesh=ONE)


def test_results_like_an_argument_have_its_sharding():
    x = put("x", mesh=AUTO).reshape(8, 1)
    x = jax.device_put(x, over("x", None))
    for y in (x, *jax.jit(lambda x: (x, x * 2))(x)):
        assert y.sharding == over("x", None)
    assert jax.jit(lambda x: x[:, 0])(x).sharding == over("x")


@pytest.mark.parametrize("f", [
    lambda x: lax.with_sharding_constraint(x, over("x", mesh=BACKWARDS)),
    jax.jit(lambda x: lax.with_sharding_constraint(x, over("x", mesh=BACKWARDS))),
    jax.jit(lambda x: jax.device_put(x, over("x", mesh=BACKWARDS))),
    jax.jit(lambda x: x, out_shardings=over("x", mesh=BACKWARDS)),
    jax.shard_map(lambda x: x, mesh=BACKWARDS, in_specs=P("x"), out_specs=P("x")),
    lambda x: x + put("x", mesh=BACKWARDS)], ids=range(6))
def test_devices_in_another_order_are_other_devices(f):
    text = error_of(ValueError, f, put())
    assert "Received incompatible devices for jitted computation." in text
    assert "[3, 2, 1, 0]" in text and "[0, 1, 2, 3]" in text
    assert_close(jax.device_put(put("x"), over("x", mesh=BACKWARDS)), V)


@pytest.mark.parametrize("given", [over("y"), over("x", mesh=BACKWARDS), DEVICES[3]],
                         ids=["spec", "order", "device"])
def test_in_shardings_do_not_move_committed_arguments(given):
    f = jax.jit(lambda x: x * 2, in_shardings=over("x"))
    for call in (f, lambda x: f.lower(x).compile()):
        text = error_of(ValueError, call, jax.device_put(V, given))
        assert "Sharding passed to jit does not match the sharding on the respective arg" in text
    assert f(V).sharding == f(put("x")).sharding == over("x")


@pytest.mark.parametrize("f, what", [
    (jax.jit(lambda x: lax.with_sharding_constraint(x, over("x", "y"))),
     "with_sharding_constraint arguments"),
    (jax.jit(lambda v: v, in_shardings=over("x", "y")), "pjit arguments with pytree key path v"),
    (jax.jit(lambda x: {"a": x}, out_shardings=over("x", "y")),
     "pjit outputs with pytree key path result['a']"),
    (lambda x: jax.device_put(x, over("x", "y")), "device_put args"),
    (jax.jit(lambda x: jax.device_put(x, over("x", "y"))), "device_put args"),
    (lambda x: lax.full((4,), 1.0, sharding=over("x", "y")), "full results")], ids=range(6))
def test_shardings_of_too_many_dimensions(f, what):
    text = error_of(ValueError, f, V)
    assert f"One of {what} is incompatible with its sharding annotation NamedSharding(" in text
    assert "rank at least 2, but was applied to a value of rank 1" in text


def test_with_mesh_is_about_pjit_and_constraints_only():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with AUTO:
            assert not jnp.arange(4.0).committed and len((V + jnp.ones(8)).sharding.device_set) == 1
            for kind in ("in_shardings", "out_shardings"):
                text = error_of(RuntimeError, jax.jit(lambda x: x, **{kind: P("x")}), V)
                assert "jit requires a non-empty mesh in context" in text and kind in text
            split = lax.with_sharding_constraint(V, P("x"))
            outs = [pjit(lambda x: x * 2)(V), pjit(lambda x: x, in_shardings=P("x"))(V),
                    pjit(lambda x: x, in_shardings=P("x"), out_shardings=None)(V),
                    jax.jit(lambda x: pjit(lambda y: y, out_shardings=P("y"))(x))(V)]
            error_of(ValueError, jax.device_put, V, P("x"))
    assert [x.sharding for x in (split, *outs)] == [
        over("x"), over(), over("x"), over(), over("y")]
    assert "with_sharding_constraint requires a non-empty mesh" in error_of(
        RuntimeError, lax.with_sharding_constraint, V, P("x"))
    for f in (lambda: jax.reshard(V, P("x")), lambda: jnp.dot(V, V, out_sharding=P("x"))):
        assert "PartitionSpec when you are not under a mesh context" in error_of(ValueError, f)


def test_types_are_those_of_the_mesh_in_context():
    f = jax.jit(lambda x: (lax.broadcasted_iota(np.int32, (4, 4), 0, out_sharding=P("x")),
                           jnp.dot(x, x, out_sharding=P("x"))))
    for mesh in (EXPLICIT, LINE, EXPLICIT):
        with jax.set_mesh(mesh):
            assert [y.sharding for y in f(np.eye(4))] == [over("x", None, mesh=mesh)] * 2
    x = put("x", mesh=EXPLICIT)
    with jax.set_mesh(LINE):
        for g in (lambda x: x * 2, jnp.sum, jax.jit(jnp.sin)):
            text = error_of(ValueError, g, x)
            assert "context mesh AbstractMesh('x': 4" in text and "match the aval mesh" in text
        assert_close(jax.jit(lambda x: x)(x), V)
    assert "Mesh for all inputs should be equal." in error_of(
        ValueError, lambda: x + put("x", mesh=LINE))


@pytest.mark.parametrize("kind", ["unreduced", "reduced"])
def test_terms_are_over_explicit_axes(kind):
    text = error_of(ValueError, jax.NamedSharding, AUTO, P("x", **{kind: {"y"}}))
    assert f"{kind.capitalize()} axes can only refer to mesh axes that are of type `Exp" in text
    text = error_of(ValueError, jax.NamedSharding, EXPLICIT, P("x", **{kind: {"a"}}))
    assert f"{kind.capitalize()} axes a of" in text and "is not found in mesh" in text
    spec = P("x", **{kind: {"y"}})
    assert jax.NamedSharding(EXPLICIT, spec).spec == spec


@pytest.mark.parametrize("subscripts, shapes, asked", [
    ("ab->b", [(4, 2)], P("x")), ("ab->ba", [(4, 2)], P(None, "x")), ("ab->ab", [(4, 2)], P("y")),
    ("ab->b", [(4, 2)], P(None, unreduced={"x"})), ("ab,bc->ca", [(4, 2), (2, 8)], P("y", None)),
    ("bij,bj->jbi", [(4, 2, 2), (4, 2)], P(None, "y", None)),
    ("d,dh,d->h", [(4,), (4, 2), (4,)], P("y", unreduced={"x"})),
    ("d,dh,d->hd", [(4,), (4, 2), (4,)], P("y", "x"))])
@pytest.mark.parametrize("jit", [False, True])
def test_einsum_splits_its_result_alone(subscripts, shapes, asked, jit):
    arrays = [np.arange(np.prod(s), dtype=np.float32).reshape(s) for s in shapes]

    def f(*args):
        return jnp.einsum(subscripts, *args, out_sharding=asked)

    with jax.set_mesh(EXPLICIT):
        out = (jax.jit(f) if jit else f)(*[
            jax.device_put(x, P("x" if asked.unreduced else None)) for x in arrays])
        entries = (*asked.partitions, *[None] * (out.ndim - len(asked)))
        assert out.sharding.spec == asked.update(entries)
        assert_close(jax.reshard(out, P()), np.einsum(subscripts, *arrays))


def test_structs_say_where_and_in_which_order():
    layout = Layout((0, 1))
    x = jax.ShapeDtypeStruct((4, 4), np.float32, sharding=Format(layout, over("x")))
    assert x.sharding == over("x") and x.format == Format(layout, over("x"))
    assert x.update(shape=(2, 2)).format == x.format and x.update(sharding=None).sharding is None
    other = Format(Layout((1, 0)), over("y"))
    assert x.update(sharding=other).format == other
    assert "had a concrete layout" in error_of(ValueError, x.update, sharding=over("y"))
    f = jax.jit(lambda x: x, in_shardings=x.format, out_shardings=x.format)
    assert jax.eval_shape(f, x).format == x.format
    with jax.set_mesh(AUTO):
        assert jax.ShapeDtypeStruct((4,), np.float32, sharding=P("x")).sharding == over("x")
    for sharding in (3, over(None, None, "x"), P(None, None, "x")):
        error_of(ValueError, jax.ShapeDtypeStruct, (4, 4), np.float32, sharding=sharding)


def test_a_struct_with_a_spec_is_over_the_mesh_in_context():
    x = jax.ShapeDtypeStruct((4, 4), np.float32, sharding=P("x"))
    for mesh in (AUTO, LINE):
        with jax.set_mesh(mesh):
            assert x.sharding == x.update(dtype=int).sharding == over("x", mesh=mesh)
            assert x == jax.ShapeDtypeStruct((4, 4), np.float32, sharding=over("x", mesh=mesh))
    for look in (lambda: x.sharding, lambda: x.format, lambda: jax.eval_shape(jnp.sin, x)):
        assert "the context mesh cannot be empty" in error_of(TypeError, look)
    plain = jax.ShapeDtypeStruct((4,), np.float32)
    assert "does not have a value" in error_of(TypeError, jax.jit(jnp.sin), plain)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_programs_over_axes_without_devices(kind):
    mesh = jax.sharding.Mesh(DEVICES, ("x",), (kind,))
    spec = jax.NamedSharding(mesh.abstract_mesh, P("x"))
    struct, there = jax.ShapeDtypeStruct((8,), np.float32, sharding=spec), over("x", mesh=mesh)
    for f in (jax.jit(lambda x: x * 2), jax.jit(lambda x: x * 2, in_shardings=spec)):
        lowered = f.trace(struct).lower(lowering_platforms=("cpu",))
        assert "num_partitions = 4" in lowered.as_text()
        assert "device_assignment cannot be `None`" in error_of(RuntimeError, lowered.compile)
        out = lowered.compile(device_assignment=tuple(DEVICES))(jax.device_put(V, there))
        assert out.sharding == there
        assert_close(out, 2 * V)
    assert "device_assignment cannot be `None`" in error_of(RuntimeError, f, V)
    with jax.set_mesh(mesh):
        assert f.lower(struct).compile()(jax.device_put(V, there)).sharding == there


def test_a_program_with_explicit_axes_runs_operation_by_operation():
    @jax.sharding.explicit_axes(in_sharding=P("x", "y"))
    def gram(y):
        return jnp.einsum("ab,cb->ac", y, y, out_sharding=P("x", None))

    x = V.reshape(4, 2)
    with jax.set_mesh(AUTO):
        program = jax.make_jaxpr(gram)(jax.device_put(x, over("x", "y")))
        out, = jax.core.eval_jaxpr(program.jaxpr, program.consts, jax.device_put(x, over("x")))
    assert_close(out, x @ x.T)
