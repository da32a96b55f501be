"""Types over explicit mesh axes: how each family of operations splits its results.

The expected specs and errors are those of JAX 0.10.2 for the same programs.
"""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.core import ShardingTypeError
from minijax.sharding import AxisType, auto_axes, explicit_axes
from minijax.sharding.named import DuplicateSpecError

P = jax.P


@pytest.fixture(autouse=True)
def mesh():
    with jax.set_mesh(jax.make_mesh((2, 4), ("x", "y"), (AxisType.Explicit,) * 2)) as mesh:
        yield mesh


def put(shape, *entries, dtype=np.float32):
    values = (np.arange(np.prod(shape, dtype=int)) % 7 + 1).reshape(shape).astype(dtype)
    return jax.device_put(values, P(*entries))


def specs(out):
    return [jax.typeof(x).sharding.spec for x in jax.tree.leaves(out)]


def check(f, expected, *args):
    """The types in a trace, those of the results, and their values."""
    expected = expected if isinstance(expected, list) else [expected]
    seen = []

    def program(*args):
        out = f(*args)
        seen.extend(specs(out))
        return out
    out = jax.jit(program)(*args)
    assert seen == expected
    assert [x.sharding.spec for x in jax.tree.leaves(out)] == expected
    whole = f(*[jax.device_put(np.asarray(a), P()) for a in args])
    for x, y in zip(jax.tree.leaves(out), jax.tree.leaves(whole)):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-5, atol=1e-6)


X, Y = "x", "y"
A = ((8, 4), X, Y)
ROWS = ((8, 4), X, None)
COLUMNS = ((8, 4), None, Y)


@pytest.mark.parametrize("f, expected, args", [
    # elementwise
    (lambda a, b: a + b, P(X, Y), (ROWS, COLUMNS)),
    (lambda a, b: a * b, P(X, Y), (A, ((4,), Y))),
    (lambda a, b: a - b, P(X, Y), (((8, 1), X, None), ((1, 4), None, Y))),
    (lambda a: jnp.sin(a) * 2.0, P(X, Y), (A,)),
    (lambda a: jnp.where(a > 3, a, 0.0), P(X, Y), (A,)),
    (lambda a, b: jnp.where(a > 3, b, 0.0), P(X, Y), (((4,), Y), A)),
    (lambda a: jnp.clip(a, 2, 4), P(X, Y), (A,)),
    # reductions
    (lambda a: a.sum(), P(), (A,)),
    (lambda a: a.sum(1, keepdims=True), P(X, None), (A,)),
    (lambda a: [a.max(1), jnp.argmin(a, 0), jnp.std(a, 0)], [P(X), P(Y), P(Y)], (A,)),
    (lambda a: lax.reduce(a, 0.0, lambda p, q: p + 2 * q, (1,)), P(X), (ROWS,)),
    (lambda a: lax.reduce_xor(a.astype(int), (1,)), P(X), (ROWS,)),
    (lambda a: [jnp.cumsum(a, 1), jnp.sort(a, 1), jax.nn.softmax(a)], [P(X, None)] * 3, (ROWS,)),
    (lambda a: lax.top_k(a, 2), [P(X, None)] * 2, (ROWS,)),
    (lambda a: [jnp.median(a, 1), jnp.quantile(a, jnp.array([0.3, 0.5]), 1)],
     [P(X), P(None, X)], (ROWS,)),
    # products
    (lambda a, b: a @ b, P(X, Y), (ROWS, ((4, 8), None, Y))),
    (lambda a, b: a @ b, P(X, None), (A, ((4, 8), None, None))),
    (lambda a, b: a @ b, P(X, None, Y), (((4, 8, 4), X), ((4, 4, 8), X, None, Y))),
    (lambda a, b: jnp.dot(a, b, out_sharding=P(X)), P(X, None), (A, ((4, 8), Y))),
    (lambda a, b: jnp.einsum("ij,jk->ki", a, b, out_sharding=P(Y, X)), P(Y, X), (A, ((4, 8), Y))),
    (lambda a, b: jnp.einsum("ij,jk->ki", a, b), P(Y, X), (ROWS, ((4, 8), None, Y))),
    (lambda a, b: jnp.outer(a, b), P(X, Y), (((8,), X), ((4,), Y))),
    # shapes
    (lambda a: jnp.reshape(a, (32,)), P((X, Y)), (A,)),
    (lambda a: jnp.reshape(a, (2, 4, 4)), P(X, None, Y), (A,)),
    (lambda a: jnp.reshape(a, (8, 1, 2, 2)), P(X, None, None, None), (ROWS,)),
    (lambda a: a.reshape(-1, 4), P((X, Y), None), (((4, 4, 4), X, Y, None),)),
    (lambda a: jnp.reshape(a, (4, 8), out_sharding=P(X)), P(X, None), (A,)),
    (lambda a: [a.T, a[:, None], jnp.flip(a, 0)], [P(Y, X), P(X, None, Y), P(X, Y)], (A,)),
    (lambda a: jnp.transpose(a, (2, 0, 1)), P(None, X, Y), (((8, 4, 2), X, Y),)),
    (lambda a: jnp.broadcast_to(a, (8, 8, 4)), P(None, X, Y), (A,)),
    (lambda a: jnp.broadcast_to(a, (8, 4), out_sharding=P(X, Y)), P(X, Y), (((1, 4), None, Y),)),
    (lambda a, b: [jnp.concatenate([a, b]), jnp.stack([a, b], 1)],
     [P(X, Y), P(X, None, Y)], (A, A)),
    (lambda a: [jnp.tile(a, (2, 1)), jnp.pad(a, ((1, 1), (0, 0))), jnp.roll(a, 1, 0)],
     [P(None, Y)] * 3, (COLUMNS,)),
    (lambda a: jnp.split(a, 2), [P(X, Y)] * 2, (A,)),
    # indexing
    (lambda a: [a[2:6], a[1], lax.dynamic_slice_in_dim(a, 1, 2, 0)],
     [P(None, Y), P(Y), P(None, Y)], (COLUMNS,)),
    (lambda a, i: [a[i], a.at[i].add(1.0), a.at[i].set(0.0), jnp.take(a, i, 0)],
     [P(None, Y)] * 4, (COLUMNS, ((4,), None, int))),
    (lambda a, i: a[:, i], P(X, None), (ROWS, ((3,), None, int))),
    (lambda a, i: [jnp.take_along_axis(a, i, 1), jax.vmap(lambda a, i: a[i])(a, i)],
     [P(X, None)] * 2, (ROWS, ((8, 2), X, None, int))),
    (lambda a, i: jax.vmap(lambda a, i: a.at[i].add(1.0))(a, i), P(X, None),
     (ROWS, ((8, 2), X, None, int))),
    (lambda a, i: a.at[i].get(out_sharding=P(X, Y)), P(X, Y), (ROWS, ((4,), None, int))),
    (lambda a, i: a.at[:, i].get(out_sharding=P(None, X)), P(None, X), (A, ((4,), None, int))),
    (lambda a, i: a.at[i].set(0.0, out_sharding=P(X, Y)), P(X, Y), (A, ((4,), None, int))),
    # asking, and everything else
    (lambda a: [jax.reshard(a, P(Y, X)), jax.reshard(a, P())], [P(Y, X), P(None, None)], (A,)),
    (lambda a: auto_axes(lambda v: v @ v.T, out_sharding=P(X))(a), P(X, None), (A,)),
    (lambda a: auto_axes(lambda v: jnp.sort(v, 1), axes=Y, out_sharding=P(X, Y))(a), P(X, Y),
     (A,)),
    (lambda a: jnp.percentile(a, 50.0, 0, out_sharding=P(Y)), P(Y), (A,)),
    (lambda a: jnp.bincount(a, length=8, out_sharding=P()), P(None), (((8,), X, int),)),
    (lambda a: jax.ops.segment_max(a, np.arange(8) // 2, 4, out_sharding=P()), P(None),
     (((8,), X),)),
    (lambda a: [jnp.fft.fft(a).real, jnp.zeros_like(a)], [P(X, None)] * 2, (ROWS,)),
    (lambda a: [jnp.full(a.shape, 2.0, out_sharding=P(X)), jnp.asarray(a, out_sharding=P(Y)),
                lax.rng_bit_generator(np.arange(4, dtype=np.uint32), (8, 4), out_sharding=P(X))[1]],
     [P(X, None), P(Y, None), P(X, None)], (A,)),
    (lambda a: lax.broadcast_like(jnp.arange(4.0), a), P(X, Y), (A,)),
    (lambda a, b, c: jnp.einsum("ab,bc,ac->c", a, b, c, out_sharding=P()), P(None),
     (A, ((4, 8), Y), ((8, 8), X))),
    (lambda a: jax.vmap(lambda b: jnp.linalg.solve(jnp.eye(4) + 1, b))(a), P(X, None), (ROWS,)),
    (lambda a: [jnp.linalg.svd(a)[1], jnp.linalg.slogdet(a)[1]], [P(X, None), P(X)],
     (((8, 3, 3), X),)),
    (lambda a: lax.scan(lambda c, v: (c + v, c * v), jnp.zeros_like(a[0]), a),
     [P(Y), P(None, Y)], (COLUMNS,)),
    (lambda a: lax.cond(True, lambda v: v * 2, lambda v: v, a), P(X, Y), (A,)),
    (lambda a: jax.vmap(lambda v: v.sum())(a), P(X), (A,)),
    (lambda a, b: jax.vmap(jnp.matmul, (0, None))(a, b), P(X, None, Y),
     (((8, 4, 4), X), ((4, 4), None, Y))),
])
def test_results_are_split_as_operands_say(f, expected, args):
    made = []
    for shape, *entries in args:
        dtype = np.int32 if entries and entries[-1] is int else np.float32
        made.append(put(shape, *[e for e in entries if e is not int], dtype=dtype))
    check(f, expected, *made)


@pytest.mark.parametrize("f, args", [
    (lambda a: (a ** 2).sum(), (A,)),
    (lambda a, b: jnp.sin(a @ b).sum(), (ROWS, ((4, 8), None, Y))),
    (lambda a, b: jnp.sin(jnp.dot(a, b, out_sharding=P(X))).sum(), (A, ((4, 8), Y))),
    (lambda a, b: jnp.einsum("bij,bjk->bik", a, b).sum(),
     (((8, 4, 4), X), ((8, 4, 4), X, None, Y))),
    (lambda a: jnp.where(a > 3, a, 0.0).sum(), (A,)),
    (lambda a: jnp.clip(a, 2, 4).sum(), (A,)),
    (lambda a, b: (a + b).sum(), (A, ((4,), Y))),
    (lambda a: jax.reshard(jnp.sin(a), P(Y, X)).sum(), (A,)),
    (lambda a: jnp.sin(jnp.reshape(a, (32,))).sum(), (ROWS,)),
    (lambda a: a[jnp.array([0, 2])].sum(), (COLUMNS,)),
    (lambda a: a.at[jnp.array([0, 2])].get(out_sharding=P(X, Y)).sum(), (A,)),
    (lambda a: (a.at[jnp.array([0, 2])].set(0.0, out_sharding=P(X)) ** 2).sum(), (ROWS,)),
    (lambda a: a.at[:, 0].set(0.0).sum(), (ROWS,)),
    (lambda a: auto_axes(lambda v: jnp.sin(v @ v.T), out_sharding=P())(a).sum(), (A,)),
    (lambda a: lax.scan(lambda c, v: (c * v, c), jnp.ones_like(a[0]), a)[0].sum(), (COLUMNS,)),
    (lambda a: jax.vmap(jax.checkpoint(lambda v: jnp.sin(jnp.sin(v)).sum()))(a).sum(), (A,)),
])
@pytest.mark.parametrize("jit", [False, True])
def test_derivatives_are_split_as_arguments(f, args, jit):
    made = [put(*arg) for arg in args]
    gradient = jax.grad(f, tuple(range(len(args))))
    found = (jax.jit(gradient) if jit else gradient)(*made)
    assert specs(found) == [jax.typeof(a).sharding.spec for a in made]
    for x, y in zip(found, gradient(*[jax.device_put(np.asarray(a), P()) for a in made])):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=1e-5, atol=1e-6)


INDICES = ((4,), None)


@pytest.mark.parametrize("f, args, cls, text", [
    (lambda a, b: a + b, (ROWS, ((8, 4), Y)), ShardingTypeError, "incompatible shardings for br"),
    (lambda a, b: a * b, (((8, 8), X), ((8, 8), None, X)), ShardingTypeError,
     "mul operation with inputs: .* produces an illegally sharded result"),
    (lambda a, b: jnp.where(a > 3, a, b), (A, ((8, 4),)), ShardingTypeError,
     "select cases must have the same shardings"),
    (lambda a, b: lax.select(a > 3, b, b), (A, ((8, 4),)), ShardingTypeError,
     "select `which` must be scalar or have the same sharding as cases"),
    (lambda a, b: a @ b, (A, ((4, 8), Y)), ShardingTypeError,
     "Contracting dimensions are sharded and it is ambiguous .*`out_sharding`"),
    (lambda a, b: a @ b, (A, ((4, 8), X)), ShardingTypeError,
     "contracting dimensions to have consistent sharding"),
    (lambda a, b: a @ b, (ROWS, ((4, 8), None, X)), ShardingTypeError, "illegally sharded result"),
    (lambda a: jnp.reshape(a, (32,)), (COLUMNS,), ShardingTypeError, "reshape is not supported"),
    (lambda a, b: jnp.concatenate([a, b]), (A, ((8, 4),)), ShardingTypeError,
     "All operands should have the same sharding"),
    (lambda a: a[1:4], (A,), ShardingTypeError, "slicing on sharded dims where out dim .3."),
    (lambda a: jnp.tile(a, (2, 1)), (A,), ShardingTypeError, "the tiling is non-trivial"),
    (lambda a: jnp.sort(a, 0), (A,), ShardingTypeError, "unsharded along the sorting dimension"),
    (lambda a: lax.top_k(a, 2), (A,), ShardingTypeError, "axis along which to compute the top_k"),
    (lambda a: jnp.cumsum(a, 0), (A,), ShardingTypeError, "unsharded over the axis being reduced"),
    (lambda a, i: a[i.astype(int)], (ROWS, INDICES), ShardingTypeError,
     r"Use `.at\[...\].get\(out_sharding=\)` to provide output PartitionSpec for the gather"),
    (lambda a, i: a[i.astype(int)], (COLUMNS, ((4,), X)), ShardingTypeError, "unambiguously"),
    (lambda a, i: a.at[i.astype(int)].add(1.0), (ROWS, INDICES), ShardingTypeError,
     r"Use `.at\[...\].set/add/mul/...\(out_sharding=\)`"),
    (lambda a, b: lax.dynamic_update_slice(a, b, (0, 0)), (COLUMNS, ((4, 2), X)),
     ShardingTypeError, "operand sharding must be equal to update sharding"),
    (lambda a: lax.scan(lambda c, v: (c, v), 0.0, a), (A,), ValueError,
     "0th dimension of all xs should be replicated"),
    (lambda a: lax.fori_loop(0, 2, lambda i, c: jax.reshard(c, P(Y)), a), (A,), TypeError,
     "carry output must have equal types.*the shardings do not match"),
    (lambda a: lax.cond(True, lambda v: jax.reshard(v, P()), lambda v: v, a), (A,), TypeError,
     "branches must have equal output types"),
    (lambda a, b: jax.vmap(jnp.matmul, (0, None))(a, b), (((8, 4, 4), X), ((4, 4), None, X)),
     ValueError, "Unmapped values passed to vmap cannot be sharded along"),
    (lambda a: lax.with_sharding_constraint(a, P(Y)), (A,), AssertionError, "acts as an assert"),
    (lambda a: jax.reshard(a, P("z")), (A,), ValueError, "z.* is not found in mesh"),
    (lambda a: jax.reshard(a, P(X, X)), (A,), DuplicateSpecError, "duplicate entries for `x`"),
    (lambda a: jax.reshard(a, P(Y)), (((6, 4), X),), ValueError,
     "partitioned 4 times, but does not evenly divide the dimension size 6"),
    (lambda a: jax.reshard(a, P(P.UNCONSTRAINED)), (A,), ValueError, "cannot contain `P.UNCONSTR"),
    (lambda a: auto_axes(jnp.sin)(a), (A,), TypeError, "Missing required keyword.*out_sharding"),
])
def test_what_is_ambiguous_or_impossible(f, args, cls, text):
    with pytest.raises(cls, match=f"(?s){text}"):
        jax.jit(f)(*[put(*arg) for arg in args])


ASKED = [
    lambda a, s: jnp.dot(a, a.T, out_sharding=s),
    lambda a, s: jnp.einsum("ij,kj->ik", a, a, out_sharding=s),
    lambda a, s: jnp.reshape(a, (8, 2, 2), out_sharding=s),
    lambda a, s: lax.reshape(a, (8, 2, 2), out_sharding=s),
    lambda a, s: jnp.broadcast_to(a, (2, 8, 4), out_sharding=s),
    lambda a, s: lax.broadcasted_iota(int, (8, 4), 0, out_sharding=s),
    lambda a, s: a.at[jnp.array([0, 1])].get(out_sharding=s),
    lambda a, s: a.at[jnp.array([0, 1])].set(1.0, out_sharding=s),
    lambda a, s: jnp.zeros((8, 4), out_sharding=s),
    lambda a, s: jnp.full((8, 4), 1.0, out_sharding=s),
    lambda a, s: jnp.arange(8, out_sharding=s),
    lambda a, s: jnp.asarray(a, out_sharding=s),
    lambda a, s: jax.ops.segment_sum(a, np.arange(8), 8, out_sharding=s),
    lambda a, s: jax.random.normal(jax.random.key(0), (8, 4), out_sharding=s),
    lambda a, s: jax.reshard(a, s),
]


@pytest.mark.parametrize("f", ASKED)
@pytest.mark.parametrize("jit", [False, True])
def test_only_explicit_axes_can_be_asked_for(f, jit, mesh):
    auto = mesh.update(axis_types=(AxisType.Auto,) * 2)
    a = jax.device_put(np.ones((8, 4), np.float32), P())
    with jax.set_mesh(auto), pytest.raises(ValueError, match="axis names that are of type Auto"):
        (jax.jit(f, static_argnums=1) if jit else f)(jax.device_put(np.asarray(a), P()), P(X))
    if f is not ASKED[-1]:  # `reshard` may leave the mesh
        with pytest.raises(ValueError, match="Context mesh .* should match the mesh of sharding"):
            (jax.jit(f, static_argnums=1) if jit else f)(a, jax.NamedSharding(auto, P(X)))


def test_axes_that_are_left_to_the_compiler_already(mesh):
    with jax.set_mesh(mesh.update(axis_types=(AxisType.Explicit, AxisType.Auto))):
        x = jax.device_put(np.ones((8, 4), np.float32), P(X))
        out = auto_axes(lambda v: v * 2, axes=Y, out_sharding=P(X, Y))(x)
        assert specs(out) == [P(X, None)] and float(out.sum()) == 64.0


@pytest.mark.parametrize("kinds", [(AxisType.Explicit,) * 2, (AxisType.Explicit, AxisType.Auto)])
def test_types_say_where_results_are(kinds):
    with jax.set_mesh(jax.make_mesh((1, 2), (X, Y), kinds)) as mesh:
        made = jax.jit(lambda: jnp.ones((2, 2), out_sharding=P(X)))()
        assert made.sharding == jax.NamedSharding(mesh, P(X, None))
        given = jax.device_put(np.ones((2, 2), np.float32), P(X))
        assert jax.jit(lambda v: v * 2)(given).sharding == jax.NamedSharding(mesh, P(X, None))


@pytest.mark.parametrize("options, what", [
    ({"out_shardings": P(X)}, "pjit outputs"), ({"in_shardings": P(X, None, Y)}, "pjit arguments")])
def test_a_jit_within_a_program_has_shardings_that_fit(options, what):
    f = jax.jit(lambda v: v.sum(), **options)
    with pytest.raises(ValueError, match=f"One of {what} is incompatible with its sharding"):
        jax.jit(lambda a: f(a))(put(*A))


def test_shardings_over_other_meshes(mesh):
    auto = mesh.update(axis_types=(AxisType.Auto,) * 2)
    asked = jax.NamedSharding(auto, P(X))
    with pytest.raises(ValueError, match="cannot contain axis names that are of type Auto"):
        jax.reshard(np.ones((8, 4)), asked)
    a, b = put(*A), put((4, 8), Y)
    with pytest.raises(ValueError, match="Context mesh .* should match the mesh of sharding"):
        jax.jit(lambda a, b: jnp.dot(a, b, out_sharding=asked))(a, b)


def test_explicit_axes_inside_of_automatic_ones(mesh):
    seen = []

    def inner(x):
        seen.append(jax.typeof(x).sharding.spec)
        return x * 2
    with jax.set_mesh(mesh.update(axis_types=(AxisType.Auto,) * 2)):
        out = jax.jit(lambda x: explicit_axes(inner, in_sharding=P(X, Y))(x))(np.ones((8, 4)))
    assert seen == [P(X, Y)] and float(out.sum()) == 64.0


def test_axes_left_to_the_compiler_stay_split(mesh):
    half = jax.set_mesh(mesh.update(axis_types=(AxisType.Auto,) * 2))
    with half as auto:
        x = jax.device_put(np.ones((8, 8)), P(X, Y))
        f = jax.jit(explicit_axes(lambda y: jnp.sin(y), axes="y", in_sharding=P(None, Y)))
        assert f(x).sharding == jax.NamedSharding(auto, P(X, Y))
        text = f.lower(x).as_text()
    assert '[{?}, {"y", ?}]' in text
    with jax.set_mesh(mesh.update(axis_types=(AxisType.Auto, AxisType.Explicit))):
        text = jax.jit(lambda x: x.sum(1)).lower(jax.device_put(np.ones((8, 8)), P(None, Y)))
    assert '[{?}], replicated={"y"}' in text.as_text()


def test_programs_with_axes_of_another_type_are_transformed(mesh):
    with jax.set_mesh(mesh.update(axis_types=(AxisType.Auto,) * 2)):
        f = jax.jit(lambda x: explicit_axes(lambda y: jnp.sin(y) * y, in_sharding=P(X, Y))(x).sum())
        x = np.ones((4, 8), np.float32)
        for grad in (jax.grad(f), jax.jit(jax.grad(f))):
            np.testing.assert_allclose(np.asarray(grad(x)), np.sin(1) + np.cos(1), rtol=1e-6)
        np.testing.assert_allclose(np.asarray(jax.vmap(f)(np.stack([x, x]))), 32 * np.sin(1),
                                   rtol=1e-6)


def test_a_branch_for_each_element():
    def f(v, i):
        return lax.switch(i, [lambda v, i: v + i, lambda v, i: v * i], v, i)
    index = put((8,), Y, dtype=np.int32)
    for v in (np.float32(2), put((4,), X)):
        out = jax.vmap(f, (None, 0))(v, index)
        rows = [f(np.asarray(v), int(i)) for i in np.asarray(index)]
        np.testing.assert_allclose(np.asarray(out), np.stack(rows))
        assert specs(out) == [P(Y, *jax.typeof(v).sharding.spec)]


def test_indexing_each_element(mesh):
    x, i = put((8, 4), Y), put((8,), Y, dtype=np.int32) % 4
    pick = jax.vmap(lambda x, i: x.at[i].get(out_sharding=P()))
    assert specs(jax.jit(pick)(x, i)) == specs(pick(x, i)) == [P(Y)]
    np.testing.assert_array_equal(np.asarray(pick(x, i)),
                                  np.asarray(x)[np.arange(8), np.asarray(i)])


def test_types_made_by_hand_say_what_types_can():
    mesh = jax.sharding.AbstractMesh((2, 2, 2, 2), tuple("abcd"), (
        AxisType.Explicit, AxisType.Explicit, AxisType.Auto, AxisType.Manual))
    aval = jax.core.ShapedArray((16, 8, 4, 2), np.dtype(np.float32))
    for given, said in ((P(("a", "b", "c"), "d"), P(("a", "b"), None, None, None)),
                        (P(("a", "c"), "b", "d"), P("a", "b", None, None))):
        assert aval.update(sharding=jax.NamedSharding(mesh, given)).sharding.spec == said
    with pytest.raises(ValueError, match="does not evenly divide the dimension size 5"):
        jax.core.ShapedArray((5, 2), np.dtype(int), sharding=jax.NamedSharding(mesh, P("a")))
