"""Reductions that leave out nans: nansum, nanmax, nanmean, nanvar and their kin.

Invariant: for dtypes without nan these are the plain reductions; otherwise nans are replaced by
what changes nothing, and a result that no number went into is nan (0 and 1 for sum and product).

    nanmean(jnp.array([1.0, jnp.nan, 3.0]))      # 2.0
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import reductions
from minijax.numpy.promotion import INEXACT, as_array, operand, refuse_out, scalar
from minijax.numpy.reductions import Axis, check_where, static_axis
from minijax.numpy.ufuncs import pick
from minijax.runtime.call import fused


def _split_nans(name: str, a: Any) -> tuple[Any, Any]:
    """(array, mask of its nans), the mask None for dtypes that have none."""
    a = as_array(operand(name, a))
    return a, (lax.ne(a, a) if a.dtype in INEXACT else None)


def _without_nans(name: str, a: Any, value: Any, where: Any = None) -> Any:
    a, nans = _split_nans(name, a)
    check_where(name, where)
    return a if nans is None else pick(nans, scalar(value, a.dtype), a)


@fused(static_argnums=(1, 2, 3))
def _nansum(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
            initial: Any = None, where: Any = None) -> Array:
    a = _without_nans("nansum", a, 0, where)
    return reductions._sum.body(a, axis, dtype, keepdims, initial, where)


@fused(static_argnums=(1, 2, 3))
def _nanprod(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
             initial: Any = None, where: Any = None) -> Array:
    a = _without_nans("nanprod", a, 1, where)
    return reductions._prod.body(a, axis, dtype, keepdims, initial, where)


def nansum(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
           keepdims: bool = False, initial: ArrayLike | None = None,
           where: ArrayLike | None = None) -> Array:
    """Sum over the axes of the elements that are not nan."""
    refuse_out("nansum", out)
    return _nansum(a, static_axis(axis), dtype, keepdims, initial, where)


def nanprod(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
            keepdims: bool = False, initial: ArrayLike | None = None,
            where: ArrayLike | None = None) -> Array:
    """Product over the axes of the elements that are not nan."""
    refuse_out("nanprod", out)
    return _nanprod(a, static_axis(axis), dtype, keepdims, initial, where)


def _nan_extreme(plain: Callable, name: str, worst: Callable, a: Any, axis: Any, keepdims: bool,
                 initial: Any, where: Any) -> Any:
    a, nans = _split_nans(name, a)
    check_where(name, where)
    if nans is None:
        return plain(a, axis, keepdims, initial, where)
    out = plain(pick(nans, worst(a.dtype), a), axis, keepdims, initial, where)
    if initial is not None:
        return out
    return pick(reductions._all.body(nans, axis, keepdims, where), np.nan, out)


@fused(static_argnums=(1, 2))
def _nanmax(a: ArrayLike, axis: Any = None, keepdims: bool = False, initial: Any = None,
            where: Any = None) -> Array:
    return _nan_extreme(reductions._max.body, "nanmax", reductions.lowest, a, axis, keepdims,
                        initial, where)


@fused(static_argnums=(1, 2))
def _nanmin(a: ArrayLike, axis: Any = None, keepdims: bool = False, initial: Any = None,
            where: Any = None) -> Array:
    return _nan_extreme(reductions._min.body, "nanmin", reductions.highest, a, axis, keepdims,
                        initial, where)


def nanmax(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
           initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """Largest element over the axes that is not nan; nan if there is none."""
    refuse_out("nanmax", out)
    return _nanmax(a, static_axis(axis), keepdims, initial, where)


def nanmin(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
           initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
    """Smallest element over the axes that is not nan; nan if there is none."""
    refuse_out("nanmin", out)
    return _nanmin(a, static_axis(axis), keepdims, initial, where)


def _numbers(a: Any, nans: Any, where: Any) -> Any:
    """The mask of the elements that take part."""
    mask = lax.bitwise_not(nans)
    return mask if where is None else pick(where, mask, False)


@fused(static_argnums=(1, 2, 3))
def _nanmean(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
             where: Any = None) -> Array:
    a, nans = _split_nans("nanmean", a)
    check_where("nanmean", where)
    if nans is None:
        return reductions._mean.body(a, axis, dtype, keepdims, where)
    return reductions._mean.body(a, axis, dtype, keepdims, _numbers(a, nans, where))


def nanmean(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
            keepdims: bool = False, where: ArrayLike | None = None) -> Array:
    """Mean over the axes of the elements that are not nan."""
    refuse_out("nanmean", out)
    return _nanmean(a, static_axis(axis), dtype, keepdims, where)


def _nan_variance(name: str, a: Any, axis: Any, dtype: Any, ddof: Any, keepdims: bool,
                  where: Any, mean: Any) -> Any:
    a, nans = _split_nans(name, a)
    check_where(name, where)
    if nans is not None:  # zeros in the place of nans, which would spoil derivatives
        a, where = pick(nans, scalar(0, a.dtype), a), _numbers(a, nans, where)
    return reductions._var.body(a, axis, dtype, ddof, keepdims, where, mean)


@fused(static_argnums=(1, 2, 3, 4))
def _nanvar(a: ArrayLike, axis: Any = None, dtype: Any = None, ddof: Any = 0,
            keepdims: bool = False, where: Any = None, mean: Any = None) -> Array:
    return _nan_variance("nanvar", a, axis, dtype, ddof, keepdims, where, mean)


@fused(static_argnums=(1, 2, 3, 4))
def _nanstd(a: ArrayLike, axis: Any = None, dtype: Any = None, ddof: Any = 0,
            keepdims: bool = False, where: Any = None, mean: Any = None) -> Array:
    return lax.sqrt(_nan_variance("nanstd", a, axis, dtype, ddof, keepdims, where, mean))


def nanvar(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
           ddof: int = 0, keepdims: bool = False, where: ArrayLike | None = None,
           mean: ArrayLike | None = None) -> Array:
    """Variance over the axes of the elements that are not nan, with divisor n - ddof."""
    refuse_out("nanvar", out)
    return _nanvar(a, static_axis(axis), dtype, ddof, keepdims, where, mean)


def nanstd(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
           ddof: int = 0, keepdims: bool = False, where: ArrayLike | None = None,
           mean: ArrayLike | None = None) -> Array:
    """Standard deviation over the axes of the elements that are not nan."""
    refuse_out("nanstd", out)
    return _nanstd(a, static_axis(axis), dtype, ddof, keepdims, where, mean)


def _nan_argument(plain: Callable, name: str, worst: Callable, a: Any, axis: Any,
                  keepdims: bool) -> Any:
    a, nans = _split_nans(name, a)
    if nans is None:
        return plain(a, axis, keepdims)
    out = plain(pick(nans, worst(a.dtype), a), axis, keepdims)
    nothing = reductions._all.body(nans, axis, keepdims)
    return lax.select(nothing, lax.full_like(out, -1), out)


@fused(static_argnums=(1, 2))
def _nanargmax(a: ArrayLike, axis: Any, keepdims: bool) -> Array:
    return _nan_argument(reductions._argmax.body, "nanargmax", reductions.lowest, a, axis,
                         keepdims)


@fused(static_argnums=(1, 2))
def _nanargmin(a: ArrayLike, axis: Any, keepdims: bool) -> Array:
    return _nan_argument(reductions._argmin.body, "nanargmin", reductions.highest, a, axis,
                         keepdims)


def nanargmax(a: ArrayLike, axis: int | None = None, out: None = None,
              keepdims: bool | None = None) -> Array:
    """Position of the first largest element that is not nan; -1 if there is none."""
    refuse_out("nanargmax", out)
    return _nanargmax(a, static_axis(axis), bool(keepdims))


def nanargmin(a: ArrayLike, axis: int | None = None, out: None = None,
              keepdims: bool | None = None) -> Array:
    """Position of the first smallest element that is not nan; -1 if there is none."""
    refuse_out("nanargmin", out)
    return _nanargmin(a, static_axis(axis), bool(keepdims))


@fused(static_argnums=(1, 2))
def _nancumsum(a: ArrayLike, axis: Any = None, dtype: Any = None) -> Array:
    return reductions._cumsum.body(_without_nans("nancumsum", a, 0), axis, dtype)


@fused(static_argnums=(1, 2))
def _nancumprod(a: ArrayLike, axis: Any = None, dtype: Any = None) -> Array:
    return reductions._cumprod.body(_without_nans("nancumprod", a, 1), axis, dtype)


def nancumsum(a: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None,
              out: None = None) -> Array:
    """Sums of the elements so far along the axis, nans counting as 0."""
    refuse_out("nancumsum", out)
    return _nancumsum(a, static_axis(axis), dtype)


def nancumprod(a: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None,
               out: None = None) -> Array:
    """Products of the elements so far along the axis, nans counting as 1."""
    refuse_out("nancumprod", out)
    return _nancumprod(a, static_axis(axis), dtype)
