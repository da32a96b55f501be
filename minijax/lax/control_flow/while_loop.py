"""`while_loop`: a loop whose number of iterations is known only when it runs.

Operands come in three groups: consts of the predicate, consts of the body, and the carry. Under
vmap the predicate may get batch axes, which are then leading axes of every carry; lanes that are
done keep their values until all are.

    >>> lax.while_loop(lambda x: x < 100, lambda x: 2 * x, 3)
    Array(192, dtype=int32, weak_type=True)
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minijax.base import config, errors, source, tree
from minijax.base.util import merge, partition, split_list, trace_cache, weak_cache
from minijax.core import (AxisData, Dims, Jaxpr, JaxprEqn, Primitive, Values, Zero, aval_of,
                          batch_jaxpr, batched_aval, check_control_flow, dce_jaxpr, eval_jaxpr,
                          instantiate, io_effect, jvp_jaxpr, materialize, merge_tangents, move_axis,
                          ordered_io_effect, reached_outputs, state, trace_closed)
from minijax.lax import identity
from minijax.lax.control_flow.common import (Body, check_carry, interleave, pad_inputs,
                                             promote_weak, rearrange, settle, trace_body,
                                             used_inputs)
from minijax.passes.discharge import bind_program

T = TypeVar("T")


def while_loop(cond_fun: Callable[[T], Any], body_fun: Callable[[T], T], init_val: T) -> T:
    """`while cond_fun(val): val = body_fun(val)` from `init_val`, a pytree; returns the last val.

    Forward mode only: reverse mode needs `scan`, or `fori_loop` with a static number of steps.
    Raises TypeError if `cond_fun` gives no boolean scalar, or the types of the carry change.
    """
    if not (callable(body_fun) and callable(cond_fun)):
        raise TypeError(errors.describe(
            "lax.while_loop: body_fun and cond_fun arguments should be callable.",
            fix="lax.while_loop(lambda x: x < 3, lambda x: x + 1, 0)"))
    if config.disable_jit_state.value:
        # arrays of the trace: a body that adds in place must not change the user's NumPy arrays
        return _loop_in_python(cond_fun, body_fun, tree.map(identity.stage, init_val))
    init, init_tree = tree.flatten(init_val)
    cond, body, init = trace_while(cond_fun, body_fun, init, init_tree)
    return tree.unflatten(init_tree, bind_while(cond, body, init))


def _loop_in_python(cond_fun: Callable, body_fun: Callable, value: Any) -> Any:
    """What `while_loop` does under `disable_jit`, where the predicate is known; else as ever."""
    while True:
        go = cond_fun(value)
        try:
            go = bool(go)
        except errors.ConcretizationTypeError:
            with config.disable_jit(False):
                return while_loop(cond_fun, body_fun, value)
        if not go:
            return value
        value = body_fun(value)


def trace_while(cond_fun: Callable, body_fun: Callable, init: list, init_tree: Any,
               carry_name: str | None = None) -> tuple[Body, Body, list]:
    """The traced functions, and initial values promoted so that the carry keeps its types."""
    in_tree = tree.treedef_tuple((init_tree,))
    while True:
        avals = [aval_of(x) for x in init]
        body = trace_body(body_fun, in_tree, avals, "while_loop")
        out_avals = body.jaxpr.out_avals
        if body.result != init_tree or out_avals == avals:
            break
        init, changed = promote_weak(init, avals, out_avals)
        if not changed:
            break
    cond = trace_body(cond_fun, in_tree, avals, "while_loop")
    _check_predicate(cond)
    check_carry("while_loop body", body_fun, init_tree, avals, body.result, out_avals, carry_name)
    return cond, body, init


def _check_predicate(cond: Body) -> None:
    problem = None
    if not tree.treedef_is_leaf(cond.result):
        problem = f"but got pytree {cond.result}."
    else:
        aval, = cond.jaxpr.out_avals
        if aval.dtype != np.bool_ or aval.shape:
            problem = f"but got output type(s) [{aval!r}]."
    if problem:
        raise TypeError(errors.describe(
            f"cond_fun must return a boolean scalar, {problem}",
            fix="return a comparison, or reduce it with jnp.all or jnp.any"))


class _Simple(NamedTuple):
    """Bodies whose carries change, or are read by the predicate; the others became body consts."""

    cond: Jaxpr
    body: Jaxpr
    fixed: tuple[bool, ...]


@weak_cache
def _simplified(body: Jaxpr, cond: Jaxpr, body_nconsts: int, cond_nconsts: int) -> _Simple:
    fixed = tuple(v is o and not read for v, o, read in zip(
        body.invars[body_nconsts:], body.outvars, used_inputs(cond)[cond_nconsts:]))
    still, changing = partition(fixed, range(len(fixed)))[::-1]
    body = rearrange(body, [*range(body_nconsts), *[body_nconsts + i for i in still + changing]],
                     changing)
    cond = rearrange(cond, [*range(cond_nconsts), *[cond_nconsts + i for i in changing]])
    return _Simple(cond, body, fixed)


def bind_while(cond: Body, body: Body, init: Sequence[Any]) -> list:
    """Bind `while`, keeping what never changes out of the carry."""
    if not any(map(operator.is_, body.jaxpr.invars[len(body.captured):], body.jaxpr.outvars)):
        return _bind(cond.jaxpr, body.jaxpr, cond.captured, body.captured, init)
    simple = _simplified(body.jaxpr, cond.jaxpr, len(body.captured), len(cond.captured))
    carry, fixed = partition(simple.fixed, init)
    outs = _bind(simple.cond, simple.body, cond.captured, [*body.captured, *fixed], carry)
    return merge(simple.fixed, outs, [identity.stage(x) for x in fixed])


def _bind(cond: Jaxpr, body: Jaxpr, cond_consts: list, body_consts: list, carry: Sequence) -> list:
    params = dict(cond_nconsts=len(cond_consts), cond_jaxpr=cond, body_nconsts=len(body_consts),
                  body_jaxpr=body)
    return bind_program(while_p, [*cond_consts, *body_consts, *carry], params, cond, body)


# --- The primitive -----------------------------------------------------------------------------


def _shape(*avals: Any, cond_jaxpr: Jaxpr, body_jaxpr: Jaxpr, **_: Any) -> tuple:
    effects = body_jaxpr.effects | cond_jaxpr.effects
    check_control_flow("while", effects)
    return body_jaxpr.out_avals, effects


@trace_cache
def _jvp_bodies(body: Jaxpr, cond: Jaxpr, body_nconsts: int, cond_nconsts: int, consts: tuple,
                carry: tuple) -> tuple[Jaxpr, Jaxpr, tuple[bool, ...]]:
    """The loop over values and tangents, and which carries have tangents."""
    (with_tangents, _), carry = settle(
        carry, lambda carry: jvp_jaxpr(body, (*consts, *carry), carry))
    num_dots = sum(carry)
    new_body = rearrange(with_tangents, interleave((body_nconsts, len(carry)),
                                                   (sum(consts), num_dots)))
    avals = [v.aval for v in new_body.outvars]
    new_cond = pad_inputs(cond, [*range(len(cond.invars)), *[None] * num_dots],
                          [*cond.in_avals, *avals[len(carry):]])
    return new_cond, new_body, tuple(carry)


def _jvp(primals: Values, tangents: Values, *, cond_nconsts: int, cond_jaxpr: Jaxpr,
         body_nconsts: int, body_jaxpr: Jaxpr) -> tuple[list, list]:
    """Under reverse mode the loop over values and tangents is cut in two, see core/reach.py."""
    marks = [type(t) is not Zero for t in tangents]
    sizes = [cond_nconsts, body_nconsts]
    _, const_marks, carry_marks = split_list(marks, sizes)
    new_cond, new_body, carry_marks = _jvp_bodies(
        body_jaxpr, cond_jaxpr, body_nconsts, cond_nconsts, tuple(const_marks),
        tuple(carry_marks))
    cond_consts, body_consts, carry = split_list(primals, sizes)
    _, consts_dot, carry_dot = split_list(tangents, sizes)
    consts_dot = [t for t in consts_dot if type(t) is not Zero]
    carry_dot = [instantiate(t) for t, nz in zip(carry_dot, carry_marks) if nz]
    results = while_p.bind(
        *cond_consts, *body_consts, *consts_dot, *carry, *carry_dot, cond_nconsts=cond_nconsts,
        cond_jaxpr=new_cond, body_nconsts=body_nconsts + len(consts_dot), body_jaxpr=new_body)
    outs = results[:len(carry_marks)]
    return outs, merge_tangents(results[len(outs):], carry_marks, outs)


def _transpose(cts: Values, *args: Any, **_: Any) -> list:
    raise ValueError(errors.describe(
        "Reverse-mode differentiation does not work for lax.while_loop or lax.fori_loop with "
        "dynamic start/stop values. Try using lax.scan, or using fori_loop with static "
        "start/stop.", at=source.user_frame(state.source),
        because="the number of iterations, and so the memory for their results, is unknown",
        fix="jax.lax.fori_loop(0, 10, body, init) with Python integers, or jax.lax.scan; "
            "forward mode works: jax.jvp, jax.jacfwd"))


class _Batched(NamedTuple):
    """The mapped loop, which carries have the new axis, and where: behind the lanes, or 0."""

    cond: Jaxpr
    body: Jaxpr
    carry: tuple[bool, ...]
    at: int


@trace_cache
def _batch_bodies(body: Jaxpr, cond: Jaxpr, axis: AxisData, cond_marks: tuple, body_marks: tuple,
                  carry: tuple) -> _Batched:
    lanes = len(cond.out_avals[0].shape)
    reads = used_inputs(cond)[len(cond_marks):]
    while True:
        new_body, out = batch_jaxpr(body, axis, (*body_marks, *carry), carry)
        grown = tuple(a or b for a, b in zip(carry, out))
        new_cond, (pred_batched,) = batch_jaxpr(cond, axis, (*cond_marks, *grown), False)
        pred_batched |= lanes > 0 and any(r and b for r, b in zip(reads, grown))
        if pred_batched:  # lanes stop at different times, so each needs a carry of its own
            grown = (True,) * len(carry)
            new_cond, _ = batch_jaxpr(cond, axis, (*cond_marks, *grown), True)
        if grown == carry:
            break
        carry = grown
    if pred_batched or not lanes:
        return _Batched(new_cond, new_body, carry, 0)
    # The axes of the predicate must remain the leading axes of every carry.
    num_consts = len(body_marks)

    def moved(*args: Any) -> list:
        state = [move_axis(x, lanes, 0) if b else x for x, b in zip(args[num_consts:], carry)]
        outs = eval_jaxpr(new_body, new_body.consts, *args[:num_consts], *state)
        return [move_axis(x, 0, lanes) if b else x for x, b in zip(outs, carry)]

    avals = [batched_aval(a, lanes, axis.size) if b else a
             for a, b in zip(body.in_avals[num_consts:], carry)]
    new_body = trace_closed(moved, [*new_body.in_avals[:num_consts], *avals], body.debug)
    # The predicate does not read the carries that have the axis: give it inputs of their types.
    own = len(cond_marks)
    places = [*range(own), *[None if b else own + i for i, b in enumerate(carry)]]
    new_cond = pad_inputs(cond, places, [*cond.in_avals[:own], *avals])
    return _Batched(new_cond, new_body, carry, lanes)


def _vmap(axis: AxisData, args: Values, dims: Dims, *, cond_nconsts: int, cond_jaxpr: Jaxpr,
          body_nconsts: int, body_jaxpr: Jaxpr) -> tuple[list, list]:
    sizes = [cond_nconsts, body_nconsts]
    cond_marks, body_marks, carry_marks = split_list([d is not None for d in dims], sizes)
    loop = _batch_bodies(body_jaxpr, cond_jaxpr, axis, tuple(cond_marks), tuple(body_marks),
                         tuple(carry_marks))
    effects = cond_jaxpr.effects | body_jaxpr.effects
    if ordered_io_effect in effects:
        raise NotImplementedError(errors.describe(
            "Ordered IO effects not supported in vmap.", fix="io_callback(..., ordered=False)"))
    if io_effect in effects and loop.cond.out_avals[0].shape:
        raise NotImplementedError(errors.describe(
            "Unordered IO effects not supported in while_loop with batched predicate",
            because="the body runs as long as any lane needs it", fix="use jax.lax.map"))
    consts = cond_nconsts + body_nconsts
    marks = [*cond_marks, *body_marks, *loop.carry]
    operands = [materialize(x, d, axis.size, loop.at if i >= consts else 0) if b else x
                for i, (x, d, b) in enumerate(zip(args, dims, marks))]
    outs = while_p.bind(*operands, cond_nconsts=cond_nconsts, cond_jaxpr=loop.cond,
                        body_nconsts=body_nconsts, body_jaxpr=loop.body)
    return outs, [loop.at if b else None for b in loop.carry]


def _dce(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    """Drop carries that neither the results wanted nor the predicate depend on."""
    cond, body = eqn.params["cond_jaxpr"], eqn.params["body_jaxpr"]
    cond_nconsts, body_nconsts = eqn.params["cond_nconsts"], eqn.params["body_nconsts"]
    if not any(used) and not eqn.effects:
        return None
    reads = used_inputs(cond)[cond_nconsts:]

    def sweep_body(live: list) -> tuple:
        inner, kept = dce_jaxpr(body, live, (*[False] * body_nconsts, *live))
        return inner, kept, kept[body_nconsts:]

    (inner, kept, _), live = settle([u or r for u, r in zip(used, reads)], sweep_body)
    carries = [i for i, keep in enumerate(live) if keep]
    new_cond = rearrange(cond, [*range(cond_nconsts), *[cond_nconsts + i for i in carries]])
    cond_consts, body_consts, carry = split_list(eqn.invars, [cond_nconsts, body_nconsts])
    body_consts = [v for v, k in zip(body_consts, kept) if k]
    params = {**eqn.params, "cond_jaxpr": new_cond, "body_jaxpr": inner,
              "body_nconsts": len(body_consts)}
    return eqn.replace(invars=[*cond_consts, *body_consts, *[carry[i] for i in carries]],
                       outvars=[eqn.outvars[i] for i in carries], params=params)


def _reach(marks: Sequence[bool], *, cond_nconsts: int, body_nconsts: int, body_jaxpr: Jaxpr,
           **_: Any) -> list[bool]:
    _, consts, carry = split_list(marks, [cond_nconsts, body_nconsts])
    return settle(carry, lambda carry: [reached_outputs(body_jaxpr, (*consts, *carry))])[1]


while_p = Primitive("while", shape=_shape, multiple_results=True, effectful=True, jvp=_jvp,
                    transpose=_transpose, vmap=_vmap, dce=_dce, reach=_reach)
