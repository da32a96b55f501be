"""What an operation does to the placements of its operands, for all operations alike.

Types of results say of each manual axis (see casts.py) and of each explicit mesh axis what those of
the operands say. Sums whose terms are on different devices (unreduced axes) go through operations
that are linear in them; a value that counts as reduced makes others so, or gives way to them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors
from minijax.core import (ManualAxisType, MixedAxes, ShardingTypeError, Where, bare,
                          manual_type, sharding_of, with_manual, with_memory, with_sharding)
from minijax.sharding.context import abstract_context, get_abstract_mesh
from minijax.sharding.spec import axes_of

_NONE: frozenset = frozenset()


def _infer(primitive: Any, avals: Sequence[Any], params: dict) -> tuple[tuple, frozenset]:
    """The result types and effects of an operation on operands with placements."""
    out, effects = primitive.shape(*map(bare, avals), **params), ()
    if primitive.effectful:
        out, effects = out
    memory = _memory(primitive.name, avals)
    outs = [with_memory(o, memory) if hasattr(o, "placement") else o
            for o in (out if primitive.multiple_results else [out])]
    if primitive.place is not None:
        outs = primitive.place(avals, outs, **params)
    else:
        manual = _joined(primitive.name, avals)
        outs = [with_manual(o, manual) if hasattr(o, "placement") else o for o in outs]
    if primitive.split is not None:
        outs = list(map(with_sharding, outs, primitive.split(avals, outs, **params)))
    elif any(map(sharding_of, avals)):
        if primitive.pointwise:
            outs = [with_sharding(o, _elementwise(primitive.name, avals, o)) for o in outs]
        else:
            sums_of(primitive.name, avals)
    if primitive.pointwise or primitive.split is not None:
        _check_mesh(primitive, avals)
    return tuple(outs), frozenset(effects)


Where.infer, Where.context = staticmethod(_infer), abstract_context


_BETWEEN_MESHES = frozenset(("device_put", "mesh_cast", "reshard", "sharding_constraint"))


def _check_mesh(primitive: Any, avals: Sequence[Any]) -> None:
    """The operands are split over one mesh, whose axes are those in context.

    Of whatever type: programs are transformed outside of what changes the types of axes.
    """
    meshes = list(dict.fromkeys(s.mesh for s in map(sharding_of, avals) if s is not None))
    if not meshes or primitive.name in _BETWEEN_MESHES:
        return
    fix = "jax.device_put(x, sharding), or another mesh in jax.set_mesh"
    if len(meshes) > 1:
        raise ValueError(errors.describe(
            f"Mesh for all inputs should be equal. Got one mesh: {meshes[0]} and another mesh: "
            f"{meshes[1]}", fix=fix))
    context = get_abstract_mesh()
    if not context.empty and context.shape_tuple != meshes[0].shape_tuple:
        raise ValueError(errors.describe(
            f"For primitive {primitive.name}, context mesh {context} should match the aval mesh "
            f"{meshes[0]}", fix=fix))


def _memory(name: str, avals: Sequence[Any]) -> Any:
    """The kind of memory of all operands that are not scalars; ValueError if it is not one."""
    if name == "device_put":  # moves each operand on its own
        return None
    if name in _UPDATES:
        avals = avals[:1]
    found = {a.placement and a.placement.memory: a for a in avals if getattr(a, "ndim", 0)}
    if len(found) > 1:
        one, other, *_ = found.values()
        raise ValueError(errors.describe(
            f"memory_space of all inputs passed to `{name}` must be the same. Got one operand with "
            f"type: {one.str_short(False)} and another operand with type: "
            f"{other.str_short(False)}",
            fix="jax.device_put(x, jax.memory.Space.Device)"))
    return next(iter(found), None)


_UPDATES = frozenset(("dynamic_update_slice", "scatter", "scatter-add", "scatter-max",
                      "scatter-min", "scatter-mul", "scatter-sub"))


# --- Manual axes --------------------------------------------------------------------------------


def _joined(name: str, avals: Sequence[Any]) -> ManualAxisType:
    """What holds of the results; MixedAxes if the operands do not agree."""
    found = {manual_type(a) for a in avals if hasattr(a, "placement")}
    if len(found) <= 1 and not any(m.unreduced for m in found):
        return found.pop() if found else ManualAxisType()
    varying = frozenset().union(*[m.varying for m in found])
    wanted = [_varying_over(a, varying) for a in avals]
    if any(a is not w for a, w in zip(avals, wanted)):
        raise MixedAxes(wanted)
    kinds = [_Kind(m.unreduced, m.reduced, m.varying, a) for m, a in
             ((manual_type(a), a) for a in avals)]
    return ManualAxisType(varying, *_sums(
        name, kinds, lambda aval, reduced: with_manual(
            aval, ManualAxisType(varying, manual_type(aval).unreduced, reduced))))


def _varying_over(aval: Any, varying: frozenset) -> Any:
    """The type with these axes varying, but for those along which it is a sum."""
    if not hasattr(aval, "placement"):
        return aval
    found = manual_type(aval)
    return with_manual(aval, ManualAxisType(
        found.varying | (varying - found.unreduced), found.unreduced, found.reduced - varying))


# --- Sums ---------------------------------------------------------------------------------------


class _Kind(NamedTuple):
    """What the rules below need to know of an operand: `split` are the axes it differs along."""

    unreduced: frozenset
    reduced: frozenset
    split: frozenset
    aval: Any


def sums_of(name: str, avals: Sequence[Any]) -> tuple[frozenset, frozenset]:
    """The explicit axes that a result is unreduced and reduced along."""
    kinds = []
    for aval in avals:
        spec = getattr(sharding_of(aval), "spec", None)
        kinds.append(_Kind(_NONE, _NONE, _NONE, aval) if spec is None else _Kind(
            spec.unreduced, spec.reduced, frozenset(a for e in axes_of(spec) for a in e), aval))
    if not any(k.unreduced or k.reduced for k in kinds):
        return _NONE, _NONE
    some = next(sharding_of(a) for a in avals if sharding_of(a) is not None)

    def reduced_too(aval: Any, reduced: frozenset) -> Any:
        spec = type(some.spec)(reduced=reduced)
        return with_sharding(aval, some.update(spec=spec))
    return _sums(name, kinds, reduced_too)


def _sums(name: str, kinds: Sequence[_Kind], reduced_too: Callable) -> tuple[frozenset, frozenset]:
    if name == "select_n":  # the predicate only chooses
        kinds = kinds[1:]
    elif name in _FIRST:  # other operands say where
        kinds = kinds[:1]
    unreduced = _unreduced(name, kinds) if any(k.unreduced for k in kinds) else _NONE
    return unreduced, _reduced(name, kinds, unreduced, reduced_too)


_LINEAR = frozenset((
    "add", "add_any", "all_gather", "all_to_all", "broadcast_in_dim", "concatenate",
    "convert_element_type", "copy", "copy_p", "device_put", "dynamic_slice",
    "dynamic_update_slice", "fft", "gather", "imag", "mesh_cast", "neg", "optimization_barrier",
    "pad", "ppermute", "real", "reduce_precision", "reduce_sum", "reshape", "reshard", "rev",
    "scatter-add", "select_n", "sharding_constraint", "slice", "split", "squeeze", "stack", "sub",
    "transpose", "unstack"))
_FIRST = frozenset(("dynamic_slice", "gather", "pad", "scatter-add", "scatter"))


def _unreduced(name: str, kinds: Sequence[_Kind]) -> frozenset:
    """The axes along which the result is a sum whose terms are on different devices."""
    if name == "dot_general":
        raise ShardingTypeError(errors.describe(
            "lhs or rhs passed to dot_general cannot be unreduced. Got "
            + " and ".join(f"{side}={k.aval!r}" for side, k in zip(("lhs", "rhs"), kinds)),
            fix="jax.reshard(x, P()) sums it"))
    if name == "mul" or name == "div" and not kinds[1].unreduced:
        return _unreduced_product(*kinds)
    if name not in _LINEAR:
        raise NotImplementedError(errors.describe(
            f"unreduced rule for {name} is not implemented",
            because="an operand is a sum whose terms are still on different devices",
            fix="jax.reshard(x, P()) sums it"))
    found = {k.unreduced for k in kinds}
    if len(found) == 1:
        return found.pop()
    if all(found):
        raise ShardingTypeError(errors.describe(
            f"lhs and rhs to `{name}` must be unreduced along the same mesh axes. Got "
            + ", ".join(str(set(axes)) for axes in found), fix="jax.reshard(x, P()) sums it"))
    one, other = ("lhs", "rhs") if kinds[0].unreduced else ("rhs", "lhs")
    raise ShardingTypeError(errors.describe(
        f"{one} is unreduced while {other} is not. `{name}` operation does not allow this because "
        f"there will be implicit communication. Please reduce {one} via `reshard` before calling "
        f"`{name}`.", fix="jax.reshard(x, P())"))


def _unreduced_product(lhs: _Kind, rhs: _Kind) -> frozenset:
    if lhs.unreduced and rhs.unreduced:
        raise ShardingTypeError(errors.describe(
            "lhs and rhs to `mul` cannot be unreduced since mul is bilinear. Got "
            f"lhs={lhs.unreduced}, rhs={rhs.unreduced}", fix="jax.reshard(x, P()) sums one"))
    names = ("LHS", "RHS") if lhs.unreduced else ("RHS", "LHS")
    one, other = (lhs, rhs) if lhs.unreduced else (rhs, lhs)
    if not one.unreduced <= other.reduced:
        raise ShardingTypeError(errors.describe(
            f"{names[1]} should be reduced along the same axes {names[0]} is unreduced on. Got "
            f"lhs={lhs.aval} and rhs={rhs.aval}", fix="jax.reshard(x, P()) sums it"))
    return one.unreduced


def _reduced(name: str, kinds: Sequence[_Kind], unreduced: frozenset,
             reduced_too: Callable) -> frozenset:
    """The axes along which cotangents of the result are sums; they must be those of all operands.

    Operands of rank 0 that say nothing are made to agree: MixedAxes.
    """
    wanted = frozenset().union(*[k.reduced for k in kinds]) - unreduced
    if not wanted or name == "dot_general":
        return _NONE
    others = [k for k in kinds if k.reduced - unreduced != wanted]
    scalars = [k.aval for k in others if not k.reduced and not k.aval.ndim]
    for kind in others:
        if kind.reduced - unreduced:
            raise ShardingTypeError(errors.describe(
                "All inputs should be reduced across the same mesh axes. Got specs: "
                f"{ {k.reduced for k in kinds} }", fix="jax.reshard(x, P(reduced=...))"))
        if kind.split & wanted:
            raise ShardingTypeError(errors.describe(
                "Inputs cannot be sharded/varying on the same axes that another input is reduced "
                "on. Reshard the input which is reduced to be sharded on the mesh axes it is "
                "reduced on via `jax.sharding.reshard(inp, jax.P(...))`. Got input type: "
                f"{kind.aval} and reduced spec: {wanted}", fix="jax.reshard(x, P(...))"))
        if kind.aval.ndim:
            raise ShardingTypeError(errors.describe(
                "Inputs cannot be replicated on the same axes that another input is reduced on. "
                f"Got input type: {kind.aval} and reduced spec: {wanted}",
                fix="jax.reshard(x, P(reduced=...))"))
    if scalars and name in _POINTWISE_PAIRS:
        raise MixedAxes([reduced_too(k.aval, wanted) if k.aval in scalars else k.aval
                         for k in kinds])
    return wanted


_POINTWISE_PAIRS = frozenset(("mul", "div"))


# --- Explicit axes ------------------------------------------------------------------------------


def _elementwise(name: str, avals: Sequence[Any], out: Any) -> Any:
    """The sharding of a result that takes element i from element i of each operand."""
    unreduced, reduced = sums_of(name, avals)
    entries: list = [None] * out.ndim
    first = None
    if name == "select_n":
        cases = [s for s in map(sharding_of, avals[1:]) if s is not None]
        if any(s.spec.partitions != cases[0].spec.partitions for s in cases):
            raise ShardingTypeError(errors.describe(
                f"select cases must have the same shardings, got {cases}",
                fix="jax.reshard(x, sharding) one of the cases"))
        which = getattr(sharding_of(avals[0]), "spec", ())
        if any(which) and cases and which.partitions != cases[0].spec.partitions:
            raise ShardingTypeError(errors.describe(
                "select `which` must be scalar or have the same sharding as cases, got `which` "
                f"sharding {which} but case sharding {avals[1].sharding.spec}.",
                fix="jax.reshard(x, sharding) one of them"))
    for aval in avals:
        sharding = sharding_of(aval)
        if sharding is None:
            continue
        first = first or sharding
        if aval.ndim != out.ndim:
            continue
        for i, entry in enumerate(sharding.spec.partitions):
            if entry is None or aval.shape[i] != out.shape[i]:
                continue
            if entries[i] not in (None, entry):
                specs = ", ".join(str(tuple(sharding_of(a).spec.partitions)) for a in avals
                                  if sharding_of(a) is not None)
                raise ShardingTypeError(errors.describe(
                    f"{name} got incompatible shardings for broadcasting: {specs}.",
                    fix="jax.reshard(x, sharding) one of the operands"))
            entries[i] = entry
    if first is None:
        return None
    used = [a for axes in axes_of(entries) for a in axes]
    if len(set(used)) < len(used):
        raise ShardingTypeError(errors.describe(
            f"{name} operation with inputs: {', '.join(a.str_short(True) for a in avals)} produces "
            f"an illegally sharded result with the entries {tuple(entries)}",
            fix="jax.reshard(x, sharding) one of the operands"))
    spec = type(first.spec)(*entries, unreduced=unreduced, reduced=reduced)
    return first.update(spec=spec)
