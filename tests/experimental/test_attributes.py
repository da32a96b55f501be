"""Attributes for the compiler: on operations, on values, on calls; and where operations run."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.experimental.compute_on import compute_on, compute_on2
from minijax.experimental.fused import fused
from minijax.experimental.scheduling_groups import scheduling_group, xla_metadata_call
from minijax.experimental.xla_metadata import set_xla_metadata

Space = jax.memory.Space
X = np.arange(3, dtype=np.float32)


def lines(fun, *args, having):
    return [line for line in jax.jit(fun).lower(*args).as_text().splitlines() if having in line]


def test_operations_traced_in_the_block_have_the_attributes():
    def f(x):
        y = lax.sin(x)
        with set_xla_metadata(a="b", number=3, flag=True):
            return lax.cos(y)
    (sine,), (cosine,) = (lines(f, X, having=f"stablehlo.{op}") for op in ("sine", "cosine"))
    assert "frontend_attributes" not in sine
    assert 'mhlo.frontend_attributes = {a = "b", flag = "true", number = "3"}' in cosine


def test_inner_blocks_add_replace_and_take_back():
    def f(x):
        with set_xla_metadata(a="1", b="2"):
            with set_xla_metadata(a="3", b=None, c="4"):
                return lax.sin(x)
    assert '{a = "3", c = "4"}' in lines(f, X, having="sine")[0]


def test_a_program_traced_again_outside_has_none():
    f = jax.jit(lambda x: lax.sin(x))
    with set_xla_metadata(a="b"):
        assert 'a = "b"' in f.lower(X).as_text()
        assert f.trace(X).jaxpr.eqns[0].ctx.xla_metadata == {"a": "b"}
    assert "frontend_attributes" not in f.lower(X).as_text()
    with set_xla_metadata(a="c"):
        assert 'a = "c"' in f.lower(X).as_text()


@pytest.mark.parametrize("fun, having", [
    (lambda x: lax.cond(x[0] > 0, lax.sin, lax.cos, x), "sine"),
    (lambda x: lax.while_loop(lambda c: c[0] < 5, lambda c: lax.sin(c), x), "sine"),
    (jax.jit(lambda x: lax.sin(x)), "sine"), (jax.vmap(lax.sin), "sine"),
    (jax.grad(lambda x: lax.sin(x).sum()), "cosine")])
def test_attributes_reach_inner_programs_and_derivatives(fun, having):
    def f(x):
        with set_xla_metadata(a="b"):
            return fun(x)
    assert 'a = "b"' in lines(f, X, having=having)[0]


def test_as_a_decorator_of_a_jitted_function_its_stages_have_them_too():
    f = set_xla_metadata(a="b")(jax.jit(lambda x: lax.sin(x)))
    assert 'a = "b"' in f.lower(X).as_text()
    np.testing.assert_allclose(f(X), np.sin(X), rtol=1e-6)


def test_scopes_are_shown_without_attributes():
    def f(x):
        with jax.named_scope("outer"), set_xla_metadata(a="b"):
            return lax.sin(x)
    eqn, = jax.make_jaxpr(f)(X).eqns
    assert str(eqn.source_info.name_stack) == "outer"


def test_tagged_values():
    f = lambda x: set_xla_metadata({"y": lax.sin(x)}, a="b")["y"]  # noqa: E731
    assert 'a = "b"' in lines(f, X, having="sine")[0]
    assert "xla_metadata_value[xla_metadata_kvs=(('a', 'b'),)]" in str(jax.make_jaxpr(f)(X))
    np.testing.assert_allclose(jax.grad(lambda x: f(x).sum())(X), np.cos(X), rtol=1e-6)
    np.testing.assert_array_equal(set_xla_metadata(X, a="b"), X)


def test_calls_are_functions_with_attributes_made_once():
    @xla_metadata_call(inlineable="false")
    def g(x):
        return lax.sin(x) * 2

    text = jax.jit(lambda x: g(g(x))).lower(X).as_text()
    assert text.count("func.func private @xla_metadata_call") == 1
    assert text.count('{mhlo.frontend_attributes = {inlineable = "false"}}') == 2
    np.testing.assert_allclose(jax.jit(lambda x: g(g(x)))(X), 2 * np.sin(2 * np.sin(X)), rtol=1e-6)


def test_calls_under_transformations():
    y = jnp.float32(3.0)
    f = scheduling_group("group")(lambda x: jnp.sin(x) * y)  # closes over an array
    np.testing.assert_allclose(f(X), 3 * np.sin(X), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(f)(X), 3 * np.sin(X), rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.grad(f))(X), 3 * np.cos(X), rtol=1e-6)
    np.testing.assert_allclose(jax.grad(jax.checkpoint(lambda x: f(x).sum()))(X), 3 * np.cos(X),
                               rtol=1e-6)
    assert 'scheduling_group = "group"' in jax.jit(jax.grad(f)).lower(1.0).as_text()


def test_compute_on_marks_operations():
    def f(x):
        with compute_on("device_host"):
            return lax.sin(x)
    assert '_xla_compute_type = "host"' in lines(f, X, having="sine")[0]
    with compute_on("gpu_stream:2"):
        assert '_xla_stream_annotation = "2"' in lines(lax.sin, X, having="sine")[0]


def test_compute_on2_is_one_operation():
    @compute_on2(compute_type="device_host", out_memory_spaces=Space.Device)
    def g(x):
        return lax.sin(x), lax.cos(x)

    eqn, = jax.make_jaxpr(g)(X).eqns
    assert eqn.params["out_memory_spaces"] == (Space.Device, Space.Device)
    call, = lines(g, X, having="call @compute_on")
    assert '_xla_compute_type = "host"' in call
    np.testing.assert_allclose(jax.grad(lambda x: g(x)[0].sum())(X), np.cos(X), rtol=1e-6)


def test_compute_on_refuses():
    with pytest.raises(ValueError, match="Invalid compute type foo. Current supported values"):
        compute_on("foo").__enter__()
    with pytest.raises(ValueError, match="Nesting `compute_on` with different compute types"):
        with compute_on("device_host"), compute_on("device"):
            pass


def test_fused_is_one_custom_call_on_gpus():
    f = fused(out_spaces=(Space.Host, Space.Device))(lambda x, y: (x + y, x * y))
    text = jax.jit(f).trace(X, X).lower(lowering_platforms=("cuda",)).as_text()
    assert "stablehlo.custom_call @fused" in text
    assert 'MUST_FUSE = true, inlineable = false, out_spaces = ["MemorySpace.Host", ' in text
    hosted = jax.device_put(X, Space.Host)
    eqn, = jax.make_jaxpr(jax.vmap(f))(hosted, X).eqns  # within, operands of both memories meet
    assert eqn.params["out_spaces"] == (Space.Host, Space.Device)
    with pytest.raises(NotImplementedError, match="'fused_call' not found for platform cpu"):
        jax.jit(f)(X, X)
