"""Values that XLA's CPU fusion would compute again in each kernel are stored, and only those."""

import re

import numpy as np
import pytest

import lowering
import minijax as jax
import minijax.numpy as jnp
from lowering import fusion, rules
from minijax import lax

FUSED = re.compile(r"^%?\S*fused_computation\S* .*?^}", re.M | re.S)


def kernels(compiled):
    """The number of instructions in each fusion of a compiled program."""
    return [body.count(" = ") for body in FUSED.findall(compiled.as_text())]


def norm(x):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred ** 2).mean(-1, keepdims=True) + 1e-5)


def residual(params, x):
    """Layers that add a product and a bias to their input: what XLA does not protect."""
    for w, b in params:
        x = x + norm(x) @ w + b
    return x


def arguments(layers):
    rng = np.random.default_rng(0)
    w = rng.normal(size=(layers, 64, 64), scale=0.1).astype(np.float32)
    b = rng.normal(size=(layers, 64)).astype(np.float32)
    return list(zip(w, b)), rng.normal(size=(8, 64)).astype(np.float32)


def barriers(fun, *args):
    return jax.jit(fun).lower(*args).as_text().count("optimization_barrier")


def test_fusions_grow_linearly_with_depth():
    sizes = {n: kernels(jax.jit(residual).lower(*arguments(n)).compile()) for n in (8, 24)}
    assert sum(sizes[24]) < 3.5 * sum(sizes[8])
    assert max(sizes[24]) < 30


def test_without_the_barriers_they_grow_quadratically(monkeypatch):
    monkeypatch.setattr(lowering, "pins", lambda jaxpr: {})
    sizes = {n: kernels(jax.jit(lambda *args: residual(*args)).lower(*arguments(n)).compile())
             for n in (8, 24)}
    assert sum(sizes[24]) > 5 * sum(sizes[8])  # else XLA has learnt it, and fusion.py can go


@pytest.mark.parametrize("derivative", [False, True])
def test_results_are_those_without_barriers(monkeypatch, derivative):
    fun = (jax.grad(lambda *args: (residual(*args) ** 2).mean()) if derivative else residual)
    args = arguments(20)
    assert barriers(fun, *args)
    stored = jax.jit(fun)(*args)
    monkeypatch.setattr(lowering, "pins", lambda jaxpr: {})
    jax.clear_caches()
    plain = jax.jit(fun)(*args)
    for x, y in zip(jax.tree.leaves(stored), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-5 * float(jnp.abs(y).max()))


def test_short_programs_and_protected_sums_stay_as_they_are():
    def protected(x, ys):
        for y in ys:
            x = x + y
            x = x + norm(x)
        return x

    x = np.ones((8, 64), np.float32)
    assert not barriers(residual, *arguments(2))
    assert not barriers(lambda x: jnp.sin(x) / jnp.cos(x) + jnp.exp(x), x)
    assert not barriers(protected, x, [x] * 2)


@pytest.mark.parametrize("fun, count", [
    (lambda x: jnp.sin(x).max(), 1),
    (lambda x: jnp.sin(x).min(1).sum(), 1),
    (lambda x: jnp.linalg.norm(jnp.cos(x), ord=np.inf, axis=0).sum(), 1),
    (lambda x: jax.jit(jnp.max)(jnp.sin(x)[::-1]), 1),
    (lambda x: x.max(), 0), (lambda x: x.T.max(), 0), (lambda x: (x @ x).max(), 0),
    (lambda x: jax.nn.logsumexp(jnp.sin(x)), 0), (lambda x: jnp.sin(x).sum(), 0)])
def test_what_is_compared_with_its_maximum_is_computed_once(fun, count):
    """Rounded in two ways, elements that are equal to the maximum would seem to be smaller."""
    x = np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32)
    assert barriers(jax.grad(fun), x) == count
    assert barriers(jax.vmap(jax.grad(fun)), x[None]) == count
    with jax.disable_jit():
        expected = jax.grad(fun)(x)
    np.testing.assert_allclose(jax.jit(jax.grad(fun))(x), expected, rtol=1e-5, atol=1e-6)


def test_layers_in_called_functions_are_seen():
    layer = jax.jit(lambda x, w, b: x + norm(x) @ w + b)

    def model(params, x):
        for w, b in params:
            x = layer(x, w, b)
        return x

    assert barriers(model, *arguments(16))
    assert barriers(jax.checkpoint(residual), *arguments(16))


def looped(x, body):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, body(s[1])), (0, x))[1]


BARRIERS_WITHIN = {
    "a small loop": lambda x: looped(x[0, 0], lambda y: lax.optimization_barrier(y * 0.5)),
    "a reduction": lambda x: lax.reduce(
        x, np.float32(0), lambda a, b: lax.optimization_barrier(a + b), (0,)),
    "a derivative of a scan": lambda x: jax.grad(lambda x: lax.scan(
        jax.checkpoint(lambda c, _: (jnp.sin(c), None)), x, None, length=2)[0].sum())(x),
}


@pytest.mark.parametrize("body", BARRIERS_WITHIN)
def test_programs_with_barriers_within_bodies_are_compiled_as_ever(body):
    """XLA fails, or aborts the process, where it has to keep a barrier in one of these."""
    inner, args = BARRIERS_WITHIN[body], arguments(16)

    def fun(*args):
        return inner(residual(*args))

    given = residual(*args)
    expected = sum(given) if body == "a reduction" else inner(given)
    assert barriers(fun, *args) == 1
    np.testing.assert_allclose(jax.jit(fun)(*args), expected, rtol=1e-3, atol=1e-4)


def test_what_a_loop_calls_too_has_no_barriers():
    layers = jax.jit(residual)
    args = arguments(16)
    assert barriers(layers, *args)
    assert not barriers(
        lambda params, x: layers(params, x) + looped(x, lambda y: layers(params, y)), *args)


def test_programs_that_are_stored_or_meant_for_other_platforms_have_no_barriers():
    args = arguments(16)
    assert barriers(residual, *args)
    assert "optimization_barrier" not in jax.export.export(jax.jit(residual))(*args).mlir_module()
    traced = jax.jit(residual).trace(*args)
    assert "optimization_barrier" not in traced.lower(lowering_platforms=("cuda",)).as_text()


def test_the_weights_are_of_operations_that_lowering_knows():
    assert set(fusion._WEIGHTS) <= set(rules.table("cpu"))


def test_programs_that_xla_cannot_compile_with_barriers_are_compiled_without(monkeypatch):
    def halves(x):
        return looped(x, lambda y: y * 0.5)

    monkeypatch.setattr(lowering, "pins", lambda jaxpr: {
        v: True for e in jaxpr.eqns for inner in e.params.values() if hasattr(inner, "eqns")
        for body in inner.eqns for v in body.outvars if body.primitive.name == "mul"})
    lowered = jax.jit(halves).lower(np.float32(8))
    assert "optimization_barrier" in lowered.as_text()
    assert lowered.compile()(np.float32(8)) == 1
