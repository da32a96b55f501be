"""Fourier transforms."""

from __future__ import annotations

from typing import Any

from lowering.build import Value
from lowering.module import Context
from lowering.rules import rule


@rule("fft")
def fft(ctx: Context, x: Value, *, fft_type: Any, fft_lengths: tuple[int, ...]) -> Value:
    out = ctx.out_avals[0]
    if 0 in out.shape or 0 in ctx.in_avals[0].shape:
        return ctx.const(0, out.dtype, out.shape)
    kind = getattr(fft_type, "name", fft_type)
    return ctx.op("stablehlo.fft", (x,), ctx.outs, fft_type=f"#stablehlo<fft_type {kind}>",
                  fft_length=tuple(fft_lengths))
