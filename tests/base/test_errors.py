"""Errors: classes, and messages that say what, where, why and what to write instead."""

import pickle

import numpy as np
import pytest

from minijax import errors as public
from minijax.base import errors, source
from minijax.core import ShapedArray
from minijax.core.ir import DebugInfo


class Var:
    pass


class Eqn:
    def __init__(self, invars, outvars):
        self.invars, self.outvars = invars, outvars
        self.source = source.capture()


class Trace:
    def __init__(self, inputs, eqns, arg_names):
        self.inputs, self.eqns = inputs, eqns
        self.debug = DebugInfo("jit", "loss", arg_names)


class Tracer:
    def __init__(self, trace, var):
        self._trace, self.atom = trace, var
        self.aval = ShapedArray((3,), np.dtype("float32"))


@pytest.fixture
def tracer():
    x, y, z, out = Var(), Var(), Var(), Var()
    trace = Trace([x, y, z], [Eqn([x, z], [out]), Eqn([y], [Var()])], ("x", "y", "z"))
    return Tracer(trace, out)


CASES = [
    (errors.ConcretizationTypeError, TypeError,
     "Abstract tracer value encountered where concrete value is expected: traced array with "
     "shape float32[3]", "jnp.where"),
    (errors.TracerBoolConversionError, errors.ConcretizationTypeError,
     "Attempted boolean conversion of traced array with shape float32[3].", "jax.lax.cond"),
    (errors.TracerArrayConversionError, TypeError,
     "The numpy.ndarray conversion method __array__() was called on traced array with shape "
     "float32[3]", "jnp.sin(x)"),
    (errors.TracerIntegerConversionError, TypeError,
     "The __index__() method was called on traced array with shape float32[3]",
     "static_argnames"),
    (errors.NonConcreteBooleanIndexError, IndexError,
     "Array boolean indices must be concrete; got float32[3]", "jnp.where(mask"),
]


@pytest.mark.parametrize(("cls", "base", "first_line", "fix"), CASES)
def test_errors_about_tracers(cls, base, first_line, fix, tracer):
    assert issubclass(cls, base)
    with pytest.raises(cls) as raised:
        raise cls(tracer)
    lines = str(raised.value).splitlines()
    assert lines[0] == first_line
    assert "test_errors.py:" in lines[1] and "test_errors_about_tracers" in lines[1]
    assert lines[2] == ("  because the value depends on the arguments x and z of the traced "
                        "function loss, known only when it runs")
    assert lines[3].startswith("  fix: ") and fix in lines[3]


def test_context_is_the_second_line(tracer):
    text = str(errors.ConcretizationTypeError(tracer, "The problem arose with `float`."))
    assert text.splitlines()[1] == "The problem arose with `float`."


def test_escaped_tracer(tracer):
    text = str(errors.UnexpectedTracerError(tracer))
    assert text.startswith("Encountered an unexpected tracer. A function transformed by JAX had a "
                           "side effect, allowing for a reference to an intermediate value with "
                           "type float32[3] wrapped in a Tracer")
    assert "it belongs to the traced function loss, and was created on line" in text
    assert "fix: return the value" in text
    assert str(errors.UnexpectedTracerError("plain text")).startswith("plain text")


def test_without_argument_names(tracer):
    tracer._trace.debug = DebugInfo("jit", "loss")
    assert errors.describe_origin(tracer).startswith(
        "the value is computed inside the traced function loss (made at ")
    tracer._trace = type("BatchTrace", (), {"describe": lambda self: "vmap"})()
    assert errors.describe_origin(tracer) == (
        "the value is computed inside vmap, and known only when that runs")
    tracer._trace = None
    assert errors.describe_origin(tracer) is None


def test_the_text_is_built_when_it_is_shown(tracer):
    class Expensive:
        shape = (3,)

        @property
        def dtype(self):
            raise AssertionError("the message was built although nobody read it")

    tracer.aval = Expensive()
    error = errors.TracerBoolConversionError(tracer)
    with pytest.raises(AssertionError):
        str(error)


def test_pickling_keeps_the_text(tracer):
    error = errors.TracerBoolConversionError(tracer)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is errors.TracerBoolConversionError and str(again) == str(error)
    assert str(pickle.loads(pickle.dumps(again))) == str(error)


def test_key_reuse():
    text = str(public.KeyReuseError("a key was used twice"))
    assert text.startswith("a key was used twice\n") and "jax.random.split" in text


def test_describe():
    text = errors.describe("it failed", because="of this", fix="do that")
    what, at, because, fix = text.splitlines()
    assert what == "it failed" and because == "  because of this" and fix == "  fix: do that"
    assert "test_errors.py:" in at and at.endswith("in test_describe")
    assert errors.describe("it failed", at="somewhere") == "it failed\n  at somewhere"


def test_public_tree():
    assert issubclass(public.JAXIndexError, IndexError)
    assert issubclass(public.JAXTypeError, TypeError)
    assert issubclass(public.JaxRuntimeError, RuntimeError)
    assert public.__all__ == sorted(public.__all__)
    assert all(hasattr(public, name) for name in public.__all__)
