"""Elementwise rules: which operation a dtype becomes, broadcasting, values against NumPy."""

import ml_dtypes
import numpy as np
import pytest

from tests.lowering.fakes import Literal, Program, aval, check, one, run, run_one, text

rng = np.random.default_rng(0)
F, D, B = np.float32, np.float64, ml_dtypes.bfloat16


def values(dtype, shape=(3, 4)):
    dtype = np.dtype(dtype)
    if dtype == bool:
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        return rng.integers(1 if dtype.kind == "u" else -7, 8, shape).astype(dtype)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if dtype.kind == "c" else x).astype(dtype)


def test_scalar_literal_becomes_one_splat_constant():
    program = Program()
    x = program.input("float32", 3, 4)
    y = program.bind("mul", [x, Literal(2.0, "float32")], ("float32", 3, 4))
    y = program.bind("add", [y, Literal(2.0, "float32")], ("float32", 3, 4))
    check(text(program.jaxpr(y)), """
        CHECK: stablehlo.constant dense<2.000000e+00> : tensor<3x4xf32>
        CHECK: stablehlo.multiply
        CHECK-NOT: constant
        CHECK: stablehlo.add
    """)


def test_zero_and_minus_zero_are_two_constants():
    program = Program()
    y = program.bind("mul", [Literal(0.0, "float32"), Literal(-0.0, "float32")], ("float32",))
    check(text(program.jaxpr(y)), """
        CHECK: dense<0.000000e+00>
        CHECK: dense<-0.000000e+00>
    """)
    assert np.signbit(run(program.jaxpr(y))[0])


@pytest.mark.parametrize("shape", [(), (1, 4), (3, 1), (1, 1)])
def test_operands_broadcast(shape):
    x, y = values(F), values(F, shape)
    np.testing.assert_array_equal(run_one("sub", [x, y], ("float32", 3, 4)), x - y)
    np.testing.assert_array_equal(run_one("sub", [y, x], ("float32", 3, 4)), y - x)


def test_broadcast_is_one_operation():
    check(text(one("add", [aval("float32", 1, 4), aval("float32", 3, 4)], ("float32", 3, 4))), """
        CHECK: stablehlo.broadcast_in_dim %arg0, dims = [0, 1]
        CHECK: stablehlo.add
    """)


UNARY = {
    "neg": np.negative, "abs": np.abs, "floor": np.floor, "ceil": np.ceil, "exp": np.exp,
    "exp2": np.exp2, "expm1": np.expm1, "sqrt": np.sqrt, "cbrt": np.cbrt, "sin": np.sin,
    "cos": np.cos, "tan": np.tan, "tanh": np.tanh, "atan": np.arctan, "sinh": np.sinh,
    "cosh": np.cosh, "asinh": np.arcsinh, "sign": np.sign, "square": np.square,
    "logistic": lambda x: 1 / (1 + np.exp(-x)), "is_finite": np.isfinite,
}


@pytest.mark.parametrize("dtype", [F, D])
@pytest.mark.parametrize("name", UNARY)
def test_real_unary(name, dtype):
    x = np.abs(values(dtype)) if name == "sqrt" else values(dtype)
    want = UNARY[name](x)
    np.testing.assert_allclose(run_one(name, [x], (want.dtype, 3, 4)), want, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "exp", "sqrt", "square", "neg"])
def test_complex_unary(name):
    x = values(np.complex128)
    np.testing.assert_allclose(run_one(name, [x], ("complex128", 3, 4)), UNARY[name](x),
                               rtol=1e-12)


def test_complex_sine_keeps_the_zero_of_the_real_axis():
    big = np.array([complex(0, 800)])
    assert run_one("sin", [big], ("complex128", 1))[0] == complex(0, np.inf)
    assert run_one("cos", [big], ("complex128", 1))[0] == complex(np.inf, 0)


def test_conj_of_real_is_complex():
    assert run_one("conj", [F([1, 2])], ("complex64", 2), input_dtype=F).dtype == np.complex64
    np.testing.assert_array_equal(
        run_one("conj", [np.complex64([1 + 2j])], ("complex64", 1), input_dtype=np.complex64),
        [1 - 2j])


def test_sign_of_unsigned():
    np.testing.assert_array_equal(run_one("sign", [np.uint8([0, 3, 200])], ("uint8", 3)), [0, 1, 1])


@pytest.mark.parametrize("dtype", [F, np.int32, np.complex64])
@pytest.mark.parametrize("y", [0, 1, 2, 3, 5, 8])
def test_integer_pow(y, dtype):
    x = values(dtype)
    np.testing.assert_allclose(run_one("integer_pow", [x], (dtype, 3, 4), y=y), x**y, rtol=1e-5)


def test_integer_pow_is_by_squaring():
    check(text(one("integer_pow", [aval("float32")], ("float32",), y=-8)), """
        CHECK: %0 = stablehlo.multiply %arg0, %arg0
        CHECK: stablehlo.multiply
        CHECK: stablehlo.multiply
        CHECK-NOT: stablehlo.multiply
        CHECK: stablehlo.divide
    """)


@pytest.mark.parametrize("dtype", [F, np.int32, np.uint8, bool])
@pytest.mark.parametrize("name", ["eq", "ne", "ge", "gt", "le", "lt"])
def test_comparisons(name, dtype):
    x, y = values(dtype), values(dtype)
    want = {"eq": np.equal, "ne": np.not_equal, "ge": np.greater_equal, "gt": np.greater,
            "le": np.less_equal, "lt": np.less}[name](x, y)
    np.testing.assert_array_equal(run_one(name, [x, y], (bool, 3, 4)), want)


def test_comparison_types():
    for dtype, kind in [("float32", "FLOAT"), ("int8", "SIGNED"), ("uint8", "UNSIGNED"),
                        ("bool", "UNSIGNED"), ("complex64", "FLOAT"), ("bfloat16", "FLOAT")]:
        check(text(one("eq", [aval(dtype), aval(dtype)], (bool,))), f"CHECK: compare EQ, %arg0, "
              f"%arg1, {kind}")


def test_total_order_comparison():
    x = F([0.0, -0.0, np.nan, 1.0, np.nan])
    y = F([-0.0, 0.0, np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(run_one("lt_to", [x, y], (bool, 5)), [0, 1, 0, 1, 0])
    np.testing.assert_array_equal(run_one("eq_to", [x, y], (bool, 5)), [0, 0, 1, 0, 0])
    np.testing.assert_array_equal(run_one("le_to", [x, y], (bool, 5)), [0, 1, 1, 1, 0])


def test_complex_maximum_compares_real_then_imaginary():
    x, y = np.complex64([1 + 5j, 2 + 1j]), np.complex64([1 + 2j, 3 - 9j])
    np.testing.assert_array_equal(run_one("max", [x, y], ("complex64", 2)), [1 + 5j, 3 - 9j])
    np.testing.assert_array_equal(run_one("min", [x, y], ("complex64", 2)), [1 + 2j, 2 + 1j])


def test_maximum_propagates_nan():
    got = run_one("max", [F([np.nan, 1]), F([1, np.nan])], ("float32", 2))
    assert np.isnan(got).all()


@pytest.mark.parametrize("method, want", [(0, [1, 2, 3, -3]), (1, [0, 2, 2, -2])])
def test_round(method, want):
    got = run_one("round", [F([0.5, 1.5, 2.5, -2.5])], ("float32", 4), rounding_method=method)
    np.testing.assert_array_equal(got, want)


def test_clamp_with_scalar_and_full_bounds():
    x = F([-1, 0.5, 9])
    low, high = F(0), F([1, 1, 2])
    np.testing.assert_array_equal(run_one("clamp", [low, x, F(1)], ("float32", 3)), [0, 0.5, 1])
    np.testing.assert_array_equal(run_one("clamp", [low, x, high], ("float32", 3)), [0, 0.5, 2])


@pytest.mark.parametrize("count", [2, 3, 5])
def test_select_n_by_integer(count):
    which = rng.integers(0, count, (3, 4)).astype(np.int32)
    cases = [values(F) for _ in range(count)]
    np.testing.assert_array_equal(run_one("select_n", [which, *cases], ("float32", 3, 4)),
                                  np.choose(which, cases))


@pytest.mark.parametrize("which", [np.array(True), np.array([True, False])])
def test_select_n_by_bool_takes_the_last_case_where_true(which):
    no, yes = F([1, 2]), F([3, 4])
    np.testing.assert_array_equal(run_one("select_n", [which, no, yes], ("float32", 2)),
                                  np.where(which, yes, no))


CONVERSIONS = [(F, bool), (np.complex64, F), (np.complex64, np.int32), (bool, F), (F, B), (B, D),
               (np.int8, np.complex64), (F, np.uint8), (np.int32, bool), (np.int64, np.int8)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("source, target", CONVERSIONS)
def test_convert_element_type(source, target):
    x = np.abs(values(source)) if source is F and target is np.uint8 else values(source)
    got = run_one("convert_element_type", [x], (target, 3, 4), new_dtype=np.dtype(target),
                  weak_type=False)
    np.testing.assert_array_equal(got, x.astype(target))


def test_bitcast_changes_width():
    x = np.arange(4, dtype=np.uint32)
    got = run_one("bitcast_convert_type", [x], ("uint16", 4, 2), new_dtype=np.dtype(np.uint16))
    np.testing.assert_array_equal(got, x.view(np.uint16).reshape(4, 2))


def test_shifts_and_bit_counts():
    x = np.int32([-8, 7, 1 << 30])
    two = np.int32([2, 2, 2])
    for name, want in [("shift_left", x << 2), ("shift_right_arithmetic", x >> 2),
                       ("shift_right_logical", (x.view(np.uint32) >> 2).view(np.int32))]:
        np.testing.assert_array_equal(run_one(name, [x, two], ("int32", 3)), want)
    np.testing.assert_array_equal(run_one("population_count", [x], ("int32", 3)), [29, 3, 1])
    np.testing.assert_array_equal(run_one("clz", [x], ("int32", 3)), [0, 29, 1])


def test_pow_with_integer_exponent():
    x, y = np.abs(values(F)), values(np.int32)
    np.testing.assert_allclose(run_one("pow", [x, y], ("float32", 3, 4)), x ** y.astype(F),
                               rtol=1e-5)


@pytest.mark.parametrize("name, want", [
    ("erf", [0.52049988, 0.84270079]), ("erfc", [0.47950012, 0.15729921]),
    ("lgamma", [0.57236494, 0.0]), ("digamma", [-1.96351003, -0.57721566]),
    ("bessel_i1e", [0.15642080, 0.20791042])])
def test_special_functions(name, want):
    got = run_one(name, [F([0.5, 1])], ("float32", 2))
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


def test_accuracy_becomes_an_attribute():
    class Mode:
        name = "HIGHEST"

    check(text(one("exp", [aval("float32")], ("float32",), accuracy=Mode)),
          "CHECK: result_accuracy_mode<HIGHEST>")
