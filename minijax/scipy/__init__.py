"""Functions of SciPy on our arrays, by SciPy's module names."""

from minijax.scipy import (
    cluster, fft, integrate, interpolate, linalg, ndimage, optimize, signal, sparse, spatial,
    special, stats,
)

__all__ = ["cluster", "fft", "integrate", "interpolate", "linalg", "ndimage", "optimize", "signal",
           "sparse", "spatial", "special", "stats"]
