"""What transformations need of operations: rule combinators, and the six ops core itself binds.

A rule written with a combinator serves every mode: in `each_operand(lambda g, out, x: mul(g,
cos(x)))` forward mode runs both ops, while reverse mode computes `cos(x)` at once and records only
the `mul`, because only `g` is linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import config, dtypes, errors
from minijax.core.avals import ShapedArray, Zero, zero_tangent
from minijax.core.placement import Where, cotangent_aval, over_batch, with_sharding
from minijax.core.primitive import Deferred, Dims, Primitive, Values
from minijax.core.trace import aval_of, entered, eval_trace

# --- Combinators for the `jvp` field -----------------------------------------------------------


def each_operand(*terms: Callable | None) -> Deferred:
    """The rule that adds one term for each operand with a tangent.

    `term(g, out, *primals, **params)` is the contribution of one operand's tangent `g`; None marks
    an operand that the result does not depend on differentiably.
    """
    def make(primitive: Primitive) -> Callable:
        def jvp(primals: Values, tangents: Values, **params: Any) -> tuple:
            out = primitive.bind(*primals, **params)
            total = None
            for tangent, term in zip(tangents, terms):
                if type(tangent) is not Zero and term is not None:
                    part = term(tangent, out, *primals, **params)
                    total = part if total is None else add_tangents(total, part)
            return out, zero_tangent(out) if total is None else total
        return jvp
    return Deferred(make)


@Deferred
def linear(primitive: Primitive) -> Callable:
    """The operation applied to the tangents, zeros filled in."""
    def jvp(primals: Values, tangents: Values, **params: Any) -> tuple:
        out = primitive.bind(*primals, **params)
        if all(type(t) is Zero for t in tangents):
            return out, _zero_tangents(primitive, out)
        return out, primitive.bind(*[instantiate(t) for t in tangents], **params)
    return jvp


@Deferred
def nondifferentiable(primitive: Primitive) -> Callable:
    """The derivative is zero or undefined."""
    def jvp(primals: Values, tangents: Values, **params: Any) -> tuple:
        out = primitive.bind(*primals, **params)
        return out, _zero_tangents(primitive, out)
    return jvp


def _zero_tangents(primitive: Primitive, out: Any) -> Any:
    return list(map(zero_tangent, out)) if primitive.multiple_results else zero_tangent(out)


def add_tangents(x: Any, y: Any) -> Any:
    """The sum of two tangents or cotangents, either of which may be a `Zero`."""
    if type(x) is Zero:
        return y
    return x if type(y) is Zero else add_any_p.bind(x, y)


def instantiate(tangent: Any) -> Any:
    """`tangent`, with a symbolic zero made an array of zeros."""
    return zeros(tangent.aval) if type(tangent) is Zero else tangent


def zeros(aval: Any) -> Any:
    """An array of zeros of the given type."""
    if hasattr(aval, "vspace_zero"):  # a library's own type
        with entered(eval_trace):
            return aval.vspace_zero()
    if aval.dtype == dtypes.float0:
        return np.zeros(aval.shape, dtypes.float0)
    if isinstance(aval.dtype, dtypes.ExtendedDType):
        return aval.dtype.zeros(aval.shape)
    zero = np.zeros((), aval.dtype)
    zero = zero.item() if aval.weak_type and aval_of(zero.item()).dtype == aval.dtype else zero[()]
    out = broadcast_in_dim(zero, aval.shape, ()) if aval.shape else zero
    if aval.placement is None:
        return out
    split = aval.placement.sharding
    if split is not None and len(split.spec) != aval.ndim:  # of a value of another rank
        aval = with_sharding(aval, None)
    return conform(out, aval)


def instantiate_cotangent(x: Any) -> Any:
    """`instantiate` for cotangents, whose zeros carry the types of primal values."""
    return zeros(cotangent_aval(x.aval)) if type(x) is Zero else x


def conform(x: Any, aval: Any) -> Any:
    """`x` placed as values of the type `aval` are."""
    for primitive, params in Where.casts(aval_of(x), aval):
        out = primitive.bind(x, **params)
        x = out[0] if primitive.multiple_results else out
    return x


# --- Combinators for the `vmap` field, and moving axes -----------------------------------------


@Deferred
def pointwise(primitive: Primitive) -> Callable:
    """Elementwise: batch axes aligned, scalars left alone."""
    primitive.pointwise = True

    def vmap(axis: Any, args: Values, dims: Dims, /, **params: Any) -> tuple:
        if len(args) == 1:
            return primitive.bind(args[0], **params), dims[0]
        args, dim = align(args, dims)
        return primitive.bind(*args, **params), dim
    return vmap


def align(args: Values, dims: Dims) -> tuple[list, int]:
    """Operands of an elementwise operation with their batch axes at one place, and that place.

    Operands of logical rank 0 stay scalars when not batched; others get a new axis of size 1.
    """
    ranks = [aval_of(x).ndim - (d is not None) for x, d in zip(args, dims)]
    rank = max(ranks)
    dim = next((d for d, r in zip(dims, ranks) if d is not None and r == rank), 0)
    out = []
    for x, d, r in zip(args, dims, ranks):
        if d is None:
            if r and r == rank:
                shape = aval_of(x).shape
                x = expand(x, (*shape[:dim], 1, *shape[dim:]), dim)
        elif r == rank:
            x = move_axis(x, d, dim)
        else:  # a batched scalar against arrays
            size = aval_of(x).shape[0]
            x = broadcast_in_dim(x, (1,) * dim + (size,) + (1,) * (rank - dim), (dim,))
        out.append(x)
    return out, dim


def expand(x: Any, shape: tuple[int, ...], new: int) -> Any:
    """`x` repeated along a new axis at `new`; `shape` is the resulting shape."""
    kept = tuple(i for i in range(len(shape)) if i != new)
    return broadcast_in_dim(x, shape, kept)


def front_axis(fun: Callable) -> Callable:
    """A `vmap` rule from `fun(axis, args, batched, **params) -> out`, batch axes at 0."""
    def vmap(axis: Any, args: Values, dims: Dims, /, **params: Any) -> tuple:
        moved = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims)]
        out = fun(axis, moved, [d is not None for d in dims], **params)
        return (out, [0] * len(out)) if isinstance(out, (list, tuple)) else (out, 0)
    return vmap


def move_axis(x: Any, src: int, dst: int) -> Any:
    """`x` with its axis `src` moved to `dst`."""
    ndim = aval_of(x).ndim
    src, dst = src % ndim, dst % ndim
    if src == dst:
        return x
    order = [i for i in range(ndim) if i != src]
    order.insert(dst, src)
    return transpose(x, tuple(order))


def materialize(x: Any, dim: int | None, axis_size: int, at: int = 0) -> Any:
    """`x` with its batch axis at `at`, made by repetition if it has none."""
    if dim is not None:
        return move_axis(x, dim, at)
    shape = aval_of(x).shape
    at = at % (len(shape) + 1)
    return expand(x, (*shape[:at], axis_size, *shape[at:]), at)


# --- add_any -----------------------------------------------------------------------------------

def _add_any_shape(x: ShapedArray, y: ShapedArray) -> ShapedArray:
    if x.shape != y.shape or x.dtype != y.dtype:
        raise TypeError(f"add_any of different types: {x.str_short()} and {y.str_short()}")
    return x if y.weak_type or not x.weak_type else y


def _add_any_vmap(axis: Any, args: Values, dims: Dims) -> tuple:
    dim = next(d for d in dims if d is not None)
    return add_any_p.bind(*[materialize(x, d, axis.size, dim) for x, d in zip(args, dims)]), dim


add_any_p = Primitive("add_any", shape=_add_any_shape, jvp=linear, vmap=_add_any_vmap,
                      transpose=lambda ct, x, y: [ct, ct])


# --- broadcast_in_dim --------------------------------------------------------------------------


def _broadcast_in_dim_shape(x: ShapedArray, *, shape: tuple, broadcast_dimensions: tuple,
                            sharding: Any) -> ShapedArray:
    dims = broadcast_dimensions
    fail = None
    if len(dims) != x.ndim:
        fail = f"operand ndim must equal length of broadcast_dimensions, got {x.ndim} and {dims}"
    elif any(b <= a for a, b in zip(dims, dims[1:])) or any(not 0 <= d < len(shape) for d in dims):
        fail = (f"broadcast_dimensions must be strictly increasing and in range({len(shape)}), "
                f"got {dims}")
    elif any(n not in (1, shape[d]) for n, d in zip(x.shape, dims)):
        fail = f"operand of shape {x.shape} does not fit into {shape} at dimensions {dims}"
    if fail:
        raise TypeError(errors.describe(
            f"broadcast_in_dim {fail}",
            fix="give each operand dimension a place in the result with its own size, or 1"))
    return x.update(shape=shape)


def _broadcast_in_dim_transpose(ct: Any, x: Any, *, shape: tuple, broadcast_dimensions: tuple,
                                sharding: Any) -> Any:
    aval = x.aval
    stretched = {d for n, d in zip(aval.shape, broadcast_dimensions) if n == 1 != shape[d]}
    summed = tuple(i for i in range(len(shape)) if i not in broadcast_dimensions or i in stretched)
    split = cotangent_aval(aval).placement
    if summed:
        asked = None if stretched or split is None else split.sharding
        ct = reduce_sum_p.bind(ct, axes=summed, out_sharding=asked)
    return reshape(ct, aval.shape) if stretched else ct


def _broadcast_in_dim_vmap(axis: Any, args: Values, dims: Sequence[int], *, shape: tuple,
                           broadcast_dimensions: tuple, sharding: Any) -> tuple:
    x = move_axis(args[0], dims[0], 0)
    out = broadcast_in_dim_p.bind(
        x, shape=(axis.size, *shape), sharding=over_batch(sharding, 0, axis),
        broadcast_dimensions=(0, *[d + 1 for d in broadcast_dimensions]))
    return out, 0


broadcast_in_dim_p = Primitive(
    "broadcast_in_dim", shape=_broadcast_in_dim_shape, jvp=linear,
    transpose=_broadcast_in_dim_transpose, vmap=_broadcast_in_dim_vmap)


def broadcast_in_dim(x: Any, shape: tuple[int, ...], dims: tuple[int, ...]) -> Any:
    """`x` repeated into `shape`; operand axis i becomes axis `dims[i]`."""
    return broadcast_in_dim_p.bind(x, shape=shape, broadcast_dimensions=dims, sharding=None)


# --- reshape, transpose ------------------------------------------------------------------------


def _reshape_shape(x: ShapedArray, *, new_sizes: tuple, dimensions: Any,
                   sharding: Any) -> ShapedArray:
    if any(d < 0 for d in new_sizes) or math.prod(new_sizes) != x.size:
        raise TypeError(errors.describe(
            f"reshape total size must be unchanged, got new_sizes {new_sizes} "
            f"(total size {math.prod(new_sizes)}) for shape {x.shape} (total size {x.size}).",
            fix="choose sizes whose product is the number of elements; "
                "jnp.reshape accepts one -1"))
    return x.update(shape=new_sizes)


def _reshape_vmap(axis: Any, args: Values, dims: Sequence[int], *, new_sizes: tuple,
                  dimensions: Any, sharding: Any) -> tuple:
    return reshape_p.bind(move_axis(args[0], dims[0], 0), new_sizes=(axis.size, *new_sizes),
                          dimensions=None, sharding=over_batch(sharding, 0, axis)), 0


reshape_p = Primitive(
    "reshape", shape=_reshape_shape, jvp=linear, vmap=_reshape_vmap,
    transpose=lambda ct, x, **_: reshape_p.bind(
        ct, new_sizes=x.aval.shape, dimensions=None,
        sharding=x.aval.placement and cotangent_aval(x.aval).placement.sharding))


def reshape(x: Any, shape: tuple[int, ...]) -> Any:
    """`x` in row-major order with another shape."""
    return reshape_p.bind(x, new_sizes=shape, dimensions=None, sharding=None)


def _transpose_shape(x: ShapedArray, *, permutation: tuple) -> ShapedArray:
    if sorted(permutation) != list(range(x.ndim)):
        raise TypeError(errors.describe(
            "transpose permutation isn't a permutation of operand dimensions, "
            f"got permutation {permutation} for operand shape {x.shape}.",
            fix=f"name each of the axes 0..{x.ndim - 1} once"))
    return x.update(shape=tuple(x.shape[i] for i in permutation))


def _transpose_vmap(axis: Any, args: Values, dims: Sequence[int], *, permutation: tuple) -> tuple:
    d = dims[0]
    return transpose(args[0], (d, *[i + (i >= d) for i in permutation])), 0


def _invert(permutation: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(range(len(permutation)), key=permutation.__getitem__))


transpose_p = Primitive(
    "transpose", shape=_transpose_shape, jvp=linear, vmap=_transpose_vmap,
    transpose=lambda ct, x, *, permutation: transpose(ct, _invert(permutation)))


def transpose(x: Any, permutation: tuple[int, ...]) -> Any:
    """`x` with axis `permutation[i]` at place i."""
    return transpose_p.bind(x, permutation=permutation)


# --- reduce_sum --------------------------------------------------------------------------------


def _reduce_sum_shape(x: ShapedArray, *, axes: tuple, out_sharding: Any) -> ShapedArray:
    if len(set(axes)) != len(axes):
        raise ValueError(errors.describe(
            f"duplicate value in 'axes' of reduction: {axes}", fix="name each axis once"))
    if any(not 0 <= a < x.ndim for a in axes):
        raise ValueError(errors.describe(
            f"reduction axes {axes} contains out-of-bounds indices for "
            f"{x.str_short(short_dtypes=False)}.", fix="use jnp.sum for negative axes"))
    if not dtypes.issubdtype(x.dtype, np.number):
        raise TypeError(errors.describe(
            f"reduce_sum does not accept dtype {x.dtype.name}. Accepted dtypes are subtypes of "
            "number.", fix="use jnp.sum, or x.astype(int)"))
    if (x.dtype.name in ("float16", "bfloat16") and not config.allow_f16_reductions.value
            and any(x.shape[a] != 1 for a in axes)):
        raise ValueError(errors.describe(
            f"reduce_sum on operand {x.str_short()} is not allowed when "
            "jax_allow_f16_reductions=False.", fix="sum in float32: x.astype('float32')"))
    return x.update(shape=tuple(n for i, n in enumerate(x.shape) if i not in axes))


def _reduce_sum_transpose(ct: Any, x: Any, *, axes: tuple, out_sharding: Any) -> Any:
    kept = tuple(i for i in range(x.aval.ndim) if i not in axes)
    return broadcast_in_dim(ct, x.aval.shape, kept)


@Deferred
def reduce_axes(primitive: Primitive) -> Callable:
    """The `vmap` rule of a reduction over the parameter `axes`."""
    def vmap(axis: Any, args: Values, dims: Sequence[int], *, axes: tuple, **params: Any) -> tuple:
        d = dims[0]
        shifted = tuple(a + (a >= d) for a in axes)
        out_dim = d - sum(a < d for a in shifted)
        if params.get("out_sharding") is not None:
            params["out_sharding"] = over_batch(params["out_sharding"], out_dim, axis)
        return primitive.bind(args[0], axes=shifted, **params), out_dim
    return vmap


reduce_sum_p = Primitive("reduce_sum", shape=_reduce_sum_shape, jvp=linear,
                         transpose=_reduce_sum_transpose, vmap=reduce_axes)
config.allow_f16_reductions.on_change(lambda *_: reduce_sum_p._types.clear())


def reduce_sum(x: Any, axes: tuple[int, ...]) -> Any:
    """The sum of `x` over `axes`."""
    return reduce_sum_p.bind(x, axes=axes, out_sharding=None) if axes else x


# --- convert_element_type ----------------------------------------------------------------------


def _convert_shape(x: ShapedArray, *, new_dtype: Any, weak_type: bool,
                   sharding: Any) -> ShapedArray:
    both = x.dtype, new_dtype
    old, new = [getattr(t, "primal_dtype", t) for t in both]
    if old != new and any(isinstance(t, dtypes.ExtendedDType) for t in both):
        raise TypeError(errors.describe(
            f"convert_element_type does not accept dtype {x.dtype} at position 0 "
            f"for the target {new_dtype}.", fix="use jax.random.key_data to see a key as integers"))
    return ShapedArray(x.shape, new_dtype, weak_type)


def _convert_jvp(primals: Values, tangents: Values, *, new_dtype: Any, **params: Any) -> tuple:
    out = convert_element_type_p.bind(*primals, new_dtype=new_dtype, **params)
    dtype = getattr(new_dtype, "tangent_dtype", new_dtype)
    if type(tangents[0]) is Zero or not dtypes.issubdtype(dtype, np.inexact):
        return out, Zero(aval_of(out).to_tangent_aval())
    return out, convert_element_type_p.bind(*tangents, new_dtype=dtype, **params)


def _convert_transpose(ct: Any, x: Any, **_: Any) -> Any:
    return convert_element_type(ct, x.aval.dtype, x.aval.weak_type)


convert_element_type_p = Primitive("convert_element_type", shape=_convert_shape, jvp=_convert_jvp,
                                   transpose=_convert_transpose, vmap=pointwise,
                                   physical=lambda avals, x, **_: x)


def convert_element_type(x: Any, dtype: Any, weak_type: bool = False) -> Any:
    """`x` with another dtype (complex to real is spelled out by lax)."""
    aval = aval_of(x)
    if aval.dtype == dtype and aval.weak_type == weak_type:
        return x
    return convert_element_type_p.bind(x, new_dtype=dtype, weak_type=weak_type, sharding=None)
