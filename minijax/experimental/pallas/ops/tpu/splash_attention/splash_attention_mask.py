"""Masks of attention: which keys (columns) a query (row) may look at.

    mask = CausalMask((4, 4)) & LocalMask((4, 4), window_size=(1, 0), offset=0)
    mask[:, :]                           # a NumPy array of bool
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

__all__ = ["CausalMask", "FullMask", "LocalMask", "Mask", "MultiHeadMask", "NumpyMask",
           "make_causal_mask", "make_local_attention_mask"]


class Mask:
    """The base of masks: `rule(rows, columns)` says what is allowed."""

    def __init__(self, shape: tuple[int, int], rule: Callable[[Any, Any], Any]):
        self._shape = tuple(shape)
        self._rule = rule

    @property
    def shape(self) -> tuple[int, ...]:
        """(queries, keys)."""
        return self._shape

    def array(self) -> np.ndarray:
        """The whole mask."""
        rows, columns = np.ogrid[:self._shape[0], :self._shape[1]]
        return np.broadcast_to(self._rule(rows, columns), self._shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        return self.array()[index]

    def __and__(self, other: Mask) -> Mask:
        return NumpyMask(self.array() & other.array())

    def __or__(self, other: Mask) -> Mask:
        return NumpyMask(self.array() | other.array())


class NumpyMask(Mask):
    """A mask given as an array."""

    def __init__(self, array: np.ndarray):
        if array.dtype != np.bool_:
            raise ValueError("the mask must be boolean")
        super().__init__(array.shape, lambda rows, columns: array)


class FullMask(Mask):
    """Everything is allowed."""

    def __init__(self, _shape: tuple[int, int]):
        super().__init__(_shape, lambda rows, columns: np.bool_(True))


class CausalMask(Mask):
    """Keys up to the query's place, moved by `offset`."""

    def __init__(self, shape: tuple[int, int], offset: int = 0, shard_count: int = 1):
        super().__init__(shape, lambda rows, columns: rows + offset >= columns)


class LocalMask(Mask):
    """Keys at most window_size[0] before and window_size[1] after the query; None: no limit."""

    def __init__(self, shape: tuple[int, int], window_size: tuple[int | None, int | None],
                 offset: int, shard_count: int = 1):
        def rule(rows: Any, columns: Any) -> Any:
            left, right = window_size
            allowed = np.bool_(True)
            if left is not None:
                allowed = allowed & (rows - left + offset <= columns)
            if right is not None:
                allowed = allowed & (rows + right + offset >= columns)
            return allowed
        super().__init__(shape, rule)


class MultiHeadMask(Mask):
    """A mask for each head."""

    def __init__(self, masks: Sequence[Mask]):
        if len({mask.shape for mask in masks}) != 1:
            raise ValueError(f"masks of one shape are needed, got {[m.shape for m in masks]}")
        self.masks = tuple(masks)

    @property
    def shape(self) -> tuple[int, ...]:
        """(heads, queries, keys)."""
        return (len(self.masks), *self.masks[0].shape)

    def array(self) -> np.ndarray:
        """The masks of all heads."""
        return np.stack([mask.array() for mask in self.masks])


def make_causal_mask(shape: tuple[int, int], offset: int = 0) -> np.ndarray:
    """`CausalMask` as an array."""
    return CausalMask(shape, offset).array()


def make_local_attention_mask(shape: tuple[int, int], window_size: tuple[int | None, int | None],
                              *, offset: int = 0) -> np.ndarray:
    """`LocalMask` as an array."""
    return LocalMask(shape, window_size, offset).array()
