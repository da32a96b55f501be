"""What every sharding offers, and the sharding of an array that lives on one device.

jaxlib's C++ classes hold the data; this module attaches the Python side of their interface.
Invariant: `single_device(d)` returns the same object each time, so comparing two placements is
almost always an identity test.

    single_device(devices()[0]).shard_shape((2, 3))     # (2, 3)
"""

from collections.abc import Mapping
from typing import Any

from minijax.base import jaxlib

Sharding = jaxlib.Sharding
SingleDeviceSharding = jaxlib.SingleDeviceSharding
_REPLICATED = jaxlib.HloSharding.replicate()


_made: dict[tuple[Any, str | None], SingleDeviceSharding] = {}


def single_device(device: Any, memory_kind: str | None = None) -> SingleDeviceSharding:
    """The sharding of an array that lives on `device` as a whole (always the same object)."""
    try:
        return _made[device, memory_kind]
    except KeyError:
        sharding = SingleDeviceSharding(device, memory_kind=memory_kind)
        sharding = _made.setdefault((device, sharding._memory_kind), sharding)
        return _made.setdefault((device, memory_kind), sharding)


def forget_devices() -> None:
    """Drop the remembered shardings, which hold devices and so their client."""
    _made.clear()


def device_list(sharding: Sharding) -> Any:
    """The devices of a sharding as C++ wants them (DeviceList), in order of assignment."""
    return sharding._internal_device_list


def _device_set(self: Sharding) -> set[Any]:
    return set(self._internal_device_list)


def _device_assignment(self: Sharding) -> tuple[Any, ...]:
    return tuple(self._internal_device_list)


def _num_devices(self: Sharding) -> int:
    return len(self._internal_device_list)


def _is_fully_addressable(self: Sharding) -> bool:
    return self._internal_device_list.is_fully_addressable


def _is_fully_replicated(self: Sharding) -> bool:
    if self.num_devices == 1:
        return True
    return self._to_xla_hlo_sharding(0).is_replicated()


def _addressable_devices(self: Sharding) -> set[Any]:
    return set(self._internal_device_list.addressable_device_list)


def _has_addressable_devices(self: Sharding) -> bool:
    return len(self._internal_device_list.addressable_device_list) > 0


def _memory_kind(self: Sharding) -> str | None:
    return self._memory_kind


def _shard_shape(self: Sharding, global_shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of one device's part of an array of shape `global_shape`."""
    index = next(iter(self.devices_indices_map(global_shape).values()))
    return tuple(
        len(range(*part.indices(size))) for part, size in zip(index, global_shape, strict=True))


def _addressable_indices(self: Sharding, global_shape: tuple[int, ...]) -> Mapping[Any, Any]:
    """The index of the part that each device of this process holds."""
    everywhere = self.devices_indices_map(global_shape)
    if self.is_fully_addressable:
        return everywhere
    local = self.addressable_devices
    return {device: index for device, index in everywhere.items() if device in local}


def _is_equivalent_to(self: Sharding, other: Sharding, ndim: int) -> bool:
    """Whether both place an array of rank `ndim` alike: devices, parts and memory."""
    if self is other:
        return True
    if any(hasattr(s, "mesh") and not hasattr(s.mesh, "devices") for s in (self, other)):
        return self == other  # an abstract mesh
    return (
        isinstance(other, Sharding)
        and self._internal_device_list == other._internal_device_list
        and self.memory_kind == other.memory_kind
        and same_hlo(self._to_xla_hlo_sharding(ndim), other._to_xla_hlo_sharding(ndim)))


def same_hlo(one: Any, two: Any) -> bool:
    """Whether two XLA shardings mean the same."""
    return one == two or (one.is_replicated() and two.is_replicated())


def _attach_common() -> None:
    Sharding.device_set = property(_device_set)
    Sharding._device_assignment = property(_device_assignment)
    Sharding.num_devices = property(_num_devices)
    Sharding.is_fully_addressable = property(_is_fully_addressable)
    Sharding.is_fully_replicated = property(_is_fully_replicated)
    Sharding._addressable_device_assignment = property(
        lambda self: tuple(self._internal_device_list.addressable_device_list))
    Sharding.addressable_devices = property(_addressable_devices)
    Sharding.has_addressable_devices = property(_has_addressable_devices)
    Sharding.memory_kind = property(_memory_kind)
    Sharding.shard_shape = _shard_shape
    Sharding.addressable_devices_indices_map = _addressable_indices
    Sharding.is_equivalent_to = _is_equivalent_to


# ---------------------------------------------------------------------------- one device


def _single_repr(self: SingleDeviceSharding) -> str:
    return f"SingleDeviceSharding(device={self._device!r}, memory_kind={self._memory_kind})"


def _single_eq(self: SingleDeviceSharding, other: Any) -> bool:
    if self is other:
        return True
    if not isinstance(other, SingleDeviceSharding):
        return False
    return self._device == other._device and self._memory_kind == other._memory_kind


def _single_hash(self: SingleDeviceSharding) -> int:
    return hash((self._device, self._memory_kind))


def _single_indices(self: SingleDeviceSharding,
                    global_shape: tuple[int, ...]) -> dict[Any, tuple[slice, ...]]:
    """The index of the part that each device holds: here one device, everything."""
    return {self._device: (slice(None),) * len(global_shape)}


def _single_with_memory_kind(self: SingleDeviceSharding, kind: str) -> SingleDeviceSharding:
    """The same device, another memory of it."""
    return single_device(self._device, kind)


def _check_compatible_aval(self: SingleDeviceSharding, aval_shape: tuple[int, ...]) -> None:
    """Any shape fits one device."""


def _attach_single() -> None:
    cls = SingleDeviceSharding
    cls.__repr__ = _single_repr
    cls.__eq__ = _single_eq
    cls.__hash__ = _single_hash
    cls._to_xla_hlo_sharding = lambda self, num_dimensions: _REPLICATED
    cls.device_set = property(lambda self: {self._device})
    cls._device_assignment = property(lambda self: (self._device,))
    cls.num_devices = property(lambda self: 1)
    cls.is_fully_replicated = property(lambda self: True)
    cls.shard_shape = lambda self, global_shape: tuple(global_shape)
    cls.devices_indices_map = _single_indices
    cls.with_memory_kind = _single_with_memory_kind
    cls.check_compatible_aval = _check_compatible_aval
    cls.__reduce__ = lambda self: (single_device, (self._device, self._memory_kind))


_attach_common()
_attach_single()
