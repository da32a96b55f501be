"""`jax.debug`: printing and calling back from compiled programs."""

from minijax.api.debug import (DebugEffect, OrderedDebugEffect, callback, inspect_array_sharding,
                               log, print)

__all__ = ["DebugEffect", "OrderedDebugEffect", "callback", "inspect_array_sharding", "log",
           "print"]
