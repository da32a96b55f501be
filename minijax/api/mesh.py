"""`make_mesh`: the devices of a backend as a mesh."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.runtime import backend
from minijax.sharding import AxisType, Mesh

__all__ = ["make_mesh"]


def make_mesh(axis_shapes: Sequence[int], axis_names: Sequence[str],
              axis_types: tuple[AxisType, ...] | None = None, *,
              devices: Sequence[Any] | None = None) -> Mesh:
    """A mesh of the first devices (or of `devices`); axes are Explicit unless `axis_types` says.

    ValueError when there are fewer devices than the mesh has places.
    """
    devices = backend.devices() if devices is None else list(devices)
    shape = tuple(axis_shapes)
    for size in shape:
        if not hasattr(size, "__index__"):
            raise ValueError(errors.describe(
                "`axis_shapes` passed to `make_mesh` should be a sequence of ints. Got "
                f"{axis_shapes}",
                fix="jax.make_mesh((4, 2), ('x', 'y'))"))
    wanted = math.prod(shape)
    if len(devices) < wanted:
        raise ValueError(errors.describe(
            f"Number of devices {len(devices)} must be >= the product of mesh_shape {shape}",
            fix="use a smaller mesh; JAX_NUM_CPU_DEVICES=8 gives eight virtual CPU devices"))
    grid = np.empty(wanted, object)
    grid[:] = devices[:wanted]
    names = (axis_names,) if isinstance(axis_names, str) else tuple(axis_names)
    types = (AxisType.Explicit,) * len(names) if axis_types is None else axis_types
    return Mesh(grid.reshape(shape), names, types)
