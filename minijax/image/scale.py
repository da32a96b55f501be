"""Resampling: along each axis a matrix of weights, made from a kernel, is applied to the image.

Pixel i covers [i, i + 1), so that its centre is at i + 0.5, in the image and in the result.
Invariant: the weights of a result pixel add up to one, also at the borders, where the kernel
reaches outside; pixels whose centre is outside of the image are 0.
"""

from __future__ import annotations

import enum
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.jit import jit
from minijax.base import dims, dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes
from minijax.core import aval_of
from minijax.numpy import einsums, indexing, promotion, reductions, ufuncs


class ResizeMethod(enum.Enum):
    """The kernel of a resampling.

    CUBIC_PYTORCH is PyTorch's: without antialiasing sharper (a = -0.75), with repeated borders.
    AREA averages over the area that a result pixel covers.
    """

    NEAREST = 0
    LINEAR = 1
    LANCZOS3 = 2
    LANCZOS5 = 3
    CUBIC = 4
    CUBIC_PYTORCH = 5
    AREA = 6

    @staticmethod
    def from_string(s: str) -> ResizeMethod:
        """The method of a name such as "nearest", "bilinear", "cubic" or "lanczos3"."""
        if s not in _NAMES:
            raise ValueError(errors.describe(
                f'Unknown resize method "{s}"', fix=f"one of {', '.join(_NAMES)}"))
        return _NAMES[s]


_NAMES = {
    "nearest": ResizeMethod.NEAREST,
    **dict.fromkeys(("linear", "bilinear", "trilinear", "triangle"), ResizeMethod.LINEAR),
    "lanczos3": ResizeMethod.LANCZOS3, "lanczos5": ResizeMethod.LANCZOS5,
    **dict.fromkeys(("cubic", "bicubic", "tricubic"), ResizeMethod.CUBIC),
    **dict.fromkeys(("cubic-pytorch", "bicubic-pytorch"), ResizeMethod.CUBIC_PYTORCH),
    "area": ResizeMethod.AREA,
}


def resize(image: Array, shape: Sequence[int], method: str | ResizeMethod,
           antialias: bool = True, precision: Any = lax.Precision.HIGHEST) -> Array:
    """The image in another shape of the same rank.

    method: a `ResizeMethod` or its name. antialias: widen the kernel when an axis shrinks.
    precision: that of the sums of pixels. Integers become floats, except by "nearest".
    """
    shape = dims.indices(shape)
    return _resize(image, shape, _method(method), bool(antialias), precision)


def _method(method: str | ResizeMethod) -> ResizeMethod:
    return ResizeMethod.from_string(method) if isinstance(method, str) else ResizeMethod(method)


def _named(body: Callable, name: str, static: tuple) -> Any:
    body.__name__ = name
    return jit(body, static_argnums=static)


def _resize_body(image: Any, shape: tuple, method: ResizeMethod, antialias: bool,
                 precision: Any) -> Any:
    if len(shape) != image.ndim:
        raise ValueError(errors.describe(
            "shape must have length equal to the number of dimensions of x;  "
            f"{shape} vs {image.shape}", fix="resize(image, (*new_size, image.shape[-1]), ...)"))
    if method is ResizeMethod.NEAREST:
        return _nearest(image, shape)
    image, = promotion.promote_inexact(image)
    axes = tuple(i for i, (old, new) in enumerate(zip(image.shape, shape)) if old != new)
    scale = [shape[i] / image.shape[i] if image.shape[i] and shape[i] else 1.0 for i in axes]
    return _apply(image, shape, axes, scale, [0.0] * len(axes), method, antialias, precision)


_resize = _named(_resize_body, "_resize", (1, 2, 3, 4))


def _nearest(image: Any, shape: tuple) -> Any:
    for axis, (old, new) in enumerate(zip(image.shape, shape)):
        if old == new:
            continue
        centres = (lax.iota(np.dtype(np.float32), new) + 0.5) * old / new
        places = lax.convert_element_type(lax.floor(centres), np.dtype(np.int32))
        image = indexing.getitem_traced(image, (slice(None),) * axis + (places,))
    return image


def scale_and_translate(image: Array, shape: Sequence[int], spatial_dims: Sequence[int],
                        scale: Array, translation: Array, method: str | ResizeMethod,
                        antialias: bool = True,
                        precision: Any = lax.Precision.HIGHEST) -> Array:
    """Pixel x of the image moves to scale * x + translation of the result.

    `scale` and `translation` have one element for each of the `spatial_dims`, the axes along
    which the image is resampled; both may be traced and are differentiable.
    """
    shape = tuple(map(operator.index, shape))
    method = _method(method)
    if len(shape) != image.ndim:
        raise ValueError(errors.describe(
            "shape must have length equal to the number of dimensions of x;  "
            f"{shape} vs {image.shape}", fix="give the whole shape of the result"))
    if method is ResizeMethod.NEAREST:
        raise ValueError(errors.describe(
            "Nearest neighbor resampling is not currently supported for scale_and_translate.",
            fix="method='linear', or jax.image.resize"))
    axes = canonicalize_axes(tuple(spatial_dims), image.ndim)
    for name, x in (("scale", scale), ("translation", translation)):
        if aval_of(x).shape != (len(axes),):
            raise AssertionError(errors.describe(
                f"{name} must have shape ({len(axes)},), one element for each of spatial_dims",
                because=f"it has shape {aval_of(x).shape}", fix=f"{name}=jnp.ones({len(axes)})"))
    return _scale_and_translate(image, scale, translation, shape, axes, method, bool(antialias),
                                precision)


def _scale_and_translate_body(image: Any, scale: Any, translation: Any, shape: tuple,
                              axes: tuple, method: ResizeMethod, antialias: bool,
                              precision: Any) -> Any:
    image, = promotion.promote_inexact(image)
    scale, translation = promotion.promote_inexact(scale, translation)
    parts = [[lax.index_in_dim(x, i, keepdims=False) for i in range(len(axes))]
             for x in (scale, translation)]
    return _apply(image, shape, axes, *parts, method, antialias, precision)


_scale_and_translate = _named(_scale_and_translate_body, "_scale_and_translate", (3, 4, 5, 6, 7))


def _apply(image: Any, shape: tuple, axes: tuple, scale: Sequence[Any],
           translation: Sequence[Any], method: ResizeMethod, antialias: bool,
           precision: Any) -> Any:
    """Multiply every axis by its weights."""
    if not axes:
        return image
    operands: list[Any] = [image, list(range(image.ndim))]
    result = list(range(image.ndim))
    for i, (axis, s, t) in enumerate(zip(axes, scale, translation)):
        weights = _weights(image.shape[axis], shape[axis], s, t, method, antialias)
        result[axis] = image.ndim + i
        operands += [lax.convert_element_type(weights, image.dtype), [axis, image.ndim + i]]
    return einsums.einsum(*operands, result, precision=precision)


def _weights(old: int, new: int, scale: Any, translation: Any, method: ResizeMethod,
             antialias: bool) -> Any:
    """[old, new]: what each pixel contributes to each result pixel."""
    dtype = getattr(scale, "dtype", None) or dtypes.default_float()
    inverse = 1.0 / scale
    widen = ufuncs.maximum(inverse, 1.0) if antialias else 1.0
    places = lax.iota(dtype, new)
    centres = (places + 0.5) * inverse - translation * inverse - 0.5
    pixels = lax.iota(dtype, old)
    if method is ResizeMethod.AREA:
        weights = _overlap(pixels, places * inverse - translation * inverse, inverse)
    elif method is ResizeMethod.CUBIC_PYTORCH and not antialias:
        weights = _with_repeated_borders(pixels, centres)
    else:
        distance = lax.abs(centres[None, :] - pixels[:, None]) / widen
        weights = _KERNELS[method](distance)
    total = reductions.sum(weights, axis=0, keepdims=True)
    nonzero = ufuncs.pick(total != 0, total, 1)
    usable = lax.abs(total) > 1000 * float(np.finfo(np.float32).eps)
    weights = ufuncs.pick(usable, weights / nonzero, 0)
    inside = (centres >= -0.5) & (centres <= old - 0.5)
    return ufuncs.pick(inside[None, :], weights, 0)


def _overlap(pixels: Any, starts: Any, width: Any) -> Any:
    """The length that [pixel, pixel + 1) and [start, start + width) have in common."""
    ends = ufuncs.minimum((starts + width)[None, :], (pixels + 1.0)[:, None])
    return ufuncs.maximum(0.0, ends - ufuncs.maximum(starts[None, :], pixels[:, None]))


def _with_repeated_borders(pixels: Any, centres: Any) -> Any:
    """Weights of the four neighbours of each centre, those outside moved to the border."""
    left = lax.floor(centres)
    weights: Any = 0
    for step in (-1, 0, 1, 2):
        neighbour = left + step
        place = ufuncs.minimum(ufuncs.maximum(neighbour, 0), pixels.shape[0] - 1)
        share = _cubic(lax.abs(centres - neighbour), -0.75)
        hit = place[None, :] == pixels[:, None]
        weights = ufuncs.pick(hit, share[None, :], 0) + weights
    return weights


# --- Kernels of the distance between two centres -----------------------------------------------


def _triangle(x: Any) -> Any:
    return ufuncs.maximum(0.0, 1 - x)


def _cubic(x: Any, a: float = -0.5) -> Any:
    """Keys' kernel: "Cubic convolution interpolation for digital image processing" (1981)."""
    near = (((a + 2) * x - (a + 3)) * x) * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return ufuncs.pick(x >= 2, 0, ufuncs.pick(x >= 1, far, near))


def _lanczos(x: Any, radius: float) -> Any:
    product = radius * lax.sin(math.pi * x) * lax.sin(math.pi * x / radius)
    square = ufuncs.pick(x != 0, math.pi ** 2 * (x * x), 1)
    out = ufuncs.pick(x > 1e-3, product / square, 1)
    return ufuncs.pick(x > radius, 0, out)


_KERNELS: dict[ResizeMethod, Callable[[Any], Any]] = {
    ResizeMethod.LINEAR: _triangle,
    ResizeMethod.CUBIC: _cubic,
    ResizeMethod.CUBIC_PYTORCH: _cubic,
    ResizeMethod.LANCZOS3: lambda x: _lanczos(x, 3.0),
    ResizeMethod.LANCZOS5: lambda x: _lanczos(x, 5.0),
}
