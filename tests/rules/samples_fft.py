"""Samples of the primitive of lax/fft.py."""

from __future__ import annotations

from minijax.lax import FftType

from .sample import Sample, Samples


def transform(kind: FftType, shape: tuple[int, ...], lengths: tuple[int, ...]) -> Sample:
    real = kind == FftType.RFFT
    return Sample((shape,), {"fft_type": kind, "fft_lengths": lengths},
                  dtypes=("f",) if real else ("c",), keep=(0,) if real else ())


SAMPLES: Samples = {
    "fft": [
        transform(FftType.FFT, (2, 4), (4,)), transform(FftType.FFT, (2, 3, 4), (3, 4)),
        transform(FftType.IFFT, (2, 5), (5,)), transform(FftType.IFFT, (3, 4), (3, 4)),
        transform(FftType.RFFT, (2, 4), (4,)), transform(FftType.RFFT, (2, 5), (5,)),
        transform(FftType.RFFT, (3, 4), (3, 4)), transform(FftType.IRFFT, (2, 3), (4,)),
        transform(FftType.IRFFT, (2, 3), (5,)), transform(FftType.IRFFT, (3, 3), (3, 4)),
    ],
}
