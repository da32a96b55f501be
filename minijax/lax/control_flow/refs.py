"""Loops and branches whose bodies read and write references: references become carried values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base.util import merge, partition, select, split_list, weak_cache
from minijax.core import Jaxpr, Values, eval_jaxpr, trace_closed
from minijax.lax.control_flow.cond import cond_p
from minijax.lax.control_flow.scan import scan_p
from minijax.lax.control_flow.while_loop import while_p
from minijax.passes.discharge import discharge, last_values


# --- scan --------------------------------------------------------------------------------------


@weak_cache
def _scan_body(jaxpr: Jaxpr, const_refs: tuple, num_carry: int) -> Jaxpr:
    """Inputs: other consts, const refs, carry, xs. Outputs: const refs, carry, ys, x refs."""
    inner = discharge(jaxpr)
    num_refs, num_plain = sum(const_refs), len(const_refs) - sum(const_refs)
    num_ys = len(jaxpr.outvars) - num_carry

    def body(*args: Any) -> list:
        plain, refs, carry, xs = split_list(args, [num_plain, num_refs, num_carry])
        outs = eval_jaxpr(inner, inner.consts, *merge(const_refs, plain, refs), *carry, *xs)
        carry, ys, refs, x_values = split_list(outs, [num_carry, num_ys, num_refs])
        return [*refs, *carry, *ys, *x_values]

    consts, rest = split_list(inner.in_avals, [len(const_refs)])
    plain, refs = partition(const_refs, consts)
    return trace_closed(body, [*plain, *refs, *rest], jaxpr.debug)


def _scan_discharge(operands: Values, refs: Sequence[Any], params: dict) -> tuple:
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    flags = [r is not None for r in refs]
    const_refs = flags[:num_consts]
    consts, carry, xs = split_list(operands, [num_consts, num_carry])
    body = _scan_body(params["jaxpr"], tuple(const_refs), num_carry)
    num_refs = sum(const_refs)
    num_ys = len(params["jaxpr"].outvars) - num_carry
    plain, values = partition(const_refs, consts)
    outs = scan_p.bind(
        *plain, *values, *carry, *xs, **{**params, "jaxpr": body, "num_consts": len(plain),
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
        outs = eval_jaxpr(inner_cond, inner_cond.consts, *merge(cond_refs, plain, refs), *carry)
        return outs[:1]

    def step(*args: Any) -> list:
        plain, seen, refs, carry = split_list(args, [plain_body, num_cond, num_body])
        outs = eval_jaxpr(inner_body, inner_body.consts, *merge(body_refs, plain, refs), *carry)
        n = len(carry)
        carry, refs = outs[:n], outs[n:]
        for i, place in enumerate(shared):
            if place is not None:
                seen[place] = refs[i]
        return [*seen, *refs, *carry]

    body_consts, carry = split_list(inner_body.in_avals, [len(body_refs)])
    cond_plain, seen = partition(cond_refs, inner_cond.in_avals[:len(cond_refs)])
    body_plain, kept = partition(body_refs, body_consts)
    state = [*seen, *kept, *carry]
    return (trace_closed(test, [*cond_plain, *state], cond.debug),
            trace_closed(step, [*body_plain, *state], body.debug))


def _while_discharge(operands: Values, refs: Sequence[Any], params: dict) -> tuple:
    """The predicate only reads: a reference that it shares with the body is carried twice."""
    sizes = [params["cond_nconsts"], params["body_nconsts"]]
    cond_refs, body_refs, _ = split_list([r is not None for r in refs], sizes)
    cond_keys, body_keys, _ = split_list(refs, sizes)
    cond_consts, body_consts, carry = split_list(operands, sizes)
    plain_cond, seen = partition(cond_refs, cond_consts)
    plain_body, kept = partition(body_refs, body_consts)
    places = {id(r): i for i, r in enumerate(select(cond_keys, cond_refs))}
    shared = tuple(places.get(id(r)) for r in select(body_keys, body_refs))
    cond, body = _while_parts(params["cond_jaxpr"], params["body_jaxpr"], tuple(cond_refs),
                              tuple(body_refs), shared)
    outs = while_p.bind(
        *plain_cond, *plain_body, *seen, *kept, *carry, cond_nconsts=len(plain_cond),
        cond_jaxpr=cond, body_nconsts=len(plain_body), body_jaxpr=body)
    _, kept, carry = split_list(outs, [len(seen), len(kept)])
    return carry, [*seen, *last_values([discharge(params["body_jaxpr"])], body_consts, body_refs,
                                       kept)]


while_p.discharge = _while_discharge


# --- cond --------------------------------------------------------------------------------------


def _cond_discharge(operands: Values, refs: Sequence[Any], params: dict) -> tuple:
    branches = tuple(map(discharge, params["branches"]))
    outs = cond_p.bind(*operands, **{**params, "branches": branches})
    flags = [r is not None for r in refs[1:]]
    n = len(outs) - sum(flags)
    return outs[:n], last_values(branches, operands[1:], flags, outs[n:])


cond_p.discharge = _cond_discharge
