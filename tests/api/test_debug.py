"""jax.debug: what is printed, when, and how often."""

import logging

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax


@pytest.fixture
def printed(capfd):
    """The lines printed so far, once all programs have run."""
    def lines():
        jax.effects_barrier()
        return capfd.readouterr().out.splitlines()
    return lines


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_formats(wrap, printed):
    def f(x):
        jax.debug.print("{} {x:.2f} {t} {d} {s!r} {{}}", x, x=x, t=(x, None), d=x.dtype, s="a")
        jax.debug.print("plain")

    wrap(f)(jnp.float32(1.5))
    line = "1.5 1.50 (Array(1.5, dtype=float32), None) float32 'a' {}"
    assert sorted(printed()) == [line, "plain"]


def test_numpy_print_options_are_those_of_the_call(printed):
    f = jax.jit(lambda x: jax.debug.print("{}", x))
    with np.printoptions(precision=2, suppress=True):
        f(np.float32([1.2345, 2.3456]))
    assert printed() == ["[1.23 2.35]"]


@pytest.mark.parametrize("call, error, message", [
    (lambda: jax.debug.print("{}", 1, 2), ValueError, "Unused positional arguments"),
    (lambda: jax.debug.print("a", x=2), ValueError, r"Unused keyword arguments .*\['x'\]"),
    (lambda: jax.debug.print("{x}"), KeyError, "x"),
    (lambda: jax.debug.print("{", 1), ValueError, "Single '{' encountered"),
    (lambda: jax.debug.print(3), TypeError, "expected str, got int"),
    (lambda: jax.debug.print(None, 3), TypeError, "unexpected arguments in the two-call form"),
    (lambda: jax.debug.callback(3), TypeError, "must be callable"),
    (lambda: jax.debug.callback(ordered=True, a=2), TypeError, "debug_callback received")])
def test_mistakes_are_found_at_the_call(call, error, message):
    with pytest.raises(error, match=message):
        jax.jit(call)()


def test_options_may_come_in_a_call_of_their_own(printed):
    jax.debug.print(ordered=True)("x: {x}", x=1)
    jax.debug.callback(ordered=True)(lambda v: jax.debug.print("v: {}", v), 2)
    assert printed() == ["x: 1", "v: 2"]


def test_ordered_prints_come_in_order(printed):
    @jax.jit
    def f(n):
        jax.debug.print("start", ordered=True)
        lax.fori_loop(0, n, lambda i, _: jax.debug.print("{}", i, ordered=True), None)
        lax.cond(n > 2, lambda: jax.debug.print("many", ordered=True), lambda: None)

    f(3)
    f(1)
    assert printed() == ["start", "0", "1", "2", "many", "start", "0"]


def test_under_transformations(printed):
    def f(x):
        jax.debug.print("x: {}", x)
        return jnp.sin(x)

    x = jnp.arange(2.0)
    jax.vmap(f)(x)
    assert printed() == ["x: 0.0", "x: 1.0"]
    jax.jit(jax.vmap(jax.vmap(f)))(jnp.arange(4.0).reshape(2, 2))
    assert sorted(printed()) == ["x: 0.0", "x: 1.0", "x: 2.0", "x: 3.0"]
    jax.grad(f)(1.0)
    assert printed() == ["x: 1.0"]
    jax.jit(jax.grad(f))(1.0)
    assert printed() == ["x: 1.0"]
    jax.jvp(f, (1.0,), (1.0,))
    assert printed() == ["x: 1.0"]


def test_in_loops_that_are_differentiated(printed):
    def loop(x):
        def body(c, _):
            jax.debug.print("c: {}", c)
            return c * x, None
        return lax.scan(body, x, None, length=2)[0]

    np.testing.assert_allclose(jax.grad(loop)(2.0), 12.0)
    assert printed() == ["c: 2.0", "c: 4.0"]


def test_in_custom_rules_and_checkpoint(printed):
    f = jax.custom_vjp(lambda x: jnp.sin(x))
    f.defvjp(lambda x: (f(x), x), lambda x, g: (jax.debug.print("g: {}", g), g * jnp.cos(x))[1:])
    jax.jit(jax.grad(f))(1.0)
    assert printed() == ["g: 1.0"]

    @jax.checkpoint
    def h(x):
        jax.debug.print("x: {}", x)
        return jnp.sin(x)

    jax.grad(h)(1.0)
    assert printed() == ["x: 1.0"] * 2  # again with the recomputation
    jax.jit(jax.grad(jax.checkpoint(h, policy=jax.checkpoint_policies.everything_saveable)))(1.0)
    assert printed() == ["x: 1.0"] * 3


def test_log_goes_to_logging_with_the_users_line(caplog):
    with caplog.at_level(logging.INFO, logger="minijax.api.debug"):
        jax.jit(lambda x: jax.debug.log("value {}", x))(3)
        jax.effects_barrier()
    record, = [r for r in caplog.records if r.getMessage() == "value 3"]
    assert record.levelno == logging.INFO and record.pathname == __file__


def test_callback_gets_arrays_and_other_things_as_they_are():
    seen = []
    f = jax.jit(lambda x: jax.debug.callback(lambda *a, **k: seen.append((a, k)), x, "s", n=None,
                                             t=(x, 2.5)))
    f(jnp.float32(1))
    jax.effects_barrier()
    (args, kwargs), = seen
    assert isinstance(args[0], jax.Array) and args[1] == "s"
    assert kwargs["n"] is None and kwargs["t"][0] == 1 and kwargs["t"][1] == 2.5


def test_errors_of_callbacks_reach_the_caller(caplog):
    def fail(x):
        raise ValueError("no good")

    with pytest.raises(ValueError, match="no good"):
        jax.debug.callback(fail, 1)
    with pytest.raises(jax.errors.JaxRuntimeError, match="no good"):
        jax.jit(lambda x: jax.debug.callback(fail, x))(1)
        jax.effects_barrier()
    assert "jax.debug.callback failed" in caplog.text


def test_effects_show_in_jaxprs():
    jaxpr = jax.make_jaxpr(lambda x: jax.debug.print("{}", x, ordered=True))(1.0)
    assert [type(e) for e in jaxpr.effects] == [jax.debug.OrderedDebugEffect]
    text = str(jaxpr)
    assert "debug_print[" in text and "fmt={}" in text and "ordered=True" in text


def test_random_keys_are_shown_as_words(printed):
    jax.jit(lambda k: jax.debug.print("{}", k))(jax.random.key(0))
    assert printed() == ["[0 0]"]


def test_shardings_of_arrays_inside_programs():
    seen = []

    @jax.jit
    def f(x):
        jax.debug.inspect_array_sharding(x + 1, callback=seen.append)
        return x

    f(jnp.arange(4))
    jax.debug.inspect_array_sharding({"a": jnp.arange(2)}, callback=seen.append)
    assert [s.device_set for s in seen] == [{jax.devices()[0]}] * 2
