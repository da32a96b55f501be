"""What shardings and types say of kinds of memory."""

from typing import Any

from minijax.base.memory import Space


def space_of(sharding: Any) -> Space | None:
    """What types say of values placed like this: None in the device's own memory."""
    return Space.Host if getattr(sharding, "memory_kind", None) == "pinned_host" else None


def in_memory_of(aval: Any, sharding: Any) -> Any:
    """The sharding in the kind of memory that the type says."""
    space = getattr(aval, "memory_space", Space.Device)
    return sharding if space is Space.Device else in_space(sharding, space)


def in_space(sharding: Any, space: Space) -> Any:
    """The same sharding in another kind of memory."""
    if space is Space.Any:
        return sharding
    device = next(iter(sharding._internal_device_list))
    default = device.default_memory().kind
    return sharding.with_memory_kind(default if space is Space.Device else "pinned_host")
