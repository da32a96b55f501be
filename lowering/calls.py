"""Equations that hold one jaxpr and run it once: jit, custom derivatives, checkpoint, barriers."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowering.build import Value, ir
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
def composite(ctx: Context, *args: Value, jaxpr: Any, name: str, version: int,
              attributes: tuple) -> list[Value]:
    decomposition = ctx.helper_name(
        ("composite", name, jaxpr), name, [x.type for x in args], ctx.outs,
        lambda *xs: ctx.call(jaxpr, xs, f"{name}/"))
    described = {"name": ir.StringAttr.get(name), "decomposition": decomposition}
    if version:
        described["version"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), version)
    given = {key: _attribute(ctx, value) for key, value in attributes if value is not None}
    if given:
        described["composite_attributes"] = ir.DictAttr.get(given)
    made = ir.Operation.create("stablehlo.composite", ctx.outs, args, described, None, 0, ctx.loc)
    return list(made.results)


def _attribute(ctx: Context, value: Any) -> Any:
    """What a composite says of one keyword argument."""
    if isinstance(value, str):
        return ir.StringAttr.get(value)
    if isinstance(value, tuple):
        return ir.ArrayAttr.get([_attribute(ctx, v) for v in value])
    if isinstance(value, np.dtype):
        return ir.TypeAttr.get(ctx.builder.elements[value])
    if hasattr(value, "array"):
        return ctx.builder.constant(value.array, value.array.shape)
    scalar = np.asarray(value)
    if scalar.dtype.kind not in "biuf" or scalar.ndim:
        raise TypeError(f"No attribute handler defined for type: {type(value)}")
    element = ctx.builder.elements[scalar.dtype]
    if scalar.dtype.kind == "b":
        return ir.BoolAttr.get(bool(value))
    make = ir.FloatAttr if scalar.dtype.kind == "f" else ir.IntegerAttr
    return make.get(element, scalar.item())


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
