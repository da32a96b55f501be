"""Where the elements of a BCOO array are: index arrays, their order, and equal ones.

A place is given by one index array for each batch and sparse axis, all of the shape (*batch, nse).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import to_concrete
from minijax.experimental.sparse.arrays import BCOO

__all__: list[str] = []


def columns(indices: Array) -> list[Array]:
    """The index array of each sparse axis."""
    return [indices[..., i] for i in range(indices.shape[-1])]


def stacked(cols: Sequence[Array], indices: Array) -> Array:
    """The way back; `indices` has the batch axes, nse and dtype for the case without columns."""
    if not cols:
        return jnp.zeros((*indices.shape[:-1], 0), indices.dtype)
    return jnp.stack(cols, -1).astype(indices.dtype)


def places(indices: Array, batch: Sequence[int]) -> list[Array]:
    """The index array of each batch and each sparse axis."""
    shape = (*batch, indices.shape[-2])
    wide = np.dtype(np.int64 if indices.dtype.itemsize == 8 else np.int32)
    own = [lax.broadcasted_iota(wide, shape, b) for b in range(len(batch))]
    return own + [jnp.broadcast_to(col.astype(wide), shape) for col in columns(indices)]


def whole(mat: BCOO) -> tuple[Array, Array]:
    """Data and indices of all batches."""
    n, batch = mat.n_batch, mat.shape[:mat.n_batch]
    return (jnp.broadcast_to(mat.data, (*batch, *mat.data.shape[n:])),
            jnp.broadcast_to(mat.indices, (*batch, *mat.indices.shape[n:])))


def inside(indices: Array, sizes: Sequence[int]) -> Array:
    """Which entries are no padding."""
    mask = jnp.ones(indices.shape[:-1], bool)
    for col, size in zip(columns(indices), sizes):
        mask = mask & (col < size)
    return mask


def beside(mask: Array, data: Array) -> Array:
    """A mask of entries with axes of size 1 for the dense axes of `data`."""
    return mask.reshape(*mask.shape, *(1,) * (data.ndim - mask.ndim))


def masked(data: Array, mask: Array) -> Array:
    """Zeros where the mask of entries is false."""
    return jnp.where(beside(mask, data), data, jnp.zeros((), data.dtype))


def gathered(x: Array, cols: Sequence[Array]) -> Array:
    """The elements of `x` at places along its first axes; zeros at places outside of it."""
    return x.at[tuple(cols)].get(mode="fill", fill_value=0)


def scattered(shape: Sequence[int], cols: Sequence[Array], data: Array) -> Array:
    """An array of zeros to which `data` is added at places; those outside are left out."""
    out = jnp.zeros(tuple(shape), data.dtype)
    if data.dtype == bool:
        return out.at[tuple(cols)].max(data, mode="drop")
    return out.at[tuple(cols)].add(data, mode="drop")


def grouped(cols: Sequence[Array], like: Array) -> tuple[Array, Array, Array]:
    """Sort the entries of each batch by their indices; `like` has the shape (*batch, nse).

    Returns the order, and in that order: which entries are the first of their index, and how many
    such come before each.
    """
    position = lax.broadcasted_iota(np.int32, like.shape, like.ndim - 1)
    first = position == 0
    if cols:
        *cols, position = lax.sort((*cols, position), dimension=like.ndim - 1, num_keys=len(cols))
        for col in cols:
            first = first | (col != jnp.roll(col, 1, -1))
    return position, first, jnp.cumsum(first, axis=-1, dtype=np.int32) - 1


def taken(x: Array, order: Array) -> Array:
    """`x`, of the shape (*batch, nse, *dense), with the entries of each batch in an order."""
    return jnp.take_along_axis(x, beside(order, x), axis=order.ndim - 1)


def nse_of(counts: Any, nse: int | None, name: str) -> int:
    """The given `nse`, or the largest of the counts; those must be known then."""
    if nse is not None:
        return int(nse)
    known = to_concrete(counts)
    if known is None:
        raise errors.ConcretizationTypeError(
            counts, f"The error arose for the nse argument of {name}. In order for {name} to be "
            "used in traced/compiled code, you must pass a concrete value to the nse argument.")
    return int(np.max(np.asarray(known), initial=0))
