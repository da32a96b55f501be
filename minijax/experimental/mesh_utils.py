"""Arrangements of devices whose neighbours in the mesh are neighbours in the network.

    Mesh(create_device_mesh((4, 2)), ("data", "model"))
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.runtime import backend

__all__ = ["create_device_mesh", "create_hybrid_device_mesh", "device_kind_handler_dict"]

# The cores of a tray of four TPU v2 or v3 chips, in the order of the ring that joins them.
_TRAY_RING = (0, 1, 2, 3, 6, 7, 4, 5)
# The chips of a 4x2 tray of TPU v5e, likewise.
_V5E_RING = (0, 1, 2, 3, 7, 6, 5, 4)


def _tray_mesh(shape: Sequence[int], devices: Sequence[Any]) -> np.ndarray | None:
    """For TPU v2 and v3: rings over trays of eight cores, where the last axis fits them."""
    size = len(_TRAY_RING)
    if shape[-1] != size and len(devices) != size:
        return None
    trays: dict[int, list] = {}
    for device in sorted(devices, key=lambda d: d.id):
        trays.setdefault(device.process_index, []).append(device)
    if any(len(tray) != size for tray in trays.values()):
        return None
    return _grid([tray[i] for _, tray in sorted(trays.items()) for i in _TRAY_RING], shape)


def _v5e_mesh(shape: Sequence[int], devices: Sequence[Any]) -> np.ndarray | None:
    """For TPU v5e: the ring over a 4x2 tray."""
    ordered = sorted(devices, key=lambda d: d.id)
    if len({d.process_index for d in devices}) == 2 and len(devices) == len(_V5E_RING) and len(
            {d.coords[2] for d in devices}) == 1:
        return _grid([ordered[i] for i in _V5E_RING], shape)
    return None


# By kind of device: (mesh shape, devices) to the arrangement, or None for the general one.
device_kind_handler_dict: dict[str, Callable[..., np.ndarray | None]] = {
    "TPU v2": _tray_mesh, "TPU v3": _tray_mesh, "TPU v5 lite": _v5e_mesh}


def create_device_mesh(mesh_shape: Sequence[int], devices: Sequence[Any] | None = None, *,
                       contiguous_submeshes: bool = False,
                       allow_split_physical_axes: bool = False) -> np.ndarray:
    """An array of devices of shape `mesh_shape`, arranged for fast collectives.

    contiguous_submeshes: the devices of each process form a block. allow_split_physical_axes: a
    dimension of the network may serve several mesh axes. ValueError when the numbers differ, or
    the network has no dimensions for the mesh axes.
    """
    devices = backend.devices() if devices is None else list(devices)
    shape = tuple(mesh_shape)
    if not all(hasattr(size, "__index__") for size in shape):
        raise ValueError(errors.describe(
            "`mesh_shape` passed to `create_device_mesh` should be a sequence of ints; got "
            f"{mesh_shape}", fix="create_device_mesh((4, 2))"))
    if math.prod(shape) != len(devices):
        raise ValueError(errors.describe(
            f"Number of devices {len(devices)} must equal the product of mesh_shape {shape}",
            fix="create_device_mesh(shape, devices=jax.devices()[:n])"))
    first = devices[0]
    handler = device_kind_handler_dict.get(first.device_kind)
    found = handler(shape, devices) if handler is not None else None
    if found is not None:
        return found
    if first.platform != "tpu":
        return _grid(devices, shape)
    return _torus_mesh(shape, _physical_mesh(devices), allow_split_physical_axes)


def _grid(devices: Sequence[Any], shape: Sequence[int]) -> np.ndarray:
    grid = np.empty(len(devices), object)
    grid[:] = devices
    return grid.reshape(tuple(shape))


def _physical_mesh(devices: Sequence[Any]) -> np.ndarray:
    """The devices at their coordinates in the network; a chip's cores are a dimension too."""
    places = [(*d.coords, d.core_on_chip) for d in devices]
    low = np.min(places, axis=0)
    shape = np.max(places, axis=0) - low + 1
    if shape.prod() != len(devices):
        raise ValueError(errors.describe(
            f"the coordinates of {len(devices)} devices fill no box of shape {tuple(shape)}",
            fix="choose devices that are a contiguous part of the network"))
    grid = np.empty(shape, object)
    for place, device in zip(places, devices):
        grid[tuple(np.array(place) - low)] = device
    return grid.reshape([*shape[:2], shape[2] * shape[3]]) if shape[3] > 1 else grid[..., 0]


def _torus_mesh(shape: tuple[int, ...], physical: np.ndarray, split: bool) -> np.ndarray:
    """Each axis of the mesh over whole dimensions of the network."""
    groups = next(_assignments(shape, dict(enumerate(physical.shape))), None)
    if groups is not None:
        order = [axis for group in groups for axis in group]
        rest = [axis for axis in range(physical.ndim) if axis not in order]
        return physical.transpose(*order, *rest).reshape(shape)
    if split:
        return physical.reshape(shape)
    raise NotImplementedError(errors.describe(
        f"Failed to find assignment for logical axes of sizes {shape} in a network of shape "
        f"{physical.shape}", fix="create_device_mesh(..., allow_split_physical_axes=True)"))


def _assignments(sizes: tuple[int, ...], free: dict[int, int]) -> Iterator[list[tuple]]:
    """All ways to give each size a group of dimensions whose product it is, larger groups first."""
    if not sizes:
        yield []
        return
    for count in range(len(free), -1, -1):
        for group in itertools.combinations(free, count):
            if math.prod(free[axis] for axis in group) == sizes[0]:
                rest = {axis: size for axis, size in free.items() if axis not in group}
                for others in _assignments(sizes[1:], rest):
                    yield [group, *others]


def create_hybrid_device_mesh(mesh_shape: Sequence[int], dcn_mesh_shape: Sequence[int],
                              devices: Sequence[Any] | None = None, *,
                              process_is_granule: bool = False,
                              should_sort_granules_by_key: bool = True,
                              allow_split_physical_axes: bool = False) -> np.ndarray:
    """A mesh over several slices: `mesh_shape` within each, `dcn_mesh_shape` between them.

    The result has the product of both shapes. A slice is what has one `slice_index`, or with
    `process_is_granule` the devices of one process.
    """
    devices = backend.devices() if devices is None else list(devices)
    attribute = "process_index" if process_is_granule else "slice_index"
    if not hasattr(devices[0], attribute):
        raise ValueError(errors.describe(
            f"Device {devices[0]} does not have attribute {attribute}. See `process_is_granule` "
            "option.", fix="create_hybrid_device_mesh(..., process_is_granule=True)"))
    granules: dict[int, list] = {}
    for device in devices:
        granules.setdefault(getattr(device, attribute), []).append(device)
    keys = sorted(granules) if should_sort_granules_by_key else list(granules)
    if math.prod(dcn_mesh_shape) != len(keys):
        raise ValueError(errors.describe(
            f"Number of slices {len(keys)} must equal the product of dcn_mesh_shape "
            f"{tuple(dcn_mesh_shape)}", fix="change dcn_mesh_shape"))
    inner = [create_device_mesh(mesh_shape, granules[key],
                                allow_split_physical_axes=allow_split_physical_axes)
             for key in keys]
    blocks = np.empty(len(keys), object)
    blocks[:] = inner
    return np.block(blocks.reshape(tuple(dcn_mesh_shape)).tolist())
