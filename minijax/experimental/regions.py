"""Operations that call one jaxpr, and say something about the call to the compiler.

Invariant: under every transformation such an operation becomes operations of the same kind, so what
it says holds for derivatives and batches too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import tree, util
from minijax.core import (AxisData, DebugInfo, Jaxpr, JaxprEqn, Linear, Primitive, Zero, aval_of,
                          batch_jaxpr, dce_call, forward_residuals, jvp_jaxpr, linearize_jaxpr,
                          merge_tangents, move_axis, reach_call, trace_to_jaxpr, transpose_jaxpr)
from minijax.passes.structure import canonical
from minijax.sharding.memory import Space

__all__ = ["Region", "call_region"]


class Region(Primitive):
    """An operation that calls the jaxpr among its parameters.

    `spaces` names the parameter that says for each result in which memory it is, if there is one.
    """

    def __init__(self, name: str, spaces: str | None = None):
        self.spaces = spaces
        super().__init__(
            name, multiple_results=True, effectful=True,
            shape=lambda *_, jaxpr, **__: (jaxpr.out_avals, jaxpr.effects), jvp=self._jvp,
            linearize=self._linearize, transpose=self._transpose, vmap=self._vmap, dce=self._dce,
            reach=reach_call)

    def call(self, params: dict, jaxpr: Jaxpr, operands: Sequence[Any],
             spaces: Sequence[Any] = ()) -> list:
        """Bind with another jaxpr; further results are in the memory of the device."""
        params = {**params, "jaxpr": jaxpr}
        if self.spaces is not None:
            more = len(jaxpr.outvars) - len(spaces)
            params[self.spaces] = (*spaces, *[Space.Device] * more)
        return self.bind(*operands, **params)

    def _spaces_of(self, params: dict) -> tuple:
        return () if self.spaces is None else params[self.spaces]

    def _jvp(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple:
        nonzero = [type(t) is not Zero for t in tangents]
        jaxpr, out_nonzero = jvp_jaxpr(params["jaxpr"], nonzero)
        spaces = self._spaces_of(params)
        live = [s for s, nz in zip(spaces, out_nonzero) if nz]
        operands = [*primals, *[t for t in tangents if type(t) is not Zero]]
        results = self.call(params, jaxpr, operands, (*spaces, *live))
        n = len(out_nonzero)
        return results[:n], merge_tangents(results[n:], out_nonzero, results[:n])

    def _linearize(self, primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple:
        nonzero = [type(t) is not Zero for t in tangents]
        forward, linear, out_nonzero = linearize_jaxpr(params["jaxpr"], nonzero)
        n, spaces = len(out_nonzero), self._spaces_of(params)
        forward, sources = forward_residuals(forward, n)
        results = self.call(params, forward, primals, spaces)
        values = {"in": primals, "out": results[:n], "new": results[n:]}
        operands = [values[kind][i] for kind, i in sources]
        operands += [t for t in tangents if type(t) is not Zero]
        live = [s for s, nz in zip(spaces, out_nonzero) if nz]
        given = self.call(params, linear, operands, live) if any(out_nonzero) else []
        return results[:n], merge_tangents(given, out_nonzero, results[:n])

    def _transpose(self, cts: Sequence[Any], *args: Any, **params: Any) -> list:
        linear = [type(x) is Linear for x in args]
        jaxpr, out_nonzero = transpose_jaxpr(params["jaxpr"], linear,
                                             [type(c) is not Zero for c in cts])
        operands = [x for x in args if type(x) is not Linear]
        operands += [c for c in cts if type(c) is not Zero]
        results, flags = iter(self.call(params, jaxpr, operands)), iter(out_nonzero)
        return [(next(results) if next(flags) else Zero(x.aval)) if lin else None
                for x, lin in zip(args, linear)]

    def _vmap(self, axis: AxisData, args: Sequence[Any], dims: Sequence[int | None],
              **params: Any) -> tuple:
        args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
        jaxpr, batched = batch_jaxpr(params["jaxpr"], axis, [d is not None for d in dims])
        return (self.call(params, jaxpr, args, self._spaces_of(params)),
                [0 if b else None for b in batched])

    def _dce(self, eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
        new = _dce_operands(eqn, used)
        if new is not None and self.spaces is not None:
            kept = zip(eqn.params[self.spaces], used)
            new.params[self.spaces] = tuple(s for s, u in kept if u)
        return new


_dce_operands = dce_call()


def call_region(primitive: Region, fun: Callable, args: tuple, kwargs: dict,
                spaces: Any = None, **params: Any) -> Any:
    """`fun(*args, **kwargs)` as one operation; `spaces` is a prefix of the tree of results."""
    leaves, structure = tree.flatten((args, kwargs))
    result = None

    def flat(*xs: Any) -> list:
        nonlocal result
        given, keywords = tree.unflatten(structure, xs)
        outs, result = tree.flatten(fun(*given, **keywords))
        return outs

    jaxpr, captured = trace_to_jaxpr(flat, [aval_of(x) for x in leaves],
                                     DebugInfo(util.fun_name(fun)))
    jaxpr = canonical(jaxpr)  # a function that is called twice is compiled once
    if primitive.spaces is not None:
        whole = tree.unflatten(result, [0] * result.num_leaves)
        params[primitive.spaces] = tuple(tree.broadcast_prefix(spaces, whole))
    outs = primitive.bind(*captured, *leaves, jaxpr=jaxpr, **params)
    return tree.unflatten(result, outs)
