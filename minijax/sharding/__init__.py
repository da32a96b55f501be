"""Where arrays live: shardings, meshes and their algebra."""

from typing import Any

from minijax.sharding.mesh import AbstractDevice, AbstractMesh, AxisType, Mesh
from minijax.sharding.named import NamedSharding
from minijax.sharding.single import Sharding, SingleDeviceSharding, single_device
from minijax.sharding.spec import P as P
from minijax.sharding.spec import PartitionSpec

__all__ = [
    "AbstractDevice",
    "AbstractMesh",
    "AxisType",
    "Mesh",
    "NamedSharding",
    "PartitionSpec",
    "Sharding",
    "SingleDeviceSharding",
    "make_single_device_sharding",
]


def make_single_device_sharding(
    device: Any, *, memory_kind: str | None = None
) -> SingleDeviceSharding:
    """The sharding of an array that lives on one device as a whole."""
    return single_device(device, memory_kind)
