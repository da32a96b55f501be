"""Names for parts of a program: they appear in compiled programs, profiles and messages.

    with jax.named_scope("attention"):
        y = q @ k.T                     # HLO op_name "jit(f)/attention/dot_general"
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from minijax.base import errors, util
from minijax.core import state

__all__ = ["named_call", "named_scope"]


class named_scope(contextlib.ContextDecorator):
    """Context manager and decorator: operations traced within have `name` in their names."""

    def __init__(self, name: str):
        if not isinstance(name, str):
            raise TypeError(errors.describe("named_scope name must be a string.",
                                            fix=f"jax.named_scope({str(name)!r})"))
        self.name = name
        self._outer: list[tuple[str, ...]] = []

    def __enter__(self) -> None:
        self._outer.append(state.scope)
        state.scope = (*state.scope, self.name)

    def __exit__(self, *exc_info: Any) -> None:
        state.scope = self._outer.pop()

    def _recreate_cm(self) -> "named_scope":
        return named_scope(self.name)  # a decorated function may run in several threads


def named_call(fun: Callable, *, name: str | None = None) -> Callable:
    """`fun` with its name (or `name`) as the scope of its operations."""
    scope = util.fun_name(fun) if name is None else name
    named = named_scope(scope)(fun)
    functools.update_wrapper(named, fun)
    return named
