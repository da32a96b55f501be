"""Reverse mode, first half: run a function and keep its tangents' program.

`linearize` stacks a `JVPTrace` on a `LinearTrace`: work on values goes straight to the trace that
was current, work on tangents is appended to one flat linear program, ready to be transposed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import dtypes
from minijax.base.util import flags, trace_cache, weak_cache
from minijax.core.avals import Zero
from minijax.core.ir import Jaxpr, JaxprEqn, Var, eval_jaxpr
from minijax.core.jvp import JVPTrace, JVPTracer, split_outputs
from minijax.core.primitive import Primitive, Values, infer
from minijax.core.reach import separate
from minijax.core.stage import JaxprTrace, JaxprTracer, close, trace_to_jaxpr
from minijax.core.structural import instantiate as instantiate_zero
from minijax.core.trace import Trace, aval_of, entered, state


class LinearTrace(JaxprTrace):
    """Records what is done to tangents; runs everything else in the parent trace."""

    __slots__ = ()

    def __init__(self, parent: Trace):
        super().__init__(parent)
        self.staging = parent.staging
        self.outer_scopes = len(state.scope)

    def process_primitive(self, primitive: Primitive, args: Values, params: dict) -> Any:
        for x in args:
            if type(x) is JaxprTracer and x._trace is self:
                break
        else:
            return self.parent.process_primitive(primitive, args, params)
        if primitive.reach is not None:
            linear = [type(x) is JaxprTracer and x._trace is self for x in args]
            reached = primitive.reach(linear, **params)
            if not all(reached):
                return self._process_mixed(primitive, args, params, reached)
        return JaxprTrace.process_primitive(self, primitive, args, params)

    def _process_mixed(self, primitive: Primitive, args: Values, params: dict,
                       reached: Sequence[bool]) -> list:
        """Run what gives the results that no tangent reaches, record the rest."""
        avals = tuple(map(aval_of, args))
        out_avals, effects = infer(primitive, avals, params)
        operands, results = list(map(Var, avals)), list(map(Var, out_avals))
        values = dict(zip(operands, args))
        eqn = JaxprEqn(primitive, operands, results, params, effects, None)
        for part in separate(eqn, reached):
            xs = [values[v] for v in part.invars]
            if any(type(x) is JaxprTracer and x._trace is self for x in xs):
                outs = JaxprTrace.process_primitive(self, primitive, xs, part.params)
            else:
                outs = self.parent.process_primitive(primitive, xs, part.params)
            values.update(zip(part.outvars, outs))
        return [values[v] for v in results]

    def describe(self) -> str:
        return "grad"


class Linearized(NamedTuple):
    """The value of a function and its derivative there, as a linear program.

    `jaxpr` takes `residuals`, then the tangents marked in `in_nonzero`, and gives the tangents of
    the outputs marked in `out_nonzero`.
    """

    outs: list
    jaxpr: Jaxpr
    residuals: list
    in_nonzero: tuple[bool, ...]
    out_nonzero: tuple[bool, ...]


def linearize(fun: Callable[..., Sequence[Any]], primals: Values,
              nonzero: Sequence[bool] | None = None, instantiate: bool | Sequence[bool] = False,
              num_aux: Callable[[], int] = lambda: 0, scope: tuple[str, ...] = ()) -> Linearized:
    """Run the flat function `fun` at `primals` and linearize it there.

    `nonzero` says which inputs have a tangent (default: all of inexact dtype). The last
    `num_aux()` outputs, asked for after the call, are values of any kind without a tangent.
    """
    linear = LinearTrace(state.trace)
    trace = JVPTrace(linear, reverse=True)
    avals = [aval_of(p).to_tangent_aval() for p in primals]
    tangents = [linear.new_input(a) if a.dtype != dtypes.float0 and (not nonzero or nonzero[i])
                else None for i, a in enumerate(avals)]
    inputs = [p if t is None else JVPTracer(trace, p, t) for p, t in zip(primals, tangents)]
    with entered(trace, scope):
        outs = fun(*inputs)
    outs, out_tangents = split_outputs(trace, outs, num_aux())
    if instantiate is not False:
        wanted = [instantiate] * len(outs) if instantiate is True else instantiate
        out_tangents = [instantiate_zero(t) if w else t for t, w in zip(out_tangents, wanted)]
    out_nonzero = tuple(type(t) is not Zero for t in out_tangents)
    jaxpr, residuals = linear.finish([t for t in tangents if t is not None],
                                     [t for t in out_tangents if type(t) is not Zero])
    return Linearized(outs, jaxpr, residuals, tuple(t is not None for t in tangents), out_nonzero)


def linearize_jaxpr(jaxpr: Jaxpr, nonzero: Sequence[bool],
                    instantiate: bool | Sequence[bool] = False,
                    ) -> tuple[Jaxpr, Jaxpr, tuple[bool, ...]]:
    """Split a program into a forward part and a linear part.

    Returns (forward, linear, out_nonzero): forward maps primals to outputs and residuals, linear
    maps residuals and the tangents marked in `nonzero` to the tangents marked in `out_nonzero`.
    """
    return _linearize_jaxpr(jaxpr, tuple(nonzero), flags(instantiate, len(jaxpr.outvars)))


@trace_cache
def _linearize_jaxpr(jaxpr: Jaxpr, nonzero: tuple, instantiate: Any) -> tuple:
    found: list[Linearized] = []

    def fun(*primals: Any) -> list:
        lin = linearize(lambda *xs: eval_jaxpr(jaxpr, jaxpr.consts, *xs), primals, nonzero,
                        instantiate)
        lin = _known_tangents_last(lin, nonzero, [a.to_tangent_aval() for a in jaxpr.in_avals])
        found.append(lin)
        return [*lin.outs, *lin.residuals]

    forward = close(*trace_to_jaxpr(fun, jaxpr.in_avals, jaxpr.debug))
    lin = found[0]
    return forward, lin.jaxpr.replace(debug_info=jaxpr.debug), lin.out_nonzero


def _known_tangents_last(lin: Linearized, nonzero: tuple, avals: list) -> Linearized:
    """Give the linear program an input for every tangent asked for, even those of integers."""
    if lin.in_nonzero == nonzero:
        return lin
    n = len(lin.residuals)
    given = iter(lin.jaxpr.invars[n:])
    inputs = []
    for wanted, present, aval in zip(nonzero, lin.in_nonzero, avals):
        if present:
            inputs.append(next(given))
        elif wanted:
            inputs.append(Var(aval))
    return lin._replace(jaxpr=lin.jaxpr.replace(invars=lin.jaxpr.invars[:n] + inputs))


class Forwarded(NamedTuple):
    """Where each residual of a split program comes from: ("in", i), ("out", i) or ("new", i)."""

    forward: Jaxpr
    sources: tuple[tuple[str, int], ...]


@weak_cache
def forward_residuals(forward: Jaxpr, num_outs: int) -> Forwarded:
    """Drop residual outputs that are inputs or other outputs of the forward program."""
    outs, residuals = forward.outvars[:num_outs], forward.outvars[num_outs:]
    sources, new = [], []
    where_in = {v: i for i, v in enumerate(forward.invars)}
    where_out = {v: i for i, v in enumerate(outs) if type(v) is Var}
    for v in residuals:
        if v in where_in:
            sources.append(("in", where_in[v]))
        elif v in where_out:
            sources.append(("out", where_out[v]))
        else:
            sources.append(("new", len(new)))
            new.append(v)
    return Forwarded(forward.replace(outvars=outs + new), tuple(sources))
