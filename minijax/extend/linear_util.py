"""Functions with transformations waiting round them.

A transformation is a function of the function inside, then its own static arguments, then those of
the call; the older kind is a generator that yields the inner arguments and is sent the result.

    @transformation2
    def doubled(f, *args):
        return [2 * x for x in f(*args)]

    doubled(wrap_init(lambda x: [x])).call_wrapped(3)       # [6]
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any

from minijax.base.util import fun_name, trace_cache

__all__ = ["StoreException", "WrappedFun", "cache", "merge_linear_aux", "transformation",
           "transformation2", "transformation_with_aux", "transformation_with_aux2", "wrap_init"]


class StoreException(Exception):
    """A value that a transformation was to leave behind is not there, or there already."""


class Store:
    """Where a transformation leaves one value besides its result."""

    def __init__(self, equal_is_fine: bool = False):
        self._values: list = []
        self._equal_is_fine = equal_is_fine

    def store(self, value: Any) -> None:
        """Leave the value; StoreException if there is another one."""
        if self._values and not (self._equal_is_fine and self._values[0] == value):
            raise StoreException("Store occupied")
        self._values = [value]

    @property
    def val(self) -> Any:
        """The value; StoreException if there is none yet."""
        if not self._values:
            raise StoreException("Store empty")
        return self._values[0]

    def __bool__(self) -> bool:
        return bool(self._values)

    def reset(self) -> None:
        """Take the value away."""
        self._values = []


class WrappedFun:
    """The function `f`, and `f_transformed`, which is `f` in its transformations."""

    __slots__ = ("f", "f_transformed", "transforms", "stores", "params", "in_type", "debug_info")

    def __init__(self, f: Callable, f_transformed: Callable, transforms: tuple = (),
                 stores: tuple = (), params: tuple = (), in_type: Any = None,
                 debug_info: Any = None):
        self.f = f
        self.f_transformed = f_transformed
        self.transforms = transforms
        self.stores = stores
        self.params = params
        self.in_type = in_type
        self.debug_info = debug_info

    @property
    def __name__(self) -> str:
        return fun_name(self.f)

    def wrap(self, gen: Callable, gen_static_args: tuple, out_store: Store | None) -> "WrappedFun":
        """The function inside one more transformation, of the newer kind."""
        stored = () if out_store is None else (out_store,)
        inside = functools.partial(gen, self.f_transformed, *stored, *gen_static_args)
        return WrappedFun(self.f, inside, ((gen, gen_static_args), *self.transforms),
                          (out_store, *self.stores), self.params, None, self.debug_info)

    def call_wrapped(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function with all its transformations."""
        return self.f_transformed(*args, **kwargs)

    def replace_debug_info(self, dbg: Any) -> "WrappedFun":
        """The same with other names for messages."""
        return WrappedFun(self.f, self.f_transformed, self.transforms, self.stores, self.params,
                          self.in_type, dbg)

    def _key(self) -> tuple:
        return self.f, self.transforms, self.params, self.in_type

    def __hash__(self) -> int:
        return hash(self._key())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrappedFun) and self._key() == other._key()

    def __repr__(self) -> str:
        lines = [f"{i}: {fun_name(gen)} {args}" for i, (gen, args) in enumerate(self.transforms)]
        return "\n".join(["Wrapped function:", *lines, f"Core: {fun_name(self.f)}"])


def wrap_init(f: Callable, params: dict | None = None, *, debug_info: Any = None) -> WrappedFun:
    """`f`, with keyword arguments `params`, ready to be transformed."""
    inner = functools.partial(f, **params) if params else f
    return WrappedFun(f, inner, params=tuple(sorted((params or {}).items())),
                      debug_info=debug_info)


def transformation2(gen: Callable, *args: Any) -> Callable:
    """Decorator: `gen(f, *static, *args, **kwargs)` becomes `fun, *static -> transformed fun`."""
    def apply(fun: WrappedFun, *gen_static_args: Any) -> WrappedFun:
        return fun.wrap(gen, gen_static_args, None)
    return functools.wraps(gen)(apply) if not args else functools.wraps(gen)(apply)(*args)


def transformation_with_aux2(gen: Callable, *args: Any, use_eq_store: bool = False) -> Any:
    """The same for `gen(f, store, *static, ...)`; gives the function and a thunk of the value."""
    def apply(fun: WrappedFun, *gen_static_args: Any,
              use_eq_store: bool = use_eq_store) -> tuple[WrappedFun, Callable]:
        store = Store(use_eq_store)
        return fun.wrap(gen, gen_static_args, store), lambda: store.val
    return functools.wraps(gen)(apply) if not args else functools.wraps(gen)(apply)(*args)


def transformation(gen: Callable, *args: Any) -> Callable:
    """Decorator for generators: yield `(args, kwargs)`, get the result sent, yield another."""
    def run(f: Callable, *args: Any, **kwargs: Any) -> Any:
        steps = gen(*args, **kwargs)
        return steps.send(_inner_result(f, steps))
    return transformation2(functools.wraps(gen)(run), *args)


def transformation_with_aux(gen: Callable, *args: Any, use_eq_store: bool = False) -> Any:
    """The same for generators whose second yield is a pair of the result and a value to keep."""
    def run(f: Callable, store: Store, *args: Any, **kwargs: Any) -> Any:
        steps = gen(*args, **kwargs)
        out, aux = steps.send(_inner_result(f, steps))
        store.store(aux)
        return out
    return transformation_with_aux2(functools.wraps(gen)(run), *args, use_eq_store=use_eq_store)


def _inner_result(f: Callable, steps: Generator) -> Any:
    args, kwargs = next(steps)
    return f(*args, **kwargs)


def merge_linear_aux(aux1: Callable[[], Any], aux2: Callable[[], Any]) -> tuple[bool, Any]:
    """Which of two stores was filled, and with what; StoreException unless it is exactly one."""
    found = []
    for first, thunk in ((True, aux1), (False, aux2)):
        try:
            found.append((first, thunk()))
        except StoreException:
            continue
    if len(found) != 1:
        raise StoreException("neither store occupied" if not found else "both stores occupied")
    return found[0]


def cache(call: Callable, *, explain: Callable | None = None) -> Callable:
    """Memoize `call(fun, *args)` on the function under `fun`, held weakly, and on the rest.

    A hit also fills the stores of `fun` as the first call did.
    """
    known = trace_cache(lambda f, *key: {})

    @functools.wraps(call)
    def memoized(fun: WrappedFun, *args: Any) -> Any:
        entry = known(fun.f, fun.transforms, fun.params, fun.in_type, args)
        if "result" not in entry:
            entry["result"] = call(fun, *args)
            entry["values"] = [store.val if store else None for store in fun.stores]
            entry["filled"] = [bool(store) for store in fun.stores]
            return entry["result"]
        for store, value, filled in zip(fun.stores, entry["values"], entry["filled"]):
            if filled:
                store.reset()
                store.store(value)
        return entry["result"]

    memoized.cache_clear = known.cache_clear
    return memoized
