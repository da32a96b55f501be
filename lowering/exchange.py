"""Uneven exchanges and single messages between the devices of a manual region."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowering.build import Value, ir
from lowering.collectives import channel, device_rows, replica_groups
from lowering.custom_call import TYPED_FFI, attribute, custom_call
from lowering.module import Context
from lowering.rules import rule


@rule("ragged_all_to_all")
def ragged_all_to_all(ctx: Context, *args: Value, axis_name: Any,
                      axis_index_groups: Any = None) -> Value:
    config = {"replica_groups": replica_groups(ctx, axis_name, axis_index_groups),
              "channel_id": attribute(ctx.builder, 1)}
    with ctx.loc:
        return custom_call("ragged_all_to_all", result_types=[ctx.out], operands=args,
                           backend_config=config, api_version=TYPED_FFI).result


def _message(ctx: Context, name: str, operands: Sequence[Value], results: Sequence[Any],
             axis_name: Any, perm: Sequence[tuple[int, int]]) -> Value:
    rows = device_rows(ctx, axis_name)
    if any(len(set(side)) != len(side) or not set(side) <= set(range(rows.shape[1]))
           for side in zip(*perm)):
        raise ValueError(f"p{name} sources and destinations must be unique, got {perm}.\n"
                         f"  fix: name positions in range({rows.shape[1]}), each at most once")
    pairs = np.array([[row[a], row[b]] for row in rows for a, b in perm], np.int64).reshape(-1, 2)
    return ir.Operation.create(f"stablehlo.{name}", list(results), list(operands), {
        "channel_handle": channel(ctx),
        "source_target_pairs": ctx.builder.constant(pairs, pairs.shape)}, None, 0, ctx.loc)


@rule("psend", "gpu")
def psend(ctx: Context, x: Value, *, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Value:
    token = ctx.op("stablehlo.create_token", (), (ctx.token_type,))
    return _message(ctx, "send", (x, token), (ctx.token_type,), axis_name, perm).result


@rule("precv", "gpu")
def precv(ctx: Context, token: Value, *, out_shape: Any, axis_name: Any,
          perm: Sequence[tuple[int, int]]) -> Value:
    results = (ctx.type(out_shape), ctx.token_type)
    return _message(ctx, "recv", (token,), results, axis_name, perm).results[0]


def _only_on_gpus(name: str) -> None:
    @rule(name)
    def refuse(ctx: Context, x: Value, **_: Any) -> Value:
        raise NotImplementedError(f"{name} is currently only implemented on GPU\n"
                                  "  fix: lax.ppermute, which all platforms have")


_only_on_gpus("psend")
_only_on_gpus("precv")
