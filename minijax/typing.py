"""`jax.typing`: annotations for functions that take arrays."""

from typing import Any, Protocol, Union

import numpy as np

from minijax.base.jaxlib import Array

__all__ = ["ArrayLike", "DTypeLike"]


class _HasDType(Protocol):
    """An object that says its dtype, such as `jnp.float32`."""

    @property
    def dtype(self) -> np.dtype: ...


# Unions as `typing` writes them, because type checkers at run time look into their `__args__`.
ArrayLike = Union[Array, np.ndarray, np.bool_, np.number, bool, int, float, complex]  # noqa: UP007
DTypeLike = Union[str, type[Any], np.dtype, _HasDType]  # noqa: UP007
