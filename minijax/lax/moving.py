"""Moving values between devices and kinds of memory: `device_put` as an operation.

Types say in which memory values are; all operands of other operations are in the same.
Users' function, and what runs the operation: runtime/place.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base.jaxlib import ArrayCopySemantics, NamedSharding, Sharding
from minijax.base.memory import Space
from minijax.core import (Jaxpr, JaxprEqn, Primitive, Values, Var, Zero, aval_of, sharding_of,
                          with_memory)
from minijax.sharding.memory import space_of
from minijax.sharding.named import check_fits, typed

__all__ = ["device_put_p"]


def move_to(space: Space) -> tuple[Primitive, dict]:
    """The operation on one value that moves it to another kind of memory."""
    return device_put_p, {"devices": (space,), "srcs": (None,),
                          "copy_semantics": (ArrayCopySemantics.REUSE_INPUT,)}


def hosted(jaxpr: Jaxpr, in_shardings: Sequence[Any], out_shardings: Sequence[Any]) -> Jaxpr:
    """The program with types that say which values shardings want in the host's memory."""
    def typed_as(v: Any, sharding: Any) -> Any:
        if space_of(sharding) is None or v.aval.memory_space is Space.Host:
            return v
        return Var(with_memory(v.aval, Space.Host))

    ins = list(map(typed_as, jaxpr.invars, in_shardings))
    outs = list(map(typed_as, jaxpr.outvars, out_shardings))
    before = [_move(v, w) for v, w in zip(ins, jaxpr.invars) if v is not w]
    after = [_move(v, w) for v, w in zip(jaxpr.outvars, outs) if v is not w]
    if not before and not after:
        return jaxpr
    return jaxpr.replace(invars=ins, outvars=outs, eqns=[*before, *jaxpr.eqns, *after])


def _move(source: Any, target: Var) -> JaxprEqn:
    primitive, params = move_to(target.aval.memory_space)
    return JaxprEqn(primitive, [source], [target], params, frozenset(), None)


def _jvp(primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
    """Tangents travel with their primals; those known to be zero stay where they are."""
    live = [i for i, t in enumerate(tangents) if type(t) is not Zero]
    moved = device_put_p.bind(
        *[tangents[i] for i in live],
        **{name: tuple(entries[i] for i in live) for name, entries in params.items()})
    found = dict(zip(live, moved, strict=True))
    return device_put_p.bind(*primals, **params), [
        found.get(i, t) for i, t in enumerate(tangents)]


def _transpose(cts: Values, *args: Any, devices: tuple, srcs: tuple,
               copy_semantics: tuple) -> list[Any]:
    """Cotangents go to where the values came from, at least to that kind of memory."""
    def home(i: int) -> Any:
        have, want = aval_of(cts[i]).memory_space, args[i].aval.memory_space
        return want if srcs[i] is None and have is not want else srcs[i]

    live = [i for i, ct in enumerate(cts) if type(ct) is not Zero]
    moved = device_put_p.bind(
        *[cts[i] for i in live], devices=tuple(map(home, live)),
        srcs=tuple(devices[i] for i in live),
        copy_semantics=tuple(ArrayCopySemantics.ALWAYS_COPY for _ in live))
    found = dict(zip(live, moved, strict=True))
    return [found.get(i, ct) for i, ct in enumerate(cts)]


def _shardings(devices: tuple) -> list[Any]:
    return [getattr(d, "sharding", d) for d in devices]  # a Format has one


def _memories(avals: Values, outs: Values, *, devices: tuple, **_: Any) -> list:
    """Without a word of it a value stays in its memory."""
    return [with_memory(aval, d) if isinstance(d, Space)
            else with_memory(aval, space_of(d)) if isinstance(d, Sharding) else aval
            for aval, d in zip(avals, _shardings(devices), strict=True)]


def _split(avals: Values, outs: Values, *, devices: tuple, **_: Any) -> list:
    return [sharding_of(aval) if d is None or isinstance(d, Space) else typed(d, aval.ndim)
            for aval, d in zip(avals, _shardings(devices), strict=True)]


def _shape(*avals: Any, devices: tuple, **_: Any) -> list:
    for aval, sharding in zip(avals, _shardings(devices), strict=True):
        if isinstance(sharding, NamedSharding):
            check_fits(sharding, aval.shape, "device_put args")
            sharding.shard_shape(aval.shape)
    return list(avals)


device_put_p = Primitive(
    "device_put", shape=_shape, multiple_results=True, jvp=_jvp, transpose=_transpose,
    place=_memories, split=_split,
    vmap=lambda axis, args, dims, **params: (device_put_p.bind(*args, **params), dims))
