"""Convolution, trends and spectra of signals, `scipy.signal`.

Invariant: everything about shapes, windows and segments is decided when a function is traced;
segments are one gather, spectra one FFT over their last axis.

    convolve(x, kernel, mode="same"), f, t, z = stft(x, nperseg=128)
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["convolve", "convolve2d", "correlate", "correlate2d", "csd", "detrend", "fftconvolve",
           "istft", "stft", "welch"]

# --- Convolution -------------------------------------------------------------------------------


def _operands(name: str, in1: Any, in2: Any, mode: str) -> tuple[Any, Any]:
    if mode not in ("full", "same", "valid"):
        raise ValueError(errors.describe("mode must be one of ['full', 'same', 'valid']",
                                         because=f"mode={mode!r}", fix="mode='full'"))
    x, y = promotion.promoted_inexact(name, in1, in2)
    if x.ndim != y.ndim:
        raise ValueError("in1 and in2 must have the same number of dimensions")
    if not x.size or not y.size:
        raise ValueError(f"zero-size arrays not supported in convolutions, got shapes "
                         f"{x.shape} and {y.shape}.")
    return x, y


def _direct(x: Any, y: Any, mode: str, precision: Any) -> Any:
    """The convolution of two arrays of one rank, over all axes."""
    x, y = _larger_first(x, y, mode, range(x.ndim))
    padding = {"full": [(n - 1, n - 1) for n in y.shape],
               "same": [(n - 1 - (n - 1) // 2, (n - 1) // 2) for n in y.shape],
               "valid": [(0, 0)] * y.ndim}[mode]
    kernel = jnp.flip(y)[None, None]
    strides = (1,) * y.ndim
    return lax.conv_general_dilated(x[None, None], kernel, strides, padding,
                                    precision=precision)[0, 0]


def _larger_first(x: Any, y: Any, mode: str, axes: Sequence[int]) -> tuple[Any, Any]:
    """Both arrays, for mode "valid" the one first that is larger along all the axes."""
    if mode != "valid" or not any(x.shape[i] < y.shape[i] for i in axes):
        return x, y
    if any(x.shape[i] > y.shape[i] for i in axes):
        raise ValueError("For 'valid' mode, one input must be at least as large as the other "
                         "in every dimension.")
    return y, x


def _centered(x: Any, shape: Sequence[int]) -> Any:
    for axis, n in enumerate(shape):
        x = lax.slice_in_dim(x, (x.shape[axis] - n) // 2, (x.shape[axis] - n) // 2 + n, axis=axis)
    return x


def convolve(in1: Array, in2: Array, mode: str = "full", method: str = "auto",
             precision: Any = None) -> Array:
    """The convolution of arrays of equal rank; mode "full", "same" (as in1) or "valid".

    method "fft" multiplies spectra; "direct" and "auto" sum.
    """
    return _convolve(in1, in2, mode, method, precision, False)


def correlate(in1: Array, in2: Array, mode: str = "full", method: str = "auto",
              precision: Any = None) -> Array:
    """The cross-correlation: the convolution of in1 with the conjugate of in2 backwards."""
    return _convolve(in1, in2, mode, method, precision, True)


@fused(static_argnums=(2, 3, 4, 5))
def _convolve(in1: Any, in2: Any, mode: str, method: str, precision: Any, mirrored: bool) -> Any:
    if method not in ("auto", "direct", "fft"):
        raise ValueError(f"Got {method=}; expected 'auto', 'fft', or 'direct'.")
    x, y = _operands("correlate" if mirrored else "convolve", in1, in2, mode)
    y = jnp.flip(jnp.conj(y)) if mirrored else y
    if method == "fft":
        return _by_fft(x, y, mode, tuple(range(x.ndim)))
    return _direct(x, y, mode, precision)


def convolve2d(in1: Array, in2: Array, mode: str = "full", boundary: str = "fill",
               fillvalue: float = 0, precision: Any = None) -> Array:
    """The convolution of two matrices, with zeros around in1."""
    return _convolve2d("convolve2d", in1, in2, mode, boundary, fillvalue, precision)


def correlate2d(in1: Array, in2: Array, mode: str = "full", boundary: str = "fill",
                fillvalue: float = 0, precision: Any = None) -> Array:
    """The cross-correlation of two matrices, with zeros around in1."""
    return _convolve2d("correlate2d", in1, in2, mode, boundary, fillvalue, precision)


def _convolve2d(name: str, in1: Any, in2: Any, mode: str, boundary: str, fillvalue: Any,
                precision: Any) -> Any:
    if boundary != "fill" or fillvalue != 0:
        raise NotImplementedError(f"{name}() only supports boundary='fill', fillvalue=0")
    if np.ndim(in1) != 2 or np.ndim(in2) != 2:
        raise ValueError(f"{name}() only supports 2-dimensional inputs.")
    return _convolve2d_of(in1, in2, mode, precision, name == "correlate2d")


@fused(static_argnums=(2, 3, 4))
def _convolve2d_of(in1: Any, in2: Any, mode: str, precision: Any, mirrored: bool) -> Any:
    x, y = _operands("correlate2d" if mirrored else "convolve2d", in1, in2, mode)
    y = jnp.flip(jnp.conj(y)) if mirrored else y
    if not mirrored or mode != "same":
        return _direct(x, y, mode, precision)
    # SciPy centers a correlation of even size one place further than a convolution
    whole = _direct(x, y, "full", precision)
    starts = [n // 2 for n in y.shape]
    return lax.slice(whole, starts, [s + n for s, n in zip(starts, x.shape)])


@fused(static_argnums=(2, 3), static_argnames=("mode", "axes"))
def _fftconvolve(in1: Any, in2: Any, mode: str, axes: Any) -> Any:
    x, y = _operands("fftconvolve", in1, in2, mode)
    return _by_fft(x, y, mode, axes)


def fftconvolve(in1: ArrayLike, in2: ArrayLike, mode: str = "full",
                axes: Sequence[int] | int | None = None) -> Array:
    """The convolution over some axes by multiplying spectra; other axes must broadcast."""
    rank = np.ndim(in1)
    axes = range(rank) if axes is None else (axes,) if isinstance(axes, int) else axes
    return _fftconvolve(in1, in2, mode, canonicalize_axes(tuple(axes), rank) if rank else ())


def _by_fft(x: Any, y: Any, mode: str, axes: tuple[int, ...]) -> Any:
    if not axes:
        return x * y
    x, y = _larger_first(x, y, mode, axes)
    others = [i for i in range(x.ndim) if i not in axes]
    if any(x.shape[i] != y.shape[i] and 1 not in (x.shape[i], y.shape[i]) for i in others):
        raise ValueError(f"incompatible shapes for in1 and in2: {x.shape} and {y.shape}")
    sizes = [x.shape[i] + y.shape[i] - 1 for i in axes]
    if x.dtype.kind == "c":
        spectrum = jnp.fft.fftn(x, sizes, axes) * jnp.fft.fftn(y, sizes, axes)
        out = jnp.fft.ifftn(spectrum, sizes, axes)
    else:
        spectrum = jnp.fft.rfftn(x, sizes, axes) * jnp.fft.rfftn(y, sizes, axes)
        out = jnp.fft.irfftn(spectrum, sizes, axes).astype(x.dtype)
    target = list(out.shape)
    for i in axes:
        if mode == "same":
            target[i] = x.shape[i]
        elif mode == "valid":
            target[i] = x.shape[i] - y.shape[i] + 1
    return _centered(out, target)


# --- Trends ------------------------------------------------------------------------------------


def detrend(data: ArrayLike, axis: int = -1, type: str = "linear", bp: Any = 0,
            overwrite_data: None = None) -> Array:
    """The data less its mean ("constant") or its lines of least squares between breaks `bp`."""
    if overwrite_data is not None:
        raise NotImplementedError("overwrite_data argument not implemented.")
    if type not in ("constant", "linear"):
        raise ValueError("Trend type must be 'linear' or 'constant'.")
    breaks = tuple(int(i) for i in np.atleast_1d(bp))
    return _detrend(data, axis, type, breaks)


@fused(static_argnums=(1, 2, 3))
def _detrend(data: Any, axis: int, type: str, breaks: tuple[int, ...]) -> Any:
    x, = promotion.promoted_inexact("detrend", data)
    if type == "constant":
        return x - jnp.mean(x, axis, keepdims=True)
    axis = canonicalize_axis(axis, x.ndim)
    n = x.shape[axis]
    edges = sorted({0, n, *breaks})
    if edges[-1] > n or edges[0] < 0:
        raise ValueError("Breakpoints must be non-negative and less than length of data along "
                         "given axis.")
    parts = []
    for start, stop in zip(edges, edges[1:]):
        part = lax.slice_in_dim(x, start, stop, axis=axis)
        m = stop - start
        t = (np.arange(m) - (m - 1) / 2).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
        square = float((t * t).sum()) or 1.0
        slope = jnp.sum(part * t.astype(x.dtype), axis, keepdims=True) / square
        parts.append(part - jnp.mean(part, axis, keepdims=True) - slope * t.astype(x.dtype))
    return jnp.concatenate(parts, axis)


# --- Spectra -----------------------------------------------------------------------------------


def _window(window: Any, nperseg: int | None, n: int) -> tuple[Any, int]:
    """(the window, its length), from SciPy's names or an array."""
    if isinstance(window, (str, tuple)):
        from scipy import signal
        nperseg = min(256 if nperseg is None else operator.index(nperseg), n)
        return signal.get_window(window, nperseg), nperseg
    window = jnp.asarray(window)
    if window.ndim != 1:
        raise ValueError("window must be 1-D")
    size = window.shape[0]
    if size > n:
        raise ValueError("window is longer than input signal")
    if nperseg is not None and nperseg != size:
        raise ValueError("value specified for nperseg is different from length of window")
    return window, size


def _lengths(nperseg: int, noverlap: int | None, nfft: int | None) -> tuple[int, int]:
    if nperseg < 1:
        raise ValueError("nperseg must be a positive integer")
    noverlap = nperseg // 2 if noverlap is None else operator.index(noverlap)
    nfft = nperseg if nfft is None else operator.index(nfft)
    if nfft < nperseg:
        raise ValueError("nfft must be greater than or equal to nperseg.")
    if noverlap >= nperseg:
        raise ValueError("noverlap must be less than nperseg.")
    return noverlap, nfft


_BOUNDARIES = {"even": dict(mode="reflect"), "odd": dict(mode="reflect", reflect_type="odd"),
               "constant": dict(mode="edge"), "zeros": dict(mode="constant"), None: None}


def _extended(x: Any, nperseg: int, noverlap: int, boundary: str | None, padded: bool) -> Any:
    """The signal with half a segment more at both ends, and filled up to whole segments."""
    if boundary not in _BOUNDARIES:
        raise ValueError(f"Unknown boundary option '{boundary}', must be one of: "
                         f"{list(_BOUNDARIES)}")
    outer = [(0, 0)] * (x.ndim - 1)
    if boundary is not None:
        x = jnp.pad(x, [*outer, (nperseg // 2, nperseg // 2)], **_BOUNDARIES[boundary])
    if padded:
        missing = -(x.shape[-1] - nperseg) % (nperseg - noverlap) % nperseg
        x = jnp.pad(x, [*outer, (0, missing)])
    return x


def _spectra(x: Any, window: Any, nperseg: int, noverlap: int, nfft: int, trend: Any,
             onesided: bool) -> Any:
    """The spectra [..., segment, frequency] of the windowed segments of the last axis."""
    step = nperseg - noverlap
    count = (x.shape[-1] - noverlap) // step
    segments = x[..., np.arange(count)[:, None] * step + np.arange(nperseg)]
    if callable(trend):
        segments = trend(segments)
    elif trend:
        segments = detrend(segments, axis=-1, type=trend)
    window = window.reshape((1,) * (segments.ndim - 1) + (-1,))
    segments = segments * window.astype(segments.dtype)
    if onesided:
        return jnp.fft.rfft(segments, nfft)
    return jnp.fft.fft(segments, nfft)


def _frequencies(nfft: int, fs: float, onesided: bool, dtype: Any) -> Array:
    values = (np.fft.rfftfreq if onesided else np.fft.fftfreq)(nfft, 1 / fs)
    return jnp.asarray(values.astype(dtypes.to_real(dtype)))


def _signal(name: str, x: Any, axis: int) -> Any:
    x, = promotion.promoted_inexact(name, x)
    if not x.size:
        raise ValueError(f"{name}: zero-size arrays are not supported, got shape {x.shape}")
    return jnp.moveaxis(x, canonicalize_axis(axis, x.ndim), -1)


def stft(x: Array, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int = 256,
         noverlap: int | None = None, nfft: int | None = None, detrend: Any = False,
         return_onesided: bool = True, boundary: str | None = "zeros", padded: bool = True,
         axis: int = -1) -> tuple[Array, Array, Array]:
    """(frequencies, times, z): spectra of overlapping windowed segments, times in z's last axis."""
    x = _signal("stft", x, axis)
    window, nperseg = _window(window, nperseg, x.shape[-1])
    noverlap, nfft = _lengths(nperseg, noverlap, nfft)
    onesided = return_onesided and x.dtype.kind != "c"
    real = dtypes.to_real(x.dtype)
    window = jnp.asarray(window, real)
    x = _extended(x, nperseg, noverlap, boundary, padded)
    z = _spectra(x, window, nperseg, noverlap, nfft, detrend, onesided)
    z = z / jnp.sum(window).astype(z.dtype)
    times = np.arange(nperseg / 2, x.shape[-1] - nperseg / 2 + 1, nperseg - noverlap) / float(fs)
    if boundary is not None:
        times = times - nperseg / 2 / float(fs)
    z = jnp.moveaxis(z, -1, axis if axis >= 0 else axis - 1)
    return _frequencies(nfft, fs, onesided, real), jnp.asarray(times.astype(real)), z


def csd(x: Array, y: ArrayLike | None, fs: ArrayLike = 1.0, window: Any = "hann",
        nperseg: int | None = None, noverlap: int | None = None, nfft: int | None = None,
        detrend: Any = "constant", return_onesided: bool = True, scaling: str = "density",
        axis: int = -1, average: str = "mean") -> tuple[Array, Array]:
    """(frequencies, cross spectral density of x and y) by Welch's method; y None means x."""
    alone = y is None
    same = alone or y is x
    x = _signal("csd", x, axis)
    y = x if same else _signal("csd", y, axis)
    x, y = promotion.promote(x, y)
    if not same:
        outer = lax.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        n = max(x.shape[-1], y.shape[-1])
        x, y = [jnp.pad(jnp.broadcast_to(v, (*outer, v.shape[-1])),
                        [(0, 0)] * len(outer) + [(0, n - v.shape[-1])]) for v in (x, y)]
    window, nperseg = _window(window, nperseg, x.shape[-1])
    noverlap, nfft = _lengths(nperseg, noverlap, nfft)
    onesided = return_onesided and x.dtype.kind != "c"
    real = dtypes.to_real(x.dtype)
    window = jnp.asarray(window, real)
    spectra = [_spectra(v, window, nperseg, noverlap, nfft, detrend, onesided)
               for v in ((x,) if same else (x, y))]
    product = jnp.conj(spectra[0]) * spectra[-1]
    product = product * _power_scale(window, fs, scaling).astype(product.dtype)
    if onesided:
        twice = np.full(product.shape[-1], 2, real)
        twice[0] = 1
        if nfft % 2 == 0:
            twice[-1] = 1
        product = product * twice.reshape((1,) * (product.ndim - 1) + (-1,)).astype(product.dtype)
    product = jnp.real(product) if alone else product
    out = _averaged(product, average)
    return (_frequencies(nfft, fs, onesided, real),
            jnp.moveaxis(out, -1, canonicalize_axis(axis, out.ndim)))


def _power_scale(window: Any, fs: Any, scaling: str) -> Any:
    if scaling == "density":
        return 1 / (fs * jnp.sum(window * window))
    if scaling == "spectrum":
        return 1 / jnp.sum(window) ** 2
    raise ValueError(f"Unknown scaling: {scaling}")


def _averaged(spectra: Any, average: str) -> Any:
    """The mean over segments, or the median corrected for its bias."""
    if average not in ("mean", "median"):
        raise ValueError(f"average must be \"median\" or \"mean\", got {average}")
    if average == "mean":
        return jnp.mean(spectra, axis=-2)
    k = 2 * np.arange(1, (spectra.shape[-2] - 1) // 2 + 1)
    bias = 1 + float(np.sum(1 / (k + 1) - 1 / k))
    if spectra.dtype.kind == "c":
        parts = [jnp.median(part, axis=-2) for part in (jnp.real(spectra), jnp.imag(spectra))]
        return lax.complex(*parts) / bias
    return jnp.median(spectra, axis=-2) / bias


def welch(x: Array, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int | None = None,
          noverlap: int | None = None, nfft: int | None = None, detrend: Any = "constant",
          return_onesided: bool = True, scaling: str = "density", axis: int = -1,
          average: str = "mean") -> tuple[Array, Array]:
    """(frequencies, power spectral density) by Welch's method."""
    frequencies, power = csd(x, None, fs, window, nperseg, noverlap, nfft, detrend,
                             return_onesided, scaling, axis, average)
    return frequencies, jnp.real(power)


def istft(Zxx: Array, fs: ArrayLike = 1.0, window: Any = "hann", nperseg: int | None = None,
          noverlap: int | None = None, nfft: int | None = None, input_onesided: bool = True,
          boundary: bool = True, time_axis: int = -1,
          freq_axis: int = -2) -> tuple[Array, Array]:
    """(times, signal): the signal whose `stft` is Zxx, from overlapping windowed segments."""
    promotion.check_array_like("istft", Zxx)
    z = jnp.asarray(Zxx)
    if z.ndim < 2:
        raise ValueError("Input stft must be at least 2d!")
    freq, time = [canonicalize_axis(a, z.ndim) for a in (freq_axis, time_axis)]
    if freq == time:
        raise ValueError("Must specify differing time and frequency axes!")
    z = z.astype(dtypes.to_complex(promotion.inexact_dtype(z.dtype)))
    real = dtypes.to_real(z.dtype)
    bins = z.shape[freq]
    default = 2 * (bins - 1) if input_onesided else bins
    nperseg = default if nperseg is None else operator.index(nperseg)
    if nfft is None:
        nfft = nperseg if input_onesided and nperseg == default + 1 else default
    noverlap, nfft = _lengths(nperseg, noverlap, nfft)
    window, _ = _window(window, nperseg, nperseg)
    window = jnp.asarray(window)
    window = window.astype(window.dtype if window.dtype.kind == "c" else real)
    spectra = jnp.moveaxis(z, (time, freq), (-2, -1))
    parts = (jnp.fft.irfft if input_onesided else jnp.fft.ifft)(spectra, nfft)[..., :nperseg]
    scale = (window * jnp.sum(window)).reshape((1,) * (parts.ndim - 1) + (-1,))
    out = _overlapped(parts * scale.astype(parts.dtype), window, nperseg - noverlap)
    if boundary:
        out = out[..., nperseg // 2:out.shape[-1] - nperseg // 2]
    out = jnp.real(out) if input_onesided else out
    if out.ndim > 1 and time != z.ndim - 1:
        out = jnp.moveaxis(out, -1, time - 1 if freq < time else time)
    times = np.arange(out.shape[0]) / float(fs)
    return jnp.asarray(times.astype(real)), out


def _overlapped(parts: Any, window: Any, step: int) -> Any:
    """The segments [..., count, size] added up where they belong, over the windows' squares."""
    count, size = parts.shape[-2:]
    places = np.arange(count)[:, None] * step + np.arange(size)
    length = int(places[-1, -1]) + 1
    total = jnp.zeros((*parts.shape[:-2], length), parts.dtype).at[..., places].add(parts)
    square = jnp.broadcast_to(window[None] * window[None], places.shape)
    weight = jnp.zeros(length, square.dtype).at[places].add(square)
    weight = jnp.where(jnp.abs(weight) > 1e-10, weight, 1)
    return total / weight.astype(parts.dtype).reshape((1,) * (total.ndim - 1) + (-1,))
