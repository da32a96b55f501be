"""The operation behind `shard_map`: a jaxpr at local shapes, and specs that say what is local.

Every rule transforms the body, in the scope of its axes, and binds the operation again with specs
for what is new. Transposing exchanges in_specs and out_specs. Without types that say what varies
(check_vma=False) a cotangent of a replicated result is shared out among the devices, and those of
a replicated operand are summed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from minijax.base import errors
from minijax.base.util import select, trace_cache
from minijax.core import (AxisData, AxisTrace, BatchTrace, Dims, Jaxpr, JaxprEqn, Linear, Literal,
                          ManualAxisType, Primitive, Values, Zero, ancestors, aval_of, axes_of,
                          backward_pass, batch, batched_aval, cotangent_aval, dce_call, dual,
                          entered, eval_jaxpr, jvp_jaxpr, linearize_jaxpr, manual_type, materialize,
                          merge_tangents, move_axis, reach_call, reshape, sharding_of, state,
                          trace_closed, varying_axes, with_manual, with_sharding, with_varying)
from minijax.lax.casts import vary
from minijax.lax.collectives import psum_invariant_p, psum_p
from minijax.lax.elementwise import div
from minijax.lax.rules import scalar_like
from minijax.sharding import AxisType, PartitionSpec
from minijax.sharding.context import use_abstract_mesh
from minijax.sharding.named import make
from minijax.sharding.spec import axes_of as axes_of_dims

# --- Specs and local types ----------------------------------------------------------------------


def axes_in(spec: Any) -> tuple:
    """The mesh axes that a spec names, in order."""
    return () if spec is None else tuple(a for axes in axes_of_dims(spec) for a in axes)


def of_manual_axes(spec: PartitionSpec, manual: frozenset) -> PartitionSpec:
    """The spec as far as it is about these axes."""
    return PartitionSpec(*[tuple(a for a in axes if a in manual) or None
                           for axes in axes_of_dims(spec.partitions)],
                         unreduced=spec.unreduced & manual, reduced=spec.reduced & manual)


def check_explicit(mesh: Any, manual: frozenset, aval: Any, spec: PartitionSpec) -> None:
    """Explicit axes split an argument as its type says: in_specs cannot move data."""
    sharding = sharding_of(aval)
    if sharding is None or not (
            manual == frozenset(sharding.mesh.explicit_axes) == frozenset(mesh.axis_names)):
        return
    have = of_manual_axes(sharding.spec, manual)
    wanted = axes_of_dims(spec.partitions) + [()] * (aval.ndim - len(spec.partitions))
    if (axes_of_dims(have.partitions), have.unreduced, have.reduced) != (
            wanted, spec.unreduced, spec.reduced) and len(wanted) == aval.ndim:
        raise ValueError(errors.describe(
            f"in_specs passed to shard_map: {spec} does not match the specs of the input: "
            f"{sharding.spec} for arg: {aval}. `in_specs` is an optional argument so you can omit "
            "specifying it and shard_map will infer the in_specs from the arguments. If you want "
            "to reshard your inputs, you can use `jax.reshard` on the arguments and then pass "
            "those args to shard_map.", fix="leave out in_specs"))


def local_aval(mesh: Any, spec: Any, aval: Any, manual: frozenset, check_vma: bool) -> Any:
    """The type of one device's part; ValueError that ends a sentence about the argument."""
    if len(spec) > aval.ndim:
        raise ValueError(f"which has length {len(spec)}, but it has rank {aval.ndim}")
    sizes = dict(mesh.shape_tuple)
    shape = list(aval.shape)
    for i, axes in enumerate(axes_of_dims(spec)):
        count = math.prod(sizes[a] for a in axes)
        if shape[i] % count:
            names = repr(axes[0]) if len(axes) == 1 else str(axes)
            raise ValueError(
                f"which maps array axis {i} (of size {shape[i]}) to mesh axis {names} (of size "
                f"{count}), but {count} does not evenly divide {shape[i]}")
        shape[i] //= count
    local = with_sharding(aval.update(shape=tuple(shape)), _rest(mesh, sharding_of(aval), manual))
    if not check_vma:
        return local
    varying, unreduced, reduced = manual_type(aval)
    return with_manual(local, ManualAxisType(
        varying.union(axes_in(spec)), unreduced | spec.unreduced, reduced | spec.reduced))


def _rest(mesh: Any, sharding: Any, manual: frozenset) -> Any:
    """What the type of a part says: how axes that are not manual split it."""
    if sharding is None or manual.issuperset(mesh.axis_names):
        return None
    spec = sharding.spec
    entries = [tuple(a for a in axes if a not in manual) or None
               for axes in axes_of_dims(spec.partitions)]
    return make(manual_mesh(sharding.mesh, manual), PartitionSpec(
        *entries, unreduced=spec.unreduced - manual, reduced=spec.reduced - manual))


def _global_aval(mesh: Any, spec: Any, aval: Any, manual: frozenset) -> Any:
    sizes = dict(mesh.shape_tuple)
    shape = list(aval.shape)
    for i, axes in enumerate(axes_of_dims(spec)):
        shape[i] *= math.prod(sizes[a] for a in axes)
    found = _joined(mesh, spec, aval)
    out = with_sharding(aval.update(shape=tuple(shape)), found)
    return with_manual(out, ManualAxisType(*[axes - manual for axes in manual_type(aval)]))


def _joined(mesh: Any, spec: Any, aval: Any) -> Any:
    """What the type of a whole says: the explicit axes of the spec, and those of the part."""
    if not mesh.explicit_axes:
        return None
    inner = PartitionSpec(*[None] * aval.ndim) if sharding_of(aval) is None else sharding_of(
        aval).spec
    own = axes_of_dims(spec) + [()] * (aval.ndim - len(spec))
    entries = [tuple(a for a in (*one, *other) if a in mesh.explicit_axes) or None
               for one, other in zip(own, axes_of_dims(inner.partitions))]
    return make(mesh.abstract_mesh, PartitionSpec(
        *entries, unreduced=spec.unreduced | inner.unreduced,
        reduced=spec.reduced | inner.reduced))


def manual_mesh(mesh: Any, manual: frozenset) -> Any:
    """The mesh as code inside sees it: without devices, and with manual axes."""
    kinds = [AxisType.Manual if name in manual else kind
             for name, kind in zip(mesh.axis_names, mesh.axis_types)]
    return mesh.abstract_mesh.update(axis_types=tuple(kinds))


@contextlib.contextmanager
def scope(params: dict) -> Iterator[None]:
    """Within it the axes of a shard_map have their names."""
    mesh, manual = params["mesh"], params["newly_manual_axes"]
    trace = state.trace
    for name, size in mesh.shape_tuple:
        if name in manual:
            trace = AxisTrace(trace, AxisData(name, size, None, params["check_vma"]))
    with use_abstract_mesh(manual_mesh(mesh, manual)), entered(trace):
        yield


# --- Rules --------------------------------------------------------------------------------------


class _Frame(NamedTuple):
    """The parameters that all rules pass on."""

    mesh: Any
    check_vma: bool
    newly_manual_axes: frozenset

    def bind(self, operands: Values, jaxpr: Jaxpr, in_specs: Sequence[Any],
             out_specs: Sequence[Any]) -> list:
        return shard_map_p.bind(*operands, jaxpr=jaxpr, in_specs=tuple(in_specs),
                                out_specs=tuple(out_specs), **self._asdict())

    def scope(self) -> Any:
        return scope(self._asdict())


def _frame(params: dict) -> _Frame:
    return _Frame(*[params[name] for name in _Frame._fields])


def _shape(*avals: Any, jaxpr: Jaxpr, mesh: Any, out_specs: Sequence[Any],
           newly_manual_axes: frozenset, **_: Any) -> tuple:
    return [_global_aval(mesh, spec, aval, newly_manual_axes)
            for spec, aval in zip(out_specs, jaxpr.out_avals)], jaxpr.effects


def _jvp(primals: Values, tangents: Values, *, jaxpr: Jaxpr, in_specs: Sequence[Any],
         out_specs: Sequence[Any], **params: Any) -> tuple[list, list]:
    nonzero = [type(t) is not Zero for t in tangents]
    frame = _frame(params)
    with frame.scope():
        inner, out_nonzero = jvp_jaxpr(jaxpr, nonzero)
    results = frame.bind([*primals, *select(tangents, nonzero)], inner,
                         [*in_specs, *select(in_specs, nonzero)],
                         [*out_specs, *select(out_specs, out_nonzero)])
    n = len(out_specs)
    return results[:n], merge_tangents(results[n:], out_nonzero, results[:n])


class _Split(NamedTuple):
    """A body cut into a forward part and a linear part.

    `kept` says for each residual which operand it is, or None if it is a result of `forward`, then
    with a spec in `specs`.
    """

    forward: Jaxpr
    linear: Jaxpr
    kept: tuple
    specs: tuple
    out_nonzero: tuple[bool, ...]


@trace_cache
def _split(jaxpr: Jaxpr, nonzero: tuple, frame: _Frame, taken: frozenset) -> _Split:
    forward, linear, out_nonzero = linearize_jaxpr(jaxpr, nonzero)
    n = len(jaxpr.outvars)
    residuals = forward.outvars[n:]
    places = {v: i for i, v in enumerate(forward.invars)}
    kept = tuple(None if type(v) is Literal else places.get(v) for v in residuals)
    new = [v for v, k in zip(residuals, kept) if k is None]
    manual = [a for a in frame.mesh.axis_names if a in frame.newly_manual_axes - taken]
    axes = [tuple(a for a in manual if not frame.check_vma or a in varying_axes(v.aval))
            for v in new]
    sums = [manual_type(v.aval)._asdict() for v in new]
    whole = forward.replace(outvars=forward.outvars[:n] + new)

    def run(*args: Any) -> list:
        outs = eval_jaxpr(whole, whole.consts, *args)
        return outs[:n] + [reshape(x, (1,)) if a and not aval_of(x).ndim else x
                           for x, a in zip(outs[n:], axes)]

    flags = [k is None and a and not v.aval.ndim
             for v, k, a in zip(residuals, kept, _spread(kept, axes))]

    def apply(*args: Any) -> list:
        given = [reshape(x, ()) if flag else x for x, flag in zip(args, flags)]
        return eval_jaxpr(linear, linear.consts, *given, *args[len(flags):])

    in_avals = [a.update(shape=(1,)) if flag else a for a, flag in zip(linear.in_avals, flags)]
    return _Split(trace_closed(run, forward.in_avals), trace_closed(
        apply, in_avals + linear.in_avals[len(flags):]), kept,
        tuple(PartitionSpec(*[a] if a else (), unreduced=s["unreduced"], reduced=s["reduced"])
              for a, s in zip(axes, sums)), out_nonzero)


def _spread(kept: Sequence[Any], new: Sequence[Any]) -> list:
    rest = iter(new)
    return [next(rest) if k is None else () for k in kept]


def _linearize(primals: Values, tangents: Values, *, jaxpr: Jaxpr, in_specs: Sequence[Any],
               out_specs: Sequence[Any], **params: Any) -> tuple[list, list]:
    nonzero = tuple(type(t) is not Zero for t in tangents)
    frame, taken = _frame(params), _taken_axes()
    with frame.scope():
        split = _split(jaxpr, nonzero, frame, taken)
    results = frame.bind(primals, split.forward, in_specs, [*out_specs, *split.specs])
    n = len(out_specs)
    outs, new = results[:n], iter(results[n:])
    if not any(split.out_nonzero):
        return outs, merge_tangents([], split.out_nonzero, outs)
    specs = iter(split.specs)
    residuals = [(next(new), next(specs)) if k is None else (primals[k], in_specs[k])
                 for k in split.kept]
    found = frame.bind(
        [*[x for x, _ in residuals], *select(tangents, nonzero)], split.linear,
        [*[spec for _, spec in residuals], *select(in_specs, nonzero)],
        select(out_specs, split.out_nonzero))
    return outs, merge_tangents(found, split.out_nonzero, outs)


@trace_cache
def _transposed(jaxpr: Jaxpr, linear: tuple, ct_nonzero: tuple, frame: _Frame, in_specs: tuple,
                out_specs: tuple, taken: frozenset) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The body run backwards, and which linear operands have a cotangent."""
    sizes = dict(frame.mesh.shape_tuple)
    num_known = len(linear) - sum(linear)
    out_nonzero: list[bool] = []

    def unnamed(spec: Any) -> tuple:
        return tuple(a for a in frame.mesh.axis_names
                     if a in frame.newly_manual_axes - taken and a not in axes_in(spec))

    def shared_out(ct: Any, spec: Any) -> Any:
        count = 1 if frame.check_vma else math.prod(sizes[a] for a in unnamed(spec))
        return div(ct, scalar_like(ct, count)) if count > 1 else ct

    def summed(ct: Any, spec: Any) -> Any:
        axes = tuple(a for a in unnamed(spec) if a not in spec.reduced)
        if not frame.check_vma:
            return psum_p.bind(ct, axes=axes, axis_index_groups=None) if axes else ct
        extra = tuple(a for a in axes if a in varying_axes(aval_of(ct)))
        if extra:
            ct = psum_invariant_p.bind(ct, axes=extra, axis_index_groups=None)
        return vary(ct, axes_in(spec))

    def fun(*args: Any) -> list:
        known, given = iter(args[:num_known]), iter(args[num_known:])
        operands = [Linear(a) if lin else next(known) for a, lin in zip(jaxpr.in_avals, linear)]
        cts = [shared_out(next(given), spec) if nz else Zero(a)
               for a, nz, spec in zip(jaxpr.out_avals, ct_nonzero, out_specs)]
        found = select(list(zip(backward_pass(jaxpr, operands, cts), in_specs)), linear)
        out_nonzero.extend(type(ct) is not Zero for ct, _ in found)
        return [summed(ct, spec) for ct, spec in found if type(ct) is not Zero]

    in_avals = [a for a, lin in zip(jaxpr.in_avals, linear) if not lin]
    in_avals += map(cotangent_aval, select(jaxpr.out_avals, ct_nonzero))
    return trace_closed(fun, in_avals, jaxpr.debug), tuple(out_nonzero)


def _whole_spec(spec: PartitionSpec, ndim: int) -> PartitionSpec:
    """The spec with an entry for each dimension."""
    return spec.update((*spec.partitions, *[None] * (ndim - len(spec.partitions))))


def _transpose(cts: Values, *args: Any, jaxpr: Jaxpr, in_specs: tuple, out_specs: tuple,
               **params: Any) -> list:
    linear = tuple(type(x) is Linear for x in args)
    nonzero = tuple(type(c) is not Zero for c in cts)
    frame, taken = _frame(params), _taken_axes()
    with frame.scope():
        inner, out_nonzero = _transposed(jaxpr, linear, nonzero, frame, in_specs, out_specs, taken)
    known = [not lin for lin in linear]
    results = iter(frame.bind(
        [*select(args, known), *select(cts, nonzero)], inner,
        [*select(in_specs, known), *map(dual, select(out_specs, nonzero))],
        select([_whole_spec(dual(spec), x.aval.ndim) for spec, x, lin in
                 zip(in_specs, args, linear) if lin], out_nonzero)))
    flags = iter(out_nonzero)
    return [(next(results) if next(flags) else Zero(x.aval)) if lin else None
            for x, lin in zip(args, linear)]


@trace_cache
def _batched(jaxpr: Jaxpr, axis: AxisData, in_batched: tuple) -> tuple[Jaxpr, tuple[bool, ...]]:
    spmd = frozenset(_spmd_axes(axis))
    out_batched: list[bool] = []

    def fun(*args: Any) -> list:
        dims = [0 if b else None for b in in_batched]
        vals, out_dims = batch(lambda *xs: eval_jaxpr(jaxpr, jaxpr.consts, *xs), axis, args, dims)
        out_batched.extend(d is not None for d in out_dims)
        return [materialize(x, d, axis.size) if d is not None else x
                for x, d in zip(vals, out_dims)]

    in_avals = [_vary_spmd(batched_aval(a, 0, axis.size), spmd) if b else a
                for a, b in zip(jaxpr.in_avals, in_batched)]
    return trace_closed(fun, in_avals, jaxpr.debug), tuple(out_batched)


def _vary_spmd(aval: Any, spmd: frozenset) -> Any:
    return with_varying(aval, varying_axes(aval) | spmd) if spmd else aval


def _spmd_axes(axis: AxisData) -> tuple:
    name = axis.spmd_name or (axis.split and axis.split.spec.partitions[0])
    return () if name is None else name if isinstance(name, tuple) else (name,)


def _taken_axes() -> frozenset:
    """The mesh axes over which vmaps around will split what is new."""
    return frozenset(a for t in ancestors(state.trace) if isinstance(t, BatchTrace)
                     for a in _spmd_axes(t.axis))


def _vmap(axis: AxisData, args: Values, dims: Dims, *, jaxpr: Jaxpr, in_specs: Sequence[Any],
          out_specs: Sequence[Any], **params: Any) -> tuple[list, list]:
    frame = _frame(params)
    spmd = tuple(a for a in _spmd_axes(axis) if a in frame.newly_manual_axes)
    for spec in (*in_specs, *out_specs):
        if set(spmd) & set(axes_in(spec)):
            raise ValueError(errors.describe(
                f"vmap spmd_axis_name cannot appear in shard_map in_specs, but it names {spmd} and "
                f"a spec is {spec}", fix="leave out spmd_axis_name, or name another axis"))
    sizes = dict(frame.mesh.shape_tuple)
    inner = AxisData(axis.name, axis.size // math.prod(sizes[a] for a in spmd),
                     spmd if frame.check_vma and spmd else None)
    args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
    batched = tuple(d is not None for d in dims)
    with frame.scope():
        body, out_batched = _batched(jaxpr, inner, batched)
    results = frame.bind(
        args, body, [_with_axis(s, spmd) if b else s for s, b in zip(in_specs, batched)],
        [_with_axis(s, spmd) if b else s for s, b in zip(out_specs, out_batched)])
    return results, [0 if b else None for b in out_batched]


def _with_axis(spec: Any, spmd: tuple) -> Any:
    return PartitionSpec(spmd or None, *spec)


_dce_operands = dce_call("jaxpr", ("in_specs",))


def _dce(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    new = _dce_operands(eqn, used)
    if new is not None:
        new.params["out_specs"] = tuple(select(new.params["out_specs"], used))
    return new


def _outer_axes(params: dict) -> frozenset:
    inside = frozenset().union(*[axes_of(e.primitive, e.params) for e in params["jaxpr"].eqns])
    return inside - params["newly_manual_axes"]


shard_map_p = Primitive(
    "shard_map", shape=_shape, multiple_results=True, effectful=True, jvp=_jvp,
    linearize=_linearize, transpose=_transpose, vmap=_vmap, dce=_dce, reach=reach_call,
    axes=_outer_axes, scope=scope)
