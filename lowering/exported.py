"""Calls of exported programs: the program becomes part of the module."""

from __future__ import annotations

from typing import Any

from lowering.build import Value, from_portable, ir
from lowering.module import Context, symbol
from lowering.rules import rule


@rule("call_exported")
def call_exported(ctx: Context, *args: Value, exported: Any, checked: bool) -> list[Value]:
    if checked and ctx.platform not in exported.platforms:
        raise ValueError(f"Function '{exported.fun_name}' was exported for platforms "
                         f"'{exported.platforms}' but it is used on '{(ctx.platform,)}'.")
    operands = [args[i] for i in exported.module_kept_var_idx]
    if exported.uses_global_constants:
        place = exported.platforms.index(ctx.platform) if ctx.platform in exported.platforms else 0
        operands.insert(0, ctx.const(place, "int32"))
    results = ctx.op("func.call", operands, ctx.outs, callee=_embedded(ctx, exported))
    return results if type(results) is list else [results]


def _embedded(ctx: Context, exported: Any) -> Any:
    """The main function of the program; its functions are copied once, under free names."""
    found = ctx.functions.get(exported)
    if found is None:
        guest = from_portable(exported.mlir_module_serialized, ctx.builder.context)
        for function in [op for op in guest.body.operations if "sym_name" in op.attributes]:
            old = function.attributes["sym_name"].value
            new = _free_name(f"{symbol(exported.fun_name)}_{old}", ctx.symbols)
            ir.SymbolTable.replace_all_symbol_uses(old, new, guest.operation)
            ir.SymbolTable.set_symbol_name(function.operation, new)
            if old == "main":
                found = ctx.functions[exported] = new
        for function in guest.body.operations:
            copy = function.operation.clone(ir.InsertionPoint(ctx.module.body))
            copy.attributes["sym_visibility"] = ir.StringAttr.get("private")
            ctx.symbols.insert(copy)
    return ir.FlatSymbolRefAttr.get(found)


def _free_name(wanted: str, symbols: Any) -> str:
    name, count = wanted, 0
    while name in symbols:
        count += 1
        name = f"{wanted}_{count}"
    return name
