"""Interpolation on rectangular grids, `scipy.interpolate`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.base import tree
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion

__all__ = ["RegularGridInterpolator"]


class RegularGridInterpolator:
    """A function of points in space, from its values on a grid.

    points: for each axis the coordinates, ascending; values: [n0, n1, ..., *rest]. method is
    "linear" or "nearest"; outside the grid the value is `fill_value`, or extrapolated if None.

        f = RegularGridInterpolator((x, y), values)
        f(jnp.array([[0.5, 1.5]]))
    """

    def __init__(self, points: Sequence[ArrayLike], values: ArrayLike, method: str = "linear",
                 bounds_error: bool = False, fill_value: Any = np.nan):
        _check_method(method)
        if bounds_error:
            raise NotImplementedError("`bounds_error` takes no effect under JIT")
        for i, p in enumerate(points):
            promotion.check_array_like("RegularGridInterpolator", p)
        promotion.check_array_like("RegularGridInterpolator", values)
        if len(points) > np.ndim(values):
            raise ValueError(
                f"there are {len(points)} point arrays, but values has {np.ndim(values)} "
                "dimensions")
        values, *grid = promotion.promote_inexact(values, *points)
        for i, (p, n) in enumerate(zip(grid, np.shape(values))):
            if np.ndim(p) != 1:
                raise ValueError(f"the points in dimension {i} must be 1-dimensional")
            if p.shape[0] != n:
                raise ValueError(f"there are {p.shape[0]} points and {n} values in dimension {i}")
        if fill_value is not None:
            promotion.check_array_like("RegularGridInterpolator", fill_value)
            fill_value = jnp.asarray(fill_value)
            if not jnp.can_cast(fill_value.dtype, values.dtype, casting="same_kind"):
                raise ValueError("fill_value must be either 'None' or of a type compatible with "
                                 "values")
        self.method, self.bounds_error, self.fill_value = method, bounds_error, fill_value
        self.grid = tuple(jnp.asarray(p) for p in grid)
        self.values = jnp.asarray(values)

    def __call__(self, xi: Any, method: str | None = None) -> Array:
        """The values at points xi [..., d] (or a tuple of coordinates): [..., *rest]."""
        method = self.method if method is None else method
        _check_method(method)
        d = len(self.grid)
        if isinstance(xi, tuple) and len(xi) == 1:
            xi, = xi
        if isinstance(xi, tuple):
            xi = jnp.stack(jnp.broadcast_arrays(*xi), axis=-1)
        xi = jnp.asarray(xi)
        if d == 1 and (xi.ndim < 2 or xi.shape[-1] != 1):
            xi = xi[..., None]
        if xi.shape[-1] != d:
            raise ValueError("the requested sample points xi have dimension "
                             f"{xi.shape[-1]}, but this RegularGridInterpolator has dimension {d}")
        flat = xi.reshape(-1, d).astype(jnp.result_type(xi, self.grid[0].dtype)).T
        found = [self._locate(x, p) for x, p in zip(flat, self.grid)]
        places, fractions, outside = zip(*found)
        sample = self._linear if method == "linear" else self._nearest
        out = sample(places, fractions)
        if self.fill_value is not None:
            beyond = jnp.any(jnp.stack(outside), axis=0).reshape(-1, *[1] * (out.ndim - 1))
            out = jnp.where(beyond, self.fill_value.astype(out.dtype), out)
        return out.reshape(*xi.shape[:-1], *self.values.shape[d:])

    def _locate(self, x: Any, points: Any) -> tuple[Any, Any, Any]:
        """(index of the cell, place in the cell from 0 to 1, whether outside the grid)."""
        x = x.astype(points.dtype)
        cell = jnp.clip(jnp.searchsorted(points, x) - 1, 0, max(points.shape[0] - 2, 0))
        if points.shape[0] == 1:
            return cell, jnp.zeros_like(x), x != points[0]
        width = points[cell + 1] - points[cell]
        return cell, (x - points[cell]) / width, (x < points[0]) | (x > points[-1])

    def _linear(self, places: tuple, fractions: tuple) -> Any:
        rest = (1,) * (self.values.ndim - len(places))
        total = 0
        for corner in itertools.product((0, 1), repeat=len(places)):
            index = tuple(jnp.minimum(p + up, n - 1)
                          for p, up, n in zip(places, corner, self.values.shape))
            weight = jnp.ones_like(fractions[0])
            for fraction, up in zip(fractions, corner):
                weight = weight * (fraction if up else 1 - fraction)
            values = self.values[index]
            total = total + values * weight.reshape(-1, *rest).astype(values.dtype)
        return total

    def _nearest(self, places: tuple, fractions: tuple) -> Any:
        return self.values[tuple(jnp.where(f <= 0.5, p, p + 1)
                                 for p, f in zip(places, fractions))]


def _check_method(method: str) -> None:
    if method not in ("linear", "nearest"):
        raise ValueError(f"method {method!r} is not defined")


tree.register_pytree_node(
    RegularGridInterpolator,
    lambda f: ((f.grid, f.values, f.fill_value), (f.method, f.bounds_error)),
    lambda fixed, children: _rebuilt(fixed, children))


def _rebuilt(fixed: tuple, children: Sequence[Any]) -> RegularGridInterpolator:
    made = object.__new__(RegularGridInterpolator)
    made.method, made.bounds_error = fixed
    made.grid, made.values, made.fill_value = children
    return made
