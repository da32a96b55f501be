"""Primitives: one declaration per operation, with every rule a named field.

    sin_p = Primitive("sin", shape=..., jvp=each_operand(lambda g, out, x: mul(g, cos(x))),
                      vmap=pointwise)

A missing rule is a visible missing field; the transformation that needs it says so.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors
from minijax.base.util import exact
from minijax.core.ir import NO_EFFECTS, subjaxprs
from minijax.core.placement import Where
from minijax.core.trace import state

Values = Sequence[Any]  # operands, tangents or cotangents
Dims = Sequence[int | None]  # where each operand has its mapped axis, if it has one

_RULES = ("jvp", "transpose", "vmap", "batch", "decompose", "linearize", "impl", "stage", "dce",
          "reach", "discharge", "physical", "place", "split", "scope", "show")


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
    physical: (avals, *operands) the operation on words of random keys; default: it moves them.
    place: (avals, result avals, **params) to result avals that say where the results live.
    split: (avals, result avals, **params) to shardings of the results over explicit mesh axes.
    scope: params to a context manager in which the operation's jaxprs may be traced again.
    axes: params to the names of the axes the operation communicates over.
    """

    call_primitive = map_primitive = False  # libraries ask; see extend/core.py
    exact_params = False  # the type of the result may differ for 0, 0.0 and False; a user's may
    pointwise = False  # element i of the result depends on element i of each operand

    def __init__(self, name: str, *, shape: Callable | None = None,
                 multiple_results: bool = False, effectful: bool = False,
                 axes: Callable[[dict], tuple] | None = None, **rules: Any):
        self.name = name
        self.shape = shape
        self.multiple_results = multiple_results or getattr(self, "multiple_results", False)
        self.effectful = effectful
        self.axes = axes
        unknown = set(rules) - set(_RULES)
        if unknown:
            raise TypeError(f"primitive {name}: unknown rules {sorted(unknown)}")
        for rule in _RULES:
            value = rules.get(rule, getattr(self, "impl", None) if rule == "impl" else None)
            setattr(self, rule, value.make(self) if type(value) is Deferred else value)
        self._types: dict[tuple, tuple] = {}
        if type(self).abstract_eval is not Primitive.abstract_eval:  # a method of a subclass
            self.def_effectful_abstract_eval(self.abstract_eval)
        declared.add(self)

    def bind(self, *args: Any, **params: Any) -> Any:
        """Apply the operation to values in the current trace."""
        return state.trace.process_primitive(self, args, params)

    def def_impl(self, impl: Callable) -> Callable:
        """Set `impl`; returns it, as the other `def_` methods do, to be used as a decorator."""
        self.impl = impl
        return impl

    def def_abstract_eval(self, shape: Callable) -> Callable:
        """Set `shape` to a function of avals and params."""
        self.shape, self.effectful, self.exact_params = shape, False, True
        self._types.clear()
        return shape

    def def_effectful_abstract_eval(self, shape: Callable) -> Callable:
        """Set `shape` to a function that gives a pair: avals, effects."""
        self.shape, self.effectful, self.exact_params = shape, True, True
        self._types.clear()
        return shape

    def abstract_eval(self, *avals: Any, **params: Any) -> tuple[Any, frozenset]:
        """The avals of the results (one, or a list with `multiple_results`) and the effects."""
        out, effects = infer(self, avals, params)
        return list(out) if self.multiple_results else out[0], effects

    def get_bind_params(self, params: dict) -> tuple[list, dict]:
        """Functions and parameters to bind an equation again with: bodies are parameters here."""
        return [], dict(params)

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        present = [rule for rule in _RULES if getattr(self, rule) is not None]
        return f"Primitive({self.name}: {', '.join(present)})"


declared: weakref.WeakSet[Primitive] = weakref.WeakSet()
_TYPE_CACHE_LIMIT = 4096
_ASKED = ("sharding", "out_sharding", "dst_sharding", "devices")  # how results are split


def infer(primitive: Primitive, avals: tuple, params: dict) -> tuple[tuple, frozenset]:
    """The avals of the results and the effects of applying `primitive`, cached."""
    key = avals, Where.context.value, tuple(params.items())
    if primitive.exact_params:
        key = (key, tuple(map(exact, params.values())))
    try:
        return primitive._types[key]
    except KeyError:
        cacheable = True
    except TypeError:  # an unhashable parameter
        cacheable = False
    if primitive.shape is None:
        raise NotImplementedError(errors.describe(
            f"Abstract evaluation for '{primitive.name}' not implemented",
            fix="@primitive.def_abstract_eval, a function of avals that returns an aval"))
    if primitive.place is not None or any(map(params.get, _ASKED)) or (
            any([getattr(a, "placement", None) for a in avals])
            and (primitive.split is not None or not subjaxprs(params))):
        result = Where.infer(primitive, avals, params)
    else:
        out, effects = primitive.shape(*avals, **params), NO_EFFECTS
        if primitive.effectful:
            out, effects = out
        if primitive.exact_params and isinstance(out, (list, tuple)) != primitive.multiple_results:
            raise ValueError(errors.describe(
                f"{primitive.name}.abstract_eval() method should return a tuple or a list of types "
                f"if multiple_results is True, else one type, but it returned {out!r:.100}",
                because=f"multiple_results is {primitive.multiple_results}",
                fix="primitive.multiple_results = ..., or change what the function returns"))
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
