"""Contractions."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowering.build import Attribute, Value, is_complex, is_float
from lowering.module import Context
from lowering.rules import rule


def precision_config(ctx: Context, precision: Any) -> dict[str, Attribute]:
    """The `precision_config` attribute for a Precision, a pair of them, or None."""
    if precision is None or hasattr(precision, "lhs_precision_type"):
        return {}
    pair = precision if isinstance(precision, tuple) else (precision, precision)
    return {"precision_config": ctx.attrs([f"#stablehlo<precision {_name(p)}>" for p in pair])}


def _name(precision: Any) -> str:
    return "DEFAULT" if precision is None else precision.name


@rule("dot_general")
def dot_general(ctx: Context, x: Value, y: Value, *, dimension_numbers: Any, precision: Any,
                preferred_element_type: Any = None, **_: Any) -> Value:
    x, y = _accumulable(ctx, x, y)
    (x_contract, y_contract), (x_batch, y_batch) = dimension_numbers
    return ctx.op(
        "stablehlo.dot_general", (x, y), ctx.outs,
        dot_dimension_numbers=(
            f"#stablehlo.dot<lhs_batching_dimensions = {list(x_batch)}, "
            f"rhs_batching_dimensions = {list(y_batch)}, "
            f"lhs_contracting_dimensions = {list(x_contract)}, "
            f"rhs_contracting_dimensions = {list(y_contract)}>"),
        **precision_config(ctx, precision))


def _accumulable(ctx: Context, x: Value, y: Value) -> tuple[Value, Value]:
    """Operands of one dtype that XLA can multiply into the dtype of the result."""
    x_dtype, y_dtype = (a.dtype for a in ctx.in_avals)
    out = ctx.out_avals[0].dtype
    if x_dtype == y_dtype and (x_dtype == out or _widens(x_dtype, out)):
        return x, y
    return ctx.convert(x, out), ctx.convert(y, out)


def _widens(dtype: np.dtype, out: np.dtype) -> bool:
    return is_float(dtype) == is_float(out) and is_complex(dtype) == is_complex(out)
