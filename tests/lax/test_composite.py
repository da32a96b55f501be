"""Composites: module text, attributes, trees, errors; also the compiler's random bits."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax


def module_line(fun, *args):
    lines = jax.jit(fun).lower(*args).as_text().splitlines()
    return next(line for line in lines if "stablehlo.composite" in line)


def test_module():
    square = lax.composite(lambda x: x * x, name="my.square", version=2)
    assert square(jnp.float32(3)) == 9
    line = module_line(square, jnp.float32(3))
    assert ('stablehlo.composite "my.square" %arg0 {decomposition = @my.square, version = 2 : i32}'
            ' : (tensor<f32>) -> tensor<f32>') in line
    assert jax.jit(square)(jnp.float32(3)) == 9


@pytest.mark.parametrize("value, text", [
    (3, "3 : i64"), (True, "true"), ("a", '"a"'), (1.5, "1.500000e+00 : f64"),
    (np.float32(2), "2.000000e+00 : f32"), (np.dtype(np.int8), "i8"), ((1, 2), "[1, 2]"),
    (np.zeros(2, np.float32), "dense<0.000000e+00> : tensor<2xf32>")])
def test_attributes(value, text):
    fun = lax.composite(lambda x, **_: x + 1, name="my.op")
    line = module_line(lambda x: fun(x, value=value, omitted=None), jnp.ones(2))
    assert "composite_attributes = {value = " + text + "}" in line


def test_trees_and_captured_arrays():
    y = jnp.arange(3.)
    fun = lax.composite(lambda d: {"sum": d["x"] + y}, name="my.sum")
    np.testing.assert_array_equal(jax.jit(fun)({"x": y})["sum"], 2 * y)
    np.testing.assert_array_equal(fun({"x": y})["sum"], 2 * y)
    text = jax.jit(fun).lower({"x": y}).as_text()  # what it closes over becomes an operand
    assert "func.func private @my.sum(%arg0: tensor<3xf32>, %arg1: tensor<3xf32>)" in text


def test_errors():
    op = lax.composite(lambda x, **_: x, name="my.op")
    with pytest.raises(ValueError, match="JVP rule for composite not implemented. You can use "
                                         "`jax.custom_jvp` to add support"):
        jax.grad(op)(1.0)
    with pytest.raises(jax.errors.UnexpectedTracerError, match="as an attribute in the decompo"):
        jax.jit(lambda x: op(x, value=x))(1.0)
    with pytest.raises(jax.errors.UnexpectedTracerError, match="as a constant in the decomposit"):
        jax.jit(lambda x: lax.composite(lambda y: x + y, name="my.add")(x))(1.0)
    with pytest.raises(TypeError, match="No attribute handler defined for type"):
        jax.jit(lambda x: op(x, value=1j))(1.0)


def test_random_bits():
    key = np.zeros(4, np.uint32)
    state, bits = lax.rng_bit_generator(key, (3, 4))
    assert bits.shape == (3, 4) and bits.dtype == np.uint32 and state.shape == (4,)
    assert len(np.unique(bits)) == 12
    np.testing.assert_array_equal(lax.rng_bit_generator(key, (3, 4))[1], bits)
    numbers = lax.rng_uniform(np.float32(2), np.float32(3), (100,))
    assert ((numbers >= 2) & (numbers < 3)).all()
    assert str(lax.RandomAlgorithm.RNG_PHILOX) == "RNG_PHILOX"


def test_errors_of_random_bits():
    with pytest.raises(TypeError, match="rng_bit_generator: unsupported dtype int32"):
        lax.rng_bit_generator(np.zeros(4, np.uint32), (2,), dtype=np.int32)
    with pytest.raises(TypeError, match="takes a state of type uint32"):
        lax.rng_bit_generator(np.zeros(3, np.uint32), (2,))
    with pytest.raises(ValueError, match="Arguments to rng_uniform must have identical dtypes"):
        lax.rng_uniform(0, 1.0, (2,))
    with pytest.raises(ValueError, match="Arguments to rng_uniform must be scalars"):
        lax.rng_uniform(np.zeros(2), np.ones(2), (2,))


def test_shapes_as_values():
    np.testing.assert_array_equal(lax.shape_as_value((2, 3)), np.array([2, 3], np.int32))
    assert lax.shape_as_value(()).shape == (0,)
    with pytest.raises(TypeError, match="Shapes must be 1D sequences"):
        lax.broadcast_shapes("hello")
    with pytest.raises(TypeError, match="Only non-negative indices are allowed"):
        lax.broadcast_shapes((-1,))
