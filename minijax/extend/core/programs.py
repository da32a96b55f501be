"""JAX's two classes of programs, over the one that minijax has.

A `ClosedJaxpr` is a `Jaxpr` with the values of its `constvars`; here every jaxpr can hold them, so
both names test for the same class, and differ in how they make one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax import core
from minijax.extend.core.names import new_jaxpr_eqn


class _Named(type):
    """A class whose instances are those of `real`."""

    real: type

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, cls.real)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, cls.real)


class Jaxpr(metaclass=_Named):
    """A program: `Jaxpr(constvars, invars, outvars, eqns, effects, debug_info)`."""

    real = core.Jaxpr

    def __new__(cls, constvars: Sequence[Any], invars: Sequence[Any], outvars: Sequence[Any],
                eqns: Sequence[Any], effects: Any = frozenset(), debug_info: Any = None,
                is_high: bool = False) -> core.Jaxpr:
        return core.Jaxpr(constvars, invars, outvars, eqns, (), frozenset(effects), debug_info)


class ClosedJaxpr(metaclass=_Named):
    """A program and the values of its `constvars`: `ClosedJaxpr(jaxpr, consts)`."""

    real = core.Jaxpr

    def __new__(cls, jaxpr: core.Jaxpr, consts: Sequence[Any] = ()) -> core.Jaxpr:
        return jaxpr.replace(consts=list(consts))


class JaxprEqn(metaclass=_Named):
    """An equation: `JaxprEqn(invars, outvars, primitive, params, effects, source_info, ctx)`."""

    real = core.JaxprEqn

    def __new__(cls, invars: Sequence[Any], outvars: Sequence[Any], primitive: core.Primitive,
                params: dict, effs: Any, source_info: Any = None, ctx: Any = None) -> core.JaxprEqn:
        return new_jaxpr_eqn(invars, outvars, primitive, params, effs, source_info, ctx)
