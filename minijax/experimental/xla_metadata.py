"""`set_xla_metadata`: attributes of operations, for the compiler.

    with set_xla_metadata(key="value"):
        y = x * 2                              # mhlo.frontend_attributes = {key = "value"}
    y = set_xla_metadata(x * 2, key="value")   # the same, for what made one value

Names and values go with an operation through every transformation.
"""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from minijax.base import tree
from minijax.base.config import attribute_scope
from minijax.core import JaxprEqn, Primitive, linear, pointwise, state

__all__ = ["set_xla_metadata"]

_missing: Any = object()


def set_xla_metadata(x: Any = _missing, **kwargs: Any) -> Any:
    """A context manager and decorator, in which operations get the attributes; None takes one back.

    With `x`, a tree of arrays: the same arrays, and what made them gets the attributes.
    """
    if x is _missing:
        return Attributes({key: _as_text(value) for key, value in kwargs.items()})
    given = tuple(kwargs.items())
    return tree.map(lambda leaf: xla_metadata_value_p.bind(leaf, xla_metadata_kvs=given), x)


def _as_text(value: Any) -> str | None:
    if value is None:
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


class Attributes(contextlib.ContextDecorator):
    """Attributes of the operations that are traced in a `with` block."""

    def __init__(self, given: dict[str, str | None]):
        self.parts = tuple(f"\0{key}" if value is None else f"\0{key}={value}"
                           for key, value in given.items())
        self._before: list[tuple] = []

    def __enter__(self) -> None:
        inner = attribute_scope.value + self.parts
        self._before.append((attribute_scope.swap_local(inner), state.scope))
        state.scope = state.scope + self.parts

    def __call__(self, fun: Any) -> Any:
        """`fun` run within such a block, and so the stages of a jitted function."""
        within = super().__call__(fun)
        for stage in ("trace", "lower", "eval_shape"):
            if hasattr(fun, stage):
                setattr(within, stage, super().__call__(getattr(fun, stage)))
        return within

    def __exit__(self, *exc_info: Any) -> None:
        outer, state.scope = self._before.pop()
        attribute_scope.set_local(outer)


def in_force(scope: tuple[str, ...]) -> dict[str, str]:
    """The attributes that the parts of a scope give."""
    found: dict[str, str] = {}
    for part in [p for p in scope if p.startswith("\0")]:
        key, given, value = part[1:].partition("=")
        found.pop(key, None)
        if given:
            found[key] = value
    return found


class EquationContext(NamedTuple):
    """What was set around an operation when it was traced."""

    compute_type: str | None
    xla_metadata: dict[str, str]


def _context(eqn: JaxprEqn) -> EquationContext:
    found = in_force(eqn.scope)
    return EquationContext(found.pop("@compute", None), found)


JaxprEqn.ctx = property(_context)

xla_metadata_value_p = Primitive(
    "xla_metadata_value", shape=lambda x, **_: x, jvp=linear, vmap=pointwise,
    transpose=lambda ct, x, **_: ct, impl=lambda x, **_: x)
