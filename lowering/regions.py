"""Functions that stay functions, and attributes that tell the compiler how to run what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowering.build import Value, ir
from lowering.custom_call import custom_call
from lowering.module import Context, compute_attributes, describe
from lowering.rules import rule


@rule("xla_metadata_value")
def xla_metadata_value(ctx: Context, x: Value, *, xla_metadata_kvs: Any) -> Value:
    describe([x], {key: as_text(value) for key, value in xla_metadata_kvs if value is not None},
             replace=True)
    return x


def as_text(value: Any) -> str:
    """How the compiler reads the value of an attribute."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@rule("xla_metadata_call")
def xla_metadata_call(ctx: Context, *args: Value, jaxpr: Any, **attributes: Any) -> list[Value]:
    results = ctx.outline(jaxpr, args, "xla_metadata_call")
    describe(results, {key: as_text(value) for key, value in attributes.items()})
    return results


@rule("compute_on")
def compute_on(ctx: Context, *args: Value, jaxpr: Any, compute_type: str,
               out_memory_spaces: Sequence[Any], compiler_options_json: str | None) -> list[Value]:
    results = ctx.outline(jaxpr, args, "compute_on")
    given = compute_attributes(compute_type)
    if compute_type == "device":
        given["inlineable"] = "false"
    if compiler_options_json is not None:
        given["backend_config"] = compiler_options_json
    describe(results, given)
    return [placed(ctx, x, space) for x, space in zip(results, out_memory_spaces)]


def placed(ctx: Context, x: Value, space: Any) -> Value:
    """`x` in another kind of memory, on platforms that have several."""
    if ctx.platform == "cpu":
        return x
    with ctx.loc:
        made = custom_call("annotate_device_placement", result_types=[x.type], operands=[x],
                           has_side_effect=True, api_version=1)
    kind = "pinned_host" if space.name == "Host" else "device"
    describe(made.results, {"_xla_buffer_placement": kind})
    return made.result


@rule("fused_call", "cuda")
def fused_call(ctx: Context, *args: Value, jaxpr: Any, out_spaces: Sequence[Any]) -> list[Value]:
    callee = ctx.helper_name(("fused", jaxpr), "fused", [x.type for x in args], ctx.outs,
                             lambda *xs: ctx.call(jaxpr, xs, "fused/"))
    spaces = ir.ArrayAttr.get([ir.StringAttr.get(repr(space)) for space in out_spaces])
    made = ir.Operation.create("stablehlo.custom_call", ctx.outs, list(args), {
        "call_target_name": ir.StringAttr.get("fused"),
        "backend_config": ir.StringAttr.get(""),
        "called_computations": ir.ArrayAttr.get([callee]),
        "mhlo.backend_config": ir.DictAttr.get({
            "MUST_FUSE": ctx.attr(True), "inlineable": ctx.attr(False), "out_spaces": spaces}),
    }, None, 0, ctx.loc)
    return list(made.results)
