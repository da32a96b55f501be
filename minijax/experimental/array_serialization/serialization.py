"""Checkpoints of arrays through tensorstore, written while the program goes on.

    manager = GlobalAsyncCheckpointManager()
    manager.serialize_with_paths([x], ["/data/x"])
    manager.wait_until_finished()
    x, = manager.deserialize_with_paths([x.sharding], ["/data/x"])

Each process writes the shards that it has first copies of.  Needs the package tensorstore.
"""

import abc
import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import tensorstore as ts

from minijax.base import errors
from minijax.base.jaxlib import Array, Sharding
from minijax.runtime import assemble, backend, place

__all__ = ["GlobalAsyncCheckpointManager", "GlobalAsyncCheckpointManagerBase",
           "get_tensorstore_spec"]

_BUCKETS = {"gs": "gcs", "s3": "s3"}


def get_tensorstore_spec(
    ckpt_path: str | os.PathLike[str], *, ocdbt: bool = False, process_idx: int | None = None,
    arr: Array | None = None, driver: str = "zarr",
) -> dict[str, Any]:
    """How tensorstore opens the array stored at a path or at "gs://bucket/path".

    ocdbt: many arrays share one database, in the folder of the path; process_idx: in a folder of
    this process; arr: the array that will be written.
    """
    folder, name = os.path.split(os.path.normpath(os.fspath(ckpt_path)).replace(":/", "://", 1))
    if process_idx is not None:
        folder = os.path.join(folder, f"process_{process_idx}")
    store = {"driver": "ocdbt", "base": _store(folder), "path": name} if ocdbt else _store(
        os.path.join(folder, name))
    spec = {"driver": driver, "kvstore": store}
    if arr is not None:
        spec["metadata"] = _metadata(driver, arr)
    return spec


def _store(path: str) -> dict[str, str]:
    bucket = re.fullmatch(r"(gs|s3)://([^/]+)/(.*)", path)
    if bucket:
        return {"driver": _BUCKETS[bucket[1]], "bucket": bucket[2], "path": bucket[3]}
    if not os.path.isabs(path):
        raise ValueError(errors.describe(f"Checkpoint path should be absolute. Got {path}",
                                         fix="os.path.abspath(path)"))
    return {"driver": "file", "path": path}


def _metadata(driver: str, array: Array) -> dict[str, Any]:
    chunks = [max(1, size) for size in array.sharding.shard_shape(array.shape)]
    if driver == "zarr3":
        grid = {"name": "regular", "configuration": {"chunk_shape": chunks}}
        return {"shape": array.shape, "data_type": array.dtype.name, "chunk_grid": grid,
                "codecs": []}
    return {"shape": array.shape, "chunks": chunks, "compressor": {"id": "zstd"}}


class GlobalAsyncCheckpointManagerBase(abc.ABC):
    """What programs may ask of a manager of checkpoints."""

    @abc.abstractmethod
    def check_for_errors(self) -> None:
        """Raise what went wrong in writing."""

    @abc.abstractmethod
    def wait_until_finished(self) -> None:
        """Return when everything is written."""

    @abc.abstractmethod
    def serialize(self, arrays: Sequence[Array], tensorstore_specs: Sequence[dict[str, Any]], *,
                  on_commit_callback: Callable[[], None]) -> None:
        """Begin to write the arrays."""

    @abc.abstractmethod
    def deserialize(self, shardings: Sequence[Sharding],
                    tensorstore_specs: Sequence[dict[str, Any]],
                    global_shapes: Sequence[tuple[int, ...]] | None = None,
                    dtypes: Sequence[Any] | None = None) -> list[Array]:
        """Read arrays."""


class GlobalAsyncCheckpointManager(GlobalAsyncCheckpointManagerBase):
    """Writes in one thread; a second `serialize` waits for the first."""

    def __init__(self, timeout_secs: int = 300):
        self._timeout = timeout_secs
        self._writer = ThreadPoolExecutor(1, "checkpoint")
        self._last: Future | None = None
        self._saves = 0

    def check_for_errors(self) -> None:
        if self._last is not None and self._last.done():
            self.wait_until_finished()

    def wait_until_finished(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def serialize(self, arrays: Sequence[Array], tensorstore_specs: Sequence[dict[str, Any]], *,
                  on_commit_callback: Callable[[], None] | None = None,
                  transaction: Any = None) -> None:
        """Copy the arrays to the host at once and write them later; then call the function.

        With a transaction nothing is stored before the program commits it.
        """
        self.wait_until_finished()
        self._saves += 1
        work = []
        for array, spec in zip(arrays, tensorstore_specs, strict=True):
            spec.setdefault("metadata", _metadata(spec["driver"], array))
            spec.setdefault("dtype", array.dtype.name)
            shards = [(shard.index, np.array(shard.data)) for shard in array.addressable_shards
                      if shard.replica_id == 0]
            work.append((spec, shards))
        self._last = self._writer.submit(self._write, work, self._saves, on_commit_callback,
                                         transaction)

    def _write(self, work: list, number: int, on_commit: Callable[[], None] | None,
               transaction: Any) -> None:
        for spec, shards in work:
            store = ts.open(ts.Spec(spec), create=True, open=True,
                            transaction=transaction).result()
            for write in [store[index].write(value) for index, value in shards]:
                write.result()
        if backend.process_count() > 1:
            backend.distributed().client.wait_at_barrier(f"checkpoint_{number}",
                                                         self._timeout * 1000)
        if on_commit is not None and backend.process_index() == 0:
            on_commit()

    def serialize_with_paths(
        self, arrays: Sequence[Array], paths: Sequence[str], *,
        on_commit_callback: Callable[[], None] | None = None, transaction: Any = None,
    ) -> None:
        """`serialize`, each array at its path."""
        specs = [get_tensorstore_spec(path) for path in paths]
        self.serialize(arrays, specs, on_commit_callback=on_commit_callback,
                       transaction=transaction)

    def deserialize(self, shardings: Sequence[Any], tensorstore_specs: Sequence[dict[str, Any]],
                    global_shapes: Sequence[tuple[int, ...]] | None = None,
                    dtypes: Sequence[Any] | None = None, concurrent_gb: int = 32) -> list[Array]:
        """Arrays as stored, or at other shapes (cut, or filled up with zeros) and dtypes.

        A sharding may be a `Format`, that is with a layout; one array at a time is in flight, so
        `concurrent_gb` changes nothing.
        """
        self.wait_until_finished()
        none = [None] * len(shardings)
        return [_read(*given) for given in zip(shardings, tensorstore_specs,
                                               global_shapes or none, dtypes or none, strict=True)]

    def deserialize_with_paths(
        self, shardings: Sequence[Any], paths: Sequence[str],
        global_shapes: Sequence[tuple[int, ...]] | None = None,
        dtypes: Sequence[Any] | None = None, concurrent_gb: int = 32,
    ) -> list[Array]:
        """`deserialize` of what `serialize_with_paths` wrote."""
        specs = [get_tensorstore_spec(path) for path in paths]
        return self.deserialize(shardings, specs, global_shapes, dtypes, concurrent_gb)


def _read(where: Any, spec: dict[str, Any], shape: tuple[int, ...] | None, dtype: Any) -> Array:
    store = ts.open(ts.Spec(spec), open=True).result()
    shape = tuple(store.shape if shape is None else shape)

    def part(index: tuple[slice, ...]) -> np.ndarray:
        bounds = [axis.indices(size)[:2] for axis, size in zip(index, shape)]
        out = np.zeros([high - low for low, high in bounds], dtype or store.dtype.numpy_dtype)
        stored = tuple(slice(low, max(low, min(high, size)))
                       for (low, high), size in zip(bounds, store.shape))
        found = store[stored].read().result()
        out[tuple(map(slice, found.shape))] = found
        return out

    array = assemble.make_array_from_callback(shape, getattr(where, "sharding", where), part)
    return array if isinstance(where, Sharding) else place.device_put(array, where)
