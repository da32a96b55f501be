"""Which results of an operation with inner programs depend on some of its operands.

Under reverse mode one operation can take tangents beside known values and give both back; a user's
derivative rule under `jax.jit` is one. Such a mixed operation is cut in two by dead code
elimination: one part for the results that no tangent reaches, which runs at once, and one for the
others, which may compute known values again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base.util import weak_cache
from minijax.core.ir import DropVar, Jaxpr, JaxprEqn, Var


def reached_outputs(jaxpr: Jaxpr, marks: Sequence[bool]) -> tuple[bool, ...]:
    """Which outputs depend on the marked inputs, looking into inner programs."""
    return _reached_outputs(jaxpr, tuple(marks))


@weak_cache
def _reached_outputs(jaxpr: Jaxpr, marks: tuple[bool, ...]) -> tuple[bool, ...]:
    reached = {v for v, mark in zip(jaxpr.invars, marks) if mark}
    for eqn in jaxpr.eqns:
        if not reached.isdisjoint(eqn.invars):
            results = reached_results(eqn, reached)
            reached.update(v for v, mark in zip(eqn.outvars, results) if mark)
    return tuple(v in reached for v in jaxpr.outvars)


def reached_results(eqn: JaxprEqn, reached: set[Var]) -> Sequence[bool]:
    """Which results of an equation depend on the variables in `reached`, some of its operands."""
    rule = eqn.primitive.reach
    if rule is None:
        return [True] * len(eqn.outvars)
    return rule([v in reached for v in eqn.invars], **eqn.params)


def reach_call(marks: Sequence[bool], *, jaxpr: Jaxpr, **_: Any) -> tuple[bool, ...]:
    """The `reach` rule of an operation that calls one jaxpr with its operands."""
    return reached_outputs(jaxpr, marks)


def separate(eqn: JaxprEqn, reached: Sequence[bool]) -> list[JaxprEqn]:
    """The equation cut in two: for the results that are not reached, and for those that are."""
    parts = [_part(eqn, [not r for r in reached]), _part(eqn, reached)]
    return [part for part in parts if part is not None]


def _part(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
    part = eqn.primitive.dce(eqn, used)
    if part is None:
        return None
    # A loop keeps results that it needs itself; the other part gives their values.
    wanted = {v for v, u in zip(eqn.outvars, used) if u}
    return part.replace(outvars=[v if v in wanted else DropVar(v.aval) for v in part.outvars])


def cut(jaxpr: Jaxpr, reached: set[Var]) -> tuple[list[JaxprEqn], list[JaxprEqn]]:
    """The equations that depend on no variable of `reached`, and those that do, each in order.

    Mixed equations are cut in two; `reached` grows by all variables that depend on it.
    """
    known, linear = [], []
    for eqn in jaxpr.eqns:
        if reached.isdisjoint(eqn.invars):
            known.append(eqn)
        elif eqn.primitive.reach is None:
            linear.append(eqn)
            reached.update(eqn.outvars)
        else:
            marks = [mark or type(v) is DropVar
                     for v, mark in zip(eqn.outvars, reached_results(eqn, reached))]
            reached.update([v for v, mark in zip(eqn.outvars, marks) if mark])
            for part in [eqn] if all(marks) else separate(eqn, marks):
                (known if reached.isdisjoint(part.invars) else linear).append(part)
    return known, linear
