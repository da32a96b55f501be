"""Each class of `jax.errors` as programs meet it: what, the user's line, why, what to write."""

import re
import sys

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

SAVED = []


def leak(x):
    SAVED.append(x * 2)
    return x


def use_leaked():
    jax.jit(leak)(1.0)
    return SAVED.pop() + 1


def branch(x):
    return 1 if x > 0 else 2


PROGRAMS = [
    (jax.errors.TracerBoolConversionError, lambda: jax.jit(branch)(1.0),
     "Attempted boolean conversion of traced array with shape bool[].",
     "the argument x of the traced function branch", "jnp.where(condition, a, b)"),
    (jax.errors.ConcretizationTypeError, lambda: jax.jit(lambda scale: float(scale))(1.0),
     "Abstract tracer value encountered where concrete value is expected",
     "the argument scale", "static_argnames='scale'"),
    (jax.errors.TracerArrayConversionError, lambda: jax.jit(lambda x: np.sin(x))(1.0),
     "The numpy.ndarray conversion method __array__() was called on traced array",
     "the argument x", "jnp.sin(x) instead of np.sin(x)"),
    (jax.errors.TracerIntegerConversionError, lambda: jax.jit(lambda i: [1, 2][i])(1),
     "The __index__() method was called on traced array with shape int32[]",
     "the argument i", "jnp.asarray(items)[i]"),
    (jax.errors.NonConcreteBooleanIndexError,
     lambda: jax.jit(lambda x: x[x > 0])(jnp.arange(3.0)),
     "Array boolean indices must be concrete; got", "the argument x", "jnp.where(mask, x, 0)"),
    (jax.errors.UnexpectedTracerError, use_leaked,
     "Encountered an unexpected tracer.", "the traced function leak, and was created on line",
     "return the value from the transformed function"),
]


@pytest.mark.parametrize("cls, program, what, because, fix", PROGRAMS,
                         ids=[entry[0].__name__ for entry in PROGRAMS])
def test_texts(cls, program, what, because, fix):
    with pytest.raises(cls) as error:
        program()
    lines = str(error.value).splitlines()
    assert lines[0].startswith(what)
    assert re.search(r"^  at \S*test_error_texts\.py:\d+ in ", str(error.value), re.M)
    assert because in next(line for line in lines if line.startswith("  because "))
    assert fix in next(line for line in lines if line.startswith("  fix: "))
    assert lines[-1] == ("  see https://docs.jax.dev/en/latest/errors.html#jax.errors."
                         + cls.__name__)


def test_the_line_is_that_of_the_operation():
    def f(x):
        y = x + 1
        return bool(y)
    line = sys._getframe().f_lineno - 1
    with pytest.raises(jax.errors.TracerBoolConversionError, match=f"test_error_texts.py:{line} "):
        jax.jit(f)(1.0)


def test_vmapped_values_say_that_they_differ():
    with pytest.raises(jax.errors.TracerBoolConversionError, match="another value for each of the "
                       "3 elements that vmap maps over"):
        jax.vmap(branch)(jnp.arange(3.0))


@pytest.mark.parametrize("convert, text", [
    (float, "Only scalar arrays can be converted to Python scalars; got arr.ndim=1"),
    (hex, "Only integer scalar arrays can be converted to a scalar index."),
    (bool, "The truth value of an array with more than one element is ambiguous."),
])
def test_conversions_of_arrays_fail_as_without_a_trace(convert, text):
    for f in (convert, jax.jit(convert)):
        with pytest.raises((TypeError, ValueError), match=re.escape(text)) as error:
            f(jnp.arange(3))
        assert not isinstance(error.value, jax.errors.ConcretizationTypeError)


def test_rules_of_custom_functions_must_return_the_output():
    f = jax.custom_jvp(lambda x: x)
    f.defjvp(lambda primals, tangents: ((primals[0],) * 2, (tangents[0],) * 2))
    with pytest.raises(TypeError, match=r"pytree structure:\n    \(float32\[\], float32\[\]\)\n"
                       r"while the custom_jvp-decorated function <lambda> had output container/"
                       r"pytree structure:\n    float32\[\]\."):
        jax.jvp(jax.jit(f), (1.0,), (1.0,))
    g = jax.custom_vjp(lambda x: x)
    g.defvjp(lambda x: (jnp.zeros((3,)), None), lambda _, ct: (ct,))
    with pytest.raises(TypeError, match=r"shapes/dtypes of:\n    float32\[3\]\nwhile"):
        jax.grad(jax.jit(g))(1.0)
