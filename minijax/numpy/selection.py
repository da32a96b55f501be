"""Elements chosen by position or by condition: take, nonzero, compress, choose and their kin.

Where the size of a result depends on values, `size=` fixes it (missing elements become
`fill_value`); without it the values must be known, and NumPy finds them.

    take(x, jnp.array([2, 0]), axis=1)
    nonzero(x > 0, size=5, fill_value=-1)
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.util import canonicalize_axis
from minijax.core import get_aval, is_tracer, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy import at, dtypes_api, host, indexing, promotion, ufuncs
from minijax.numpy.sorting import position_dtype
from minijax.runtime.call import fused

_INT32 = np.dtype(np.int32)


# --- take --------------------------------------------------------------------------------------


def take(a: ArrayLike, indices: ArrayLike, axis: int | None = None, out: None = None,
         mode: str | None = None, unique_indices: bool = False, indices_are_sorted: bool = False,
         fill_value: Any = None) -> Any:
    """`a` at positions along `axis` (None: of the flat array).

    mode: "fill" (default; positions outside give `fill_value`, NaN if None), "clip", "wrap".
    """
    promotion.refuse_out("take", out)
    if mode == "raise":
        raise NotImplementedError(errors.describe(
            "The 'raise' mode to jnp.take is not supported.", fix="mode='fill'"))
    if mode not in (None, "fill", "clip", "wrap"):
        raise ValueError(errors.describe(f"Invalid mode '{mode}' for np.take",
                                         fix="mode='fill', 'clip' or 'wrap'"))
    return _take(a, indices, (axis, mode, unique_indices, indices_are_sorted, fill_value))


@fused(static_argnums=2)
def _take(a: Any, indices: Any, options: tuple) -> Any:
    axis, mode, unique, is_sorted, fill_value = options
    indices = promotion.operand("take", indices, 1)
    a, axis = promotion.along("take", a, axis)
    dtype = get_aval(indices).dtype
    if dtype == np.bool_:
        indices = promotion.convert(indices, _INT32)
    elif not dtypes.issubdtype(dtype, np.integer):
        raise ValueError(errors.describe("indices must have an integer type",
                                         because=f"they have dtype {dtype}",
                                         fix="indices.astype(int)"))
    indices = promotion.as_array(indices)
    if not a.shape[axis] and indices.size:
        raise IndexError(errors.describe("Cannot do a non-empty jnp.take() from an empty axis.",
                                         because=f"axis {axis} of shape {a.shape} has no elements",
                                         fix="take from it only what has elements"))
    if mode == "wrap":
        indices = _modulo(indices, a.shape[axis])
        way, wrap = lax.GatherScatterMode.PROMISE_IN_BOUNDS, False
    else:
        way, wrap = lax.GatherScatterMode.from_any(mode), mode != "clip"
    form = [(0, n, 1) for n in a.shape]
    form[axis] = indexing.ARRAY
    return indexing.get(a, tuple(form), (indices,), mode=way, fill_value=fill_value, wrap=wrap,
                        unique_indices=unique, indices_are_sorted=is_sorted)


def _modulo(x: Any, size: int) -> Any:
    """`x` modulo size, in [0, size)."""
    x = indexing.cast_index(x, indexing.index_dtype((x,), (size,)))
    size = x.dtype.type(max(size, 1))
    rest = lax.rem(x, size)
    return lax.select(lax.lt(rest, x.dtype.type(0)), lax.add(rest, size), rest)


def take_along_axis(arr: ArrayLike, indices: ArrayLike, axis: int | None = -1, mode: Any = None,
                    fill_value: Any = None, *, wrap_negative_indices: bool | None = None) -> Any:
    """Elements at one position of `axis` for every position of the other axes.

    Other axes broadcast. `mode` as in `x.at[...].get`; the default is "fill" (with NaN).
    """
    wrap = True if wrap_negative_indices is None else wrap_negative_indices
    options = (axis, lax.GatherScatterMode.from_any(mode), fill_value, wrap)
    return _take_along_axis(arr, indices, options)


@fused(static_argnums=2)
def _take_along_axis(x: Any, indices: Any, options: tuple) -> Any:
    axis, mode, fill_value, wrap = options
    x, indices, axis = _along("take_along_axis", x, indices, axis)
    shape = list(lax.broadcast_shapes(*(np.delete(v.shape, axis) for v in (x, indices))))
    shape.insert(axis, indices.shape[axis])
    if 0 in shape:
        return lax.full(shape, 0, x.dtype)
    indices = indexing.wrapped(indices, x.shape[axis], wrap)
    batching, offsets, squeezed, lost = [], [], [], []
    for i, (n, m) in enumerate(zip(x.shape, indices.shape)):
        if i == axis:
            continue
        if m == n:
            batching.append(i)
        elif m == 1:
            offsets.append(i)
            lost.append(i)
        else:
            squeezed.append(i)
    kept = [i for i in range(x.ndim) if i not in squeezed]
    index_axes = [i for i in range(x.ndim) if i not in lost]
    x = lax.squeeze(x, tuple(squeezed)) if squeezed else x
    index_shape = tuple(indices.shape[i] for i in index_axes)
    place = kept.index(axis)
    dnums = lax.GatherDimensionNumbers(
        tuple(offsets), (place,), (place,),
        operand_batching_dims=tuple(kept.index(i) for i in batching),
        start_indices_batching_dims=tuple(index_axes.index(i) for i in batching))
    sizes = tuple(n if i in offsets else 1 for i, n in zip(kept, x.shape))
    return lax.gather(x, structural.reshape(indices, (*index_shape, 1)), dnums, sizes, mode=mode,
                      fill_value=fill_value)


def _along(name: str, x: Any, indices: Any, axis: int | None) -> tuple[Any, Any, int]:
    """Operands of equal rank, sizes checked, and the axis counted from the front."""
    x = promotion.array_operand(name, x)
    indices = promotion.array_operand(name, indices, 1)
    if not dtypes.issubdtype(indices.dtype, np.integer):
        raise TypeError(errors.describe(
            f"{name} indices must be of integer type, got {indices.dtype}",
            fix="indices.astype(int)"))
    if axis is None:
        if indices.ndim != 1:
            raise ValueError(errors.describe(
                f"{name} indices must be 1D if axis=None, got shape {tuple(indices.shape)}",
                fix="indices.ravel()"))
        return structural.reshape(x, (x.size,)), indices, 0
    axis = canonicalize_axis(axis, x.ndim)
    if x.ndim != indices.ndim:
        raise ValueError(errors.describe(
            f"indices and arr must have the same number of dimensions; {indices.ndim} vs. "
            f"{x.ndim}", fix="add axes of size 1 to the indices"))
    if any(i != axis and n != m and 1 not in (n, m)
           for i, (n, m) in enumerate(zip(x.shape, indices.shape))):
        raise ValueError(errors.describe(
            f"{name}: shapes {tuple(x.shape)} and {tuple(indices.shape)} do not broadcast "
            f"outside axis {axis}", fix="other axes must have equal sizes, or size 1"))
    return x, indices, axis


# --- put ---------------------------------------------------------------------------------------


def _not_inplace(name: str, inplace: bool) -> None:
    if inplace:
        raise ValueError(errors.describe(
            f"jax.numpy.{name} cannot modify arrays in-place, because JAX arrays are immutable. "
            "Pass inplace=False to instead return an updated array.",
            fix=f"x = jnp.{name}(x, ..., inplace=False)"))


def put_along_axis(arr: ArrayLike, indices: ArrayLike, values: ArrayLike, axis: int | None,
                   inplace: bool = True, *, mode: str | None = None) -> Any:
    """A copy of `arr` with values put where `take_along_axis` would read; needs inplace=False."""
    _not_inplace("put_along_axis", inplace)
    return _put_along_axis(arr, indices, values, (axis, mode))


@fused(static_argnums=3)
def _put_along_axis(x: Any, indices: Any, values: Any, options: tuple) -> Any:
    axis, mode = options
    x = promotion.operand("put_along_axis", x)
    shape = np.shape(x)
    x, indices, axis = _along("put_along_axis", x, indices, axis)
    wide = tuple(m if i == axis else max(n, m)
                 for i, (n, m) in enumerate(zip(x.shape, indices.shape)))
    dims = tuple(range(x.ndim))
    indices = structural.broadcast_in_dim(indices, wide, dims)
    index = tuple(indices if i == axis else np.arange(n, dtype=_INT32).reshape(
        [-1 if j == i else 1 for j in dims]) for i, n in enumerate(x.shape))
    out = at._IndexUpdateRef(x, index).set(values, mode=mode)
    return structural.reshape(out, shape) if tuple(out.shape) != tuple(shape) else out


def put(a: ArrayLike, ind: ArrayLike, v: ArrayLike, mode: str | None = None, *,
        inplace: bool = True) -> Any:
    """A copy of `a` with values (repeated as needed) at flat positions; needs inplace=False.

    mode: "clip" (default), "wrap", or as in `x.at[...].set`.
    """
    _not_inplace("put", inplace)
    a, ind, v = promotion.arguments("put", a, ind, v)
    if not np.size(a) or not np.size(ind) or not np.size(v):
        return promotion.as_array(a)
    return _put(a, ind, v, mode)


@fused(static_argnums=3)
def _put(x: Any, indices: Any, values: Any, mode: str | None) -> Any:
    x, indices, values = map(promotion.as_array, (x, indices, values))
    flat = structural.reshape(x, (x.size,))
    indices = structural.reshape(indices, (indices.size,))
    values = _repeated(values, indices.size)
    if mode == "wrap":
        indices, mode = _modulo(indices, x.size), None
    elif mode is None or mode == "clip":
        mode = None
        indices = indexing.wrapped(indices, x.size, True)
        indices = lax.clamp(indices.dtype.type(0), indices, indices.dtype.type(x.size - 1))
    out = at._IndexUpdateRef(flat, indices).set(values, mode=mode)
    return structural.reshape(out, x.shape)


def _repeated(x: Any, size: int) -> Any:
    """A vector of `size` elements: those of x repeated, and cut."""
    x = structural.reshape(x, (x.size,))
    x = lax.tile(x, (-(-size // x.size),)) if size > x.size else x
    return x if x.size == size else lax.slice(x, (0,), (size,))


def place(arr: ArrayLike, mask: ArrayLike, vals: ArrayLike, *, inplace: bool = True) -> Any:
    """A copy of `arr` with values, repeated as needed, where `mask`; needs inplace=False."""
    _not_inplace("place", inplace)
    arr, mask, vals = promotion.arguments("place", arr, mask, vals)
    if np.size(arr) != np.size(mask):
        raise ValueError(errors.describe("place: arr and mask must be the same size",
                                         because=f"{np.shape(arr)} and {np.shape(mask)}",
                                         fix="broadcast the mask first"))
    if not np.size(vals):
        if not np.size(arr):
            return promotion.as_array(arr)
        raise ValueError(errors.describe("Cannot place values from an empty array",
                                         fix="give at least one value"))
    return _place(arr, mask, vals)


@fused
def _place(x: Any, mask: Any, values: Any) -> Any:
    x = promotion.as_array(x)
    values = _repeated(promotion.as_array(values), x.size)
    flat = structural.reshape(x, (x.size,))
    positions = _nonzero.body(structural.reshape(promotion.as_array(mask), (x.size,)), x.size,
                              x.size)[0]
    return structural.reshape(at._IndexUpdateRef(flat, positions).set(values), x.shape)


def fill_diagonal(a: ArrayLike, val: ArrayLike, wrap: bool = False, *,
                  inplace: bool = True) -> Any:
    """A copy of `a` with the value(s) on its main diagonal; needs inplace=False."""
    if inplace:
        raise NotImplementedError(errors.describe(
            "JAX arrays are immutable, must use inplace=False",
            fix="x = jnp.fill_diagonal(x, value, inplace=False)"))
    if wrap:
        raise NotImplementedError(errors.describe(
            "wrap=True is not implemented, must use wrap=False", fix="wrap=False"))
    a, val = promotion.arguments("fill_diagonal", a, val)
    shape = np.shape(a)
    if len(shape) < 2:
        raise promotion.shape_error("array must be at least 2-d", a, "x.at[i].set(v)")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise promotion.shape_error("All dimensions of input must be of equal length", a,
                                    "index the diagonal with x.at[i, i, ...].set(v)")
    return _fill_diagonal(a, val)


@fused
def _fill_diagonal(x: Any, value: Any) -> Any:
    x = promotion.as_array(x)
    count = min(x.shape)
    if np.ndim(value):
        value = _repeated(promotion.as_array(value), count)
    return at._IndexUpdateRef(x, (np.arange(count, dtype=_INT32),) * x.ndim).set(
        value, unique_indices=True, indices_are_sorted=True)


# --- Positions of elements ---------------------------------------------------------------------


def nonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> tuple:
    """The positions of elements other than zero, one vector per axis.

    `size` fixes how many (needed under jit); missing ones are `fill_value` (0, or one per axis).
    """
    a = promotion.operand("nonzero", a)
    ndim = np.ndim(a)
    if not ndim:
        raise ValueError(errors.describe(
            "Calling nonzero on 0d arrays is not allowed. Use jnp.atleast_1d(scalar).nonzero() "
            "instead.", fix="jnp.atleast_1d(x).nonzero()"))
    if size is None:
        values = host.elements(a)
        if values is not None:
            dtype = position_dtype()
            return tuple(host.array(i.astype(dtype), a) for i in np.nonzero(values))
        size = int(np.count_nonzero(host.concrete(
            a, "The size argument of jnp.nonzero must be statically specified to use "
               "jnp.nonzero within JAX transformations.")))
    fill = fill_value if isinstance(fill_value, tuple) else (fill_value,) * ndim
    if len(fill) != ndim or any(np.ndim(value) for value in fill if value is not None):
        raise ValueError(errors.describe(
            f"fill_value must be a scalar or a tuple of length {ndim}; got {fill_value}",
            fix="one number for each axis"))
    size = operator.index(host.known(size, "the 'size' argument of jnp.nonzero"))
    return _nonzero(a, size, *[0 if value is None else value for value in fill])


@fused(static_argnums=1)
def _nonzero(x: Any, size: int, *fill: Any) -> tuple:
    x = promotion.as_array(x)
    dtype = position_dtype()
    fills = [promotion.broadcast(promotion.strong(value, dtype), (size,)) for value in fill]
    if not x.size or not size:
        return tuple(fills)
    mask = structural.reshape(ufuncs.truth(x), (x.size,))
    rank = lax.cumsum(structural.convert_element_type(mask, dtype))
    target = lax.select(mask, lax.sub(rank, dtype.type(1)), lax.full_like(rank, size))
    flat = lax.scatter(
        lax.full((size,), 0, dtype),
        structural.broadcast_in_dim(target, (x.size, 1), (0,)), lax.iota(dtype, x.size),
        lax.ScatterDimensionNumbers((), (0,), (0,)), mode=lax.GatherScatterMode.FILL_OR_DROP)
    last = lax.index_in_dim(rank, x.size - 1, keepdims=False)
    valid = lax.lt(lax.iota(dtype, size), last)
    parts = _unraveled(flat, x.shape)
    return tuple(lax.select(valid, part, other) for part, other in zip(parts, fills))


def _unraveled(flat: Any, shape: Sequence[int]) -> list:
    """The index along every axis of nonnegative flat positions."""
    parts = []
    stride = math.prod(shape)
    for axis, size in enumerate(shape):
        stride //= max(size, 1)
        part = flat if stride == 1 else lax.div(flat, flat.dtype.type(stride))
        parts.append(lax.rem(part, flat.dtype.type(size)) if axis else part)
    return parts


def argwhere(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The positions of elements other than zero, one row each."""
    x = promotion.array_operand("argwhere", a)
    found = nonzero(x if x.ndim else lax.expand_dims(x, (0,)), size=size, fill_value=fill_value)
    rows = _stack_columns(*found)
    return rows if x.ndim else lax.slice(rows, (0, 0), (rows.shape[0], 0))


@fused
def _stack_columns(*columns: Any) -> Any:
    return lax.stack(columns, 1)


def flatnonzero(a: ArrayLike, *, size: int | None = None, fill_value: Any = None) -> Any:
    """The flat positions of elements other than zero."""
    a = promotion.operand("flatnonzero", a)
    values = host.elements(a) if size is None else None
    if values is not None:
        return host.array(np.flatnonzero(values).astype(position_dtype()), a)
    x = promotion.as_array(a)
    return nonzero(structural.reshape(x, (x.size,)), size=size, fill_value=fill_value)[0]


def unravel_index(indices: ArrayLike, shape: Any) -> tuple:
    """The index along every axis of flat positions; those outside become the first or last."""
    several = isinstance(shape, (list, tuple)) or np.ndim(shape)
    sizes = list(shape) if several else [shape]
    if any(np.ndim(n) for n in sizes):
        raise ValueError(errors.describe(
            "unravel_index: shape should be a scalar or 1D sequence.",
            because=f"it is {shape}", fix="unravel_index(indices, x.shape)"))
    if any(map(is_tracer, sizes)):
        return _unravel_traced(indices, *sizes)
    shape = tuple(map(operator.index, sizes))
    if any(n < 0 for n in shape):
        raise ValueError(errors.describe(f"unravel_index: negative size in shape {shape}",
                                         fix="sizes are not negative"))
    return _unravel_index(indices, shape)


@fused
def _unravel_traced(indices: Any, *sizes: Any) -> tuple:
    flat, *sizes = promotion.promote(promotion.operand("unravel_index", indices), *sizes)
    total = functools.reduce(ufuncs.multiply, sizes)
    flat = ufuncs.maximum(ufuncs.minimum(flat, total - 1), -total)
    flat = ufuncs.pick(flat < 0, flat + total, flat)
    parts = []
    for size in reversed(sizes):
        parts.append(lax.rem(flat, promotion.broadcast(size, flat.shape)))
        flat = lax.div(flat, promotion.broadcast(size, flat.shape))
    return tuple(reversed(parts))


@fused(static_argnums=1)
def _unravel_index(indices: Any, shape: tuple[int, ...]) -> tuple:
    indices = promotion.operand("unravel_index", indices)
    weak = get_aval(indices).weak_type
    flat = promotion.as_array(indices)
    if not dtypes.issubdtype(flat.dtype, np.integer):
        raise TypeError(errors.describe(
            f"unravel_index indices must be of integer type, got {flat.dtype}",
            fix="indices.astype(int)"))
    total = math.prod(shape)
    flat = lax.clamp(flat.dtype.type(-total) if flat.dtype.kind == "i" else flat.dtype.type(0),
                     flat, flat.dtype.type(max(total - 1, 0)))
    flat = indexing.wrapped(flat, total, True)
    dtype = get_aval(indices).dtype
    return tuple(structural.convert_element_type(promotion.convert(part, dtype), dtype, weak)
                 for part in _unraveled(flat, shape))


def ravel_multi_index(multi_index: Sequence[ArrayLike], dims: Sequence[int], mode: str = "raise",
                      order: str = "C", *, dtype: Any = None) -> Any:
    """Flat positions from indices along every axis.

    mode: what an index outside its axis means: "raise" (needs known values), "wrap", "clip",
    "ignore".
    """
    if len(multi_index) != len(dims):
        raise ValueError(errors.describe(f"{len(multi_index)=} != {len(dims)=}",
                                         fix="one index array for each axis"))
    if mode not in ("raise", "wrap", "clip", "ignore"):
        raise ValueError(errors.describe(
            f"invalid mode={mode!r}. Expected 'raise', 'wrap', 'clip', or 'ignore'.",
            fix="mode='clip'"))
    if order not in ("C", "F"):
        raise ValueError(errors.describe(f"invalid order={order!r}. Expected 'C' or 'F'",
                                         fix="order='C'"))
    dims = tuple(operator.index(n) for n in dims)
    multi_index = promotion.arguments("ravel_multi_index", *multi_index)
    for index in multi_index:
        found = get_aval(index).dtype
        if not dtypes.issubdtype(found, np.integer):
            raise ValueError(errors.describe(f"dtype={found!r} is not an integer type.",
                                             fix="index.astype(int)"))
    if mode == "raise":
        why = ("The error occurred because ravel_multi_index was jit-compiled with mode='raise'. "
               "Use mode='wrap' or mode='clip' instead.")
        values = [host.concrete(index, why) for index in multi_index]
        if any(((v < 0) | (v >= n)).any() for v, n in zip(values, dims)):
            raise ValueError(errors.describe("invalid entry in coordinates array",
                                             because=f"dims={dims}", fix="mode='clip'"))
    return _ravel_multi_index((dims, mode, order, dtype), *multi_index)


@fused(static_argnums=0)
def _ravel_multi_index(options: tuple, *indices: Any) -> Any:
    dims, mode, order, dtype = options
    own = promotion.common_dtype(*indices)[0] if indices else position_dtype()
    dtype = own if dtype is None else dtypes.check_user_dtype(dtype, "ravel_multi_index")
    parts = [promotion.as_array(promotion.convert(x, position_dtype())) for x in indices]
    if mode == "wrap":
        parts = [_modulo(x, n) for x, n in zip(parts, dims)]
    elif mode == "clip":
        parts = [lax.clamp(x.dtype.type(0), x, x.dtype.type(n - 1)) for x, n in zip(parts, dims)]
    shape = lax.broadcast_shapes(*[x.shape for x in parts])
    total, stride = None, 1
    for axis in range(len(dims))[::1 if order == "F" else -1]:
        x = promotion.broadcast(parts[axis], shape)
        x = x if stride == 1 else lax.mul(x, x.dtype.type(stride))
        total = x if total is None else lax.add(total, x)
        stride *= dims[axis]
    return promotion.strong(0 if total is None else total, dtype)


def ix_(*args: ArrayLike) -> tuple:
    """Vectors reshaped so that together they index the grid of all their combinations."""
    promotion.check_array_like("ix", *args)
    out = []
    for position, arg in enumerate(args):
        x = promotion.as_array(arg)
        if x.ndim != 1:
            raise ValueError(errors.describe(
                f"Arguments to jax.numpy.ix_ must be 1-dimensional, got shape {tuple(x.shape)}",
                fix="x.ravel()"))
        if x.dtype == np.bool_:
            raise NotImplementedError(errors.describe(
                "Boolean arguments to jax.numpy.ix_ are not implemented", fix="jnp.nonzero(x)[0]"))
        if not x.size:
            x = promotion.convert(x, position_dtype())
        out.append(structural.reshape(x, tuple(
            x.size if i == position else 1 for i in range(len(args)))))
    return tuple(out)


# --- Positions on and beside diagonals ---------------------------------------------------------


def _constants(arrays: Sequence[np.ndarray]) -> tuple:
    dtype = position_dtype()
    return tuple(host.array(np.asarray(x).astype(dtype), None) for x in arrays)


def diag_indices(n: int, ndim: int = 2) -> tuple:
    """The positions of the main diagonal of an array of `ndim` axes of size n."""
    n, ndim = operator.index(n), operator.index(ndim)
    for name, value in (("n", n), ("ndim", ndim)):
        if value < 0:
            raise ValueError(errors.describe(
                f"{name} argument to diag_indices must be nonnegative, got {value}",
                fix="pass the size of one axis"))
    return _constants([np.arange(n)]) * ndim


def diag_indices_from(arr: ArrayLike) -> tuple:
    """The positions of the main diagonal of `arr`, whose axes have one size."""
    arr = promotion.operand("diag_indices_from", arr)
    shape = np.shape(arr)
    if len(shape) < 2:
        raise promotion.shape_error("input array must be at least 2-d", arr, "jnp.arange(n)")
    if len(set(shape)) > 1:
        raise promotion.shape_error("All dimensions of input must be of equal length", arr,
                                    "jnp.diag_indices(min(x.shape), x.ndim)")
    return diag_indices(shape[0], len(shape))


def tril_indices(n: int, k: int = 0, m: int | None = None) -> tuple:
    """The positions on and below diagonal k of an n x m matrix."""
    return _constants(np.tril_indices(operator.index(host.known(n, "the 'n' argument")), k, m))


def triu_indices(n: int, k: int = 0, m: int | None = None) -> tuple:
    """The positions on and above diagonal k of an n x m matrix."""
    return _constants(np.triu_indices(operator.index(host.known(n, "the 'n' argument")), k, m))


def _matrix_shape(arr: Any) -> tuple[int, int]:
    shape = tuple(arr.shape) if hasattr(arr, "shape") else dtypes_api.shape(arr)
    if len(shape) != 2:
        raise ValueError(errors.describe("Only 2-D inputs are accepted",
                                         because=f"the shape is {shape}", fix="pass a matrix"))
    return shape


def tril_indices_from(arr: Any, k: int = 0) -> tuple:
    """The positions on and below diagonal k of the matrix `arr`."""
    n, m = _matrix_shape(arr)
    return tril_indices(n, k, m)


def triu_indices_from(arr: Any, k: int = 0) -> tuple:
    """The positions on and above diagonal k of the matrix `arr`."""
    n, m = _matrix_shape(arr)
    return triu_indices(n, k, m)


def mask_indices(n: int, mask_func: Callable[[Any, int], Any], k: int = 0, *,
                 size: int | None = None) -> tuple:
    """The positions of an n x n matrix that `mask_func(matrix, k)` keeps."""
    ones = host.array(np.ones((n, n), dtypes.scalar_dtype(int)), None)
    return nonzero(mask_func(ones, k), size=size)


# --- Elements by condition ---------------------------------------------------------------------


def compress(condition: ArrayLike, a: ArrayLike, axis: int | None = None, *,
             size: int | None = None, fill_value: ArrayLike = 0, out: None = None) -> Any:
    """The slices of `a` along `axis` where the vector `condition` is true.

    `size` fixes how many (needed under jit); missing ones are `fill_value`.
    """
    promotion.refuse_out("compress", out)
    condition, a, fill_value = promotion.arguments("compress", condition, a, fill_value)
    if np.ndim(condition) != 1:
        raise promotion.shape_error("condition must be a 1D array", condition, "condition.ravel()")
    x, axis = promotion.along("compress", a, axis)
    count = x.shape[axis]
    if size is not None and not 0 < size <= count:
        raise ValueError(errors.describe(
            "size must be positive and not greater than the size of the array axis; got "
            f"{size=} for a.shape[axis]={count}", fix="a smaller size"))
    condition = promotion.as_array(condition)
    if condition.shape[0] > count:
        extra = host.concrete(condition, "The error occurred because the condition of "
                              "jnp.compress is longer than the array.")[count:]
        if extra.any():
            raise ValueError(errors.describe(
                "condition contains entries that are out of bounds",
                because=f"axis {axis} has size {count}", fix="condition[:n]"))
        condition = lax.slice(condition, (0,), (count,))
    positions, = nonzero(condition, size=size, fill_value=count)
    index = (slice(None),) * axis + (positions,)
    if size is None:
        return x[index]
    return _get_or_fill(x, positions, fill_value, axis)


@fused(static_argnums=3)
def _get_or_fill(x: Any, positions: Any, fill_value: Any, axis: int) -> Any:
    """The slices at positions along an axis; those outside are `fill_value`."""
    form = [(0, n, 1) for n in x.shape]
    form[axis] = indexing.ARRAY
    out = indexing.get(x, tuple(form), (positions,), mode=lax.GatherScatterMode.CLIP)
    size = positions.dtype.type(x.shape[axis])
    valid = structural.broadcast_in_dim(lax.lt(positions, size), out.shape, (axis,))
    fill = promotion.convert(fill_value, x.dtype)
    return lax.select(valid, out, structural.broadcast_in_dim(fill, out.shape, ()))


def extract(condition: ArrayLike, arr: ArrayLike, *, size: int | None = None,
            fill_value: ArrayLike = 0) -> Any:
    """The elements of `arr` where `condition` is true; `size` as in `compress`."""
    condition, arr = promotion.arguments("extract", condition, arr)
    condition = promotion.as_array(condition)
    return compress(structural.reshape(condition, (condition.size,)), arr, size=size,
                    fill_value=fill_value)


def choose(a: ArrayLike, choices: Any, out: None = None, mode: str = "raise") -> Any:
    """Elementwise `choices[a]`, all broadcast together.

    mode: what an index outside means: "raise" (needs known values), "wrap", "clip".
    """
    promotion.refuse_out("choose", out)
    a = promotion.operand("choose", a)
    if not dtypes.issubdtype(get_aval(a).dtype, np.integer):
        raise ValueError(errors.describe("`a` array must be integer typed",
                                         because=f"it has dtype {get_aval(a).dtype}",
                                         fix="a.astype(int)"))
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(errors.describe(
            f"mode={mode!r} not understood. Must be 'raise', 'wrap', or 'clip'",
            fix="mode='clip'"))
    if not isinstance(choices, (list, tuple)):
        rows = promotion.array_operand("choose", choices, 1)
        choices = [lax.index_in_dim(rows, i, keepdims=False) for i in range(rows.shape[0])]
    if mode == "raise":
        values = host.concrete(a, "The error occurred because jnp.choose was jit-compiled with "
                                  "mode='raise'. Use mode='wrap' or mode='clip' instead.")
        if ((values < 0) | (values >= len(choices))).any():
            raise ValueError(errors.describe("invalid entry in choice array",
                                             because=f"there are {len(choices)} choices",
                                             fix="mode='clip'"))
    return _choose(a, mode, *choices)


@fused(static_argnums=1)
def _choose(a: Any, mode: str, *choices: Any) -> Any:
    choices = promotion.promote(*[promotion.operand("choose", c, 1) for c in choices])
    count = len(choices)
    index = promotion.as_array(promotion.convert(a, _INT32))
    if mode == "wrap":
        index = _modulo(index, count)
    shape = lax.broadcast_shapes(np.shape(a), *[np.shape(c) for c in choices])
    index, out, *rest = [promotion.broadcast(promotion.as_array(x), shape)
                         for x in (index, *choices)]
    for i, choice in enumerate(rest, 1):
        out = lax.select(lax.ge(index, lax.full_like(index, i)), choice, out)
    return out
