"""Calling Python from programs: values, mapping, errors, order."""

import threading

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.experimental import io_callback

INT = jax.ShapeDtypeStruct((), np.int32)


def sine(x):
    return jax.pure_callback(np.sin, jax.ShapeDtypeStruct(x.shape, x.dtype), x)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_pure_callback_gives_what_the_function_gives(wrap):
    x = jnp.arange(3.0)
    np.testing.assert_array_equal(wrap(sine)(x), np.sin(np.asarray(x)))


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_the_function_gets_arrays_in_their_tree_and_gives_a_tree(wrap):
    seen = []

    def host(a, *, b):
        seen.append((a, b))
        return {"sum": a["x"] + b, "twice": (2 * b,)}

    def f(x, y):
        shape = jax.ShapeDtypeStruct((2,), np.float32)
        return jax.pure_callback(host, {"sum": shape, "twice": (shape,)}, {"x": x}, b=y)

    out = wrap(f)(np.float32([1, 2]), np.float32([3, 4]))
    assert out["sum"].tolist() == [4, 6] and out["twice"][0].tolist() == [6, 8]
    (a, b), = seen
    assert isinstance(a["x"], jax.Array) and isinstance(b, jax.Array)


@pytest.mark.parametrize("dtype", ["int4", "uint4", "float4_e2m1fn", "bfloat16", "bool", "int8",
                                   "complex64", "float8_e4m3fn"])
def test_dtypes_of_operands_and_results(dtype):
    x = np.arange(8).astype(jnp.dtype(dtype))
    out = jax.jit(lambda x: jax.pure_callback(lambda v: v, x, x))(x)
    assert out.dtype == x.dtype
    np.testing.assert_array_equal(np.asarray(out), x)


def test_a_program_with_a_pure_callback_stays_in_the_fast_path():
    calls = []
    f = jax.jit(lambda x: jax.pure_callback(lambda v: calls.append(1) or v, x, x))
    for _ in range(3):
        f(jnp.float32(1))
    assert f._cache_size() == 1 and len(calls) == 3


def test_an_unused_pure_callback_is_dropped_and_an_io_callback_is_not():
    log = []

    @jax.jit
    def f(x):
        jax.pure_callback(lambda v: log.append("pure") or v, x, x)
        io_callback(lambda v: log.append("io"), None, x)
        return x

    f(1.0)
    jax.effects_barrier()
    assert log == ["io"]


# --- mapping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method, shapes", [
    ("sequential", [((), ())] * 3), ("sequential_unrolled", [((), ())] * 3),
    ("expand_dims", [((3,), (1,))]), ("broadcast_all", [((3,), (3,))]),
    ("legacy_vectorized", [((3,), ())])])
def test_methods_of_vmap(method, shapes):
    seen = []

    def host(x, y):
        seen.append((x.shape, y.shape))
        return np.asarray(x) + np.asarray(y)

    def f(x, y):
        return jax.pure_callback(host, jax.ShapeDtypeStruct((), np.float32), x, y,
                                 vmap_method=method)

    out = jax.vmap(f, in_axes=(0, None))(jnp.arange(3.0), 2.0)
    assert out.tolist() == [2, 3, 4] and seen == shapes


def test_vmap_without_a_method_says_which_there_are():
    with pytest.raises(NotImplementedError, match="vmap is only supported for the pure_callback"):
        jax.vmap(sine)(jnp.arange(3.0))
    with pytest.raises(ValueError, match="vmap_method must be on of the allowed methods"):
        jax.pure_callback(np.sin, INT, 1, vmap_method="loop")


def test_an_unordered_io_callback_is_called_for_each_element():
    log = []
    f = jax.jit(jax.vmap(lambda x: io_callback(lambda v: log.append(int(v)), None, x)))
    f(jnp.arange(4))
    jax.effects_barrier()
    assert sorted(log) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="Cannot `vmap` ordered IO callback"):
        jax.vmap(lambda x: io_callback(lambda v: None, None, x, ordered=True))(jnp.arange(2))


def test_io_callbacks_where_all_lanes_would_run():
    def in_cond(p):
        return lax.cond(p, lambda: io_callback(lambda: np.int32(1), INT), lambda: 0)

    def in_while(i):
        def body(i):
            io_callback(lambda v: None, None, i)
            return i + 1
        return lax.while_loop(lambda i: i < 5, body, i)

    with pytest.raises(NotImplementedError, match="not supported in vmap-of-cond"):
        jax.vmap(in_cond)(jnp.array([True, False]))
    with pytest.raises(NotImplementedError, match="while_loop with batched predicate"):
        jax.vmap(in_while)(jnp.arange(2))


# --- derivatives -------------------------------------------------------------------------------


def test_derivatives_are_refused_and_custom_jvp_helps():
    with pytest.raises(ValueError, match="Pure callbacks do not support JVP"):
        jax.grad(lambda x: sine(x))(1.0)
    with pytest.raises(ValueError, match="IO callbacks do not support JVP"):
        jax.jvp(lambda x: io_callback(np.sin, x, x), (1.0,), (1.0,))
    with pytest.raises(ValueError, match="Pure callbacks do not support transpose"):
        jax.linear_transpose(sine, 1.0)(1.0)

    f = jax.custom_jvp(sine)
    f.defjvp(lambda x, t: (f(*x), jnp.cos(x[0]) * t[0]))
    np.testing.assert_allclose(jax.jit(jax.grad(f))(2.0), np.cos(2.0), rtol=1e-6)


def test_an_io_callback_cannot_be_recomputed():
    @jax.checkpoint
    def f(x):
        io_callback(lambda v: None, None, x)
        return jnp.sin(x)

    with pytest.raises(NotImplementedError, match="Effects not supported in partial-eval of "
                                                  "`checkpoint`"):
        jax.grad(f)(1.0)


# --- errors ------------------------------------------------------------------------------------


def fail(x):
    raise ZeroDivisionError("division failed")


def test_an_exception_arrives_as_itself_without_jit_and_as_a_runtime_error_with_it(caplog):
    x = jnp.float32(1)
    with pytest.raises(ZeroDivisionError, match="division failed"):
        jax.pure_callback(fail, x, x)
    with pytest.raises(jax.errors.JaxRuntimeError, match="division failed"):
        jax.jit(lambda x: jax.pure_callback(fail, x, x))(x).block_until_ready()
    assert "jax.pure_callback failed" in caplog.text


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("result, message", [
    (lambda x: np.ones(3, np.float32), "Incorrect output shape for return value #0"),
    (lambda x: np.int32(1), "Incorrect output dtype for return value #0"),
    (lambda x: (x, x), "Mismatched number of outputs from callback. Expected: 1, Actual: 2")])
def test_results_of_other_types_than_promised(wrap, result, message):
    with pytest.raises(RuntimeError, match=message):
        wrap(lambda x: jax.pure_callback(result, x, x))(jnp.float32(1)).block_until_ready()


def test_64_bit_results_are_refused_when_they_cannot_be():
    with pytest.raises(ValueError, match="result_shape_dtypes cannot specify 64-bit types"):
        jax.pure_callback(np.sin, jax.ShapeDtypeStruct((), np.float64), 1.0)
    out = jax.pure_callback(lambda x: np.float64(2.5), jax.ShapeDtypeStruct((), np.float32), 1.0)
    assert out.dtype == np.float32 and out == 2.5
    with pytest.raises(NotImplementedError, match="only supports SingleDeviceSharding"):
        jax.pure_callback(np.sin, INT, 1, sharding="cpu")


# --- order -------------------------------------------------------------------------------------


def test_ordered_callbacks_come_in_program_order_across_programs_and_control_flow():
    log = []

    def note(x):
        log.append(int(x))
        return np.int32(x + 1)

    def step(x):
        return io_callback(note, INT, x, ordered=True)

    @jax.jit
    def program(x):
        x = lax.fori_loop(0, 2, lambda i, x: step(x), x)
        x = lax.cond(x > 0, step, lambda x: x, x)
        x, _ = lax.scan(lambda x, _: (step(x), None), x, None, length=3, unroll=2)
        x = lax.while_loop(lambda x: step(x) < 9, lambda x: x + 1, x)
        return jax.jit(step)(x)

    program(0)
    program(0)
    jax.effects_barrier()
    once = [0, 1, 2, 3, 4, 5, 6, 7, 8, 8]
    assert log == once + once
    jaxpr = jax.make_jaxpr(program)(0)
    assert [repr(e) for e in jaxpr.effects] == ["OrderedIO"]


def test_compiled_stages_with_ordered_callbacks_can_be_called(capsys):
    def f(x, unused, *, y):
        jax.debug.print("x={}", x, ordered=True)
        return x + y + io_callback(lambda v: v, INT, y, ordered=True)

    compiled = jax.jit(f).lower(np.int32(1), jnp.ones(3), y=np.int32(2)).compile()
    assert compiled(jnp.int32(1), np.ones(3, np.float32), y=np.int32(2)) == 5
    assert compiled(np.int32(3), jnp.ones(3), y=jnp.int32(4)) == 11
    jax.effects_barrier()
    assert capsys.readouterr().out == "x=1\nx=3\n"


def test_ordered_callbacks_of_programs_on_different_devices():
    log = []
    f = jax.jit(lambda x: io_callback(lambda v: log.append(int(v)), None, x, ordered=True))
    for i, device in enumerate([jax.devices()[0], jax.devices()[-1]] * 3):
        f(jax.device_put(i, device))
    jax.effects_barrier()
    assert log == list(range(6))


def test_donated_arguments_beside_a_token():
    @jax.jit
    def f(x, y):
        io_callback(lambda v: None, None, x, ordered=True)
        return x + y, y

    donating = jax.jit(f, donate_argnums=0)
    x = jnp.arange(4.0)
    out, same = donating(x, jnp.ones(4))
    assert out.tolist() == [1, 2, 3, 4] and same.tolist() == [1] * 4
    assert x.is_deleted()


# --- running programs from callbacks -----------------------------------------------------------


def test_a_callback_may_run_programs():
    inner = jax.jit(lambda x: jnp.linalg.norm(x) + jnp.sum(jnp.sin(x)))

    def host(x):
        return np.asarray(inner(x) + 2 * jnp.cos(jnp.asarray(x)).sum())

    x = jnp.arange(2000.0)
    done = []

    def run():
        f = jax.jit(lambda x: sum(jax.pure_callback(host, INT.update(dtype=np.float32), x + i)
                                  for i in range(4)))
        done.append(float(f(x)))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert len(done) == 1, "a program run by a callback never came back"


def test_callbacks_under_other_configuration_see_64_bits():
    with jax.enable_x64(True):
        x = jnp.float64(1 / 3)
        out = jax.jit(lambda x: jax.pure_callback(lambda v: np.asarray(v) * 3, x, x))(x)
        assert out.dtype == np.float64 and out == 1.0
