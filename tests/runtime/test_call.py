"""`fused`, caches and what they hold alive, threads."""

import gc
import threading
import weakref

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import core, lax
from minijax.passes import structure
from minijax.runtime import call, compile
from minijax.runtime.call import fused


def array(*values):
    return jax.device_put(np.array(values, np.float32))


# --- fused ---


def test_fused_is_one_program_eagerly():
    seen = []

    @fused
    def f(x, y):
        seen.append(isinstance(x, core.Tracer))
        return lax.add(lax.sin(x), y)

    x = array(0.0)
    for _ in range(3):
        np.testing.assert_array_equal(f(x, x), [0.0])
    assert seen == [True]
    assert f._cache_size() == 1
    assert f.__name__ == "f"


def test_fused_is_inlined_under_a_trace():
    @fused
    def f(x):
        return lax.sin(x)

    names = [e.primitive.name for e in jax.make_jaxpr(lambda x: f(f(x)))(1.0).eqns]
    assert names == ["sin", "sin"]
    np.testing.assert_allclose(jax.vmap(f)(array(1.0, 2.0)), np.sin([1.0, 2.0]), rtol=1e-6)
    assert float(jax.grad(f)(0.0)) == 1.0
    x = array(1.0)
    names = [e.primitive.name for e in jax.make_jaxpr(lambda: f(x))().eqns]
    assert names == ["sin"]  # on concrete arrays, too
    assert float(f.body(0.0)) == 0.0


def test_fused_with_statics():
    @fused(static_argnames=("axes",))
    def total(x, axes=(0,)):
        return lax.reduce_sum(x, axes)

    x = array(1.0, 2.0)
    assert float(total(x)) == float(total(x, (0,))) == float(total(x, axes=(0,))) == 3.0
    assert total(x, axes=()).shape == (2,)


def test_fused_passes_not_implemented_through():
    @fused
    def add(x, y):
        if not hasattr(y, "dtype"):
            return NotImplemented
        return lax.add(x, y)

    assert add(array(1.0), "a") is NotImplemented
    np.testing.assert_array_equal(add(array(1.0), array(2.0)), [3.0])


def test_fused_runs_the_body_on_what_is_no_array():
    @fused
    def f(x):
        return lax.sin(x) if hasattr(x, "shape") else f"no array: {x}"

    assert f("abc") == "no array: abc"


def test_fused_recovers_from_exceptions():
    @fused
    def f(x):
        if x.shape == (2,):
            raise ValueError("no")
        return x

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            f(array(1.0, 2.0))
        f(array(1.0))
        f(array(1.0))
        assert f._cache_size() == 1


# --- caches ---


def test_functions_and_their_programs_are_dropped():
    def once(i):
        f = jax.jit(lambda a: lax.mul(a, float(i)))
        f(array(1.0))
        jax.grad(f)(1.0)
        return weakref.ref(f), weakref.ref(f.__wrapped__)

    once(0)
    gc.collect()
    before = sum(isinstance(o, core.Jaxpr) for o in gc.get_objects())
    references = [once(i) for i in range(5)]
    structure.clear_caches()  # which keeps a few programs for others of the same structure
    gc.collect()
    assert all(a() is None and b() is None for a, b in references)
    assert sum(isinstance(o, core.Jaxpr) for o in gc.get_objects()) <= before


def test_same_text_is_compiled_once(monkeypatch):
    compiled = []
    original = compile.backend_compile_and_load
    monkeypatch.setattr(compile, "backend_compile_and_load",
                        lambda *a: compiled.append(1) or original(*a))
    for name in "fgh":  # equal text, different modules: names are part of the caches before
        def f(a):
            return lax.add(lax.mul(a, 7.5), a)
        jax.jit(f)(array(1.0, 2.0))
    assert len(compiled) == 1


def test_clear_caches():
    f = jax.jit(lambda a: lax.sin(a))
    f(1.0)
    call.clear_caches()
    compile.clear_caches()
    assert f._cache_size() == 0
    assert float(f(0.0)) == 0.0


def test_a_function_forgets_what_earlier_calls_left():
    def f(a):
        return lax.add(a, float(offset))

    f, loaded = jax.jit(f), jax.devices()[0].client.live_executables
    jax.clear_caches()
    offset = 2.25
    before = len(loaded())
    assert float(f(1.0)) == 3.25 and len(loaded()) > before
    f.clear_cache()
    gc.collect()
    assert len(loaded()) <= before
    offset = 4.5
    assert float(f(1.0)) == 5.5


def test_a_trace_that_captured_a_tracer_is_not_kept():
    inner_calls = []

    def f(s):
        def inner(a):
            inner_calls.append(1)
            return lax.add(a, s)

        jitted = jax.jit(inner)
        return lax.add(jitted(1.0), jitted(2.0))

    assert float(jax.jit(f)(3.0)) == 9.0
    assert len(inner_calls) == 2


# --- threads ---


def run_in_threads(work, count=8):
    barrier = threading.Barrier(count)
    failures = []

    def body(k):
        try:
            barrier.wait()
            work(k)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=body, args=(k,)) for k in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures[0]


def test_threads_with_functions_of_their_own():
    def work(k):
        f = jax.jit(lambda a: lax.add(lax.mul(a, float(k)), a))
        for size in (1, 2):
            x = jax.device_put(np.full(size, 2.0, np.float32))
            np.testing.assert_allclose(f(x), np.full(size, 2.0 * k + 2))
            grad = jax.grad(lambda a: lax.reduce_sum(lax.sin(f(a)), (0,)))(x)
            np.testing.assert_allclose(grad, np.cos(np.full(size, 2.0 * k + 2)) * (k + 1),
                                       rtol=1e-3)
            np.testing.assert_allclose(jax.vmap(lambda a: lax.mul(a, a))(x), np.full(size, 4.0))

    run_in_threads(work)


def test_threads_with_one_function():
    shared = jax.jit(lambda a: lax.sin(a))

    def work(k):
        for i in range(50):
            x = jax.device_put(np.full(i % 5 + 1, k, np.float32))
            np.testing.assert_allclose(shared(x), np.sin(np.full(i % 5 + 1, k)), rtol=1e-5)

    run_in_threads(work)
    assert shared._cache_size() == 5


@pytest.mark.parametrize("make, spec", [
    (lambda x: x + 1, ("x", None)), (lambda x: jax.jit(jnp.sin)(x), ("x", None)),
    (lambda x: x.sum(1), ("x",)), (lambda x: x.T, (None, "x")),
    (jax.grad(lambda x: (x ** 2).sum()), ("x", None)),
    (lambda x: jax.reshard(jnp.ones((4, 3)), jax.P(None, "x")), (None, "x"))])
def test_results_on_an_explicit_mesh_of_one_device_say_how_they_are_split(make, spec):
    mesh = jax.make_mesh((1,), ("x",), devices=jax.devices()[:1])
    with jax.set_mesh(mesh):
        out = make(jax.device_put(jnp.ones((4, 3)), jax.NamedSharding(mesh, jax.P("x", None))))
    assert out.sharding == jax.NamedSharding(mesh, jax.P(*spec)) and out.committed
    assert jax.typeof(out).sharding.spec == jax.P(*spec)
