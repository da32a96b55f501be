"""GSPMDSharding: a device list and an XLA sharding, for results that no mesh describes.

jaxlib's class with our methods; users meet it when the compiler chose how to split a result.
"""

from typing import Any

import numpy as np

from minijax.base import jaxlib

GSPMDSharding = jaxlib.GSPMDSharding


def _devices_indices_map(self: GSPMDSharding,
                         global_shape: tuple[int, ...]) -> dict[Any, tuple[slice, ...]]:
    """The index of the part that each device holds."""
    devices, hlo = tuple(self._internal_device_list), self._hlo_sharding
    if hlo.is_replicated():
        return {device: (slice(None),) * len(global_shape) for device in devices}
    dims = hlo.tile_assignment_dimensions()
    order = np.array(hlo.tile_assignment_devices()).reshape(dims)
    parts = [size // count for size, count in zip(global_shape, dims)]
    found = {}
    for place in np.ndindex(*dims):
        index = tuple(
            slice(None) if count == 1 else slice(at * part, (at + 1) * part)
            for at, count, part in zip(place, dims, parts))
        found[devices[order[place]]] = index
    return {device: found[device] for device in devices}


def _get_replicated(devices: Any, *, memory_kind: str | None = None) -> GSPMDSharding:
    """The sharding that puts all of an array on each of the devices."""
    return GSPMDSharding(tuple(devices), jaxlib.xc.HloSharding.replicate(), memory_kind=memory_kind)


def _rebuild(devices: tuple, proto: Any, memory_kind: str | None) -> GSPMDSharding:
    hlo = jaxlib.xc.HloSharding.from_proto(proto)
    return GSPMDSharding(devices, hlo, memory_kind=memory_kind)


def _attach() -> None:
    cls = GSPMDSharding
    cls.get_replicated = staticmethod(_get_replicated)
    cls.__reduce__ = lambda self: (_rebuild, (
        tuple(self._internal_device_list), self._hlo_sharding.to_proto(), self._memory_kind))
    cls.devices_indices_map = _devices_indices_map
    cls._to_xla_hlo_sharding = lambda self, num_dimensions: self._hlo_sharding
    cls.is_fully_replicated = property(lambda self: self._hlo_sharding.is_replicated())
    cls.__repr__ = lambda self: f"GSPMDSharding({self._hlo_sharding!r})"
    cls.__eq__ = lambda self, other: self is other or (
        isinstance(other, GSPMDSharding) and self._hlo_sharding == other._hlo_sharding
        and self._internal_device_list == other._internal_device_list)
    cls.__hash__ = lambda self: hash((self._internal_device_list, self._hlo_sharding))


_attach()
