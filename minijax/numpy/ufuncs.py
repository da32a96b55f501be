"""Elementwise functions of jnp: a table of assignments, each made by a factory.

Invariant: a factory brings the operands to one dtype and rank (`promotion.operands`) and then
calls one `lax` operation, so a call on tracers adds one equation beside the conversions.  What
needs more than that is written out in `arithmetic.py` and `floats.py`.

    sin = unary("sin", lax.sin, "Sine of x, in radians.", inexact=True)
    add = binary("add", lax.add, "Sum of x and y.", boolean=lax.bitwise_or)
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.jit import jit
from minijax.base import errors
from minijax.base.jaxlib import Array, ArrayImpl
from minijax.core import conform
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy.promotion import (
    BOOL, COMPLEX, INEXACT, INTEGER, UNSIGNED, as_array, broadcast, common_dtype, constant_for,
    convert, dtype_of, inexact_operand, inexact_operands, numeric_dtype, numeric_operands,
    operand, operands, promote, promote_shapes, scalar, shape_of)
from minijax.runtime.call import fused

Op = Callable[..., Any]


def declare(body: Callable, name: str, doc: str, **options: Any) -> Callable:
    """The jnp function `name` made of a body: one dispatch eagerly, inlined under a trace."""
    body.__name__ = body.__qualname__ = name
    body.__module__ = "minijax.numpy"
    body.__doc__ = doc
    return fused(body, **options)


def unary(name: str, op: Op, doc: str, *, inexact: bool = False, named: bool = False) -> Callable:
    """A function of one operand; with `inexact`, integers become the default float.

    With `named` the operand can be given as `x=`.
    """
    prepare = inexact_operand if inexact else operand

    def body(x: ArrayLike, /) -> Array:
        return op(prepare(name, x))

    def body_of_named(x: ArrayLike) -> Array:
        return op(prepare(name, x))

    return declare(body_of_named if named else body, name, doc)


def ufunc_of_one(name: str, op: Op, doc: str) -> Callable:
    """A function of one operand with the options of NumPy's ufuncs, which are refused."""
    def body(x: ArrayLike, /, *, out: None = None, where: None = None) -> Array:
        if out is not None or where is not None:
            _refuse(name, out)
        return op(operand(name, x))

    return declare(body, name, doc)


def binary(name: str, op: Op, doc: str, *, boolean: Op | None = None,
           prepare: Callable = operands) -> Callable:
    """A function of two operands; `boolean` is the operation that bools use."""
    boolean = boolean or op

    def body(x1: ArrayLike, x2: ArrayLike, /, *, out: None = None, where: None = None) -> Array:
        if out is not None or where is not None:
            _refuse(name, out)
        x, y, dtype = prepare(name, x1, x2)
        return boolean(x, y) if dtype is BOOL else op(x, y)

    return declare(body, name, doc)


def _refuse(name: str, out: Any) -> None:
    what = "where" if out is None else "out"
    raise NotImplementedError(errors.describe(f"{what} argument of <jnp.ufunc '{name}'>",
                                              fix="use the result, and jnp.where"))


def comparison(name: str, op: Op, doc: str, *, ordered: bool = True) -> Callable:
    """A function of two operands that gives bools; complex numbers compare real parts first."""
    def body(x: ArrayLike, y: ArrayLike, /) -> Array:
        x, y, dtype = operands(name, x, y)
        if ordered:
            return _lexicographic(op, x, y) if dtype in COMPLEX else op(x, y)
        if not isinstance(dtype, np.dtype):  # keys have hidden axes: ranks must be equal
            shape = lax.broadcast_shapes(shape_of(x), shape_of(y))
            return op(broadcast(x, shape), broadcast(y, shape))
        return op(x, y)

    return declare(body, name, doc)


def _lexicographic(op: Op, x: Any, y: Any) -> Any:
    x_real, y_real = lax.real(x), lax.real(y)
    return lax.select(lax.eq(x_real, y_real), op(lax.imag(x), lax.imag(y)), op(x_real, y_real))


def logical(name: str, op: Op, doc: str) -> Callable:
    """A function of the truth values of two operands, whose dtypes may differ."""
    def body(x: ArrayLike, y: ArrayLike, /, *, out: None = None,
             where: None = None) -> Array:
        if out is not None or where is not None:
            _refuse(name, out)
        return op(*promote_shapes(name, truth(operand(name, x)), truth(operand(name, y, 1))))

    return declare(body, name, doc)


def truth(x: Any) -> Any:
    """The operand as bools: whether it differs from zero."""
    return x if dtype_of(x) is BOOL else lax.ne(x, constant_for(x, 0))


def pick(condition: Any, x: Any, y: Any) -> Any:
    """The body of `where`: x where the condition holds and y elsewhere, all broadcast."""
    condition = truth(condition)
    mask, a, b = [getattr(v, "aval", None) for v in (condition, x, y)]
    if a is not None and a is b and mask is not None:
        if mask.shape == a.shape or not mask.shape:
            return lax.select_n(condition, y, x)
    x, y = promote(x, y)
    shapes = shape_of(condition), shape_of(x), shape_of(y)
    shape = lax.broadcast_shapes(*shapes)
    if shapes[0]:
        condition = broadcast(condition, shape)
    cases = broadcast(y, shape), broadcast(x, shape)
    for aval in (a, b, mask):  # what was repeated is split as the first array of this shape
        if aval is not None and aval.placement is not None and aval.shape == shape:
            condition, *cases = [
                x if s == shape or not shape_of(x) else conform(x, aval)
                for s, x in zip((shapes[0], shapes[2], shapes[1]), (condition, *cases))]
            break
    return lax.select_n(condition, *cases)


# --- One operand -------------------------------------------------------------------------------


def _abs(x: Any) -> Any:
    dtype = dtype_of(x)
    return as_array(x) if dtype is BOOL or dtype in UNSIGNED else lax.abs(x)


def _fabs(x: Any) -> Any:
    if dtype_of(x) in COMPLEX:
        raise TypeError(errors.describe("ufunc 'fabs' does not support complex dtypes"))
    return lax.abs(x)


def _square(x: Any) -> Any:
    return lax.square(convert(x, numeric_dtype(dtype_of(x))))


def _unless_integer(op: Op) -> Op:
    def rounded(x: Any) -> Any:
        dtype = dtype_of(x)
        return as_array(x) if dtype is BOOL or dtype in INTEGER else op(x)

    return rounded


def _trunc(x: Any) -> Any:
    negative = lax.lt(x, scalar_like(x, 0))
    return lax.select(negative, lax.ceil(x), lax.floor(x))


def _log_base(base: float) -> Op:
    def log(x: Any) -> Any:
        return _scale_parts(
            lax.log(x), lambda part: lax.div(part, lax.log(scalar(base, part.dtype))))

    return log


def _log10(x: Any) -> Any:
    factor = 1 / np.log(10)
    return _scale_parts(lax.log(x), lambda part: lax.mul(part, scalar(factor, part.dtype)))


def _scale_parts(x: Any, scale: Op) -> Any:
    # Part by part: a complex product would turn log(0) = -inf + 0j into nans.
    if dtype_of(x) in COMPLEX:
        return lax.complex(scale(lax.real(x)), scale(lax.imag(x)))
    return scale(x)


def _times(factor: float) -> Op:
    return lambda x: lax.mul(x, constant_for(x, factor))


def _conj(x: Any) -> Any:
    return lax.conj(x) if dtype_of(x) in COMPLEX else as_array(x)


def _real(x: Any) -> Any:
    return lax.real(x) if dtype_of(x) in COMPLEX else as_array(x)


def _imag(x: Any) -> Any:
    return lax.imag(x) if dtype_of(x) in COMPLEX else lax.full_like(x, 0)


def _invert_truth(x: Any) -> Any:
    return lax.bitwise_not(truth(x))


def _bit_count(x: Any) -> Any:
    x = convert(x, numeric_dtype(dtype_of(x)))
    return lax.convert_element_type(lax.population_count(_abs(x)), np.uint8)


negative = ufunc_of_one("negative", lax.neg, "Minus x.")
positive = unary("positive", as_array, "x itself.")
abs = unary("abs", _abs, "Absolute value of x; for complex x its modulus.")
absolute = unary("absolute", _abs, "Absolute value of x; for complex x its modulus.")
fabs = unary("fabs", _fabs, "Absolute value of x as a float.", inexact=True)
sign = unary("sign", lax.sign, "-1, 0 or 1 by the sign of x; x / abs(x) for complex x.")
square = unary("square", _square, "x times x.")
reciprocal = unary("reciprocal", lambda x: lax.integer_pow(x, -1), "1 / x.", inexact=True)
sqrt = unary("sqrt", lax.sqrt, "Square root of x; nan for negative x.", inexact=True)
cbrt = unary("cbrt", lax.cbrt, "Cube root of x.", inexact=True)

exp = unary("exp", lax.exp, "e to the power x.", inexact=True)
exp2 = unary("exp2", lax.exp2, "2 to the power x.", inexact=True)
expm1 = unary("expm1", lax.expm1, "exp(x) - 1, accurate near 0.", inexact=True)
log = unary("log", lax.log, "Natural logarithm of x.", inexact=True)
log1p = unary("log1p", lax.log1p, "log(1 + x), accurate near 0.", inexact=True)
log2 = unary("log2", _log_base(2), "Logarithm of x to base 2.", inexact=True)
log10 = unary("log10", _log10, "Logarithm of x to base 10.", inexact=True)

sin = unary("sin", lax.sin, "Sine of x, in radians.", inexact=True)
cos = unary("cos", lax.cos, "Cosine of x, in radians.", inexact=True)
tan = unary("tan", lax.tan, "Tangent of x, in radians.", inexact=True)
sinh = unary("sinh", lax.sinh, "Hyperbolic sine of x.", inexact=True)
cosh = unary("cosh", lax.cosh, "Hyperbolic cosine of x.", inexact=True)
tanh = unary("tanh", lax.tanh, "Hyperbolic tangent of x.", inexact=True)
arcsin = unary("arcsin", lax.asin, "Angle in [-pi/2, pi/2] whose sine is x.", inexact=True)
asin = unary("asin", lax.asin, "Angle in [-pi/2, pi/2] whose sine is x.", inexact=True)
arccos = unary("arccos", lax.acos, "Angle in [0, pi] whose cosine is x.", inexact=True)
acos = unary("acos", lax.acos, "Angle in [0, pi] whose cosine is x.", inexact=True)
arctan = unary("arctan", lax.atan, "Angle in [-pi/2, pi/2] whose tangent is x.", inexact=True)
atan = unary("atan", lax.atan, "Angle in [-pi/2, pi/2] whose tangent is x.", inexact=True)
arcsinh = unary("arcsinh", lax.asinh, "Inverse of sinh.", inexact=True)
asinh = unary("asinh", lax.asinh, "Inverse of sinh.", inexact=True)
arccosh = unary("arccosh", lax.acosh, "Inverse of cosh, for x >= 1.", inexact=True)
acosh = unary("acosh", lax.acosh, "Inverse of cosh, for x >= 1.", inexact=True)
arctanh = unary("arctanh", lax.atanh, "Inverse of tanh, for abs(x) < 1.", inexact=True)
atanh = unary("atanh", lax.atanh, "Inverse of tanh, for abs(x) < 1.", inexact=True)
deg2rad = unary("deg2rad", _times(np.pi / 180), "Degrees as radians.", inexact=True)
radians = unary("radians", _times(np.pi / 180), "Degrees as radians.", inexact=True)
rad2deg = unary("rad2deg", _times(180 / np.pi), "Radians as degrees.", inexact=True)
degrees = unary("degrees", _times(180 / np.pi), "Radians as degrees.", inexact=True)

floor = unary("floor", _unless_integer(lax.floor), "Largest integer <= x, in x's dtype.")
ceil = unary("ceil", _unless_integer(lax.ceil), "Smallest integer >= x, in x's dtype.")
trunc = unary("trunc", _unless_integer(_trunc), "x without its fraction, in x's dtype.",
              named=True)

conj = unary("conj", _conj, "Complex conjugate of x.")
conjugate = unary("conjugate", _conj, "Complex conjugate of x.")
real = unary("real", _real, "Real part of x; x itself if it is not complex.")
imag = unary("imag", _imag, "Imaginary part of x; zeros if it is not complex.")

logical_not = unary("logical_not", _invert_truth, "Whether x equals zero.")
invert = unary("invert", lax.bitwise_not, "x with every bit flipped; for bools logical not.")
bitwise_invert = unary("bitwise_invert", lax.bitwise_not, "x with every bit flipped.")
bitwise_not = unary("bitwise_not", lax.bitwise_not, "x with every bit flipped.")
bitwise_count = unary("bitwise_count", _bit_count, "Number of 1 bits in abs(x), as uint8.")

# --- Two operands ------------------------------------------------------------------------------


def _shift_right(x: Any, y: Any) -> Any:
    if dtype_of(x) in UNSIGNED:
        return lax.shift_right_logical(x, y)
    return lax.shift_right_arithmetic(x, y)


_LEFT = "x with its bits shifted left by y places."
_RIGHT = "x with its bits shifted right by y places; the sign is kept."

add = binary("add", lax.add, "Sum of x and y; for bools logical or.", boolean=lax.bitwise_or)
subtract = binary("subtract", lax.sub, "Difference x - y; bools are a TypeError.")
multiply = binary("multiply", lax.mul, "Product of x and y; for bools logical and.",
                  boolean=lax.bitwise_and)
true_divide = binary("true_divide", lax.div, "Quotient x / y, always inexact.",
                     prepare=inexact_operands)
divide = binary("divide", lax.div, "Quotient x / y, always inexact.", prepare=inexact_operands)
maximum = binary("maximum", lax.max, "The larger of x and y; nan if either is.")
minimum = binary("minimum", lax.min, "The smaller of x and y; nan if either is.")
arctan2 = binary("arctan2", lax.atan2, "Angle of the point (y, x), in [-pi, pi].",
                 prepare=inexact_operands)
atan2 = binary("atan2", lax.atan2, "Angle of the point (y, x), in [-pi, pi].",
               prepare=inexact_operands)
nextafter = binary("nextafter", lax.nextafter, "The float after x in the direction of y.",
                   prepare=inexact_operands)
float_power = binary("float_power", lax.pow, "x to the power y, always inexact.",
                     prepare=inexact_operands)

bitwise_and = binary("bitwise_and", lax.bitwise_and, "Bits set in both x and y.")
bitwise_or = binary("bitwise_or", lax.bitwise_or, "Bits set in x or y.")
bitwise_xor = binary("bitwise_xor", lax.bitwise_xor, "Bits set in one of x and y.")
left_shift = binary("left_shift", lax.shift_left, _LEFT, prepare=numeric_operands)
bitwise_left_shift = binary("bitwise_left_shift", lax.shift_left, _LEFT, prepare=numeric_operands)
right_shift = binary("right_shift", _shift_right, _RIGHT, prepare=numeric_operands)
bitwise_right_shift = binary("bitwise_right_shift", _shift_right, _RIGHT, prepare=numeric_operands)

equal = comparison("equal", lax.eq, "Whether x == y.", ordered=False)
not_equal = comparison("not_equal", lax.ne, "Whether x != y.", ordered=False)
less = comparison("less", lax.lt, "Whether x < y.")
less_equal = comparison("less_equal", lax.le, "Whether x <= y.")
greater = comparison("greater", lax.gt, "Whether x > y.")
greater_equal = comparison("greater_equal", lax.ge, "Whether x >= y.")

logical_and = logical("logical_and", lax.bitwise_and, "Whether both x and y are nonzero.")
logical_or = logical("logical_or", lax.bitwise_or, "Whether x or y is nonzero.")
logical_xor = logical("logical_xor", lax.bitwise_xor, "Whether one of x and y is nonzero.")

# --- Powers ------------------------------------------------------------------------------------


def power(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 to the power x2.

    A concrete integer exponent means repeated multiplication and keeps integers integers
    (a negative one is a TypeError for them).  With integer arrays, negative exponents are not
    checked and give meaningless values.
    """
    exponent = static_integer(x2)
    if exponent is not None and isinstance(x1, (Array, np.ndarray)):
        return _integer_power(x1, x2 if type(x2) is int else exponent)
    return _power(x1, x2)


def pow(x1: ArrayLike, x2: ArrayLike, /) -> Array:
    """x1 to the power x2: an alias of `power`."""
    return power(x1, x2)


def static_integer(x: Any) -> int | None:
    """The value of a concrete integer (or bool) of rank 0, None for everything else."""
    kind = type(x)
    if kind is int:
        return x
    if kind is float:
        return None
    if isinstance(x, (bool, np.integer, np.bool_)):
        return int(x)
    if kind is ArrayImpl or kind is np.ndarray:
        if not x.shape and x.dtype.kind in "iub":
            return int(x)
    return None


@fused(static_argnums=(1,))
def _integer_power(x: ArrayLike, y: int) -> Array:
    dtype = dtype_of(x)
    return lax.integer_pow(convert(x, numeric_dtype(dtype)) if dtype is BOOL else x, y)


@fused
def _power(x1: ArrayLike, x2: ArrayLike) -> Array:
    x, y = operand("power", x1), operand("power", x2, 1)
    dtype, weak = common_dtype(x, y)
    if dtype not in INEXACT:
        return _integer_powers(*numeric_operands("power", x, y)[:2])
    if dtype_of(y) in INTEGER and dtype_of(x) in INEXACT:
        # lax.pow takes integer exponents, and is exact for them.
        return lax.pow(*promote_shapes("power", convert(x, dtype, weak), y))
    return lax.pow(*inexact_operands("power", x, y)[:2])


@jit
def _integer_powers(x: Array, y: Array) -> Array:
    """Square and multiply over the six lowest bits of y."""
    one = scalar_like(y, 1)
    nothing = lax.bitwise_and(lax.eq(x, scalar_like(x, 0)), lax.ne(y, scalar_like(y, 0)))
    result = pick(nothing, scalar(0, x.dtype), scalar(1, x.dtype))
    for bit in range(6):
        if bit:
            x = lax.mul(x, x)
            y = lax.shift_right_logical(y, one)
        result = pick(lax.bitwise_and(y, one), lax.mul(result, x), result)
    return result
