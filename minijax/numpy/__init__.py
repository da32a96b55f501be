"""`minijax.numpy`: NumPy's functions on arrays that can be differentiated, batched and compiled.

Functions follow NumPy, with these differences: arrays are immutable (`x.at[i].set(y)` gives a
changed copy), the default dtypes have 32 bits, Python scalars do not change the dtype of arrays,
and `out=` arguments are refused.

    import minijax.numpy as jnp
    jnp.sum(jnp.arange(3.0) ** 2)       # 5.0
"""

from types import ModuleType as _ModuleType

import numpy as _np

from minijax.base.jaxlib import Array as ndarray
from minijax.numpy.array_api import namespace_info as _namespace_info
from minijax.numpy.arithmetic import (
    clip, copysign, divmod, floor_divide, fmax, fmin, fmod, gcd, heaviside, hypot, lcm, logaddexp,
    logaddexp2, mod, remainder, sinc)
from minijax.numpy.choosing import piecewise, select, where
from minijax.numpy.creation import (
    arange, array, asarray, astype, copy, empty, empty_like, full, full_like, ones, ones_like,
    zeros, zeros_like)
from minijax.numpy.diagonals import diag, diagflat, diagonal, eye, identity, tri, tril, triu
from minijax.numpy.dtypes_api import (
    ComplexWarning, bfloat16, bool, bool_, can_cast, cdouble, character, complex64, complex128,
    complex_, complexfloating, csingle, double, dtype, finfo, flexible, float4_e2m1fn,
    float6_e2m3fn, float6_e3m2fn, float8_e3m4, float8_e4m3, float8_e4m3b11fnuz, float8_e4m3fn,
    float8_e4m3fnuz, float8_e5m2, float8_e5m2fnuz, float8_e8m0fnu, float16, float32, float64,
    float_, floating, generic, iinfo, inexact, int2, int4, int8, int16, int32, int64, int_,
    integer, iscomplexobj, isdtype, isrealobj, isscalar, issubdtype, iterable, ndim, number,
    object_, promote_types, result_type, shape, signedinteger, single, size, uint, uint2, uint4,
    uint8, uint16, uint32, uint64, unsignedinteger)
from minijax.numpy.editing import append, delete, insert, resize, trim_zeros
from minijax.numpy.exchange import (
    from_dlpack, frombuffer, fromfile, fromiter, fromstring, load)
from minijax.numpy.floats import (
    allclose, angle, around, array_equal, array_equiv, frexp, isclose, iscomplex, isfinite, isinf,
    isnan, isneginf, isposinf, isreal, ldexp, modf, nan_to_num, rint, round, signbit, spacing)
from minijax.numpy.grids import fromfunction, geomspace, indices, linspace, logspace, meshgrid
from minijax.numpy.joining import (
    array_split, block, column_stack, concat, concatenate, dsplit, dstack, hsplit, hstack, split,
    stack, unstack, vsplit, vstack)
from minijax.numpy.manipulation import (
    atleast_1d, atleast_2d, atleast_3d, broadcast_arrays, broadcast_shapes, broadcast_to,
    expand_dims, flip, fliplr, flipud, matrix_transpose, moveaxis, permute_dims, ravel, repeat,
    reshape, roll, rollaxis, rot90, squeeze, swapaxes, tile, transpose)
from minijax.numpy.nan_reductions import (
    nanargmax, nanargmin, nancumprod, nancumsum, nanmax, nanmean, nanmin, nanprod, nanstd, nansum,
    nanvar)
from minijax.numpy.padding import pad
from minijax.numpy.reductions import (
    all, amax, amin, any, argmax, argmin, average, count_nonzero, cumprod, cumsum,
    cumulative_prod, cumulative_sum, max, mean, min, prod, ptp, std, sum, var)
from minijax.numpy.ufuncs import (
    abs, absolute, acos, acosh, add, arccos, arccosh, arcsin, arcsinh, arctan, arctan2, arctanh,
    asin, asinh, atan, atan2, atanh, bitwise_and, bitwise_count, bitwise_invert,
    bitwise_left_shift, bitwise_not, bitwise_or, bitwise_right_shift, bitwise_xor, cbrt, ceil,
    conj, conjugate, cos, cosh, deg2rad, degrees, divide, equal, exp, exp2, expm1, fabs,
    float_power, floor, greater, greater_equal, imag, invert, left_shift, less, less_equal, log,
    log1p, log2, log10, logical_and, logical_not, logical_or, logical_xor, maximum, minimum,
    multiply, negative, nextafter, not_equal, positive, pow, power, rad2deg, radians, real,
    reciprocal, right_shift, sign, sin, sinh, sqrt, square, subtract, tan, tanh, true_divide,
    trunc)

# --- indexing, products, sorting, sets, statistics (NUMPY-B) -----------------------------------

from minijax.numpy import fft, linalg  # noqa: E402
from minijax.numpy.calculus import (  # noqa: E402
    diff, ediff1d, gradient, interp, trapezoid, unwrap)
from minijax.numpy.einsums import einsum, einsum_path  # noqa: E402
from minijax.numpy.misc import (  # noqa: E402
    apply_along_axis, apply_over_axes, bartlett, blackman, convolve, correlate, hamming, hanning,
    i0, kaiser, packbits, unpackbits, vander)
from minijax.numpy.polynomial import (  # noqa: E402
    poly, polyadd, polyder, polydiv, polyfit, polyint, polymul, polysub, polyval, roots)
from minijax.numpy.products import (  # noqa: E402
    cross, dot, inner, kron, matmul, matvec, outer, tensordot, trace, vdot, vecdot, vecmat)
from minijax.numpy.selection import (  # noqa: E402
    argwhere, choose, compress, diag_indices, diag_indices_from, extract, fill_diagonal,
    flatnonzero, ix_, mask_indices, nonzero, place, put, put_along_axis, ravel_multi_index, take,
    take_along_axis, tril_indices, tril_indices_from, triu_indices, triu_indices_from,
    unravel_index)
from minijax.numpy.sets import (  # noqa: E402
    intersect1d, isin, setdiff1d, setxor1d, union1d, unique, unique_all, unique_counts,
    unique_inverse, unique_values)
from minijax.numpy.sorting import (  # noqa: E402
    argpartition, argsort, bincount, digitize, lexsort, partition, searchsorted, sort,
    sort_complex)
from minijax.numpy.statistics import (  # noqa: E402
    corrcoef, cov, histogram, histogram2d, histogram_bin_edges, histogramdd, median, nanmedian,
    nanpercentile, nanquantile, percentile, quantile)

# --- constants, printing, and what attaches operators and methods ------------------------------

from minijax.numpy import dtypes_api as _dtypes_api, methods as _methods  # noqa: E402
from minijax.numpy.index_tricks import (  # noqa: E402
    c_, index_exp, mgrid, ogrid, r_, s_)
from minijax.numpy.ufunc_class import frompyfunc, ufunc  # noqa: E402
from minijax.numpy.vectorizing import vectorize  # noqa: E402

if hasattr(_dtypes_api, "int1"):
    int1, uint1 = _dtypes_api.int1, _dtypes_api.uint1

e: float = _np.e
euler_gamma: float = _np.euler_gamma
inf: float = _np.inf
nan: float = _np.nan
newaxis: None = None
pi: float = _np.pi

array_repr = _np.array_repr
array_str = _np.array_str
get_printoptions = _np.get_printoptions
printoptions = _np.printoptions
set_printoptions = _np.set_printoptions
save = _np.save
savez = _np.savez

# The edition of the array API standard that this namespace follows: SciPy asks.
__array_api_version__ = "2024.12"
__array_namespace_info__ = _namespace_info

__all__ = sorted(
    name for name, value in globals().items()
    if not name.startswith("_") and not isinstance(value, _ModuleType))
