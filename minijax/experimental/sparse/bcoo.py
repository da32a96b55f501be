"""Batched coordinate arrays: for each batch, a list of index tuples and of the elements there.

Of an array's axes the first `n_batch` have lists of their own, the last `n_dense` are stored whole,
and those between are given by `indices`: `data[*batch, nse, *dense]`, `indices[*batch, nse,
n_sparse]`.  Invariant: an index outside the array is padding, and its element counts as zero.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax, vmap
from minijax import numpy as jnp
from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.core import to_concrete

__all__ = ["BCOO", "JAXSparse"]


class JAXSparse:
    """The base of sparse arrays."""

    __array_priority__ = 100

    def __init__(self, args: Sequence[Any], *, shape: Sequence[int]):
        self._shape = tuple(map(operator.index, shape))

    shape = property(lambda self: self._shape)
    size = property(lambda self: math.prod(self.shape))
    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: self.transpose())

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        shape = ", ".join(map(str, self.shape))
        layout = "".join(f", {name}={getattr(self, name)}" for name in ("n_batch", "n_dense")
                         if getattr(self, name))
        return f"{type(self).__name__}({np.dtype(self.dtype).name}[{shape}], nse={self.nse}" \
               f"{layout})"


@tree.register_pytree_node_class
class BCOO(JAXSparse):
    """A sparse array in coordinate form: BCOO((data, indices), shape=shape)."""

    def __init__(self, args: tuple[Any, Any], *, shape: Sequence[int],
                 indices_sorted: bool = False, unique_indices: bool = False):
        self.data, self.indices = map(jnp.asarray, args)
        self.indices_sorted = indices_sorted
        self.unique_indices = unique_indices
        super().__init__(args, shape=shape)

    # Within vmap the arrays lack the mapped batch axes.
    shape = property(lambda self: self._shape[len(self._shape) - (
        self.n_batch + self.n_sparse + self.n_dense):])
    nse = property(lambda self: self.indices.shape[-2])
    dtype = property(lambda self: self.data.dtype)
    n_sparse = property(lambda self: self.indices.shape[-1])
    n_batch = property(lambda self: self.indices.ndim - 2)
    n_dense = property(lambda self: self.data.ndim - 1 - self.n_batch)

    # --- Making --------------------------------------------------------------------------------

    @classmethod
    def fromdense(cls, mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32,
                  n_dense: int = 0, n_batch: int = 0) -> BCOO:
        """The elements of a dense array that are not zero; `nse` is needed while tracing."""
        return bcoo_fromdense(mat, nse=nse, n_batch=n_batch, n_dense=n_dense,
                              index_dtype=index_dtype)

    @classmethod
    def from_scipy_sparse(cls, mat: Any, *, index_dtype: Any = None, n_dense: int = 0,
                          n_batch: int = 0) -> BCOO:
        """A SciPy matrix of any format."""
        if n_dense or n_batch:
            raise NotImplementedError("BCOO.from_scipy_sparse with nonzero n_dense/n_batch.")
        mat = mat.tocoo()
        indices = np.column_stack((mat.row, mat.col)).astype(index_dtype or np.int32)
        return cls((mat.data, indices), shape=mat.shape)

    @classmethod
    def _empty(cls, shape: Sequence[int], *, dtype: Any = None, index_dtype: Any = np.int32,
               n_dense: int = 0, n_batch: int = 0, nse: int = 0) -> BCOO:
        """An array of zeros with room for `nse` elements."""
        shape = tuple(shape)
        batch, sparse, dense = _split(shape, n_batch, n_dense)
        indices = jnp.full((*batch, nse, len(sparse)), np.array(sparse, index_dtype))
        data = jnp.zeros((*batch, nse, *dense), dtype)
        return cls((data, indices), shape=shape, indices_sorted=True, unique_indices=True)

    def tree_flatten(self) -> tuple[tuple, tuple]:
        """For pytrees: the arrays, and what is static."""
        return (self.data, self.indices), (self._shape, self.indices_sorted, self.unique_indices)

    @classmethod
    def tree_unflatten(cls, aux: tuple, children: tuple) -> BCOO:
        """The way back; the children may be anything."""
        made = object.__new__(cls)
        made.data, made.indices = children
        made._shape, made.indices_sorted, made.unique_indices = aux
        return made

    def like(self, data: Any, indices: Any = None, shape: Sequence[int] | None = None, *,
             indices_sorted: bool | None = None, unique_indices: bool | None = None) -> BCOO:
        """This array with other elements, places or shape."""
        return BCOO(
            (data, self.indices if indices is None else indices),
            shape=self.shape if shape is None else shape,
            indices_sorted=self.indices_sorted if indices_sorted is None else indices_sorted,
            unique_indices=self.unique_indices if unique_indices is None else unique_indices)

    # --- Methods -------------------------------------------------------------------------------

    def todense(self) -> Array:
        """The array with its zeros."""
        return bcoo_todense(self)

    def transpose(self, axes: Sequence[int] | None = None) -> BCOO:
        """Axes in another order; sparse axes stay sparse."""
        return bcoo_transpose(self, permutation=tuple(axes or range(self.ndim)[::-1]))

    def astype(self, dtype: Any) -> BCOO:
        """The elements in another dtype."""
        return self.like(self.data.astype(dtype))

    def block_until_ready(self) -> BCOO:
        """Wait until the elements and indices are computed."""
        self.data.block_until_ready()
        self.indices.block_until_ready()
        return self

    def sum(self, axis: Any = None) -> BCOO | Array:
        """The sum over axes, sparse; over all of them, dense."""
        axes = range(self.ndim) if axis is None else (axis if isinstance(axis, tuple) else (axis,))
        out = bcoo_reduce_sum(self, axes=tuple(a % self.ndim for a in axes))
        return out.todense() if axis is None else out

    def reshape(self, *args: Any, **kwargs: Any) -> BCOO:
        """The elements in another shape."""
        shape = args[0] if len(args) == 1 and isinstance(args[0], Sequence) else args
        known = math.prod(s for s in shape if s != -1)
        return bcoo_reshape(self, new_sizes=tuple(self.size // known if s == -1 else s
                                                  for s in shape))

    def sum_duplicates(self, nse: int | None = None, remove_zeros: bool = True) -> BCOO:
        """Each index once."""
        return bcoo_sum_duplicates(self, nse)

    def sort_indices(self) -> BCOO:
        """Indices in order."""
        return bcoo_sort_indices(self)

    def update_layout(self, *, n_batch: int | None = None, n_dense: int | None = None,
                      on_inefficient: str = "error") -> BCOO:
        """The same array with other kinds of axes."""
        return bcoo_update_layout(self, n_batch=n_batch, n_dense=n_dense,
                                  on_inefficient=on_inefficient)

    def __neg__(self) -> BCOO:
        return self.like(-self.data)

    def __pos__(self) -> BCOO:
        return self

    def __abs__(self) -> BCOO:
        return self.sum_duplicates(self.nse).like(jnp.abs(self.sum_duplicates(self.nse).data))

    def __mul__(self, other: Any) -> BCOO:
        if isinstance(other, JAXSparse):
            return bcoo_multiply_sparse(self, other)
        if not np.ndim(other):
            return self.like(self.data * other)
        return self.like(bcoo_multiply_dense(self, jnp.asarray(other)))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> BCOO:
        return self * (1 / jnp.asarray(other))

    def __add__(self, other: Any) -> BCOO | Array:
        if isinstance(other, JAXSparse):
            if self.shape != other.shape:
                raise TypeError(errors.describe(
                    f"add of sparse arrays requires equal shapes, got {self.shape} and "
                    f"{other.shape}", fix="broadcast one of them with bcoo_broadcast_in_dim"))
            return bcoo_concatenate(
                [self, other.update_layout(n_batch=self.n_batch, n_dense=self.n_dense,
                                           on_inefficient="ignore")], nse_only=True)
        return self.todense() + other

    __radd__ = __add__

    def __sub__(self, other: Any) -> BCOO | Array:
        return self + (-other)

    def __rsub__(self, other: Any) -> BCOO | Array:
        return (-self) + other

    def __matmul__(self, other: Any) -> BCOO | Array:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> BCOO | Array:
        return _matmul(other, self)

    def __getitem__(self, index: Any) -> BCOO:
        dense = self.todense()[index]
        return bcoo_fromdense(dense, nse=min(self.nse * max(1, math.prod(
            self.shape[:self.n_batch])), dense.size))

    def __iter__(self) -> Any:
        return (self[i] for i in range(self.shape[0]))


# --- Helpers ------------------------------------------------------------------------------------


def _split(shape: Sequence[int], n_batch: int, n_dense: int) -> tuple[tuple, tuple, tuple]:
    """The sizes of batch, sparse and dense axes."""
    end = len(shape) - n_dense
    return tuple(shape[:n_batch]), tuple(shape[n_batch:end]), tuple(shape[end:])


def _sparse_shape(mat: BCOO) -> tuple[int, ...]:
    return _split(mat.shape, mat.n_batch, mat.n_dense)[1]


def _batched(fun: Callable, n_batch: int) -> Callable:
    """`fun` for one list of elements, applied to each batch."""
    for _ in range(n_batch):
        fun = vmap(fun)
    return fun


def _columns(indices: Array) -> tuple[Array, ...]:
    return tuple(indices[..., i] for i in range(indices.shape[-1]))


def _inside(indices: Array, sparse: Sequence[int]) -> Array:
    """Which entries are no padding."""
    return jnp.all(indices < np.array(sparse, indices.dtype), axis=-1)


def _nse_of(mask: Array, why: str) -> int:
    known = to_concrete(mask)
    if known is None:
        raise errors.ConcretizationTypeError(mask, f"nse must be given to {why} while tracing")
    counts = np.asarray(known).reshape(-1, *known.shape[-1:]).sum(-1) if known.ndim else known
    return int(np.max(counts, initial=0))


# --- Conversions --------------------------------------------------------------------------------


def bcoo_fromdense(mat: Any, *, nse: int | None = None, n_batch: int = 0, n_dense: int = 0,
                   index_dtype: Any = np.int32) -> BCOO:
    """The nonzero elements of `mat`, in `nse` places per batch (default: as many as needed)."""
    mat = jnp.asarray(mat)
    batch, sparse, dense = _split(mat.shape, n_batch, n_dense)
    present = mat != 0
    if n_dense:
        present = present.any(axis=tuple(range(mat.ndim - n_dense, mat.ndim)))
    if nse is None:
        nse = _nse_of(jnp.reshape(present, (*batch, math.prod(sparse))), "BCOO.fromdense")
    nse = operator.index(nse)

    def places(mask: Array) -> Array:
        found = jnp.nonzero(mask, size=nse, fill_value=mask.shape) if mask.ndim else ()
        return jnp.stack(found, -1).astype(index_dtype) if found else jnp.zeros(
            (nse, 0), index_dtype)

    indices = _batched(places, n_batch)(present)
    return BCOO((bcoo_extract_data(indices, mat, n_batch), indices), shape=mat.shape,
                indices_sorted=True, unique_indices=True)


def bcoo_extract_data(indices: Array, mat: Array, n_batch: int) -> Array:
    """The elements of a dense array at the places of a sparse one; zeros for padding."""
    def pick(index: Array, x: Array) -> Array:
        columns = _columns(index)
        return x.at[columns].get(mode="fill", fill_value=0) if columns else jnp.broadcast_to(
            x, (index.shape[0], *x.shape))
    return _batched(pick, n_batch)(indices, mat)


def bcoo_extract(sparr: BCOO, arr: Any, *, assume_unique: bool | None = None) -> BCOO:
    """The elements of the dense `arr` at the places of `sparr`."""
    unique = sparr if (sparr.unique_indices if assume_unique is None else assume_unique) \
        else bcoo_sum_duplicates(sparr, sparr.nse)
    return unique.like(bcoo_extract_data(unique.indices, jnp.asarray(arr), sparr.n_batch))


def bcoo_todense(mat: BCOO) -> Array:
    """The array with its zeros."""
    sparse, dense = _split(mat.shape, mat.n_batch, mat.n_dense)[1:]

    def place(data: Array, indices: Array) -> Array:
        columns = _columns(indices)
        if not columns:
            return data.sum(0)
        return jnp.zeros((*sparse, *dense), mat.dtype).at[columns].add(data, mode="drop")
    return _batched(place, mat.n_batch)(mat.data, mat.indices)


def todense(arr: Any) -> Any:
    """A sparse array with its zeros; a dense one as it is."""
    return arr.todense() if isinstance(arr, JAXSparse) else jnp.asarray(arr)


def empty(shape: Sequence[int], dtype: Any = None, index_dtype: Any = "int32",
          sparse_format: str = "bcoo", **kwds: Any) -> BCOO:
    """A sparse array of zeros."""
    _only_bcoo(sparse_format)
    return BCOO._empty(shape, dtype=dtype, index_dtype=np.dtype(index_dtype), **kwds)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, index_dtype: Any = "int32",
        sparse_format: str = "bcoo", **kwds: Any) -> BCOO:
    """A sparse array of ones on a diagonal."""
    _only_bcoo(sparse_format)
    columns = N if M is None else M
    count = max(0, min(N, columns - k) if k >= 0 else min(N + k, columns))
    rows = jnp.arange(count, dtype=index_dtype)
    indices = jnp.stack([rows - min(k, 0), rows + max(k, 0)], -1)
    made = BCOO((jnp.ones(count, dtype), indices), shape=(N, columns), indices_sorted=True,
                unique_indices=True)
    return made.update_layout(on_inefficient="ignore", **kwds) if kwds else made


def _only_bcoo(name: str) -> None:
    if name != "bcoo":
        raise ValueError(f"sparse_format={name!r} not recognized; must be 'bcoo'")


# --- Structure ----------------------------------------------------------------------------------


def bcoo_transpose(mat: BCOO, *, permutation: Sequence[int]) -> BCOO:
    """Axes in another order, within batch, sparse and dense axes."""
    n, end = mat.n_batch, mat.ndim - mat.n_dense
    order = [p % mat.ndim for p in permutation]
    batch, sparse, dense = order[:n], order[n:end], order[end:]
    if sorted(batch) != list(range(n)) or sorted(dense) != list(range(end, mat.ndim)):
        raise NotImplementedError(errors.describe(
            f"transpose of axes {tuple(permutation)} would mix batch, sparse and dense axes",
            fix="mat.update_layout(n_batch=0, n_dense=0) makes all axes sparse"))
    indices = jnp.transpose(mat.indices, [*batch, n, n + 1])[..., [s - n for s in sparse]]
    data = jnp.transpose(mat.data, [*batch, n, *[d - end + n + 1 for d in dense]])
    return mat.like(data, indices, [mat.shape[p] for p in order], indices_sorted=False)


def bcoo_sort_indices(mat: BCOO) -> BCOO:
    """Indices in lexicographic order, padding last."""
    def sort(data: Array, indices: Array) -> tuple[Array, Array]:
        order = jnp.lexsort(_columns(indices)[::-1]) if indices.shape[-1] else jnp.arange(
            indices.shape[0])
        return data[order], indices[order]
    if mat.indices_sorted:
        return mat
    return mat.like(*_batched(sort, mat.n_batch)(mat.data, mat.indices), indices_sorted=True)


def bcoo_sum_duplicates(mat: BCOO, nse: int | None = None) -> BCOO:
    """Each index once, in order, with the sum of its elements."""
    sparse = _sparse_shape(mat)
    mat = bcoo_sort_indices(mat)

    def firsts(indices: Array) -> Array:
        new = jnp.any(indices[1:] != indices[:-1], axis=-1)
        return jnp.concatenate([jnp.ones(min(1, len(indices)), bool), new]) & _inside(indices,
                                                                                    sparse)
    first = _batched(firsts, mat.n_batch)(mat.indices)
    if nse is None:
        nse = _nse_of(first, "sum_duplicates")

    def merge(data: Array, indices: Array, first: Array) -> tuple[Array, Array]:
        slot = jnp.where(_inside(indices, sparse), jnp.cumsum(first) - 1, nse)
        merged = jnp.zeros((nse, *data.shape[1:]), data.dtype).at[slot].add(data, mode="drop")
        padding = jnp.broadcast_to(np.array(sparse, indices.dtype), (nse, len(sparse)))
        return merged, padding.at[slot].set(indices, mode="drop")
    data, indices = _batched(merge, mat.n_batch)(mat.data, mat.indices, first)
    return mat.like(data, indices, indices_sorted=True, unique_indices=True)


def bcoo_update_layout(mat: BCOO, *, n_batch: int | None = None, n_dense: int | None = None,
                       on_inefficient: str | None = "error") -> BCOO:
    """The same array with other numbers of batch and dense axes."""
    n_batch = mat.n_batch if n_batch is None else operator.index(n_batch)
    n_dense = mat.n_dense if n_dense is None else operator.index(n_dense)
    if n_batch + n_dense > mat.ndim or min(n_batch, n_dense) < 0:
        raise ValueError(f"{n_batch=} and {n_dense=} do not fit an array of {mat.ndim} axes")
    while mat.n_dense > n_dense:
        mat = _dense_to_sparse(mat)
    while mat.n_batch > n_batch:
        mat = _batch_to_sparse(mat)
    if (mat.n_batch, mat.n_dense) == (n_batch, n_dense):
        return mat
    if on_inefficient == "error":
        raise SparseEfficiencyError(errors.describe(
            "making sparse axes batch or dense axes stores more elements",
            fix='update_layout(..., on_inefficient="ignore")'))
    sizes = _split(mat.shape, n_batch, n_dense)[1]
    return bcoo_fromdense(mat.todense(), n_batch=n_batch, n_dense=n_dense,
                          nse=min(mat.nse * math.prod(mat.shape[:mat.n_batch]),
                                  math.prod(sizes)))


class SparseEfficiencyError(ValueError):
    """A conversion would store many more elements."""


def _dense_to_sparse(mat: BCOO) -> BCOO:
    """The first dense axis as the last sparse one."""
    n, size = mat.n_batch, mat.data.shape[mat.n_batch + 1]
    data = jnp.reshape(mat.data, (*mat.data.shape[:n], mat.nse * size, *mat.data.shape[n + 2:]))
    shape = (*mat.indices.shape[:-1], size)
    new = jnp.broadcast_to(jnp.arange(size, dtype=mat.indices.dtype), shape)[..., None]
    old = jnp.broadcast_to(mat.indices[..., None, :], (*shape, mat.n_sparse))
    indices = jnp.concatenate([old, new], -1).reshape(*shape[:n], mat.nse * size, mat.n_sparse + 1)
    return mat.like(data, indices)


def _batch_to_sparse(mat: BCOO) -> BCOO:
    """The last batch axis as the first sparse one."""
    n = mat.n_batch - 1
    size = mat.shape[n]
    # A batch of size one may be stored for all.
    data = jnp.broadcast_to(mat.data, (*mat.data.shape[:n], size, *mat.data.shape[n + 1:]))
    indices = jnp.broadcast_to(mat.indices, (*mat.indices.shape[:n], size,
                                             *mat.indices.shape[n + 1:]))
    shape = indices.shape[:-1]
    new = lax.broadcasted_iota(indices.dtype, shape, n)[..., None]
    padded = jnp.where(_inside(indices, _sparse_shape(mat))[..., None], new, size)
    indices = jnp.concatenate([padded, indices], -1)
    return mat.like(data.reshape(*data.shape[:n], -1, *data.shape[n + 2:]),
                    indices.reshape(*shape[:n], -1, mat.n_sparse + 1))


def bcoo_reshape(mat: BCOO, *, new_sizes: Sequence[int], dimensions: Any = None,
                 sharding: Any = None) -> BCOO:
    """The elements in another shape; batch axes become sparse."""
    if math.prod(new_sizes) != mat.size:
        raise TypeError(errors.describe(
            f"cannot reshape array of shape {mat.shape} into shape {tuple(new_sizes)}",
            fix="the products of the sizes must be equal"))
    flat = bcoo_update_layout(mat, n_batch=0, n_dense=0)
    inside = _inside(flat.indices, flat.shape)
    place = jnp.ravel_multi_index(_columns(flat.indices), flat.shape, mode="clip")
    columns = jnp.unravel_index(place, tuple(new_sizes))
    columns = [jnp.where(inside, c, s).astype(flat.indices.dtype)
               for c, s in zip(columns, new_sizes)]
    return flat.like(flat.data, jnp.stack(columns, -1), new_sizes, indices_sorted=False)


def bcoo_squeeze(arr: BCOO, *, dimensions: Sequence[int]) -> BCOO:
    """Without axes of size one."""
    gone = {d % arr.ndim for d in dimensions}
    n, end = arr.n_batch, arr.ndim - arr.n_dense
    batch = tuple(d for d in gone if d < n)
    dense = tuple(d - end + n + 1 for d in gone if d >= end)
    kept = [d - n for d in range(n, end) if d not in gone]
    shape = [s for d, s in enumerate(arr.shape) if d not in gone]
    return arr.like(jnp.squeeze(arr.data, (*batch, *dense)),
                    jnp.squeeze(arr.indices, batch)[..., kept], shape)


def bcoo_broadcast_in_dim(mat: BCOO, *, shape: Sequence[int], broadcast_dimensions: Sequence[int],
                          sharding: Any = None) -> BCOO:
    """The array repeated along new axes and axes of size one; all axes become sparse."""
    mat = bcoo_update_layout(mat, n_batch=0, n_dense=0)
    repeats = {d: size for d, size in enumerate(shape)
               if d not in broadcast_dimensions or (
                   mat.shape[tuple(broadcast_dimensions).index(d)] == 1 and size != 1)}
    grid = jnp.stack([g.ravel() for g in jnp.meshgrid(
        *[jnp.arange(s, dtype=mat.indices.dtype) for s in repeats.values()], indexing="ij")],
        -1) if repeats else jnp.zeros((1, 0), mat.indices.dtype)
    count, inside = grid.shape[0], _inside(mat.indices, mat.shape)
    columns = []
    for d, size in enumerate(shape):
        if d in repeats:
            values = jnp.tile(grid[:, list(repeats).index(d)], mat.nse)
            values = jnp.where(jnp.repeat(inside, count), values, size)
        else:
            values = jnp.repeat(mat.indices[:, tuple(broadcast_dimensions).index(d)], count)
        columns.append(values)
    return mat.like(jnp.repeat(mat.data, count), jnp.stack(columns, -1), shape,
                    indices_sorted=False)


def bcoo_concatenate(operands: Sequence[BCOO], *, dimension: int = 0,
                     nse_only: bool = False) -> BCOO:
    """Arrays joined along an axis; with `nse_only`, added: their elements in one list."""
    first = operands[0]
    if nse_only:
        shape, shifts = first.shape, [0] * len(operands)
    else:
        operands = [bcoo_update_layout(m, n_batch=0, n_dense=0) for m in operands]
        first = operands[0]
        sizes = [m.shape[dimension] for m in operands]
        shifts = list(np.cumsum([0, *sizes[:-1]]))
        shape = tuple(sum(sizes) if d == dimension else s for d, s in enumerate(first.shape))
    moved = []
    for m, shift in zip(operands, shifts):
        indices = m.indices if not shift else m.indices.at[..., dimension].add(int(shift))
        inside = _inside(m.indices, _sparse_shape(m))[..., None]
        sparse = np.array(_split(shape, first.n_batch, first.n_dense)[1], indices.dtype)
        moved.append(jnp.where(inside, indices, sparse))
    return BCOO((jnp.concatenate([m.data for m in operands], first.n_batch),
                 jnp.concatenate(moved, first.n_batch)), shape=shape)


# --- Arithmetic ---------------------------------------------------------------------------------


def bcoo_reduce_sum(mat: BCOO, *, axes: Sequence[int]) -> BCOO:
    """The sum over axes, as a sparse array of the others."""
    gone = {a % mat.ndim for a in axes}
    if any(a < mat.n_batch for a in gone):
        mat = bcoo_update_layout(mat, n_batch=min(a for a in gone))
    n, end = mat.n_batch, mat.ndim - mat.n_dense
    dense = tuple(a - end + n + 1 for a in gone if a >= end)
    inside = _inside(mat.indices, _sparse_shape(mat))
    data = jnp.where(inside.reshape(*inside.shape, *(1,) * mat.n_dense), mat.data, 0)
    kept = [a - n for a in range(n, end) if a not in gone]
    return BCOO((data.sum(dense) if dense else data, mat.indices[..., kept]),
                shape=[s for d, s in enumerate(mat.shape) if d not in gone])


def bcoo_multiply_dense(sp_mat: BCOO, v: Any) -> Array:
    """The elements of `sp_mat * v`, at the places of `sp_mat`."""
    v = jnp.asarray(v)
    if v.ndim > sp_mat.ndim:
        raise NotImplementedError("multiplication of a sparse array by one of more axes")
    whole = jnp.broadcast_to(v, sp_mat.shape)
    return sp_mat.data * bcoo_extract_data(sp_mat.indices, whole, sp_mat.n_batch)


def bcoo_multiply_sparse(lhs: BCOO, rhs: BCOO) -> BCOO:
    """The product element by element, at the places of `lhs`."""
    return lhs.like(bcoo_multiply_dense(lhs, rhs.todense()))


def bcoo_dot_general(lhs: Any, rhs: Any, *, dimension_numbers: Any, precision: Any = None,
                     preferred_element_type: Any = None, out_sharding: Any = None) -> Any:
    """`lax.dot_general` where one operand or both are sparse; dense unless both are."""
    if isinstance(lhs, JAXSparse) and isinstance(rhs, JAXSparse):
        out = lax.dot_general(lhs.todense(), rhs.todense(), dimension_numbers, precision,
                              preferred_element_type)
        return bcoo_fromdense(out, nse=min(out.size, lhs.nse * rhs.nse))
    (lc, rc), (lb, rb) = [tuple(map(tuple, pair)) for pair in dimension_numbers]
    if isinstance(rhs, JAXSparse):
        swapped = bcoo_dot_general(rhs, lhs, dimension_numbers=((rc, lc), (rb, lb)),
                                   preferred_element_type=preferred_element_type)
        n, right = len(lb), rhs.ndim - len(rc) - len(rb)
        order = [*range(n), *range(n + right, swapped.ndim), *range(n, n + right)]
        return jnp.transpose(swapped, order)
    rhs = jnp.asarray(rhs)
    if lhs.n_dense or lhs.n_batch or lb or not lc:
        return lax.dot_general(lhs.todense(), rhs, dimension_numbers, precision,
                               preferred_element_type)
    return _gather_and_add(lhs, rhs, lc, rc, preferred_element_type)


def _gather_and_add(lhs: BCOO, rhs: Array, lc: tuple, rc: tuple, dtype: Any) -> Array:
    """Rows of `rhs` picked by the contracted indices, scaled, and added up by the free ones."""
    dtype = dtype or jnp.promote_types(lhs.dtype, rhs.dtype)
    free = [d for d in range(lhs.ndim) if d not in lc]
    rows = jnp.moveaxis(rhs, rc, range(len(rc)))
    picked = rows.at[tuple(lhs.indices[:, d] for d in lc)].get(mode="fill", fill_value=0)
    scale = lhs.data.reshape(-1, *(1,) * (picked.ndim - 1))
    products = (scale * picked).astype(dtype)
    inside = _inside(lhs.indices, lhs.shape).reshape(scale.shape)
    products = jnp.where(inside, products, 0)
    if not free:
        return products.sum(0)
    out = jnp.zeros((*[lhs.shape[d] for d in free], *products.shape[1:]), dtype)
    return out.at[tuple(lhs.indices[:, d] for d in free)].add(products, mode="drop")


def _matmul(x: Any, y: Any) -> Any:
    a, b = len(x.shape), len(y.shape)
    if not a or not b:
        raise ValueError("matmul requires at least one axis on both operands")
    if x.shape[-1] != y.shape[max(0, b - 2)]:
        raise TypeError(errors.describe(
            f"matmul requires the last axis of the first operand to have the size of the second's "
            f"next to last, got {tuple(x.shape)} and {tuple(y.shape)}", fix="transpose one"))
    batch = tuple(range(max(0, min(a, b) - 2))) if a > 2 and b > 2 else ()
    contract = ((a - 1,), (max(0, b - 2),))
    out = bcoo_dot_general(x, y, dimension_numbers=(contract, (batch, batch)))
    if batch or b <= 2:
        return out
    # Batches of the right operand only: they come first.
    order = [*range(a - 1, a - 1 + b - 2), *range(a - 1), out.ndim - 1]
    return jnp.transpose(todense(out), order)
