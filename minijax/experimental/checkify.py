"""`jax.experimental.checkify`: run-time checks inside compiled programs, as values.

    def f(x):
        checkify.check(x > 0, "x must be positive, got {x}", x=x)
        return jnp.log(x)

    error, y = jax.jit(checkify.checkify(f))(jnp.float32(-1))
    error.throw()                              # JaxRuntimeError: x must be positive, got -1.0

The program is traced, and its jaxpr run again with an error in hand: an operation that may fail
merges its error into it, a loop carries it, a branch or call takes and returns it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.flatten import fun_name
from minijax.base import config, tree
from minijax.base import errors as messages
from minijax.core import (DebugInfo, Jaxpr, JaxprEqn, Literal, close, get_aval, jit_p, jit_params,
                          subjaxprs, trace_closed, trace_to_jaxpr)
from minijax.experimental.checkify_errors import (DivisionByZeroError, Error, ErrorCategory,
                                                  FailedCheckError, JaxRuntimeError, Kind,
                                                  NaNError, OOBError, Site, check, check_error,
                                                  check_p, debug_check, init_error,
                                                  mapped_errors, no_error, reported)
from minijax.lax.collectives import vary
from minijax.lax.shard_map import shard_map_p
from minijax.sharding import PartitionSpec

__all__ = ["Error", "ErrorCategory", "JaxRuntimeError", "all_checks", "automatic_checks", "check",
           "check_error", "checkify", "debug_check", "div_checks", "float_checks", "index_checks",
           "init_error", "nan_checks", "user_checks"]

Out = TypeVar("Out")

user_checks = frozenset({FailedCheckError})
nan_checks = frozenset({NaNError})
div_checks = frozenset({DivisionByZeroError})
index_checks = frozenset({OOBError})
float_checks = nan_checks | div_checks
automatic_checks = float_checks | index_checks
all_checks = automatic_checks | user_checks

_INDEX: Kind = (((), np.dtype(np.int32)), ((), np.dtype(np.int32)))
# Operations that pass NaNs on and make none.
_MOVES = frozenset((
    "broadcast_in_dim", "concatenate", "copy", "copy_p", "dynamic_slice", "dynamic_update_slice",
    "expand_dims", "gather", "optimization_barrier", "pad", "pjit", "reshape", "rev", "scatter",
    "select_n", "slice", "sort", "split", "squeeze", "stop_gradient", "transpose"))


def checkify(f: Callable[..., Out], errors: frozenset[ErrorCategory] = user_checks
             ) -> Callable[..., tuple[Error, Out]]:
    """`f` as a function that returns (error, what f returns).

    `errors` chooses the checks: those of the program (`user_checks`), and automatic ones of NaNs
    (`nan_checks`), divisors (`div_checks`) and indices (`index_checks`), or unions of these.
    """
    @functools.wraps(f)
    def checked(*args: Any, **kwargs: Any) -> tuple[Error, Out]:
        structure = None

        def flat() -> list:
            nonlocal structure
            leaves, structure = tree.flatten(f(*args, **kwargs))
            return leaves

        with config.keep_static_indices(OOBError in errors):
            jaxpr, captured = trace_to_jaxpr(flat, (), DebugInfo("checkify", fun_name(f)))
        checker = _Checker(frozenset(errors), jaxpr)
        error, outs = checker.run(jaxpr, captured, checker.none)
        return error, tree.unflatten(structure, outs)
    return checked


def _kinds(jaxpr: Jaxpr, enabled: frozenset[ErrorCategory]) -> set[Kind]:
    """The kinds of messages that the checks of a program have."""
    return set().union(*[_kinds_of(eqn, enabled) for eqn in jaxpr.eqns])


def _kinds_of(eqn: JaxprEqn, enabled: frozenset[ErrorCategory]) -> set[Kind]:
    if eqn.primitive is check_p:
        return set(eqn.params["kinds"]) if FailedCheckError in enabled else set()
    if eqn.primitive.name == "shard_map":
        return {kind} if (kind := _Checker(enabled, eqn.params["jaxpr"]).mapped(eqn)) else set()
    return set().union(*[_kinds(inner, enabled) for inner in subjaxprs(eqn.params)])


class _Checker:
    """Runs a program with some checks; `kinds` are the messages that its errors have room for."""

    def __init__(self, enabled: frozenset[ErrorCategory], jaxpr: Jaxpr):
        self.enabled = enabled
        kinds = _kinds(jaxpr, enabled)
        if enabled & float_checks:
            kinds.add(())
        if OOBError in enabled:
            kinds.add(_INDEX)
        self.kinds = tuple(sorted(kinds, key=str))
        self.room = 1 + sum(map(len, self.kinds))
        self.memo: dict[int, Jaxpr] = {}
        self.none = no_error(self.kinds)

    def pack(self, error: Error) -> list:
        """The arrays of an error, as operands of an equation."""
        (code, values), _ = error.tree_flatten()
        return [code, *[x for group in values for x in group]]

    def take(self, flat: Sequence[Any]) -> tuple[Error, list]:
        """The error in front of a list of values, and the rest."""
        return reported(flat[:self.room], self.kinds), list(flat[self.room:])

    def run(self, jaxpr: Jaxpr, captured: Sequence[Any], error: Error,
            *args: Any) -> tuple[Error, list]:
        """Bind the equations of a program, with their checks."""
        env: dict = dict(zip([*jaxpr.constvars, *jaxpr.invars],
                             [*jaxpr.consts, *captured, *args], strict=True))

        def read(atom: Any) -> Any:
            return atom.val if type(atom) is Literal else env[atom]

        for eqn in jaxpr.eqns:
            error, outs = self.step(eqn, error, [read(v) for v in eqn.invars])
            env.update(zip(eqn.outvars, outs, strict=True))
        return error, [read(v) for v in jaxpr.outvars]

    def step(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        """One equation: the error after it, and its results."""
        params = eqn.params
        match eqn.primitive.name:
            case _ if self.enabled <= user_checks and not _kinds_of(eqn, user_checks):
                pass
            case "check":
                enabled = FailedCheckError in self.enabled
                return (error.merge(reported(args, params["kinds"])) if enabled else error), []
            case "jit" | "remat2":
                return self.call(eqn, error, args)
            case "cond":
                return self.cond(eqn, error, args)
            case "scan":
                return self.scan(eqn, error, args)
            case "while":
                return self.loop(error, args, **params)
            case "custom_jvp_call" | "custom_vjp_call":
                return self.custom(eqn, error, args)
            case "shard_map":
                return self.devices(eqn, error, args)
        results = eqn.primitive.bind(*args, **params)
        outs = results if eqn.primitive.multiple_results else [results]
        return self.automatic(eqn, error, args, outs), outs

    # --- Calls, branches and loops -------------------------------------------------------------

    def checked(self, jaxpr: Jaxpr, before: int = 0) -> Jaxpr:
        """A body that takes an error, after `before` other inputs, and returns one in front."""
        known = self.memo.get(id(jaxpr))
        if known is not None:
            return known

        def body(*flat: Any) -> list:
            error, args = self.take(flat[before:])
            error, outs = self.run(jaxpr, (), error, *flat[:before], *args)
            return [*self.pack(error), *outs]

        ins = [get_aval(x) for x in self.pack(self.none)]
        avals = [*jaxpr.in_avals[:before], *ins, *jaxpr.in_avals[before:]]
        new = close(*trace_to_jaxpr(body, avals, jaxpr.debug))
        self.memo[id(jaxpr)] = new
        return new

    def call(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        params = eqn.params
        inner = self.checked(params["jaxpr"])
        if eqn.primitive is jit_p:
            params = jit_params(inner, params["name"], inline=params["inline"],
                                keep_unused=params["keep_unused"])
        return self.take(eqn.primitive.bind(*self.pack(error), *args, **{**params,
                                                                         "jaxpr": inner}))

    def cond(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        branches = tuple(map(self.checked, eqn.params["branches"]))
        return self.take(eqn.primitive.bind(args[0], *self.pack(error), *args[1:],
                                            **{**eqn.params, "branches": branches}))

    def scan(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        n = eqn.params["num_consts"]
        inner = self.checked(eqn.params["jaxpr"], n)
        carried = {"jaxpr": inner, "num_carry": eqn.params["num_carry"] + self.room}
        return self.take(eqn.primitive.bind(*args[:n], *self.pack(error), *args[n:],
                                            **{**eqn.params, **carried}))

    def loop(self, error: Error, args: list, *, cond_jaxpr: Jaxpr, body_jaxpr: Jaxpr,
             cond_nconsts: int, body_nconsts: int) -> tuple[Error, list]:
        """A condition is run for its error before the loop and at the end of each turn."""
        if cond_jaxpr.out_avals[0].shape:
            raise ValueError(messages.describe(
                "checkify-of-vmap-of-while is not supported",
                because="turns of the loop that are over for some elements would be checked too",
                fix="jax.vmap(checkify.checkify(f)) checks each element on its own"))
        n = cond_nconsts
        cond_consts, body_consts = args[:n], args[n:n + body_nconsts]
        start = args[n + body_nconsts:]
        silent = _Checker(frozenset(), cond_jaxpr)

        def condition(flat: list) -> Any:
            _, carry = self.take(flat)
            return silent.run(cond_jaxpr, (), no_error(), *cond_consts, *carry)[1][0]

        def turn(flat: list) -> list:
            error, carry = self.take(flat)
            error, carry = self.run(body_jaxpr, (), error, *body_consts, *carry)
            error, _ = self.run(cond_jaxpr, (), error, *cond_consts, *carry)
            return [*self.pack(error), *carry]

        error, _ = self.run(cond_jaxpr, (), error, *cond_consts, *start)
        return self.take(lax.while_loop(condition, turn, [*self.pack(error), *start]))

    def custom(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        """The function keeps its derivative; its checks run beside it and are merged by XLA."""
        inner = eqn.params["call_jaxpr"]
        if _kinds(inner, user_checks):
            return self.run(inner, (), error, *args)
        error, _ = self.run(inner, (), error, *map(lax.stop_gradient, args))
        return error, eqn.primitive.bind(*args, **eqn.params)

    def mapped(self, eqn: JaxprEqn) -> Kind | None:
        """The message of a shard_map that this runs the body of: an error for each device."""
        sizes = tuple(n for a, n in eqn.params["mesh"].shape_tuple
                      if a in eqn.params["newly_manual_axes"])
        values = tuple((sizes + shape, dtype) for kind in self.kinds for shape, dtype in kind)
        return ((sizes, np.dtype(np.int32)), *values) if self.kinds else None

    def devices(self, eqn: JaxprEqn, error: Error, args: list) -> tuple[Error, list]:
        params = eqn.params
        inner = _Checker(self.enabled, params["jaxpr"])
        kind = inner.mapped(eqn)
        axes = tuple(a for a in params["mesh"].axis_names if a in params["newly_manual_axes"])

        def body(*xs: Any) -> list:
            start = inner.pack(inner.none)
            if params["check_vma"]:
                start = [vary(jnp.asarray(x), frozenset(axes)) for x in start]
            inner.none = reported(start, inner.kinds)
            found, outs = inner.run(params["jaxpr"], (), inner.none, *xs)
            return [*[lax.broadcast(x, (1,) * len(axes)) for x in inner.pack(found)], *outs]

        with shard_map_p.scope(params):
            jaxpr = trace_closed(body, params["jaxpr"].in_avals, params["jaxpr"].debug)
        specs = (PartitionSpec(*axes),) * inner.room + tuple(params["out_specs"])
        outs = eqn.primitive.bind(*args, **{**params, "jaxpr": jaxpr, "out_specs": specs})
        found, outs = outs[:inner.room], outs[inner.room:]
        site = Site(mapped_errors, (inner.kinds,), kind)
        return _merge_if(error, jnp.any(found[0] >= 0), site, *found), outs

    # --- Automatic checks ----------------------------------------------------------------------

    def automatic(self, eqn: JaxprEqn, error: Error, args: list, outs: list) -> Error:
        """The error after an operation that is not itself a check."""
        name = eqn.primitive.name
        if OOBError in self.enabled:
            error = _check_index(error, name, eqn.params, args)
        if DivisionByZeroError in self.enabled and name == "div":
            error = _merge_if(error, jnp.any(jnp.equal(args[1], 0)),
                              Site(DivisionByZeroError, (), ()))
        if NaNError in self.enabled and name not in _MOVES:
            for out in outs:
                if jnp.issubdtype(get_aval(out).dtype, np.inexact):
                    error = _merge_if(error, jnp.any(lax.ne(out, out)), Site(NaNError, (name,), ()))
        return error


def _merge_if(error: Error, failed: Any, site: Site, *values: Any) -> Error:
    code = jnp.where(failed, np.int32(site.code), np.int32(-1))
    return error.merge(Error(code, {site.kind: list(values)}))


def _check_index(error: Error, name: str, params: dict, args: list) -> Error:
    """Check the start indices of an operation against the last place where its window fits."""
    shape = get_aval(args[0]).shape
    if name in ("dynamic_slice", "dynamic_update_slice"):
        starts = args[1:] if name == "dynamic_slice" else args[2:]
        window = params["slice_sizes"] if name == "dynamic_slice" else get_aval(args[1]).shape
        if not starts:
            return error
        axes: Any = range(len(shape))
        index = jnp.stack([jnp.asarray(s, np.int32) for s in starts])
    elif name == "gather":
        axes, window = params["dimension_numbers"].start_index_map, params["slice_sizes"]
        index = args[1]
    elif name.startswith("scatter"):
        numbers = params["dimension_numbers"]
        axes, index = numbers.scatter_dims_to_operand_dims, args[1]
        sizes = iter([get_aval(args[2]).shape[d] for d in numbers.update_window_dims])
        hidden = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
        window = [1 if d in hidden else next(sizes) for d in range(len(shape))]
    else:
        return error
    if not get_aval(index).size:
        return error
    axes = np.array(axes, np.int32)
    dtype = get_aval(index).dtype
    last = np.minimum([shape[a] - window[a] for a in axes], np.iinfo(dtype).max).astype(dtype)
    outside = jnp.ravel((index < 0) | (index > last))
    first = jnp.argmax(outside)
    values = [jnp.ravel(index)[first].astype(np.int32), jnp.asarray(axes)[first % len(axes)]]
    return _merge_if(error, jnp.any(outside), Site(OOBError, (shape,), _INDEX), *values)
