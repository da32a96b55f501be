"""Saying which part of a machine computes: the host of the device, a sparse core, a GPU stream.

    with compute_on("device_host"):
        y = jnp.sin(x)

    @compute_on2(compute_type="device_host", out_memory_spaces=jax.memory.Space.Device)
    def f(x): return jnp.sin(x)                # one operation, its results moved to the device
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from minijax.base import errors
from minijax.base.config import attribute_scope
from minijax.experimental.regions import Region, call_region
from minijax.experimental.xla_metadata import Attributes, in_force

__all__ = ["compute_on", "compute_on2"]


@contextmanager
def compute_on(compute_type: str) -> Iterator[None]:
    """A context manager: operations traced in it run there.

    ValueError for an unknown place, and within the block of another one.
    """
    _check(compute_type)
    outer = in_force(attribute_scope.value).get("@compute", compute_type)
    if outer != compute_type:
        raise ValueError(errors.describe(
            "Nesting `compute_on` with different compute types is not allowed.",
            because=f"the outer one is {outer!r}, the inner one {compute_type!r}",
            fix="call the inner function outside of the outer block"))
    with Attributes({"@compute": compute_type}):
        yield


def _check(compute_type: str) -> None:
    names = ("device_host", "device", "tpu_sparsecore")
    if compute_type not in names and not re.fullmatch(r"gpu_stream:\d+", str(compute_type)):
        raise ValueError(errors.describe(
            f"Invalid compute type {compute_type}. Current supported values are `device_host`, "
            "`device`, `tpu_sparsecore`, and `gpu_stream:#`.", fix='compute_on("device_host")'))


def compute_on2(f: Callable | None = None, *, compute_type: str, out_memory_spaces: Any,
                compiler_options: Mapping[str, Any] | None = None) -> Callable:
    """`f` as one operation that runs there; without `f`, a decorator.

    out_memory_spaces: a `jax.memory.Space`, or a prefix of the tree of results of them.
    """
    if f is None:
        return lambda fun: compute_on2(
            fun, compute_type=compute_type, out_memory_spaces=out_memory_spaces,
            compiler_options=compiler_options)
    options = None if compiler_options is None else json.dumps(dict(compiler_options))

    @functools.wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if in_force(attribute_scope.value).get("@compute"):
            raise ValueError(errors.describe(
                "Nesting `compute_on` with different compute types is not allowed.",
                fix="call one function after the other"))
        with compute_on(compute_type):
            inner = functools.partial(call_region, compute_on_p, f, args, kwargs)
            return inner(out_memory_spaces, compiler_options_json=options,
                         compute_type=compute_type)
    return wrapped


compute_on_p = Region("compute_on", spaces="out_memory_spaces")
