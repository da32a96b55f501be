"""Discrete cosine transforms of type 2, `scipy.fft`.

Invariant: one complex FFT of the length of the axis, of the even elements followed by the odd
ones backwards (J. Makhoul, A fast cosine transform in one and two dimensions, 1980).

    idct(dct(x, norm="ortho"), norm="ortho")
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["dct", "dctn", "idct", "idctn"]


def dct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1,
        norm: str | None = None) -> Array:
    """Sums of 2 x[j] cos(pi k (2 j + 1) / (2 n)) along an axis cut or padded to n.

    norm "ortho" makes the map orthogonal; only type 2 exists.
    """
    return _transform(x, None if n is None else (n,), (axis,), _known(type, norm), False)


def idct(x: ArrayLike, type: int = 2, n: int | None = None, axis: int = -1,
         norm: str | None = None) -> Array:
    """The inverse of dct."""
    return _transform(x, None if n is None else (n,), (axis,), _known(type, norm), True)


def dctn(x: ArrayLike, type: int = 2, s: Sequence[int] | None = None,
         axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """dct over several axes (all by default, or the last len(s))."""
    return _transform(x, *_several(x, s, axes), _known(type, norm), False)


def idctn(x: ArrayLike, type: int = 2, s: Sequence[int] | None = None,
          axes: Sequence[int] | None = None, norm: str | None = None) -> Array:
    """The inverse of dctn."""
    return _transform(x, *_several(x, s, axes), _known(type, norm), True)


def _known(type: int, norm: str | None) -> str | None:
    """The norm, if it and the type are known."""
    if type != 2:
        raise NotImplementedError(errors.describe("Only DCT type 2 is implemented.", fix="type=2"))
    if norm not in (None, "backward", "ortho"):
        raise ValueError(errors.describe(f"jax.scipy.fft.dct: norm={norm!r} is not implemented",
                                         fix="norm='ortho'"))
    return norm


def _several(x: Any, s: Any, axes: Any) -> tuple:
    rank = np.ndim(x)
    s = None if s is None else tuple(operator.index(n) for n in s)
    if s is not None and len(s) > rank:
        raise ValueError(errors.describe(
            f"s must have at most x.ndim ({rank}) elements, got {len(s)}", fix="one per axis"))
    if axes is None:
        axes = range(rank) if s is None else range(rank - len(s), rank)
    axes = tuple(axes)
    if s is not None and len(s) != len(axes):
        raise ValueError(errors.describe(
            f"s and axes must have the same length, got {len(s)} and {len(axes)}",
            fix="one number per axis"))
    return s, axes


@fused(static_argnums=(1, 2, 3, 4))
def _transform(x: Any, s: Any, axes: tuple, norm: str | None, inverse: bool) -> Any:
    x, = promotion.promoted_inexact("dct", x)
    axes = canonicalize_axes(axes, x.ndim) if axes else ()
    if s is not None:
        x = _resized(x, s, axes)
    if x.dtype.kind == "c":
        parts = [_over_axes(part, axes, norm, inverse) for part in (jnp.real(x), jnp.imag(x))]
        return lax.complex(*parts)
    return _over_axes(x, axes, norm, inverse)


def _resized(x: Any, s: tuple, axes: tuple) -> Any:
    for n, axis in zip(s, axes):
        axis = canonicalize_axis(axis, x.ndim)
        x = lax.slice_in_dim(x, 0, min(n, x.shape[axis]), axis=axis)
        missing = [(0, n - size if i == axis else 0) for i, size in enumerate(x.shape)]
        x = jnp.pad(x, missing)
    return x


def _over_axes(x: Any, axes: tuple, norm: str | None, inverse: bool) -> Any:
    x = x.astype(np.float32) if x.dtype.itemsize < 4 else x
    for axis in axes:
        x = jnp.moveaxis(x, axis, -1)
        x = _idct(x, norm) if inverse else _dct(x, norm)
        x = jnp.moveaxis(x, -1, axis)
    return x


def _turns(n: int, x: Any, sign: int) -> np.ndarray:
    """exp(i pi k / (2 n)), or its conjugate, for k = 0 ... n - 1."""
    values = np.exp(sign * 0.5j * math.pi * np.arange(n) / n)
    return values.astype(np.complex64 if x.dtype == np.float32 else np.complex128)


def _ortho(n: int, x: Any) -> np.ndarray:
    factors = np.full(n, math.sqrt(1 / (2 * n)))
    factors[0] = math.sqrt(1 / (4 * n))
    return factors.astype(x.dtype)


def _along_last(values: np.ndarray, x: Any) -> np.ndarray:
    return values.reshape((1,) * (x.ndim - 1) + (-1,))


def _dct(x: Any, norm: str | None) -> Any:
    n = x.shape[-1]
    arranged = jnp.concatenate([x[..., ::2], jnp.flip(x[..., 1::2], -1)], axis=-1)
    spectrum = lax.fft(arranged, "fft", (n,)) * _along_last(_turns(n, x, -1), x)
    out = 2 * jnp.real(spectrum)
    return out * _along_last(_ortho(n, x), x) if norm == "ortho" else out


def _idct(x: Any, norm: str | None) -> Any:
    n = x.shape[-1]
    if norm == "ortho":
        x = x / _along_last(_ortho(n, x), x)
    mirrored = jnp.concatenate([jnp.zeros_like(x[..., :1]), jnp.flip(x[..., 1:], -1)], axis=-1)
    spectrum = lax.complex(x, -mirrored) * _along_last(_turns(n, x, 1), x)
    arranged = jnp.real(lax.fft(spectrum, "ifft", (n,))) / 2
    half = (n + 1) // 2
    places = np.empty(n, int)
    places[::2], places[1::2] = np.arange(half), np.arange(n - 1, half - 1, -1)
    return arranged[..., places]
