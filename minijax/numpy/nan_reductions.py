"""Reductions that leave out nans: nansum, nanmax, nanmean, nanvar and their kin.

Invariant: for dtypes without nan these are the plain reductions; otherwise nans are replaced by
what changes nothing, and a result that no number went into is nan (0 and 1 for sum and product).
Functions of one signature are made by one factory, each of a compiled body and the public
function, which makes the axis hashable and refuses `out`.

    nanmean(jnp.array([1.0, jnp.nan, 3.0]))      # 2.0
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import reductions
from minijax.numpy.promotion import INEXACT, array_operand, refuse_out, scalar
from minijax.numpy.reductions import Axis, check_where, static_axis
from minijax.numpy.ufuncs import declare, pick


def _split_nans(name: str, a: Any) -> tuple[Any, Any]:
    """(array, mask of its nans), the mask None for dtypes that have none."""
    a = array_operand(name, a)
    return a, (lax.ne(a, a) if a.dtype in INEXACT else None)


def _without_nans(name: str, a: Any, value: Any, where: Any = None) -> Any:
    a, nans = _split_nans(name, a)
    check_where(name, where)
    return a if nans is None else pick(nans, scalar(value, a.dtype), a)


def _numbers(a: Any, nans: Any, where: Any) -> Any:
    """The mask of the elements that take part."""
    mask = lax.bitwise_not(nans)
    return mask if where is None else pick(where, mask, False)


def _public(function: Callable, name: str, doc: str) -> Callable:
    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


# --- Factories ---------------------------------------------------------------------------------


def _total(name: str, plain: Callable, unit: int, doc: str) -> Callable:
    """A sum or product, whose neutral element is `unit`."""
    def body(a: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False,
             initial: Any = None, where: Any = None) -> Any:
        a = _without_nans(name, a, unit, where)
        return plain(a, axis, dtype, keepdims, initial, where)

    compiled = declare(body, name, doc, static_argnums=(1, 2, 3))

    def total(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
              keepdims: bool = False, initial: ArrayLike | None = None,
              where: ArrayLike | None = None) -> Array:
        refuse_out(name, out)
        return compiled(a, static_axis(axis), dtype, keepdims, initial, where)

    return _public(total, name, doc)


def _extreme(name: str, plain: Callable, worst: Callable, doc: str) -> Callable:
    """A largest or smallest element; `worst(dtype)` is one that any other beats."""
    def body(a: Any, axis: Any = None, keepdims: bool = False, initial: Any = None,
             where: Any = None) -> Any:
        a, nans = _split_nans(name, a)
        check_where(name, where)
        if nans is None:
            return plain(a, axis, keepdims, initial, where)
        out = plain(pick(nans, worst(a.dtype), a), axis, keepdims, initial, where)
        if initial is not None:
            return out
        return pick(reductions._all.body(nans, axis, keepdims, where), np.nan, out)

    compiled = declare(body, name, doc, static_argnums=(1, 2))

    def extreme(a: ArrayLike, axis: Axis = None, out: None = None, keepdims: bool = False,
                initial: ArrayLike | None = None, where: ArrayLike | None = None) -> Array:
        refuse_out(name, out)
        return compiled(a, static_axis(axis), keepdims, initial, where)

    return _public(extreme, name, doc)


def _spread(name: str, finish: Callable, doc: str) -> Callable:
    """A variance, or what `finish` makes of it."""
    def body(a: Any, axis: Any = None, dtype: Any = None, ddof: Any = 0, keepdims: bool = False,
             where: Any = None, mean: Any = None) -> Any:
        a, nans = _split_nans(name, a)
        check_where(name, where)
        if nans is not None:  # zeros in the place of nans, which would spoil derivatives
            a, where = pick(nans, scalar(0, a.dtype), a), _numbers(a, nans, where)
        return finish(reductions._var.body(a, axis, dtype, ddof, keepdims, where, mean))

    compiled = declare(body, name, doc, static_argnums=(1, 2, 3, 4))

    def spread(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
               ddof: int = 0, keepdims: bool = False, where: ArrayLike | None = None,
               mean: ArrayLike | None = None) -> Array:
        refuse_out(name, out)
        return compiled(a, static_axis(axis), dtype, ddof, keepdims, where, mean)

    return _public(spread, name, doc)


def _argument(name: str, worst: Callable, doc: str) -> Callable:
    """The position of an extreme."""
    plain = functools.partial(reductions._argument.body, name.removeprefix("nan"))

    def body(a: Any, axis: Any = None, keepdims: bool = False) -> Any:
        a, nans = _split_nans(name, a)
        if nans is None:
            return plain(a, axis, keepdims)
        out = plain(pick(nans, worst(a.dtype), a), axis, keepdims)
        nothing = reductions._all.body(nans, axis, keepdims)
        return lax.select(nothing, lax.full_like(out, -1), out)

    compiled = declare(body, name, doc, static_argnums=(1, 2))

    def argument(a: ArrayLike, axis: int | None = None, out: None = None,
                 keepdims: bool | None = None) -> Array:
        refuse_out(name, out)
        return compiled(a, static_axis(axis), bool(keepdims))

    return _public(argument, name, doc)


def _cumulative(name: str, plain: Callable, unit: int, doc: str) -> Callable:
    """A running sum or product."""
    def body(a: Any, axis: Any = None, dtype: Any = None) -> Any:
        return plain(_without_nans(name, a, unit), axis, dtype)

    compiled = declare(body, name, doc, static_argnums=(1, 2))

    def cumulative(a: ArrayLike, axis: int | None = None, dtype: DTypeLike | None = None,
                   out: None = None) -> Array:
        refuse_out(name, out)
        return compiled(a, static_axis(axis), dtype)

    return _public(cumulative, name, doc)


# --- Functions ---------------------------------------------------------------------------------

nansum = _total("nansum", reductions._sum.body, 0,
                "Sum over the axes of the elements that are not nan.")
nanprod = _total("nanprod", reductions._prod.body, 1,
                 "Product over the axes of the elements that are not nan.")
nanmax = _extreme("nanmax", reductions._max.body, reductions.lowest,
                  "Largest element over the axes that is not nan; nan if there is none.")
nanmin = _extreme("nanmin", reductions._min.body, reductions.highest,
                  "Smallest element over the axes that is not nan; nan if there is none.")
nanvar = _spread("nanvar", lambda variance: variance,
                 "Variance over the axes of the elements that are not nan, with divisor n - ddof.")
nanstd = _spread("nanstd", lax.sqrt,
                 "Standard deviation over the axes of the elements that are not nan.")
nanargmax = _argument("nanargmax", reductions.lowest,
                      "Position of the first largest element that is not nan; -1 if there is none.")
nanargmin = _argument("nanargmin", reductions.highest,
                      "Position of the first smallest element that is not nan; -1 if none is.")
nancumsum = _cumulative("nancumsum", reductions._cumsum.body, 0,
                        "Sums of the elements so far along the axis, nans counting as 0.")
nancumprod = _cumulative("nancumprod", reductions._cumprod.body, 1,
                         "Products of the elements so far along the axis, nans counting as 1.")


def _nanmean(a: ArrayLike, axis: Any = None, dtype: Any = None, keepdims: bool = False,
             where: Any = None) -> Array:
    a, nans = _split_nans("nanmean", a)
    check_where("nanmean", where)
    numbers = where if nans is None else _numbers(a, nans, where)
    return reductions._mean.body(a, axis, dtype, keepdims, numbers)


_nanmean = declare(_nanmean, "nanmean", "", static_argnums=(1, 2, 3))


def nanmean(a: ArrayLike, axis: Axis = None, dtype: DTypeLike | None = None, out: None = None,
            keepdims: bool = False, where: ArrayLike | None = None) -> Array:
    """Mean over the axes of the elements that are not nan."""
    refuse_out("nanmean", out)
    return _nanmean(a, static_axis(axis), dtype, keepdims, where)
