"""`custom_jvp`: functions with a derivative of their own; and what `custom_vjp` shares with it.

The primitive is bound with *functions*: run eagerly or under vmap, the user's Python runs, and a
jvp calls the user's rule. Only a `JaxprTrace` turns the function into a jaxpr (field `stage`); the
rule stays a function, called again wherever the equation is differentiated.

    @jax.custom_jvp
    def f(x): return jnp.log1p(jnp.exp(x))

    @f.defjvp
    def f_jvp(primals, tangents):
        (x,), (dx,) = primals, tangents
        return f(x), dx * jax.nn.sigmoid(x)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.flatten import fun_name
from minijax.base import errors, tree
from minijax.core import (AxisData, DebugInfo, Jaxpr, JaxprTrace, LinearTrace, Primitive,
                          ShapedArray, Zero, add_tangents, aval_of, batch, eval_jaxpr,
                          instantiate, materialize, trace_to_jaxpr, zero_tangent)
from minijax.lax.control_flow.common import trace_body, type_name

__all__ = ["SymbolicZero", "custom_jvp", "custom_jvp_call_p"]


class SymbolicZero:
    """A tangent or cotangent known to be zero, as rules with `symbolic_zeros=True` see it."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        return self.aval.dtype

    def __repr__(self) -> str:
        return "SymbolicZero"


class CustomRule:
    """A function that is called with positional arguments, some of them not differentiated."""

    kind = ""

    def __init__(self, fun: Callable, nondiff_argnums: Sequence[int] = (),
                 nondiff_argnames: Sequence[str] = ()):
        self.fun = fun
        self._positional = positional_parameters(fun)
        names = [p.name for p in self._positional or ()]
        self.nondiff_argnums = tuple(sorted(
            {*nondiff_argnums, *[names.index(n) for n in nondiff_argnames]}))
        self.symbolic_zeros = False
        self.__wrapped__ = fun
        for name in ("__module__", "__name__", "__qualname__", "__doc__"):
            value = getattr(fun, name, None)
            if value is not None:
                setattr(self, name, value)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance, as functions do."""
        return self if instance is None else BoundRule(self, instance)

    def arguments(self, args: tuple, kwargs: dict) -> tuple:
        """All arguments by position, with defaults filled in."""
        parameters = self._positional
        if parameters is not None and not kwargs and len(args) == len(parameters):
            return args
        try:
            signature = inspect.signature(self.fun)
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            if bound.kwargs:
                raise TypeError("The following keyword arguments could not be resolved to "
                                f"positions: {', '.join(bound.kwargs)}")
        except ValueError:  # the function tells no signature
            return args
        except TypeError as error:
            raise TypeError(errors.describe(
                f"The input arguments to the {self.kind}-decorated function {fun_name(self.fun)} "
                "could not be resolved to positional-only arguments. Binding failed with the "
                f"error:\n{error}",
                fix="pass the arguments by position; keyword-only parameters cannot be used")
            ) from None
        return bound.args

    def split(self, args: tuple) -> tuple[list, tuple]:
        """(differentiated arguments, (position, value) pairs of the others)."""
        fixed = [i % len(args) for i in self.nondiff_argnums] if self.nondiff_argnums else []
        return ([a for i, a in enumerate(args) if i not in fixed],
                tuple((i, args[i]) for i in fixed))


class BoundRule:
    """A method: the instance is the first argument."""

    def __init__(self, rule: CustomRule, instance: Any):
        self.__func__ = rule
        self.__self__ = instance

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)


def positional_parameters(fun: Callable) -> list[inspect.Parameter] | None:
    """The parameters of a function without keyword-only ones and *args; else None."""
    try:
        parameters = list(inspect.signature(fun).parameters.values())
    except (TypeError, ValueError):
        return None
    plain = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return parameters if all(p.kind in plain for p in parameters) else None


class Flat:
    """The user's function on flat leaves; `out_tree` is known once it has run or was traced."""

    def __init__(self, fun: Callable, in_tree: Any, fixed: tuple, kind: str):
        self.fun = fun
        self.in_tree = in_tree
        self.fixed = fixed
        self.kind = kind
        self.out_tree: Any = None

    def __call__(self, *leaves: Any) -> list:
        args = with_fixed(tree.unflatten(self.in_tree, leaves), self.fixed)
        outs, self.out_tree = tree.flatten(self.fun(*args))
        return outs

    def trace(self, avals: Sequence[Any]) -> tuple[Jaxpr, list]:
        fun = self.fun
        if self.fixed:
            fixed, inner = self.fixed, fun
            fun = lambda *args: inner(*with_fixed(args, fixed))  # noqa: E731
        body = trace_body(fun, self.in_tree, avals, self.kind)
        self.out_tree = body.result
        return body.jaxpr, body.captured


def with_fixed(args: Sequence[Any], fixed: tuple) -> list:
    """Arguments with those that are not differentiated at their places."""
    args = list(args)
    for i, value in fixed:
        args.insert(i, value)
    return args


class custom_jvp(CustomRule):
    """A function whose derivative is given by `defjvp` (or `defjvps`), not by its operations.

    `nondiff_argnums` are arguments, functions say, that the rule takes first and as they are.
    Forward and reverse mode both use the rule, which must be linear in the tangents.
    """

    kind = "custom_jvp"

    def __init__(self, fun: Callable, nondiff_argnums: Sequence[int] = (),
                 nondiff_argnames: Sequence[str] = ()):
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.jvp: Callable | None = None

    def defjvp(self, jvp: Callable, symbolic_zeros: bool = False) -> Callable:
        """Set the rule `jvp(*nondiff, primals, tangents) -> (out, tangent_out)`.

        With `symbolic_zeros`, tangents that are zero are `SymbolicZero` objects, not arrays.
        """
        self.jvp = jvp
        self.symbolic_zeros = symbolic_zeros
        return jvp

    def defjvps(self, *jvps: Callable | None) -> None:
        """Set one rule per argument, `jvp(tangent, out, *primals)`, or None where it is zero."""
        if self.nondiff_argnums:
            raise TypeError(errors.describe(
                "Can't use ``defjvps`` with ``nondiff_argnums``.", fix="use defjvp"))

        def jvp(primals: tuple, tangents: tuple) -> tuple:
            out = self(*primals)
            zeros = tree.map(lambda x: zero_tangent(x), out)
            total = zeros
            for rule, t in zip(jvps, tangents):
                if rule is not None:
                    total = tree.map(_add, total, rule(t, out, *primals))
            return out, tree.map(instantiate, total)
        self.defjvp(jvp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise AttributeError(errors.describe(
                f"No JVP defined for custom_jvp function {fun_name(self.fun)} using defjvp.",
                fix="@f.defjvp\n       def f_jvp(primals, tangents): ..."))
        dynamic, fixed = self.split(self.arguments(args, kwargs))
        leaves, in_tree = tree.flatten(tuple(dynamic))
        call = Flat(self.fun, in_tree, fixed, self.kind)
        rule = _Rule(self, call, [value for _, value in fixed])
        outs = custom_jvp_call_p.bind(*leaves, name=fun_name(self.fun), call_jaxpr=call,
                                      jvp_jaxpr_fun=rule, num_consts=0,
                                      symbolic_zeros=self.symbolic_zeros)
        return tree.unflatten(call.out_tree, outs)


def _add(total: Any, term: Any) -> Any:
    if type(total) is Zero and aval_of(term).shape != total.aval.shape:
        raise TypeError(errors.describe(
            "Custom JVP rule must produce primal and tangent outputs with corresponding shapes "
            f"and dtypes. Expected {type_name(total.aval)} but got {type_name(aval_of(term))}.",
            fix="return a tangent with the shape and dtype of the output"))
    return add_tangents(total, term)


class _Rule:
    """The user's rule on flat primals and tangents (values or `Zero`)."""

    def __init__(self, owner: custom_jvp, call: Flat, fixed: list):
        self.owner = owner
        self.call = call
        self.fixed = fixed
        self.__name__ = fun_name(owner.jvp)

    def __call__(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        owner, in_tree = self.owner, self.call.in_tree
        if owner.symbolic_zeros:
            shown = [SymbolicZero(t.aval) if type(t) is Zero else t for t in tangents]
        else:
            shown = [instantiate(t) for t in tangents]
        result = owner.jvp(*self.fixed, tree.unflatten(in_tree, primals),
                           tree.unflatten(in_tree, shown))
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(errors.describe(
                f"Custom JVP rule {self.__name__} for function {fun_name(owner.fun)} must produce "
                "a pair (list or tuple of length two) representing primal and tangent outputs, "
                f"but got {result}.", fix="return primal_out, tangent_out"))
        outs, out_tree = tree.flatten(result[0])
        out_tangents, tangent_tree = tree.flatten(result[1])
        if out_tree != tangent_tree:
            raise TypeError(errors.describe(
                f"Custom JVP rule {self.__name__} for function {fun_name(owner.fun)} must produce "
                "primal and tangent outputs with equal container (pytree) structures, but got "
                f"{out_tree} and {tangent_tree} respectively.",
                fix="nest the tangents in the same way as the outputs"))
        self._check_output(out_tree)
        self.call.out_tree = out_tree
        return outs, [self._tangent(o, t) for o, t in zip(outs, out_tangents)]

    def _check_output(self, out_tree: Any) -> None:
        known = self.call.out_tree
        if known is not None and known != out_tree:
            raise TypeError(errors.describe(
                f"Custom JVP rule {self.__name__} for function {fun_name(self.owner.fun)} must "
                "produce a pair (list or tuple of length two) where the first element represents "
                "the primal output (equal in value to the output of the custom_jvp-decorated "
                f"function {fun_name(self.owner.fun)}, and in particular of the same container/"
                f"pytree structure), but instead the rule output's first element had container/"
                f"pytree structure {out_tree} and the function's output had {known}.",
                fix="return the function's own output first: return f(*primals), tangent_out"))

    def _tangent(self, out: Any, tangent: Any) -> Any:
        aval = aval_of(out)
        expected = aval.to_tangent_aval()
        if isinstance(tangent, (SymbolicZero, Zero)):
            return Zero(expected)
        got = tangent_type(tangent)
        if got.shape != expected.shape or got.dtype != expected.dtype:
            raise TypeError(errors.describe(
                "Custom JVP rule must produce primal and tangent outputs with corresponding "
                f"shapes and dtypes. Expected {type_name(expected)} (tangent type of "
                f"{type_name(aval)}) but got {type_name(got)}.",
                fix="return a tangent with the shape and dtype of the output"))
        return Zero(expected) if expected.dtype != aval.dtype else tangent


def tangent_type(x: Any) -> ShapedArray:
    """The type of a tangent, which may be a NumPy array of dtype float0."""
    if getattr(x, "dtype", None) is not None and not hasattr(x, "aval"):
        return ShapedArray(x.shape, x.dtype)
    return aval_of(x)


# --- The primitive -----------------------------------------------------------------------------


def as_function(call: Any) -> Callable[..., list]:
    """What a call parameter does: a flat function, or a jaxpr once staged."""
    return (lambda *xs: eval_jaxpr(call, call.consts, *xs)) if type(call) is Jaxpr else call


def trace_call(call: Any, avals: Sequence[Any]) -> tuple[Jaxpr, list]:
    """The jaxpr of a call parameter, and the values it closes over."""
    if isinstance(call, Flat):
        return call.trace(avals)
    return trace_to_jaxpr(call, avals, DebugInfo(fun_name(call)))


def batched_call(fun: Callable[..., list], axis: AxisData, dims: Sequence[int | None],
                 name: str) -> Callable[..., list]:
    """The flat function mapped over `axis`, the batch axis of all its results in front.

    Always in front, even for results that are not batched: the rule of the function, which runs
    later or not at all, must agree.
    """
    def batched(*args: Any) -> list:
        outs, out_dims = batch(fun, axis, args, dims)
        return [materialize(x, d, axis.size) for x, d in zip(outs, out_dims)]
    batched.__name__ = name
    return batched


def _impl(*args: Any, call_jaxpr: Any, **_: Any) -> list:
    return as_function(call_jaxpr)(*args)


def _shape(*avals: Any, call_jaxpr: Jaxpr, **_: Any) -> tuple:
    return call_jaxpr.out_avals, call_jaxpr.effects


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, jvp_jaxpr_fun: Callable,
         num_consts: int, **_: Any) -> tuple[list, list]:
    # What the function closes over cannot be differentiated here: the rule does not know of it.
    return jvp_jaxpr_fun(primals[num_consts:], tangents[num_consts:])


def _vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[int | None], *, call_jaxpr: Any,
          jvp_jaxpr_fun: Callable, num_consts: int, **params: Any) -> tuple[list, list]:
    name = params["name"]
    fun = batched_call(as_function(call_jaxpr), axis, dims, name)
    own_dims = dims[num_consts:]

    def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list, list]:
        zero = [type(t) is Zero for t in tangents]
        given = [t for t, z in zip(tangents, zero) if not z]
        avals = [t.aval for t in tangents]
        out_zero: list = []

        def flat(*xs: Any) -> list:
            rest = iter(xs[len(primals):])
            unbatched = [_unbatched_zero(a, d) if z else next(rest)
                         for a, d, z in zip(avals, own_dims, zero)]
            outs, out_tangents = jvp_jaxpr_fun(xs[:len(primals)], unbatched)
            out_zero.extend(t if type(t) is Zero else None for t in out_tangents)
            return [*outs, *[t for t in out_tangents if type(t) is not Zero]]

        given_dims = [d for d, z in zip(own_dims, zero) if not z]
        found = batched_call(flat, axis, [*own_dims, *given_dims], name)(*primals, *given)
        outs, rest = found[:len(out_zero)], iter(found[len(out_zero):])
        return outs, [next(rest) if z is None else zero_tangent(o)
                      for o, z in zip(outs, out_zero)]
    rule.__name__ = fun_name(jvp_jaxpr_fun)
    if num_consts:  # staged before: the consts are no arguments of the rule
        outs = custom_jvp_call_p.bind(
            *args, call_jaxpr=fun, num_consts=num_consts, jvp_jaxpr_fun=rule, **params)
    else:
        outs = custom_jvp_call_p.bind(*args, call_jaxpr=fun, num_consts=0, jvp_jaxpr_fun=rule,
                                      **params)
    return outs, [0] * len(outs)


def _unbatched_zero(aval: ShapedArray, dim: int | None) -> Zero:
    if dim is None:
        return Zero(aval)
    return Zero(aval.update(shape=aval.shape[:dim] + aval.shape[dim + 1:]))


def _stage(trace: JaxprTrace, args: Sequence[Any], params: dict) -> list:
    call = params["call_jaxpr"]
    if isinstance(trace, LinearTrace):  # applied to tangents: only its operations matter
        return as_function(call)(*args)
    if type(call) is Jaxpr:
        return trace.record(custom_jvp_call_p, args, params)
    jaxpr, captured = trace_call(call, [aval_of(x) for x in args])
    return trace.record(custom_jvp_call_p, [*captured, *args], {
        **params, "call_jaxpr": jaxpr, "num_consts": params["num_consts"] + len(captured)})


def show_rule(params: dict) -> dict:
    """Parameters as printed: the rule under its short name, and no consts if there are none."""
    shown = {"name": params["name"], "call_jaxpr": params["call_jaxpr"],
             "jvp": params["jvp_jaxpr_fun"], "num_consts": params["num_consts"],
             "symbolic_zeros": params["symbolic_zeros"]}
    if not shown["num_consts"]:
        del shown["num_consts"]
    return shown


custom_jvp_call_p = Primitive(
    "custom_jvp_call", shape=_shape, multiple_results=True, effectful=True, impl=_impl, jvp=_jvp,
    vmap=_vmap, stage=_stage, show=show_rule)
