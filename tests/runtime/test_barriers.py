"""Stored values have one name for XLA, and programs in which they might have two are found."""

import re

import numpy as np
import pytest

import lowering
import minijax as jax
import minijax.numpy as jnp
from lowering import barriers
from minijax import lax
from minijax.experimental import io_callback

X = np.random.default_rng(0).normal(size=(64, 64), scale=0.1).astype(np.float32)


def overwriting(first, second):
    """A kernel that reads one value by two names could write `rows` in place of what it reads."""
    def run(x):
        product = x @ x
        stored, other = first(product), second(product)
        row = (stored[0] * stored[2])[None]
        rows = jnp.tanh(lax.dynamic_update_slice(other, row, (1, 0)))
        return rows @ rows
    return run


def twice_reshaped(x):
    return jnp.tanh(x.reshape(8, -1).reshape(64, 64))


@jax.jit
def layers(x):
    for _ in range(8):  # too many to be copied to the caller
        x = jnp.tanh(x)
    return x


def compiled(monkeypatch, fun, needed, *, primitive="tanh"):
    """The program with the first of its operations of that name behind a barrier."""
    def pins(jaxpr):
        for eqn in jaxpr.eqns:
            if eqn.primitive.name == primitive:
                return {eqn.outvars[0]: needed}
            if eqn.primitive.name == "jit":
                return pins(eqn.params["jaxpr"])
        return {}

    monkeypatch.setattr(lowering, "pins", pins)
    jax.clear_caches()
    made = jax.jit(lambda x: fun(x)).lower(X).compile()
    jax.clear_caches()
    return made


def kept(program):
    return program.as_text().count(" opt-barrier(")


@pytest.mark.parametrize("function", [jnp.tanh, layers])
def test_equal_values_are_read_from_one_barrier(monkeypatch, function):
    fun = overwriting(function, function)
    with jax.disable_jit():
        expected = fun(X)
    program = compiled(monkeypatch, fun, False)
    assert kept(program) == 1
    np.testing.assert_allclose(program(X), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("needed", [True, False])
@pytest.mark.parametrize("checked", [True, False])
def test_arrays_that_xla_might_mix_up_are_not_stored(monkeypatch, checked, needed):
    fun = overwriting(jnp.tanh, twice_reshaped)  # only XLA finds that they are equal
    with jax.disable_jit():
        expected = fun(X)
    if not checked:
        monkeypatch.setattr(lowering, "is_mixed_up", lambda hlo: False)
    program = compiled(monkeypatch, fun, needed)
    assert kept(program) == (not checked)
    np.testing.assert_allclose(program(X), expected, rtol=1e-4, atol=1e-6)


def test_values_on_which_results_depend_stay_stored_when_others_cannot(monkeypatch):
    """Barriers of users, and of checkpoint, save memory: they go before the results do."""
    def fun(x):
        return jnp.cos(lax.optimization_barrier(jnp.exp(jnp.sin(x))) + 1)

    answers = iter([True, False])
    monkeypatch.setattr(lowering, "is_mixed_up", lambda hlo: next(answers))
    program = compiled(monkeypatch, fun, True, primitive="sin")
    assert kept(program) == 1
    assert "sin" in next(line for line in program.as_text().splitlines() if "opt-barrier(" in line)
    np.testing.assert_allclose(program(X), np.cos(np.exp(np.sin(X)) + 1), rtol=1e-5)


def test_effects_are_not_merged(monkeypatch):
    seen = []

    def fun(x):
        for _ in range(2):
            io_callback(lambda: seen.append("ordered"), None, ordered=True)
            jax.debug.callback(lambda: seen.append("not"))
        return overwriting(layers, layers)(x)

    program = compiled(monkeypatch, fun, False)
    assert kept(program) == 1
    program(X)
    jax.effects_barrier()
    assert sorted(seen) == ["not", "not", "ordered", "ordered"]


def test_operations_in_line_keep_the_name_of_the_call(monkeypatch):
    text = compiled(monkeypatch, overwriting(layers, layers), False).as_text()
    assert re.search(r'opt-barrier\(.*op_name="jit\(<lambda>\)/jit\(layers\)/tanh"', text)


def test_an_input_behind_a_barrier_stays_where_it_is(monkeypatch):
    program = compiled(monkeypatch, lambda x: jnp.sin(lax.copy_p.bind(x)), True,
                       primitive="copy")
    assert kept(program) == 1
    np.testing.assert_allclose(program(X), np.sin(X), rtol=1e-6)


@pytest.mark.parametrize("line, mixed", [
    ("%r = f32[3]{0} fusion(%a, %b), kind=kLoop", True),
    ("%r = f32[3]{0} fusion(%a, %c), kind=kLoop", False),
    ("%r = f32[3]{0} multiply(%b, %b)", False),
    ("%r = (f32[3]{0}, f32[3]{0}) tuple(%a, %b)", False),  # it only names them
    ("%t = (f32[3]{0}, f32[3]{0}) tuple(%a, %b)\n"
     "  %g = f32[3]{0} get-tuple-element(%t), index=0\n"
     "  %h = f32[3]{0} get-tuple-element(%t), index=1\n"
     "  ROOT %r = f32[3]{0} fusion(%g, %h), kind=kLoop", True),
    ("%t = (f32[3]{0}, f32[3]{0}, f32[3]{0}) tuple(%c, %c, %b)\n"
     "  %g = f32[3]{0} get-tuple-element(%t), index=2, metadata={}\n"
     "  ROOT %r = f32[3]{0} fusion(%g, %a), kind=kLoop", True),
    ("%t = (f32[3]{0}, f32[3]{0}) tuple(%c, %b)\n"
     "  %g = f32[3]{0} get-tuple-element(%t), index=0\n"
     "  ROOT %r = f32[3]{0} fusion(%g, %a), kind=kLoop", False)])
def test_two_names_of_one_array_are_found(line, mixed):
    hlo = ("  %a = f32[3]{0} fusion(%x), kind=kLoop\n  %b = f32[3]{0} opt-barrier(%a)\n"
           f"  %c = f32[3]{{0}} copy(%b), metadata={{op_name=\"f(%a)\"}}\n  {line}\n")
    assert barriers.is_mixed_up(hlo) is mixed
