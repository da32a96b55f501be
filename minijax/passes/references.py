"""Operations on references, and what they mean under derivatives and vmap.

The one invariant: derivatives and vmap never see a program with references in it, only single reads
and writes, because whoever binds a loop or a call under them discharges it first (discharge.py).
The tangent of a reference is a `Cell`, so linear programs contain no references at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors
from minijax.core import (AxisData, BatchTrace, BatchTracer, Dims, EvalTrace, JVPTrace, JVPTracer,
                          JaxprTrace, LinearTrace, Primitive, Trace, Values, Zero, aval_of, batch,
                          infer, instantiate, materialize, sharding_of, state, unbatched_aval,
                          zero_tangent)
from minijax.core.refs import (AbstractRef, Ref, accum_effect, alive, allocate_effect, read_effect,
                               write_effect)

# Set by minijax/ref.py, which knows indexing.
read_at: Callable[..., Any]  # (array, indexer, *dynamic) -> elements
write_at: Callable[..., Any]  # (array, indexer, *dynamic, elements) -> array
add_at: Callable[..., Any]
everything: Any  # the indexer of a whole array


class Cell:
    """The tangent of a reference: a value that changes while the program is differentiated."""

    __slots__ = ("value", "aval")

    def __init__(self, value: Any, aval: AbstractRef):
        self.value = value
        self.aval = aval


class Lanes:
    """A reference that is mapped: it gets a batch axis when a mapped value is first written."""

    __slots__ = ("ref", "dim")

    def __init__(self, ref: Any, dim: int | None):
        self.ref = ref
        self.dim = dim


class _Write(Primitive):
    """Under `vmap` only what is mapped may be written: other elements would write there as well."""

    def bind(self, ref: Any, *args: Any, **params: Any) -> Any:
        trace = state.trace
        if isinstance(trace, BatchTrace) and getattr(ref, "_trace", None) is not trace:
            what = "a set/swap" if self is swap_p else "an addupdate"
            raise Exception(errors.describe(
                f"performing {what} operation with vmapped value on an unbatched array "
                f"reference of type {aval_of(ref)}. Move the array reference to be an argument to "
                "the vmapped function?", fix="jax.vmap(f)(ref_of_a_batch, x)"))
        return super().bind(ref, *args, **params)


def _mapped(axis: AxisData, ref: Any, dim: int | None, grow: bool) -> tuple[Any, int | None]:
    """The reference behind an operand of a vmap rule and its dim, with a batch axis if `grow`."""
    lanes = ref if type(ref) is Lanes else Lanes(ref, dim)
    if grow and lanes.dim is None:
        value = get_p.bind(lanes.ref, indexer=everything)
        kind = aval_of(lanes.ref).kind
        lanes.ref = allocate(state.trace, materialize(value, None, axis.size), {"kind": kind})
        lanes.dim = 0
    return lanes.ref, lanes.dim


# --- making and ending -------------------------------------------------------------------------


class _Allocate(Primitive):
    """`new_ref`: every transformation in progress needs its own part of the reference."""

    def bind(self, x: Any, **params: Any) -> Any:
        return allocate(state.trace, x, params)


def allocate(trace: Trace, x: Any, params: dict) -> Any:
    """A new reference under `trace`, holding `x`."""
    if isinstance(trace, JVPTrace):
        primal, tangent = x, Zero(aval_of(x).to_tangent_aval())
        if type(x) is JVPTracer and x._trace is trace:
            primal, tangent = x.primal, x.tangent
        ref = allocate(trace.parent, primal, params)
        if (params.get("kind") or "").startswith("no_grad"):
            return ref
        return JVPTracer(trace, ref, Cell(tangent, aval_of(ref).to_tangent_aval()))
    if isinstance(trace, BatchTrace):
        val, dim = (x.val, x.dim) if type(x) is BatchTracer and x._trace is trace else (x, None)
        ref = allocate(trace.parent, val, params)
        tracer = object.__new__(BatchTracer)
        tracer._trace, tracer.val, tracer.dim = trace, Lanes(ref, dim), None
        tracer.aval = aval_of(ref) if dim is None else unbatched_aval(aval_of(ref), dim)
        return tracer
    if isinstance(trace, LinearTrace):
        return allocate(trace.parent, x, params)
    if isinstance(trace, JaxprTrace):
        return trace.record(new_ref_p, (x,), params)
    if isinstance(trace, EvalTrace):
        return Ref(x, params.get("kind"))
    return trace.process_primitive(new_ref_p, (x,), params)


new_ref_p = _Allocate(
    "new_ref", effectful=True, discharge=lambda args, refs, params: ([args[0]], []),
    shape=lambda aval, kind=None, **_: (
        AbstractRef(aval.strip_weak_type(), kind), {allocate_effect}))


def _end(ref: Ref) -> Any:
    value, ref.value = ref.read(), None
    return value


def _end_jvp(primals: Values, tangents: Values) -> tuple:
    return freeze_p.bind(*primals), _cell_value(tangents[0], primals[0])


def _end_vmap(ref: Any, dim: int | None) -> tuple:
    return freeze_p.bind(ref), dim


freeze_p = Primitive(
    "freeze", effectful=True, impl=_end, jvp=_end_jvp,
    shape=lambda ref: (ref.inner_aval, {allocate_effect}),
    vmap=lambda axis, args, dims: _end_vmap(*_mapped(axis, args[0], dims[0], False)),
    discharge=lambda args, refs, params: ([alive(args[0])], [None]))


# --- reading and writing -----------------------------------------------------------------------


def _cell_value(cell: Any, ref: Any) -> Any:
    return cell.value if type(cell) is Cell else Zero(aval_of(ref).inner_aval.to_tangent_aval())


def _get_shape(ref: AbstractRef, *dynamic: Any, indexer: Any) -> tuple:
    return indexer.aval(ref.inner_aval, dynamic), {read_effect}


def _get_jvp(primals: Values, tangents: Values, *, indexer: Any) -> tuple:
    out = get_p.bind(*primals, indexer=indexer)
    value = _cell_value(tangents[0], primals[0])
    if type(value) is Zero:
        return out, zero_tangent(out)
    return out, read_at(value, indexer, *primals[1:])


def _get_vmap(axis: AxisData, args: Values, dims: Dims, *, indexer: Any) -> tuple:
    ref, dim = _mapped(axis, args[0], dims[0], False)
    if dim is None and all(d is None for d in dims[1:]):
        return get_p.bind(ref, *args[1:], indexer=indexer), None
    whole = get_p.bind(ref, indexer=everything)
    (out,), (dim,) = batch(lambda x, *dynamic: [read_at(x, indexer, *dynamic)], axis,
                           [whole, *args[1:]], [dim, *dims[1:]])
    return out, dim


def _get_discharge(args: Values, refs: Sequence[bool], params: dict) -> tuple:
    return [read_at(alive(args[0]), params["indexer"], *args[1:])], [args[0]]


def _get_split(avals: Sequence[Any], outs: Sequence[Any], *, indexer: Any) -> list:
    """The array as a whole is split as its reference says; of parts nothing is known."""
    return [sharding_of(avals[0]) if indexer == everything else None]


get_p = Primitive("get", effectful=True, shape=_get_shape, jvp=_get_jvp, vmap=_get_vmap,
                  split=_get_split, discharge=_get_discharge,
                  impl=lambda ref, *dynamic, indexer: read_at(ref.read(), indexer, *dynamic))


def _swap_shape(ref: AbstractRef, value: Any, *dynamic: Any, indexer: Any) -> tuple:
    wanted = indexer.aval(ref.inner_aval, dynamic)
    if value.shape != wanted.shape or value.dtype != wanted.dtype:
        raise ValueError(errors.describe(
            f"Invalid shape for `swap`. Ref shape: {ref.shape}. Expected shape: {wanted.shape}. "
            f"Value shape: {value.shape}. Ref dtype: {ref.dtype}. Value dtype: {value.dtype}.",
            fix="write elements of the shape that the index selects"))
    return wanted, {write_effect}


def _swap_impl(ref: Ref, value: Any, *dynamic: Any, indexer: Any) -> Any:
    infer(swap_p, tuple(map(aval_of, (ref, value, *dynamic))), {"indexer": indexer})
    old = ref.read()
    ref.value = write_at(old, indexer, *dynamic, value)
    return read_at(old, indexer, *dynamic)


def _swap_jvp(primals: Values, tangents: Values, *, indexer: Any) -> tuple:
    out = swap_p.bind(*primals, indexer=indexer)
    before = _tangent_to_change(primals, tangents)
    if before is None:
        return out, zero_tangent(out)
    cell, dot, dynamic = tangents[0], tangents[1], primals[2:]
    if type(before) is Zero and type(dot) is Zero:
        return out, zero_tangent(out)
    old = instantiate(before)
    cell.value = write_at(old, indexer, *dynamic, instantiate(dot))
    return out, zero_tangent(out) if type(before) is Zero else read_at(old, indexer, *dynamic)


def _tangent_to_change(primals: Values, tangents: Values) -> Any:
    """The tangent of the reference that is written to; None if it has none and needs none."""
    if type(tangents[0]) is Cell:
        return tangents[0].value
    if type(tangents[1]) is not Zero and not (aval_of(primals[0]).kind or "").startswith("no_grad"):
        raise Exception(errors.describe(
            "performing a set/swap operation with a differentiated value on a non-differentiated "
            f"array reference of type {aval_of(primals[0])}. Move the array reference to be an "
            "argument of the differentiated function?",
            fix="make the reference inside of the function"))
    return None


def _swap_vmap(axis: AxisData, args: Values, dims: Dims, *, indexer: Any) -> tuple:
    grow = any(d is not None for d in dims[1:])
    ref, dim = _mapped(axis, args[0], dims[0], grow)
    if dim is None:
        return swap_p.bind(ref, *args[1:], indexer=indexer), None
    whole = get_p.bind(ref, indexer=everything)
    (old, new), (old_dim, new_dim) = batch(
        lambda x, value, *dynamic: [read_at(x, indexer, *dynamic),
                                    write_at(x, indexer, *dynamic, value)],
        axis, [whole, *args[1:]], [dim, *dims[1:]])
    swap_p.bind(ref, materialize(new, new_dim, axis.size, dim), indexer=everything)
    return old, old_dim


def _swap_discharge(args: Values, refs: Sequence[bool], params: dict) -> tuple:
    (ref, value, *dynamic), indexer = args, params["indexer"]
    old = alive(ref)
    return [read_at(old, indexer, *dynamic)], [write_at(old, indexer, *dynamic, value)]


swap_p = _Write("swap", effectful=True, shape=_swap_shape, impl=_swap_impl, jvp=_swap_jvp,
                vmap=_swap_vmap, discharge=_swap_discharge)


def _add_shape(ref: AbstractRef, value: Any, *dynamic: Any, indexer: Any) -> tuple:
    _swap_shape(ref, value, *dynamic, indexer=indexer)
    return [], {accum_effect}


def _add_impl(ref: Ref, value: Any, *dynamic: Any, indexer: Any) -> list:
    infer(addupdate_p, tuple(map(aval_of, (ref, value, *dynamic))), {"indexer": indexer})
    ref.value = add_at(ref.read(), indexer, *dynamic, value)
    return []


def _add_jvp(primals: Values, tangents: Values, *, indexer: Any) -> tuple:
    addupdate_p.bind(*primals, indexer=indexer)
    before = _tangent_to_change(primals, tangents)
    if before is not None and type(tangents[1]) is not Zero:
        tangents[0].value = add_at(instantiate(before), indexer, *primals[2:], tangents[1])
    return [], []


def _add_vmap(axis: AxisData, args: Values, dims: Dims, *, indexer: Any) -> tuple:
    grow = any(d is not None for d in dims[1:])
    ref, dim = _mapped(axis, args[0], dims[0], grow)
    if dim is None:
        return addupdate_p.bind(ref, *args[1:], indexer=indexer), []
    whole = get_p.bind(ref, indexer=everything)
    (new,), (new_dim,) = batch(
        lambda x, value, *dynamic: [add_at(x, indexer, *dynamic, value)], axis,
        [whole, *args[1:]], [dim, *dims[1:]])
    swap_p.bind(ref, materialize(new, new_dim, axis.size, dim), indexer=everything)
    return [], []


def _add_discharge(args: Values, refs: Sequence[bool], params: dict) -> tuple:
    ref, value, *dynamic = args
    return [], [add_at(alive(ref), params["indexer"], *dynamic, value)]


addupdate_p = _Write("addupdate", multiple_results=True, effectful=True, shape=_add_shape,
                     impl=_add_impl, jvp=_add_jvp, vmap=_add_vmap, discharge=_add_discharge)
