"""Contractions, and the precision attributes that convolutions share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowering.build import Attribute, Value
from lowering.module import Context
from lowering.rules import rule

# Name of a DotAlgorithmPreset -> type of the parts of the operands, type of the sum, products per
# element. "any" stands for the operand's own (8-bit) type or, as the sum, the result's.
ALGORITHMS = {
    "ANY_F8_ANY_F8_F32": ("any", "f32", 1),
    "ANY_F8_ANY_F8_F32_FAST_ACCUM": ("any", "f32", 1),
    "ANY_F8_ANY_F8_ANY": ("any", "any", 1),
    "ANY_F8_ANY_F8_ANY_FAST_ACCUM": ("any", "any", 1),
    "F16_F16_F16": ("f16", "f16", 1),
    "F16_F16_F32": ("f16", "f32", 1),
    "BF16_BF16_BF16": ("bf16", "bf16", 1),
    "BF16_BF16_F32": ("bf16", "f32", 1),
    "BF16_BF16_F32_X3": ("bf16", "f32", 3),
    "BF16_BF16_F32_X6": ("bf16", "f32", 6),
    "BF16_BF16_F32_X9": ("bf16", "f32", 9),
    "TF32_TF32_F32": ("tf32", "f32", 1),
    "TF32_TF32_F32_X3": ("tf32", "f32", 3),
    "F32_F32_F32": ("f32", "f32", 1),
    "F64_F64_F64": ("f64", "f64", 1),
}


@rule("dot_general")
def dot_general(ctx: Context, x: Value, y: Value, *, dimension_numbers: Any, precision: Any = None,
                preferred_element_type: Any = None, **_: Any) -> Value:
    x_dtype, y_dtype = (a.dtype for a in ctx.in_avals)
    if x_dtype != y_dtype:
        out = ctx.out_avals[0].dtype
        x, y = ctx.convert(x, out), ctx.convert(y, out)
    (x_contract, y_contract), (x_batch, y_batch) = dimension_numbers
    return ctx.op(
        "stablehlo.dot_general", (x, y), ctx.outs,
        dot_dimension_numbers=(
            f"#stablehlo.dot<lhs_batching_dimensions = {list(x_batch)}, "
            f"rhs_batching_dimensions = {list(y_batch)}, "
            f"lhs_contracting_dimensions = {list(x_contract)}, "
            f"rhs_contracting_dimensions = {list(y_contract)}>"),
        **precision_attributes(ctx, precision))


@rule("ragged_dot_general")
def ragged_dot_general(ctx: Context, x: Value, y: Value, group_sizes: Value, *,
                       ragged_dot_dimension_numbers: Any, precision: Any = None,
                       **_: Any) -> Value:
    numbers = ragged_dot_dimension_numbers
    (x_contract, y_contract), (x_batch, y_batch) = numbers.dot_dimension_numbers
    return ctx.op(
        "chlo.ragged_dot", (x, y, group_sizes), ctx.outs,
        ragged_dot_dimension_numbers=(
            f"#chlo.ragged_dot<lhs_batching_dimensions = {list(x_batch)}, "
            f"rhs_batching_dimensions = {list(y_batch)}, "
            f"lhs_contracting_dimensions = {list(x_contract)}, "
            f"rhs_contracting_dimensions = {list(y_contract)}, "
            f"lhs_ragged_dimensions = {list(numbers.lhs_ragged_dimensions)}, "
            f"rhs_group_dimensions = {list(numbers.rhs_group_dimensions)}>"),
        precision_config=precision_config(ctx, precision, "chlo"))


def precision_attributes(ctx: Context, precision: Any) -> dict[str, Any]:
    """The attributes for a Precision, a pair of them, a DotAlgorithm(Preset), or None."""
    name = getattr(precision, "name", None)
    if precision is None or name == "DEFAULT":
        return {}
    if name in ALGORITHMS:
        return {"algorithm": _preset(ctx, name)}
    if hasattr(precision, "lhs_precision_type"):
        return {"algorithm": _algorithm(ctx, precision)}
    return {"precision_config": precision_config(ctx, precision)}


def precision_config(ctx: Context, precision: Any, dialect: str = "stablehlo") -> Attribute:
    """One precision attribute per operand."""
    pair = precision if isinstance(precision, tuple) else (precision, precision)
    names = ["DEFAULT" if p is None else p.name for p in pair]
    return ctx.attrs([f"#{dialect}<precision {name}>" for name in names])


def _preset(ctx: Context, name: str) -> str:
    parts, total, products = ALGORITHMS[name]
    x, y = (_type_name(ctx, a.dtype) if parts == "any" else parts for a in ctx.in_avals)
    if total == "any":
        total = _type_name(ctx, ctx.out_avals[0].dtype)
    return _algorithm_text(x, y, total, 1, 1, products, name.endswith("FAST_ACCUM"))


def _algorithm(ctx: Context, given: Any) -> str:
    x, y, total = (
        _type_name(ctx, kind) for kind in
        (given.lhs_precision_type, given.rhs_precision_type, given.accumulation_type))
    return _algorithm_text(
        x, y, total, given.lhs_component_count, given.rhs_component_count,
        given.num_primitive_operations, given.allow_imprecise_accumulation)


def _type_name(ctx: Context, dtype: Any) -> str:
    return str(ctx.builder.elements[np.dtype(dtype)])


def _algorithm_text(x: str, y: str, total: str, x_parts: int, y_parts: int, products: int,
                    imprecise: bool) -> str:
    return (
        f"#stablehlo.dot_algorithm<lhs_precision_type = {x}, rhs_precision_type = {y}, "
        f"accumulation_type = {total}, lhs_component_count = {x_parts}, "
        f"rhs_component_count = {y_parts}, num_primitive_operations = {products}, "
        f"allow_imprecise_accumulation = {'true' if imprecise else 'false'}>")
