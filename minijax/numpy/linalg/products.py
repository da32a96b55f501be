"""Products of matrices and vectors, powers, traces and diagonals of matrices.

    matrix_power(a, 10), multi_dot([a, b, c])
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.util import canonicalize_axis
from minijax.lax.rules import ArrayLike

from minijax.numpy import einsums, products, promotion
from minijax.numpy.linalg.factoring import eye_for, inv
from minijax.runtime.call import fused

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
    """Square matrices multiplied n times with themselves; their inverses if n < 0."""
    return _matrix_power(a, operator.index(n))


@fused(static_argnums=1)
def _matrix_power(a: Any, n: int) -> Any:
    a = promotion.array_operand("jnp.linalg.matrix_power", a)
    if a.ndim < 2:
        raise TypeError(errors.describe(
            f"{a.ndim}-dimensional array given. Array must be at least two-dimensional",
            fix="pass a square matrix"))
    if a.shape[-1] != a.shape[-2]:
        raise TypeError(errors.describe("Last 2 dimensions of the array must be square",
                                        because=f"the shape is {tuple(a.shape)}",
                                        fix="pass square matrices"))
    if n == 0:
        return eye_for(a)
    if n < 0:
        a, n = inv.body(a), -n
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
    x = promotion.array_operand("jnp.linalg.diagonal", x)
    rows, columns = x.shape[canonicalize_axis(-2, x.ndim):]
    start = (max(0, -offset), max(0, offset))
    count = max(0, min(rows - start[0], columns - start[1]))
    steps = np.arange(count, dtype=np.int32)
    return x[..., start[0] + steps, start[1] + steps]


@fused
def matrix_transpose(x: ArrayLike, /) -> Any:
    """The last two axes exchanged."""
    x = promotion.array_operand("jnp.linalg.matrix_transpose", x)
    if x.ndim < 2:
        raise ValueError(errors.describe(
            f"matrix_transpose requires at least 2 dimensions; got ndim={x.ndim}",
            fix="add an axis with x[None]"))
    return lax.transpose(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))
