"""`jax.experimental.shard_map`: `jax.shard_map` under its former name and parameters."""

from collections.abc import Callable
from typing import Any

from minijax.api.shard_map import shard_map as _shard_map
from minijax.base import source

__all__ = ["shard_map"]


def shard_map(f: Callable, mesh: Any, in_specs: Any, out_specs: Any,
              check_rep: bool = True) -> Callable:
    """`jax.shard_map` with `check_rep` for `check_vma`."""
    source.warn("jax.experimental.shard_map is deprecated in v0.8.0. Used jax.shard_map instead.",
                DeprecationWarning)
    return _shard_map(f, mesh=mesh, in_specs=in_specs, out_specs=out_specs, check_vma=check_rep)
