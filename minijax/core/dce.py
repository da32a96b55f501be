"""Dead code elimination: one backward sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress

from minijax.base.util import flags, weak_cache
from minijax.core.ir import DropVar, Jaxpr, JaxprEqn


def sweep(eqns: Sequence[JaxprEqn], outvars: Sequence,
          inside: bool = False) -> tuple[list[JaxprEqn], set]:
    """The equations that `outvars` or an effect need, in order, and all live atoms.

    inside: inner jaxprs are cut down too.
    """
    live = set(outvars)
    kept = []
    for eqn in reversed(eqns):
        outs = eqn.outvars
        if not eqn.primitive.multiple_results:
            if outs[0] not in live and not eqn.effects:
                continue
        else:
            used = [v in live for v in outs]
            if not any(used) and not eqn.effects:
                continue
            if not all(used) and inside and eqn.primitive.dce is not None:
                eqn = eqn.primitive.dce(eqn, used)
                if eqn is None:
                    continue
            elif not all(used):
                dropped = [v if u else DropVar(v.aval) for v, u in zip(outs, used)]
                eqn = eqn.replace(outvars=dropped)
        kept.append(eqn)
        live.update(eqn.invars)  # literals among them do no harm: the set is only asked
    kept.reverse()
    return kept, live


def dce_jaxpr(jaxpr: Jaxpr, used_outputs: Sequence[bool],
              instantiate: bool | Sequence[bool] = False) -> tuple[Jaxpr, tuple[bool, ...]]:
    """Keep what the used outputs need, also inside inner jaxprs.

    Returns the smaller jaxpr and which inputs it kept; inputs in `instantiate` are always kept.
    """
    return _dce_jaxpr(jaxpr, tuple(used_outputs), flags(instantiate, len(jaxpr.invars)))


@weak_cache
def _dce_jaxpr(jaxpr: Jaxpr, used_outputs: tuple, instantiate: tuple) -> tuple[Jaxpr, tuple]:
    outvars = [v for v, used in zip(jaxpr.outvars, used_outputs) if used]
    eqns, live = sweep(jaxpr.eqns, outvars, inside=True)
    kept = tuple(v in live or keep for v, keep in zip(jaxpr.invars, instantiate))
    consts = [(v, c) for v, c in zip(jaxpr.constvars, jaxpr.consts) if v in live]
    effects = frozenset().union(*[e.effects for e in eqns])
    invars = [v for v, k in zip(jaxpr.invars, kept) if k]
    return Jaxpr([v for v, _ in consts], invars, outvars, eqns, [c for _, c in consts], effects,
                 jaxpr.debug), kept


def dce_call(param: str = "jaxpr", per_operand: Sequence[str] = (),
             per_result: Sequence[str] = ()) -> Callable:
    """The `dce` rule of an operation that calls one jaxpr with its operands.

    Parameters in `per_operand` and `per_result`, where they are tuples, have an entry for each.
    """
    def rule(eqn: JaxprEqn, used: Sequence[bool]) -> JaxprEqn | None:
        inner, kept = dce_jaxpr(eqn.params[param], used)
        if not any(used) and not inner.effects:
            return None
        params = {**eqn.params, param: inner}
        for names, marks in ((per_operand, kept), (per_result, used)):
            params.update({name: tuple(compress(params[name], marks)) for name in names
                           if isinstance(params[name], tuple)})
        return eqn.replace(invars=list(compress(eqn.invars, kept)), params=params,
                           outvars=list(compress(eqn.outvars, used)), effects=inner.effects)
    return rule
