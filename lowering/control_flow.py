"""Loops and branches.

Bodies read what they do not change from the surrounding block, so a loop carries only its state.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from lowering.build import Value
from lowering.module import INLINE_EQUATIONS, Context
from lowering.reduction import reduce_with
from lowering.rules import rule
from lowering.sharding import on_terms

COUNTER = "int32"


@rule("while")
def while_(ctx: Context, *args: Value, cond_jaxpr: Any, body_jaxpr: Any, cond_nconsts: int,
           body_nconsts: int, **_: Any) -> list[Value]:
    start = cond_nconsts + body_nconsts
    cond_consts, body_consts = args[:cond_nconsts], args[cond_nconsts:start]
    lanes = cond_jaxpr.outvars[0].aval.shape
    outs = ctx.outs
    effects = ctx.ordered(body_jaxpr, cond_jaxpr)
    types = ctx.with_tokens(effects, outs)
    operands = [*[ctx.tokens[e] for e in effects], *args[start:]]

    def cond(*state: Value) -> list[Value]:
        go, = ctx.call(cond_jaxpr, (*cond_consts, *state), "while/cond/")
        return [reduce_with(ctx, "stablehlo.or", go, False, range(len(lanes))) if lanes else go]

    def body(*state: Value) -> list[Value]:
        after = ctx.call(body_jaxpr, (*body_consts, *state), "while/body/")
        if not lanes:
            return after
        # A batched predicate: lanes that are done keep their state until all are.
        go, = ctx.call(cond_jaxpr, (*cond_consts, *state), "while/body_pred/")
        return [_keep_done(ctx, go, lanes, new, old) for new, old in zip(after, state)]

    if ctx.ordered(cond_jaxpr):
        results = _while_with_ordered_test(ctx, args[start:], outs, effects, cond, body)
    else:
        results = ctx.region_op(
            "stablehlo.while", operands, types,
            [(types, lambda *state: cond(*state[len(effects):])),
             (types, ctx.threaded(effects, body))])
    return ctx.taken(effects, results)


def _while_with_ordered_test(ctx: Context, start: Sequence[Value], outs: Sequence[Any],
                             effects: Sequence[Any], cond: Any, body: Any) -> list[Value]:
    """A loop that carries the outcome of its test: a condition can give no tokens."""
    go, = cond(*start)
    types = ctx.with_tokens(effects, [go.type, *outs])

    def step(_: Value, *state: Value) -> list[Value]:
        after = body(*state)
        return [*cond(*after), *after]

    state = [*[ctx.tokens[e] for e in effects], go, *start]
    results = ctx.region_op(
        "stablehlo.while", state, types,
        [(types, lambda *state: [state[len(effects)]]), (types, ctx.threaded(effects, step))])
    return results[:len(effects)] + results[len(effects) + 1:]


def _keep_done(ctx: Context, go: Value, lanes: tuple[int, ...], new: Value, old: Value) -> Value:
    shape = ctx.shape_of(new)
    if shape != lanes:
        go = ctx.broadcast(go, shape, range(len(lanes)))
    return ctx.select(go, new, old)


@rule("cond")
def cond(ctx: Context, index: Value, *args: Value, branches: Sequence[Any],
         branches_platforms: Any = None, **_: Any) -> list[Value]:
    if branches_platforms is not None:
        return ctx.call(branches[_platform_index(ctx, branches_platforms)], args)
    if len(branches) == 1:
        return ctx.call(branches[0], args)
    effects = ctx.ordered(*branches)
    outer, index, outs = ctx.tokens, ctx.convert(index, "int32"), ctx.with_tokens(effects, ctx.outs)

    def body(i: int) -> list[Value]:
        ctx.tokens = dict(outer)
        results = ctx.call(branches[i], args, f"cond/branch_{i}_fun/")
        return [*[ctx.tokens[e] for e in effects], *results]

    bodies = [((), functools.partial(body, i)) for i in range(len(branches))]
    results = ctx.region_op("stablehlo.case", [index], outs, bodies)
    ctx.tokens = outer
    return ctx.taken(effects, results)


@rule("platform_index")
def platform_index(ctx: Context, *, platforms: Any, **_: Any) -> Value:
    return ctx.const(_platform_index(ctx, platforms), ctx.out_avals[0].dtype)


def _platform_index(ctx: Context, platforms: Sequence[Sequence[str] | None]) -> int:
    for i, names in enumerate(platforms):
        if names is None or ctx.platform in names:
            return i
    known = [name for names in platforms for name in names]
    raise NotImplementedError(
        f"platform_dependent has no branch for platform {ctx.platform}, only for {known}\n"
        f"  fix: give it default=...")


@rule("scan")
def scan(ctx: Context, *args: Value, jaxpr: Any, length: int, reverse: bool, num_consts: int,
         num_carry: int, unroll: int = 1, **_: Any) -> list[Value]:
    consts, carry = args[:num_consts], list(args[num_consts:num_consts + num_carry])
    xs, outs = args[num_consts + num_carry:], ctx.outs
    stacks = [ctx.const(0, v.aval.dtype, v.aval.shape) for v in ctx.eqn.outvars[num_carry:]]
    elements = jaxpr.invars[num_consts + num_carry:]
    unroll = max(1, min(int(unroll), length))
    outlined = unroll > 1 and len(jaxpr.eqns) > INLINE_EQUATIONS

    def step(i: Value, carry: Sequence[Value], stacks: Sequence[Value]) -> tuple[list, list]:
        at = ctx.same("stablehlo.subtract", ctx.const(length - 1, COUNTER), i) if reverse else i
        operands = (*consts, *carry, *(_row(ctx, x, at, v.aval) for x, v in zip(xs, elements)))
        if outlined:
            results = ctx.outline(jaxpr, operands, "scan_body")
        else:
            results = ctx.call(jaxpr, operands, "while/body/")
        rows = results[num_carry:]
        return results[:num_carry], [_put(ctx, s, y, at, v.aval) for s, y, v in
                                     zip(stacks, rows, jaxpr.outvars[num_carry:])]

    def body(i: Value, *state: Value) -> list[Value]:
        carry, stacks = state[:num_carry], state[num_carry:]
        for k in range(unroll):
            carry, stacks = step(ctx.same("stablehlo.add", i, ctx.const(k, COUNTER)) if k else i,
                                 carry, stacks)
        return [ctx.same("stablehlo.add", i, ctx.const(unroll, COUNTER)), *carry, *stacks]

    looped = not isinstance(length, int) or unroll < length
    whole = length - length % unroll
    if looped:
        counter = ctx.tensor((), ctx.dtype_of(ctx.const(0, COUNTER)))
        effects = ctx.ordered(jaxpr)
        types = ctx.with_tokens(effects, [counter, *outs])
        start = [*[ctx.tokens[e] for e in effects], ctx.const(0, COUNTER), *carry, *stacks]

        def test(*state: Value) -> list[Value]:
            return [ctx.compare("LT", state[len(effects)], ctx.const(whole, COUNTER))]

        state = ctx.taken(effects, ctx.region_op(
            "stablehlo.while", start, types,
            [(types, test), (types, ctx.threaded(effects, body))]))
        carry, stacks = state[1:1 + num_carry], state[1 + num_carry:]
    for i in range(whole if looped else 0, length) if isinstance(length, int) else ():
        carry, stacks = step(ctx.const(i, COUNTER), carry, stacks)
    return [*carry, *stacks]


def _starts(ctx: Context, at: Value, rank: int) -> list[Value]:
    return [at] + [ctx.const(0, COUNTER)] * (rank - 1)


def _row(ctx: Context, x: Value, at: Value, aval: Any) -> Value:
    """`x[at]` along the leading axis, of the given type."""
    def row(x: Value, at: Value) -> Value:
        shape, dtype = ctx.shape_of(x), ctx.dtype_of(x)
        sizes = (1, *shape[1:])
        found = ctx.op("stablehlo.dynamic_slice", (x, *_starts(ctx, at, len(shape))),
                       (ctx.tensor(sizes, dtype),), slice_sizes=sizes)
        return ctx.reshape(found, shape[1:])
    return on_terms(ctx, aval, row, (x,), at, ctx.tensor(ctx.shape_of(x)[1:], ctx.dtype_of(x)))


def _put(ctx: Context, stack: Value, row: Value, at: Value, aval: Any) -> Value:
    """`stack` with `stack[at] = row`, which is of the given type."""
    def put(stack: Value, row: Value, at: Value) -> Value:
        shape = ctx.shape_of(stack)
        row = ctx.reshape(row, (1, *shape[1:]))
        return ctx.same("stablehlo.dynamic_update_slice", stack, row,
                        *_starts(ctx, at, len(shape)))
    return on_terms(ctx, aval, put, (stack, row), at, stack.type)
