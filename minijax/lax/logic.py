"""Comparison, bits and choice: what does not compute but decides.

Comparisons give bool arrays and have no derivative. `select_n` is the one way to choose: it and
`clamp` are linear in the values chosen from, never in what decides.

    >>> lax.select(x > 0, x, lax.full_like(x, 0))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, broadcast_in_dim,
                          each_operand, is_linear, materialize_output, nondifferentiable, zeros)
from minijax.lax.rules import (ANY, BITWISE, EVERY, FLOATING, INTEGER, ORDERED, ArrayLike, binary,
                               broadcast_to, check_same_dtypes, fill_like, linear_in_values, unary)

# --- Comparison --------------------------------------------------------------------------------


def eq(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x == y, as bool."""
    return eq_p.bind(x, y)


def ne(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x != y, as bool."""
    return ne_p.bind(x, y)


def ge(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x >= y, as bool; not for complex dtypes."""
    return ge_p.bind(x, y)


def gt(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x > y, as bool; not for complex dtypes."""
    return gt_p.bind(x, y)


def le(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x <= y, as bool; not for complex dtypes."""
    return le_p.bind(x, y)


def lt(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x < y, as bool; not for complex dtypes."""
    return lt_p.bind(x, y)


def _comparison(name: str, kinds: Sequence[str], tip: str = "") -> Primitive:
    return binary(name, kinds, jvp=nondifferentiable, tip=tip, dtype=lambda _: np.bool_)


eq_p = _comparison("eq", EVERY, "equal")
ne_p = _comparison("ne", EVERY, "not_equal")
ge_p = _comparison("ge", ORDERED)
gt_p = _comparison("gt", ORDERED)
le_p = _comparison("le", ORDERED)
lt_p = _comparison("lt", ORDERED)
# The total order of floating point numbers, by which arrays are sorted: NaNs equal and largest.
eq_to_p = _comparison("eq_to", ANY)
le_to_p = _comparison("le_to", ORDERED)
lt_to_p = _comparison("lt_to", ORDERED)


def is_finite(x: ArrayLike) -> Array:
    """Elementwise: neither infinite nor NaN, as bool."""
    return is_finite_p.bind(x)


is_finite_p = unary("is_finite", FLOATING, nondifferentiable, dtype=lambda _: np.bool_)

# --- Bits --------------------------------------------------------------------------------------


def bitwise_not(x: ArrayLike) -> Array:
    """Elementwise ~x of integers or bools."""
    return not_p.bind(x)


def bitwise_and(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x & y of integers or bools."""
    return and_p.bind(x, y)


def bitwise_or(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x | y of integers or bools."""
    return or_p.bind(x, y)


def bitwise_xor(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x ^ y of integers or bools."""
    return xor_p.bind(x, y)


not_p = unary("not", BITWISE, nondifferentiable)
and_p = binary("and", BITWISE, jvp=nondifferentiable)
or_p = binary("or", BITWISE, jvp=nondifferentiable)
xor_p = binary("xor", BITWISE, jvp=nondifferentiable)


def shift_left(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x << y; 0 when y is not in [0, number of bits)."""
    return shift_left_p.bind(x, y)


def shift_right_arithmetic(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x >> y that keeps the sign; all sign bits when y is not below the width."""
    return shift_right_arithmetic_p.bind(x, y)


def shift_right_logical(x: ArrayLike, y: ArrayLike) -> Array:
    """Elementwise x >> y that moves in zeros; 0 when y is not in [0, number of bits)."""
    return shift_right_logical_p.bind(x, y)


shift_left_p = binary("shift_left", INTEGER, jvp=nondifferentiable, tip="left_shift")
shift_right_arithmetic_p = binary("shift_right_arithmetic", INTEGER, jvp=nondifferentiable,
                                  tip="right_shift")
shift_right_logical_p = binary("shift_right_logical", INTEGER, jvp=nondifferentiable,
                               tip="right_shift")


def population_count(x: ArrayLike) -> Array:
    """Elementwise number of bits that are set, in the dtype of x."""
    return population_count_p.bind(x)


def clz(x: ArrayLike) -> Array:
    """Elementwise number of leading zero bits, in the dtype of x."""
    return clz_p.bind(x)


population_count_p = unary("population_count", INTEGER, nondifferentiable)
clz_p = unary("clz", INTEGER, nondifferentiable)

# --- Choice ------------------------------------------------------------------------------------


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """Elementwise `on_true` where `pred`, else `on_false`.

    The two have one shape and dtype; `pred` has that shape or is a scalar.
    """
    return select_n_p.bind(pred, on_false, on_true)


def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """Elementwise `cases[which]`: `which` is bool (at most two cases) or an integer in range.

    The cases have one shape and dtype; `which` has that shape or is a scalar.
    """
    if not cases:
        raise ValueError(errors.describe("select_n() must have at least one case",
                                         fix="pass one array for each value of `which`"))
    return select_n_p.bind(which, *cases)


def choose(pred: Any, on_true: Any, on_false: Any, like: Any) -> Any:
    """`select` where Python numbers stand for arrays with the shape and dtype of `like`."""
    if type(on_true) in (int, float):
        on_true = fill_like(like, on_true)
    if type(on_false) in (int, float):
        on_false = fill_like(like, on_false)
    return select_n_p.bind(pred, on_false, on_true)


def _select_shape(which: ShapedArray, *cases: ShapedArray) -> ShapedArray:
    first = cases[0]
    fail = None
    if which.dtype != np.bool_ and not dtypes.issubdtype(which.dtype, np.integer):
        fail = f"select `which` must be boolean or integer type, got {which.dtype.name}."
    elif which.dtype == np.bool_ and len(cases) > 2:
        fail = "select with boolean `which` cannot have > 2 cases."
    elif any(c.shape != first.shape for c in cases[1:]):
        fail = f"select cases must have the same shapes, got [{_shapes(cases)}]."
    elif which.shape and which.shape != first.shape:
        fail = ("select `which` must be scalar or have the same shape as cases, got `which` "
                f"shape {which.shape} but case shape {first.shape}.")
    if fail:
        raise TypeError(errors.describe(fail, fix="use jnp.where, which broadcasts and promotes"))
    check_same_dtypes("select", cases, "where")
    return first.update(weak_type=all([c.weak_type for c in cases]))


def _shapes(avals: Sequence[ShapedArray]) -> str:
    return ", ".join(str(a.shape) for a in avals)


def _select_transpose(ct: Any, which: Any, *cases: Any) -> list:
    zero = zeros(aval_of(ct)) if len(cases) > 1 else ct

    def share(i: int) -> Any:
        return select_n_p.bind(which, *[ct if i == j else zero for j in range(len(cases))])
    return [None, *[share(i) if is_linear(c) else None for i, c in enumerate(cases)]]


def _select_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    which, *cases = args
    which_dim, *case_dims = dims
    scalar = aval_of(which).ndim == (which_dim is not None)
    dim = next(d for d in (*case_dims, which_dim) if d is not None)
    cases = [materialize_output(c, d, axis, dim) for c, d in zip(cases, case_dims)]
    which = _batched_choice(which, which_dim, scalar, axis, cases[0], dim)
    return select_n_p.bind(which, *cases), dim


def _batched_choice(x: Any, x_dim: int | None, scalar: bool, axis: Any, like: Any,
                    dim: int) -> Any:
    """What decides, or bounds, beside the batched values `like`: of their shape, or a scalar."""
    if not scalar:
        return materialize_output(x, x_dim, axis, dim)
    if x_dim is None or aval_of(like).ndim == 1:
        return x
    return broadcast_in_dim(x, aval_of(like).shape, (dim,))


select_n_p = Primitive("select_n", shape=_select_shape, jvp=linear_in_values,
                       transpose=_select_transpose, vmap=_select_vmap)


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """Elementwise `min` where x < min, `max` where x > max, else x.

    All have one dtype; each bound has the shape of x or is a scalar.
    """
    return clamp_p.bind(min, x, max)


def _clamp_shape(low: ShapedArray, x: ShapedArray, high: ShapedArray) -> ShapedArray:
    for name, bound in (("min", low), ("max", high)):
        if bound.shape and bound.shape != x.shape:
            raise TypeError(errors.describe(
                f"clamp requires {name}.shape == operand.shape or {name}.shape == (), got "
                f"{name}.shape={bound.shape}, operand.shape={x.shape}.",
                fix="use jnp.clip, which broadcasts"))
    check_same_dtypes("clamp", (low, x, high))
    return x.update(weak_type=all([a.weak_type for a in (low, x, high)]))


def _chosen(mask: Any, g: Any) -> Any:
    """The tangent `g`, repeated to the shape of `mask`, where that holds, else 0."""
    g = broadcast_to(g, aval_of(mask).shape)
    return choose(mask, g, 0, g)


def _clamp_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    low, x, high = args
    dim = next(d for d in (dims[1], dims[0], dims[2]) if d is not None)
    scalars = [aval_of(b).ndim == (d is not None) for b, d in zip(args, dims)]
    x = materialize_output(x, dims[1], axis, dim)
    low = _batched_choice(low, dims[0], scalars[0], axis, x, dim)
    high = _batched_choice(high, dims[2], scalars[2], axis, x, dim)
    return clamp_p.bind(low, x, high), dim


clamp_p = Primitive(
    "clamp", shape=_clamp_shape, vmap=_clamp_vmap,
    jvp=each_operand(
        lambda g, out, low, x, high: _chosen(bitwise_and(gt(low, x), lt(low, high)), g),
        lambda g, out, low, x, high: _chosen(bitwise_and(gt(x, low), lt(x, high)), g),
        lambda g, out, low, x, high: _chosen(lt(high, x), g),
    ))
