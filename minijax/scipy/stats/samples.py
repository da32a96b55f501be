"""Statistics of samples along an axis: the most frequent value, ranks, standard errors.

    mode(x, axis=0), rankdata(x, "min"), sem(x)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

_POLICIES = ("propagate", "omit", "raise")


class ModeResult(NamedTuple):
    """The most frequent values, and how often they occur."""

    mode: Any
    count: Any


def _check_policy(nan_policy: str, supported: tuple[str, ...]) -> None:
    if nan_policy not in _POLICIES:
        raise ValueError(errors.describe(f"Illegal nan_policy value {nan_policy!r}; expected one "
                                         f"of {list(_POLICIES)}", fix="nan_policy='propagate'"))
    if nan_policy not in supported:
        raise NotImplementedError(errors.describe(
            f"Logic for `nan_policy` of {nan_policy} is not implemented",
            fix="nan_policy='propagate'"))


def _along_last(name: str, a: Any, axis: int | None) -> tuple[Any, int, int]:
    """(a with the axis last, the axis, the rank); all axes are one if `axis` is None."""
    a = promotion.array_operand(name, a)
    if axis is None:
        return jnp.ravel(a), 0, 1
    axis = canonicalize_axis(axis, a.ndim)
    return jnp.moveaxis(a, axis, -1), axis, a.ndim


@fused(static_argnames=("axis", "nan_policy", "keepdims"))
def mode(a: ArrayLike, axis: int | None = 0, nan_policy: str = "propagate",
         keepdims: bool = False) -> ModeResult:
    """The most frequent value along an axis, the smallest of several, and its count."""
    _check_policy(nan_policy, ("propagate",))
    rank = jnp.ndim(a)
    a, axis_at, _ = _along_last("mode", jnp.atleast_1d(a), axis)
    n = a.shape[-1]
    if n:
        a = jnp.sort(a, axis=-1)
        different = a[..., 1:] != a[..., :-1]
        start = jnp.concatenate([jnp.ones_like(different, shape=(*a.shape[:-1], 1)), different],
                                axis=-1)
        places = lax.broadcasted_iota(jnp.int32, a.shape, a.ndim - 1)
        begin = lax.cummax(jnp.where(start, places, 0), axis=a.ndim - 1)
        count = places - begin + 1
        best = jnp.argmax(count, axis=-1, keepdims=True)
        values = jnp.take_along_axis(a, best, axis=-1)
        counts = jnp.take_along_axis(count, best, axis=-1)
        counts = counts.astype(jnp.result_type(int))
    else:
        values = jnp.full((*a.shape[:-1], 1), jnp.nan, jnp.result_type(a, float))
        counts = jnp.zeros_like(values)
    if not keepdims:
        return ModeResult(values[..., 0], counts[..., 0])
    if axis is None:
        return ModeResult(*[jnp.reshape(x, (1,) * rank) for x in (values, counts)])
    return ModeResult(*[jnp.moveaxis(x, -1, axis_at) for x in (values, counts)])


@fused(static_argnames=("method", "axis", "nan_policy"))
def rankdata(a: ArrayLike, method: str = "average", *, axis: int | None = None,
             nan_policy: str = "propagate") -> Array:
    """Ranks from 1 along an axis (or of all elements), as floats.

    Equal elements get the "average", "min" or "max" of their ranks, "dense" ranks without gaps,
    or "ordinal" ones by their order.
    """
    _check_policy(nan_policy, ("propagate",))
    if method not in ("average", "min", "max", "dense", "ordinal"):
        raise ValueError(errors.describe(f"unknown method '{method}'", fix="method='average'"))
    a, axis_at, _ = _along_last("rankdata", jnp.asarray(a), axis)
    n, last = a.shape[-1], a.ndim - 1
    order = jnp.argsort(a, axis=-1)
    places = jnp.argsort(order, axis=-1)
    if method == "ordinal":
        ranks = places + 1
    else:
        arranged = jnp.take_along_axis(a, order, axis=-1)
        different = arranged[..., 1:] != arranged[..., :-1]
        edge = jnp.ones_like(different, shape=(*a.shape[:-1], min(n, 1)))
        start = jnp.concatenate([edge, different], axis=-1)
        steps = lax.broadcasted_iota(places.dtype, a.shape, last)
        low = lax.cummax(jnp.where(start, steps, 0), axis=last) + 1
        stop = jnp.concatenate([different, edge], axis=-1)
        high = lax.cummin(jnp.where(stop, steps, n), axis=last, reverse=True) + 1
        chosen = {"dense": lambda: jnp.cumsum(start, axis=-1), "min": lambda: low,
                  "max": lambda: high, "average": lambda: (low + high) / 2}[method]()
        ranks = jnp.take_along_axis(chosen, places, axis=-1)
    ranks = ranks.astype(jnp.result_type(a.dtype, float) if a.dtype.kind == "f"
                         else jnp.result_type(float))
    if jnp.issubdtype(a.dtype, jnp.inexact):
        ranks = jnp.where(jnp.any(jnp.isnan(a), axis=-1, keepdims=True), jnp.nan, ranks)
    return ranks if axis is None else jnp.moveaxis(ranks, -1, axis_at)


@fused(static_argnames=("axis", "ddof", "nan_policy", "keepdims"))
def sem(a: ArrayLike, axis: int | None = 0, ddof: int = 1, nan_policy: str = "propagate", *,
        keepdims: bool = False) -> Array:
    """The standard error of the mean: std(a, ddof=ddof) / sqrt(n); "omit" leaves out NaNs."""
    if nan_policy not in ("propagate", "omit"):
        raise ValueError(errors.describe(f"{nan_policy} is not supported",
                                         fix="nan_policy='propagate' or 'omit'"))
    a, = promotion.promoted_inexact("sem", a)
    if axis is None:
        a, axis = jnp.ravel(a), 0
    if nan_policy == "omit":
        count = jnp.sum(~jnp.isnan(a), axis=axis, keepdims=keepdims)
        spread = jnp.nanstd(a, axis=axis, ddof=ddof, keepdims=keepdims)
        return spread / jnp.sqrt(count.astype(spread.dtype))
    spread = jnp.std(a, axis=axis, ddof=ddof, keepdims=keepdims)
    return spread / math.sqrt(a.shape[axis])
