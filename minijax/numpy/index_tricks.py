"""Arrays written with brackets: mgrid, ogrid, r_, c_, and s_ and index_exp, which are NumPy's.

Invariant: the bounds of slices are concrete numbers; an imaginary step such as 5j is a number of
points, the end included.

    mgrid[0:3, 0:2]         # positions, stacked: shape (2, 3, 2)
    r_[0:4, 9, [1, 2]]      # a vector of all these
"""

from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import Tracer
from minijax.numpy.creation import arange, array
from minijax.numpy.grids import linspace, meshgrid
from minijax.numpy.joining import concatenate, stack
from minijax.numpy.manipulation import reshape, transpose


def _known(name: str, part: str, value: Any, default: Any) -> Any:
    if value is None:
        return default
    if isinstance(value, Tracer) and value.concrete() is None:
        raise errors.ConcretizationTypeError(value, f"slice {part} of jnp.{name}")
    return value


def _points(name: str, s: slice) -> Array:
    """The numbers that a slice stands for."""
    start, stop = _known(name, "start", s.start, 0), _known(name, "stop", s.stop, None)
    step = _known(name, "step", s.step, 1)
    if isinstance(step, complex):
        return linspace(start, stop, int(abs(step)))
    return arange(start, 0 if stop is None else stop, step)


class _Grid:
    """What `mgrid[...]` and `ogrid[...]` are."""

    def __init__(self, name: str, sparse: bool):
        self._name, self._sparse = name, sparse

    def __getitem__(self, key: slice | tuple[slice, ...]) -> Array | list[Array]:
        if isinstance(key, slice):
            return _points(self._name, key)
        axes = [_points(self._name, s) for s in key]
        inexact = [x.dtype for x in axes if x.dtype.kind == "f"]
        if inexact:  # strict promotion does not apply: all of them are ours
            axes = [x.astype(inexact[0]) for x in axes]
        grids = meshgrid(*axes, indexing="ij", sparse=self._sparse) if axes else []
        if self._sparse:
            return grids
        return stack(grids) if grids else array([], int)


mgrid = _Grid("mgrid", False)
ogrid = _Grid("ogrid", True)


class _Concatenator:
    """What `r_[...]` and `c_[...]` are; directives are "axis", "axis,ndmin", "axis,ndmin,first"."""

    def __init__(self, name: str, axis: int, ndmin: int, first: int):
        self._name = name
        self._axis, self._ndmin, self._first = axis, ndmin, first

    def __getitem__(self, key: Any) -> Array:
        items = key if isinstance(key, tuple) else (key,)
        axis, ndmin, first, matrix = self._axis, self._ndmin, self._first, ""
        if items and isinstance(items[0], str):
            directive, *items = items
            if directive in ("r", "c"):
                matrix = directive
            else:
                axis, ndmin, first = _directive(directive, (axis, ndmin, first))
        parts = [_points(self._name, item) if isinstance(item, slice) else item for item in items]
        out = concatenate([_raised(array(part), ndmin, first) for part in parts], axis)
        if matrix and out.ndim == 1:
            return reshape(out, (1, -1) if matrix == "r" else (-1, 1))
        return out


def _directive(text: str, default: tuple[int, int, int]) -> tuple[int, ...]:
    try:
        numbers = tuple(int(n) for n in text.split(","))
    except ValueError:
        raise ValueError(errors.describe(f"could not understand directive {text!r}",
                                         fix="jnp.r_['0,2', x, y]")) from None
    return numbers[:3] + default[len(numbers):]


def _raised(x: Array, ndmin: int, first: int) -> Array:
    """The array with at least ndmin axes, its own ones beginning at axis `first` of these."""
    own = x.ndim
    if own >= max(ndmin, 1):
        return x
    ndmin = max(ndmin, 1)
    x = reshape(x, (1,) * (ndmin - own) + x.shape)
    if first == -1:
        return x
    new = ndmin - own
    at = first + new + 1 if first < 0 else first
    axes = list(range(ndmin))
    return transpose(x, axes[:at] + axes[new:] + axes[at:new])


r_ = _Concatenator("r_", 0, 1, -1)
c_ = _Concatenator("c_", -1, 2, 0)
index_exp = np.index_exp
s_ = np.s_
