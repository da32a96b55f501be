"""Layout and Format: the order of an array's elements in memory, and where they are.

    Layout(major_to_minor=(1, 0))       # column-major matrix
    Format(layout, sharding)            # what `x.format` returns
"""

import functools
from typing import Any

from minijax.base import jaxlib


class _Auto:
    """Lets the compiler choose the layout."""

    def __repr__(self) -> str:
        return "AUTO"


class Layout:
    """The order of the dimensions in memory (slowest first), and tiles if the device has any."""

    AUTO = _Auto()

    def __init__(self, major_to_minor: tuple[int, ...],
                 tiling: tuple[tuple[int, ...], ...] | None = None,
                 sub_byte_element_size_in_bits: int = 0):
        self.major_to_minor = tuple(major_to_minor)
        self.tiling = None if tiling is None else tuple(map(tuple, tiling))
        self.sub_byte_element_size_in_bits = sub_byte_element_size_in_bits

    @staticmethod
    def from_pjrt_layout(pjrt_layout: Any) -> "Layout":
        """The layout that the runtime reports for a buffer."""
        xla = pjrt_layout._xla_layout()
        return Layout(xla.minor_to_major()[::-1], xla.tiling(), xla.element_size_in_bits())

    def update(self, **kwargs: Any) -> "Layout":
        """A copy with some fields replaced."""
        fields = {
            "major_to_minor": self.major_to_minor,
            "tiling": self.tiling,
            "sub_byte_element_size_in_bits": self.sub_byte_element_size_in_bits}
        return Layout(**{**fields, **kwargs})

    def check_compatible_aval(self, aval_shape: tuple[int, ...]) -> None:
        """ValueError when an array of this shape has another rank."""
        if len(self.major_to_minor) != len(aval_shape):
            raise ValueError(
                f"Length of major_to_minor and the rank of the value should match. Got "
                f"major_to_minor={self.major_to_minor} and shape={aval_shape}")

    def _key(self) -> tuple:
        return self.major_to_minor, self.tiling, self.sub_byte_element_size_in_bits

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return (
            f"Layout(major_to_minor={self.major_to_minor}, tiling={self.tiling}, "
            f"sub_byte_element_size_in_bits={self.sub_byte_element_size_in_bits})")


class Format:
    """A layout and a sharding; either may be None (not said)."""

    __slots__ = ("layout", "sharding")

    def __init__(
        self, layout: Layout | _Auto | None = None, sharding: jaxlib.Sharding | None = None
    ):
        if not (layout is None or isinstance(layout, (Layout, _Auto))):
            raise TypeError(
                "Invalid value received for the layout argument. Expected values are `None`, "
                f"`Layout.AUTO` or an instance of `Layout`. Got {layout} of type {type(layout)}")
        if not (sharding is None or isinstance(sharding, jaxlib.Sharding)):
            raise TypeError(
                "Invalid value received for the sharding argument. Expected values are `None` or "
                f"an instance of `jax.sharding.Sharding`. Got {sharding} of type {type(sharding)}")
        if isinstance(layout, Layout) and sharding is None:
            raise ValueError(
                f"Sharding has to be concrete when layout is of type {type(layout)}. Please pass "
                "a `jax.sharding.NamedSharding` or `jax.sharding.SingleDeviceSharding` to the "
                f"sharding argument. Got sharding {sharding}")
        self.layout = layout
        self.sharding = sharding

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Format)
            and self.layout == other.layout
            and self.sharding == other.sharding)

    def __hash__(self) -> int:
        return hash((self.layout, self.sharding))

    def __repr__(self) -> str:
        return f"Format(layout={self.layout}, sharding={self.sharding})"


@functools.lru_cache(maxsize=1024)
def unusual(pjrt_layout: Any) -> Layout | None:
    """The layout of a buffer; None when the last dimension is the fastest, as is usual."""
    layout = Layout.from_pjrt_layout(pjrt_layout)
    order = layout.major_to_minor
    return None if order == tuple(range(len(order))) else layout


def mode(layout: Any) -> str | None:
    """What a program says of the layout of an argument or result; None for the usual one."""
    if layout is None:
        return None
    if layout is Layout.AUTO:
        return "auto"
    order = layout.major_to_minor
    if order == tuple(range(len(order))) and not layout.tiling:
        return None
    return "{" + ",".join(map(str, reversed(order))) + "}"
