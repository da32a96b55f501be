"""`jnp.fft`: discrete Fourier transforms along any axes, and what goes with them.

All fourteen transforms are one: move the axes last, cut or fill them up to their lengths, transform
at most three axes at a time, scale, move the axes back.  Invariant: lengths are those of the real
domain; only the last axis of a real transform has another size, n // 2 + 1, on its complex side.

    spectrum = rfft(samples)
    irfft(spectrum, n=samples.size)         # samples again, also where their number is odd
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes
from minijax.lax import FftType
from minijax.lax.rules import ArrayLike
from minijax.numpy import creation, manipulation, promotion, ufuncs
from minijax.numpy.creation import Place
from minijax.numpy.manipulation import _permuted
from minijax.runtime.call import fused

__all__ = ["fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn",
           "ifftshift", "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn"]

Norm = str | None

_NORMS = (None, "backward", "ortho", "forward")
_OPPOSITE = {None: "forward", "backward": "forward", "forward": "backward"}
_INVERSE = (FftType.IFFT, FftType.IRFFT)
_MOST_AXES = 3  # of one operation of XLA

# --- One transform -----------------------------------------------------------------------------


@fused(static_argnums=(0, 2, 3, 4, 5))
def _transform(name: str, a: ArrayLike, kind: FftType, s: tuple | None, axes: tuple | None,
               norm: Norm) -> Array:
    x = promotion.array_operand(f"fft.{name}", a)
    if norm not in _NORMS:
        raise ValueError(errors.describe(
            f'Invalid norm value {norm}; should be "backward","ortho" or "forward".',
            because=f"jax.numpy.fft.{name} was called with it", fix="leave norm out"))
    if s is not None and any(n <= 0 for n in s):
        raise ValueError(errors.describe(
            "Shape should be positive.", fix="lengths of at least 1",
            because=f"jax.numpy.fft.{name} was asked for lengths {s}"))
    axes = _axes(name, x, s, axes)
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    x = _permuted(x, order)
    if s is None:
        sizes = x.shape[x.ndim - len(axes):]
        if kind is FftType.IRFFT and sizes and not sizes[-1]:
            return lax.full(x.shape, 0, dtypes.to_real(promotion.inexact_dtype(x.dtype)))
        s = (*sizes[:-1], 2 * (sizes[-1] - 1)) if kind is FftType.IRFFT and sizes else sizes
    else:
        sizes = (*s[:-1], s[-1] // 2 + 1) if kind is FftType.IRFFT and s else s
        x = _resized(x, sizes)
    x = _scaled(_in_parts(x, kind, s), kind in _INVERSE, math.prod(s), norm)
    return _permuted(x, _inverse(order))


def _inverse(order: Sequence[int]) -> tuple[int, ...]:
    return tuple(np.argsort(order).tolist())


def _axes(name: str, x: Any, s: tuple | None, axes: tuple | None) -> tuple[int, ...]:
    if axes is None:
        count = x.ndim if s is None else len(s)
        if count > x.ndim:
            raise ValueError(errors.describe(
                f"jax.numpy.fft.{name} got {count} lengths {s} for an array of shape {x.shape}",
                fix="one length for each of the last axes"))
        return tuple(range(x.ndim - count, x.ndim))
    if s is not None and len(s) != len(axes):
        raise ValueError(errors.describe("Shape and axes have different lengths.",
                                         because=f"jax.numpy.fft.{name} got s={s}, axes={axes}",
                                         fix="one length for each axis"))
    return canonicalize_axes(axes, x.ndim)


def _resized(x: Any, sizes: tuple) -> Any:
    """`x` with its last axes cut at their end, or filled up with zeros, to the sizes."""
    outer = x.ndim - len(sizes)
    config = [(0, 0, 0)] * outer + [(0, n - have, 0) for n, have in zip(sizes, x.shape[outer:])]
    if not any(high for _, high, _ in config):
        return x
    return lax.pad(x, np.zeros((), x.dtype)[()], config)


def _in_parts(x: Any, kind: FftType, s: tuple) -> Any:
    """The transform of the last axes; a real one does its last axis while all else is complex."""
    if len(s) <= _MOST_AXES:
        return lax.fft(x, kind, s)
    inner, outer = s[-_MOST_AXES:], s[:-_MOST_AXES]
    rest = FftType.IFFT if kind in _INVERSE else FftType.FFT
    if kind is FftType.IRFFT:
        return lax.fft(_of_outer(x, rest, outer), kind, inner)
    return _of_outer(lax.fft(x, kind, inner), rest, outer)


def _of_outer(x: Any, kind: FftType, s: tuple) -> Any:
    """The transform of the axes in front of the last three."""
    first, inner = x.ndim - _MOST_AXES - len(s), x.ndim - _MOST_AXES
    order = (*range(first), *range(inner, x.ndim), *range(first, inner))
    return _permuted(_in_parts(_permuted(x, order), kind, s), _inverse(order))


def _scaled(x: Any, inverse: bool, size: int, norm: Norm) -> Any:
    if norm in (None, "backward"):
        return x
    power = (1 if inverse else -1) * (0.5 if norm == "ortho" else 1)
    return lax.mul(x, promotion.scalar(float(size) ** power if size else 0.0, x.dtype))


# --- Along one axis ----------------------------------------------------------------------------


def _along(name: str, a: Any, kind: FftType, n: Any, axis: Any, norm: Norm) -> Array:
    if isinstance(axis, (tuple, list)):
        raise ValueError(errors.describe(
            f"jax.numpy.fft.{name} does not support multiple axes. Please use "
            f"jax.numpy.fft.{name}n. Got axis = {axis!r}.", fix="one axis"))
    s = None if n is None else (operator.index(n),)
    return _transform(name, a, kind, s, (operator.index(axis),), norm)


def fft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The Fourier transform along one axis, cut or filled up with zeros to length n."""
    return _along("fft", a, FftType.FFT, n, axis, norm)


def ifft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `fft`."""
    return _along("ifft", a, FftType.IFFT, n, axis, norm)


def rfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The n // 2 + 1 non-negative frequencies of the transform of real numbers."""
    return _along("rfft", a, FftType.RFFT, n, axis, norm)


def irfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `rfft`; the result has n numbers, by default an even number."""
    return _along("irfft", a, FftType.IRFFT, n, axis, norm)


def hfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The real transform of n points that are Hermitian-symmetric; `a` holds the first half."""
    return _along("hfft", ufuncs.conj(a) if promotion.is_array_like(a) else a, FftType.IRFFT, n,
                  axis, _OPPOSITE.get(norm, norm))


def ihfft(a: ArrayLike, n: int | None = None, axis: int = -1, norm: Norm = None) -> Array:
    """The inverse of `hfft`."""
    return ufuncs.conj(_along("ihfft", a, FftType.RFFT, n, axis, _OPPOSITE.get(norm, norm)))


# --- Along several axes ------------------------------------------------------------------------


def _over(name: str, a: Any, kind: FftType, s: Any, axes: Any, norm: Norm) -> Array:
    if name.endswith("2") and len(axes) != 2:
        raise ValueError(errors.describe(
            f"jax.numpy.fft.{name} only supports 2 axes. Got axes = {axes!r}.",
            fix=f"jnp.fft.{name[:-1]}n"))
    if axes is not None and len(set(axes)) != len(axes):
        raise ValueError(errors.describe(
            f"jax.numpy.fft.{name} does not support repeated axes. Got axes {axes}.",
            fix="name each axis once"))
    s = None if s is None else tuple(map(operator.index, s))
    axes = None if axes is None else tuple(map(operator.index, axes))
    return _transform(name, a, kind, s, axes, norm)


def fftn(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
         norm: Norm = None) -> Array:
    """The Fourier transform along several axes (default all, or the last ones named by `s`)."""
    return _over("fftn", a, FftType.FFT, s, axes, norm)


def ifftn(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
          norm: Norm = None) -> Array:
    """The inverse of `fftn`."""
    return _over("ifftn", a, FftType.IFFT, s, axes, norm)


def rfftn(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
          norm: Norm = None) -> Array:
    """`rfft` along the last of the axes, then `fft` along the others."""
    return _over("rfftn", a, FftType.RFFT, s, axes, norm)


def irfftn(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] | None = None,
           norm: Norm = None) -> Array:
    """The inverse of `rfftn`."""
    return _over("irfftn", a, FftType.IRFFT, s, axes, norm)


def fft2(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1),
         norm: Norm = None) -> Array:
    """`fftn` along two axes."""
    return _over("fft2", a, FftType.FFT, s, axes, norm)


def ifft2(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1),
          norm: Norm = None) -> Array:
    """`ifftn` along two axes."""
    return _over("ifft2", a, FftType.IFFT, s, axes, norm)


def rfft2(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1),
          norm: Norm = None) -> Array:
    """`rfftn` along two axes."""
    return _over("rfft2", a, FftType.RFFT, s, axes, norm)


def irfft2(a: ArrayLike, s: Sequence[int] | None = None, axes: Sequence[int] = (-2, -1),
           norm: Norm = None) -> Array:
    """`irfftn` along two axes."""
    return _over("irfft2", a, FftType.IRFFT, s, axes, norm)


# --- Frequencies -------------------------------------------------------------------------------


def _frequencies(name: str, n: Any, d: Any, counts: Any, dtype: Any, device: Place) -> Array:
    for argument, value in (("n", n), ("d", d)):
        if isinstance(value, (list, tuple)) or argument == "n" and np.ndim(value):
            kind = "an int" if argument == "n" else "a single value"
            raise ValueError(errors.describe(
                f"The {argument} argument of jax.numpy.fft.{name} only takes {kind}. "
                f"Got {argument} = {value!r}.", fix=f"jnp.fft.{name}(8, 0.1)"))
    size = operator.index(n)
    dtype = dtypes.scalar_dtype(float) if dtype is None else dtypes.check_user_dtype(dtype, name)
    counts = counts(max(size, 0))
    if isinstance(d, (bool, int, float, complex, np.number)) and d and size:
        return creation.asarray((counts / (d * size)).astype(dtype), device=device)
    steps = creation.asarray(counts.astype(dtype), device=device)
    return creation.astype(ufuncs.true_divide(steps, ufuncs.multiply(d, size)), dtype)


def fftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DTypeLike | None = None,
            device: Place = None) -> Array:
    """The frequencies of `fft` of n samples that are d apart: first 0 and up, then negative."""
    def counts(size: int) -> np.ndarray:
        return (np.arange(size) + size // 2) % max(size, 1) - size // 2

    return _frequencies("fftfreq", n, d, counts, dtype, device)


def rfftfreq(n: int, d: ArrayLike = 1.0, *, dtype: DTypeLike | None = None,
             device: Place = None) -> Array:
    """The n // 2 + 1 frequencies of `rfft` of n samples that are d apart."""
    return _frequencies("rfftfreq", n, d, lambda size: np.arange(size // 2 + 1), dtype, device)


def fftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """Frequency 0 moved from the front of the axes (default all) to their middle."""
    return _shifted("fftshift", x, axes, lambda size: size // 2)


def ifftshift(x: ArrayLike, axes: int | Sequence[int] | None = None) -> Array:
    """The inverse of `fftshift`."""
    return _shifted("ifftshift", x, axes, lambda size: -(size // 2))


def _shifted(name: str, x: Any, axes: Any, shift: Any) -> Array:
    x = promotion.operand(f"fft.{name}", x)
    shape = np.shape(x)
    if axes is None:
        axes = range(len(shape))
    elif not isinstance(axes, Sequence):
        axes = (operator.index(axes),)
    axes = canonicalize_axes(tuple(axes), len(shape))
    if not axes:
        return promotion.as_array(x)
    return manipulation.roll(x, [shift(shape[i]) for i in axes], axes)
