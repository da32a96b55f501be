"""Finds tracers that outlive the trace they belong to (jax_check_tracer_leaks).

    watched(trace_to_jaxpr, fun, avals)  # raises if something still refers to one of its tracers
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

from minijax.base import config, errors
from minijax.core import Tracer, state


def watched(trace: Callable, fun: Callable, *args: Any) -> Any:
    """`trace(fun, *args)`; Exception if the option is on and tracers of that trace outlive it."""
    if not config.check_tracer_leaks.value:
        return trace(fun, *args)
    seen: list[weakref.ref] = []

    def noted(*xs: Any) -> Any:
        seen.append(weakref.ref(state.trace))
        return fun(*xs)

    result = trace(noted, *args)
    gc.collect()
    if not seen or (alive := seen[0]()) is None:
        return result
    leaked = [x for x in gc.get_objects() if isinstance(x, Tracer) and x._trace is alive]
    shown = "\n".join(str(errors.UnexpectedTracerError(x)) for x in leaked)
    raise Exception(f"Leaked trace {alive}. Leaked tracer(s):\n\n{shown}")
