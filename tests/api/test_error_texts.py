"""Each class of `jax.errors` as programs meet it: what, the user's line, why, what to write."""

import re
import sys

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import export
from minijax.extend.core import Jaxpr, Var, check_jaxpr

SAVED = []


def leak(x):
    SAVED.append(x * 2)
    return x


def use_leaked():
    jax.jit(leak)(1.0)
    return SAVED.pop() + 1


def branch(x):
    return 1 if x > 0 else 2


def use_twice(key):
    return jax.random.normal(key) + jax.random.uniform(key)


def reuse_key():
    with jax.debug_key_reuse(True):
        return jax.jit(use_twice)(jax.random.key(0))


def ask_for_a_size():
    struct = jax.ShapeDtypeStruct(export.symbolic_shape("n"), np.float32)
    return export.export(jax.jit(lambda x: x.sum() if x.shape[0] > 4 else x.prod()))(struct)


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
    (jax.errors.KeyReuseError, reuse_key, "In jit, argument 0 is already consumed.",
     "two draws from one key are the same numbers", "jax.random.split(key)"),
    (jax.errors.InconclusiveDimensionOperation, ask_for_a_size,
     "Symbolic dimension comparison 'n' > '4' is inconclusive.",
     "the same for all values of the variables", "give constraints to symbolic_shape"),
]


@pytest.mark.parametrize("cls, program, what, because, fix", PROGRAMS,
                         ids=[entry[0].__name__ for entry in PROGRAMS])
def test_texts(cls, program, what, because, fix):
    with pytest.raises(cls) as error:
        program()
    lines = str(error.value).splitlines()
    assert lines[0].startswith(what)
    assert str(error.value).count("  fix: ") == 1
    assert re.search(r"^  at \S*test_error_texts\.py:\d+ in ", str(error.value), re.M)
    assert because in next(line for line in lines if line.startswith("  because "))
    assert fix in next(line for line in lines if line.startswith("  fix: "))
    assert lines[-1] == ("  see https://docs.jax.dev/en/latest/errors.html#jax.errors."
                         + cls.__name__)


def test_a_badly_typed_jaxpr():
    jaxpr = jax.make_jaxpr(lambda x: x + 1.0)(1.0)
    wrong = Var(jax.core.ShapedArray((3,), np.dtype("float32")))
    eqn = jaxpr.eqns[0].replace(outvars=[wrong])
    with pytest.raises(jax.errors.JaxprTypeError) as error:
        check_jaxpr(Jaxpr((), jaxpr.jaxpr.invars, [wrong], [eqn]))
    text = str(error.value)
    assert text.startswith("Value for variable 'b' inconsistently typed as f32[] for let-binder")
    assert "b:f32[3] = add a 1.0:f32[]" in text
    assert re.search(r"^  at \S*test_error_texts\.py:\d+ in .*\n  because the rules of an "
                     r"operation .* must agree\n  fix: .*jax\.make_jaxpr", text, re.M)


def fail_on_the_host(x):
    raise ValueError("no such sensor")


def test_a_failing_program_names_what_failed():
    program = jax.jit(lambda x: jax.pure_callback(fail_on_the_host, x, x))
    with pytest.raises(jax.errors.JaxRuntimeError, match=r"test_error_texts\.py\", line \d+, in "
                       r"fail_on_the_host\nValueError: no such sensor"):
        program(1.0).block_until_ready()


def test_each_class_has_a_test_of_its_text():
    bases = {"JAXTypeError", "JAXIndexError"}
    tested = {entry[0].__name__ for entry in PROGRAMS} | {"JaxprTypeError", "JaxRuntimeError"}
    assert tested | bases == set(jax.errors.__all__)


@pytest.mark.parametrize("name, text", [
    ("committed", "The 'committed' attribute was read on traced array with shape float32[3]"),
    ("devices", r"The devices\(\) method was called on traced array with shape float32[3]"),
])
def test_what_only_arrays_on_devices_have(name, text):
    def ask(x):
        found = getattr(x, name)
        return found()

    with pytest.raises(jax.errors.ConcretizationTypeError, match=text.replace("[", r"\[")) as error:
        jax.jit(ask)(jnp.ones(3))
    assert "fix: ask the array, outside of the traced function" in str(error.value)
    assert "static_argnames" not in str(error.value)


def test_types_know_the_sharding():
    def ask(x):
        assert not hasattr(x, "device")
        return x.sharding

    with pytest.raises(AttributeError, match=r"The 'sharding' attribute is not available on traced "
                       r"array with shape float32\[3\]\.\n  fix: jax\.typeof\(x\)"):
        jax.jit(ask)(jnp.ones(3))
    moved = jax.make_jaxpr(lambda x: x.to_device(jax.devices()[0]))(jnp.ones(3))
    assert [eqn.primitive.name for eqn in moved.eqns] == ["device_put"]


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
