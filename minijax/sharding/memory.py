"""Kinds of memory, by what they are for; each backend has names of its own for them."""

import enum
from typing import Any


class Space(enum.Enum):
    """Where a value lives: in the memory of its device, or in that of the host."""

    Device = enum.auto()
    Host = enum.auto()
    Any = enum.auto()

    def __repr__(self) -> str:
        return f"MemorySpace.{self.name}"


def in_space(sharding: Any, space: Space) -> Any:
    """The same sharding in another kind of memory."""
    if space is Space.Any:
        return sharding
    device = next(iter(sharding._internal_device_list))
    default = device.default_memory().kind
    return sharding.with_memory_kind(default if space is Space.Device else "pinned_host")
