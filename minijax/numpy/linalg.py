"""Linear algebra that needs no factorization: norms, products, powers, traces.

    norm(x, axis=-1), matrix_power(a, 10), multi_dot([a, b, c])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.util import canonicalize_axes, canonicalize_axis
from minijax.core import structural
from minijax.lax.rules import ArrayLike

from minijax.numpy import einsums, products, promotion, reductions, ufuncs
from minijax.runtime.call import fused

_FROBENIUS = (None, "f", "fro")


# --- Norms -------------------------------------------------------------------------------------


def norm(x: ArrayLike, ord: int | str | None = None, axis: None | tuple[int, ...] | int = None,
         keepdims: bool = False) -> Any:
    """The norm of vectors (one axis) or matrices (two axes); by default 2-norm, Frobenius norm.

    ord of vectors: a number, inf, -inf, 0; of matrices: "fro", 1, -1, inf, -inf.
    """
    return _norm(x, _hashable(ord), reductions.static_axis(axis), bool(keepdims))


def _hashable(ord: Any) -> Any:
    return ord if ord is None or isinstance(ord, (str, int, float)) else float(ord)


@fused(static_argnums=(1, 2, 3))
def _norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = promotion.as_array(promotion.inexact_operand("norm", x))
    if axis is None and ord is None:
        return _two_norm(x, tuple(range(x.ndim)), keepdims)
    axes = canonicalize_axes(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(errors.describe(
        f"Improper number of axes for norm: {axis=}. Pass one axis to compute a vector-norm, or "
        "two axes to compute a matrix-norm.".replace("axis=None", f"axis={axes}"),
        fix="norm(x, axis=-1)"))


def _two_norm(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if x.dtype in promotion.COMPLEX:
        squares = lax.real(lax.mul(x, lax.conj(x)))
    else:
        squares = lax.mul(x, x)
    return lax.sqrt(_sum(squares, axes, keepdims))


def _sum(x: Any, axes: Any, keepdims: bool) -> Any:
    return reductions._sum.body(x, axes, None, keepdims)


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord is None or ord == 2:
        return _two_norm(x, axes, keepdims)
    if isinstance(ord, str):
        raise ValueError(errors.describe(f"Invalid order '{ord}' for vector norm.",
                                         fix="a number, jnp.inf, -jnp.inf or None"))
    if ord == np.inf:
        return reductions._max.body(lax.abs(x), axes, keepdims, 0)
    if ord == -np.inf:
        return reductions._min.body(lax.abs(x), axes, keepdims)
    real = lax.abs(x).dtype
    if ord == 0:
        return reductions._sum.body(ufuncs.not_equal.body(x, 0), axes, real, keepdims)
    if ord == 1:
        return _sum(lax.abs(x), axes, keepdims)
    total = _sum(ufuncs.power(lax.abs(x), float(ord)), axes, keepdims)
    return ufuncs.power(total, 1.0 / float(ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord in _FROBENIUS:
        return _two_norm(x, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1):
        summed, kept = rows, columns
    elif ord in (np.inf, -np.inf):
        summed, kept = columns, rows
    else:
        raise ValueError(errors.describe(f"Invalid order '{ord}' for matrix norm.",
                                         fix="'fro', 1, -1, jnp.inf or -jnp.inf"))
    sums = _sum(lax.abs(x), (summed,), True)
    if ord > 0:
        out = reductions._max.body(sums, (kept,), True, 0)
    else:
        out = reductions._min.body(sums, (kept,), True)
    return out if keepdims else lax.squeeze(out, tuple(sorted(axes)))


def vector_norm(x: ArrayLike, /, *, axis: int | tuple[int, ...] | None = None,
                keepdims: bool = False, ord: int | str = 2) -> Any:
    """The norm of vectors along one or several axes (None: of all elements)."""
    return _vector_norms(x, _hashable(ord), reductions.static_axis(axis), bool(keepdims))


@fused(static_argnums=(1, 2, 3))
def _vector_norms(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = promotion.as_array(promotion.inexact_operand("vector_norm", x))
    return _vector_norm(x, ord, canonicalize_axes(axis, x.ndim), keepdims)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: str | int = "fro") -> Any:
    """The norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


# --- Products ----------------------------------------------------------------------------------


def matmul(x1: ArrayLike, x2: ArrayLike, /, *, precision: Any = None,
           preferred_element_type: Any = None) -> Any:
    """Matrix product; see `jnp.matmul`."""
    return products.matmul(x1, x2, precision=precision,
                           preferred_element_type=preferred_element_type)


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1, precision: Any = None,
           preferred_element_type: Any = None) -> Any:
    """Dot products of conjugated vectors; see `jnp.vecdot`."""
    return products.vecdot(x1, x2, axis=axis, precision=precision,
                           preferred_element_type=preferred_element_type)


def tensordot(x1: ArrayLike, x2: ArrayLike, /, *, axes: Any = 2, precision: Any = None,
              preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """Sums of products over axes; see `jnp.tensordot`."""
    return products.tensordot(x1, x2, axes, precision=precision, out_sharding=out_sharding,
                              preferred_element_type=preferred_element_type)


def outer(x1: ArrayLike, x2: ArrayLike, /) -> Any:
    """All products of elements of two vectors."""
    promotion.check_array_like("jnp.linalg.outer", x1, x2)
    if np.ndim(x1) != 1 or np.ndim(x2) != 1:
        raise ValueError(errors.describe(
            "Input arrays must be one-dimensional, but they are "
            f"x1.ndim={np.ndim(x1)} x2.ndim={np.ndim(x2)}", fix="x.ravel()"))
    return products.outer(x1, x2)


def cross(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Any:
    """Cross products of vectors of length 3."""
    promotion.check_array_like("jnp.linalg.cross", x1, x2)
    for x in (x1, x2):
        size = np.shape(x)[axis]
        if size != 3:
            raise ValueError(errors.describe(
                "Both input arrays must be (arrays of) 3-dimensional vectors, but they have "
                f"x1.shape[axis]={np.shape(x1)[axis]} x2.shape[axis]={np.shape(x2)[axis]}",
                fix="choose the axis of size 3"))
    return products.cross(x1, x2, axis=axis)


def multi_dot(arrays: Sequence[ArrayLike], *, precision: Any = None) -> Any:
    """The product of matrices (the first and last may be vectors) in the cheapest order."""
    promotion.check_array_like("jnp.linalg.multi_dot", *arrays)
    ranks = [np.ndim(x) for x in arrays]
    if len(arrays) < 2:
        raise ValueError(errors.describe(
            f"multi_dot requires at least two arrays; got {len(arrays)}", fix="pass a list"))
    if not all(r == 2 for r in ranks[1:-1]) or not all(r in (1, 2) for r in ranks):
        raise ValueError(errors.describe(
            "multi_dot: input arrays must all be two-dimensional, except for the first and last "
            "array which may be 1 or 2 dimensional. Got array shapes "
            f"{[np.shape(x) for x in arrays]}", fix="use einsum for tensors"))
    terms = [[i, i + 1] for i in range(len(arrays))]
    terms[0] = terms[0][2 - ranks[0]:]
    terms[-1] = terms[-1][:ranks[-1]]
    ends = terms[0][:ranks[0] - 1] + terms[-1][1:]
    pairs = [part for pair in zip(arrays, terms) for part in pair]
    return einsums.einsum(*pairs, ends, optimize="optimal", precision=precision)


def matrix_power(a: ArrayLike, n: int) -> Any:
    """Square matrices multiplied n times with themselves; n >= 0."""
    n = operator.index(n)
    if n < 0:
        raise ValueError(errors.describe(f"matrix_power: the exponent {n} is negative",
                                         because="that needs the inverse of the matrix",
                                         fix="matrix_power(inverse, -n)"))
    return _matrix_power(a, n)


@fused(static_argnums=1)
def _matrix_power(a: Any, n: int) -> Any:
    a = promotion.as_array(promotion.operand("jnp.linalg.matrix_power", a))
    if a.ndim < 2:
        raise TypeError(errors.describe(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional",
            fix="pass a square matrix"))
    if a.shape[-1] != a.shape[-2]:
        raise TypeError(errors.describe("Last 2 dimensions of the array must be square",
                                        because=f"the shape is {tuple(a.shape)}",
                                        fix="pass square matrices"))
    if n == 0:
        eye = np.eye(a.shape[-1], dtype=np.int8).astype(a.dtype)
        return structural.broadcast_in_dim(eye, a.shape, (a.ndim - 2, a.ndim - 1))
    out = None
    square = a
    while n:
        if n & 1:
            out = square if out is None else products.matmul.body(out, square)
        n >>= 1
        if n:
            square = products.matmul.body(square, square)
    return out


# --- Diagonals ---------------------------------------------------------------------------------


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """The sum of a diagonal of the matrices in the last two axes."""
    return products.trace(x, offset=offset, axis1=-2, axis2=-1, dtype=dtype)


@fused(static_argnames="offset")
def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Any:
    """A diagonal of the matrices in the last two axes."""
    x = promotion.as_array(promotion.operand("jnp.linalg.diagonal", x))
    rows, columns = x.shape[canonicalize_axis(-2, x.ndim):]
    start = (max(0, -offset), max(0, offset))
    count = max(0, min(rows - start[0], columns - start[1]))
    steps = np.arange(count, dtype=np.int32)
    return x[..., start[0] + steps, start[1] + steps]


@fused
def matrix_transpose(x: ArrayLike, /) -> Any:
    """The last two axes exchanged."""
    x = promotion.as_array(promotion.operand("jnp.linalg.matrix_transpose", x))
    if x.ndim < 2:
        raise ValueError(errors.describe(
            f"matrix_transpose requires at least 2 dimensions; got ndim={x.ndim}",
            fix="add an axis with x[None]"))
    return lax.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


__all__ = [
    "cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "matrix_transpose", "multi_dot",
    "norm", "outer", "tensordot", "trace", "vecdot", "vector_norm",
]
