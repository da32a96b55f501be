"""Special functions: those of `scipy.special` that neural networks use most.

    logsumexp(x, axis=-1), softmax(x, axis=-1)
"""

from __future__ import annotations

from typing import Any

from minijax.lax.rules import ArrayLike
from minijax.nn import activations
from minijax.nn.activations import logsumexp

Axis = int | tuple[int, ...] | None


def softmax(x: ArrayLike, /, *, axis: Axis = None) -> Any:
    """exp(x) / sum(exp(x)) over `axis` (all by default)."""
    return activations.softmax(x, axis)


def log_softmax(x: ArrayLike, /, *, axis: Axis = None) -> Any:
    """log(softmax(x)), accurate everywhere."""
    return activations.log_softmax(x, axis)


__all__ = ["log_softmax", "logsumexp", "softmax"]
