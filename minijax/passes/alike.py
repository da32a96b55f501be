"""Functions that do the same: a lambda in a loop is a new object each time, and traced once.

What a function does depends on its code and on what the code finds outside: variables of enclosing
functions, defaults, globals, methods of its arguments.  Where all of that is numbers, strings,
containers, and modules and builtins without state, two functions of one code that find the same
are alike:

    alike(lambda c: jnp.sin(c) + k, in_tree)  # one object while `k` and `jnp` are the same

Invariant: that object sees nothing but what was compared, and keeps nothing else alive.
"""

from __future__ import annotations

import builtins
import dis
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

from minijax.base.util import exact

_LIMIT = 1024  # functions that are remembered, and codes
_PLAIN = {type(None), bool, int, float, str}
_CONTAINERS = {tuple, list, dict, type(None)}
# Parts of minijax whose functions do the same at each call, and those of them that may not.
_PARTS = frozenset("numpy lax nn scipy random tree".split())
_STATEFUL = {"load", "fromfile", "save", "savez", "set_printoptions"}
_BUILTINS = {id(getattr(builtins, name)) for name in (
    "abs bool complex dict divmod enumerate float int isinstance len list max min pow range "
    "reversed round set slice sorted sum tuple zip").split()}
_REFUSED = set("STORE_GLOBAL DELETE_GLOBAL STORE_ATTR DELETE_ATTR IMPORT_NAME LOAD_BUILD_CLASS "
               "DELETE_DEREF".split())
_ATTRIBUTES = {"LOAD_ATTR", "LOAD_METHOD"}
_SUSPENDED = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR
_UNKNOWN = frozenset((None,))  # which attributes of a value are read
_ABSENT = object()  # a global that is not there yet


def alike(fun: Callable, in_tree: Any) -> Callable:
    """A function that does to arguments of the structure `in_tree` what `fun` does to them.

    It is the same for all that do it, and `fun` itself where it may do anything else.
    """
    same = _representative(fun, ()) if type(fun) is FunctionType else None
    return same if same is not None and _holds_containers_only(in_tree) else fun


def _representative(fun: FunctionType, callers: tuple[CodeType, ...]) -> FunctionType | None:
    """None if the function has state, or is recursive."""
    code = fun.__code__
    if fun.__kwdefaults__ or fun.__dict__ or code in callers or (reads := _reads(code)) is None:
        return None
    around = fun.__defaults__ or ()
    if fun.__closure__:
        try:
            around += tuple([cell.cell_contents for cell in fun.__closure__])
        except ValueError:  # a variable that has no value yet
            return None
    names, others = fun.__globals__, fun.__builtins__
    outside = [(value, _UNKNOWN) for value in around]
    outside += [(names[x] if x in names else others.get(x, _ABSENT), a) for x, a in reads.items()]
    values = []
    for value, attributes in outside:
        if type(value) is FunctionType:
            value = _representative(value, (*callers, code))
            if value is None:
                return None
        elif not _is_stateless(value, attributes):
            return None
        values.append(value)
    about = code.co_filename, fun.__name__, fun.__qualname__, fun.__module__
    return _sealed(code, about, len(around), tuple(values), exact(tuple(values)))


@functools.lru_cache(_LIMIT)
def _sealed(code: CodeType, about: tuple[str, ...], count: int, values: tuple,
            _exactly: Any) -> FunctionType:
    """The function of a code that finds `count` of these values around it, and these globals."""
    _, name, qualname, module = about
    names = dict(zip(_reads(code), values[count:]))
    first = count - len(code.co_freevars)
    made = FunctionType(code, {"__name__": module, "__builtins__": builtins, **names}, name,
                        values[:first], tuple(map(CellType, values[first:count])))
    made.__qualname__ = qualname
    return made


def _is_stateless(value: Any, attributes: Iterable[str | None]) -> bool:
    """Whether two looks at a value, or at these attributes of it, always find the same."""
    kind = type(value)
    if kind in _PLAIN:
        return True
    if kind is tuple:
        return _PLAIN.issuperset(map(type, value))
    if not isinstance(value, ModuleType):
        return id(value) in _BUILTINS
    root, _, rest = value.__name__.partition(".")
    return sys.modules.get(value.__name__) is value and (root == "math" or root == "minijax" and (
        rest.partition(".")[0] in _PARTS if rest else _PARTS.issuperset(attributes)))


def _holds_containers_only(structure: Any) -> bool:
    """Whether a tree has no nodes of users' classes, whose methods could do anything."""
    data = structure.node_data()
    return data is None or data[0] in _CONTAINERS and _PLAIN.issuperset(
        map(type, data[1] or ())) and all(map(_holds_containers_only, structure.children()))


@functools.lru_cache(_LIMIT)
def _reads(code: CodeType) -> dict[str, set] | None:
    """The globals that a function reads, with the attributes of each; None if it changes things."""
    found: dict[str, set] = {}
    if code.co_flags & _SUSPENDED:
        return None
    for inner in _nested(code):
        operations = list(dis.get_instructions(inner))
        for now, after in zip(operations, operations[1:]):
            name = now.argval
            if now.opname in _REFUSED or now.opname == "STORE_DEREF" and name in inner.co_freevars:
                return None
            if now.opname in _ATTRIBUTES and name in _STATEFUL:
                return None
            if now.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                found.setdefault(name, set()).add(
                    after.argval if after.opname in _ATTRIBUTES else None)
    return found


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for inner in code.co_consts:
        if type(inner) is CodeType:
            yield from _nested(inner)


def clear_caches() -> None:
    """Forget all functions."""
    _sealed.cache_clear()
    _reads.cache_clear()
