"""What the environment tells about the processes of a job.

Each function reads the variables that one kind of cluster sets and returns a Cluster, or None where
it finds itself elsewhere.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from typing import NamedTuple

from minijax.base import errors

# Ports for a coordinator whose port nobody chose: the highest 4096, by number of the job.
_PORTS = 2**12
_LOWEST_PORT = 65535 - _PORTS + 1
_TPU_PORT = 8476


class Cluster(NamedTuple):
    """The facts that a process needs to find the others; None is not known."""

    coordinator_address: str | None = None
    num_processes: int | None = None
    process_id: int | None = None
    local_device_ids: tuple[int, ...] | None = None


def _number(env: Mapping[str, str], name: str) -> int | None:
    text = env.get(name)
    return None if text is None else int(text)


def launched(env: Mapping[str, str]) -> Cluster | None:
    """`python -m minijax.launch`, or whoever sets the same variables."""
    if "JAX_COORDINATOR_ADDRESS" not in env:
        return None
    ids = env.get("JAX_LOCAL_DEVICE_IDS")
    return Cluster(env["JAX_COORDINATOR_ADDRESS"], _number(env, "JAX_NUM_PROCESSES"),
                   _number(env, "JAX_PROCESS_ID"),
                   tuple(map(int, ids.split(","))) if ids else None)


def slurm(env: Mapping[str, str]) -> Cluster | None:
    """A step of a Slurm job: one process per task."""
    nodes = env.get("SLURM_STEP_NODELIST")
    if nodes is None or "SLURM_JOB_ID" not in env:
        return None
    port = int(env["SLURM_JOB_ID"]) % _PORTS + _LOWEST_PORT
    local = _number(env, "SLURM_LOCALID")
    return Cluster(f"{_first_node(nodes)}:{port}", _number(env, "SLURM_NTASKS"),
                   _number(env, "SLURM_PROCID"), None if local is None else (local,))


def _first_node(nodes: str) -> str:
    """`node001` of `node[001-015,020]`, `host1` of `host1,host2`."""
    found = re.match(r"([^\[,]*)(?:\[([^\],-]*)[^\]]*\](.*?)(?:,|$))?", nodes)
    return "".join(part or "" for part in found.groups())


def open_mpi(env: Mapping[str, str]) -> Cluster | None:
    """A program started by Open MPI's mpirun."""
    uri = env.get("OMPI_MCA_orte_hnp_uri") or env.get("PMIX_SERVER_URI41")
    if uri is None or "OMPI_COMM_WORLD_SIZE" not in env:
        return None
    job = re.match(r"[^0-9]*(\d+)", uri)
    address = re.search(r"tcp\d?://\[?([^,\]:]+)", uri)
    if job is None or address is None:
        return None
    port = int(job.group(1)) % _PORTS + _LOWEST_PORT
    local = _number(env, "OMPI_COMM_WORLD_LOCAL_RANK")
    return Cluster(f"{address.group(1)}:{port}", _number(env, "OMPI_COMM_WORLD_SIZE"),
                   _number(env, "OMPI_COMM_WORLD_RANK"), None if local is None else (local,))


def kubernetes(env: Mapping[str, str]) -> Cluster | None:
    """A pod of an indexed Job with a headless service; pods are called `<job>-<index>`.

    The number of pods is not in the environment of a pod unless the manifest puts it there, as
    JAX_NUM_PROCESSES.
    """
    index = _number(env, "JOB_COMPLETION_INDEX")
    if index is None or "KUBERNETES_SERVICE_HOST" not in env:
        return None
    host, _, domain = socket.getfqdn(env.get("HOSTNAME", "")).partition(".")
    name = re.sub(rf"-{index}$", "-0", host)
    address = f"{name}.{domain}" if domain else name
    return Cluster(f"{address}:{_TPU_PORT}", _number(env, "JAX_NUM_PROCESSES"), index)


def cloud_tpu(env: Mapping[str, str]) -> Cluster | None:
    """A host of a Cloud TPU slice, or of several slices."""
    hosts = [host for host in env.get("TPU_WORKER_HOSTNAMES", "").split(",") if host]
    worker = _number(env, "TPU_WORKER_ID")
    if not hosts or worker is None:
        return None
    slices = _number(env, "MEGASCALE_NUM_SLICES") or 1
    own = _number(env, "MEGASCALE_SLICE_ID") or 0
    first = env.get("MEGASCALE_COORDINATOR_ADDRESS", hosts[0]).partition(":")[0]
    return Cluster(f"{first}:{_TPU_PORT}", slices * len(hosts), own * len(hosts) + worker)


METHODS: dict[str, Callable[[Mapping[str, str]], Cluster | None]] = {
    "launch": launched, "slurm": slurm, "ompi": open_mpi, "k8s": kubernetes,
    "cloud_tpu": cloud_tpu,
}


def detect(method: str | None = None, env: Mapping[str, str] | None = None) -> Cluster | None:
    """What the first cluster that recognises itself says, or the one called `method`."""
    if method is not None and method not in METHODS:
        raise ValueError(errors.describe(f"unknown cluster_detection_method {method!r}",
                                         fix=f"one of {sorted(METHODS)} or 'deactivate'"))
    env = os.environ if env is None else env
    for name in METHODS if method is None else (method,):
        found = METHODS[name](env)
        if found is not None:
            return found
    return None
