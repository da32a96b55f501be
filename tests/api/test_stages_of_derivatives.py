"""Pullbacks as data, saved residuals, the two passes as functions, and other small tools."""

import pickle

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.ad_checkpoint import checkpoint_name, print_saved_residuals
from minijax.test_util import check_grads, check_jvp, check_vjp


def test_a_pullback_holds_arguments_apart_from_other_residuals():
    x, w = jnp.arange(3.0), jnp.ones(3)
    _, pullback = jax.vjp(lambda x, w: jnp.sin(x) * w, x, w)
    assert pullback.args_res[1] is w
    assert repr(pullback.args_res[0]) == "NotNeeded()"
    assert len(pullback.opaque_residuals) == 2
    pullback.args_res[1] = None
    with pytest.raises(ValueError, match="taken out of args_res"):
        pullback(w)
    pullback.args_res[1] = 2 * w
    np.testing.assert_allclose(pullback(w)[0], 2 * np.cos(x), rtol=1e-6)


def test_a_pullback_can_leave_and_enter_jitted_functions():
    @jax.jit
    def forward(x):
        return jax.vjp(lambda x: x * x, x)
    _, pullback = forward(3.0)
    assert jax.jit(lambda p, ct: p(ct))(pullback, 1.0) == (6.0,)


def test_unwanted_cotangents_are_not_computed():
    x = jnp.arange(3.0)
    _, pullback = jax.vjp(lambda x, y: x * y, x, x + 1)
    pull = jax.jit(pullback.with_refs(jax.ad.DontWant(), jax.ad.GradValue()))
    assert pull(x)[0] == jax.ad.DidntWant()
    np.testing.assert_array_equal(pull(x)[1], x * x)
    assert len(pull.trace(x).jaxpr.eqns) == 1


def test_the_passes_as_functions():
    f = lambda w, x: (jnp.sin(w * x), w)  # noqa: E731
    fwd, bwd = jax.fwd_and_bwd(f, argnums=1, has_aux=True)
    out, residuals, aux = fwd(2.0, 3.0)
    assert (out, aux) == (jnp.sin(6.0), 2.0)
    np.testing.assert_allclose(bwd(residuals, 1.0), 2 * np.cos(6.0), rtol=1e-6)
    with jax.no_tracing():
        _, residuals, _ = fwd(4.0, 5.0)
        bwd(residuals, 1.0)


def test_saved_residuals_are_listed(capsys):
    def f(w, x):
        return checkpoint_name(jnp.sin(w @ x["a"]), "wave").sum()
    w, x = jnp.ones((2, 3)), {"a": jnp.ones(3)}
    print_saved_residuals(f, w, x)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["f32[2,3] from the argument w", "f32[3] from the argument x['a']"]
    assert lines[2].startswith("f32[2] output of cos from ") and "(test_saved" in lines[2]
    keep = jax.checkpoint_policies.save_only_these_names("wave")
    print_saved_residuals(jax.checkpoint(lambda w, x: jnp.cos(f(w, x)), policy=keep), w, x)
    assert "named 'wave' from" in capsys.readouterr().out


def test_ensure_compile_time_eval():
    @jax.jit
    def f(x):
        with jax.ensure_compile_time_eval():
            n = int(jnp.arange(4).sum())  # known, although f is traced
        return x * n
    assert f(2.0) == 12


def test_jitted_functions_can_be_pickled():
    assert pickle.loads(pickle.dumps(jnp.sin)) is jnp.sin
    again = pickle.loads(pickle.dumps(jax.jit(pickled, static_argnames="n")))
    assert again(2.0, n=3) == 8 and again.lower(2.0, n=3).compile()(2.0) == 8
    with pytest.raises(jax.errors.ConcretizationTypeError, match="cannot be pickled"):
        jax.jit(pickle.dumps)(0)


def test_devices_and_their_shardings_can_be_pickled():
    device = jax.devices()[0]
    assert pickle.loads(pickle.dumps(device)) is device
    sharding = jnp.ones(2).sharding
    assert pickle.loads(pickle.dumps(sharding)) == sharding


def pickled(x, n):
    return x ** n


def test_partial_barriers_of_checkpoint():
    f = jax.checkpoint(lambda w, x: jnp.sin(x @ w), prevent_cse=(False, True))
    w, x = jnp.ones((3, 3)), jnp.ones(3)
    text = jax.jit(jax.grad(lambda w, x: f(w, x).sum(), (0, 1))).lower(w, x).as_text()
    barrier, = [line for line in text.splitlines() if "optimization_barrier" in line]
    assert "3x3" not in barrier
    plain = jax.grad(lambda w, x: jnp.sin(x @ w).sum())(w, x)
    np.testing.assert_allclose(jax.grad(lambda w, x: f(w, x).sum())(w, x), plain, rtol=1e-6)


def test_check_grads():
    with jax.enable_x64(True):
        check_grads(lambda x, y: {"a": jnp.sin(x) @ y, "b": x.sum()},
                    (jnp.ones((2, 2)), jnp.arange(2.0)), order=2)
        check_grads(lambda x, n: x * n, (1.5 + 0.5j, 3), order=1)
        wrong = jax.custom_jvp(lambda x: x * x)
        wrong.defjvp(lambda primals, tangents: (wrong(*primals), tangents[0]))
        for mode in ("fwd", "rev"):
            with pytest.raises(AssertionError):
                check_grads(wrong, (3.0,), order=1, modes=[mode])
        with pytest.raises(AssertionError):
            check_jvp(jnp.sin, lambda p, t: (jnp.sin(*p), t[0]), (1.0,))
        with pytest.raises(AssertionError):
            check_vjp(jnp.sin, lambda x: (jnp.sin(x), lambda ct: (ct,)), (1.0,))
