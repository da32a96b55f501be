"""Elementwise functions: values as JAX's and NumPy's, derivatives, and the methods of ufuncs."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

SCOPE = recorded.scope()
ELEMENTWISE = recorded.load("elementwise")
METHODS = recorded.load("ufunc_methods")


@pytest.mark.parametrize("text", ELEMENTWISE)
def test_as_jax(text):
    recorded.check(text, ELEMENTWISE[text], record_results.evaluate(text, SCOPE))


@pytest.mark.parametrize("text", METHODS)
def test_methods_as_jax(text):
    recorded.check(text, METHODS[text], record_results.evaluate(text, SCOPE))


numbers = st.sampled_from([0.0, -0.0, 1.0, -1.5, 2.5, 7.0, -8.25, np.inf, -np.inf, np.nan])
vectors = hnp.arrays(np.float32, 6, elements=numbers)
BINARY = ["add", "floor_divide", "remainder", "fmod", "arctan2", "hypot", "maximum", "fmin",
          "copysign", "heaviside", "logaddexp", "logaddexp2", "nextafter", "less", "logical_xor"]


@pytest.mark.parametrize("name", BINARY)
@hypothesis.settings(max_examples=20, deadline=None, derandomize=True)
@hypothesis.given(x=vectors, y=vectors)
def test_binary_as_numpy(name, x, y):
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x, y)
    np.testing.assert_allclose(getattr(jnp, name)(x, y), want, rtol=1e-5)


@pytest.mark.parametrize("name", ["frexp", "modf", "rint", "trunc", "signbit", "nan_to_num"])
@hypothesis.settings(max_examples=20, deadline=None, derandomize=True)
@hypothesis.given(x=hnp.arrays(np.float32, 6, elements=st.floats(width=32,
                                                                 allow_subnormal=False)))
def test_parts_as_numpy(name, x):
    if name == "modf":
        x = np.where(np.isinf(x), np.float32(2.5), x)  # JAX says nan for the fraction of inf
    want = getattr(np, name)(x)
    for ours, theirs in zip(np.atleast_1d(getattr(jnp, name)(x)), np.atleast_1d(want)):
        np.testing.assert_array_equal(np.asarray(ours), theirs)


@pytest.mark.parametrize("shift", [-170, -140, -3, 0, 5, 130, 300])
def test_ldexp_rounds_once(shift):
    x = np.array([1.1754944e-38, 0.3, -1.75, 3e38, np.inf], np.float32)
    with np.errstate(all="ignore"):
        want = np.ldexp(x, shift)
    normal = np.abs(want) >= np.finfo(np.float32).tiny  # devices may flush smaller results
    np.testing.assert_array_equal(np.asarray(jnp.ldexp(x, shift))[normal], want[normal])


def test_power_chooses_the_exponent_when_tracing():
    def exponents(fun, *args):
        return [(e.primitive.name, e.params.get("y")) for e in jax.make_jaxpr(fun)(*args).eqns]

    x = jnp.ones(3)
    assert exponents(lambda x: x**3, x) == [("integer_pow", 3)]
    assert exponents(lambda x: x ** np.int32(2), x) == [("integer_pow", 2)]
    assert exponents(lambda x: x ** jnp.array(2), x) == [("integer_pow", 2)]
    assert exponents(lambda x: x**0.5, x) == [("pow", None)]
    assert exponents(lambda x, n: x**n, x, jnp.arange(3)) == [("pow", None)]


def derivative(fun, x):
    return float(jax.grad(fun)(jnp.float32(x)))


@pytest.mark.parametrize("fun, x, want", [
    (lambda x: jnp.logaddexp(x, 1.0), 1.0, 0.5),
    (lambda x: jnp.logaddexp(x, -jnp.inf), 3.0, 1.0),
    (lambda x: jnp.logaddexp2(x, 0.0), 0.0, 0.5),
    (jnp.sinc, 0.0, 0.0),
    (jax.grad(jnp.sinc), 0.0, -np.pi**2 / 3),
    (lambda x: jnp.hypot(x, 4.0), 3.0, 0.6),
    (lambda x: jnp.where(x > 0, x**2, 0.0), 3.0, 6.0),
    (lambda x: jnp.clip(x, 0, 1), 0.5, 1.0),
    (lambda x: jnp.clip(x, 0, 1), 2.0, 0.0),
    (lambda x: jnp.frexp(x)[0], 3.0, 0.25),
    (lambda x: jnp.ldexp(x, 3), 3.0, 8.0),
    (lambda x: x**3, 2.0, 12.0),
    (lambda x: jnp.piecewise(x, [x < 1], [lambda y: 1 / y, lambda y: y * y]), 0.5, -4.0),
    (lambda x: jnp.select([x > 1, x > 0], [x, 3 * x]), 0.5, 3.0),
])
def test_derivatives(fun, x, want):
    np.testing.assert_allclose(derivative(fun, x), want, atol=1e-6)


def test_one_operation_for_each_name():
    x = jnp.ones(3)
    for name, primitive in [("sin", "sin"), ("add", "add"), ("maximum", "max"), ("sqrt", "sqrt")]:
        function = getattr(jnp, name)
        assert function.__name__ == name and function.__doc__
        args = (x, x) if name in ("add", "maximum") else (x,)
        assert [e.primitive.name for e in jax.make_jaxpr(function)(*args).eqns] == [primitive]


def test_batching_and_jit_agree_with_plain_calls():
    x, y = jnp.arange(6.0).reshape(2, 3) - 2, jnp.array([1.0, 2.0, 0.0])
    for fun in (jnp.floor_divide, jnp.logaddexp, jnp.remainder, jnp.where and jnp.hypot):
        want = fun(x, y)
        np.testing.assert_array_equal(jax.vmap(fun, (0, None))(x, y), want)
        np.testing.assert_allclose(jax.jit(fun)(x, y), want, rtol=1e-6)


def test_ufunc_objects():
    function = jnp.frompyfunc(lambda x, y: (x + y, x - y), 2, 2)
    assert isinstance(function, jnp.ufunc) and isinstance(jnp.add, jnp.ufunc)
    assert not isinstance(jnp.sin, jnp.ufunc)
    total, gap = function(jnp.arange(3), 1)
    np.testing.assert_array_equal(total, [1, 2, 3])
    np.testing.assert_array_equal(gap, [-1, 0, 1])
    with pytest.raises(NotImplementedError, match="out argument of <jnp.ufunc 'add'>"):
        jnp.add(1, 2, out=jnp.zeros(()))
