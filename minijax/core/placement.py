"""Where a value lives, as part of its type: axes it varies over, its sharding, its memory.

Shape rules never see any of this. `infer` takes it off the operands, asks the shape rule, and puts
the join of the operands' placements on the results; an operation with more to say has a `place`
rule. Invariant: a type without anything to say has the placement None, never an empty Placement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors


class Placement(NamedTuple):
    """The part of a type that is about devices.

    varying: the manual axes (those of `shard_map`) along which the value may differ. sharding: how
    explicit mesh axes split it. memory: the kind of memory, None for the device's own.
    """

    varying: frozenset = frozenset()
    sharding: Any = None
    memory: Any = None


_NOWHERE = Placement()


def placement(varying: frozenset = frozenset(), sharding: Any = None,
              memory: Any = None) -> Placement | None:
    """A Placement, or None if it would say nothing."""
    found = Placement(varying, sharding, memory)
    return None if found == _NOWHERE else found


class _ManualAxes(NamedTuple):
    varying: frozenset
    unreduced: frozenset
    reduced: frozenset


class ManualAxisType(_ManualAxes):
    """What the type of a value says of manual axes, as `typeof(x).mat`; interned."""

    __slots__ = ()

    def __new__(cls, varying: Iterable = (), unreduced: Iterable = (),
                reduced: Iterable = ()) -> "ManualAxisType":
        key = frozenset(varying), frozenset(unreduced), frozenset(reduced)
        found = _manual_types.get(key)
        if found is None:
            found = _manual_types.setdefault(key, _ManualAxes.__new__(cls, *key))
        return found

    def __copy__(self) -> "ManualAxisType":
        return self

    def __deepcopy__(self, memo: dict) -> "ManualAxisType":
        return self

    def __reduce__(self) -> tuple:
        return ManualAxisType, tuple(self)


_manual_types: dict[tuple, ManualAxisType] = {}


def varying_axes(aval: Any) -> frozenset:
    """The manual axes along which values of this type may differ."""
    where = getattr(aval, "placement", None)
    return frozenset() if where is None else where.varying


def sharding_of(aval: Any) -> Any:
    """The sharding over explicit axes that the type says, or None."""
    where = getattr(aval, "placement", None)
    return None if where is None else where.sharding


def with_varying(aval: Any, varying: frozenset) -> Any:
    """The type with other varying axes."""
    where = aval.placement or _NOWHERE
    if where.varying == varying:
        return aval
    return aval.update(placement=placement(varying, where.sharding, where.memory))


def bare(aval: Any) -> Any:
    """The type without its placement."""
    return aval if getattr(aval, "placement", None) is None else aval.update(placement=None)


class MixedAxes(Exception):
    """Operands vary over different axes; `cast` makes them alike."""

    pvary_p: Any  # set by lax/collectives.py: the operation that makes a value count as varying

    def __init__(self, varying: frozenset):
        self.varying = varying

    def cast(self, trace: Any, args: Sequence[Any]) -> list:
        """The operands, each varying over all the axes that any of them varies over."""
        return [self._cast(trace, x, self.varying - varying_axes(x.aval)) for x in args]

    def _cast(self, trace: Any, x: Any, axes: frozenset) -> Any:
        if not axes or not hasattr(x.aval, "placement"):
            return x
        return trace.process_primitive(
            MixedAxes.pvary_p, (x,), {"axes": tuple(sorted(axes, key=str))})


def join_varying(avals: Sequence[Any]) -> frozenset:
    """The axes that the operands vary over; MixedAxes if they do not agree."""
    found = {varying_axes(a) for a in avals if hasattr(a, "placement")}
    if len(found) > 1:
        raise MixedAxes(frozenset().union(*found))
    return found.pop() if found else frozenset()


class ShardingTypeError(Exception):
    """Shardings over explicit axes that do not fit each other, or leave the result's open."""


def with_sharding(aval: Any, sharding: Any) -> Any:
    """The type with another sharding over explicit axes."""
    where = aval.placement or _NOWHERE
    if where.sharding is sharding:
        return aval
    return aval.update(placement=placement(where.varying, sharding, where.memory))


def resplit(sharding: Any, entries: Sequence[Any]) -> Any:
    """A sharding over the same mesh, with these entries for the dimensions."""
    spec = sharding.spec
    return sharding.update(spec=type(spec)(*entries, unreduced=spec.unreduced,
                                           reduced=spec.reduced))


_ADDITIVE = frozenset(("add", "add_any", "sub", "neg", "convert_element_type", "copy", "real",
                       "imag", "reshard"))


def _check_unreduced(name: str, avals: Sequence[Any]) -> None:
    """NotImplementedError unless the operation gives sums of the terms of its operands."""
    sums = {s.spec.unreduced for s in map(sharding_of, avals) if s is not None}
    if any(sums) and (name not in _ADDITIVE or len(sums) > 1):
        raise NotImplementedError(errors.describe(
            f"unreduced rule for {name} is not implemented",
            because="an operand is a sum whose terms are still on different devices",
            fix="jax.reshard(x, P()) sums it"))


def split_elementwise(name: str, avals: Sequence[Any], out: Any) -> Any:
    """The sharding of a result that takes element i from element i of each operand."""
    _check_unreduced(name, avals)
    entries: list = [None] * out.ndim
    first = None
    for aval in avals:
        sharding = sharding_of(aval)
        if sharding is None or aval.ndim != out.ndim:
            continue
        first = first or sharding
        for i, entry in enumerate(sharding.spec):
            if entry is None or aval.shape[i] != out.shape[i]:
                continue
            if entries[i] not in (None, entry):
                specs = ", ".join(str(tuple(sharding_of(a).spec)) for a in avals
                                  if sharding_of(a) is not None)
                raise ShardingTypeError(errors.describe(
                    f"{name} got incompatible shardings for broadcasting: {specs}.",
                    fix="jax.reshard(x, sharding) one of the operands"))
            entries[i] = entry
    return None if first is None else resplit(first, entries)


def place(primitive: Any, avals: Sequence[Any], params: dict) -> tuple[Any, Any]:
    """The result types and effects of an operation on operands with placements."""
    out, effects = primitive.shape(*map(bare, avals), **params), ()
    if primitive.effectful:
        out, effects = out
    outs = list(out) if primitive.multiple_results else [out]
    if primitive.place is not None:
        outs = primitive.place(avals, outs, **params)
    else:
        varying = join_varying(avals)
        outs = [with_varying(o, varying) if hasattr(o, "placement") else o for o in outs]
    if primitive.split is not None:
        outs = list(map(with_sharding, outs, primitive.split(avals, outs, **params)))
    elif primitive.pointwise and any(map(sharding_of, avals)):
        outs = [with_sharding(o, split_elementwise(primitive.name, avals, o)) for o in outs]
    return tuple(outs), frozenset(effects)
