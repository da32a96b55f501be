"""`shard_map`: values, collectives, derivatives, vmap, and its errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.sharding import AxisType
from tests.helpers import assert_close, error_of

P = jax.P
MESH = jax.make_mesh((4, 2), ("x", "y"), (AxisType.Auto,) * 2)
X = np.arange(32.0, dtype=np.float32).reshape(8, 4)
BLOCKS = X.reshape(4, 2, 2, 2).transpose(0, 2, 1, 3)  # [x, y] is the block of device (x, y)


def mapped(f, in_specs=P("x", "y"), out_specs=P("x", "y"), **options):
    return jax.shard_map(f, mesh=MESH, in_specs=in_specs, out_specs=out_specs, **options)


def joined(blocks):
    """Blocks [x, y] put together along both dimensions."""
    return np.concatenate([np.concatenate(list(row), 1) for row in blocks], 0)


CHECKS = pytest.mark.parametrize("check_vma", [True, False])


@CHECKS
@pytest.mark.parametrize("jit", [True, False])
def test_collectives(check_vma, jit):
    def f(x):
        return (lax.psum(x, "x"), lax.pmax(x, ("x", "y")), lax.ppermute(x, "x", [(0, 1), (1, 2)]),
                lax.all_gather(x, "y", axis=1, tiled=True), lax.psum_scatter(x, "y", tiled=True),
                lax.all_to_all(x, "y", 1, 0, tiled=True), x + lax.axis_index(("x", "y")))

    specs = (P(None, "y"), P(), P("x", "y"), P("x", "y"), P(("x", "y")), P(("x", "y")),
             P("x", "y"))
    g = mapped(f, out_specs=specs, check_vma=check_vma)
    total, top, moved, gathered, scattered, exchanged, shifted = (jax.jit(g) if jit else g)(X)
    assert_close(total, joined(BLOCKS.sum(0, keepdims=True)))
    assert_close(top, BLOCKS.max((0, 1)))
    sent = np.zeros_like(BLOCKS)
    sent[1:3] = BLOCKS[:2]
    assert_close(moved, joined(sent))
    assert_close(gathered, np.concatenate([X.reshape(4, 2, 4)] * 2, 2).reshape(8, 8))
    assert_close(scattered, X.reshape(8, 2, 2).sum(1))
    assert_close(exchanged, np.concatenate([np.concatenate(list(row), 0)[:, [i]]
                                            for row in BLOCKS for i in range(2)]))
    index = np.arange(8).reshape(4, 2)
    assert_close(shifted, joined(BLOCKS + index[:, :, None, None]))


def test_groups_and_broadcasts():
    def f(x):
        pairs = [[0, 1], [2, 3]]
        return (lax.psum(x, "x", axis_index_groups=pairs),
                lax.all_gather(x, "x", axis_index_groups=pairs),
                lax.pbroadcast(x, "x", 2), lax.pshuffle(x, "x", [3, 2, 1, 0]))

    x = np.arange(4.0, dtype=np.float32)
    outs = mapped(f, P("x"), (P("x"), P("x"), P("x"), P("x")), check_vma=False)(x)
    expected = ([1.0, 1, 5, 5], [0.0, 1, 0, 1, 2, 3, 2, 3], [2.0] * 4, [3.0, 2, 1, 0])
    for out, values in zip(outs, expected):
        assert_close(out.ravel(), np.array(values))


@CHECKS
def test_derivatives_agree_with_one_device(check_vma):
    def local(w, x):
        return lax.psum(jnp.sum(jnp.sin(w * x) ** 2), ("x", "y"))

    f = mapped(local, (P(), P("x", "y")), P(), check_vma=check_vma)

    def whole(w, x):
        return jnp.sum(jnp.sin(w * x) ** 2)

    for g, h in ((jax.grad(f, (0, 1)), jax.grad(whole, (0, 1))),
                 (jax.jit(jax.grad(f, (0, 1))), jax.grad(whole, (0, 1))),
                 (lambda w, x: jax.jvp(f, (w, x), (1.0, x)),
                  lambda w, x: jax.jvp(whole, (w, x), (1.0, x))),
                 (jax.grad(jax.grad(f)), jax.grad(jax.grad(whole)))):
        assert_close(g(0.3, X), h(0.3, X), rtol=2e-5, atol=2e-3)


def test_gradients_inside_sum_over_devices_exactly_where_types_say():
    def inside(w, x):
        return jax.grad(lambda w: jnp.sum(w * x))(w)

    assert_close(mapped(inside, (P(), P("x", "y")), P())(1.0, X), X.sum())
    text = str(jax.make_jaxpr(mapped(inside, (P(), P("x", "y")), P()))(1.0, X))
    assert "psum_invariant[axes=('x', 'y')]" in text
    own = mapped(lambda w, x: inside(w, x)[None], (P(), P("x", "y")), P(("x", "y")),
                 check_vma=False)
    assert_close(own(1.0, X), BLOCKS.sum((2, 3)).ravel())


@CHECKS
def test_control_flow(check_vma):
    def f(x):
        def step(carry, _):
            return lax.ppermute(carry, "x", [(i, (i + 1) % 4) for i in range(4)]) + 1, None

        moved, _ = lax.scan(step, x, None, length=4)
        chosen = lax.cond(lax.axis_index("x") == 0, lambda: moved, lambda: jnp.zeros_like(moved))
        return lax.while_loop(lambda v: v.max() < 40.0, lambda v: v + 1.0, chosen)

    out = mapped(f, check_vma=check_vma)(X)
    expected = np.zeros(BLOCKS.shape)
    expected[0] = BLOCKS[0] + 4
    for block in expected.reshape(8, 2, 2):
        block += max(0.0, 40.0 - block.max())
    assert_close(out, joined(expected))


def test_vmap_around_and_inside():
    f = mapped(lambda x: x - lax.pmean(x, "x"), P("x"), P("x"))
    xs = np.arange(24.0, dtype=np.float32).reshape(3, 8)
    expected = np.stack([joined((b := x.reshape(4, 1, 2, 1)) - b.mean(0))[:, 0] for x in xs])
    assert_close(jax.vmap(f)(xs), expected)
    assert_close(jax.vmap(f, in_axes=1, out_axes=1)(xs.T), expected.T)
    both = mapped(jax.vmap(lambda v: v / lax.psum(v, ("x", "i")), axis_name="i"), P("x"), P("x"))
    x = np.arange(1.0, 9.0, dtype=np.float32)
    assert_close(both(x), x / x.sum())


def test_partial_and_nested():
    def inner(x):
        return x * lax.axis_size("y") + lax.axis_index("y")

    def outer(x):
        return jax.shard_map(inner, in_specs=P(None, "y"), out_specs=P(None, "y"),
                             axis_names={"y"})(x) + lax.axis_index("x")

    f = mapped(outer, P("x"), P("x"), axis_names={"x"})
    rows, columns = np.arange(8)[:, None] // 2, np.arange(4)[None] // 2
    assert_close(jax.jit(f)(X), X * 2 + rows + columns)


def test_values_from_outside_and_keys():
    offset = jnp.arange(3.0)
    assert_close(mapped(lambda x: x + offset[1])(X), X + 1)
    keys = jax.random.split(jax.random.key(0), 4)
    draws = mapped(lambda k: jax.random.normal(k[0], (1, 3)), P("x"), P("x"))(keys)
    assert_close(draws, np.stack([jax.random.normal(k, (3,)) for k in keys]))


def test_groups_of_different_sizes():
    groups = [[0, 1], [2, 3, 4, 5, 6, 7]]
    x = np.arange(8.0, dtype=np.float32)
    for reduce, whole in ((lax.psum, np.sum), (lax.pmax, np.max)):
        out = jax.pmap(lambda x: reduce(x, "i", axis_index_groups=groups), "i")(x)
        assert_close(out, np.repeat([whole(x[:2]), whole(x[2:])], [2, 6]))
    for function in (lax.all_gather, lax.pmean):
        text = error_of(ValueError, jax.pmap(
            lambda x: function(x, "i", axis_index_groups=groups), "i"), x)
        assert "axis_index_groups must all have the same size" in text


def test_types_within_leave_nothing_to_the_compiler():
    mesh = jax.make_mesh((4, 2), ("x", "y"), (AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        x = jax.device_put(np.ones((8, 4)), P("x", "y"))
        f = jax.jit(jax.shard_map(lambda x: x * x, out_specs=P("x", None), axis_names={"x"}))
        assert f(x).sharding.spec == P("x", "y")
        assert '<@mesh, [{}, {"y"}]> : tensor<2x4xf32>' in f.lower(x).as_text()


def test_results_are_where_the_specs_say():
    out = mapped(lambda x: x)(X)
    assert out.sharding == jax.NamedSharding(MESH, P("x", "y"))
    assert out.addressable_shards[3].data.shape == (2, 2)
    assert_close(out.addressable_shards[3].data, BLOCKS[1, 1])


def test_jaxpr_and_program():
    f = mapped(lambda x: lax.psum(x * 2.0, "x"), out_specs=P(None, "y"))
    assert "{V:y} = psum_invariant[axes=('x',)]" in str(jax.make_jaxpr(f)(X))
    text = jax.jit(f).lower(X).as_text()
    assert 'sdy.mesh @mesh = <["x"=4, "y"=2]>' in text
    assert 'sdy.manual_computation' in text and 'manual_axes={"x", "y"}' in text
    assert "replica_groups = dense<[[0, 2, 4, 6], [1, 3, 5, 7]]>" in text


@pytest.mark.parametrize("call, cls, text", [
    (lambda: mapped(lambda x: x, P("x"), P("x"))(np.ones(7)), ValueError,
     "but 4 does not evenly divide 7"),
    (lambda: mapped(lambda x: x, P("x", "y"), P("x"))(np.ones(8)), ValueError,
     "which has length 2, but args[0] has shape float32[8], which has rank 1"),
    (lambda: mapped(lambda x: x, P("z"), P("x"))(X), ValueError, "but in_specs refers to 'z'"),
    (lambda: mapped(lambda x: x, P("x"), P())(X), ValueError,
     "only varying across mesh axes {} and not {x}, but it was inferred to be possibly varying"),
    (lambda: mapped(lambda x: x, P("x"), P())(X), ValueError,
     "The mesh given has shape (4, 2) with corresponding axis names ('x', 'y')."),
    (lambda: mapped(jnp.sum, P("x"), P("x"))(X), ValueError, "return x[None] to give a scalar"),
    (lambda: mapped(lambda x: lax.psum(x, "z"))(X), NameError, "unbound axis name: z"),
    (lambda: jax.shard_map(lambda x: x, in_specs=P(), out_specs=P())(X), ValueError,
     "The context mesh cannot be empty"),
    (lambda: mapped(lambda x: x, "x")(X), TypeError, "instances, but it has 'x' of type"),
    (lambda: mapped(lambda x: x, axis_names={"z"})(X), ValueError, "to be a subset of"),
    (lambda: mapped(lambda x: x)(jax.device_put(X, jax.devices()[1])), ValueError,
     "Received incompatible devices for jitted computation"),
    (lambda: mapped(lambda x: lax.scan(lambda c, _: (c + x.sum(), None), 0.0, None, 2)[0],
                    P("x"), P())(X), TypeError, "applying `jax.lax.pcast(..., ('x',), "),
])
def test_errors(call, cls, text):
    assert text in error_of(cls, call)


@pytest.mark.parametrize("check_vma", [False, True])
def test_printing_shows_what_each_device_has(check_vma):
    mesh = jax.make_mesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto,) * 2)
    texts = []

    def f(x):
        texts.append(str(lax.psum(x, "y")))
        return x
    split = jax.shard_map(f, mesh=mesh, in_specs=P("x", "y"), out_specs=P("x", "y"),
                          check_vma=check_vma)
    for _ in range(2):  # each call shows its own values
        split(np.arange(4.0).reshape(2, 2))
    jax.jit(split)(np.arange(4.0).reshape(2, 2))
    block = "On cpu:{} at mesh coordinates (x, y,) = ({}, {}):\n[[{}]]\n"
    assert texts[:2] == ["\n".join([
        block.format(0, 0, 0, "1."), block.format(1, 0, 1, "1."),
        block.format(2, 1, 0, "5."), block.format(3, 1, 1, "5.")])] * 2
    assert texts[2].startswith("JitTracer(float32[1,1]")


def test_printing_under_the_mesh_in_context():
    texts = []
    with jax.set_mesh(jax.make_mesh((2,), ("x",))):
        x = jax.device_put(jnp.arange(4), P("x"))
        jax.shard_map(lambda x: texts.append(str(x)) or x, out_specs=P("x"))(x)
    assert texts == ["On cpu:0 at mesh coordinates (x,) = (0,):\n[0 1]\n\n"
                     "On cpu:1 at mesh coordinates (x,) = (1,):\n[2 3]\n"]


@pytest.mark.parametrize("save, sines, cosines", [("sin", 0, 2), ("cos", 0, 0), ("", 1, 2)])
@pytest.mark.parametrize("mapped", [
    lambda f: jax.pmap(f), lambda f: jax.shard_map(
        f, mesh=jax.make_mesh((4,), ("x",), (AxisType.Auto,)), in_specs=P("x"), out_specs=P("x"))])
def test_policies_of_checkpoint_hold_inside(mapped, save, sines, cosines):
    f = jax.checkpoint(mapped(lambda x: jnp.sin(jnp.sin(x))),
                       policy=lambda primitive, *_, **__: primitive.name == save)
    x = jnp.arange(4.0) / 3
    out, pull = jax.vjp(f, x)
    text = str(pull.jaxpr)
    assert (text.count(" sin "), text.count(" cos ")) == (sines, cosines)
    assert_close(pull(jnp.ones(4))[0], jnp.cos(jnp.sin(x)) * jnp.cos(x))
