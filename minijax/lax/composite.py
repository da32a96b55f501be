"""Operations with a name for the compiler: a function that it may replace by its own.

    >>> square = lax.composite(lambda x: x * x, name="my.square")
    >>> square(3.0)                        # stablehlo.composite "my.square"
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.core import DebugInfo, Jaxpr, Primitive, aval_of, eval_jaxpr, is_tracer, trace_to_jaxpr
from minijax.lax.rules import no_rule


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable:
    """`decomposition` as one operation called `name`, e.g. "my.square".

    Positional arguments of the result are pytrees of arrays; keyword arguments are attributes of
    the operation: numbers, strings, dtypes or NumPy arrays. It has no derivative.
    """
    @functools.wraps(decomposition)
    def call(*args: Any, **attributes: Any) -> Any:
        for value in tree.leaves(attributes):
            if is_tracer(value):
                raise _traced("an attribute", name, "\n\nNote: If you are passing jax arrays as "
                              "attributes, use numpy arrays instead.")
        leaves, structure = tree.flatten(args)
        result = None

        def flat(*xs: Any) -> list:
            nonlocal result
            out = decomposition(*tree.unflatten(structure, xs), **attributes)
            values, result = tree.flatten(out)
            return values

        debug = DebugInfo("composite", getattr(decomposition, "__name__", name))
        jaxpr, captured = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], debug)
        if any(map(is_tracer, captured)):
            raise _traced("a constant", name, "")
        named = tuple((key, _hashable(value)) for key, value in attributes.items())
        outs = composite_p.bind(*captured, *leaves, attributes=named, jaxpr=jaxpr, name=name,
                                version=version)
        return tree.unflatten(result, outs)
    return call


def _traced(what: str, name: str, note: str) -> errors.UnexpectedTracerError:
    error = errors.UnexpectedTracerError(
        f"Found a JAX Tracer as {what} in the decomposition for the composite op '{name}': "
        "a value that is not known before the program runs." + note)
    error.fix = "pass the value as a positional argument of the composite"
    return error


class Elements:
    """A NumPy array among an operation's attributes, compared by its elements."""

    __slots__ = ("array", "_key")

    def __init__(self, array: np.ndarray):
        self.array = array
        self._key = (array.dtype, array.shape, array.tobytes())

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return repr(self.array)


def _hashable(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    return Elements(np.asarray(value)) if isinstance(value, (np.ndarray, Array)) else value


def _composite_impl(*args: Any, jaxpr: Jaxpr, **_: Any) -> list:
    """Outside of jit nothing replaces the operation, and its parts are compiled already."""
    return eval_jaxpr(jaxpr, jaxpr.consts, *args)


composite_p = Primitive(
    "composite", shape=lambda *avals, jaxpr, **_: jaxpr.out_avals, multiple_results=True,
    impl=_composite_impl,
    jvp=no_rule(ValueError, "JVP rule for composite not implemented. You can use `jax.custom_jvp` "
                "to add support. See "
                "https://docs.jax.dev/en/latest/_autosummary/jax.custom_jvp.html",
                "decorate the function that calls the composite with jax.custom_jvp"))
