"""`jax.extend.source_info_util`: where operations come from."""

from __future__ import annotations

from typing import Any

from minijax.base import source
from minijax.base.source import register_exclusion
from minijax.core import NameStack, SourceInfo, state

__all__ = ["NameStack", "SourceInfo", "current", "current_name_stack", "extend_name_stack",
           "new_name_stack", "new_source_info", "register_exclusion", "reset_name_stack",
           "set_name_stack", "summarize", "transform_name_stack", "user_context"]


def new_name_stack(name: str = "") -> NameStack:
    """The scopes of a program that begins with `name`."""
    return NameStack((name,) if name else ())


def new_source_info() -> SourceInfo:
    """The source of an operation that comes from nowhere."""
    return SourceInfo(None, NameStack())


def current_name_stack() -> NameStack:
    """The scopes around the code that runs now."""
    return NameStack(state.scope)


def current() -> SourceInfo:
    """The source of an operation bound now."""
    return SourceInfo(state.source or source.capture(), current_name_stack())


def summarize(source_info: SourceInfo, num_frames: int = 1) -> str:
    """`file.py:12 (function)` of the innermost frames of the user."""
    frames = list(source.user_frames(source_info.traceback))[:num_frames]
    shown = [f"{frame.file}:{frame.line} ({frame.function})" for frame in frames]
    return "\n".join(shown) or "unknown"


class set_name_stack:
    """`with set_name_stack(stack):` these are the scopes around."""

    def __init__(self, name_stack: NameStack):
        self.name_stack = name_stack

    def __enter__(self) -> None:
        self.prev = state.scope
        state.scope = tuple(self.name_stack)

    def __exit__(self, *exc: Any) -> None:
        state.scope = self.prev


class extend_name_stack(set_name_stack):
    """`with extend_name_stack(name):` one scope more."""

    def __init__(self, name: str):
        super().__init__(NameStack((*state.scope, name)))
        self.name = name


class transform_name_stack(set_name_stack):
    """`with transform_name_stack(name):` a transformation of the scopes that follow."""

    def __init__(self, name: str):
        super().__init__(NameStack((*state.scope, f"{name}(")))
        self.name = name


def reset_name_stack() -> set_name_stack:
    """A context without scopes."""
    return set_name_stack(NameStack())


class user_context:
    """`with user_context(traceback):` operations seem to come from there."""

    def __init__(self, traceback: Any, *, name_stack: NameStack | None = None):
        self.traceback = traceback
        self.name_stack = name_stack

    def __enter__(self) -> None:
        self.prev = state.source, state.scope
        state.source = self.traceback
        if self.name_stack is not None:
            state.scope = tuple(self.name_stack)

    def __exit__(self, *exc: Any) -> None:
        state.source, state.scope = self.prev
