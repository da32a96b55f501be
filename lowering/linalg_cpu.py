"""Linear algebra on the CPU: calls of LAPACK through the handlers that jaxlib brings.

A handler takes batches in front and matrices in column-major order. The one invariant: where
LAPACK reports a failure (info != 0), that batch entry of the results is NaN; arguments are never
wrong, since shape rules have checked them. Empty matrices do not reach LAPACK.

    a, info = lapack(ctx, "potrf", [(a, 2)], [(x, 2), (INT, 0)], alias={0: 0}, uplo="L")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lowering import linalg
from lowering.build import Value, is_complex, real_dtype
from lowering.module import Context
from lowering.rules import rule

INT = np.dtype(np.int32)
_LETTERS = {np.dtype(np.float32): "s", np.dtype(np.float64): "d",
            np.dtype(np.complex64): "c", np.dtype(np.complex128): "z"}
# Names of routines whose complex versions are called otherwise.
_COMPLEX_NAMES = {"orgqr": "ungqr", "ormqr": "unmqr", "syevd": "heevd", "sytrd": "hetrd"}

# (shape of one batch entry, dtype) of a result
Result = tuple[tuple[int, ...], np.dtype]


def lapack(ctx: Context, routine: str, operands: Sequence[tuple[Value, int]],
           results: Sequence[Result], alias: Mapping[int, int] | None = None,
           **attributes: Any) -> list[Value]:
    """Call a routine for the dtype of the first operand; operands come with their own rank.

    `alias` maps operands that the routine overwrites to results. Attributes are single letters,
    bools, or ints (int32).
    """
    value, rank = operands[0]
    dtype = ctx.dtype_of(value)
    if dtype not in _LETTERS:
        raise NotImplementedError(f"Unsupported dtype {dtype.name}: LAPACK knows float32, float64, "
                                  "complex64, complex128\n  fix: x.astype('float32')")
    if is_complex(dtype):
        routine = _COMPLEX_NAMES.get(routine, routine)
    shape = ctx.shape_of(value)
    return call(ctx, f"lapack_{_LETTERS[dtype]}{routine}_ffi", shape[:len(shape) - rank], operands,
                results, alias or {}, **attributes)


def call(ctx: Context, target: str, batch: tuple[int, ...],
         operands: Sequence[tuple[Value, int]], results: Sequence[Result],
         alias: Mapping[int, int], **attributes: Any) -> list[Value]:
    """Append the call of a handler; always gives a list."""
    n = len(batch)
    config = ", ".join(f"{key} = {_attribute(value)}" for key, value in sorted(attributes.items()))
    single = len(results) == 1
    aliases = ", ".join(
        "#stablehlo.output_operand_alias<output_tuple_indices = "
        f"{[] if single else [out]}, operand_index = {i}, operand_tuple_indices = []>"
        for i, out in alias.items())
    out = ctx.op(
        "stablehlo.custom_call", [value for value, _ in operands],
        [ctx.tensor((*batch, *shape), dtype) for shape, dtype in results],
        call_target_name=f'"{target}"', api_version="4 : i32", backend_config=f"{{{config}}}",
        operand_layouts=f"[{', '.join(_layout(n, rank) for _, rank in operands)}]",
        result_layouts=f"[{', '.join(_layout(n, len(shape)) for shape, _ in results)}]",
        output_operand_aliases=f"[{aliases}]", **_batched(
            ctx, batch, [ctx.shape_of(value)[n:] for value, _ in operands],
            [shape for shape, _ in results]))
    return [out] if single else out


def _batched(ctx: Context, batch: tuple[int, ...], ins: Sequence[tuple],
             outs: Sequence[tuple]) -> dict[str, str]:
    """What lets XLA split the batch over devices: its dimensions are the same factors everywhere.

    `ins` and `outs` are the shapes of one batch entry.
    """
    attributes = {"mhlo.frontend_attributes": f'{{num_batch_dims = "{len(batch)}"}}'}
    if not batch or ctx.spmd is None:
        return attributes
    sizes = list(batch)

    def factors(shape: tuple) -> str:
        own = range(len(sizes), len(sizes) + len(shape))
        sizes.extend(shape)
        return f"[{', '.join(map(_factor, [*range(len(batch)), *own]))}]"

    given, made = ", ".join(map(factors, ins)), ", ".join(map(factors, outs))
    if not all(isinstance(size, int) and size >= 0 for size in sizes):  # symbolic
        return attributes
    named = ", ".join(f"{_factor(i)}={size}" for i, size in enumerate(sizes))
    rule = f"#sdy.op_sharding_rule<({given})->({made}) {{{named}}}, custom>"
    return {**attributes, "sdy.sharding_rule": rule}


def _factor(i: int) -> str:
    """The name of a factor in Shardy's text: i, j, ..., z, z_1, ..."""
    return chr(ord("i") + i) if i < 18 else f"z_{i - 17}"


def _attribute(value: Any) -> str:
    if isinstance(value, str):
        return f"{ord(value)} : ui8"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value} : i32"


def _layout(batch_rank: int, rank: int) -> str:
    """Minor to major: the rows of a matrix vary fastest, batches slowest."""
    own = range(batch_rank, batch_rank + rank) if rank == 2 else range(batch_rank + rank - 1,
                                                                       batch_rank - 1, -1)
    order = [*own, *range(batch_rank - 1, -1, -1)]
    return f"dense<{order if order else ''}> : tensor<{len(order)}xindex>"


def nan_where_failed(ctx: Context, info: Value, *xs: Value, direction: str = "EQ") -> list[Value]:
    """The results with NaN in batch entries where `info == 0` (or `>= 0`) does not hold."""
    ok = ctx.compare(direction, info, ctx.const_like(0, info))
    batch = ctx.shape_of(info)
    out = []
    for x in xs:
        mask = ctx.broadcast(ok, ctx.shape_of(x), range(len(batch)))
        dtype = ctx.dtype_of(x)
        nan = np.asarray(complex(np.nan, np.nan) if is_complex(dtype) else np.nan, dtype)
        out.append(ctx.select(mask, x, ctx.const(nan, dtype, ctx.shape_of(x))))
    return out


def cpu(name: str) -> Callable:
    """Register a rule for the CPU that is not asked about empty operands."""

    def register(function: Callable) -> Callable:
        def guarded(ctx: Context, *operands: Value, **params: Any) -> Any:
            if any(0 in aval.shape for aval in ctx.in_avals):
                return [_empty(ctx, aval) for aval in ctx.out_avals]
            return function(ctx, *operands, **params)
        rule(name, "cpu")(guarded)
        return function

    return register


def _empty(ctx: Context, aval: Any) -> Value:
    """A result for empty matrices: what remains of unitary factors is the identity."""
    shape, dtype = aval.shape, aval.dtype
    if 0 in shape or len(shape) < 2 or shape[-1] != shape[-2]:
        steps = np.arange(shape[-1]) if dtype == INT and 0 not in shape else np.zeros(())
        return ctx.broadcast(ctx.const(steps, dtype), shape,
                             range(len(shape) - steps.ndim, len(shape)))
    return ctx.broadcast(ctx.const(np.eye(shape[-1]), dtype), shape,
                         (len(shape) - 2, len(shape) - 1))


# --- Factorizations in finitely many steps -----------------------------------------------------


@cpu("cholesky")
def cholesky(ctx: Context, a: Value) -> Value:
    x = ctx.in_avals[0]
    out, info = lapack(ctx, "potrf", [(a, 2)], [(x.shape[-2:], x.dtype), ((), INT)], {0: 0},
                       uplo="L")
    return nan_where_failed(ctx, info, out)[0]


@cpu("triangular_solve")
def triangular_solve(ctx: Context, a: Value, b: Value, *, left_side: bool, lower: bool,
                     transpose_a: bool, conjugate_a: bool, unit_diagonal: bool) -> Value:
    x, y = ctx.in_avals
    if x.dtype not in _LETTERS:
        return linalg.triangular_solve(
            ctx, a, b, left_side=left_side, lower=lower, transpose_a=transpose_a,
            conjugate_a=conjugate_a, unit_diagonal=unit_diagonal)
    conjugate_a = conjugate_a and is_complex(x.dtype)
    if conjugate_a and not transpose_a:
        a = ctx.same("chlo.conj", a)
    trans = "N" if not transpose_a else "C" if conjugate_a else "T"
    return lapack(ctx, "trsm", [(a, 2), (b, 2)], [(y.shape[-2:], y.dtype)], {1: 0},
                  side="L" if left_side else "R", uplo="L" if lower else "U", trans_x=trans,
                  diag="U" if unit_diagonal else "N")[0]


@cpu("lu")
def lu(ctx: Context, a: Value) -> list[Value]:
    x = ctx.in_avals[0]
    m, n = x.shape[-2:]
    out, pivots, info = lapack(ctx, "getrf", [(a, 2)],
                               [((m, n), x.dtype), ((min(m, n),), INT), ((), INT)], {0: 0})
    pivots = ctx.same("stablehlo.subtract", pivots, ctx.const_like(1, pivots))
    # info > 0 says that U is singular, which is a result
    out, = nan_where_failed(ctx, info, out, direction="GE")
    return [out, pivots, linalg.lu_pivots_to_permutation(ctx, pivots, permutation_size=m)]


@cpu("qr")
def qr(ctx: Context, a: Value, *, pivoting: bool, full_matrices: bool, **_: Any) -> list[Value]:
    x = ctx.in_avals[0]
    *batch, m, n = x.shape
    k = min(m, n)
    tau = ((k,), x.dtype)
    if pivoting:
        free = ctx.const(0, INT, (*batch, n))
        factors, order, taus = lapack(ctx, "geqp3", [(a, 2), (free, 1)],
                                      [((m, n), x.dtype), ((n,), INT), tau], {0: 0, 1: 1})
        order = ctx.same("stablehlo.subtract", order, ctx.const_like(1, order))
    else:
        factors, taus = lapack(ctx, "geqrf", [(a, 2)], [((m, n), x.dtype), tau], {0: 0})
    columns = m if full_matrices else k
    q = factors
    if columns < n:
        q = ctx.slice(q, (0,) * len(x.shape), (*batch, m, columns))
    elif columns > n:
        none = (0,) * len(x.shape)
        q = ctx.pad(q, ctx.const(0, x.dtype), none, (*none[:-1], columns - n))
    q, = lapack(ctx, "orgqr", [(q, 2), (taus, 1)], [((m, columns), x.dtype)], {0: 0})
    if not full_matrices:
        factors = ctx.slice(factors, (0,) * len(x.shape), (*batch, k, n))
    out = [q, _upper(ctx, factors)]
    return [*out, order] if pivoting else out


def _upper(ctx: Context, x: Value) -> Value:
    shape = ctx.shape_of(x)
    rank = len(shape)
    mask = ctx.compare("LE", ctx.iota(INT, shape, rank - 2), ctx.iota(INT, shape, rank - 1))
    return ctx.select(mask, x, ctx.const_like(0, x))


@cpu("geqrf")
def geqrf(ctx: Context, a: Value) -> list[Value]:
    x = ctx.in_avals[0]
    tau = ((min(x.shape[-2:]),), x.dtype)
    return lapack(ctx, "geqrf", [(a, 2)], [(x.shape[-2:], x.dtype), tau], {0: 0})


@cpu("householder_product")
def householder_product(ctx: Context, a: Value, taus: Value) -> Value:
    x = ctx.in_avals[0]
    return lapack(ctx, "orgqr", [(a, 2), (taus, 1)], [(x.shape[-2:], x.dtype)], {0: 0})[0]


@cpu("ormqr")
def ormqr(ctx: Context, a: Value, taus: Value, c: Value, *, left: bool, transpose: bool) -> Value:
    y = ctx.in_avals[2]
    return lapack(ctx, "ormqr", [(a, 2), (taus, 1), (c, 2)], [(y.shape[-2:], y.dtype)], {2: 0},
                  left=bool(left), transpose=bool(transpose))[0]


@cpu("tridiagonal_solve")
def tridiagonal_solve(ctx: Context, dl: Value, d: Value, du: Value, b: Value, *,
                      perturb_singular: bool) -> Value:
    x, y = ctx.in_avals[0], ctx.in_avals[3]
    operands = [(dl, 1), (d, 1), (du, 1), (b, 2)]
    out = (y.shape[-2:], y.dtype)
    if perturb_singular:
        return call(ctx, "tridiagonal_solve_perturbed_ffi", x.shape[:-1], operands, [out], {})[0]
    line = (x.shape[-1:], x.dtype)
    *_, out, info = lapack(ctx, "gtsv", operands, [line, line, line, out, ((), INT)],
                           {0: 0, 1: 1, 2: 2, 3: 3})
    return nan_where_failed(ctx, info, out)[0]


# --- Iterative factorizations ------------------------------------------------------------------


def _part(dtype: np.dtype) -> np.dtype:
    return real_dtype(dtype) if is_complex(dtype) else dtype


@cpu("eigh")
def eigh(ctx: Context, a: Value, *, lower: bool, subset_by_index: Any, algorithm: Any,
         **_: Any) -> list[Value]:
    x = ctx.in_avals[0]
    n = x.shape[-1]
    if algorithm is not None and algorithm.name != "QR":
        platforms = "only supported on TPU" if algorithm.name == "QDWH" else "not supported on CPU"
        raise NotImplementedError(f"{algorithm.name} implementation is {platforms}\n"
                                  "  fix: leave implementation=None")
    if subset_by_index is not None and tuple(subset_by_index) != (0, n):
        raise NotImplementedError("subset_by_index not supported on CPU and GPU\n"
                                  "  fix: take a slice of all eigenvalues")
    v, w, info = lapack(ctx, "syevd", [(a, 2)],
                        [((n, n), x.dtype), ((n,), _part(x.dtype)), ((), INT)], {0: 0},
                        mode="V", uplo="L" if lower else "U")
    return nan_where_failed(ctx, info, v, w)


@cpu("svd")
def svd(ctx: Context, a: Value, *, full_matrices: bool, compute_uv: bool, subset_by_index: Any,
        algorithm: Any) -> list[Value]:
    x = ctx.in_avals[0]
    m, n = x.shape[-2:]
    k = min(m, n)
    name = "DEFAULT" if algorithm is None else algorithm.name
    if name in ("JACOBI", "POLAR"):
        raise NotImplementedError("The SVD Jacobi and Polar algorithms are not implemented on "
                                  "CPU.\n  fix: leave algorithm=None")
    if subset_by_index is not None and tuple(subset_by_index) != (0, k):
        raise NotImplementedError("subset_by_index not implemented for CPU and GPU\n"
                                  "  fix: take a slice of all singular values")
    routine = "gesvd" if name == "QR" else "gesdd"
    # without vectors the handler still wants buffers of these shapes
    u, vt = ((m, m), (n, n)) if full_matrices else ((m, k), (k, n))
    mode = "N" if not compute_uv else "A" if full_matrices else "S"
    _, s, u, vt, info = lapack(
        ctx, routine, [(a, 2)],
        [((m, n), x.dtype), ((k,), _part(x.dtype)), (u, x.dtype), (vt, x.dtype), ((), INT)],
        {0: 0}, mode=mode)
    return nan_where_failed(ctx, info, *([s, u, vt] if compute_uv else [s]))


@cpu("eig")
def eig(ctx: Context, a: Value, *, compute_left_eigenvectors: bool,
        compute_right_eigenvectors: bool, implementation: Any, **_: Any) -> list[Value]:
    if implementation is not None and implementation.name != "LAPACK":
        raise ValueError("Only the lapack implementation is supported on CPU.\n"
                         "  fix: leave implementation=None")
    x = ctx.in_avals[0]
    n = x.shape[-1]
    dtype = ctx.out_avals[0].dtype
    values = [((n,), x.dtype)] * (1 if is_complex(x.dtype) else 2)
    *w, left, right, info = lapack(
        ctx, "geev", [(a, 2)], [*values, ((n, n), dtype), ((n, n), dtype), ((), INT)],
        compute_left="V" if compute_left_eigenvectors else "N",
        compute_right="V" if compute_right_eigenvectors else "N")
    w = w[0] if len(w) == 1 else ctx.op("stablehlo.complex", w, ctx.outs[:1])
    vectors = [left] * compute_left_eigenvectors + [right] * compute_right_eigenvectors
    return nan_where_failed(ctx, info, w, *vectors)


@cpu("schur")
def schur(ctx: Context, a: Value, *, compute_schur_vectors: bool, sort_eig_vals: bool,
          **_: Any) -> list[Value]:
    if sort_eig_vals:
        raise NotImplementedError("The sort feature of LAPACK's gees routine is not implemented.\n"
                                  "  fix: leave sort_eig_vals=False")
    x = ctx.in_avals[0]
    n = x.shape[-1]
    values = [((n,), x.dtype)] * (1 if is_complex(x.dtype) else 2)
    t, z, *_, info = lapack(
        ctx, "gees", [(a, 2)],
        [((n, n), x.dtype), ((n, n), x.dtype), *values, ((), INT), ((), INT)], {0: 0},
        mode="V" if compute_schur_vectors else "N", sort="N")
    return nan_where_failed(ctx, info, *([t, z] if compute_schur_vectors else [t]))


@cpu("hessenberg")
def hessenberg(ctx: Context, a: Value) -> list[Value]:
    x = ctx.in_avals[0]
    n = x.shape[-1]
    out, taus, info = lapack(ctx, "gehrd", [(a, 2)],
                             [((n, n), x.dtype), ((n - 1,), x.dtype), ((), INT)], {0: 0},
                             low=1, high=n)
    return nan_where_failed(ctx, info, out, taus)


@cpu("tridiagonal")
def tridiagonal(ctx: Context, a: Value, *, lower: bool) -> list[Value]:
    x = ctx.in_avals[0]
    n = x.shape[-1]
    part = _part(x.dtype)
    out, d, e, taus, info = lapack(
        ctx, "sytrd", [(a, 2)],
        [((n, n), x.dtype), ((n,), part), ((n - 1,), part), ((n - 1,), x.dtype), ((), INT)],
        {0: 0}, uplo="L" if lower else "U")
    return nan_where_failed(ctx, info, out, d, e, taus)
