"""Calls of Python functions from compiled programs, and tokens.

A callback is a custom call that names a function by its place in the list of host callbacks that
the compiler gets with the module. With an ordered effect it takes and gives the effect's token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lowering.build import Value
from lowering.custom_call import TYPED_FFI, custom_call
from lowering.module import Context
from lowering.rules import rule

_TARGETS = {"cpu": "xla_ffi_python_cpu_callback", "cuda": "xla_ffi_python_gpu_callback",
            "rocm": "xla_ffi_python_gpu_callback"}
_PARTITIONED = "xla_ffi_partitioned_python_cpu_callback"


def python_callback(ctx: Context, callback: Callable[..., Sequence[Any]],
                    operands: Sequence[Value], out_avals: Sequence[Any], *,
                    has_side_effect: bool, token: Value | None = None, partitioned: bool = False,
                    sharding: str | None = None) -> tuple[list[Value], Value | None]:
    """Call `callback` with the operands as NumPy arrays; returns its results and the new token.

    The callback returns a sequence of arrays of exactly the types `out_avals`; anything else makes
    the program fail. `sharding` is Shardy text for each value, e.g. a place where it all happens.
    """
    if ctx.platform not in _TARGETS:
        raise ValueError(f"Python callbacks are not supported on platform {ctx.platform}")
    target = _PARTITIONED if partitioned else _TARGETS[ctx.platform]
    tokens = [] if token is None else [token]
    index = len(ctx.host_callbacks)
    ctx.host_callbacks.append(_checked(callback, list(out_avals), len(tokens)))
    with ctx.loc:
        made = custom_call(
            target, result_types=[v.type for v in tokens] + [ctx.type(a) for a in out_avals],
            operands=[*tokens, *operands], has_side_effect=has_side_effect,
            api_version=TYPED_FFI, backend_config={"index": ctx.attr(f"{index} : ui64")},
            extra_attributes={"sdy.sharding": ctx.attr(sharding)} if sharding else None)
    results = list(made.results)
    after, results = results[:len(tokens)], results[len(tokens):]
    if sharding:
        results = [ctx.for_all_devices(x) for x in results]
    return results, after[0] if tokens else None


def _checked(callback: Callable, out_avals: list, num_tokens: int) -> Callable[..., tuple]:
    """What the runtime calls: its results are certain to be of the promised types."""
    def call(*args: Any) -> tuple:
        found = list(callback(*args[num_tokens:]))
        if len(found) != len(out_avals):
            raise RuntimeError("Mismatched number of outputs from callback. Expected: "
                               f"{len(out_avals)}, Actual: {len(found)}")
        found = [np.asarray(x) for x in found]
        for i, (x, aval) in enumerate(zip(found, out_avals)):
            for what, actual, wanted in (("shape", x.shape, aval.shape),
                                         ("dtype", x.dtype, aval.dtype)):
                if actual != wanted:
                    raise RuntimeError(f"Incorrect output {what} for return value #{i}: "
                                       f"Expected: {wanted}, Actual: {actual}")
        return (*args[:num_tokens], *found)
    return call


# --- rules -------------------------------------------------------------------------------------


@rule("buffer_callback")
def buffer_callback(ctx: Context, *args: Value, callback: Callable, has_side_effect: bool,
                    input_output_aliases: Sequence[tuple[int, int]],
                    command_buffer_compatible: bool, **_: Any) -> list[Value]:
    if ctx.platform not in _TARGETS:
        raise ValueError(f"`buffer_callback` not supported on {ctx.platform} backend.")
    kind = "cpu" if ctx.platform == "cpu" else "gpu"
    replayed = "_cmd_buffer" if command_buffer_compatible and kind == "gpu" else ""
    ctx.host_callbacks.append(callback)
    with ctx.loc:
        return list(custom_call(
            f"xla_buffer_python_{kind}_callback{replayed}", operands=args, api_version=TYPED_FFI,
            result_types=[ctx.type(a) for a in ctx.out_avals], has_side_effect=has_side_effect,
            backend_config={"index": ctx.attr(f"{len(ctx.host_callbacks) - 1} : ui64")},
            operand_output_aliases=dict(input_output_aliases)).results)


@rule("pure_callback")
def pure_callback(ctx: Context, *args: Value, callback: Callable, result_avals: Sequence[Any],
                  sharding: Any = None, **_: Any) -> list[Value]:
    results, _ = python_callback(ctx, callback, args, result_avals, has_side_effect=False,
                                 sharding=ctx.on_one_device(sharding, len(result_avals)))
    return results


@rule("io_callback")
def io_callback(ctx: Context, *args: Value, callback: Callable, result_avals: Sequence[Any],
                sharding: Any = None, **_: Any) -> list[Value]:
    return _effectful(ctx, callback, args, result_avals, sharding)


@rule("debug_callback")
def debug_callback(ctx: Context, *args: Value, callback: Callable, partitioned: bool = False,
                   **_: Any) -> list[Value]:
    return _effectful(ctx, callback, args, (), None, partitioned)


def _effectful(ctx: Context, callback: Callable, args: Sequence[Value], out_avals: Sequence[Any],
               sharding: Any, partitioned: bool = False) -> list[Value]:
    effect = next((e for e in ctx.eqn.effects if e in ctx.tokens), None)
    count = len(out_avals) + (effect is not None)
    where = None if partitioned else ctx.on_one_device(sharding, count)
    results, token = python_callback(
        ctx, callback, args, out_avals, has_side_effect=True, token=ctx.tokens.get(effect),
        partitioned=partitioned, sharding=where)
    if effect is not None:
        ctx.tokens[effect] = token
    return results


@rule("create_token")
def create_token(ctx: Context, *_: Value) -> Value:
    return ctx.op("stablehlo.create_token", (), (ctx.token_type,))


@rule("after_all")
def after_all(ctx: Context, *tokens: Value) -> Value:
    return ctx.op("stablehlo.after_all", tokens, (ctx.token_type,))


@rule("inspect_sharding")
def inspect_sharding(ctx: Context, x: Value, *, callback: Any) -> list[Value]:
    if len(ctx.devices) < 2:
        callback.of_one_device(ctx.devices[0])
        return []
    with ctx.loc:
        custom_call("InspectSharding", result_types=[x.type], operands=[x], has_side_effect=True,
                    backend_config=callback.encoded(ctx.devices, len(x.type.shape)),
                    api_version=1)
    return []
