"""Arrays on several devices: jit with shardings, constraints, explicit axes, `reshard`."""

import pickle
import warnings

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.core import ShardingTypeError
from minijax.experimental.custom_partitioning import custom_partitioning
from minijax.experimental.layout import Format, Layout
from minijax.experimental.shard_alike import shard_alike
from minijax.sharding import AxisType, auto_axes
from minijax.sharding.named import IndivisibleError
from tests.helpers import assert_close, error_of

P = jax.P
AUTO = jax.make_mesh((4, 2), ("x", "y"), (AxisType.Auto,) * 2)
MESH = jax.make_mesh((4, 2), ("x", "y"))
X = np.arange(32.0, dtype=np.float32).reshape(8, 4)


def put(spec, mesh=MESH):
    return jax.device_put(X, jax.NamedSharding(mesh, spec))


def test_make_mesh():
    assert MESH.axis_types == (AxisType.Explicit,) * 2 and MESH.shape == {"x": 4, "y": 2}
    assert pickle.loads(pickle.dumps(MESH.abstract_mesh)) is MESH.abstract_mesh
    assert jax.make_mesh((8,), "batch").shape == {"batch": 8}
    text = error_of(ValueError, jax.make_mesh, (16,), ("x",))
    assert "Number of devices 8 must be >= the product of mesh_shape (16,)" in text
    text = error_of(ValueError, jax.make_mesh, ((4,), 4), ("x", "y"))
    assert "`axis_shapes` passed to `make_mesh` should be a sequence of ints." in text


@pytest.mark.parametrize("spec", [P(), P("x"), P("y"), P(None, "x"), P("x", "y"), P(("x", "y")),
                                  P(("y", "x"))], ids=str)
def test_device_put_and_back(spec):
    x = put(spec, AUTO)
    assert x.sharding.spec == spec
    assert_close(x, X)
    for shard in x.addressable_shards:
        assert_close(shard.data, X[shard.index])
    assert_close(jax.device_put(x, jax.devices()[5]), X)
    assert_close(jax.device_put(x, jax.NamedSharding(AUTO, P("y", "x"))), X)


def test_jit_with_shardings():
    given, wanted = jax.NamedSharding(AUTO, P("x")), jax.NamedSharding(AUTO, P(None, "y"))
    f = jax.jit(lambda x: x @ x.T, in_shardings=given, out_shardings=wanted)
    out = f(X)
    assert out.sharding == wanted
    assert_close(out, X @ X.T)
    with jax.set_mesh(AUTO):
        assert jax.jit(lambda x: x, out_shardings=P("x"))(X).sharding == given
    inside = jax.jit(lambda x: lax.with_sharding_constraint(x * 2, wanted))
    assert inside(X).sharding.is_equivalent_to(wanted, 2)
    assert_close(jax.grad(lambda x: jnp.sum(inside(x) ** 2))(X), 8 * X)


@pytest.mark.parametrize("call, cls, text", [
    (lambda: jax.jit(lambda x: x, in_shardings=jax.NamedSharding(AUTO, P("x")))(np.ones(7)),
     IndivisibleError, "implies that array axis 0 is partitioned 4 times, but the dimension size"),
    (lambda: jax.jit(lambda x: x, in_shardings=P("x"))(X), RuntimeError,
     "jit requires a non-empty mesh in context"),
    (lambda: jax.device_put(X, P("x")), ValueError, "Please set a mesh via `jax.set_mesh`"),
    (lambda: jax.jit(lambda x, y: x + y)(jax.device_put(X, jax.devices()[1]), put(P())),
     ValueError, "Received incompatible devices for jitted computation. Got argument x of"),
    (lambda: jax.jit(lambda x: lax.with_sharding_constraint(x, jax.NamedSharding(AUTO, P("x"))))(
        jax.device_put(X, jax.devices()[1])), ValueError, "sharding_constraint inside jit with"),
    (lambda: lax.with_sharding_constraint(X, jax.NamedSharding(MESH, P("x"))), ValueError,
     "can only refer to Auto axes of the mesh"),
    (lambda: put(P("x")) + put(P("y")), ShardingTypeError,
     "add got incompatible shardings for broadcasting: ('x', None), ('y', None)"),
    (lambda: put(P("x", "y")) @ put(P("x", "y")).T, ShardingTypeError,
     "Contracting dimensions are sharded and it is ambiguous"),
    (lambda: put(P("x")) @ put(P("x")).T, ShardingTypeError, "illegally sharded result"),
])
def test_errors(call, cls, text):
    assert text in error_of(cls, call)


@pytest.mark.parametrize("f, spec", [
    (lambda x: x + 1, P("x", "y")), (jnp.sin, P("x", "y")), (jnp.transpose, P("y", "x")),
    (lambda x: x.sum(0), P("y")), (lambda x: x.sum(), P()), (lambda x: x[None], P(None, "x", "y")),
    (lambda x: x.reshape(4, 2, 4), P("x", None, "y")), (jnp.argmax, P()),
    (lambda x: jnp.where(x > 0, x, 0), P("x", "y")), (jax.nn.softmax, P("x", "y")),
    (lambda x: jax.reshard(x, P(None, "x")), P(None, "x")),
    (lambda x: jnp.concatenate([x, x]), P("x", "y")),
    (lambda x: lax.broadcast_in_dim(x, (3, 8, 4), (1, 2)), P(None, "x", "y")),
    (lambda x: jnp.einsum("ij,kj->ik", x, x, out_sharding=P("x", None)), P("x", None)),
    (auto_axes(lambda x: x @ x.T, out_sharding=P("x", None)), P("x", None)),
    (jax.grad(lambda x: (x ** 2).sum()), P("x", "y")),
    (jax.vmap(lambda v: v * 2), P("x", "y")),
])
def test_types_of_explicit_axes(f, spec):
    with jax.set_mesh(MESH):
        x = put(P("x", "y"))
        assert "float32[8@x,4@y]" in repr(jax.typeof(x))
        for g in (f, jax.jit(f)):
            out = g(x)
            assert out.sharding.is_equivalent_to(jax.NamedSharding(MESH, spec), out.ndim)
            assert jax.typeof(out).sharding.spec == P(*spec, *[None] * (out.ndim - len(spec)))
        assert jax.eval_shape(f, x).shape == out.shape


def test_values_do_not_depend_on_the_mesh():
    def f(w, x):
        h = jnp.tanh(x @ w)
        return jnp.mean((h - x) ** 2)

    w = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
    expected = jax.value_and_grad(f)(w, X)
    for mesh in (AUTO, MESH):
        found = jax.jit(jax.value_and_grad(f))(
            jax.device_put(w, jax.NamedSharding(mesh, P(None, "y"))),
            jax.device_put(X, jax.NamedSharding(mesh, P("x"))))
        assert_close(found, expected, atol=1e-5)


def test_jaxpr_of_reshard():
    text = str(jax.make_jaxpr(lambda x: jax.reshard(x * 2.0, jax.NamedSharding(MESH, P("y"))))(
        put(P("x"))))
    assert "b:f32[8@x,4] = mul a 2.0:f32[]" in text and "c:f32[8@y,4] = reshard b" in text


def test_custom_partitioning():
    @custom_partitioning
    def f(x):
        return jnp.cumsum(x, axis=1)

    seen = []

    def partition(mesh, arg_shapes, result_shape):
        rows = arg_shapes[0].sharding.spec[0]
        seen.append((mesh, arg_shapes[0].shape, rows))
        split = jax.NamedSharding(mesh, P(rows, None))
        return mesh, lambda x: jnp.cumsum(x, axis=1), split, (split,)

    f.def_partition(partition=partition, sharding_rule="i j -> i j")
    assert_close(f(X), X.cumsum(1))
    out = jax.jit(f)(put(P("x", "y"), AUTO))
    assert_close(out, X.cumsum(1))
    assert seen and seen[-1] == (AUTO, (8, 4), "x")


def test_custom_partitioning_with_defaults():
    f = custom_partitioning(lambda x, scale=2.0: x * scale, static_argnums=(1,))

    def partition(scale, mesh, arg_shapes, result_shape):
        split = jax.NamedSharding(mesh, P(arg_shapes[0].sharding.spec[0], None))
        return mesh, lambda x: x * scale, split, (split,)

    f.def_partition(partition=partition, sharding_rule="i j -> i j")
    assert_close(jax.jit(f)(put(P("x"), AUTO)), X * 2)
    assert_close(f(X, scale=3.0), X * 3)


def test_unreduced():
    with jax.set_mesh(MESH):
        terms = jax.device_put(jnp.arange(8.0), P(unreduced={"x"}))
        assert "float32[8]{U:x}" in repr(jax.typeof(terms))
        assert_close(jax.reshard(terms + terms, P()), 2 * np.arange(8.0))
        assert "unreduced rule for sin" in error_of(NotImplementedError, jnp.sin, terms)


def test_layouts():
    device = jax.sharding.make_single_device_sharding(jax.devices()[0])
    columns = Format(Layout((1, 0)), device)
    x = jax.device_put(X, columns)
    assert x.format.layout.major_to_minor == (1, 0)
    assert_close(x, X)
    f = jax.jit(lambda x: x.T, in_shardings=columns, out_shardings=Format(Layout.AUTO))
    assert_close(f(x), X.T)
    text = error_of(ValueError, f, jax.device_put(X, device))
    assert "Layout passed to jit does not match the layout on the respective arg" in text
    text = error_of(ValueError, f, np.arange(8.0))
    assert "Length of major_to_minor and the rank of the value should match" in text


def test_constants_stay_split():
    table = put(P("x"), AUTO)
    big = jax.device_put(np.tile(X, (64, 8)), jax.NamedSharding(AUTO, P("x")))
    text = jax.jit(lambda: big.sum() + table.sum()).lower().as_text()
    assert '%arg0: tensor<512x32xf32> {sdy.sharding = #sdy.sharding<@mesh, [{"x"}, {}]>}' in text


def test_out_sharding_of_a_ragged_product():
    rows, matrices, sizes = np.ones((8, 4), np.float32), jnp.ones((2, 4, 3)), jnp.array([4, 4])
    with jax.set_mesh(MESH):
        f = lambda x: lax.ragged_dot(x, matrices, sizes, out_sharding=P("x", None))  # noqa: E731
        assert "f32[8@x,3] = ragged_dot_general" in str(jax.make_jaxpr(f)(rows))
        assert_close(jax.jit(f)(rows), np.full((8, 3), 4.0, np.float32))


def test_shard_alike():
    x = put(P("x", "y"), AUTO)
    for fun in (lambda x: shard_alike(x, jnp.arange(32.0).reshape(8, 4))[1],
                lambda x: shard_alike({"a": x}, {"a": x * 0 + X})[1]["a"]):
        out = jax.jit(fun)(x)
        assert out.sharding == x.sharding
        assert_close(out, X)
    assert_close(jax.grad(lambda x: (shard_alike(x, x * 2)[1] * X).sum())(x), 2 * X)
    assert_close(jax.vmap(lambda x, y: shard_alike(x, y)[1], (0, None))(X, X[0]),
                 np.tile(X[0], (8, 1)))
    for y, text in ((X[0], "leaves shapes of `x` and `y` should match"), ([X], "Trees should be")):
        assert text in error_of(ValueError, shard_alike, X, y)


def test_parts_of_arrays_that_do_not_fit():
    mesh = jax.make_mesh((2,), ("x",), (AxisType.Auto,), devices=jax.devices()[:2])
    sharding = jax.NamedSharding(mesh, P("x"))

    def parts(*ids):
        return [jax.device_put(np.ones(4), jax.devices()[i]) for i in ids]
    split = jax.device_put(np.ones(8), sharding)
    for given, text in ((parts(0, 0), "must be from distinct devices"),
                        (parts(1, 2), r"contains devices \{0\} that .* contain devices \{2\}"),
                        ([split, split], r"one shard each. An argument array had 2 shard\(s\)")):
        with pytest.raises(ValueError, match=text):
            jax.make_array_from_single_device_arrays((8,), sharding, given)


def test_a_struct_like_an_array_says_where_only_what_must_be_there_is():
    sharding = jax.NamedSharding(jax.make_mesh((8,), ("x",), (AxisType.Auto,)), P("x"))
    assert jax.ShapeDtypeStruct.like(jnp.arange(8)).sharding is None
    inside = []
    jax.vmap(lambda x: inside.append(jax.ShapeDtypeStruct.like(x)))(X)
    assert inside == [jax.ShapeDtypeStruct((4,), X.dtype)]
    assert jax.ShapeDtypeStruct.like(jax.device_put(np.arange(8), sharding)).sharding == sharding
    struct = jax.ShapeDtypeStruct((8, 4), np.float32, sharding=sharding)
    for make in (lambda: jnp.zeros_like(struct), jax.jit(lambda: jnp.ones_like(struct)),
                 lambda: lax.full_like(struct, 1)):
        assert make().sharding == sharding
    with jax.set_mesh(MESH):
        struct = struct.update(sharding=jax.NamedSharding(MESH.abstract_mesh, P("x")))
        for make in (lambda: jnp.zeros_like(struct), lambda: lax.full_like(struct, 1)):
            assert make().sharding == jax.NamedSharding(MESH, P("x", None))


def test_the_compiler_may_use_donated_parts():
    x = put(P("x"), AUTO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_close(jax.jit(lambda x: x @ x.T, donate_argnums=0)(x), X @ X.T)
    whole = jax.NamedSharding(AUTO, P())
    with pytest.warns(UserWarning, match="Some donated buffers were not usable"):
        jax.jit(lambda x: x * 2, donate_argnums=0, out_shardings=whole)(put(P("x"), AUTO))


@pytest.mark.parametrize("f", [
    jnp.linalg.cholesky, jnp.linalg.qr, jnp.linalg.eigh, jnp.linalg.svd, jnp.linalg.eig,
    lambda a: lax.linalg.lu(a), lambda a: lax.linalg.triangular_solve(a, a),
    lambda a: lax.linalg.schur(a)], ids=range(8))
def test_batches_of_matrices_are_not_gathered(f):
    a = np.eye(3, dtype=np.float32) * 2 + np.ones((8, 3, 3), np.float32) / 9
    f = jax.jit(f)
    x = jax.device_put(a, jax.NamedSharding(AUTO, P("x")))
    assert "all-" not in f.lower(x).compile().as_text()
    for found, wanted in zip(jax.tree.leaves(f(x)), jax.tree.leaves(f(a))):
        assert_close(found, wanted)
