"""Windowed reductions (pooling) and their derivatives."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from lowering.build import Value, highest, lowest
from lowering.module import Context
from lowering.reduction import Pairs, combiner, reduce_with, windowed
from lowering.rules import rule, set_rule


@rule("reduce_window")
def reduce_window(ctx: Context, *operands: Value, jaxpr: Any, consts: Any = (),
                  window_dimensions: tuple, window_strides: tuple, padding: Pairs,
                  base_dilation: tuple, window_dilation: tuple) -> list[Value]:
    half = len(operands) // 2
    scalars = [ctx.tensor((), a.dtype) for a in ctx.in_avals[:half]]
    body = scalars + scalars, lambda *args: ctx.call(jaxpr, args, consts=consts)
    return windowed(ctx, operands, ctx.outs, body, window_dimensions, window_strides, padding,
                    base_dilation, window_dilation)


def _window_reducer(name: str, op_name: str, start: Callable[[np.dtype], Any]) -> Callable:
    """Register pooling with one operation and its neutral element."""

    def apply(ctx: Context, x: Value, *, window_dimensions: tuple, window_strides: tuple,
              padding: Pairs, base_dilation: tuple, window_dilation: tuple) -> Value:
        dtype = ctx.in_avals[0].dtype
        return windowed(
            ctx, (x, ctx.const(start(dtype), dtype)), ctx.outs, combiner(ctx, op_name, dtype),
            window_dimensions, window_strides, padding, base_dilation, window_dilation)[0]

    def apply_on_cpu(ctx: Context, x: Value, **window: Any) -> Value:
        if not _worth_slicing(ctx, window):
            return apply(ctx, x, **window)
        return _sliced(ctx, op_name, start, x, **window)

    set_rule(name, apply)
    set_rule(name, apply_on_cpu, "cpu")
    return apply


def _worth_slicing(ctx: Context, window: dict) -> bool:
    """Small windows, larger ones if they overlap most, are 2 to 5 times faster as slices.

    Sums of 16-bit floats keep the operation, which adds in float32.
    """
    count = math.prod(window["window_dimensions"])
    most = 25 if set(window["window_strides"]) == {1} else 9
    dtype = ctx.in_avals[0].dtype
    rounds = dtype.itemsize < 4 and dtype.kind not in "iub" and "sum" in ctx.eqn.primitive.name
    return (count <= most and set(window["base_dilation"]) <= {1} and not rounds
            and 0 not in ctx.out_avals[0].shape)


def _sliced(ctx: Context, op_name: str, start: Callable[[np.dtype], Any], x: Value, *,
            window_dimensions: tuple, window_strides: tuple, padding: Pairs, base_dilation: tuple,
            window_dilation: tuple) -> Value:
    """For each place in the window, a slice with the elements there of all windows."""
    if any(map(any, padding)):
        x = ctx.pad(x, ctx.const(start(ctx.dtype_of(x)), ctx.dtype_of(x)),
                    [low for low, _ in padding], [high for _, high in padding])
    reach = [(n - 1) * s + 1 for n, s in zip(ctx.out_avals[0].shape, window_strides)]
    out = None
    for place in itertools.product(*map(range, window_dimensions)):
        first = [i * d for i, d in zip(place, window_dilation)]
        piece = ctx.slice(x, first, [i + n for i, n in zip(first, reach)], window_strides)
        out = piece if out is None else ctx.same(op_name, out, piece)
    return out


reduce_window_sum = _window_reducer("reduce_window_sum", "stablehlo.add", lambda dtype: 0)
reduce_window_max = _window_reducer("reduce_window_max", "stablehlo.maximum", lowest)
reduce_window_min = _window_reducer("reduce_window_min", "stablehlo.minimum", highest)


def _direction(select_prim: Any) -> str:
    return {"ge": "GE", "le": "LE"}[select_prim.name]


@rule("select_and_scatter_add")
def select_and_scatter_add(ctx: Context, source: Value, x: Value, *, select_prim: Any,
                           window_dimensions: tuple, window_strides: tuple,
                           padding: Pairs) -> Value:
    dtype = ctx.in_avals[1].dtype
    direction = _direction(select_prim)
    scalar = ctx.tensor((), dtype)
    low, high = [p[0] for p in padding], [p[1] for p in padding]
    shape = ctx.in_avals[1].shape
    padded = any(low) or any(high)
    if padded:
        # Padding of the operation itself is filled with its start value, 0, which would win
        # against negative elements; the neutral element of the selection never does.
        never = (lowest if direction == "GE" else highest)(dtype)
        x = ctx.pad(x, ctx.const(never, dtype), low, high)
    out = ctx.region_op(
        "stablehlo.select_and_scatter", (x, source, ctx.const(0, dtype)), (x.type,),
        [((scalar, scalar), lambda a, b: [ctx.compare(direction, a, b)]),
         combiner(ctx, "stablehlo.add", dtype)],
        window_dimensions=tuple(window_dimensions), window_strides=tuple(window_strides),
        padding=ctx.pairs([(0, 0)] * len(shape)))[0]
    if padded:
        out = ctx.slice(out, low, [n + a for n, a in zip(shape, low)])
    return out


@rule("select_and_scatter_add", "cpu")
def max_pool_gradient(ctx: Context, source: Value, x: Value, *, select_prim: Any,
                      window_dimensions: tuple, window_strides: tuple, padding: Pairs) -> Value:
    """Windows that tile the array need no scatter: 4 times faster, and compiles as much faster."""
    aval, dtype = ctx.in_avals[1], ctx.in_avals[1].dtype
    apart = tuple(window_dimensions) == tuple(window_strides)
    if not apart or any(map(any, padding)):
        return select_and_scatter_add(
            ctx, source, x, select_prim=select_prim, window_dimensions=window_dimensions,
            window_strides=window_strides, padding=padding)
    # Each axis becomes (windows, place in window); the places are then axes to reduce over.
    windows = ctx.in_avals[0].shape
    tiled = tuple(n for pair in zip(windows, window_dimensions) for n in pair)
    places = range(1, len(tiled), 2)
    across = range(0, len(tiled), 2)
    covered = [n * w for n, w in zip(windows, window_dimensions)]
    zeros = [0] * len(covered)
    y = ctx.reshape(ctx.slice(x, zeros, covered), tiled)
    best = (("stablehlo.maximum", lowest) if _direction(select_prim) == "GE"
            else ("stablehlo.minimum", highest))
    extreme = reduce_with(ctx, best[0], y, best[1](dtype), places)
    place = np.arange(math.prod(window_dimensions), dtype=np.int32).reshape(window_dimensions)
    index = ctx.broadcast(ctx.const(place), tiled, places)
    last = np.iinfo(np.int32).max
    hits = ctx.select(ctx.compare("EQ", y, ctx.broadcast(extreme, tiled, across)), index,
                      ctx.const_like(last, index))
    first = reduce_with(ctx, "stablehlo.minimum", hits, last, places)
    here = ctx.compare("EQ", index, ctx.broadcast(first, tiled, across))
    out = ctx.select(here, ctx.broadcast(source, tiled, across), ctx.const(0, dtype, tiled))
    rest = [n - c for n, c in zip(aval.shape, covered)]
    return ctx.pad(ctx.reshape(out, covered), ctx.const(0, dtype), zeros, rest)


@rule("select_and_scatter")
def select_and_scatter(ctx: Context, x: Value, source: Value, start: Value, *, select_jaxpr: Any,
                       select_consts: Any, scatter_jaxpr: Any, scatter_consts: Any,
                       window_dimensions: tuple, window_strides: tuple, padding: Pairs) -> Value:
    scalar = ctx.tensor((), ctx.in_avals[0].dtype)
    bodies = [
        ((scalar, scalar), lambda a, b: ctx.call(select_jaxpr, (a, b), consts=select_consts)),
        ((scalar, scalar), lambda a, b: ctx.call(scatter_jaxpr, (a, b), consts=scatter_consts)),
    ]
    return ctx.region_op(
        "stablehlo.select_and_scatter", (x, source, start), ctx.outs, bodies,
        window_dimensions=tuple(window_dimensions), window_strides=tuple(window_strides),
        padding=ctx.pairs(padding))[0]


@rule("select_and_gather_add")
def select_and_gather_add(ctx: Context, tangents: Value, x: Value, *, select_prim: Any,
                          window_dimensions: tuple, window_strides: tuple, padding: Pairs,
                          base_dilation: tuple, window_dilation: tuple) -> Value:
    """The tangent at the selected element: a reduction over (element, tangent) pairs."""
    dtype = ctx.in_avals[1].dtype
    direction = _direction(select_prim)
    scalars = ctx.tensor((), dtype), ctx.tensor((), ctx.in_avals[0].dtype)

    def body(x: Value, t: Value, y: Value, u: Value) -> list[Value]:
        first = ctx.compare(direction, x, y)
        return [ctx.select(first, x, y), ctx.select(first, t, u)]

    start = (lowest if direction == "GE" else highest)(dtype)
    starts = ctx.const(start, dtype), ctx.const(0, ctx.in_avals[0].dtype)
    outs = ctx.tensor(ctx.out_avals[0].shape, dtype), ctx.out
    return windowed(ctx, (x, tangents, *starts), outs, (scalars + scalars, body),
                    window_dimensions, window_strides, padding, base_dilation,
                    window_dilation)[1]
