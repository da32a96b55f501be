"""Finds random keys that a program uses twice (jax_debug_key_reuse).

Every key that a program sees has a number, so an array of keys is an array of numbers, and moving
keys about is done to these with NumPy. Making bits of a key, or splitting it, consumes it; to do so
again is an error. Keys picked by an index known only at run time count as new ones.

    uses_of(jaxpr).consumed      # for each input: which of its keys are used up, None if no keys
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import errors, source
from minijax.base.dtypes import issubdtype, prng_key
from minijax.base.util import split_list, weak_cache
from minijax.core import Jaxpr, JaxprEqn, Literal, Values, subjaxprs

Ids = np.ndarray


class Uses(NamedTuple):
    """What a program does to keys.

    consumed: for each input which of its keys it consumes; outputs: the numbers of the keys in each
    output, those of the inputs' keys first; used: by number, whether a key was consumed. None
    stands for inputs and outputs that are no keys.
    """

    consumed: tuple[Ids | None, ...]
    outputs: tuple[Ids | None, ...]
    used: np.ndarray


def is_key(aval: Any) -> bool:
    """Whether a type is one of random keys."""
    return issubdtype(aval.dtype, prng_key) if hasattr(aval, "dtype") else False


class _Keys:
    """The keys of a program while it is walked through."""

    def __init__(self) -> None:
        self.used = np.zeros(0, bool)
        self.ids: dict[Any, Ids] = {}

    def new(self, shape: Sequence[int], used: Any = False) -> Ids:
        start = len(self.used)
        added = np.broadcast_to(np.asarray(used, bool), shape)
        self.used = np.concatenate([self.used, added.ravel()])
        return np.arange(start, len(self.used)).reshape(shape)

    def consume(self, ids: Ids, what: str, eqn: JaxprEqn | None = None) -> None:
        if self.used[ids].any():
            at = source.user_frame(eqn.source) if eqn is not None else None
            raise errors.KeyReuseError(f"{what} is already consumed.", at)
        self.used[ids.ravel()] = True

    def of(self, atom: Any) -> Ids:
        found = None if type(atom) is Literal else self.ids.get(atom)
        if found is None:
            found = self.new(atom.aval.shape)
            if type(atom) is not Literal:
                self.ids[atom] = found
        return found

    def run(self, jaxpr: Jaxpr) -> None:
        for eqn in jaxpr.eqns:
            self.step(eqn)

    def step(self, eqn: JaxprEqn) -> None:
        name = eqn.primitive.name
        inner = subjaxprs(eqn.params)
        if not inner and not any(is_key(v.aval) for v in (*eqn.invars, *eqn.outvars)):
            return
        keys = [self.of(v) if is_key(v.aval) else None for v in eqn.invars]
        if name in _LOOPS:
            found = _LOOPS[name](self, eqn, keys)
        elif name in _MOVES and keys[0] is not None:
            found = _MOVES[name](*[k for k in keys if k is not None], **eqn.params)
        elif name == "cond":
            found = self.call(eqn, _merged(eqn.params["branches"]), keys[1:], 1)
        elif len(inner) == 1 and len(inner[0].invars) == len(keys):
            if eqn.params.get("differentiated"):  # checkpoint draws the same numbers again
                uses_of(inner[0])
                return
            found = self.call(eqn, uses_of(inner[0]), keys)
        else:
            found = self.draw(eqn, keys)
        self.ids.update((v, ids) for v, ids in zip(eqn.outvars, found) if ids is not None)

    def draw(self, eqn: JaxprEqn, keys: Sequence[Ids | None]) -> list:
        """An operation that makes of keys something else."""
        name = eqn.primitive.name
        for i, ids in enumerate(keys):
            if ids is not None and name not in _LEAVES and not (
                    name in _PICKS and i == _PICKS[name]):
                self.consume(ids, f"In {name}, argument {i}", eqn)
        spent = name in _PICKS and keys[0] is not None and bool(self.used[keys[0]].all())
        return [self.new(v.aval.shape, spent) if is_key(v.aval) else None for v in eqn.outvars]

    def call(self, eqn: JaxprEqn, uses: Uses, keys: Sequence[Ids | None], first: int = 0) -> list:
        """Do what a program does to keys; returns those of its outputs."""
        for i, (mask, ids) in enumerate(zip(uses.consumed, keys), first):
            if ids is not None and mask is not None:
                self.consume(ids[mask], f"In {eqn.primitive.name}, argument {i}", eqn)
        given = [ids.ravel() for ids in keys if ids is not None]
        known = np.concatenate([np.zeros(0, np.intp), *given])
        numbers = np.concatenate([known, self.new(
            (len(uses.used) - len(known),), uses.used[len(known):])])
        return [None if ids is None else numbers[ids] for ids in uses.outputs]

    def repeat(self, eqn: JaxprEqn, uses: Uses, ids: Sequence[Ids | None], what: str) -> list:
        """`call`, for what runs again and again."""
        try:
            return self.call(eqn, uses, ids)
        except errors.KeyReuseError:
            raise errors.KeyReuseError(
                f"{what} function leads to key reuse when repeatedly executed.",
                source.user_frame(eqn.source),
                "carry the key and split it in each turn, or split it before the loop") from None

    def fresh_like(self, ids: Sequence[Ids | None], skip: int = 0) -> list:
        return [None if x is None else self.new(x.shape[skip:]) for x in ids]


def _uses(jaxpr: Jaxpr) -> Uses:
    keys = _Keys()
    inputs = [keys.of(v) if is_key(v.aval) else None for v in (*jaxpr.constvars, *jaxpr.invars)]
    keys.run(jaxpr)
    outputs = [keys.of(v) if is_key(v.aval) else None for v in jaxpr.outvars]
    return Uses(tuple(None if x is None else keys.used[x] for x in inputs), tuple(outputs),
                keys.used)


uses_of: Callable[[Jaxpr], Uses] = weak_cache(_uses)


def _merged(branches: Sequence[Jaxpr]) -> Uses:
    """What one of some programs may do: a key is consumed if one of them consumes it."""
    found = [uses_of(b) for b in branches]
    consumed = tuple(None if masks[0] is None else np.logical_or.reduce(masks)
                     for masks in zip(*[uses.consumed for uses in found]))
    given = sum(mask.size for mask in consumed if mask is not None)
    used = np.concatenate([np.zeros(given, bool), *[uses.used[given:] for uses in found[:1]]])
    outputs = []
    for choices in zip(*[uses.outputs for uses in found]):
        first = choices[0]
        if first is not None and not all(np.array_equal(first, ids) for ids in choices):
            spent = np.logical_or.reduce([u.used[ids] for u, ids in zip(found, choices)])
            first = np.arange(len(used), len(used) + first.size).reshape(first.shape)
            used = np.concatenate([used, spent.ravel()])
        outputs.append(first)
    return Uses(consumed, tuple(outputs), used)


# --- Loops -------------------------------------------------------------------------------------


def _scan(keys: _Keys, eqn: JaxprEqn, ids: Sequence[Ids | None]) -> list:
    params = eqn.params
    body, num_carry = uses_of(params["jaxpr"]), params["num_carry"]
    consts, carry, xs = split_list(ids, [params["num_consts"], num_carry])
    trial = _Keys()
    again, state = trial.fresh_like(consts), trial.fresh_like(carry)
    for _ in range(min(params["length"], 2)):
        outs = trial.repeat(eqn, body, [*again, *state, *trial.fresh_like(xs, 1)], "scan body")
        state = outs[:num_carry]
    for i, (mask, given) in enumerate(zip(body.consumed, ids)):
        if given is not None:
            taken = given[:, mask] if i >= len(consts) + num_carry else given[mask]
            keys.consume(taken, f"In scan, argument {i}", eqn)
    return [keys.new(v.aval.shape, bool(body.used[ids].any())) if ids is not None else None
            for v, ids in zip(eqn.outvars, body.outputs)]


def _while(keys: _Keys, eqn: JaxprEqn, ids: Sequence[Ids | None]) -> list:
    params = eqn.params
    condition, body = uses_of(params["cond_jaxpr"]), uses_of(params["body_jaxpr"])
    tests, consts, carry = split_list(ids, [params["cond_nconsts"], params["body_nconsts"]])
    trial = _Keys()
    again_test, again, state = map(trial.fresh_like, (tests, consts, carry))
    for _ in range(2):
        trial.repeat(eqn, condition, [*again_test, *state], "while_loop cond")
    state = trial.fresh_like(carry)
    for _ in range(2):
        state = trial.repeat(eqn, body, [*again, *state], "while_loop body")
    start = params["cond_nconsts"]
    for i, (mask, given) in enumerate(zip(body.consumed, ids[start:]), start):
        if given is not None:
            keys.consume(given[mask], f"In while, argument {i}", eqn)
    return [keys.new(x.shape, bool(body.used[x].any())) if x is not None else None
            for x in body.outputs]


_LOOPS = {"scan": _scan, "while": _while}


# --- Operations that move keys -----------------------------------------------------------------


def _broadcast(x: Ids, *, shape: tuple, broadcast_dimensions: tuple, **_: Any) -> list:
    own = [1] * len(shape)
    for size, dim in zip(x.shape, broadcast_dimensions):
        own[dim] = size
    return [np.broadcast_to(x.reshape(own), shape)]


def _slice(x: Ids, *, start_indices: tuple, limit_indices: tuple, strides: Any, **_: Any) -> list:
    steps = strides or (1,) * x.ndim
    return [x[tuple(map(slice, start_indices, limit_indices, steps))]]


def _split(x: Ids, *, sizes: tuple, axis: int, **_: Any) -> list:
    return np.split(x, np.cumsum(sizes)[:-1], axis)


_MOVES: dict[str, Callable[..., list]] = {
    "broadcast_in_dim": _broadcast, "slice": _slice, "split": _split,
    "reshape": lambda x, *, new_sizes, **_: [x.reshape(new_sizes)],
    "squeeze": lambda x, *, dimensions, **_: [np.squeeze(x, tuple(dimensions))],
    "expand_dims": lambda x, *, dimensions, **_: [np.expand_dims(x, tuple(dimensions))],
    "transpose": lambda x, *, permutation, **_: [np.transpose(x, permutation)],
    "rev": lambda x, *, dimensions, **_: [np.flip(x, tuple(dimensions))],
    "unstack": lambda x, *, axis, **_: list(np.moveaxis(x, axis, 0)),
    "stack": lambda *xs, axis, **_: [np.stack(xs, axis)],
    "concatenate": lambda *xs, dimension, **_: [np.concatenate(xs, dimension)]}
for _name in ("copy", "copy_p", "convert_element_type", "device_put", "layout_constraint",
              "optimization_barrier", "pvary", "reshard", "sharding_constraint"):
    _MOVES[_name] = lambda *xs, **_: list(xs)
# These read keys without drawing from them.
_LEAVES = frozenset(("random_fold_in", "random_unwrap", "random_clone", "eq", "ne",
                     "debug_callback", "debug_print", "select_n"))
# These pick keys, or put some, at a place known at run time only; by the number of the source.
_PICKS = {"dynamic_slice": 0, "gather": 0, "dynamic_update_slice": 0, "scatter": 0}


# --- At run time -------------------------------------------------------------------------------


def check_call(name: str, uses: Uses, args: Values) -> None:
    """KeyReuseError if a program is about to consume a key that an earlier one consumed."""
    for i, (mask, x) in enumerate(zip(uses.consumed, args)):
        if mask is not None and np.any(np.logical_and(mask, x._consumed)):
            raise errors.KeyReuseError(f"Previously-consumed key passed to {name} at index {i}")


def note_call(uses: Uses, args: Values, outs: Sequence[Any]) -> None:
    """Mark the keys that a program has consumed."""
    given = []
    for mask, x in zip(uses.consumed, args):
        if mask is not None:
            x._consumed = _shown(np.logical_or(mask, x._consumed))
            given.append(np.broadcast_to(x._consumed, mask.shape).ravel())
    used = np.concatenate([np.zeros(0, bool), *given])
    used = np.concatenate([used, uses.used[len(used):]])
    for ids, x in zip(uses.outputs, outs):
        if ids is not None:
            x._consumed = _shown(used[ids])


def _shown(mask: np.ndarray) -> bool | np.ndarray:
    return bool(mask.all()) if mask.all() or not mask.any() else mask
