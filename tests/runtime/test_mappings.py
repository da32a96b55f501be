"""Compiled programs are unloaded before the process has no memory mapping left."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.runtime import compile, dispatch, mappings


on_linux = pytest.mark.skipif(mappings.limit() is None, reason="only Linux counts mappings")


@pytest.fixture
def every_program(monkeypatch):
    monkeypatch.setattr(mappings, "BETWEEN", 1)


@on_linux
def test_mappings_are_counted():
    with open("/proc/self/maps") as f:
        assert abs(mappings.count() - len(f.readlines())) < 50
    assert mappings.limit() > mappings.count()


def test_caches_are_emptied_when_most_mappings_are_used(every_program, monkeypatch):
    forgotten = []
    monkeypatch.setattr(mappings, "forget", lambda: forgotten.append(dispatch.clear_caches()))
    monkeypatch.setattr(mappings, "count", lambda: 80)
    monkeypatch.setattr(mappings, "limit", lambda: 100)
    f = jax.jit(lambda x: jnp.sin(x) + lax_loop(x))
    x = np.arange(5.0, dtype=np.float32)
    np.testing.assert_allclose(f(x), np.sin(x) + 3 * x, rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(f))(x), np.cos(x) + 3, rtol=1e-6)
    assert len(forgotten) >= 2
    count = len(forgotten)
    np.testing.assert_allclose(f(x), np.sin(x) + 3 * x, rtol=1e-6)
    assert len(forgotten) > count  # it was forgotten itself, and is compiled again


def lax_loop(x):
    return jax.lax.fori_loop(0, 3, lambda i, c: c + x, jnp.zeros_like(x))


def test_nothing_is_forgotten_while_there_is_room(every_program, monkeypatch):
    monkeypatch.setattr(mappings, "forget", lambda: pytest.fail("there was room"))
    monkeypatch.setattr(mappings, "count", lambda: 74)
    monkeypatch.setattr(mappings, "limit", lambda: 100)
    assert jax.jit(lambda x: x * 17)(2) == 34
    monkeypatch.setattr(mappings, "limit", lambda: None)  # not Linux
    monkeypatch.setattr(mappings, "count", lambda: pytest.fail("nothing to compare with"))
    assert jax.jit(lambda x: x * 18)(2) == 36


def test_no_room_is_an_error_and_not_a_crash(every_program, monkeypatch):
    monkeypatch.setattr(mappings, "count", lambda: 95)
    monkeypatch.setattr(mappings, "limit", lambda: 100)
    compiled = jax.jit(lambda x: x * 19).lower(2.0)
    with pytest.raises(RuntimeError, match="no room for another compiled program: 95 of the 100 "
                                           "memory mappings") as error:
        compiled.compile()
    assert "because programs that are still referred to" in str(error.value)
    assert "fix: drop compiled programs" in str(error.value)


@on_linux
def test_programs_are_really_unloaded(monkeypatch):
    dispatch.clear_caches()
    client = jax.devices()[0].client
    before = len(client.live_executables())
    for n in range(20):
        jax.lax.sin(np.ones(n + 100, np.float32))
    assert len(client.live_executables()) >= before + 20
    monkeypatch.setattr(mappings, "BETWEEN", 1)
    monkeypatch.setattr(mappings, "limit", lambda: 4 * mappings.count() // 3 - 8)
    jax.lax.sin(np.ones(99, np.float32))
    assert len(client.live_executables()) <= before + 1
    assert len(compile._texts.entries) <= 1
