"""Solvers whose derivative is not that of their steps: `custom_linear_solve`, `custom_root`.

The implicit function theorem says what the derivative of a solution is, whatever loop found it: it
takes one more solve, with the tangent on the right-hand side.

    >>> lax.custom_linear_solve(lambda x: 4 * x, 8.0, lambda matvec, b: b / 4)
    2.0
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors, tree
from minijax.base.util import split_list
from minijax.core import (AxisData, Dims, Jaxpr, Linear, Primitive, ShapedArray, Values, Zero,
                          add_tangents, aval_of, backward_pass, batch_jaxpr, eval_jaxpr,
                          instantiate, is_linear, jvp_jaxpr, linearize, materialize, zero_tangent)
from minijax.lax.control_flow.common import Body, trace_body
from minijax.lax.elementwise import neg


class LinearSolve(NamedTuple):
    """One thing for each of the four functions of a linear solve."""

    matvec: Any
    vecmat: Any
    solve: Any
    transpose_solve: Any

    def transpose(self) -> "LinearSolve":
        return LinearSolve(self.vecmat, self.matvec, self.transpose_solve, self.solve)


def custom_linear_solve(matvec: Callable, b: Any, solve: Callable[[Callable, Any], Any],
                        transpose_solve: Callable[[Callable, Any], Any] | None = None,
                        symmetric: bool = False, has_aux: bool = False) -> Any:
    """The solution x of `matvec(x) == b`, found by `solve(matvec, b)`; x has the structure of b.

    Reverse mode needs `transpose_solve(vecmat, b)`, or `symmetric`. With `has_aux` the solvers
    return (x, aux). Derivatives are those of the solution, not of the solver.
    """
    if transpose_solve is None and symmetric:
        transpose_solve = solve
    leaves, structure = tree.flatten(b)
    avals = [aval_of(x) for x in leaves]
    strong = [a.strip_weak_type() for a in avals]
    in_tree = tree.treedef_tuple((structure,))
    applied = trace_body(matvec, in_tree, strong, "custom_linear_solve")
    _check_structure("matvec()", "b", applied.result, structure)
    _check_shapes("matvec", "b", applied.jaxpr.out_avals, avals)
    solved = _trace_solver("solve", solve, matvec, structure, avals, has_aux)
    back = back_solved = None
    if symmetric:
        back = applied
    elif transpose_solve is not None:
        back = trace_body(_transposed(applied, structure), in_tree, strong, "custom_linear_solve")
    if back is not None:
        inverse = matvec if symmetric else _transposed(applied, structure)
        back_solved = _trace_solver("transpose_solve", transpose_solve, inverse, structure, avals,
                                    has_aux)
    bodies = LinearSolve(applied, back, solved, back_solved)
    present = [body for body in bodies if body is not None]
    outs = linear_solve_p.bind(
        *[x for body in present for x in body.captured], *leaves,
        const_lengths=LinearSolve(*[len(body.captured) if body else 0 for body in bodies]),
        jaxprs=LinearSolve(*[body.jaxpr if body else None for body in bodies]))
    x = tree.unflatten(structure, outs[:len(leaves)])
    return (x, tree.unflatten(solved.result, outs[len(leaves):])) if has_aux else x


def _trace_solver(name: str, solve: Callable, operator: Callable, structure: Any,
                  avals: Sequence[Any], has_aux: bool) -> Body:
    body = trace_body(lambda b: solve(operator, b), tree.treedef_tuple((structure,)), avals,
                      "custom_linear_solve",
                      lambda value: _split_aux(f"{name}()", "b", value, structure, has_aux))
    _check_shapes(name, "b", body.jaxpr.out_avals[:len(avals)], avals)
    return body


def _split_aux(what: str, other: str, value: Any, structure: Any, has_aux: bool) -> tuple:
    """The leaves of a solution and of what comes with it, and the structure of the latter."""
    x, aux = value if has_aux else (value, None)
    outs, out_tree = tree.flatten(x)
    _check_structure(what, other, out_tree, structure)
    aux_leaves, aux_tree = tree.flatten(aux)
    return [*outs, *aux_leaves], aux_tree


def _check_structure(what: str, other: str, found: Any, structure: Any) -> None:
    if found != structure:
        raise TypeError(errors.describe(
            f"{what} output pytree structure must match {other}, got {found} and {structure}.",
            fix=f"return the structure of {other}"))


def _transposed(matvec: Body, structure: Any) -> Callable:
    """x -> matvec.T(x)"""
    jaxpr, captured = matvec.jaxpr, matvec.captured

    def vecmat(x: Any) -> Any:
        n = len(captured)
        args = [*captured, *[Linear(a) for a in jaxpr.in_avals[n:]]]
        cts = backward_pass(jaxpr, args, tree.leaves(x))[n:]
        return tree.unflatten(structure, [instantiate(c) for c in cts])
    return vecmat


def _check_shapes(name: str, other: str, out_avals: Sequence[Any], avals: Sequence[Any]) -> None:
    got, expected = [a.shape for a in out_avals], [a.shape for a in avals]
    if got != expected:
        raise ValueError(errors.describe(
            f"{name}() output shapes must match {other}, got {got} and {expected}",
            fix=f"return arrays of the shapes of {other}"))


# --- The primitive -----------------------------------------------------------------------------


def _groups(args: Values, lengths: LinearSolve) -> tuple[LinearSolve, list]:
    """The consts of each function, and what follows them."""
    *consts, rest = split_list(args, lengths)
    return LinearSolve(*consts), rest


def _shape(*avals: Any, jaxprs: LinearSolve, **_: Any) -> list[ShapedArray]:
    return jaxprs.solve.out_avals


def _jvp(primals: Values, tangents: Values, *, const_lengths: LinearSolve,
         jaxprs: LinearSolve) -> tuple[list, list]:
    params = dict(const_lengths=const_lengths, jaxprs=jaxprs)
    consts, b = _groups(primals, const_lengths)
    consts_dot, b_dot = _groups(tangents, const_lengths)
    outs = linear_solve_p.bind(*primals, **params)
    x = outs[:len(b)]
    right = b_dot
    if any(type(t) is not Zero for t in consts_dot.matvec):
        moved = _tangent_of(jaxprs.matvec, consts.matvec, consts_dot.matvec, x)
        right = [add_tangents(t, m if type(m) is Zero else neg(m)) for t, m in zip(b_dot, moved)]
    if all(type(t) is Zero for t in right):
        return outs, [zero_tangent(o) for o in outs]
    operands = [c for group in consts for c in group]
    x_dot = linear_solve_p.bind(*operands, *map(instantiate, right), **params)[:len(b)]
    return outs, [*x_dot, *[zero_tangent(o) for o in outs[len(b):]]]


def _tangent_of(jaxpr: Jaxpr, consts: Sequence[Any], tangents: Values, x: Sequence[Any]) -> list:
    """How the results of a function move when its consts do, at fixed arguments `x`."""
    marks = [*[type(t) is not Zero for t in tangents], *[False] * len(x)]
    moved, nonzero = jvp_jaxpr(jaxpr, marks)
    results = eval_jaxpr(moved, moved.consts, *consts, *x,
                         *[t for t in tangents if type(t) is not Zero])
    given = iter(results[len(jaxpr.outvars):])
    return [next(given) if nz else Zero(a.to_tangent_aval())
            for nz, a in zip(nonzero, jaxpr.out_avals)]


def _transpose(cts: Values, *args: Any, const_lengths: LinearSolve, jaxprs: LinearSolve) -> list:
    if jaxprs.transpose_solve is None:
        raise TypeError(errors.describe(
            "transpose_solve required for backwards mode automatic differentiation of "
            "custom_linear_solve", fix="pass transpose_solve=, or symmetric=True"))
    consts, b = _groups(args, const_lengths)
    cts = cts[:len(b)]
    swapped = consts.transpose()
    found = linear_solve_p.bind(
        *[c for group in swapped for c in group], *map(instantiate, cts),
        const_lengths=const_lengths.transpose(), jaxprs=jaxprs.transpose())
    return [*[None] * sum(const_lengths), *[c if is_linear(x) else None
                                            for x, c in zip(b, found)]]


def _vmap(axis: AxisData, args: Values, dims: Dims, *, const_lengths: LinearSolve,
          jaxprs: LinearSolve) -> tuple[list, list]:
    """Right-hand sides and solutions get the axis, whatever else does."""
    args = [x if d is None else materialize(x, d, axis.size) for x, d in zip(args, dims)]
    marks, _ = _groups([d is not None for d in dims], const_lengths)
    consts, b = _groups(args, const_lengths)
    _, b_dims = _groups(dims, const_lengths)
    b = [materialize(x, None if d is None else 0, axis.size) for x, d in zip(b, b_dims)]
    batched = LinearSolve(*[
        None if jaxpr is None else batch_jaxpr(jaxpr, axis, [*own, *[True] * len(b)], True)[0]
        for jaxpr, own in zip(jaxprs, marks)])
    outs = linear_solve_p.bind(*[c for group in consts for c in group], *b,
                               const_lengths=const_lengths, jaxprs=batched)
    return outs, [0] * len(outs)


linear_solve_p = Primitive("custom_linear_solve", shape=_shape, multiple_results=True, jvp=_jvp,
                           transpose=_transpose, vmap=_vmap)


# --- Roots -------------------------------------------------------------------------------------


def custom_root(f: Callable, initial_guess: Any, solve: Callable[[Callable, Any], Any],
                tangent_solve: Callable[[Callable, Any], Any], has_aux: bool = False) -> Any:
    """A root x of `f(x) == 0`, found by `solve(f, initial_guess)`.

    `tangent_solve(g, y)` solves `g(x) == y` for the linear function g, the derivative of f at the
    root; it gives the derivative by whatever f closes over. With `has_aux`, solve returns
    (x, aux).
    """
    guess, structure = tree.flatten(initial_guess)
    avals = [aval_of(x) for x in guess]
    in_tree = tree.treedef_tuple((structure,))
    function = trace_body(f, in_tree, avals, "custom_root")
    _check_structure("f()", "initial_guess", function.result, structure)
    solver = trace_body(lambda x: solve(f, x), in_tree, avals, "custom_root",
                        lambda value: _split_aux("solve()", "initial_guess", value, structure,
                                                    has_aux))
    roots = solver.jaxpr.out_avals[:len(guess)]
    tangent = trace_body(lambda x, y: tangent_solve(_derivative(f, x, structure), y),
                         tree.treedef_tuple((structure, structure)), [*roots, *roots],
                         "custom_root")
    _check_structure("tangent_solve()", "initial_guess", tangent.result, structure)
    bodies = (function, solver, tangent)
    outs = custom_root_p.bind(
        *[x for body in bodies for x in body.captured], *guess,
        const_lengths=tuple(len(body.captured) for body in bodies),
        jaxprs=tuple(body.jaxpr for body in bodies))
    x = tree.unflatten(structure, outs[:len(guess)])
    return (x, tree.unflatten(solver.result, outs[len(guess):])) if has_aux else x


def _derivative(f: Callable, x: Any, structure: Any) -> Callable:
    """The derivative of `f` at `x`, a linear function."""
    lin = linearize(lambda *leaves: tree.leaves(f(tree.unflatten(structure, leaves))),
                    tree.leaves(x))

    def apply(tangent: Any) -> Any:
        given = [t for t, nz in zip(tree.leaves(tangent), lin.in_nonzero) if nz]
        results = iter(eval_jaxpr(lin.jaxpr, (), *lin.residuals, *given))
        return tree.unflatten(structure, [next(results) if nz else instantiate(zero_tangent(o))
                                          for nz, o in zip(lin.out_nonzero, lin.outs)])
    return apply


def _root_shape(*avals: Any, jaxprs: tuple, **_: Any) -> list[ShapedArray]:
    return jaxprs[1].out_avals


def _root_jvp(primals: Values, tangents: Values, *, const_lengths: tuple,
              jaxprs: tuple) -> tuple[list, list]:
    function, _, tangent_solver = jaxprs
    outs = custom_root_p.bind(*primals, const_lengths=const_lengths, jaxprs=jaxprs)
    consts, _, tangent_consts, guess = split_list(primals, const_lengths)
    consts_dot = tangents[:const_lengths[0]]
    x = outs[:len(guess)]
    moved = _tangent_of(function, consts, consts_dot, x)
    if all(type(m) is Zero for m in moved):
        return outs, [zero_tangent(o) for o in outs]
    x_dot = eval_jaxpr(tangent_solver, (), *tangent_consts, *x, *map(instantiate, moved))
    return outs, [*map(neg, x_dot), *[zero_tangent(o) for o in outs[len(guess):]]]


def _root_vmap(axis: AxisData, args: Values, dims: Dims, *, const_lengths: tuple,
               jaxprs: tuple) -> tuple[list, list]:
    marks = split_list([d is not None for d in dims], const_lengths)
    args = [x if d is None else materialize(x, d, axis.size) for x, d in zip(args, dims)]
    *consts, guess = split_list(args, const_lengths)
    guess = [x if b else materialize(x, None, axis.size) for x, b in zip(guess, marks[3])]
    each = [True] * len(guess)
    batched = tuple(batch_jaxpr(jaxpr, axis, [*own, *each, *more], True)[0]
                    for jaxpr, own, more in zip(jaxprs, marks, ([], [], each)))
    outs = custom_root_p.bind(*[c for group in consts for c in group], *guess,
                              const_lengths=const_lengths, jaxprs=batched)
    return outs, [0] * len(outs)


def _root_decompose(*args: Any, const_lengths: tuple, jaxprs: tuple) -> list:
    _, consts, _, guess = split_list(args, const_lengths)
    return eval_jaxpr(jaxprs[1], jaxprs[1].consts, *consts, *guess)


custom_root_p = Primitive("custom_root", shape=_root_shape, multiple_results=True, jvp=_root_jvp,
                          vmap=_root_vmap, decompose=_root_decompose)
