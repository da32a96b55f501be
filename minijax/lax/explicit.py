"""Changing how values are split over explicit mesh axes: `reshard`, and axes of another type.

The type of an array on a mesh with explicit axes says how it is split; what operations make of that
is in splits.py.

    y = jax.reshard(x, P("x", None))        # the one way to change how a value is split
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors, tree
from minijax.base.jaxlib import NamedSharding
from minijax.core import (Dims, Primitive, ShapedArray, Values, Where, aval_of, dual, linear,
                          manual_type, over_batch, sharding_of)
from minijax.lax.casts import manual_casts
from minijax.lax.moving import move_to
from minijax.lax.rules import asked
from minijax.lax.splits import entries_of, with_entries
from minijax.sharding import AxisType, PartitionSpec
from minijax.sharding.context import get_abstract_mesh, use_abstract_mesh
from minijax.sharding.named import dim_sizes, make, padded, typed
from minijax.sharding.spec import axes_of

__all__ = ["auto_axes", "explicit_axes", "reshard"]


def _unplaced(ndim: int) -> NamedSharding:
    """What `typeof(x).sharding` is where the type says nothing."""
    return make(get_abstract_mesh(), PartitionSpec(*[None] * ndim))


def _said(sharding: Any, shape: tuple) -> NamedSharding | None:
    """What the type of arrays of this shape says; ValueError where parts do not divide it."""
    found = typed(sharding, len(shape))
    counts = () if found is None else dim_sizes(found, len(shape))
    for i, (n, parts) in enumerate(zip(shape, counts)):
        if isinstance(n, int) and n % parts:
            raise ValueError(errors.describe(
                f"Sharding spec {found.spec} implies that array axis {i} is partitioned {parts} "
                f"times, but does not evenly divide the dimension size {n}. Got shape: {shape} and "
                f"sharding {found}", fix="another spec, or pad the array"))
    return found


ShapedArray.unplaced, ShapedArray.said = staticmethod(_unplaced), staticmethod(_said)


def explicit_split(leaves: Sequence[Any], dims: Dims, spmd_name: Any) -> Any:
    """How explicit mesh axes split the dimension that `vmap` maps, which must be all the same."""
    found = {}
    for x, dim in zip(leaves, dims):
        sharding = None if dim is None else sharding_of(aval_of(x))
        if sharding is not None:
            found[sharding.spec.partitions[dim]] = sharding
    if len(found) > 1:
        raise ValueError(errors.describe(
            "Mapped away dimension of inputs passed to vmap should be sharded the same. Got "
            f"inconsistent axis specs: {', '.join(map(str, found))}",
            fix="jax.reshard the arguments alike along the mapped axis"))
    entry = next(iter(found), None)
    if entry is None:
        return None
    if spmd_name not in (None, entry):
        raise ValueError(errors.describe(
            "Only one of spmd_axis_name or arrays sharded on `Explicit` mesh axis type is allowed. "
            f"Got arrays sharded on {entry} and spmd_axis_name={spmd_name!r}",
            fix="leave out spmd_axis_name"))
    for x, dim in zip(leaves, dims):
        used = set() if dim is not None else {a for e in axes_of(entries_of(aval_of(x))) for a in e}
        if used.intersection(*axes_of([entry])):
            raise ValueError(errors.describe(
                "Unmapped values passed to vmap cannot be sharded along the mesh axis you are "
                f"vmapping over. Got type: {aval_of(x).str_short(True)}, in_axes: None and vmapped "
                f"mesh axis: {entry}", fix="jax.reshard(x, sharding) the unmapped argument"))
    return found[entry].update(spec=PartitionSpec(entry))


# --- reshard ------------------------------------------------------------------------------------


def reshard(xs: Any, out_shardings: Any) -> Any:
    """The values of `xs`, a pytree, split as `out_shardings` (a prefix tree) says.

    Shardings and PartitionSpecs are over explicit axes; data moves between devices as needed.
    """
    leaves, treedef = tree.flatten(xs)
    given = tree.broadcast_prefix(out_shardings, xs, is_leaf=lambda s: s is None)
    return treedef.unflatten([
        x if s is None else _reshard(x, s) for x, s in zip(leaves, given, strict=True)])


def split_as(x: Any, out_sharding: Any, name: str) -> Any:
    """A result of the function of this name, split as `out_sharding` asks."""
    sharding = asked(out_sharding, name)
    if isinstance(sharding, NamedSharding) and sharding.mesh.explicit_axes:
        return _reshard(x, padded(sharding, aval_of(x).ndim))
    return x


def left_to_compiler(name: str, f: Callable, out_sharding: Any, *args: Any) -> Any:
    """`f(*args)` split as `out_sharding` asks, without asking how types say it could be."""
    return auto_axes(f, out_sharding=asked(out_sharding, name))(*args)


def whole(x: Any) -> Any:
    """`x` with all of it on each device, where its type says that it is split."""
    sharding = sharding_of(aval_of(x))
    if sharding is None or not any(sharding.spec.partitions):
        return x
    return reshard_p.bind(x, dst_sharding=with_entries([aval_of(x)], [None] * aval_of(x).ndim))


def check_same_sums(x: Any, out_sharding: Any, what: str) -> None:
    """ValueError if the sharding asked for would sum terms, or count a value as reduced."""
    asked = getattr(out_sharding, "spec", out_sharding)
    own = getattr(sharding_of(aval_of(x)), "spec", PartitionSpec())
    for kind in ("unreduced", "reduced"):
        has, wants = getattr(own, kind), getattr(asked, kind, frozenset())
        if has and has != wants:
            raise ValueError(errors.describe(
                f"out_sharding passed to {what} must be {kind} over the same mesh axes as operand, "
                f"{set(has)}, but it is {asked}", fix="jax.reshard(x, sharding) first"))
        if wants and not has:
            raise ValueError(errors.describe(
                f"out_sharding passed to {what} cannot contain {kind} axes, but it is {asked}",
                fix="jax.reshard(result, sharding)"))


def _reshard(x: Any, given: Any) -> Any:
    sharding = asked(given, "reshard", anywhere=True)
    if not isinstance(sharding, NamedSharding):
        raise ValueError(errors.describe(
            f"Invalid sharding {given!r} passed to reshard: it takes PartitionSpecs and "
            "NamedShardings", fix="jax.reshard(x, P('x'))"))
    aval = aval_of(x)
    sharding.check_compatible_aval(aval.shape)
    _said(sharding, aval.shape)
    return reshard_p.bind(x, dst_sharding=sharding)


def _casts(have: Any, want: Any) -> list:
    """The operations that place a value of one type as values of another are."""
    if have is want or not hasattr(have, "placement"):
        return []
    steps = manual_casts(manual_type(have), manual_type(want))
    target = sharding_of(want)
    if target is not None and sharding_of(have) != target:
        steps.append((reshard_p, {"dst_sharding": target}))
    if have.memory_space is not want.memory_space:
        steps.append(move_to(want.memory_space))
    return steps


Where.casts = staticmethod(_casts)


def _reshard_split(avals: Sequence[Any], outs: Sequence[Any], *, dst_sharding: Any) -> list:
    return [typed(dst_sharding, outs[0].ndim)]


def _reshard_transpose(ct: Any, x: Any, *, dst_sharding: Any) -> Any:
    source, have = sharding_of(x.aval), sharding_of(aval_of(ct))
    if source is not None:
        return reshard_p.bind(ct, dst_sharding=source.update(spec=dual(source.spec)))
    return ct if have is None else _mesh_cast(ct, _all_of(have.mesh, AxisType.Auto))


def _all_of(mesh: Any, kind: AxisType) -> Any:
    return mesh.update(axis_types=tuple(
        old if old is AxisType.Manual else kind for old in mesh.axis_types))


def _reshard_vmap(axis: Any, args: Values, dims: Sequence[int], *, dst_sharding: Any) -> tuple:
    (x,), (dim,) = args, dims
    return reshard_p.bind(x, dst_sharding=over_batch(dst_sharding, dim, axis)), dim


reshard_p = Primitive("reshard", shape=lambda x, **_: x, jvp=linear, vmap=_reshard_vmap,
                      transpose=_reshard_transpose, split=_reshard_split,
                      show=lambda params: {})


# --- Axes of another type for a while -----------------------------------------------------------


def auto_axes(f: Callable | None = None, /, *, axes: Any = None, out_sharding: Any = None) -> Any:
    """`f` with (some) explicit axes left to the compiler inside; results are `out_sharding`."""
    if f is None:
        return lambda f: auto_axes(f, axes=axes, out_sharding=out_sharding)

    def run(*args: Any, **kwargs: Any) -> Any:
        asked = kwargs.pop("out_sharding", None) if out_sharding is None else out_sharding
        mesh = _retyped(args, kwargs, axes, AxisType.Auto)
        if asked is None:
            raise TypeError(errors.describe("Missing required keyword argument: 'out_sharding'",
                                            fix="auto_axes(f, out_sharding=P('x'))"))
        if mesh == get_abstract_mesh() and not mesh.empty:  # they are left to it already
            return f(*args, **kwargs)
        given = tree.map(lambda x: _mesh_cast(x, mesh), (args, kwargs))
        with use_abstract_mesh(mesh):
            out = f(*given[0], **given[1])
        return reshard(out, asked)
    return run


def explicit_axes(f: Callable | None = None, /, *, axes: Any = None,
                  in_sharding: Any = None) -> Any:
    """`f` with (some) axes explicit inside; arguments are split as `in_sharding` says."""
    if f is None:
        return lambda f: explicit_axes(f, axes=axes, in_sharding=in_sharding)

    def run(*args: Any, **kwargs: Any) -> Any:
        outer = get_abstract_mesh()
        asked = kwargs.pop("in_sharding", None) if in_sharding is None else in_sharding
        mesh = _retyped(args, kwargs, axes, AxisType.Explicit)
        if asked is None:
            raise TypeError(errors.describe("Missing required keyword argument: 'in_sharding'",
                                            fix="explicit_axes(f, in_sharding=P('x'))"))
        with use_abstract_mesh(mesh):
            given = reshard(args, asked if isinstance(asked, (tuple, list))
                            else (asked,) * len(args))
            out = f(*given, **kwargs)
        return tree.map(lambda x: _mesh_cast(x, outer), out)
    return run


def _retyped(args: tuple, kwargs: dict, axes: Any, kind: AxisType) -> Any:
    """The mesh in context (or of the arguments), with axes of another type."""
    mesh = get_abstract_mesh()
    if mesh.empty:
        found = [sharding_of(aval_of(x)) for x in tree.leaves((args, kwargs))]
        mesh = next((s.mesh for s in found if s is not None), mesh)
    if axes is None:
        axes = [name for name in mesh.axis_names if name not in mesh.manual_axes]
    chosen = (axes,) if isinstance(axes, str) else axes
    return mesh.update(axis_types=tuple(
        kind if name in chosen else old for name, old in zip(mesh.axis_names, mesh.axis_types)))


def _mesh_cast(x: Any, mesh: Any) -> Any:
    sharding = sharding_of(getattr(x, "aval", None))
    if sharding is None:
        return x
    spec = sharding.spec.update(reduced=sharding.spec.reduced.intersection(mesh.explicit_axes))
    return mesh_cast_p.bind(x, dst_sharding=make(mesh, spec))


def _mesh_cast_vmap(axis: Any, args: Values, dims: Sequence[int], *, dst_sharding: Any) -> tuple:
    (x,), (dim,) = args, dims
    return mesh_cast_p.bind(x, dst_sharding=over_batch(dst_sharding, dim, axis)), dim


mesh_cast_p = Primitive("mesh_cast", shape=lambda x, **_: x, jvp=linear, split=_reshard_split,
                        transpose=lambda ct, x, **_: ct, decompose=lambda x, **_: x,
                        vmap=_mesh_cast_vmap)
