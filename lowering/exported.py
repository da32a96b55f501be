"""Calls of exported programs: the program becomes part of the module."""

from __future__ import annotations

from typing import Any, NamedTuple

from lowering.build import Attribute, Type, Value, from_portable, ir
from lowering.module import DYNAMIC, Context, symbol
from lowering.rules import rule


class _Guest(NamedTuple):
    """An embedded program: its function, what that takes and gives, and how those are split."""

    name: str
    inputs: list[Type]
    outputs: list[Type]
    in_shardings: list[Attribute | None]
    out_shardings: list[Attribute | None]


@rule("call_exported")
def call_exported(ctx: Context, *args: Value, exported: Any, checked: bool) -> list[Value]:
    if checked and ctx.platform not in exported.platforms:
        raise ValueError(f"Function '{exported.fun_name}' was exported for platforms "
                         f"'{exported.platforms}' but it is used on '{(ctx.platform,)}'.")
    _check_devices(ctx, exported)
    effects = [e for e in ctx.tokens if e in exported.ordered_effects]
    operands = [args[i] for i in exported.module_kept_var_idx]
    if len(exported.platforms) > 1:
        place = exported.platforms.index(ctx.platform) if ctx.platform in exported.platforms else 0
        operands.insert(0, ctx.const(place, "int32"))
    guest, n = _embedded(ctx, exported), len(effects)
    operands = [_placed(ctx, _typed(ctx, x, kind), sharding) for x, kind, sharding in
                zip(operands, guest.inputs[n:], guest.in_shardings[n:], strict=True)]
    results = ctx.taken(effects, ctx.call_function(
        ir.FlatSymbolRefAttr.get(guest.name), [*[ctx.tokens[e] for e in effects], *operands],
        guest.outputs))
    return [_typed(ctx, _placed(ctx, x, sharding), kind) for x, sharding, kind in
            zip(results, guest.out_shardings[n:], ctx.outs, strict=True)]


def _check_devices(ctx: Context, exported: Any) -> None:
    count, here = exported.nr_devices, 1 if ctx.manual else max(len(ctx.devices), 1)
    if count not in (1, here):
        raise ValueError(
            f"Function {exported.fun_name} was exported for {count} devices and is called in a "
            f"context with {here} devices. This is disallowed because its program is split over "
            f"{count} devices.\n  fix: put the arguments on {count} devices first, for instance "
            "with jax.device_put and exported.in_shardings_jax(mesh)")


def _typed(ctx: Context, x: Value, kind: Type) -> Value:
    """`x` as a value of another type, whose sizes may be known in one of them only."""
    return x if x.type == kind else ctx.op("stablehlo.convert", (x,), (kind,))


def _placed(ctx: Context, x: Value, sharding: Attribute | None) -> Value:
    if sharding is None or ctx.spmd is None or ctx.manual:
        return x
    return ctx.same("sdy.sharding_constraint", x, sharding=sharding)


def _embedded(ctx: Context, exported: Any) -> _Guest:
    """The main function of the program; its functions are copied once, under free names."""
    found = ctx.functions.get(exported)
    if found is None:
        module = from_portable(exported.mlir_module_serialized, ctx.builder.context)
        if DYNAMIC in module.operation.attributes:
            ctx.module.operation.attributes[DYNAMIC] = ir.BoolAttr.get(True)
        named = [op for op in module.body.operations if "sym_name" in op.attributes]
        taken = {op.attributes["sym_name"].value for op in named}
        for op in named:
            old = op.attributes["sym_name"].value
            new = f"call_exported_{symbol(exported.fun_name)}"
            if op.operation.name == "sdy.mesh":
                new = old if _same_mesh(ctx, op) else _free_name(old, ctx.symbols, taken)
            else:
                new = _free_name(new if old == "main" else f"{new}_{old}", ctx.symbols, taken)
            ir.SymbolTable.replace_all_symbol_uses(old, new, module.operation)
            ir.SymbolTable.set_symbol_name(op.operation, new)
            taken.add(new)
            if old == "main":
                main = op
        found = ctx.functions[exported] = _described(main)
        for function in module.body.operations:
            if function.attributes["sym_name"].value not in ctx.symbols:
                copy = function.operation.clone(ir.InsertionPoint(ctx.module.body)).operation
                if copy.name == "func.func":
                    copy.attributes["sym_visibility"] = ir.StringAttr.get("private")
                else:  # meshes come first
                    copy.move_before(ctx.module.body.operations[0].operation)
                ctx.symbols.insert(copy)
    return found


def _same_mesh(ctx: Context, mesh: Any) -> bool:
    name = mesh.attributes["sym_name"].value
    if ctx.spmd is not None and name in ctx.spmd.texts:
        ctx.add_mesh(name, ctx.spmd.texts[name])
    return name in ctx.symbols and ctx.symbols[name].attributes["mesh"] == mesh.attributes["mesh"]


def _described(main: Any) -> _Guest:
    """What is known of the function; shardings of its arguments become those of the operands."""
    kind = ir.FunctionType(main.attributes["function_type"].value)

    def shardings(name: str, count: int) -> list:
        if name not in main.attributes:
            return [None] * count
        given = ir.ArrayAttr(main.attributes[name])
        del main.attributes[name]
        return [one["sdy.sharding"] if "sdy.sharding" in one else None
                for one in map(ir.DictAttr, given)]
    return _Guest(main.attributes["sym_name"].value, list(kind.inputs), list(kind.results),
                  shardings("arg_attrs", len(kind.inputs)),
                  shardings("res_attrs", len(kind.results)))


def _free_name(wanted: str, symbols: Any, taken: set[str]) -> str:
    name, count = wanted, 0
    while name in symbols or name in taken:
        count += 1
        name = f"{wanted}_{count}"
    return name
