"""Where values are: constraints for the partitioner, and regions in which each device runs a part.

`ctx.spmd` writes meshes and specs as text; it is None in a program for one device, for which all of
this means nothing. Inside a manual region `ctx.mesh` is its mesh, whose axes collectives name.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from lowering.build import Body, Type, Value, ir
from lowering.module import Context
from lowering.rules import rule


@rule("sharding_constraint")
def sharding_constraint(ctx: Context, x: Value, *, sharding: Any, unconstrained_dims: Any,
                        **_: Any) -> Value:
    return constrained(ctx, x, sharding, unconstrained_dims)


_groups = itertools.count()


@rule("shard_alike")
def shard_alike(ctx: Context, x: Value, y: Value) -> list[Value]:
    group = ctx.attr(f"{next(_groups)} : i64")
    for value in (x, y) if ctx.spmd is not None else ():
        ctx.op("sdy.sharding_group", (value,), (), group_id=group)
    return [x, y]


def constrained(ctx: Context, x: Value, sharding: Any, free: Sequence[int] = ()) -> Value:
    """`x` with the demand that it be split as `sharding` says, but for the dimensions `free`."""
    if ctx.spmd is None:
        return x
    text = ctx.spmd.text(sharding, len(ctx.shape_of(x)), free)
    return x if text is None else ctx.same("sdy.sharding_constraint", x, sharding=text)


def sharding_of(aval: Any) -> Any:
    """The sharding that a type says, or None."""
    return getattr(getattr(aval, "placement", None), "sharding", None)


def local_type(ctx: Context, x: Value, mesh: Any, spec: Any) -> Type:
    """The type of each device's part of `x`."""
    sizes = dict(mesh.shape_tuple)
    shape = list(ctx.shape_of(x))
    for i, entry in enumerate(spec.partitions):
        for name in entry if isinstance(entry, tuple) else (entry,):
            shape[i] //= sizes.get(name, 1)
    return ctx.tensor(tuple(shape), ctx.dtype_of(x))


def as_terms(ctx: Context, x: Value, aval: Any) -> Value:
    """`x`, made on the way to or from a value of this type: a sum of terms where that is one.

    `x` may have one more axis in front. Between two operations that say so, the compiler would
    sum, and then take the sum for a term.
    """
    sharding = sharding_of(aval)
    if sharding is None or not sharding.spec.unreduced:
        return x
    front = (None,) * (len(ctx.shape_of(x)) - len(aval.shape))
    spec = sharding.spec.update((*front, *sharding.spec.partitions))
    return constrained(ctx, x, sharding.update(spec=spec))


def on_terms(ctx: Context, aval: Any, fun: Callable[..., Value], terms: Sequence[Value],
             index: Value, out: Type) -> Value:
    """`fun(*terms, index)`, of the type `out`, run by each device on its terms of sums.

    For operations that the compiler would run on sums. `aval` is the type of the terms, which may
    have one more axis in front; the index is equal everywhere.
    """
    sharding = sharding_of(aval)
    if ctx.spmd is None or ctx.manual or sharding is None or not sharding.spec.unreduced:
        return fun(*terms, index)

    def spec(kind: Type) -> Any:
        front = (None,) * (_rank(kind) - len(aval.shape))
        return sharding.spec.update((*front, *sharding.spec.partitions))

    specs = [spec(x.type) for x in terms]
    types = [local_type(ctx, x, sharding.mesh, s) for x, s in zip(terms, specs)]
    result, = manual_region(
        ctx, sharding.mesh, [*terms, index], [*types, index.type], [out], [*specs, ()],
        [spec(out)], sharding.mesh.axis_names, lambda *xs: [fun(*xs)])
    return result


@rule("shard_map")
def shard_map(ctx: Context, *args: Value, jaxpr: Any, mesh: Any, in_specs: Sequence[Any],
              out_specs: Sequence[Any], newly_manual_axes: Any, **_: Any) -> list[Value]:
    def body(*local: Value) -> list[Value]:
        return ctx.call(jaxpr, local, "shard_map/")

    types = [ctx.type(v.aval) for v in jaxpr.invars]
    effects = ctx.ordered(jaxpr)
    if not effects or ctx.spmd is None:
        return manual_region(ctx, mesh, args, types, ctx.outs, in_specs, out_specs,
                             newly_manual_axes, body)
    everywhere = [()] * len(effects)
    return ctx.taken(effects, manual_region(
        ctx, mesh, [*[ctx.tokens[e] for e in effects], *args], ctx.with_tokens(effects, types),
        ctx.with_tokens(effects, ctx.outs), [*everywhere, *in_specs], [*everywhere, *out_specs],
        newly_manual_axes, ctx.threaded(effects, body)))


def manual_region(ctx: Context, mesh: Any, args: Sequence[Value], types: Sequence[Type],
                  outs: Sequence[Type], in_specs: Sequence[Any], out_specs: Sequence[Any],
                  axes: Any, body: Callable[..., Sequence[Value]]) -> list[Value]:
    """Run `body` on each device's part of `args`, of the given types."""
    inside = _inside(ctx, mesh, axes, body)
    if ctx.spmd is None:
        return list(inside(*args))
    args, types, inside = ctx.sealed(args, types, inside)
    in_specs = [*[()] * (len(args) - len(in_specs)), *in_specs]
    is_open = len(ctx.manual_axes | set(axes)) < len(mesh.axis_names)
    ranks = [_rank(x.type) for x in args]
    out_ranks = [_rank(t) for t in outs]
    names = ", ".join(f'"{name}"' for name in mesh.axis_names if name in axes)
    attributes = {
        "in_shardings": ctx.attr(_per_value(ctx, mesh, in_specs, ranks, is_open)),
        "out_shardings": ctx.attr(_per_value(ctx, mesh, out_specs, out_ranks, is_open)),
        "manual_axes": ctx.attr(f"#sdy<manual_axes{{{names}}}>"),
    }
    made = ir.Operation.create("sdy.manual_computation", outs, list(args), attributes, None, 1,
                               ctx.loc)
    block = made.regions[0].blocks.append(*types, arg_locs=[ctx.loc] * len(types))
    ctx.fill(block, inside, "sdy.return")
    return list(made.results)


def _rank(kind: Type) -> int:
    """The rank of values of a type; 0 for tokens."""
    return len(kind.shape) if isinstance(kind, ir.RankedTensorType) else 0


def _per_value(ctx: Context, mesh: Any, specs: Sequence[Any], ranks: Sequence[int],
               is_open: bool) -> str:
    each = [ctx.spmd.local_text(mesh, spec, rank, is_open) for spec, rank in zip(specs, ranks)]
    return f"#sdy.sharding_per_value<[{', '.join(each)}]>"


def _inside(ctx: Context, mesh: Any, axes: Any, body: Body) -> Body:
    """`body` run with the mesh as the one whose axes collectives name."""
    def inside(*args: Value) -> Sequence[Value]:
        outer = ctx.mesh, ctx.manual_axes, ctx.manual, ctx.functions
        # A function that was made for other manual axes would communicate along those.
        ctx.mesh, ctx.manual_axes, ctx.manual = mesh, ctx.manual_axes | set(axes), True
        ctx.functions = {}
        results = body(*args)
        ctx.mesh, ctx.manual_axes, ctx.manual, ctx.functions = outer
        return results
    return inside


@rule("custom_partitioning")
def custom_partitioning(ctx: Context, *args: Value, call: Any, split: Any) -> list[Value]:
    mesh = None if ctx.spmd is None or ctx.manual else ctx.spmd.any_mesh()
    if mesh is None:
        return ctx.call(call, args)
    key, sharding_rule = split.describe(mesh, ctx.devices, ctx.in_avals, ctx.out_avals)
    attributes = {
        "call_target_name": ir.StringAttr.get("CustomSPMDPartitioning"),
        "has_side_effect": ir.BoolAttr.get(False),
        "api_version": ctx.attr("2 : i32"),
        "backend_config": ir.StringAttr.get(key),
        "called_computations": ir.ArrayAttr.get([]),
    }
    if sharding_rule is not None:
        attributes["sdy.sharding_rule"] = ctx.attr(sharding_rule)
    made = ir.Operation.create("stablehlo.custom_call", ctx.outs, list(args), attributes, None, 0,
                               ctx.loc)
    return list(made.results)
