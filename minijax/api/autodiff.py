"""Derivatives: `grad`, `jvp`, `vjp`, `linearize`, Jacobians and Hessians.

Everything is two calls into core: `linearize` runs a function and keeps the program of its
tangents; `backward_pass` runs that program backwards.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from minijax import core
from minijax.api.flatten import (Call, boundary, canonical_argnums, check_callable, fun_name,
                                 wraps)
from minijax.api.jit import jit
from minijax.api.vmap import vmap
from minijax.base import dtypes, errors, tree
from minijax.core import Linear, Values, Zero, aval_of
from minijax.runtime.place import as_array

__all__ = ["ad", "fwd_and_bwd", "grad", "hessian", "jacfwd", "jacobian", "jacrev", "jvp",
           "linear_transpose", "linearize", "value_and_grad", "vjp"]


def grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
         holomorphic: bool = False, allow_int: bool = False,
         reduce_axes: Sequence[Any] = ()) -> Callable:
    """The gradient of a scalar-valued function.

    The result has the structure of the argument(s) `argnums`; with `has_aux`, `fun` returns
    `(value, aux)` and the gradient function `(gradient, aux)`. Raises TypeError if the value is
    not a real scalar or the arguments are not inexact (see `holomorphic`, `allow_int`).
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int, reduce_axes)

    @wraps(fun, "grad")
    @boundary
    def grad_fun(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient
    return grad_fun


def value_and_grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
                   holomorphic: bool = False, allow_int: bool = False,
                   reduce_axes: Sequence[Any] = ()) -> Callable:
    """The value of a scalar-valued function and its gradient; see `grad`."""
    check_callable(fun)

    @wraps(fun, "value_and_grad")
    @boundary
    def value_and_grad_fun(*args: Any, **kwargs: Any) -> Any:
        several = isinstance(argnums, (tuple, list))
        last = max(argnums, default=-1) if several else operator.index(argnums)
        if last >= len(args):
            raise _too_few_arguments(argnums, last, len(args))
        nums, leaves, in_tree = _picked(argnums, args)
        leaves = [_differentiable_input(x, "grad", holomorphic, allow_int) for x in leaves]
        call = Call(fun, in_tree, args, nums, kwargs, has_aux)
        lin, outs, aux = _linearized(call, leaves)
        value = _scalar_output(outs, call)
        _check_output_dtype(aval_of(value).dtype, "grad", holomorphic)
        cts = _pull_back(lin, [_one(value)])
        gradient = tree.unflatten(in_tree, [
            _as_cotangent(c, aval_of(x)) for c, x in zip(cts, leaves)])
        value = as_array(value)
        return ((value, tree.unflatten(call.aux_tree, aux)) if has_aux else value), gradient
    return value_and_grad_fun


def _linearized(call: Call, leaves: Sequence[Any]) -> tuple[core.Linearized, list, list]:
    """The call made linear, its outputs and what comes with them."""
    lin = core.linearize(call, leaves, num_aux=call.count_aux, scope=("jvp(",))
    n = len(lin.out_nonzero)
    return lin, lin.outs[:n], lin.outs[n:]


def _picked(argnums: Any, args: tuple) -> tuple[Any, list, Any]:
    """The places of the arguments to differentiate by, their leaves and their structure."""
    nums = canonical_argnums(argnums, len(args))
    return nums, *tree.flatten(args[nums] if type(nums) is int
                               else tuple([args[i] for i in nums]))


def _pull_back(lin: core.Linearized, cts: Values) -> list:
    """Cotangents of all inputs (None for those without a tangent), from those of the outputs."""
    n = len(lin.residuals)
    args = [*lin.residuals, *[Linear(v.aval) for v in lin.jaxpr.invars[n:]]]
    kept = [ct for ct, nz in zip(cts, lin.out_nonzero) if nz]
    found = iter(core.backward_pass(lin.jaxpr, args, kept, ("transpose(",))[n:])
    return [next(found) if nz else None for nz in lin.in_nonzero]


def _as_cotangent(ct: Any, primal: core.ShapedArray) -> Any:
    """A cotangent as the user sees it: zeros made explicit, `float0` for integer inputs."""
    if ct is None or type(ct) is Zero:
        ct = core.zeros(core.cotangent_aval(primal.to_tangent_aval()))
    return _typed_like(as_array(ct), primal)


def _typed_like(x: Any, primal: core.ShapedArray) -> Any:
    """A tangent or cotangent, of a weak type if the type of the primal is weak."""
    x = as_array(core.zeros(x.aval)) if type(x) is Zero else x
    if isinstance(x, np.ndarray) or aval_of(x).weak_type == primal.weak_type:
        return x
    return core.convert_element_type(x, aval_of(x).dtype, primal.weak_type)


def _one(value: Any) -> Any:
    """The cotangent 1, of a weak type if the value has one."""
    aval = aval_of(value)
    one = np.ones((), aval.dtype)[()]
    if aval.placement is not None:
        return core.conform(one, core.cotangent_aval(aval))
    return one.item() if core.get_aval(one.item()) is aval else one


def _too_few_arguments(argnums: Any, last: int, num_args: int) -> TypeError:
    return TypeError(errors.describe(
        f"differentiating with respect to argnums={argnums} requires at least {last + 1} "
        f"positional arguments to be passed by the caller, but got only {num_args} positional "
        "arguments.", fix="pass the arguments by position, or change argnums"))


_HOLOMORPHIC_HINT = ("For holomorphic differentiation, pass holomorphic=True. For differentiation "
                     "of non-holomorphic functions involving complex {}, use jax.{} directly.")


def _differentiable_input(x: Any, name: str, holomorphic: bool, allow_int: bool) -> Any:
    """`x` as an array, or the TypeError that says why one cannot differentiate by it."""
    try:
        aval = aval_of(x)
    except TypeError as error:
        raise TypeError(errors.describe(
            f"Argument '{x!s:.200}' of type {type(x)} is not a valid JAX type",
            fix="pass arrays and numbers; others in arguments that argnums does not name",
        )) from error
    dtype = aval.dtype
    if dtypes.issubdtype(dtype, np.floating) and not holomorphic:
        return as_array(x)
    problem = None
    if holomorphic and not dtypes.issubdtype(dtype, np.complexfloating):
        problem = (f"{name} with holomorphic=True requires inputs with complex dtype, "
                   f"but got {dtype}.")
    elif any(dtypes.issubdtype(dtype, kind) for kind in (np.integer, np.bool_, dtypes.extended)):
        if not allow_int:
            problem = (f"{name} requires real- or complex-valued inputs (input dtype that is a "
                       f"sub-dtype of np.inexact), but got {dtype}. If you want to use Boolean- or "
                       "integer-valued inputs, use vjp or set allow_int to True.")
    elif not dtypes.issubdtype(dtype, np.inexact):
        problem = f"{name} requires numerical-valued inputs, but got {dtype}."
    if problem:
        raise TypeError(errors.describe(problem, fix="x.astype(float) makes a float array"))
    return x if allow_int else as_array(x)


def _scalar_output(outs: Sequence[Any], call: Call) -> Any:
    """The one scalar that `grad` differentiates, or the TypeError that says what it was."""
    if len(outs) != 1 or call.out_tree.num_nodes != 1:
        value = tree.unflatten(call.out_tree, outs)
        raise TypeError(errors.describe(
            f"Gradient only defined for scalar-output functions. Output was {value}.",
            fix="return one scalar, and other results through has_aux=True"))
    value = outs[0]
    aval = aval_of(value)
    if aval.shape:
        raise TypeError(errors.describe(
            "Gradient only defined for scalar-output functions. "
            f"Output had shape: {aval.shape}.",
            fix="reduce the result, e.g. with .sum() or .mean(), or use jax.jacrev"))
    return value


def _check_output_dtype(dtype: Any, name: str, holomorphic: bool, direct: str = "vjp") -> None:
    if holomorphic:
        if not dtypes.issubdtype(dtype, np.complexfloating):
            raise TypeError(errors.describe(
                f"{name} with holomorphic=True requires outputs with complex dtype, "
                f"but got {dtype}.", fix="drop holomorphic=True for real-valued functions"))
        return
    if dtypes.issubdtype(dtype, np.floating):
        return
    text = (f"{name} requires real-valued outputs (output dtype that is a sub-dtype of "
            f"np.floating), but got {dtype}. ")
    if dtypes.issubdtype(dtype, np.complexfloating):
        text += _HOLOMORPHIC_HINT.format("outputs", direct)
    else:
        text += ("For differentiation of functions with integer outputs, "
                 f"use jax.{direct} directly.")
    raise TypeError(errors.describe(text, fix="return a float, e.g. result.astype(float)"))


# --- jvp, vjp, linearize -----------------------------------------------------------------------


@boundary
def jvp(fun: Callable, primals: Values, tangents: Values, has_aux: bool = False) -> tuple:
    """The value of `fun` at `primals` and its derivative in the direction `tangents`.

    Both are tuples of arguments with equal structures, shapes and (tangent) dtypes.
    """
    check_callable(fun)
    if not isinstance(primals, (tuple, list)) or not isinstance(tangents, (tuple, list)):
        raise TypeError(errors.describe(
            "primal and tangent arguments to jax.jvp must be tuples or lists; found "
            f"{type(primals).__name__} and {type(tangents).__name__}.",
            fix="jax.jvp(f, (x,), (dx,))"))
    leaves, in_tree = tree.flatten(primals)
    directions, tangent_tree = tree.flatten(tangents)
    if in_tree != tangent_tree:
        raise TypeError(errors.describe(
            "primal and tangent arguments to jax.jvp must have the same tree structure; primals "
            f"have tree structure {in_tree} whereas tangents have tree structure {tangent_tree}.",
            fix="give one tangent for each primal, nested in the same way"))
    for p, t in zip(leaves, directions):
        _check_tangent(p, t)
    call = Call(fun, in_tree, (), None, {}, has_aux)
    outs, out_tangents = core.jvp(call, leaves, directions, call.count_aux, ("jvp(",))
    n = len(out_tangents)
    found = [_typed_like(t, aval_of(x)) for t, x in zip(out_tangents, outs)]
    return _with_value(call, outs[:n], tree.unflatten(call.out_tree, found), outs[n:])


def _check_tangent(primal: Any, tangent: Any) -> None:
    p, t = aval_of(primal), aval_of(tangent)
    expected = p.to_tangent_aval().dtype
    if t.dtype != expected:
        raise TypeError(errors.describe(
            "primal and tangent arguments to jax.jvp do not match; dtypes must be equal, or in "
            "case of int/bool primal dtype the tangent dtype must be float0.Got primal dtype "
            f"{p.dtype} and so expected tangent dtype {expected}, but got tangent dtype "
            f"{t.dtype} instead.",
            fix="np.zeros(x.shape, jax.dtypes.float0)" if expected == dtypes.float0
            else f"tangent.astype('{expected}')"))
    if p.shape != t.shape:
        raise ValueError(errors.describe(
            "jvp called with different primal and tangent shapes;"
            f"Got primal shape {p.shape} and tangent shape as {t.shape}",
            fix="a tangent has the shape of its primal"))


class _Marker:
    """A value that only says something; a node of pytrees without leaves, equal to its like."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class NotNeeded(_Marker):
    """In `VJP.args_res`: the pullback does not read this argument."""


class DontWant(_Marker):
    """Given to `VJP.with_refs`: no cotangent of this argument, please."""


class DidntWant(_Marker):
    """In place of a cotangent that nobody wanted."""


class GradValue(_Marker):
    """Given to `VJP.with_refs`: the cotangent of this argument as a value."""


class GradRef(_Marker):
    """In place of a cotangent that was added to a ref."""


for _marker in (NotNeeded, DontWant, DidntWant, GradValue, GradRef):
    tree.register_pytree_node(_marker, lambda x: ((), type(x)), lambda kind, _: kind())

ad = SimpleNamespace(DontWant=DontWant, DidntWant=DidntWant, GradValue=GradValue, GradRef=GradRef)


class _Pullback(NamedTuple):
    """What a `VJP` is besides its residuals: a linear program and the types around it.

    `sources` says of each residual whether it is an argument, ("arg", leaf number), or not,
    ("res", place in `opaque_residuals`).
    """

    name: str
    in_tree: Any
    out_tree: Any
    in_avals: tuple
    out_avals: tuple
    jaxpr: core.Jaxpr
    in_nonzero: tuple[bool, ...]
    out_nonzero: tuple[bool, ...]
    sources: tuple[tuple[str, int], ...]


class VJP:
    """The pullback that `vjp` returns: cotangents of the output to cotangents of the arguments.

    A pytree, so it can be returned from a jitted function. Its leaves are the values saved:
    `args_res`, a list of the arguments (those not read replaced by `NotNeeded()`), which may be set
    to None while the pullback waits and given again later, and `opaque_residuals`.
    """

    def __init__(self, meta: _Pullback, args_res: list, opaque_residuals: list,
                 wanted: tuple | None = None):
        self._meta = meta
        self.args_res = args_res
        self.opaque_residuals = opaque_residuals
        self._wanted = wanted

    @property
    def in_tree(self) -> Any:
        return self._meta.in_tree

    @property
    def out_tree(self) -> Any:
        return self._meta.out_tree

    @property
    def jaxpr(self) -> core.Jaxpr:
        return self._meta.jaxpr

    def with_refs(self, *maybe_ct_refs: Any) -> "VJP":
        """The same pullback, told for each argument where its cotangent goes.

        Entries are trees of refs (the cotangent is added), `GradValue()` or `DontWant()`.
        """
        return VJP(self._meta, self.args_res, self.opaque_residuals, maybe_ct_refs)

    def __call__(self, *cotangents: Any) -> tuple:
        meta = self._meta
        if len(cotangents) != 1:
            raise TypeError(errors.describe(
                f"The function returned by `jax.vjp` applied to {meta.name} was called with "
                f"{len(cotangents)} arguments, but functions returned by `jax.vjp` must be called "
                "with a single argument corresponding to the single value returned by the "
                "function being differentiated (even if that returned value is a tuple or other "
                "container).", fix="pass a tuple: f_vjp((ct1, ct2))"))
        cts, ct_tree = tree.flatten(cotangents[0])
        if ct_tree != meta.out_tree:
            raise ValueError(errors.describe(
                "unexpected tree structure.\nThe argument to a VJP function returned by `jax.vjp` "
                "must match the pytree structure of the differentiated function "
                f"{meta.name}: expected {meta.out_tree}, but got {ct_tree}.",
                fix="build the cotangent with jax.tree.map over the output of the function"))
        for ct, aval in zip(cts, meta.out_avals):
            _check_cotangent(ct, aval)
        lin = core.Linearized([], meta.jaxpr, self._residuals(), meta.in_nonzero,
                              meta.out_nonzero)
        found = _pull_back(lin, cts)
        in_avals = meta.in_avals
        if not all(aval_of(ct).weak_type for ct, nz in zip(cts, meta.out_nonzero) if nz):
            in_avals = tuple([a.strip_weak_type() for a in in_avals])
        if self._wanted is not None:
            return self._deliver(found, in_avals)
        return tree.unflatten(meta.in_tree, [
            _as_cotangent(c, a) for c, a in zip(found, in_avals)])

    def _residuals(self) -> list:
        meta = self._meta
        if not any(kind == "arg" for kind, _ in meta.sources):
            return self.opaque_residuals
        leaves = meta.in_tree.flatten_up_to(tuple(self.args_res))
        values = [leaves[i] if kind == "arg" else self.opaque_residuals[i]
                  for kind, i in meta.sources]
        if any(x is None for x in values):
            raise ValueError(errors.describe(
                f"the pullback of {meta.name} needs arguments that were taken out of args_res",
                fix="f_vjp.args_res = [*args]"))
        return values

    def _deliver(self, found: list, in_avals: tuple) -> tuple:
        """Cotangents to where `with_refs` wants them."""
        meta, wanted = self._meta, self._wanted
        full = tree.unflatten(meta.in_tree, range(meta.in_tree.num_leaves))
        places = tree.broadcast_prefix(
            wanted, full, is_leaf=lambda x: isinstance(x, (DontWant, GradValue)))
        out = []
        for place, ct, aval in zip(places, found, in_avals):
            if isinstance(place, DontWant):
                out.append(DidntWant())
            elif isinstance(place, GradValue):
                out.append(_as_cotangent(ct, aval))
            else:
                if type(ct) is not Zero and aval.to_tangent_aval().dtype != dtypes.float0:
                    place.addupdate(_as_cotangent(ct, aval))
                out.append(GradRef())
        return tree.unflatten(meta.in_tree, out)

    def __repr__(self) -> str:
        ins, outs = (", ".join(a.str_short() for a in avals)
                     for avals in (self._meta.in_avals, self._meta.out_avals))
        return f"VJP({self._meta.name}: {ins} -> {outs})"


tree.register_pytree_node(
    VJP, lambda v: ((v.args_res, v.opaque_residuals, v._wanted), v._meta),
    lambda meta, parts: VJP(meta, *parts))


def _split_residuals(lin: core.Linearized, leaves: Sequence[Any], in_tree: Any) -> tuple:
    """(args_res, opaque_residuals, sources) of a `VJP`."""
    where = {id(x): i for i, x in enumerate(leaves)}
    sources, opaque, read = [], [], set()
    for x in lin.residuals:
        i = where.get(id(x))
        if i is None:
            sources.append(("res", len(opaque)))
            opaque.append(x)
        else:
            sources.append(("arg", i))
            read.add(i)
    args = tree.unflatten(in_tree, [x if i in read else NotNeeded()
                                    for i, x in enumerate(leaves)])
    return list(args), opaque, tuple(sources)


def _check_cotangent(ct: Any, aval: Any) -> None:
    expected, got = aval.to_tangent_aval(), aval_of(ct)
    if got.shape == expected.shape and expected.dtype in (got.dtype, dtypes.float0):
        return
    raise ValueError(errors.describe(
        "unexpected JAX type (e.g. shape/dtype) for argument to VJP function: got "
        f"{got.str_short(False)}, but expected {expected.str_short(False)} because the "
        "corresponding output of the differentiated function had JAX type "
        f"{aval.str_short(False)}",
        fix="a cotangent has the shape and dtype of its output, e.g. jnp.ones_like(out)"))


@boundary
def vjp(fun: Callable, *primals: Any, has_aux: bool = False,
        reduce_axes: Sequence[Any] = ()) -> tuple:
    """The value of `fun` at `primals` and its pullback.

    The pullback takes a cotangent shaped as the value and returns a tuple with a cotangent for
    each argument. With `has_aux`, `fun` returns `(value, aux)` and aux is a third result.
    """
    check_callable(fun)
    leaves, in_tree = tree.flatten(primals)
    call = Call(fun, in_tree, (), None, {}, has_aux)
    lin, outs, aux = _linearized(call, leaves)
    args_res, opaque, sources = _split_residuals(lin, leaves, in_tree)
    meta = _Pullback(fun_name(fun), in_tree, call.out_tree, tuple(map(aval_of, leaves)),
                     tuple(map(aval_of, outs)), lin.jaxpr, lin.in_nonzero, lin.out_nonzero, sources)
    return _with_value(call, list(map(as_array, outs)), VJP(meta, args_res, opaque), aux)


def _with_value(call: Call, outs: Sequence[Any], derivative: Any, aux: Sequence[Any]) -> tuple:
    """The value of the function, its derivative, and what came with the value, if asked for."""
    found = tree.unflatten(call.out_tree, outs), derivative
    return (*found, tree.unflatten(call.aux_tree, aux)) if call.has_aux else found


def fwd_and_bwd(fun: Callable, argnums: int | Sequence[int], has_aux: bool = False,
                jitted: bool = True) -> tuple[Callable, Callable]:
    """The two passes of reverse mode as functions: `fwd(*args)` and `bwd(residuals, ct)`.

    `fwd` gives the value and the residuals (with `has_aux` a third, aux); `bwd` the cotangents of
    the arguments `argnums`. Both are compiled unless `jitted` is false.
    """
    check_callable(fun)

    def fwd(*args: Any, **kwargs: Any) -> tuple:
        nums = canonical_argnums(argnums, len(args))
        picked = (nums,) if type(nums) is int else nums

        def of_picked(*values: Any) -> Any:
            full = list(args)
            for i, value in zip(picked, values):
                full[i] = value
            return fun(*full, **kwargs)
        return vjp(of_picked, *[args[i] for i in picked], has_aux=has_aux)

    def bwd(residuals: VJP, cotangents: Any) -> Any:
        found = residuals(cotangents)
        return found if isinstance(argnums, (tuple, list)) else found[0]

    return (jit(fwd), jit(bwd)) if jitted else (fwd, bwd)


@boundary
def linearize(fun: Callable, *primals: Any, has_aux: bool = False) -> tuple:
    """The value of `fun` at `primals` and its derivative there, as a linear function."""
    check_callable(fun)
    leaves, in_tree = tree.flatten(primals)
    call = Call(fun, in_tree, (), None, {}, has_aux)
    lin, outs, aux = _linearized(call, leaves)
    meta = (in_tree, call.out_tree, tuple(map(aval_of, leaves)), tuple(map(aval_of, outs)),
            lin.in_nonzero, lin.out_nonzero)
    pushforward = tree.Partial(functools.partial(_push_forward, lin.jaxpr, meta), lin.residuals)
    return _with_value(call, outs, pushforward, aux)


def _push_forward(jaxpr: core.Jaxpr, meta: tuple, residuals: Values, *tangents: Any) -> Any:
    """The linear function that `linearize` returns."""
    in_tree, out_tree, in_avals, out_avals, in_nonzero, out_nonzero = meta
    leaves, given_tree = tree.flatten(tangents)
    if given_tree != in_tree:
        raise TypeError(errors.describe(
            "linearized function called with a tree structure that differs from that of the "
            f"primals: expected {in_tree}, but got {given_tree}.",
            fix="give one tangent for each primal"))
    for t, aval in zip(leaves, in_avals):
        expected, got = aval.to_tangent_aval(), aval_of(t)
        if (got.shape, got.dtype) != (expected.shape, expected.dtype):
            raise ValueError(errors.describe(
                "linearized function called on tangent values inconsistent with the original "
                f"primal values: Got tangent aval {got.str_short(False)} for primal aval "
                f"{aval.str_short(False)} but expected {expected.str_short(False)}.",
                fix="a tangent has the shape and dtype of its primal"))
    live = [t for t, nz in zip(leaves, in_nonzero) if nz]
    outs = iter(core.eval_jaxpr(jaxpr, jaxpr.consts, *residuals, *live))
    return tree.unflatten(out_tree, [
        next(outs) if nz else as_array(core.zeros(a.to_tangent_aval()))
        for a, nz in zip(out_avals, out_nonzero)])


def linear_transpose(fun: Callable, *primals: Any, reduce_axes: Sequence[Any] = ()) -> Callable:
    """The transpose of a function that is linear in its arguments.

    `primals` only give shapes and dtypes (arrays or ShapeDtypeStructs). Raises TypeError or
    NotImplementedError for functions that are not linear.
    """
    check_callable(fun)
    leaves, in_tree = tree.flatten(primals)
    avals = [core.ShapedArray(x.shape, x.dtype) if hasattr(x, "shape") and not core.is_valid(x)
             else aval_of(x) for x in leaves]
    call = Call(fun, in_tree, (), None, {})
    jaxpr, captured = core.trace_to_jaxpr(call, avals)
    kinds = [[a.dtype for a in group] for group in (avals, jaxpr.out_avals)]
    if not any(all(dtypes.issubdtype(d, kind) for d in kinds[0] + kinds[1])
               for kind in (np.inexact, np.integer)):
        raise TypeError(errors.describe(
            "linear_transpose only supports [float or complex] -> [float or complex], and integer "
            f"-> integer functions, but got {kinds[0]} -> {kinds[1]}.",
            fix="convert the integer argument to float"))

    return tree.Partial(functools.partial(_transposed, jaxpr, in_tree, call.out_tree), captured)


@boundary
def _transposed(jaxpr: core.Jaxpr, in_tree: Any, out_tree: Any, captured: Sequence[Any],
                ct: Any) -> tuple:
    """The function that `linear_transpose` returns."""
    cts, ct_tree = tree.flatten(ct)
    if ct_tree != out_tree:
        raise TypeError(errors.describe(
            f"cotangent tree does not match function output, expected {out_tree} but "
            f"got {ct_tree}", fix="pass a cotangent with the structure of the output"))
    for c, aval in zip(cts, jaxpr.out_avals):
        got = aval_of(c)
        if (got.shape, got.dtype) != (aval.shape, aval.dtype):
            raise TypeError(errors.describe(
                "cotangent type does not match function output, expected "
                f"{aval.str_short(False)} but got {got.str_short(False)}",
                fix="pass a cotangent with the shape and dtype of the output"))
    n = len(captured)
    linear = map(Linear, jaxpr.in_avals[n:])
    found = core.backward_pass(jaxpr, [*captured, *linear], cts, ("transpose(",))
    return tree.unflatten(in_tree, [as_array(core.instantiate(c)) for c in found[n:]])


# --- Jacobians ---------------------------------------------------------------------------------


def jacfwd(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
           holomorphic: bool = False) -> Callable:
    """The Jacobian by forward mode, one pass for each input element.

    Result: the output's structure, each leaf holding the structure of the argument(s), with shape
    (*output shape, *input shape).
    """
    check_callable(fun)

    @wraps(fun, "jacfwd")
    @boundary
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        nums, leaves, in_tree = _picked(argnums, args)
        for x in leaves:
            _check_jacfwd_input(aval_of(x).dtype, holomorphic)
        leaves = [as_array(x) for x in leaves]
        call = Call(fun, in_tree, args, nums, kwargs, has_aux)

        def push(*tangents: Any) -> tuple:
            outs, out_tangents = core.jvp(call, leaves, tangents, call.count_aux, ("jvp(",))
            n = len(out_tangents)
            return ([_typed_like(t, aval_of(x)) for t, x in zip(out_tangents, outs)],
                    [as_array(x) for x in outs[:n]], outs[n:])

        columns, outs, aux = vmap(push, out_axes=(-1, None, None))(*_basis(leaves))
        for x in outs:
            if holomorphic:
                _check_output_dtype(aval_of(x).dtype, "jacfwd", True, "jvp")
        jac = tree.unflatten(call.out_tree, [
            tree.unflatten(in_tree, _split_axis(c, leaves, aval_of(c).ndim - 1)) for c in columns])
        return (jac, tree.unflatten(call.aux_tree, aux)) if has_aux else jac
    return jacobian_fun


def _check_jacfwd_input(dtype: Any, holomorphic: bool) -> None:
    if holomorphic:
        if not dtypes.issubdtype(dtype, np.complexfloating):
            raise TypeError(errors.describe(
                "jacfwd with holomorphic=True requires inputs with complex dtype, "
                f"but got {dtype}.", fix="drop holomorphic=True, or x.astype(complex)"))
    elif not dtypes.issubdtype(dtype, np.floating):
        raise TypeError(errors.describe(
            "jacfwd requires real-valued inputs (input dtype that is a sub-dtype of np.floating), "
            f"but got {dtype}. For holomorphic differentiation, pass holomorphic=True. For "
            "differentiation of non-holomorphic functions involving complex inputs or integer "
            "inputs, use jax.jvp directly.", fix="x.astype(float) makes a float array"))


def jacrev(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
           holomorphic: bool = False, allow_int: bool = False) -> Callable:
    """The Jacobian by reverse mode, one pass for each output element; shaped as with `jacfwd`."""
    check_callable(fun)

    @wraps(fun, "jacrev")
    @boundary
    def jacobian_fun(*args: Any, **kwargs: Any) -> Any:
        nums, leaves, in_tree = _picked(argnums, args)
        leaves = [_differentiable_input(x, "jacrev", holomorphic, allow_int) for x in leaves]
        call = Call(fun, in_tree, args, nums, kwargs, has_aux)
        lin, outs, aux = _linearized(call, leaves)
        for x in outs:
            _check_output_dtype(aval_of(x).dtype, "jacrev", holomorphic)

        def pull(*cts: Any) -> list:
            return [_as_cotangent(c, aval_of(x)) for c, x in zip(_pull_back(lin, cts), leaves)]

        rows = vmap(pull)(*_basis(outs))
        by_output = [_split_axis(r, outs, 0) for r in rows]  # [input][output]
        jac = tree.unflatten(call.out_tree, [
            tree.unflatten(in_tree, [parts[i] for parts in by_output]) for i in range(len(outs))])
        return (jac, tree.unflatten(call.aux_tree, aux)) if has_aux else jac
    return jacobian_fun


jacobian = jacrev


def hessian(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
            holomorphic: bool = False) -> Callable:
    """The Hessian: forward mode over reverse mode."""
    return jacfwd(jacrev(fun, argnums, has_aux=has_aux, holomorphic=holomorphic), argnums,
                  has_aux=has_aux, holomorphic=holomorphic)


@functools.lru_cache(maxsize=64)
def _unit_vectors(sizes: tuple[int, ...], shapes: tuple, kinds: tuple) -> tuple:
    total = sum(sizes)
    eye = np.eye(total)
    parts = np.split(eye, np.cumsum(sizes)[:-1], axis=1) if sizes else []
    return tuple(p.astype(k).reshape(total, *s) for p, k, s in zip(parts, kinds, shapes))


def _basis(leaves: Sequence[Any]) -> tuple:
    """For each leaf an array of shape (N, *shape): together the unit vectors of the whole tree."""
    avals = [aval_of(x).to_tangent_aval() for x in leaves]
    return _unit_vectors(tuple(a.size for a in avals), tuple(a.shape for a in avals),
                         tuple(a.dtype for a in avals))


def _split_axis(x: Any, leaves: Sequence[Any], axis: int) -> list:
    """Cut the axis that runs over a tree's elements into one array per leaf, with its shape."""
    avals = [aval_of(leaf) for leaf in leaves]
    shape = aval_of(x).shape
    if len(avals) == 1:
        return [as_array(core.reshape(x, (*shape[:axis], *avals[0].shape, *shape[axis + 1:])))]
    pieces, start = [], 0
    for a in avals:
        window = tuple(slice(start, start + a.size) if i == axis else slice(None)
                       for i in range(len(shape)))
        piece = x[window]
        pieces.append(core.reshape(piece, (*shape[:axis], *a.shape, *shape[axis + 1:])))
        start += a.size
    return pieces
