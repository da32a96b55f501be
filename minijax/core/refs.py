"""References: array cells that programs read and write.

Outside of programs a `Ref` holds an array. In a jaxpr it is a variable of type `AbstractRef`, and
operations on it (passes/references.py) carry a `RefEffect`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minijax.base import errors
from minijax.core.avals import AbstractValue, register_aval
from minijax.core.effects import (Effect, checkpoint_effects, control_flow_effects,
                                  custom_derivatives_effects, lowerable_effects)
from minijax.core.trace import aval_of

_refs: dict[Any, "AbstractRef"] = {}


class AbstractRef(AbstractValue):
    """The type of a reference to an array of type `inner_aval`; interned.

    Of a reference whose `kind` begins with "no_grad", derivatives know nothing.
    """

    __slots__ = ("inner_aval", "kind")

    def __new__(cls, inner_aval: Any, kind: str | None = None) -> "AbstractRef":
        found = _refs.get((inner_aval, kind))
        if found is None:
            found = object.__new__(cls)
            found.inner_aval, found.kind = inner_aval, kind
            found = _refs.setdefault((inner_aval, kind), found)
        return found

    shape = property(lambda self: self.inner_aval.shape)
    dtype = property(lambda self: self.inner_aval.dtype)
    weak_type = property(lambda self: self.inner_aval.weak_type)
    ndim = property(lambda self: self.inner_aval.ndim)
    size = property(lambda self: self.inner_aval.size)
    placement = property(lambda self: self.inner_aval.placement)
    sharding = property(lambda self: self.inner_aval.sharding)

    def update(self, **changes: Any) -> "AbstractRef":
        return AbstractRef(self.inner_aval.update(**changes), self.kind)

    def to_tangent_aval(self) -> "AbstractRef":
        return AbstractRef(self.inner_aval.to_tangent_aval(), self.kind)

    def strip_weak_type(self) -> "AbstractRef":
        return AbstractRef(self.inner_aval.strip_weak_type(), self.kind)

    def str_short(self, short_dtypes: bool = True) -> str:
        return f"Ref{{{self.inner_aval.str_short(short_dtypes)}}}"

    def __repr__(self) -> str:
        return self.str_short(False)

    def __len__(self) -> int:
        return len(self.inner_aval)

    def __reduce__(self) -> tuple:
        return AbstractRef, (self.inner_aval, self.kind)


class Ref:
    """A reference outside of programs; methods are attached by minijax/ref.py."""

    __slots__ = ("value", "aval", "__weakref__")

    def __init__(self, value: Any, kind: str | None = None):
        self.value = value  # None once it is frozen or freed
        self.aval = AbstractRef(aval_of(value).strip_weak_type(), kind)

    def read(self) -> Any:
        """The array; RuntimeError if there is none any more."""
        return alive(self.value)


def alive(value: Any) -> Any:
    """The value of a reference; RuntimeError if that has come to its end."""
    if value is None:
        raise RuntimeError(errors.describe("A reference is used that has been frozen or freed.",
                                           fix="use the value that jax.ref.freeze returned"))
    return value


register_aval(Ref, lambda x: x.aval)


def is_ref(aval: Any) -> bool:
    return type(aval) is AbstractRef


class RefEffect(Effect):
    """Something is done to a reference."""


class ReadEffect(RefEffect):
    """Its value is read."""


class WriteEffect(RefEffect):
    """Its value is replaced."""


class AccumEffect(RefEffect):
    """Something is added to its value."""


class AllocateEffect(RefEffect):
    """It is made."""


for _accepted in (lowerable_effects, control_flow_effects, checkpoint_effects,
                  custom_derivatives_effects):
    _accepted.add_type(RefEffect)
read_effect, write_effect = ReadEffect(), WriteEffect()
accum_effect, allocate_effect = AccumEffect(), AllocateEffect()


def uses_refs(jaxpr: Any) -> bool:
    """Whether a program makes, takes or changes references."""
    return (any(isinstance(e, RefEffect) for e in jaxpr.effects)
            or any(is_ref(v.aval) for v in jaxpr.invars))


# --- set by minijax/ref.py ---------------------------------------------------------------------

get_item: Callable[..., Any]  # ref[index], also for tracers
set_item: Callable[..., Any]
view: Callable[..., Any]  # ref.at[index]
