"""Which values of a program for CPUs are worth storing: XLA would compute them again and again.

XLA's CPU fusion copies a cheap value into every kernel that reads it, and protects from that only
values which read two large operands.  In `(x + y) + bias` neither addition is protected, so in a
deep network each kernel holds the sums of all layers below it: quadratic code and work.  `pins`
estimates what would be repeated; the module gets an `optimization_barrier` on each of these values.

    pins(jaxpr)           # the variables, none for most programs

A second reason to store a value is that kernels may round it differently.  The derivative of a
maximum asks which elements equal it: computed again, fewer do, or none.

The estimate walks the program twice.  Backwards, it finds the kernel (named by its last equation)
that each equation ends up in; an equation that several kernels read is a fork.  Forwards, it adds
up what a kernel costs, forks that are copied into it included.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

# Repeated work, in cheap operations per element, from which a value is stored.  Anything between
# 6 and 16 serves; programs in which less than TOTAL is repeated stay as they are.
WORTH = 8
TOTAL = 48

_MOVES = ("broadcast_in_dim copy convert_element_type dynamic_slice imag iota pad real "
          "reduce_precision reshape rev slice split squeeze stop_gradient transpose")
_CHEAP = ("abs add add_any and bitcast_convert_type ceil clamp clz complex concatenate conj eq "
          "eq_to floor ge gt integer_pow is_finite le le_to lt lt_to max min mul mulhi ne neg not "
          "or population_count round select_n shift_left shift_right_arithmetic "
          "shift_right_logical sign square stack sub tile xor")
_DEAR = ("acos acosh asin asinh atan atan2 atanh cbrt cos cosh div erf erf_inv erfc exp exp2 expm1 "
         "gather log log1p logistic nextafter pow rem rsqrt sin sinh sqrt tan tanh")
_SPECIAL = "bessel_i1e digamma lgamma polygamma zeta"
# Cost per element; what is not here (products, reductions, loops, calls) is a kernel of its own.
_WEIGHTS: dict[str, int] = {
    name: weight
    for weight, names in ((0, _MOVES), (1, _CHEAP), (4, _DEAR), (20, _SPECIAL))
    for name in names.split()}
_DEAREST_COPIED = 4  # XLA does not copy an operation of this weight into a larger kernel

_REDUCTIONS = frozenset(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"))
_EXTREMA = frozenset(("reduce_max", "reduce_min"))
_COMPARISONS = frozenset(("eq", "eq_to", "ne"))
_BEFORE_REDUCTIONS = frozenset(("mul", "square", "integer_pow"))
_CONSTANTS = frozenset(("broadcast_in_dim", "iota"))
_CALLS = {"jit": "jaxpr", "closed_call": "call_jaxpr", "call": "call_jaxpr",
          "custom_jvp_call": "call_jaxpr", "custom_vjp_call": "call_jaxpr",
          "custom_vmap_call": "call", "remat2": "jaxpr"}


def pins(jaxpr: Any) -> dict[Any, bool]:
    """The variables of `jaxpr`, and of the jaxprs it calls, that should be stored.

    True for those whose rounding matters, False for those that only take time.

    Barriers stay out of loops and the like, the user's own too: where they are kept, XLA cannot
    compile such a body (UNIMPLEMENTED for a small loop, an abort for a reduction).
    """
    graph = _Graph(jaxpr)
    compared, repeated = graph.compared(), graph.repeated()
    if sum(repeated.values()) < TOTAL:
        repeated.clear()
    if not compared and not repeated:
        return {}
    within = list(_within_bodies(jaxpr, False))
    if any(eqn.primitive.name == "optimization_barrier" or _is_behind_barrier(eqn)
           for eqn in within):
        return {}
    inner = {v for eqn in within for v in eqn.outvars}
    return {v: node in compared for node in {*repeated, *compared}
            for v in graph.eqns[node].outvars if v not in inner}


def _within_bodies(jaxpr: Any, inside: bool) -> Iterator[Any]:
    """The equations of bodies that are not in line with the program, as those of calls are."""
    for eqn in jaxpr.eqns:
        if inside:
            yield eqn
        for value in eqn.params.values():
            for inner in value if isinstance(value, tuple) else (value,):
                if hasattr(inner, "eqns"):
                    yield from _within_bodies(inner, inside or eqn.primitive.name not in _CALLS)


def _is_behind_barrier(eqn: Any) -> bool:
    """Whether the inputs of a call go through a barrier: those of a checkpoint, run again."""
    return bool(eqn.params.get("differentiated") and eqn.params.get("prevent_cse"))


class _Graph:
    """The equations of a program in order, with those of called jaxprs in place of the calls.

    The first two places stand for the inputs and for the constants.
    """

    def __init__(self, jaxpr: Any) -> None:
        self.eqns: list = []
        self.weights: list[int | None] = []
        self.operands: list[list[int | None]] = []  # which equation made them; None for literals
        self.readers: list[list[int]] = []
        self.dynamic: list[bool] = []  # whether it depends on an input
        self.reductions: list[int] = []
        env = dict.fromkeys(jaxpr.invars, self._add(None, None, [], True))
        self.constants = self._add(None, None, [], False)
        self._walk(jaxpr, env)
        self.outputs = {env[v] for v in jaxpr.outvars if v in env}
        self._join_reductions()

    def _add(self, eqn: Any, weight: int | None, operands: list[int | None], dynamic: bool) -> int:
        node = len(self.eqns)
        self.eqns.append(eqn)
        self.weights.append(weight)
        self.operands.append(operands)
        self.readers.append([])
        self.dynamic.append(dynamic)
        for maker in operands:
            if maker is not None:
                readers = self.readers[maker]
                if not readers or readers[-1] != node:  # x * x reads x once
                    readers.append(node)
        return node

    def _walk(self, jaxpr: Any, env: dict) -> None:
        find, weights, dynamic = env.get, _WEIGHTS, self.dynamic
        env.update(dict.fromkeys(jaxpr.constvars, self.constants))
        for eqn in jaxpr.eqns:
            name = eqn.primitive.name
            if name in _CALLS:
                self._inline(eqn, eqn.params[_CALLS[name]], env)
                continue
            weight = weights.get(name)
            operands = [find(v) for v in eqn.invars]
            node = self._add(eqn, weight, operands,
                             any([dynamic[i] for i in operands if i is not None]))
            for v in eqn.outvars:
                env[v] = node
            if name in _REDUCTIONS:
                self.reductions.append(node)

    def _inline(self, eqn: Any, jaxpr: Any, env: dict) -> None:
        inner = {v: env[x] for v, x in zip(jaxpr.invars, eqn.invars) if x in env}
        if _is_behind_barrier(eqn):
            inner = dict.fromkeys(inner, self._add(eqn, None, list(inner.values()), True))
        self._walk(jaxpr, inner)
        env.update((v, inner[x]) for v, x in zip(eqn.outvars, jaxpr.outvars) if x in inner)

    def _join_reductions(self) -> None:
        """A product that only one reduction reads is computed in the reduction's kernel."""
        for maker in [self.operands[node][0] for node in self.reductions]:
            if maker is not None and len(self.readers[maker]) == 1:
                eqn = self.eqns[maker]
                if eqn is not None and eqn.primitive.name in _BEFORE_REDUCTIONS:
                    self.weights[maker] = None

    def compared(self) -> set[int]:
        """The equations whose results are compared with an extremum of themselves."""
        eqns, operands = self.eqns, self.operands
        return {x for node in self.reductions if eqns[node].primitive.name in _EXTREMA
                for x in operands[node] if x is not None and self.weights[self._origin(x)]
                for reader in self.readers[x] if eqns[reader].primitive.name in _COMPARISONS
                if any(i is not None and self._origin(i) == node for i in operands[reader])}

    def _origin(self, node: int) -> int:
        """The equation that computes what `node` may only move or convert."""
        while self.weights[node] == 0 and (makers := self.operands[node]) and makers[0] is not None:
            node = makers[0]
        return node

    def repeated(self) -> dict[int, int]:
        """The equations whose results are worth storing, and the work that each saves."""
        roots, copies, in_memory = self._kernels()
        costs = [0] * len(roots)
        copied: set[tuple[int, int]] = set()  # (a kernel, a fork that it has a copy of)
        forks = set(copies)  # those that are not stored
        chosen = {}
        for node, weight in enumerate(self.weights):
            if weight is None:
                continue
            root = roots[node]
            costs[root] += weight
            for fork in self.operands[node]:
                if fork in forks and (root, fork) not in copied:
                    copied.add((root, fork))
                    costs[root] += costs[fork]
            if node not in forks or not self.dynamic[node]:
                continue
            saved = costs[node] * copies[node]
            if node in in_memory and self._is_protected(node):
                forks.remove(node)
            elif saved >= WORTH:
                forks.remove(node)
                chosen[node] = saved
        return chosen

    def _kernels(self) -> tuple[list[int], dict[int, int], set[int]]:
        """The kernel of each equation, the superfluous copies of each fork, what is in memory."""
        roots = list(range(len(self.eqns)))
        copies: dict[int, int] = {}
        in_memory = set(self.outputs)
        weights, size = self.weights, self._size
        for node in reversed(range(len(roots))):
            weight = weights[node]
            if weight is None:
                continue
            kernels = set()
            for reader in self.readers[node]:
                root = roots[reader]
                if weights[reader] is None or (
                        weight >= _DEAREST_COPIED and size(root) > size(node)):
                    in_memory.add(node)
                else:
                    kernels.add(root)
            if len(kernels) == 1 and node not in in_memory:
                roots[node] = kernels.pop()
            elif kernels:
                copies[node] = len(kernels) - (node not in in_memory)
        return roots, copies, in_memory

    def _size(self, node: int) -> int:
        return math.prod(self.eqns[node].outvars[0].aval.shape)

    def _is_protected(self, node: int) -> bool:
        """Whether XLA stores a value: it reads two operands as large as itself, and more than it
        writes."""
        eqn = self.eqns[node]
        read = [v.aval.shape for v, maker in zip(eqn.invars, self.operands[node])
                if maker is not None and not self._is_constant(maker)]
        shape = eqn.outvars[0].aval.shape
        rank = _true_rank(shape)
        return (sum(_true_rank(s) == rank for s in read) > 1
                and sum(map(math.prod, read)) > math.prod(shape))

    def _is_constant(self, node: int) -> bool:
        eqn = self.eqns[node]
        return eqn is not None and eqn.primitive.name in _CONSTANTS


def _true_rank(shape: tuple[int, ...]) -> int:
    return sum(n != 1 for n in shape)
