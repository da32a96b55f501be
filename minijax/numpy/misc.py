"""Functions without a family: convolution, bits, windows, applying functions along axes.

    convolve(x, kernel, mode="same")
    apply_along_axis(f, 0, x)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.custom_jvp import custom_jvp
from minijax.api.vmap import vmap
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axis
from minijax.core import structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import host, promotion, ufuncs
from minijax.runtime.call import fused

_MODES = ("full", "same", "valid")


# --- Convolution -------------------------------------------------------------------------------


def convolve(a: ArrayLike, v: ArrayLike, mode: str = "full", *, precision: Any = None,
             preferred_element_type: Any = None) -> Any:
    """The convolution of two vectors: all of it ("full"), or the part that `mode` names."""
    return _convolve(a, v, ("convolve", mode, precision, preferred_element_type))


def correlate(a: ArrayLike, v: ArrayLike, mode: str = "valid", *, precision: Any = None,
              preferred_element_type: Any = None) -> Any:
    """The correlation of two vectors: sums of a[n + k] * conj(v[n])."""
    return _convolve(a, v, ("correlate", mode, precision, preferred_element_type))


@fused(static_argnums=2)
def _convolve(a: Any, v: Any, options: tuple) -> Any:
    name, mode, precision, preferred = options
    promoted = promotion.promoted if preferred else promotion.promoted_inexact
    a, v = promoted(name, a, v)
    if a.ndim != 1 or v.ndim != 1:
        raise ValueError(errors.describe(f"{name}() only support 1-dimensional inputs.",
                                         because=f"shapes {a.shape} and {v.shape}",
                                         fix="x.ravel(), or jax.lax.conv_general_dilated"))
    if not a.size or not v.size:
        raise ValueError(errors.describe(
            f"{name}: inputs cannot be empty, got shapes {tuple(a.shape)} and {tuple(v.shape)}.",
            fix="give at least one element"))
    if mode not in _MODES:
        raise ValueError(errors.describe(f"mode must be one of {list(_MODES)}",
                                         because=f"mode={mode!r}", fix="mode='full'"))
    swapped = a.shape[0] < v.shape[0]
    if name == "correlate":
        v = lax.conj(v) if v.dtype in promotion.COMPLEX else v
        out = _slide(*((v, a) if swapped else (a, v)), mode, precision, preferred)
        return lax.rev(out, (0,)) if swapped else out
    a, v = (v, a) if swapped else (a, v)
    return _slide(a, lax.rev(v, (0,)), mode, precision, preferred)


def _slide(a: Any, v: Any, mode: str, precision: Any, preferred: Any) -> Any:
    """Products of the longer vector `a` with `v` moved along it."""
    size = v.shape[0]
    padding = {"full": (size - 1, size - 1), "same": (size // 2, size - size // 2 - 1),
               "valid": (0, 0)}[mode]
    out = lax.conv_general_dilated(
        structural.broadcast_in_dim(a, (1, 1, a.shape[0]), (2,)),
        structural.broadcast_in_dim(v, (1, 1, size), (2,)), (1,), [padding],
        precision=precision, preferred_element_type=preferred)
    return lax.squeeze(out, (0, 1))


# --- Bits --------------------------------------------------------------------------------------


def _bit_numbers(bitorder: str, rank: int) -> np.ndarray:
    """The numbers of a byte's bits in the order asked for, along the last of rank + 1 axes."""
    if bitorder not in ("big", "little"):
        raise ValueError(errors.describe("'order' must be either 'little' or 'big'",
                                         because=f"bitorder={bitorder!r}", fix="bitorder='big'"))
    numbers = np.arange(8, dtype=np.uint8)
    return (numbers[::-1] if bitorder == "big" else numbers).reshape((1,) * rank + (8,))


@fused(static_argnames=("axis", "bitorder"))
def packbits(a: ArrayLike, axis: int | None = None, bitorder: str = "big") -> Any:
    """Eight elements each along `axis` (None: of the flat array) as the bits of a uint8."""
    x, axis = promotion.along("packbits", a, axis)
    if x.dtype != np.bool_ and not dtypes.issubdtype(x.dtype, np.integer):
        raise TypeError(errors.describe(
            "Expected an input array of integer or boolean data type",
            because=f"the dtype is {x.dtype}", fix="packbits(x != 0)"))
    bits = structural.move_axis(promotion.convert(ufuncs.truth(x), np.dtype(np.uint8)), axis, -1)
    last, size = x.ndim - 1, x.shape[axis]
    if size % 8:
        config = [(0, 0, 0)] * last + [(0, -size % 8, 0)]
        bits = lax.pad(bits, np.uint8(0), config)
    bits = structural.reshape(bits, (*bits.shape[:-1], bits.shape[-1] // 8, 8))
    weights = np.uint32(1) << _bit_numbers(bitorder, x.ndim)
    wide = ufuncs.multiply(promotion.convert(bits, np.dtype(np.uint32)), weights)
    packed = promotion.convert(structural.reduce_sum(wide, (last + 1,)), np.dtype(np.uint8))
    return structural.move_axis(packed, -1, axis)


@fused(static_argnames=("axis", "count", "bitorder"))
def unpackbits(a: ArrayLike, axis: int | None = None, count: int | None = None,
               bitorder: str = "big") -> Any:
    """The bits of a uint8 array along `axis`; `count` cuts them, or pads with zeros."""
    x, axis = promotion.along("unpackbits", a, axis)
    if x.dtype != np.uint8:
        raise TypeError(errors.describe("Expected an input array of unsigned byte data type",
                                        because=f"the dtype is {x.dtype}",
                                        fix="x.astype('uint8')"))
    x = structural.move_axis(x, axis, -1)
    wide = structural.broadcast_in_dim(x, (*x.shape, 8), tuple(range(x.ndim)))
    shifted = ufuncs.right_shift(wide, _bit_numbers(bitorder, x.ndim))
    bits = ufuncs.bitwise_and(shifted, np.uint8(1))
    bits = structural.reshape(bits, (*x.shape[:-1], x.shape[-1] * 8))
    if count is not None:
        extra = count - bits.shape[-1] if count >= 0 else count
        config = [(0, 0, 0)] * (x.ndim - 1) + [(0, extra, 0)]
        bits = lax.pad(bits, np.uint8(0), config)
    return structural.move_axis(bits, -1, axis)


# --- Functions along axes ----------------------------------------------------------------------


def apply_along_axis(func1d: Callable, axis: int, arr: ArrayLike, *args: Any,
                     **kwargs: Any) -> Any:
    """`func1d` of every vector along `axis`; its result's axes take the place of that axis."""
    arr = promotion.array_operand("apply_along_axis", arr)
    axis = canonicalize_axis(axis, arr.ndim)

    def fun(x: Any) -> Any:
        return func1d(x, *args, **kwargs)

    for i in range(1, arr.ndim - axis):
        fun = vmap(fun, in_axes=i, out_axes=-1)
    for _ in range(axis):
        fun = vmap(fun)
    return fun(arr)


def apply_over_axes(func: Callable[[Any, int], Any], a: ArrayLike, axes: Sequence[int]) -> Any:
    """`func(x, axis)` for one axis after the other; lost axes come back with size 1."""
    x = promotion.array_operand("apply_over_axes", a)
    for axis in axes:
        out = func(x, axis)
        if out.ndim == x.ndim - 1:
            out = lax.expand_dims(out, (canonicalize_axis(axis, x.ndim),))
        elif out.ndim != x.ndim:
            raise ValueError(errors.describe(
                "function is not returning an array of the correct shape",
                because=f"shape {tuple(out.shape)} from {tuple(x.shape)}",
                fix="return one axis less, or as many"))
        x = out
    return x


# --- vander, windows, i0 -----------------------------------------------------------------------


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Any:
    """The matrix whose columns are powers of the vector x, the highest first."""
    x = promotion.operand("vander", x)
    if np.ndim(x) != 1:
        raise promotion.shape_error("x must be a one-dimensional array", x, "x.ravel()")
    count = np.shape(x)[0] if N is None else operator.index(N)
    if count < 0:
        raise ValueError(errors.describe("N must be nonnegative", because=f"N={count}",
                                         fix="the number of columns"))
    return _vander(x, count, bool(increasing))


@fused(static_argnums=(1, 2))
def _vander(x: Any, count: int, increasing: bool) -> Any:
    x = promotion.as_array(x)
    powers = lax.iota(x.dtype, count)
    powers = powers if increasing else lax.rev(powers, (0,))
    return ufuncs.power(lax.expand_dims(x, (1,)), lax.expand_dims(powers, (0,)))


def _window(M: int, make: Callable[[Any], Any]) -> Any:
    """A window of M points; a single 1 for M = 1."""
    size = operator.index(host.known(M, "the number of points of a window"))
    dtype = dtypes.scalar_dtype(float)
    values = np.ones(max(size, 0)) if size <= 1 else make(np.arange(size))
    return host.array(np.asarray(values, dtype), None)


def bartlett(M: int) -> Any:
    """The triangular window of M points."""
    return _window(M, lambda n: np.bartlett(n.size))


def blackman(M: int) -> Any:
    """Blackman's window of M points."""
    return _window(M, lambda n: np.blackman(n.size))


def hamming(M: int) -> Any:
    """Hamming's window of M points."""
    return _window(M, lambda n: np.hamming(n.size))


def hanning(M: int) -> Any:
    """The von Hann window of M points."""
    return _window(M, lambda n: np.hanning(n.size))


def kaiser(M: int, beta: ArrayLike) -> Any:
    """Kaiser's window of M points with the shape `beta`."""
    size = operator.index(host.known(M, "the number of points of a window"))
    if size <= 1:
        return _window(size, np.ones_like)
    return _kaiser(size, beta)


@fused(static_argnums=0)
def _kaiser(size: int, beta: Any) -> Any:
    dtype = dtypes.scalar_dtype(float)
    beta = promotion.convert(promotion.operand("kaiser", beta, 1), dtype)
    half = 0.5 * (size - 1)
    roots = np.sqrt(1 - ((np.arange(size) - half) / half) ** 2).astype(dtype)
    return ufuncs.true_divide(i0.body(ufuncs.multiply(beta, roots)), i0.body(beta))


@fused
def i0(x: ArrayLike) -> Any:
    """The modified Bessel function of the first kind and order 0."""
    x, = promotion.promoted_inexact("i0", x)
    if x.dtype in promotion.COMPLEX:
        raise ValueError(errors.describe(f"Unsupported input type to jax.numpy.i0: {x.dtype}",
                                         fix="real numbers"))
    return _i0(x)


@custom_jvp
def _i0(x: Any) -> Any:
    return lax.mul(lax.exp(lax.abs(x)), lax.bessel_i0e(x))


# The product rule would be wrong at 0, where abs has a derivative of 1.
_i0.defjvps(lambda t, out, x: lax.mul(t, lax.mul(lax.exp(lax.abs(x)), lax.bessel_i1e(x))))
