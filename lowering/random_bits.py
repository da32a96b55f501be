"""Random bits: the threefry hash as integer operations, and the compiler's own generators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowering.build import Value
from lowering.module import Context
from lowering.rules import rule

ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


@rule("threefry2x32")
def threefry2x32(ctx: Context, k0: Value, k1: Value, x0: Value, x1: Value) -> list[Value]:
    shape = ctx.out_avals[0].shape
    word = ctx.tensor(shape, np.dtype(np.uint32))
    words = [ctx.spread(v, a, shape) for v, a in zip((k0, k1, x0, x1), ctx.in_avals)]
    # A function per shape: the hash is about 110 operations and programs hash many times.
    return ctx.helper(("threefry2x32", shape), "threefry2x32", [word] * 4, [word] * 2,
                      lambda *args: _hash(ctx, *args), words)


def _hash(ctx: Context, k0: Value, k1: Value, x0: Value, x1: Value) -> list[Value]:
    """Twenty rounds of add, rotate, xor, with a part of the key added after every four."""
    mixed = ctx.same("stablehlo.xor", ctx.same("stablehlo.xor", k0, k1),
                     ctx.const_like(PARITY, k0))
    keys = (k0, k1, mixed)
    x0, x1 = ctx.same("stablehlo.add", x0, k0), ctx.same("stablehlo.add", x1, k1)
    for group in range(5):
        for distance in ROTATIONS[group % 2]:
            x0 = ctx.same("stablehlo.add", x0, x1)
            x1 = ctx.same("stablehlo.xor", x0, _rotate(ctx, x1, distance))
        x0 = ctx.same("stablehlo.add", x0, keys[(group + 1) % 3])
        x1 = ctx.same("stablehlo.add", x1, keys[(group + 2) % 3])
        x1 = ctx.same("stablehlo.add", x1, ctx.const_like(group + 1, x1))
    return [x0, x1]


def _rotate(ctx: Context, x: Value, distance: int) -> Value:
    left = ctx.same("stablehlo.shift_left", x, ctx.const_like(distance, x))
    right = ctx.same("stablehlo.shift_right_logical", x, ctx.const_like(32 - distance, x))
    return ctx.same("stablehlo.or", left, right)


@rule("rng_bit_generator")
def rng_bit_generator(ctx: Context, key: Value, *, shape: tuple[int, ...], dtype: Any,
                      algorithm: Any, **_: Any) -> list[Value]:
    key_aval, out = ctx.in_avals[0], ctx.tensor(shape, np.dtype(dtype))
    kinds = {0: "DEFAULT", 1: "THREE_FRY", 2: "PHILOX"}
    name = kinds[int(getattr(algorithm, "value", algorithm))]
    words = key_aval.dtype == np.uint32
    if words:  # StableHLO wants 64-bit words of state
        half = ctx.reshape(key, (key_aval.shape[0] // 2, 2))
        key = ctx.op("stablehlo.bitcast_convert", (half,),
                     (ctx.tensor((key_aval.shape[0] // 2,), np.dtype(np.uint64)),))
    state, bits = ctx.op("stablehlo.rng_bit_generator", (key,), (key.type, out),
                         rng_algorithm=f"#stablehlo<rng_algorithm {name}>")
    if words:
        half = ctx.op("stablehlo.bitcast_convert", (state,), (half.type,))
        state = ctx.reshape(half, key_aval.shape)
    return [state, bits]


@rule("rng_uniform")
def rng_uniform(ctx: Context, low: Value, high: Value, *, shape: Sequence[int],
                **_: Any) -> Value:
    size = ctx.const(np.array(shape, np.int64))
    return ctx.op("stablehlo.rng", (low, high, size), ctx.outs,
                  rng_distribution="#stablehlo<rng_distribution UNIFORM>")
