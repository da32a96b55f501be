"""Running single operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base.jaxlib import Client as Backend
from minijax.core import Primitive
from minijax.runtime import dispatch

__all__ = ["Backend", "apply_primitive"]

# Types of values that are given to operations as they are. Libraries enter classes that wrap NumPy
# arrays here, and in `jax.core.pytype_aval_mappings`, which says what type such a value has.
canonicalize_dtype_handlers: dict[type, Callable[[Any], Any]] = {np.ndarray: np.asarray}


def apply_primitive(prim: Primitive, *args: Any, **params: Any) -> Any:
    """Compile and run the operation by its lowering rule: the usual `impl` of a primitive."""
    return dispatch.compiled(prim, params)(*args)
