"""`jax.extend.backend`: the clients of XLA behind the devices."""

from __future__ import annotations

from typing import Any

from minijax.runtime.backend import clear_backends, clients as backends
from minijax.runtime.backend import default_device as get_default_device
from minijax.runtime.backend import get_client as get_backend
from minijax.runtime.compile import clear_caches as clear_in_memory_compilation_cache
from minijax.runtime.compile import compile_options

__all__ = ["backend_xla_version", "backends", "clear_backends",
           "clear_in_memory_compilation_cache", "get_backend", "get_compile_options",
           "get_default_device"]


def backend_xla_version(platform: str | None = None) -> int | None:
    """The version of XLA that a client says it has; None if it does not say."""
    return getattr(get_backend(platform), "xla_version", None)


def get_compile_options(num_replicas: int, num_partitions: int, device_assignment: Any = None,
                        env_options_overrides: dict[str, Any] | None = None,
                        backend: Any = None) -> Any:
    """Options for `client.compile_and_load` on devices, or on the first ones of the client."""
    count = num_replicas * num_partitions
    if device_assignment is None:
        devices = tuple((backend or get_backend()).devices()[:count])
    else:
        known = {d.id: d for d in (backend or get_backend()).devices()}
        rows = [row if hasattr(row, "__iter__") else [row] for row in device_assignment]
        flat = [x for row in rows for x in row]
        devices = tuple(known[getattr(x, "id", int(x))] for x in flat)
    return compile_options(devices, tuple((env_options_overrides or {}).items()))
