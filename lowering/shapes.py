"""Making, joining and rearranging arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowering.build import Value
from lowering.module import Context
from lowering.rules import rule
from lowering.sharding import as_terms


@rule("iota")
def iota(ctx: Context, *, dimension: int, **_: Any) -> Value:
    return ctx.op("stablehlo.iota", (), ctx.outs, iota_dimension=dimension)


@rule("empty")
def empty(ctx: Context, **_: Any) -> Value:
    aval = ctx.out_avals[0]
    return ctx.const(0, aval.dtype, aval.shape)


@rule("concatenate")
def concatenate(ctx: Context, *xs: Value, dimension: int) -> Value:
    return ctx.op("stablehlo.concatenate", xs, ctx.outs, dimension=dimension)


@rule("pad")
def pad(ctx: Context, x: Value, value: Value, *,
        padding_config: Sequence[tuple[int, int, int]]) -> Value:
    low, high, interior = zip(*padding_config) if padding_config else ((), (), ())
    return ctx.op("stablehlo.pad", (x, value), ctx.outs, edge_padding_low=tuple(low),
                  edge_padding_high=tuple(high), interior_padding=tuple(interior))


@rule("rev")
def rev(ctx: Context, x: Value, *, dimensions: tuple[int, ...]) -> Value:
    return ctx.op("stablehlo.reverse", (x,), ctx.outs, dimensions=tuple(dimensions))


@rule("squeeze")
def squeeze(ctx: Context, x: Value, **_: Any) -> Value:
    return ctx.op("stablehlo.reshape", (x,), ctx.outs)


@rule("split")
def split(ctx: Context, x: Value, *, sizes: tuple[int, ...], axis: int) -> list[Value]:
    shape = ctx.in_avals[0].shape
    parts, start = [], 0
    for size in sizes:
        low, high = [0] * len(shape), list(shape)
        low[axis], high[axis] = start, start + size
        parts.append(ctx.slice(x, low, high))
        start += size
    return parts


@rule("stack")
def stack(ctx: Context, *xs: Value, axis: int) -> Value:
    shape = ctx.in_avals[0].shape
    rows = [as_terms(ctx, ctx.reshape(x, (*shape[:axis], 1, *shape[axis:])), ctx.out_avals[0])
            for x in xs]
    return ctx.concatenate(rows, axis)


@rule("unstack")
def unstack(ctx: Context, x: Value, *, axis: int) -> list[Value]:
    shape = ctx.in_avals[0].shape
    parts = []
    for i in range(shape[axis]):
        low, high = [0] * len(shape), list(shape)
        low[axis], high[axis] = i, i + 1
        part = as_terms(ctx, ctx.slice(x, low, high), ctx.in_avals[0])
        parts.append(ctx.reshape(part, shape[:axis] + shape[axis + 1:]))
    return parts


@rule("tile")
def tile(ctx: Context, x: Value, *, reps: tuple[int, ...]) -> Value:
    shape = ctx.in_avals[0].shape
    wide = [n for rep, size in zip(reps, shape) for n in (rep, size)]
    repeated = ctx.broadcast(x, wide, range(1, 2 * len(shape), 2))
    return ctx.reshape(repeated, ctx.out_avals[0].shape)
