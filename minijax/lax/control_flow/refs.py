"""Loops and branches whose bodies read and write references: references become carried values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base.util import split_list, weak_cache
from minijax.core import Jaxpr, eval_jaxpr, trace_closed
from minijax.lax.control_flow.cond import cond_p
from minijax.lax.control_flow.scan import scan_p
from minijax.lax.control_flow.while_loop import while_p
from minijax.passes.discharge import discharge, last_values


def _merge(flags: Sequence[bool], yes: Sequence[Any], no: Sequence[Any]) -> list:
    yes, no = iter(yes), iter(no)
    return [next(yes) if flag else next(no) for flag in flags]


def _pick(flags: Sequence[bool], items: Sequence[Any], wanted: bool) -> list:
    return [x for x, flag in zip(items, flags) if flag is wanted]


# --- scan --------------------------------------------------------------------------------------


def _scan_body(jaxpr: Jaxpr, const_refs: tuple, num_carry: int) -> Jaxpr:
    """Inputs: other consts, const refs, carry, xs. Outputs: const refs, carry, ys, x refs."""
    inner = discharge(jaxpr)
    num_refs, num_plain = sum(const_refs), len(const_refs) - sum(const_refs)
    num_ys = len(jaxpr.outvars) - num_carry

    def body(*args: Any) -> list:
        plain, refs, carry, xs = split_list(args, [num_plain, num_refs, num_carry])
        outs = eval_jaxpr(inner, inner.consts, *_merge(const_refs, refs, plain), *carry, *xs)
        carry, ys, refs, x_values = split_list(outs, [num_carry, num_ys, num_refs])
        return [*refs, *carry, *ys, *x_values]

    avals = inner.in_avals
    n = len(const_refs)
    consts = avals[:n]
    return trace_closed(body, [*_pick(const_refs, consts, False), *_pick(const_refs, consts, True),
                               *avals[n:]], jaxpr.debug)


_scan_body = weak_cache(_scan_body)


def _scan_discharge(operands: Sequence[Any], refs: Sequence[Any], params: dict) -> tuple:
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    flags = [r is not None for r in refs]
    const_refs = flags[:num_consts]
    consts, carry, xs = split_list(operands, [num_consts, num_carry])
    body = _scan_body(params["jaxpr"], tuple(const_refs), num_carry)
    num_refs = sum(const_refs)
    num_ys = len(params["jaxpr"].outvars) - num_carry
    outs = scan_p.bind(
        *_pick(const_refs, consts, False), *_pick(const_refs, consts, True), *carry, *xs,
        **{**params, "jaxpr": body, "num_consts": num_consts - num_refs,
           "num_carry": num_refs + num_carry})
    values, carry, ys, x_values = split_list(outs, [num_refs, num_carry, num_ys])
    return [*carry, *ys], last_values([discharge(params["jaxpr"])], operands, flags,
                                      [*values, *x_values])


scan_p.discharge = _scan_discharge


# --- while -------------------------------------------------------------------------------------


def _while_parts(cond: Jaxpr, body: Jaxpr, cond_refs: tuple, body_refs: tuple,
                 shared: tuple) -> tuple[Jaxpr, Jaxpr]:
    """Both with their refs in front of the carry: cond: consts, state; body: consts, state.

    The state is: the values of all references, then the carry. `shared` gives for each reference
    of the body the place among all references.
    """
    inner_cond, inner_body = discharge(cond), discharge(body)
    num_cond, num_body = sum(cond_refs), sum(body_refs)
    plain_cond, plain_body = len(cond_refs) - num_cond, len(body_refs) - num_body

    def test(*args: Any) -> list:
        plain, refs, _, carry = split_list(args, [plain_cond, num_cond, num_body])
        outs = eval_jaxpr(inner_cond, inner_cond.consts, *_merge(cond_refs, refs, plain), *carry)
        return outs[:1]

    def step(*args: Any) -> list:
        plain, seen, refs, carry = split_list(args, [plain_body, num_cond, num_body])
        outs = eval_jaxpr(inner_body, inner_body.consts, *_merge(body_refs, refs, plain), *carry)
        n = len(carry)
        carry, refs = outs[:n], outs[n:]
        for i, place in enumerate(shared):
            if place is not None:
                seen[place] = refs[i]
        return [*seen, *refs, *carry]

    cond_avals, body_avals = inner_cond.in_avals, inner_body.in_avals
    cond_consts, body_consts = cond_avals[:len(cond_refs)], body_avals[:len(body_refs)]
    state = [*_pick(cond_refs, cond_consts, True), *_pick(body_refs, body_consts, True),
             *body_avals[len(body_refs):]]
    return (trace_closed(test, [*_pick(cond_refs, cond_consts, False), *state], cond.debug),
            trace_closed(step, [*_pick(body_refs, body_consts, False), *state], body.debug))


def _while_discharge(operands: Sequence[Any], refs: Sequence[Any], params: dict) -> tuple:
    """The predicate only reads: a reference that it shares with the body is carried twice."""
    sizes = [params["cond_nconsts"], params["body_nconsts"]]
    cond_refs, body_refs, _ = split_list([r is not None for r in refs], sizes)
    cond_keys, body_keys, _ = split_list(refs, sizes)
    cond_consts, body_consts, carry = split_list(operands, sizes)
    seen, kept = _pick(cond_refs, cond_consts, True), _pick(body_refs, body_consts, True)
    places = {id(r): i for i, r in enumerate(_pick(cond_refs, cond_keys, True))}
    shared = tuple(places.get(id(r)) for r in _pick(body_refs, body_keys, True))
    cond, body = _while_parts(params["cond_jaxpr"], params["body_jaxpr"], tuple(cond_refs),
                              tuple(body_refs), shared)
    plain_cond, plain_body = (_pick(cond_refs, cond_consts, False),
                              _pick(body_refs, body_consts, False))
    outs = while_p.bind(
        *plain_cond, *plain_body, *seen, *kept, *carry, cond_nconsts=len(plain_cond),
        cond_jaxpr=cond, body_nconsts=len(plain_body), body_jaxpr=body)
    _, kept, carry = split_list(outs, [len(seen), len(kept)])
    return carry, [*seen, *last_values([discharge(params["body_jaxpr"])], body_consts, body_refs,
                                       kept)]


while_p.discharge = _while_discharge


# --- cond --------------------------------------------------------------------------------------


def _cond_discharge(operands: Sequence[Any], refs: Sequence[Any], params: dict) -> tuple:
    branches = tuple(map(discharge, params["branches"]))
    outs = cond_p.bind(*operands, **{**params, "branches": branches})
    flags = [r is not None for r in refs[1:]]
    n = len(outs) - sum(flags)
    return outs[:n], last_values(branches, operands[1:], flags, outs[n:])


cond_p.discharge = _cond_discharge
