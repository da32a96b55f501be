"""The table of lowering rules: primitive name -> function that appends StableHLO.

A rule is called as `rule(ctx, *operands, **params)` and returns a value, or a list of values when
the primitive has several results. A rule for a platform shadows the default one.

    @rule("sin")
    def sin(ctx, x, **_):
        return ctx.op("stablehlo.sine", [x], ctx.outs)

With `spread=True` the operands arrive already broadcast to the shape of the (first) result, which
is what elementwise rules want: scalars against arrays, axes of size 1 against size n.
"""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

# "gpu" names every platform whose devices are GPUs.
PLATFORM_GROUPS = {"gpu": ("cuda", "rocm")}


class Rule(NamedTuple):
    """A lowering function and how it wants its operands.

    `op_name` is set when the rule is that one operation, on spread operands, without attributes.
    """

    function: Callable[..., Any]
    spread: bool
    op_name: str | None


_rules: dict[str | None, dict[str, Rule]] = {None: {}}
_tables: dict[str, dict[str, Rule]] = {}
# Rules that libraries gave to primitive objects, whose names may be those of others.
_of_objects: weakref.WeakKeyDictionary[Any, dict[str | None, Callable]] = (
    weakref.WeakKeyDictionary())


def rule(name: str, platform: str | None = None, *, spread: bool = False) -> Callable:
    """Register the decorated function for a primitive; returns it unchanged."""

    def register(function: Callable) -> Callable:
        set_rule(name, function, platform, spread=spread)
        return function

    return register


def set_rule(name: str, function: Callable, platform: str | None = None, *,
             spread: bool = False, op_name: str | None = None) -> None:
    """What `@rule` does, for rules made in a table."""
    for one in PLATFORM_GROUPS.get(platform, (platform,)):
        _rules.setdefault(one, {})[name] = Rule(function, spread, op_name)
    _tables.clear()


def table(platform: str) -> dict[str, Rule]:
    """All rules that hold on a platform, its own shadowing the defaults."""
    found = _tables.get(platform)
    if found is None:
        found = {**_rules[None], **_rules.get(platform, {})}
        for name in {primitive.name for primitive in _of_objects}:
            base = found.get(name)
            choose = functools.partial(_by_object, base, platform)
            found[name] = Rule(choose, base is not None and base.spread, None)
        _tables[platform] = found
    return found


def set_object_rule(primitive: Any, function: Callable, platform: str | None = None) -> None:
    """Register a rule for one primitive object; it comes before all rules by name."""
    for one in PLATFORM_GROUPS.get(platform, (platform,)):
        _of_objects.setdefault(primitive, {})[one] = function
    _tables.clear()


def _by_object(base: Rule | None, platform: str, ctx: Any, *operands: Any, **params: Any) -> Any:
    rules = _of_objects.get(ctx.eqn.primitive, {})
    function = rules.get(platform) or rules.get(None) or (base and base.function)
    if function is None:
        return ctx.decomposed(*operands)
    return function(ctx, *operands, **params)


def missing(name: str, platform: str) -> NotImplementedError:
    """The error for a primitive without rule; says where it does have one."""
    others = sorted(p for p, rules in _rules.items() if p is not None and name in rules)
    text = f"MLIR translation rule for primitive '{name}' not found for platform {platform}"
    if others:
        text += f"\n  it has a rule for: {', '.join(others)}"
    text += f"\n  fix: write @rule({name!r}) in lowering/, or give the primitive `decompose`"
    return NotImplementedError(text)
