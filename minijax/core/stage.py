"""Tracing Python into a jaxpr.

`JaxprTrace` appends equations and forgets nothing; one backward sweep at the end drops what no
result needs. Values from outside (arrays, tracers of enclosing traces) are found by identity and
become leading inputs of the jaxpr; scalars become literals.

    >>> jaxpr, captured = trace_to_jaxpr(lambda x: [lax.sin(x)], [ShapedArray((), np.float32)])
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import numpy as np

from minijax.base.source import capture
from minijax.core.avals import check_operands, get_aval
from minijax.core.dce import sweep
from minijax.core.ir import NO_EFFECTS, DebugInfo, Jaxpr, JaxprEqn, Literal, Var
from minijax.core.placement import MixedAxes
from minijax.core.primitive import Primitive, Values, infer
from minijax.core.trace import Trace, Tracer, check_escaped, entered, state

_aval, _var, _effects = attrgetter("aval"), attrgetter("atom"), attrgetter("effects")
_SCALARS = (bool, int, float, complex, np.generic)


class JaxprTracer(Tracer):
    """A variable (or literal) of the jaxpr being built."""

    __slots__ = ("atom",)

    def __init__(self, trace: Trace, aval: Any, var: Any):
        self._trace = trace
        self.aval = aval
        self.atom = var

    def concrete(self) -> Any:
        return self._trace.value_of(self)

    def __repr__(self) -> str:
        return self._trace.text_of(self)


class JaxprTrace(Trace):
    """Records operations as equations."""

    __slots__ = ("eqns", "consts", "debug", "inputs", "outer_scopes")

    def __init__(self, parent: Trace, debug: DebugInfo | None = None):
        self.parent, self.staging = parent, True
        self.eqns: list[JaxprEqn] = []
        self.consts: dict[int, tuple[JaxprTracer, Any]] = {}
        self.debug = debug
        self.outer_scopes = 0  # how many of the scopes around are not part of this jaxpr
        self.inputs: list[JaxprTracer] = []  # in the order of `debug.arg_names`, for messages

    def value_of(self, x: JaxprTracer) -> Any:
        return None  # a subclass may know the value of a variable

    def text_of(self, x: JaxprTracer) -> str:
        return f"JitTracer({x.aval})"

    def new_input(self, aval: Any) -> JaxprTracer:
        return JaxprTracer(self, aval, Var(aval))

    def process_primitive(self, primitive: Primitive, args: tuple, params: dict) -> Any:
        if primitive.stage is None:
            return self.record(primitive, args, params)
        outer = state.trace
        state.trace = self
        try:
            return primitive.stage(self, args, params)
        finally:
            state.trace = outer

    def record(self, primitive: Primitive, args: Values, params: dict) -> Any:
        """Append an equation and return tracers for its results."""
        try:
            xs = [x if type(x) is JaxprTracer and x._trace is self else self.lift(x) for x in args]
        except TypeError:
            check_operands(primitive.name, args)
            raise
        try:
            avals, effects = infer(primitive, tuple(map(_aval, xs)), params)
        except MixedAxes as mixed:
            return self.record(primitive, mixed.cast(self, xs), params)
        source, scope = state.source or capture(), state.scope
        if scope and self.outer_scopes:
            scope = scope[self.outer_scopes:]
        if primitive.multiple_results:
            outvars = list(map(Var, avals))
            self.eqns.append(JaxprEqn(primitive, list(map(_var, xs)), outvars, params, effects,
                                      source, scope))
            return [JaxprTracer(self, v.aval, v) for v in outvars]
        aval = avals[0]
        var = Var(aval)
        self.eqns.append(JaxprEqn(primitive, list(map(_var, xs)), [var], params, effects, source,
                                  scope))
        return JaxprTracer(self, aval, var)

    def lift(self, x: Any) -> JaxprTracer:
        """A value from outside as a literal or as a captured input."""
        key = id(x)
        found = self.consts.get(key)
        if found is not None:
            return found[0]
        kept = x
        if isinstance(x, Tracer):
            if x._trace is self:
                return x
            check_escaped(x, self.parent)
            aval = x.aval
        else:
            aval = get_aval(x)
            if isinstance(x, _SCALARS) or (type(x) is np.ndarray and not x.ndim):
                return JaxprTracer(self, aval, Literal(x, aval))
            if hasattr(x, "__jax_array__"):
                return self.lift(x.__jax_array__())
        tracer = JaxprTracer(self, aval, Var(aval))
        self.consts[key] = (tracer, x, kept)  # `kept` keeps the identity in use
        return tracer

    def finish(self, inputs: Sequence[JaxprTracer], outs: Sequence[Any]) -> tuple[Jaxpr, list]:
        """The jaxpr with live captured values as leading inputs, and those values."""
        outvars = [(x if getattr(x, "_trace", 0) is self else self.lift(x)).atom for x in outs]
        eqns, live = sweep(self.eqns, outvars)
        kept = [entry for entry in self.consts.values() if entry[0].atom in live]
        invars = [*[e[0].atom for e in kept], *map(_var, inputs)]
        jaxpr = Jaxpr((), invars, outvars, eqns, (), NO_EFFECTS.union(*map(_effects, eqns)),
                      self.debug)
        self.consts, self.inputs = {}, []  # no cycle of references through their tracers
        return jaxpr, [e[1] for e in kept]

    def describe(self) -> str:
        return f"jit of {self.debug.fun_name}" if self.debug else "a traced function"


def trace_to_jaxpr(fun: Callable[..., Sequence[Any]], in_avals: Sequence[Any],
                   debug: DebugInfo | None = None) -> tuple[Jaxpr, list]:
    """Trace `fun` (flat inputs, list of flat outputs) at the given types.

    Returns (jaxpr, captured): `jaxpr.invars` are the captured values followed by the inputs.
    """
    trace = JaxprTrace(state.trace, debug)
    inputs = trace.inputs = [trace.new_input(aval) for aval in in_avals]
    with entered(trace, None):
        outs = fun(*inputs)
        return trace.finish(inputs, outs)


def close(jaxpr: Jaxpr, captured: Sequence[Any]) -> Jaxpr:
    """The jaxpr with its leading inputs bound to the captured values."""
    if not captured:
        return jaxpr
    n = len(captured)
    return Jaxpr(jaxpr.constvars + jaxpr.invars[:n], jaxpr.invars[n:], jaxpr.outvars, jaxpr.eqns,
                 jaxpr.consts + list(captured), jaxpr.effects, jaxpr.debug)


def trace_closed(fun: Callable[..., Sequence[Any]], in_avals: Sequence[Any],
                 debug: DebugInfo | None = None) -> Jaxpr:
    """`trace_to_jaxpr` with captured values as consts: for jaxpr to jaxpr transformations."""
    return close(*trace_to_jaxpr(fun, in_avals, debug))
