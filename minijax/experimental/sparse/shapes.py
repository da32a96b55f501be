"""BCOO arrays in other shapes: what `lax` does to shapes, done to the places of elements.

Entries that leave the array become padding; where there may be more entries than places after
that, they are put together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import BCOO
from minijax.experimental.sparse.layout import (_unravelled, bcoo_fromdense, bcoo_sum_duplicates,
                                                bcoo_todense)
from minijax.experimental.sparse.places import columns, inside, masked, stacked, whole
from minijax.runtime.call import fused

__all__ = [
    "bcoo_broadcast_in_dim", "bcoo_concatenate", "bcoo_dynamic_slice", "bcoo_gather",
    "bcoo_reduce_sum", "bcoo_reshape", "bcoo_rev", "bcoo_slice", "bcoo_squeeze", "bcoo_transpose"]

Sizes = Sequence[int]


def bcoo_transpose(mat: BCOO, *, permutation: Sequence[int]) -> BCOO:
    """Axes in another order, within batch, sparse and dense axes."""
    order = [int(p) for p in permutation]
    if sorted(order) != list(range(mat.ndim)):
        raise TypeError(errors.describe(
            "transpose permutation isn't a permutation of operand dimensions, got permutation "
            f"{tuple(permutation)} for shape {mat.shape}.", fix="name each axis once"))
    n = mat.n_batch
    batch, sparse, dense = mat.split(order)
    for kind, axes, first in (("batch", batch, 0), ("dense", dense, n + mat.n_sparse)):
        if sorted(axes) != list(range(first, first + len(axes))):
            raise NotImplementedError(errors.describe(
                f"transpose permutation cannot permute {kind} axes with non-{kind} axes; got "
                f"permutation {tuple(permutation)}, with n_{kind}={len(axes)}.",
                fix="mat.update_layout(n_batch=0, n_dense=0) makes all axes sparse"))
    shift = 1 - mat.n_sparse
    indices = jnp.transpose(mat.indices, (*batch, n, n + 1))
    kept = [s - n for s in sparse]
    same = kept == sorted(kept)
    indices = indices if same else indices[..., np.array(kept)]
    data = jnp.transpose(mat.data, (*batch, n, *[d + shift for d in dense]))
    return BCOO((data, indices), shape=[mat.shape[p] for p in order],
                indices_sorted=same and mat.indices_sorted, unique_indices=mat.unique_indices)


def bcoo_broadcast_in_dim(mat: BCOO, *, shape: Sizes, broadcast_dimensions: Sequence[int],
                          sharding: Any = None) -> BCOO:
    """New axes, and axes of size 1 repeated.

    A new axis is of the kind of the axis before it, and a batch axis in front.
    """
    dims = tuple(broadcast_dimensions)
    if len(dims) != mat.ndim:
        raise ValueError(errors.describe(
            f"len(broadcast_dimensions) = {len(dims)} does not match the number of axes, "
            f"{mat.ndim}", fix="give each axis of the operand a place in the result"))
    n, start = mat.n_batch, mat.n_batch + mat.n_sparse
    batch_end = (*dims, len(shape))[n]
    sparse_end = (*dims, len(shape))[start] if mat.n_sparse else batch_end
    batch, sizes, dense = (shape[:batch_end], shape[batch_end:sparse_end], shape[sparse_end:])
    own = [*dims[:n], batch_end]

    def in_front(x: Array, tail: Sizes, places: Sequence[int]) -> Array:
        return lax.broadcast_in_dim(x, (*batch, *tail), (*own, *places))

    after = [batch_end + 1 + d - sparse_end for d in dims[start:]]
    data = in_front(mat.data, (mat.nse, *dense), after)
    indices = in_front(mat.indices, (mat.nse, mat.n_sparse), [batch_end + 1])
    cols = iter(columns(indices))
    by_axis = {d - batch_end: next(cols) for d in dims[n:start]}
    grown = [d for d in range(len(sizes))
             if sizes[d] != 1 and (d not in by_axis or mat.shape[dims.index(d + batch_end)] == 1)]
    zeros = jnp.zeros(indices.shape[:-1], indices.dtype)
    out = BCOO((data, stacked([by_axis.get(d, zeros) for d in range(len(sizes))], indices)),
               shape=[1 if batch_end <= d < sparse_end and d - batch_end in grown else s
                      for d, s in enumerate(shape)],
               indices_sorted=mat.indices_sorted, unique_indices=mat.unique_indices)
    for axis in grown:
        out = _repeated(out, axis, sizes[axis])
    return out


def _repeated(mat: BCOO, axis: int, size: int) -> BCOO:
    """A sparse axis of size 1 as one of another size, with each element in all of it."""
    n = mat.n_batch
    present = inside(mat.indices, mat.split()[1])
    data = jnp.repeat(masked(mat.data, present), size, axis=n)
    indices = jnp.repeat(mat.indices, size, axis=n)
    own = jnp.tile(jnp.arange(size, dtype=indices.dtype), mat.nse)
    cols = columns(indices)
    cols[axis] = jnp.broadcast_to(own, cols[axis].shape)
    shape = [size if d == n + axis else s for d, s in enumerate(mat.shape)]
    return BCOO((data, stacked(cols, indices)), shape=shape, unique_indices=mat.unique_indices)


def bcoo_squeeze(arr: BCOO, *, dimensions: Sequence[int]) -> BCOO:
    """Without some axes of size 1."""
    gone = frozenset(d % max(arr.ndim, 1) for d in dimensions)
    if any(arr.shape[d] != 1 for d in gone):
        raise ValueError(errors.describe(
            "cannot select an axis to squeeze out which has size not equal to one, got "
            f"shape={arr.shape} and dimensions={tuple(dimensions)}", fix="squeeze axes of size 1"))
    return _without(arr, gone)


@fused(static_argnums=1)
def _without(mat: BCOO, gone: frozenset[int]) -> BCOO:
    """Without axes: those in `data` and batch axes have size 1, sparse ones are just forgotten."""
    n, end = mat.n_batch, mat.n_batch + mat.n_sparse
    batch = tuple(d for d in gone if d < n)
    present = inside(mat.indices, mat.split()[1])
    dropped = any(n <= d < end for d in gone)
    data = masked(mat.data, present) if dropped else mat.data
    data = jnp.squeeze(data, batch + tuple(d - end + n + 1 for d in gone if d >= end))
    kept = np.array([d - n for d in range(n, end) if d not in gone], int)
    indices = mat.indices[..., kept] if dropped else mat.indices
    return BCOO((data, jnp.squeeze(indices, batch)),
                shape=[s for d, s in enumerate(mat.shape) if d not in gone],
                indices_sorted=mat.indices_sorted and not dropped,
                unique_indices=mat.unique_indices and not dropped)


def bcoo_reduce_sum(mat: BCOO, *, axes: Sequence[int]) -> BCOO:
    """The sum over axes, as a sparse array of the others."""
    if any(not 0 <= a < mat.ndim for a in axes):
        raise ValueError(errors.describe(f"sum over axes {tuple(axes)} of an array of {mat.ndim}",
                                         fix="name axes from 0"))
    return _summed(mat, tuple(map(int, axes)))


@fused(static_argnums=1)
def _summed(mat: BCOO, axes: tuple[int, ...]) -> BCOO:
    n = mat.n_batch
    batch = [a for a in axes if a < n]
    if batch:  # the lists of all these batches become one
        rest = [d for d in range(n) if d not in batch]
        size = math.prod(mat.shape[d] for d in batch)
        lead = [mat.shape[d] for d in rest]
        merged = []
        for x in whole(mat):
            x = jnp.transpose(x, (*rest, *batch, *range(n, x.ndim)))
            merged.append(x.reshape(*lead, size * mat.nse, *x.shape[n + 1:]))
        mat = BCOO(tuple(merged), shape=[s for d, s in enumerate(mat.shape) if d not in batch])
        axes = tuple(a - len(batch) for a in axes if a >= n)
        n = mat.n_batch
    end = n + mat.n_sparse
    dense = tuple(a - end + n + 1 for a in axes if a >= end)
    if dense:
        data = mat.data.sum(dense, dtype=mat.dtype)
        mat = BCOO((data, mat.indices), shape=[
            s for d, s in enumerate(mat.shape) if d < end or d not in axes])
    return _without(mat, frozenset(a for a in axes if a < end))


def bcoo_reshape(mat: BCOO, *, new_sizes: Sizes, dimensions: Sequence[int] | None = None,
                 sharding: Any = None) -> BCOO:
    """The elements in another shape; batch and sparse axes keep their sizes in all."""
    if mat.n_dense:
        raise NotImplementedError("bcoo_reshape: reshape of arrays with dense dimensions.")
    if any(s in (1,) and t != 1 for x in (mat.data, mat.indices)
           for s, t in zip(x.shape[:mat.n_batch], mat.shape)):
        raise NotImplementedError("bcoo_reshape: reshape of arrays with broadcasted batch "
                                  "dimensions.")
    if dimensions is not None:
        mat = bcoo_transpose(mat, permutation=dimensions)
    shape = tuple(map(int, new_sizes))
    if math.prod(shape) != mat.size:
        raise TypeError(errors.describe(
            f"cannot reshape array of shape {mat.shape} (size {mat.size}) into shape {shape} "
            f"(size {math.prod(shape)})", fix="choose sizes whose product is the same"))
    batch, sizes, _ = mat.split()
    count = next((i for i in range(len(shape) + 1)
                  if math.prod(shape[:i]) == math.prod(batch)
                  and math.prod(shape[i:]) == math.prod(sizes)), None)
    if count is None:
        raise ValueError(errors.describe(
            "bcoo_reshape: new shape cannot mix batch and sparse dimensions; got "
            f"shape={mat.shape} new_shape={shape} with n_batch={mat.n_batch}",
            fix="mat.update_layout(n_batch=0) makes all axes sparse"))
    if not mat.n_batch:
        count = 0
    elif not mat.n_sparse:
        count = len(shape)
    flat = jnp.zeros(mat.indices.shape[:-1], mat.indices.dtype)
    for col, size in zip(columns(mat.indices), sizes):
        flat = flat * size + col
    flat = jnp.where(inside(mat.indices, sizes), flat, math.prod(sizes))
    cols = [c.reshape(*shape[:count], mat.nse) for c in _unravelled(flat, shape[count:])]
    like = mat.indices.reshape(*shape[:count], mat.nse, mat.n_sparse)
    present = inside(like, sizes)
    data = masked(mat.data.reshape(*shape[:count], mat.nse), present)
    return BCOO((data, stacked(cols, like)), shape=shape, indices_sorted=(
        mat.indices_sorted and dimensions is None), unique_indices=mat.unique_indices)


def bcoo_rev(operand: BCOO, dimensions: Sequence[int]) -> BCOO:
    """Some axes backwards."""
    dims = {d % max(operand.ndim, 1) for d in dimensions}
    n, end = operand.n_batch, operand.n_batch + operand.n_sparse
    batch = tuple(d for d in dims if d < n)
    data = lax.rev(operand.data, (*batch, *[d - end + n + 1 for d in dims if d >= end]))
    indices = lax.rev(operand.indices, batch)
    sizes = operand.split()[1]
    cols = [jnp.where(col < size, size - 1 - col, size) if d + n in dims else col
            for d, (col, size) in enumerate(zip(columns(indices), sizes))]
    moved = any(n <= d < end for d in dims)
    return BCOO((data, stacked(cols, indices) if moved else indices), shape=operand.shape,
                indices_sorted=operand.indices_sorted and not moved,
                unique_indices=operand.unique_indices)


# --- Parts and wholes ---------------------------------------------------------------------------


def bcoo_slice(mat: BCOO, *, start_indices: Sequence[int], limit_indices: Sequence[int],
               strides: Sequence[int] | None = None) -> BCOO:
    """Every `strides`-th index from start to limit, along each axis."""
    start, stop = [int(i) for i in start_indices], [int(i) for i in limit_indices]
    step = [1] * mat.ndim if strides is None else [int(i) for i in strides]
    if not len(start) == len(stop) == len(step) == mat.ndim:
        raise ValueError(f"bcoo_slice: indices must have size mat.ndim={mat.ndim}")
    if not all(0 <= a <= b <= s for a, b, s in zip(start, stop, mat.shape)):
        raise ValueError(errors.describe(
            f"bcoo_slice: invalid indices. Got start_indices={start}, limit_indices={stop} and "
            f"shape={mat.shape}", fix="0 <= start <= limit <= size along each axis"))
    shape = [-(-(b - a) // s) for a, b, s in zip(start, stop, step)]
    parts = [slice(a, b, s) for a, b, s in zip(start, stop, step)]
    n, end = mat.n_batch, mat.n_batch + mat.n_sparse
    data = mat.data[(*_batch_parts(mat.data, parts[:n]), slice(None), *parts[end:])]
    indices = mat.indices[_batch_parts(mat.indices, parts[:n])]
    return _moved(mat, data, indices, start[n:end], tuple(shape), tuple(step[n:end]))


def _batch_parts(x: Array, parts: Sequence[slice]) -> tuple[slice, ...]:
    """Parts of batch axes; of one that stands for all batches, itself if any is chosen."""
    return tuple(p if size != 1 else slice(0, min(1, len(range(p.start, p.stop))))
                 for p, size in zip(parts, x.shape))


@fused(static_argnums=(4, 5))
def _moved(mat: BCOO, data: Array, indices: Array, start: Sequence[Any], shape: tuple[int, ...],
           step: tuple[int, ...]) -> BCOO:
    """The entries whose indices are start + step * i, at i; others become padding."""
    n = mat.n_batch
    sizes = shape[n:n + mat.n_sparse]
    cols = [col.astype(np.int32) - a for col, a in zip(columns(indices), start)]
    present = inside(indices, mat.split()[1])
    for i, (col, s, size) in enumerate(zip(cols, step, sizes)):
        present = present & (col >= 0) & (col < s * size) & (col % s == 0)
        cols[i] = col // s
    cols = [jnp.where(present, col, size) for col, size in zip(cols, sizes)]
    out = BCOO((masked(data, present), stacked(cols, indices)), shape=shape,
               unique_indices=mat.unique_indices)
    most = math.prod(sizes)
    return bcoo_sum_duplicates(out, most) if out.nse > most else out


def bcoo_dynamic_slice(mat: BCOO, start_indices: Sequence[Any],
                       slice_sizes: Sequence[int]) -> BCOO:
    """A part of the given sizes that begins where `start_indices`, arrays, say."""
    sizes = tuple(map(int, slice_sizes))
    starts = [jnp.asarray(i) for i in start_indices]
    if len(starts) != mat.ndim or len(sizes) != mat.ndim:
        raise ValueError(f"bcoo_dynamic_slice: indices must have size mat.ndim={mat.ndim}")
    if any(not 0 <= s <= t for s, t in zip(sizes, mat.shape)):
        raise TypeError(errors.describe(
            "slice slice_sizes must be less than or equal to operand shape, got slice_sizes "
            f"{sizes} for operand shape {mat.shape}.", fix="choose smaller sizes"))
    clipped = [lax.clamp(np.zeros((), i.dtype)[()], jnp.where(i < 0, i + t, i).astype(i.dtype),
                         np.asarray(t - s, i.dtype)[()])
               for i, s, t in zip(starts, sizes, mat.shape)]
    n, end = mat.n_batch, mat.n_batch + mat.n_sparse

    def part(x: Array, dense: Sequence[int]) -> Array:
        for axis, d in [*enumerate(range(n)), *enumerate(dense, n + 1)]:
            if axis < n and x.shape[axis] == 1 != mat.shape[d]:
                x = lax.slice_in_dim(x, 0, min(1, sizes[d]), axis=axis)
            else:
                x = lax.dynamic_slice_in_dim(x, clipped[d], sizes[d], axis)
        return x

    data, indices = part(mat.data, range(end, mat.ndim)), part(mat.indices, ())
    return _moved(mat, data, indices, [c.astype(np.int32) for c in clipped[n:end]], sizes,
                  (1,) * mat.n_sparse)


def bcoo_gather(operand: BCOO, start_indices: Array, dimension_numbers: Any,
                slice_sizes: Sequence[int], *, unique_indices: bool = False,
                indices_are_sorted: bool = False, mode: Any = None,
                fill_value: Any = None) -> BCOO:
    """`lax.gather`, by way of the dense array; all axes of the result are sparse."""
    dense = lax.gather(bcoo_todense(operand), start_indices, dimension_numbers, tuple(slice_sizes),
                       unique_indices=unique_indices, indices_are_sorted=indices_are_sorted,
                       mode=mode, fill_value=fill_value)
    return bcoo_fromdense(dense, nse=dense.size, index_dtype=operand.indices.dtype)


def bcoo_concatenate(operands: Sequence[BCOO], *, dimension: int) -> BCOO:
    """Arrays joined along a batch or sparse axis."""
    if not operands:
        raise ValueError("concatenate requires a non-empty sequences of arrays")
    first = operands[0]
    n, end = first.n_batch, first.n_batch + first.n_sparse
    for kind in ("batch", "dense"):
        if any(getattr(m, f"n_{kind}") != getattr(first, f"n_{kind}") for m in operands):
            raise ValueError(errors.describe(
                f"bcoo_concatenate requires inputs to have matching {kind} dimensions.",
                fix="bring them into one layout with update_layout"))
    lengths = [m.shape[dimension] for m in operands]
    others = {m.shape[:dimension] + m.shape[dimension + 1:] for m in operands}
    if len(others) != 1:
        raise ValueError(errors.describe(
            f"bcoo_concatenate: shapes {[m.shape for m in operands]} differ in other axes than "
            f"{dimension}", fix="reshape or slice them first"))
    if dimension >= end:
        raise NotImplementedError("Concatenation along dense dimensions.")
    shape = [sum(lengths) if d == dimension else s for d, s in enumerate(first.shape)]
    if dimension < n:
        most = max(m.nse for m in operands)
        padded = [_padded(m, most) for m in operands]
        return BCOO((lax.concatenate([m.data for m in padded], dimension),
                     lax.concatenate([m.indices for m in padded], dimension)), shape=shape)
    shifts = np.cumsum([0, *lengths[:-1]])
    moved = [_shifted(m, dimension - n, int(shift), shape[n:end])
             for m, shift in zip(operands, shifts)]
    return BCOO((lax.concatenate([d for d, _ in moved], n),
                 lax.concatenate([i for _, i in moved], n)), shape=shape)


def _padded(mat: BCOO, nse: int) -> BCOO:
    """`mat` with all batches, and padding up to `nse` entries."""
    data, indices = whole(mat)
    n, more = mat.n_batch, nse - mat.nse
    rest = np.broadcast_to(np.array(mat.split()[1], indices.dtype),
                           (*mat.shape[:n], more, mat.n_sparse))
    data = lax.concatenate([data, jnp.zeros((*data.shape[:n], more, *data.shape[n + 1:]),
                                            data.dtype)], n)
    return BCOO((data, lax.concatenate([indices, jnp.asarray(rest)], n)), shape=mat.shape)


def _shifted(mat: BCOO, axis: int, shift: int, sizes: Sizes) -> tuple[Array, Array]:
    """Data and indices in an array of other sparse sizes, along an axis further on."""
    data, indices = whole(mat)
    present = inside(indices, mat.split()[1])
    cols = [jnp.where(present, col + (shift if i == axis else 0), size).astype(indices.dtype)
            for i, (col, size) in enumerate(zip(columns(indices), sizes))]
    return masked(data, present), stacked(cols, indices)
