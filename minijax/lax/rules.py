"""Rules and small values that the families of `lax` share, the elementwise ones most of all.

The one invariant: elementwise operands have one dtype, and shapes that are equal, of rank 0, or of
equal rank with sizes 1; anything else is the user's mistake and named as such. The checks run in
`shape` rules, whose results are cached, so a user function is a single call of `bind`.

    sin_p = unary("sin", INEXACT, each_operand(lambda g, out, x: mul(g, cos(x))))
    add_p = binary("add", NUMBER, jvp=..., transpose=..., tip="add")
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array, NamedSharding
from minijax.core import (Dims, Primitive, ShapedArray, Values, Zero, aval_of, broadcast_in_dim,
                          conform, instantiate, pointwise, reduce_sum, reshape, zero_tangent)
from minijax.core.primitive import Deferred
from minijax.sharding import AxisType
from minijax.sharding.context import get_abstract_mesh, named
from minijax.sharding.spec import axes_of

ArrayLike = Array | np.ndarray | np.generic | bool | int | float | complex

# What an operation accepts: names of abstract NumPy types, in the order in which they are shown.
INTEGER = ("integer",)
FLOATING = ("floating",)
COMPLEX = ("complexfloating",)
INEXACT = FLOATING + COMPLEX
NUMBER = INTEGER + INEXACT
REAL = INTEGER + FLOATING
ORDERED = REAL + ("bool",)
BITWISE = INTEGER + ("bool",)
ANY = NUMBER + ("bool",)
EVERY = ANY + ("extended",)

_ABSTRACT = {
    "number": np.number, "integer": np.integer, "signedinteger": np.signedinteger,
    "floating": np.floating, "complexfloating": np.complexfloating, "bool": np.bool_,
    "float32": np.float32, "float64": np.float64, "extended": dtypes.extended,
}


def asked(given: Any, name: str, anywhere: bool = False) -> Any:
    """The sharding that a user asks of a result, over explicit axes of the mesh in context.

    ValueError for other axes and, but with `anywhere`, for another mesh.
    """
    sharding = None if given is None else named(given)
    if not isinstance(sharding, NamedSharding):
        return sharding
    mesh, context = sharding.mesh, get_abstract_mesh()
    if not (anywhere or context.empty or mesh.abstract_mesh == context):
        raise ValueError(errors.describe(
            f"Context mesh {context} should match the mesh of sharding {mesh.abstract_mesh} passed "
            f"to {name}", fix="out_sharding=P(...), which is over the context mesh"))
    kinds = dict(zip(mesh.axis_names, mesh.axis_types))
    for axis in [a for axes in axes_of(sharding.spec.partitions) for a in axes]:
        if kinds[axis] is not AxisType.Explicit:
            raise ValueError(errors.describe(
                f"PartitionSpec passed to {name} cannot contain axis names that are of type Auto "
                f"or Manual. Got PartitionSpec: {sharding.spec} with axis name: {axis} of type: "
                f"{kinds[axis]}", fix="lax.with_sharding_constraint, or a mesh of explicit axes"))
    return sharding


def remembered(count: int) -> Callable:
    """`lru_cache` for functions of shapes, which may be lists; lists have no hash."""
    def decorate(fun: Callable) -> Callable:
        cached = lru_cache(maxsize=count)(fun)

        @wraps(fun)
        def call(*given: Any) -> Any:
            try:
                return cached(*given)
            except TypeError:  # perhaps of `fun` itself, which then raises it again
                pass
            return fun(*given)
        return call
    return decorate


def accepts(dtype: Any, kinds: Sequence[str]) -> bool:
    """Whether `dtype` is a subtype of one of the named abstract types."""
    return any(dtypes.issubdtype(dtype, _ABSTRACT[kind]) for kind in kinds)


def check_dtype(name: str, dtype: Any, kinds: Sequence[str], where: str = "") -> None:
    """TypeError unless the operation `name` accepts `dtype`; `where` is " at position 0"."""
    if not accepts(dtype, kinds):
        raise TypeError(errors.describe(
            f"{name} does not accept dtype {dtype.name}{where}. "
            f"Accepted dtypes{where} are subtypes of {', '.join(kinds)}.",
            fix="convert the operand, e.g. lax.convert_element_type(x, jnp.float32)"))


def check_same_dtypes(name: str, avals: Sequence[ShapedArray], tip: str = "") -> None:
    """TypeError unless all avals have one dtype; `tip` is the jnp function that promotes."""
    first = avals[0].dtype
    if any(a.dtype != first for a in avals[1:]):
        names = ", ".join(a.dtype.name for a in avals)
        hint = (f" (Tip: jnp.{tip} is a similar function that does automatic type promotion on "
                "inputs)." if tip else "")
        raise TypeError(errors.describe(
            f"lax.{name} requires arguments to have the same dtypes, got {names}.{hint}",
            fix=f"call jnp.{tip}, or convert with lax.convert_element_type" if tip
                else "convert the operands with lax.convert_element_type"))


def joint_shape(name: str, avals: Sequence[ShapedArray]) -> tuple[int, ...]:
    """The shape of an elementwise result: equal shapes, rank 0, or equal ranks with sizes 1."""
    shape = avals[0].shape
    if all(a.shape == shape for a in avals[1:]):
        return shape
    shapes = [a.shape for a in avals if a.ndim]
    ranks = {len(s) for s in shapes}
    if len(ranks) > 1:
        raise TypeError(errors.describe(
            f"{name}: arrays must have the same number of dimensions, got {ranks}",
            because=f"the shapes are {', '.join(str(a.shape) for a in avals)}",
            fix="use the jnp function of that name, which broadcasts like NumPy"))
    result = tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*shapes))
    if any(n not in (1, m) for s in shapes for n, m in zip(s, result)):
        raise TypeError(errors.describe(
            f"{name} got incompatible shapes for broadcasting: "
            f"{', '.join(str(a.shape) for a in avals)}.",
            fix="make the sizes of each axis equal, or 1"))
    return result


def same_shape(name: str, kinds: Sequence[str],
               dtype: Callable[[Any], Any] | None = None) -> Callable[..., ShapedArray]:
    """The shape rule of a unary operation; its result's dtype is `dtype(x.dtype)`, or that of x."""
    def shape(x: ShapedArray, **params: Any) -> ShapedArray:
        check_dtype(name, x.dtype, kinds)
        return x if dtype is None else x.update(dtype=np.dtype(dtype(x.dtype)))
    return shape


def broadcasting(name: str, *kinds: Sequence[str], tip: str = "",
                 dtype: Callable[[Any], Any] | None = None) -> Callable[..., ShapedArray]:
    """The shape rule of an n-ary elementwise operation; `kinds` has one entry per operand."""
    def shape(*avals: ShapedArray, **params: Any) -> ShapedArray:
        result = joint_shape(name, avals)
        for i, (aval, kind) in enumerate(zip(avals, kinds)):
            check_dtype(name, aval.dtype, kind, f" at position {i}")
        check_same_dtypes(name, avals, tip)
        out = avals[0].dtype if dtype is None else np.dtype(dtype(avals[0].dtype))
        return like_any(avals, result, out)
    return shape


def like_any(avals: Sequence[ShapedArray], shape: tuple[int, ...], dtype: Any) -> ShapedArray:
    """The aval of a result: weak when all operands are, placed as the first operand that is."""
    placement = next((a.placement for a in avals if a.placement is not None), None)
    return ShapedArray(shape, dtype, all([a.weak_type for a in avals]), placement)


def unary(name: str, kinds: Sequence[str], jvp: Any, *, dtype: Callable[[Any], Any] | None = None,
          **rules: Any) -> Primitive:
    """An elementwise operation of one operand."""
    return Primitive(name, shape=same_shape(name, kinds, dtype), jvp=jvp, vmap=pointwise, **rules)


def binary(name: str, kinds: Sequence[str], *, jvp: Any = None, tip: str = "",
           dtype: Callable[[Any], Any] | None = None, **rules: Any) -> Primitive:
    """An elementwise operation of two operands of one dtype."""
    shape = broadcasting(name, kinds, kinds, tip=tip, dtype=dtype)
    return Primitive(name, shape=shape, jvp=jvp, vmap=pointwise, **rules)


# --- Combinators for rules ---------------------------------------------------------------------


@Deferred
def linear_in_values(primitive: Primitive) -> Callable:
    """`linear` for operations with indices or predicates, operands without tangents: these stay."""
    def jvp(primals: Values, tangents: Values, **params: Any) -> tuple:
        out = primitive.bind(*primals, **params)
        if all(type(t) is Zero for t in tangents):
            return out, zero_tangent(out)
        moved = [x if type(t) is Zero and t.aval.dtype == dtypes.float0 else instantiate(t)
                 for x, t in zip(primals, tangents)]
        return out, primitive.bind(*moved, **params)
    return jvp


def along(axis: str) -> Deferred:
    """The `vmap` rule of an operation on one operand along the axis that the parameter names.

    The mapped axis stays where it is, in all results.
    """
    def make(primitive: Primitive) -> Callable:
        def vmap(mapped: Any, args: Values, dims: Dims, **params: Any) -> tuple:
            (x,), (dim,) = args, dims
            params[axis] += params[axis] >= dim
            out = primitive.bind(x, **params)
            return (out, [dim] * len(out)) if primitive.multiple_results else (out, dim)
        return vmap
    return Deferred(make)


def no_rule(error: type[Exception], text: str, fix: str, because: str | None = None) -> Callable:
    """A rule, or one of its terms, that says why there is none."""
    def refuse(*args: Any, **params: Any) -> Any:
        raise error(errors.describe(text, because=because, fix=fix))
    return refuse


# --- Constants and broadcasting inside rules ---------------------------------------------------

_PYTHON = {"f": float, "i": int, "u": int, "c": complex, "b": bool}


@lru_cache(maxsize=4096)
def _scalar(dtype: Any, value: Any) -> Any:
    return np.asarray(value).astype(dtype)[()]


def scalar_like(x: Any, value: Any) -> Any:
    """The number `value` as a literal with the dtype (and weak type) of `x`."""
    aval = aval_of(x)
    dtype = aval.dtype
    if aval.weak_type and dtype.kind in _PYTHON:
        kind = _PYTHON[dtype.kind]
        if dtypes.scalar_dtype(kind) == dtype:
            return kind(value)
    return _scalar(dtype, value)


def fill_like(x: Any, value: Any) -> Any:
    """An array of the shape and dtype of `x` with `value` everywhere."""
    value, aval = scalar_like(x, value), aval_of(x)
    out = broadcast_in_dim(value, aval.shape, ()) if aval.shape else value
    return out if aval.placement is None else conform(out, aval)


def broadcast_to(x: Any, shape: tuple[int, ...]) -> Any:
    """`x`, of rank 0 or with sizes 1, repeated to `shape`."""
    have = aval_of(x).shape
    if have == shape:
        return x
    return broadcast_in_dim(x, shape, tuple(range(len(have))))


def unbroadcast(ct: Any, aval: ShapedArray) -> Any:
    """The cotangent of an operand of type `aval` that was repeated to the shape of `ct`."""
    if type(ct) is Zero:
        return Zero(aval)
    shape, have = aval.shape, aval_of(ct).shape
    if shape == have:
        return ct
    if not shape:
        return reduce_sum(ct, tuple(range(len(have))))
    stretched = tuple(i for i, (n, m) in enumerate(zip(shape, have)) if n != m)
    return reshape(reduce_sum(ct, stretched), shape)
