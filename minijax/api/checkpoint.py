"""`checkpoint` (`remat`): save memory by computing again what reverse mode needs.

A checkpointed function is one equation, `remat2`. Linearizing it runs the function, keeps its
inputs (and what a policy wants kept), and leaves one linear equation that recomputes the rest and
then applies the derivative; transposing that puts the recomputation into the backward pass.

    loss = jax.checkpoint(lambda w, x: jnp.sum(jnp.tanh(w @ x)))
    jax.grad(loss)(w, x)
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax import core
from minijax.api.flatten import with_fixed, wraps
from minijax.api.policies import Offloadable, is_saved
from minijax.api.residuals import made_by
from minijax.base import config, dtypes, errors, tree
from minijax.base.util import trace_cache, weak_cache
from minijax.core import (DropVar, Jaxpr, JaxprCall, JaxprEqn, Literal, Values, Var, Zero, aval_of,
                          dce_call, dce_jaxpr, eval_jaxpr, jit_p, linearize_jaxpr, merge_tangents,
                          reshape_p, trace_closed, with_memory)
from minijax.core.dce import sweep
from minijax.core.ir import NO_EFFECTS
from minijax.lax.control_flow.common import trace_body
from minijax.lax.types import reduce_precision_p
from minijax.passes.discharge import bind_program, call

logger = logging.getLogger(__name__)

__all__ = ["checkpoint", "remat", "remat_p"]


def checkpoint(fun: Callable, *, prevent_cse: bool | Sequence[bool] = True,
               policy: Callable[..., Any] | None = None, static_argnums: int | tuple[int, ...] = (),
               static_argnames: str | Iterable[str] = (), concrete: Any = None) -> Callable:
    """`fun`, with its intermediate values recomputed in the backward pass instead of saved.

    `policy(primitive, *avals, **params)` says which results are saved after all; see
    `checkpoint_policies`. `prevent_cse=False` lets the compiler undo the recomputation, and is
    right inside `scan`. Static arguments are passed to `fun` as they are; `concrete` is refused.
    """
    if concrete is not None:
        raise NotImplementedError(errors.describe(
            "The `concrete` option to `jax.checkpoint` was removed. In its place please use "
            "`static_argnums`", fix="jax.checkpoint(f, static_argnums=(1,))"))
    numbers = (static_argnums,) if isinstance(static_argnums, int) else tuple(static_argnums)
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)

    @wraps(fun, "")
    def checkpointed(*args: Any, **kwargs: Any) -> Any:
        inner = fun
        if numbers or names:
            inner, args, kwargs = _without_statics(fun, numbers, names, args, kwargs)
        leaves, in_tree = tree.flatten((args, kwargs))
        body = trace_body(_on_pair(inner), in_tree, [aval_of(x) for x in leaves],
                          "checkpoint / remat")
        prevent = prevent_cse
        if not isinstance(prevent, bool):
            prevent = _flat_flags(prevent, args, kwargs, len(body.captured))
        params = dict(jaxpr=body.jaxpr, prevent_cse=prevent, differentiated=False, policy=policy)
        outs = bind_program(remat_p, [*body.captured, *leaves], params, body.jaxpr)
        return tree.unflatten(body.result, outs)
    return checkpointed


remat = checkpoint


def _flat_flags(prefix: Any, args: tuple, kwargs: dict, num_captured: int) -> tuple[bool, ...]:
    """`prevent_cse` for each operand, given it for (parts of) the positional arguments."""
    given = tree.broadcast_prefix(tuple(prefix), args)
    return (True,) * num_captured + tuple(map(bool, given)) + (True,) * len(tree.leaves(kwargs))


@weak_cache
def _known_pair_caller(fun: Callable) -> Callable:
    reference = weakref.ref(fun)

    def on_pair(args: tuple, kwargs: dict) -> Any:
        return reference()(*args, **kwargs)
    on_pair.original = reference  # for messages
    on_pair.__name__ = getattr(fun, "__name__", type(fun).__name__)
    return on_pair


def _on_pair(fun: Callable) -> Callable:
    """`fun(*args, **kwargs)` as a function of the two; the same one for the same `fun`."""
    try:
        return _known_pair_caller(fun)
    except TypeError:  # not hashable, or no weak references to it
        return lambda args, kwargs: fun(*args, **kwargs)


def _without_statics(fun: Callable, numbers: tuple, names: tuple, args: tuple,
                     kwargs: dict) -> tuple:
    """(function of the other arguments, those arguments)."""
    if any(not -len(args) <= i < len(args) for i in numbers):
        raise ValueError(errors.describe(
            "the `static_argnums` argument to `jax.checkpoint` / `jax.remat` can only take "
            "integer values greater than or equal to `-len(args)` and less than `len(args)`, "
            f"but got {numbers}, while `len(args)` = {len(args)}",
            fix="pass the static arguments by position, or use static_argnames"))
    places = sorted({i % len(args) for i in numbers})
    fixed = tuple((i, args[i]) for i in places)
    keywords = tuple((k, v) for k, v in kwargs.items() if k in names)
    try:
        inner = _with_statics(fun, fixed, keywords)
    except TypeError:  # unhashable
        inner = _bind_statics(lambda: fun, fixed, keywords)
    return (inner, tuple(a for i, a in enumerate(args) if i not in places),
            {k: v for k, v in kwargs.items() if k not in names})


def _bind_statics(fun: Callable[[], Callable], fixed: tuple, keywords: tuple) -> Callable:
    def inner(*args: Any, **kwargs: Any) -> Any:
        return fun()(*with_fixed(args, fixed), **kwargs, **dict(keywords))
    return inner


_with_statics = weak_cache(lambda fun, *rest: _bind_statics(weakref.ref(fun), *rest))


# --- The primitive -----------------------------------------------------------------------------


class _Remat(JaxprCall):
    """`prevent_cse` may be a flag for each operand; it is set for all new ones."""

    def rebind(self, params: dict, jaxpr: Jaxpr, operands: Values, ins: Sequence[int],
               outs: Sequence[int]) -> list:
        given = params["prevent_cse"]
        if not isinstance(given, bool):
            more = len(operands) - len(ins)
            params = {**params, "prevent_cse": (*[given[i] for i in ins], *[True] * more)}
        return super().rebind(params, jaxpr, operands, ins, outs)


class _Plan(NamedTuple):
    """What to run now, and the linear program that recomputes.

    `forward` gives the outputs and the saved values; `linear` takes the saved values, the inputs
    that recomputation reads, and tangents.
    """

    forward: Jaxpr
    linear: Jaxpr
    reads: tuple[bool, ...]
    out_nonzero: tuple[bool, ...]
    offloaded: tuple[Offloadable | None, ...]  # of each saved value


_SHOWING = (core.DebugEffect, core.OrderedDebugEffect)  # recomputation shows it again


@trace_cache
def _make_plan(jaxpr: Jaxpr, nonzero: tuple, policy: Callable | None) -> _Plan:
    core.checkpoint_effects.check(
        jaxpr.effects, "partial-eval of `checkpoint`/`remat`", "move the operation out of it")
    if policy is not None:
        jaxpr = _rematted_inside(_inline_jits(jaxpr), policy)
    forward, linear_part, out_nonzero = linearize_jaxpr(jaxpr, nonzero)
    num_outs = len(jaxpr.outvars)
    outs, residuals = forward.outvars[:num_outs], forward.outvars[num_outs:]
    saved: dict[Var, None] = {}
    again = []
    for eqn in forward.eqns:
        found = [] if policy is None else _saved_results(eqn, policy)
        if not all(isinstance(e, _SHOWING) for e in eqn.effects):  # happens once
            saved.update(dict.fromkeys(eqn.outvars))
            continue
        saved.update(dict.fromkeys(found))
        if eqn.effects or len(found) < len(eqn.outvars):
            again.append(eqn.replace(outvars=[
                DropVar(v.aval) if v in saved else v for v in eqn.outvars]) if found else eqn)
    recompute, live = sweep(again, residuals)
    kept = [v for v in saved if v in live]
    reads = tuple(v in live for v in forward.invars)
    inputs = [v for v, read in zip(forward.invars, reads) if read]
    given = linear_part.invars[len(residuals):]
    known = dict(zip(linear_part.invars, residuals))
    eqns = [e.replace(invars=[known.get(v, v) for v in e.invars]) for e in linear_part.eqns]
    outvars = [known.get(v, v) for v in linear_part.outvars]
    recompute = [e.replace(scope=("rematted_computation", *e.scope)) for e in recompute]
    whole = Jaxpr(forward.constvars + linear_part.constvars, kept + inputs + given, outvars,
                  recompute + eqns, forward.consts + linear_part.consts, debug_info=jaxpr.debug)
    whole, _ = dce_jaxpr(whole, (True,) * len(whole.outvars), instantiate=True)
    _log_residuals(forward, kept, inputs)
    offloaded = _offloaded(forward, kept, policy)
    if any(offloaded):
        whole = _fetching(whole, offloaded)
    forward = _rounded(forward.replace(outvars=outs + kept), kept)
    forward, _ = dce_jaxpr(forward, (True,) * len(outs + kept), instantiate=True)
    return _Plan(forward, whole, reads, out_nonzero, offloaded)


def _rounded(forward: Jaxpr, kept: Sequence[Var]) -> Jaxpr:
    """The program in which what is both saved and read is rounded to its type.

    A compiler may keep more bits between operations; the derivative would be of other values.
    """
    read = {v for eqn in forward.eqns for v in eqn.invars}
    exact = {v: Var(v.aval) for v in kept
             if v in read and dtypes.issubdtype(v.aval.dtype, np.floating)}
    eqns = []
    for eqn in forward.eqns:
        eqns.append(eqn.replace(invars=[exact.get(v, v) for v in eqn.invars]))
        for v in filter(exact.get, eqn.outvars):
            bits = dtypes.finfo(v.aval.dtype)
            eqns.append(JaxprEqn(reduce_precision_p, [v], [exact[v]], {
                "exponent_bits": bits.nexp, "mantissa_bits": bits.nmant}, NO_EFFECTS, eqn.source))
    return forward.replace(eqns=eqns, outvars=[exact.get(v, v) for v in forward.outvars])


def _offloaded(forward: Jaxpr, kept: Sequence[Var], policy: Callable | None) -> tuple:
    """For each kept value the policy's answer, if that moves it to another memory."""
    answers = {}
    for eqn in forward.eqns if kept and policy is not None else ():
        answer = policy(eqn.primitive, *[v.aval for v in eqn.invars], **eqn.params)
        if isinstance(answer, Offloadable):
            answers.update(dict.fromkeys(eqn.outvars, answer))
    return tuple(answers.get(v) for v in kept)


def _fetching(linear: Jaxpr, offloaded: tuple) -> Jaxpr:
    """The linear program, which begins with what was moved away."""
    def run(*xs: Any) -> list:
        saved = [x if move is None else move.back(x) for x, move in zip(xs, offloaded)]
        return eval_jaxpr(linear, linear.consts, *saved, *xs[len(saved):])
    avals = list(linear.in_avals)
    for i, move in enumerate(offloaded):
        if move is not None:
            avals[i] = with_memory(avals[i], move.space)
    return trace_closed(run, avals, linear.debug)


def _rematted_inside(jaxpr: Jaxpr, policy: Callable) -> Jaxpr:
    """The policy also holds within `shard_map`, whose results cannot be recomputed one by one."""
    eqns = []
    for eqn in jaxpr.eqns:
        inner = eqn.params.get("jaxpr")
        if eqn.primitive.name == "shard_map" and not inner.effects and [
                e.primitive for e in inner.eqns] != [remat_p]:
            with eqn.primitive.scope(eqn.params):
                body = trace_closed(lambda *xs, inner=inner: remat_p.bind(
                    *xs, jaxpr=inner, policy=policy, prevent_cse=True, differentiated=False),
                    inner.in_avals, inner.debug)
            eqn = eqn.replace(params={**eqn.params, "jaxpr": body})
        eqns.append(eqn)
    return jaxpr.replace(eqns=eqns)


def _saved_results(eqn: JaxprEqn, policy: Callable) -> list[Var]:
    """The results of an operation that a policy wants saved, also within bodies."""
    if is_saved(policy(eqn.primitive, *[v.aval for v in eqn.invars], **eqn.params)):
        return list(eqn.outvars)
    params = eqn.params
    if eqn.primitive.name == "cond":
        made = [_made_by_saved(branch, policy) for branch in params["branches"]]
        return [v for v, each in zip(eqn.outvars, zip(*made)) if True in each and False not in each]
    if eqn.primitive.name in ("scan", "shard_map"):
        made = _made_by_saved(params["jaxpr"], policy)
        first = params.get("num_carry", 0)
        return [v for v, own in zip(eqn.outvars[first:], made[first:]) if own]
    return []


_HANDING_OVER = (reshape_p, reduce_precision_p)  # what bodies do to scalars and saved values


def _made_by_saved(jaxpr: Jaxpr, policy: Callable) -> list[bool | None]:
    """For each result whether what makes it is saved; None for an input or a constant."""
    jaxpr = _inline_jits(jaxpr)
    saved: set[Var] = set()
    constant: set[Var] = set(jaxpr.constvars)
    for eqn in jaxpr.eqns:
        saved.update(_saved_results(eqn, policy))
        if eqn.primitive in _HANDING_OVER and eqn.invars[0] in saved:
            saved.update(eqn.outvars)
        if all(type(v) is Literal or v in constant for v in eqn.invars):
            constant.update(eqn.outvars)
    constant.update(jaxpr.invars)
    return [True if v in saved else None if type(v) is Literal or v in constant else False
            for v in jaxpr.outvars]


def _log_residuals(forward: Jaxpr, kept: Sequence[Var], inputs: Sequence[Var]) -> None:
    """Say what is kept for the backward pass (jax_log_checkpoint_residuals)."""
    warn = config.log_checkpoint_residuals.value
    if not warn and not logger.isEnabledFor(logging.DEBUG):
        return
    makers = {v: eqn for eqn in forward.eqns for v in eqn.outvars}
    lines = []
    if inputs:
        lines += ["remat-decorated function saving inputs with shapes:"]
        lines += [f"  {v.aval.str_short(False)}" for v in inputs]
    if kept:
        lines += ["and saving these intermediates:" if inputs
                  else "remat-decorated function saving these intermediates:"]
        lines += [f"  {v.aval.str_short(False)} from {made_by(makers[v])}" for v in kept]
    if lines:
        logger.log(logging.WARNING if warn else logging.DEBUG, "\n".join(lines))


def _linearize(primals: Values, tangents: Values, *, jaxpr: Jaxpr, policy: Callable | None,
               prevent_cse: bool, differentiated: bool) -> tuple:
    nonzero = tuple(type(t) is not Zero for t in tangents)
    plan = _make_plan(jaxpr, nonzero, policy)
    results = eval_jaxpr(plan.forward, plan.forward.consts, *primals)
    outs, saved = results[:len(plan.out_nonzero)], results[len(plan.out_nonzero):]
    if not any(plan.out_nonzero):
        return outs, merge_tangents([], plan.out_nonzero, outs)
    saved = [x if move is None else move.away(x) for x, move in zip(saved, plan.offloaded)]
    live = [t for t in tangents if type(t) is not Zero]
    inputs = [x for x, read in zip(primals, plan.reads) if read]
    if not isinstance(prevent_cse, bool):
        read = [flag for flag, read in zip(prevent_cse, plan.reads) if read]
        prevent_cse = (*[True] * len(saved), *read, *[True] * len(live))
    found = remat_p.bind(*saved, *inputs, *live, jaxpr=plan.linear, prevent_cse=prevent_cse,
                         differentiated=True, policy=policy)
    return outs, merge_tangents(found, plan.out_nonzero, outs)


def _transpose(cts: Values, *args: Any, **params: Any) -> list:
    return JaxprCall._transpose(remat_p, cts, *args, **{**params, "differentiated": True})


def _decompose(*args: Any, jaxpr: Jaxpr, **_: Any) -> list:
    return eval_jaxpr(jaxpr, jaxpr.consts, *args)


remat_p = _Remat("remat2", linearize=_linearize, transpose=_transpose, decompose=_decompose,
                 dce=dce_call("jaxpr", ("prevent_cse",)))
remat_p.discharge = call("jaxpr", lambda operands, jaxpr, params: remat_p.bind(
    *operands, **{**params, "jaxpr": jaxpr}))


@weak_cache
def _inline_jits(jaxpr: Jaxpr) -> Jaxpr:
    env: dict[Var, Any] = {}
    constvars, consts = list(jaxpr.constvars), list(jaxpr.consts)
    eqns: list[JaxprEqn] = []

    def read(v: Any) -> Any:
        return v if type(v) is Literal else env.get(v, v)

    def copy(inner: Jaxpr, operands: Values) -> list:
        env.update(zip(inner.invars, operands))
        for v, const in zip(inner.constvars, inner.consts):
            env[v] = Var(v.aval)
            constvars.append(env[v])
            consts.append(const)
        expand(inner.eqns, fresh=True)
        return [read(v) for v in inner.outvars]

    def expand(equations: Sequence[JaxprEqn], fresh: bool) -> None:
        for eqn in equations:
            operands = [read(v) for v in eqn.invars]
            if eqn.primitive is jit_p:
                env.update(zip(eqn.outvars, copy(eqn.params["jaxpr"], operands)))
                continue
            outvars = [Var(v.aval) for v in eqn.outvars] if fresh else eqn.outvars
            env.update(zip(eqn.outvars, outvars))
            eqns.append(eqn.replace(invars=operands, outvars=outvars))

    expand(jaxpr.eqns, fresh=False)
    return jaxpr.replace(constvars=constvars, consts=consts, eqns=eqns,
                         outvars=[read(v) for v in jaxpr.outvars])
