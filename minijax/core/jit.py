"""Operations that call one jaxpr, and `jit`, the first of them.

Each rule transforms the jaxpr (memoized on its identity) and binds the operation again, so a
jitted function stays one operation under every transformation.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any

from minijax.core.avals import Zero, zero_tangent
from minijax.core.dce import dce_call
from minijax.core.ir import Jaxpr, Literal, Var
from minijax.core.jvp import jvp_jaxpr
from minijax.core.linearize import forward_residuals, linearize_jaxpr
from minijax.core.primitive import Dims, Primitive, Values
from minijax.core.reach import reach_call
from minijax.core.stage import JaxprTrace, JaxprTracer
from minijax.core.structural import move_axis
from minijax.core.transpose import Linear, transpose_jaxpr
from minijax.core.vmap import AxisData, batch_jaxpr


class UnspecifiedValue:
    """No sharding was asked for."""

    def __repr__(self) -> str:
        return "UnspecifiedValue"

    def __reduce__(self) -> str:
        return "UNSPECIFIED"


UNSPECIFIED = UnspecifiedValue()


def jit_params(jaxpr: Jaxpr, name: str, *, donated_invars: tuple[bool, ...] | None = None,
               in_shardings: tuple | None = None, out_shardings: tuple | None = None,
               inline: bool = False, keep_unused: bool = False,
               compiler_options_kvs: tuple = ()) -> dict:
    """The parameters of a `jit` equation, with defaults for those about placement."""
    n_in, n_out = len(jaxpr.invars), len(jaxpr.outvars)
    return dict(
        jaxpr=jaxpr, in_shardings=in_shardings or (UNSPECIFIED,) * n_in,
        out_shardings=out_shardings or (UNSPECIFIED,) * n_out, in_layouts=(None,) * n_in,
        out_layouts=(None,) * n_out, donated_invars=donated_invars or (False,) * n_in,
        ctx_mesh=None, name=name, keep_unused=keep_unused, inline=inline,
        compiler_options_kvs=compiler_options_kvs)


def _shape(*avals: Any, jaxpr: Jaxpr, **_: Any) -> tuple[list, frozenset]:
    return jaxpr.out_avals, jaxpr.effects


def merge_tangents(given: Sequence[Any], nonzero: Sequence[bool], outs: Sequence[Any]) -> list:
    """The tangents of `outs`: the given ones where `nonzero`, symbolic zeros elsewhere."""
    given = iter(given)
    return [next(given) if nz else zero_tangent(o) for o, nz in zip(outs, nonzero)]


class JaxprCall(Primitive):
    """An operation that calls the jaxpr in its parameter `jaxpr`, under all transformations."""

    def __init__(self, name: str, **rules: Any):
        super().__init__(name, multiple_results=True, effectful=True, reach=reach_call, **{
            "shape": _shape, "jvp": self._jvp, "linearize": self._linearize,
            "transpose": self._transpose, "vmap": self._vmap, **rules})

    def rebind(self, params: dict, jaxpr: Jaxpr, operands: Values, ins: Sequence[int],
               outs: Sequence[int]) -> list:
        """Bind with a transformed jaxpr.

        The first operands are those of the numbers `ins`, the first results those of `outs` (or
        their tangents); all others are new.
        """
        return self.bind(*operands, **{**params, "jaxpr": jaxpr})

    def _jvp(self, primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
        nonzero = [type(t) is not Zero for t in tangents]
        jaxpr, out_nonzero = jvp_jaxpr(params["jaxpr"], nonzero)
        live = [t for t in tangents if type(t) is not Zero]
        n = len(out_nonzero)
        results = self.rebind(params, jaxpr, [*primals, *live], range(len(primals)),
                              [*range(n), *compress(range(n), out_nonzero)])
        return results[:n], merge_tangents(results[n:], out_nonzero, results[:n])

    def _linearize(self, primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
        nonzero = [type(t) is not Zero for t in tangents]
        forward, linear, out_nonzero = linearize_jaxpr(params["jaxpr"], nonzero)
        n = len(out_nonzero)
        forward, sources = forward_residuals(forward, n)
        results = self.rebind(params, forward, primals, range(len(primals)), range(n))
        values = {"in": primals, "out": results[:n], "new": results[n:]}
        operands = [values[kind][i] for kind, i in sources]
        operands += [t for t in tangents if type(t) is not Zero]
        out_tangents = self.rebind(params, linear, operands, (), [
            *compress(range(n), out_nonzero)]) if any(out_nonzero) else []
        return results[:n], merge_tangents(out_tangents, out_nonzero, results[:n])

    def _transpose(self, cts: Values, *args: Any, **params: Any) -> list:
        linear = [type(x) is Linear for x in args]
        jaxpr, out_nonzero = transpose_jaxpr(params["jaxpr"], linear,
                                             [type(c) is not Zero for c in cts])
        known = [i for i, lin in enumerate(linear) if not lin]
        operands = [*[args[i] for i in known], *[c for c in cts if type(c) is not Zero]]
        results = iter(self.rebind(params, jaxpr, operands, known, ()))
        flags = iter(out_nonzero)
        return [(next(results) if next(flags) else Zero(x.aval)) if lin else None
                for x, lin in zip(args, linear)]

    def _vmap(self, axis: AxisData, args: Values, dims: Dims, **params: Any) -> tuple[list, list]:
        args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
        jaxpr, batched = batch_jaxpr(params["jaxpr"], axis, [d is not None for d in dims])
        results = self.rebind(params, jaxpr, args, range(len(args)), range(len(batched)))
        return results, [0 if b else None for b in batched]


class _Jit(JaxprCall):
    """Transformed, it asks for no placement and donates nothing."""

    def rebind(self, params: dict, jaxpr: Jaxpr, operands: Values, ins: Sequence[int],
               outs: Sequence[int]) -> list:
        return self.bind(*operands, **jit_params(
            jaxpr, params["name"], inline=params["inline"], keep_unused=params["keep_unused"],
            compiler_options_kvs=params["compiler_options_kvs"]))


def _stage(trace: JaxprTrace, args: Values, params: dict) -> list:
    if params["inline"]:
        return inline_jaxpr(trace, params["jaxpr"], args)
    return trace.record(jit_p, args, params)


def inline_jaxpr(trace: JaxprTrace, jaxpr: Jaxpr, args: Values) -> list:
    """Copy the equations of `jaxpr` into `trace`, substituting variables; makes no tracers."""
    env: dict[Var, Any] = {}
    for v, x in zip(jaxpr.constvars + jaxpr.invars, [*jaxpr.consts, *args]):
        env[v] = trace.lift(x).atom
    for eqn in jaxpr.eqns:
        invars = [v if type(v) is Literal else env[v] for v in eqn.invars]
        outvars = [Var(v.aval) for v in eqn.outvars]
        env.update(zip(eqn.outvars, outvars))
        trace.eqns.append(eqn.replace(invars=invars, outvars=outvars))
    return [JaxprTracer(trace, v.aval, v if type(v) is Literal else env[v])
            for v in jaxpr.outvars]


jit_p = _Jit("jit", stage=_stage, dce=dce_call(
    "jaxpr", ("in_shardings", "in_layouts", "donated_invars"), ("out_shardings", "out_layouts")))
