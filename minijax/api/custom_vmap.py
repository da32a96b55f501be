"""`custom_vmap`: functions that say themselves what `vmap` makes of them.

    @custom_vmap
    def f(x): return sensor(x)

    @f.def_vmap
    def f_rule(axis_size, in_batched, x):       # mapped arguments have their axis in front
        return sensor_batch(x), True            # and which results have it
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.custom_jvp import CustomRule
from minijax.api.flatten import fun_name
from minijax.base import dtypes, errors, tree
from minijax.core import (AxisData, Dims, Jaxpr, Primitive, Values, Zero, aval_of, batch,
                          instantiate, jit_p, jit_params, jvp, jvp_jaxpr, materialize,
                          merge_tangents, move_axis)
from minijax.lax.control_flow.common import trace_body
from minijax.lax.control_flow.loops import map as lax_map

__all__ = ["custom_vmap", "sequential_vmap"]


class custom_vmap(CustomRule):
    """A function whose `vmap` is given by `def_vmap`, not by its operations.

    Forward mode differentiates the rule; reverse mode needs a custom_vjp around the function.
    """

    kind = "custom_vmap"

    def __init__(self, fun: Callable):
        super().__init__(fun)
        self.vmap_rule: Callable | None = None

    def def_vmap(self, vmap_rule: Callable) -> Callable:
        """Set the rule `(axis_size, in_batched, *args) -> (out, out_batched)`.

        `in_batched` is a list with a tree of bools for each argument, `out_batched` a tree of
        bools in the structure of `out`.
        """
        self.vmap_rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.vmap_rule is None:
            raise AttributeError(errors.describe(
                f"No batching rule defined for custom_vmap function {fun_name(self.fun)} using "
                "def_vmap.",
                fix="@f.def_vmap\n       def f_rule(axis_size, in_batched, *args): ..."))
        leaves, in_tree = tree.flatten(self.arguments(args, kwargs))
        body = trace_body(self.fun, in_tree, [aval_of(x) for x in leaves], self.kind)
        rule = _Rule(self.vmap_rule, in_tree, body.result, len(body.captured))
        consts = tree.structure([0] * len(body.captured))
        outs = custom_vmap_p.bind(*body.captured, *leaves, call=body.jaxpr, rule=rule,
                                  in_tree=tree.treedef_tuple((consts, in_tree)),
                                  out_tree=body.result)
        return tree.unflatten(body.result, outs)


class _Rule:
    """The user's rule on flat values: (size, marks, values) to (values, marks)."""

    def __init__(self, rule: Callable, in_tree: Any, out_tree: Any, num_captured: int):
        self.rule = rule
        self.in_tree = in_tree
        self.out_tree = out_tree
        self.num_captured = num_captured
        self.__name__ = fun_name(rule)

    def __call__(self, size: int, batched: Sequence[bool], args: Values) -> tuple:
        n = self.num_captured
        if any(batched[:n]):
            raise NotImplementedError(errors.describe(
                "a custom_vmap function closes over a value that vmap maps",
                because=f"the rule {self.__name__} does not know of it",
                fix="pass the value as an argument"))
        marks = list(tree.unflatten(self.in_tree, list(batched[n:])))
        result = self.rule(size, marks, *tree.unflatten(self.in_tree, list(args[n:])))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(errors.describe(
                f"custom vmap rule ({self.__name__}) must return a pair of the output value and "
                f"the output batching specification, but got {result!r:.200}",
                fix="return out, True"))
        outs, out_tree = tree.flatten(result[0])
        out_batched, spec_tree = tree.flatten(result[1])
        if out_tree != spec_tree:
            raise ValueError(errors.describe(
                "structure of output value and output batching specification returned by custom "
                f"vmap rule ({self.__name__}) do not match.\nOutput value: {out_tree}\nBatching "
                f"specification: {spec_tree}", fix="return one bool for each result"))
        if out_tree != self.out_tree:
            raise ValueError(errors.describe(
                f"structure of output returned by custom vmap rule ({self.__name__}) does not "
                "match that of original custom-vmapped function.\nOriginal output: "
                f"{self.out_tree}\nRule output: {out_tree}",
                fix="return what the function itself returns, with an axis in front"))
        return outs, out_batched


class _JvpOfRule:
    """The rule of a differentiated function: values are primals, then those with a tangent."""

    def __init__(self, rule: Callable, nonzero: Sequence[bool], out_nonzero: Sequence[bool]):
        self.rule = rule
        self.nonzero = nonzero
        self.out_nonzero = out_nonzero
        self.__name__ = fun_name(rule)

    def __call__(self, size: int, batched: Sequence[bool], args: Values) -> tuple:
        n = len(self.nonzero)
        rest = iter(batched[n:])
        marks = [next(rest) if nz else p for p, nz in zip(batched, self.nonzero)]
        if any(p and t for p, t in zip(batched, marks)) or not any(batched):
            either = [p or t for p, t in zip(batched, marks)]
            return self._run(size, either, batched, args)
        # Each mapped value is a primal without its tangent or the converse: the user's rule sees
        # nothing mapped, and is mapped itself.
        found: list[bool] = []

        def lane(*xs: Any) -> list:
            outs, out_batched = self._run(size, [False] * n, [False] * len(xs), xs)
            found.extend(out_batched)
            return outs

        outs, dims = batch(lane, AxisData(None, size), args, [0 if b else None for b in batched])
        if any(found):
            either = [p or t for p, t in zip(batched, marks)]
            return self._run(size, either, batched, args)
        return ([x if d is None else move_axis(x, d, 0) for x, d in zip(outs, dims)],
                [d is not None for d in dims])

    def _run(self, size: int, marks: Sequence[bool], batched: Sequence[bool],
             args: Values) -> tuple:
        """The rule's derivative where a primal and its tangent are mapped together."""
        n = len(self.nonzero)
        whole = [*marks, *[m for m, nz in zip(marks, self.nonzero) if nz]]
        args = [materialize(x, 0 if have else None, size) if want else x
                for x, have, want in zip(args, batched, whole)]
        rest = iter(args[n:])
        tangents = [next(rest) if nz else Zero(aval_of(p).to_tangent_aval())
                    for p, nz in zip(args, self.nonzero)]
        out_batched: list[bool] = []

        def primal_rule(*primals: Any) -> list:
            outs, found = self.rule(size, marks, primals)
            out_batched.extend(found)
            return outs

        outs, out_tangents = jvp(primal_rule, args[:n], tangents)
        kept = [instantiate(t) for t, nz in zip(out_tangents, self.out_nonzero) if nz]
        return ([*outs, *kept],
                [*out_batched, *[b for b, nz in zip(out_batched, self.out_nonzero) if nz]])


# --- The primitive -----------------------------------------------------------------------------


def _impl(*args: Any, call: Jaxpr, **_: Any) -> list:
    return jit_p.bind(*args, **jit_params(call, "custom_vmap"))


def _shape(*avals: Any, call: Jaxpr, **_: Any) -> tuple:
    return call.out_avals, call.effects


def _vmap(axis: AxisData, args: Values, dims: Dims, *, call: Jaxpr, rule: Callable,
          **_: Any) -> tuple[list, list]:
    args = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
    outs, batched = rule(axis.size, [d is not None for d in dims], args)
    return outs, [0 if b else None for b in batched]


def _jvp(primals: Values, tangents: Values, *, call: Jaxpr, rule: Callable, in_tree: Any,
         out_tree: Any) -> tuple[list, list]:
    nonzero = [t.aval.dtype != dtypes.float0 if type(t) is Zero else True for t in tangents]
    inner, out_nonzero = jvp_jaxpr(call, nonzero, [
        a.to_tangent_aval().dtype != dtypes.float0 for a in call.out_avals])
    given = [instantiate(t) for t, nz in zip(tangents, nonzero) if nz]
    results = custom_vmap_p.bind(
        *primals, *given, call=inner, rule=_JvpOfRule(rule, nonzero, out_nonzero),
        in_tree=tree.treedef_tuple((in_tree, in_tree)),
        out_tree=tree.treedef_tuple((out_tree, out_tree)))
    n = len(out_nonzero)
    return results[:n], merge_tangents(results[n:], out_nonzero, results[:n])


def _no_reverse_mode(*_: Any, rule: Callable, **__: Any) -> tuple:
    raise ValueError(errors.describe(
        "Linearization failed to produce known values for all output primals. This is typically "
        "caused by attempting to differentiate a function uses an operation that does not support "
        "reverse-mode autodiff.",
        because=f"the vmap rule {fun_name(rule)} cannot be run backwards",
        fix="wrap the custom_vmap function in a jax.custom_vjp, or use jax.jvp or jax.jacfwd"))


custom_vmap_p = Primitive(
    "custom_vmap_call", shape=_shape, multiple_results=True, effectful=True, impl=_impl, jvp=_jvp,
    linearize=_no_reverse_mode, vmap=_vmap, decompose=_impl,
    show=lambda params: {name: params[name] for name in ("call", "in_tree", "out_tree", "rule")})


def sequential_vmap(f: Callable) -> Callable:
    """`f` as a custom_vmap function that is mapped by a loop, one element after the other."""
    mapped = custom_vmap(f)

    @mapped.def_vmap
    def rule(axis_size: int, in_batched: list, *args: Any) -> tuple:
        leaves, in_tree = tree.flatten(args)
        marks = tree.leaves(in_batched)

        def element(batched: list) -> Any:
            rest = iter(batched)
            return mapped(*tree.unflatten(in_tree, [
                next(rest) if b else x for x, b in zip(leaves, marks)]))

        out = lax_map(element, [x for x, b in zip(leaves, marks) if b])
        return out, tree.map(lambda _: True, out)
    return mapped
