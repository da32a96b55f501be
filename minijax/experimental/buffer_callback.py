"""Calls of Python functions that work in place, on the buffers of a running program (CPU, GPU).

    def add_one(ctx, out, x):
        np.asarray(out)[...] = np.asarray(x) + 1

    jax.jit(buffer_callback(add_one, jax.ShapeDtypeStruct((3,), np.float32)))(x)
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from minijax.api.callback import call_on_batch, check_vmap_method, result_types
from minijax.base import errors, jaxlib, tree
from minijax.core import (AxisData, Effect, Primitive, aval_of, control_flow_effects,
                          lowerable_effects)
from minijax.ffi import checked_aliases

__all__ = ["Buffer", "ExecutionContext", "ExecutionStage", "buffer_callback"]

Buffer = jaxlib._jax.ffi.Buffer
ExecutionContext = jaxlib._jax.ffi.ExecutionContext
ExecutionStage = jaxlib._jax.ffi.ExecutionStage


def buffer_callback(callback: Callable[..., None], result_shape_dtypes: Any, *,
                    has_side_effect: bool = False, vmap_method: str | None = None,
                    input_output_aliases: Mapping[int, int] | None = None,
                    command_buffer_compatible: bool = False) -> Callable[..., Any]:
    """A function whose results `callback(ctx, out, *args)` writes into the buffers `out`.

    out, args: pytrees of `Buffer`, which NumPy (on CPU), CUDA arrays (on GPU) and DLPack read
    without a copy; ctx: an `ExecutionContext`, which has the stream. vmap_method: see
    `jax.pure_callback`. input_output_aliases: which leaf of the results may overwrite which
    argument. command_buffer_compatible: on a GPU, what `callback` puts on the stream is recorded
    once and then replayed. ValueError for derivatives: wrap it in `jax.custom_jvp`.
    """
    check_vmap_method(vmap_method)
    avals, out_tree = result_types(result_shape_dtypes)

    def call(*args: Any, **kwargs: Any) -> Any:
        leaves, in_tree = tree.flatten((args, kwargs))
        aliases = checked_aliases(input_output_aliases, [aval_of(x) for x in leaves], avals)
        outs = buffer_callback_p.bind(
            *leaves, callback=_OnBuffers(callback, in_tree, out_tree), result_avals=avals,
            vmap_method=vmap_method, has_side_effect=has_side_effect,
            input_output_aliases=aliases, command_buffer_compatible=command_buffer_compatible)
        return tree.unflatten(out_tree, outs)
    return call


@dataclasses.dataclass(frozen=True)
class _OnBuffers:
    """The user's function on flat buffers: those of the operands, then those of the results."""

    callback: Callable[..., None]
    in_tree: Any
    out_tree: Any

    def __call__(self, ctx: Any, *buffers: Any) -> tuple:
        n = self.in_tree.num_leaves
        args, kwargs = tree.unflatten(self.in_tree, buffers[:n])
        out = tree.unflatten(self.out_tree, buffers[n:])
        if self.callback(ctx, out, *args, **kwargs) is not None:
            raise ValueError("buffer_callback callback must not return any values.")
        return ()


class BufferCallbackEffect(Effect):
    """A call with side effects."""

    def __repr__(self) -> str:
        return "BufferCallback"


_effect = BufferCallbackEffect()
lowerable_effects.add_type(BufferCallbackEffect)
control_flow_effects.add_type(BufferCallbackEffect)


def _vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[int | None],
          **params: Any) -> tuple[list, list]:
    return call_on_batch(buffer_callback_p, axis, args, dims, params["vmap_method"], params)


def _refuse_derivative(*_: Any, **__: Any) -> Any:
    raise ValueError(errors.describe("Buffer callbacks do not support JVP.",
                                     fix="wrap the call in jax.custom_jvp or jax.custom_vjp"))


buffer_callback_p = Primitive(
    "buffer_callback", multiple_results=True, effectful=True, vmap=_vmap,
    shape=lambda *_, result_avals, has_side_effect, **__: (
        result_avals, {_effect} if has_side_effect else set()),
    jvp=_refuse_derivative, transpose=_refuse_derivative)
