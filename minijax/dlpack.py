"""`jax.dlpack`: arrays of other libraries, without a copy where possible."""

from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.typing import DTypeLike

__all__ = ["from_dlpack", "is_supported_dtype"]

_NAMES = frozenset((
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
    "float32", "float64", "bfloat16", "complex64", "complex128"))


def from_dlpack(external_array: Any, device: Any = None, copy: bool | None = None) -> Array:
    """An array of the contents of any object with `__dlpack__` and `__dlpack_device__`.

    The buffer is shared when the other library's device is ours and `copy` is not True; a copy
    that is necessary is an error when `copy` is False.
    """
    return jnp.from_dlpack(external_array, device=device, copy=copy)


def is_supported_dtype(dtype: DTypeLike) -> bool:
    """Whether arrays of this dtype can be exchanged."""
    return np.dtype(dtype).name in _NAMES
