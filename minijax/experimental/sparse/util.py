"""Warnings and errors about sparse arrays, and what describes one besides its arrays."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CuSparseEfficiencyWarning", "SparseEfficiencyError", "SparseEfficiencyWarning",
           "SparseInfo"]


class SparseEfficiencyError(ValueError):
    """A conversion would store many more elements."""


class SparseEfficiencyWarning(UserWarning):
    """A conversion stores many more elements."""


class CuSparseEfficiencyWarning(SparseEfficiencyWarning):
    """An operation on a GPU cannot use its library for sparse matrices."""


class SparseInfo(NamedTuple):
    """The shape of a sparse array, and what is known of its indices."""

    shape: tuple[int, ...]
    indices_sorted: bool = False
    unique_indices: bool = False
