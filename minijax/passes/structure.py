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
    return key_of_params({"": jaxpr})


def key_of_params(params: dict) -> tuple | None:
    """The same for the parameters of an operation."""
    parts = [*params]
    try:
        for value in params.values():
            _add(parts, value)
        return tuple(parts)
    except _NoKey:
        return None


# One flat list, from which a reader could tell where each thing begins: equal lists, equal things.


def _add_program(parts: list, jaxpr: Jaxpr) -> None:
    if jaxpr.consts or jaxpr.effects or len(jaxpr.eqns) > _LARGE:
        raise _NoKey
    number = dict(zip(jaxpr.invars, range(len(jaxpr.invars))))
    parts += Jaxpr, len(jaxpr.eqns), len(jaxpr.outvars), *jaxpr.in_avals
    for eqn in jaxpr.eqns:
        params = eqn.params
        parts += eqn.primitive, eqn.scope, len(eqn.invars), len(eqn.outvars), *params
        for v in eqn.invars:
            if type(v) is Literal:
                _add_literal(parts, v)
            else:
                parts.append(number[v])
        for value in params.values():
            _add(parts, value)
        for v in eqn.outvars:
            number[v] = len(number)
            parts.append(v.aval)
    for v in jaxpr.outvars:
        if type(v) is Literal:
            _add_literal(parts, v)
        else:
            parts.append(number[v])


def _add_literal(parts: list, literal: Literal) -> None:
    parts.append(literal.aval)
    _add(parts, literal.val)


def _add(parts: list, value: Any) -> None:
    kind = type(value)
    if kind in _PLAIN:
        parts += kind, value
    elif kind is tuple or isinstance(value, tuple):
        kinds = tuple(map(type, value))
        if _PLAIN.issuperset(kinds):
            parts += kind, kinds, value
        else:
            parts += kind, kinds
            for item in value:
                _add(parts, item)
    elif isinstance(value, enum.Enum):
        parts += kind, value
    elif kind is Jaxpr:
        _add_program(parts, value)
    elif isinstance(value, np.generic) or (kind is np.ndarray and not value.ndim):
        parts += kind, value.dtype, value.tobytes()
    elif kind in (float, complex):
        parts += kind, repr(value)  # the sign of zero, and NaN, are in it
    elif callable(value) or not kind.__module__.startswith(_KNOWN_MODULES) or kind.__hash__ is None:
        raise _NoKey
    else:
        parts += kind, value


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
