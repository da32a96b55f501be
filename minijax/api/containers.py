"""Containers that `vmap` takes apart itself: types with their own notion of an axis.

A registered type is a leaf for `vmap`. Its entries in `in_axes` and `out_axes` are of the type's
own spec class; `to_elt` makes of a container one element, `from_elt` of the element a container.

    register_vmappable(Named, Spec, int, to_elt, from_elt, None)
    jax.vmap(f, in_axes=Spec("i", 0), out_axes=Spec("i", 1), axis_size=3)(named)
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.api.flatten import flatten_axes
from minijax.base import tree
from minijax.core import AxisData, BatchTrace, BatchTracer, aval_of, state
from minijax.lax.shapes import iota

__all__ = ["Vmappable", "is_vmappable", "register_vmappable", "spec_types", "unregister_vmappable",
           "vmappables"]


class Vmappable(NamedTuple):
    """How a type is mapped: `to_elt(cont, index, value, spec)`, `from_elt(cont, size, elt, spec)`.

    `cont` does the same for a part of the value, `index()` is the number of the element.
    """

    spec_type: type
    axis_size_type: type
    to_elt: Callable[..., Any]
    from_elt: Callable[..., Any]
    make_iota: Callable[..., Any] | None


vmappables: dict[type, Vmappable] = {}
spec_types: set[type] = set()


def register_vmappable(data_type: type, spec_type: type, axis_size_type: type,
                       to_elt: Callable[..., Any], from_elt: Callable[..., Any],
                       make_iota: Callable[..., Any] | None) -> None:
    """Make values of `data_type` leaves that `vmap` maps as `to_elt` and `from_elt` say."""
    vmappables[data_type] = Vmappable(spec_type, axis_size_type, to_elt, from_elt, make_iota)
    spec_types.add(spec_type)


def unregister_vmappable(data_type: type) -> None:
    """Forget what `register_vmappable` noted of a type; KeyError if it did not."""
    del vmappables[data_type]
    spec_types.clear()
    spec_types.update(rule.spec_type for rule in vmappables.values())


def is_vmappable(x: Any) -> bool:
    """Whether the type of a value is registered."""
    return type(x) in vmappables


class ContainerCall:
    """A function on flat leaves some of which are containers: elements for it, whole for others.

    Runs under the trace of its axis; `wanted` are the entries of `out_axes` of its results.
    """

    def __init__(self, fun: Callable, in_tree: Any, specs: Sequence[Any], axis: AxisData,
                 out_axes: Any, place: Callable[[Any, Any, Any, AxisData], Any]):
        self.fun = fun
        self.in_tree = in_tree
        self.specs = specs
        self.axis = axis
        self.out_axes = out_axes
        self.place = place  # puts the mapped axis of a result where the spec says
        self.out_tree: Any = None
        self.wanted: list = []

    def __call__(self, *leaves: Any) -> list:
        trace = state.trace
        index = functools.cache(functools.partial(self._index, trace))
        leaves = [self._split(trace, index, x, spec) if is_vmappable(x) else x
                  for x, spec in zip(leaves, self.specs)]
        args, kwargs = tree.unflatten(self.in_tree, leaves)
        outs, self.out_tree = tree.flatten(self.fun(*args, **kwargs), is_vmappable)
        self.wanted = flatten_axes("vmap out_axes", self.out_axes,
                                   tree.unflatten(self.out_tree, outs), is_vmappable)
        return [self._join(trace, self.axis.size, x, spec) if is_vmappable(x) else x
                for x, spec in zip(outs, self.wanted)]

    def _index(self, trace: BatchTrace) -> BatchTracer:
        size = self.axis.size
        for rule in vmappables.values():
            if rule.make_iota is not None and rule.axis_size_type is type(size):
                return BatchTracer(trace, rule.make_iota(size), 0)
        return BatchTracer(trace, iota(np.int32, size), 0)

    def _split(self, trace: BatchTrace, index: Callable, x: Any, spec: Any) -> Any:
        if is_vmappable(x):
            part = functools.partial(self._split, trace, index)
            return vmappables[type(x)].to_elt(part, index, x, spec)
        return x if spec is None else BatchTracer(trace, x, spec % aval_of(x).ndim)

    def _join(self, trace: BatchTrace, size: Any, x: Any, spec: Any) -> Any:
        if is_vmappable(x):
            part = functools.partial(self._join, trace)
            return vmappables[type(x)].from_elt(part, size, x, spec)
        own = type(x) is BatchTracer and x._trace is trace
        return self.place(*((x.val, x.dim) if own else (x, None)), spec, self.axis)
