"""Where a value lives, as part of its type: axes it varies over, its sharding, its memory.

Shape rules never see any of this: `Where.infer` takes it off the operands, asks the shape rule, and
puts the join of the operands' placements on the results; an operation with more to say has a
`place` rule. Invariant: a type without anything to say has the placement None.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from minijax.base.memory import Space


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

    def invarying(self, mesh: Any) -> frozenset:
        """The manual axes of the mesh along which the value is the same and means itself."""
        return frozenset(mesh.manual_axes).difference(*self)

    def __reduce__(self) -> tuple:
        return ManualAxisType, tuple(self)


_manual_types: dict[tuple, ManualAxisType] = {}
_ANYWHERE = ManualAxisType()


class Placement(NamedTuple):
    """The part of a type that is about devices.

    manual: what holds along the manual axes (those of `shard_map`). sharding: how explicit mesh
    axes split the value. memory: a Space of memory, None for the device's own.
    """

    manual: ManualAxisType = _ANYWHERE
    sharding: Any = None
    memory: Any = None


_NOWHERE = Placement()


def placement(manual: ManualAxisType = _ANYWHERE, sharding: Any = None,
              memory: Any = None) -> Placement | None:
    """A Placement, or None if it would say nothing."""
    found = Placement(manual, sharding, None if memory is Space.Device else memory)
    return None if found == _NOWHERE else found


def manual_type(aval: Any) -> ManualAxisType:
    """What the type says of the manual axes."""
    where = getattr(aval, "placement", None)
    return _ANYWHERE if where is None else where.manual


def varying_axes(aval: Any) -> frozenset:
    """The manual axes along which values of this type may differ."""
    return manual_type(aval).varying


def sharding_of(aval: Any) -> Any:
    """The sharding over explicit axes that the type says, or None."""
    where = getattr(aval, "placement", None)
    return None if where is None else where.sharding


def memory_of(aval: Any) -> Any:
    """The kind of memory that the type says, None for the device's own."""
    where = getattr(aval, "placement", None)
    return None if where is None else where.memory


def _with(aval: Any, **said: Any) -> Any:
    where = aval.placement or _NOWHERE
    new = where._replace(**said)
    return aval if new == where else aval.update(placement=placement(*new))


def with_manual(aval: Any, manual: ManualAxisType) -> Any:
    """The type with another account of the manual axes."""
    return _with(aval, manual=manual)


def with_varying(aval: Any, varying: frozenset) -> Any:
    """The type with other varying axes."""
    return with_manual(aval, ManualAxisType(varying, *manual_type(aval)[1:]))


def with_sharding(aval: Any, sharding: Any) -> Any:
    """The type with another sharding over explicit axes."""
    return _with(aval, sharding=sharding)


def with_memory(aval: Any, memory: Any) -> Any:
    """The type in another kind of memory, None for the device's own."""
    return _with(aval, memory=memory)


def bare(aval: Any) -> Any:
    """The type without its placement."""
    return aval if getattr(aval, "placement", None) is None else aval.update(placement=None)


def cotangent_aval(aval: Any) -> Any:
    """The type of cotangents of a value: where that is a sum of terms, they are sums reduced."""
    where = getattr(aval, "placement", None)
    if where is None:
        return aval
    varying, unreduced, reduced = where.manual
    sharding = where.sharding
    if sharding is not None and (sharding.spec.unreduced or sharding.spec.reduced):
        sharding = sharding.update(spec=dual(sharding.spec))
    return aval.update(placement=placement(
        ManualAxisType(varying, reduced, unreduced), sharding, where.memory))


def dual(spec: Any) -> Any:
    """The spec of cotangents of values with this spec."""
    return spec.update(unreduced=spec.reduced, reduced=spec.unreduced)


def resplit(sharding: Any, entries: Sequence[Any]) -> Any:
    """A sharding over the same mesh, with these entries for the dimensions."""
    return sharding.update(spec=sharding.spec.update(tuple(entries)))


def over_batch(asked: Any, dim: int, axis: Any) -> Any:
    """The sharding (or spec) asked for one element, for a batch with the mapped axis at `dim`."""
    if asked is None:
        return None
    spec = getattr(asked, "spec", asked)
    entry = axis.spmd_name or (axis.split and axis.split.spec.partitions[0])
    entries = [*spec.partitions, *[None] * (dim - len(spec.partitions))]
    batched = spec.update((*entries[:dim], entry, *entries[dim:]))
    return batched if asked is spec else asked.update(spec=batched)


class ShardingTypeError(Exception):
    """Shardings over explicit axes that do not fit each other, or leave the result's open."""


class Where:
    """What operations do to placements: hooks, set by lax/placing.py and lax/explicit.py."""

    infer: Callable[[Any, Sequence[Any], dict], tuple]  # the types of results, and the effects
    casts: Callable[[Any, Any], list]  # operations and params, from one type to another
    context: Any  # whose value types depend on, too: the configuration of the mesh in context


class MixedAxes(Exception):
    """Operands are not placed alike; `cast` makes them of the types `wanted`."""

    def __init__(self, wanted: Sequence[Any]):
        self.wanted = wanted

    def cast(self, trace: Any, args: Sequence[Any]) -> list:
        """The operands as they are wanted."""
        out = list(args)
        for i, wanted in enumerate(self.wanted):
            for primitive, params in Where.casts(out[i].aval, wanted):
                out[i] = trace.process_primitive(primitive, (out[i],), params)
        return out
