"""Matrices with structure: identity, triangles and diagonals.

Invariant: as in `creation`, constant matrices are made by NumPy eagerly and are operations while
staging.  Diagonals are gathered, so that their cotangents are scattered and rounded as in JAX:
a padded slice would be fused with what it is added to.  They are written with masks.

    eye(3, k=1), tril(x), diag(v), diagonal(x, offset=-1)
"""

import operator
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axis
from minijax.core import ShapedArray, Tracer, state, structural
from minijax.lax.rules import ArrayLike, scalar_like
from minijax.numpy.creation import Place, _put, shape_tuple
from minijax.numpy.promotion import array_operand, broadcast, shape_error, strong
from minijax.numpy.ufuncs import pick
from minijax.runtime.call import fused

_INT = np.dtype(np.int32)


def eye(N: int, M: int | None = None, k: int | ArrayLike = 0, dtype: DTypeLike | None = None, *,
        device: Place = None) -> Array:
    """An N x M matrix with ones on the k-th diagonal (above the main one for k > 0)."""
    dtype = dtypes.check_user_dtype(dtype, "eye")
    if any(isinstance(n, int) and n < 0 for n in (N, M)):
        raise ValueError(errors.describe(
            f"negative dimensions are not allowed, got {N} and {M}", fix="jnp.eye(3)"))
    shape = shape_tuple((N, N if M is None else M), "argument of 'N' jnp.eye().")
    aval = ShapedArray(shape, dtype)
    if state.trace.staging or isinstance(k, Tracer):
        return structural.convert_element_type(_diagonal_mask(shape, k), dtype)
    return _put(np.eye(*shape, operator.index(k), dtype=dtype), aval, device, True)


def identity(n: int, dtype: DTypeLike | None = None) -> Array:
    """The n x n identity matrix."""
    return eye(n, dtype=dtype)


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike | None = None) -> Array:
    """An N x M matrix with ones on and below the k-th diagonal."""
    dtype = dtypes.check_user_dtype(dtype, "tri")
    shape = shape_tuple((N, N if M is None else M))
    if state.trace.staging or isinstance(k, Tracer):
        return structural.convert_element_type(_lower_mask(shape, k), dtype)
    host = np.tri(*shape, operator.index(k)).astype(dtype)
    return _put(host, ShapedArray(shape, dtype), None, True)


def _positions(shape: tuple[int, ...], k: Any) -> tuple[Any, Any]:
    """(row + k, column) of every element of the last two axes."""
    row = lax.broadcasted_iota(_INT, shape, len(shape) - 2)
    column = lax.broadcasted_iota(_INT, shape, len(shape) - 1)
    if isinstance(k, Tracer):
        row = lax.add(row, structural.convert_element_type(k, _INT))
    elif k := operator.index(k):
        row = lax.add(row, scalar_like(row, k))
    return row, column


def _diagonal_mask(shape: tuple[int, ...], k: Any) -> Any:
    return lax.eq(*_positions(shape, k))


def _lower_mask(shape: tuple[int, ...], k: Any) -> Any:
    return lax.ge(*_positions(shape, k))


def _triangle(name: str, m: Any, k: int, lower: bool) -> Any:
    m = array_operand(name, m)
    if m.ndim < 2:
        raise shape_error(f"Argument to jax.numpy.{name} must be at least 2D", m, "x[None, :]")
    mask = _lower_mask(m.shape[-2:], k if lower else k - 1)
    zeros = lax.full_like(m, 0)
    first, second = (m, zeros) if lower else (zeros, m)
    return lax.select(broadcast(mask, m.shape), first, second)


@fused(static_argnames=("k",))
def tril(m: ArrayLike, k: int = 0) -> Array:
    """m with zeros above the k-th diagonal of its last two axes."""
    return _triangle("tril", m, k, True)


@fused(static_argnames=("k",))
def triu(m: ArrayLike, k: int = 0) -> Array:
    """m with zeros below the k-th diagonal of its last two axes."""
    return _triangle("triu", m, k, False)


@fused(static_argnames=("offset", "axis1", "axis2"))
def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The elements of a on a diagonal of two axes, as the last axis of the result."""
    a = array_operand("diagonal", a)
    if a.ndim < 2:
        raise shape_error("diagonal requires an array of at least two dimensions.", a, "x[None, :]")
    return _diagonal(a, offset, axis1, axis2)


def _diagonal(a: Any, offset: int, axis1: int, axis2: int) -> Any:
    first, second = canonicalize_axis(axis1, a.ndim), canonicalize_axis(axis2, a.ndim)
    if first == second:
        raise ValueError(errors.describe("axis1 and axis2 cannot be the same"))
    rest = tuple(i for i in range(a.ndim) if i not in (first, second))
    order = (*rest, first, second)
    x = a if order == tuple(range(a.ndim)) else structural.transpose(a, order)
    *outer, rows, columns = x.shape
    size = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    if not size:
        return lax.full((*outer, 0), 0, x.dtype)
    where = lax.broadcasted_iota(_INT, (size, 2), 0)
    if offset:
        where = lax.add(where, np.array([[max(-offset, 0), max(offset, 0)]], _INT))
    n = len(outer)
    numbers = lax.GatherDimensionNumbers(tuple(range(n)), (n, n + 1), (n, n + 1))
    return lax.gather(x, where, numbers, (*outer, 1, 1), mode="promise_in_bounds")


@fused(static_argnums=(1, 2))
def _diag(v: ArrayLike, k: int, name: str) -> Array:
    v = array_operand(name, v)
    if name == "diagflat":
        v = structural.reshape(strong(v), (v.size,))
    if v.ndim == 2:
        return _diagonal(v, k, 0, 1)
    if v.ndim != 1:
        raise shape_error("diag input must be 1d or 2d", v, "jnp.diagonal(x)")
    size = v.size + abs(k)
    # Row i holds v[i], or v[i + k] where the first rows are empty.
    v = lax.pad(v, scalar_like(v, 0), [(max(-k, 0), max(k, 0), 0)])
    rows = structural.broadcast_in_dim(v, (size, size), (0,))
    return pick(_diagonal_mask((size, size), k), rows, scalar_like(v, 0))


def diag(v: ArrayLike, k: int = 0) -> Array:
    """The matrix with v on its k-th diagonal, or the k-th diagonal of a matrix v."""
    return _diag(v, operator.index(k), "diag")


def diagflat(v: ArrayLike, k: int = 0) -> Array:
    """The matrix with the elements of v, flattened, on its k-th diagonal."""
    return _diag(v, operator.index(k), "diagflat")
