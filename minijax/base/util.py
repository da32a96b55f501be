"""Small helpers with no better home: checked zip and map, axis numbers, caches.

    canonicalize_axis(-1, 3)        # 2
    canonicalize_axes((0, -1), 3)   # (0, 2)
"""

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from minijax.base import errors, jaxlib

T = TypeVar("T")

safe_zip = jaxlib.safe_zip
safe_map = jaxlib.safe_map
foreach = jaxlib.foreach
weakref_lru_cache = jaxlib.weakref_lru_cache


def canonicalize_axis(axis: int, ndim: int) -> int:
    """The axis counted from the front; ValueError when an array of rank ndim has no such axis."""
    axis = operator.index(axis)
    if 0 <= axis < ndim:
        return axis
    if -ndim <= axis < 0:
        return axis + ndim
    raise ValueError(errors.describe(
        f"axis {axis} is out of bounds for array of dimension {ndim}",
        fix=f"choose an axis between {-ndim} and {ndim - 1}" if ndim
        else "a scalar has no axes"))


def canonicalize_axes(axes: int | Sequence[int] | None, ndim: int) -> tuple[int, ...]:
    """A tuple of axes counted from the front; None means all; ValueError on duplicates."""
    if axes is None:
        return tuple(range(ndim))
    try:
        result: tuple[int, ...] = (canonicalize_axis(axes, ndim),)
    except TypeError:
        result = tuple(canonicalize_axis(axis, ndim) for axis in axes)
    if len(set(result)) != len(result):
        raise ValueError(errors.describe(f"duplicate value in 'axis': {axes}",
                                         fix="name each axis once"))
    return result


def weak_cache(fun: Callable[..., T], context: Callable[[], Any] = lambda: None,
               maxsize: int | None = 2048) -> Callable[..., T]:
    """Memoize fun(first, *rest), holding `first` weakly; `context()` is part of the key."""
    return weakref_lru_cache(context, fun, maxsize)


def trace_cache(fun: Callable[..., T], maxsize: int | None = 2048) -> Callable[..., T]:
    """`weak_cache` whose entries are valid only under the configuration that they were made in."""
    return weakref_lru_cache(jaxlib.trace_context, fun, maxsize)


def exact(value: Any) -> Any:
    """What tells a parameter from others that Python calls equal: 0, 0.0, -0.0 and False."""
    kind = type(value)
    if kind is tuple:
        kinds = tuple(map(type, value))
        return repr(value) if float in kinds or tuple in kinds else kinds
    return repr(value) if kind is float else kind


def split_list(items: Sequence[T], sizes: Iterable[int]) -> list[list[T]]:
    """Cut a list into pieces of the given sizes, and the rest."""
    items = list(items)
    pieces = []
    start = 0
    for size in sizes:
        pieces.append(items[start : start + size])
        start += size
    pieces.append(items[start:])
    return pieces


def select(items: Iterable[T], marks: Iterable[bool]) -> list[T]:
    """The items whose flag is true."""
    return [item for item, flag in zip(items, marks, strict=True) if flag]


def flags(given: bool | Iterable[bool], count: int) -> tuple[bool, ...]:
    """A flag for each of `count` things, from one for all or one for each."""
    return (given,) * count if isinstance(given, bool) else tuple(given)


def partition(marks: Iterable[bool], items: Iterable[T]) -> tuple[list[T], list[T]]:
    """(items whose flag is false, items whose flag is true), each in order."""
    pieces: tuple[list[T], list[T]] = ([], [])
    for flag, item in safe_zip(list(marks), list(items)):
        pieces[bool(flag)].append(item)
    return pieces


def merge(marks: Iterable[bool], false: Iterable[T], true: Iterable[T]) -> list[T]:
    """The inverse of `partition`."""
    pieces = (iter(false), iter(true))
    return [next(pieces[bool(flag)]) for flag in marks]


def unzip2(pairs: Iterable[tuple[Any, Any]]) -> tuple[tuple, tuple]:
    """Two tuples from an iterable of pairs (empty ones from none)."""
    pairs = tuple(pairs)
    if not pairs:
        return (), ()
    first, second = zip(*pairs, strict=True)
    return first, second


def fun_name(fun: Any, default: str = "<unnamed function>") -> str:
    """The name to show for a callable: its `__name__`, or that of what a partial wraps."""
    while True:
        name = getattr(fun, "__name__", None)
        if name is not None:
            return name
        if not hasattr(fun, "func"):
            return default
        fun = fun.func
