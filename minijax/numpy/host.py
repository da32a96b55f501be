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
from minijax.core import ShapedArray, Tracer, eval_trace, state, to_concrete
from minijax.runtime import place

_KINDS = frozenset("biufc")


def elements(x: Any) -> np.ndarray | None:
    """The elements of `x` if they lie in host memory and nothing is being traced, else None.

    None also for dtypes that NumPy only knows through an extension: it cannot sort all of them.
    """
    if not _at_hand(x):
        return None
    value = np.asarray(x)
    return value if value.dtype.kind in _KINDS else None


def _at_hand(x: Any) -> bool:
    if state.trace is not eval_trace:
        return False
    if isinstance(x, Array):
        sharding = x.sharding
        return type(sharding) is SingleDeviceSharding and sharding._device.platform == "cpu"
    return isinstance(x, (np.ndarray, np.generic, bool, int, float, complex))


def masked(x: Any, index: Any) -> Any:
    """`x[index]` for an index with a boolean array in it; None where NumPy is not to answer."""
    entries = index if type(index) is tuple else (index,)
    if not any(getattr(e, "dtype", None) == np.bool_ and getattr(e, "ndim", 0) for e in entries):
        return None
    if not _at_hand(x) or not all(_known(e) for e in entries):
        return None
    try:
        found = np.asarray(x)[tuple(map(_plain, entries))]
    except IndexError:  # a wrong mask, or a position outside, which means the nearest one
        return None
    return array(found, x, found.dtype, x.weak_type)


def _known(entry: Any) -> bool:
    return entry is None or entry is Ellipsis or isinstance(entry, (int, slice)) or _at_hand(entry)


def _plain(entry: Any) -> Any:
    return np.asarray(entry) if isinstance(entry, Array) else entry


def array(value: np.ndarray, like: Any, dtype: Any = None, weak_type: bool = False) -> Any:
    """A NumPy result as an array that lies where `like` lies."""
    aval = ShapedArray(value.shape, dtype or value.dtype, weak_type)
    if not isinstance(like, Array):
        return place.from_numpy(np.asarray(value, order="C"), aval)
    return place.from_numpy(value, aval, like.sharding, like.committed)


def concrete(x: Any, why: str) -> np.ndarray:
    """The elements of `x`; ConcretizationTypeError saying `why` they are needed if it is traced."""
    value = to_concrete(x)
    if value is None:
        raise errors.ConcretizationTypeError(x, why)
    return np.asarray(value)


def known(x: Any, what: str) -> Any:
    """`x`, on which a shape depends; ConcretizationTypeError that names it if it is traced."""
    return concrete(x, f"It arose in {what}.") if isinstance(x, Tracer) else x
