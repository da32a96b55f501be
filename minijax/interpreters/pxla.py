"""How programs for several devices get their arguments and results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base.jaxlib import HloSharding
from minijax.runtime import place
from minijax.runtime.compile import Executable as MeshExecutable
from minijax.runtime.compile import Program as MeshComputation

__all__ = ["Index", "MeshAxisName", "MeshComputation", "MeshExecutable",
           "are_hlo_shardings_equal", "global_aval_to_result_handler",
           "global_avals_to_results_handler", "is_hlo_sharding_replicated"]

Index = int | slice | tuple[int | slice, ...]
MeshAxisName = Any


def is_hlo_sharding_replicated(hc: HloSharding) -> bool:
    """Whether every device has all of the array."""
    return hc.num_devices() == 1 or hc.is_replicated()


def are_hlo_shardings_equal(hc1: HloSharding, hc2: HloSharding) -> bool:
    """Whether two shardings mean the same."""
    if hc1 is hc2 or hc1 == hc2:
        return True
    return is_hlo_sharding_replicated(hc1) and is_hlo_sharding_replicated(hc2)


def global_aval_to_result_handler(aval: Any, out_sharding: Any, committed: bool) -> Callable:
    """What makes an array of type `aval` out of the buffers of a result."""
    return place.result_handler(aval, out_sharding, committed)


def global_avals_to_results_handler(global_out_avals: Sequence[Any], shardings: Sequence[Any],
                                    committed: bool) -> Callable:
    """The same for a list of results."""
    handlers = [place.result_handler(a, s, committed) for a, s in zip(global_out_avals, shardings)]
    return lambda buffers: [handler(x) for handler, x in zip(handlers, buffers)]
