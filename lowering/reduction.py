"""Reductions over axes, positions of extremes, and cumulative operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lowering.build import Body, Type, Value, highest, is_complex, is_float, lowest
from lowering.elementwise import lexicographic
from lowering.module import Context
from lowering.rules import rule, set_rule

Pairs = Sequence[Sequence[int]]


def combiner(ctx: Context, op_name: str, dtype: np.dtype) -> tuple[tuple, Body]:
    """The region (argument types, body) of a binary operation on two scalars of `dtype`."""
    scalar = ctx.tensor((), dtype)

    def body(x: Value, y: Value) -> list[Value]:
        if is_complex(dtype) and op_name in ("stablehlo.maximum", "stablehlo.minimum"):
            direction = "GT" if op_name == "stablehlo.maximum" else "LT"
            return [ctx.select(lexicographic(ctx, direction, x, y), x, y)]
        return [ctx.op(op_name, (x, y), (scalar,))]

    return (scalar, scalar), body


def reduce_with(ctx: Context, op_name: str, x: Value, start: Any, axes: Sequence[int]) -> Value:
    """`x` reduced over `axes` by one operation whose neutral element is `start`."""
    dtype, shape = ctx.dtype_of(x), ctx.shape_of(x)
    kept = tuple(n for i, n in enumerate(shape) if i not in axes)
    return ctx.region_op(
        "stablehlo.reduce", (x, ctx.const(start, dtype)), (ctx.tensor(kept, dtype),),
        [combiner(ctx, op_name, dtype)], dimensions=tuple(axes))[0]


def windowed(ctx: Context, operands: Sequence[Value], outs: Sequence[Type],
             body: tuple[Sequence[Type], Body], window: Sequence[int], strides: Sequence[int],
             padding: Pairs, base_dilation: Sequence[int] | None = None,
             window_dilation: Sequence[int] | None = None) -> list[Value]:
    """`stablehlo.reduce_window` of arrays and start values."""
    ones = (1,) * len(window)
    return ctx.region_op(
        "stablehlo.reduce_window", operands, outs, [body], window_dimensions=tuple(window),
        window_strides=tuple(strides), base_dilations=tuple(base_dilation or ones),
        window_dilations=tuple(window_dilation or ones), padding=ctx.pairs(padding))


def _reducer(name: str, op_name: str, start: Callable[[np.dtype], Any]) -> Callable:
    """Register a reduction primitive; `start` gives the neutral element for a dtype."""

    def apply(ctx: Context, x: Value, *, axes: tuple[int, ...], **_: Any) -> Value:
        return reduce_with(ctx, op_name, x, start(ctx.in_avals[0].dtype), axes)

    set_rule(name, apply)
    return apply


def _ones(dtype: np.dtype) -> Any:
    return True if dtype == bool else np.array(-1).astype(dtype)


reduce_max = _reducer("reduce_max", "stablehlo.maximum", lowest)
reduce_min = _reducer("reduce_min", "stablehlo.minimum", highest)
reduce_prod = _reducer("reduce_prod", "stablehlo.multiply", lambda dtype: 1)
reduce_or = _reducer("reduce_or", "stablehlo.or", lambda dtype: 0)
reduce_xor = _reducer("reduce_xor", "stablehlo.xor", lambda dtype: 0)
reduce_and = _reducer("reduce_and", "stablehlo.and", _ones)


@rule("reduce")
def reduce(ctx: Context, *operands: Value, jaxpr: Any, dimensions: tuple[int, ...],
           **_: Any) -> list[Value]:
    half = len(operands) // 2
    scalars = [ctx.tensor((), a.dtype) for a in ctx.in_avals[:half]]
    return ctx.region_op(
        "stablehlo.reduce", operands, ctx.outs,
        [(scalars + scalars, lambda *args: ctx.call(jaxpr, args))],
        dimensions=tuple(dimensions))


def _arg_extremum(name: str, op_name: str, direction: str,
                  start: Callable[[np.dtype], Any]) -> None:
    """Register argmax or argmin: the first index of the extreme, of the first NaN if any."""

    def in_two_passes(ctx: Context, x: Value, *, axes: tuple[int, ...], index_dtype: Any) -> Value:
        # The extreme, then the least index that has it: both passes vectorize on CPU, where one
        # reduction over (value, index) pairs does not (5 times slower).
        aval, axis = ctx.in_avals[0], axes[0]
        dtype = np.dtype(index_dtype)
        best = reduce_with(ctx, op_name, x, start(aval.dtype), axes)
        kept = tuple(i for i in range(len(aval.shape)) if i != axis)
        hit = ctx.compare("EQ", x, ctx.broadcast(best, aval.shape, kept))
        if is_float(aval.dtype) or is_complex(aval.dtype):
            hit = ctx.same("stablehlo.or", hit, ctx.compare("NE", x, x))
        index = ctx.select(hit, ctx.iota(dtype, aval.shape, axis),
                           ctx.const(highest(dtype), dtype, aval.shape))
        return reduce_with(ctx, "stablehlo.minimum", index, highest(dtype), axes)

    def in_pairs(ctx: Context, x: Value, *, axes: tuple[int, ...], index_dtype: Any) -> Value:
        aval, dtype = ctx.in_avals[0], np.dtype(index_dtype)
        index = ctx.iota(dtype, aval.shape, axes[0])
        scalars = ctx.tensor((), aval.dtype), ctx.tensor((), dtype)

        def body(x: Value, i: Value, y: Value, j: Value) -> list[Value]:
            first = ctx.compare(direction, x, y)
            if is_float(aval.dtype):
                first = ctx.same("stablehlo.or", first, ctx.compare("NE", x, x))
            tie = ctx.same("stablehlo.and", ctx.compare("EQ", x, y), ctx.compare("LT", i, j))
            return [ctx.select(first, x, y),
                    ctx.select(ctx.same("stablehlo.or", first, tie), i, j)]

        starts = ctx.const(start(aval.dtype), aval.dtype), ctx.const(0, dtype)
        return ctx.region_op(
            "stablehlo.reduce", (x, index, *starts),
            (ctx.tensor(ctx.out_avals[0].shape, aval.dtype), ctx.out),
            [(scalars + scalars, body)], dimensions=axes)[1]

    set_rule(name, in_pairs)
    set_rule(name, in_two_passes, "cpu")


_arg_extremum("argmax", "stablehlo.maximum", "GT", lowest)
_arg_extremum("argmin", "stablehlo.minimum", "LT", highest)


LARGE_CUMULATIVE = 100_000  # elements


def _cumulative(name: str, body_of: Callable[[Context, np.dtype], tuple],
                start: Callable[[np.dtype], Any]) -> None:
    """Register a cumulative operation as a window that reaches back to the start of the axis."""

    def apply(ctx: Context, x: Value, *, axis: int, reverse: bool) -> Value:
        aval = ctx.in_avals[0]
        length = aval.shape[axis]
        if not length:
            return x
        window, padding = [1] * len(aval.shape), [(0, 0)] * len(aval.shape)
        window[axis] = length
        padding[axis] = (0, length - 1) if reverse else (length - 1, 0)
        operands = x, ctx.const(start(aval.dtype), aval.dtype)
        return windowed(ctx, operands, ctx.outs, body_of(ctx, aval.dtype), window,
                        (1,) * len(window), padding)[0]

    def on_cpu(ctx: Context, x: Value, *, axis: int, reverse: bool) -> Any:
        """Windows are 3 to 6 times slower there than the prefix, which compiles slower."""
        shape = ctx.in_avals[0].shape
        if not isinstance(math.prod(shape), int):
            return apply(ctx, x, axis=axis, reverse=reverse)
        short = shape[axis] < 32  # must be more than the prefix leaves to this rule
        if short or ctx.expand is None or math.prod(shape) < LARGE_CUMULATIVE:
            return apply(ctx, x, axis=axis, reverse=reverse)
        return ctx.decomposed(x)

    set_rule(name, apply)
    if name != "cumlogsumexp":
        set_rule(name, on_cpu, "cpu")


def _logaddexp(ctx: Context, dtype: np.dtype) -> tuple[tuple, Body]:
    scalar = ctx.tensor((), dtype)
    body = _complex_logaddexp if is_complex(dtype) else _real_logaddexp
    return (scalar, scalar), lambda x, y: [body(ctx, x, y)]


def _real_logaddexp(ctx: Context, x: Value, y: Value) -> Value:
    gap = ctx.same("stablehlo.subtract", x, y)
    decay = ctx.same("stablehlo.negate", ctx.same("stablehlo.abs", gap))
    tail = ctx.same("stablehlo.log_plus_one", ctx.same("stablehlo.exponential", decay))
    usual = ctx.same("stablehlo.add", ctx.same("stablehlo.maximum", x, y), tail)
    # inf - inf is NaN, but the sum of equal infinities is right.
    return ctx.select(ctx.compare("NE", gap, gap), ctx.same("stablehlo.add", x, y), usual)


def _complex_logaddexp(ctx: Context, x: Value, y: Value) -> Value:
    """As the real one around the operand with the larger real part; the phase ends in [-pi, pi)."""
    larger = ctx.select(lexicographic(ctx, "GT", x, y), x, y)
    twice = ctx.same("stablehlo.multiply", larger, ctx.const_like(2, x))
    gap = ctx.same("stablehlo.subtract", ctx.same("stablehlo.add", x, y), twice)
    tail = ctx.same("stablehlo.log_plus_one", ctx.same("stablehlo.exponential", gap))
    result = ctx.same("stablehlo.add", larger, tail)
    real, phase = ctx.parts(result)
    half, turn = ctx.const_like(np.pi, phase), ctx.const_like(2 * np.pi, phase)
    over = ctx.same("stablehlo.remainder", ctx.same("stablehlo.add", phase, half), turn)
    over = ctx.select(ctx.compare("LT", over, ctx.const_like(0, over)),
                      ctx.same("stablehlo.add", over, turn), over)
    phase = ctx.same("stablehlo.subtract", over, half)
    return ctx.op("stablehlo.complex", (real, phase), (x.type,))


def _combine_with(op_name: str) -> Callable[[Context, np.dtype], tuple]:
    return lambda ctx, dtype: combiner(ctx, op_name, dtype)


_cumulative("cumsum", _combine_with("stablehlo.add"), lambda dtype: 0)
_cumulative("cumprod", _combine_with("stablehlo.multiply"), lambda dtype: 1)
_cumulative("cummax", _combine_with("stablehlo.maximum"), lowest)
_cumulative("cummin", _combine_with("stablehlo.minimum"), highest)
_cumulative("cumlogsumexp", _logaddexp, lowest)
