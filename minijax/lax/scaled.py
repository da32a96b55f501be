"""Products of matrices whose entries share scales, `scaled_dot`, as block-scaled formats have them.

    x [m, k] times x_scale [m, k / 32], y [k, n] times y_scale [k / 32, n]

The one invariant: a scale has its operand's sizes but along contracted dimensions, where each of
its entries belongs to a run of as many elements of the operand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, convert_element_type,
                          materialize)
from minijax.lax import elementwise, shapes
from minijax.lax.dot import DotDimensionNumbers, dot_general, dot_general_p

_COMPUTED = np.dtype(ml_dtypes.bfloat16)


def scaled_dot(lhs: Array, rhs: Array, *, lhs_scale: Array | None = None,
               rhs_scale: Array | None = None,
               dimension_numbers: DotDimensionNumbers | None = None,
               preferred_element_type: Any = None) -> Array:
    """`dot_general(lhs * lhs_scale, rhs * rhs_scale)`, with scaled operands in bfloat16.

    By default matrices in the last two dimensions are multiplied, the others are batches, and the
    result is bfloat16 too. A scale has at most half its operand's size in contracted dimensions.
    """
    if dimension_numbers is None:
        n = max(aval_of(lhs).ndim, 2)
        batch = tuple(range(n - 2))
        dimension_numbers = (((n - 1,), (n - 2,)), (batch, batch))
    (left, right), (left_batch, right_batch) = dimension_numbers
    numbers = ((tuple(left), tuple(right)), (tuple(left_batch), tuple(right_batch)))
    dtype = _COMPUTED
    if preferred_element_type is not None:
        dtype = np.dtype(dtypes.check_user_dtype(preferred_element_type, "scaled_dot"))
    if lhs_scale is None:
        lhs_scale = _no_scale(lhs, numbers[0][0])
    if rhs_scale is None:
        rhs_scale = _no_scale(rhs, numbers[0][1])
    return scaled_dot_p.bind(lhs, rhs, lhs_scale, rhs_scale, dimension_numbers=numbers,
                             preferred_element_type=dtype)


def _no_scale(x: Any, contracting: Sequence[int]) -> Any:
    sizes = [1 if d in contracting else n for d, n in enumerate(aval_of(x).shape)]
    return shapes.full(sizes, 1, np.dtype(ml_dtypes.float8_e8m0fnu))


def _scale_error(side: str, x: ShapedArray, scale: ShapedArray, contracting: Sequence[int],
                 ) -> str | None:
    """What is wrong with a scale, if anything."""
    for d, (n, m) in enumerate(zip(x.shape, scale.shape)):
        if d not in contracting:
            if n != m:
                return f"{side} dim {d} of size {n} does not match scale dim size {m}."
        elif not m or n % m:
            return (f"{side} contracting dim {d} of size {n} must be divisible by its scale's "
                    f"dim size {m}.")
        elif n < 2 * m:
            return (f"The ratio of {side} contracting dim {d} to its scale's dim size ({n // m}) "
                    "must be at least 2.")
    return None


def _error(x: ShapedArray, y: ShapedArray, x_scale: ShapedArray, y_scale: ShapedArray,
           contracting: tuple) -> str | None:
    ranks = [a.ndim for a in (x, y, x_scale, y_scale)]
    if min(ranks) < 2:
        return "scaled_dot does not support 0-rank and 1-rank operands."
    if len(set(ranks)) > 1:
        return ("All input tensors must have the same rank. Got lhs rank: {} rhs rank: {} "
                "lhs_scale rank: {} rhs_scale rank: {}.".format(*ranks))
    for d, e in zip(*contracting):
        if x.shape[d] != y.shape[e]:
            return (f"LHS contracting dim {d} of size {x.shape[d]} does not match RHS contracting "
                    f"dim {e} of size {y.shape[e]}.")
    return (_scale_error("LHS", x, x_scale, contracting[0])
            or _scale_error("RHS", y, y_scale, contracting[1]))


def _scaled_dot_shape(x: ShapedArray, y: ShapedArray, x_scale: ShapedArray, y_scale: ShapedArray,
                      *, dimension_numbers: DotDimensionNumbers,
                      preferred_element_type: Any) -> ShapedArray:
    fail = _error(x, y, x_scale, y_scale, dimension_numbers[0])
    if fail:
        raise TypeError(errors.describe(
            fail, fix="scaled_dot(x, y, lhs_scale=s, rhs_scale=t) with x [m, k], s [m, k / 32], "
            "y [k, n], t [k / 32, n]"))
    as_computed = [a.update(dtype=preferred_element_type, weak_type=False) for a in (x, y)]
    return dot_general_p.shape(*as_computed, dimension_numbers=dimension_numbers, precision=None,
                               preferred_element_type=preferred_element_type, out_sharding=None)


def _scaled(x: Any, scale: Any) -> Any:
    """`x` times its scale, each entry repeated along its run."""
    runs, whole = [], aval_of(x).shape
    for n, m in zip(whole, aval_of(scale).shape):
        runs += [m, n // m]
    scale = shapes.broadcast_in_dim(scale, runs, range(0, len(runs), 2))
    return elementwise.mul(convert_element_type(x, _COMPUTED),
                           convert_element_type(shapes.reshape(scale, whole), _COMPUTED))


def _steps(x: Any, y: Any, x_scale: Any, y_scale: Any, *, dimension_numbers: DotDimensionNumbers,
           preferred_element_type: Any) -> Any:
    return dot_general(_scaled(x, x_scale), _scaled(y, y_scale), dimension_numbers,
                       preferred_element_type=preferred_element_type)


def _vmap(axis: Any, args: Values, dims: Dims, *, dimension_numbers: DotDimensionNumbers,
          preferred_element_type: Any) -> tuple:
    """One more batch dimension, in front of all operands."""
    args = [materialize(x, d, axis.size) for x, d in zip(args, dims)]
    (xc, yc), (xb, yb) = [[tuple([d + 1 for d in dims]) for dims in pair]
                          for pair in dimension_numbers]
    return scaled_dot_p.bind(*args, dimension_numbers=((xc, yc), ((0, *xb), (0, *yb))),
                             preferred_element_type=preferred_element_type), 0


scaled_dot_p = Primitive("scaled_dot", shape=_scaled_dot_shape, vmap=_vmap, decompose=_steps)
