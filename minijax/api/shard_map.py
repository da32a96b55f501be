"""`shard_map`: run a function on each device's part of its arguments.

The body is always traced, at the local shapes, with the axes of the mesh as named axes. Under
`check_vma` types say along which axes values differ between devices (core/placement.py), so that
replicated results are checked and derivatives sum over devices exactly where they must.

    f = jax.shard_map(lambda x: lax.psum(x, "x"), mesh=mesh, in_specs=P("x"), out_specs=P())
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence, Set
from typing import Any, NamedTuple

import numpy as np

from minijax.api.flatten import boundary, check_callable, fun_name, with_fixed, wraps
from minijax.base import errors, tree, util
from minijax.core import (Jaxpr, JaxprTrace, ManualAxisType, Tracer, conform, entered, eval_trace,
                          get_aval, manual_type, state, visible_axes, with_manual)
from minijax.core.dce import sweep
from minijax.core.ir import NO_EFFECTS
from minijax.lax.shapes import expand_dims
from minijax.lax.shard_map import (axes_in, check_explicit, local_aval, of_manual_axes, scope,
                                   shard_map_p)
from minijax.runtime.call import Prefix
from minijax.sharding import AbstractMesh, AxisType, Mesh, PartitionSpec
from minijax.sharding.context import (NO_MESH, get_abstract_mesh, physical_mesh,
                                      use_abstract_mesh)

__all__ = ["shard_map", "smap"]


class _Infer:
    """In place of in_specs: take them from the types of the arguments."""

    def __repr__(self) -> str:
        return "Infer"


Infer = _Infer()


class Request(NamedTuple):
    """What a call of `shard_map` asked for besides the function; hashable."""

    mesh: Any
    in_specs: Any
    out_specs: Any
    axis_names: frozenset
    check_vma: bool


class Staged(NamedTuple):
    """A body traced for one call; `captured` values are leading operands."""

    jaxpr: Jaxpr
    captured: list
    out_specs: tuple
    out_tree: Any


class _Uncached(Exception):
    """Carries a trace past the cache: it captured tracers, which no cache may keep."""

    def __init__(self, staged: Staged):
        self.staged = staged


def shard_map(f: Callable | None = None, /, *, out_specs: Any, in_specs: Any = Infer,
              mesh: Mesh | AbstractMesh | None = None, axis_names: Set[Any] = frozenset(),
              check_vma: bool = True) -> Callable:
    """`f` run on each device's part of the arguments; results are put together again.

    in_specs, out_specs: PartitionSpecs, as trees that are prefixes of the arguments (a tuple) and
      of the result. A mesh axis that an entry names splits that dimension; one that no entry of a
      result's spec names must not matter for its value. mesh: default the mesh in context.
    axis_names: the axes that the body names, default all; the compiler deals with the others.
    check_vma: keep account, in types, of what differs between devices.
    Raises ValueError when a spec does not fit a shape, or a result is not known to be replicated.
    """
    if f is None:
        return lambda f: shard_map(f, out_specs=out_specs, in_specs=in_specs, mesh=mesh,
                                   axis_names=axis_names, check_vma=check_vma)
    check_callable(f)
    if mesh is not None and not isinstance(mesh, (Mesh, AbstractMesh)):
        raise TypeError(errors.describe(
            "shard_map requires a `jax.sharding.Mesh` or a `jax.sharding.AbstractMesh` instance "
            f"for its second argument, but got {mesh} of type {type(mesh)}.",
            fix="shard_map(f, mesh=jax.make_mesh((8,), ('x',)), ...)"))
    given_in = Infer if in_specs is Infer else _prefix("in_specs", in_specs)
    given_out = _prefix("out_specs", out_specs)
    names = frozenset({axis_names} if isinstance(axis_names, str) else axis_names)

    @wraps(f, "")
    @boundary
    def sharded(*args: Any) -> Any:
        used = _resolve(mesh)
        request = Request(used, given_in, given_out, _manual_axes(used, names), bool(check_vma))
        _check_names("in_specs", given_in, request)
        _check_names("out_specs", given_out, request)
        return apply(f, request, args)
    return sharded


def _prefix(what: str, specs: Any) -> Prefix:
    """A tree of specs as a hashable value."""
    prefix = Prefix.of(specs)
    for spec in prefix.leaves:
        if not (spec is None or isinstance(spec, PartitionSpec)):
            raise TypeError(errors.describe(
                f"shard_map {what} argument must be a pytree of `jax.sharding.PartitionSpec` "
                f"instances, but it has {spec!r} of type {type(spec)}",
                fix=f"{what}=jax.sharding.PartitionSpec({spec!r})"))
    return prefix


def _resolve(mesh: Any) -> Any:
    """The mesh to use: the given one, or that in context."""
    context = get_abstract_mesh()
    if mesh is None:
        if context.empty:
            raise ValueError(errors.describe(
                "The context mesh cannot be empty. Use `jax.set_mesh(mesh)` to enter into a mesh "
                "context", fix="shard_map(f, mesh=mesh, ...)"))
        return context
    if not context.empty and mesh.abstract_mesh != context and context.manual_axes:
        raise ValueError(errors.describe(
            f"The context mesh {context} should match the mesh passed to shard_map {mesh}",
            fix="leave out mesh= in the inner shard_map"))
    return mesh


def _manual_axes(mesh: Any, names: frozenset) -> frozenset:
    unknown = names - set(mesh.axis_names)
    if unknown:
        raise ValueError(errors.describe(
            f"jax.shard_map requires axis_names={set(names)} to be a subset of "
            f"mesh.axis_names={set(mesh.axis_names)}", fix=f"leave out {sorted(unknown, key=str)}"))
    return names or frozenset(mesh.axis_names) - set(mesh.manual_axes)


def _check_names(what: str, specs: Any, request: Request) -> None:
    if specs is Infer:
        return
    for spec in specs.leaves:
        _check_sums(what, spec, request)
        unknown = [a for a in axes_in(spec) if a not in request.axis_names]
        if unknown:
            names = ", ".join(map(repr, unknown))
            raise ValueError(errors.describe(
                f"shard_map {what} argument must refer to an axis marked as manual "
                f"({set(request.axis_names)}), but {what} refers to {names}",
                fix=f"the mesh has the axes {request.mesh.axis_names}; axis_names= says which of "
                "them are manual"))


def _check_sums(what: str, spec: Any, request: Request) -> None:
    for kind in ("unreduced", "reduced"):
        if not getattr(spec, kind, None):
            continue
        if request.axis_names != frozenset(request.mesh.axis_names):
            raise NotImplementedError(errors.describe(
                f"{kind} in {spec} can only be passed to {what} when shard_map is in full manual "
                f"mode, but only {set(request.axis_names)} are manual", fix="leave out axis_names"))
        if not request.mesh.are_all_axes_explicit:
            raise ValueError(errors.describe(
                f"{kind} in {spec} passed to {what} can only be used when the mesh passed to "
                "shard_map contains axis names all of type `Explicit`, but it is "
                f"{request.mesh}", fix="make_mesh(..., axis_types=(AxisType.Explicit, ...))"))


# --- Calls --------------------------------------------------------------------------------------


def apply(f: Callable, request: Request, args: tuple) -> Any:
    """One call of a function under `shard_map`."""
    leaves, in_tree = tree.flatten(args)
    in_specs = _flat_in_specs(request, args, leaves)
    if None in in_specs:  # a static value: no part of the program
        dynamic = [spec is not None for spec in in_specs]
        fixed = tuple((i, x) for i, (x, d) in enumerate(zip(leaves, dynamic)) if not d)
        f, in_tree = _with_fixed(f, in_tree, fixed)
        leaves = [x for x, d in zip(leaves, dynamic) if d]
        in_specs = tuple(spec for spec in in_specs if spec is not None)
        args = tuple(leaves)
    avals = tuple(map(get_aval, leaves))
    if isinstance(request.mesh, AbstractMesh) and state.trace is eval_trace:
        _check_meshes(request.mesh, leaves)
    local = []
    for i, (aval, spec) in enumerate(zip(avals, in_specs, strict=True)):
        check_explicit(request.mesh, request.axis_names, aval, spec)
        try:
            local.append(local_aval(request.mesh, spec, aval, request.axis_names,
                                    request.check_vma))
        except ValueError as error:
            raise _bad_argument(f, request, args, i, aval, spec, str(error)) from None
    outer, _call.arguments = _call.arguments, (
        (leaves, in_specs) if state.trace is eval_trace else None)
    try:
        staged = _stage(f, request, in_tree, tuple(local))
    finally:
        _call.arguments = outer
    specs = (PartitionSpec(),) * len(staged.captured) + in_specs
    outs = shard_map_p.bind(
        *staged.captured, *leaves, mesh=request.mesh, in_specs=specs, out_specs=staged.out_specs,
        jaxpr=staged.jaxpr, check_vma=request.check_vma, newly_manual_axes=request.axis_names)
    return staged.out_tree.unflatten(outs)


def _check_meshes(mesh: AbstractMesh, leaves: Sequence[Any]) -> None:
    """With an abstract mesh, arrays say where to run."""
    meshes = [getattr(getattr(x, "sharding", None), "mesh", None) for x in leaves]
    if leaves and not any(meshes) and physical_mesh() is None:
        raise ValueError(errors.describe(
            "Please pass `jax.Array`s with a `NamedSharding` as input to `shard_map` when "
            "passing `AbstractMesh` to the mesh argument.",
            fix="jax.device_put(x, NamedSharding(mesh, P()))"))
    for found in meshes:
        if found is not None and found.shape_tuple != mesh.shape_tuple:
            raise ValueError(errors.describe(
                f"Mesh shape of the input {found} does not match the mesh shape passed to "
                f"shard_map {mesh}", fix="put the input on the same mesh"))


def _with_fixed(f: Callable, in_tree: Any, fixed: tuple) -> tuple[Callable, Any]:
    """The function of the other leaves, flat, and their tree."""
    def rest(*leaves: Any) -> Any:
        return f(*in_tree.unflatten(with_fixed(leaves, fixed)))

    rest.__name__ = fun_name(f)
    return rest, tree.structure((0,) * (in_tree.num_leaves - len(fixed)))


def _flat_in_specs(request: Request, args: tuple, leaves: Sequence[Any]) -> tuple:
    if request.in_specs is Infer:
        kinds = [kind for name, kind in zip(request.mesh.axis_names, request.mesh.axis_types)
                 if name in request.axis_names]
        if any(kind is not AxisType.Explicit for kind in kinds):
            raise TypeError(errors.describe(
                "shard_map in_specs argument must be a pytree of `jax.sharding.PartitionSpec` "
                f"instances, but it was `None` when axis_names={set(request.axis_names)} are of "
                f"type {', '.join(map(str, kinds))}", fix="shard_map(f, in_specs=...)"))
        return tuple(of_manual_axes(get_aval(x).sharding.spec, request.axis_names) for x in leaves)
    return _spread("in_specs", request.in_specs, args)


def _spread(what: str, prefix: Prefix, full: Any) -> tuple:
    """The spec of each leaf of `full`; the prefix may have None where there is no leaf."""
    given = prefix.treedef.unflatten(prefix.leaves)
    return tuple(tree.broadcast_prefix(given, full, lambda x: x is None, f"shard_map {what}"))


def _bad_argument(f: Callable, request: Request, args: tuple, i: int, aval: Any, spec: Any,
                  why: str) -> ValueError:
    path = tree.keystr(tree.leaves_with_path(args)[i][0])
    kind = "argument arrays with axis sizes that are not evenly divisible by the corresponding "
    kind += "mesh axis sizes"
    fix = "change in_specs or the mesh, or pad the argument"
    detail = f"args{path} of shape {aval.str_short(False)} has the in_specs entry {spec}, {why}"
    if len(spec) > aval.ndim:
        kind = "an in_specs entry which is too long to be compatible with the corresponding input "
        kind += "value from the function"
        detail = (f"the in_specs entry is {spec} which has length {len(spec)}, but args{path} has "
                  f"shape {aval.str_short(False)}, which has rank {aval.ndim}")
        fix = "make the spec shorter, or give the argument more axes"
        if not aval.ndim:
            fix = "for an argument of rank 0, consider using an in_specs entry of `P()`"
    return ValueError(errors.describe(
        f"shard_map applied to the function '{fun_name(f)}' was given {kind}:\n\n{detail}",
        because=f"the mesh has the axes {request.mesh.axis_names} of sizes "
        f"{request.mesh.axis_sizes}", fix=fix))


# --- Tracing ------------------------------------------------------------------------------------


def _stage(f: Callable, request: Request, in_tree: Any, local: tuple) -> Staged:
    try:
        return _traces(f, request, in_tree, local, visible_axes(state.trace))
    except _Uncached as found:
        return found.staged
    except TypeError as error:
        if "weak reference" not in str(error) and "unhashable" not in str(error):
            raise
    try:
        return _trace(f, request, in_tree, local, ())
    except _Uncached as found:
        return found.staged


def _trace(f: Callable, request: Request, in_tree: Any, local: tuple, axes: tuple) -> Staged:
    found: list = []

    def flat(*leaves: Any) -> list:
        out = f(*in_tree.unflatten(leaves))
        outs, out_tree = tree.flatten(out)
        specs = tuple(PartitionSpec() if spec is None else spec
                      for spec in _spread("out_specs", request.out_specs, out))
        found.extend([out_tree, specs])
        return [_result(f, request, x, spec, out, i)
                for i, (x, spec) in enumerate(zip(outs, specs, strict=True))]

    with scope(dict(mesh=request.mesh, newly_manual_axes=request.axis_names,
                    check_vma=request.check_vma)):
        trace = _BodyTrace(state.trace, request, _call.arguments)
        inputs = trace.inputs = list(map(trace.new_input, local))
        with entered(trace, None):
            jaxpr, captured = trace.finish(inputs, flat(*inputs))
    staged = Staged(jaxpr, captured, found[1], found[0])
    if trace.looked_at or any(isinstance(x, Tracer) for x in captured):
        raise _Uncached(staged)
    return staged


class _Call(threading.local):
    arguments: Any = None  # of the call in progress, with their specs; None under a trace


_call = _Call()


class _BodyTrace(JaxprTrace):
    """Traces the body; in a call on arrays, values equal on all devices are known when asked for.

    To know one, or to show what the devices have, the program up to it is run. Then the trace holds
    for these arguments only.
    """

    __slots__ = ("request", "call", "looked_at")

    def __init__(self, parent: Any, request: Request, call: Any):
        super().__init__(parent)
        self.request, self.call, self.looked_at = request, call, False

    def value_of(self, x: Any) -> Any:
        if self.call is None or not self.request.check_vma or any(manual_type(x.aval)):
            return None
        return self._run(x, PartitionSpec())

    def text_of(self, x: Any) -> str:
        """The value on each device, in a call on arrays."""
        mesh = self.request.mesh
        if isinstance(mesh, AbstractMesh):
            mesh = physical_mesh()
        if self.call is None or mesh is None:
            return super().text_of(x)
        names = tuple(name for name in mesh.axis_names if name in self.request.axis_names)
        with entered(self):
            row = expand_dims(x, (0,))
        with entered(eval_trace), use_abstract_mesh(NO_MESH):
            blocks = list(map(str, np.asarray(self._run(row, PartitionSpec(names)))))
        sizes = [mesh.shape[name] if name in names else 1 for name in mesh.axis_names]
        texts = []
        for place, block in zip(np.ndindex(*sizes), blocks, strict=True):
            device = mesh.devices[place]
            at = tuple(i for i, name in zip(place, mesh.axis_names) if name in names)
            texts.append(f"On {device.platform}:{device.id} at mesh coordinates "
                         f"({', '.join(map(str, names))},) = {at}:\n{block}\n")
        return "\n".join(texts)

    def _run(self, x: Any, out_spec: PartitionSpec) -> Any:
        """A value of the body, the global array of the parts that the devices have."""
        self.looked_at = True
        eqns, live = sweep([e for e in self.eqns if not e.effects], [x.atom])
        kept = [entry for entry in self.consts.values() if entry[0].atom in live]
        jaxpr = Jaxpr((), [e[0].atom for e in kept] + [t.atom for t in self.inputs], [x.atom],
                      eqns, (), NO_EFFECTS)
        leaves, in_specs = self.call
        nowhere = PartitionSpec()
        with entered(eval_trace), use_abstract_mesh(NO_MESH):
            out, = shard_map_p.bind(
                *[e[1] for e in kept], *leaves, in_specs=(nowhere,) * len(kept) + in_specs,
                jaxpr=jaxpr, out_specs=(out_spec,), mesh=self.request.mesh,
                check_vma=self.request.check_vma, newly_manual_axes=self.request.axis_names)
        return out


_traces = util.trace_cache(_trace)


def _result(f: Callable, request: Request, x: Any, spec: Any, out: Any, i: int) -> Any:
    """A result of the body, after the check that its spec can describe it."""
    aval = get_aval(x)
    if len(spec) > aval.ndim:
        path = tree.keystr(tree.leaves_with_path(out)[i][0])
        raise ValueError(errors.describe(
            f"shard_map applied to the function '{fun_name(f)}' was given an out_specs entry which "
            "is too long to be compatible with the corresponding output value from the function:"
            f"\n\nout_specs is {spec} which has length {len(spec)}, but {fun_name(f)}(*args){path} "
            f"has shape {aval.str_short(False)}, which has rank {aval.ndim}",
            fix="return x[None] to give a scalar an axis, or make the spec shorter"))
    if not request.check_vma:
        return x
    manual = manual_type(aval)
    if spec.unreduced - manual.varying - manual.unreduced:
        raise ValueError(errors.describe(
            "vary_unreduced_cast is a Varying->Unreduced collective, but the result varies over "
            f"{set(manual.varying)} only and its spec is {spec}",
            fix="return terms that differ between the devices, or leave out unreduced="))
    if (manual.varying & request.axis_names) - {*axes_in(spec), *spec.unreduced}:
        raise _not_replicated(f, request, spec, manual.varying)
    left = (manual.unreduced - spec.unreduced) | (manual.reduced - spec.reduced - {*axes_in(spec)})
    if left & request.axis_names:
        raise ValueError(errors.describe(
            f"out_specs passed to shard_map is {spec}, but the result is unreduced or reduced "
            f"along {set(left)}: {aval.str_short()}", fix="say so in out_specs, or lax.psum it"))
    wanted = ManualAxisType(manual.varying.union(axes_in(spec)) - spec.unreduced,
                            manual.unreduced | spec.unreduced,
                            (manual.reduced | spec.reduced).difference(axes_in(spec)))
    return conform(x, with_manual(aval, wanted))


def _not_replicated(f: Callable, request: Request, spec: Any, varying: frozenset) -> ValueError:
    mesh, named = request.mesh, set(axes_in(spec))

    def listed(axes: Any) -> str:
        return f"{{{','.join(str(a) for a in mesh.axis_names if a in axes)}}}"

    return ValueError(errors.describe(
        f"shard_map applied to the function '{fun_name(f)}' was given out_specs which require "
        "replication which can't be statically inferred given the mesh:\n\n"
        f"The mesh given has shape {mesh.axis_sizes} with corresponding axis names "
        f"{mesh.axis_names}.\n\n"
        f"out_specs is {spec} which implies that the corresponding output value is only varying "
        f"across mesh axes {listed(named)} and not {listed(varying - named)}, but it was inferred "
        f"to be possibly varying over {listed(varying)}",
        fix="lax.psum(x, axis) before returning, or shard_map(..., check_vma=False)"))


# --- smap ---------------------------------------------------------------------------------------


def smap(f: Callable | None = None, /, *, in_axes: Any = Infer, out_axes: Any,
         axis_name: Any) -> Callable:
    """`shard_map` over one axis of the mesh in context, with the axes of arrays as integers.

    in_axes, out_axes: which dimension the mesh axis `axis_name` splits, or None; prefix trees.
    """
    if f is None:
        return lambda f: smap(f, in_axes=in_axes, out_axes=out_axes, axis_name=axis_name)

    def spec(dim: int | None) -> PartitionSpec:
        return PartitionSpec() if dim is None else PartitionSpec(*[None] * dim, axis_name)

    def specs(axes: Any) -> Any:
        return tree.map(spec, axes, is_leaf=lambda x: x is None)

    @wraps(f, "")
    def mapped(*args: Any) -> Any:
        mesh = get_abstract_mesh()
        given = Infer if in_axes is Infer else specs(in_axes)
        if in_axes is Infer and axis_name not in mesh.explicit_axes:
            raise TypeError(errors.describe(
                f"in_axes was not specified when axis_name={axis_name} was of type "
                f"{dict(zip(mesh.axis_names, mesh.axis_types)).get(axis_name)}",
                fix="jax.smap(f, in_axes=0, ...)"))
        return shard_map(f, in_specs=given, out_specs=specs(out_axes),
                         axis_names={axis_name})(*args)
    return mapped
