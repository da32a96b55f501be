"""Reverse mode, second half: run a linear program backwards.

`backward_pass` first runs what depends on no linear input (recomputation under `checkpoint` lands
there), then walks back, giving each operation's `transpose` rule the cotangent of its result.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base import errors, source
from minijax.base.util import trace_cache
from minijax.core.avals import Zero, register_aval
from minijax.core.ir import Jaxpr, JaxprEqn, Literal, Var
from minijax.core.reach import cut
from minijax.core.stage import trace_closed
from minijax.core.placement import cotangent_aval
from minijax.core.structural import add_tangents, conform
from minijax.core.trace import state


class Linear:
    """In place of an operand that the operation is linear in."""

    __slots__ = ("aval",)

    def __init__(self, aval: Any):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Linear({self.aval.str_short()})"


def _no_value(x: Linear) -> Any:
    raise TypeError(errors.describe(
        "A function that is transposed must be linear in the arguments it is transposed by, but a "
        f"product or another function of several of them is needed: {x!r}",
        fix="transpose by one argument at a time: jax.linear_transpose(lambda x: f(x, y), x)"))


register_aval(Linear, _no_value)


def is_linear(x: Any) -> bool:
    return type(x) is Linear


def backward_pass(jaxpr: Jaxpr, args: Sequence[Any], cts: Sequence[Any],
                  scope: tuple[str, ...] = ()) -> list:
    """The cotangents of the `Linear` args, given those of the outputs (values or `Zero`).

    Entries of the result for other args are None; a `Zero` means that no output depends on it.
    """
    values: dict[Var, Any] = dict(zip(jaxpr.constvars, jaxpr.consts))
    linear: set[Var] = set()
    for v, x in zip(jaxpr.invars, args):
        if type(x) is Linear:
            linear.add(v)
        else:
            values[v] = x
    outer_source, outer_scope = state.source, state.scope
    scope = outer_scope + scope
    try:
        linear_eqns = _run_nonlinear(jaxpr, values, linear, scope)
        found: dict[Var, Any] = {}
        for v, ct in zip(jaxpr.outvars, cts):
            if type(v) is Var and type(ct) is not Zero and v in linear:
                found[v] = add_tangents(found[v], ct) if v in found else ct
        for eqn in reversed(linear_eqns):
            state.source, state.scope = eqn.source, scope + eqn.scope
            _transpose_equation(eqn, values, linear, found)
    finally:
        state.source, state.scope = outer_source, outer_scope
    return [found.get(v, Zero(x.aval)) if type(x) is Linear else None
            for v, x in zip(jaxpr.invars, args)]


def _run_nonlinear(jaxpr: Jaxpr, values: dict, linear: set,
                   scope: tuple[str, ...]) -> list[JaxprEqn]:
    known, linear_eqns = cut(jaxpr, linear)
    for eqn in known:
        state.source, state.scope = eqn.source, scope + eqn.scope
        operands = [v.val if type(v) is Literal else values[v] for v in eqn.invars]
        out = eqn.primitive.bind(*operands, **eqn.params)
        values.update(zip(eqn.outvars, out if eqn.primitive.multiple_results else [out]))
    return linear_eqns


def _transpose_equation(eqn: JaxprEqn, values: dict, linear: set, found: dict) -> None:
    primitive = eqn.primitive
    if primitive.multiple_results:
        if not any(v in found for v in eqn.outvars):
            return
        ct = [found.pop(v, None) for v in eqn.outvars]
        ct = [Zero(v.aval) if c is None else c for v, c in zip(eqn.outvars, ct)]
    else:
        ct = found.pop(eqn.outvars[0], None)
        if ct is None:
            return
    if primitive.transpose is None:
        raise _not_transposable(eqn)
    args = [v.val if type(v) is Literal else Linear(v.aval) if v in linear else values[v]
            for v in eqn.invars]
    result = primitive.transpose(ct, *args, **eqn.params)
    if not isinstance(result, (list, tuple)):
        result = [result]
    for v, c in zip(eqn.invars, result):
        if c is not None and type(c) is not Zero and type(v) is Var and v in linear:
            if v.aval.placement is not None:
                c = conform(c, cotangent_aval(v.aval))
            found[v] = add_tangents(found[v], c) if v in found else c


def _not_transposable(eqn: JaxprEqn) -> Exception:
    return NotImplementedError(errors.describe(
        f"Transpose rule (for reverse-mode differentiation) for '{eqn.primitive.name}' "
        "not implemented",
        at=source.user_frame(eqn.source),
        because="reverse mode runs each operation on tangents backwards",
        fix="use forward mode (jax.jvp, jax.jacfwd), or give the function a jax.custom_vjp"))


def transpose_jaxpr(jaxpr: Jaxpr, linear: Sequence[bool],
                    ct_nonzero: Sequence[bool]) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The transposed program.

    Inputs: the non-linear inputs, then the cotangents marked in `ct_nonzero`. Outputs: for the
    inputs marked in `linear`, the cotangents marked in the second result.
    """
    return _transpose_jaxpr(jaxpr, tuple(linear), tuple(ct_nonzero))


@trace_cache
def _transpose_jaxpr(jaxpr: Jaxpr, linear: tuple, ct_nonzero: tuple) -> tuple[Jaxpr, tuple]:
    out_nonzero: list[bool] = []
    num_known = len(linear) - sum(linear)

    def fun(*args: Any) -> list:
        known, given = iter(args[:num_known]), iter(args[num_known:])
        operands = [Linear(a) if lin else next(known) for a, lin in zip(jaxpr.in_avals, linear)]
        cts = [next(given) if nz else Zero(a) for a, nz in zip(jaxpr.out_avals, ct_nonzero)]
        found = [c for c, lin in zip(backward_pass(jaxpr, operands, cts), linear) if lin]
        out_nonzero.extend(type(c) is not Zero for c in found)
        return [c for c in found if type(c) is not Zero]

    in_avals = [a for a, lin in zip(jaxpr.in_avals, linear) if not lin]
    in_avals += [cotangent_aval(a) for a, nz in zip(jaxpr.out_avals, ct_nonzero) if nz]
    return trace_closed(fun, in_avals, jaxpr.debug), tuple(out_nonzero)
