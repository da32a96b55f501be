"""Elementwise operations: arithmetic, comparisons, logic, rounding, conversion of bits.

Operands arrive spread to the shape of the result, so nearly every rule is one operation; what
remains is where JAX's meaning of a dtype differs from StableHLO's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lowering.build import Value, is_complex, is_float, is_unsigned
from lowering.module import Context
from lowering.rules import rule, set_rule


def elementwise(name: str, op_name: str) -> Callable:
    """Register `name` as the single operation `op_name` of its operands."""

    def apply(ctx: Context, *operands: Value, accuracy: Any = None, **_: Any) -> Value:
        if accuracy is not None:
            return ctx.op(op_name, operands, ctx.outs, result_accuracy=accuracy_text(accuracy))
        return ctx.op(op_name, operands, ctx.outs)

    set_rule(name, apply, spread=True, op_name=op_name)
    return apply


def accuracy_text(accuracy: Any) -> str:
    """`#stablehlo.result_accuracy` for an AccuracyMode or a Tolerance(atol, rtol, ulps)."""
    mode = getattr(accuracy, "name", None)
    if mode is not None:
        return f"#stablehlo.result_accuracy<mode = #stablehlo.result_accuracy_mode<{mode}>>"
    atol, rtol = float(accuracy.atol), float(accuracy.rtol)
    return (f"#stablehlo.result_accuracy<atol = {atol:e}, rtol = {rtol:e}, "
            f"ulps = {int(accuracy.ulps)}, mode = #stablehlo.result_accuracy_mode<TOLERANCE>>")


# Arithmetic. On bool, add is `or` and mul is `and`, in JAX as in StableHLO.
add = elementwise("add", "stablehlo.add")
sub = elementwise("sub", "stablehlo.subtract")
div = elementwise("div", "stablehlo.divide")
rem = elementwise("rem", "stablehlo.remainder")
neg = elementwise("neg", "stablehlo.negate")
abs_ = elementwise("abs", "stablehlo.abs")
atan2 = elementwise("atan2", "stablehlo.atan2")
nextafter = elementwise("nextafter", "chlo.next_after")
mulhi = elementwise("mulhi", "chlo.mulhi")

# Logic and bits.
and_ = elementwise("and", "stablehlo.and")
or_ = elementwise("or", "stablehlo.or")
xor = elementwise("xor", "stablehlo.xor")
not_ = elementwise("not", "stablehlo.not")
population_count = elementwise("population_count", "stablehlo.popcnt")
clz = elementwise("clz", "stablehlo.count_leading_zeros")
shift_left = elementwise("shift_left", "stablehlo.shift_left")
shift_right_logical = elementwise("shift_right_logical", "stablehlo.shift_right_logical")
shift_right_arithmetic = elementwise("shift_right_arithmetic", "stablehlo.shift_right_arithmetic")

# Rounding and parts.
floor = elementwise("floor", "stablehlo.floor")
ceil = elementwise("ceil", "stablehlo.ceil")
is_finite = elementwise("is_finite", "stablehlo.is_finite")
real = elementwise("real", "stablehlo.real")
imag = elementwise("imag", "stablehlo.imag")
complex_ = elementwise("complex", "stablehlo.complex")

# Exponentials, roots and trigonometry.
exp = elementwise("exp", "stablehlo.exponential")
expm1 = elementwise("expm1", "stablehlo.exponential_minus_one")
log = elementwise("log", "stablehlo.log")
log1p = elementwise("log1p", "stablehlo.log_plus_one")
sqrt = elementwise("sqrt", "stablehlo.sqrt")
rsqrt = elementwise("rsqrt", "stablehlo.rsqrt")
cbrt = elementwise("cbrt", "stablehlo.cbrt")
tan = elementwise("tan", "stablehlo.tan")
tanh = elementwise("tanh", "stablehlo.tanh")
asin = elementwise("asin", "chlo.asin")
acos = elementwise("acos", "chlo.acos")
atan = elementwise("atan", "chlo.atan")
sinh = elementwise("sinh", "chlo.sinh")
cosh = elementwise("cosh", "chlo.cosh")
asinh = elementwise("asinh", "chlo.asinh")
acosh = elementwise("acosh", "chlo.acosh")
atanh = elementwise("atanh", "chlo.atanh")


@rule("mul", spread=True)
def mul(ctx: Context, x: Value, y: Value, *, out_dtype: Any = None, **_: Any) -> Value:
    if out_dtype is not None:
        dtype = ctx.out_avals[0].dtype
        x, y = ctx.convert(x, dtype), ctx.convert(y, dtype)
    return ctx.op("stablehlo.multiply", (x, y), ctx.outs)


@rule("sign", spread=True)
def sign(ctx: Context, x: Value, **_: Any) -> Value:
    aval = ctx.out_avals[0]
    if is_unsigned(aval.dtype):
        zero = ctx.const(0, aval.dtype, aval.shape)
        return ctx.select(ctx.compare("EQ", x, zero), zero,
                          ctx.const(1, aval.dtype, aval.shape))
    return ctx.op("stablehlo.sign", (x,), ctx.outs)


@rule("square", spread=True)
def square(ctx: Context, x: Value, **_: Any) -> Value:
    if is_complex(ctx.out_avals[0].dtype):
        return ctx.op("chlo.square", (x,), ctx.outs)
    return ctx.op("stablehlo.multiply", (x, x), ctx.outs)


@rule("logistic", spread=True)
def logistic(ctx: Context, x: Value, *, accuracy: Any = None, **_: Any) -> Value:
    aval = ctx.out_avals[0]
    if accuracy is not None:
        return ctx.op("stablehlo.logistic", (x,), ctx.outs,
                      result_accuracy=accuracy_text(accuracy))
    one = ctx.const(1, aval.dtype, aval.shape)
    decay = ctx.same("stablehlo.exponential", ctx.same("stablehlo.negate", x))
    return ctx.same("stablehlo.divide", one, ctx.same("stablehlo.add", one, decay))


def _trigonometric(name: str, op_name: str) -> Callable:
    """Register sin or cos; the complex ones by parts, which keeps the zeros of real axes."""
    plain = elementwise(name, op_name)

    def apply(ctx: Context, x: Value, **params: Any) -> Value:
        if is_complex(ctx.out_avals[0].dtype):
            return _complex_sine(ctx, x, cosine=name == "cos")
        return plain(ctx, x, **params)

    set_rule(name, apply, spread=True)
    return apply


def _complex_sine(ctx: Context, z: Value, *, cosine: bool) -> Value:
    """sin(x + iy) = sin x cosh y + i cos x sinh y; cos is cos x cosh y - i sin x sinh y."""
    x, y = ctx.parts(z)
    zero, two = ctx.const_like(0, x), ctx.const_like(2, x)
    up = ctx.same("stablehlo.exponential_minus_one", y)
    down = ctx.same("stablehlo.exponential_minus_one", ctx.same("stablehlo.negate", y))
    sinh_y = ctx.same("stablehlo.divide", ctx.same("stablehlo.subtract", up, down), two)
    both = ctx.same("stablehlo.add", ctx.same("stablehlo.add", up, down), two)
    cosh_y = ctx.same("stablehlo.divide", both, two)
    sine, cosine_x = ctx.same("stablehlo.sine", x), ctx.same("stablehlo.cosine", x)
    if cosine:
        real_part = ctx.same("stablehlo.multiply", cosine_x, cosh_y)
        imaginary = ctx.same("stablehlo.multiply", ctx.same("stablehlo.negate", sine), sinh_y)
        on_axis = (real_part, zero)
    else:
        real_part = ctx.same("stablehlo.multiply", sine, cosh_y)
        imaginary = ctx.same("stablehlo.multiply", cosine_x, sinh_y)
        on_axis = (zero, imaginary)
    # At x = 0 one part is exactly zero, even where sinh or cosh overflows to inf.
    return ctx.select(ctx.compare("EQ", x, zero),
                      ctx.op("stablehlo.complex", on_axis, ctx.outs),
                      ctx.op("stablehlo.complex", (real_part, imaginary), ctx.outs))


sin = _trigonometric("sin", "stablehlo.sine")
cos = _trigonometric("cos", "stablehlo.cosine")


@rule("exp2", spread=True)
def exp2(ctx: Context, x: Value, **_: Any) -> Value:
    aval = ctx.out_avals[0]
    scale = ctx.const(np.log(2.0), aval.dtype, aval.shape)
    return ctx.op("stablehlo.exponential", (ctx.same("stablehlo.multiply", x, scale),), ctx.outs)


@rule("pow", spread=True)
def pow_(ctx: Context, x: Value, y: Value, **_: Any) -> Value:
    dtype = ctx.out_avals[0].dtype
    return ctx.op("stablehlo.power", (ctx.convert(x, dtype), ctx.convert(y, dtype)), ctx.outs)


@rule("integer_pow", spread=True)
def integer_pow(ctx: Context, x: Value, *, y: int, **_: Any) -> Value:
    aval = ctx.out_avals[0]
    one = ctx.const(1, aval.dtype, aval.shape)
    if y == 0:
        return one
    power, factor, left = None, x, abs(y)
    while left:
        if left & 1:
            power = factor if power is None else ctx.same("stablehlo.multiply", power, factor)
        left >>= 1
        if left:
            factor = ctx.same("stablehlo.multiply", factor, factor)
    return ctx.same("stablehlo.divide", one, power) if y < 0 else power


@rule("round", spread=True)
def round_(ctx: Context, x: Value, *, rounding_method: Any, **_: Any) -> Value:
    even = int(rounding_method.value if hasattr(rounding_method, "value") else rounding_method)
    name = "stablehlo.round_nearest_even" if even else "stablehlo.round_nearest_afz"
    return ctx.op(name, (x,), ctx.outs)


@rule("conj", spread=True)
def conj(ctx: Context, x: Value, **_: Any) -> Value:
    aval = ctx.in_avals[0]
    if is_complex(aval.dtype):
        x, y = ctx.parts(x)
        imaginary = ctx.same("stablehlo.negate", y)
    else:
        imaginary = ctx.const(0, aval.dtype, aval.shape)
    return ctx.op("stablehlo.complex", (x, imaginary), ctx.outs)


def _extremum(name: str, op_name: str, direction: str) -> Callable:
    """Register max or min; complex numbers compare by real part, then by imaginary part."""

    def apply(ctx: Context, x: Value, y: Value, **_: Any) -> Value:
        if is_complex(ctx.out_avals[0].dtype):
            return ctx.select(lexicographic(ctx, direction, x, y), x, y)
        return ctx.op(op_name, (x, y), ctx.outs)

    set_rule(name, apply, spread=True)
    return apply


def lexicographic(ctx: Context, direction: str, x: Value, y: Value, *,
                  total: bool = False) -> Value:
    """Compare complex numbers (GT, LT ...) by real part, then by imaginary part."""
    (x_real, x_imag), (y_real, y_imag) = ctx.parts(x), ctx.parts(y)
    equal = ctx.compare("EQ", x_real, y_real, total=total)
    return ctx.select(equal, ctx.compare(direction, x_imag, y_imag, total=total),
                      ctx.compare(direction, x_real, y_real, total=total))


max_ = _extremum("max", "stablehlo.maximum", "GT")
min_ = _extremum("min", "stablehlo.minimum", "LT")


def _comparison(name: str, direction: str, *, total: bool = False) -> Callable:
    """Register a comparison; the `_to` ones put -NaN first, NaN last, -0.0 before 0.0."""

    def apply(ctx: Context, x: Value, y: Value, **_: Any) -> Value:
        dtype = ctx.in_avals[0].dtype
        if is_complex(dtype) and direction not in ("EQ", "NE"):
            return lexicographic(ctx, direction, x, y, total=total)
        return ctx.compare(direction, x, y, total=total and is_float(dtype))

    set_rule(name, apply, spread=True)
    return apply


eq = _comparison("eq", "EQ")
ne = _comparison("ne", "NE")
ge = _comparison("ge", "GE")
gt = _comparison("gt", "GT")
le = _comparison("le", "LE")
lt = _comparison("lt", "LT")
eq_to = _comparison("eq_to", "EQ", total=True)
le_to = _comparison("le_to", "LE", total=True)
lt_to = _comparison("lt_to", "LT", total=True)


@rule("clamp")
def clamp(ctx: Context, low: Value, x: Value, high: Value) -> Value:
    low_aval, aval, high_aval = ctx.in_avals
    bounds = (low_aval, low), (high_aval, high)
    low, high = (b if not a.shape else ctx.spread(b, a, aval.shape) for a, b in bounds)
    return ctx.op("stablehlo.clamp", (low, x, high), ctx.outs)


@rule("select_n")
def select_n(ctx: Context, which: Value, *cases: Value) -> Value:
    if len(cases) == 1:
        return cases[0]
    which_aval, *case_avals = ctx.in_avals
    shape = ctx.out_avals[0].shape
    cases = [ctx.spread(x, a, shape) for x, a in zip(cases, case_avals)]
    if which_aval.shape:
        which = ctx.spread(which, which_aval, shape)
    return _choose(ctx, which, which_aval.dtype, 0, cases)


def _choose(ctx: Context, which: Value, dtype: np.dtype, first: int, cases: list) -> Value:
    """A binary tree of selects over `cases`, which are numbered from `first`."""
    if len(cases) == 1:
        return cases[0]
    if dtype == bool:
        return ctx.select(which, cases[1], cases[0])
    half = len(cases) // 2
    below = ctx.compare("LT", which, ctx.const_like(first + half, which))
    return ctx.select(below, _choose(ctx, which, dtype, first, cases[:half]),
                      _choose(ctx, which, dtype, first + half, cases[half:]))


@rule("bitcast_convert_type")
def bitcast_convert_type(ctx: Context, x: Value, **_: Any) -> Value:
    if ctx.in_avals[0].dtype == ctx.out_avals[0].dtype:
        return x
    return ctx.op("stablehlo.bitcast_convert", (x,), ctx.outs)


@rule("reduce_precision")
def reduce_precision(ctx: Context, x: Value, *, exponent_bits: int, mantissa_bits: int,
                     **_: Any) -> Value:
    return ctx.op("stablehlo.reduce_precision", (x,), ctx.outs,
                  exponent_bits=f"{int(exponent_bits)} : i32",
                  mantissa_bits=f"{int(mantissa_bits)} : i32")


@rule("copy")
@rule("stop_gradient")
def identity(ctx: Context, x: Value, **_: Any) -> Value:
    return x
