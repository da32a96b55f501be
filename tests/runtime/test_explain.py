"""Explanations of why a function is traced again."""

import functools
import logging

import pytest

import minijax as jax
import minijax.numpy as jnp


@pytest.fixture
def explained(caplog):
    """A function that calls its argument and gives what was logged meanwhile."""
    def explain(call):
        caplog.clear()
        with caplog.at_level(logging.WARNING), jax.explain_cache_misses(True):
            call()
        return [record.getMessage() for record in caplog.records]
    return explain


def make():
    @functools.partial(jax.jit, static_argnames="n")
    def f(x, *rest, n=1, **named):
        return x
    return f


def test_a_new_function(explained):
    f = make()
    message, = explained(lambda: (f(1.0), f(1.0)))
    assert message.startswith("TRACING CACHE MISS at ") and "test_explain.py" in message
    assert "never seen function:" in message
    again = explained(lambda: make()(1.0))
    assert "another function defined on the same line" in again[0]
    assert "fix: define it, and call jax.jit, once" in again[0]


def test_a_function_with_bound_arguments(explained):
    def f(x, y):
        return x
    message, = explained(lambda: jax.jit(functools.partial(f, 1.0))(2.0))
    assert "    f at " in message


@pytest.mark.parametrize("call, words", [
    (lambda f: f(jnp.arange(2)),
     ["different input types", "at x, now i32[2] and before f32[]: another shape", "fix: keep"]),
    (lambda f: f(1), ["now i32[] and before f32[]: another dtype",
                      "fix: convert it before the call: x.astype('float32')"]),
    (lambda f: f(jnp.float32(1)),
     ["at x, now f32[]{weak_type=False} and before f32[]{weak_type=True}: an array, no Python",
      "fix: pass an array of a dtype in both calls: jnp.float32(x)", "#weak-types"]),
    (lambda f: f({"a": 1.0}), ["different input pytree", "at x, now PyTreeDef({'a': *}) and before "
                               "PyTreeDef(*)", "new are [\"['a']\"], gone are ['']"]),
    (lambda f: f(1.0, 2.0), ["different number of positional arguments", "now 2 by position"]),
    (lambda f: f(1.0, k=2.0), ["now 1 by position and ['k'] by name, before 1 by position"]),
    (lambda f: f(1.0, n=2), ["different value of static args", "n, now 2 and before its default"]),
    (lambda f: jax.jit(f.__wrapped__, keep_unused=True)(1.0), ["different options of jit"]),
    (lambda f: jax.vmap(lambda x: f(1.0), axis_name="i")(jnp.ones(2)), ["now ['i'], before []"]),
])
def test_another_call(explained, call, words):
    f = make()
    f(1.0)
    message, = explained(lambda: call(f))
    assert all(word in message for word in words), message


def test_another_context(explained):
    f = make()
    f(1.0)
    with jax.default_matmul_precision("high"):
        message, = explained(lambda: f(1.0))
    assert "tracing context doesn't match" in message
    assert "* jax_default_matmul_precision differs: now high and before None" in message


def test_the_nearest_call_is_compared(explained):
    f = make()
    f(1.0), f(1), f(jnp.ones(3))
    message, = explained(lambda: f(jnp.float32(1)))
    assert "weak_type=True" in message and "i32" not in message


def test_log_compiles_says_what_took_how_long(caplog):
    with caplog.at_level(logging.WARNING), jax.log_compiles():
        jax.jit(lambda x: x * 4.5)(1.0)
    lines = [record.getMessage() for record in caplog.records]
    assert [line.partition(" in ")[0] for line in lines if line.startswith("Finished")] == [
        "Finished tracing <lambda> for jit",
        "Finished jaxpr to MLIR module conversion jit(<lambda>)",
        "Finished XLA compilation of jit(<lambda>)"]
    assert any(line.startswith("Compiling jit(<lambda>) with global shapes") for line in lines)
