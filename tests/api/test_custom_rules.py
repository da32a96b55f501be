"""custom_jvp, custom_vjp and checkpoint: their rules under every transformation; their errors."""

from __future__ import annotations

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.ad_checkpoint import checkpoint_name
from minijax.custom_derivatives import (SymbolicZero, custom_vjp_primal_tree_values,
                                        zero_from_primal)
from minijax.passes.check import check_jaxpr

X = np.float32(0.7)
V = np.linspace(-1, 1, 4).astype(np.float32)


def close(actual, expected, tol=1e-4):
    a, b = jax.tree.leaves(actual), jax.tree.leaves(expected)
    assert len(a) == len(b)
    for x, y in zip(a, b):
        np.testing.assert_allclose(np.asarray(x), np.asarray(y), rtol=tol, atol=tol)


def names(fun, *args):
    return [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]


@jax.custom_jvp
def triple(x, y):
    """x * y with three times its derivative in x, and none in y."""
    return x * y


@triple.defjvp
def triple_jvp(primals, tangents):
    (x, y), (dx, _) = primals, tangents
    return triple(x, y), 3 * dx * y


@jax.custom_vjp
def tripled(x, y):
    """The same by reverse mode."""
    return x * y


tripled.defvjp(lambda x, y: (x * y, y), lambda y, g: (3 * g * y, None))


# --- custom_jvp --------------------------------------------------------------------------------

BOTH = pytest.mark.parametrize("fun", [triple, tripled], ids=["jvp", "vjp"])


@BOTH
def test_rule_replaces_the_derivative(fun):
    expected = (3 * (X + 1), 0)
    for transformed in (jax.grad(fun, (0, 1)), jax.jit(jax.grad(fun, (0, 1))),
                        jax.grad(jax.jit(fun), (0, 1))):
        close(transformed(X, X + 1), expected)
    assert fun(X, X + 1) == X * (X + 1)


@BOTH
def test_rule_under_vmap(fun):
    for axes in ((0, None), (None, 0), (0, 0)):
        args = [V if d == 0 else X for d in axes]
        y = np.broadcast_to(args[1], (4,))
        close(jax.vmap(fun, axes)(*args), args[0] * args[1])
        close(jax.vmap(jax.grad(fun), axes)(*args), 3 * y)
        total = jax.grad(lambda *a, axes=axes: jnp.sum(jax.vmap(fun, axes)(*a)))
        for f in (total, jax.jit(total)):
            close(f(*args), 3 * y if axes[0] == 0 else 3 * y.sum())
        twice = jax.grad(jax.jit(lambda *a, axes=axes: jnp.sum(jax.vmap(jax.jit(fun), axes)(*a))))
        close(twice(*args), 3 * y if axes[0] == 0 else 3 * y.sum())


@BOTH
def test_rule_in_loops(fun):
    def f(a):
        c, ys = lax.scan(lambda c, x: (fun(c, x), lax.cond(x > 0, fun, lambda c, x: c, c, x)),
                         a, V)
        return c + jnp.sum(ys)

    def same(a):
        c, total = a, 0.0
        for x in V:
            total = total + (3 * c * x - lax.stop_gradient(2 * c * x) if x > 0 else c)
            c = 3 * c * x - lax.stop_gradient(2 * c * x)
        return c + total
    close(jax.grad(f)(X), jax.grad(same)(X))
    close(jax.vmap(jax.grad(f))(V), jax.vmap(jax.grad(same))(V))
    close(jax.grad(jax.checkpoint(f))(X), jax.grad(same)(X))
    check_jaxpr(jax.make_jaxpr(jax.grad(f))(X))


def test_custom_jvp_forward_and_second_order():
    close(jax.jvp(triple, (X, X), (np.float32(1), np.float32(5))), (X * X, 3 * X))
    close(jax.jacfwd(triple)(X, X), 3 * X)
    close(jax.hessian(triple, (0, 1))(X, X), ((0, 3), (0, 0)))
    close(jax.jacrev(jax.grad(triple), (0, 1))(X, X), (0, 3))


def test_python_control_flow_sees_values():
    seen = []

    @jax.custom_jvp
    def f(x):
        seen.append(float(x) > 0)
        return x if x > 0 else -x
    f.defjvp(lambda p, t: (f(*p), t[0] if p[0] > 0 else -t[0]))
    assert jax.grad(f)(X) == 1 and jax.grad(f)(-X) == -1 and f(X) == X
    assert seen == [True, False, True]


def test_staged_equation_reads_like_jaxs():
    text = str(jax.make_jaxpr(triple)(X, X))
    assert "custom_jvp_call[\n      name=triple\n      call_jaxpr={ lambda ; " in text
    assert "jvp=triple_jvp\n      symbolic_zeros=False" in text
    assert "bwd=<lambda>" in str(jax.make_jaxpr(tripled)(X, X))


def test_defjvps():
    f = jax.custom_jvp(lambda x, y: {"out": jnp.sin(x) * y})
    f.defjvps(lambda t, out, x, y: {"out": 2 * t * y}, None)
    close(jax.jacrev(f, (0, 1))(X, X + 1)["out"], (2 * (X + 1), 0))
    g = jax.custom_jvp(lambda x, y: x * y)
    g.defjvps(lambda t, out, x, y: t * y, lambda t, out, x, y: t * out)
    close(jax.grad(g, (0, 1))(X, X + 1), (X + 1, X * (X + 1)))
    with pytest.raises(TypeError, match="nondiff_argnums"):
        jax.custom_jvp(lambda n, x: x, nondiff_argnums=(0,)).defjvps(None)


def test_arguments_by_name_defaults_and_methods():
    class Model:
        @jax.custom_jvp
        def apply(self, x, n=2):
            return x * n

    jax.tree_util.register_pytree_node(Model, lambda _: ((), None), lambda *_: Model())
    Model.apply.defjvp(lambda p, t: (p[0].apply(*p[1:]), t[1] * 7))
    assert Model().apply(X) == 2 * X and Model().apply(n=3, x=X) == 3 * X
    assert jax.grad(Model().apply)(X) == 7


def test_nondiff_argnums():
    twice = jax.custom_jvp(lambda f, x: f(f(x)), nondiff_argnums=(0,))
    twice.defjvp(lambda f, p, t: (twice(f, *p), 10 * t[0]))
    assert jax.grad(lambda x: twice(jnp.sin, x))(X) == 10
    by_name = jax.custom_jvp(lambda f, x: f(x), nondiff_argnames=("f",))
    by_name.defjvp(lambda f, p, t: (f(*p), 5 * t[0]))
    assert jax.grad(lambda x: by_name(jnp.sin, x))(X) == 5
    scale = jax.custom_jvp(lambda n, x: n * x, nondiff_argnums=(0,))
    scale.defjvp(lambda n, p, t: (n * p[0], n * t[0]))
    close(jax.grad(lambda x: scale(x, x))(X), X)
    close(jax.vmap(jax.grad(lambda x: scale(x, x)))(V), V)
    back = jax.custom_vjp(lambda f, x: f(x), nondiff_argnums=(0,))
    back.defvjp(lambda f, x: (f(x), x), lambda f, x, g: (g * f(x),))
    close(jax.grad(lambda x: back(jnp.sin, x))(X), np.sin(X))


@pytest.mark.parametrize("kind", ["jvp", "vjp"])
def test_closing_over_mapped_values(kind):
    def outer(x, y):
        f = lambda z: z * x
        if kind == "jvp":
            f = jax.custom_jvp(f)
            f.defjvp(lambda p, t: (f(*p), 3 * t[0] * x))
        else:
            f = jax.custom_vjp(f)
            f.defvjp(lambda z: (f(z), None), lambda _, g: (3 * g * x,))
        return f(y)
    close(jax.vmap(outer, (0, None))(V, X), V * X)
    close(jax.vmap(outer, (0, None))(V, 3.0), V * 3)
    close(jax.vmap(jax.grad(outer, 1), (0, None))(V, X), 3 * V)
    close(jax.grad(lambda y: jnp.sum(jax.vmap(outer, (0, None))(V, y)))(X), 3 * V.sum())
    close(jax.jit(lambda v, y: jax.vmap(outer, (0, None))(v, y))(V, X), V * X)


def test_closing_over_a_differentiated_value_is_an_error():
    def outer(x):
        f = jax.custom_vjp(lambda z: z * x)
        f.defvjp(lambda z: (f(z), None), lambda _, g: (g,))
        return f(np.float32(3))
    with pytest.raises(jax.errors.UnexpectedTracerError):
        jax.grad(outer)(X)
    with pytest.raises(Exception, match="Detected differentiation of a custom_vjp function with "
                                        "respect to a closed-over value."):
        jax.grad(jax.jit(outer))(X)


def test_symbolic_zeros():
    seen = []

    def rule(primals, tangents):
        seen.append([isinstance(t, SymbolicZero) for t in tangents])
        return primals[0] * primals[1], tangents[0] * primals[1]
    f = jax.custom_jvp(lambda x, y: x * y)
    f.defjvp(rule, symbolic_zeros=True)
    assert jax.grad(f)(X, X) == X
    assert seen == [[False, True]]
    f.defjvp(lambda p, t: (f(*p), zero_from_primal(p[0], symbolic_zeros=True)),
             symbolic_zeros=True)
    assert jax.grad(f)(X, X) == 0


def test_custom_vjp_symbolic_zeros():
    perturbed, cotangents = [], []

    def fwd(x, y):
        perturbed.append((x.perturbed, y.perturbed))
        x, y = custom_vjp_primal_tree_values((x, y))
        return (x * y, x), y

    def bwd(y, cts):
        cotangents.append([isinstance(c, SymbolicZero) for c in cts])
        return cts[0] * y, None
    f = jax.custom_vjp(lambda x, y: (x * y, x))
    f.defvjp(fwd, bwd, symbolic_zeros=True)
    close(jax.grad(lambda x: f(x, np.float32(2))[0])(X), 2)
    assert perturbed == [(True, False)] and cotangents == [[False, True]]


# --- custom_vjp --------------------------------------------------------------------------------


def test_custom_vjp_is_reverse_mode_only():
    with pytest.raises(TypeError, match=r"can't apply forward-mode autodiff \(jvp\) to a "
                                        "custom_vjp function."):
        jax.jvp(tripled, (X, X), (X, X))
    with pytest.raises(TypeError, match="can't apply forward-mode"):
        jax.jit(jax.jacfwd(tripled))(X, X)
    close(jax.hessian(tripled)(X, X), 0)
    close(jax.jacfwd(jax.grad(tripled), 1)(X, X), 3)


def test_custom_vjp_inside_a_jvp_rule():
    f = jax.custom_jvp(lambda x: x * x)
    f.defjvp(lambda p, t: jax.jvp(lambda x: tripled(x, x), p, t))
    close(jax.grad(f)(X), 3 * X)


def test_cotangents_of_integers_and_none():
    f = jax.custom_vjp(lambda x, n, tree: (x * n, n))
    f.defvjp(lambda x, n, tree: ((x * n, n), n),
             lambda n, g: (g[0] * n, np.zeros((), jax.float0), None))
    gradients = jax.grad(lambda x, tree: f(x, 3, tree)[0], (0, 1))(X, {"a": V, "b": (X,)})
    assert gradients[0] == 3
    close(gradients[1], {"a": np.zeros(4), "b": (0,)})


def test_bwd_is_given_arrays():
    seen = []
    f = jax.custom_vjp(lambda x: (2 * x, x, jnp.ones(2)))
    f.defvjp(lambda x: (f(x), None), lambda _, g: (seen.extend(g), (g[0] * 2.0,))[1])
    assert jax.grad(lambda x: f(x)[0])(1.0) == 2.0
    jaxpr = jax.make_jaxpr(jax.grad(lambda x: f(x)[0]))(1.0)
    assert not jaxpr.consts and len(seen) == 6 and all(isinstance(ct, jax.Array) for ct in seen)


def test_residuals_are_any_tree():
    f = jax.custom_vjp(lambda x: jnp.sin(x))
    f.defvjp(lambda x: (jnp.sin(x), {"c": jnp.cos(x), "none": None, "two": [2.0, x]}),
             lambda r, g: (g * r["c"] * r["two"][0],))
    close(jax.vmap(jax.grad(f))(V), 2 * np.cos(V))
    close(jax.grad(lambda v: jnp.sum(jax.vmap(f)(v)))(V), 2 * np.cos(V))


def test_custom_gradient():
    f = jax.custom_gradient(lambda x: (x ** 2, lambda g: 7 * g * x))
    close(jax.grad(f)(X), 7 * X)
    close(jax.vmap(jax.grad(f))(V), 7 * V)
    g = jax.custom_gradient(lambda x, y: (x * y, lambda ct: (ct * y, -ct)))
    close(jax.jit(jax.grad(g, (0, 1)))(X, X), (X, -1))


def test_closure_convert():
    def solve(f, x):
        converted, values = jax.closure_convert(f, x)
        return inner(converted, x, *values)

    inner = jax.custom_vjp(lambda f, x, *values: f(x, *values), nondiff_argnums=(0,))
    inner.defvjp(lambda f, x, *values: (f(x, *values), (x, values)),
                 lambda f, res, g: (g, *[10 * g for _ in res[1]]))
    close(jax.grad(lambda a: solve(lambda x: a * x, X))(X), 10)


ERRORS = [
    (lambda: jax.custom_jvp(lambda x: x)(X), AttributeError,
     "No JVP defined for custom_jvp function <lambda> using defjvp."),
    (lambda: with_jvp(lambda p, t: 3), TypeError,
     "Custom JVP rule <lambda> for function <lambda> must produce a pair (list or tuple of length "
     "two) representing primal and tangent outputs, but got 3."),
    (lambda: with_jvp(lambda p, t: (p[0], (t[0], t[0]))), TypeError,
     "Custom JVP rule <lambda> for function <lambda> must produce primal and tangent outputs with "
     "equal container (pytree) structures, but got PyTreeDef(*) and PyTreeDef((*, *)) "
     "respectively."),
    (lambda: with_jvp(lambda p, t: (p[0], V)), TypeError,
     "Custom JVP rule must produce primal and tangent outputs with corresponding shapes and "
     "dtypes. Expected float32[] (tangent type of float32[]) but got float32[4]."),
    (lambda: triple(X, X, X), TypeError,
     "The input arguments to the custom_jvp-decorated function triple could not be resolved to "
     "positional-only arguments. Binding failed with the error:\ntoo many positional arguments"),
    (lambda: jax.custom_vjp(lambda x: x)(X), AttributeError,
     "No VJP defined for custom_vjp function <lambda> using defvjp."),
    (lambda: with_vjp(lambda x, y: x * y, None), TypeError,
     "Custom VJP fwd rule <lambda> for function <lambda> must produce a pair (list or tuple of "
     "length two) where the first element represents the primal output"),
    (lambda: with_vjp(None, lambda _, g: (g,)), TypeError,
     "Custom VJP bwd rule must produce an output with the same container (pytree) structure as "
     "the args tuple of the primal function, and in particular must produce a tuple of length "
     "equal to the number of arguments to the primal function, but got bwd output structure "
     "PyTreeDef((*,)) for primal input structure PyTreeDef((*, *))."),
    (lambda: with_vjp(None, lambda _, g: (g, (g, g))), TypeError,
     "Custom VJP bwd rule must produce an output with the same container (pytree) structure"),
    (lambda: with_vjp(None, lambda _, g: (V, g)), ValueError,
     "Custom VJP bwd rule must produce an output with the same type as the args tuple of the "
     "primal function, but at output[0] the bwd rule produced an output of type float32[4] "
     "corresponding to an input of type float32[], so the shapes do not match"),
    (lambda: jax.grad(lambda x: nondiff_vjp()(x, x))(X), jax.errors.UnexpectedTracerError,
     "Found a JAX Tracer object passed as an argument to a custom_vjp function in a position "
     "indicated by nondiff_argnums as non-differentiable."),
    (lambda: jax.checkpoint(lambda x, y: x, static_argnums=5)(X, X), ValueError,
     "the `static_argnums` argument to `jax.checkpoint` / `jax.remat` can only take integer "
     "values greater than or equal to `-len(args)` and less than `len(args)`, but got (5,), while "
     "`len(args)` = 2"),
    (lambda: jax.checkpoint(lambda x: "a")(X), TypeError, "function <lambda> at "),
]


def with_jvp(rule):
    f = jax.custom_jvp(lambda x: x)
    f.defjvp(rule)
    return jax.grad(f)(X)


def with_vjp(fwd, bwd):
    f = jax.custom_vjp(lambda x, y: x * y)
    f.defvjp(fwd or (lambda x, y: (x * y, None)), bwd or (lambda _, g: (g, g)))
    return jax.grad(f)(X, X)


def nondiff_vjp():
    f = jax.custom_vjp(lambda n, x: x, nondiff_argnums=(0,))
    f.defvjp(lambda n, x: (x, None), lambda n, _, g: (g,))
    return f


@pytest.mark.parametrize("call, kind, first", ERRORS)
def test_errors(call, kind, first):
    with pytest.raises(kind) as error:
        call()
    assert str(error.value).startswith(first)
    assert "fix: " in str(error.value)


# --- checkpoint --------------------------------------------------------------------------------

POLICIES = jax.checkpoint_policies


def block(w, x):
    return jnp.tanh(w @ checkpoint_name(jnp.sin(w @ x), "sine"))


W = (np.random.default_rng(0).standard_normal((4, 4)) * 0.5).astype(np.float32)


def total(f):
    return lambda w, x: jnp.sum(f(w, f(w, x)) ** 2)


@pytest.mark.parametrize("policy, kept", [
    (None, 0), (POLICIES.nothing_saveable, 0), (POLICIES.dots_saveable, 2),
    (POLICIES.save_only_these_names("sine"), 1), (POLICIES.save_any_names_but_these("sine"), 0),
    (POLICIES.save_from_both_policies(POLICIES.checkpoint_dots,
                                      POLICIES.save_only_these_names("sine")), 3),
    (POLICIES.offload_dot_with_no_batch_dims("device", "pinned_host"), 2),
    (POLICIES.save_and_offload_only_these_names(
        names_which_can_be_saved=[], names_which_can_be_offloaded=["sine"], offload_src="device",
        offload_dst="pinned_host"), 1)])
def test_policies(policy, kept):
    f, g = total(block), total(jax.checkpoint(block, policy=policy))
    close(jax.grad(g, (0, 1))(W, V), jax.grad(f, (0, 1))(W, V))
    close(jax.jit(jax.hessian(g, 1))(W, V), jax.jit(jax.hessian(f, 1))(W, V), 1e-3)
    gradient = jax.make_jaxpr(jax.grad(lambda w, x: jnp.sum(jax.checkpoint(
        block, policy=policy)(w, x))))(W, V)
    remat, = [e for e in gradient.eqns if e.primitive.name == "remat2"]
    assert len(remat.invars) == 3 + kept


def test_what_is_offloaded_waits_in_the_memory_of_the_host():
    f = jax.checkpoint(block, policy=POLICIES.offload_dot_with_no_batch_dims(
        "device", "pinned_host"))
    kinds = [x.sharding.memory_kind for x in jax.tree.leaves(jax.vjp(f, W, jnp.asarray(V))[1])
             if isinstance(x, jax.Array)]
    assert kinds.count("pinned_host") == 2
    gradient = jax.jit(jax.grad(lambda w: f(w, V).sum()))
    text = gradient.trace(W).lower(lowering_platforms=("cuda",)).as_text()
    assert text.count('_xla_buffer_placement = "pinned_host"') == 2
    assert text.count('_xla_buffer_placement = "device"') == 2


def test_what_is_saved_and_used_is_rounded_to_its_type():
    f = jax.jit(jax.checkpoint(lambda x: jnp.sin((x @ x).astype("float32")) * x,
                               policy=POLICIES.everything_saveable))
    forward = jax.make_jaxpr(lambda x: jax.vjp(f, x))(jnp.eye(2, dtype="bfloat16")).eqns[0]
    jaxpr = forward.params["jaxpr"]
    rounded = [e.outvars[0] for e in jaxpr.eqns if e.primitive.name == "reduce_precision"]
    product = next(e for e in jaxpr.eqns if e.primitive.name == "mul")
    assert product.invars == rounded and set(rounded) < set(jaxpr.outvars)


def test_a_name_is_either_saved_or_offloaded():
    with pytest.raises(ValueError, match="The names should be exclusive .* intersection={'a'}"):
        POLICIES.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"], names_which_can_be_offloaded=["a", "b"],
            offload_src="device", offload_dst="pinned_host")


def test_checkpoint_recomputes_behind_a_barrier():
    f = jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)))
    jaxpr = jax.make_jaxpr(jax.grad(f))(X)
    inner, = [e.params["jaxpr"] for e in jaxpr.eqns if e.primitive.name == "remat2"]
    assert [e.primitive.name for e in inner.eqns] == ["sin", "cos", "cos", "mul", "mul"]
    assert "optimization_barrier" in jax.jit(jax.grad(f)).lower(X).as_text()
    free = jax.checkpoint(lambda x: jnp.sin(jnp.sin(x)), prevent_cse=False)
    assert "optimization_barrier" not in jax.jit(jax.grad(free)).lower(X).as_text()


def test_checkpoint_under_transformations():
    f = lambda x: jnp.sin(x) * x
    g = jax.checkpoint(f)
    ones = np.ones_like(V)
    close(jax.vmap(g)(V), f(V))
    close(jax.vmap(jax.grad(g))(V), jax.vmap(jax.grad(f))(V))
    close(jax.jvp(g, (V,), (ones,)), jax.jvp(f, (V,), (ones,)))
    close(jax.grad(jax.grad(jax.grad(g)))(X), jax.grad(jax.grad(jax.grad(f)))(X))
    check_jaxpr(jax.make_jaxpr(jax.grad(jax.grad(g)))(X))
    layers = jax.grad(lambda x: lax.scan(
        lambda c, v: (jax.checkpoint(lambda c: f(c) + v)(c), None), x, V)[0])
    plain = jax.grad(lambda x: lax.scan(lambda c, v: (f(c) + v, None), x, V)[0])
    close(layers(X), plain(X))


def test_checkpoint_arguments():
    f = jax.checkpoint(lambda x, flag, *, power: x ** power if flag else x,
                       static_argnums=(1,), static_argnames="power")
    assert f(X, False, power=3) == X
    close(jax.grad(f)(X, True, power=3), 3 * X ** 2)
    tree = jax.checkpoint(lambda d, scale=2: {"out": d["a"] * scale})({"a": X}, scale=3)
    close(tree, {"out": 3 * X})


def test_checkpoint_name_is_the_identity():
    assert checkpoint_name({"a": X}, "n")["a"] == X
    assert names(lambda x: checkpoint_name(x, "n"), X) == ["name"]
    close(jax.grad(lambda x: checkpoint_name(x * x, "n"))(X), 2 * X)


# --- rules inside of checkpoint ----------------------------------------------------------------


@jax.custom_vjp
def replaced(x):
    return 2 * x


replaced.defvjp(lambda x: (3 * x, x), lambda x, g: (5 * x * g,), optimize_remat=True)


@pytest.mark.parametrize(("wrap", "forward"), [
    (lambda f: f, 3), (jax.checkpoint, 2), (lambda f: jax.checkpoint(jax.jit(f)), 2),
    (lambda f: jax.checkpoint(jax.vmap(f)), 2), (lambda f: jax.vmap(jax.checkpoint(f)), 2),
    (lambda f: jax.jit(jax.checkpoint(f)), 2),
])
def test_optimize_remat_runs_the_function_where_no_residuals_are_needed(wrap, forward):
    x = jnp.arange(1.0, 4.0)
    value, gradient = jax.value_and_grad(lambda x: wrap(replaced)(x).sum())(x)
    close(value, forward * 6)
    close(gradient, 5 * np.asarray(x))


def test_optimize_remat_differentiates_twice():
    def slope(x):
        return jax.grad(jax.checkpoint(replaced))(x)
    close(jax.jvp(slope, (2.0,), (1.0,)), (10.0, 5.0))
    with pytest.raises(NotImplementedError, match="symbolic zeros"):
        jax.custom_vjp(lambda x: x).defvjp(None, None, symbolic_zeros=True, optimize_remat=True)


# --- policies within loops and branches ---------------------------------------------------------


def _save_cos(primitive, *_, **__):
    return primitive.name == "cos"


def _branch(x):
    return lax.cond(x > 0, lambda x: jnp.sin(jnp.sin(x)), lambda x: x, x)


def _loop(x):
    return lax.scan(lambda c, _: (jnp.sin(c), jnp.sin(c) * 2), x, None, length=3)[0]


def _nested(x):
    return lax.scan(lambda c, _: (jax.jit(_branch)(c), None), x, None, length=2)[0]


@pytest.mark.parametrize(("f", "recomputed"), [(_branch, 0), (_loop, 0), (_nested, None)])
def test_policies_reach_into_loops_and_branches(f, recomputed):
    x = 0.4
    for policy in (None, _save_cos, jax.checkpoint_policies.everything_saveable):
        g = jax.checkpoint(f, policy=policy)
        close(jax.grad(g)(x), jax.grad(f)(x))
        close(jax.grad(jax.grad(g))(x), jax.grad(jax.grad(f))(x))
    linear = str(jax.make_jaxpr(jax.linearize(jax.checkpoint(f, policy=_save_cos), x)[1])(x))
    assert " cos " not in linear
    if recomputed is not None:
        assert linear.count(" sin ") == recomputed
    assert " cos " in str(jax.make_jaxpr(jax.linearize(jax.checkpoint(f), x)[1])(x))


def test_checkpoint_has_no_concrete_option_any_more():
    with pytest.raises(NotImplementedError, match="static_argnums"):
        jax.checkpoint(lambda x: x, concrete=True)
