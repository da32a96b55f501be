"""`cond` and `switch`: run one of several functions.

Both are the primitive `cond[branches]`, whose first operand is the index of the branch, an int32.
All branches take the same operands, among them whatever any of them closes over, and give the same
types. Under vmap a batched index makes all branches run, and selects.

    >>> lax.cond(x > 0, lambda x: x, lambda x: -x, x)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import config, dtypes, errors, tree
from minijax.base.util import merge, partition, trace_cache, weak_cache
from minijax.core import (AxisData, Dims, Jaxpr, JaxprEqn, Literal, Primitive, ShapedArray, Values,
                          Zero, aval_of, batch_jaxpr, broadcast_in_dim_p, check_control_flow,
                          convert_element_type, dce_jaxpr, eval_jaxpr, io_effect, is_linear,
                          jvp_jaxpr, linearize_jaxpr, materialize, materialize_output,
                          merge_tangents, ordered_io_effect, reached_outputs, sharding_of,
                          to_concrete, trace_closed, transpose_jaxpr, varying_axes, with_varying,
                          zeros)
from minijax.lax import identity, logic
from minijax.lax.casts import vary
from minijax.lax.control_flow.common import (Body, difference, leaf_paths, listed, missing_axes,
                                             pad_inputs, parameter_names, pcast_hint, rearrange,
                                             same_type, structure_difference, trace_body,
                                             type_name, where_defined)
from minijax.passes.discharge import bind_program, check_distinct, holds_ref

_missing: Any = object()


def cond(pred: Any, true_fun: Callable, false_fun: Callable, *operands: Any,
         operand: Any = _missing) -> Any:
    """`true_fun(*operands)` if `pred` else `false_fun(*operands)`.

    `pred` is a boolean (or number) scalar; both functions must return the same structure and
    types, else TypeError. `cond(pred, x, true_fun, y, false_fun)` calls each on its own operand.
    """
    if not (callable(true_fun) and callable(false_fun)):
        return _cond_two_operands(pred, true_fun, false_fun, operands)
    if operand is not _missing:
        _check_one_kind(operand, operands)
        operands = (operand,)
    number = _predicate(pred)
    if config.disable_jit_state.value and to_concrete(number) is not None:
        return (true_fun if number else false_fun)(*operands)
    index = _index_of(number)
    return _bind(index, (false_fun, true_fun), operands, ("false_fun", "true_fun"), "cond")


def _check_one_kind(operand: Any, operands: tuple) -> None:
    if operands:
        raise TypeError(errors.describe(
            "if 'operand' keyword is passed then no positional operands can be passed, "
            f"got operand={operand} and positional operands {operands}",
            fix="pass all operands by position"))


def _cond_two_operands(pred: Any, true_operand: Any, true_fun: Any, rest: tuple) -> Any:
    """The form in which each branch has its own operand."""
    if len(rest) != 2 or not (callable(true_fun) and callable(rest[1])):
        raise TypeError(errors.describe(
            "lax.cond: true_fun and false_fun arguments should be callable.",
            fix="jax.lax.cond(x > 0, lambda x: x, lambda x: -x, x)"))
    false_operand, false_fun = rest
    return cond(pred, lambda x, _: true_fun(x), lambda _, y: false_fun(y), true_operand,
                false_operand)


def _predicate(pred: Any) -> Any:
    """The scalar that decides, or the TypeError that says why it cannot."""
    fail, fix = None, "pass a boolean first, such as x > 0, then the branches"
    if pred is None:
        fail = "cond predicate is None"
    elif isinstance(pred, (list, tuple, dict, str)):
        fail = f"Pred must be a scalar, got {pred} of type {type(pred)}"
    elif callable(pred):
        fail = f"Pred type must be either boolean or number, got {pred}."
    elif aval_of(pred).shape:
        fail = f"Pred must be a scalar, got {pred} of shape {aval_of(pred).shape}."
        fix = "reduce it with jnp.all or jnp.any; choose elementwise with jnp.where"
    elif not any(dtypes.issubdtype(aval_of(pred).dtype, kind) for kind in (np.bool_, np.number)):
        fail = f"Pred type must be either boolean or number, got {aval_of(pred).dtype}."
    if fail:
        raise TypeError(errors.describe(fail, fix=fix))
    return pred


def _index_of(pred: Any) -> Any:
    """0 or 1, as an int32 scalar."""
    if dtypes.is_python_scalar(pred) or isinstance(pred, np.generic):
        return np.int32(bool(pred))
    dtype = aval_of(pred).dtype
    if dtype != np.bool_:
        pred = logic.ne(pred, np.zeros((), dtype)[()])
    return convert_element_type(pred, np.dtype(np.int32))


def switch(index: Any, branches: Sequence[Callable], *operands: Any,
           operand: Any = _missing) -> Any:
    """`branches[index](*operands)`; an index out of range is clamped into it.

    `index` is an integer scalar; the branches must return the same structure and types.
    """
    if not all(callable(branch) for branch in branches):
        raise TypeError(errors.describe(
            "lax.switch: branches argument should be a sequence of callables.",
            fix="jax.lax.switch(i, [f, g], x)"))
    if operand is not _missing:
        _check_one_kind(operand, operands)
        operands = (operand,)
    branches = tuple(branches)
    if not branches:
        raise ValueError(errors.describe("Empty branch sequence",
                                         fix="give at least one branch"))
    _check_index(index)
    if len(branches) == 1:
        return branches[0](*operands)
    last = len(branches) - 1
    if config.disable_jit_state.value and to_concrete(index) is not None:
        return branches[min(max(int(index), 0), last)](*operands)
    number = convert_element_type(_int32(index), np.dtype(np.int32))
    number = logic.clamp(np.int32(0), number, np.int32(last))
    names = ("branch 0", *[f"branch{i}" for i in range(1, len(branches))])
    return _bind(number, branches, operands, names, "switch")


def _int32(index: Any) -> Any:
    return np.int32(max(min(index, 2**31 - 1), -2**31)) if type(index) is int else index


def _check_index(index: Any) -> None:
    fix = "pass an integer scalar, e.g. x.astype(int)"
    if isinstance(index, (str, dict)) or index is None or callable(index):
        raise TypeError(errors.describe(f"Index type must be an integer, got {index}.", fix=fix))
    if np.shape(index):
        raise TypeError(errors.describe(
            f"Branch index must be scalar, got {index} of shape {np.shape(index)}.",
            fix="use jax.vmap to choose for each element"))
    aval = aval_of(index)
    if not dtypes.issubdtype(aval.dtype, np.integer):
        raise TypeError(errors.describe(
            f"Index type must be an integer, got {index} as {aval.dtype}", fix=fix))


def platform_dependent(*args: Any, default: Callable | None = None,
                       **per_platform: Callable) -> Any:
    """`per_platform[platform](*args)` on the platform that it is compiled for, else `default`.

    Platforms are cpu, cuda, rocm, tpu. All functions must return the same structure and types.
    """
    if "gpu" in per_platform:
        raise ValueError(errors.describe("Use 'cuda' or 'rocm' for lax.platform_dependent.",
                                         fix="lax.platform_dependent(x, cuda=f, rocm=f)"))
    groups: dict[Callable, list[str]] = {}
    for platform, fun in per_platform.items():
        groups.setdefault(fun, []).append(platform)
    platforms: list = [tuple(names) for names in groups.values()]
    funs = list(groups)
    if default is not None:
        platforms.append(None)
        funs.append(default)
    if not funs:
        raise TypeError(errors.describe("platform_dependent got no functions",
                                        fix="lax.platform_dependent(x, cpu=f, default=g)"))
    names = tuple("default" if p is None else f"branch for {', '.join(p)}" for p in platforms)
    index = platform_index_p.bind(platforms=tuple(platforms))
    known = to_concrete(index)
    if known is not None:  # nothing is being staged for another platform
        return funs[int(known)](*args)
    return _bind(index, funs, args, names, "platform_dependent",
                 branches_platforms=tuple(platforms))


platform_index_p = Primitive(
    "platform_index", shape=lambda *, platforms: ShapedArray((), np.dtype(np.int32)))

# --- From functions to branches ----------------------------------------------------------------


def _bind(index: Any, funs: Sequence[Callable], operands: tuple, names: tuple, what: str,
          **params: Any) -> Any:
    leaves, in_tree = tree.flatten(operands)
    avals = tuple(aval_of(x) for x in leaves)
    _check_refs(funs[0], operands, leaves, (), what)
    bodies = [trace_body(fun, in_tree, avals, what) for fun in funs]
    _check_same_outputs(what, funs, bodies, names)
    bodies = _varying_as_index(bodies, index)
    consts, places = _common_consts([body.captured for body in bodies])
    _check_refs(funs[0], operands, leaves, consts, what)
    joined = _join(bodies[0].jaxpr, tuple(body.jaxpr for body in bodies[1:]), places,
                   tuple(aval_of(x) for x in consts), avals)
    inputs = [*consts, *leaves]
    outs: Any = ()
    if len(joined.forwarded) != sum(i is not None for i in joined.forwarded) or any(
            branch.effects for branch in joined.branches):
        outs = iter(bind_program(cond_p, [index, *inputs],
                                 dict(params, branches=joined.branches), *joined.branches))
    results = [next(outs) if i is None else identity.stage(inputs[i]) for i in joined.forwarded]
    return tree.unflatten(bodies[0].result, results)


def _check_refs(fun: Callable, operands: tuple, leaves: list, captured: Sequence[Any],
                what: str) -> None:
    """ValueError if a reference is given twice, or given and closed over."""
    if any(map(holds_ref, leaves)):
        names = parameter_names(fun, len(operands))
        paths = [names[path[0].idx] + tree.keystr(path[1:])
                 for path, _ in tree.leaves_with_path(operands)]
        check_distinct(captured, leaves, paths, f"{where_defined(fun)} for {what}")


def _varying_as_index(bodies: list[Body], index: Any) -> list[Body]:
    """The branches with outputs that vary along the axes that the predicate varies over, too."""
    own = varying_axes(aval_of(index))
    return bodies if not own else [
        body._replace(jaxpr=_vary_outputs(body.jaxpr, own)) for body in bodies]


@weak_cache
def _vary_outputs(jaxpr: Jaxpr, axes: frozenset) -> Jaxpr:
    return trace_closed(
        lambda *xs: [vary(x, axes) for x in eval_jaxpr(jaxpr, jaxpr.consts, *xs)], jaxpr.in_avals)


def _common_consts(captured: Sequence[list]) -> tuple[list, tuple]:
    """All captured values once each, and where those of each branch are among them."""
    found: dict[int, int] = {}
    consts, places = [], []
    for values in captured:
        for x in values:
            if id(x) not in found:
                found[id(x)] = len(consts)
                consts.append(x)
        places.append(tuple(found[id(x)] for x in values))
    return consts, tuple(places)


class _Joined(NamedTuple):
    """Branches with the same inputs; and outputs that are one operand in every branch."""

    branches: tuple[Jaxpr, ...]
    forwarded: tuple[int | None, ...]


@weak_cache
def _join(first: Jaxpr, others: tuple, places: tuple, const_avals: tuple,
                   avals: tuple) -> _Joined:
    branches = []
    for jaxpr, place in zip((first, *others), places):
        inputs: list[int | None] = [None] * len(const_avals)
        for own, joint in enumerate(place):
            inputs[joint] = own
        own_operands = range(len(place), len(place) + len(avals))
        branches.append(pad_inputs(jaxpr, (*inputs, *own_operands), (*const_avals, *avals)))
    origins = [[_origin(branch, v) for v in branch.outvars] for branch in branches]
    forwarded = tuple(o[0] if all(i == o[0] for i in o) else None for o in zip(*origins))
    outs = [i for i, source in enumerate(forwarded) if source is None]
    if len(outs) < len(forwarded):
        branches = [rearrange(b, range(len(b.invars)), outs) for b in branches]
    return _Joined(tuple(branches), forwarded)


def _origin(jaxpr: Jaxpr, out: Any) -> int | None:
    return None if type(out) is Literal else next(
        (i for i, v in enumerate(jaxpr.invars) if v is out), None)


def _check_same_outputs(what: str, funs: Sequence[Callable], bodies: Sequence[Body],
                        names: Sequence[str]) -> None:
    first = bodies[0]
    for fun, body, name in zip(funs[1:], bodies[1:], names[1:]):
        if body.result == first.result and all(
                map(same_type, body.jaxpr.out_avals, first.jaxpr.out_avals)):
            continue
        one, other = (names[0], funs[0], first), (name, fun, body)
        if what == "cond":  # the user writes the true branch first
            one, other = other, one
        raise _branch_mismatch(what, one, other)


def _branch_mismatch(what: str, one: tuple, other: tuple) -> TypeError:
    (name, fun, body), (name2, fun2, body2) = one, other
    where = f"{name} is {where_defined(fun)}\n{name2} is {where_defined(fun2)}"
    if body.result != body2.result:
        detail = structure_difference(lambda path: f"{name} output{_at(path)}",
                                      lambda path: f"{name2} output{_at(path)}",
                                      body.result, body2.result)
        return TypeError(errors.describe(
            f"{what} branch outputs must have the same pytree structure, but they differ:\n\n"
            f"{where}\n\n{detail}\n", fix="return the same containers from all branches"))
    lines, hints = [], []
    pairs = zip(leaf_paths(body.result), body.jaxpr.out_avals, body2.jaxpr.out_avals)
    for path, a, b in pairs:
        hints += [f"applying `jax.lax.pcast(..., {axes}, to='varying')` to the output of {at}"
                  f"{_at(path)}" for at, axes in ((name, missing_axes(a, b)),
                                                  (name2, missing_axes(b, a))) if axes]
        if not same_type(a, b):
            lines.append(
                f"the output of {name}{_at(path)} has type {type_name(a)} but the corresponding "
                f"output of {name2} has type {type_name(b)}, so {difference(a, b)}")
    return TypeError(errors.describe(
        f"{what} branches must have equal output types but they differ.\n\n{where}\n\n"
        f"{listed(lines)}\n" + pcast_hint(hints),
        fix="convert the outputs to one type, e.g. with .astype, and one shape"))


def _at(path: str) -> str:
    return f" at path {path}" if path else ""


# --- The primitive -----------------------------------------------------------------------------


def _shape(index: Any, *avals: Any, branches: tuple, **_: Any) -> tuple:
    effects = frozenset().union(*[b.effects for b in branches])
    check_control_flow("cond", effects)
    outs = branches[0].out_avals
    if any(a.placement for a in (index, *avals)):
        varying = [varying_axes(index).union(*map(varying_axes, each))
                   for each in zip(*[b.out_avals for b in branches])]
        outs = list(map(with_varying, outs, varying))
    return outs, effects


def _agree(transform: Callable, branches: Sequence[Jaxpr]) -> list[tuple]:
    """Transform all branches so that they mark the same outputs.

    `transform(branch, instantiate)` returns something whose last item are the outputs' marks.
    """
    results = [transform(branch, False) for branch in branches]
    union = tuple(any(marks) for marks in zip(*[r[-1] for r in results]))
    if all(tuple(r[-1]) == union for r in results):
        return results
    return [transform(branch, union) for branch in branches]


def _jvp(primals: Values, tangents: Values, *, branches: tuple, **params: Any) -> tuple[list, list]:
    index, *operands = primals
    nonzero = [type(t) is not Zero for t in tangents[1:]]
    results = _agree(lambda b, inst: jvp_jaxpr(b, nonzero, inst), branches)
    out_nonzero = results[0][1]
    live = [t for t in tangents[1:] if type(t) is not Zero]
    found = cond_p.bind(index, *operands, *live, branches=tuple(r[0] for r in results), **params)
    outs = found[:len(out_nonzero)]
    return outs, merge_tangents(found[len(out_nonzero):], out_nonzero, outs)


class _Split(NamedTuple):
    """Branches split into forward ones, and linear ones that take the residuals of all.

    `operands` are the operands that serve as residuals as they are; other residuals are outputs of
    the forward branches, which share their places among branches by type.
    """

    forward: tuple[Jaxpr, ...]
    linear: tuple[Jaxpr, ...]
    operands: tuple[int, ...]
    out_nonzero: tuple[bool, ...]


@trace_cache
def _split_branches(first: Jaxpr, others: tuple, nonzero: tuple) -> _Split:
    parts = _agree(lambda b, inst: linearize_jaxpr(b, nonzero, inst), (first, *others))
    num_outs = len(first.outvars)
    out_nonzero = parts[0][2]
    slots: list = []  # types of the residuals that forward branches return
    wanted = []  # per branch, per residual: ("in", i) or ("slot", i)
    for forward, _, _ in parts:
        places = {v: i for i, v in enumerate(forward.invars)}
        taken, sources = [False] * len(slots), []
        for v in forward.outvars[num_outs:]:
            if v in places:
                sources.append(("in", places[v]))
                continue
            sources.append(("slot", _take_slot(slots, taken, v.aval)))
        wanted.append(sources)
    operands = sorted({i for sources in wanted for kind, i in sources if kind == "in"})
    tangent_avals = [a.to_tangent_aval() for a, nz in zip(first.in_avals, nonzero) if nz]
    linear_avals = [*[first.in_avals[i] for i in operands], *slots, *tangent_avals]
    forward_branches, linear_branches = [], []
    for (forward, linear, _), sources in zip(parts, wanted):
        forward_branches.append(_fill_slots(forward, num_outs, sources, slots))
        places = [None] * len(linear_avals)
        for own, (kind, i) in enumerate(sources):
            at = operands.index(i) if kind == "in" else len(operands) + i
            places[at] = own if places[at] is None else places[at]
        for i in range(len(tangent_avals)):
            places[len(operands) + len(slots) + i] = len(sources) + i
        if len(set(sources)) < len(sources):
            linear = _merge_repeated(linear, sources)
        linear_branches.append(pad_inputs(linear, places, linear_avals))
    return _Split(tuple(forward_branches), tuple(linear_branches), tuple(operands), out_nonzero)


def _take_slot(slots: list, taken: list, aval: Any) -> int:
    """A place for a residual of type `aval`, one that the branch has not used yet."""
    aval = aval.strip_weak_type()
    for i, (slot, used) in enumerate(zip(slots, taken)):
        if slot == aval and not used:
            taken[i] = True
            return i
    slots.append(aval)
    taken.append(True)
    return len(slots) - 1


def _merge_repeated(linear: Jaxpr, sources: list) -> Jaxpr:
    """Read inputs of a linear program that are one residual from the first of them."""
    first: dict = {}
    places = [first.setdefault(source, i) for i, source in enumerate(sources)]
    places += range(len(sources), len(linear.invars))
    return trace_closed(
        lambda *args: eval_jaxpr(linear, linear.consts, *[args[i] for i in places]),
        linear.in_avals, linear.debug)


def _fill_slots(forward: Jaxpr, num_outs: int, sources: list, slots: list) -> Jaxpr:
    """The forward branch with an output for each slot: a residual, or zeros nobody reads."""
    residual = {i: num_outs + own for own, (kind, i) in enumerate(sources) if kind == "slot"}
    if len(residual) == len(slots):
        order = [*range(num_outs), *[residual[i] for i in range(len(slots))]]
        return rearrange(forward, range(len(forward.invars)), order)

    def fun(*args: Any) -> list:
        outs = eval_jaxpr(forward, forward.consts, *args)
        return outs[:num_outs] + [outs[residual[i]] if i in residual else zeros(slot)
                                  for i, slot in enumerate(slots)]
    return trace_closed(fun, forward.in_avals, forward.debug)


def _linearize(primals: Values, tangents: Values, *, branches: tuple,
               **params: Any) -> tuple[list, list]:
    index, *operands = primals
    nonzero = tuple(type(t) is not Zero for t in tangents[1:])
    split = _split_branches(branches[0], branches[1:], nonzero)
    results = cond_p.bind(index, *operands, branches=split.forward, **params)
    num_outs = len(split.out_nonzero)
    outs, slots = results[:num_outs], results[num_outs:]
    if not any(split.out_nonzero):
        return outs, merge_tangents([], split.out_nonzero, outs)
    live = [t for t in tangents[1:] if type(t) is not Zero]
    out_tangents = cond_p.bind(index, *[operands[i] for i in split.operands], *slots, *live,
                               branches=split.linear, **params)
    return outs, merge_tangents(out_tangents, split.out_nonzero, outs)


@trace_cache
def _transposed(first: Jaxpr, others: tuple, linear: tuple, ct_nonzero: tuple) -> tuple:
    """The transposed branches, with zeros where only others have a cotangent."""
    results = [transpose_jaxpr(b, linear, ct_nonzero) for b in (first, *others)]
    union = tuple(any(marks) for marks in zip(*[marks for _, marks in results]))
    avals = [a for a, lin in zip(first.in_avals, linear) if lin]
    wanted = [a for a, nz in zip(avals, union) if nz]
    branches = []
    for jaxpr, marks in results:
        own = [m for m, nz in zip(marks, union) if nz]
        branches.append(jaxpr if all(own) else _with_zeros(jaxpr, own, wanted))
    return tuple(branches), union


def _with_zeros(jaxpr: Jaxpr, present: Sequence[bool], avals: Sequence[Any]) -> Jaxpr:
    def fun(*args: Any) -> list:
        outs = eval_jaxpr(jaxpr, jaxpr.consts, *args)
        return merge(present, [zeros(a) for a, p in zip(avals, present) if not p], outs)
    return trace_closed(fun, jaxpr.in_avals, jaxpr.debug)


def _transpose(cts: Values, index: Any, *operands: Any, branches: tuple, **params: Any) -> list:
    linear = tuple(map(is_linear, operands))
    nonzero = tuple(type(c) is not Zero for c in cts)
    new, marks = _transposed(branches[0], branches[1:], linear, nonzero)
    known, unknown = partition(linear, operands)
    results = iter(cond_p.bind(index, *known, *[c for c in cts if type(c) is not Zero],
                               branches=new, **params))
    found = [next(results) if nz else Zero(x.aval) for x, nz in zip(unknown, marks)]
    return [None, *merge(linear, [None] * len(known), found)]


def _vmap(axis: AxisData, args: Values, dims: Dims, *, branches: tuple,
          **params: Any) -> tuple[list, list]:
    index, *operands = args
    index_dim, *operand_dims = dims
    if index_dim is not None:
        return _vmap_select(axis, materialize(index, index_dim, axis.size), operands,
                            operand_dims, branches)
    operands = [x if d is None else materialize(x, d, axis.size)
                for x, d in zip(operands, operand_dims)]
    marks = [d is not None for d in operand_dims]
    results = _agree(lambda b, inst: batch_jaxpr(b, axis, marks, inst), branches)
    outs = cond_p.bind(index, *operands, branches=tuple(r[0] for r in results), **params)
    return outs, [0 if b else None for b in results[0][1]]


def _vmap_select(axis: AxisData, index: Any, operands: Values, dims: Dims,
                 branches: tuple) -> tuple[list, list]:
    """Run every branch in all lanes and select.

    In lanes that a branch is not chosen for, its operands are cut off from derivatives: they may
    lie where it is infinite, and zero times infinity would spoil the gradient of the lane.
    """
    effects = [e for branch in branches for e in branch.effects]
    if io_effect in effects or ordered_io_effect in effects:
        raise NotImplementedError(errors.describe(
            "IO effect not supported in vmap-of-cond.",
            because="a batched predicate makes all branches run",
            fix="keep the predicate unbatched, or use jax.lax.map"))
    operands = [materialize_output(x, d, axis) for x, d in zip(operands, dims)]
    results = []
    for i, branch in enumerate(branches):
        jaxpr, _ = batch_jaxpr(branch, axis, [True] * len(operands), True)
        chosen = logic.eq(index, np.int32(i))
        guarded = [_guard(chosen, x) for x in operands]
        results.append(eval_jaxpr(jaxpr, jaxpr.consts, *guarded))
    outs = [_select(index, cases) for cases in zip(*results)]
    return outs, [0] * len(outs)


def _guard(chosen: Any, x: Any) -> Any:
    if not dtypes.issubdtype(aval_of(x).dtype, np.inexact):
        return x
    return logic.select_n(_like(chosen, x), identity.stop_gradient(x), x)


def _select(index: Any, cases: Sequence[Any]) -> Any:
    if not all(aval_of(c).weak_type == aval_of(cases[0]).weak_type for c in cases):
        dtype = aval_of(cases[0]).dtype
        cases = [convert_element_type(c, dtype) for c in cases]
    return logic.select_n(_like(index, cases[0]), *cases)


def _like(lanes: Any, x: Any) -> Any:
    """A value per lane, repeated to the shape of `x`, whose axis 0 are the lanes."""
    aval = aval_of(x)
    return lanes if aval.ndim == 1 else broadcast_in_dim_p.bind(
        lanes, shape=aval.shape, broadcast_dimensions=(0,), sharding=sharding_of(aval))


def _dce(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    branches = eqn.params["branches"]
    if not any(used) and not eqn.effects:
        return None
    results = [dce_jaxpr(b, used) for b in branches]
    kept = [any(marks) for marks in zip(*[marks for _, marks in results])]
    if not all(kept) or not all(all(marks) for _, marks in results):
        results = [dce_jaxpr(b, used, kept) for b in branches]
    index, *operands = eqn.invars
    return eqn.replace(invars=[index, *[v for v, k in zip(operands, kept) if k]],
                       outvars=[v for v, u in zip(eqn.outvars, used) if u],
                       params={**eqn.params, "branches": tuple(b for b, _ in results)},
                       effects=frozenset().union(*[b.effects for b, _ in results]))


def _reach(marks: Sequence[bool], *, branches: tuple, **_: Any) -> list[bool]:
    results = [reached_outputs(branch, marks[1:]) for branch in branches]
    return [any(found) for found in zip(*results)]


cond_p = Primitive("cond", shape=_shape, multiple_results=True, effectful=True, jvp=_jvp,
                   linearize=_linearize, transpose=_transpose, vmap=_vmap, dce=_dce, reach=_reach)
