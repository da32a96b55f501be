"""Finds tracers that outlive the trace they belong to (jax_check_tracer_leaks).

    watched = Watched(fun)         # a flat function
    trace_to_jaxpr(watched, avals)
    watched.check()                # raises if something still refers to a tracer of that trace
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import config, errors
from minijax.core import Tracer, state


class Watched:
    """A flat function that notes, if the option is on, under which trace it runs."""

    __slots__ = ("fun", "trace")

    def __init__(self, fun: Callable[..., Sequence[Any]]):
        self.fun = fun
        self.trace: Any = None

    def __call__(self, *xs: Any) -> Sequence[Any]:
        if config.check_tracer_leaks.value:
            self.trace = weakref.ref(state.trace)
        return self.fun(*xs)

    def check(self) -> None:
        """Raise Exception if the trace, which is over, is still referred to by its tracers."""
        if self.trace is None:
            return
        gc.collect()
        alive = self.trace()
        if alive is None:
            return
        leaked = [x for x in gc.get_objects() if isinstance(x, Tracer) and x._trace is alive]
        shown = "\n".join(str(errors.UnexpectedTracerError(x)) for x in leaked)
        raise Exception(f"Leaked trace {alive}. Leaked tracer(s):\n\n{shown}")
