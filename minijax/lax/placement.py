"""Saying where values of a program are: `with_sharding_constraint`.

    x = lax.with_sharding_constraint(x, NamedSharding(mesh, P("x")))
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from minijax.base import errors, tree
from minijax.base.jaxlib import Array, NamedSharding, Sharding
from minijax.base.util import trace_cache
from minijax.core import (Jaxpr, Primitive, Values, aval_of, conform, eval_jaxpr, is_tracer, linear,
                          state, trace_closed, with_memory)
from minijax.sharding import AbstractMesh, PartitionSpec
from minijax.sharding.context import NO_MESH, get_abstract_mesh, named
from minijax.sharding.layout import Format
from minijax.sharding.mesh import mesh_context
from minijax.sharding.named import check_fits, typed
from minijax.sharding.single import SingleDeviceSharding
from minijax.sharding.spec import axes_of

__all__ = ["with_sharding_constraint"]

UNCONSTRAINED = PartitionSpec.UNCONSTRAINED


def with_sharding_constraint(x: Any, shardings: Any) -> Any:
    """`x`, a pytree, with the demand that each leaf be split as `shardings` (a prefix tree) says.

    ValueError when a dimension is not divisible by the number of its parts; under `jit` the
    compiler inserts what communication is needed, outside of it the array is moved.
    """
    leaves, treedef = tree.flatten(x)
    given = tree.broadcast_prefix(shardings, x, is_leaf=lambda s: s is None)
    return treedef.unflatten(list(map(_constrain, leaves, given)))


@trace_cache
def _demanding(jaxpr: Jaxpr, ins: tuple, outs: tuple) -> Jaxpr:
    """The program with demands on its arguments and results; explicit axes are in types."""
    def demand(what: str, x: Any, sharding: Any) -> Any:
        if not isinstance(sharding, NamedSharding):
            return x
        check_fits(sharding, aval_of(x).shape, f"pjit {what}")
        return x if sharding.mesh.explicit_axes else _constrain(x, sharding)

    def body(*args: Any) -> list:
        given = map(partial(demand, "arguments"), args, ins)
        found = eval_jaxpr(jaxpr, jaxpr.consts, *given)
        return list(map(partial(demand, "outputs"), found, outs))

    return trace_closed(body, jaxpr.in_avals, jaxpr.debug)


def demanding(params: dict) -> dict:
    """The parameters of a `jit` within another program, which demands its shardings itself."""
    given = params["in_shardings"], params["out_shardings"]
    if any([type(s) is NamedSharding for s in given[0] + given[1]]):
        return {**params, "jaxpr": _demanding(params["jaxpr"], *given)}
    return params


def like(x: Any, other: Any) -> Any:
    """`x`, of the shape of `other`, split over devices as that array is, or as its type says."""
    if not isinstance(other, Array) or is_tracer(other):
        aval = aval_of(other)
        return x if aval.placement is None else conform(x, with_memory(aval, None))
    sharding = getattr(other, "_sharding", None)
    if not isinstance(sharding, NamedSharding) or state.trace.staging or is_tracer(x):
        return x
    return sharding_constraint_p.bind(x, sharding=sharding, layout=None, context_mesh=NO_MESH,
                                      unconstrained_dims=frozenset())


def committed_device(x: Any) -> Any:
    """The sharding of a struct, or of an array committed to one device outside of traces."""
    if not isinstance(x, Array):
        sharding = getattr(x, "sharding", None)
        return named(sharding.spec) if isinstance(
            getattr(sharding, "mesh", None), AbstractMesh) else sharding
    sharding = None if state.trace.staging or is_tracer(x) else getattr(x, "_sharding", None)
    return sharding if isinstance(sharding, SingleDeviceSharding) and x._committed else None


def _constrain(x: Any, given: Any) -> Any:
    if given is None:
        return x
    layout = None
    if isinstance(given, Format):
        given, layout = given.sharding, given.layout
    sharding = named(given, "with_sharding_constraint shardings", mesh_context.value)
    if not isinstance(sharding, Sharding):
        raise TypeError(errors.describe(
            "with_sharding_constraint takes shardings, PartitionSpecs and trees of them; got "
            f"{given!r} of type {type(given)}", fix="NamedSharding(mesh, P(...))"))
    aval = aval_of(x)
    if isinstance(sharding, NamedSharding):
        check_fits(sharding, aval.shape, "with_sharding_constraint arguments")
        if sharding.mesh.explicit_axes and _is_as_said(sharding, aval):
            return x
        _check_axis_types(sharding)
        if not is_tracer(x):
            _check_divisible(sharding, aval)
    free = frozenset(i for i, entry in enumerate(getattr(sharding, "spec", ()))
                     if entry is UNCONSTRAINED)
    return sharding_constraint_p.bind(x, sharding=sharding, layout=layout,
                                      context_mesh=get_abstract_mesh(), unconstrained_dims=free)


def _is_as_said(sharding: Any, aval: Any) -> bool:
    """With explicit axes in context a constraint is an assertion about the type."""
    if get_abstract_mesh().empty or not sharding.mesh.are_all_axes_explicit:
        return False
    wanted = typed(sharding, aval.ndim)
    if wanted.spec != aval.sharding.spec:
        raise AssertionError(errors.describe(
            "`with_sharding_constraint` acts as an assert when all axes of mesh are of type "
            f"`Explicit`. The array sharding: {aval.sharding.spec} did not match the sharding "
            f"provided: {sharding.spec}. Please use `jax.sharding.reshard` to shard your input to "
            "the sharding you want.", fix="jax.reshard(x, sharding)"))
    return True


def _check_axis_types(sharding: Any) -> None:
    explicit = set(sharding.mesh.explicit_axes)
    used = {axis for axes in axes_of(sharding.spec.partitions) for axis in axes}
    manual = used.intersection(get_abstract_mesh().manual_axes)
    if manual:
        raise ValueError(errors.describe(
            f"PartitionSpec {sharding.spec} passed to with_sharding_constraint contains a manual "
            f"axes {manual} of mesh {get_abstract_mesh()}",
            fix="leave out the axes over which shard_map splits already"))
    if used & explicit:
        raise ValueError(errors.describe(
            "The spec of NamedSharding passed to with_sharding_constraint can only refer to Auto "
            f"axes of the mesh. Got spec={sharding.spec} and mesh={sharding.mesh.abstract_mesh}. "
            "You probably meant to use `reshard` API?", fix="jax.reshard(x, sharding)"))


def _check_divisible(sharding: Any, aval: Any) -> None:
    spec = PartitionSpec(*[None if e is UNCONSTRAINED else e for e in sharding.spec])
    sharding.update(spec=spec).shard_shape(aval.shape)


def _vmap(axis: Any, args: Values, dims: Sequence[int], *, sharding: Any, layout: Any,
          context_mesh: Any, unconstrained_dims: frozenset) -> tuple:
    (x,), (dim,) = args, dims
    if axis.spmd_name is not None and not isinstance(sharding, NamedSharding):
        raise ValueError(errors.describe(
            "If you are using spmd_axis_name parameter of jax.vmap, please make sure to run your "
            "jitted function inside the mesh context manager. Only NamedShardings passed to "
            "with_sharding_constraint can say how the mapped axis is split; got "
            f"{type(sharding).__name__}", fix="NamedSharding(mesh, P(...))"))
    if isinstance(sharding, NamedSharding):
        entries = list(sharding.spec) + [None] * (aval_of(x).ndim - 1 - len(sharding.spec))
        entries.insert(dim, UNCONSTRAINED if axis.spmd_name is None else axis.spmd_name)
        sharding = sharding.update(spec=PartitionSpec(*entries))
    free = {i + (i >= dim) for i in unconstrained_dims}
    if axis.spmd_name is None:
        free.add(dim)
    return sharding_constraint_p.bind(
        x, sharding=sharding, layout=None, context_mesh=context_mesh,
        unconstrained_dims=frozenset(free)), dim


sharding_constraint_p = Primitive(
    "sharding_constraint", shape=lambda x, **_: x, jvp=linear, vmap=_vmap,
    transpose=lambda ct, x, **params: sharding_constraint_p.bind(ct, **params))
sharding_constraint_p.show = lambda params: {
    **params, "context_mesh": "Mesh()" if params["context_mesh"] is NO_MESH
    else params["context_mesh"]}
