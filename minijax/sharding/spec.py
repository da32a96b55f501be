"""PartitionSpec: which mesh axes split which dimension of an array.

One entry per leading dimension: None (not split), the name of a mesh axis, or a tuple of names
(the first varies slowest).  Invariant: a tuple of one name is stored as the name, and an empty
tuple as None, so equal specs compare equal.

    P("x", None)            # dimension 0 over axis x, dimension 1 not at all
    P(("x", "y"))           # dimension 0 over both
"""

from collections.abc import Hashable, Iterator, Set
from typing import Any


class _Unconstrained:
    """The entry that leaves the choice for a dimension to the compiler."""

    def __repr__(self) -> str:
        return "UNCONSTRAINED"

    def __reduce__(self) -> str:
        return "_UNCONSTRAINED"


_UNCONSTRAINED = _Unconstrained()


def _canonical(entry: Any) -> Any:
    if isinstance(entry, (tuple, list)):
        for axis in entry:
            if isinstance(axis, (tuple, list)):
                raise ValueError(
                    "A tuple inside PartitionSpec cannot contain a nested tuple. "
                    f"Got partition: {entry} and the nested tuple: {axis}")
        if not entry:
            return None
        return entry[0] if len(entry) == 1 else tuple(entry)
    return entry


class PartitionSpec:
    """How the dimensions of an array are split over the axes of a mesh."""

    __slots__ = ("partitions", "unreduced", "reduced", "_hash")
    UNCONSTRAINED = _UNCONSTRAINED

    def __new__(cls, *partitions: Any, unreduced: Set[Hashable] = frozenset(),
                reduced: Set[Hashable] = frozenset()) -> "PartitionSpec":
        self = super().__new__(cls)
        self.partitions: tuple[Any, ...] = tuple([_canonical(entry) for entry in partitions])
        self.unreduced = _axis_set("unreduced", unreduced)
        self.reduced = _axis_set("reduced", reduced)
        self._hash = None
        if self.unreduced or self.reduced:
            self._check_disjoint()
        return self

    def _check_disjoint(self) -> None:
        used = {axis for axes in axes_of(self.partitions) for axis in axes}
        for name, axes in (("unreduced", self.unreduced), ("reduced", self.reduced)):
            if used & axes:
                raise ValueError(
                    f"partitions cannot overlap with {name} axes passed to PartitionSpec. "
                    f"Got partitions: {self.partitions} and {name} axes: {axes}")
        if self.unreduced & self.reduced:
            raise ValueError(
                "an axis cannot be both unreduced and reduced in a PartitionSpec. "
                f"Got {self.unreduced} and {self.reduced}")

    def update(self, partitions: tuple[Any, ...] | None = None,
               unreduced: Set[Hashable] | None = None,
               reduced: Set[Hashable] | None = None) -> "PartitionSpec":
        """A copy with some parts replaced."""
        return PartitionSpec(
            *(self.partitions if partitions is None else partitions),
            unreduced=self.unreduced if unreduced is None else unreduced,
            reduced=self.reduced if reduced is None else reduced)

    def count(self, value: Any) -> int:
        """How many dimensions have this entry."""
        return self.partitions.count(_canonical(value))

    def index(self, value: Any) -> int:
        """The first dimension that has this entry."""
        return self.partitions.index(_canonical(value))

    def __len__(self) -> int:
        return len(self.partitions)

    def __getitem__(self, i: Any) -> Any:
        return self.partitions[i]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.partitions)

    def __add__(self, other: Any) -> "PartitionSpec":
        if isinstance(other, PartitionSpec):
            return PartitionSpec(
                *self.partitions, *other.partitions, unreduced=self.unreduced | other.unreduced,
                reduced=self.reduced | other.reduced)
        if isinstance(other, tuple):
            self._check_whole("__add__")
            return self.update(self.partitions + other)
        return NotImplemented

    def __radd__(self, other: Any) -> "PartitionSpec":
        if isinstance(other, tuple):
            self._check_whole("__radd__")
            return self.update(other + self.partitions)
        return NotImplemented

    def _check_whole(self, method: str) -> None:
        for name in ("unreduced", "reduced"):
            if getattr(self, name):
                raise TypeError(f"{name} in `{method}` of PartitionSpec is only possible beside "
                                f"another PartitionSpec. Got {self}\n  fix: P(*entries)")

    def __init_subclass__(cls) -> None:
        raise TypeError("Subclassing `jax.P` is prohibited.")

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, PartitionSpec)
            and self.partitions == other.partitions
            and self.unreduced == other.unreduced
            and self.reduced == other.reduced)

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((self.partitions, self.unreduced, self.reduced))
        return self._hash

    def __repr__(self) -> str:
        parts = [repr(entry) for entry in self.partitions]
        if self.unreduced:
            parts.append(f"unreduced={_set_text(self.unreduced)}")
        if self.reduced:
            parts.append(f"reduced={_set_text(self.reduced)}")
        comma = "," if len(parts) == 1 and self.partitions else ""
        return f"P({', '.join(parts)}{comma})"

    def __reduce__(self) -> tuple:
        return _rebuild, (self.partitions, self.unreduced, self.reduced)


P = PartitionSpec


def _rebuild(partitions: tuple, unreduced: frozenset, reduced: frozenset) -> PartitionSpec:
    return PartitionSpec(*partitions, unreduced=unreduced, reduced=reduced)


def _set_text(axes: frozenset) -> str:
    return "{" + ", ".join(sorted(map(repr, axes))) + "}"


def _axis_set(name: str, axes: Set[Hashable]) -> frozenset:
    if not isinstance(axes, (set, frozenset)):
        raise TypeError(
            f"{name} argument of PartitionSpec should of type `frozenset` or `set`. "
            f"Got type {type(axes)}")
    if None in axes:
        raise ValueError(
            f"{name} cannot contain None. All elements in {name} should refer to the mesh axes.")
    return frozenset(axes)


def axes_of(partitions: Any) -> list[tuple[Hashable, ...]]:
    """The mesh axes of each dimension as tuples: P("x", None, ("y", "z")) -> [x], [], [y, z]."""
    result: list[tuple[Hashable, ...]] = []
    for entry in partitions:
        if entry is None or entry is _UNCONSTRAINED:
            result.append(())
        elif isinstance(entry, tuple):
            result.append(entry)
        else:
            result.append((entry,))
    return result
