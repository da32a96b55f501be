"""The factorizations and solves that StableHLO has itself."""

from __future__ import annotations

from typing import Any

from lowering.build import Value, is_complex
from lowering.module import Context
from lowering.rules import rule


@rule("cholesky")
def cholesky(ctx: Context, a: Value, **_: Any) -> Value:
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
