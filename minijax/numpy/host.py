"""Results whose size depends on values: computed with NumPy where the values are at hand.

Eager code on a CPU that asks for `x[mask]`, `nonzero(x)` or `unique(x)` gets a new size every
time; compiling a program for each (20 ms) would cost a thousand times what NumPy needs.  The
invariant: `elements` answers only where NumPy gives what the compiled operations would give.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.jaxlib import Array, SingleDeviceSharding
from minijax.core import ShapedArray, eval_trace, state, to_concrete
from minijax.runtime import place

_KINDS = frozenset("biufc")


def elements(x: Any) -> np.ndarray | None:
    """The elements of `x` if they lie in host memory and nothing is being traced, else None."""
    if state.trace is not eval_trace:
        return None
    if isinstance(x, Array):
        sharding = x.sharding
        if type(sharding) is not SingleDeviceSharding or sharding._device.platform != "cpu":
            return None
    elif not isinstance(x, (np.ndarray, np.generic, bool, int, float, complex)):
        return None
    value = np.asarray(x)
    return value if value.dtype.kind in _KINDS else None


def array(value: np.ndarray, like: Any, dtype: Any = None, weak_type: bool = False) -> Any:
    """A NumPy result as an array that lies where `like` lies."""
    aval = ShapedArray(value.shape, dtype or value.dtype, weak_type)
    if not isinstance(like, Array):
        return place.from_numpy(np.ascontiguousarray(value), aval)
    return place.from_numpy(value, aval, like.sharding, like.committed)


def concrete(x: Any, why: str) -> np.ndarray:
    """The elements of `x`; ConcretizationTypeError saying `why` they are needed if it is traced."""
    value = to_concrete(x)
    if value is None:
        raise errors.ConcretizationTypeError(x, why)
    return np.asarray(value)
