"""Corners where JAX's behaviour is easily missed: mixed dtypes, empty batches, values out of range."""

import warnings

import ml_dtypes
import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

F8 = ml_dtypes.float8_e4m3fn


@pytest.mark.parametrize("value, dtype, expected", [
    (np.nan, "int32", 0), (np.inf, "int32", 2**31 - 1), (-np.inf, "int32", -2**31),
    (1e20, "int32", 2**31 - 1), (-3.5, "uint8", 0), (300.7, "uint8", 255), (-3.5, "int8", -3),
    (2**32, "int32", 0), (-1, "uint8", 255)])
def test_numbers_out_of_range_become_bounds(value, dtype, expected):
    """As XLA converts: floats saturate, integers wrap around; without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = lax.convert_element_type(value, np.dtype(dtype))
    assert out.dtype == dtype and int(out) == expected
    if isinstance(value, float):
        compiled = jax.jit(lambda x: lax.convert_element_type(x, np.dtype(dtype)))
        assert int(compiled(value)) == expected


@pytest.mark.parametrize("left, right, out", [
    ("int8", "uint8", "int8"), ("uint32", "int8", "uint32"), ("int4", "float16", "float16"),
    ("float16", "bfloat16", "bfloat16"), ("float8_e4m3fn", "float8_e5m2", "float8_e5m2"),
    ("float32", "complex64", "complex64"), ("bool", "int4", "int4")])
def test_products_of_two_dtypes(left, right, out):
    x, y = (np.ones((2, 2), getattr(ml_dtypes, d, d)) for d in (left, right))
    for a, b in ((x, y), (y, x)):
        product = jax.eval_shape(lambda a=a, b=b: lax.dot(a, b))
        assert product.dtype.name == out


def test_no_result_holds_two_dtypes_of_one_range():
    x, y = np.ones((2, 2), ml_dtypes.float8_e5m2), np.ones((2, 2), ml_dtypes.float8_e5m2fnuz)
    with pytest.raises(TypeError, match="lax.dot_general argument type"):
        lax.dot(x, y)


@pytest.mark.parametrize("dtype, preferred, fails", [
    ("int32", "int8", True), ("int32", "float16", True), ("complex64", "bfloat16", True),
    ("float32", "float16", False), ("int8", "int32", False), ("float32", "int8", False)])
def test_preferred_element_types(dtype, preferred, fails):
    def fun(x):
        return lax.dot(x, x, preferred_element_type=getattr(ml_dtypes, preferred, preferred))
    x = jax.ShapeDtypeStruct((2, 2), np.dtype(dtype))
    if fails:
        with pytest.raises(TypeError, match="`preferred_element_type` must not be narrower than"):
            jax.eval_shape(fun, x)
    else:
        assert jax.eval_shape(fun, x).dtype.name == preferred


@pytest.mark.parametrize("fun", [
    lambda x: lax.abs(x), lambda x: lax.reduce_and(x, (0,)), lambda x: lax.reduce_xor(x, (0,))])
def test_operations_that_refuse_narrow_integers(fun):
    with pytest.raises(TypeError, match="int4"):
        fun(lax.iota(ml_dtypes.int4, 3))


def test_lists_are_returned_where_jax_returns_lists():
    x = np.eye(3, dtype=np.float32)
    for outs in (lax.top_k(x, 2), lax.approx_max_k(x, 2)):
        assert type(outs) is list and len(outs) == 2


def test_same_padding_does_not_count_holes_of_the_base():
    out = lax.reduce_window(np.ones((4, 6), np.float32), np.float32(0), lax.add, (2, 1), (2, 1),
                            "SAME", base_dilation=(2, 3))
    assert out.shape == (3, 16)


def test_derivative_of_sorting_nothing():
    x = np.ones((5, 0, 2), np.float32)
    out, pull = jax.vjp(lambda x: lax.sort(x, dimension=1), x)
    assert out.shape == pull(out)[0].shape == x.shape


def test_convolutions_of_an_empty_batch():
    x, k = np.ones((0, 1, 2, 6, 7), np.float32), np.ones((3, 2, 2, 2), np.float32)
    out = jax.vmap(lambda x: lax.conv(x, k, (1, 1), "VALID"))(x)
    assert out.shape == (0, 1, 3, 5, 6)
    kernels = np.ones((3, 0, 2, 2, 2), np.float32)
    out = jax.vmap(lambda k: lax.conv(x[:, 0], k, (1, 1), "VALID"), 1)(kernels)
    assert out.shape[0] == 0


def test_loops_over_floats():
    assert float(lax.fori_loop(0.0, 3.0, lambda i, c: c + i, 0.0)) == 3
    assert float(jax.jit(lambda n: lax.fori_loop(0.0, n, lambda i, c: c + i, 0.0))(3.0)) == 3
    assert float(jax.grad(lambda x: lax.fori_loop(x, x + 2.0, lambda i, c: c, x))(1.0)) == 1
    with pytest.raises(TypeError, match="got int32 and float32"):
        lax.fori_loop(0, 3.0, lambda i, c: c, 0.0)


def test_python_loops_leave_numpy_arrays_alone():
    start = np.array(1.0)

    def body(carry):
        x, y = carry
        x += 1
        return x, y + x
    with jax.disable_jit():
        out = lax.while_loop(lambda carry: carry[0] < 10, body, (start, start))[1]
    assert float(out) == 55 and start == 1


def test_branches_of_other_platforms_need_no_derivative():
    bare = jax.extend.core.Primitive("bare_operation")
    bare.def_abstract_eval(lambda x: x)

    def fun(x):
        return lax.platform_dependent(x, tpu=bare.bind, default=jnp.sin)
    if jax.default_backend() != "tpu":
        assert jax.grad(fun)(0.0) == 1 and fun(0.0) == 0


def test_cotangents_of_gathers_may_have_another_precision():
    @jax.custom_vjp
    def rounded(x):
        return x
    rounded.defvjp(lambda x: (x, None), lambda _, g: (g.astype(jnp.bfloat16),))
    x = jnp.arange(4, dtype=F8)
    ct, = jax.vjp(lambda x: rounded(x[np.array([2, 0])]), x)[1](jnp.ones(2, F8))
    assert ct.dtype == jnp.bfloat16 and ct.tolist() == [1, 0, 1, 0]
