"""The type checker accepts well-typed jaxprs and says what is wrong with others."""

import numpy as np
import pytest

from minijax.base import source
from minijax.base.errors import JaxprTypeError
from minijax.core import ShapedArray
from minijax.core.ir import NO_EFFECTS, DropVar, Jaxpr, JaxprEqn, Literal, Var
from minijax.core.jit import jit_p, jit_params
from minijax.core.primitive import Primitive
from minijax.passes.check import check_jaxpr


def f32(*shape):
    return ShapedArray(shape, np.dtype("float32"))


def same_shapes(x, y):
    if x.shape != y.shape:
        raise TypeError(f"add needs equal shapes; got {x.shape} and {y.shape}")
    return x


sin_p = Primitive("sin", shape=lambda x: x)
add_p = Primitive("add", shape=same_shapes)
halves_p = Primitive("halves", shape=lambda x: [x, x], multiple_results=True)
print_p = Primitive("print", shape=lambda x: ([], {"io"}), multiple_results=True, effectful=True)


def eqn(primitive, invars, outvars, effects=NO_EFFECTS, **params):
    return JaxprEqn(primitive, invars, outvars, params, effects, source.capture())


def variables(*avals):
    return [Var(aval) for aval in avals]


def test_well_typed():
    a, b, c = variables(f32(3), f32(3), f32(3))
    check_jaxpr(Jaxpr([], [a], [c, Literal(1.0, f32())], [
        eqn(sin_p, [a], [b]), eqn(add_p, [a, b], [c])]))


def test_weak_types_may_differ():
    a = Var(ShapedArray((), np.dtype("float32"), True))
    check_jaxpr(Jaxpr([], [a], [], [eqn(sin_p, [a], [Var(f32())])]))


def test_result_type():
    a, b = variables(f32(3), f32(4))
    with pytest.raises(JaxprTypeError, match="^Value for variable 'b' inconsistently") as error:
        check_jaxpr(Jaxpr([], [a], [b], [eqn(sin_p, [a], [b])]))
    text = str(error.value)
    assert "typed as f32[3] for let-binder of type f32[4]\n\nin equation:" in text
    assert "\n\nb:f32[4] = sin a\n\n" in text
    assert "test_check.py" in text and "(equation 0)" in text


def test_shape_rule_refuses():
    a, b, c = variables(f32(3), f32(4), f32(3))
    with pytest.raises(JaxprTypeError, match="add refuses its operands: add needs equal"):
        check_jaxpr(Jaxpr([], [a, b], [c], [eqn(add_p, [a, b], [c])]))


def test_use_before_definition():
    a, b, c = variables(f32(), f32(), f32())
    with pytest.raises(JaxprTypeError, match="operand 0 is a variable that is not defined"):
        check_jaxpr(Jaxpr([], [a], [c], [eqn(sin_p, [b], [c]), eqn(sin_p, [a], [b])]))
    with pytest.raises(JaxprTypeError, match="output 0 of the jaxpr is a variable that is not"):
        check_jaxpr(Jaxpr([], [a], [b], []))


def test_bound_twice():
    a, b = variables(f32(), f32())
    with pytest.raises(JaxprTypeError, match="result 0 was bound before"):
        check_jaxpr(Jaxpr([], [a], [b], [eqn(sin_p, [a], [b]), eqn(sin_p, [a], [b])]))
    with pytest.raises(JaxprTypeError, match="occurs twice"):
        check_jaxpr(Jaxpr([], [a, a], [], []))


def test_dropped_results_may_repeat_but_not_be_used():
    a, dropped = Var(f32()), DropVar(f32())
    check_jaxpr(Jaxpr([], [a], [], [eqn(halves_p, [a], [dropped, dropped])]))
    with pytest.raises(JaxprTypeError, match="unused result"):
        check_jaxpr(Jaxpr([], [a], [dropped], [eqn(halves_p, [a], [dropped, dropped])]))


def test_number_of_results():
    a, b = variables(f32(), f32())
    with pytest.raises(JaxprTypeError, match="halves has 2 results, not 1"):
        check_jaxpr(Jaxpr([], [a], [b], [eqn(halves_p, [a], [b])]))


def test_effects():
    a = Var(f32())
    silent = eqn(print_p, [a], [])
    with pytest.raises(JaxprTypeError, match="does not declare the effects io"):
        check_jaxpr(Jaxpr([], [a], [], [silent]))
    loud = eqn(print_p, [a], [], frozenset({"io"}))
    with pytest.raises(JaxprTypeError, match="^Equation effect not present in jaxpr"):
        check_jaxpr(Jaxpr([], [a], [], [loud]))
    check_jaxpr(Jaxpr([], [a], [], [loud], effects=frozenset({"io"})))


def test_constants():
    a, b = variables(f32(3), f32(3))
    check_jaxpr(Jaxpr([a], [], [b], [eqn(sin_p, [a], [b])], [np.ones(3, np.float32)]))
    with pytest.raises(JaxprTypeError, match="has type i32"):
        check_jaxpr(Jaxpr([a], [], [b], [eqn(sin_p, [a], [b])], [np.ones(3, np.int32)]))
    with pytest.raises(JaxprTypeError, match="1 constant variables and 2 constants"):
        check_jaxpr(Jaxpr([a], [], [], [], [np.ones(3), 1.0]))


def test_literal_of_the_wrong_shape():
    b = Var(f32(3))
    with pytest.raises(JaxprTypeError, match="is a literal of shape"):
        check_jaxpr(Jaxpr([], [], [b], [eqn(sin_p, [Literal(1.0, f32(3))], [b])]))


def test_inner_jaxprs():
    x, y, a, b = variables(f32(), f32(3), f32(), f32())
    inner = Jaxpr([], [x], [y], [eqn(sin_p, [x], [y])])
    outer = Jaxpr([], [a], [Var(f32(3))], [])
    result = Var(f32(3))
    outer = Jaxpr([], [a], [result], [eqn(jit_p, [a], [result], **jit_params(inner, "f"))])
    with pytest.raises(JaxprTypeError, match=r"equation 0 in the body of equation 0 \(jit\)"):
        check_jaxpr(outer)
    fine = Jaxpr([], [x], [b], [eqn(sin_p, [x], [b])])
    wrong = Var(f32(2))
    call = eqn(jit_p, [wrong], [Var(f32())], **jit_params(fine, "f"))
    with pytest.raises(JaxprTypeError, match=r"operand 0 has type f32\[2\], its jaxpr takes"):
        check_jaxpr(Jaxpr([], [wrong], [], [call]))
    with pytest.raises(JaxprTypeError, match="1 inputs"):
        check_jaxpr(Jaxpr([], [], [], [eqn(jit_p, [], [Var(f32())], **jit_params(fine, "f"))]))
