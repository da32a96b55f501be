"""Static and dynamic slices."""

from __future__ import annotations

from typing import Any

from lowering.build import Value
from lowering.module import Context
from lowering.rules import rule


@rule("slice")
def slice_(ctx: Context, x: Value, *, start_indices: tuple[int, ...],
           limit_indices: tuple[int, ...], strides: tuple[int, ...] | None) -> Value:
    strides = (1,) * len(start_indices) if strides is None else strides
    return ctx.op("stablehlo.slice", (x,), ctx.outs, start_indices=tuple(start_indices),
                  limit_indices=tuple(limit_indices), strides=tuple(strides))


@rule("dynamic_slice")
def dynamic_slice(ctx: Context, x: Value, *starts: Value, slice_sizes: tuple[int, ...],
                  **_: Any) -> Value:
    return ctx.op("stablehlo.dynamic_slice", (x, *one_dtype(ctx, starts)), ctx.outs,
                  slice_sizes=tuple(slice_sizes))


@rule("dynamic_update_slice")
def dynamic_update_slice(ctx: Context, x: Value, update: Value, *starts: Value,
                         **_: Any) -> Value:
    return ctx.op("stablehlo.dynamic_update_slice", (x, update, *one_dtype(ctx, starts)),
                  ctx.outs)


def one_dtype(ctx: Context, starts: tuple[Value, ...]) -> tuple[Value, ...]:
    """Start indices with a common dtype, which StableHLO demands and JAX does not."""
    if len({ctx.dtype_of(i) for i in starts}) < 2:
        return starts
    return tuple(ctx.convert(i, "int64") for i in starts)
