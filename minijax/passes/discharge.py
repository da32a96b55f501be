"""Programs with references as programs on values.

Each reference becomes the array that it holds at the moment; a program that takes references gives
their last values as additional results. A primitive says how in its field `discharge`: a function
of the values of the operands, their references (a key for each operand that is one, None for the
others) and the parameters, which gives the results and the last values of the references. For
operations that call one jaxpr, `call` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from minijax.base import errors
from minijax.base.util import weak_cache
from minijax.core import (UNSPECIFIED, BatchTracer, EvalTrace, JVPTrace, JVPTracer, Jaxpr, JaxprEqn,
                          JaxprCall, JaxprTrace, Literal, Primitive, Ref, Values, Var, ancestors,
                          aval_of, eval_jaxpr, is_ref, jit_p, jit_params, state, subjaxprs,
                          trace_closed, uses_refs)
from minijax.core.refs import alive
from minijax.passes import references
from minijax.passes.references import get_p, new_ref_p, swap_p


def discharge(jaxpr: Jaxpr) -> Jaxpr:
    """The program on values; the last values of its reference inputs are its last results."""
    return _discharged(jaxpr) if uses_refs(jaxpr) else jaxpr


@weak_cache
def _discharged(jaxpr: Jaxpr) -> Jaxpr:
    def fun(*args: Any) -> list:
        env: dict[Var, Any] = dict(zip(jaxpr.constvars, jaxpr.consts))
        env.update(zip(jaxpr.invars, args))
        outer = state.source
        for eqn in jaxpr.eqns:
            state.source = eqn.source
            _run(eqn, env)
        state.source = outer
        outs = [v.val if type(v) is Literal else env[v] for v in jaxpr.outvars]
        return outs + [alive(env[v]) for v in jaxpr.invars if is_ref(v.aval)]

    avals = [a.inner_aval if is_ref(a) else a for a in jaxpr.in_avals]
    return trace_closed(fun, avals, jaxpr.debug)


def _differentiating() -> bool:
    return any(isinstance(t, JVPTrace) for t in ancestors(state.trace))


def _run(eqn: JaxprEqn, env: dict) -> None:
    operands = [v.val if type(v) is Literal else env[v] for v in eqn.invars]
    refs = [v if is_ref(v.aval) else None for v in eqn.invars]
    primitive, params = eqn.primitive, eqn.params
    if not eqn.effects and all(r is None for r in refs) and primitive is not new_ref_p:
        out = primitive.bind(*operands, **params)
        env.update(zip(eqn.outvars, out if primitive.multiple_results else [out]))
        return
    outs, values = _discharge_operation(primitive, operands, refs, params)
    env.update(zip(eqn.outvars, outs))
    env.update(zip([v for v in refs if v is not None], values))


def _discharge_operation(primitive: Primitive, operands: Values, refs: Sequence[Any],
                         params: dict) -> tuple[Sequence[Any], Sequence[Any]]:
    if primitive.discharge is not None:
        return primitive.discharge(operands, refs, params)
    if any(r is not None for r in refs):
        if "call_jaxpr" in params:  # a function with its own derivative
            return _inlined(operands, refs, params)
        raise NotImplementedError(errors.describe(
            f"References cannot be operands of '{primitive.name}'.",
            fix="read the reference first: ref[...]"))
    params = {name: _discharged_parameter(value) for name, value in params.items()}
    out = primitive.bind(*operands, **params)
    return (out if primitive.multiple_results else [out]), []


def _discharged_parameter(value: Any) -> Any:
    if type(value) is Jaxpr:
        return discharge(value)
    if type(value) is tuple and any(type(v) is Jaxpr for v in value):
        return tuple(map(_discharged_parameter, value))
    return value


def call(param: str, bind: Callable[[Sequence[Any], Jaxpr, dict], list]) -> Callable:
    """The `discharge` rule of an operation that calls the jaxpr `param` with its operands."""
    def rule(operands: Values, refs: Sequence[Any], params: dict) -> tuple:
        inner = discharge(params[param])
        outs = bind(operands, inner, params)
        n = len(outs) - sum(r is not None for r in refs)
        return outs[:n], last_values([inner], operands, [r is not None for r in refs], outs[n:])
    return rule


def last_values(jaxprs: Sequence[Jaxpr], given: Sequence[Any], refs: Sequence[bool],
                results: Sequence[Any]) -> list:
    """The last values of the operands that are `refs`, each the given one if it is only read.

    jaxprs: discharged; any of them may have run and made `results`.
    """
    places = [i for i, is_one in enumerate(refs) if is_one]
    return [given[i] if all(j.outvars[k - len(places)] is j.invars[i] for j in jaxprs) else value
            for k, (i, value) in enumerate(zip(places, results))]


_inlined = call("call_jaxpr", lambda operands, jaxpr, params: eval_jaxpr(
    jaxpr, jaxpr.consts, *operands))
jit_p.discharge = call("jaxpr", lambda operands, jaxpr, params: jit_p.bind(*operands, **jit_params(
    jaxpr, params["name"], inline=params["inline"], keep_unused=params["keep_unused"],
    compiler_options_kvs=params["compiler_options_kvs"])))


# --- under derivatives and vmap ----------------------------------------------------------------


def bind_program(primitive: Primitive, operands: Values, params: dict, *jaxprs: Jaxpr) -> list:
    """Bind an operation that runs `jaxprs`.

    If they use references, derivatives and vmap see it work on values. Not so references that are
    only given to functions with derivatives of their own, which may write to them on the way back.
    """
    if type(state.trace) in (JaxprTrace, EvalTrace) or not any(map(uses_refs, jaxprs)):
        return primitive.bind(*operands, **params)
    if _differentiating():
        uses = frozenset().union(*map(_uses, jaxprs))
        if uses == {"rule"} and not any(map(_has_tangent, operands)):
            return primitive.bind(*operands, **params)
        if "rule" in uses and isinstance(primitive, JaxprCall):
            return _one_by_one(jaxprs[0], operands)
        if "rule" in uses:
            raise NotImplementedError(errors.describe(
                "References that are read or written in a loop cannot also be operands of a "
                "'custom_vjp_call' there while it is differentiated.",
                fix="use two references, or call the function outside of scan"))
    refs = [x if is_ref(aval_of(x)) else None for x in operands]
    values = [x if r is None else get_p.bind(r, indexer=references.everything)
              for x, r in zip(operands, refs)]
    outs, after = _discharge_operation(primitive, values, refs, params)
    before = [(r, x) for r, x in zip(refs, values) if r is not None]
    for (ref, old), value in zip(before, after):
        if value is not old:
            swap_p.bind(ref, value, indexer=references.everything)
    return list(outs)


def _one_by_one(jaxpr: Jaxpr, operands: Values) -> list:
    """The results of a program, with each call in it bound as one that the user makes."""
    env = dict(zip(jaxpr.constvars + jaxpr.invars, [*jaxpr.consts, *operands]))

    def read(v: Any) -> Any:
        return v.val if type(v) is Literal else env[v]

    for eqn in jaxpr.eqns:
        inner = () if "call_jaxpr" in eqn.params else subjaxprs(eqn.params)
        out = bind_program(eqn.primitive, list(map(read, eqn.invars)), eqn.params, *inner)
        env.update(zip(eqn.outvars, out if eqn.primitive.multiple_results else [out]))
    return list(map(read, jaxpr.outvars))


def _has_tangent(x: Any) -> bool:
    """Whether an operand is a reference whose derivative is asked for."""
    if not is_ref(aval_of(x)):
        return False
    return type(x) is JVPTracer or type(x) is BatchTracer and _has_tangent(
        getattr(x.val, "ref", x.val))


@weak_cache
def _uses(jaxpr: Jaxpr) -> frozenset:
    """How references are used: by a "rule" (as operands of custom derivatives), or "directly"."""
    found: frozenset = frozenset()
    for eqn in jaxpr.eqns:
        has_rule = "call_jaxpr" in eqn.params
        inner = [] if has_rule else subjaxprs(eqn.params)
        found = found.union(*map(_uses, inner))
        if not inner and (any(is_ref(v.aval) for v in eqn.invars) or eqn.primitive is new_ref_p):
            found |= {"rule" if has_rule else "directly"}
    return found


def holds_ref(x: Any) -> bool:
    """Whether a value, of any kind, is a reference."""
    return is_ref(getattr(x, "aval", None))


def _underlying(x: Any) -> int:
    """The identity of a reference, whatever transformations it is seen through."""
    while True:
        if type(x) is JVPTracer:
            x = x.primal
        elif type(x) is BatchTracer:
            x = getattr(x.val, "ref", x.val)
        else:
            return id(x)


def check_distinct(captured: Sequence[Any], args: Values, names: Sequence[str], what: str) -> None:
    """ValueError if a reference comes twice among the operands of the traced function `what`."""
    seen: dict[int, str | None] = {_underlying(x): None for x in captured}
    for x, name in zip(args, names):
        if not holds_ref(x):
            continue
        aval, key = x.aval, _underlying(x)
        if key not in seen:
            seen[key] = name
            continue
        fix = "pass each reference once, and do not close over it as well"
        if seen[key] is None:
            raise ValueError(errors.describe(
                f"when tracing {what}, a mutable array reference of type {aval} was both closed "
                f"over and passed as the argument {name}", fix=fix))
        raise ValueError(errors.describe(
            "only one reference to a mutable array may be passed as an argument to a function, but "
            f"when tracing {what} the mutable array reference of type {aval} appeared at both "
            f"{seen[key]} and {name}.", fix=fix))


def returned_ref(fun: str, what: str, ref: Any) -> ValueError:
    """The error of a traced function that gives back a reference."""
    return ValueError(errors.describe(
        f"function {fun} traced for {what} returned a mutable array reference of type "
        f"{aval_of(ref)}, but mutable array references cannot be returned.\n\nThe returned mutable "
        f"array {errors.where_from(ref)}.\n",
        fix="return its value, ref[...] or jax.freeze(ref)"))


# --- whole programs ----------------------------------------------------------------------------


class Plain(NamedTuple):
    """A top-level program on values.

    Its first inputs are the values of the references `captured`; the values of the references among
    all its inputs, marked in `refs`, are its last results.
    """

    jaxpr: Jaxpr
    captured: list[Ref]
    refs: tuple[bool, ...]

    @property
    def is_pure(self) -> bool:
        """Whether it needs no references from outside."""
        return not any(self.refs)

    @property
    def num_outs(self) -> int:
        return len(self.jaxpr.outvars) - sum(self.refs)

    def names(self, debug: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The names of all inputs and results."""
        results = (*debug.result_paths, *["value of a reference"] * sum(self.refs))
        return (*["reference"] * len(self.captured), *debug.arg_names), results

    def shardings(self, ins: tuple, outs: tuple) -> tuple[tuple, tuple]:
        """What was asked for the inputs and results, for those of this program."""
        free = (UNSPECIFIED,)
        return free * len(self.captured) + ins, outs + free * sum(self.refs)

    def operands(self, leaves: Sequence[Any]) -> list:
        """All operands, references still as such."""
        return [*self.captured, *leaves]

    def values(self, leaves: Sequence[Any]) -> list:
        """The arrays to run the program on."""
        return [x.read() if type(x) is Ref else x for x in self.operands(leaves)]

    def write_back(self, leaves: Sequence[Any], outs: Sequence[Any]) -> list:
        """Put the new values into the references; returns the other results."""
        refs = [x for x, r in zip(self.operands(leaves), self.refs) if r]
        for ref, value in zip(refs, outs[self.num_outs:]):
            ref.value = value
        return list(outs[:self.num_outs])


@weak_cache
def plain(jaxpr: Jaxpr) -> Plain:
    held = [(v, c) for v, c in zip(jaxpr.constvars, jaxpr.consts) if is_ref(v.aval)]
    rest = [(v, c) for v, c in zip(jaxpr.constvars, jaxpr.consts) if not is_ref(v.aval)]
    whole = jaxpr.replace(constvars=[v for v, _ in rest], consts=[c for _, c in rest],
                          invars=[v for v, _ in held] + jaxpr.invars)
    return Plain(discharge(whole), [c for _, c in held], tuple(is_ref(a) for a in whole.in_avals))
