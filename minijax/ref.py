"""`jax.ref`: array cells that functions read and write in place, also under jit and grad.

    count = jax.new_ref(jnp.zeros(3))

    @jax.jit
    def note(i):
        count[i] += 1

    note(0)
    count[...]          # Array([1., 0., 0.], dtype=float32)
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.base.window import Slice
from minijax.core import (AbstractRef, BatchTracer, Primitive, Tracer, aval_of, is_ref, refs,
                          state, trace_to_jaxpr)
from minijax.lax.control_flow import refs as _loops  # noqa: F401  (it registers their rules)
from minijax.lax.shard_map import shard_map_p
from minijax.numpy.creation import array, asarray, zeros
from minijax.numpy.manipulation import broadcast_to
from minijax.passes import references
from minijax.passes.discharge import discharge, holds_ref, last_values
from minijax.passes.references import addupdate_p, freeze_p, get_p, new_ref_p, swap_p
from minijax.runtime.hitypes import HiType

__all__ = ["AbstractRef", "Ref", "addupdate", "empty_ref", "free_ref", "freeze", "get",
           "new_ref", "set", "swap"]


class _KindOfRef(type):
    def __instancecheck__(cls, x: Any) -> bool:
        return holds_ref(x) and not isinstance(x, TransformedRef)


class Ref(metaclass=_KindOfRef):
    """The type of references, also of traced ones; `new_ref` makes them."""


def new_ref(init_val: Any, *, memory_space: Any = None, kind: Any = None) -> Ref:
    """A new reference that holds the array `init_val`."""
    if is_ref(aval_of(init_val)):
        raise TypeError(errors.describe("new_ref of a reference", fix="jax.new_ref(ref[...])"))
    high = isinstance(aval_of(init_val), HiType)
    value = init_val if high or isinstance(init_val, Tracer) else array(init_val)
    return new_ref_p.bind(value, memory_space=memory_space, kind=kind)


def empty_ref(ty: Any, memory_space: Any = None) -> Ref:
    """A new reference to an array of the shape and dtype of `ty`, or to a value of a `HiType`."""
    value = empty_value_p.bind(ty=ty) if isinstance(ty, HiType) else zeros(ty.shape, ty.dtype)
    return new_ref(value, memory_space=memory_space)


def _empty_value(ty: HiType) -> Any:
    return ty.raise_val(*[zeros(part.shape, part.dtype) for part in ty.lo_ty()])


empty_value_p = Primitive("empty_value", shape=lambda ty: ty, impl=_empty_value,
                          decompose=_empty_value)


def free_ref(ref: Ref) -> None:
    """Give up a reference; it must not be used any more."""
    freeze(ref)


def freeze(ref: Ref) -> Array:
    """The array that a reference holds; the reference must not be used any more."""
    return freeze_p.bind(ref)


def get(ref: Any, idx: Any = None) -> Array:
    """`ref[idx]`, or all of the array."""
    whole, indexer, dynamic = _parsed(ref, idx)
    return get_p.bind(whole, *dynamic, indexer=indexer)


def swap(ref: Any, idx: Any, value: Any) -> Array:
    """Put `value` at `ref[idx]`; returns what was there."""
    whole, indexer, dynamic = _parsed(ref, idx)
    return swap_p.bind(whole, _fitting(whole, indexer, dynamic, value), *dynamic, indexer=indexer)


def set(ref: Any, idx: Any, value: Any) -> None:
    """`ref[idx] = value`"""
    swap(ref, idx, value)


def addupdate(ref: Any, idx: Any, x: Any) -> None:
    """`ref[idx] += x`, without reading."""
    whole, indexer, dynamic = _parsed(ref, idx)
    addupdate_p.bind(whole, _fitting(whole, indexer, dynamic, x), *dynamic, indexer=indexer)


def _fitting(ref: Any, indexer: "Indexer", dynamic: Sequence[Any], value: Any) -> Any:
    """The value in the dtype of the reference, scalars repeated."""
    aval = aval_of(ref).inner_aval
    if isinstance(aval, HiType):
        return value
    value = asarray(value, dtype=aval.dtype) if not is_ref(aval_of(value)) else get(value)
    if value.ndim == 0:
        wanted = indexer.aval(aval, [aval_of(x) for x in dynamic]).shape
        return broadcast_to(value, wanted) if wanted else value
    return value


# --- indices -----------------------------------------------------------------------------------

_DYNAMIC = "dynamic"


class Indexer(NamedTuple):
    """Indices one after the other, with places for arrays in them.

    Each part is a tuple of integers, None, Ellipsis, ("slice", start, stop, step) and "dynamic",
    or ("ds", size, stride) for a slice whose start is an array.
    """

    parts: tuple[tuple, ...]

    def indices(self, dynamic: Sequence[Any]) -> list[tuple]:
        """The indices, with the arrays in their places."""
        rest = iter(dynamic)
        return [tuple(next(rest) if e is _DYNAMIC or e == _DYNAMIC else e if type(e) is not tuple
                      else Slice(next(rest), *e[1:]) if e[0] == "ds" else slice(*e[1:])
                      for e in part) for part in self.parts]

    def aval(self, aval: Any, dynamic: Sequence[Any]) -> Any:
        """The type of the elements of an array of type `aval`."""
        jaxpr, _ = trace_to_jaxpr(lambda x, *xs: [read_at(x, self, *xs)], [aval, *dynamic])
        return jaxpr.out_avals[0].strip_weak_type()



def _check_bounds(index: tuple, shape: tuple[int, ...]) -> None:
    """ValueError for a number beyond the end of its axis, where reading would clamp it."""
    entries = [e for e in index if e is not None]
    if any(getattr(e, "dtype", None) == "bool" for e in entries):  # may stand for several axes
        return
    dots = next((i for i, e in enumerate(entries) if e is Ellipsis), len(entries))
    for e, size in (*zip(entries[:dots], shape), *zip(entries[:dots:-1], shape[::-1])):
        if isinstance(e, (int, np.integer)) and not -size <= e < size:
            raise ValueError(errors.describe(
                f"Out of bound indexer: idx={e}, dim={size}.",
                fix=f"an index between {-size} and {size - 1}"))


def _template(index: tuple) -> tuple[tuple, list]:
    entries, dynamic = [], []
    for e in index:
        if isinstance(e, slice):
            if any(isinstance(v, Tracer) for v in (e.start, e.stop, e.step)):
                raise TypeError(errors.describe(
                    f"the index of a reference has a slice with a traced bound: {e}",
                    fix="jax.lax.dynamic_slice(ref[...], ...)"))
            entries.append(("slice", e.start, e.stop, e.step))
        elif e is None or e is Ellipsis or type(e) is int:
            entries.append(e)
        else:
            entries.append(_DYNAMIC)
            if type(e) is Slice:
                entries[-1] = ("ds", e.size, e.stride)
                e = e.start
            dynamic.append(e if isinstance(e, (Tracer, Array)) else np.asarray(e))
    return tuple(entries), dynamic


def _parsed(ref: Any, index: Any) -> tuple[Any, Indexer, list]:
    parts: tuple = ()
    dynamic: list = []
    aval = aval_of(ref)
    if isinstance(ref, TransformedRef):
        ref, parts, dynamic = ref.ref, ref.parts, list(ref.dynamic)
    if not is_ref(aval):
        raise TypeError(errors.describe(f"expected a reference, got {type(ref)}",
                                        fix="jax.new_ref(x)"))
    if not (index is None or index is Ellipsis or (type(index) is tuple and not index)):
        index = index if isinstance(index, tuple) else (index,)
        if isinstance(aval.inner_aval, HiType):
            if len(index) <= len(aval.shape) and all(
                    type(e) is slice and e.indices(n) == (0, n, 1)
                    for e, n in zip(index, aval.shape)):
                return ref, Indexer(parts), dynamic
            raise NotImplementedError(errors.describe(
                f"Values of the type {aval.inner_aval} are read and written as a whole.",
                fix="ref[...]"))
        _check_bounds(index, aval.inner_aval.shape)
        part, arrays = _template(index)
        parts, dynamic = (*parts, part), dynamic + arrays
    return ref, Indexer(parts), dynamic


def read_at(x: Any, indexer: Indexer, *dynamic: Any) -> Any:
    """The elements of an array at an index."""
    for index in indexer.indices(dynamic):
        x = asarray(x)[index]
    return x


def _changed_at(op: str, x: Any, indices: list, value: Any) -> Any:
    if not indices:
        return value if op == "set" else x + value
    first, *rest = indices
    if rest:
        return asarray(x).at[first].set(_changed_at(op, x[first], rest, value))
    return getattr(asarray(x).at[first], op)(value)


def write_at(x: Any, indexer: Indexer, *dynamic_and_value: Any) -> Any:
    """The array with other elements at an index."""
    *dynamic, value = dynamic_and_value
    return _changed_at("set", x, indexer.indices(dynamic), value)


def add_at(x: Any, indexer: Indexer, *dynamic_and_value: Any) -> Any:
    """The array with `value` added at an index."""
    *dynamic, value = dynamic_and_value
    return _changed_at("add", x, indexer.indices(dynamic), value)


class TransformedRef:
    """A part of a reference: `ref.at[index]`."""

    def __init__(self, ref: Any, parts: tuple, dynamic: Sequence[Any]):
        self.ref = ref
        self.parts = parts
        self.dynamic = tuple(dynamic)

    @property
    def aval(self) -> AbstractRef:
        inner = Indexer(self.parts).aval(aval_of(self.ref).inner_aval, map(aval_of, self.dynamic))
        return AbstractRef(inner)

    def __repr__(self) -> str:
        return f"TransformedRef({self.ref}, {self.parts})"


def _view_of_leaves(parts: tuple, leaves: Sequence[Any]) -> TransformedRef:
    if type(leaves[0]) is BatchTracer and leaves[0]._trace is state.trace:
        raise TypeError(errors.describe(
            "TransformedRefs are not allowed as arguments of vmap", fix="pass the reference"))
    return TransformedRef(leaves[0], parts, leaves[1:])


tree.register_pytree_node(TransformedRef, lambda x: ((x.ref, *x.dynamic), x.parts),
                          _view_of_leaves)


def _shard_map_discharge(operands: Sequence[Any], keys: Sequence[Any], params: dict) -> tuple:
    """The last values of references are split over devices as their first ones."""
    specs = [spec for spec, key in zip(params["in_specs"], keys) if key is not None]
    with shard_map_p.scope(params):
        body = discharge(params["jaxpr"])
    outs = shard_map_p.bind(*operands, **{
        **params, "jaxpr": body, "out_specs": (*params["out_specs"], *specs)})
    n = len(outs) - len(specs)
    return outs[:n], last_values([body], operands, [key is not None for key in keys], outs[n:])


shard_map_p.discharge = _shard_map_discharge


# --- methods -----------------------------------------------------------------------------------


class _At:
    """`ref.at`: what is indexed next."""

    def __init__(self, ref: Any):
        self.ref = ref

    def __getitem__(self, index: Any) -> TransformedRef:
        return view(self.ref, index)


def view(ref: Any, index: Any) -> TransformedRef:
    """The part of a reference at an index."""
    whole, indexer, dynamic = _parsed(ref, index)
    return TransformedRef(whole, indexer.parts, dynamic)


_METHODS = {
    "get": get, "set": lambda ref, value, idx=(): set(ref, idx, value),
    "swap": lambda ref, value, idx=(): swap(ref, idx, value),
    "addupdate": lambda ref, value, idx=(): addupdate(ref, idx, value)}


def _of_traced(name: str) -> property:
    """A method of those tracers that stand for references."""
    def bound(self: Tracer) -> Any:
        if not is_ref(self.aval):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return functools.partial(_METHODS[name], self)
    return property(bound)


def _attach(kind: type) -> None:
    kind.__getitem__ = get
    kind.__setitem__ = set
    kind.__len__ = lambda self: len(self.aval)
    kind.at = property(_At)
    kind.addupdate = _METHODS["addupdate"]
    for name in ("shape", "dtype", "ndim", "size", "weak_type"):
        setattr(kind, name, property(lambda self, name=name: getattr(self.aval, name)))


_attach(refs.Ref)
_attach(TransformedRef)
for _name, _method in _METHODS.items():
    setattr(Tracer, _name, _of_traced(_name))
    setattr(TransformedRef, _name, _method)
refs.Ref.__repr__ = lambda self: (
    f"Ref({self.aval}, freed)" if self.value is None
    else f"Ref({repr(self.value).partition('(')[2]}")
refs.Ref.sharding = property(lambda self: self.read().sharding)
refs.Ref.unsafe_buffer_pointer = lambda self: self.read().unsafe_buffer_pointer()
refs.Ref.committed = property(lambda self: self.read().committed)
refs.get_item, refs.set_item, refs.view = get, set, view
references.read_at, references.write_at, references.add_at = read_at, write_at, add_at
references.everything = Indexer(())
