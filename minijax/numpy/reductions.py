"""Reductions of jnp: sums, extremes, means and variances over axes, and cumulative sums.

Invariant: half-precision sums are accumulated in float32 unless a dtype is given, small integers
are summed in the default integer type, and no result is weak.

    sum(x, axis=(0, -1), keepdims=True)
    max(x, where=x > 0, initial=0)
    mean(jnp.ones(10_000, "bfloat16"))       # 1, where a bfloat16 sum would stop at 256
"""

import builtins
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dims, dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import structural
from minijax.lax.explicit import whole
from minijax.lax.rules import ArrayLike
from minijax.numpy.promotion import (
    BOOL, COMPLEX, FLOATING, INEXACT, SIGNED, UNSIGNED, array_operand, as_array, broadcast, convert,
    dtype_of, indexed_axes, inexact_dtype, keep_axes, number, operand, promoted_inexact, refuse_out,
    scalar, shape_of, strong)
from minijax.numpy.ufuncs import pick, truth
from minijax.runtime.call import fused

Axis = int | Sequence[int] | None

_HALF = frozenset(map(np.dtype, (np.float16, dtypes.bfloat16)))
_FLOAT32 = np.dtype(np.float32)

# --- Arguments ---------------------------------------------------------------------------------


def static_axis(axis: Axis) -> Any:
    """The axis argument as something hashable: None, an int or a tuple of ints."""
    if axis is None or type(axis) is int:
        return axis
    if isinstance(axis, (str, tuple)) and builtins.all(type(i) is int for i in axis):
        return axis
    try:
        return operator.index(axis)
    except errors.TracerIntegerConversionError:
        raise errors.ConcretizationTypeError(axis, "The axis must be known.") from None
    except TypeError:
        return tuple(i if isinstance(i, str) else operator.index(i) for i in axis)


def check_where(name: str, where: Any) -> Any:
    if where is None:
        return None
    where = operand(name, where)
    if dtype_of(where) is not BOOL:
        raise ValueError(errors.describe(
            f"jnp.{name}: where must be None or a boolean array; "
            f"got where.dtype={dtype_of(where)!r}.", fix="where=(mask != 0)"))
    return where


def _initial(name: str, initial: Any, dtype: Any) -> Any:
    """The initial value, which must be a scalar, at the dtype."""
    initial = operand(name, initial)
    if shape_of(initial):
        raise ValueError(errors.describe(
            f"initial value must be a scalar. Got array of shape {shape_of(initial)}",
            fix="combine the result with the array afterwards"))
    return convert(initial, dtype)


# --- Sums, products, extremes ------------------------------------------------------------------


def _summed_dtype(dtype: Any) -> Any:
    """The dtype in which integers are added up."""
    if dtype is BOOL or dtype in SIGNED:
        default = dtypes.default_int()
    elif dtype in UNSIGNED:
        default = dtypes.default_uint()
    else:
        return dtype
    return dtype if dtype.itemsize > default.itemsize else default


def _total(name: str, op: Callable, bool_op: Callable, combine: Callable, unit: int, a: Any,
           axis: Any, dtype: Any, keepdims: bool, initial: Any, where: Any,
           promote_integers: bool) -> Any:
    """Sum or product, whose neutral element is `unit`."""
    a = array_operand(name, a)
    where = check_where(name, where)
    axes = canonicalize_axes(axis, a.ndim)
    if not isinstance(a.dtype, np.dtype):
        raise TypeError(errors.describe(f"{name} does not accept dtype {a.dtype}.",
                                        fix="arrays of numbers"))
    if dtype is not None:
        result = computed = dtypes.check_user_dtype(dtype, name)
    else:
        wide = promote_integers or a.dtype is BOOL
        result = _summed_dtype(a.dtype) if wide else a.dtype
        computed = _FLOAT32 if result in _HALF else result
    x = strong(a, computed)
    if where is not None:
        x = pick(where, x, scalar(unit, computed))
    out = (bool_op if computed is BOOL else op)(x, axes)
    if keepdims:
        out = keep_axes(out, axes, x.ndim)
    if initial is not None:
        out = combine(_initial(name, initial, computed), out)
    return strong(out, result)


@fused(static_argnums=(1, 2, 3, 6))
def _sum(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
         initial: Any = None, where: Any = None, promote_integers: bool = True) -> Array:
    return _total("sum", structural.reduce_sum, lax.reduce_or, _add, 0, a, axis, dtype, keepdims,
                  initial, where, promote_integers)


@fused(static_argnums=(1, 2, 3, 6))
def _prod(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
          initial: Any = None, where: Any = None, promote_integers: bool = True) -> Array:
    return _total("prod", lax.reduce_prod, lax.reduce_and, _mul, 1, a, axis, dtype, keepdims,
                  initial, where, promote_integers)


def _add(x: Any, y: Any) -> Any:
    return lax.bitwise_or(x, y) if y.dtype is BOOL else lax.add(x, y)


def _mul(x: Any, y: Any) -> Any:
    return lax.bitwise_and(x, y) if y.dtype is BOOL else lax.mul(x, y)


def sum(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
        keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike | None = None,
        promote_integers: bool = True) -> Array:
    """Sum over the axes (all by default), of the elements where `where` is true.

    Without a dtype, integers narrower than the default integer are summed in that, unless
    promote_integers is False.
    """
    refuse_out("sum", out)
    return _sum(a, static_axis(axis), dtype, keepdims, initial, where, promote_integers)


def prod(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
         keepdims: bool = False, initial: ArrayLike | None = None,
         where: ArrayLike | None = None, promote_integers: bool = True) -> Array:
    """Product over the axes (all by default), of the elements where `where` is true.

    Without a dtype, integers narrower than the default integer are multiplied in that, unless
    promote_integers is False.
    """
    refuse_out("prod", out)
    return _prod(a, static_axis(axis), dtype, keepdims, initial, where, promote_integers)


def _extreme(name: str, a: Any, axis: Any, keepdims: bool, initial: Any, where: Any) -> Any:
    op, combine, worst = {
        "max": (lax.reduce_max, lax.max, lowest), "min": (lax.reduce_min, lax.min, highest)}[name]
    a = array_operand(name, a)
    where = check_where(name, where)
    axes = canonicalize_axes(axis, a.ndim)
    if initial is None:
        if where is not None:
            raise ValueError(errors.describe(
                f"reduction operation {name} does not have an identity, so to use a where mask "
                "one has to specify 'initial'", fix=f"jnp.{name}(x, where=mask, initial=0)"))
        if builtins.any(a.shape[i] == 0 for i in axes):
            raise ValueError(errors.describe(
                f"zero-size array to reduction operation {name} which has no identity",
                because=f"the shape is {a.shape} and the axes are {axes}",
                fix=f"jnp.{name}(x, initial=0)"))
    x = structural.convert_element_type(a, a.dtype)
    if where is not None:
        x = pick(where, x, worst(x.dtype))
    out = op(x, axes)
    if keepdims:
        out = keep_axes(out, axes, x.ndim)
    if initial is not None:
        out = combine(_initial(name, initial, x.dtype), out)
    return out


def lowest(dtype: Any) -> Any:
    """A scalar of the dtype that no other is below: -inf, the smallest integer, False."""
    return _limit(dtype, -np.inf)


def highest(dtype: Any) -> Any:
    """A scalar of the dtype that no other is above: inf, the largest integer, True."""
    return _limit(dtype, np.inf)


def _limit(dtype: Any, infinity: float) -> Any:
    if dtype is BOOL:
        return scalar(infinity > 0, dtype)
    if dtype in COMPLEX or dtype in FLOATING and dtypes.supports_inf(dtype):
        return scalar(infinity, dtype)
    info = dtypes.finfo(dtype) if dtype in FLOATING else dtypes.iinfo(dtype)
    return scalar(info.max if infinity > 0 else info.min, dtype)


@fused(static_argnums=(1, 2))
def _max(a: ArrayLike, axis: Any = None, keepdims: bool = False, initial: Any = None,
         where: Any = None) -> Array:
    return _extreme("max", a, axis, keepdims, initial, where)


@fused(static_argnums=(1, 2))
def _min(a: ArrayLike, axis: Any = None, keepdims: bool = False, initial: Any = None,
         where: Any = None) -> Array:
    return _extreme("min", a, axis, keepdims, initial, where)


def max(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
        initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """Largest element over the axes (all by default), and of `initial`; nan if one is nan.

    ValueError for empty axes, and for a `where`, when there is no `initial`.
    """
    refuse_out("max", out)
    return _max(a, static_axis(axis), keepdims, initial, where)


def min(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
        initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """Smallest element over the axes (all by default), and of `initial`; nan if one is nan.

    ValueError for empty axes, and for a `where`, when there is no `initial`.
    """
    refuse_out("min", out)
    return _min(a, static_axis(axis), keepdims, initial, where)


def amax(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
         initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """An alias of `max`."""
    return max(a, axis, out, keepdims, initial, where)


def amin(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
         initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """An alias of `min`."""
    return min(a, axis, out, keepdims, initial, where)


@fused(static_argnums=(1, 2))
def _ptp(a: ArrayLike, axis: Any = None, keepdims: bool = False) -> Array:
    a = operand("ptp", a)
    high = _extreme("max", a, axis, keepdims, None, None)
    return lax.sub(high, _extreme("min", a, axis, keepdims, None, None))


def ptp(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False) -> Array:
    """Largest minus smallest element over the axes."""
    refuse_out("ptp", out)
    return _ptp(a, static_axis(axis), keepdims)


# --- Truth -------------------------------------------------------------------------------------


def _truths(name: str, op: Callable, neutral: bool, a: Any, axis: Any, keepdims: bool,
            where: Any) -> Any:
    a = as_array(truth(array_operand(name, a)))
    where = check_where(name, where)
    axes = canonicalize_axes(axis, a.ndim)
    if where is not None:
        a = pick(where, a, neutral)
    out = op(a, axes)
    return keep_axes(out, axes, a.ndim) if keepdims else out


@fused(static_argnums=(1, 2))
def _any(a: ArrayLike, axis: Any = None, keepdims: bool = False, where: Any = None) -> Array:
    return _truths("any", lax.reduce_or, False, a, axis, keepdims, where)


@fused(static_argnums=(1, 2))
def _all(a: ArrayLike, axis: Any = None, keepdims: bool = False, where: Any = None) -> Array:
    return _truths("all", lax.reduce_and, True, a, axis, keepdims, where)


def any(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, *,
        where: ArrayLike | None = None) -> Array:
    """Whether an element over the axes is not zero."""
    refuse_out("any", out)
    return _any(a, static_axis(axis), keepdims, where)


def all(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False, *,
        where: ArrayLike | None = None) -> Array:
    """Whether no element over the axes is zero."""
    refuse_out("all", out)
    return _all(a, static_axis(axis), keepdims, where)


@fused(static_argnums=(1, 2))
def _count_nonzero(a: ArrayLike, axis: Any = None, keepdims: bool = False) -> Array:
    return _sum.body(truth(operand("count_nonzero", a)), axis, dtypes.default_int(), keepdims)


def count_nonzero(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
    """Number of elements over the axes that are not zero."""
    return _count_nonzero(a, static_axis(axis), keepdims)


# --- Means and variances -----------------------------------------------------------------------


def _count(a: Any, axes: tuple[int, ...], where: Any, dtype: Any, keepdims: bool) -> Any:
    """How many elements are averaged: a number, or an array where a mask says so."""
    if where is None:
        return number(math.prod([a.shape[i] for i in axes]), dtype)
    mask = broadcast(as_array(where), a.shape)
    return _sum.body(mask, axes, dtype, keepdims)


def _mean_over(a: Any, axes: tuple[int, ...], keepdims: bool, where: Any) -> Any:
    """The mean in the dtype of `a`, which is strong."""
    dtype = a.dtype
    masked = a if where is None else pick(where, a, scalar(0, dtype))
    total = lax.reduce_or(masked, axes) if dtype is BOOL else structural.reduce_sum(masked, axes)
    total = keep_axes(total, axes, a.ndim) if keepdims else total
    return lax.div(total, _count(a, axes, where, dtype, keepdims))


@fused(static_argnums=(1, 2, 3))
def _mean(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
          where: Any = None) -> Array:
    a = array_operand("mean", a)
    where = check_where("mean", where)
    axes = indexed_axes(axis, a.ndim)
    if dtype is None:
        result = inexact_dtype(a.dtype)
        computed = _FLOAT32 if result in _HALF else result
    else:
        result = computed = dtypes.check_user_dtype(dtype, "mean")
    return strong(_mean_over(strong(a, computed), axes, keepdims, where), result)


def mean(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
         keepdims: bool = False, *, where: ArrayLike | None = None) -> Array:
    """Mean over the axes (all by default), of the elements where `where` is true."""
    refuse_out("mean", out)
    return _mean(a, static_axis(axis), dtype, keepdims, where)


def _variance(name: str, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: bool, where: Any,
              mean: Any) -> Any:
    a = array_operand(name, a)
    where = check_where(name, where)
    axes = indexed_axes(axis, a.ndim)
    result = inexact_dtype(a.dtype) if dtype is None else dtypes.check_user_dtype(dtype, name)
    computed = _FLOAT32 if result in _HALF else result
    if a.dtype in COMPLEX and computed not in COMPLEX:
        raise ValueError(errors.describe(
            "jax.numpy.var does not yet support real dtype parameters when computing the variance "
            "of an array of complex values.", fix="jnp.var(x.real) + jnp.var(x.imag)"))
    if dtype is None:
        result = dtypes.to_real(result)
    a = strong(a, computed)
    if mean is None:
        mean = _mean_over(a, axes, True, where)
    gap = lax.sub(*_equal_ranks(a, convert(operand(name, mean), computed)))
    square = lax.real(lax.mul(gap, lax.conj(gap))) if computed in COMPLEX else lax.square(gap)
    if where is not None:
        total = _sum.body(square, axes, square.dtype, keepdims, None, where)
        count = _count(square, axes, where, square.dtype, keepdims)
        freedom = lax.sub(count, scalar(ddof, square.dtype))
        out = structural.convert_element_type(lax.div(total, freedom), result)
        return pick(lax.gt(freedom, scalar(0, square.dtype)), out, np.nan)
    total = structural.reduce_sum(square, axes)
    total = keep_axes(total, axes, square.ndim) if keepdims else total
    freedom = math.prod([a.shape[i] for i in axes]) - ddof
    out = structural.convert_element_type(
        lax.div(total, number(freedom, square.dtype)), result)
    if not dims.constant(freedom) or (freedom > 0 and result in INEXACT):
        return out  # of symbolic sizes: the quotient is nan, too, without degrees of freedom
    return pick(scalar(freedom > 0, BOOL), out, np.nan)  # no degrees of freedom: nan


def _equal_ranks(x: Any, y: Any) -> tuple[Any, Any]:
    shape = shape_of(y)
    if shape and len(shape) < x.ndim:
        y = broadcast(y, (1,) * (x.ndim - len(shape)) + shape)
    return x, y


@fused(static_argnums=(1, 2, 3, 4))
def _var(a: ArrayLike, axis: Any = None, dtype: Any = None, ddof: Any = 0,
         keepdims: bool = False, where: Any = None, mean: Any = None) -> Array:
    return _variance("var", a, axis, dtype, ddof, keepdims, where, mean)


@fused(static_argnums=(1, 2, 3, 4))
def _std(a: ArrayLike, axis: Any = None, dtype: Any = None, ddof: Any = 0,
         keepdims: bool = False, where: Any = None, mean: Any = None) -> Array:
    if dtype is not None and dtypes.check_user_dtype(dtype, "std") not in INEXACT:
        raise ValueError(errors.describe(
            "dtype argument to jnp.std must be inexact; got "
            f"{dtypes.check_user_dtype(dtype, 'std')}", fix="dtype='float32'"))
    return lax.sqrt(_variance("std", a, axis, dtype, ddof, keepdims, where, mean))


def _freedom(ddof: Any, correction: Any) -> Any:
    if correction is None:
        return ddof
    if not isinstance(ddof, int) or ddof != 0:
        raise ValueError(errors.describe(
            "ddof and correction can't be provided simultaneously.", fix="give only one of them"))
    return correction


def var(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
        ddof: int = 0, keepdims: bool = False, *, where: ArrayLike | None = None,
        mean: ArrayLike | None = None, correction: int | float | None = None) -> Array:
    """Variance over the axes: mean square distance from the mean, with divisor n - ddof."""
    refuse_out("var", out)
    ddof = _freedom(ddof, correction)
    return _var(a, static_axis(axis), dtype, ddof, keepdims, where, mean)


def std(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
        ddof: int = 0, keepdims: bool = False, *, where: ArrayLike | None = None,
        mean: ArrayLike | None = None, correction: int | float | None = None) -> Array:
    """Standard deviation over the axes: the square root of `var`."""
    refuse_out("std", out)
    ddof = _freedom(ddof, correction)
    return _std(a, static_axis(axis), dtype, ddof, keepdims, where, mean)


@fused(static_argnums=(1, 3, 4))
def _average(a: ArrayLike, axis: Any, weights: Any, returned: bool, keepdims: bool) -> Any:
    if weights is None:
        a = array_operand("average", a)
        axes = canonicalize_axes(axis, a.ndim)
        out = _mean.body(a, axes, None, keepdims)
        total = _count(a, axes, None, out.dtype, keepdims)
    else:
        a, weights = promoted_inexact("average", a, weights)
        axes = canonicalize_axes(axis, a.ndim)
        weights = _spread_weights(a, weights, axis, axes)
        total = _sum.body(weights, axes, None, keepdims)
        out = lax.div(_sum.body(lax.mul(a, weights), axes, None, keepdims), total)
    return (out, broadcast(as_array(total), out.shape)) if returned else out


def _spread_weights(a: Any, weights: Any, axis: Any, axes: tuple[int, ...]) -> Any:
    """The weights with the rank of `a`; a vector of them lies along the one axis."""
    if weights.shape == a.shape:
        return weights
    if axis is None:
        raise ValueError(errors.describe(
            "Axis must be specified when shapes of a and weights differ."))
    if weights.shape != tuple(a.shape[i] for i in axes):
        raise ValueError(errors.describe(
            "Shape of weights must be consistent with shape of a along specified axis.",
            because=f"the shapes are {a.shape} and {weights.shape}, the axes {axes}",
            fix="give one weight for each element along the axes"))
    order = sorted(range(len(axes)), key=axes.__getitem__)
    if order != list(range(len(axes))):
        weights = structural.transpose(weights, tuple(order))
    return keep_axes(weights, [i for i in range(a.ndim) if i not in axes], a.ndim)


def average(a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None,
            returned: bool = False, keepdims: bool = False) -> Array | tuple[Array, Array]:
    """Weighted mean over the axes, and with `returned` also the sum of the weights."""
    return _average(a, static_axis(axis), weights, returned, keepdims)


# --- Where the extremes are --------------------------------------------------------------------


@fused(static_argnums=(0, 2, 3))
def _argument(name: str, a: ArrayLike, axis: Any, keepdims: bool) -> Array:
    a = array_operand(name, a)
    ndim = a.ndim
    if axis is None:
        x, dims, at = structural.reshape(whole(a), (a.size,)), tuple(range(ndim)), 0
    else:
        dims = indexed_axes(axis, ndim)
        x, at = a, dims[0]
    if x.shape[at] == 0:
        raise ValueError(errors.describe(f"attempt to get {name} of an empty sequence",
                                         fix="test x.size first"))
    out = getattr(lax, name)(x, at, dtypes.default_int())
    return keep_axes(out, dims, ndim) if keepdims else out


def argmax(a: ArrayLike, axis: int | None = None, out: None = None,
           keepdims: bool | None = None) -> Array:
    """Position of the first largest element (or nan) along the axis, or in the flat array."""
    refuse_out("argmax", out)
    return _argument("argmax", a, static_axis(axis), bool(keepdims))


def argmin(a: ArrayLike, axis: int | None = None, out: None = None,
           keepdims: bool | None = None) -> Array:
    """Position of the first smallest element (or nan) along the axis, or in the flat array."""
    refuse_out("argmin", out)
    return _argument("argmin", a, static_axis(axis), bool(keepdims))


# --- Cumulative sums and products --------------------------------------------------------------


def _cumulative(name: str, op: Callable, a: Any, axis: Any, dtype: Any,
                promote_integers: bool = False) -> Any:
    a = array_operand(name, a)
    if axis is None:
        axis, a = 0, structural.reshape(a, (a.size,)) if a.ndim != 1 else a
    axis = canonicalize_axis(axis, a.ndim)
    if dtype is not None:
        dtype = dtypes.check_user_dtype(dtype, name)
    elif promote_integers or a.dtype is BOOL:
        dtype = _summed_dtype(a.dtype)
    else:
        dtype = a.dtype
    if dtype is BOOL:  # running or and and: counted, then made bool again
        counts = op(strong(truth(a), dtypes.default_int()), axis)
        return structural.convert_element_type(counts, BOOL)
    return op(strong(a, dtype), axis)


@fused(static_argnums=(1, 2))
def _cumsum(a: ArrayLike, axis: Any = None, dtype: Any = None) -> Array:
    return _cumulative("cumsum", lax.cumsum, a, axis, dtype)


@fused(static_argnums=(1, 2))
def _cumprod(a: ArrayLike, axis: Any = None, dtype: Any = None) -> Array:
    return _cumulative("cumprod", lax.cumprod, a, axis, dtype)


def cumsum(a: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None,
           out: None = None) -> Array:
    """Sums of the elements so far along the axis, or of the flat array."""
    refuse_out("cumsum", out)
    return _cumsum(a, _one_axis(axis), dtype)


def cumprod(a: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None,
            out: None = None) -> Array:
    """Products of the elements so far along the axis, or of the flat array."""
    refuse_out("cumprod", out)
    return _cumprod(a, _one_axis(axis), dtype)


def _one_axis(axis: Any) -> int | None:
    return None if axis is None else operator.index(axis)


@fused(static_argnums=(0, 2, 3, 4))
def _cumulated(name: str, x: ArrayLike, axis: Any, dtype: Any, include_initial: bool) -> Array:
    op, unit = {"cumulative_sum": (lax.cumsum, 0), "cumulative_prod": (lax.cumprod, 1)}[name]
    x = array_operand(name, x)
    if x.ndim == 0:
        what = "sum" if name == "cumulative_sum" else "product"
        raise ValueError(f"The input must be non-scalar to take a cumulative {what}, however a "
                         "scalar value or scalar array was given.")
    if axis is None and x.ndim > 1:
        raise ValueError(errors.describe(
            f"The input array has rank {x.ndim}, however axis was not set to an explicit value. "
            "The axis argument is only optional for one-dimensional arrays.", fix="axis=0"))
    axis = canonicalize_axis(axis or 0, x.ndim)
    out = _cumulative(name, op, x, axis, dtype, name == "cumulative_sum")
    if include_initial:
        shape = tuple(1 if i == axis else n for i, n in enumerate(out.shape))
        out = lax.concatenate([lax.full(shape, unit, out.dtype), out], axis)
    return out


def cumulative_sum(x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike | None = None,
                   include_initial: bool = False) -> Array:
    """Sums of the elements so far along the axis; with include_initial, a 0 in front."""
    return _cumulated("cumulative_sum", x, _one_axis(axis), dtype, include_initial)


def cumulative_prod(x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike | None = None,
                    include_initial: bool = False) -> Array:
    """Products of the elements so far along the axis; with include_initial, a 1 in front."""
    return _cumulated("cumulative_prod", x, _one_axis(axis), dtype, include_initial)
