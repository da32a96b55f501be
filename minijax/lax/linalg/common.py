"""What the rules of linear algebra share: checks of operands, triangles, products of matrices.

Matrices are in the last two axes; all axes before are batches, and every operation of this package
takes them as they are. The one invariant: operands have as many batch axes as each other, of equal
sizes, so that a `vmap` rule is one axis more in front.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, convert_element_type,
                          materialize, reduce_sum, transpose)
from minijax.core.primitive import Deferred
from minijax.lax.dot import Precision, batch_matmul
from minijax.lax.elementwise import add, conj, div, mul
from minijax.lax.gather import GatherDimensionNumbers, gather
from minijax.lax.logic import choose, eq, ge
from minijax.lax.rules import INEXACT, check_dtype, check_same_dtypes, scalar_like
from minijax.lax.shapes import broadcasted_iota, expand_dims

# --- Checks of shape rules ---------------------------------------------------------------------


def check_matrices(name: str, avals: Sequence[ShapedArray], ranks: Sequence[int]) -> None:
    """TypeError unless the operands have one inexact dtype and their ranks, with equal batches."""
    for i, (aval, rank) in enumerate(zip(avals, ranks)):
        check_dtype(name, aval.dtype, INEXACT, f" at position {i}")
        if aval.ndim < rank:
            raise TypeError(errors.describe(
                f"Input {i} to {name} must have rank at least {rank}, but got shape={aval.shape}",
                fix="add axes of size 1 with x[None]"))
    if len(avals) == 1:
        return
    check_same_dtypes(name, avals)
    batches = [aval.shape[:aval.ndim - rank] for aval, rank in zip(avals, ranks)]
    if len({len(b) for b in batches}) > 1:
        raise TypeError(errors.describe(
            f"All inputs to {name} must have the same number of batch dimensions, but got "
            f"{[len(b) for b in batches]} batch dimensions for the inputs.",
            fix="broadcast the operands to one batch, or use jax.vmap"))
    if len(set(batches)) > 1:
        raise ValueError(errors.describe(
            f"All inputs to {name} must have the same batch dimensions, but got "
            f"{', '.join(map(str, batches))}", because=f"the shapes are {shown(avals)}",
            fix="broadcast the operands to one batch"))


def shown(avals: Sequence[ShapedArray]) -> str:
    """The shapes of operands, for messages."""
    return " and ".join(str(a.shape) for a in avals)


def check_square(name: str, x: ShapedArray, smallest: int = 0) -> None:
    """ValueError unless the matrices have as many rows as columns."""
    if x.shape[-1] != x.shape[-2] or x.shape[-1] < smallest:
        raise ValueError(errors.describe(
            f"The input to {name} must be a square matrix. Got shape {x.shape}.",
            fix="pass an array of shape [..., n, n]"))


def vmap_front(primitive: Primitive) -> Callable:
    """The rule that makes the mapped axis the first batch axis of every operand."""
    def vmap(axis: Any, args: Values, dims: Dims, **params: Any) -> tuple:
        args = [materialize(x, d, axis.size) for x, d in zip(args, dims)]
        out = primitive.bind(*args, **params)
        return (out, [0] * len(out)) if primitive.multiple_results else (out, 0)
    return vmap


batched = Deferred(vmap_front)

# --- Parts of matrices -------------------------------------------------------------------------


def swapped(x: Any) -> Any:
    """The transposed matrices."""
    ndim = aval_of(x).ndim
    return transpose(x, (*range(ndim - 2), ndim - 1, ndim - 2))


def conjugate(x: Any) -> Any:
    """`x` with the sign of its imaginary part changed; real numbers stay as they are."""
    return conj(x) if aval_of(x).dtype.kind == "c" else x


def adjoint(x: Any) -> Any:
    """The conjugate transposes."""
    return conjugate(swapped(x))


def symmetrized(x: Any) -> Any:
    """(x + x^H) / 2, at an inexact dtype; one row or column stays what it is, to be refused."""
    dtype, shape = aval_of(x).dtype, aval_of(x).shape
    if shape[-1:] != shape[-2:-1] and 1 in shape[-2:]:
        return x
    if not dtypes.issubdtype(dtype, np.inexact):
        x = convert_element_type(x, dtypes.to_inexact(dtype))
    total = add(x, adjoint(x))
    return div(total, scalar_like(total, 2))


def _triangle(x: Any, k: int) -> Any:
    """The mask of the entries on and below the k-th diagonal."""
    shape, dtype = aval_of(x).shape, dtypes.scalar_dtype(int)
    rows = broadcasted_iota(dtype, shape, len(shape) - 2)
    return ge(add(rows, scalar_like(rows, k)), broadcasted_iota(dtype, shape, len(shape) - 1))


def tril(x: Any, k: int = 0) -> Any:
    """`x` with zeros above its k-th diagonal."""
    return choose(_triangle(x, k), x, 0, x)


def triu(x: Any, k: int = 0) -> Any:
    """`x` with zeros below its k-th diagonal."""
    return choose(_triangle(x, k - 1), 0, x, x)


def on_diagonal(x: Any) -> Any:
    """The mask of the entries of the main diagonal."""
    shape = aval_of(x).shape
    rows = broadcasted_iota(np.dtype(np.int32), shape, len(shape) - 2)
    return eq(rows, broadcasted_iota(np.dtype(np.int32), shape, len(shape) - 1))


def diagonal(x: Any) -> Any:
    """The main diagonals of square matrices."""
    return reduce_sum(choose(on_diagonal(x), x, 0, x), (aval_of(x).ndim - 1,))


def eye_like(x: Any) -> Any:
    """Ones on the diagonal, in the shape and dtype of `x`."""
    return convert_element_type(on_diagonal(x), aval_of(x).dtype)


def take_rows(x: Any, permutation: Any) -> Any:
    """`x[..., permutation, :]`, with as many batches of permutations as of matrices."""
    shape = aval_of(x).shape
    if 0 in shape:
        return x
    n = len(shape) - 2
    batch = tuple(range(n))
    numbers = GatherDimensionNumbers((n + 1,), (n,), (n,), batch, batch)
    indices = expand_dims(permutation, (n + 1,))
    return gather(x, indices, numbers, (1,) * (n + 1) + shape[-1:])


# --- Products ----------------------------------------------------------------------------------


def matmul(x: Any, y: Any) -> Any:
    """Products of matrices at full precision."""
    return batch_matmul(x, y, Precision.HIGHEST)


def row(x: Any, like: Any) -> Any:
    """Vectors as matrices with one row, at the dtype of `like`."""
    return expand_dims(convert_element_type(x, aval_of(like).dtype), (aval_of(x).ndim - 1,))


def column(x: Any, like: Any) -> Any:
    """Vectors as matrices with one column, at the dtype of `like`."""
    return expand_dims(convert_element_type(x, aval_of(like).dtype), (aval_of(x).ndim,))


def scale_columns(x: Any, s: Any) -> Any:
    """x @ diag(s)."""
    return mul(x, row(s, x))


def scale_rows(s: Any, x: Any) -> Any:
    """diag(s) @ x."""
    return mul(column(s, x), x)
