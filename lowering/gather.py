"""Gather and the scatter family.

StableHLO's gather clamps start indices and its scatter drops updates that do not fit, so "clip"
costs nothing for gather and "fill or drop" nothing for scatter; the other two are written out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from lowering.build import Value, is_complex, is_float, is_signed
from lowering.module import Context
from lowering.reduction import combiner, reduce_with
from lowering.rules import rule, set_rule


@rule("gather")
def gather(ctx: Context, x: Value, indices: Value, *, dimension_numbers: Any,
           slice_sizes: tuple[int, ...], indices_are_sorted: bool, mode: Any,
           fill_value: Any = None, **_: Any) -> Value:
    numbers = dimension_numbers
    rank = len(ctx.in_avals[1].shape)
    found = ctx.op(
        "stablehlo.gather", (x, indices), ctx.outs,
        dimension_numbers=(
            f"#stablehlo.gather<offset_dims = {list(numbers.offset_dims)}, "
            f"collapsed_slice_dims = {list(numbers.collapsed_slice_dims)}, "
            f"operand_batching_dims = {list(numbers.operand_batching_dims)}, "
            f"start_indices_batching_dims = {list(numbers.start_indices_batching_dims)}, "
            f"start_index_map = {list(numbers.start_index_map)}, "
            f"index_vector_dim = {rank - 1}>"),
        slice_sizes=tuple(slice_sizes), indices_are_sorted=bool(indices_are_sorted))
    if mode_name(mode) != "FILL_OR_DROP":
        return found
    inside = _inside(ctx, indices, numbers.start_index_map, slice_sizes)
    out = ctx.out_avals[0]
    batch = tuple(i for i in range(len(out.shape)) if i not in numbers.offset_dims)
    fill = default_fill(out.dtype) if fill_value is None else fill_value
    return ctx.select(ctx.broadcast(inside, out.shape, batch), found,
                      ctx.const(fill, out.dtype, out.shape))


def mode_name(mode: Any) -> str:
    """CLIP, FILL_OR_DROP, PROMISE_IN_BOUNDS or ONE_HOT; None means FILL_OR_DROP."""
    return "FILL_OR_DROP" if mode is None else mode.name


def default_fill(dtype: np.dtype) -> Any:
    """What out-of-bounds elements become: NaN, the least signed, the greatest unsigned integer."""
    if is_float(dtype) or is_complex(dtype):
        return np.nan
    if dtype == bool:
        return True
    info = ml_dtypes.iinfo(dtype)
    return info.min if is_signed(dtype) else info.max


def _inside(ctx: Context, indices: Value, operand_dims: tuple[int, ...],
            slice_sizes: tuple[int, ...]) -> Value:
    """Whether each index vector names a slice that lies inside the operand."""
    x_aval, aval = ctx.in_avals[0], ctx.in_avals[1]
    last = len(aval.shape) - 1
    most = [x_aval.shape[d] - slice_sizes[d] for d in operand_dims]
    bound = ctx.broadcast(_bounds(ctx, most, aval.dtype), aval.shape, (last,))
    inside = ctx.compare("LE", indices, bound)
    if is_signed(aval.dtype):
        positive = ctx.compare("GE", indices, ctx.const(0, aval.dtype, aval.shape))
        inside = ctx.same("stablehlo.and", positive, inside)
    return reduce_with(ctx, "stablehlo.and", inside, True, (last,))


def _bounds(ctx: Context, most: list[int], dtype: np.dtype) -> Value:
    """Greatest indices; a dtype that cannot hold one cannot hold an index beyond it either."""
    return ctx.const(np.minimum(most, ml_dtypes.iinfo(dtype).max).astype(dtype))


def _scatter(name: str, op_name: str | None) -> Callable:
    """Register a scatter; `op_name` combines the old value with the update."""

    def apply(ctx: Context, x: Value, indices: Value, updates: Value, *, dimension_numbers: Any,
              indices_are_sorted: bool, unique_indices: bool, mode: Any, update_jaxpr: Any = None,
              update_consts: Any = (), **_: Any) -> Value:
        dtype = ctx.in_avals[0].dtype
        if mode_name(mode) == "CLIP":
            indices = _clipped(ctx, indices, dimension_numbers)
        if op_name is not None:
            body = combiner(ctx, op_name, dtype)
        else:
            scalar = ctx.tensor((), dtype)
            body = (scalar, scalar), lambda old, new: (
                [new] if update_jaxpr is None else ctx.call(update_jaxpr, (old, new),
                                                            consts=update_consts))
        return ctx.region_op(
            "stablehlo.scatter", (x, indices, updates), ctx.outs, [body],
            scatter_dimension_numbers=_scatter_numbers(ctx, dimension_numbers),
            indices_are_sorted=bool(indices_are_sorted), unique_indices=bool(unique_indices))[0]

    set_rule(name, apply)
    return apply


def _scatter_numbers(ctx: Context, numbers: Any) -> str:
    rank = len(ctx.in_avals[1].shape)
    return (
        f"#stablehlo.scatter<update_window_dims = {list(numbers.update_window_dims)}, "
        f"inserted_window_dims = {list(numbers.inserted_window_dims)}, "
        f"input_batching_dims = {list(numbers.operand_batching_dims)}, "
        f"scatter_indices_batching_dims = {list(numbers.scatter_indices_batching_dims)}, "
        f"scatter_dims_to_operand_dims = {list(numbers.scatter_dims_to_operand_dims)}, "
        f"index_vector_dim = {rank - 1}>")


def _clipped(ctx: Context, indices: Value, numbers: Any) -> Value:
    """Start indices moved to where the whole update window lies inside the operand."""
    x, aval, updates = ctx.in_avals
    skipped = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    window = dict.fromkeys(skipped, 1)
    kept = [d for d in range(len(x.shape)) if d not in skipped]
    window.update(zip(kept, (updates.shape[d] for d in numbers.update_window_dims)))
    most = [x.shape[d] - window[d] for d in numbers.scatter_dims_to_operand_dims]
    last = len(aval.shape) - 1
    bound = ctx.broadcast(_bounds(ctx, most, aval.dtype), aval.shape, (last,))
    return ctx.same("stablehlo.clamp", ctx.const(0, aval.dtype, aval.shape), indices, bound)


scatter = _scatter("scatter", None)
scatter_add = _scatter("scatter-add", "stablehlo.add")
scatter_sub = _scatter("scatter-sub", "stablehlo.subtract")
scatter_mul = _scatter("scatter-mul", "stablehlo.multiply")
scatter_min = _scatter("scatter-min", "stablehlo.minimum")
scatter_max = _scatter("scatter-max", "stablehlo.maximum")
