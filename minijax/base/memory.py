"""Kinds of memory, by what they are for; each backend has names of its own for them."""

import enum


class Space(enum.Enum):
    """Where a value lives: in the memory of its device, or in that of the host."""

    Device = enum.auto()
    Host = enum.auto()
    Any = enum.auto()

    def __repr__(self) -> str:
        return f"MemorySpace.{self.name}"

    __str__ = __repr__
