"""Convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from lowering.build import Value, is_complex, real_dtype
from lowering.dot import precision_config
from lowering.module import Context
from lowering.rules import rule


@rule("conv_general_dilated")
def conv_general_dilated(ctx: Context, x: Value, kernel: Value, *, window_strides: tuple,
                         padding: Sequence[Sequence[int]], lhs_dilation: tuple,
                         rhs_dilation: tuple, dimension_numbers: Any, feature_group_count: int,
                         batch_group_count: int, precision: Any = None, **_: Any) -> Value:
    out = ctx.out_avals[0]
    if 0 in ctx.in_avals[0].shape + ctx.in_avals[1].shape + out.shape:
        return ctx.const(0, out.dtype, out.shape)  # a sum of no terms; StableHLO refuses it
    attributes = {
        "window_strides": tuple(window_strides),
        "padding": ctx.pairs(padding),
        "lhs_dilation": tuple(lhs_dilation),
        "rhs_dilation": tuple(rhs_dilation),
        "dimension_numbers": _dimension_text(dimension_numbers),
        "feature_group_count": feature_group_count,
        "batch_group_count": batch_group_count,
    }
    if precision is not None:
        attributes["precision_config"] = precision_config(ctx, precision)

    def convolve(x: Value, kernel: Value) -> Value:
        dtype = real_dtype(out.dtype) if is_complex(out.dtype) else out.dtype
        return ctx.op("stablehlo.convolution", (x, kernel), (ctx.tensor(out.shape, dtype),),
                      **attributes)

    if is_complex(out.dtype):
        return _by_parts(ctx, convolve, x, kernel)
    return convolve(x, kernel)


def _dimension_text(numbers: Any) -> str:
    x = _layout(numbers.lhs_spec, "b", "f")
    kernel = _layout(numbers.rhs_spec, "o", "i")
    out = _layout(numbers.out_spec, "b", "f")
    return f"#stablehlo.conv<{x}x{kernel}->{out}>"


def _layout(spec: Sequence[int], first: str, second: str) -> str:
    """Where the axes are: `spec` gives the places of the two named ones, then of the others."""
    names = [first, second, *map(str, range(len(spec) - 2))]
    places = dict(zip(spec, names))
    return "[" + ", ".join(places[i] for i in range(len(spec))) + "]"


def _by_parts(ctx: Context, convolve: Callable[[Value, Value], Value], x: Value,
              kernel: Value) -> Value:
    """Complex convolution as three real ones (the compilers have no complex one)."""
    (a, b), (c, d) = ctx.parts(x), ctx.parts(kernel)
    both = convolve(ctx.same("stablehlo.add", a, b), c)
    first = convolve(a, ctx.same("stablehlo.subtract", d, c))
    second = convolve(b, ctx.same("stablehlo.add", c, d))
    real_part = ctx.same("stablehlo.subtract", both, second)
    imaginary = ctx.same("stablehlo.add", both, first)
    return ctx.op("stablehlo.complex", (real_part, imaginary), ctx.outs)
