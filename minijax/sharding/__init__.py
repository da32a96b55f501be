"""Where arrays live: shardings, meshes and their algebra."""

import importlib
from typing import Any

import minijax.sharding.gspmd  # noqa: F401  (attaches methods to jaxlib's class)
from minijax.sharding.context import get_abstract_mesh, get_mesh, set_mesh, use_abstract_mesh
from minijax.sharding.mesh import AbstractDevice, AbstractMesh, AxisType, Mesh
from minijax.sharding.named import NamedSharding
from minijax.sharding.single import Sharding, SingleDeviceSharding, single_device
from minijax.sharding.spec import P as P
from minijax.sharding.spec import PartitionSpec

# Public names that live higher up, found when somebody asks.
_ELSEWHERE = {
    "ManualAxisType": "minijax.core.placement",
    "auto_axes": "minijax.lax.explicit",
    "explicit_axes": "minijax.lax.explicit",
    "reshard": "minijax.lax.explicit"}

__all__ = [
    "AbstractDevice",
    "AbstractMesh",
    "AxisType",
    "Mesh",
    "NamedSharding",
    "PartitionSpec",
    "Sharding",
    "SingleDeviceSharding",
    "get_abstract_mesh",
    "get_mesh",
    "make_single_device_sharding",
    "set_mesh",
    "use_abstract_mesh",
    *_ELSEWHERE]


def make_single_device_sharding(device: Any, *,
                                memory_kind: str | None = None) -> SingleDeviceSharding:
    """The sharding of an array that lives on one device as a whole."""
    return single_device(device, memory_kind)


def __getattr__(name: str) -> Any:
    if name not in _ELSEWHERE:
        raise AttributeError(f"module 'minijax.sharding' has no attribute '{name}'")
    value = getattr(importlib.import_module(_ELSEWHERE[name]), name)
    globals()[name] = value
    return value
