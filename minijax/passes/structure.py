"""Programs by what they say, not by which object they are.

Users write `lax.scan(lambda c, x: ..., ...)` and `jax.jit(lambda x: ...)` in places that run often;
each run makes a new function and a new jaxpr.  Equal jaxprs have equal keys here, so what was
compiled for the first serves the others.

Invariant: a key holds plain data only (no functions, arrays or tracers), and tells apart values
that Python calls equal: 0, 0.0, -0.0 and False.  Programs with anything else have no key.
"""

from __future__ import annotations

import enum
from collections import OrderedDict
from typing import Any

import numpy as np

from minijax.core import Jaxpr, Literal

_LIMIT = 256  # programs remembered
_LARGE = 400  # equations: of longer programs neither key nor jaxpr is worth its memory
_PLAIN = {type(None), bool, int, str, bytes, type, np.dtype, frozenset}
_KNOWN_MODULES = ("minijax", "jaxlib", "numpy", "ml_dtypes")


class _NoKey(Exception):
    """A program holds something that is not plain data."""


def key_of(jaxpr: Jaxpr) -> tuple | None:
    """A hashable key, equal for programs that do the same in the same order; None if it has none.

    Names of functions and lines of code are not part of it.
    """
    try:
        return _program(jaxpr)
    except _NoKey:
        return None


def key_of_params(params: dict) -> tuple | None:
    """The same for the parameters of an operation."""
    try:
        return tuple([(name, _value(value)) for name, value in params.items()])
    except _NoKey:
        return None


def _program(jaxpr: Jaxpr) -> tuple:
    if jaxpr.consts or jaxpr.effects or len(jaxpr.eqns) > _LARGE:
        raise _NoKey
    number = {v: i for i, v in enumerate(jaxpr.invars)}
    parts: list[Any] = [tuple(jaxpr.in_avals)]

    def atom(v: Any) -> Any:
        return (v.aval, _scalar(v.val)) if type(v) is Literal else number[v]

    for eqn in jaxpr.eqns:
        parts.append((eqn.primitive, tuple([atom(v) for v in eqn.invars]), eqn.scope,
                      *[(name, _value(value)) for name, value in eqn.params.items()]))
        for v in eqn.outvars:
            number[v] = len(number)
            parts.append(v.aval)
    parts.append(tuple([atom(v) for v in jaxpr.outvars]))
    return tuple(parts)


def _value(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN or isinstance(value, enum.Enum):
        return kind, value
    if isinstance(value, tuple):
        return (kind, *[_value(v) for v in value])
    if kind is Jaxpr:
        return _program(value)
    if kind in (float, complex) or isinstance(value, np.generic):
        return _scalar(value)
    if callable(value) or not kind.__module__.startswith(_KNOWN_MODULES) or kind.__hash__ is None:
        raise _NoKey
    return kind, value


def _scalar(value: Any) -> tuple:
    if isinstance(value, (np.ndarray, np.generic)):
        return type(value), value.dtype, value.tobytes()
    if type(value) in (float, complex):
        return type(value), repr(value)  # the sign of zero, and NaN, are in it
    return type(value), value


_canonical: OrderedDict[tuple, Jaxpr] = OrderedDict()


def canonical(jaxpr: Jaxpr) -> Jaxpr:
    """The first program equal to this one that is still remembered; often the program itself."""
    key = key_of(jaxpr)
    if key is None:
        return jaxpr
    found = _canonical.setdefault(key, jaxpr)
    try:
        _canonical.move_to_end(key)
        while len(_canonical) > _LIMIT:
            _canonical.popitem(last=False)
    except KeyError:  # another thread was faster
        pass
    return found


def clear_caches() -> None:
    """Forget all programs."""
    _canonical.clear()
