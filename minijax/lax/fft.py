"""Discrete Fourier transforms over the last axes.

The one invariant: `fft_lengths` are the lengths of the transformed axes in the *real* domain, so
`rfft` and its inverse carry the same numbers; the complex side has n // 2 + 1 entries last.

    >>> lax.fft(jnp.complex64([1, 0, 0, 0]), "fft", (4,))
    Array([1.+0.j, 1.+0.j, 1.+0.j, 1.+0.j], dtype=complex64)
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import (Primitive, ShapedArray, aval_of, convert_element_type, front_axis,
                          get_aval, linear)
from minijax.lax.elementwise import conj, mul
from minijax.lax.rules import ArrayLike, scalar_like


class FftType(IntEnum):
    """Which transform: forward or inverse, of complex or of real data."""

    FFT = 0
    IFFT = 1
    RFFT = 2
    IRFFT = 3


def fft(x: ArrayLike, fft_type: FftType | str, fft_lengths: Sequence[int]) -> Array:
    """The Fourier transform of `x` over its last `len(fft_lengths)` axes.

    `fft_type` is "fft", "ifft", "rfft" or "irfft"; `fft_lengths` must equal the sizes of these
    axes, where for "irfft" the last size is `fft_lengths[-1] // 2 + 1`.
    """
    kind = _fft_type(fft_type)
    lengths = tuple([operator.index(n) for n in fft_lengths])
    dtype = get_aval(x).dtype
    if kind is FftType.RFFT:
        if dtype.kind == "c":
            raise ValueError(errors.describe("only real valued inputs supported for rfft",
                                             fix="lax.fft(x, 'fft', fft_lengths)"))
        x = convert_element_type(x, dtypes.to_inexact(dtype))
    else:
        x = convert_element_type(x, dtypes.to_complex(dtypes.to_inexact(dtype)))
    if not lengths:
        return x
    return fft_p.bind(x, fft_type=kind, fft_lengths=lengths)


def _fft_type(value: FftType | str) -> FftType:
    if isinstance(value, str) and value.upper() in FftType.__members__:
        return FftType[value.upper()]
    if isinstance(value, FftType):
        return value
    kind, what = (ValueError, "type") if isinstance(value, str) else (TypeError, "type value")
    raise kind(errors.describe(f"Unknown FFT {what} '{value}'",
                               fix="one of 'fft', 'ifft', 'rfft', 'irfft'"))


def _fft_shape(x: ShapedArray, *, fft_type: FftType, fft_lengths: tuple) -> ShapedArray:
    n = len(fft_lengths)
    last = fft_lengths[-1]
    half = (*fft_lengths[:-1], last // 2 + 1)
    wanted = half if fft_type == FftType.IRFFT else fft_lengths
    fail = None
    if fft_type == FftType.RFFT and x.dtype not in (np.float32, np.float64):
        fail = f"RFFT input must be float32 or float64, got {x.dtype.name}"
    elif fft_type != FftType.RFFT and not dtypes.issubdtype(x.dtype, np.complexfloating):
        fail = f"{fft_type.name} input must be complex, got {x.dtype.name}"
    elif x.ndim < n:
        fail = (f"FFT input shape {x.shape} must have at least as many input dimensions as "
                f"fft_lengths {fft_lengths}.")
    elif x.shape[x.ndim - n:] != wanted:
        what = f"fft_lengths {fft_lengths}"
        if fft_type == FftType.IRFFT:
            what = f"all except the last fft_length, got {fft_lengths=}"
        name = fft_type.name.replace("IFFT", "FFT")
        fail = f"{name} input shape {x.shape} minor dimensions must be equal to {what}"
    if fail:
        raise ValueError(errors.describe(fail, fix="pad or cut the axes to the lengths first"))
    outer = x.shape[:x.ndim - n]
    if fft_type == FftType.RFFT:
        return x.update(shape=(*outer, *half), dtype=dtypes.to_complex(x.dtype))
    if fft_type == FftType.IRFFT:
        return x.update(shape=(*outer, *fft_lengths), dtype=dtypes.to_real(x.dtype))
    return x


def _multiplicity(n: int, dtype: Any) -> np.ndarray:
    """How often each entry of a half spectrum of n points occurs in the whole one."""
    count = np.full(n // 2 + 1, 2.0)
    count[0] = 1.0
    if n % 2 == 0:
        count[-1] = 1.0
    return count.astype(dtype)


def _fft_transpose(ct: Any, x: Any, *, fft_type: FftType, fft_lengths: tuple) -> Any:
    if fft_type in (FftType.FFT, FftType.IFFT):  # their matrices are symmetric
        return fft(ct, fft_type, fft_lengths)
    last, size = fft_lengths[-1], math.prod(fft_lengths)
    if fft_type == FftType.RFFT:
        # The inverse of this map is its transpose, weighted by multiplicities, up to conjugation.
        weight = _along_last(1 / _multiplicity(last, np.float64), ct)
        full = fft(conj(mul(ct, weight)), FftType.IRFFT, fft_lengths)
        return mul(full, scalar_like(full, size))
    half = fft(ct, FftType.RFFT, fft_lengths)
    return conj(mul(half, _along_last(_multiplicity(last, np.float64) / size, half)))


def _along_last(values: np.ndarray, like: Any) -> np.ndarray:
    aval = aval_of(like)
    return values.astype(aval.dtype).reshape((1,) * (aval.ndim - 1) + (-1,))


fft_p = Primitive(
    "fft", shape=_fft_shape, jvp=linear, transpose=_fft_transpose,
    vmap=front_axis(lambda axis, args, batched, **params: fft_p.bind(*args, **params)))
