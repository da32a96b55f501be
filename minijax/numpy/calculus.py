"""Differences, slopes and integrals of samples: diff, gradient, trapezoid, interp, unwrap.

    gradient(y, dx)
    interp(x, xp, fp, left="extrapolate", right=0.0)
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import arithmetic, promotion, reductions, sorting, ufuncs
from minijax.runtime.call import fused


def _part(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return lax.slice_in_dim(x, start, stop, axis=axis)


# --- Differences -------------------------------------------------------------------------------


def diff(a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None,
         append: ArrayLike | None = None) -> Any:
    """The n-th differences of neighbours along `axis`, after joining `prepend` and `append`."""
    n = operator.index(n)
    if n < 0:
        raise ValueError(errors.describe(f"order must be non-negative but got {n}", fix="n=1"))
    return _diff(a, prepend, append, n, operator.index(axis))


@fused(static_argnums=(3, 4))
def _diff(a: Any, prepend: Any, append: Any, n: int, axis: int) -> Any:
    a = promotion.array_operand("diff", a)
    if n == 0:
        return a
    if not a.ndim:
        raise ValueError(errors.describe(
            "diff requires input that is at least one dimensional; got a number", fix="x[None]"))
    axis = canonicalize_axis(axis, a.ndim)
    parts = [a]
    for given, first in ((prepend, True), (append, False)):
        if given is None:
            continue
        given = promotion.array_operand("diff", given)
        if not given.ndim:
            shape = tuple(1 if i == axis else size for i, size in enumerate(a.shape))
            given = promotion.broadcast(given, shape)
        parts = [given, *parts] if first else [*parts, given]
    if len(parts) > 1:
        a = lax.concatenate(promotion.promoted("diff", *parts), axis)
    minus = ufuncs.not_equal if a.dtype == np.bool_ else ufuncs.subtract
    for _ in range(n):
        a = minus(*_neighbours(a, axis))
    return a


def _neighbours(x: Any, axis: int) -> tuple[Any, Any]:
    """All elements along the axis but the first, and all but the last."""
    size = x.shape[axis]
    return _part(x, axis, min(1, size), None), _part(x, axis, 0, max(size - 1, 0))


@fused
def ediff1d(ary: ArrayLike, to_end: ArrayLike | None = None,
            to_begin: ArrayLike | None = None) -> Any:
    """The differences of neighbours of the flat array, between `to_begin` and `to_end`."""
    x, _ = promotion.along("ediff1d", ary, None)
    out = [ufuncs.subtract(*_neighbours(x, 0))]
    for given, first in ((to_begin, True), (to_end, False)):
        if given is None:
            continue
        given, _ = promotion.along("ediff1d", promotion.convert(given, x.dtype), None)
        out = [given, *out] if first else [*out, given]
    return out[0] if len(out) == 1 else lax.concatenate(out, 0)


def gradient(f: ArrayLike, *varargs: ArrayLike, axis: int | Sequence[int] | None = None,
             edge_order: int | None = None) -> Any:
    """Slopes by central differences (one-sided at the ends) along one or all axes.

    Spacings: one for all axes or one per axis, each a number or a vector of coordinates.
    """
    if edge_order is not None:
        raise NotImplementedError(errors.describe(
            "The 'edge_order' argument to jnp.gradient is not supported.", fix="leave it out"))
    f, *varargs = promotion.arguments("gradient", f, *varargs)
    axes = canonicalize_axes(reductions.static_axis(axis), np.ndim(f))
    if len(varargs) not in (0, 1, len(axes)):
        raise TypeError(errors.describe(
            f"Invalid number of spacing arguments {len(varargs)} for axis={axis}",
            fix="one spacing, or one for each axis"))
    if any(np.shape(f)[i] < 2 for i in axes):
        raise ValueError(errors.describe(
            "Shape of array too small to calculate a numerical gradient, at least 2 elements are "
            "required.", because=f"the shape is {np.shape(f)}", fix="choose other axes"))
    spacings = varargs or (None,)
    spacings = spacings if len(spacings) == len(axes) else spacings * len(axes)
    out = [_gradient(f, spacing, i) for i, spacing in zip(axes, spacings)]
    return out[0] if len(out) == 1 else out


@fused(static_argnums=2)
def _gradient(f: Any, spacing: Any, axis: int) -> Any:
    if spacing is None:
        f, spacing = promotion.as_array(promotion.inexact_operand("gradient", f)), 1.0
    else:
        f, spacing = promotion.promoted_inexact("gradient", f, spacing)
    size = f.shape[axis]
    left, inner, right = _part(f, axis, 0, -2), _part(f, axis, 1, -1), _part(f, axis, 2, None)
    first = _part(f, axis, 1, 2) - _part(f, axis, 0, 1)
    last = _part(f, axis, size - 1, None) - _part(f, axis, size - 2, size - 1)
    if not np.ndim(spacing):
        return lax.concatenate((first / spacing, (right - left) / (2 * spacing), last / spacing),
                               axis)
    if np.shape(spacing) != (size,):
        raise ValueError(errors.describe(
            f"Spacing arguments must be scalars or vectors of the size of their axis, {size}; "
            f"got shape {np.shape(spacing)}", fix="one coordinate for each element"))
    steps = _part(spacing, 0, 1, None) - _part(spacing, 0, 0, size - 1)
    steps = promotion.keep_axes(steps, [i for i in range(f.ndim) if i != axis], f.ndim)
    before, after = _part(steps, axis, 0, size - 2), _part(steps, axis, 1, None)
    middle = (-after / (before * (before + after)) * left
              + (after - before) / (before * after) * inner
              + before / (after * (before + after)) * right)
    return lax.concatenate((first / _part(steps, axis, 0, 1), middle,
                            last / _part(steps, axis, size - 2, None)), axis)


@fused(static_argnames="axis")
def trapezoid(y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0,
              axis: int = -1) -> Any:
    """The integral by the trapezoidal rule, at coordinates `x` or with spacing `dx`."""
    if x is None:
        y, = promotion.promoted_inexact("trapezoid", y)
        y, dx = promotion.promote_inexact(y, dx)
    else:
        y, x = promotion.promoted_inexact("trapezoid", y, x)
        dx = diff(x) if x.ndim == 1 else structural.move_axis(diff(x, axis=axis), axis, -1)
    y = structural.move_axis(y, canonicalize_axis(axis, y.ndim), -1)
    last = y.ndim - 1
    return 0.5 * reductions.sum(dx * (_part(y, last, 1, None) + _part(y, last, 0, -1)), axis=-1)


# --- interp ------------------------------------------------------------------------------------


def interp(x: ArrayLike, xp: ArrayLike, fp: ArrayLike, left: ArrayLike | str | None = None,
           right: ArrayLike | str | None = None, period: ArrayLike | None = None) -> Any:
    """The piecewise linear function through (xp, fp) at `x`; `xp` ascends.

    Outside: `left` and `right` (default: the first and last value), or "extrapolate".
    """
    extrapolate = []
    for name, value in (("left", left), ("right", right)):
        if isinstance(value, str) and value != "extrapolate":
            raise ValueError(errors.describe(
                f"the only valid string value of `{name}` is 'extrapolate', but got: {value!r}",
                fix=f"{name}='extrapolate', or a number"))
        extrapolate.append(isinstance(value, str))
    x, xp, fp = promotion.arguments("interp", x, xp, fp)
    if np.ndim(xp) != 1 or np.shape(xp) != np.shape(fp):
        raise ValueError(errors.describe("xp and fp must be one-dimensional arrays of equal size",
                                         because=f"shapes {np.shape(xp)} and {np.shape(fp)}",
                                         fix="one value for each coordinate"))
    ends = [None if flag else value for flag, value in zip(extrapolate, (left, right))]
    return _interp(x, xp, fp, *ends, period, tuple(extrapolate))


@fused(static_argnums=6)
def _interp(x: Any, xp: Any, fp: Any, left: Any, right: Any, period: Any,
            extrapolate: tuple[bool, bool]) -> Any:
    x, xp = promotion.promoted_inexact("interp", x, xp)
    fp, = promotion.promoted_inexact("interp", fp)
    if x.dtype in promotion.COMPLEX:
        raise ValueError(errors.describe("jnp.interp: complex x values not supported.",
                                         fix="interpolate at real coordinates"))
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, period)
    size = xp.shape[0]
    place = arithmetic.clip(sorting.searchsorted(xp, x, side="right"), 1, size - 1)
    x0, x1, f0, f1 = xp[place - 1], xp[place], fp[place - 1], fp[place]
    step = x1 - x0
    flat = ufuncs.abs(step) <= np.spacing(np.finfo(xp.dtype).eps)  # two equal coordinates
    out = ufuncs.pick(flat, f0, f0 + (x - x0) / ufuncs.pick(flat, 1, step) * (f1 - f0))
    if period is None:
        if not extrapolate[0]:
            out = ufuncs.pick(x < xp[0], fp[0] if left is None else left, out)
        if not extrapolate[1]:
            out = ufuncs.pick(x > xp[size - 1], fp[size - 1] if right is None else right, out)
    return out


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Coordinates in [0, period), sorted, with one more point at each end."""
    period = ufuncs.abs(period)
    x, xp = arithmetic.remainder(x, period), arithmetic.remainder(xp, period)
    xp, fp = lax.sort((xp, fp), num_keys=1)
    n = xp.shape[0]
    ends = [_part(xp, 0, n - 1, n) - period, xp, _part(xp, 0, 0, 1) + period]
    values = [_part(fp, 0, n - 1, n), fp, _part(fp, 0, 0, 1)]
    return x, lax.concatenate(ends, 0), lax.concatenate(values, 0)


# --- unwrap ------------------------------------------------------------------------------------


@fused(static_argnames="axis")
def unwrap(p: ArrayLike, discont: ArrayLike | None = None, axis: int = -1,
           period: ArrayLike = 2 * np.pi) -> Any:
    """Phases with jumps of more than half a period (or `discont`) removed along `axis`."""
    p = promotion.array_operand("unwrap", p)
    if p.dtype in promotion.COMPLEX:
        raise ValueError(errors.describe("jnp.unwrap does not support complex inputs.",
                                         fix="jnp.unwrap(jnp.angle(z))"))
    if not p.shape[axis]:
        return promotion.convert(p, dtypes.to_inexact(p.dtype))
    axis = canonicalize_axis(axis, p.ndim)
    dtype = promotion.common_dtype(p, period)[0]
    half, odd = divmod(period, 2) if dtype in promotion.INTEGER else (period / 2, 0)
    discont = half if discont is None else discont
    jump = diff(p, axis=axis)
    whole = promotion.convert(jump, dtype)
    reduced = arithmetic.remainder(whole + half, period) - half
    at_edge = ufuncs.equal(odd, 0) & (reduced == -half) & (jump > 0)
    reduced = ufuncs.pick(at_edge, half, reduced)
    correction = ufuncs.pick(ufuncs.abs(jump) < discont, 0, reduced - whole)
    first = promotion.convert(_part(p, axis, 0, 1), dtype)
    rest = promotion.convert(_part(p, axis, 1, None), dtype)
    rest = rest + reductions.cumsum(correction, axis=axis)
    return lax.concatenate((promotion.as_array(first), promotion.as_array(rest)), axis)
