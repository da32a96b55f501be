"""Loops written in terms of the others: `fori_loop`, `map`, `associative_scan`.

    >>> lax.fori_loop(0, 3, lambda i, x: 2 * x + i, 1.0)
    Array(12., dtype=float32, weak_type=True)
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from minijax.base import config, dtypes, errors, tree
from minijax.base.dims import is_symbolic_dim
from minijax.base.util import canonicalize_axis
from minijax.core import (AxisData, aval_of, batch, convert_element_type, materialize,
                          to_concrete)
from minijax.lax import elementwise, identity, logic, shapes, slicing
from minijax.lax.control_flow.common import leading_size
from minijax.lax.control_flow.scan import bind_scan, scan, trace_scan, unroll_factor
from minijax.lax.control_flow.while_loop import bind_while, trace_while
from minijax.lax.cumulative import prefixes
from minijax.lax.rules import scalar_like
from minijax.passes.alike import alike

T = TypeVar("T")


def fori_loop(lower: Any, upper: Any, body_fun: Callable[[Any, T], T], init_val: T, *,
              unroll: int | bool | None = None) -> T:
    """`for i in range(lower, upper): val = body_fun(i, val)` from `init_val`; the last val.

    With concrete bounds it is a `scan` (which reverse mode and `unroll` need), else a
    `while_loop`. The bounds are real scalars of one dtype.
    """
    if not callable(body_fun):
        raise TypeError(errors.describe("lax.fori_loop: body_fun argument should be callable.",
                                        fix="lax.fori_loop(0, 3, lambda i, x: x + i, 0)"))
    lower, upper = _bounds(*[x.dimension_as_value() if is_symbolic_dim(x) else x
                             for x in (lower, upper)])
    start, stop = _concrete_int(lower), _concrete_int(upper)
    if config.disable_jit_state.value and start is not None and stop is not None:
        for i in range(start, stop):
            init_val = body_fun(identity.stage(i), init_val)
        return init_val
    init, init_tree = tree.flatten(init_val)
    if start is not None and stop is not None:
        return tree.unflatten(init_tree, _counted(
            start, max(stop - start, 0), body_fun, init, init_tree, unroll))
    if unroll is True or unroll not in (None, False, 1):
        raise ValueError(errors.describe(
            "Can only use `unroll` in `fori_loop` if the loop bounds are statically known.",
            fix="pass Python integers as bounds, or leave out unroll="))
    return tree.unflatten(init_tree, _open_ended(lower, upper, body_fun, init, init_tree))


def _bounds(lower: Any, upper: Any) -> tuple[Any, Any]:
    """The bounds in one dtype; Python integers take that of the other bound."""
    avals = [aval_of(x) for x in (lower, upper)]
    with config.numpy_dtype_promotion("standard"):
        dtype, weak = dtypes.promote_avals(avals)
    for x, aval in zip((lower, upper), avals):
        given = aval.weak_type and dtypes.issubdtype(dtype, np.integer)
        if aval.shape or dtype.kind == "c" or aval.dtype != dtype and not given:
            raise TypeError(errors.describe(
                "lower and upper arguments to fori_loop must have equal types, got "
                f"{avals[0].dtype.name} and {avals[1].dtype.name}",
                because=f"the bounds are {avals[0].str_short()} and {avals[1].str_short()}",
                fix="pass scalars of one dtype, or Python integers"))
    return _bound(lower, dtype), _bound(upper, dtype)


def _bound(x: Any, dtype: Any) -> Any:
    if dtypes.is_python_scalar(x):
        return x if dtypes.scalar_dtype(type(x)) == dtype else np.asarray(x, dtype)[()]
    return convert_element_type(x, dtype, aval_of(x).weak_type)


def _concrete_int(x: Any) -> int | None:
    value = to_concrete(x)
    return None if value is None else int(value)


def _counted(start: int, trips: int, body_fun: Callable, init: list, init_tree: Any,
             unroll: int | bool | None) -> list:
    """The loop as a scan over nothing, with the counter in its carry."""
    step = _scan_step(alike(body_fun, init_tree))
    tree_with_counter = tree.treedef_tuple((tree.structure(0), init_tree))
    body, init = trace_scan(step, [start, *init], tree_with_counter, [], tree.structure(None),
                            "loop_carry")
    outs = bind_scan(
        body, init, [], reverse=False, length=trips,
        unroll=unroll_factor(1 if unroll is None else unroll, trips))
    return outs[1:]


def _open_ended(lower: Any, upper: Any, body_fun: Callable, init: list, init_tree: Any) -> list:
    scalar = tree.structure(0)
    carry_tree = tree.treedef_tuple((scalar, scalar, init_tree))
    step = _while_step(alike(body_fun, init_tree))
    cond, body, init = trace_while(_below, step, [lower, upper, *init], carry_tree, "loop_carry")
    return bind_while(cond, body, init)[2:]


def _below(carry: tuple) -> Any:
    return logic.lt(carry[0], carry[1])


def _next(i: Any) -> Any:
    return elementwise.add(i, scalar_like(i, 1))


def _kept(make: Callable) -> Callable:
    """One wrapper for each function, so that what was traced for it is found again."""
    known: Any = weakref.WeakKeyDictionary()

    def wrapper_of(fun: Callable) -> Callable:
        try:
            found = known.get(fun)
            if found is None:
                reference = weakref.ref(fun)
                found = known[fun] = make(reference)
                found.original = reference  # for messages
        except TypeError:  # not hashable, or no weak references to it
            return make(lambda: fun)
        return found
    return wrapper_of


@_kept
def _scan_step(body: Callable[[], Callable]) -> Callable:
    def step(carry: tuple, _: None) -> tuple:
        i, value = carry
        return (_next(i), body()(i, value)), None
    return step


@_kept
def _while_step(body: Callable[[], Callable]) -> Callable:
    def step(carry: tuple) -> tuple:
        i, upper, value = carry
        return _next(i), upper, body()(i, value)
    return step


def map(f: Callable, xs: Any, *, batch_size: int | None = None) -> Any:
    """The results of `f` on each slice of axis 0 of the pytree `xs`, stacked.

    One slice after another, or `batch_size` slices at a time under vmap.
    """
    if not callable(f):
        raise TypeError(errors.describe("lax.map: f argument should be a callable.",
                                        fix="lax.map(lambda x: x + 1, xs)"))
    if not batch_size:
        return scan(_map_step(f), None, xs)[1]
    leaves, structure = tree.flatten(xs)
    length = leading_size("scan", leaves, structure)
    leaves = [identity.stage(x) for x in leaves]
    batches, rest = divmod(length, batch_size)
    whole = batches * batch_size
    parts = []
    if batches:
        split = [slicing.slice_in_dim(x, 0, whole) for x in leaves] if rest else leaves
        split = [shapes.reshape(x, (batches, batch_size, *x.shape[1:])) for x in split]
        outs = scan(_map_step(_batched(f)), None, tree.unflatten(structure, split))[1]
        parts.append(tree.map(lambda y: shapes.reshape(y, (whole, *y.shape[2:])), outs))
    if rest or not batches:
        parts.append(_on_batch(f, tree.unflatten(structure, [
            slicing.slice_in_dim(x, whole, length) for x in leaves])))
    if len(parts) == 1:
        return parts[0]
    return tree.map(lambda *ys: shapes.concatenate(ys, 0), *parts)


@_kept
def _map_step(f: Callable[[], Callable]) -> Callable:
    return lambda _, x: (None, f()(x))


@_kept
def _batched(f: Callable[[], Callable]) -> Callable:
    return lambda xs: _on_batch(f(), xs)


def _on_batch(f: Callable, xs: Any) -> Any:
    """`f` mapped over axis 0 of all arrays."""
    leaves, structure = tree.flatten(xs)
    axis = AxisData(None, leaves[0].shape[0])
    out_tree = None

    def flat(*args: Any) -> list:
        nonlocal out_tree
        outs, out_tree = tree.flatten(f(tree.unflatten(structure, args)))
        return outs
    outs, dims = batch(flat, axis, leaves, [0] * len(leaves))
    return tree.unflatten(out_tree, [
        materialize(identity.stage(x), d, axis.size) for x, d in zip(outs, dims)])


def associative_scan(fn: Callable, elems: Any, reverse: bool = False, axis: int = 0) -> Any:
    """All partial results `elems[0]`, `fn(elems[0], elems[1])`, ... in logarithmic depth.

    `fn` is an associative function of two pytrees of arrays like `elems`, mapping slices along
    `axis` independently. With `reverse` it goes from the end.
    """
    if not callable(fn):
        raise TypeError(errors.describe("lax.associative_scan: fn argument should be callable.",
                                        fix="lax.associative_scan(jnp.add, x)"))
    leaves, structure = tree.flatten(elems)
    if not leaves:
        return elems
    leaves = [identity.stage(x) for x in leaves]
    axis = canonicalize_axis(axis, leaves[0].ndim)
    size = leaves[0].shape[axis]
    if any(x.ndim <= axis or x.shape[axis] != size for x in leaves):
        raise ValueError(errors.describe(
            "Array inputs to associative_scan must have the same first dimension. "
            f"(saw: {[x.shape for x in leaves]})",
            fix=f"give all arrays the same size along axis {axis}"))

    def combine(a: Sequence[Any], b: Sequence[Any]) -> list:
        return tree.leaves(fn(tree.unflatten(structure, a), tree.unflatten(structure, b)))

    return tree.unflatten(structure, prefixes(combine, leaves, axis, reverse))
