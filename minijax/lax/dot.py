"""Products of matrices and tensors: `dot_general` and its short forms, and how exact they are.

    >>> dot_general(x, y, (((2,), (1,)), ((0,), (0,))))      # x[b,i,k] y[b,k,j] -> [b,i,j]

The result's dimensions are the batch dimensions, then what is left of the left operand, then of
the right. The one invariant: `precision` in params is None, a pair of `Precision`, or a
`DotAlgorithm` (preset), and `dimension_numbers` holds tuples.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minijax.base import config, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, convert_element_type,
                          cotangent_aval, each_operand, is_linear, over_batch, resplit, sharding_of)
from minijax.lax import shapes
from minijax.lax.rules import ArrayLike, asked
from minijax.sharding import PartitionSpec

# --- Precision ---------------------------------------------------------------------------------


class _Named(enum.Enum):
    """Shown by the name alone."""

    __hash__ = object.__hash__  # members are unique; Enum's own hash is a Python call

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __str__(self) -> str:
        return self.name


class Precision(_Named):
    """How exact float32 products are where the platform has a choice (TPU, GPU).

    DEFAULT is fastest (bfloat16 or TF32 passes), HIGH three passes, HIGHEST full float32.
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2


class DotAlgorithm(NamedTuple):
    """An algorithm for products: the types that operands are rounded to, and of the sum."""

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


class DotAlgorithmPreset(_Named):
    """Well-known algorithms, named lhs type, rhs type, type of the sum, and components."""

    DEFAULT = enum.auto()
    ANY_F8_ANY_F8_F32 = enum.auto()
    ANY_F8_ANY_F8_F32_FAST_ACCUM = enum.auto()
    ANY_F8_ANY_F8_ANY = enum.auto()
    ANY_F8_ANY_F8_ANY_FAST_ACCUM = enum.auto()
    F16_F16_F16 = enum.auto()
    F16_F16_F32 = enum.auto()
    BF16_BF16_BF16 = enum.auto()
    BF16_BF16_F32 = enum.auto()
    BF16_BF16_F32_X3 = enum.auto()
    BF16_BF16_F32_X6 = enum.auto()
    BF16_BF16_F32_X9 = enum.auto()
    TF32_TF32_F32 = enum.auto()
    TF32_TF32_F32_X3 = enum.auto()
    F32_F32_F32 = enum.auto()
    F64_F64_F64 = enum.auto()


PrecisionLike = (None | str | Precision | tuple[str, str] | tuple[Precision, Precision]
                 | DotAlgorithm | DotAlgorithmPreset)
DotDimensionNumbers = tuple[tuple[Sequence[int], Sequence[int]],
                            tuple[Sequence[int], Sequence[int]]]

_PRECISION_NAMES = {
    "highest": Precision.HIGHEST, "float32": Precision.HIGHEST, "high": Precision.HIGH,
    "bfloat16_3x": Precision.HIGH, "tensorfloat32": Precision.HIGH, "default": Precision.DEFAULT,
    "bfloat16": Precision.DEFAULT, "fastest": Precision.DEFAULT,
}


def canonicalize_precision(precision: PrecisionLike) -> Any:
    """None, a pair of `Precision`, or a `DotAlgorithm` (preset); None asks the configuration."""
    if precision is None:
        precision = config.default_matmul_precision.value
        if precision is None:
            return None
    return _parse_precision(precision)


@lru_cache(maxsize=256)
def _parse_precision(precision: PrecisionLike) -> Any:
    if isinstance(precision, (DotAlgorithm, DotAlgorithmPreset)):
        return precision
    if isinstance(precision, str) and precision in DotAlgorithmPreset.__members__:
        return DotAlgorithmPreset[precision]
    pair = precision if isinstance(precision, tuple) else (precision, precision)
    if len(pair) == 2:
        found = tuple([_PRECISION_NAMES.get(p) if isinstance(p, str) else
                       p if isinstance(p, Precision) else None for p in pair])
        if None not in found:
            return found
    raise ValueError(errors.describe(
        "Precision argument must be one of:\n- None,\n"
        f"- a string in {[*_PRECISION_NAMES, None]},\n- a lax.Precision value,\n"
        "- a tuple of two lax.Precision values or strings,\n"
        "- a lax.DotAlgorithmPreset or the name of one of these presets, or\n"
        f"- a lax.DotAlgorithm value;\nbut got {precision}.", fix='use precision="highest"'))


# --- User functions ----------------------------------------------------------------------------


def dot(lhs: ArrayLike, rhs: ArrayLike, *, dimension_numbers: DotDimensionNumbers | None = None,
        precision: PrecisionLike = None, preferred_element_type: Any = None,
        out_sharding: Any = None) -> Array:
    """The product of matrices or vectors; with `dimension_numbers`, the same as `dot_general`."""
    if dimension_numbers is None:
        left, right = aval_of(lhs).shape, aval_of(rhs).shape
        if not (1 <= len(left) <= 2 and 1 <= len(right) <= 2 and left[-1] == right[0]):
            raise ValueError(errors.describe(
                "jax.lax.dot: dimension_numbers must be specified when not performing simple "
                "un-batched matrix-matrix, matrix-vector, or vector-vector products; got "
                f"lhs_shape={left} rhs_shape={right}",
                fix="use jnp.dot or jnp.matmul, or name the dimensions to sum over"))
        dimension_numbers = (((len(left) - 1,), (0,)), ((), ()))
    return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type,
                       out_sharding=out_sharding)


def dot_general(lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: DotDimensionNumbers,
                precision: PrecisionLike = None, preferred_element_type: Any = None, *,
                out_sharding: Any = None) -> Array:
    """Sum the products of two arrays over contracting dimensions, for each batch.

    `dimension_numbers` is ((lhs_contracting, rhs_contracting), (lhs_batch, rhs_batch)). The
    result's dtype is `preferred_element_type`, or what the operands promote to.
    """
    (left, right), (left_batch, right_batch) = dimension_numbers
    if preferred_element_type is not None:
        preferred_element_type = dtypes.check_user_dtype(preferred_element_type, "dot_general")
    return dot_general_p.bind(
        lhs, rhs, dimension_numbers=((tuple(left), tuple(right)),
                                     (tuple(left_batch), tuple(right_batch))),
        precision=canonicalize_precision(precision),
        preferred_element_type=preferred_element_type,
        out_sharding=None if out_sharding is None else asked(out_sharding, "dot_general"))


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: PrecisionLike = None) -> Array:
    """Products of matrices in the last two dimensions, for each index of the others."""
    ndim, other = aval_of(lhs).ndim, aval_of(rhs).ndim
    if min(ndim, other) < 2:
        raise ValueError(errors.describe(
            f"Arguments to batch_matmul must be at least 2D, got {ndim}, {other}",
            fix="use lax.dot for vectors"))
    if ndim != other:
        raise ValueError(errors.describe(
            f"Arguments to batch_matmul must have same ndim, got {ndim}, {other}",
            fix="use jnp.matmul, which broadcasts batch dimensions"))
    batch = tuple(range(ndim - 2))
    return dot_general(lhs, rhs, (((ndim - 1,), (ndim - 2,)), (batch, batch)), precision)


# --- dot_general -------------------------------------------------------------------------------


def _check_side(side: str, x: ShapedArray, contracting: tuple, batch: tuple) -> str | None:
    """What is wrong with the dimension numbers of one operand, if anything."""
    if any(not 0 <= d < x.ndim for d in (*contracting, *batch)):
        return (f"{side} dimension numbers to be nonnegative and less than the number of axes of "
                f"the {side} value, got {side}_batch of {batch} and {side}_contracting of "
                f"{contracting} for {side} of rank {x.ndim}")
    if len(set(batch)) != len(batch):
        return f"{side} batch dimensions to be distinct, got {side}_batch {batch}."
    if len(set(contracting)) != len(contracting):
        return (f"{side} contracting dimensions to be distinct, got {side}_contracting "
                f"{contracting}.")
    if set(contracting) & set(batch):
        return (f"{side} batch dimensions to be disjoint from contracting dimensions, got "
                f"{side}_batch {batch} and {side}_contracting {contracting}.")
    return None


def _sizes(x: ShapedArray, dims: Sequence[int]) -> tuple[int, ...]:
    return tuple([x.shape[d] for d in dims])


def _dot_error(x: ShapedArray, y: ShapedArray, dimension_numbers: DotDimensionNumbers,
               ) -> str | None:
    (xc, yc), (xb, yb) = dimension_numbers
    if len(xb) != len(yb):
        return ("equal numbers of lhs_batch and rhs_batch dimensions, got lhs_batch "
                f"{xb} and rhs_batch {yb}.")
    fail = _check_side("lhs", x, xc, xb) or _check_side("rhs", y, yc, yb)
    if fail:
        return fail
    if _sizes(x, xb) != _sizes(y, yb):
        return ("lhs batch dimensions and rhs batch dimensions to have the same shape, got "
                f"{_sizes(x, xb)} and {_sizes(y, yb)}.")
    if _sizes(x, xc) != _sizes(y, yc):
        return (f"contracting dimensions to have the same shape, got {_sizes(x, xc)} and "
                f"{_sizes(y, yc)}.")
    return None


def left_over(ndim: int, *used: Sequence[int]) -> tuple[int, ...]:
    """The dimensions that are in none of the lists."""
    taken = {d for dims in used for d in dims}
    return tuple([d for d in range(ndim) if d not in taken])


def _dot_general_shape(x: ShapedArray, y: ShapedArray, *, dimension_numbers: DotDimensionNumbers,
                       precision: Any, preferred_element_type: Any,
                       out_sharding: Any) -> ShapedArray:
    fail = _dot_error(x, y, dimension_numbers)
    if fail:
        raise TypeError(errors.describe(
            f"dot_general requires {fail}", because=f"the operands are {x.str_short(False)} and "
            f"{y.str_short(False)}", fix="use jnp.einsum, which names dimensions by letters"))
    (xc, yc), (xb, yb) = dimension_numbers
    shape = (*_sizes(x, xb), *_sizes(x, left_over(x.ndim, xc, xb)),
             *_sizes(y, left_over(y.ndim, yc, yb)))
    dtype = x.dtype if x.dtype == y.dtype else _wider(x.dtype, y.dtype)
    if preferred_element_type is not None:
        if not isinstance(precision, (DotAlgorithm, DotAlgorithmPreset)):
            check_preferred(dtype, preferred_element_type)
        dtype = preferred_element_type
    return ShapedArray(shape, np.dtype(dtype), x.weak_type and y.weak_type)


def _width(dtype: Any) -> tuple:
    """Of two operands' dtypes the one for which this is larger is the result's."""
    if dtypes.issubdtype(dtype, np.complexfloating):
        return 3, dtypes.itemsize_bits(dtype)
    if dtypes.issubdtype(dtype, np.floating):
        return 2, float(dtypes.finfo(dtype).max)
    if dtypes.issubdtype(dtype, np.integer):
        return 1, dtypes.itemsize_bits(dtype), dtypes.issubdtype(dtype, np.signedinteger)
    return (0,)


def _wider(x: Any, y: Any) -> Any:
    if _width(x) == _width(y):
        raise TypeError(errors.describe(
            f"lax.dot_general argument type error: {x.name}, {y.name}",
            because="neither of the dtypes holds the values of the other",
            fix="convert one operand with lax.convert_element_type"))
    return max(x, y, key=_width)


def check_preferred(dtype: Any, preferred: Any) -> None:
    """TypeError if a result of integers or complex numbers is asked for in fewer bits."""
    bits = [1 if d == np.bool_ else dtypes.itemsize_bits(dtypes.to_real(d))
            for d in (dtype, np.dtype(preferred))]
    if bits[1] < bits[0] and not dtypes.issubdtype(dtype, np.floating):
        raise TypeError(errors.describe(
            "`preferred_element_type` must not be narrower than the original type, got "
            f"preferred_element_type of {np.dtype(preferred).name} for result type of "
            f"{dtype.name}.", fix="convert the result instead"))


def _transpose_left(ct: Any, x: Any, y: Any, dimension_numbers: DotDimensionNumbers,
                    precision: Any, preferred_element_type: Any, swap: bool) -> Any:
    """The cotangent of the left operand `x`, given the right one `y`.

    The product of `ct` and `y` over what is left of `y` has the batch dimensions, then what is
    left of `x`, then the contracted dimensions; put those where `x` has them. With `swap`, `ct`
    has what is left of `y` before what is left of `x`.
    """
    (xc, yc), (xb, yb) = dimension_numbers
    aval = x.aval
    x_rest = left_over(aval.ndim, xc, xb)
    y_rest = left_over(aval_of(y).ndim, yc, yb)
    start = len(xb) if swap else len(xb) + len(x_rest)
    summed = tuple(range(start, start + len(y_rest)))
    batch = tuple(range(len(xb)))
    # the contracted dimensions come in the order in which they stand in y
    order = sorted(range(len(yc)), key=yc.__getitem__)
    found = (*xb, *x_rest, *[xc[i] for i in order])
    out = dot_general_p.bind(ct, y, dimension_numbers=((summed, y_rest), (batch, yb)),
                             precision=precision, preferred_element_type=preferred_element_type,
                             out_sharding=_split_like(aval, found, (aval_of(ct), aval_of(y))))
    permutation = tuple(sorted(range(aval.ndim), key=found.__getitem__))
    if permutation != tuple(range(aval.ndim)):
        out = shapes.transpose(out, permutation)
    return convert_element_type(out, aval.dtype) if aval_of(out).dtype != aval.dtype else out


def _split_like(aval: Any, dims: Sequence[int], others: Sequence[Any]) -> Any:
    """The sharding of dimensions `dims` of a value, on the mesh of any that has one."""
    found = sharding_of(cotangent_aval(aval))
    if found is not None:
        return resplit(found, [found.spec[i] for i in dims])
    some = next((sharding_of(o) for o in others if sharding_of(o) is not None), None)
    return None if some is None else some.update(spec=PartitionSpec(*[None] * len(dims)))


def _flip(precision: Any) -> Any:
    return precision[::-1] if type(precision) is tuple else precision


def _dot_general_transpose(ct: Any, x: Any, y: Any, *, dimension_numbers: DotDimensionNumbers,
                           precision: Any, preferred_element_type: Any,
                           out_sharding: Any) -> list:
    if is_linear(x):
        return [_transpose_left(ct, x, y, dimension_numbers, precision, preferred_element_type,
                                False), None]
    (xc, yc), (xb, yb) = dimension_numbers
    return [None, _transpose_left(ct, y, x, ((yc, xc), (yb, xb)), _flip(precision),
                                  preferred_element_type, True)]


def _dot_general_vmap(axis: Any, args: Values, dims: Dims, *,
                      dimension_numbers: DotDimensionNumbers, precision: Any,
                      preferred_element_type: Any, out_sharding: Any) -> tuple:
    (xc, yc), (xb, yb) = dimension_numbers
    x_dim, y_dim = dims
    xc, xb = [_shift(group, x_dim) for group in (xc, xb)]
    yc, yb = [_shift(group, y_dim) for group in (yc, yb)]
    x_ndim, y_ndim = aval_of(args[0]).ndim, aval_of(args[1]).ndim
    if x_dim is not None and y_dim is not None:  # one more batch dimension, in front
        xb, yb, out_dim = (x_dim, *xb), (y_dim, *yb), 0
    elif x_dim is not None:  # one more dimension left over
        out_dim = len(xb) + left_over(x_ndim, xc, xb).index(x_dim)
    else:
        out_dim = len(xb) + len(left_over(x_ndim, xc, xb)) + left_over(y_ndim, yc, yb).index(y_dim)
    out = dot_general_p.bind(*args, dimension_numbers=((xc, yc), (xb, yb)), precision=precision,
                             preferred_element_type=preferred_element_type,
                             out_sharding=over_batch(out_sharding, out_dim, axis))
    return out, out_dim


def _shift(dims: Sequence[int], new: int | None) -> tuple[int, ...]:
    """Dimension numbers after a new dimension at `new`."""
    return tuple(dims) if new is None else tuple([d + (d >= new) for d in dims])


def _shown_params(params: dict[str, Any]) -> dict[str, Any]:
    """What a printed equation says: options at their defaults are left out."""
    (left, right), (left_batch, right_batch) = params["dimension_numbers"]
    shown = {"dimension_numbers": ((list(left), list(right)),
                                   (list(left_batch), list(right_batch)))}
    for name in ("out_sharding", "precision", "preferred_element_type"):
        if params[name] is not None:
            shown[name] = params[name]
    return shown


dot_general_p = Primitive(
    "dot_general", shape=_dot_general_shape, transpose=_dot_general_transpose,
    vmap=_dot_general_vmap, show=_shown_params,
    jvp=each_operand(lambda g, out, x, y, **params: dot_general_p.bind(g, y, **params),
                     lambda g, out, x, y, **params: dot_general_p.bind(x, g, **params)))
