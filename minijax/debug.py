"""`jax.debug`: printing, calling back from compiled programs, looking at them and at shardings."""

from minijax.api.breakpoint import breakpoint
from minijax.api.debug import (DebugEffect, OrderedDebugEffect, callback, inspect_array_sharding,
                               log, print)
from minijax.api.visualize import visualize_array_sharding, visualize_sharding

__all__ = ["DebugEffect", "OrderedDebugEffect", "breakpoint", "callback", "inspect_array_sharding",
           "log", "print", "visualize_array_sharding", "visualize_sharding"]
