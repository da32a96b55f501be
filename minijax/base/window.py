"""Indices that start at a place which may be traced.

    x[ds(i, 3)]        # x[i:i + 3], also where i is known only when the program runs
"""

from __future__ import annotations

import dataclasses
import operator
from typing import Any

from minijax.base import errors, tree

__all__ = ["Slice", "dslice"]


@dataclasses.dataclass(frozen=True)
class Slice:
    """`size` elements from `start` on, which may be traced, every `stride`-th one."""

    start: Any
    size: int
    stride: int = 1

    def within(self, length: int) -> tuple[int, int]:
        """The size and the stride; TypeError or ValueError if no axis of this length has it."""
        try:
            size, stride = operator.index(self.size), operator.index(self.stride)
        except TypeError:
            raise TypeError(errors.describe(
                f"the size and the stride of jax.ds must be known integers. Got {self}",
                fix="pass the size through static_argnames")) from None
        if size < 0 or stride < 1 or (size and (size - 1) * stride >= length):
            raise (ValueError if stride < 1 else TypeError)(errors.describe(
                f"{self} does not fit into an axis of size {length}",
                fix="jax.ds(start, size, stride) with size >= 0, stride >= 1"))
        return size, stride


tree.register_dataclass(Slice, ["start"], ["size", "stride"])


def dslice(start: Any, size: int | None = None, stride: int | None = None) -> Slice | slice:
    """An index that starts at a place which may be traced: `x[ds(i, n)]` is `x[i:i + n]`.

    `ds(n)` starts at 0, `ds(None)` is `:`. A window that would leave the array is moved back into
    it, as by `jax.lax.dynamic_slice`.
    """
    if start is None:
        return slice(None)
    if size is None:
        start, size = 0, start
    return Slice(start, size, 1 if stride is None else stride)
