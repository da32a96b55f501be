"""Primitives that a library defines work under every transformation, with and without jit."""

import functools

import numpy as np
import pytest
from jaxlib.mlir.dialects import stablehlo as hlo

import minijax as jax
import minijax.numpy as jnp
from minijax import core
from minijax.extend.core import Effect, Primitive
from minijax.interpreters import ad, batching, mlir, xla

x = np.float32([1, 2, 3])


def make_twice():
    p = Primitive("twice")
    p.def_impl(functools.partial(xla.apply_primitive, p))
    p.def_abstract_eval(lambda x: core.ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(p, lambda ctx, x: hlo.AddOp(x, x).results)
    return p


def make_scaled(multiple=True):
    """(x, y) -> (k x, k y), with every rule written out."""
    p = Primitive("scaled")
    p.multiple_results = True

    @p.def_impl
    def impl(x, y, *, k):
        return [np.float32(k) * x, np.float32(k) * y]

    p.def_abstract_eval(lambda x, y, *, k: [x, y])
    mlir.register_lowering(p, mlir.lower_fun(lambda x, y, *, k: [x * k, y * k]))

    def jvp(primals, tangents, *, k):
        assert type(primals) is type(tangents) is tuple
        tangents = map(ad.instantiate_zeros, tangents)
        return p.bind(*primals, k=k), p.bind(*tangents, k=k)

    def transpose(cts, x, y, *, k):
        assert ad.is_undefined_primal(x) or ad.is_undefined_primal(y)
        return p.bind(*map(ad.instantiate_zeros, cts), k=k)

    ad.primitive_jvps[p] = jvp
    ad.primitive_transposes[p] = transpose
    batching.primitive_batchers[p] = lambda args, dims, *, k: (p.bind(*args, k=k), () + dims)
    return p


def test_a_linear_primitive_with_a_rule_in_mlir():
    p = make_twice()
    ad.deflinear2(p, lambda ct, x: [p.bind(ct)])
    batching.defvectorized(p)
    for run in (p.bind, jax.jit(p.bind), jax.vmap(p.bind), jax.jit(jax.vmap(p.bind))):
        np.testing.assert_array_equal(run(x), 2 * x)
    square = lambda x: p.bind(x * x)  # noqa: E731
    np.testing.assert_array_equal(jax.vmap(jax.grad(square))(x), 4 * x)
    np.testing.assert_array_equal(jax.jit(jax.vmap(jax.grad(jax.grad(square))))(x), [4, 4, 4])
    np.testing.assert_array_equal(jax.jvp(square, (x,), (x,))[1], 4 * x * x)
    np.testing.assert_array_equal(jax.linear_transpose(p.bind, x)(x)[0], 2 * x)
    loop = jax.lax.fori_loop(0, 3, lambda i, x: p.bind(x), x)
    np.testing.assert_array_equal(loop, 8 * x)
    assert "twice" in str(jax.make_jaxpr(p.bind)(x))


def test_several_results_and_parameters():
    p = make_scaled()
    f = lambda x, y: p.bind(x, y, k=3.0)[0] * p.bind(x, y, k=2.0)[1]  # noqa: E731
    y = x + 1
    for run in (f, jax.jit(f), jax.vmap(f), jax.jit(jax.vmap(f))):
        np.testing.assert_allclose(run(x, y), 6 * x * y)
    for grad in (jax.vmap(jax.grad(f, (0, 1))), jax.jit(jax.vmap(jax.grad(f, (0, 1))))):
        dx, dy = grad(x, y)
        np.testing.assert_allclose(dx, 6 * y)
        np.testing.assert_allclose(dy, 6 * x)


def test_rules_per_operand():
    p = Primitive("product")
    p.def_impl(lambda x, y: np.multiply(x, y))
    p.def_abstract_eval(lambda x, y: x)
    mlir.register_lowering(p, mlir.lower_fun(jnp.multiply, multiple_results=False))
    ad.defbilinear(p, lambda ct, x, y: p.bind(ct, y), lambda ct, x, y: p.bind(x, ct))
    batching.defbroadcasting(p)
    np.testing.assert_allclose(jax.vmap(jax.grad(lambda x: p.bind(p.bind(x, x), x)))(x), 3 * x * x)
    np.testing.assert_allclose(jax.vmap(p.bind, (0, None))(x, np.float32(2)), 2 * x)
    ones = np.ones((3, 3), np.float32)
    np.testing.assert_allclose(jax.vmap(p.bind, (1, 0))(ones, 2 * ones), 2 * ones)

    q = Primitive("cube")
    q.def_impl(lambda x: x ** 3)
    q.def_abstract_eval(lambda x: x)
    ad.defjvp2(q, lambda g, out, x: 3 * g * out / x)
    np.testing.assert_allclose(jax.grad(q.bind)(2.0), 12)
    ad.defjvp(q, lambda g, x: 3 * g * x * x)
    np.testing.assert_allclose(jax.grad(q.bind)(2.0), 12)


def test_reducers_and_rules_that_see_the_axis():
    p = Primitive("total")
    p.def_impl(lambda x, axes: jnp.sum(x, axes))
    p.def_abstract_eval(lambda x, axes: core.ShapedArray(
        tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype))
    batching.defreducer(p)
    m = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(jax.vmap(lambda x: p.bind(x, axes=(0,)))(m), m.sum(1))
    np.testing.assert_array_equal(jax.vmap(lambda x: p.bind(x, axes=(0,)), 1)(m), m.sum(0))

    seen = []
    q = Primitive("size")
    q.def_impl(lambda x: x)
    q.def_abstract_eval(lambda x: x)

    def fancy(axis, args, dims):
        seen.append((axis.name, axis.size))
        return args[0], dims[0]

    batching.fancy_primitive_batchers[q] = fancy
    jax.vmap(q.bind, axis_name="i")(x)
    assert seen == [("i", 3)]

    def by_parts(size, name, trace_type, args, dims):
        seen.append((size, name, args, dims))  # tuples both: rules use them as prefixes of trees
        return args[0], dims[0]

    batching.axis_primitive_batchers[q] = by_parts
    jax.vmap(q.bind, axis_name="i")(x)
    assert seen[1][:2] == (3, "i") and type(seen[1][2]) is type(seen[1][3]) is tuple


def test_tables_are_views_of_the_rules():
    p = make_scaled()
    assert p in ad.primitive_jvps and ad.primitive_transposes[p] is p.transpose
    assert p in list(ad.primitive_transposes) and jax.lax.sin_p in batching.primitive_batchers
    out, dim = batching.primitive_batchers[jax.lax.sin_p]((x,), (0,))
    np.testing.assert_allclose(out, np.sin(x), rtol=1e-6)
    assert dim == 0
    rule = lambda args, dims, *, k: None  # noqa: E731
    batching.primitive_batchers[p] = rule
    assert batching.primitive_batchers[p] is rule
    del batching.primitive_batchers[p]
    assert p not in batching.primitive_batchers
    with pytest.raises(KeyError):
        batching.primitive_batchers[p]
    assert ad.get_primitive_transpose(p) is p.transpose


@pytest.mark.parametrize("use, message", [
    (lambda p: jax.jit(p.bind)(x), "Abstract evaluation for 'bare' not implemented"),
    (lambda p: (p.def_abstract_eval(lambda x: x), jax.jit(p.bind)(x)),
     "MLIR translation rule for primitive 'bare' not found for platform cpu"),
    (lambda p: (p.def_abstract_eval(lambda x: x), jax.jvp(p.bind, (x,), (x,))),
     "Differentiation rule for 'bare' not implemented"),
    (lambda p: (p.def_abstract_eval(lambda x: x), jax.vmap(p.bind)(x)),
     "Batching rule for 'bare' not implemented"),
    (lambda p: (p.def_abstract_eval(lambda x: x), jax.linear_transpose(p.bind, x)(x)),
     "Transpose rule .* for 'bare' not implemented")])
def test_missing_rules_are_named(use, message):
    with pytest.raises(NotImplementedError, match=message):
        use(Primitive("bare"))


def test_a_primitive_may_have_the_name_of_another():
    p = Primitive("sin")
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, lambda ctx, x: [mlir.ir_constant(np.float32(7))], platform="cpu")
    mine, real = jax.jit(lambda x: (p.bind(x), jnp.sin(x)))(np.float32(1))
    assert mine == 7
    np.testing.assert_allclose(real, np.sin(np.float32(1)), rtol=1e-6)
    with pytest.raises(NotImplementedError, match="unknown platform moon"):
        mlir.register_lowering(p, None, platform="moon")


def test_rules_may_use_contexts_constants_and_custom_calls():
    p = Primitive("table")
    p.def_abstract_eval(lambda x: core.ShapedArray((2,), np.dtype("float32")))

    def rule(ctx, x):
        assert ctx.avals_in[0].shape == (3,) and ctx.avals_out[0].shape == (2,)
        assert ctx.primitive is p and ctx.module_context.platforms == ("cpu",)
        kind = mlir.aval_to_ir_type(ctx.avals_out[0])
        assert str(kind) == "tensor<2xf32>"
        inner = mlir.lower_fun(lambda x: x[:2] + np.float32([10, 20]), multiple_results=False)
        return inner(ctx, x)

    mlir.register_lowering(p, rule)
    np.testing.assert_array_equal(jax.jit(p.bind)(x), [11, 22])


def test_wrong_numbers_of_results_are_reported():
    p = Primitive("short")
    p.def_abstract_eval(lambda x: x)
    mlir.register_lowering(p, lambda ctx, x: [])
    with pytest.raises(ValueError, match="returned 0 values for 1 results"):
        jax.jit(p.bind)(x)


# --- effects -----------------------------------------------------------------------------------


class Noted(Effect):
    def __repr__(self):
        return "Noted"


class Threaded(Noted):
    pass


def make_effectful(effect):
    p = Primitive("noted")
    p.multiple_results = True
    p.def_effectful_abstract_eval(lambda *avals: ([], {effect}))
    return p


def test_effects_of_ones_own():
    effect = Noted()
    p = make_effectful(effect)
    f = lambda x: (p.bind(), x * 2)[1]  # noqa: E731
    jaxpr = jax.make_jaxpr(f)(x)
    assert jaxpr.effects == {effect} and jaxpr.eqns[0].effects == {effect}
    assert jax.make_jaxpr(jax.jit(f))(x).effects == {effect}
    with pytest.raises(ValueError, match=r"Cannot lower jaxpr with effects: \{Noted\}"):
        jax.jit(f)(x)
    loops = [lambda: jax.lax.cond(True, p.bind, lambda: []),
             lambda: jax.lax.while_loop(lambda i: i < 1, lambda i: (p.bind(), i)[1], 0),
             lambda: jax.lax.scan(lambda c, _: (c, p.bind()), 0, None, length=2)]
    for name, loop in zip(("cond", "while", "scan"), loops):
        with pytest.raises(NotImplementedError, match=f"Effects not supported in `{name}`"):
            jax.make_jaxpr(loop)()


def test_effects_in_custom_rules_are_refused_under_checks():
    p = make_effectful(Noted())
    f = jax.custom_jvp(lambda x: (p.bind(), x)[1])
    f.defjvp(lambda x, t: (x[0], t[0]))
    assert len(jax.make_jaxpr(f)(1.0).effects) == 1
    g = jax.custom_vjp(lambda x: (p.bind(), x)[1])
    g.defvjp(lambda x: (x, None), lambda _, ct: (ct,))
    with jax.enable_checks(True):
        for function in (f, g):
            with pytest.raises(NotImplementedError, match="Effects not supported in functions"):
                jax.make_jaxpr(function)(2)


def test_ordered_effects_give_rules_their_tokens():
    effect = Threaded()
    p = make_effectful(effect)
    core.ordered_effects.add_type(Threaded)
    core.lowerable_effects.add_type(Threaded)
    core.shardable_ordered_effects.add_type(Threaded)
    order = []

    def rule(ctx):
        token = ctx.tokens_in.get(effect)

        def note():
            order.append(len(order))
            return ()

        _, after, _ = mlir.emit_python_callback(ctx, note, token, [], [], [],
                                                has_side_effect=True)
        ctx.set_tokens_out(ctx.tokens_in.update_tokens(mlir.TokenSet({effect: after})))
        return []

    mlir.register_lowering(p, rule)
    f = jax.jit(lambda: (p.bind(), p.bind()) and None)
    text = f.lower().as_text()
    assert "main(%arg0: !stablehlo.token" in text
    f()
    f()
    jax.effects_barrier()
    assert order == [0, 1, 2, 3]


def test_token_sets():
    tokens = mlir.TokenSet({"a": 1, "b": 2, "c": 3})
    assert len(tokens) == 3 and tokens.get("b") == 2 and tokens.effects() == {"a", "b", "c"}
    assert tokens.subset(["c", "a"]).items() == (("c", 3), ("a", 1))
    assert tokens.update_tokens(mlir.TokenSet()) is tokens
    assert tokens.update_tokens(mlir.TokenSet({"b": 5})).items() == (("a", 1), ("b", 5), ("c", 3))
    with pytest.raises(KeyError):
        tokens.get("d")


@pytest.mark.parametrize("several, wrong", [(False, lambda x: [x]), (True, lambda x: x)])
def test_a_type_rule_that_returns_something_else(several, wrong):
    odd = Primitive("odd")
    odd.multiple_results = several
    odd.def_abstract_eval(wrong)
    with pytest.raises(ValueError, match=r"odd\.abstract_eval\(\) method should return a tuple or "
                       rf"a list of types if.*\n.*\n  because multiple_results is {several}\n"):
        jax.jit(odd.bind)(1.0)
