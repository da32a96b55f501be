"""The six operations that core itself needs, and the identities."""

from __future__ import annotations

from typing import Any

from lowering.build import Value, is_complex
from lowering.module import Context
from lowering.reduction import reduce_with
from lowering.rules import rule


@rule("add_any", spread=True)
def add_any(ctx: Context, x: Value, y: Value) -> Value:
    return ctx.op("stablehlo.add", (x, y), ctx.outs)


@rule("broadcast_in_dim")
def broadcast_in_dim(ctx: Context, x: Value, *, broadcast_dimensions: tuple[int, ...],
                     **_: Any) -> Value:
    return ctx.op("stablehlo.broadcast_in_dim", (x,), ctx.outs,
                  broadcast_dimensions=broadcast_dimensions)


@rule("transpose")
def transpose(ctx: Context, x: Value, *, permutation: tuple[int, ...]) -> Value:
    return ctx.op("stablehlo.transpose", (x,), ctx.outs, permutation=permutation)


@rule("reshape")
def reshape(ctx: Context, x: Value, *, dimensions: tuple[int, ...] | None = None,
            **_: Any) -> Value:
    if dimensions is not None:
        x = ctx.transpose(x, dimensions)
    return ctx.op("stablehlo.reshape", (x,), ctx.outs)


@rule("reduce_sum")
def reduce_sum(ctx: Context, x: Value, *, axes: tuple[int, ...], **_: Any) -> Value:
    return reduce_with(ctx, "stablehlo.add", x, 0, axes)


@rule("convert_element_type")
def convert_element_type(ctx: Context, x: Value, *, new_dtype: Any, **_: Any) -> Value:
    source = ctx.in_avals[0].dtype
    if source == new_dtype:
        return x
    if new_dtype == bool or is_complex(source):
        return ctx.convert(x, new_dtype)
    return ctx.op("stablehlo.convert", (x,), ctx.outs)
