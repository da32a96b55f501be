"""make_jaxpr, eval_shape, ShapeDtypeStruct: looking at functions without running them."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

from ..helpers import error_of

x3 = np.array([0.5, 1.0, 2.0], np.float32)
m23 = np.arange(6, dtype=np.float32).reshape(2, 3)
Struct = jax.ShapeDtypeStruct


# --- make_jaxpr --------------------------------------------------------------------------------


def test_make_jaxpr():
    text = str(jax.make_jaxpr(lambda x, y: jnp.sin(x) * 2 + y)(x3, np.float32(1)))
    assert text == """{ lambda ; a:f32[3] b:f32[]. let
    c:f32[3] = sin a
    d:f32[3] = mul c 2.0:f32[]
    e:f32[3] = add d b
  in (e,) }"""


@pytest.mark.parametrize("static", [1, (1,), -1, (-1,), [1]])
def test_static_argnums(static):
    text = str(jax.make_jaxpr(lambda x, n: x ** n, static_argnums=static)(x3, 3))
    assert text == "{ lambda ; a:f32[3]. let b:f32[3] = integer_pow[y=3] a in (b,) }"


def test_axis_env():
    text = str(jax.make_jaxpr(lambda x: lax.psum(x, "i"), axis_env=[("i", 4)])(x3))
    assert "psum[axes=('i',) axis_index_groups=None] a" in text
    error_of(NameError, jax.make_jaxpr(lambda x: lax.psum(x, "i")), x3)


def test_return_shape():
    jaxpr, shape = jax.make_jaxpr(lambda x: {"a": x.sum(), "n": 3}, return_shape=True)(x3)
    assert shape == {"a": Struct((), np.float32), "n": Struct((), np.int32, weak_type=True)}
    assert len(jaxpr.out_avals) == 2


def test_arguments_may_be_types_only():
    text = str(jax.make_jaxpr(lambda x, *, k: x + k["a"])(Struct((2,), "float32"),
                                                          k={"a": Struct((), np.float32)}))
    assert text == "{ lambda ; a:f32[2] b:f32[]. let c:f32[2] = add a b in (c,) }"


def test_constants_of_a_jaxpr():
    big = jnp.asarray(m23)
    jaxpr = jax.make_jaxpr(lambda x: x * big)(1.0)
    assert len(jaxpr.consts) == 1 and jaxpr.consts[0] is big
    assert jax.make_jaxpr(lambda x: x * 2.0)(x3).consts == []


def test_a_jaxpr_of_transformed_functions():
    text = str(jax.make_jaxpr(jax.grad(lambda x: jnp.sin(x)))(1.0))
    assert "cos a" in text and "mul 1.0:f32[]" in text
    text = str(jax.make_jaxpr(jax.vmap(lambda x: x @ x))(m23))
    assert "dot_general" in text and "f32[2]" in text
    text = str(jax.make_jaxpr(jax.jit(lambda x: x + 1))(x3))
    assert "jit[" in text and "name=<lambda>" in text


def test_make_jaxpr_of_values_that_are_no_arrays():
    text = error_of(TypeError, jax.make_jaxpr(lambda x: x), "text")
    assert "The problematic value is of type <class 'str'> and was passed to the function at " \
        "path x" in text
    text = error_of(TypeError, jax.make_jaxpr(lambda x: "text"), x3)
    assert "returned a value of type <class 'str'>, which is not a valid JAX type" in text
    error_of(TypeError, jax.make_jaxpr, 3)


# --- eval_shape --------------------------------------------------------------------------------


def test_eval_shape():
    calls = []

    def f(x, y, *, k=None):
        calls.append(type(x))
        return {"a": x @ y, "n": 3, "none": None, "k": k}

    got = jax.eval_shape(f, m23, Struct((3,), "float32"), k=2.5)
    assert got == {"a": Struct((2,), np.float32), "n": Struct((), np.int32, weak_type=True),
                   "none": None, "k": Struct((), np.float32, weak_type=True)}
    assert len(calls) == 1


def test_eval_shape_takes_anything_with_a_shape_and_a_dtype():
    class Spec:
        shape = (2, 3)
        dtype = np.dtype("float32")

    assert jax.eval_shape(lambda x: x.T, Spec()) == Struct((3, 2), np.float32)


def test_eval_shape_knows_where_results_go():
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    f = jax.jit(lambda x: (x, x * 2), out_shardings=(None, here))
    for first, second in (f.eval_shape(m23), jax.eval_shape(f, m23), f.lower(m23).out_info):
        assert (first.sharding, second.sharding) == (None, here)


def test_eval_shape_does_no_work():
    huge = Struct((1 << 20, 1 << 20), np.float32)
    assert jax.eval_shape(lambda x: x @ x, huge) == huge


def test_eval_shape_of_keys():
    got = jax.eval_shape(lambda: jax.random.key(0))
    assert got.shape == () and str(got.dtype) == "key<fry>"
    assert jax.eval_shape(lambda: jax.random.split(jax.random.PRNGKey(0))) == Struct(
        (2, 2), np.uint32)


def test_eval_shape_of_derivatives():
    params = {"w": m23, "b": x3}
    got = jax.eval_shape(jax.grad(lambda p: jnp.sum(p["w"] @ p["b"])), params)
    assert got == {"w": Struct((2, 3), np.float32), "b": Struct((3,), np.float32)}


def test_eval_shape_narrows_64_bit_types():
    assert jax.eval_shape(lambda a: a, np.float64(1)).dtype == np.float32
    assert jax.eval_shape(lambda a: a, Struct((2,), np.float64)).dtype == np.float32


def test_eval_shape_mistakes():
    error_of(TypeError, jax.eval_shape, 3)
    text = error_of(TypeError, jax.eval_shape, lambda x: x, "text")
    assert "The problematic value is of type <class 'str'>" in text
    text = error_of(TypeError, jax.eval_shape, lambda x: {"a": "text"}, x3)
    assert "returned a value of type <class 'str'>" in text and "['a']" in text
    error_of(jax.errors.NonConcreteBooleanIndexError, jax.eval_shape, lambda x: x[x > 0], x3)


# --- ShapeDtypeStruct --------------------------------------------------------------------------


def test_shape_dtype_struct():
    s = Struct((2, 3), np.float32)
    assert (s.shape, s.dtype, s.ndim, s.size, len(s)) == ((2, 3), np.dtype("float32"), 2, 6, 2)
    assert s.sharding is None and s.weak_type is False
    assert s == Struct([2, 3], "float32") and hash(s) == hash(Struct([2, 3], "float32"))
    assert s != Struct((2,), "float32") and s != Struct((2, 3), "int32") and s != 3
    assert repr(s) == "ShapeDtypeStruct(shape=(2, 3), dtype=float32)"
    assert s.update(shape=(1,)) == Struct((1,), np.float32)
    assert s.update(dtype="int8", weak_type=True).weak_type
    assert Struct((), jax.dtypes.bfloat16).dtype.name == "bfloat16"
    assert Struct((), np.float64).dtype == np.float64


def test_shape_dtype_struct_mistakes():
    assert error_of(ValueError, Struct, (2,), None).startswith(
        "ShapeDtypeStruct: dtype must be specified.")
    assert error_of(TypeError, len, Struct((), np.float32)).startswith("len() of unsized object")
