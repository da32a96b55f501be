"""`remat_opt`: a forward pass that becomes the function itself where nobody needs residuals.

`custom_vjp` with `optimize_remat` binds it when it is differentiated. Inside `checkpoint` the
residuals are computed in the backward pass only, so the first pass can run the function instead of
its `fwd`, which may be much cheaper: that is the `dce` rule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.core import (AxisData, Dims, DropVar, Jaxpr, JaxprEqn, Primitive, Values, aval_of,
                          batch_jaxpr, eval_jaxpr, jit_p, jit_params, jvp, move_axis,
                          trace_to_jaxpr)

__all__ = ["remat_opt_p", "run_replaceable"]


def run_replaceable(fun: Jaxpr, fun_consts: Sequence[Any],
                    fwd: Callable[[Sequence[Any]], tuple[list, list, Any]],
                    args: Values) -> tuple[list, list, Any]:
    """What `fwd(args)` gives: outputs, residuals and their structure, by one operation.

    `fun(*fun_consts, *args)` gives the outputs alone.
    """
    found: list = []

    def flat(*xs: Any) -> list:
        outs, residuals, structure = fwd(xs)
        found.extend([len(outs), structure])
        return [*outs, *residuals]

    jaxpr, captured = trace_to_jaxpr(flat, [aval_of(x) for x in args])
    num_outs, structure = found
    outs = remat_opt_p.bind(*fun_consts, *captured, *args, fwd_jaxpr=jaxpr, fun_jaxpr=fun,
                            num_consts=(len(fun_consts), len(captured)),
                            num_res=len(jaxpr.outvars) - num_outs)
    return outs[:num_outs], outs[num_outs:], structure


def _forward(*args: Any, fwd_jaxpr: Jaxpr, num_consts: tuple, **_: Any) -> list:
    return eval_jaxpr(fwd_jaxpr, fwd_jaxpr.consts, *args[num_consts[0]:])


def _jvp(primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
    return jvp(lambda *xs: _forward(*xs, **params), primals, tangents)


def _vmap(axis: AxisData, args: Values, dims: Dims, *, fwd_jaxpr: Jaxpr, fun_jaxpr: Jaxpr,
          num_consts: tuple, num_res: int) -> tuple[list, list]:
    args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
    batched = [d is not None for d in dims]
    fun, fwd = num_consts
    fwd_jaxpr, _ = batch_jaxpr(fwd_jaxpr, axis, batched[fun:], True)
    fun_jaxpr, _ = batch_jaxpr(fun_jaxpr, axis, batched[:fun] + batched[fun + fwd:], True)
    outs = remat_opt_p.bind(*args, fwd_jaxpr=fwd_jaxpr, fun_jaxpr=fun_jaxpr, num_res=num_res,
                            num_consts=num_consts)
    return outs, [0] * len(outs)


def _dce(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    outvars = [v if u else DropVar(v.aval) for v, u in zip(eqn.outvars, used)]
    num_outs = len(outvars) - eqn.params["num_res"]
    if any(used[num_outs:]):
        return eqn.replace(outvars=outvars)
    fun, fwd = eqn.params["num_consts"]
    inner = eqn.params["fun_jaxpr"]
    return eqn.replace(
        primitive=jit_p, invars=eqn.invars[:fun] + eqn.invars[fun + fwd:],
        outvars=outvars[:num_outs], effects=inner.effects,
        params=jit_params(inner, inner.debug.fun_name if inner.debug else "f", inline=True))


remat_opt_p = Primitive(
    "remat_opt", multiple_results=True, effectful=True, impl=_forward, decompose=_forward,
    shape=lambda *avals, fwd_jaxpr, **_: (fwd_jaxpr.out_avals, fwd_jaxpr.effects),
    jvp=_jvp, vmap=_vmap, dce=_dce)
