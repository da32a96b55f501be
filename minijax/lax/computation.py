"""Scalar computations: the jaxprs that combine two elements in reductions, windows and scatters.

The one invariant: such a jaxpr is closed. It has no captured inputs, because the region that it
becomes after lowering cannot see values of the surrounding program.

    >>> binary_jaxpr(lax.add, np.dtype("float32"))
    { lambda ; a:f32[] b:f32[]. let c:f32[] = add a b in (c,) }
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.core import Jaxpr, ShapedArray, eval_jaxpr, is_tracer, trace_to_jaxpr


@lru_cache(maxsize=1024)
def binary_jaxpr(function: Callable[[Any, Any], Any], dtype: Any) -> Jaxpr:
    """The jaxpr of `function(a, b)` on scalars of the given dtype."""
    scalar = ShapedArray((), dtype)
    return trace_to_jaxpr(lambda a, b: [function(a, b)], [scalar, scalar])[0]


def trace_computation(fun: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray],
                      what: str) -> Jaxpr:
    """Trace a flat function of scalars to a closed jaxpr; `what` names the caller in errors.

    NotImplementedError when it closes over a traced value or an array that is not a scalar.
    """
    jaxpr, captured = trace_to_jaxpr(fun, avals)
    if not captured:
        return jaxpr
    if any(is_tracer(x) or x.ndim for x in captured):
        raise NotImplementedError(errors.describe(
            f"{what} computations can't close over Tracers.",
            because="the computation runs inside one device operation, on scalars",
            fix="pass the value as another operand, or use lax.scan"))
    scalars = [np.asarray(x) for x in captured]  # rank-0 NumPy values become literals
    return trace_to_jaxpr(lambda *args: eval_jaxpr(jaxpr, (), *scalars, *args), avals)[0]
