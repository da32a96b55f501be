"""Operations that call one jaxpr, and say something about the call to the compiler.

Invariant: under every transformation such an operation becomes operations of the same kind, so what
it says holds for derivatives and batches too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import tree, util
from minijax.base.memory import Space
from minijax.core import (DebugInfo, Jaxpr, JaxprCall, aval_of, dce_call, trace_to_jaxpr,
                          with_memory)
from minijax.passes.structure import canonical

__all__ = ["Region", "call_region"]


class Region(JaxprCall):
    """An operation that calls the jaxpr among its parameters.

    `spaces` names the parameter that says for each result in which memory it is, if there is one.
    """

    def __init__(self, name: str, spaces: str | None = None):
        self.spaces = spaces
        super().__init__(name, dce=dce_call(per_result=() if spaces is None else (spaces,)))

    def rebind(self, params: dict, jaxpr: Jaxpr, operands: Sequence[Any], ins: Sequence[int],
               outs: Sequence[int]) -> list:
        if self.spaces is not None:  # new results are in the memory of the device
            spaces = [params[self.spaces][i] for i in outs]
            more = len(jaxpr.outvars) - len(spaces)
            params = {**params, self.spaces: (*spaces, *[Space.Device] * more)}
        return super().rebind(params, jaxpr, operands, ins, outs)


def call_region(primitive: Region, fun: Callable, args: tuple, kwargs: dict,
                spaces: Any = None, **params: Any) -> Any:
    """`fun(*args, **kwargs)` as one operation; `spaces` is a prefix of the tree of results."""
    leaves, structure = tree.flatten((args, kwargs))
    result = None

    def flat(*xs: Any) -> list:
        nonlocal result
        given, keywords = tree.unflatten(structure, xs)
        outs, result = tree.flatten(fun(*given, **keywords))
        return outs

    # Within, the compiler moves what the operations want elsewhere.
    avals = [with_memory(aval_of(x), None) for x in leaves]
    jaxpr, captured = trace_to_jaxpr(flat, avals, DebugInfo(primitive.name, util.fun_name(fun)))
    jaxpr = canonical(jaxpr)  # a function that is called twice is compiled once
    if primitive.spaces is not None:
        whole = tree.unflatten(result, [0] * result.num_leaves)
        params[primitive.spaces] = tuple(tree.broadcast_prefix(spaces, whole))
    outs = primitive.bind(*captured, *leaves, jaxpr=jaxpr, **params)
    return tree.unflatten(result, outs)
