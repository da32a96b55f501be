"""Calls with attributes for the compiler, among them the group that it is to schedule together.

    @scheduling_group(name="group0")
    def f(x): return x * 2                     # func.call @xla_metadata_call {scheduling_group}
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from minijax.experimental.regions import Region, call_region

__all__ = ["scheduling_group", "xla_metadata_call", "xla_metadata_call_p"]


def scheduling_group(name: str) -> Callable[[Callable], Callable]:
    """A decorator: calls of the function belong to the scheduling group `name`."""
    return xla_metadata_call(scheduling_group=name)


def xla_metadata_call(f: Callable | None = None, **meta: Any) -> Callable:
    """`f` as one operation with the attributes `meta`; without `f`, a decorator."""
    if f is None:
        return lambda fun: xla_metadata_call(fun, **meta)

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return call_region(xla_metadata_call_p, f, args, kwargs, **meta)
    return wrapped


xla_metadata_call_p = Region("xla_metadata_call")
