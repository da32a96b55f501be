"""Pictures of shardings in a terminal: which devices hold which part of an array.

    >>> jax.debug.visualize_array_sharding(x)   # of shape (8, 8), split over "a" and "b"
    ┌──────────┬──────────┐
    │  CPU 0   │  CPU 1   │
    ├──────────┼──────────┤
    │  CPU 2   │  CPU 3   │
    └──────────┴──────────┘

Needs the package rich.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any

from minijax.api.debug import inspect_array_sharding
from minijax.base import errors
from minijax.base.jaxlib import Sharding

__all__ = ["visualize_array_sharding", "visualize_sharding"]

ColorMap = Iterable[tuple[float, float, float, float]]

_LINES = 10  # height of the picture
_COLUMNS_PER_LINE = 2.5  # a character is so much higher than wide
_COLORS = ("#393b79", "#637939", "#8c6d31", "#843c39", "#7b4173", "#3182bd", "#e6550d", "#31a354",
           "#756bb1", "#636363", "#6baed6", "#fd8d3c", "#74c476", "#9e9ac8", "#969696", "#d6616b")


def visualize_array_sharding(arr: Any, **kwargs: Any) -> None:
    """Print which devices hold which part of an array of one or two dimensions.

    Inside `jit` it prints when the program is compiled. Arguments and errors are those of
    `visualize_sharding`.
    """
    inspect_array_sharding(arr, callback=lambda sharding: visualize_sharding(
        arr.shape, sharding, **kwargs))


def visualize_sharding(shape: Sequence[int], sharding: Sharding, *, use_color: bool = True,
                       scale: float = 1.0, min_width: int = 9, max_width: int = 80,
                       color_map: ColorMap | None = None) -> None:
    """Print how a sharding splits an array of the given shape.

    scale: of the picture; min_width: of a part, and max_width: of the whole, in characters.
    color_map: colors as (red, green, blue, alpha) of 0 to 1. Raises ValueError for other shapes
    than of one and two dimensions, and when the package rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError:
        raise ValueError(errors.describe(
            "`visualize_sharding` requires `rich` to be installed.", fix="pip install rich")
        ) from None
    if len(shape) not in (1, 2):
        raise ValueError(errors.describe(
            "`visualize_sharding` only works for shapes with 1 and 2 dimensions.",
            because=f"the shape is {tuple(shape)}", fix="print(sharding)"))
    rows = _parts(shape, sharding)
    colors = [_hexadecimal(c) for c in color_map] if color_map is not None else list(_COLORS)
    height, width = _cell(shape, rows, scale, min_width, max_width)
    console = Console(width=max_width)
    console.print(_table(rows, height, width, colors if use_color and console.color_system else []))


def _parts(shape: Sequence[int], sharding: Sharding) -> list[list[str]]:
    """The names of the devices of each part, row by row."""
    holders: dict[tuple, list] = defaultdict(list)
    kind = ""
    for device, place in sharding.devices_indices_map(tuple(shape)).items():
        holders[tuple(s.start or 0 for s in place)].append(device.id)
        kind = device.platform.upper()
    rows: dict[int, list[str]] = defaultdict(list)
    for start, ids in sorted(holders.items()):
        row = start[0] if len(start) == 2 else 0
        rows[row].append(f"{kind} {','.join(map(str, sorted(ids)))}")
    return list(rows.values())


def _cell(shape: Sequence[int], rows: list[list[str]], scale: float, min_width: int,
          max_width: int) -> tuple[int, int]:
    """Lines and characters inside the frame of one part."""
    label = max(len(name) for row in rows for name in row)
    if len(shape) == 1:
        return 1, max(label, min_width - 2)
    lines = _LINES * scale
    columns = min(lines * _COLUMNS_PER_LINE * shape[1] / max(shape[0], 1), max_width)
    room = max(label, min_width - 2)
    return max(1, int(lines / len(rows)) - 1), max(room, int(columns / len(rows[0])) - 2)


def _table(rows: list[list[str]], height: int, width: int, colors: list[str]) -> Any:
    from rich import box, padding
    from rich.style import Style
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, show_lines=True, padding=0, pad_edge=False, box=box.SQUARE)
    for _ in rows[0]:
        table.add_column(width=width, justify="center")
    background = cycle(colors or [""])
    for row in rows:
        above, below = (height - 1) // 2, height // 2
        table.add_row(*[padding.Padding(
            Text(name, justify="center"), (above, 0, below, 0),
            style=Style(bgcolor=color) if color else "") for name, color in zip(row, background)])
    return table


def _hexadecimal(color: Sequence[float]) -> str:
    return "#" + "".join(f"{int(part * 255):02x}" for part in color[:3])
