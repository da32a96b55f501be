"""Traces and tracers: who decides what an operation means right now.

There is one current trace per thread. `primitive.bind` hands the operation to it; a trace that
does not own any operand hands it on to its parent. A tracer belongs to a trace by identity
(`tracer._trace is trace`), never by level: two nested `jvp`s are two objects, which rules out
confusing their perturbations.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import numpy as np

from minijax.base import errors
from minijax.base.config import attribute_scope
from minijax.base.jaxlib import Config, _jax
from minijax.core.avals import get_aval, register_aval

# Part of the C++ jit's key: while it is true, a call on concrete arrays must still reach Python.
staging_flag = Config("minijax_staging", False, include_in_jit_key=True)


class Trace:
    """How operations are interpreted. Subclasses define `process_primitive`, and only that."""

    __slots__ = ("parent", "staging", "__weakref__")

    def __init__(self, parent: "Trace | None" = None, staging: bool = True):
        self.parent = parent
        self.staging = staging  # an operation on concrete arrays may not simply be run

    def process_primitive(self, primitive: Any, args: tuple, params: dict) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no process_primitive")

    def describe(self) -> str:
        """In which transformation a value of this trace lives, for messages."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={id(self):#x})"


class EvalTrace(Trace):
    """The bottom of every chain of traces: runs the operation."""

    __slots__ = ()

    run: Callable[[Any, tuple, dict], Any] | None = None  # set by runtime/dispatch.py

    def process_primitive(self, primitive: Any, args: tuple, params: dict) -> Any:
        if state.trace is self:
            return EvalTrace.run(primitive, args, params)
        outer = state.trace
        state.trace = self
        try:
            return EvalTrace.run(primitive, args, params)
        finally:
            state.trace = outer


eval_trace = EvalTrace(None, False)


class _State(threading.local):
    trace: Trace = eval_trace
    source: Any = None  # while a jaxpr is replayed: the traceback of the equation in hand
    scope: tuple[str, ...] = ()  # named scopes and transformations ("vmap(") around; see ir.py


state = _State()


class entered:
    """`with entered(trace):` makes it the current trace, also in the C++ jit's key.

    `scope` is appended to the names of the scopes around; None begins anew, as each jaxpr does.
    """

    __slots__ = ("trace", "scope", "outer", "outer_flag", "outer_source", "outer_scope")

    def __init__(self, trace: Trace, scope: tuple[str, ...] | None = ()):
        self.trace = trace
        self.scope = scope

    def __enter__(self) -> Trace:
        self.outer = state.trace
        self.outer_source = state.source
        self.outer_scope = state.scope
        state.trace = self.trace
        state.source = None
        state.scope = attribute_scope.value if self.scope is None else self.outer_scope + self.scope
        self.outer_flag = staging_flag.swap_local(self.trace.staging)
        return self.trace

    def __exit__(self, *exc: Any) -> None:
        state.trace = self.outer
        state.source = self.outer_source
        state.scope = self.outer_scope
        staging_flag.set_local(self.outer_flag)


def ancestors(trace: Trace | None) -> Iterator[Trace]:
    """The trace itself and all its parents."""
    while trace is not None:
        yield trace
        trace = trace.parent


class AxisTrace(Trace):
    """Brings the name of an axis into scope; what operations mean is its parent's affair."""

    __slots__ = ("axis",)

    def __init__(self, parent: Trace, axis: Any):
        super().__init__(parent, parent.staging)
        self.axis = axis

    def process_primitive(self, primitive: Any, args: tuple, params: dict) -> Any:
        return self.parent.process_primitive(primitive, args, params)


def visible_axes(trace: Trace) -> tuple:
    """The named axes that code running under `trace` may use, innermost first."""
    return () if trace is eval_trace else tuple(
        t.axis for t in ancestors(trace)
        if getattr(t, "axis", None) is not None and t.axis.name is not None)


class Tracer:
    """A value that stands for an array while a function is traced.

    Operators and array methods are attached by numpy/methods.py.
    """

    __slots__ = ("_trace", "aval", "__weakref__")
    __array_priority__ = 1000
    __hash__ = None

    def __init__(self, trace: Trace, aval: Any):
        self._trace = trace
        self.aval = aval

    shape = property(attrgetter("aval.shape"))
    dtype = property(attrgetter("aval.dtype"))
    weak_type = property(attrgetter("aval.weak_type"))
    ndim = property(attrgetter("aval.ndim"))
    size = property(attrgetter("aval.size"))
    mat = property(attrgetter("aval.mat"))

    def concrete(self) -> Any:
        """The array behind the tracer if its value is known, else None."""
        return None

    def _is_traced_array(self) -> bool:
        return not hasattr(self.aval, "inner_aval")  # a reference is none

    def _value_or(self, error: type[Exception], *context: str) -> Any:
        value = self.concrete()
        if value is None:
            raise error(self, *context)
        return value

    def _scalar(self, kind: type) -> Any:
        if self.aval.ndim:
            raise TypeError(errors.describe(
                "Only scalar arrays can be converted to Python scalars; "
                f"got arr.ndim={self.aval.ndim}",
                fix=f"x.astype({kind.__name__}) converts every element"))
        return kind(self._value_or(errors.ConcretizationTypeError,
            f"The problem arose with the `{kind.__name__}` function. If trying to convert the data "
            f"type of a value, try using `x.astype({kind.__name__})` instead."))

    def __bool__(self) -> bool:
        if self.aval.size != 1 and self.aval.ndim:
            errors.check_truth(self.aval.size)
        return bool(self._value_or(errors.TracerBoolConversionError))

    def __int__(self) -> int:
        return self._scalar(int)

    def __float__(self) -> float:
        return self._scalar(float)

    def __complex__(self) -> complex:
        return self._scalar(complex)

    def __index__(self) -> int:
        if self.aval.ndim or not np.issubdtype(self.aval.dtype, np.integer):
            raise TypeError(errors.describe(
                "Only integer scalar arrays can be converted to a scalar index.",
                because=f"the value is of type {self.aval.str_short(False)}",
                fix="index with an integer: x.astype(int)"))
        return self._value_or(errors.TracerIntegerConversionError).__index__()

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self._value_or(errors.TracerArrayConversionError).__array__(*args, **kwargs)

    def tolist(self) -> Any:
        return self._value_or(errors.ConcretizationTypeError).tolist()

    def item(self, *args: int) -> Any:
        return self._value_or(errors.ConcretizationTypeError).item(*args)

    def __len__(self) -> int:
        return len(self.aval)

    def block_until_ready(self) -> "Tracer":
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.aval and self.aval.str_short()}>"

    def __format__(self, spec: str) -> str:
        return repr(self) if not spec else format(self._value_or(errors.ConcretizationTypeError),
                                                  spec)

    def __reduce_ex__(self, protocol: int) -> Any:
        return self._value_or(errors.ConcretizationTypeError,
                              "A traced value cannot be pickled.").__reduce_ex__(protocol)

    def __copy__(self) -> "Tracer":
        return self

    def __deepcopy__(self, memo: dict) -> "Tracer":
        return self


_jax.set_tracer_class(Tracer)
register_aval(Tracer, attrgetter("aval"))


def is_tracer(x: Any) -> bool:
    return isinstance(x, Tracer)


def to_concrete(x: Any) -> Any:
    """The concrete value of `x`, looking through tracers whose value is known; None otherwise."""
    return x.concrete() if isinstance(x, Tracer) else x


def is_concrete(x: Any) -> bool:
    return to_concrete(x) is not None


def aval_of(x: Any) -> Any:
    """`x.aval` if there is one (arrays, tracers), else `get_aval(x)`."""
    try:
        return x.aval
    except AttributeError:
        return get_aval(x)


def check_escaped(x: Tracer, trace: Trace) -> None:
    """Raise UnexpectedTracerError unless `x` lives in `trace` or in one around it."""
    owner, living = x._trace, trace
    while living is not None:  # not `ancestors`: each value from outside a trace comes here
        if living is owner:
            return
        living = living.parent
    raise errors.UnexpectedTracerError(x)
