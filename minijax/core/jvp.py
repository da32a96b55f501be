"""Forward mode: values paired with tangents.

`jvp(f)` is one `JVPTrace`; a value without a tangent is simply not one of its tracers. Under
reverse mode the trace's parent is a `LinearTrace`, which keeps the tangents' program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import dtypes
from minijax.base.util import flags, trace_cache
from minijax.core.avals import Zero, zero_tangent
from minijax.core.ir import Jaxpr, eval_jaxpr
from minijax.core.primitive import Primitive, Values, missing_rule
from minijax.core.stage import trace_closed
from minijax.core.structural import instantiate as instantiate_zero
from minijax.core.trace import Trace, Tracer, aval_of, entered, state


class JVPTracer(Tracer):
    """A primal value and its tangent (never a `Zero`)."""

    __slots__ = ("primal", "tangent")

    def __init__(self, trace: Trace, primal: Any, tangent: Any):
        self._trace = trace
        self.primal = primal
        self.tangent = tangent
        try:
            self.aval = primal.aval
        except AttributeError:
            self.aval = aval_of(primal)

    # Its value may be known, but float(x) or np.sin(x) would lose the tangent: so no `concrete`.

    def __repr__(self) -> str:
        if self._trace.reverse:
            tangent = aval_of(self.tangent).str_short()
            return f"GradTracer(primal={self.primal}, typeof(tangent)={tangent})"
        return f"JVPTracer(primal={self.primal}, tangent={self.tangent})"


class JVPTrace(Trace):
    """Runs each operation's `jvp` rule in the parent trace."""

    __slots__ = ("reverse",)

    def __init__(self, parent: Trace, reverse: bool = False):
        super().__init__(parent, parent.staging)
        self.reverse = reverse  # the parent is a LinearTrace: prefer `linearize` rules

    def process_primitive(self, primitive: Primitive, args: Values, params: dict) -> Any:
        primals, tangents, active, partial = [], [], False, False
        for x in args:
            if type(x) is JVPTracer and x._trace is self:
                primals.append(x.primal)
                tangents.append(x.tangent)
                active = True
            else:
                primals.append(x)
                tangents.append(None)
                partial = True
        if not active:
            return self.parent.process_primitive(primitive, args, params)
        rule = primitive.jvp
        if self.reverse and primitive.linearize is not None:
            rule = primitive.linearize
        if rule is None:
            raise missing_rule(primitive, "jvp", "Differentiation",
                               "wrap the call in jax.custom_jvp or jax.lax.stop_gradient")
        if partial:
            tangents = [zero_tangent(x) if t is None else t for x, t in zip(args, tangents)]
        outer = state.trace
        state.trace = self.parent
        try:
            out, tangent = rule(primals, tangents, **params)
        finally:
            state.trace = outer
        if primitive.multiple_results:
            return [o if type(t) is Zero else JVPTracer(self, o, t) for o, t in zip(out, tangent)]
        return out if type(tangent) is Zero else JVPTracer(self, out, tangent)

    def describe(self) -> str:
        return "grad" if self.reverse else "jvp"


def jvp(fun: Callable[..., Sequence[Any]], primals: Values, tangents: Values,
        num_aux: Callable[[], int] = lambda: 0, scope: tuple[str, ...] = ()) -> tuple[list, list]:
    """Push tangents (values or `Zero`) through `fun`, flat; returns primals and tangents out.

    The last `num_aux()` outputs, asked for after the call, are values of any kind without tangent.
    """
    trace = JVPTrace(state.trace)
    inputs = [p if type(t) is Zero or aval_of(t).dtype == dtypes.float0 else JVPTracer(trace, p, t)
              for p, t in zip(primals, tangents)]
    with entered(trace, scope):
        outs = fun(*inputs)
    return split_outputs(trace, outs, num_aux())


def split_outputs(trace: JVPTrace, outs: Sequence[Any], num_aux: int = 0) -> tuple[list, list]:
    """Primals of all outputs of a function run under `trace`, tangents of all but the last."""
    mine = [type(x) is JVPTracer and x._trace is trace for x in outs]
    primals = [x.primal if m else x for x, m in zip(outs, mine)]
    differentiated = outs[:len(outs) - num_aux]
    return primals, [x.tangent if m else zero_tangent(x) for x, m in zip(differentiated, mine)]


def jvp_jaxpr(jaxpr: Jaxpr, nonzero: Sequence[bool],
              instantiate: bool | Sequence[bool] = False) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The program of primals and tangents.

    Inputs: all primals, then the tangents marked in `nonzero`. Outputs: all primals, then the
    tangents marked in the second result, among which are at least those of `instantiate`.
    """
    return _jvp_jaxpr(jaxpr, tuple(nonzero), flags(instantiate, len(jaxpr.outvars)))


@trace_cache
def _jvp_jaxpr(jaxpr: Jaxpr, nonzero: tuple, instantiate: tuple) -> tuple[Jaxpr, tuple]:
    avals = jaxpr.in_avals
    out_nonzero: list[bool] = []

    def fun(*args: Any) -> list:
        primals, given = args[:len(avals)], iter(args[len(avals):])
        tangents = [next(given) if nz else Zero(a.to_tangent_aval())
                    for a, nz in zip(avals, nonzero)]
        outs, out_tangents = jvp(lambda *xs: eval_jaxpr(jaxpr, jaxpr.consts, *xs), primals,
                                 tangents)
        out_nonzero.extend(type(t) is not Zero or inst
                           for t, inst in zip(out_tangents, instantiate))
        kept = [instantiate_zero(t) for t, nz in zip(out_tangents, out_nonzero) if nz]
        return [*outs, *kept]

    in_avals = avals + [a.to_tangent_aval() for a, nz in zip(avals, nonzero) if nz]
    return trace_closed(fun, in_avals, jaxpr.debug), tuple(out_nonzero)
