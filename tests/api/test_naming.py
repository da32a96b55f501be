"""Names of scopes and transformations, in jaxprs and in compiled programs."""

import re

import pytest

import minijax as jax
import minijax.numpy as jnp


def names(fun, *args):
    """The names of the operations of the lowered program."""
    text = jax.jit(fun).lower(*args).as_text("hlo", debug_info=True)
    return set(re.findall(r'op_name="([^"]*/[^"]*)"', text))


def stacks(fun, *args):
    return [str(eqn.source_info.name_stack) for eqn in jax.make_jaxpr(fun)(*args).eqns]


def scaled(x):
    with jax.named_scope("foo"):
        return jnp.sin(x) * 3.0


def test_scopes_nest():
    def f(x):
        with jax.named_scope("a"):
            y = jnp.sin(x)
            with jax.named_scope("b"):
                y = jnp.cos(y)
        return y + x
    assert stacks(f, 1.0) == ["a", "a/b", ""]
    assert names(f, 1.0) == {"jit(f)/a/sin", "jit(f)/a/b/cos", "jit(f)/add"}


def test_transformations_wrap_the_scopes_within_them():
    assert stacks(jax.vmap(scaled), jnp.ones(2)) == ["vmap(foo)"] * 2
    assert stacks(lambda x, t: jax.jvp(scaled, (x,), (t,)), 1.0, 1.0)[0] == "jvp(foo)"
    assert set(stacks(jax.value_and_grad(scaled), 1.0)) == {"jvp(foo)", "transpose(jvp(foo))"}
    assert set(stacks(jax.vmap(jax.value_and_grad(scaled)), jnp.ones(2))) == {
        "vmap(jvp(foo))", "vmap(transpose(jvp(foo)))"}


def test_a_backward_pass_has_the_scope_that_it_runs_in():
    def f(x):
        with jax.named_scope("forward"):
            _, pullback = jax.vjp(scaled, x)
        with jax.named_scope("back"):
            return pullback(x)
    assert set(stacks(f, 2.0)) == {"forward/jvp(foo)", "back/transpose(jvp(foo))"}


def test_names_of_control_flow_and_calls():
    def body(c, _):
        with jax.named_scope("step"):
            return jnp.sin(c), None
    loop = jax.named_scope("outer")(lambda x: jax.lax.scan(body, x, None, length=3)[0])
    assert "jit(<lambda>)/outer/while/body/step/sin" in names(loop, 1.0)
    assert [str(e.source_info.name_stack) for e in
            jax.make_jaxpr(loop)(1.0).eqns[0].params["jaxpr"].eqns] == ["step"]

    def branch(x):
        return jax.lax.cond(x > 0, jnp.sin, jnp.cos, x)
    assert {"jit(branch)/cond/branch_0_fun/cos",
            "jit(branch)/cond/branch_1_fun/sin"} <= names(branch, 1.0)
    assert "jit(f)/vmap(jit(scaled))/foo/sin" in names(
        lambda_named("f", lambda x: jax.vmap(jax.jit(scaled))(x)), jnp.ones(2))


def lambda_named(name, fun):
    fun.__name__ = name
    return fun


def test_recomputation_says_so():
    found = names(jax.grad(jax.checkpoint(scaled)), 1.0)
    assert any("checkpoint/rematted_computation/foo/cos" in name for name in found)


def test_named_call_and_decorators():
    assert stacks(jax.named_call(jnp.sin, name="wave"), 1.0) == ["wave"]

    @jax.named_scope("twice")
    def f(x):
        return jnp.sin(x) if x.ndim == 0 else jax.vmap(f)(x)
    assert stacks(f, jnp.ones(2)) == ["twice/vmap(twice)"]
    assert f(jnp.float32(1)) == jnp.sin(1.0)


def test_a_scope_needs_a_string():
    with pytest.raises(TypeError, match="named_scope name must be a string"):
        jax.named_scope(3)
