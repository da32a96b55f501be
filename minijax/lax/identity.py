"""Operations that return their operand as it is, and say something about it on the way.

`stop_gradient` hides it from derivatives, `optimization_barrier` from the compiler, `copy` gives it
a buffer of its own, `stage` makes a number or NumPy array a value of the current trace, and
`dce_sink` keeps it in the program although nothing uses it.

    >>> jax.grad(lambda x: x * lax.stop_gradient(x))(3.0)
    Array(3., dtype=float32, weak_type=True)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base import tree
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Effect, Primitive, ShapedArray, Tracer, Values, Zero,
                          checkpoint_effects, control_flow_effects, linear, lowerable_effects,
                          nondifferentiable, pointwise)
from minijax.lax.rules import ArrayLike


def _same(x: ShapedArray) -> ShapedArray:
    return x


def copy(x: ArrayLike) -> Array:
    """`x` in a new buffer."""
    return copy_p.bind(x)


copy_p = Primitive("copy", shape=_same, jvp=linear, vmap=pointwise, transpose=lambda ct, x: ct)


def stage(x: ArrayLike, /) -> Array:
    """`x` as a value of the current trace: a tracer while tracing, else an array."""
    if isinstance(x, (Array, Tracer)):
        return x
    return stage_p.bind(x)


stage_p = Primitive("stage", shape=_same, jvp=linear, vmap=pointwise, impl=copy_p.bind,
                    stage=lambda trace, args, params: trace.lift(args[0]))


class _SinkEffect(Effect):
    """A value is kept; any transformation may repeat or drop that."""

    def __repr__(self) -> str:
        return "NoDCE"


_sink_effect = _SinkEffect()
for _accepting in (lowerable_effects, control_flow_effects, checkpoint_effects):
    _accepting.add_type(_SinkEffect)


def dce_sink(val: Any, *, prevent_mlir_dce: bool = False) -> None:
    """Keep what computes the arrays of the pytree `val` in jaxprs, though nothing uses them.

    With `prevent_mlir_dce` also in the compiled program.
    """
    tree.map(lambda x: dce_sink_p.bind(x, prevent_mlir_dce=prevent_mlir_dce) and None, val)


dce_sink_p = Primitive(
    "dce_sink", shape=lambda x, **_: ([], {_sink_effect}), multiple_results=True, effectful=True,
    jvp=lambda primals, _, **params: (dce_sink_p.bind(*primals, **params), []),
    vmap=lambda axis, args, dims, **params: ([], []), impl=lambda x, **_: [])


def stop_gradient(x: Any) -> Any:
    """The arrays of the pytree `x`, with a derivative of zero."""
    if isinstance(x, (Array, Tracer)):
        return stop_gradient_p.bind(x)
    return tree.map(stop_gradient_p.bind, x)


# On tangents (in a rule that is mapped over the branches of a cond) it is the identity.
stop_gradient_p = Primitive("stop_gradient", shape=_same, jvp=nondifferentiable, vmap=pointwise,
                            transpose=lambda ct, x: ct, decompose=lambda x: x)


def optimization_barrier(operand: Any, /) -> Any:
    """The arrays of the pytree `operand`, computed together, before anything that uses one."""
    leaves, structure = tree.flatten(operand)
    return tree.unflatten(structure, optimization_barrier_p.bind(*leaves))


def _barrier_nonzero(values: Sequence[Any]) -> list:
    nonzero = iter(optimization_barrier_p.bind(*[v for v in values if type(v) is not Zero]))
    return [v if type(v) is Zero else next(nonzero) for v in values]


def _barrier_jvp(primals: Values, tangents: Values) -> tuple:
    return optimization_barrier_p.bind(*primals), _barrier_nonzero(tangents)


def _barrier_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    return optimization_barrier_p.bind(*args), dims


optimization_barrier_p = Primitive(
    "optimization_barrier", shape=lambda *avals: list(avals), multiple_results=True,
    jvp=_barrier_jvp, transpose=lambda cts, *args: _barrier_nonzero(cts), vmap=_barrier_vmap)
