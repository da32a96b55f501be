"""Tracing functions to jaxprs, and cutting jaxprs down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax import core
from minijax.core import JaxprTracer as DynamicJaxprTracer
from minijax.core import Jaxpr, LinearTrace, Tracer, Var, entered, state
from minijax.core.dce import dce_call, dce_jaxpr as _dce_jaxpr
from minijax.extend.linear_util import WrappedFun
from minijax.interpreters.tables import RuleTable

__all__ = ["DynamicJaxprTracer", "JaxprTracer", "PartialVal", "Val", "dce_jaxpr",
           "dce_jaxpr_call_rule", "dce_jaxpr_closed_call_rule", "dce_jaxpr_consts", "dce_rules",
           "trace_to_jaxpr_dynamic", "trace_to_jaxpr_nounits"]

JaxprTracer = DynamicJaxprTracer
Val = Any


def _dce_adopted(rule: Any) -> Any:
    def dce(eqn: core.JaxprEqn, used: Sequence[bool]) -> core.JaxprEqn | None:
        kept, new = rule(list(used), eqn)
        if new is None:
            return None
        return new.replace(invars=[v for v, k in zip(eqn.invars, kept) if k])
    return dce


dce_rules = RuleTable("dce", _dce_adopted)


def dce_jaxpr_call_rule(used_outputs: list[bool], eqn: core.JaxprEqn,
                        ) -> tuple[list[bool], core.JaxprEqn | None]:
    """The rule in `dce_rules` of operations that call the jaxpr in their parameter `call_jaxpr`."""
    _, kept = _dce_jaxpr(eqn.params["call_jaxpr"], used_outputs)
    return list(kept), dce_call("call_jaxpr")(eqn, used_outputs)


dce_jaxpr_closed_call_rule = dce_jaxpr_call_rule


def trace_to_jaxpr_dynamic(fun: WrappedFun, in_avals: Sequence[Any]) -> tuple[Jaxpr, list, list]:
    """The jaxpr of a flat function, the avals of its results, and the values it closes over.

    These values are not in the jaxpr: they belong to its `constvars`.
    """
    jaxpr, consts = core.trace_to_jaxpr(lambda *xs: list(fun.call_wrapped(*xs)), list(in_avals),
                                        _names(fun))
    return _captured_apart(jaxpr, consts), list(jaxpr.out_avals), consts


def _names(fun: WrappedFun) -> Any:
    return fun.debug_info or core.DebugInfo("jit", fun.__name__)


def _captured_apart(jaxpr: Jaxpr, consts: Sequence[Any]) -> Jaxpr:
    """The jaxpr with its leading inputs, which are captured values, as `constvars`."""
    n = len(consts)
    return jaxpr.replace(constvars=jaxpr.invars[:n], invars=jaxpr.invars[n:])


class PartialVal(tuple):
    """A pair: (None, value) if the value is known, (aval, None) if only the type is."""

    def __new__(cls, xs: tuple) -> "PartialVal":
        return tuple.__new__(cls, xs)

    @classmethod
    def known(cls, const: Any) -> "PartialVal":
        return cls((None, const))

    @classmethod
    def unknown(cls, aval: Any) -> "PartialVal":
        return cls((aval, None))

    def is_known(self) -> bool:
        return self[0] is None

    def get_known(self) -> Any:
        """The value, or None."""
        return self[1] if self.is_known() else None

    def get_aval(self) -> Any:
        return core.get_aval(self[1]) if self.is_known() else self[0]


def trace_to_jaxpr_nounits(fun: WrappedFun, pvals: Sequence[PartialVal],
                           instantiate: bool | Sequence[bool] = False,
                           ) -> tuple[Jaxpr, list[PartialVal], tuple]:
    """Run what depends on known values now, and the rest into a jaxpr.

    Returns the jaxpr, from unknown inputs to unknown (or `instantiate`d) results, a PartialVal for
    each result, and the values of the jaxpr's `constvars`.
    """
    trace = LinearTrace(state.trace)
    inputs = [trace.new_input(p.get_aval()) for p in pvals if not p.is_known()]
    rest = iter(inputs)
    args = [p.get_known() if p.is_known() else next(rest) for p in pvals]
    with entered(trace):
        outs = list(fun.call_wrapped(*args))
    wanted = [instantiate] * len(outs) if isinstance(instantiate, bool) else instantiate
    unknown = [w or (isinstance(x, Tracer) and x._trace is trace) for x, w in zip(outs, wanted)]
    jaxpr, consts = trace.finish(inputs, [x for x, u in zip(outs, unknown) if u])
    found = [PartialVal.unknown(core.aval_of(x)) if u else PartialVal.known(x)
             for x, u in zip(outs, unknown)]
    return _captured_apart(jaxpr, consts), found, tuple(consts)


def dce_jaxpr(jaxpr: Jaxpr, used_outputs: Sequence[bool],
              instantiate: bool | Sequence[bool] = False) -> tuple[Jaxpr, list[bool]]:
    """The part of the jaxpr that the used outputs need, and which inputs that reads."""
    smaller, kept = _dce_jaxpr(jaxpr, used_outputs, instantiate)
    return smaller, list(kept)


def dce_jaxpr_consts(jaxpr: Jaxpr, used_outputs: Sequence[bool],
                     instantiate: bool | Sequence[bool] = False,
                     ) -> tuple[Jaxpr, list[bool], list[bool]]:
    """The same, and before the inputs which of the `constvars` are read."""
    smaller, kept = _dce_jaxpr(jaxpr, used_outputs, instantiate)
    left: set[Var] = set(smaller.constvars)
    return smaller, [v in left for v in jaxpr.constvars], list(kept)
