"""Programs on values of high types as programs on the arrays that these values consist of.

A high type says so itself: `lo_ty()` are the types of the arrays, `lower_val(x)` takes a value
apart and `raise_val(*arrays)` puts one together.  Operations on such values have no lowering; what
they compute is their field `decompose`.  Derivatives and vmap see the program before this pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors
from minijax.base.util import weak_cache
from minijax.core import (AbstractToken, AbstractValue, Jaxpr, Primitive, ShapedArray, Trace,
                          Values, add_any_p, entered, eval_jaxpr, get_aval, infer, is_ref, state,
                          subjaxprs, trace_closed, uses_refs)
from minijax.lax.tokens import create_token_p
from minijax.passes.discharge import Plain, discharge, plain

_OF_NO_ARRAY = {"shape": (), "ndim": 0, "dtype": None, "weak_type": False, "placement": None}


class HiType(AbstractValue):
    """The base of types of values that consist of arrays."""

    def __getattr__(self, name: str) -> Any:  # dataclasses take class attributes for defaults
        try:
            return _OF_NO_ARRAY[name]
        except KeyError:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}") from None

    def strip_weak_type(self) -> "HiType":
        """The type itself."""
        return self

    def update(self, **changes: Any) -> "HiType":
        """What vmap and loops along an axis ask for, and types that have none do not give."""
        raise NotImplementedError(errors.describe(
            f"Values of the type {self} have no axis to map or loop over.",
            fix="take the value apart first"))

    def str_short(self, short_dtypes: bool = False) -> str:
        """The form used in printed jaxprs."""
        return repr(self)


ShapedArray.lo_ty = lambda self: [self]
ShapedArray.lower_val = lambda self, val: [val]
ShapedArray.raise_val = lambda self, val: val
# A token orders operations of one program; from outside there is nothing to see of it.
AbstractToken.lo_ty = AbstractToken.lower_val = lambda self, val=None: []
AbstractToken.raise_val = lambda self: create_token_p.bind()

_OPAQUE = (HiType, AbstractToken)


def on_arrays(jaxpr: Jaxpr) -> "Low | Plain | None":
    """A top-level program on arrays, if among its values are others: of high types, references."""
    if is_high(jaxpr) and not any(is_ref(v.aval) for v in jaxpr.constvars + jaxpr.invars):
        return low(discharge(jaxpr))
    return plain(jaxpr) if uses_refs(jaxpr) else None


def _taken_apart(avals: Iterable[Any], values: Iterable[Any]) -> list:
    return [low for aval, x in zip(avals, values)
            for low in (aval.lower_val(x) if isinstance(aval, _OPAQUE) else [x])]


def _put_together(avals: Iterable[Any], arrays: Iterable[Any]) -> list:
    rest = iter(arrays)
    return [aval.raise_val(*[next(rest) for _ in aval.lo_ty()]) if isinstance(aval, _OPAQUE)
            else next(rest) for aval in avals]


def _spread(avals: Iterable[Any], entries: Iterable[Any]) -> list:
    """The entry of each value for all the arrays that it consists of."""
    return [entry for aval, entry in zip(avals, entries)
            for _ in (aval.lo_ty() if isinstance(aval, _OPAQUE) else [aval])]


class Low(NamedTuple):
    """A top-level program on arrays, and the types of the values that the caller has."""

    jaxpr: Jaxpr
    in_avals: list
    out_avals: list

    is_pure = False  # C++ knows nothing of the values

    def values(self, leaves: Sequence[Any]) -> list:
        """The arrays to run the program on."""
        return _taken_apart(self.in_avals, leaves)

    def write_back(self, leaves: Sequence[Any], outs: Sequence[Any]) -> list:
        """The results, as the caller knows them."""
        return _put_together(self.out_avals, outs)

    def names(self, debug: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of all inputs and results."""
        return (tuple(_spread(self.in_avals, debug.arg_names)),
                tuple(_spread(self.out_avals, debug.result_paths)))

    def shardings(self, ins: Sequence[Any], outs: Sequence[Any]) -> tuple[tuple, tuple]:
        """What was asked for values, for their arrays."""
        return tuple(_spread(self.in_avals, ins)), tuple(_spread(self.out_avals, outs))


@weak_cache
def is_high(jaxpr: Jaxpr) -> bool:
    """Whether values of high types occur in a program, or tokens come in or go out."""
    if any(isinstance(v.aval, _OPAQUE) for v in jaxpr.invars + jaxpr.constvars + jaxpr.outvars):
        return True
    for eqn in jaxpr.eqns:
        for v in eqn.outvars:
            if type(v.aval) is not ShapedArray and isinstance(v.aval, HiType):
                return True
        if eqn.primitive.multiple_results and any(map(is_high, subjaxprs(eqn.params))):
            return True
    return False


@weak_cache
def low(jaxpr: Jaxpr) -> Low:
    """The program on arrays."""
    def fun(*arrays: Any) -> list:
        consts = [v.aval.raise_val() if isinstance(v.aval, AbstractToken) else c
                  for v, c in zip(jaxpr.constvars, jaxpr.consts)]
        with entered(LowTrace(state.trace)):
            outs = eval_jaxpr(jaxpr, consts, *_put_together(jaxpr.in_avals, arrays))
        return _taken_apart(jaxpr.out_avals, outs)

    types = [t for a in jaxpr.in_avals for t in (a.lo_ty() if isinstance(a, _OPAQUE) else [a])]
    return Low(trace_closed(fun, types, jaxpr.debug), jaxpr.in_avals, jaxpr.out_avals)


class LowTrace(Trace):
    """Runs what an operation on values of high types is in terms of arrays."""

    __slots__ = ()

    def __init__(self, parent: Trace):
        super().__init__(parent, parent.staging)

    def process_primitive(self, primitive: Primitive, args: Values, params: dict) -> Any:
        avals = tuple(map(get_aval, args))
        inner = subjaxprs(params)
        outs = () if any(map(is_high, inner)) else infer(primitive, avals, params)[0]
        if outs and not any(isinstance(a, HiType) for a in (*avals, *outs)):
            return self.parent.process_primitive(primitive, args, params)
        if primitive is add_any_p:
            return avals[0].vspace_add(*args)
        if primitive.name in _COUNTS:
            return _run_control_flow(primitive, avals, args, params)
        if inner and (primitive.name in _CALLS or "call_jaxpr" in params):
            return eval_jaxpr(inner[0], inner[0].consts, *args)
        if inner or primitive.decompose is None:
            raise _impossible(primitive, avals)
        return primitive.decompose(*args, **params)


_CALLS = ("jit", "remat2")
# Operations with bodies, and their parameters that say how many operands each body gets.
_COUNTS = {"cond": (), "scan": ("num_consts", "num_carry"),
           "while": ("cond_nconsts", "body_nconsts")}


def _run_control_flow(primitive: Primitive, avals: tuple, args: Values, params: dict) -> list:
    outs, _ = infer(primitive, avals, params)
    found = {key: _low_parameter(value) for key, value in params.items()}
    start = 0
    for key in _COUNTS[primitive.name]:
        part = avals[start:start + params[key]]
        start, found[key] = start + len(part), len(_spread(part, part))
    return _put_together(outs, primitive.bind(*_taken_apart(avals, args), **found))


def _low_parameter(value: Any) -> Any:
    if type(value) is tuple:
        return tuple(map(_low_parameter, value))
    return low(value).jaxpr if type(value) is Jaxpr else value


def _impossible(primitive: Primitive, avals: Iterable[Any]) -> NotImplementedError:
    kind = next((a for a in avals if isinstance(a, HiType)), "inside")
    return NotImplementedError(errors.describe(
        f"Values of the type {kind} cannot be given to '{primitive.name}' in this way.",
        fix="take the value apart first"))
