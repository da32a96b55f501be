"""Arrangements of devices in networks of TPUs, which stand-ins describe."""

import dataclasses

import numpy as np
import pytest

from minijax.experimental.mesh_utils import create_device_mesh, create_hybrid_device_mesh
from tests.helpers import error_of


@dataclasses.dataclass(frozen=True)
class Chip:
    id: int
    coords: tuple
    core_on_chip: int = 0
    process_index: int = 0
    slice_index: int = 0
    platform: str = "tpu"
    device_kind: str = "TPU v4"


def torus(x, y, z, slice_index=0):
    return [Chip(i + x * y * z * slice_index, place[::-1], slice_index=slice_index)
            for i, place in enumerate(np.ndindex(z, y, x))]


def test_each_axis_runs_along_whole_dimensions():
    mesh = create_device_mesh((4, 2, 2), torus(2, 2, 4))
    assert mesh.shape == (4, 2, 2)
    for row in mesh.reshape(4, 4).T:
        assert [d.coords[2] for d in row] == [0, 1, 2, 3]
        assert len({d.coords[:2] for d in row}) == 1


def test_trays_are_rings():
    tray = [Chip(i, (i // 2 % 2, i // 4, 0), i % 2, device_kind="TPU v3") for i in range(8)]
    ids = [d.id for d in create_device_mesh((8,), tray)]
    assert ids == [0, 1, 2, 3, 6, 7, 4, 5]
    for one, other in zip(ids, ids[1:] + ids[:1]):  # neighbours share a chip or a link
        a, b = tray[one].coords, tray[other].coords
        assert sum(abs(p - q) for p, q in zip(a, b)) <= 1


def test_slices():
    devices = torus(2, 2, 1) + torus(2, 2, 1, 1)
    mesh = create_hybrid_device_mesh((2, 2), (2, 1), devices)
    assert mesh.shape == (4, 2)
    assert {d.slice_index for d in mesh[:2].flat} == {0}
    assert {d.slice_index for d in mesh[2:].flat} == {1}


@pytest.mark.parametrize("shape, cls, text", [
    (((4,), 4), ValueError, "should be a sequence of ints"),
    ((3,), ValueError, "Number of devices 16 must equal the product of mesh_shape (3,)"),
    ((8, 2), NotImplementedError, "Failed to find assignment for logical axes of sizes (8, 2)"),
])
def test_errors(shape, cls, text):
    devices = torus(4, 4, 1)
    assert text in error_of(cls, create_device_mesh, shape, devices)
    if cls is NotImplementedError:
        assert create_device_mesh(shape, devices, allow_split_physical_axes=True).shape == shape
