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

from minijax.api.flatten import fun_name, with_fixed, wraps
from minijax.base import config, dtypes, errors, tree
from minijax.core import (BatchTrace, BatchTracer, DebugInfo, Dims, EvalTrace, Jaxpr, JaxprTrace,
                          LinearTrace, Primitive, ShapedArray, Tracer, Values, Zero, add_tangents,
                          ancestors, aval_of, backward_pass, custom_derivatives_effects, entered,
                          eval_jaxpr, instantiate, materialize, merge_tangents, state,
                          trace_to_jaxpr, unbatched_aval, zero_tangent)
from minijax.core.primitive import Deferred
from minijax.lax.identity import stop_gradient
from minijax.lax.control_flow.common import trace_body, type_name

__all__ = ["SymbolicZero", "custom_jvp", "custom_jvp_call_p"]


def is_zero(x: Any) -> bool:
    """Whether `x` is a symbolic zero, which is a leaf here and structure elsewhere."""
    return type(x) is Zero


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

    def __getattr__(self, name: str) -> Any:
        # A rule of another kind, defined on a function that has rules of several kinds.
        if name in ("defjvp", "defjvps", "defvjp", "def_vmap") and isinstance(
                self.__dict__.get("fun"), CustomRule):
            return getattr(self.fun, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """Bind to an instance, as functions do."""
        return self if instance is None else BoundRule(self, instance)

    def arguments(self, args: tuple, kwargs: dict) -> tuple:
        """All arguments by position, with defaults filled in."""
        parameters = self._positional
        if parameters is not None and not kwargs and len(args) <= len(parameters):
            missing = parameters[len(args):]
            if all(p.default is not p.empty for p in missing):
                return (*args, *[p.default for p in missing])
        try:
            signature = inspect.signature(self.fun)
            bound = signature.bind(*args, **kwargs)
            _default_positions(bound)
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


def _default_positions(bound: inspect.BoundArguments) -> None:
    """Fill in the defaults of positional arguments; the function knows its keyword-only ones."""
    given = dict(bound.arguments)
    bound.apply_defaults()
    for name, parameter in bound.signature.parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and name not in given:
            del bound.arguments[name]


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
        self.out_avals: list | None = None  # known once the function was traced

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
        self.out_avals = body.jaxpr.out_avals
        return body.jaxpr, body.captured

    def check_rule(self, wanted: str, rule: str, outs: Sequence[Any], out_tree: Any) -> None:
        """TypeError if the first result of a rule is not what the function itself returns.

        `wanted` says what the rule must produce; a `{part}` in it, what differs.
        """
        avals = [aval_of(x) for x in outs]
        if self.out_tree is not None and self.out_tree != out_tree:
            part, what = "of the same container/pytree structure", "container/pytree structure"
        elif self.out_avals is not None and any(
                (a.shape, a.dtype) != (b.shape, b.dtype) for a, b in zip(avals, self.out_avals)):
            part, what = "with leaves of the same shape/dtype", "shapes/dtypes of"
        else:
            self.out_tree = out_tree
            return
        found = _tree_of_types(out_tree, avals)
        own = _tree_of_types(self.out_tree, self.out_avals) if self.out_avals else self.out_tree
        raise TypeError(errors.describe(
            f"{wanted.format(part=part)}, but instead the {rule} rule output's first element had "
            f"{what}:\n    {found}\nwhile the {self.kind}-decorated function "
            f"{fun_name(self.fun)} had output {what}:\n    {own}.",
            because=f"got {rule} output type {found} which doesn't match {own}",
            fix="return the function's own output first: return f(*args), ..."))


def _tree_of_types(treedef: Any, avals: Sequence[Any]) -> str:
    return str(tree.unflatten(treedef, [type_name(a) for a in avals])).replace("'", "")


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
                    total = tree.map(_add, total, rule(t, out, *primals), is_leaf=is_zero)
            return out, tree.map(instantiate, total, is_leaf=is_zero)
        self.defjvp(jvp)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.jvp is None:
            raise AttributeError(errors.describe(
                f"No JVP defined for custom_jvp function {fun_name(self.fun)} using defjvp.",
                fix="@f.defjvp\n       def f_jvp(primals, tangents): ..."))
        dynamic, fixed = self.split(self.arguments(args, kwargs))
        if fixed:
            fixed = tuple((i, _without_tangent(x)) for i, x in fixed)
        leaves, in_tree = tree.flatten(tuple(dynamic))
        call = Flat(self.fun, in_tree, fixed, self.kind)
        rule = _Rule(self, call, [value for _, value in fixed])
        outs = custom_jvp_call_p.bind(*leaves, name=fun_name(self.fun), call_jaxpr=call,
                                      jvp_jaxpr_fun=rule, num_consts=0,
                                      symbolic_zeros=self.symbolic_zeros)
        return tree.unflatten(call.out_tree, outs)


def _without_tangent(value: Any) -> Any:
    """A value of an argument that is not differentiated, its traced leaves cut off."""
    return tree.map(lambda x: stop_gradient(x) if isinstance(x, Tracer) else x, value)


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

    def __call__(self, primals: Values, tangents: Values) -> tuple[list, list]:
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
        out_tangents, tangent_tree = tree.flatten(result[1], is_leaf=is_zero)
        if out_tree != tangent_tree:
            raise TypeError(errors.describe(
                f"Custom JVP rule {self.__name__} for function {fun_name(owner.fun)} must produce "
                "primal and tangent outputs with equal container (pytree) structures, but got "
                f"{out_tree} and {tangent_tree} respectively.",
                fix="nest the tangents in the same way as the outputs"))
        self.call.check_rule(
            f"Custom JVP rule {self.__name__} for function {fun_name(owner.fun)} must produce a "
            "pair (list or tuple of length two) where the first element represents the primal "
            "output (equal in value to the output of the custom_jvp-decorated function "
            f"{fun_name(owner.fun)}, and in particular {{part}})", "JVP", outs, out_tree)
        return outs, [self._tangent(o, t) for o, t in zip(outs, out_tangents)]

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
    if getattr(x, "dtype", None) == dtypes.float0:
        return ShapedArray(x.shape, dtypes.float0)
    return aval_of(x)


# --- The primitive -----------------------------------------------------------------------------


def as_function(call: Any) -> Callable[..., list]:
    """What a call parameter does: a flat function, or a jaxpr once staged."""
    return (lambda *xs: eval_jaxpr(call, call.consts, *xs)) if type(call) is Jaxpr else call


def trace_call(call: Any, avals: Sequence[Any]) -> tuple[Jaxpr, list]:
    """The jaxpr of a call parameter, and the values it closes over."""
    if isinstance(call, Flat):
        return call.trace(avals)
    return trace_to_jaxpr(call, avals, DebugInfo("custom_jvp", fun_name(call)))


class Lanes:
    """Functions to be run under one `BatchTrace`, so that they may close over its tracers.

    Run now or later, by any trace that the operation reaches, they must agree on which results
    have a batch axis (in front); with a batched operand, all do.
    """

    def __init__(self, trace: BatchTrace, args: Values):
        self.trace = trace
        self.vals, self.dims = trace.unwrap(args)
        mapped = any(d is not None for d in self.dims)
        self.results: list[bool] | None = [] if mapped else None

    def run(self, fun: Callable[..., list], args: Values, dims: Dims) -> tuple[list, list]:
        """Call `fun` under the trace, as if that had been opened on the current one."""
        trace = self.trace
        outer, outer_staging = trace.parent, trace.staging
        trace.parent = state.trace
        trace.staging = state.trace.staging or trace.axis.name is not None
        try:
            inputs = [x if d is None else BatchTracer(trace, x, d) for x, d in zip(args, dims)]
            with entered(trace):
                return trace.unwrap(fun(*inputs))
        finally:
            trace.parent, trace.staging = outer, outer_staging

    def agree(self, batched: Sequence[bool]) -> list[bool]:
        """Which results have the batch axis, given those that need it in this run."""
        if self.results == []:
            self.results = [True] * len(batched)
        elif self.results is None:
            self.results = list(batched)
        if any(b and not known for b, known in zip(batched, self.results)):
            raise TypeError(errors.describe(
                "a custom derivative rule closes over a value that jax.vmap maps, while its "
                "function does not", fix="pass the value as an argument"))
        return self.results

    def align(self, outs: Sequence[Any], dims: Dims, batched: Sequence[bool]) -> list:
        """Values with the batch axis in front of those marked."""
        size = self.trace.axis.size
        return [materialize(x, d, size) if b else x for x, d, b in zip(outs, dims, batched)]

    def function(self, fun: Callable[..., list]) -> Callable[..., list]:
        """`fun` on the operands without the trace."""
        @wraps(fun, "")
        def batched(*args: Any) -> list:
            outs, dims = self.run(fun, args, self.dims)
            return self.align(outs, dims, self.agree([d is not None for d in dims]))
        return batched

    def bind(self, primitive: Primitive, params: dict) -> list:
        """Bind the operation in the parent trace, and wrap its results."""
        trace = self.trace
        outer = state.trace
        state.trace = trace.parent
        try:
            outs = primitive.bind(*self.vals, **params)
        finally:
            state.trace = outer
        return [BatchTracer(trace, x, 0) if batched else x
                for x, batched in zip(outs, self.results)]


def runs_inline(trace: BatchTrace) -> bool:
    """Whether no trace around can make use of a derivative rule."""
    return all(isinstance(t, (BatchTrace, EvalTrace)) for t in ancestors(trace))


def run_inline(trace: BatchTrace, call: Any, args: Values) -> list:
    with entered(trace):
        return as_function(call)(*args)


def _shape(*avals: Any, call_jaxpr: Any, **_: Any) -> tuple[list, frozenset]:
    effects = call_jaxpr.effects
    if effects and config.enable_checks.value:
        custom_derivatives_effects.check(
            effects, "functions with custom derivatives", "move the operation out of the function")
    return call_jaxpr.out_avals, effects


def _impl(*args: Any, call_jaxpr: Any, **_: Any) -> list:
    return as_function(call_jaxpr)(*args)


def _staged(primitive: Primitive) -> Callable:
    def stage(trace: JaxprTrace, args: Values, params: dict) -> list:
        call = params["call_jaxpr"]
        if isinstance(trace, LinearTrace):  # applied to tangents: only its operations matter
            return as_function(call)(*args)
        if type(call) is Jaxpr:
            return trace.record(primitive, args, params)
        args = [trace.lift(x) for x in args]
        jaxpr, captured = trace_call(call, [x.aval for x in args])
        return trace.record(primitive, [*captured, *args], {
            **params, "call_jaxpr": jaxpr, "num_consts": params["num_consts"] + len(captured)})
    return stage


def _show(params: dict) -> dict:
    """Parameters as printed: rules under short names, and no consts if there are none."""
    short = {"jvp_jaxpr_fun": "jvp", "fwd_jaxpr_thunk": "fwd"}
    return {short.get(key, key): value for key, value in params.items()
            if value or key != "num_consts"}


def with_custom_rule(name: str, **rules: Any) -> Primitive:
    """A primitive that calls a function which has a derivative rule of its own."""
    return Primitive(name, shape=_shape, multiple_results=True, effectful=True, impl=_impl,
                     stage=Deferred(_staged), show=_show, **rules)


def _jvp(primals: Values, tangents: Values, *, jvp_jaxpr_fun: Callable, num_consts: int,
         **_: Any) -> tuple[list, list]:
    # What the function closes over cannot be differentiated here: the rule does not know of it.
    return jvp_jaxpr_fun(primals[num_consts:], tangents[num_consts:])


def _batch(trace: BatchTrace, args: Values, params: dict) -> list:
    call, jvp = params["call_jaxpr"], params["jvp_jaxpr_fun"]
    if runs_inline(trace):
        return run_inline(trace, call, args)
    lanes = Lanes(trace, args)
    own_dims = lanes.dims[params["num_consts"]:]

    @wraps(jvp, "")
    def rule(primals: Values, tangents: Values) -> tuple[list, list]:
        zero = [type(t) is Zero for t in tangents]
        given = [t for t, z in zip(tangents, zero) if not z]
        given_dims = [d for d, z in zip(own_dims, zero) if not z]
        avals = [unbatched_aval(t.aval, d) if z and d is not None else t.aval if z else None
                 for t, z, d in zip(tangents, zero, own_dims)]
        out_nonzero: list[bool] = []

        def flat(*xs: Any) -> list:
            rest = iter(xs[len(primals):])
            unbatched = [Zero(a) if z else next(rest) for a, z in zip(avals, zero)]
            outs, out_tangents = jvp(xs[:len(primals)], unbatched)
            out_nonzero.extend(type(t) is not Zero for t in out_tangents)
            return [*outs, *[t for t in out_tangents if type(t) is not Zero]]

        found, dims = lanes.run(flat, [*primals, *given], [*own_dims, *given_dims])
        n = len(out_nonzero)
        rest = iter(dims[n:])
        tangent_dims = [next(rest) if nz else None for nz in out_nonzero]
        batched = lanes.agree([d is not None or t is not None
                               for d, t in zip(dims, tangent_dims)])
        outs = lanes.align(found[:n], dims, batched)
        out_tangents = lanes.align(found[n:], dims[n:],
                                   [b for b, nz in zip(batched, out_nonzero) if nz])
        return outs, merge_tangents(out_tangents, out_nonzero, outs)

    return lanes.bind(custom_jvp_call_p, {
        **params, "call_jaxpr": lanes.function(as_function(call)), "jvp_jaxpr_fun": rule})


def _transpose(cts: Values, *args: Any, call_jaxpr: Jaxpr, **_: Any) -> list:
    """Applied to tangents, a function that is linear in them: its operations run backwards."""
    return backward_pass(call_jaxpr, args, cts)


custom_jvp_call_p = with_custom_rule("custom_jvp_call", jvp=_jvp, transpose=_transpose,
                                     batch=_batch)
