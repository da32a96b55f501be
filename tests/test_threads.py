"""Threads trace, transform and run at the same time, each as if it were alone."""

import threading

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

COUNT = 8


def in_threads(work, count=COUNT):
    """The results of `work(i)` in `count` threads that start together."""
    barrier = threading.Barrier(count)
    results, errors = [None] * count, []

    def run(i):
        try:
            barrier.wait()
            results[i] = work(i)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return results


def cubic(x, k):
    return jnp.sum(k * x ** 3 + x)


def workloads(i, round):
    """Functions that no other thread has, and their right results at x."""
    k, x = i + 2.0, np.linspace(0.5, 1.5, 3 + (i + round) % 3, dtype=np.float32)
    own = lambda x: cubic(x, k)  # noqa: E731
    slope = 3 * k * x ** 2 + 1

    def horner(x):
        return lax.scan(lambda c, a: (c * x + a, None), 0.0, jnp.array([k, 0.0, 1.0]))[0]

    yield jax.jit(own)(x), np.sum(k * x ** 3 + x)
    yield jax.grad(own)(x), slope
    yield jax.jit(jax.grad(own))(x), slope
    yield jax.vmap(jax.grad(lambda x: cubic(x, k)))(x), slope
    yield jax.jit(jax.vmap(horner))(x), k * x ** 2 + 1
    yield jax.vmap(jax.grad(horner))(x), 2 * k * x
    yield jax.jvp(own, (x,), (np.ones_like(x),))[1], slope.sum()
    yield jax.make_jaxpr(own)(x).out_avals[0].shape, ()
    yield jax.vmap(lambda x: lax.psum(x, "i"), axis_name="i")(x), np.full(x.shape, x.sum())


def test_threads_that_trace_different_functions():
    def work(i):
        for round in range(2):
            for got, expected in workloads(i, round):
                np.testing.assert_allclose(np.asarray(got), expected, rtol=1e-4)
        return i

    assert in_threads(work) == list(range(COUNT))


def test_threads_that_call_one_function_for_the_first_time():
    traces = []

    @jax.jit
    def shared(x):
        traces.append(x.shape)
        return jnp.sin(x) * 2 + jnp.sum(x)

    x = np.arange(3, dtype=np.float32)
    expected = np.sin(x) * 2 + x.sum()
    for got in in_threads(lambda i: [np.asarray(shared(x)) for _ in range(20)]):
        np.testing.assert_allclose(got, [expected] * 20, rtol=1e-5)
    assert 1 <= len(traces) <= COUNT


def test_eager_operations_in_threads():
    def work(i):
        x = jnp.arange(4.0) + i
        for _ in range(20):
            x = x * 1.0 + jnp.sum(x) * 0.0
        return np.asarray(x)

    for i, got in enumerate(in_threads(work)):
        np.testing.assert_allclose(got, np.arange(4.0) + i)


def test_a_thread_does_not_see_what_another_one_traces():
    tracing, done = threading.Event(), threading.Event()
    seen = []

    def other():
        tracing.wait()
        seen.append(type(jnp.ones(2) + 1))  # an array, not a tracer
        seen.append(float(jax.grad(jnp.sin)(0.0)))
        done.set()

    def traced(x):
        tracing.set()
        assert done.wait(60)
        return x + 1

    thread = threading.Thread(target=other)
    thread.start()
    jax.jit(traced)(1.0)
    thread.join()
    assert issubclass(seen[0], jax.Array) and seen[1] == 1.0


def test_configuration_of_a_thread():
    def work(i):
        with jax.enable_x64(i % 2 == 0):
            return [jnp.ones(2).dtype.name for _ in range(10)] + [
                jax.jit(lambda x: x * 2)(jnp.ones(3)).dtype.name]

    for i, names in enumerate(in_threads(work)):
        assert set(names) == {"float64" if i % 2 == 0 else "float32"}


def test_an_error_in_one_thread_leaves_the_others_alone():
    def work(i):
        for _ in range(3):
            if i % 2:
                with pytest.raises(jax.errors.TracerBoolConversionError):
                    jax.jit(lambda x: 1 if x > i else 2)(1.0)
            else:
                assert float(jax.jit(jax.grad(lambda x: x ** 2 * i))(1.0)) == 2 * i
        return True

    assert all(in_threads(work))


def test_a_tracer_of_another_thread_is_refused():
    kept, failed = [], []

    def other():
        try:
            jax.jit(lambda y: y + kept[0])(1.0)
        except jax.errors.UnexpectedTracerError as error:
            failed.append(error)

    def traced(x):
        kept.append(x)
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        return x

    jax.jit(traced)(1.0)
    assert len(failed) == 1
