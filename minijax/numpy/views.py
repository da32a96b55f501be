"""The bits of arrays seen in another way: view and byteswap.

Invariant: the last axis takes up any difference in the size of elements, and bytes are in
little-endian order on every device.

    x.view(jnp.int32), x.byteswap()
"""

from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.core import structural
from minijax.numpy.promotion import BOOL, COMPLEX
from minijax.runtime.call import fused

_UINT8 = np.dtype(np.uint8)


def view(self: Array, dtype: DTypeLike | None = None, type: None = None) -> Array:
    """The same bits as elements of another dtype; the last axis changes with the element size.

    ValueError when its bytes cannot be divided so.
    """
    if type is not None:
        raise NotImplementedError(errors.describe(
            "`type` argument of array.view() is not supported."))
    if dtype is None:
        return self
    return _view(self, dtypes.check_user_dtype(dtype, "view"))


@fused(static_argnums=(1,))
def _view(x: Array, dtype: Any) -> Array:
    old = x.dtype
    if old == dtype:
        return x
    old_bits, new_bits = dtypes.itemsize_bits(old), dtypes.itemsize_bits(dtype)
    if not x.ndim and old_bits != new_bits:
        raise ValueError(errors.describe(
            "view() of a 0d array is only supported if the itemsize is unchanged.",
            fix="x[None].view(dtype)"))
    if x.ndim and x.shape[-1] * old_bits % new_bits:
        raise ValueError(errors.describe(
            "When changing to a larger dtype, its size must be a divisor of the total size in "
            "bytes of the last axis of the array.",
            because=f"the last axis has {x.shape[-1]} elements of {old}",
            fix="choose a dtype whose size divides the row"))
    return _bits_as(_plain_bits(x), dtype)


def _plain_bits(x: Any) -> Any:
    """The array in a dtype that can be reinterpreted: not bool, not complex."""
    if x.dtype is BOOL:
        return lax.convert_element_type(x, _UINT8)
    if x.dtype in COMPLEX:
        parts = lax.stack([lax.real(x), lax.imag(x)], x.ndim)
        return structural.reshape(parts, (*x.shape[:-1], 2 * x.shape[-1])) if x.ndim else parts
    return x


def _bits_as(x: Any, dtype: Any) -> Any:
    if dtype is BOOL:
        return lax.convert_element_type(_recast(x, _UINT8), BOOL)
    if dtype in COMPLEX:
        x = _recast(x, dtypes.to_real(dtype))
        pairs = structural.reshape(x, (*x.shape[:-1], x.shape[-1] // 2, 2))
        return lax.complex(*[lax.index_in_dim(pairs, i, pairs.ndim - 1, False) for i in (0, 1)])
    return _recast(x, dtype)


def _recast(x: Any, dtype: Any) -> Any:
    old, new = dtypes.itemsize_bits(x.dtype), dtypes.itemsize_bits(dtype)
    if old == new:
        return x if x.dtype == dtype else lax.bitcast_convert_type(x, dtype)
    if old > new:
        out = lax.bitcast_convert_type(x, dtype)
        return structural.reshape(out, (*x.shape[:-1], x.shape[-1] * (old // new)))
    ratio = new // old
    grouped = structural.reshape(x, (*x.shape[:-1], x.shape[-1] // ratio, ratio))
    return lax.bitcast_convert_type(grouped, dtype)


@fused
def byteswap(self: Array) -> Array:
    """The array with the bytes of every element in reverse order."""
    size = self.dtype.itemsize
    if size == 1:
        return self
    if self.dtype in COMPLEX:
        return lax.complex(byteswap.body(lax.real(self)), byteswap.body(lax.imag(self)))
    split = lax.bitcast_convert_type(self, _UINT8)
    return lax.bitcast_convert_type(lax.rev(split, (split.ndim - 1,)), self.dtype)
