"""`jax.experimental.hijax`: operations and types of values that libraries define as classes.

    class Double(hijax.HiPrimitive):
        def abstract_eval(self, x): return x, set()
        def to_lojax(self, x): return x + x          # how it is compiled
        def jvp(self, primals, tangents): return double_p.bind(*primals), double_p.bind(*tangents)

    double_p = Double("double")

A `HiPrimitive` is a primitive whose rules are methods.  A `VJPHiPrimitive` is an operation for
given types and parameters, an object: its methods say what it computes, and how it is
differentiated and mapped.

    class Mul(hijax.VJPHiPrimitive):
        def __init__(self, aval):
            self.in_avals, self.out_aval, self.params = (aval, aval), aval, {}
            super().__init__()
        def expand(self, x, y): return x * y
        def vjp_fwd(self, nzs_in, x, y): return self(x, y), (x, y)
        def vjp_bwd_retval(self, res, ct): return ct * res[1], ct * res[0]

    Mul(jax.typeof(x))(x, y)

Values of a `HiType` are arguments and results of `jit`, of derivatives and of operations; loops may
carry them, but not run along them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.vmap import vmap
from minijax.base import errors, tree
from minijax.core import (AbstractRef, AbstractValue, AxisData, Linear, Primitive, ShapedArray,
                          Zero, add_tangents, aval_of, register_aval)
from minijax.core import instantiate as instantiate_zeros
from minijax.core import is_linear as is_undefined_primal
from minijax.core.effects import control_flow_effects as control_flow_allowed_effects
from minijax.runtime.hitypes import HiType

__all__ = ["AbstractRef", "AbstractValue", "AvalMutableQDD", "AvalQDD", "HiPrimitive", "HiType",
           "MutableHiType", "ShapedArray", "VJPHiPrimitive", "Zero", "aval_method",
           "aval_property", "control_flow_allowed_effects", "instantiate_zeros",
           "is_undefined_primal", "register_hitype"]


class HiPrimitive(Primitive):
    """A primitive whose rules are its methods; `to_lojax` says how it is compiled."""

    multiple_results = False

    def __init__(self, name: str):
        rules = {field: getattr(self, method, None) for field, method in (
            ("impl", "impl"), ("jvp", "jvp"), ("transpose", "transpose"),
            ("decompose", "to_lojax"))}
        super().__init__(name, multiple_results=type(self).multiple_results,
                         vmap=self._vmap if hasattr(self, "batch") else None, **rules)

    def _vmap(self, axis: Any, args: Sequence[Any], dims: Sequence[Any], **params: Any) -> tuple:
        return type(self).batch(self, axis, args, dims, **params)  # `batch` is also a field

    def abstract_eval(self, *avals: Any, **params: Any) -> tuple[Any, set]:
        """The type of the result, or types of results, and the effects."""
        raise NotImplementedError(f"{type(self).__name__} must define abstract_eval")

    def is_high(self, *avals: Any, **params: Any) -> bool:
        """Whether the operation works on values of a HiType."""
        return True


# --- Operations that are objects ----------------------------------------------------------------


class VJPHiPrimitive:
    """The base of operations for given types and parameters.

    A subclass sets `in_avals` (a tuple of types, or trees of them), `out_aval` (a type, or a tree
    of them) and `params`, then calls `super().__init__()`.  Equal classes, types and parameters
    make equal operations.  `expand(*args)` says what it computes; the other methods are optional:

    jvp: (primals, tangents) to (out, tangent); tangents may be `Zero`.
    lin, linearized: (nzs_in, *primals) to (out, residuals); (residuals, *tangents) to the tangent.
    vjp_fwd: (nzs_in, *primals) to (out, residuals).
    vjp_bwd: (residuals, ct, *accums), gives cotangents to `accum.accum(ct)`; or
    vjp_bwd_retval: (residuals, ct) to a tuple of cotangents.
    transpose: (ct, *args), for linear operations; operands that it is linear in are accumulators.
    batch: (axis_data, args, dims) to (out, out_dim); or
    batch_dim_rule: (axis_data, dims) to out_dim.
    """

    in_avals: tuple
    out_aval: Any
    params: dict
    effects: frozenset = frozenset()

    def __init__(self) -> None:
        for name in ("in_avals", "out_aval", "params"):
            if not hasattr(self, name):
                raise AttributeError(f"subclass __init__ should set `self.{name}`")
        if self._has("vjp_bwd") and self._has("vjp_bwd_retval"):
            raise AttributeError(errors.describe(
                f"subclass {type(self)} should not implement both `vjp_bwd` and `vjp_bwd_retval`",
                fix="keep one of them"))
        self.in_avals_flat, self.in_tree = tree.flatten(tuple(self.in_avals))
        self.out_avals_flat, self.out_tree = tree.flatten(self.out_aval)
        self.__dict__.update(self.params)

    def _has(self, name: str) -> bool:
        return getattr(type(self), name, None) is not getattr(VJPHiPrimitive, name, None)

    def _needs(self, what: str, *names: str) -> NotImplementedError:
        return NotImplementedError(f"for {what} support, subclass {type(self)} must implement "
                                   + " or ".join(f"`{name}`" for name in names))

    def _key(self) -> tuple:
        return (type(self), self.in_tree, tuple(self.in_avals_flat), self.out_tree,
                tuple(self.out_avals_flat), tuple(self.params.items()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VJPHiPrimitive) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"{type(self).__name__}[{self.params}]"

    def __call__(self, *args: Any) -> Any:
        leaves, given = tree.flatten(args)
        if given != self.in_tree:
            raise TypeError(errors.describe(
                f"{self} takes arguments of the structure {self.in_tree}, got {given}",
                fix="make the operation for the types of these arguments"))
        self.check(*map(aval_of, leaves))
        return self.out_tree.unflatten(call_hi_primitive_p.bind(*leaves, _prim=self))

    def check(self, *arg_tys: Any) -> None:
        """Raise an error unless the operation takes arguments of these types."""

    def expand(self, *args: Any) -> Any:
        """What the operation computes, in other operations."""
        raise self._needs("evaluation", "expand")

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
        """The result and its tangent."""
        raise self._needs("jvp", "jvp")

    def vjp_fwd(self, nzs_in: Sequence[bool], /, *args: Any) -> tuple:
        """The result, and what the way back needs."""
        raise self._needs("grad", "vjp_fwd")

    def vjp_bwd(self, res: Any, outgrad: Any, /, *arg_accums: Any) -> None:
        """Give cotangents of the arguments to accumulators."""
        cts = self.vjp_bwd_retval(res, outgrad)
        for accum, ct in zip(arg_accums, cts, strict=True):
            accum.accum(ct)

    def vjp_bwd_retval(self, res: Any, outgrad: Any, /) -> tuple:
        """The cotangents of the arguments."""
        raise self._needs("grad", "vjp_bwd", "vjp_bwd_retval")

    def batch(self, axis_data: AxisData, args: tuple, dims: tuple) -> tuple:
        """The operation on arguments with an axis more, and where the result has it."""
        if not self._has("batch_dim_rule"):
            raise self._needs("vmap", "batch", "batch_dim_rule")
        out_dim = self.batch_dim_rule(axis_data, dims)
        return Mapped(self, axis_data.size, dims, out_dim, args)(*args), out_dim

    def batch_dim_rule(self, axis_data: AxisData, dims: tuple, /) -> Any:
        """Where the result has the axis, given where the arguments have it."""
        raise self._needs("vmap", "batch", "batch_dim_rule")


class GradAccum:
    """What an operation gives the cotangent of an argument to."""

    def __init__(self, aval: Any):
        self.aval = aval
        self.total: Any = Zero(aval)

    def accum(self, ct: Any) -> None:
        """Add a cotangent; None and `Zero` say nothing."""
        if ct is not None and type(ct) is not Zero:
            self.total = add_tangents(self.total, ct)


class NullAccum(GradAccum):
    """For an argument whose cotangent nobody asks for."""

    def accum(self, ct: Any) -> None:
        """Forget it."""


class Mapped(VJPHiPrimitive):
    """An operation over an axis of its arguments."""

    def __init__(self, prim: VJPHiPrimitive, size: int, dims: tuple, out_dim: Any, args: tuple):
        self.in_avals = tree.map(aval_of, args)
        self.out_aval = tree.map(
            lambda aval, d: aval if d is None else aval.update(
                shape=(*aval.shape[:d], size, *aval.shape[d:])),
            prim.out_aval, _spread(out_dim, prim.out_aval))
        self.params = dict(prim=prim, size=size, dims=dims, out_dim=out_dim)
        super().__init__()

    def _over(self, fun: Callable, in_dims: Any, out_dims: Any) -> Callable:
        return vmap(fun, in_dims, out_dims, axis_size=self.size)

    def expand(self, *args: Any) -> Any:
        return self._over(self.prim.expand, self.dims, self.out_dim)(*args)

    def jvp(self, primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
        both = self._over(self.prim.jvp, (tuple(self.dims),) * 2, (self.out_dim,) * 2)
        return both(tuple(primals), tuple(map(instantiate_zeros, tangents)))

    def vjp_fwd(self, nzs_in: Sequence[bool], /, *args: Any) -> tuple:
        return self._over(lambda *xs: self.prim.vjp_fwd(nzs_in, *xs), self.dims,
                          (self.out_dim, 0))(*args)

    def vjp_bwd_retval(self, res: Any, outgrad: Any, /) -> tuple:
        def one(res: Any, ct: Any) -> tuple:
            accums = [GradAccum(aval.to_tangent_aval()) for aval in self.prim.in_avals]
            self.prim.vjp_bwd(res, ct, *accums)
            return tuple(instantiate_zeros(accum.total) for accum in accums)

        cts = self._over(one, (0, self.out_dim), 0)(res, outgrad)
        return tuple(ct.sum(0) if d is None else _moved(ct, d) for ct, d in zip(cts, self.dims))

    def batch_dim_rule(self, axis_data: AxisData, dims: tuple, /) -> Any:
        inner = tuple(d if own is None or d is None else d - (d > own)
                      for d, own in zip(dims, self.dims))
        out = self.prim.batch_dim_rule(axis_data, inner)
        return out if self.out_dim is None or out is None else out + (out >= self.out_dim)


def _moved(x: Any, dim: int) -> Any:
    order = list(range(1, x.ndim))
    order.insert(dim, 0)
    return x.transpose(order)


def _spread(dims: Any, full: Any) -> Any:
    """`dims`, a prefix of the tree `full`, for each of its leaves."""
    leaves = tree.broadcast_prefix(dims, full, is_leaf=lambda d: d is None)
    return tree.structure(full).unflatten(leaves)


def _expand(*leaves: Any, _prim: VJPHiPrimitive) -> list:
    return tree.leaves(_prim.expand(*_prim.in_tree.unflatten(leaves)))


def _call_jvp(primals: Sequence[Any], tangents: Sequence[Any], *, _prim: VJPHiPrimitive) -> tuple:
    outs = _prim.jvp(_prim.in_tree.unflatten(primals), _prim.in_tree.unflatten(tangents))
    return tuple(tree.leaves(out, is_leaf=_is_zero) for out in outs)


def _is_zero(x: Any) -> bool:
    return type(x) is Zero


def _call_linearize(primals: Sequence[Any], tangents: Sequence[Any], *,
                    _prim: VJPHiPrimitive) -> tuple:
    given = _prim.in_tree.unflatten(primals)
    nonzero = tuple(type(t) is not Zero for t in tangents)
    nzs = _prim.in_tree.unflatten(nonzero)
    if _prim._has("lin"):
        out, res = _prim.lin(nzs, *given)
        tangent = _prim.linearized(res, *_prim.in_tree.unflatten(tangents))
        return tree.leaves(out), tree.leaves(tangent, is_leaf=_is_zero)
    if not _prim._has("vjp_fwd"):
        if _prim._has("jvp"):
            return _call_jvp(primals, tangents, _prim=_prim)
        raise _prim._needs("grad", "vjp_fwd")
    out, res = _prim.vjp_fwd(nzs, *given)
    residuals, structure = tree.flatten(res)
    live = [t for t, nz in zip(tangents, nonzero) if nz]
    return tree.leaves(out), hi_linear_p.bind(*residuals, *live, prim=_prim, structure=structure,
                                              nonzero=nonzero)


def _call_vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[Any], *,
               _prim: VJPHiPrimitive) -> tuple:
    out, out_dim = _prim.batch(axis, _prim.in_tree.unflatten(args),
                               _prim.in_tree.unflatten(dims))
    return tree.leaves(out), tree.leaves(_spread(out_dim, out), is_leaf=lambda d: d is None)


def _call_transpose(cts: Sequence[Any], *args: Any, _prim: VJPHiPrimitive) -> list:
    if not hasattr(_prim, "transpose"):
        raise _prim._needs("transpose", "transpose")
    accums = [GradAccum(x.aval) if type(x) is Linear else x for x in args]
    _prim.transpose(_prim.out_tree.unflatten([instantiate_zeros(ct) for ct in cts]),
                    *_prim.in_tree.unflatten(accums))
    return [accum.total if type(x) is Linear else None for accum, x in zip(accums, args)]


call_hi_primitive_p = Primitive(
    "call_hi_primitive", shape=lambda *_, _prim: (_prim.out_avals_flat, _prim.effects),
    multiple_results=True, effectful=True, decompose=_expand, impl=_expand, jvp=_call_jvp,
    linearize=_call_linearize, vmap=_call_vmap, transpose=_call_transpose)


def _linear_shape(*_: Any, prim: VJPHiPrimitive, **__: Any) -> list:
    return [aval.to_tangent_aval() for aval in prim.out_avals_flat]


def _linear_transpose(cts: Sequence[Any], *args: Any, prim: VJPHiPrimitive, structure: Any,
                      nonzero: tuple[bool, ...]) -> list:
    count = structure.num_leaves
    accums = [(GradAccum if nz else NullAccum)(aval.to_tangent_aval())
              for nz, aval in zip(nonzero, prim.in_avals_flat)]
    prim.vjp_bwd(structure.unflatten(args[:count]),
                 prim.out_tree.unflatten([instantiate_zeros(ct) for ct in cts]),
                 *prim.in_tree.unflatten(accums))
    return [None] * count + [accum.total for accum, nz in zip(accums, nonzero) if nz]


def _linear_run(*args: Any, prim: VJPHiPrimitive, **_: Any) -> list:
    raise prim._needs("linearize", "lin` and `linearized")


# The tangents' part of an operation with `vjp_fwd`: it is there to be transposed.
hi_linear_p = Primitive("hi_linear", shape=_linear_shape, multiple_results=True,
                        decompose=_linear_run, impl=_linear_run, transpose=_linear_transpose)


# --- Types --------------------------------------------------------------------------------------


class MutableHiType(HiType):
    """The base of types of values that change; what changes is quasi-dynamic data (QDD)."""


class AvalQDD:
    """A type together with its quasi-dynamic data."""

    def __init__(self, aval: Any, qdd: Any):
        self.aval = aval
        self.qdd = qdd


class AvalMutableQDD:
    """A type together with a place where its quasi-dynamic data is kept up to date."""

    def __init__(self, aval: Any, mutable_qdd: Any):
        self.aval = aval
        self.mutable_qdd = mutable_qdd


class aval_property:
    """A property of tracers, written in the class of their type; it gets the tracer."""

    def __init__(self, fget: Callable[[Any], Any]):
        self.fget = fget


class aval_method:
    """A method of tracers, written in the class of their type; it gets the tracer."""

    def __init__(self, fun: Callable[..., Any]):
        self.fun = fun


def register_hitype(val_cls: type, typeof_fn: Callable[[Any], Any]) -> None:
    """Let `jax.typeof` answer for values of a class."""
    register_aval(val_cls, typeof_fn)
