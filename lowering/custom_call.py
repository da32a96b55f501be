"""Calls of registered functions, and attributes that say what Python values say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowering.build import Builder, Type, Value, float0, ir
from lowering.module import Context
from lowering.rules import rule

TYPED_FFI = 4  # the version of calling conventions that takes a dict of attributes


def custom_call(target: str, *, result_types: Sequence[Type], operands: Sequence[Value],
                backend_config: Any = None, has_side_effect: bool = False,
                api_version: int = 2, operand_output_aliases: Mapping[int, int] | None = None,
                operand_layouts: Sequence[Any] | None = None,
                result_layouts: Sequence[Any] | None = None,
                extra_attributes: Mapping[str, Any] | None = None) -> ir.Operation:
    """Append the operation that calls `target`, at the current insertion point and location.

    backend_config: with api_version 4 a dict of attributes, else a string. Layouts are
    minor-to-major permutations, default row-major.
    """
    attributes = {
        "call_target_name": ir.StringAttr.get(target),
        "has_side_effect": ir.BoolAttr.get(has_side_effect),
        "api_version": ir.IntegerAttr.get(ir.IntegerType.get_signless(32), api_version),
        "operand_layouts": _layouts(operand_layouts, [x.type for x in operands]),
        "result_layouts": _layouts(result_layouts, result_types), **(extra_attributes or {})}
    if api_version == TYPED_FFI:  # the compiler knows it by the dict; JAX writes it so, too
        attributes["api_version"] = ir.IntegerAttr.get(ir.IntegerType.get_signless(32), 1)
        attributes["backend_config"] = ir.StringAttr.get("")
        attributes["mhlo.backend_config"] = ir.DictAttr.get(dict(backend_config or {}))
    elif isinstance(backend_config, ir.Attribute):
        attributes["backend_config"] = backend_config
    else:
        attributes["backend_config"] = ir.StringAttr.get(backend_config or "")
    if operand_output_aliases:
        attributes["output_operand_aliases"] = ir.ArrayAttr.get([
            _alias(i, o, len(result_types)) for i, o in operand_output_aliases.items()])
    return ir.Operation.create("stablehlo.custom_call", list(result_types), list(operands),
                               attributes)


def _alias(operand: int, result: int, num_results: int) -> ir.Attribute:
    where = f"[{result}]" if num_results > 1 else "[]"
    return ir.Attribute.parse(
        f"#stablehlo.output_operand_alias<output_tuple_indices = {where}, "
        f"operand_index = {operand}, operand_tuple_indices = []>")


def _layouts(given: Sequence[Any] | None, types: Sequence[Type]) -> ir.Attribute:
    index = ir.IndexType.get()
    found = []
    for i, kind in enumerate(types):
        rank = len(kind.shape) if isinstance(kind, ir.RankedTensorType) else 0
        one = given[i] if given is not None and given[i] is not None else range(rank - 1, -1, -1)
        found.append(ir.DenseElementsAttr.get(np.asarray(one, np.int64), type=index,
                                              shape=[len(one)]))
    return ir.ArrayAttr.get(found)


def attribute(builder: Builder, val: Any) -> ir.Attribute:
    """Strings, numbers, arrays, dtypes, and dicts and sequences of them as an attribute.

    Python's numbers have 64 bits. A hashable stand-in for an array has it in the attribute `array`.
    TypeError for anything else.
    """
    val = getattr(val, "array", val)
    if isinstance(val, ir.Attribute):
        return val
    if isinstance(val, (bool, np.bool_)):
        return ir.BoolAttr.get(bool(val))
    if isinstance(val, str):
        return ir.StringAttr.get(val)
    if isinstance(val, Mapping):
        return ir.DictAttr.get({k: attribute(builder, v) for k, v in val.items()})
    if isinstance(val, (list, tuple)):
        return ir.ArrayAttr.get([attribute(builder, v) for v in val])
    if isinstance(val, np.ndarray):
        return builder.constant(np.zeros(val.shape, bool) if val.dtype == float0 else val,
                                val.shape)
    if isinstance(val, np.dtype) or (isinstance(val, type) and issubclass(val, np.generic)):
        return ir.TypeAttr.get(builder.elements[np.dtype(val)])
    return _number(builder, val)


def _number(builder: Builder, val: Any) -> ir.Attribute:
    if isinstance(val, int):
        return ir.IntegerAttr.get(ir.IntegerType.get_signless(64), val)
    if type(val) is float:
        return ir.FloatAttr.get(ir.F64Type.get(), val)
    element = builder.elements.get(getattr(val, "dtype", None))
    if element is None or val.dtype.kind == "c":
        raise TypeError(f"No attribute handler defined for type: {type(val)} for value {val}\n"
                        "  fix: use numbers, strings, NumPy arrays, and dicts and lists of them")
    if val.dtype.kind in "iu":
        return ir.IntegerAttr.get(element, int(val))
    return ir.FloatAttr.get(element, float(val))


@rule("ffi_call")
def ffi_call(ctx: Context, *args: Value, target_name: str, has_side_effect: bool,
             input_layouts: Sequence[Any], output_layouts: Sequence[Any],
             input_output_aliases: Sequence[tuple[int, int]], custom_call_api_version: int,
             legacy_backend_config: Any, attributes: Sequence[tuple[str, Any]],
             **_: Any) -> list[Value]:
    config = legacy_backend_config
    if custom_call_api_version >= TYPED_FFI:
        config = {key: attribute(ctx.builder, val) for key, val in attributes}
    with ctx.loc:
        made = custom_call(
            target_name, result_types=ctx.outs, operands=args, backend_config=config,
            has_side_effect=has_side_effect, api_version=custom_call_api_version,
            operand_output_aliases=dict(input_output_aliases), operand_layouts=input_layouts,
            result_layouts=output_layouts)
    return list(made.results)
