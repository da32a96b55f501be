"""Equations that hold one jaxpr and run it once: jit, custom derivatives, checkpoint, barriers."""

from __future__ import annotations

from typing import Any

from lowering.build import Value
from lowering.module import INLINE_EQUATIONS, Context
from lowering.rules import rule


@rule("jit")
@rule("pjit")
def jit(ctx: Context, *args: Value, jaxpr: Any, name: str = "f", inline: bool = False,
        **_: Any) -> list[Value]:
    if inline or len(jaxpr.eqns) <= INLINE_EQUATIONS:
        return ctx.call(jaxpr, args, f"jit({name})/")
    return ctx.outline(jaxpr, args, name)


@rule("closed_call")
@rule("core_call")
@rule("call")
@rule("custom_jvp_call")
@rule("custom_vjp_call")
@rule("custom_vjp_call_jaxpr")
def inner_call(ctx: Context, *args: Value, **params: Any) -> list[Value]:
    jaxpr = next(params[key] for key in ("call_jaxpr", "jaxpr", "fun_jaxpr") if key in params)
    return ctx.call(jaxpr, args)


@rule("custom_vmap_call")
def custom_vmap_call(ctx: Context, *args: Value, call: Any, **_: Any) -> list[Value]:
    return ctx.call(call, args)


@rule("composite")
def composite(ctx: Context, *args: Value, jaxpr: Any, name: str, **_: Any) -> list[Value]:
    return ctx.call(jaxpr, args, f"{name}/")


@rule("remat2")
@rule("checkpoint")
def checkpoint(ctx: Context, *args: Value, jaxpr: Any, prevent_cse: Any = True,
               differentiated: bool = False, **_: Any) -> list[Value]:
    # Without the barrier the compiler would find that the forward pass has the values already,
    # and keep them, which is what checkpoint was asked to avoid.
    if differentiated and prevent_cse:
        args = optimization_barrier(ctx, *args)
    return ctx.call(jaxpr, args, "checkpoint/")


@rule("optimization_barrier")
def optimization_barrier(ctx: Context, *args: Value, **_: Any) -> list[Value]:
    results = ctx.op("stablehlo.optimization_barrier", args, [x.type for x in args])
    return results if type(results) is list else [results]


@rule("custom_linear_solve")
def custom_linear_solve(ctx: Context, *args: Value, const_lengths: Any, jaxprs: Any,
                        **_: Any) -> list[Value]:
    start = const_lengths.matvec + const_lengths.vecmat
    stop = start + const_lengths.solve
    b = args[stop + const_lengths.transpose_solve:]
    return ctx.call(jaxprs.solve, (*args[start:stop], *b))


@rule("device_put")
def device_put(ctx: Context, *args: Value, **_: Any) -> list[Value]:
    return list(args)
