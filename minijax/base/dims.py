"""Sizes of axes that may be no numbers: what the rooms below `export` need to know of them.

A symbolic size (`export.symbolic_shape`) adds, multiplies and compares as an integer does, but it
has no `__index__`, so that nothing takes it for a number by accident.

    max_dim(3, 2)           # 3
    index(b), index(2)      # b, 2
"""

import operator
from collections.abc import Iterable
from typing import Any


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


def max_dim(x: Any, y: Any) -> Any:
    """The greater of two sizes."""
    x, y = index(x), index(y)
    chosen = x if isinstance(x, SymbolicDim) else y
    return chosen.extreme("max", x, y) if isinstance(chosen, SymbolicDim) else max(x, y)


def min_dim(x: Any, y: Any) -> Any:
    """The lesser of two sizes."""
    x, y = index(x), index(y)
    chosen = x if isinstance(x, SymbolicDim) else y
    return chosen.extreme("min", x, y) if isinstance(chosen, SymbolicDim) else min(x, y)
