"""Dtype conversion, precision and rounding, and the enumerations that ask for them.

The one invariant: a conversion names its dtype explicitly. `convert_element_type` never produces a
weakly typed value; 64-bit dtypes are cut to 32 bits, with a warning, unless x64 is enabled.

    >>> lax.convert_element_type(jnp.float32([1.5]), jnp.int32)
    Array([1], dtype=int32)
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, Tracer, Values, convert_element_type_p, get_aval,
                          linear, move_axis, nondifferentiable, pointwise)
from minijax.lax.identity import stage
from minijax.lax.rules import FLOATING, ArrayLike, check_dtype


class RoundingMethod(IntEnum):
    """Where `round` sends halves."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


class AccuracyMode(Enum):
    """How an elementary function trades accuracy for speed where the platform has a choice."""

    HIGHEST = 1
    DEFAULT = 2


@dataclass(init=False, unsafe_hash=True)
class Tolerance:
    """The largest error that the result of an elementary function may have.

    `atol` is absolute, `rtol` relative, `ulps` counts units in the last place.
    """

    atol: float
    rtol: float
    ulps: int

    def __init__(self, atol: float = 0.0, rtol: float = 0.0, ulps: int = 0):
        if min(atol, rtol, ulps) < 0:
            raise ValueError(errors.describe("Tolerances must be non-negative.",
                                             because=f"got {atol=}, {rtol=}, {ulps=}",
                                             fix="lax.Tolerance(rtol=1e-6)"))
        self.atol, self.rtol, self.ulps = atol, rtol, ulps


def dtype(x: Any) -> Any:
    """The dtype that `x` has as an operand; `x` may also name a dtype."""
    return dtypes.dtype(x)


def convert_element_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """`operand` with the dtype `new_dtype`, converted as C++ `static_cast` does.

    Complex to real keeps the real part, with a ComplexWarning.
    """
    if new_dtype is None:
        raise ValueError(errors.describe("dtype must be specified.",
                                         fix="lax.convert_element_type(x, jnp.float32)"))
    new_dtype = dtypes.check_user_dtype(new_dtype, "convert_element_type")
    if not isinstance(operand, (Array, Tracer)):  # a literal of the new dtype
        check_conversion(get_aval(operand).dtype, new_dtype)
        return stage(_cast(np.asarray(operand), new_dtype))
    aval = operand.aval
    if aval.dtype == new_dtype and not aval.weak_type:
        return operand
    check_conversion(aval.dtype, new_dtype)
    return convert_element_type_p.bind(operand, new_dtype=new_dtype, weak_type=False,
                                       sharding=None)


def _cast(x: np.ndarray, dtype: Any) -> np.ndarray:
    """`x` converted as XLA does: floats beyond the range of an integer end at its bounds."""
    if not dtypes.issubdtype(dtype, np.integer) or dtypes.issubdtype(x.dtype, np.integer):
        return x.astype(dtype)
    x, bounds = x.real, dtypes.iinfo(dtype)
    with np.errstate(invalid="ignore"):
        out = np.where(x != x, 0, x).astype(dtype)
    out = np.where(x >= float(bounds.max), np.asarray(bounds.max, dtype), out)
    return np.where(x <= float(bounds.min), np.asarray(bounds.min, dtype), out)


def check_conversion(old: Any, new: Any) -> None:
    """Raise for conversions to or from keys; warn for those that lose an imaginary part."""
    if isinstance(old, dtypes.ExtendedDType) or isinstance(new, dtypes.ExtendedDType):
        if getattr(old, "primal_dtype", old) != getattr(new, "primal_dtype", new):
            raise ValueError(errors.describe(
                f"Cannot convert_element_type from {old.name} to {new.name}",
                fix="use jax.random.key_data or jax.random.wrap_key_data"))
    elif old.kind == "c" and new.kind not in "cb" and new != dtypes.float0:
        warnings.warn("Casting complex values to real discards the imaginary part",
                      np.exceptions.ComplexWarning, stacklevel=3)


def bitcast_convert_type(operand: ArrayLike, new_dtype: Any) -> Array:
    """The bits of `operand` read as `new_dtype`.

    A narrower dtype adds a last axis with the pieces; a wider one joins the last axis, whose size
    must be the ratio of the widths.
    """
    new_dtype = dtypes.check_user_dtype(new_dtype, "bitcast_convert_type")
    return bitcast_convert_type_p.bind(operand, new_dtype=new_dtype)


def _bitcast_shape(x: ShapedArray, *, new_dtype: Any) -> ShapedArray:
    old = x.dtype
    if old == new_dtype:
        return ShapedArray(x.shape, new_dtype, False, x.placement)
    if isinstance(old, dtypes.ExtendedDType):
        raise ValueError(errors.describe(f"unexpected input: dtype={old.name}",
                                         fix="use jax.random.key_data to see a key as integers"))
    before, after = dtypes.itemsize_bits(old), dtypes.itemsize_bits(new_dtype)
    shape = x.shape
    if before > after:
        shape = (*shape, before // after)
    elif before < after:
        last = shape[-1] if shape else 1
        if last * before != after:
            raise ValueError(errors.describe(
                f"Attempting to convert array of shape {shape} from {old.name} of size {before} "
                f"bits to {new_dtype.name} of size {after}, bits but {last} * {before} != {after}",
                fix=f"reshape so that the last axis has size {after // before}"))
        shape = shape[:-1]
    if old.kind in "bc" or new_dtype.kind in "bc":
        raise TypeError(errors.describe(
            "lax.bitcast_convert_type does not support bool or complex values unless the operand "
            f"and destination types match. Got operand dtype={old.name}, new_dtype={new_dtype!r}. "
            "Consider using the arr.view() method instead.", fix="x.view(new_dtype)"))
    return ShapedArray(shape, new_dtype, False, x.placement)


def _bitcast_vmap(axis: Any, args: Values, dims: Sequence[int], *, new_dtype: Any) -> tuple:
    x = move_axis(args[0], dims[0], 0)  # the last axis is taken by the bits
    return bitcast_convert_type_p.bind(x, new_dtype=new_dtype), 0


bitcast_convert_type_p = Primitive("bitcast_convert_type", shape=_bitcast_shape,
                                   jvp=nondifferentiable, vmap=_bitcast_vmap)


def reduce_precision(operand: ArrayLike, exponent_bits: int, mantissa_bits: int) -> Array:
    """`operand` rounded to a float format with the given field widths, in its own dtype."""
    return reduce_precision_p.bind(operand, exponent_bits=int(exponent_bits),
                                   mantissa_bits=int(mantissa_bits))


def _reduce_precision_shape(x: ShapedArray, *, exponent_bits: int,
                            mantissa_bits: int) -> ShapedArray:
    check_dtype("reduce_precision", x.dtype, FLOATING)
    fail = None
    if exponent_bits < 1:
        fail = f"exponent_bits must be positive; got {exponent_bits}"
    elif mantissa_bits < 0:
        fail = f"mantissa_bits must be non-negative; got {mantissa_bits}"
    if fail:
        raise ValueError(errors.describe(f"reduce_precision: {fail}",
                                         fix="lax.reduce_precision(x, 8, 7) is bfloat16"))
    return x


# Rounding the tangent as well says that the derivative has no more precision than the value.
reduce_precision_p = Primitive(
    "reduce_precision", shape=_reduce_precision_shape, jvp=linear, vmap=pointwise,
    transpose=lambda ct, x, **widths: reduce_precision_p.bind(ct, **widths))
