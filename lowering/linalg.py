"""The factorizations and solves that StableHLO has itself, on every platform."""

from __future__ import annotations

import numpy as np

from lowering.build import Value, is_complex
from lowering.module import Context
from lowering.reduction import reduce_with
from lowering.rules import rule


@rule("cholesky")
def cholesky(ctx: Context, a: Value) -> Value:
    return ctx.op("stablehlo.cholesky", (a,), ctx.outs, lower=True)


@rule("triangular_solve")
def triangular_solve(ctx: Context, a: Value, b: Value, *, left_side: bool, lower: bool,
                     transpose_a: bool, conjugate_a: bool, unit_diagonal: bool) -> Value:
    conjugate_a = conjugate_a and is_complex(ctx.in_avals[0].dtype)
    if conjugate_a and not transpose_a:
        a = ctx.same("chlo.conj", a)
    kind = "ADJOINT" if conjugate_a else "TRANSPOSE"
    return ctx.op(
        "stablehlo.triangular_solve", (a, b), ctx.outs, left_side=bool(left_side),
        lower=bool(lower), unit_diagonal=bool(unit_diagonal),
        transpose_a=f"#stablehlo<transpose {kind if transpose_a else 'NO_TRANSPOSE'}>")


@rule("lu_pivots_to_permutation")
def lu_pivots_to_permutation(ctx: Context, pivots: Value, *, permutation_size: int) -> Value:
    """A loop over the pivots that exchanges two entries of the permutation each time."""
    *batch, k = ctx.shape_of(pivots)
    shape, last = (*batch, permutation_size), len(batch)
    every = tuple(range(last + 1))
    places = ctx.iota("int32", shape, last)
    if k == 0 or 0 in shape:
        return places
    scalar = ctx.tensor((), np.dtype(np.int32))
    types = [scalar, ctx.tensor(shape, np.dtype(np.int32))]

    def entry(x: Value, i: Value) -> Value:
        start = [ctx.const(0, "int32")] * last + [i]
        return ctx.op("stablehlo.dynamic_slice", (x, *start),
                      (ctx.tensor((*batch, 1), np.dtype(np.int32)),),
                      slice_sizes=(*batch, 1))

    def exchange(i: Value, permutation: Value) -> list[Value]:
        at_i = ctx.compare("EQ", places, ctx.broadcast(i, shape))
        at_j = ctx.compare("EQ", places, ctx.broadcast(entry(pivots, i), shape, every))
        # exactly one entry of each row is at j
        jth = reduce_with(ctx, "stablehlo.add",
                          ctx.select(at_j, permutation, ctx.const(0, "int32", shape)), 0, (last,))
        ith = ctx.broadcast(entry(permutation, i), shape, every)
        moved = ctx.select(at_i, ctx.broadcast(jth, shape, every[:-1]), permutation)
        return [ctx.same("stablehlo.add", i, ctx.const(1, "int32")),
                ctx.select(at_j, ith, moved)]

    return ctx.region_op(
        "stablehlo.while", [ctx.const(0, "int32"), places], types,
        [(types, lambda i, _: [ctx.compare("LT", i, ctx.const(k, "int32"))]),
         (types, exchange)])[1]
