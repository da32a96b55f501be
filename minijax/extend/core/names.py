"""What libraries ask of `jax.core` and `jax.extend.core` besides the types and transformations.

Nothing in minijax uses this file; it is the tracing state and the types of values seen from
outside.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Set
from typing import Any

from minijax.base import errors
from minijax.base.dims import constant, max_dim, min_dim
from minijax.base.dtypes import ARRAY_TYPES as array_types
from minijax.base.errors import InconclusiveDimensionOperation
from minijax.core.avals import _aval_of as pytype_aval_mappings
from minijax.core.avals import AbstractValue, ShapedArray, abstract_token, get_aval
from minijax.core.effects import Effect
from minijax.core.ir import DropVar, Jaxpr, JaxprEqn, Literal, Var, subjaxprs as jaxprs_in_params
from minijax.core.primitive import Primitive
from minijax.core.trace import (Trace, Tracer, ancestors, entered, eval_trace, is_concrete, state,
                                to_concrete, visible_axes)
from minijax.core.vmap import BatchTrace, batched_aval, unbatched_aval

Effects = Set[Effect]
Atom = Var | Literal
Value = Any
OutputType = Any
ParamDict = dict[str, Any]
no_axis_name = object()
trace_ctx = state


# --- programs ----------------------------------------------------------------------------------


def gensym() -> Callable[[Any], Var]:
    """A function that makes a variable of a type."""
    return Var


def new_jaxpr_eqn(invars: list, outvars: list, primitive: Primitive, params: dict, effects: Any,
                  source_info: Any = None, ctx: Any = None) -> JaxprEqn:
    """An equation; `source_info` is a SourceInfo, `ctx` is not used."""
    source, scope = (None, ()) if source_info is None else source_info
    return JaxprEqn(primitive, list(invars), list(outvars), params, frozenset(effects), source,
                    tuple(scope))


def call_impl(f: Any, *args: Any, **params: Any) -> list:
    """What an operation that calls a function does where nothing is traced: it calls it."""
    return f.call_wrapped(*args)


def subjaxprs(jaxpr: Jaxpr) -> Iterator[Jaxpr]:
    """The jaxprs in the parameters of the equations of `jaxpr`."""
    for eqn in jaxpr.eqns:
        yield from jaxprs_in_params(eqn.params)


# --- types -------------------------------------------------------------------------------------


def mapped_aval(size: int, axis: int | None, aval: Any) -> Any:
    """The type of an element of a batch of type `aval`, mapped over `axis`."""
    return aval if axis is None else unbatched_aval(aval, axis)


def unmapped_aval(size: int, axis: int | None, aval: Any, explicit_mesh_axis: Any = None) -> Any:
    """The type of a batch of `size` elements of type `aval`."""
    return aval if axis is None else batched_aval(aval, axis, size)


def primal_dtype_to_tangent_dtype(primal_dtype: Any) -> Any:
    """The dtype of tangents: float0 for integers and booleans."""
    return ShapedArray((), primal_dtype).to_tangent_aval().dtype


def valid_jaxtype(x: Any) -> bool:
    """Whether `x` may be an operand: an array, a number, a NumPy array of a dtype of numbers."""
    try:
        get_aval(x)
    except (TypeError, ValueError):
        return False
    return True


def concrete_or_error(force: Callable | None, val: Any, context: str = "") -> Any:
    """`force(val)`; ConcretizationTypeError, with `context` in its text, if `val` is traced."""
    value = to_concrete(val)
    if value is None and val is not None:
        raise errors.ConcretizationTypeError(val, context)
    return value if force is None else force(value)


def is_constant_dim(d: Any) -> bool:
    """Whether the size of a dimension is a number."""
    return constant(d)


def is_constant_shape(s: Any) -> bool:
    """Whether all sizes in a shape are numbers."""
    return constant(*s)


# --- the tracing state -------------------------------------------------------------------------


class set_current_trace:
    """`with set_current_trace(trace):` operations are interpreted by `trace` (None: run)."""

    def __init__(self, trace: Trace | None, check_leaks: bool = False):
        if trace is not None and trace.parent is None:  # a library's own class
            trace.parent = getattr(trace, "parent_trace", None)
        self._entered = entered(eval_trace if trace is None else trace)

    def __enter__(self) -> None:
        self._entered.__enter__()

    def __exit__(self, *exc: Any) -> None:
        self._entered.__exit__(*exc)


class take_current_trace:
    """`with take_current_trace() as trace:` gives the trace and lets operations run."""

    def __enter__(self) -> Trace:
        trace = state.trace
        self._entered = entered(eval_trace)
        self._entered.__enter__()
        return trace

    def __exit__(self, *exc: Any) -> None:
        self._entered.__exit__(*exc)


def eval_context() -> contextlib.AbstractContextManager:
    """A context in which operations on arrays run, whatever is being traced."""
    return entered(eval_trace)


def find_top_trace(_: Any = ()) -> Trace:
    """The current trace."""
    return state.trace


# What libraries compare to see whether a tracer belongs to a transformation (equinox).
Trace.main = property(lambda trace: trace)


class TraceTag:
    """What traces of one transformation have in common; compared by identity."""


def _bind_with_trace(primitive: Primitive, trace: Trace, args: Any, avals: Any,
                     params: dict) -> Any:
    """Apply the operation to values in the given trace, whichever is current."""
    return trace.process_primitive(primitive, tuple(args), params)


Primitive.bind_with_trace = _bind_with_trace


class OpaqueTraceState:
    """The current trace, to be compared only."""

    def __init__(self, trace: Trace):
        self._trace = weakref.ref(trace)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, OpaqueTraceState) and self._trace() is other._trace()

    __hash__ = None


def get_opaque_trace_state(convention: Any = None) -> OpaqueTraceState:
    """An object that equals another one made under the same trace."""
    return OpaqueTraceState(state.trace)


def unsafe_get_axis_names_DO_NOT_USE() -> list:
    """The names of the axes in scope."""
    return [axis.name for axis in visible_axes(state.trace)]


def nonempty_axis_env_DO_NOT_USE() -> bool:
    """Whether an axis name is in scope."""
    return bool(visible_axes(state.trace))


def unsafe_am_i_under_a_jit_DO_NOT_USE() -> bool:
    """Whether the current trace makes a jaxpr, or one around it does."""
    return any(hasattr(t, "record") and t.staging for t in ancestors(state.trace))


def unsafe_am_i_under_a_vmap_DO_NOT_USE() -> bool:
    """Whether the current trace maps a function, or one around it does."""
    return any(isinstance(t, BatchTrace) for t in ancestors(state.trace))


__all__ = [name for name in dir() if not name.startswith("_")]
