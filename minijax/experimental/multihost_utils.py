"""Values that all processes of a distributed program have in common.

    process_allgather(x)            # what every process has, stacked
    sync_global_devices("saved")    # wait for each other
"""

from __future__ import annotations

import functools
import zlib
from typing import Any

import numpy as np

from minijax.api.jit import jit
from minijax.base import jaxlib, tree
from minijax.base.jaxlib import Array
from minijax.runtime import backend
from minijax.runtime.assemble import make_array_from_single_device_arrays
from minijax.runtime.place import device_put
from minijax.sharding import Mesh, NamedSharding, PartitionSpec

__all__ = ["assert_equal", "broadcast_one_to_all", "global_array_to_host_local_array",
           "host_local_array_to_global_array", "process_allgather",
           "reached_preemption_sync_point", "sync_global_devices"]


@functools.cache
def _process_mesh() -> Mesh:
    """All devices, one row per process."""
    ordered = sorted(backend.devices(), key=lambda d: (d.process_index, d.id))
    grid = np.array(ordered, object).reshape(backend.process_count(), -1)
    return Mesh(grid, ("processes", "local_devices"))


def _stacked(x: Any) -> Array:
    """A global array whose row i is the value of process i."""
    x = np.asarray(x)
    mesh = _process_mesh()
    sharding = NamedSharding(mesh, PartitionSpec("processes"))
    parts = [device_put(x[None], device) for device in mesh.local_devices]
    return make_array_from_single_device_arrays(
        (backend.process_count(), *x.shape), sharding, parts)


def _replicated(x: Array) -> np.ndarray:
    mesh = getattr(x.sharding, "mesh", None) or _process_mesh()
    everywhere = NamedSharding(mesh, PartitionSpec())
    return np.asarray(jit(lambda v: v, out_shardings=everywhere)(x).addressable_data(0))


def process_allgather(in_tree: Any, tiled: bool = False) -> Any:
    """The value of every process, stacked along a new axis, or joined along axis 0 if `tiled`.

    Global arrays, which have no value of one process, come back whole.
    """
    def gather(x: Any) -> np.ndarray:
        if isinstance(x, Array) and not x.is_fully_addressable:
            if not tiled:
                raise ValueError("Gathering global non-fully-addressable arrays only supports "
                                 "tiled=True")
            return _replicated(x)
        if backend.process_count() == 1:
            value = np.asarray(x)
            return value if tiled and value.ndim else value[None]
        rows = _replicated(_stacked(x))
        return rows.reshape(-1, *rows.shape[2:]) if tiled and rows.ndim > 1 else rows
    return tree.map(gather, in_tree)


def broadcast_one_to_all(in_tree: Any, is_source: bool | None = None) -> Any:
    """The value of one process (default: process 0) in all of them, as NumPy arrays."""
    if backend.process_count() == 1:
        return tree.map(np.asarray, in_tree)
    own = backend.process_index() == 0 if is_source is None else is_source
    source = int(np.argmax(process_allgather(np.int32(bool(own)))))
    return tree.map(lambda x: process_allgather(x)[source], in_tree)


def sync_global_devices(name: str) -> None:
    """Wait until all processes have come to the call with this name."""
    if backend.process_count() > 1:
        assert_equal(np.uint32(zlib.crc32(name.encode())),
                     f"sync_global_devices name mismatch ('{name}')")


def reached_preemption_sync_point(step_id: int) -> bool:
    """Whether all processes should save at this step, since one of them will be ended (SIGTERM).

    Every process calls it at every step; a process alone always gets False.
    """
    cluster = backend.distributed()
    return cluster is not None and _preemption(cluster.client).reached_sync_point(step_id)


@functools.cache
def _preemption(client: Any) -> Any:
    manager = jaxlib._jax.create_preemption_sync_manager()
    manager.initialize(client)
    return manager


def assert_equal(in_tree: Any, fail_message: str = "") -> None:
    """AssertionError unless all processes have equal values."""
    expected = broadcast_one_to_all(in_tree)
    same = [np.array_equal(np.asarray(x), y)
            for x, y in zip(tree.leaves(in_tree), tree.leaves(expected), strict=True)]
    # All processes fail together: those with the value of process 0 would wait for ever.
    if not np.all(process_allgather(np.bool_(all(same)))):
        raise AssertionError(f"{fail_message} Expected: {expected}; got: {in_tree}.")


def host_local_array_to_global_array(local_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """Global arrays of which each process has the part that its devices hold."""
    def join(x: Any, spec: PartitionSpec) -> Any:
        if isinstance(x, Array) and not x.is_fully_addressable:
            return x
        x = np.asarray(x)
        sharding = NamedSharding(global_mesh, spec)
        local = NamedSharding(_local_mesh(global_mesh), spec)
        scale = [whole // part for whole, part in zip(
            _counts(sharding, x.ndim), _counts(local, x.ndim), strict=True)]
        shape = tuple(n * k for n, k in zip(x.shape, scale, strict=True))
        parts = [device_put(x[index], device)
                 for device, index in local.devices_indices_map(x.shape).items()]
        return make_array_from_single_device_arrays(shape, sharding, parts)
    return _with_specs(join, local_inputs, pspecs)


def global_array_to_host_local_array(global_inputs: Any, global_mesh: Mesh, pspecs: Any) -> Any:
    """The parts of global arrays that the devices of this process hold, as local arrays."""
    def cut(x: Any, spec: PartitionSpec) -> Any:
        local = NamedSharding(_local_mesh(global_mesh), spec)
        x = device_put(x, NamedSharding(global_mesh, spec)) if x.is_fully_addressable else x
        scale = [whole // part for whole, part in zip(
            _counts(x.sharding, x.ndim), _counts(local, x.ndim), strict=True)]
        shape = tuple(n // k for n, k in zip(x.shape, scale, strict=True))
        parts = [shard.data for shard in x.addressable_shards]
        return make_array_from_single_device_arrays(shape, local, parts)
    return _with_specs(cut, global_inputs, pspecs)


def _with_specs(function: Any, values: Any, pspecs: Any) -> Any:
    leaves, treedef = tree.flatten(values)
    specs = tree.broadcast_prefix(pspecs, values, is_leaf=lambda s: s is None)
    specs = [PartitionSpec() if spec is None else spec for spec in specs]
    return treedef.unflatten(list(map(function, leaves, specs)))


def _local_mesh(mesh: Mesh) -> Mesh:
    """The part of a mesh that the devices of this process form."""
    own = np.vectorize(lambda d: d.process_index == backend.process_index())(mesh.devices)
    kept = [np.flatnonzero(own.any(axis=tuple(j for j in range(own.ndim) if j != i)))
            for i in range(own.ndim)]
    return Mesh(mesh.devices[np.ix_(*kept)], mesh.axis_names, mesh.axis_types)


def _counts(sharding: Any, ndim: int) -> list[int]:
    """Into how many parts each dimension is split."""
    shape = (sharding.mesh.size,) * ndim
    return [n // part for n, part in zip(shape, sharding.shard_shape(shape), strict=True)]
