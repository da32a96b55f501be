"""Calls of registered functions, here those of LAPACK that come with jaxlib."""

import ctypes
import os

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental.buffer_callback import buffer_callback
from minijax import core
from minijax.extend.core import Primitive
from minijax.interpreters import mlir

x = np.random.default_rng(0).standard_normal((2, 5, 3)).astype(np.float32)


def geqrf(x, **options):
    jnp.linalg.qr(np.eye(2, dtype=np.float32))  # loads the kernels
    order = tuple(range(x.ndim - 2)) + (x.ndim - 1, x.ndim - 2)
    shapes = [x, jax.ShapeDtypeStruct((*x.shape[:-2], min(x.shape[-2:])), x.dtype)]
    return jax.ffi.ffi_call("lapack_sgeqrf_ffi", shapes, input_output_aliases={0: 0},
                            input_layouts=[order], output_layouts=[order, None], **options)(x)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_a_call_computes_what_the_function_computes(wrap):
    packed, tau = wrap(geqrf)(jnp.asarray(x))
    assert tau.shape == (2, 3)
    wanted = np.linalg.qr(x, mode="r")
    np.testing.assert_allclose(np.triu(packed)[:, :3], wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("method", ["expand_dims", "broadcast_all", "sequential",
                                    "sequential_unrolled", "legacy_vectorized"])
def test_calls_under_vmap(method):
    batch = jnp.asarray(np.stack([x, 2 * x, x - 1]))
    found = jax.vmap(lambda a: geqrf(a, vmap_method=method))(batch)
    for out, one in zip(found, geqrf(batch)):
        np.testing.assert_allclose(out, one, rtol=1e-6)
    inner = jax.vmap(lambda a: geqrf(a, vmap_method=method), 2, 2)(jnp.moveaxis(batch, 0, 2))
    np.testing.assert_allclose(jnp.moveaxis(inner[1], 2, 0), geqrf(batch)[1], rtol=1e-6)


def test_the_text_of_a_call():
    def f(x):
        return jax.ffi.ffi_call("target", x, has_side_effect=True, input_output_aliases={0: 0})(
            x, flag=True, name="s", number=3, real=np.float32(2), array=np.arange(3), d={"k": 1})

    text = jax.jit(f).lower(np.ones((2, 3), np.float32)).as_text()
    for part in ("@target", "has_side_effect = true", "flag = true", 'name = "s"',
                 "number = 3 : i64", "real = 2.000000e+00 : f32",
                 "array = dense<[0, 1, 2]> : tensor<3xi64>", "d = {k = 1 : i64}",
                 "operand_layouts = [dense<[1, 0]>", "operand_index = 0"):
        assert part in text, part
    jaxpr = jax.make_jaxpr(f)(np.ones((2, 3), np.float32))
    assert [repr(e) for e in jaxpr.effects] == ["FfiEffect()"]
    old = jax.jit(lambda x: jax.ffi.ffi_call("t", x, custom_call_api_version=2,
                                             legacy_backend_config="12")(x)).lower(1.0).as_text()
    assert 'backend_config = "12"' in old and "api_version = 2" in old


def call(**options):
    return lambda x: jax.ffi.ffi_call("test", options.pop("result", x), **options)(x)


@pytest.mark.parametrize("use, error, message", [
    (lambda: jax.jit(call())(1.0), jax.errors.JaxRuntimeError, "No FFI handler registered"),
    (lambda: jax.grad(call())(1.0), ValueError, "FFI call to `test` cannot be differentiated"),
    (lambda: jax.vmap(call())(np.ones(2)), NotImplementedError, "supported for the ffi_call"),
    (lambda: call(vmap_method="loop")(1.0), ValueError, "vmap_method must be on of"),
    (lambda: jax.jit(call(input_output_aliases={1: 0}))(1.0), ValueError, "with input index 1"),
    (lambda: jax.jit(call(input_output_aliases={0: 1}))(1.0), ValueError, "with output index 1"),
    (lambda: jax.jit(call(result=jax.ShapeDtypeStruct((), np.int32),
                          input_output_aliases={0: 0}))(1.0), ValueError,
     "referring to an input with abstract value"),
    (lambda: call(legacy_backend_config="1")(1.0), ValueError, "The use of the legacy_backend"),
    (lambda: jax.ffi.ffi_call("t", None), ValueError, "All elements of result_shape.*position 0"),
    (lambda: call(input_layouts=[(0,), (0,)])(np.ones(3)), ValueError, "number of input arg")])
def test_mistakes(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_lowering_rules_that_call_a_function():
    p = Primitive("own")
    p.def_abstract_eval(lambda x: core.ShapedArray(x.shape, x.dtype))
    mlir.register_lowering(p, jax.ffi.ffi_lowering("own_target", operand_layouts=[(0, 1)],
                                                   result_layouts=[None]))
    text = jax.jit(p.bind).lower(np.ones((2, 3))).as_text()
    assert "@own_target" in text and "operand_layouts = [dense<[0, 1]>" in text
    assert "result_layouts = [dense<[1, 0]>" in text


def test_headers_and_capsules():
    for header in ("c_api.h", "api.h", "ffi.h"):
        assert os.path.exists(os.path.join(jax.ffi.include_dir(), "xla", "ffi", "api", header))

    capsule = jax.ffi.pycapsule(ctypes.CFUNCTYPE(None)(lambda: None))
    assert type(capsule).__name__ == "PyCapsule"


# --- Python functions on buffers ---------------------------------------------------------------


def add_one(_, out, x, *, more=None):
    np.asarray(out["sum"])[...] = np.asarray(x) + 1


def test_functions_on_buffers():
    result = {"sum": jax.ShapeDtypeStruct((3,), np.float32)}
    x = jnp.arange(3.0)
    for options in ({}, {"has_side_effect": True}, {"input_output_aliases": {0: 0}}):
        f = buffer_callback(add_one, result, **options)
        for run in (f, jax.jit(f)):
            np.testing.assert_array_equal(run(x, more=x)["sum"], [1, 2, 3])
    np.testing.assert_array_equal(x, [0, 1, 2])


@pytest.mark.parametrize("call, cls, text", [
    (lambda f: jax.grad(lambda x: f(x)["sum"].sum())(jnp.ones(3)), ValueError, "support JVP"),
    (lambda f: jax.vmap(f)(jnp.ones((2, 3))), NotImplementedError, "Got vmap_method=None"),
    (lambda f: buffer_callback(add_one, jnp.ones(3), vmap_method="all"), ValueError,
     "vmap_method must be"),
    (lambda f: buffer_callback(add_one, jnp.ones(3), input_output_aliases={1: 0})(jnp.ones(3)),
     ValueError, r"mapping '1:0' with input index 1 outside the range \[0, 1\)"),
    (lambda f: buffer_callback(lambda *_: 1, jnp.ones(3))(jnp.ones(3)).block_until_ready(),
     jax.errors.JaxRuntimeError, "must not return any values")])
def test_functions_on_buffers_that_cannot_be(call, cls, text):
    with pytest.raises(cls, match=text):
        call(buffer_callback(add_one, {"sum": jnp.ones(3)}))
