"""Primitives: one declaration per operation, with every rule a named field.

    sin_p = Primitive("sin", shape=..., jvp=each_operand(lambda g, out, x: mul(g, cos(x))),
                      vmap=pointwise)

A missing rule is a visible missing field; the transformation that needs it says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minijax.base import errors
from minijax.core.ir import NO_EFFECTS, subjaxprs
from minijax.core.trace import state

_RULES = ("jvp", "transpose", "vmap", "batch", "decompose", "linearize", "impl", "stage", "dce",
          "reach", "discharge", "physical", "place", "show")


class Deferred:
    """A rule combinator that waits for the primitive it belongs to."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[["Primitive"], Callable]):
        self.make = make


class Primitive:
    """An operation and its rules.

    shape: avals (and params) to the result's aval, or a list of them with `multiple_results`;
      with `effectful`, a pair of that and a set of effects.
    jvp: (primals, tangents, **params) to (out, tangent).
    linearize: as jvp, preferred under reverse mode; splits inner jaxprs.
    transpose: (cotangent, *args, **params) to a list of cotangents; linear args are `Linear`.
    vmap: (axis, args, dims, **params) to (out, out_dim).
    batch: (trace, args, params), instead of `vmap` for functions that may close over its tracers.
    decompose: the operation in terms of others, for platforms without a lowering rule.
    impl: runs the operation on arrays (default: compile and run).
    stage: (trace, args, params), records the operation in a jaxpr in a way of its own.
    dce: (eqn, used_outputs) to the eqn for these outputs, or None.
    reach: (marks, **params) to marks of the results that depend on the marked operands.
    physical: the operation on the words of random keys; default: it only moves its elements.
    axes: params to the names of the axes the operation communicates over.
    """

    def __init__(self, name: str, *, shape: Callable, multiple_results: bool = False,
                 effectful: bool = False, axes: Callable[[dict], tuple] | None = None,
                 **rules: Any):
        self.name = name
        self.shape = shape
        self.multiple_results = multiple_results
        self.effectful = effectful
        self.axes = axes
        unknown = set(rules) - set(_RULES)
        if unknown:
            raise TypeError(f"primitive {name}: unknown rules {sorted(unknown)}")
        for rule in _RULES:
            value = rules.get(rule)
            setattr(self, rule, value.make(self) if type(value) is Deferred else value)
        self._types: dict[tuple, tuple] = {}

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply the operation to values in the current trace."""
        return state.trace.process_primitive(self, args, params)

    def __repr__(self) -> str:
        present = [rule for rule in _RULES if getattr(self, rule) is not None]
        return f"Primitive({self.name}: {', '.join(present)})"


_TYPE_CACHE_LIMIT = 4096


def infer(primitive: Primitive, avals: tuple, params: dict) -> tuple[tuple, frozenset]:
    """The avals of the results and the effects of applying `primitive`, cached."""
    key = (avals, tuple(params.items())) if params else avals
    try:
        return primitive._types[key]
    except KeyError:
        cacheable = True
    except TypeError:  # an unhashable parameter
        cacheable = False
    out, effects = primitive.shape(*avals, **params), NO_EFFECTS
    if primitive.effectful:
        out, effects = out
    result = (tuple(out) if primitive.multiple_results else (out,), frozenset(effects))
    if primitive.axes is not None:  # the type may depend on the sizes of the axes in scope
        cacheable = False
    if cacheable and not subjaxprs(params):  # a cache must not keep users' programs alive
        if len(primitive._types) >= _TYPE_CACHE_LIMIT:
            primitive._types.clear()
        primitive._types[key] = result
    return result


def missing_rule(primitive: Primitive, rule: str, what: str, fix: str) -> Exception:
    """The error for a primitive that lacks `rule`."""
    return NotImplementedError(errors.describe(
        f"{what} rule for '{primitive.name}' not implemented",
        because=f"primitive '{primitive.name}' declares no {rule}", fix=fix))
