"""Mesh: devices in a grid whose axes have names.

Invariant: meshes are interned, because jaxlib's jit cache compares them by identity: two
`Mesh(devices, names)` with the same contents are one object.

    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), ("x", "y"))
    mesh.shape["x"]         # 2
"""

import contextlib
import enum
import math
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

from minijax.base import config, errors, jaxlib, source


class AxisType(enum.Enum):
    """Who decides about shardings along an axis: the compiler, the types, or the user's code."""

    Auto = 1
    Explicit = 2
    Manual = 3

    def __repr__(self) -> str:
        return self.name


class _Axes:
    """What a mesh has whether or not it has devices: names, sizes and types of axes."""

    axis_names: tuple[Hashable, ...]
    axis_sizes: tuple[int, ...]
    axis_types: tuple[AxisType, ...]
    size: int

    @property
    def shape(self) -> "OrderedDict[Hashable, int]":
        """Axis name -> size."""
        return OrderedDict(self.shape_tuple)

    @property
    def shape_tuple(self) -> tuple[tuple[Hashable, int], ...]:
        """(name, size) of each axis."""
        return tuple(zip(self.axis_names, self.axis_sizes, strict=True))

    @property
    def empty(self) -> bool:
        """Whether this is the mesh of no device at all."""
        return self.size == 0

    @property
    def auto_axes(self) -> tuple[Hashable, ...]:
        """Names of the axes of type Auto."""
        return self._axes_of_type(AxisType.Auto)

    @property
    def explicit_axes(self) -> tuple[Hashable, ...]:
        """Names of the axes of type Explicit."""
        return self._axes_of_type(AxisType.Explicit)

    @property
    def manual_axes(self) -> tuple[Hashable, ...]:
        """Names of the axes of type Manual."""
        return self._axes_of_type(AxisType.Manual)

    @property
    def are_all_axes_auto(self) -> bool:
        return all(kind is AxisType.Auto for kind in self.axis_types)

    @property
    def are_all_axes_explicit(self) -> bool:
        return all(kind is AxisType.Explicit for kind in self.axis_types)

    @property
    def are_all_axes_manual(self) -> bool:
        return all(kind is AxisType.Manual for kind in self.axis_types)

    def _axes_of_type(self, wanted: AxisType) -> tuple[Hashable, ...]:
        pairs = zip(self.axis_names, self.axis_types, strict=True)
        return tuple(name for name, kind in pairs if kind is wanted)

    def _axes_text(self) -> str:
        return ", ".join(f"{name!r}: {size}" for name, size in self.shape_tuple)


def _axis_types(given: AxisType | Sequence[AxisType] | None,
                names: tuple[Hashable, ...]) -> tuple[AxisType, ...]:
    if given is None:
        return (AxisType.Auto,) * len(names)
    given = tuple(given) if isinstance(given, (tuple, list)) else (given,)
    if not all(isinstance(kind, AxisType) for kind in given):
        raise TypeError(
            "axis_types passed to Mesh must be of type `jax.sharding.AxisType`. "
            f"Got {given} of type {tuple(type(kind) for kind in given)}")
    if len(given) != len(names):
        raise ValueError(
            "Number of axis names should match the number of axis_types. Got "
            f"axis_names={names} and axis_types={given}")
    return given


def _names(axis_names: Any) -> tuple[Hashable, ...]:
    names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
    if any(name is None for name in names):
        raise ValueError(f"Mesh axis names cannot be None. Got: {names}")
    return names


_meshes: dict[tuple, "Mesh"] = {}

# The mesh of the innermost `with mesh:`, which only `pjit` and `with_sharding_constraint` look at;
# part of every cache key, because it changes meanings.
mesh_context: jaxlib.Config = jaxlib.Config(
    "mesh_context", None, include_in_jit_key=True, include_in_trace_context=True)


class Mesh(_Axes, contextlib.ContextDecorator):
    """Devices in a grid with named axes.

    devices: array (or nested list) of devices, one dimension per axis name.
    """

    devices: np.ndarray

    def __new__(cls, devices: Any, axis_names: str | Sequence[Hashable],
                axis_types: AxisType | Sequence[AxisType] | None = None) -> "Mesh":
        grid = devices if isinstance(devices, np.ndarray) else np.array(devices)
        names = _names(axis_names)
        if grid.ndim != len(names):
            raise ValueError(
                "Mesh requires the ndim of its first argument (`devices`) to equal the length of "
                "its second argument (`axis_names`), but got "
                f"devices.ndim == {grid.ndim} and len(axis_names) == {len(names)}.")
        if not names and grid.flat[0] is None:
            return cls.none()
        for device in grid.flat:
            if not isinstance(device, jaxlib.Device):
                raise TypeError(
                    f"Mesh needs an array of devices; got {device}\n"
                    "  fix: Mesh(np.array(jax.devices()).reshape(...), axis_names)")
        kinds = _axis_types(axis_types, names)
        key = (names, grid.shape, tuple(grid.flat), kinds)
        found = _meshes.get(key)
        return found if found is not None else cls._make(grid, names, kinds, key)

    @classmethod
    def _make(cls, grid: np.ndarray, names: tuple, kinds: tuple, key: tuple) -> "Mesh":
        self = object.__new__(cls)
        self.devices = grid.copy()
        self.devices.flags.writeable = False
        self.axis_names = names
        self.axis_sizes = grid.shape
        self.axis_types = kinds
        self.size = grid.size if key else 0
        self._abstract = None
        self._contexts: list[Any] = []
        self._internal_device_list = (
            jaxlib.DeviceList(tuple(self.devices.flat)) if self.size else None)
        return _meshes.setdefault(key, self)

    @classmethod
    def none(cls) -> "Mesh":
        """The mesh of no device and no axis."""
        found = _meshes.get(())
        return cls._make(np.empty((), object), (), (), ()) if found is None else found

    @property
    def device_ids(self) -> np.ndarray:
        """The grid of device numbers."""
        ids = [device.id for device in self.devices.flat]
        return np.array(ids, dtype=int).reshape(self.devices.shape)

    @property
    def local_devices(self) -> list[Any]:
        """The devices that belong to this process."""
        return [d for d in self.devices.flat if d.process_index == d.client.process_index()]

    @property
    def is_multi_process(self) -> bool:
        """Whether some device belongs to another process."""
        return len(self.local_devices) != self.size

    @property
    def abstract_mesh(self) -> "AbstractMesh":
        """The same axes without the devices."""
        if self._abstract is None:
            self._abstract = self._without_devices()
        return self._abstract

    def _without_devices(self) -> "AbstractMesh":
        device = self.devices.flat[0] if self.size else None
        described = None if device is None else AbstractDevice(
            device.device_kind, getattr(device, "num_cores", None), device.platform)
        return AbstractMesh(
            self.axis_sizes, self.axis_names, self.axis_types, abstract_device=described)

    def update(self, devices: Any = None, axis_names: Any = None, axis_types: Any = None) -> "Mesh":
        """A mesh with some of devices, axis_names, axis_types replaced."""
        return Mesh(
            self.devices if devices is None else devices,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types)

    def __enter__(self) -> "Mesh":
        if config.disallow_mesh_context_manager.value:
            raise RuntimeError(errors.describe("Mesh context manager is disabled.",
                                               fix="with jax.set_mesh(mesh): ..."))
        source.warn("`with mesh:` context manager has been deprecated. Please use `with "
                    "jax.set_mesh(mesh):` instead.", DeprecationWarning)
        self._contexts.append(mesh_context.swap_local(self))
        return self

    def __exit__(self, *exc_info: Any) -> None:
        mesh_context.set_local(self._contexts.pop())

    def __str__(self) -> str:
        if not self.axis_names:
            return "Mesh()"
        return f"Mesh({self._axes_text()}, axis_types={self.axis_types})"

    def __repr__(self) -> str:
        return (
            f"Mesh(axis_sizes={self.axis_sizes}, axis_names={self.axis_names}, "
            f"axis_types={self.axis_types})")

    def __reduce__(self) -> tuple:
        return Mesh, (self.devices, self.axis_names, self.axis_types)


class AbstractDevice:
    """What an abstract mesh knows of its devices: their kind."""

    def __init__(self, device_kind: str, num_cores: int | None, platform: str):
        self.device_kind = device_kind
        self.num_cores = num_cores
        self.platform = platform

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AbstractDevice) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"AbstractDevice({self._text()})"

    def _key(self) -> tuple:
        return self.device_kind, self.num_cores, self.platform

    def _text(self) -> str:
        return (
            f"device_kind={self.device_kind}, num_cores={self.num_cores}, "
            f"platform={self.platform}")


def _abstract_mesh(sizes: tuple, names: tuple, kinds: tuple, device: Any) -> "AbstractMesh":
    return AbstractMesh(sizes, names, kinds, abstract_device=device)


_abstract_meshes: dict[tuple, "AbstractMesh"] = {}


class AbstractMesh(_Axes):
    """Named axes with sizes, without devices: enough to trace, not to run."""

    _internal_device_list = None
    abstract_device: AbstractDevice | None

    def __new__(cls, axis_sizes: Sequence[int], axis_names: str | Sequence[Hashable],
                axis_types: AxisType | Sequence[AxisType] | None = None, *,
                abstract_device: AbstractDevice | None = None) -> "AbstractMesh":
        sizes, names = tuple(axis_sizes), _names(axis_names)
        if len(sizes) != len(names):
            raise ValueError(
                "AbstractMesh needs one size per axis name; got "
                f"axis_sizes={sizes} and axis_names={names}")
        key = sizes, names, _axis_types(axis_types, names), abstract_device
        found = _abstract_meshes.get(key)
        if found is not None:
            return found
        self = object.__new__(cls)
        self.axis_sizes, self.axis_names, self.axis_types, self.abstract_device = key
        self.size = math.prod(sizes) if sizes else 0
        return _abstract_meshes.setdefault(key, self)

    @property
    def abstract_mesh(self) -> "AbstractMesh":
        return self

    def update(self, axis_sizes: Any = None, axis_names: Any = None, axis_types: Any = None,
               abstract_device: Any = None) -> "AbstractMesh":
        """A mesh with some of axis_sizes, axis_names, axis_types, abstract_device replaced."""
        return AbstractMesh(
            self.axis_sizes if axis_sizes is None else axis_sizes,
            self.axis_names if axis_names is None else axis_names,
            self.axis_types if axis_types is None else axis_types,
            abstract_device=self.abstract_device if abstract_device is None else abstract_device)

    def update_axis_types(self, axis_types: dict[Any, AxisType]) -> "AbstractMesh":
        """A mesh with other types for some axes, by name."""
        return self.update(axis_types=tuple(
            axis_types.get(name, kind) for name, kind in zip(self.axis_names, self.axis_types)))

    def __reduce__(self) -> tuple:
        key = self.axis_sizes, self.axis_names, self.axis_types, self.abstract_device
        return _abstract_mesh, key

    def __repr__(self) -> str:
        device = f", {self.abstract_device._text()}" if self.abstract_device else ""
        return f"AbstractMesh({self._axes_text()}, axis_types={self.axis_types}{device})"
