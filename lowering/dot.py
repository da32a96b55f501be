"""Contractions, and the precision attributes that convolutions share."""

from __future__ import annotations

from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from lowering.build import Attribute, Value
from lowering.module import Context
from lowering.rules import rule


class Algorithm(NamedTuple):
    """How a DotAlgorithmPreset multiplies.

    `parts` and `total` are MLIR types; None stands for the operand's own (8-bit) type or, as the
    sum, for the result's. `stored` are the dtypes operands may have; the first is converted to.
    """

    parts: str | None
    total: str | None
    products: int
    stored: tuple[str, ...]


ALGORITHMS = {
    "ANY_F8_ANY_F8_F32": Algorithm(None, "f32", 1, ()),
    "ANY_F8_ANY_F8_F32_FAST_ACCUM": Algorithm(None, "f32", 1, ()),
    "ANY_F8_ANY_F8_ANY": Algorithm(None, None, 1, ()),
    "ANY_F8_ANY_F8_ANY_FAST_ACCUM": Algorithm(None, None, 1, ()),
    "F16_F16_F16": Algorithm("f16", "f16", 1, ("float16",)),
    "F16_F16_F32": Algorithm("f16", "f32", 1, ("float16",)),
    "BF16_BF16_BF16": Algorithm("bf16", "bf16", 1, ("bfloat16", "float32")),
    "BF16_BF16_F32": Algorithm("bf16", "f32", 1, ("bfloat16", "float32")),
    "BF16_BF16_F32_X3": Algorithm("bf16", "f32", 3, ("float32",)),
    "BF16_BF16_F32_X6": Algorithm("bf16", "f32", 6, ("float32",)),
    "BF16_BF16_F32_X9": Algorithm("bf16", "f32", 9, ("float32",)),
    "TF32_TF32_F32": Algorithm("tf32", "f32", 1, ("float32",)),
    "TF32_TF32_F32_X3": Algorithm("tf32", "f32", 3, ("float32",)),
    "F32_F32_F32": Algorithm("f32", "f32", 1, ("float32",)),
    "F64_F64_F64": Algorithm("f64", "f64", 1, ("float64",)),
}
ON_CPU = ("F16_F16_F16", "BF16_BF16_F32", "BF16_BF16_F32_X3", "BF16_BF16_F32_X6", "F32_F32_F32",
          "F64_F64_F64")
_SUMS = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}


@rule("dot_general")
def dot_general(ctx: Context, x: Value, y: Value, *, dimension_numbers: Any, precision: Any = None,
                preferred_element_type: Any = None, **_: Any) -> Value:
    out = ctx.out_avals[0]
    x_dtype, y_dtype = (a.dtype for a in ctx.in_avals)
    made = out.dtype
    algorithm = ALGORITHMS.get(getattr(precision, "name", None))
    if algorithm is not None and algorithm.stored:
        x, y, made = _stored(ctx, x, y, algorithm)
    elif x_dtype != y_dtype:
        x, y = ctx.convert(x, made), ctx.convert(y, made)
    (x_contract, y_contract), (x_batch, y_batch) = dimension_numbers
    product = ctx.op(
        "stablehlo.dot_general", (x, y), (ctx.tensor(out.shape, made),),
        dot_dimension_numbers=(
            f"#stablehlo.dot<lhs_batching_dimensions = {list(x_batch)}, "
            f"rhs_batching_dimensions = {list(y_batch)}, "
            f"lhs_contracting_dimensions = {list(x_contract)}, "
            f"rhs_contracting_dimensions = {list(y_contract)}>"),
        **precision_attributes(ctx, precision))
    return ctx.convert(product, out.dtype)


def _stored(ctx: Context, x: Value, y: Value, algorithm: Algorithm) -> tuple:
    """Operands as the algorithm takes them, and the dtype in which it gives the product."""
    accepted = [_named(name) for name in algorithm.stored]
    x, y = (v if a.dtype in accepted else ctx.convert(v, accepted[0])
            for v, a in zip((x, y), ctx.in_avals))
    total, out = _named(_SUMS[algorithm.total]), ctx.out_avals[0].dtype
    same = ctx.in_avals[0].dtype == accepted[0] == out
    return x, y, out if same or out == total else total


def _named(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


@rule("ragged_dot_general", "tpu")
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
    if ctx.platform == "cpu" and name not in ON_CPU:
        raise ValueError(f"The precision '{name}' is not supported by dot_general on CPU")
    algorithm = ALGORITHMS[name]
    x, y = (algorithm.parts or _type_name(ctx, a.dtype) for a in ctx.in_avals)
    total = algorithm.total or _type_name(ctx, ctx.out_avals[0].dtype)
    return _algorithm_text(x, y, total, 1, 1, algorithm.products, name.endswith("FAST_ACCUM"))


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
