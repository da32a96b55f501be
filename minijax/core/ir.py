"""The jaxpr: a program in single-assignment form, with types on its variables.

The one invariant: nothing here changes after construction, so a jaxpr can be the (weak) key of
every cache of derived programs. Variables are identities; only the printer gives them names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base.util import weak_cache
from minijax.core.avals import ShapedArray
from minijax.core.trace import state


class Var:
    """A variable of a jaxpr: an identity with a type."""

    __slots__ = ("aval", "__weakref__")

    def __init__(self, aval: Any):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var(id={id(self)}):{self.aval.str_short()}"


class DropVar(Var):
    """The place of a result that nobody reads; printed as `_`."""

    __slots__ = ()


class Literal:
    """A scalar constant written into an equation."""

    __slots__ = ("val", "aval")

    def __init__(self, val: Any, aval: ShapedArray):
        self.val = val
        self.aval = aval

    def __repr__(self) -> str:
        return f"{self.val}"


Atom = Var | Literal


class DebugInfo(NamedTuple):
    """Names for messages: by what was traced which function, its flat arguments and results."""

    traced_for: str
    func_src_info: str  # the function's name, then perhaps " at file.py:12"
    arg_names: tuple[str, ...] | None = None
    result_paths: tuple[str, ...] | None = None

    fun_name = func_name = property(lambda self: self.func_src_info.partition(" at ")[0])


class NameStack(tuple):
    """The named scopes around an operation, and the transformations that it came through.

    A transformation is a part that ends in "(", and is shown around the scope that follows it.
    """

    def __str__(self) -> str:
        return show_scope(self)


@functools.lru_cache(maxsize=4096)
def show_scope(scope: tuple[str, ...]) -> str:
    """`a/vmap(jvp(b))/c` for ("a", "vmap(", "jvp(", "b", "c")."""
    parts, waiting = [], []
    for part in [p for p in scope if not p.startswith("\0")]:
        if part.endswith("("):
            waiting.append(part)
            continue
        parts.append("".join(waiting) + part + ")" * len(waiting))
        waiting = []
    if waiting:
        parts.append("".join(waiting) + ")" * len(waiting))
    return "/".join(parts)


class SourceInfo(NamedTuple):
    """Where an equation comes from."""

    traceback: Any
    name_stack: NameStack


class JaxprEqn:
    """One operation: `outvars = primitive[params] invars`; `source` is a Traceback or None.

    `scope` has the parts of the name stack, from the beginning of the jaxpr.
    """

    __slots__ = ("primitive", "invars", "outvars", "params", "effects", "source", "scope")

    def __init__(self, primitive: Any, invars: list, outvars: list, params: dict,
                 effects: frozenset, source: Any, scope: tuple[str, ...] = ()):
        self.primitive = primitive
        self.invars = invars
        self.outvars = outvars
        self.params = params
        self.effects = effects
        self.source = source
        self.scope = scope

    @property
    def source_info(self) -> SourceInfo:
        return SourceInfo(self.source, NameStack(self.scope))

    def replace(self, **changes: Any) -> "JaxprEqn":
        fields = {name: getattr(self, name) for name in JaxprEqn.__slots__}
        return JaxprEqn(**{**fields, **changes})

    def __repr__(self) -> str:
        return f"{self.outvars} = {self.primitive.name}[{list(self.params)}] {self.invars}"


NO_EFFECTS: frozenset = frozenset()


class Jaxpr:
    """A typed program.

    `constvars` are bound to `consts`; those of an inner jaxpr (one in an equation's parameters)
    are few and small, because values that a function closes over become operands of the equation.
    """

    __slots__ = ("constvars", "invars", "outvars", "eqns", "consts", "effects", "debug_info",
                 "_in_avals", "_out_avals", "__weakref__")

    printer: Callable[["Jaxpr"], str] | None = None  # set by passes/show.py

    def __init__(self, constvars: Sequence[Var], invars: Sequence[Var], outvars: Sequence[Atom],
                 eqns: Sequence[JaxprEqn], consts: Sequence[Any] = (),
                 effects: frozenset = NO_EFFECTS, debug_info: DebugInfo | None = None):
        self.constvars = list(constvars)
        self.invars = list(invars)
        self.outvars = list(outvars)
        self.eqns = list(eqns)
        self.consts = list(consts)
        self.effects = effects
        self.debug_info = debug_info
        self._in_avals = None
        self._out_avals = None

    @property
    def in_avals(self) -> list:
        if self._in_avals is None:
            self._in_avals = [v.aval for v in self.invars]
        return self._in_avals

    @property
    def out_avals(self) -> list:
        if self._out_avals is None:
            self._out_avals = [v.aval for v in self.outvars]
        return self._out_avals

    jaxpr = property(lambda self: self)
    literals = property(lambda self: self.consts)

    def replace(self, jaxpr: "Jaxpr | None" = None, **changes: Any) -> "Jaxpr":
        fields = {name: getattr(jaxpr or self, name) for name in Jaxpr.__slots__[:7]}
        return Jaxpr(**{**fields, "consts": self.consts, **changes})

    def __repr__(self) -> str:
        if Jaxpr.printer is None:
            return f"Jaxpr({len(self.eqns)} equations)"
        return Jaxpr.printer(self)


ClosedJaxpr = Jaxpr
Jaxpr.debug = Jaxpr.debug_info  # the same slot


def eval_jaxpr(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any,
               propagate_source_info: bool = True) -> list:
    """Bind every equation of `jaxpr` in the current trace; returns the list of results.

    New equations are of the lines that those of `jaxpr` are of, or else of the caller's.
    """
    env: dict[Var, Any] = dict(zip(jaxpr.constvars, consts))
    env.update(zip(jaxpr.invars, args))
    outer_source, outer_scope = state.source, state.scope
    try:
        for eqn in jaxpr.eqns:
            state.source = eqn.source if propagate_source_info else outer_source
            state.scope = outer_scope + eqn.scope if eqn.scope else outer_scope
            operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
            out = eqn.primitive.bind(*operands, **eqn.params)
            if eqn.primitive.multiple_results:
                env.update(zip(eqn.outvars, out))
            else:
                env[eqn.outvars[0]] = out
    finally:
        state.source, state.scope = outer_source, outer_scope
    return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]


def jaxpr_as_fun(closed_jaxpr: Jaxpr) -> Callable[..., list]:
    """The jaxpr as a function of its inputs."""
    return lambda *args: eval_jaxpr(closed_jaxpr, closed_jaxpr.consts, *args)


def subjaxprs(params: dict) -> list[Jaxpr]:
    """The jaxprs among an equation's parameters, in order."""
    found = []
    for value in params.values():
        if type(value) is Jaxpr:
            found.append(value)
        elif isinstance(value, tuple):
            found.extend(v for v in value if type(v) is Jaxpr)
    return found


def axes_of(primitive: Any, params: dict) -> frozenset:
    """The named axes that an operation communicates over, itself or inside its jaxprs."""
    if primitive.axes is not None:
        return frozenset(primitive.axes(params))
    if not primitive.multiple_results:  # as all operations that contain jaxprs have
        return NO_EFFECTS
    return NO_EFFECTS.union(*map(_named_axes, subjaxprs(params)))


_named_axes = weak_cache(lambda jaxpr: NO_EFFECTS.union(
    *[axes_of(eqn.primitive, eqn.params) for eqn in jaxpr.eqns]))
