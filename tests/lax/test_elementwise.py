"""Elementwise operations: accepted types, messages, conventions at kinks and branch points."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import minijax as jax
from minijax import lax

F32, F16, BF16 = np.dtype("float32"), np.dtype("float16"), np.dtype(ml_dtypes.bfloat16)
C64, I32, I8, U8, BOOL = map(np.dtype, ("complex64", "int32", "int8", "uint8", "bool"))
EVERY = (F32, F16, BF16, C64, I32, I8, U8, BOOL)

FLOATS = (F32, F16, BF16)
ACCEPTED = {
    **dict.fromkeys(("neg", "sign", "square"), FLOATS + (C64, I32, I8, U8)),
    **dict.fromkeys(("floor", "ceil", "round", "is_finite", "cbrt"), FLOATS),
    **dict.fromkeys(("exp", "exp2", "log", "expm1", "log1p", "tanh", "logistic", "sin", "cos",
                     "tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh",
                     "sqrt", "rsqrt", "reciprocal"), FLOATS + (C64,)),
    **dict.fromkeys(("real", "imag"), (C64,)),
    "conj": (F32, C64), "abs": FLOATS + (C64, I32, I8),
    "bitwise_not": (I32, I8, U8, BOOL),
    **dict.fromkeys(("population_count", "clz"), (I32, I8, U8)),
    **dict.fromkeys(("add", "sub", "mul", "div"), FLOATS + (C64, I32, I8, U8)),
    "rem": FLOATS + (I32, I8, U8),
    **dict.fromkeys(("max", "min", "eq", "ne"), EVERY),
    **dict.fromkeys(("lt", "le", "gt", "ge"), FLOATS + (I32, I8, U8, BOOL)),
    **dict.fromkeys(("pow", "atan2"), FLOATS + (C64,)),
    "complex": (F32,), "nextafter": FLOATS,
    **dict.fromkeys(("bitwise_and", "bitwise_or", "bitwise_xor"), (I32, I8, U8, BOOL)),
    **dict.fromkeys(("shift_left", "shift_right_logical", "shift_right_arithmetic", "mulhi"),
                    (I32, I8, U8)),
}
BINARY = {"add", "sub", "mul", "div", "rem", "max", "min", "eq", "ne", "lt", "le", "gt", "ge",
          "pow", "atan2", "complex", "nextafter", "bitwise_and", "bitwise_or", "bitwise_xor",
          "shift_left", "shift_right_logical", "shift_right_arithmetic", "mulhi"}


def spec(shape, dtype=F32):
    return jax.ShapeDtypeStruct(shape, dtype)


@pytest.mark.parametrize("name", sorted(ACCEPTED))
def test_accepted_dtypes(name):
    fun = getattr(lax, name)
    for dtype in EVERY:
        args = [spec((3,), dtype)] * (2 if name in BINARY else 1)
        if dtype in ACCEPTED[name]:
            assert jax.eval_shape(fun, *args).shape == (3,)
        else:
            with pytest.raises(TypeError, match="does not accept dtype|cannot be raised"):
                jax.eval_shape(fun, *args)


@pytest.mark.parametrize("call, error, text", [
    (lambda: lax.add(np.ones(3, F32), np.ones(4, F32)), TypeError,
     "add got incompatible shapes for broadcasting: (3,), (4,)."),
    (lambda: lax.add(np.ones((2, 3), F32), np.ones(3, F32)), TypeError,
     "add: arrays must have the same number of dimensions, got {1, 2}"),
    (lambda: lax.add(np.ones(3, F32), 2), TypeError,
     "lax.add requires arguments to have the same dtypes, got float32, int32. (Tip: jnp.add is a "
     "similar function that does automatic type promotion on inputs)."),
    (lambda: lax.lt(np.ones(3, F32), 2), TypeError,
     "lax.lt requires arguments to have the same dtypes, got float32, int32."),
    (lambda: lax.add(np.ones(3, F32), True), TypeError,
     "add does not accept dtype bool at position 1. Accepted dtypes at position 1 are subtypes "
     "of integer, floating, complexfloating."),
    (lambda: lax.sin(np.ones(3, I32)), TypeError,
     "sin does not accept dtype int32. Accepted dtypes are subtypes of floating, "
     "complexfloating."),
    (lambda: lax.integer_pow(np.ones(3, I32), -2), TypeError,
     "Integers cannot be raised to negative powers, got integer_pow(int32[3], -2)"),
    (lambda: lax.pow(np.ones(3, C64), np.ones(3, F32)), TypeError,
     "the first argument to pow must have an inexact dtype (float or complex), and the second "
     "argument must have an inexact or integer dtype, and two inexact dtypes must match, but got "
     "complex64 and float32 respectively."),
    (lambda: lax.round(1.5, 3), ValueError, "3 is not a valid RoundingMethod"),
    (lambda: lax.select_n(np.ones(3, bool)), ValueError,
     "select_n() must have at least one case"),
    (lambda: lax.select(np.ones(3, F32), 1.0, 2.0), TypeError,
     "select `which` must be boolean or integer type, got float32."),
    (lambda: lax.select_n(True, 1.0, 2.0, 3.0), TypeError,
     "select with boolean `which` cannot have > 2 cases."),
    (lambda: lax.select(True, np.ones(3, F32), 0.0), TypeError,
     "select cases must have the same shapes, got [(), (3,)]."),
    (lambda: lax.select(np.ones(4, bool), np.ones(3, F32), np.ones(3, F32)), TypeError,
     "select `which` must be scalar or have the same shape as cases, got `which` shape (4,) but "
     "case shape (3,)."),
    (lambda: lax.clamp(np.ones(4, F32), np.ones(3, F32), 2.0), TypeError,
     "clamp requires min.shape == operand.shape or min.shape == (), got min.shape=(4,), "
     "operand.shape=(3,)."),
    (lambda: lax.clamp(0, np.ones(3, F32), 1), TypeError,
     "lax.clamp requires arguments to have the same dtypes, got int32, float32, int32."),
    (lambda: lax.Tolerance(atol=-1.0), ValueError, "Tolerances must be non-negative."),
])
def test_first_line_of_errors(call, error, text):
    with pytest.raises(error) as caught:
        jax.make_jaxpr(call)()
    assert str(caught.value).split("\n")[0] == text


@pytest.mark.parametrize("fun, args, weak", [
    (lax.neg, (1.0,), True), (lax.add, (1.0, 2.0), True), (lax.add, (np.float32(1), 2.0), False),
    (lax.eq, (1, 2), True), (lax.real, (1j,), True), (lax.abs, (-2,), True),
    (lambda x: lax.integer_pow(x, 2), (2.0,), True), (lax.select, (True, 1.0, 2.0), True),
    (lax.clamp, (0.0, np.float32(1), 2.0), False),
])
def test_weak_types(fun, args, weak):
    assert jax.make_jaxpr(fun)(*args).out_avals[0].weak_type is weak


def test_scalars_stay_scalars_in_jaxprs():
    jaxpr = jax.make_jaxpr(lambda x: lax.mul(lax.add(x, 2.0), x))(spec((2, 3)))
    assert [e.primitive.name for e in jaxpr.eqns] == ["add", "mul"]
    assert jaxpr.eqns[0].invars[1].aval.shape == ()
    assert jaxpr.eqns[1].params == {"out_dtype": None}


def test_mul_out_dtype():
    x = np.array([100, 100], np.int8)
    out = lax.mul(x, x, out_dtype=np.int32)
    assert out.dtype == I32 and list(np.asarray(out)) == [10_000, 10_000]
    wide = jax.jit(lambda x: lax.mul(x, x, out_dtype=np.float64))(x)  # float32 without 64 bits
    assert wide.dtype == np.float32 and list(np.asarray(wide)) == [10_000, 10_000]


def gradients(fun, *args):
    return [float(g) for g in jax.grad(fun, tuple(range(len(args))))(*args)]


def test_derivatives_at_kinks():
    assert gradients(lax.abs, 0.0) == [1.0]
    assert gradients(lax.max, 1.0, 1.0) == [0.5, 0.5]
    assert gradients(lax.min, 1.0, 1.0) == [0.5, 0.5]
    assert gradients(lax.max, 2.0, 1.0) == [1.0, 0.0]
    assert gradients(lax.clamp, 0.0, 0.0, 1.0) == [0.0, 0.0, 0.0]
    assert gradients(lax.clamp, 0.0, 2.0, 1.0) == [0.0, 0.0, 1.0]
    assert gradients(lax.clamp, 0.5, 0.2, 1.0) == [1.0, 0.0, 0.0]
    assert gradients(lax.sign, 0.3) == [0.0]
    assert gradients(lax.floor, 0.3) == [0.0]
    assert gradients(lax.sqrt, 0.0) == [np.inf]
    assert gradients(lax.rem, 5.5, 2.0) == [1.0, -2.0]


@pytest.mark.parametrize("x, y, slopes", [
    (0.0, 1.0, (1.0, 0.0)), (0.0, 2.0, (0.0, 0.0)), (0.0, 0.5, (np.inf, 0.0)),
    (2.0, 0.0, (0.0, 0.6931472)), (0.0, 0.0, (np.nan, 0.0)), (-1.0, 2.0, (-2.0, np.nan)),
])
def test_derivatives_of_pow(x, y, slopes):
    np.testing.assert_allclose(gradients(lax.pow, x, y), slopes, rtol=1e-6)


@pytest.mark.parametrize("y, first, second", [(0, 0.0, 0.0), (1, 1.0, 0.0), (2, 0.0, 2.0),
                                              (3, 0.0, 0.0)])
def test_powers_with_integer_exponents_at_zero(y, first, second):
    for fun in (lambda x: lax.pow(x, y), lambda x: lax.integer_pow(x, y),
                lambda x: lax.pow(x, np.asarray(y, np.int32))):
        assert float(jax.grad(fun)(0.0)) == first
    for fun in (lambda x: lax.pow(x, y), lambda x: lax.integer_pow(x, y)):
        assert float(jax.grad(jax.grad(fun))(0.0)) == second


def test_clamp_with_scalar_bounds_is_differentiable():
    x = np.array([-1.0, 0.5, 3.0], F32)

    def total(low, x, high):
        return lax.reduce_sum(lax.clamp(low, x, high), (0,))
    low, inner, high = jax.grad(total, (0, 1, 2))(np.float32(0), x, np.float32(1))
    assert (float(low), list(np.asarray(inner)), float(high)) == (1.0, [0.0, 1.0, 0.0], 1.0)


def test_gradients_of_broadcast_operands_are_summed():
    x, y = np.ones((2, 3), F32), np.full((2, 1), 2.0, F32)

    def total(x, y, z):
        return lax.reduce_sum(lax.sub(lax.mul(x, y), z), (0, 1))
    gx, gy, gz = jax.grad(total, (0, 1, 2))(x, y, np.float32(3.0))
    assert gx.shape == (2, 3) and gy.shape == (2, 1) and gz.shape == ()
    assert list(np.asarray(gy).ravel()) == [3.0, 3.0] and float(gz) == -6.0


def test_transposes_of_complex_parts_do_not_conjugate():
    z = np.complex64(1 + 2j)
    cases = [(lax.real, np.float32(1), 1), (lax.imag, np.float32(1), -1j), (lax.conj, z, 1 - 2j)]
    for fun, ct, expected in cases:
        ct_in, = jax.vjp(fun, z)[1](ct)
        assert complex(ct_in) == expected
    ct_in, = jax.vjp(lax.conj, np.float32(1))[1](z)
    assert ct_in.dtype == F32 and float(ct_in) == 1.0
    re, im = jax.vjp(lax.complex, np.float32(1), np.float32(2))[1](z)
    assert (float(re), float(im)) == (1.0, -2.0)


def test_derivative_of_complex_abs():
    for z, slope in ((3 + 4j, 0.6 - 0.8j), (0, 0)):
        ct, = jax.vjp(lax.abs, np.complex64(z))[1](np.float32(1))
        assert complex(ct) == pytest.approx(slope)


def test_acosh_is_differentiated_on_the_right_branch():
    z = np.complex64(-2 + 0.5j)
    step = 1e-3
    slope = jax.jvp(lax.acosh, (z,), (np.complex64(1),))[1]
    with_numpy = (np.arccosh(complex(z) + step) - np.arccosh(complex(z) - step)) / (2 * step)
    assert complex(slope) == pytest.approx(with_numpy, rel=1e-4)


def test_slope_in_a_divisor_is_rounded_as_x_times_a_power():
    x, y = np.float32(3), np.linspace(1, 2, 64, dtype=F32)
    slope = jax.vmap(jax.grad(lax.div, 1), (None, 0))(x, y)
    np.testing.assert_array_equal(slope, -(x * (1 / (y * y))))


def test_vmap_keeps_scalars_small():
    jaxpr = jax.make_jaxpr(jax.vmap(lambda x: lax.add(x, 2.0)))(spec((5, 3)))
    assert [e.primitive.name for e in jaxpr.eqns] == ["add"]
    jaxpr = jax.make_jaxpr(jax.vmap(lambda p, x: lax.select(p, x, x), (None, 0)))(
        spec((), BOOL), spec((5, 3)))
    assert [e.primitive.name for e in jaxpr.eqns] == ["select_n"]


def test_stop_gradient_takes_trees():
    tree = lax.stop_gradient({"a": 1.0, "b": (2, None)})
    assert float(tree["a"]) == 1.0 and int(tree["b"][0]) == 2 and tree["b"][1] is None
    assert float(jax.grad(lambda x: lax.mul(x, lax.stop_gradient(x)))(3.0)) == 3.0


def test_optimization_barrier_of_mixed_tree():
    def fun(x):
        y, n = lax.optimization_barrier((x, 3))
        return lax.mul(y, y)
    assert float(jax.grad(fun)(2.0)) == 4.0
    assert lax.optimization_barrier(()) == ()


def test_complex_order():
    x, y = np.complex64(1 + 2j), np.complex64(1 + 3j)
    assert complex(lax.max(x, y)) == 1 + 3j and complex(lax.min(x, y)) == 1 + 2j


def test_rounding_methods():
    x = np.array([0.5, 1.5, -2.5], F32)
    assert list(np.asarray(lax.round(x))) == [1.0, 2.0, -3.0]
    even = lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)
    assert list(np.asarray(even)) == [0.0, 2.0, -2.0]


def test_shifts_by_more_than_the_width():
    x = np.array([-8, 8], np.int32)
    assert list(np.asarray(lax.shift_left(x, 40))) == [0, 0]
    assert list(np.asarray(lax.shift_right_logical(x, 40))) == [0, 0]
    assert list(np.asarray(lax.shift_right_arithmetic(x, 40))) == [-1, 0]


def test_integer_division_rounds_towards_zero():
    x, y = np.array([7, -7, 7], np.int32), np.array([2, 2, -2], np.int32)
    assert list(np.asarray(lax.div(x, y))) == [3, -3, -3]
    assert list(np.asarray(lax.rem(x, y))) == [1, -1, 1]


def test_mulhi():
    x = np.array([2**30, -(2**31)], np.int32)
    assert list(np.asarray(lax.mulhi(x, x))) == [2**28, 2**30]
