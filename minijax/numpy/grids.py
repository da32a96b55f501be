"""Evenly spaced numbers and coordinates: linspace, logspace, geomspace, meshgrid, indices.

Invariant: end points are hit exactly, whatever rounding does in between; numbers and arrays as end
points give the same bits, XLA's and not NumPy's: solvers and searches may depend on the last one.

    linspace(0, 1, 5), geomspace(1, 100, 3)
    meshgrid(x, y, indexing="ij"), indices((2, 3))
"""

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.vmap import vmap
from minijax.base import dims, dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import ShapedArray, state, structural
from minijax.lax.rules import ArrayLike
from minijax.numpy.creation import Place, Shape, _put, arange, array, shape_tuple
from minijax.numpy.host import known
from minijax.numpy.manipulation import moveaxis
from minijax.numpy.promotion import (
    INTEGER, arguments, array_operand, as_array, broadcast, common_dtype, inexact_dtype, operand,
    scalar, shape_of, strong)
from minijax.runtime.call import fused

# --- Evenly spaced numbers ---------------------------------------------------------------------


def linspace(start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True,
             retstep: bool = False, dtype: DTypeLike | None = None, axis: int = 0, *,
             device: Place = None) -> Array | tuple[Array, Array]:
    """num numbers evenly from start to stop, along a new axis; with retstep also their distance.

    Without the end point, stop is left out.  Integer dtypes round down.
    """
    num, axis = _count(num), operator.index(axis)
    start, stop = arguments("linspace", start, stop)
    dtype = None if dtype is None else dtypes.check_user_dtype(dtype, "linspace")
    values, step = _linspace(start, stop, num, bool(endpoint), dtype, axis)
    if device is not None:
        values = array(values, copy=False, device=device)
    return (values, step) if retstep else values


def _count(num: Any) -> int:
    num = dims.index(known(num, "the 'num' argument"))
    if num < 0:
        raise ValueError(errors.describe(f"Number of samples, {num}, must be non-negative.",
                                         fix="num=0 gives an empty array"))
    return num


@fused(static_argnums=(2, 3, 4, 5))
def _linspace(start: ArrayLike, stop: ArrayLike, num: int, endpoint: bool, dtype: Any,
              axis: int) -> tuple[Array, Array]:
    values, step = _linspace_body("linspace", start, stop, num, endpoint, dtype)
    if dtype is not None and dtype in INTEGER:
        values = lax.floor(values)
    values = values if dtype is None else structural.convert_element_type(values, dtype)
    return _new_axis_to(values, axis), step


def _new_axis_to(values: Any, axis: int) -> Any:
    return moveaxis(values, 0, axis) if canonicalize_axis(axis, values.ndim) else values


def _ends(name: str, start: Any, stop: Any, dtype: Any) -> list:
    """Both ends at the dtype of the computation and at their joint shape."""
    ends = operand(name, start), operand(name, stop, 1)
    real = inexact_dtype(common_dtype(*ends)[0])
    if dtype is not None and dtype not in INTEGER and dtype.kind != "b":
        real = dtypes.promote_types(real, dtype)
    shape = lax.broadcast_shapes(*map(shape_of, ends))
    return [broadcast(strong(x, real), shape) for x in ends]


def _linspace_body(name: str, start: Any, stop: Any, num: int, endpoint: bool,
                   dtype: Any) -> tuple[Any, Any]:
    start, stop = _ends(name, start, stop, dtype)
    shape, real = start.shape, start.dtype
    parts = num - 1 if endpoint else num
    if parts <= 0:
        values = broadcast(structural.reshape(start, (1, *shape)), (num, *shape))
        return values, as_array(scalar(np.nan, real))
    count = scalar(parts, real)
    step = lax.div(lax.sub(stop, start), count)
    part = lax.div(lax.broadcasted_iota(real, (parts, *(1,) * len(shape)), 0), count)
    rest = lax.sub(scalar(1, real), part)
    first, last = (structural.reshape(x, (1, *shape)) for x in (start, stop))
    values = lax.add(lax.mul(first, rest), lax.mul(last, part))
    if endpoint:
        values = lax.concatenate([values, last], 0)
    return values, step


def logspace(start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True,
             base: ArrayLike = 10.0, dtype: DTypeLike | None = None, axis: int = 0) -> Array:
    """Powers of the base with exponents evenly from start to stop, along a new axis."""
    dtype = None if dtype is None else dtypes.check_user_dtype(dtype, "logspace")
    return _logspace(start, stop, base, _count(num), bool(endpoint), dtype, operator.index(axis))


@fused(static_argnums=(3, 4, 5, 6))
def _logspace(start: ArrayLike, stop: ArrayLike, base: ArrayLike, num: int, endpoint: bool,
              dtype: Any, axis: int) -> Array:
    values, _ = _linspace_body("logspace", start, stop, num, endpoint, dtype)
    base = strong(operand("logspace", base, 4), values.dtype)
    values = lax.pow(broadcast(base, values.shape), values)
    values = values if dtype is None else structural.convert_element_type(values, dtype)
    return _new_axis_to(values, axis)


def geomspace(start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True,
              dtype: DTypeLike | None = None, axis: int = 0) -> Array:
    """Numbers from start to stop whose ratios are equal, along a new axis."""
    dtype = None if dtype is None else dtypes.check_user_dtype(dtype, "geomspace")
    return _geomspace(start, stop, _count(num), bool(endpoint), dtype, operator.index(axis))


@fused(static_argnums=(2, 3, 4, 5))
def _geomspace(start: ArrayLike, stop: ArrayLike, num: int, endpoint: bool, dtype: Any,
               axis: int) -> Array:
    start, stop = _ends("geomspace", start, stop, dtype)
    # With a sign (or direction, for complex numbers) taken out, both logarithms are defined.
    sign = lax.sign(start)
    logs = [lax.log(lax.div(x, sign)) for x in (start, stop)]
    values, _ = _linspace_body("geomspace", *logs, num, endpoint, None)
    values = lax.mul(broadcast(sign, values.shape), lax.exp(values))
    if num > 0:
        values = lax.concatenate([lax.expand_dims(start, (0,)),
                                  lax.slice_in_dim(values, 1, num)], 0)
    if endpoint and num > 1:
        values = lax.concatenate([lax.slice_in_dim(values, 0, num - 1),
                                  lax.expand_dims(stop, (0,))], 0)
    values = values if dtype is None else structural.convert_element_type(values, dtype)
    return _new_axis_to(values, axis)


# --- Coordinates -------------------------------------------------------------------------------


def meshgrid(*xi: ArrayLike, copy: bool = True, sparse: bool = False,
             indexing: str = "xy") -> list[Array]:
    """Coordinate arrays of the grid that vectors span; with "xy" the first two axes swapped.

    With `sparse` each keeps size 1 along the axes that it does not depend on.
    """
    if not copy:
        raise ValueError(errors.describe("jax.numpy.meshgrid only supports copy=True",
                                         fix="leave copy out"))
    if indexing not in ("xy", "ij"):
        raise ValueError(errors.describe(
            f"Valid values for indexing are 'xy' and 'ij', got {indexing}"))
    return _meshgrid(xi, bool(sparse), indexing) if xi else []


@fused(static_argnums=(1, 2))
def _meshgrid(vectors: tuple, sparse: bool, indexing: str) -> list[Array]:
    xs = [array_operand("meshgrid", x, i) for i, x in enumerate(vectors)]
    if any(x.ndim != 1 for x in xs):
        raise ValueError(errors.describe(
            f"Arguments to jax.numpy.meshgrid must be 1D, got shapes {[x.shape for x in xs]}",
            fix="jnp.meshgrid(x.ravel(), y.ravel())"))
    axes = list(range(len(xs)))
    if indexing == "xy" and len(xs) > 1:
        axes[:2] = 1, 0
    full = [0] * len(xs)
    for axis, x in zip(axes, xs):
        full[axis] = x.size
    return [_along_axis(x, axis, tuple(full), sparse) for axis, x in zip(axes, xs)]


def _along_axis(x: Any, axis: int, shape: tuple[int, ...], sparse: bool) -> Any:
    """The vector along an axis of the grid, repeated along the others unless sparse."""
    shape = tuple(n if i == axis else 1 for i, n in enumerate(shape)) if sparse else shape
    return structural.broadcast_in_dim(x, shape, (axis,))


def indices(dimensions: Sequence[int], dtype: DTypeLike | None = None,
            sparse: bool = False) -> Array | tuple[Array, ...]:
    """The positions in an array of these sizes, one array per axis (stacked unless sparse)."""
    sizes = shape_tuple(tuple(dimensions))
    dtype = dtypes.default_int() if dtype is None else dtypes.check_user_dtype(dtype, "indices")
    if not state.trace.staging:
        host = np.indices(sizes, sparse=sparse)
        if sparse:
            return tuple(array(x.astype(dtype)) for x in host)
        return _put(host.astype(dtype), ShapedArray(host.shape, dtype), None, True)
    out = [_along_axis(lax.iota(dtype, n), i, sizes, sparse) for i, n in enumerate(sizes)]
    if sparse:
        return tuple(out)
    return lax.stack(out, 0) if out else lax.full((0,), 0, dtype)


def fromfunction(function: Callable[..., Any], shape: Shape, *, dtype: DTypeLike = float,
                 **kwargs: Any) -> Any:
    """The values of a function of positions, which is mapped over all axes.

    The function sees one position at a time; what it returns gets the axes of `shape` in front.
    """
    sizes = shape_tuple(shape)
    mapped: Callable = lambda *positions: function(*positions, **kwargs)  # noqa: E731
    for axis in range(len(sizes))[::-1]:
        mapped = vmap(mapped, in_axes=tuple(0 if i == axis else None for i in range(len(sizes))))
    return mapped(*[arange(n, dtype=dtype) for n in sizes])
