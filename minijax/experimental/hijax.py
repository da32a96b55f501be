"""`jax.experimental.hijax`: operations and types of values that libraries define as classes.

    class Double(hijax.HiPrimitive):
        def abstract_eval(self, x): return x, set()
        def to_lojax(self, x): return x + x          # how it is compiled
        def jvp(self, primals, tangents): return double_p.bind(*primals), double_p.bind(*tangents)

    double_p = Double("double")

A `HiPrimitive` is a primitive whose rules are methods.  Values of a `HiType` are known to
`jax.typeof` and pass through eager operations; they are not arguments of `jit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.core import (AbstractValue, Primitive, ShapedArray, Zero, is_linear, register_aval,
                          zeros)
from minijax.core.effects import control_flow_effects as control_flow_allowed_effects

__all__ = ["AbstractValue", "AvalMutableQDD", "AvalQDD", "HiPrimitive", "HiType", "MutableHiType",
           "ShapedArray", "Zero", "aval_method", "aval_property", "control_flow_allowed_effects",
           "instantiate_zeros", "is_undefined_primal", "register_hitype"]

is_undefined_primal = is_linear


class HiPrimitive(Primitive):
    """A primitive whose rules are its methods; `to_lojax` says how it is compiled."""

    multiple_results = False

    def __init__(self, name: str):
        rules = {field: getattr(self, method, None) for field, method in (
            ("impl", "impl"), ("jvp", "jvp"), ("transpose", "transpose"),
            ("decompose", "to_lojax"))}
        several = type(self).multiple_results
        super().__init__(name, shape=self._shape, multiple_results=several, effectful=True,
                         vmap=self._vmap if hasattr(self, "batch") else None, **rules)

    def _shape(self, *avals: Any, **params: Any) -> tuple[Any, set]:
        return self.abstract_eval(*avals, **params)

    def _vmap(self, axis: Any, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        return type(self).batch(self, axis, args, dims, **params)  # `batch` is also a field

    def abstract_eval(self, *avals: Any, **params: Any) -> tuple[Any, set]:
        """The type of the result, or types of results, and the effects."""
        raise NotImplementedError(f"{type(self).__name__} must define abstract_eval")

    def is_high(self, *avals: Any, **params: Any) -> bool:
        """Whether the operation works on values of a HiType."""
        return True


class HiType(AbstractValue):
    """The base of types of values that consist of arrays."""


class MutableHiType(HiType):
    """The base of types of values that change; what changes is quasi-dynamic data (QDD)."""


class AvalQDD:
    """A type together with its quasi-dynamic data."""

    def __init__(self, aval: Any, qdd: Any):
        self.aval = aval
        self.qdd = qdd


class AvalMutableQDD:
    """A type together with a place where its quasi-dynamic data is kept up to date."""

    def __init__(self, aval: Any, mutable_qdd: Any):
        self.aval = aval
        self.mutable_qdd = mutable_qdd


class aval_property:
    """A property of tracers, written in the class of their type; it gets the tracer."""

    def __init__(self, fget: Callable[[Any], Any]):
        self.fget = fget


class aval_method:
    """A method of tracers, written in the class of their type; it gets the tracer."""

    def __init__(self, fun: Callable[..., Any]):
        self.fun = fun


def register_hitype(val_cls: type, typeof_fn: Callable[[Any], Any]) -> None:
    """Let `jax.typeof` answer for values of a class."""
    register_aval(val_cls, typeof_fn)


def instantiate_zeros(tangent: Any) -> Any:
    """Zeros as an array, if a tangent is a symbolic zero; else the tangent."""
    return zeros(tangent.aval) if type(tangent) is Zero else tangent
