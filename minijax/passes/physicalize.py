"""Replace arrays of random keys by arrays of the words that keys are made of.

Run just before lowering, which knows only NumPy's dtypes. An operation that does something with
keys says what in its field `physical`; any other operation merely moves its elements, and doing so
to keys is doing it to the words of a batch: `vmap` over a trailing axis.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

from minijax.base.dtypes import ExtendedDType
from minijax.base.util import trace_cache, weak_cache
from minijax.core import (AxisData, Jaxpr, JaxprEqn, Literal, ShapedArray, Values, Var, aval_of,
                          batch, eval_jaxpr, materialize, resplit, state, subjaxprs, trace_closed)


def is_extended(aval: Any) -> bool:
    return isinstance(aval.dtype, ExtendedDType)


def physical_aval(aval: Any) -> Any:
    """The type of the words of an array of keys; other types as they are."""
    if not is_extended(aval):
        return aval
    where = aval.placement
    if where is not None and where.sharding is not None:
        words = [None] * len(aval.dtype.word_shape)
        where = where._replace(sharding=resplit(
            where.sharding, (*where.sharding.spec.partitions, *words)))
    return ShapedArray((*aval.shape, *aval.dtype.word_shape), aval.dtype.word_dtype, False, where)


@weak_cache
def mentions_keys(jaxpr: Jaxpr) -> bool:
    if any(is_extended(v.aval) for v in jaxpr.invars + jaxpr.constvars):
        return True
    for eqn in jaxpr.eqns:
        if eqn.primitive.multiple_results:  # as all operations that contain jaxprs have
            if any(is_extended(v.aval) for v in eqn.outvars):
                return True
            if any(map(mentions_keys, subjaxprs(eqn.params))):
                return True
        elif isinstance(eqn.outvars[0].aval.dtype, ExtendedDType):
            return True
    return False


@trace_cache  # the layout of random bits is an option
def _physicalized(jaxpr: Jaxpr) -> Jaxpr:
    def fun(*args: Any) -> list:
        env: dict[Var, Any] = dict(zip(jaxpr.invars, args))
        for v, c in zip(jaxpr.constvars, jaxpr.consts):
            env[v] = words_of(c)
        for eqn in jaxpr.eqns:
            state.source = eqn.source
            operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
            env.update(zip(eqn.outvars, _run(eqn, operands)))
        return [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]

    return trace_closed(fun, [physical_aval(a) for a in jaxpr.in_avals], jaxpr.debug)


def physicalize(jaxpr: Jaxpr) -> Jaxpr:
    """The program on words instead of keys; the jaxpr itself when it mentions no keys."""
    # Not cached in the second case: a cached value that is its own key would live for ever.
    return _physicalized(jaxpr) if mentions_keys(jaxpr) else jaxpr


def by_decomposition(fun: Callable) -> Callable:
    """The field `physical` of an operation that `fun` writes in others, given the keys."""
    def physical(avals: Sequence[Any], *operands: Any, **params: Any) -> Any:
        jaxpr = physicalize(trace_closed(lambda *xs: [fun(*xs, **params)], avals))
        return eval_jaxpr(jaxpr, jaxpr.consts, *operands)[0]
    return physical


def words_of(x: Any) -> Any:
    """The array of words behind a concrete array of keys; other values as they are."""
    return x._base_array if is_extended(aval_of(x)) else x


def _run(eqn: JaxprEqn, operands: Values) -> Sequence[Any]:
    primitive, params = eqn.primitive, eqn.params
    if subjaxprs(params):
        with nullcontext() if primitive.scope is None else primitive.scope(params):
            params = {name: _physical_param(value) for name, value in params.items()}
        return _bind(primitive, operands, params)
    if not any(is_extended(v.aval) for v in [*eqn.invars, *eqn.outvars]):
        return _bind(primitive, operands, params)
    if primitive.physical is None:
        return _move_words(eqn, operands)
    out = primitive.physical([v.aval for v in eqn.invars], *operands, **params)
    return out if primitive.multiple_results else [out]


def _bind(primitive: Any, operands: Values, params: dict) -> Sequence[Any]:
    out = primitive.bind(*operands, **params)
    return out if primitive.multiple_results else [out]


def _physical_param(value: Any) -> Any:
    if type(value) is Jaxpr:
        return physicalize(value)
    if type(value) is tuple and any(type(v) is Jaxpr for v in value):
        return tuple(physicalize(v) if type(v) is Jaxpr else v for v in value)
    return value


def _move_words(eqn: JaxprEqn, operands: Values) -> list:
    dtype = next(v.aval.dtype for v in [*eqn.invars, *eqn.outvars] if is_extended(v.aval))
    if not dtype.word_shape:
        return _bind(eqn.primitive, operands, eqn.params)
    (size,) = dtype.word_shape
    dims = [v.aval.ndim if is_extended(v.aval) else None for v in eqn.invars]
    outs, out_dims = batch(lambda *xs: _bind(eqn.primitive, xs, eqn.params),
                           AxisData(None, size), operands, dims)
    return [materialize(x, d, size, v.aval.ndim) if is_extended(v.aval) else x
            for x, d, v in zip(outs, out_dims, eqn.outvars)]
