"""`custom_vjp`: functions whose reverse mode is written by hand.

As `custom_jvp`, the primitive is bound with functions. Differentiating it runs `fwd` and leaves one
equation `custom_lin` among those of the tangents, whose transpose calls `bwd`; anything but
transposing it is an error, because forward mode has no rule.

    @jax.custom_vjp
    def clip_gradient(x): return x

    clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (jnp.clip(g, -1, 1),))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.api.custom_jvp import (CustomRule, Flat, Lanes, SymbolicZero, as_function, is_zero,
                                    run_inline, runs_inline, tangent_type, trace_call,
                                    with_custom_rule)
from minijax.api.flatten import fun_name, with_fixed, wraps
from minijax.api.replaceable import run_replaceable
from minijax.api.vmap import leaf_names
from minijax.base import config, dtypes, errors, tree
from minijax.core import (AxisData, BatchTrace, Dims, Jaxpr, Primitive, Tracer, Values, Zero,
                          aval_of, batch, convert_element_type, eval_jaxpr, instantiate,
                          instantiate_cotangent, is_linear, is_ref, materialize, merge_tangents,
                          reduce_sum, state, trace_to_jaxpr, unbatched_aval, varying_axes,
                          zero_tangent)
from minijax.lax.control_flow.common import difference, type_name
from minijax.passes.discharge import check_distinct, holds_ref, returned_ref
from minijax.passes.references import Cell
from minijax.runtime.array import Array
from minijax.runtime.place import as_array

__all__ = ["CustomVJPException", "CustomVJPPrimal", "closure_convert", "custom_gradient",
           "custom_vjp", "custom_vjp_call_p", "custom_vjp_primal_tree_values",
           "zero_from_primal"]


class CustomVJPException(Exception):
    """A custom_vjp function was differentiated by something that is not its argument."""


class CustomVJPPrimal:
    """An argument as `fwd` sees it with `symbolic_zeros=True`: a leaf, no node of pytrees."""

    __slots__ = ("value", "perturbed")

    def __init__(self, value: Any, perturbed: bool):
        self.value = value
        self.perturbed = perturbed

    def __repr__(self) -> str:
        return f"CustomVJPPrimal(value={self.value}, perturbed={self.perturbed})"


def custom_vjp_primal_tree_values(primals: Any) -> Any:
    """The tree of the values of a tree of `CustomVJPPrimal`s."""
    return tree.map(lambda leaf: leaf.value, primals)


def zero_from_primal(val: Any, symbolic_zeros: bool = False) -> Any:
    """The zero tangents of a tree of values: arrays, or `SymbolicZero` objects."""
    def zero(leaf: Any) -> Any:
        found = zero_tangent(leaf)
        return SymbolicZero(found.aval) if symbolic_zeros else instantiate(found)
    return tree.map(zero, val)


class custom_vjp(CustomRule):
    """A function whose cotangents are given by `defvjp`, not by its operations.

    `nondiff_argnums` are arguments, functions say, that `bwd` takes first and as they are. Only
    reverse mode works; forward mode raises TypeError.
    """

    kind = "custom_vjp"

    def __init__(self, fun: Callable, nondiff_argnums: Sequence[int] = (),
                 nondiff_argnames: Sequence[str] = ()):
        super().__init__(fun, nondiff_argnums, nondiff_argnames)
        self.fwd: Callable | None = None
        self.bwd: Callable | None = None
        self.optimize_remat = False

    def defvjp(self, fwd: Callable, bwd: Callable, symbolic_zeros: bool = False,
               optimize_remat: bool = False) -> None:
        """Set `fwd(*args) -> (out, residuals)`, `bwd(*nondiff, residuals, ct) -> cotangents`.

        The cotangents are a tuple with an entry for each differentiated argument, None for zero.
        With `symbolic_zeros`, `fwd` takes objects with `value` and `perturbed`, and cotangents
        that are zero are `SymbolicZero` objects. With `optimize_remat`, the first pass through a
        `jax.checkpoint` runs the function itself; `fwd` is traced then, not run.
        """
        if optimize_remat and symbolic_zeros:
            raise NotImplementedError(errors.describe(
                "remat optimization for custom_vjp does not support symbolic zeros",
                fix="give one of optimize_remat and symbolic_zeros"))
        self.fwd = fwd
        self.bwd = bwd
        self.optimize_remat = optimize_remat
        self.symbolic_zeros = symbolic_zeros

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.fwd is None or self.bwd is None:
            raise AttributeError(errors.describe(
                f"No VJP defined for custom_vjp function {fun_name(self.fun)} using defvjp.",
                fix="f.defvjp(f_fwd, f_bwd)"))
        dynamic, fixed = self.split(self.arguments(args, kwargs))
        for _, value in fixed:
            _check_untraced(value)
        leaves, in_tree = tree.flatten(tuple(dynamic))
        with_refs = any(map(holds_ref, leaves))
        if with_refs:
            given = with_fixed(dynamic, tuple((i, None) for i, _ in fixed))
            check_distinct((), leaves, leaf_names(self.fun, tuple(given), {}, ""),
                           f"the custom_vjp function {fun_name(self.fun)}")
        call = Flat(self.fun, in_tree, fixed, self.kind)
        outs = custom_vjp_call_p.bind(
            *leaves, name=fun_name(self.fun), bwd=_Backward(self, call), call_jaxpr=call,
            fwd_jaxpr_thunk=_Forward(self, call), num_consts=0,
            symbolic_zeros=self.symbolic_zeros)
        if with_refs and any(map(holds_ref, outs)):
            raise returned_ref(fun_name(self.fun), "custom_vjp", next(filter(holds_ref, outs)))
        return tree.unflatten(call.out_tree, outs)


def _check_untraced(value: Any) -> None:
    for leaf in tree.leaves(value):
        if isinstance(leaf, Tracer):
            raise errors.UnexpectedTracerError(
                "Found a JAX Tracer object passed as an argument to a custom_vjp function in a "
                "position indicated by nondiff_argnums as non-differentiable. Tracers cannot be "
                "passed as non-differentiable arguments to custom_vjp functions; instead, "
                "nondiff_argnums should only be used for arguments that can't be or contain JAX "
                "tracers, e.g. function-valued arguments. In particular, array-valued arguments "
                "should typically not be indicated as nondiff_argnums.")


class _Forward:
    """The user's `fwd` on flat primals: (outputs, residuals, structure of the residuals)."""

    def __init__(self, owner: custom_vjp, call: Flat):
        self.owner = owner
        self.call = call
        self.replaceable = owner.optimize_remat
        self.__name__ = fun_name(owner.fwd)

    def __call__(self, primals: Values, nonzero: Sequence[bool]) -> tuple:
        owner, call, given = self.owner, self.call, set(map(id, primals))
        if owner.symbolic_zeros:
            primals = [CustomVJPPrimal(x, nz) for x, nz in zip(primals, nonzero)]
        args = with_fixed(tree.unflatten(call.in_tree, primals), call.fixed)
        result = owner.fwd(*args)
        names = f"Custom VJP fwd rule {self.__name__} for function {fun_name(owner.fun)}"
        if not isinstance(result, (tuple, list)) or len(result) != 2:
            raise TypeError(errors.describe(
                f"{names} must produce a pair (list or tuple of length two) where the first "
                "element represents the primal output (equal to those of the "
                f"custom_vjp-decorated function {fun_name(owner.fun)}) and the second element "
                "represents residuals (i.e. values stored from the forward pass for use on the "
                f"backward pass), but instead of a pair the fwd rule {self.__name__} produced "
                f"{result}.", fix="return out, residuals (residuals may be None)"))
        outs, out_tree = tree.flatten(result[0])
        call.check_rule(
            f"{names} must produce a pair (list or tuple of length two) where the first element "
            "represents the primal output (equal to the output of the custom_vjp-decorated "
            f"function {fun_name(owner.fun)}) and the second element represents residuals (i.e. "
            "values stored from the forward pass for use on the backward pass)", "fwd", outs,
            out_tree)
        residuals, structure = tree.flatten(result[1])
        for x in [*outs, *residuals]:
            if holds_ref(x) and id(x) not in given:
                raise returned_ref(self.__name__, "a custom_vjp fwd function", x)
        return outs, residuals, structure


class _Backward:
    """The user's `bwd` on flat residuals and cotangents (values or `Zero`)."""

    def __init__(self, owner: custom_vjp, call: Flat):
        self.owner = owner
        self.call = call
        self.__name__ = fun_name(owner.bwd)

    def __call__(self, structure: Any, residuals: Values, cts: Values,
                 in_avals: Sequence[Any]) -> list:
        owner, call = self.owner, self.call
        if owner.symbolic_zeros:
            cts = [SymbolicZero(c.aval) if type(c) is Zero else c for c in cts]
        else:
            cts = [_as_array(instantiate_cotangent(c)) for c in cts]
        found = owner.bwd(*[value for _, value in call.fixed],
                          tree.unflatten(structure, residuals),
                          tree.unflatten(call.out_tree, cts))
        leaves, paths = _spread_nones(found, call.in_tree)
        return [_input_cotangent(*each) for each in zip(leaves, in_avals, paths)]


def _as_array(ct: Any) -> Any:
    """A cotangent with the methods of arrays, which numbers inside programs lack."""
    lift = getattr(state.trace, "lift", None)
    return lift(ct) if lift is not None and not isinstance(ct, Array) else as_array(ct)


def _spread_nones(cts: Any, in_tree: Any) -> tuple[list, list]:
    """A cotangent per leaf of the arguments, None for all leaves below a None; and its path."""
    dummy = tree.unflatten(in_tree, [_leaf] * in_tree.num_leaves)
    leaves: list = []
    paths: list = []

    def add(path: tuple, ct: Any, below: Any) -> Any:
        for inner, _ in tree.leaves_with_path(below):
            leaves.append(ct)
            paths.append(tree.keystr((*path, *inner)))
        return _leaf  # None would come to users' unflatten functions

    given = tuple(cts) if isinstance(cts, list) else cts
    try:
        if not isinstance(given, tuple):
            raise ValueError("no tuple")
        tree.map_with_path(add, given, dummy, is_leaf=lambda x: x is None or is_zero(x))
        if any(not (x is None or is_zero(x) or tree.treedef_is_leaf(tree.structure(x)))
               for x in leaves):
            raise ValueError("nested deeper")
    except ValueError:
        raise TypeError(errors.describe(
            "Custom VJP bwd rule must produce an output with the same container (pytree) "
            "structure as the args tuple of the primal function, and in particular must produce "
            "a tuple of length equal to the number of arguments to the primal function, but got "
            f"bwd output structure {tree.structure(cts)} for primal input structure {in_tree}.",
            fix="return a tuple with one cotangent per argument (None for zero)")) from None
    return leaves, paths


_leaf = object()


def _input_cotangent(ct: Any, aval: Any, path: str) -> Any:
    expected = aval.to_tangent_aval()
    if isinstance(ct, (Zero, SymbolicZero)) and ct.aval.shape != expected.shape:
        raise ValueError(errors.describe(
            "Custom VJP bwd rule must produce an output with the same type as the args tuple of "
            f"the primal function, but at output{path} the bwd rule produced a symbolic zero of "
            f"type {type_name(ct.aval)} corresponding to an input of type {type_name(aval)}. "
            "Consider just returning a None here instead of a SymbolicZero object.",
            fix="return None for a cotangent that is zero"))
    if ct is None or isinstance(ct, (Zero, SymbolicZero)) or expected.dtype == dtypes.float0:
        return Zero(expected)
    got = tangent_type(ct)
    if got.weak_type and got.shape == expected.shape and got.dtype != expected.dtype:
        return convert_element_type(ct, expected.dtype)
    if config.disable_bwd_checks.value:
        return ct
    # a cotangent may have another precision than its argument
    if got.shape != expected.shape or varying_axes(got) - varying_axes(expected) or (
            got.dtype != expected.dtype and not dtypes.issubdtype(expected.dtype, np.inexact)):
        raise ValueError(errors.describe(
            "Custom VJP bwd rule must produce an output with the same type as the args tuple of "
            f"the primal function, but at output{path} the bwd rule produced an output of type "
            f"{type_name(got)} corresponding to an input of type {type_name(aval)}, so "
            f"{difference(got, expected)}",
            fix="return cotangents with the shapes and dtypes of the arguments"))
    return ct


# --- The primitives ----------------------------------------------------------------------------


class _Pull:
    """Residuals and cotangents of the outputs to cotangents of the differentiated inputs."""

    def __init__(self, bwd: Callable, structure: Any, in_avals: list, nonzero: list):
        self.bwd = bwd
        self.structure = structure
        self.in_avals = in_avals
        self.nonzero = nonzero
        self.__name__ = fun_name(bwd)

    def __call__(self, residuals: Values, cts: Values) -> list:
        found = self.bwd(self.structure, residuals, cts, self.in_avals)
        return [c for c, nz in zip(found, self.nonzero) if nz]


def _jvp(primals: Values, tangents: Values, *, fwd_jaxpr_thunk: Callable, bwd: Callable,
         num_consts: int, symbolic_zeros: bool, call_jaxpr: Any, **_: Any) -> tuple[list, list]:
    tangents = [t.value if type(t) is Cell else t for t in tangents]  # of references: as they are
    if any(type(t) is not Zero for t in tangents[:num_consts]):
        raise CustomVJPException(errors.describe(
            "Detected differentiation of a custom_vjp function with respect to a closed-over "
            "value. That isn't supported because the custom VJP rule only specifies how to "
            "differentiate the custom_vjp function with respect to explicit input parameters. "
            "Try passing the closed-over value into the custom_vjp function as an argument, and "
            "adapting the custom_vjp fwd and bwd rules.",
            fix="def f(x, closed_over): ..."))
    consts, primals, tangents = primals[:num_consts], primals[num_consts:], tangents[num_consts:]
    nonzero = [type(t) is not Zero for t in tangents]
    if getattr(fwd_jaxpr_thunk, "replaceable", False):
        if type(call_jaxpr) is not Jaxpr:
            call_jaxpr, consts = trace_call(call_jaxpr, list(map(aval_of, primals)))
        outs, residuals, structure = run_replaceable(
            call_jaxpr, consts, lambda xs: fwd_jaxpr_thunk(xs, nonzero), primals)
    else:
        outs, residuals, structure = fwd_jaxpr_thunk(primals, nonzero)
    out_avals = tuple(aval_of(o).to_tangent_aval() for o in outs)
    out_nonzero = [a.dtype != dtypes.float0 for a in out_avals]
    if not any(out_nonzero):
        return outs, merge_tangents([], out_nonzero, outs)
    in_avals = [aval.inner_aval if is_ref(aval) else aval for aval in map(aval_of, primals)]
    pull = _Pull(bwd, structure, in_avals, nonzero)
    found = custom_lin_p.bind(
        *residuals, *[t for t in tangents if type(t) is not Zero], num_res=len(residuals),
        bwd=pull, in_zeros=tuple(not nz for nz in nonzero), out_avals=out_avals,
        symbolic_zeros=symbolic_zeros)
    return outs, merge_tangents(found, out_nonzero, outs)


def _batch(trace: BatchTrace, args: Values, params: dict) -> list:
    call, fwd, bwd = params["call_jaxpr"], params["fwd_jaxpr_thunk"], params["bwd"]
    if runs_inline(trace):
        return run_inline(trace, call, args)
    lanes = Lanes(trace, args)
    own_dims = lanes.dims[params["num_consts"]:]

    @wraps(fwd, "")
    def batched_fwd(primals: Values, nonzero: Sequence[bool]) -> tuple:
        found: list = []

        def flat(*xs: Any) -> list:
            outs, residuals, structure = fwd(xs, nonzero)
            found.extend([len(outs), structure])
            return [*outs, *residuals]

        values, dims = lanes.run(flat, primals, own_dims)
        n = found[0]
        outs = lanes.align(values[:n], dims[:n], lanes.agree([d is not None for d in dims[:n]]))
        return outs, values[n:], (found[1], dims[n:])

    batched_fwd.replaceable = getattr(fwd, "replaceable", False)

    @wraps(bwd, "")
    def batched_bwd(info: tuple, residuals: Values, cts: Values, in_avals: Sequence[Any]) -> list:
        structure, dims = info
        ct_dims = [0 if b else None for b in lanes.results]
        inner = [a if d is None else unbatched_aval(a, d) for a, d in zip(in_avals, own_dims)]
        return _run_lanes_backward(lanes, bwd, structure, residuals, dims, cts, ct_dims, inner,
                                   own_dims)

    return lanes.bind(custom_vjp_call_p, {
        **params, "call_jaxpr": lanes.function(as_function(call)),
        "fwd_jaxpr_thunk": batched_fwd, "bwd": batched_bwd})


def _run_lanes_backward(lanes: Lanes, bwd: Callable, structure: Any, residuals: Values,
                        res_dims: Dims, cts: Values, ct_dims: Dims, in_avals: Sequence[Any],
                        own_dims: Dims) -> list:
    """Run `bwd` per lane; inputs without a batch axis get the sum of their cotangents."""
    zero = [type(c) is Zero for c in cts]
    zeros = [_lane_zero(c, d) if z else None for c, d, z in zip(cts, ct_dims, zero)]
    present: list = []

    def flat(*xs: Any) -> list:
        given = iter(xs[len(residuals):])
        full = [z if z is not None else next(given) for z in zeros]
        found = bwd(structure, xs[:len(residuals)], full, in_avals)
        present.extend(None if type(c) is Zero else c for c in found)
        return [c for c in found if type(c) is not Zero]

    kept = [(c, d) for c, d, z in zip(cts, ct_dims, zero) if not z]
    values, dims = lanes.run(flat, [*residuals, *[c for c, _ in kept]],
                             [*res_dims, *[d for _, d in kept]])
    rest = iter(zip(values, dims))
    size = lanes.trace.axis.size
    out = []
    for aval, own, given in zip(in_avals, own_dims, present):
        if given is None:
            out.append(Zero(aval.to_tangent_aval()))
            continue
        value, dim = next(rest)
        if own is not None:
            value = materialize(value, dim, size, own)
        elif dim is not None:
            value = reduce_sum(value, (dim,))
        out.append(value)
    return out


def _lane_zero(ct: Zero, dim: int | None) -> Zero:
    return ct if dim is None else Zero(unbatched_aval(ct.aval, dim))


custom_vjp_call_p = with_custom_rule("custom_vjp_call", jvp=_jvp, batch=_batch)


def _no_forward_mode(*args: Any, **params: Any) -> list:
    raise TypeError(errors.describe(
        "can't apply forward-mode autodiff (jvp) to a custom_vjp function.",
        because=f"the rule {fun_name(params['bwd'])} only says how to run it backwards",
        fix="use reverse mode (jax.grad, jax.vjp), or define the function with jax.custom_jvp"))


def _lin_transpose(cts: Values, *args: Any, num_res: int, bwd: Callable, out_avals: Sequence[Any],
                   **_: Any) -> list:
    given = iter(cts)
    full = [next(given) if a.dtype != dtypes.float0 else Zero(a) for a in out_avals]
    found = bwd(args[:num_res], full)
    return [*[None] * num_res, *[c if is_linear(x) else None
                                 for x, c in zip(args[num_res:], found)]]


def _lin_vmap(axis: AxisData, args: Values, dims: Dims, *, num_res: int, bwd: Callable,
              out_avals: tuple, **params: Any) -> tuple[list, list]:
    args = [materialize(x, d, axis.size) for x, d in zip(args, dims)]

    @wraps(bwd, "")
    def batched(residuals: Values, cts: Values) -> list:
        zeros = [_lane_zero(c, 0) if type(c) is Zero else None for c in cts]
        present: list = []

        def flat(*xs: Any) -> list:
            rest = iter(xs[num_res:])
            found = bwd(xs[:num_res], [next(rest) if z is None else z for z in zeros])
            present.extend(found)
            return [c for c in found if type(c) is not Zero]

        given = [*residuals, *[c for c in cts if type(c) is not Zero]]
        values, out_dims = batch(flat, axis, given, [0] * len(given))
        rest = iter([materialize(x, d, axis.size) for x, d in zip(values, out_dims)])
        return [Zero(_stacked(c.aval, axis.size)) if type(c) is Zero else next(rest)
                for c in present]

    out_avals = tuple(_stacked(a, axis.size) for a in out_avals)
    outs = custom_lin_p.bind(*args, num_res=num_res, bwd=batched, out_avals=out_avals, **params)
    return outs, [0] * len(outs)


def _stacked(aval: Any, size: int) -> Any:
    return aval.update(shape=(size, *aval.shape))


custom_lin_p = Primitive(
    "custom_lin", multiple_results=True, impl=_no_forward_mode, decompose=_no_forward_mode,
    shape=lambda *avals, out_avals, **_: [a for a in out_avals if a.dtype != dtypes.float0],
    transpose=_lin_transpose, vmap=_lin_vmap,
    show=lambda params: {"bwd": params["bwd"], "in_zeros": list(params["in_zeros"]),
                         "num_res": params["num_res"],
                         "symbolic_zeros": params["symbolic_zeros"]})


# --- Functions that return their derivative ----------------------------------------------------


class _Traced:
    """A function traced to a jaxpr, whose captured values are its first argument."""

    def __init__(self, jaxpr: Jaxpr, in_tree: Any, out_tree: Any):
        self.jaxpr = jaxpr
        self.in_tree = in_tree
        self.out_tree = out_tree

    def __call__(self, captured: Sequence[Any], *args: Any) -> Any:
        leaves, in_tree = tree.flatten(args)
        if in_tree != self.in_tree:
            raise TypeError(errors.describe(
                "The inputs to the closure produced by closure_convert must have the same pytree "
                f"structure as the example arguments {self.in_tree}, but they have {in_tree}",
                fix="converted(*args, *values), with the values that closure_convert returned"))
        return tree.unflatten(self.out_tree, eval_jaxpr(self.jaxpr, (), *captured, *leaves))


def _trace_closure(fun: Callable, args: tuple) -> tuple[_Traced, list]:
    leaves, in_tree = tree.flatten(args)
    call = Flat(fun, in_tree, (), "custom_vjp")
    jaxpr, captured = trace_to_jaxpr(call, [aval_of(x).strip_weak_type() for x in leaves])
    return _Traced(jaxpr, in_tree, call.out_tree), captured


def custom_gradient(fun: Callable) -> Callable:
    """A function whose gradient is what `fun` returns beside its value.

    `fun(*args)` returns `(value, pull_back)`, and `pull_back(ct)` the cotangents of the arguments:
    a tuple, or for a single argument its cotangent.
    """
    @custom_vjp
    @wraps(fun, "")
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        value, _ = fun(*args, **kwargs)
        return value

    def fwd(*args: Any, **kwargs: Any) -> tuple:
        value, pull_back = fun(*args, **kwargs)
        ct = tree.map(lambda x: instantiate(zero_tangent(x)), value)
        traced, captured = _trace_closure(pull_back, (ct,))
        return value, tree.Partial(traced, captured)

    def bwd(pull_back: Callable, ct: Any) -> tuple:
        cts = pull_back(ct)
        return cts if isinstance(cts, tuple) else (cts,)

    wrapped.defvjp(fwd, bwd)
    return wrapped


def closure_convert(fun: Callable, *example_args: Any) -> tuple[Callable, list]:
    """`fun` with the traced values it closes over as arguments, and these values.

    Returns (converted, values) with `converted(*args, *values) == fun(*args)`. Arrays that are not
    traced stay inside.
    """
    traced, captured = _trace_closure(fun, example_args)
    hoisted = [isinstance(x, Tracer) for x in captured]
    fixed = [None if h else x for x, h in zip(captured, hoisted)]
    num_args = len(example_args)
    wanted = tree.structure((0,) * sum(hoisted))

    def converted(*args: Any) -> Any:
        found = tree.structure(args[num_args:])
        if found != wanted:
            raise TypeError(errors.describe(
                "The inputs to the closure produced by closure_convert must be the arguments "
                f"followed by {sum(hoisted)} values, each by itself: expected {wanted}, got "
                f"{found}", fix="converted(*args, *values)"))
        values = iter(args[num_args:])
        return traced([next(values) if h else x for x, h in zip(fixed, hoisted)],
                      *args[:num_args])
    return converted, [x for x, h in zip(captured, hoisted) if h]
