"""Conversions: which are made, which are refused, and what they are called in jaxprs."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import minijax as jax
from minijax import lax
from minijax.experimental import primal_tangent_dtype

F32, I32, I16, C64 = map(np.dtype, ("float32", "int32", "int16", "complex64"))


def spec(shape, dtype=F32):
    return jax.ShapeDtypeStruct(shape, dtype)


def names(fun, *args):
    return [e.primitive.name for e in jax.make_jaxpr(fun)(*args).eqns]


def test_conversions_that_change_nothing_are_not_recorded():
    assert names(lambda x: lax.convert_element_type(x, np.float32), spec((3,))) == []
    assert names(lambda x: lax.convert_element_type(x, float), spec((3,))) == []
    assert names(lambda: lax.convert_element_type(1, np.float32)) == []


def test_conversion_makes_a_weak_type_strong():
    jaxpr = jax.make_jaxpr(lambda x: lax.convert_element_type(x, np.float32))(1.0)
    assert jaxpr.eqns[0].params == {"new_dtype": F32, "weak_type": False, "sharding": None}
    assert not jaxpr.out_avals[0].weak_type
    assert not lax.convert_element_type(1.0, np.float32).weak_type


def test_conversion_of_python_scalars_gives_arrays():
    x = lax.convert_element_type(1.5, ml_dtypes.bfloat16)
    assert isinstance(x, jax.Array) and x.dtype == ml_dtypes.bfloat16 and float(x) == 1.5


@pytest.mark.parametrize("value, dtype, error, text", [
    (np.float32(1), None, ValueError, "dtype must be specified."),
    (np.float32(1), "S3", TypeError,
     "JAX only supports number, bool, and string dtypes, got dtype S3 in convert_element_type"),
    (np.float32(1), object, TypeError, "JAX only supports number, bool, and string dtypes, got "
     "dtype <class 'object'> in convert_element_type"),
])
def test_refused_conversions(value, dtype, error, text):
    with pytest.raises(error) as caught:
        lax.convert_element_type(value, dtype)
    assert str(caught.value).split("\n")[0] == text


def test_64_bits_are_cut_with_a_warning():
    with pytest.warns(UserWarning, match="int64 requested in convert_element_type is not avail"):
        assert lax.convert_element_type(np.float32(2), np.int64).dtype == I32


def test_complex_to_real_warns():
    with pytest.warns(np.exceptions.ComplexWarning, match="discards the imaginary part"):
        assert float(lax.convert_element_type(np.complex64(2 + 1j), np.float32)) == 2.0


def test_conversion_is_transposed_to_a_conversion():
    def fun(x):
        return lax.convert_element_type(x, np.float16)
    out, pull = jax.vjp(fun, np.float32(2))
    ct, = pull(np.float16(3))
    assert out.dtype == np.float16 and ct.dtype == F32 and float(ct) == 3.0


@pytest.mark.parametrize("shape, old, new, out", [
    ((3,), F32, I32, (3,)), ((3,), F32, I16, (3, 2)), ((3, 2), I16, I32, (3,)),
    ((3,), np.uint8, ml_dtypes.int4, (3, 2)), ((3,), F32, F32, (3,)), ((3,), C64, C64, (3,)),
])
def test_bitcast_shapes(shape, old, new, out):
    aval = jax.eval_shape(lambda x: lax.bitcast_convert_type(x, new), spec(shape, old))
    assert (aval.shape, aval.dtype) == (out, np.dtype(new))


@pytest.mark.parametrize("shape, old, new, error, text", [
    ((3, 3), I16, I32, ValueError, "Attempting to convert array of shape (3, 3) from int16 of "
     "size 16 bits to int32 of size 32, bits but 3 * 16 != 32"),
    ((), I16, I32, ValueError, "Attempting to convert array of shape () from int16 of size 16 "
     "bits to int32 of size 32, bits but 1 * 16 != 32"),
    ((3,), C64, I32, TypeError, "lax.bitcast_convert_type does not support bool or complex "
     "values unless the operand and destination types match. Got operand dtype=complex64, "
     "new_dtype=dtype('int32'). Consider using the arr.view() method instead."),
])
def test_refused_bitcasts(shape, old, new, error, text):
    with pytest.raises(error) as caught:
        jax.eval_shape(lambda x: lax.bitcast_convert_type(x, new), spec(shape, old))
    assert str(caught.value).split("\n")[0] == text


def test_bitcast_values():
    bits = lax.bitcast_convert_type(np.float32(1.0), np.int32)
    assert int(bits) == 0x3F800000 and not bits.weak_type


def test_bitcast_under_vmap_over_the_last_axis():
    x = np.arange(6, dtype=np.int16).reshape(2, 3)
    out = jax.vmap(lambda v: lax.bitcast_convert_type(v, np.int32), 1)(x)
    assert list(np.asarray(out)) == list(np.ascontiguousarray(x.T).view(np.int32)[:, 0])


def test_reduce_precision():
    assert float(lax.reduce_precision(np.float32(1 + 2**-10), 8, 7)) == 1.0
    with pytest.raises(ValueError, match="exponent_bits must be positive; got 0"):
        lax.reduce_precision(1.0, 0, 10)
    with pytest.raises(ValueError, match="mantissa_bits must be non-negative; got -1"):
        lax.reduce_precision(1.0, 5, -1)
    with pytest.raises(TypeError, match="reduce_precision does not accept dtype int32"):
        lax.reduce_precision(1, 5, 10)


def test_dtype_of_values():
    assert lax.dtype(1) == I32 and lax.dtype(np.float64(1)) == F32
    assert lax.dtype(spec((), C64).dtype.type(0)) == C64


def test_accuracy_is_part_of_the_equation():
    tolerance = lax.Tolerance(rtol=1e-6)
    assert tolerance == lax.Tolerance(rtol=1e-6) and hash(tolerance) == hash(lax.Tolerance(0, 1e-6))
    jaxpr = jax.make_jaxpr(lambda x: lax.exp(x, accuracy=tolerance))(1.0)
    assert jaxpr.eqns[0].params == {"accuracy": tolerance}


# --- Values whose tangents are of another dtype ------------------------------------------------

CODED = primal_tangent_dtype(np.int8, "bfloat16")


def test_values_whose_tangents_are_of_another_dtype():
    @jax.custom_vjp
    def value(x):
        return x.astype(np.int8).astype(np.float32) * 2

    value.defvjp(lambda x: (value(x), None), lambda _, ct: (ct.astype(ml_dtypes.bfloat16) * 3,))

    @jax.jit
    def derivative(x, pred):
        out, pull = jax.vjp(lambda y: lax.cond(pred, value, lambda y: 0 * value(y), y),
                            x.astype(CODED))
        return out, pull(out)[0]

    out, ct = derivative(np.arange(3, dtype=np.int8), True)
    np.testing.assert_array_equal(out, [0, 2, 4])
    assert ct.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(ct.astype(np.float32), [0, 6, 12])


def test_what_happens_to_values_whose_tangents_are_of_another_dtype():
    x = np.arange(6, dtype=np.int8).reshape(2, 3)
    moved = jax.jit(jax.vmap(lambda x: jax.numpy.flip(x.astype(CODED))[1:].astype(np.int8)))(x)
    np.testing.assert_array_equal(moved, x[:, ::-1][:, 1:])
    half = primal_tangent_dtype(np.float32, np.float16)
    jaxpr = jax.make_jaxpr(lambda x: jax.jvp(lambda x: x.astype(half), (x,), (x,)))(spec((3,)))
    assert [a.str_short() for a in jaxpr.out_avals] == [
        "PrimalTangentDType{f32/f16}[3]", "f16[3]"]
    assert CODED == primal_tangent_dtype(np.dtype("int8"), ml_dtypes.bfloat16) != half
    assert hash(CODED) == hash(primal_tangent_dtype("int8", "bfloat16"))
    assert repr(CODED) == "PrimalTangentDType{i8/bf16}"
    assert str(primal_tangent_dtype("int8", "bfloat16", name="q")) == "q"
    with pytest.raises(ValueError, match="Cannot convert_element_type from float32"):
        jax.make_jaxpr(lambda x: lax.convert_element_type(x, CODED))(spec((3,)))
    with pytest.raises(TypeError, match="add does not accept dtype PrimalTangentDType"):
        jax.jit(lambda x: x.astype(CODED) + x.astype(CODED))(x)
    with pytest.raises(NotImplementedError, match="exist inside of jit only"):
        jax.jit(lambda x: x.astype(CODED))(x)
