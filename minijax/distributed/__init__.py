"""`jax.distributed`: several processes, each with some of the devices, as one program.

Process 0 runs a service through which all find each other. Invariant: a process that dies ends the
others, with a message that names it; none waits for ever.

    jax.distributed.initialize("10.0.0.1:1234", num_processes=2, process_id=0)
    jax.device_count()                  # those of both processes
"""

from __future__ import annotations

import atexit
import logging
from collections.abc import Sequence
from typing import Any

from minijax.base import errors, jaxlib
from minijax.base.config import config
from minijax.distributed.clusters import Cluster, detect
from minijax.runtime import backend

__all__ = ["initialize", "is_initialized", "shutdown"]

logger = logging.getLogger(__name__)


class _State:
    """The connection of this process, and the service if it is process 0."""

    client: Any = None
    service: Any = None


_state = _State()


def initialize(coordinator_address: str | None = None, num_processes: int | None = None,
               process_id: int | None = None,
               local_device_ids: int | Sequence[int] | None = None,
               cluster_detection_method: str | None = None, initialization_timeout: int = 300,
               heartbeat_timeout_seconds: int = 100, shutdown_timeout_seconds: int = 300,
               coordinator_bind_address: str | None = None, slice_index: int | None = None,
               partition_index: int | None = None) -> None:
    """Connect this process with the others; call it before anything that makes arrays.

    What is not given is found out where the processes were started by `python -m minijax.launch`,
    Slurm, Open MPI, Kubernetes or on a Cloud TPU. Timeouts are in seconds. ValueError when a fact
    is missing, RuntimeError when called twice or too late, JaxRuntimeError when the others do not
    come.
    """
    if is_initialized():
        raise RuntimeError(errors.describe("distributed.initialize should only be called once.",
                                           fix="jax.distributed.shutdown() first"))
    if backend.initialized():
        raise RuntimeError(errors.describe(
            "jax.distributed.initialize() must be called before any JAX calls that might "
            "initialise the XLA backend.", fix="call it right after the imports"))
    given = Cluster(coordinator_address, num_processes, process_id, _ids(local_device_ids))
    found = _completed(given, cluster_detection_method)
    if found.local_device_ids is not None:
        visible = ",".join(map(str, found.local_device_ids))
        config.update("jax_cuda_visible_devices", visible)
        config.update("jax_rocm_visible_devices", visible)
    _connect(found, coordinator_bind_address, initialization_timeout, heartbeat_timeout_seconds,
             shutdown_timeout_seconds)


def _ids(given: int | Sequence[int] | None) -> tuple[int, ...] | None:
    if given is None:
        return None
    return (given,) if isinstance(given, int) else tuple(given)


def _completed(given: Cluster, method: str | None) -> Cluster:
    """The facts that were given, and those that the environment tells."""
    found = given
    if None in given[:3] and method != "deactivate":
        detected = detect(method)
        if detected is not None:
            found = Cluster(*[d if g is None else g for g, d in zip(given, detected)])
    for name, value in zip(("coordinator_address", "Number of processes", "process_id"), found):
        if value is None:
            raise ValueError(errors.describe(
                f"{name if ' ' in name else repr(name)[1:-1]} should be defined.",
                because="it was not given, and the environment is none of a known cluster",
                fix="jax.distributed.initialize('host:1234', num_processes=2, process_id=0)"))
    if not 0 <= found.process_id < found.num_processes:
        raise ValueError(errors.describe(
            f"process_id {found.process_id} is not one of {found.num_processes} processes",
            fix=f"number them from 0 to {found.num_processes - 1}"))
    return found


def _connect(cluster: Cluster, bind_address: str | None, start: int, heartbeat: int,
             stop: int) -> None:
    if cluster.process_id == 0:
        port = cluster.coordinator_address.rpartition(":")[2]
        _state.service = jaxlib._jax.get_distributed_runtime_service(
            bind_address or f"[::]:{port}", cluster.num_processes, heartbeat_timeout=heartbeat,
            shutdown_timeout=stop)
    client = jaxlib._jax.get_distributed_runtime_client(
        cluster.coordinator_address, cluster.process_id, init_timeout=start,
        heartbeat_timeout=heartbeat, shutdown_timeout=stop, shutdown_on_destruction=False,
        use_compression=True)
    logger.info("Connecting to the service at %s", cluster.coordinator_address)
    client.connect()
    _state.client = client
    backend.join(backend.Cluster(client, cluster.process_id, cluster.num_processes))
    atexit.register(shutdown)


def is_initialized() -> bool:
    """Whether this process is connected with others."""
    return _state.client is not None


def shutdown() -> None:
    """Disconnect, after all processes have come to this call; nothing if not connected."""
    client, service = _state.client, _state.service
    _state.client = _state.service = None
    atexit.unregister(shutdown)
    if client is not None:
        client.shutdown()
        backend.join(None)
    if service is not None:
        service.shutdown()
