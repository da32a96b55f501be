"""Functions of colocated Python, and the CPU devices that they see."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.api.misc import ShapeDtypeStruct
from minijax.base import errors, tree
from minijax.base.jaxlib import Array, Device
from minijax.runtime import backend, place
from minijax.sharding import Mesh


def colocated_cpu_devices(devices_or_mesh: Sequence[Device] | Mesh) -> list[Device] | Mesh:
    """The CPU devices on the hosts of these devices, in the same order; of a mesh, such a mesh."""
    if isinstance(devices_or_mesh, Mesh):
        mesh = devices_or_mesh
        found = colocated_cpu_devices(list(mesh.devices.flat))
        return Mesh(np.array(found).reshape(mesh.devices.shape), mesh.axis_names,
                    axis_types=mesh.axis_types)
    by_process: dict[int, list[Device]] = {}
    for device in backend.devices("cpu"):
        by_process.setdefault(device.process_index, []).append(device)
    used: dict[int, int] = {}
    found = []
    for device in devices_or_mesh:
        if device.platform != "cpu":
            beside = by_process[device.process_index]
            position = used.setdefault(device.process_index, 0)
            used[device.process_index] += 1
            device = beside[position % len(beside)]
        found.append(device)
    return found


def make_callable(fun: Callable[..., Any]) -> Callable[..., Any]:
    """`fun` as a function of arrays that runs beside them; `.specialize` says more about it."""
    return _specialized(fun, None, None, None)


def _specialized(fun: Callable[..., Any], in_specs: Any, out_specs_fn: Callable[..., Any] | None,
                 devices: Sequence[Device] | None) -> Callable[..., Any]:
    """With types of the arguments and results, and the devices where calls run, where given."""
    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        given = tree.map(_spec, (args, kwargs))
        _check_devices(devices or {d for s in tree.leaves(given) for d in s.sharding.device_set})
        if in_specs is not None and tree.structure(given) != tree.structure(in_specs):
            raise ValueError(errors.describe(
                f"Input specs in specialization and input specs of arguments must have the same "
                f"pytree structure, but they have {tree.structure(in_specs)} and "
                f"{tree.structure(given)}"))
        out = fun(*args, **kwargs)
        if out_specs_fn is None:
            return out
        return tree.map(_placed, out_specs_fn(*given[0], **given[1]), out)

    def specialize(in_specs: Any = in_specs, out_specs_fn: Callable[..., Any] | None = out_specs_fn,
                   devices: Sequence[Device] | None = devices) -> Callable[..., Any]:
        return _specialized(fun, in_specs, out_specs_fn, devices)

    call.specialize = specialize
    return call


def _spec(x: Array) -> ShapeDtypeStruct:
    return ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _check_devices(devices: Any) -> None:
    if not devices:
        raise ValueError(errors.describe(
            "No devices found. colocated_python function without input arguments must be first "
            "specialized with devices.", fix="f.specialize(devices=jax.devices())()"))
    if all(device.process_index != backend.process_index() for device in devices):
        raise ValueError(errors.describe(
            "a colocated_python function runs on the hosts of its devices, and none of "
            f"{list(devices)} is of this process", fix="call it where they are local devices"))


def _placed(spec: ShapeDtypeStruct, x: Array) -> Array:
    if (x.shape, x.dtype) != (spec.shape, spec.dtype):
        raise ValueError(errors.describe(
            f"a colocated_python function returned {x.dtype}{list(x.shape)} where out_specs_fn "
            f"says {spec.dtype}{list(spec.shape)}"))
    return x if spec.sharding is None else place.device_put(x, spec.sharding)
