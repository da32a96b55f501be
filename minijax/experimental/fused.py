"""`fused`: a function that the compiler must make one kernel of (GPUs only)."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minijax.experimental.regions import Region, call_region

__all__ = ["fused", "fused_p"]


def fused(*, out_spaces: Any) -> Callable[[Callable], Callable]:
    """A decorator: the function is one kernel.

    out_spaces: for each result the `jax.memory.Space` in which it is.
    """
    def decorate(f: Callable) -> Callable:
        @functools.wraps(f)
        def wrapped(*args: Any) -> Any:
            return call_region(fused_p, f, args, {}, out_spaces)
        return wrapped
    return decorate


fused_p = Region("fused_call", spaces="out_spaces")
