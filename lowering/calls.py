"""Equations that hold one jaxpr and run it once: jit, custom derivatives, checkpoint, barriers."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from lowering.build import Value, ir
from lowering.custom_call import TYPED_FFI, attribute, custom_call
from lowering.module import INLINE_EQUATIONS, Context
from lowering.regions import placed
from lowering.rules import rule
from lowering.sharding import constrained


@rule("jit")
def jit(ctx: Context, *args: Value, jaxpr: Any, name: str = "f", inline: bool = False,
        **_: Any) -> list[Value]:
    if inline or len(jaxpr.eqns) <= INLINE_EQUATIONS:
        return ctx.call(jaxpr, args, f"jit({name})/")
    return ctx.outline(jaxpr, args, name)


@rule("closed_call")
@rule("call")
@rule("custom_jvp_call")
@rule("custom_vjp_call")
def inner_call(ctx: Context, *args: Value, call_jaxpr: Any, **_: Any) -> list[Value]:
    return ctx.call(call_jaxpr, args)


@rule("custom_vmap_call")
def custom_vmap_call(ctx: Context, *args: Value, call: Any, **_: Any) -> list[Value]:
    return ctx.call(call, args)


@rule("composite")
def composite(ctx: Context, *args: Value, jaxpr: Any, name: str, version: int,
              attributes: tuple) -> list[Value]:
    return named(ctx, name, jaxpr, args, attributes, version)


@rule("scaled_dot")
def scaled_dot(ctx: Context, *args: Value, dimension_numbers: tuple,
               preferred_element_type: Any) -> list[Value]:
    given = (("dimension_numbers", dimension_numbers),
             ("preferred_element_type", preferred_element_type))
    return named(ctx, "xla.scaled_dot", ctx.expand(ctx.eqn), args, given)


def named(ctx: Context, name: str, jaxpr: Any, args: Sequence[Value], attributes: tuple,
          version: int = 0) -> list[Value]:
    """`jaxpr` as a function that the compiler may replace by its own of that name."""
    decomposition = ctx.helper_name(
        ("composite", name, jaxpr), name, [x.type for x in args], ctx.outs,
        lambda *xs: ctx.call(jaxpr, xs, f"{name}/"))
    described = {"name": ir.StringAttr.get(name), "decomposition": decomposition}
    if version:
        described["version"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), version)
    given = {key: attribute(ctx.builder, value) for key, value in attributes if value is not None}
    if given:
        described["composite_attributes"] = ir.DictAttr.get(given)
    made = ir.Operation.create("stablehlo.composite", ctx.outs, args, described, None, 0, ctx.loc)
    return list(made.results)


@rule("remat2")
def checkpoint(ctx: Context, *args: Value, jaxpr: Any, prevent_cse: Any = True,
               differentiated: bool = False, **_: Any) -> list[Value]:
    # Without the barrier the compiler would find that the forward pass has the values already,
    # and keep them, which is what checkpoint was asked to avoid.
    if differentiated and prevent_cse is True:
        args = ctx.barrier(*args)
    elif differentiated and prevent_cse and any(prevent_cse):
        held = iter(ctx.barrier(*[x for x, p in zip(args, prevent_cse) if p]))
        args = tuple(next(held) if p else x for x, p in zip(args, prevent_cse))
    return ctx.call(jaxpr, args, "checkpoint/")


@rule("dce_sink")
def dce_sink(ctx: Context, x: Value, *, prevent_mlir_dce: bool) -> list[Value]:
    if prevent_mlir_dce:
        with ctx.loc:
            custom_call("dce_sink", result_types=(), operands=(x,), has_side_effect=True,
                        api_version=TYPED_FFI)
    return []


@rule("optimization_barrier")
def optimization_barrier(ctx: Context, *args: Value, **_: Any) -> list[Value]:
    return ctx.barrier(*args)


@rule("custom_linear_solve")
def custom_linear_solve(ctx: Context, *args: Value, const_lengths: Any, jaxprs: Any,
                        **_: Any) -> list[Value]:
    start = const_lengths.matvec + const_lengths.vecmat
    stop = start + const_lengths.solve
    b = args[stop + const_lengths.transpose_solve:]
    return ctx.call(jaxprs.solve, (*args[start:stop], *b))


@rule("device_put")
def device_put(ctx: Context, *args: Value, devices: Sequence[Any], **_: Any) -> list[Value]:
    results = [x if isinstance(device, Enum)  # a kind of memory
               else constrained(ctx, x, device) for x, device in zip(args, devices)]
    spaces = [v.aval.memory_space for v in ctx.eqn.outvars]
    return [x if v.aval.memory_space is space else placed(ctx, x, space)
            for x, v, space in zip(results, ctx.eqn.invars, spaces)]
