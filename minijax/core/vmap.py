"""Vectorisation: each operation's `vmap` rule moves the mapped axis along.

A `BatchTracer` is an array with one axis hidden. Operations without a batched operand go to the
parent trace untouched, unless they communicate over the axis by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors
from minijax.base.util import flags, trace_cache
from minijax.core.ir import Jaxpr, axes_of, eval_jaxpr
from minijax.core.placement import Where, resplit, sharding_of, with_sharding
from minijax.core.primitive import Dims, Primitive, Values, infer, missing_rule
from minijax.core.stage import trace_closed
from minijax.core.structural import conform, materialize
from minijax.core.trace import Trace, Tracer, aval_of, entered, state, visible_axes


class AxisData(NamedTuple):
    """The mapped axis: its name (or None), its size, and mesh axes it is split over.

    An axis of `shard_map` is `manual`: True if types say what varies along it, False if not.
    `split` is the sharding of a vector over it, where explicit mesh axes split the mapped operands.
    """

    name: Any
    size: int
    spmd_name: Any = None
    manual: bool | None = None
    split: Any = None


class BatchTracer(Tracer):
    """An array `val` whose axis `dim` is hidden."""

    __slots__ = ("val", "dim")

    def __init__(self, trace: Trace, val: Any, dim: int):
        self._trace = trace
        self.val = val
        self.dim = dim
        self.aval = unbatched_aval(aval_of(val), dim)

    @property
    def batch_dim(self) -> int:
        return self.dim

    def __repr__(self) -> str:
        return f"VmapTracer(aval={self.aval}, batched={aval_of(self.val)})"


_unbatched: dict[tuple, Any] = {}


def unbatched_aval(aval: Any, dim: int) -> Any:
    """`aval` without its axis `dim`."""
    try:
        return _unbatched[aval, dim]
    except KeyError:
        if len(_unbatched) > 8192:
            _unbatched.clear()
        out = aval.update(shape=aval.shape[:dim] + aval.shape[dim + 1:])
        if sharding_of(aval) is not None:
            spec = sharding_of(aval).spec.partitions
            out = with_sharding(out, resplit(aval.sharding, spec[:dim] + spec[dim + 1:]))
        return _unbatched.setdefault((aval, dim), out)


def batched_aval(aval: Any, dim: int, size: int, split: Any = None) -> Any:
    """`aval` with an axis of `size`, which `split` says how to split, put in at `dim`."""
    out = aval.update(shape=(*aval.shape[:dim], size, *aval.shape[dim:]))
    found = sharding_of(aval)
    if found is not None or split is not None:
        entry = None if split is None else split.spec.partitions[0]
        spec = (None,) * aval.ndim if found is None else found.spec.partitions
        out = with_sharding(out, resplit(split if found is None else found,
                                         (*spec[:dim], entry, *spec[dim:])))
    return out


def materialize_output(x: Any, dim: int | None, axis: AxisData, at: int = 0) -> Any:
    """`materialize`, split as the mapped operands were."""
    out = materialize(x, dim, axis.size, at)
    if dim is None and axis.split is not None and Where.context.value in (None, axis.split.mesh):
        return conform(out, batched_aval(aval_of(x), at, axis.size, axis.split))
    return out


class BatchTrace(Trace):
    """Runs each operation's `vmap` rule in the parent trace."""

    __slots__ = ("axis",)

    def __init__(self, parent: Trace, axis: AxisData):
        # A named axis can be read by code without batched operands, so it must reach Python.
        super().__init__(parent, parent.staging or axis.name is not None)
        self.axis = axis

    def process_primitive(self, primitive: Primitive, args: Values, params: dict) -> Any:
        if primitive.batch is not None:
            return primitive.batch(self, args, params)
        vals, dims, active = [], [], False
        for x in args:
            if type(x) is BatchTracer and x._trace is self:
                vals.append(x.val)
                dims.append(x.dim)
                active = True
            else:
                vals.append(x)
                dims.append(None)
        if not active and (self.axis.name is None
                           or self.axis.name not in axes_of(primitive, params)):
            return self.parent.process_primitive(primitive, args, params)
        if primitive.vmap is None:
            raise missing_rule(primitive, "vmap", "Batching",
                               "use jax.lax.map, which loops instead")
        outer = state.trace
        state.trace = self.parent
        try:
            out, dim = primitive.vmap(self.axis, vals, dims, **params)
        except (TypeError, ValueError) as error:
            of_element = _error_of_element(primitive, args, params, type(error))
            if of_element is None:
                raise
            raise of_element from None
        finally:
            state.trace = outer
        if primitive.multiple_results:
            return [o if d is None else BatchTracer(self, o, d) for o, d in zip(out, dim)]
        return out if dim is None else BatchTracer(self, out, dim)

    def unwrap(self, xs: Sequence[Any]) -> tuple[list, list]:
        """Values, and where each has its mapped axis: None for those that are not mapped here."""
        mine = [type(x) is BatchTracer and x._trace is self for x in xs]
        return ([x.val if m else x for x, m in zip(xs, mine)],
                [x.dim if m else None for x, m in zip(xs, mine)])

    def describe(self) -> str:
        return "vmap"


def _error_of_element(primitive: Primitive, args: Values, params: dict,
                      cls: type[Exception]) -> Exception | None:
    """The error in terms of the shapes that the user's function sees, not of the batched ones."""
    try:
        infer(primitive, tuple(map(aval_of, args)), params)
    except Exception as error:  # of another class: then the error at hand says more
        return error if isinstance(error, cls) else None
    return None


def batch(fun: Callable[..., Sequence[Any]], axis: AxisData, args: Values, dims: Dims,
          scope: tuple[str, ...] = ()) -> tuple[list, list]:
    """Run the flat function `fun` on arrays mapped over `dims`; returns values and their dims.

    `scope` (here and in other transformations) is what users' calls add to the name stack.
    """
    trace = BatchTrace(state.trace, axis)
    inputs = [x if d is None else BatchTracer(trace, x, d) for x, d in zip(args, dims)]
    with entered(trace, scope):
        return trace.unwrap(fun(*inputs))


def batch_jaxpr(jaxpr: Jaxpr, axis: AxisData, in_batched: Sequence[bool],
                instantiate: bool | Sequence[bool] = False) -> tuple[Jaxpr, tuple[bool, ...]]:
    """The program mapped over axis 0 of the inputs marked in `in_batched`.

    Returns it and which outputs have the axis, in front; those of `instantiate` always do.
    """
    return _batch_jaxpr(jaxpr, axis, tuple(in_batched), flags(instantiate, len(jaxpr.outvars)))


@trace_cache
def _batch_jaxpr(jaxpr: Jaxpr, axis: AxisData, in_batched: tuple, instantiate: tuple) -> tuple:
    out_batched: list[bool] = []

    def fun(*args: Any) -> list:
        dims = [0 if b else None for b in in_batched]
        vals, out_dims = batch(lambda *xs: eval_jaxpr(jaxpr, jaxpr.consts, *xs), axis, args, dims)
        out_batched.extend(d is not None or inst for d, inst in zip(out_dims, instantiate))
        return [materialize_output(x, d, axis) if b else x
                for x, d, b in zip(vals, out_dims, out_batched)]

    in_avals = [batched_aval(a, 0, axis.size, axis.split) if b else a
                for a, b in zip(jaxpr.in_avals, in_batched)]
    return trace_closed(fun, in_avals, jaxpr.debug), tuple(out_batched)


def axis_data(name: Any, user: str = "the function") -> AxisData:
    """The innermost visible axis called `name`; NameError, naming the `user`, if there is none."""
    for axis in visible_axes(state.trace):
        if axis.name == name:
            return axis
    raise NameError(errors.describe(
        f"Found an unbound axis name: {name}. To fix this, please call {user} under "
        "`jax.shard_map`.", fix=f"jax.vmap(f, axis_name={name!r})(x)"))
