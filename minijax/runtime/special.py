"""NaN and infinity checks: which operation of a program made the first invalid value.

With `jax_debug_nans` (or `jax_debug_infs`) every result is looked at. When one is invalid the
program runs again, one operation after the other, into branches and loops, and the error names
the operation and the user's line that asked for it, also for operations of a backward pass.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minijax.base import config, dtypes, errors, source
from minijax.core import (Jaxpr, JaxprEqn, Literal, Values, eval_trace, state, subjaxprs,
                          trace_to_jaxpr)


def enabled() -> bool:
    """Whether results are looked at."""
    return config.debug_nans.value or config.debug_infs.value


def found_in(values: Iterable[Any]) -> str | None:
    """"nan" or "inf" if a value holds what the options forbid, else None."""
    for x in values:
        if not dtypes.issubdtype(getattr(x, "dtype", type(x)), np.inexact):
            continue
        value = np.asarray(x)
        if config.debug_nans.value and np.isnan(value).any():
            return "nan"
        if config.debug_infs.value and np.isinf(value).any():
            return "inf"
    return None


def check(name: str, outs: Sequence[Any], jaxpr: Jaxpr, operands: Values) -> None:
    """FloatingPointError if a result of the program holds NaN (or infinity).

    `operands` are those of the program, still alive: nothing is donated while checks are on.
    """
    what = found_in(outs)
    if what is None:
        return
    if _is_sharded(jaxpr):
        raise _error(f"Invalid value ({what}) encountered in sharded computation.", None)
    outer = state.trace
    state.trace = eval_trace
    try:
        with config.debug_nans(False), config.debug_infs(False):
            blamed = _Search(what).blame(jaxpr, operands)
    finally:
        state.trace = outer
    if blamed is not None:
        raise _error(f"invalid value ({what}) encountered in {blamed.primitive.name}", blamed)
    raise _error(
        f"invalid value ({what}) encountered in jit({name}). When run operation by operation, the "
        "de-optimized function did not make one: it is an input or a literal of the program, or "
        "comes from an optimization", None)


def _error(text: str, eqn: JaxprEqn | None) -> FloatingPointError:
    at = None
    if eqn is not None:
        # An operation that minijax runs for the user was traced at another call, perhaps: then
        # the line is the one that runs now, or in a backward pass that of the forward operation.
        at = source.user_frame(eqn.source, trace_to_jaxpr.__code__) or source.user_frame(
            state.source)
    return FloatingPointError(errors.describe(
        text, at=at, fix="look at the operands of this line; jax.debug_nans(False) goes on"))


def _is_sharded(jaxpr: Jaxpr) -> bool:
    return any(eqn.primitive.name == "shard_map" or any(map(_is_sharded, subjaxprs(eqn.params)))
               for eqn in jaxpr.eqns)


class _Search:
    """Runs programs one operation after the other until one makes an invalid value."""

    def __init__(self, what: str):
        self.invalid = {"nan": np.isnan, "inf": np.isinf}[what]

    def has(self, values: Iterable[Any]) -> bool:
        return any(self.invalid(np.asarray(x)).any() for x in values
                   if dtypes.issubdtype(getattr(x, "dtype", type(x)), np.inexact))

    def blame(self, jaxpr: Jaxpr, operands: Values) -> JaxprEqn | None:
        """The innermost equation whose results are invalid although its operands are not."""
        return self.run(jaxpr, operands)[1]

    def run(self, jaxpr: Jaxpr, operands: Values) -> tuple[list, JaxprEqn | None]:
        """The results of a program, unless an equation is to blame, which is then given."""
        env = dict(zip(jaxpr.constvars + jaxpr.invars, [*jaxpr.consts, *operands]))

        def read(v: Any) -> Any:
            return v.val if type(v) is Literal else env[v]

        for eqn in jaxpr.eqns:
            args = [read(v) for v in eqn.invars]
            outs = eqn.primitive.bind(*args, **eqn.params)
            outs = outs if eqn.primitive.multiple_results else [outs]
            if self.has(outs) and not self.has(args):
                return [], self.within(eqn, args) or eqn
            env.update(zip(eqn.outvars, outs))
        return [read(v) for v in jaxpr.outvars], None

    def within(self, eqn: JaxprEqn, args: list) -> JaxprEqn | None:
        """The equation to blame inside the jaxprs of one that is known to be at fault."""
        name, params = eqn.primitive.name, eqn.params
        if name == "cond":
            return self.blame(params["branches"][int(args[0])], args[1:])
        if name == "while":
            return self._while(args, **params)
        if name == "scan":
            return self._scan(args, **params)
        inner = subjaxprs(params)
        if len(inner) == 1 and len(inner[0].invars) == len(args):
            return self.blame(inner[0], args)
        return None

    def _while(self, args: list, *, cond_jaxpr: Jaxpr, body_jaxpr: Jaxpr, cond_nconsts: int,
               body_nconsts: int, **_: Any) -> JaxprEqn | None:
        start = cond_nconsts + body_nconsts
        cond_consts, body_consts = args[:cond_nconsts], args[cond_nconsts:start]
        values = args[start:]
        while True:
            go, blamed = self.run(cond_jaxpr, [*cond_consts, *values])
            if blamed is not None or not np.any(go[0]):
                return blamed
            values, blamed = self.run(body_jaxpr, [*body_consts, *values])
            if blamed is not None:
                return blamed

    def _scan(self, args: list, *, jaxpr: Jaxpr, length: int, reverse: bool, num_consts: int,
              num_carry: int, **_: Any) -> JaxprEqn | None:
        start = num_consts + num_carry
        consts, carry, xs = args[:num_consts], args[num_consts:start], args[start:]
        for i in reversed(range(length)) if reverse else range(length):
            outs, blamed = self.run(jaxpr, [*consts, *carry, *[x[i] for x in xs]])
            if blamed is not None:
                return blamed
            carry = outs[:num_carry]
        return None
