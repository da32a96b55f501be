"""Sorting and the largest k.

Floats sort in JAX's order: -0.0 equal to 0.0, every NaN equal to the others and last; complex
numbers by real part, then by imaginary part.
"""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np

from lowering.build import Value, highest, is_complex, is_float, lowest
from lowering.module import Context, ir
from lowering.rules import rule


@rule("sort")
def sort(ctx: Context, *operands: Value, dimension: int, is_stable: bool,
         num_keys: int) -> list[Value]:
    dtypes = [a.dtype for a in ctx.in_avals]
    scalars = [t for dtype in dtypes for t in (ctx.tensor((), dtype),) * 2]

    def before(*pairs: Value) -> list[Value]:
        keys = [k for i in range(num_keys) for k in _keys(ctx, pairs[2 * i], pairs[2 * i + 1])]
        x, y = keys[-1]
        result = ctx.compare("LT", x, y, total=True)
        for x, y in reversed(keys[:-1]):
            tie = ctx.same("stablehlo.and", ctx.compare("EQ", x, y, total=True), result)
            result = ctx.same("stablehlo.or", ctx.compare("LT", x, y, total=True), tie)
        return [result]

    return ctx.region_op("stablehlo.sort", operands, ctx.outs, [(scalars, before)],
                         dimension=dimension, is_stable=bool(is_stable))


def _keys(ctx: Context, x: Value, y: Value) -> list[tuple[Value, Value]]:
    """The pairs to compare, in order, for one pair of elements."""
    dtype = ctx.dtype_of(x)
    pairs = list(zip(ctx.parts(x), ctx.parts(y))) if is_complex(dtype) else [(x, y)]
    if is_complex(dtype) or is_float(dtype):
        return [(_canonical(ctx, a), _canonical(ctx, b)) for a, b in pairs]
    return pairs


def _canonical(ctx: Context, x: Value) -> Value:
    """One zero and one NaN, so that the total order treats all of them alike."""
    zero = ctx.const_like(0, x)
    x = ctx.select(ctx.compare("EQ", x, zero), zero, x)
    return ctx.select(ctx.compare("NE", x, x), ctx.const_like(np.nan, x), x)


# Below this many elements a sort costs less than compiling the arithmetic on its keys.
SORT_BY_BITS = 1 << 14

_BITS = {
    np.dtype(ml_dtypes.bfloat16): "int16",
    np.dtype(np.float16): "int16",
    np.dtype(np.float32): "int32",
    np.dtype(np.float64): "int64",
}


@rule("sort", "cpu")
def sort_by_bits(ctx: Context, *operands: Value, dimension: int, is_stable: bool,
                 num_keys: int) -> list[Value]:
    """Sort a large float key as the integer that orders like it: 2 to 5 times faster on CPU."""
    aval = ctx.in_avals[0]
    size = math.prod(aval.shape)
    plain = num_keys != 1 or not isinstance(size, int) or size < SORT_BY_BITS
    if plain or aval.dtype not in _BITS:
        return sort(ctx, *operands, dimension=dimension, is_stable=is_stable, num_keys=num_keys)
    x = operands[0]
    if len(operands) > 1:
        x = _canonical(ctx, x)
    else:  # alone, equal zeros may change places, but each keeps its sign
        x = ctx.select(ctx.compare("NE", x, x), ctx.const_like(np.nan, x), x)
    bits = ctx.tensor(aval.shape, np.dtype(_BITS[aval.dtype]))
    key = _ordered(ctx, ctx.op("stablehlo.bitcast_convert", (x,), (bits,)))
    outs = ctx.outs
    if len(operands) == 2 and _is_iota(operands[1], dimension) and aval.dtype == np.float32:
        key, index = _sort_indices(ctx, key, operands[1], dimension)
        results = [key, index]
    else:
        scalars = [ctx.tensor((), ctx.dtype_of(v)) for v in (key, *operands[1:])]
        results = ctx.region_op(
            "stablehlo.sort", (key, *operands[1:]), [key.type, *outs[1:]],
            [([t for t in scalars for _ in range(2)],
              lambda a, b, *_: [ctx.compare("LT", a, b)])],
            dimension=dimension, is_stable=bool(is_stable) or len(operands) == 1)
    ordered = ctx.op("stablehlo.bitcast_convert", (_ordered(ctx, results[0]),), (outs[0],))
    return [ordered, *results[1:]]


def _ordered(ctx: Context, bits: Value) -> Value:
    """Float bits as integers in the order of the floats; doing it again undoes it."""
    width = ctx.dtype_of(bits).itemsize * 8
    negative = ctx.same("stablehlo.shift_right_arithmetic", bits, ctx.const_like(width - 1, bits))
    mask = ctx.same("stablehlo.and", negative, ctx.const_like((1 << (width - 1)) - 1, bits))
    return ctx.same("stablehlo.xor", bits, mask)


def _is_iota(x: Value, dimension: int) -> bool:
    """Whether `x` counts along `dimension` in int32, which makes the sort an argsort."""
    owner = x.owner
    return (getattr(owner, "name", None) == "stablehlo.iota"
            and str(x.type.element_type) == "i32"
            and owner.attributes["iota_dimension"].value == dimension)


def _sort_indices(ctx: Context, key: Value, index: Value, dimension: int) -> list[Value]:
    """Sort 32-bit keys and positions as one 64-bit integer, key above position: 3 times faster."""
    shape = ctx.shape_of(key)
    wide = ctx.tensor(shape, np.dtype(np.int64))
    places = ctx.const(32, np.int64, shape)
    high, low = (ctx.op("stablehlo.convert", (v,), (wide,)) for v in (key, index))
    packed = ctx.same("stablehlo.or", ctx.same("stablehlo.shift_left", high, places), low)
    scalar = ctx.tensor((), np.dtype(np.int64))
    packed = ctx.region_op(
        "stablehlo.sort", (packed,), (wide,),
        [((scalar, scalar), lambda a, b: [ctx.compare("LT", a, b)])],
        dimension=dimension, is_stable=True)[0]  # the stable algorithm is the faster one
    key = ctx.convert(ctx.same("stablehlo.shift_right_arithmetic", packed, places), np.int32)
    return [key, ctx.convert(packed, np.int32)]


@rule("top_k")
def top_k(ctx: Context, x: Value, *, k: int, axis: int = -1, **_: Any) -> list[Value]:
    aval = ctx.in_avals[0]
    last = len(aval.shape) - 1
    swap = list(range(last + 1))
    swap[axis], swap[last] = swap[last], swap[axis]
    x = ctx.transpose(x, swap)
    shape = (*ctx.shape_of(x)[:-1], k)
    # chlo.top_k gives 32-bit indices whatever the operand.
    outs = ctx.tensor(shape, aval.dtype), ctx.tensor(shape, np.dtype(np.int32))
    values, indices = ctx.op("chlo.top_k", (x,), outs, k=k)
    wanted = ctx.out_avals[1].dtype
    return [ctx.transpose(values, swap), ctx.transpose(ctx.convert(indices, wanted), swap)]


@rule("approx_top_k")
def approx_top_k(ctx: Context, x: Value, *, k: int, reduction_dimension: int, recall_target: float,
                 is_max_k: bool, reduction_input_size_override: int, aggregate_to_topk: bool,
                 **_: Any) -> list[Value]:
    aval = ctx.in_avals[0]
    axis = reduction_dimension % len(aval.shape)
    value, index = ctx.tensor((), aval.dtype), ctx.tensor((), np.dtype(np.int32))
    order = "GT" if is_max_k else "LT"
    name = f"top_k_{order.lower()}_{aval.dtype.name}"
    compare = ctx.function(
        name, (value, value, index, index), (ctx.tensor((), np.dtype(bool)),),
        lambda a, b, i, j: [ctx.compare(order, a, b)], public=False)
    start = ctx.const((lowest if is_max_k else highest)(aval.dtype), aval.dtype)
    operands = x, ctx.iota("int32", aval.shape, axis), start, ctx.const(-1, "int32")
    config = (
        f"{{top_k = {k} : i64, reduction_dim = {axis} : i64, recall_target = {recall_target:e} "
        f": f32, aggregate_to_topk = {str(aggregate_to_topk).lower()}, "
        f"reduction_input_size_override = {reduction_input_size_override} : i64, "
        f"is_fallback = {str(ctx.platform != 'tpu').lower()}}}")
    called = ir.FlatSymbolRefAttr.get(compare.attributes["sym_name"].value)
    return ctx.op("stablehlo.custom_call", operands, ctx.outs, call_target_name='"ApproxTopK"',
                  called_computations=ir.ArrayAttr.get([called]),
                  **{"mhlo.backend_config": config})
