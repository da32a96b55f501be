"""Calling exported programs and differentiating the calls.

A call is a primitive whose lowering embeds the program; its derivative is another program.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.custom_vjp import custom_vjp
from minijax.base import dtypes
from minijax.core import Primitive, ShapedArray
from minijax.export.dims import Dim, evaluate
from minijax.export.shapes import Shapes, argument_names, refuse
from minijax.passes.physicalize import physical_aval


def _shape(*avals: ShapedArray, exported: Any, checked: bool) -> tuple[list, frozenset]:
    names = argument_names(exported.in_tree)
    for aval, wanted, name in zip(avals, exported.in_avals, names, strict=True):
        _check(aval, wanted, name)
    shapes = Shapes(list(zip(names, [a.shape for a in exported.in_avals])))
    env = shapes.solve(lambda i, axis: avals[i].shape[axis], refuse)
    out = [a.update(shape=tuple([evaluate(n, env) for n in a.shape]))
           for a in exported.out_avals]
    return out, frozenset([*exported.ordered_effects, *exported.unordered_effects])


def _check(aval: ShapedArray, wanted: ShapedArray, name: str) -> None:
    """ValueError unless an argument has the dtype, rank and fixed sizes of the program's."""
    called = f"expected {wanted.shape} and called with {aval.shape}"
    if aval.ndim != wanted.ndim:
        raise ValueError(f"Rank mismatch for {name}: {called}")
    for i, (size, should) in enumerate(zip(aval.shape, wanted.shape)):
        if size != should and not isinstance(should, Dim):
            raise ValueError(f"Shape mismatch for {name}.shape[{i}] (expected same constant): "
                             f"{called}")
    if aval.dtype != wanted.dtype:
        raise ValueError(f"Dtype mismatch for {name}: expected {wanted.dtype} and called with "
                         f"{aval.dtype}")


def _physical(avals: Sequence[ShapedArray], *operands: Any, exported: Any, checked: bool) -> list:
    """The call with words in the place of random keys, which is how the program has them."""
    return call_exported_p.bind(*operands, exported=_on_words(exported), checked=checked)


@functools.lru_cache(maxsize=256)
def _on_words(exported: Any) -> Any:
    return dataclasses.replace(exported, in_avals=tuple(map(physical_aval, exported.in_avals)),
                               out_avals=tuple(map(physical_aval, exported.out_avals)))


call_exported_p = Primitive("call_exported", multiple_results=True, shape=_shape, effectful=True,
                            physical=_physical)


def differentiates(avals: Sequence[ShapedArray]) -> list[bool]:
    """Which values have derivatives."""
    return [dtypes.issubdtype(a.dtype, np.inexact) for a in avals]


def callable_of(exported: Any, checked: bool) -> Callable[..., list]:
    """The program as a flat function whose derivative is the exported one."""
    @custom_vjp
    def run(*args: Any) -> list:
        args = [lax.convert_element_type(x, a.dtype) if a.weak_type else x
                for x, a in zip(args, exported.in_avals)]
        return call_exported_p.bind(*args, exported=exported, checked=checked)

    def backward(args: Sequence[Any], cts: Sequence[Any]) -> tuple:
        known = [ct for ct, d in zip(cts, differentiates(exported.out_avals)) if d]
        found = iter(exported.vjp().call(*args, *known))
        return tuple(next(found) if d else None for d in differentiates(exported.in_avals))

    run.defvjp(lambda *args: (run(*args), args), backward)
    return run
