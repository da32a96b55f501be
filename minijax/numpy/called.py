"""Which function of `jax.numpy` the user called, and with what, found when an error is described.

Errors arise deep inside, where a function like `canonicalize_axis` does not know for whom it works;
the frames above it do.  Invariant: nothing here runs unless an error is being described.

    jnp.flip(jnp.ones(3), 7)
    # axis 7 is out of bounds for array of dimension 1 in jnp.flip(float32[3], axis=7)
"""

import inspect
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from minijax.base import errors, source

_NUMPY = "minijax.numpy"
_INDEXING = ("getitem", "getitem_traced", "lookup", "_update")  # functions of x and index
_MAX_TEXT = 40


class _Call(NamedTuple):
    """What the user called: the name that a message must hold, the arrays, all as text."""

    name: str
    arrays: list
    text: str


def named(what: str) -> str:
    """The message, with the call that it is about unless it says so itself."""
    try:
        call = _outermost_call()
    except Exception:  # a helper of error messages must not raise another error
        call = None
    if call is None:
        return what
    if call.name in what and all(str(x.shape) in what for x in call.arrays):
        return what
    return f"{what} {'In' if what.endswith('.') else 'in'} {call.text}"


def _outermost_call() -> _Call | None:
    """The call of a function of jnp, or the indexing, nearest to the user's innermost line."""
    found = None
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and source.is_internal(frame.f_code.co_filename):
        found = _call_in(frame) or found
        frame = frame.f_back
    return found


def _call_in(frame: FrameType) -> _Call | None:
    if frame.f_code.co_name in _INDEXING and "index" in frame.f_locals:
        return _indexing_in(frame)
    if frame.f_code.co_name == "cache_miss":  # in front of the body of a compiled function
        function, known = frame.f_locals.get("fun"), frame.f_locals
        arguments = _bound(function, known.get("args", ()), known.get("kwargs", {}))
    else:
        function, known = frame.f_globals.get(frame.f_code.co_name), inspect.getargvalues(frame)
        if getattr(function, "__code__", None) is not frame.f_code:
            return None
        arguments = {name: known.locals.get(name) for name in known.args}
        arguments.update(_numbered(known.locals.get(known.varargs, ())))
    name = _public_name(function)
    if name is None:
        return None
    arguments = _telling(function, arguments)
    given = ", ".join(_argument(*item) for item in arguments.items())
    return _Call(name.rpartition(".")[2], list(filter(_is_array, arguments.values())),
                 f"{name}({given})")


def _indexing_in(frame: FrameType) -> _Call:
    """`x[index]`, or `x.at[index].add(values)`, from the frame that does it."""
    x, index, values = [frame.f_locals.get(name) for name in ("x", "index", "values")]
    entries = index if isinstance(index, tuple) else (index,)
    inner = f"[{', '.join(map(_entry, entries))}]"
    text = _short(x) + inner
    if "op" in frame.f_locals:
        text = f"{_short(x)}.at{inner}.{frame.f_locals['op']}({_short(values)})"
    return _Call("", list(filter(_is_array, (x, *entries, values))), text)


def _entry(entry: Any) -> str:
    if isinstance(entry, slice):
        parts = [entry.start, entry.stop] + [entry.step] * (entry.step is not None)
        return ":".join("" if part is None else _short(part) for part in parts)
    return "..." if entry is Ellipsis else _short(entry)


def _bound(function: Callable | None, args: tuple, kwargs: dict) -> dict[str, Any]:
    try:
        return inspect.signature(function).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return {**_numbered(args), **kwargs}


def _numbered(values: tuple) -> dict[str, Any]:
    return {f"[{i}]": value for i, value in enumerate(values)}


def _public_name(function: Callable | None) -> str | None:
    """What users write for a function: "jnp.fft.fft"; None if it is not public."""
    module, name = getattr(function, "__module__", None) or "", getattr(function, "__name__", "_")
    if name.startswith("_") or not module.startswith(_NUMPY):
        return None
    space = next((s for s in ("fft", "linalg") if module.startswith(f"{_NUMPY}.{s}")), None)
    public = sys.modules.get(f"{_NUMPY}.{space}" if space else _NUMPY)
    if not callable(getattr(public, name, None)):
        return None
    return f"jnp.{space}.{name}" if space else f"jnp.{name}"


def _telling(function: Callable, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments without those that have their default value."""
    defaults = {name: p.default for name, p in inspect.signature(function).parameters.items()}
    return {name: value for name, value in arguments.items()
            if defaults.get(name, ...) is not value}


def _argument(name: str, value: Any) -> str:
    plain = _is_array(value) or isinstance(value, (list, tuple)) or name[0] == "["
    return _short(value) if plain else f"{name}={_short(value)}"


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and isinstance(getattr(value, "shape", None), tuple)


def _short(value: Any) -> str:
    if _is_array(value):
        return f"{value.dtype}[{','.join(map(str, value.shape))}]"
    if isinstance(value, (list, tuple)) and len(value) <= 8:
        inner = ", ".join(map(_short, value))
        if isinstance(value, list):
            return f"[{inner}]"
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) <= _MAX_TEXT else type(value).__name__


errors.name_call = named
