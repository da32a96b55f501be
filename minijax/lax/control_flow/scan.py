"""`scan`: a loop with a fixed number of iterations that stacks one result of each.

Operands and inputs of the body come in three groups: consts (the same in every iteration), carry,
and xs (one slice of axis 0 per iteration); outputs are the carry and the ys. Every rule transforms
the body, repeating until the marks on the carry (has a tangent, is batched, is used) are stable,
and binds `scan` again.

    >>> lax.scan(lambda total, x: (total + x, total), 0.0, jnp.arange(3.0))
    (Array(3., dtype=float32, weak_type=True), Array([0., 0., 1.], dtype=float32))
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from minijax.base import config, errors, tree
from minijax.base.util import merge, partition, split_list, trace_cache, weak_cache
from minijax.core import (AxisData, Dims, DropVar, Jaxpr, JaxprEqn, Literal, Primitive, Values, Var,
                          Zero, add_tangents, aval_of, batch_jaxpr, batched_aval,
                          check_control_flow, cotangent_aval, cut, dce_jaxpr, eval_jaxpr,
                          instantiate, instantiate_cotangent, is_linear, jvp_jaxpr, linearize_jaxpr,
                          materialize, merge_tangents, reached_outputs, trace_closed,
                          transpose_jaxpr, unbatched_aval, zeros)
from minijax.core.dce import sweep
from minijax.lax import identity, shapes, slicing
from minijax.lax.control_flow.common import (Body, check_carry, first_parameter, interleave,
                                             leading_size, promote_weak, rearrange, settle,
                                             trace_body, type_name)
from minijax.passes.discharge import bind_program, check_distinct, holds_ref

Carry = TypeVar("Carry")
X = TypeVar("X")
Y = TypeVar("Y")


def scan(f: Callable[[Carry, X], tuple[Carry, Y]], init: Carry, xs: X | None = None,
         length: int | None = None, reverse: bool = False, unroll: int | bool = 1,
         _split_transpose: bool = False) -> tuple[Carry, Y]:
    """Loop over axis 0 of `xs`: `carry, y = f(carry, x)`; returns the last carry and stacked ys.

    `xs` is a pytree of arrays, or None with `length` given. With `reverse` the loop goes from the
    last slice to the first. `unroll` iterations (True: all) become one of the compiled loop.
    Raises TypeError when the carry's types change, ValueError when leading sizes disagree.
    """
    if not callable(f):
        raise TypeError(errors.describe("lax.scan: f argument should be a callable.",
                                        fix="lax.scan(lambda carry, x: (carry, x), init, xs)"))
    init_leaves, init_tree = tree.flatten(init)
    xs_leaves, xs_tree = tree.flatten(xs)
    if length is not None:
        length = _concrete_length(length)
    length = leading_size("scan", xs_leaves, xs_tree, length)
    if config.disable_jit_state.value:
        return _scan_in_python(f, init, xs_leaves, xs_tree, length, reverse)
    x_avals = [unbatched_aval(aval_of(x), 0) for x in xs_leaves]
    names: list = []
    if any(map(holds_ref, [*init_leaves, *xs_leaves])):
        first = first_parameter(f)
        names = [first + tree.keystr(path) for path, _ in tree.leaves_with_path(init)]
        names += ["xs"] * len(xs_leaves)
        check_distinct((), [*init_leaves, *xs_leaves], names, "the body of scan")
    body, init_leaves = trace_scan(f, init_leaves, init_tree, x_avals, xs_tree)
    if names:
        check_distinct(body.captured, [*init_leaves, *xs_leaves], names, "the body of scan")
    outs = bind_scan(body, init_leaves, xs_leaves, reverse=bool(reverse), length=length,
                     unroll=unroll_factor(unroll, length))
    carry, ys = outs[:len(init_leaves)], outs[len(init_leaves):]
    return tree.unflatten(init_tree, carry), tree.unflatten(body.result[1], ys)


def _concrete_length(length: Any) -> int:
    try:
        return int(length)
    except errors.ConcretizationTypeError as error:
        raise type(error)(error.tracer, "The `length` argument to `scan` expects a concrete "
                                        "`int` value.") from None


def unroll_factor(unroll: int | bool, length: int) -> int:
    """The number of iterations to put into one, at least 1."""
    if isinstance(unroll, bool):
        return max(length, 1) if unroll else 1
    try:
        number = operator.index(unroll)
    except TypeError:
        number = -1
    if number < 0:
        raise ValueError(errors.describe("`unroll` must be a `bool` or a non-negative `int`.",
                                         because=f"it is {unroll!r}", fix="unroll=1"))
    return max(number, 1)


def _pair(value: Any) -> tuple[list, Any]:
    """Leaves of the carry and of y, and the two structures."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        shown = tree.map(lambda x: type_name(aval_of(x)), value)
        raise TypeError(errors.describe(f"scan body output must be a pair, got {shown}.",
                                        fix="return carry, y (y may be None)"))
    carry, carry_tree = tree.flatten(value[0])
    ys, ys_tree = tree.flatten(value[1])
    return [*carry, *ys], (carry_tree, ys_tree)


def trace_scan(f: Callable, init: list, init_tree: Any, x_avals: list, x_tree: Any,
               carry_name: str | None = None) -> tuple[Body, list]:
    """The traced body, and initial values promoted so that the carry keeps its types."""
    in_tree = tree.treedef_tuple((init_tree, x_tree))
    while True:
        avals = [aval_of(x) for x in init]
        body = trace_body(f, in_tree, (*avals, *x_avals), "scan", _pair)
        out_avals = body.jaxpr.out_avals[:body.result[0].num_leaves]
        if body.result[0] != init_tree:
            break
        init, changed = promote_weak(init, avals, out_avals)
        if not changed:
            break
    check_carry("scan body", f, init_tree, avals, body.result[0], out_avals, carry_name)
    return body, init


class _Simple(NamedTuple):
    """A body without its constant carries and forwarded xs; where each output comes from."""

    jaxpr: Jaxpr
    fixed: tuple[bool, ...]  # per carry: it never changes, so it becomes a const
    forwarded: tuple[int | None, ...]  # per y: the x that it is, if it is one


@weak_cache
def _simplified(jaxpr: Jaxpr, num_consts: int, num_carry: int) -> _Simple:
    carry_in = jaxpr.invars[num_consts:num_consts + num_carry]
    xs_in = jaxpr.invars[num_consts + num_carry:]
    fixed = tuple(v is o for v, o in zip(carry_in, jaxpr.outvars))
    place = {v: i for i, v in enumerate(xs_in)}
    forwarded = tuple(None if type(o) is Literal else place.get(o)
                      for o in jaxpr.outvars[num_carry:])
    invars = [*jaxpr.invars[:num_consts], *[v for v, same in zip(carry_in, fixed) if same],
              *[v for v, same in zip(carry_in, fixed) if not same], *xs_in]
    outvars = [o for o, same in zip(jaxpr.outvars, fixed) if not same]
    outvars += [o for o, x in zip(jaxpr.outvars[num_carry:], forwarded) if x is None]
    return _Simple(jaxpr.replace(invars=invars, outvars=outvars), fixed, forwarded)


def bind_scan(body: Body, init: Sequence[Any], xs: Sequence[Any], **params: Any) -> list:
    """Bind `scan`, but for carries that stay the same and ys that are xs."""
    jaxpr, consts = body.jaxpr, body.captured
    simple = _simplified(jaxpr, len(consts), len(init))
    consts = [*consts, *[x for x, same in zip(init, simple.fixed) if same]]
    carry = [x for x, same in zip(init, simple.fixed) if not same]
    inner = simple.jaxpr
    outs: Any = ()
    if inner.outvars or inner.effects:
        params = dict(params, jaxpr=inner, num_consts=len(consts), num_carry=len(carry))
        outs = iter(bind_program(scan_p, [*consts, *carry, *xs], params, inner))
    last = [identity.stage(x) if same else next(outs) for x, same in zip(init, simple.fixed)]
    ys = [next(outs) if i is None else identity.stage(xs[i]) for i in simple.forwarded]
    return [*last, *ys]


def _scan_in_python(f: Callable, carry: Any, xs: list, xs_tree: Any, length: int,
                    reverse: bool) -> tuple:
    """What `scan` does under `disable_jit`."""
    if not length:
        raise ValueError(errors.describe(
            "zero-length scan is not supported in disable_jit() mode because the output type is "
            "unknown.", fix="leave disable_jit(), or scan over at least one element"))
    results = []
    for i in reversed(range(length)) if reverse else range(length):
        x = tree.unflatten(xs_tree, [slicing.index_in_dim(a, i, keepdims=False) for a in xs])
        carry, y = f(carry, x)
        results.append(y)
    if reverse:
        results.reverse()
    return carry, tree.map(lambda *ys: shapes.stack([identity.stage(y) for y in ys]), *results)


# --- The primitive -----------------------------------------------------------------------------


def _shape(*avals: Any, jaxpr: Jaxpr, length: int, num_carry: int, **_: Any) -> tuple:
    check_control_flow("scan", jaxpr.effects)
    carry, ys = split_list(jaxpr.out_avals, [num_carry])
    return [*carry, *[batched_aval(a, 0, length) for a in ys]], jaxpr.effects


class _Loop(NamedTuple):
    """The parameters of a scan, and helpers that cut lists into its groups."""

    jaxpr: Jaxpr
    num_consts: int
    num_carry: int

    def inputs(self, items: Sequence[Any]) -> list[list]:
        """[consts, carry, xs]"""
        return split_list(items, [self.num_consts, self.num_carry])

    def outputs(self, items: Sequence[Any]) -> list[list]:
        """[carry, ys]"""
        return split_list(items, [self.num_carry])

    def settle(self, marks: Sequence[bool], transform: Callable) -> tuple[Any, tuple, tuple]:
        """Grow the marks of the carry until the transformed body gives back no others.

        `transform(in_marks, instantiate)` returns something whose last item are the outputs'
        marks. Returns that thing, the marks of the inputs and those of the outputs.
        """
        consts, carry, xs = self.inputs(marks)
        no_ys = [False] * (len(self.jaxpr.outvars) - self.num_carry)
        result, carry = settle(carry, lambda carry: transform((*consts, *carry, *xs),
                                                              (*carry, *no_ys)))
        return result, (*consts, *carry, *xs), tuple(result[-1])


def _counts(groups: Sequence[Sequence[bool]]) -> list[int]:
    return [sum(g) for g in groups]


def _tangents_for(primals: Values, tangents: Values, nonzero: Sequence[bool]) -> list:
    """The tangents marked in `nonzero`, zeros written out."""
    return [instantiate(t) for t, nz in zip(tangents, nonzero) if nz]


# --- Forward mode ------------------------------------------------------------------------------


@trace_cache
def _jvp_body(jaxpr: Jaxpr, num_consts: int, num_carry: int, nonzero: tuple) -> tuple:
    loop = _Loop(jaxpr, num_consts, num_carry)
    (with_tangents, _), nonzero, out_nonzero = loop.settle(
        nonzero, lambda marks, inst: jvp_jaxpr(jaxpr, marks, inst))
    primals = list(map(len, loop.inputs(jaxpr.invars)))
    outs = list(map(len, loop.outputs(jaxpr.outvars)))
    inner = rearrange(with_tangents, interleave(primals, _counts(loop.inputs(nonzero))),
                      interleave(outs, _counts(loop.outputs(out_nonzero))))
    return inner, nonzero, out_nonzero


def _jvp(primals: Values, tangents: Values, *, jaxpr: Jaxpr, num_consts: int, num_carry: int,
         **params: Any) -> tuple[list, list]:
    nonzero = tuple(type(t) is not Zero for t in tangents)
    inner, nonzero, out_nonzero = _jvp_body(jaxpr, num_consts, num_carry, nonzero)
    loop = _Loop(jaxpr, num_consts, num_carry)
    operands: list = []
    marks = loop.inputs(nonzero)
    for ps, ts, nz in zip(loop.inputs(primals), loop.inputs(tangents), marks):
        operands += [*ps, *_tangents_for(ps, ts, nz)]
    results = scan_p.bind(*operands, jaxpr=inner, num_consts=num_consts + sum(marks[0]),
                          num_carry=num_carry + sum(marks[1]), **params)
    carry_marks, y_marks = loop.outputs(out_nonzero)
    carry, carry_dot, ys, ys_dot = split_list(
        results, [num_carry, sum(carry_marks), len(y_marks)])
    outs = [*carry, *ys]
    return outs, merge_tangents([*carry_dot, *ys_dot], out_nonzero, outs)


# --- Reverse mode, first half: run and keep the linear loop ------------------------------------


class _Split(NamedTuple):
    """A scan split into a forward scan, and a linear one over tangents and residuals.

    `sources` says what each residual is: ("const", i) and ("x", i) are operands, ("y", i) is an
    output of the forward scan, ("new", i) one added to it; ("hoisted", i) is loop-invariant and an
    output of `prelude`, which takes the consts. Hoisted values marked in `reads` are more consts of
    the forward scan.
    """

    forward: Jaxpr
    linear: Jaxpr
    prelude: Jaxpr
    reads: tuple[bool, ...]
    sources: tuple[tuple[str, int], ...]
    nonzero: tuple[bool, ...]
    out_nonzero: tuple[bool, ...]


_INVARIANT = ("const", "hoisted")


@trace_cache
def _split_body(jaxpr: Jaxpr, num_consts: int, num_carry: int, nonzero: tuple) -> _Split:
    loop = _Loop(jaxpr, num_consts, num_carry)
    (forward, linear, _), nonzero, out_nonzero = loop.settle(
        nonzero, lambda marks, inst: linearize_jaxpr(jaxpr, marks, inst))
    num_outs = len(jaxpr.outvars)
    outs, residuals = forward.outvars[:num_outs], forward.outvars[num_outs:]
    place: dict[Any, tuple[str, int]] = {}
    for i, v in enumerate(outs[num_carry:]):
        place[v] = ("y", i)
    for i, v in enumerate(forward.invars[num_consts + num_carry:]):
        place[v] = ("x", i)
    for i, v in enumerate(forward.invars[:num_consts]):
        place[v] = ("const", i)
    invariant, fixed_eqns = _loop_invariant(forward, num_consts)
    new, hoisted, sources = [], [], []
    for v in residuals:
        if v not in place:
            kind, group = ("new", new)
            if type(v) is Literal or v in invariant:
                kind, group = ("hoisted", hoisted)
            place[v] = (kind, len(group))
            group.append(v)
        sources.append(place[v])
    prelude = forward.replace(invars=forward.invars[:num_consts], outvars=hoisted,
                              eqns=sweep(fixed_eqns, hoisted)[0])
    at_hand = set(hoisted)
    eqns, live = sweep([e for e in forward.eqns
                        if e.effects or not at_hand.issuperset(e.outvars)],
                       [*outs, *new])
    live -= set(forward.constvars)  # the forward scan has these as they are
    reads = tuple(type(v) is Var and v in live for v in hoisted)
    consts, rest = forward.invars[:num_consts], forward.invars[num_consts:]
    consts = [*consts, *[v for v, read in zip(hoisted, reads) if read]]
    forward = forward.replace(invars=[*consts, *rest], eqns=eqns, outvars=[*outs, *new])
    marks = _counts(loop.inputs(nonzero))
    fixed = [i for i, (kind, _) in enumerate(sources) if kind in _INVARIANT]
    varying = [i for i, (kind, _) in enumerate(sources) if kind not in _INVARIANT]
    first = len(sources)
    consts, carry, xs = split_list(range(first, first + sum(marks)), marks[:2])
    linear = rearrange(linear, [*fixed, *consts, *carry, *varying, *xs])
    return _Split(forward, linear, prelude, reads, tuple(sources), nonzero, out_nonzero)


def _loop_invariant(jaxpr: Jaxpr, num_consts: int) -> tuple[set, list[JaxprEqn]]:
    """The variables that depend on consts alone, and the equations that compute them."""
    known = {*jaxpr.constvars, *jaxpr.invars[:num_consts]}
    eqns = []
    for eqn in jaxpr.eqns:
        if not eqn.effects and all(type(v) is Literal or v in known for v in eqn.invars):
            known.update(eqn.outvars)
            eqns.append(eqn)
    return known, eqns


def _linearize(primals: Values, tangents: Values, *, jaxpr: Jaxpr, num_consts: int, num_carry: int,
               **params: Any) -> tuple[list, list]:
    marks = tuple(type(t) is not Zero for t in tangents)
    split = _split_body(jaxpr, num_consts, num_carry, marks)
    loop = _Loop(jaxpr, num_consts, num_carry)
    consts, carry, xs = loop.inputs(primals)
    hoisted = eval_jaxpr(split.prelude, split.prelude.consts, *consts)
    more = [x for x, read in zip(hoisted, split.reads) if read]
    results = scan_p.bind(*consts, *more, *carry, *xs, jaxpr=split.forward,
                          num_consts=num_consts + len(more), num_carry=num_carry, **params)
    num_outs = len(split.out_nonzero)
    outs, new = results[:num_outs], results[num_outs:]
    if not any(split.out_nonzero):
        return outs, merge_tangents([], split.out_nonzero, outs)
    values = {"const": consts, "x": xs, "y": outs[num_carry:], "new": new, "hoisted": hoisted}
    fixed = [values[kind][i] for kind, i in split.sources if kind in _INVARIANT]
    varying = [values[kind][i] for kind, i in split.sources if kind not in _INVARIANT]
    groups = zip(loop.inputs(primals), loop.inputs(tangents), loop.inputs(split.nonzero))
    consts_dot, carry_dot, xs_dot = [_tangents_for(*group) for group in groups]
    out_tangents = scan_p.bind(
        *fixed, *consts_dot, *carry_dot, *varying, *xs_dot, jaxpr=split.linear,
        num_consts=len(fixed) + len(consts_dot), num_carry=len(carry_dot), **params)
    return outs, merge_tangents(out_tangents, split.out_nonzero, outs)


# --- Reverse mode, second half: the loop backwards ---------------------------------------------


class _Backward(NamedTuple):
    """The transposed body and the marks that say which cotangents it has.

    Inputs: known consts, sums of the consts' cotangents, cotangents of the carry, known xs,
    cotangents of the ys. Outputs: the sums, cotangents of the carry and of the linear xs.
    """

    jaxpr: Jaxpr
    consts: tuple[bool, ...]  # per linear const
    carry: tuple[bool, ...]
    xs: tuple[bool, ...]  # per linear x


@trace_cache
def _transpose_body(jaxpr: Jaxpr, num_consts: int, num_carry: int, linear: tuple,
                    ct_nonzero: tuple) -> _Backward:
    loop = _Loop(jaxpr, num_consts, num_carry)
    carry, ys = loop.outputs(ct_nonzero)
    num_lin_consts = sum(linear[:num_consts])

    def transpose(carry: list) -> tuple:
        transposed, nonzero = transpose_jaxpr(jaxpr, linear, (*carry, *ys))
        return transposed, nonzero, nonzero[num_lin_consts:]

    (transposed, nonzero, _), carry = settle(carry, transpose)
    consts_nz, carry_nz, xs_nz = split_list(nonzero, [num_lin_consts, num_carry])
    lin_c, _, lin_x = loop.inputs(linear)
    c_avals, carry_avals, x_avals = loop.inputs(jaxpr.in_avals)
    out_carry, out_ys = loop.outputs(jaxpr.out_avals)
    sums = [a for a, lin in zip(c_avals, lin_c) if lin]
    groups = [[a for a, lin in zip(c_avals, lin_c) if not lin],
              [cotangent_aval(a) for a, nz in zip(sums, consts_nz) if nz],
              [cotangent_aval(a) for a, nz in zip(out_carry, carry) if nz],
              [a for a, lin in zip(x_avals, lin_x) if not lin],
              [cotangent_aval(a) for a, nz in zip(out_ys, ys) if nz]]
    sizes = [len(g) for g in groups[:-1]]

    def body(*args: Any) -> list:
        known_c, totals, ct_carry, known_x, ct_ys = split_list(args, sizes)
        found = eval_jaxpr(transposed, transposed.consts, *known_c, *known_x, *ct_carry, *ct_ys)
        n = len(totals)
        rest = iter(found[n:])
        back = [(next(rest) if own else zeros(cotangent_aval(a))) for own, nz, a in
                zip(carry_nz, carry, carry_avals) if nz]
        return [*map(add_tangents, totals, found[:n]), *back, *rest]

    avals = [a.strip_weak_type() for group in groups for a in group]
    inner = trace_closed(body, avals, jaxpr.debug)
    return _Backward(inner, tuple(consts_nz), tuple(carry), tuple(xs_nz))


def _transpose(cts: Values, *args: Any, jaxpr: Jaxpr, num_consts: int, num_carry: int,
               **params: Any) -> list:
    loop = _Loop(jaxpr, num_consts, num_carry)
    marks = _linear_marks(loop, tuple(map(is_linear, args)))
    if not all(loop.inputs(marks)[1]):
        return _transpose_mixed(cts, args, marks, loop, params)
    ct_carry, ct_ys = loop.outputs(cts)
    back = _transpose_body(jaxpr, num_consts, num_carry, marks,
                           tuple(type(c) is not Zero for c in cts))
    lin_c, _, lin_x = loop.inputs(marks)
    consts, carry, xs = loop.inputs(args)
    known_c = [x for x, lin in zip(consts, lin_c) if not lin]
    known_x = [x for x, lin in zip(xs, lin_x) if not lin]
    sums = [zeros(cotangent_aval(x.aval.strip_weak_type()))
            for x, nz in zip([x for x in consts if is_linear(x)], back.consts) if nz]
    ct_carry = [instantiate_cotangent(c) for c, nz in zip(ct_carry, back.carry) if nz]
    ct_ys = [c for c in ct_ys if type(c) is not Zero]
    params = {**params, "reverse": not params["reverse"]}
    results = iter(scan_p.bind(
        *known_c, *sums, *ct_carry, *known_x, *ct_ys, jaxpr=back.jaxpr, num_consts=len(known_c),
        num_carry=len(sums) + len(ct_carry), **params))
    found = iter([next(results) if nz else None
                  for nz in (*back.consts, *back.carry, *back.xs)])
    given = [next(found) if lin else None for lin in marks]
    return [_cotangent(x, ct) for x, ct in zip(args, given)]


def _cotangent(x: Any, ct: Any) -> Any:
    """What the transpose rule returns for an operand; a known one started a linear carry."""
    if not is_linear(x):
        return None
    return Zero(x.aval) if ct is None else ct


def _linear_marks(loop: _Loop, linear: tuple) -> tuple[bool, ...]:
    """Which inputs of the body are linear: a carry is once anything linear flows into it."""
    consts, carry, xs = loop.inputs(linear)
    _, carry = settle(carry, lambda carry: [reached_outputs(loop.jaxpr, (*consts, *carry, *xs))])
    return (*consts, *carry, *xs)


def _reach(marks: Sequence[bool], *, jaxpr: Jaxpr, num_consts: int, num_carry: int,
           **_: Any) -> list[bool]:
    loop = _Loop(jaxpr, num_consts, num_carry)
    marks = _linear_marks(loop, tuple(marks))
    return [*loop.inputs(marks)[1], *reached_outputs(jaxpr, marks)[num_carry:]]


class _Parts(NamedTuple):
    """A body cut in two: what linear inputs reach, and the rest, which runs first."""

    known: Jaxpr  # known inputs to known outputs and values that the other part reads
    linear: Jaxpr  # consts, linear carry, those values, xs
    out_linear: tuple[bool, ...]


@weak_cache
def _cut_body(jaxpr: Jaxpr, num_consts: int, num_carry: int, marks: tuple) -> _Parts:
    loop = _Loop(jaxpr, num_consts, num_carry)
    reached = {v for v, mark in zip(jaxpr.invars, marks) if mark}
    known_eqns, linear_eqns = cut(jaxpr, reached)
    out_linear = (*loop.inputs(marks)[1], *[v in reached for v in jaxpr.outvars[num_carry:]])
    known_outs, linear_outs = partition(out_linear, jaxpr.outvars)
    known_in, _ = partition(marks, jaxpr.invars)
    consts, carry, xs = loop.inputs(jaxpr.invars)
    at_hand = {*consts, *xs, *jaxpr.constvars, *reached}
    read = dict.fromkeys([v for e in linear_eqns for v in e.invars] + linear_outs)
    shared = [v for v in read if type(v) is Var and v not in at_hand]
    _, linear_carry = partition(loop.inputs(marks)[1], carry)
    known = jaxpr.replace(invars=known_in, outvars=known_outs + shared, eqns=known_eqns)
    linear = jaxpr.replace(invars=[*consts, *linear_carry, *shared, *xs], outvars=linear_outs,
                           eqns=linear_eqns)
    return _Parts(known, linear, out_linear)


def _transpose_mixed(cts: Values, args: Values, marks: tuple, loop: _Loop, params: dict) -> list:
    """Transpose a loop of which some carries, a counter say, do not depend on linear operands."""
    parts = _cut_body(*loop, marks)
    known, _ = partition(marks, args)
    consts, carry, xs = loop.inputs(args)
    const_marks, carry_marks, _ = loop.inputs(marks)
    results = scan_p.bind(
        *known, jaxpr=parts.known, num_consts=len(consts) - sum(const_marks),
        num_carry=len(carry) - sum(carry_marks), **params)
    shared = results[len(parts.out_linear) - sum(parts.out_linear):]
    _, linear_carry = partition(carry_marks, carry)
    _, linear_cts = partition(parts.out_linear, cts)
    found = _transpose(linear_cts, *consts, *linear_carry, *shared, *xs, jaxpr=parts.linear,
                       num_consts=len(consts), num_carry=len(linear_carry), **params)
    ct_consts, ct_carry, _, ct_xs = split_list(
        found, [len(consts), len(linear_carry), len(shared)])
    return [*ct_consts, *merge(carry_marks, [None] * len(carry), ct_carry), *ct_xs]


# --- Other rules -------------------------------------------------------------------------------


def _vmap(axis: AxisData, args: Values, dims: Dims, *, jaxpr: Jaxpr, num_consts: int,
          num_carry: int, **params: Any) -> tuple[list, list]:
    loop = _Loop(jaxpr, num_consts, num_carry)
    (inner, _), batched, out_batched = loop.settle(
        [d is not None for d in dims], lambda marks, inst: batch_jaxpr(jaxpr, axis, marks, inst))
    first_x = num_consts + num_carry
    operands = [materialize(x, d, axis.size, int(i >= first_x)) if b else x
                for i, (x, d, b) in enumerate(zip(args, dims, batched))]
    outs = scan_p.bind(*operands, jaxpr=inner, num_consts=num_consts, num_carry=num_carry,
                       **params)
    return outs, [int(i >= num_carry) if b else None for i, b in enumerate(out_batched)]


def _dce(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    jaxpr = eqn.params["jaxpr"]
    if not any(used) and not jaxpr.effects:
        return None
    loop = _Loop(jaxpr, eqn.params["num_consts"], eqn.params["num_carry"])
    carry, ys = loop.outputs(used)
    no_consts, _, no_xs = loop.inputs([False] * len(jaxpr.invars))

    def sweep_body(carry: list) -> tuple:
        inner, kept = dce_jaxpr(jaxpr, (*carry, *ys), (*no_consts, *carry, *no_xs))
        return inner, kept, loop.inputs(kept)[1]

    (inner, kept, _), carry = settle(carry, sweep_body)
    live = (*carry, *ys)
    outvars = [v if u else DropVar(v.aval)
               for v, u, keep in zip(eqn.outvars, used, live) if keep]
    params = {**eqn.params, "jaxpr": inner, "num_consts": sum(kept[:loop.num_consts]),
              "num_carry": sum(carry)}
    return eqn.replace(invars=[v for v, k in zip(eqn.invars, kept) if k], outvars=outvars,
                       params=params, effects=inner.effects)


scan_p = Primitive("scan", shape=_shape, multiple_results=True, effectful=True, jvp=_jvp,
                   linearize=_linearize, transpose=_transpose, vmap=_vmap, dce=_dce, reach=_reach)
