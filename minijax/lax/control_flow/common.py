"""What the control flow operations share: tracing their bodies, and rearranging jaxprs.

A body is a jaxpr without consts: what the function closes over comes first among its inputs, and
the values become operands of the equation. Everything derived from a body is memoized on its
identity, so repeating a transformation gives the same jaxpr and hits the compilation caches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import dtypes, errors, tree
from minijax.base.util import fun_name, trace_cache, weak_cache
from minijax.core import (DebugInfo, Jaxpr, Tracer, Var, aval_of, convert_element_type, is_ref,
                          is_tracer, is_valid, memory_of, sharding_of, state, trace_to_jaxpr,
                          varying_axes, visible_axes)
from minijax.passes.alike import alike
from minijax.passes.discharge import returned_ref
from minijax.passes.leaks import watched


class Body(NamedTuple):
    """A traced function: its jaxpr, the values it closes over, what is known of its result."""

    jaxpr: Jaxpr
    captured: list
    result: Any


def trace_body(fun: Callable, in_tree: Any, in_avals: Sequence[Any], name: str,
               flatten: Callable[[Any], tuple[list, Any]] = tree.flatten) -> Body:
    """Trace `fun` at the types of its flat arguments; `flatten` takes the result apart.

    Remembered for `fun` and all functions alike, unless it closes over a tracer.
    """
    in_avals, fun = tuple(in_avals), alike(fun, in_tree)
    try:
        found = _known_bodies(fun, in_tree, in_avals, name, visible_axes(state.trace))
    except TypeError:  # neither hashable nor weakly referenceable
        found = []
    if found:
        return found[0]
    result: list = []

    def flat(*leaves: Any) -> list:
        outs, about = flatten(fun(*in_tree.unflatten(leaves)))
        _check_outputs(fun, outs, about, name)
        result.append(about)
        return outs

    jaxpr, captured = watched(trace_to_jaxpr, flat, in_avals, DebugInfo("body", fun_name(fun)))
    body = Body(jaxpr, captured, result[0])
    if not any(map(is_tracer, captured)):
        found.append(body)
    return body


_known_bodies = trace_cache(lambda fun, *key: [], maxsize=4096)


def _check_outputs(fun: Callable, outs: Sequence[Any], about: Any, name: str) -> None:
    for i, x in enumerate(outs):
        if isinstance(x, Tracer) or is_valid(x):
            if is_ref(aval_of(x)):
                raise returned_ref(where_defined(fun), name, x)
            continue
        paths = about if isinstance(about, tuple) else (about,)
        shown = tree.treedef_tuple(paths) if len(paths) > 1 else paths[0]
        path = tree.keystr(tree.leaves_with_path(shown.unflatten(range(len(outs))))[i][0])
        where = f" at output component {path}" if path else ""
        raise TypeError(errors.describe(
            f"function {where_defined(fun)} traced for {name} returned a value of type "
            f"{type(x)}{where}, which is not a valid JAX type",
            fix="return arrays and numbers only, in tuples, lists and dicts"))


def where_defined(fun: Callable) -> str:
    """`name at file.py:12`."""
    original = getattr(fun, "original", None)  # a weak reference, on our own wrappers
    inner = inspect.unwrap(getattr(fun, "func", fun) if original is None else original())
    code = getattr(inner, "__code__", None)
    place = f" at {code.co_filename}:{code.co_firstlineno}" if code is not None else ""
    return f"{fun_name(inner)}{place}"


def first_parameter(fun: Callable, default: str = "carry") -> str:
    """The name that a function gives its first argument."""
    try:
        return next(iter(inspect.signature(fun).parameters), default)
    except (TypeError, ValueError):
        return default


def parameter_names(fun: Callable, count: int) -> list[str]:
    """The names that a function gives its first arguments."""
    try:
        names = list(inspect.signature(fun).parameters)[:count]
    except (TypeError, ValueError):
        names = []
    return names + [f"args[{i}]" for i in range(len(names), count)]


# --- Rearranging jaxprs ------------------------------------------------------------------------


def rearrange(jaxpr: Jaxpr, inputs: Iterable[int], outputs: Iterable[int] | None = None) -> Jaxpr:
    """The same program with its inputs, and outputs, listed in another order.

    `inputs` must name every input that the program uses; outputs may be left out or repeated.
    """
    return _rearranged(jaxpr, tuple(inputs), None if outputs is None else tuple(outputs))


@weak_cache
def _rearranged(jaxpr: Jaxpr, inputs: tuple, outputs: tuple | None) -> Jaxpr:
    outs = jaxpr.outvars if outputs is None else [jaxpr.outvars[i] for i in outputs]
    return jaxpr.replace(invars=[jaxpr.invars[i] for i in inputs], outvars=outs)


def pad_inputs(jaxpr: Jaxpr, places: Sequence[int | None], avals: Sequence[Any]) -> Jaxpr:
    """The program with unused inputs: input i is `jaxpr.invars[places[i]]`, or new if None."""
    return _padded(jaxpr, tuple(places), tuple(avals))


@weak_cache
def _padded(jaxpr: Jaxpr, places: tuple, avals: tuple) -> Jaxpr:
    invars = [Var(a) if p is None else jaxpr.invars[p] for p, a in zip(places, avals)]
    return jaxpr.replace(invars=invars)


def interleave(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Positions that put groups of the second half behind the groups of the first.

    With group sizes (2, 1) and (1, 1) of five things: [0, 1, 3, 2, 4].
    """
    order = []
    i, j = 0, sum(first)
    for n, m in zip(first, second):
        order += [*range(i, i + n), *range(j, j + m)]
        i, j = i + n, j + m
    return order


def settle(marks: Sequence[bool], step: Callable[[list], Any]) -> tuple[Any, list]:
    """Grow `marks` until `step(marks)` marks no more; what it gives then, and the marks.

    The last item of what it gives are marks of the same things (and perhaps of others behind).
    """
    marks = list(marks)
    while True:
        result = step(marks)
        grown = [a or b for a, b in zip(marks, result[-1])]
        if grown == marks:
            return result, marks
        marks = grown


def used_inputs(jaxpr: Jaxpr) -> tuple[bool, ...]:
    """Which inputs some equation or output reads."""
    read = set(jaxpr.outvars)
    for eqn in jaxpr.eqns:
        read.update(eqn.invars)
    return tuple(v in read for v in jaxpr.invars)


# --- Carries -----------------------------------------------------------------------------------


def promote_weak(values: Sequence[Any], avals: Sequence[Any],
                 out_avals: Sequence[Any]) -> tuple[Sequence[Any], bool]:
    """Weakly typed initial values in the dtype that the loop body gives them; and if any changed.
    """
    if avals == out_avals:
        return values, False
    values, changed = list(values), False
    for i, (before, after) in enumerate(zip(avals, out_avals)):
        if not before.weak_type or before.dtype == after.dtype:
            continue
        dtype, _ = dtypes.promote_avals((before, after))
        if dtype != before.dtype:
            values[i] = _converted(values[i], dtype)
            changed = True
    return values, changed


def _converted(x: Any, dtype: Any) -> Any:
    if dtypes.is_python_scalar(x):
        return np.asarray(x).astype(dtype)[()]
    return convert_element_type(x, dtype)


def same_type(one: Any, other: Any) -> bool:
    """Equal but for weakness of the dtype."""
    return one is other or one == other or (
        one.shape == other.shape and one.dtype == other.dtype is not None
        and varying_axes(one) == varying_axes(other) and not _split_otherwise(one, other)
        and memory_of(one) is memory_of(other))


def _split_otherwise(one: Any, other: Any) -> bool:
    """Whether both types say how explicit axes split values, and not the same."""
    shardings = sharding_of(one), sharding_of(other)
    return None not in shardings and shardings[0].spec != shardings[1].spec


def type_name(aval: Any) -> str:
    """`float32[3]`."""
    return aval.str_short(False)


def difference(one: Any, other: Any) -> str:
    """In what two types differ, as the end of a sentence."""
    parts = []
    if one.dtype != other.dtype:
        parts.append("the dtypes do not match")
    if one.shape != other.shape:
        parts.append("the shapes do not match")
    if varying_axes(one) != varying_axes(other):
        parts.append("the manual axis types do not match")
    if _split_otherwise(one, other):
        parts.append("the shardings do not match")
    if memory_of(one) is not memory_of(other):
        parts.append("the memory spaces do not match")
    return ", and ".join(parts)


def check_carry(what: str, fun: Callable, init_tree: Any, in_avals: Sequence[Any],
                out_tree: Any, out_avals: Sequence[Any], name: str | None = None,
                prefix: tuple = ()) -> None:
    """TypeError unless a loop body gives back a carry of the structure and types it was given.

    `name` is what to call the carry (default: the first parameter of `fun`), `prefix` the key path
    in front of paths into it.
    """
    if init_tree == out_tree and (
            in_avals == out_avals or all(map(same_type, in_avals, out_avals))):
        return
    name = name or first_parameter(fun)

    def component(path: str) -> str:
        return f"component {name}{path}" if path else name
    if init_tree != out_tree:
        raise TypeError(errors.describe(
            f"{what} function carry input and carry output must have the same pytree structure, "
            "but they differ:\n\n" + structure_difference(
                lambda path: f"the input carry {component(path)}",
                lambda path: "the corresponding component of the carry output",
                init_tree, out_tree),
            fix="return the carry with the same pytree structure as the carry input"))
    lines = []
    for path, before, after in zip(leaf_paths(init_tree), in_avals, out_avals):
        if not same_type(before, after):
            lines.append(
                f"the input carry {component(path)} has type {type_name(before)} but the "
                f"corresponding output carry component has type {type_name(after)}, so "
                f"{difference(before, after)}")
    raise TypeError(errors.describe(
        f"{what} function carry input and carry output must have equal types, but they differ:"
        f"\n\n{listed(lines)}\n" + _pcast_hints(component, init_tree, in_avals, out_avals),
        fix=_carry_fix(in_avals, out_avals)))


def _pcast_hints(component: Callable[[str], str], init_tree: Any, in_avals: Sequence[Any],
                 out_avals: Sequence[Any]) -> str:
    """How to make initial values vary along the axes that the results vary along."""
    hints = []
    for path, before, after in zip(leaf_paths(init_tree), in_avals, out_avals):
        missing = missing_axes(before, after)
        if missing:
            hints.append(f"applying `jax.lax.pcast(..., {missing}, to='varying')`, to the initial "
                         f"carry value corresponding to the input carry {component(path)}")
    return pcast_hint(hints)


def missing_axes(one: Any, other: Any) -> tuple:
    """The manual axes along which only the other type varies."""
    return tuple(sorted(varying_axes(other) - varying_axes(one), key=str))


def pcast_hint(hints: Sequence[str]) -> str:
    """What might make types vary alike, as the end of a message."""
    if not hints:
        return ""
    if len(hints) == 1:
        return f"\nThis might be fixed by {hints[0]}.\n"
    return "\nThis might be fixed by:\n" + listed(hints) + "\n"


def listed(lines: Sequence[str]) -> str:
    """Differences as one sentence each: alone, or as items of a list."""
    if len(lines) == 1:
        return lines[0].replace("the ", "The ", 1 if lines[0].startswith("the ") else 0) + "."
    return ";\n".join(f"  * {line}" for line in lines) + "."


def _carry_fix(in_avals: Sequence[Any], out_avals: Sequence[Any]) -> str:
    for before, after in zip(in_avals, out_avals):
        if before.shape == after.shape and before.dtype != after.dtype:
            return (f"start from a carry of dtype {after.dtype}, or return "
                    f"x.astype('{before.dtype}')")
    return "return a carry with the shapes and dtypes of the initial one"


def leaf_paths(treedef: Any) -> list[str]:
    """`[1]['w']` for each leaf of a structure."""
    return [tree.keystr(path) for path, _ in
            tree.leaves_with_path(treedef.unflatten(range(treedef.num_leaves)))]


def structure_difference(subject: Callable[[str], str], other: Callable[[str], str], first: Any,
                         second: Any) -> str:
    """Sentences that say where two structures differ; what is at a path is named by functions."""
    a = first.unflatten([_Leaf()] * first.num_leaves)
    b = second.unflatten([_Leaf()] * second.num_leaves)
    found = list(_differences((), a, b))
    if not found:
        return listed([f"{subject('')} has structure {first}, and {other('')} {second}"])
    return listed([f"{subject(path)} is {x} but {other(path)} is {y}, so {why}"
                   for path, x, y, why in ((tree.keystr(p), *rest) for p, *rest in found)])


class _Leaf:
    """Stands for an array in a structure."""


def _differences(path: tuple, a: Any, b: Any) -> Iterable[tuple]:
    kinds = [_kind(x) for x in (a, b)]
    if kinds[0] != kinds[1]:
        yield path, *kinds, "their Python types differ"
    elif not isinstance(a, _Leaf) and a is not None:
        (ours, meta), (theirs, other_meta) = map(tree.flatten_one_level_with_keys, (a, b))
        ours, theirs = list(ours), list(theirs)
        if len(ours) != len(theirs):
            kind = type(a).__name__
            yield (path, f"a {kind} of length {len(ours)}", f"a {kind} of length {len(theirs)}",
                   "the lengths do not match")
        elif meta != other_meta:
            yield (path, f"{kinds[0]} with pytree metadata {meta}",
                   f"one with pytree metadata {other_meta}",
                   "the pytree node metadata does not match")
        else:
            for (key, x), (_, y) in zip(ours, theirs):
                yield from _differences((*path, key), x, y)


def _kind(x: Any) -> str:
    return "a pytree leaf" if isinstance(x, _Leaf) else f"a {type(x)}"


def leading_size(what: str, leaves: Sequence[Any], structure: Any,
                 length: int | None = None) -> int:
    """The common size of axis 0 of the leaves; `length`, if given, must agree with it."""
    avals = [aval_of(x) for x in leaves]
    for aval, path in zip(avals, leaf_paths(structure)):
        if not aval.ndim:
            raise ValueError(errors.describe(
                f"{what} got value with no leading axis to scan over: {type_name(aval)}"
                + (f" at {path}" if path else "") + ".",
                fix="give every array to loop over an axis 0; close over scalars"))
        split = sharding_of(aval)
        if split is not None and split.spec.partitions[0] is not None:
            raise ValueError(errors.describe(
                f"0th dimension of all xs should be replicated. Got {split.spec}",
                because=f"{what} takes one element after the other", fix="jax.reshard(xs, P())"))
    sizes = [aval.shape[0] for aval in avals]
    if length is not None:
        if any(n != length for n in sizes):
            raise ValueError(errors.describe(
                f"{what} got `length` argument of {length} which disagrees with leading axis "
                f"sizes {sizes}.", fix="leave out `length`, it is known from the arrays"))
        return length
    if not sizes:
        raise ValueError(errors.describe(
            f"{what} got no values to scan over and `length` not provided.",
            fix="pass xs, or the number of iterations as length="))
    if any(n != sizes[0] for n in sizes):
        raise ValueError(errors.describe(
            f"{what} got values with different leading axis sizes: "
            f"{', '.join(map(str, sizes))}.", fix="cut the arrays to one length along axis 0"))
    return sizes[0]
