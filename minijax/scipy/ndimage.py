"""Interpolation on pixel grids, `scipy.ndimage`."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["map_coordinates"]


def _mirrored(index: Any, size: int) -> Any:
    """Reflected about the centers of the outer pixels."""
    period = max(2 * size - 2, 1)
    index = jnp.mod(index, period)
    return jnp.minimum(index, period - index) if size > 1 else jnp.zeros_like(index)


def _reflected(index: Any, size: int) -> Any:
    """Reflected about the edges of the outer pixels."""
    index = jnp.mod(index, 2 * size)
    return jnp.minimum(index, 2 * size - 1 - index)


_MODES = {
    "constant": lambda index, size: index,
    "nearest": lambda index, size: jnp.clip(index, 0, size - 1),
    "wrap": lambda index, size: jnp.mod(index, size),
    "mirror": _mirrored,
    "reflect": _reflected,
}


def map_coordinates(input: ArrayLike, coordinates: Sequence[ArrayLike], order: int,
                    mode: str = "constant", cval: ArrayLike = 0.0) -> Array:
    """Values of `input` at coordinates, one array per axis: nearest (order 0) or linear (1).

    mode says what lies outside: "constant" (`cval`), "nearest", "wrap", "mirror", "reflect".
    """
    return _map_coordinates(input, list(coordinates), cval, order, mode)


@fused(static_argnums=(3, 4))
def _map_coordinates(image: Any, coordinates: list, cval: Any, order: int, mode: str) -> Any:
    image = promotion.array_operand("map_coordinates", image)
    if len(coordinates) != image.ndim:
        raise ValueError(errors.describe(
            "coordinates must be a sequence of length input.ndim, but "
            f"{len(coordinates)} != {image.ndim}", fix="one array per axis of the input"))
    if mode not in _MODES:
        raise NotImplementedError(errors.describe(
            f"jax.scipy.ndimage.map_coordinates does not yet support mode {mode}. Currently "
            f"supported modes are {set(_MODES)}.", fix="mode='nearest'"))
    if order not in (0, 1):
        raise NotImplementedError(errors.describe(
            "jax.scipy.ndimage.map_coordinates currently requires order<=1", fix="order=1"))
    cval = promotion.convert(cval, image.dtype)
    coordinates = map(promotion.as_array, promotion.arguments("map_coordinates", *coordinates))
    axes = [_nodes(c, order) for c in coordinates]
    total = []
    for corner in itertools.product(*axes):
        places, weights = zip(*corner) if corner else ((), ())
        fixed = [_MODES[mode](i, n) for i, n in zip(places, image.shape)]
        value = image[tuple(fixed)]
        if mode == "constant":
            inside = functools.reduce(jnp.logical_and, [
                (i >= 0) & (i < n) for i, n in zip(places, image.shape)], jnp.ones((), bool))
            value = jnp.where(inside, value, cval)
        for weight in weights:
            if weight is not None:
                wide = max(value.dtype, weight.dtype, key=_precision)
                value = value.astype(wide) * weight.astype(wide)
        total.append(value)
    out = functools.reduce(jnp.add, total)
    if image.dtype.kind in "iu" and out.dtype.kind == "f":
        out = lax.round(out)  # halves away from 0, as in SciPy
    return out.astype(image.dtype)


def _precision(dtype: Any) -> tuple[bool, int]:
    return dtype.kind in "fc", dtype.itemsize


def _nodes(c: Any, order: int) -> list:
    """(index, weight) of the pixels that a coordinate lies between, along one axis."""
    if c.dtype.kind in "iub":
        return [(c.astype(np.int32), None)]
    if order == 0:
        # halves go up, as in SciPy
        return [(jnp.floor(c + 0.5).astype(np.int32), None)]
    low = jnp.floor(c)
    upper = c - low
    index = low.astype(np.int32)
    return [(index, 1 - upper), (index + 1, upper)]
