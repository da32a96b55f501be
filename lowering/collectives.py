"""Communication between the devices of a manual region.

A collective over some axes of the mesh runs in groups: the devices that differ only along these
axes, in row-major order. `axis_index_groups` cuts each of these groups further.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowering.build import Value
from lowering.module import Context
from lowering.reduction import combiner
from lowering.rules import rule
from lowering.sharding import constrained, local_type, manual_region, sharding_of

INDEX = np.dtype(np.int32)


def _as_names(axes: Any) -> tuple:
    return axes if isinstance(axes, tuple) else (axes,)


def device_rows(ctx: Context, axes: Any) -> np.ndarray:
    """One row per group of devices that communicate along the axes."""
    names = list(ctx.mesh.axis_names)
    inner = [names.index(name) for name in _as_names(axes)]
    outer = [i for i in range(len(names)) if i not in inner]
    grid = np.arange(ctx.mesh.size, dtype=np.int64).reshape(ctx.mesh.axis_sizes)
    size = int(np.prod([grid.shape[i] for i in inner], dtype=int))
    return grid.transpose(*outer, *inner).reshape(-1, size)


def replica_groups(ctx: Context, axes: Any, index_groups: Any) -> Any:
    rows = device_rows(ctx, axes)
    if index_groups is not None:
        rest = [-1] * max(map(len, index_groups))  # ends the rows of smaller groups
        rows = np.array([[*row[list(group)], *rest[len(group):]]
                         for row in rows for group in index_groups])
    return ctx.builder.constant(np.ascontiguousarray(rows), rows.shape)


def channel(ctx: Context) -> Any:
    return ctx.attr("#stablehlo.channel_handle<handle = 1, type = 1>")


def _all_reduce(ctx: Context, name: str, x: Value, axes: Any, index_groups: Any) -> Value:
    result, = ctx.region_op(
        "stablehlo.all_reduce", (x,), (x.type,), [combiner(ctx, name, ctx.dtype_of(x))],
        replica_groups=replica_groups(ctx, axes, index_groups), channel_handle=channel(ctx),
        use_global_device_ids=ctx.attr("unit"))
    return result


def _reduction(name: str, op_name: str) -> None:
    @rule(name)
    def lower(ctx: Context, x: Value, *, axes: Any, axis_index_groups: Any = None,
              **_: Any) -> Value:
        return _all_reduce(ctx, op_name, x, axes, axis_index_groups)


_reduction("psum", "stablehlo.add")
_reduction("psum_invariant", "stablehlo.add")
_reduction("unreduced_psum", "stablehlo.add")
_reduction("pmax", "stablehlo.maximum")
_reduction("pmin", "stablehlo.minimum")


@rule("pvary")
@rule("preduced")
@rule("reduced_vary_cast_p")
@rule("vary_unreduced_cast_p")
def cast(ctx: Context, x: Value, **_: Any) -> Value:
    return x


@rule("axis_index")
def axis_index(ctx: Context, *, axis_name: Any) -> Value:
    rest = [name for name in ctx.mesh.axis_names if name not in ctx.manual_axes]
    if not rest or ctx.spmd is None:
        return _axis_index(ctx, axis_name)
    # The number of the device is known only where all axes are manual.
    result, = manual_region(ctx, ctx.mesh, (), (), [ctx.tensor((), INDEX)], (), ((),), rest,
                            lambda: [_axis_index(ctx, axis_name)])
    return result


def _axis_index(ctx: Context, axes: Any) -> Value:
    """The place along the axes (row-major over several) of the device that asks."""
    rows = device_rows(ctx, axes)
    places = np.empty(rows.size, INDEX)
    places[rows] = np.arange(rows.shape[1], dtype=INDEX)
    unsigned = np.dtype(np.uint32)
    number = ctx.op("stablehlo.partition_id", (), (ctx.tensor((), unsigned),))
    size = rows.shape[1]
    stride = int(rows[0, 1] - rows[0, 0]) if size > 1 else 1
    if np.array_equal(places, np.arange(rows.size) // max(stride, 1) % size):
        place = ctx.same("stablehlo.divide", number, ctx.const(stride, unsigned))
        place = ctx.same("stablehlo.remainder", place, ctx.const(size, unsigned))
        return ctx.convert(place, INDEX)
    found = ctx.op("stablehlo.dynamic_slice", (ctx.const(places, INDEX, places.shape), number),
                   (ctx.tensor((1,), INDEX),), slice_sizes=(1,))
    return ctx.reshape(found, ())


@rule("reshard")
def reshard(ctx: Context, x: Value, *, dst_sharding: Any, **_: Any) -> Value:
    have = getattr(sharding_of(ctx.in_avals[0]), "spec", None)
    taken = set() if have is None else {*have.unreduced}.union(
        *[entry if isinstance(entry, tuple) else (entry,) for entry in have.partitions])
    wanted = getattr(getattr(dst_sharding, "spec", None), "unreduced", ())
    new = tuple(a for a in wanted if a not in taken)
    if ctx.spmd is None or ctx.manual or not new:  # a type says by itself how values are split
        return constrained(ctx, x, dst_sharding) if sharding_of(ctx.out_avals[0]) is None else x
    return _one_term(ctx, x, dst_sharding, new)


def _one_term(ctx: Context, x: Value, sharding: Any, axes: tuple) -> Value:
    """`x`, equal along the axes, as a sum along them: one device has it, the others have zeros.

    Left to the compiler, each device could keep its copy of a constant as a term.
    """
    mesh, spec = sharding.mesh, sharding.spec
    source = spec.update(unreduced=spec.unreduced.difference(axes))
    x = constrained(ctx, x, sharding.update(spec=source))

    def body(local: Value) -> list[Value]:
        first = ctx.compare("EQ", _axis_index(ctx, axes), ctx.const(0, INDEX))
        here = ctx.broadcast(first, ctx.shape_of(local))
        return [ctx.select(here, local, ctx.const_like(0, local))]

    result, = manual_region(ctx, mesh, [x], [local_type(ctx, x, mesh, spec)], [x.type], [source],
                            [spec], mesh.axis_names, body)
    return result


@rule("pbroadcast")
def pbroadcast(ctx: Context, x: Value, *, axis_name: Any, source: int) -> Value:
    dtype, shape = ctx.dtype_of(x), ctx.shape_of(x)
    place = _axis_index(ctx, axis_name)
    here = ctx.broadcast(ctx.compare("EQ", place, ctx.const(source, INDEX)), shape)
    kept = ctx.select(here, x, ctx.const_like(0, x))
    name = "stablehlo.or" if dtype == bool else "stablehlo.add"
    return _all_reduce(ctx, name, kept, axis_name, None)


@rule("ppermute")
def ppermute(ctx: Context, x: Value, *, axis_name: Any, perm: Sequence[tuple[int, int]]) -> Value:
    rows = device_rows(ctx, axis_name)
    pairs = np.array([[row[a], row[b]] for row in rows for a, b in perm], np.int64).reshape(-1, 2)
    return ctx.same("stablehlo.collective_permute", x, channel_handle=channel(ctx),
                    source_target_pairs=ctx.builder.constant(pairs, pairs.shape))


@rule("all_gather_invariant")
@rule("all_gather_reduced")
@rule("all_gather")
def all_gather(ctx: Context, x: Value, *, all_gather_dimension: int, axis_name: Any, tiled: bool,
               axis_index_groups: Any = None, **_: Any) -> Value:
    if not tiled:
        shape = list(ctx.shape_of(x))
        shape.insert(all_gather_dimension, 1)
        x = ctx.reshape(x, shape)
    return ctx.op(
        "stablehlo.all_gather", (x,), (ctx.out,), all_gather_dim=all_gather_dimension,
        replica_groups=replica_groups(ctx, axis_name, axis_index_groups),
        channel_handle=channel(ctx), use_global_device_ids=ctx.attr("unit"))


@rule("unreduced_reduce_scatter")
@rule("reduce_scatter")
def reduce_scatter(ctx: Context, x: Value, *, scatter_dimension: int, axis_name: Any,
                   axis_size: int, tiled: bool, axis_index_groups: Any = None, **_: Any) -> Value:
    shape = list(ctx.shape_of(x))
    shape[scatter_dimension] //= axis_size
    dtype = ctx.dtype_of(x)
    result, = ctx.region_op(
        "stablehlo.reduce_scatter", (x,), (ctx.tensor(tuple(shape), dtype),),
        [combiner(ctx, "stablehlo.add", dtype)],
        scatter_dimension=scatter_dimension, channel_handle=channel(ctx),
        replica_groups=replica_groups(ctx, axis_name, axis_index_groups),
        use_global_device_ids=ctx.attr("unit"))
    if not tiled:
        del shape[scatter_dimension]
    return ctx.reshape(result, shape)


@rule("all_to_all")
def all_to_all(ctx: Context, x: Value, *, split_axis: int, concat_axis: int, axis_name: Any,
               tiled: bool, axis_index_groups: Any = None, **_: Any) -> Value:
    shape = list(ctx.shape_of(x))
    if not tiled:  # a new axis of size 1 becomes that of the senders, the split one goes away
        concat_axis += split_axis < concat_axis
        split_axis += concat_axis <= split_axis
        shape.insert(concat_axis, 1)
        x = ctx.reshape(x, shape)
    groups = replica_groups(ctx, axis_name, axis_index_groups)
    count = groups.type.shape[1]
    shape[split_axis] //= count
    shape[concat_axis] *= count
    result = ctx.op(
        "stablehlo.all_to_all", (x,), (ctx.tensor(tuple(shape), ctx.dtype_of(x)),),
        split_dimension=split_axis, concat_dimension=concat_axis, split_count=count,
        replica_groups=groups, channel_handle=channel(ctx))
    return ctx.reshape(result, ctx.out_avals[0].shape)
