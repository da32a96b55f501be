"""`vmap` rules of primitives.

A rule is `rule(args, dims, **params) -> (out, out_dim)`; a dim is the place of the mapped axis in
an operand, or `not_mapped`. In the fancy table rules take the axis first: its name and size.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minijax import core
from minijax.api.containers import register_vmappable, unregister_vmappable
from minijax.core import AxisData, BatchTrace, BatchTracer, Primitive, aval_of
from minijax.core import batch_jaxpr as _batch_jaxpr
from minijax.interpreters.tables import RuleTable

__all__ = [
    "BatchTrace", "BatchTracer", "axis_primitive_batchers", "bdim_at_front", "broadcast",
    "defbroadcasting", "defreducer", "defvectorized", "fancy_primitive_batchers", "moveaxis",
    "not_mapped", "primitive_batchers", "register_vmappable", "unregister_vmappable"]

not_mapped = None


def _with_axis(rule: Callable) -> Callable:
    def vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        return rule(tuple(args), tuple(dims), **params)
    return vmap


def _without_axis(primitive: Primitive, rule: Callable) -> Callable:
    def batcher(args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        size = next(aval_of(x).shape[d] for x, d in zip(args, dims) if d is not None)
        return rule(AxisData(None, size), args, dims, **params)
    return batcher


def _by_parts(rule: Callable) -> Callable:
    def vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        return rule(axis.size, axis.name, None, tuple(args), tuple(dims), **params)
    return vmap


primitive_batchers = RuleTable("vmap", _with_axis, _without_axis)
fancy_primitive_batchers = RuleTable("vmap", lambda rule: functools.partial(rule))
axis_primitive_batchers = RuleTable("vmap", _by_parts)


# --- ways to write rules -----------------------------------------------------------------------


def defvectorized(prim: Primitive) -> None:
    """The operation has one operand that matters and works elementwise, axis for axis."""
    primitive_batchers[prim] = lambda args, dims, **params: _vectorized(prim, args, dims, params)


def _vectorized(prim: Primitive, args: Sequence[Any], dims: Sequence[Any], params: dict) -> tuple:
    dim = next(d for d in dims if d is not None)
    if any(d != dim for d in dims):
        raise NotImplementedError(f"defvectorized: {prim.name} has operands mapped over {dims}")
    out = prim.bind(*args, **params)
    return out, [dim] * len(out) if prim.multiple_results else dim


def defbroadcasting(prim: Primitive) -> None:
    """The operation works elementwise on operands of equal shape."""
    def batcher(axis: AxisData, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        if len({(aval_of(x).shape, d) for x, d in zip(args, dims)}) == 1:
            at = dims[0]
        else:
            at = 0
            args = [core.materialize(x, d, axis.size) for x, d in zip(args, dims)]
            rank = max(aval_of(x).ndim for x in args)
            args = [_with_rank(x, rank) for x in args]
        out = prim.bind(*args, **params)
        return out, [at] * len(out) if prim.multiple_results else at
    fancy_primitive_batchers[prim] = batcher


def _with_rank(x: Any, rank: int) -> Any:
    """`x` with axes of size 1 behind its first."""
    shape = aval_of(x).shape
    return core.reshape(x, (shape[0],) + (1,) * (rank - len(shape)) + shape[1:])


def defreducer(prim: Primitive) -> None:
    """The operation removes the axes in its parameter `axes`."""
    prim.vmap = core.reduce_axes.make(prim)


def moveaxis(x: Any, src: int, dst: int) -> Any:
    """`x` with its axis `src` at `dst`."""
    ndim = aval_of(x).ndim
    return core.move_axis(x, src % ndim, dst % ndim)


def broadcast(x: Any, sz: int, axis: int, mesh_axis: Any = None) -> Any:
    """`x` repeated along a new axis of size `sz`."""
    return core.materialize(x, None, sz, axis)


def bdim_at_front(x: Any, bdim: int | None, size: int, mesh_axis: Any = None) -> Any:
    """`x` with the mapped axis in front, which is made if there is none."""
    return core.materialize(x, bdim, size)


def batch_jaxpr(closed_jaxpr: Any, axis_data: AxisData, in_batched: Sequence[bool],
                instantiate: bool | Sequence[bool]) -> tuple:
    """The program mapped over axis 0 of the marked inputs, and which outputs are mapped."""
    return _batch_jaxpr(closed_jaxpr, axis_data, in_batched, instantiate)
