"""Sizes of axes that may be no numbers: what the rooms below `export` need to know of them.

A symbolic size (`export.symbolic_shape`) adds, multiplies and compares as an integer does, but it
has no `__index__`, so that nothing takes it for a number by accident.

    max_dim(3, 2)           # 3
    index(b), index(2)      # b, 2
"""

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from minijax.base.errors import InconclusiveDimensionOperation, TracerIntegerConversionError


class SymbolicDim:
    """A size that stands for any of several integers."""

    __slots__ = ()


def is_symbolic_dim(p: Any) -> bool:
    """Whether a size is symbolic."""
    return isinstance(p, SymbolicDim)


def index(size: Any) -> Any:
    """`operator.index`, but a symbolic size stays what it is."""
    return size if isinstance(size, SymbolicDim) else operator.index(size)


def indices(sizes: Iterable[Any]) -> tuple:
    """A tuple of sizes, each an integer or symbolic; TypeError if one is neither."""
    return tuple([index(n) for n in sizes])


def constant(*sizes: Any) -> bool:
    """Whether all of the sizes are numbers."""
    return not any([isinstance(n, SymbolicDim) for n in sizes])


def _extreme_operand(size: Any) -> Any:
    try:
        return index(size)
    except TracerIntegerConversionError:
        return int(size)  # the error about values that are not known


def max_dim(d1: Any, d2: Any) -> Any:
    """The greater of two sizes."""
    x, y = _extreme_operand(d1), _extreme_operand(d2)
    chosen = x if isinstance(x, SymbolicDim) else y
    return chosen.extreme("max", x, y) if isinstance(chosen, SymbolicDim) else max(x, y)


def min_dim(d1: Any, d2: Any) -> Any:
    """The lesser of two sizes."""
    x, y = _extreme_operand(d1), _extreme_operand(d2)
    chosen = x if isinstance(x, SymbolicDim) else y
    return chosen.extreme("min", x, y) if isinstance(chosen, SymbolicDim) else min(x, y)


def below(x: Any, y: Any) -> bool:
    """Whether x < y for all values of the dimension variables."""
    try:
        return bool(x < y)
    except InconclusiveDimensionOperation:
        return False


def symbolic_shape_or_none(sizes: Any) -> tuple | None:
    """The shape if some of its sizes are symbolic and the others integers that may be sizes."""
    sizes = (sizes,) if isinstance(sizes, SymbolicDim) else sizes
    if not isinstance(sizes, (tuple, list, np.ndarray)) or constant(*sizes):
        return None
    sizes = indices(sizes)
    return sizes if all([not below(n, 0) for n in sizes]) else None


def slice_indices(entry: slice, size: Any) -> tuple[Any, Any, int, Any]:
    """`entry.indices(size)`, of which all but the step may be symbolic, and the number of them."""
    step = 1 if entry.step is None else operator.index(entry.step)
    least, most = (0, size) if step > 0 else (-1, size - 1)
    ends = (least, most) if step > 0 else (most, least)
    start, stop = [
        default if given is None
        else min_dim(most, max_dim(given + size if given < 0 else given, least))
        for given, default in zip((entry.start, entry.stop), ends)]
    count = (stop - start + step - 1) // step if step > 0 else (start - stop - step - 1) // -step
    return start, stop, step, max_dim(count, 0)
