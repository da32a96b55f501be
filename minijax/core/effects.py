"""Side effects: what an operation does besides computing its results.

An effect is an object, usually the only one of its class; equations and jaxprs carry sets of them.
The one invariant: an equation with effects is never removed, and equations that share an ordered
effect stay in order, because lowering threads a token through them.

    >>> jax.make_jaxpr(lambda x: jax.debug.print("{}", x))(1).effects
    frozenset({Debug})
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from minijax.base import errors


class Effect:
    """The base of all effects. Say which transformations accept a class by the sets below."""

    def __repr__(self) -> str:
        return type(self).__name__.removesuffix("Effect")


class EffectSet:
    """Classes of effects that something accepts."""

    def __init__(self) -> None:
        self.classes: set[type] = set()

    def add_type(self, kind: type) -> None:
        """Accept effects of this class and its subclasses."""
        self.classes.add(kind)

    def contains(self, effect: Any) -> bool:
        """Whether an effect, or a class of effects, is accepted."""
        kind = effect if isinstance(effect, type) else type(effect)
        return issubclass(kind, tuple(self.classes))

    def filter_in(self, effects: Iterable[Any]) -> list:
        """The effects that are accepted."""
        return [e for e in effects if self.contains(e)]

    def filter_not_in(self, effects: Iterable[Any]) -> list:
        """The effects that are not."""
        return [e for e in effects if not self.contains(e)]

    def check(self, effects: Iterable[Any], where: str, fix: str) -> None:
        """NotImplementedError if an effect is not accepted."""
        refused = self.filter_not_in(effects) if effects else ()
        if refused:
            raise NotImplementedError(errors.describe(
                f"Effects not supported in {where}: {sorted(refused, key=repr)}", fix=fix))


lowerable_effects = EffectSet()
ordered_effects = EffectSet()
shardable_ordered_effects = EffectSet()
control_flow_effects = EffectSet()
checkpoint_effects = EffectSet()
custom_derivatives_effects = EffectSet()  # looked at under jax_enable_checks only


class DebugEffect(Effect):
    """Something is shown to the programmer."""


class OrderedDebugEffect(Effect):
    """Something is shown to the programmer, in program order."""


class IOEffect(Effect):
    """A host callback with side effects."""


class OrderedIOEffect(Effect):
    """A host callback with side effects, in program order."""


debug_effect, ordered_debug_effect = DebugEffect(), OrderedDebugEffect()
io_effect, ordered_io_effect = IOEffect(), OrderedIOEffect()

for _kind in (DebugEffect, OrderedDebugEffect, IOEffect, OrderedIOEffect):
    lowerable_effects.add_type(_kind)
    control_flow_effects.add_type(_kind)
for _kind in (OrderedDebugEffect, OrderedIOEffect):
    ordered_effects.add_type(_kind)
shardable_ordered_effects.add_type(OrderedIOEffect)
for _kind in (DebugEffect, OrderedDebugEffect):
    checkpoint_effects.add_type(_kind)
    custom_derivatives_effects.add_type(_kind)


def check_control_flow(where: str, effects: Iterable[Any]) -> None:
    """NotImplementedError if a loop or branch does something that it may not."""
    control_flow_effects.check(effects, f"`{where}`", "move the operation out of the body")
