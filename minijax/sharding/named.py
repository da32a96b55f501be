"""NamedSharding: a mesh and a PartitionSpec; jaxlib's class with our methods.

Invariant: which part of an array a device holds follows from its coordinates in the mesh alone;
`devices_indices_map`, `shard_shape` and the HLO sharding are three views of that.

    sharding = NamedSharding(mesh, P("x"))
    sharding.shard_shape((8, 4))        # (4, 4) when axis x has size 2
"""

import functools
import math
from typing import Any

import numpy as np

from minijax.base import jaxlib
from minijax.sharding.mesh import AbstractMesh, Mesh
from minijax.sharding.spec import PartitionSpec, axes_of

NamedSharding = jaxlib.NamedSharding


class IndivisibleError(ValueError):
    """A dimension that the mesh axes assigned to it do not divide."""


class DuplicateSpecError(ValueError):
    """A PartitionSpec that uses one mesh axis for two dimensions."""


def check_pspec(mesh: Mesh | AbstractMesh, spec: PartitionSpec, *_: Any) -> None:
    """Called by C++ for each new NamedSharding: the spec must fit the mesh."""
    if not isinstance(mesh, (Mesh, AbstractMesh)):
        raise TypeError(f"NamedSharding needs a Mesh; got {mesh!r}")
    if not isinstance(spec, PartitionSpec):
        raise TypeError(
            f"NamedSharding needs a PartitionSpec; got {spec!r}\n"
            f"  fix: NamedSharding(mesh, PartitionSpec({spec!r}))")
    free = any(entry is PartitionSpec.UNCONSTRAINED for entry in spec)
    if free and mesh.axis_names and not mesh.auto_axes:
        raise ValueError(
            f"{spec} cannot contain `P.UNCONSTRAINED` when no mesh axis_types are `Auto`. Got mesh "
            f"axis_types: {mesh.axis_types}"
        )
    seen = set()
    for axis in [axis for axes in axes_of(spec.partitions) for axis in axes]:
        if axis not in mesh.axis_names:
            raise ValueError(
                f"Resource axis: {axis} of {spec} is not found in mesh: {mesh.axis_names}.")
        if axis in seen:
            raise DuplicateSpecError(
                "A single NamedSharding spec specification can map every mesh axis to at most "
                f"one positional dimension, but {spec} has duplicate entries for `{axis}`")
        seen.add(axis)
    for what, axes in (("Unreduced", spec.unreduced), ("Reduced", spec.reduced)):
        for axis in axes.difference(mesh.axis_names):
            raise ValueError(f"{what} axes {axis} of {spec} is not found in mesh: "
                             f"{mesh.axis_names}.")
        if not axes.issubset(mesh.explicit_axes):
            raise ValueError(f"{what} axes can only refer to mesh axes that are of type "
                             f"`Explicit`. Got {what.lower()} axes: {set(axes)} and mesh: {mesh}")


def dim_sizes(sharding: NamedSharding, ndim: int) -> tuple[int, ...]:
    """Into how many parts each dimension of an array of rank ndim is split."""
    sizes = dict(sharding.mesh.shape_tuple)
    parts = [math.prod(sizes[axis] for axis in axes) for axes in axes_of(sharding.spec)]
    return tuple(parts[:ndim]) + (1,) * (ndim - len(parts))


@functools.lru_cache(maxsize=4096)
def _hlo_sharding(axes: tuple[tuple[str, int], ...], dims: tuple[tuple[Any, ...], ...], ndim: int,
                  unreduced: frozenset) -> Any:
    sizes = dict(axes)
    dims = (dims + ((),) * ndim)[:ndim]
    parts = [math.prod(sizes[name] for name in names) for names in dims]
    if math.prod(parts) == 1 and not unreduced:
        return jaxlib.HloSharding.replicate()
    order = [name for names in dims for name in names]
    rest = [name for name, _ in axes if name not in order and name not in unreduced]
    sums = [name for name, _ in axes if name in unreduced]
    copies = math.prod(sizes[name] for name in rest)
    position = {name: i for i, (name, _) in enumerate(axes)}
    kinds = jaxlib.OpSharding.Type
    proto = jaxlib.OpSharding()
    proto.type = kinds.OTHER
    if sums:
        proto.tile_assignment_dimensions = [*parts, copies, math.prod(sizes[n] for n in sums)]
        proto.last_tile_dims = [kinds.REPLICATED, kinds.UNREDUCED]
    else:
        proto.replicate_on_last_tile_dim = copies > 1
        proto.tile_assignment_dimensions = [*parts, copies] if copies > 1 else parts
    proto.iota_reshape_dims = [size for _, size in axes]
    proto.iota_transpose_perm = [position[name] for name in [*order, *rest, *sums]]
    return jaxlib.HloSharding.from_proto(proto)


def _to_xla_hlo_sharding(self: NamedSharding, num_dimensions: int) -> Any:
    return _hlo_sharding(self.mesh.shape_tuple, tuple(axes_of(self.spec)), num_dimensions,
                         self.spec.unreduced)


def _check_concrete(self: NamedSharding, what: str) -> Mesh:
    mesh = self.mesh
    if isinstance(mesh, AbstractMesh):
        raise ValueError(f"{what} is not implemented for `jax.sharding.AbstractMesh`.")
    return mesh


def _check_compatible_aval(self: NamedSharding, aval_shape: tuple[int, ...]) -> None:
    """ValueError when the spec names more dimensions than an array of this shape has."""
    if len(aval_shape) < len(self.spec):
        raise ValueError(
            f"Sharding {self} is only valid for values of rank at least {len(self.spec)}, "
            f"but was applied to a value of rank {len(aval_shape)}."
            + ("" if aval_shape else " For scalars the PartitionSpec should be P()."))


def check_fits(sharding: Any, shape: tuple[int, ...], what: str) -> None:
    """ValueError, naming the value as one of `what`, where the sharding is of more dimensions."""
    try:
        if hasattr(sharding, "check_compatible_aval"):
            sharding.check_compatible_aval(shape)
    except ValueError as error:
        raise ValueError(f"One of {what} is incompatible with its sharding annotation {sharding}: "
                         f"{error}") from None


def _shard_shape(self: NamedSharding, global_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one device's part of an array of shape `global_shape`."""
    _check_compatible_aval(self, global_shape)
    parts = dim_sizes(self, len(global_shape))
    for axis, (size, count) in enumerate(zip(global_shape, parts, strict=True)):
        if isinstance(size, int) and size % count:
            raise IndivisibleError(
                f"Sharding {self} implies that array axis {axis} is partitioned {count} times, "
                f"but the dimension size is {size} (full shape: {tuple(global_shape)}, "
                f"per-dimension tiling factors: {list(parts)} should evenly divide the shape)")
    return tuple(size // count for size, count in zip(global_shape, parts, strict=True))


def _devices_indices_map(self: NamedSharding,
                         global_shape: tuple[int, ...]) -> dict[Any, tuple[slice, ...]]:
    """The index of the part that each device holds."""
    return dict(_indices_of_devices(self, tuple(global_shape)))


@functools.lru_cache(maxsize=4096)
def _indices_of_devices(self: NamedSharding,
                        global_shape: tuple[int, ...]) -> dict[Any, tuple[slice, ...]]:
    mesh = _check_concrete(self, "devices_indices_map")
    shard = _shard_shape(self, global_shape)
    dims = (axes_of(self.spec) + [()] * len(shard))[: len(shard)]
    result = {}
    for place in np.ndindex(*mesh.axis_sizes):
        at = dict(zip(mesh.axis_names, place, strict=True))
        index = tuple(_part(axes, at, mesh, size) for axes, size in zip(dims, shard, strict=True))
        result[mesh.devices[place]] = index
    return result


def _part(axes: tuple, at: dict[Any, int], mesh: Mesh, size: int) -> slice:
    number, count = 0, 1
    sizes = dict(mesh.shape_tuple)
    for axis in axes:
        number = number * sizes[axis] + at[axis]
        count *= sizes[axis]
    return slice(None) if count == 1 else slice(number * size, (number + 1) * size)


def counts_for_nothing(sharding: NamedSharding) -> frozenset:
    """The devices whose part of a sum over unreduced axes is zero when an array is put there."""
    spec, mesh = sharding.spec, sharding.mesh
    if not spec.unreduced:
        return frozenset()
    dims = [i for i, name in enumerate(mesh.axis_names) if name in spec.unreduced]
    return frozenset(mesh.devices[place] for place in np.ndindex(*mesh.axis_sizes)
                     if any(place[i] for i in dims))


def _is_fully_replicated(self: NamedSharding) -> bool:
    sizes = dict(self.mesh.shape_tuple)
    used = [axis for axes in axes_of(self.spec) for axis in axes]
    return all(sizes[axis] == 1 for axis in (*used, *self.spec.unreduced))


def _replicated_axes(self: NamedSharding) -> frozenset:
    used = {axis for axes in axes_of(self.spec) for axis in axes}
    return frozenset(self.mesh.axis_names) - used - self.spec.unreduced


def _device_set(self: NamedSharding) -> set[Any]:
    return set(_check_concrete(self, "device_set").devices.flat)


def _is_fully_addressable(self: NamedSharding) -> bool:
    _check_concrete(self, "is_fully_addressable")
    return self._internal_device_list.is_fully_addressable


def _with_memory_kind(self: NamedSharding, kind: str) -> NamedSharding:
    """The same parts in another memory of the devices."""
    return make(self.mesh, self.spec, kind)


def _update(self: NamedSharding, **kwargs: Any) -> NamedSharding:
    """A copy with some of mesh, spec, memory_kind replaced."""
    return make(
        kwargs.pop("mesh", self.mesh), kwargs.pop("spec", self.spec),
        kwargs.pop("memory_kind", self._memory_kind), **kwargs)


def make(mesh: Mesh | AbstractMesh, spec: PartitionSpec,
         memory_kind: str | None = None) -> NamedSharding:
    """NamedSharding(mesh, spec, memory_kind=memory_kind)."""
    return NamedSharding(mesh, spec, memory_kind=memory_kind)


def with_devices(sharding: Any, devices: tuple) -> Any:
    """The sharding over these devices, if it is over axes without any."""
    mesh = getattr(sharding, "mesh", None)
    if not isinstance(mesh, AbstractMesh):
        return sharding
    grid = np.reshape(devices, mesh.axis_sizes)
    return sharding.update(mesh=Mesh(grid, mesh.axis_names, mesh.axis_types))


def padded(sharding: Any, ndim: int) -> Any:
    """The sharding with an entry for each dimension, where its mesh has explicit axes."""
    if not isinstance(sharding, NamedSharding) or not sharding.mesh.explicit_axes:
        return sharding
    entries = sharding.spec.partitions
    spec = sharding.spec.update((*entries, *[None] * (ndim - len(entries))))
    return sharding if spec == sharding.spec else sharding.update(spec=spec)


def typed(sharding: Any, ndim: int) -> Any:
    """What a type says of a sharding: its entries over explicit axes, or None without such axes."""
    if not isinstance(sharding, NamedSharding) or not sharding.mesh.explicit_axes:
        return None
    mesh = sharding.mesh.abstract_mesh
    explicit = set(mesh.explicit_axes)
    entries = [tuple(a for a in axes if a in explicit) or None
               for axes in axes_of(sharding.spec)]
    entries += [None] * (ndim - len(entries))
    return make(mesh, sharding.spec.update(tuple(entries)))


def _repr(self: NamedSharding) -> str:
    memory = "" if self._memory_kind is None else f", memory_kind={self._memory_kind}"
    return f"NamedSharding(mesh={self.mesh!s}, spec={self.spec}{memory})"


def _reduce(self: NamedSharding) -> tuple:
    return make, (self.mesh, self.spec, self._memory_kind)


def _attach() -> None:
    cls = NamedSharding
    cls.__repr__ = cls.__str__ = _repr
    cls.__reduce__ = _reduce
    cls._to_xla_hlo_sharding = _to_xla_hlo_sharding
    cls.device_set = property(_device_set)
    cls.num_devices = property(lambda self: self.mesh.size)
    cls.is_fully_addressable = property(_is_fully_addressable)
    cls.is_fully_replicated = property(_is_fully_replicated)
    cls.replicated_axes = property(_replicated_axes)
    cls.shard_shape = _shard_shape
    cls.devices_indices_map = _devices_indices_map
    cls.check_compatible_aval = _check_compatible_aval
    cls.with_memory_kind = _with_memory_kind
    cls.update = _update


_attach()
jaxlib.provide("check_pspec", check_pspec)
# C++ looks `check_pspec` up once and keeps the answer: let it be ours, before anybody asks.
with jaxlib.standins():
    NamedSharding(AbstractMesh((1,), ("x",)), PartitionSpec())
