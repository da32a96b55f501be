"""Programs of equal structure share what was compiled, and no others do."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.passes import structure
from minijax.runtime import compile


def key(fun, *args):
    return structure.key_of(jax.make_jaxpr(fun)(*args))


def test_equal_programs_have_equal_keys():
    def loop():
        return lambda x: lax.scan(lambda c, a: (jnp.sin(c) * 2.0, a), x, None, length=3)[0]
    assert key(loop(), 1.0) == key(loop(), 1.0) is not None
    assert hash(key(loop(), 1.0)) == hash(key(loop(), 1.0))


@pytest.mark.parametrize("one, other", [
    (lambda x: x * 2.0, lambda x: x * 3.0),
    (lambda x: x * 0.0, lambda x: x * -0.0),
    (lambda x: x + x, lambda x: x * x),
    (lambda x: lax.sub(x, jnp.sin(x)), lambda x: lax.sub(jnp.sin(x), x)),
    (lambda x: (x, jnp.sin(x)), lambda x: (jnp.sin(x), x)),
    (lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x),
     lambda x: lax.cond(x > 0, jnp.cos, jnp.sin, x)),
    (lambda x: jax.named_call(jnp.sin, name="a")(x),
     lambda x: jax.named_call(jnp.sin, name="b")(x)),
])
def test_different_programs_have_different_keys(one, other):
    assert key(one, 1.0) != key(other, 1.0)


def test_types_are_part_of_the_key():
    f = lambda x: x * x  # noqa: E731
    assert len({key(f, x) for x in (1.0, jnp.float32(1), jnp.ones(3), jnp.arange(3))}) == 4


def test_programs_with_arrays_or_functions_have_no_key():
    big = np.arange(3.0)
    assert key(lambda x: x * big, 1.0) is None
    fun = jax.custom_jvp(lambda x: x)
    fun.defjvp(lambda primals, tangents: (primals[0], tangents[0]))
    assert key(jax.jit(lambda x: fun(x)), 1.0) is None


def test_fresh_lambdas_are_compiled_once(monkeypatch):
    lowered = []
    original = compile.lower_jaxpr
    monkeypatch.setattr(compile, "lower_jaxpr",
                        lambda *a, **k: lowered.append(a[1]) or original(*a, **k))
    for _ in range(3):
        x = lax.scan(lambda c, _: (c * 1.5 + 7, None), 1.0, None, length=4)[0]
        y = lax.while_loop(lambda c: c < 10.5, lambda c: c * 2, 1.0)
        z = jax.jit(lambda a: a * 2.75)(2.0)
        w = lax.cond(True, lambda a: a + 1.25, lambda a: a, 1.0)
    assert (float(x), float(y), float(z), float(w)) == (61.9375, 16.0, 5.5, 2.25)
    assert len(lowered) <= 4


def test_operations_tell_apart_parameters_that_python_calls_equal():
    from minijax.extend.core import Primitive
    from minijax.interpreters import mlir

    inverse = Primitive("inverse_of_parameter")
    inverse.def_abstract_eval(lambda x, *, k: x)
    mlir.register_lowering(inverse, mlir.lower_fun(
        lambda x, *, k: x * 0 + np.float32(1) / np.float32(k), multiple_results=False))
    with np.errstate(divide="ignore"):
        found = jax.jit(lambda x: [inverse.bind(x, k=0.0), inverse.bind(x, k=-0.0)])(1.0)
    assert [float(x) for x in found] == [np.inf, -np.inf]

    typed = Primitive("type_of_parameter")
    typed.def_abstract_eval(lambda x, *, k: jax.core.ShapedArray((), np.dtype(type(k))))
    out = jax.eval_shape(lambda x: [typed.bind(x, k=k) for k in (0, 0.0, False)], 1.0)
    assert [x.dtype.kind for x in out] == ["i", "f", "b"]
