"""The classes of sparse arrays: what they store, without what is computed with them.

`JAXSparse` is the base; every class is a pytree of its arrays.  Operators and methods that compute
are attached by `methods.py`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

from minijax import numpy as jnp
from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.util import SparseInfo

__all__ = ["BCOO", "BCSR", "COO", "CSC", "CSR", "JAXSparse", "is_sparse"]


def is_sparse(x: Any) -> bool:
    """Whether `x` is a sparse array."""
    return isinstance(x, JAXSparse)


class JAXSparse:
    """The base of sparse arrays."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]
    fields: tuple[str, ...] = ()  # the arrays that it consists of, the elements first
    flags: tuple[str, ...] = ()  # what else is part of its type

    data: Array

    def __init__(self, args: tuple[Array, ...], *, shape: Sequence[int]):
        self._shape = tuple(map(operator.index, shape))

    shape = property(lambda self: self._shape)
    dtype = property(lambda self: self.data.dtype)
    nse = property(lambda self: self.data.shape[0])
    size = property(lambda self: math.prod(self.shape))
    ndim = property(lambda self: len(self.shape))
    T = property(lambda self: self.transpose())
    _bufs = property(lambda self: tuple(getattr(self, name) for name in self.fields))

    def todense(self) -> Array:
        """The array with its zeros."""
        raise NotImplementedError(f"{type(self)}.todense")

    def transpose(self, axes: Sequence[int] | None = None) -> JAXSparse:
        """Axes in another order."""
        raise NotImplementedError(f"{type(self)}.transpose")

    def sum(self, *args: Any, **kwargs: Any) -> Any:
        """The sum over axes."""
        raise NotImplementedError(f"{type(self)}.sum")

    def like(self, data: Any) -> Any:
        """This array with other elements."""
        return tree.unflatten(tree.structure(self), [data, *self._bufs[1:]])

    def block_until_ready(self) -> Any:
        """Wait until the arrays that this one consists of are computed."""
        for x in self._bufs:
            x.block_until_ready()
        return self

    def tree_flatten(self) -> tuple[tuple, tuple]:
        """For pytrees: the arrays, and what is static."""
        return self._bufs, (self._shape, *[getattr(self, name) for name in self.flags])

    def tree_flatten_with_keys(self) -> tuple[tuple, tuple]:
        """The same with the arrays' names."""
        children, aux = self.tree_flatten()
        return tuple(zip(map(tree.GetAttrKey, self.fields), children)), aux

    @classmethod
    def tree_unflatten(cls, aux: tuple, children: tuple) -> Any:
        """The way back; the children may be anything."""
        made = object.__new__(cls)
        for name, child in zip(cls.fields, children, strict=True):
            setattr(made, name, child)
        made._shape, *flags = aux
        for name, flag in zip(cls.flags, flags):
            setattr(made, name, flag)
        return made

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        name = type(self).__name__
        try:
            described = f"{self.dtype.name}[{', '.join(map(str, self.shape))}], nse={self.nse}"
            described += "".join(f", {key}={value}" for key in ("n_batch", "n_dense")
                                 if (value := getattr(self, key, 0)))
        except Exception:  # a tree may hold anything in the places of arrays
            return f"{name}(<invalid>)"
        if hasattr(self.data, "_trace"):
            return f"{type(self.data).__name__}[{name}({described})]"
        return f"{name}({described})"


class Batched(JAXSparse):
    """What BCOO and BCSR have in common: batch axes before, dense axes after the sparse ones."""

    flags = ("indices_sorted", "unique_indices")
    n_batch: int
    n_sparse: int

    def __init__(self, args: tuple[Array, ...], *, shape: Sequence[int],
                 indices_sorted: bool = False, unique_indices: bool = False):
        super().__init__(args, shape=shape)
        for name, x in zip(self.fields, args, strict=True):
            setattr(self, name, jnp.asarray(x))
        self.indices_sorted = indices_sorted
        self.unique_indices = unique_indices
        self._check()

    n_dense = property(lambda self: self.data.ndim - 1 - self.n_batch)
    _info = property(lambda self: SparseInfo(self.shape, self.indices_sorted,
                                             self.unique_indices))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape; within and after `vmap`, of the arrays as they are there."""
        n, rest = self.n_batch, self.n_sparse + self.n_dense
        given, tail = self._shape[:len(self._shape) - rest], self._shape[len(self._shape) - rest:]
        given = (1,) * (n - len(given)) + given[len(given) - n:]
        lead = [g if a == b == 1 else a if b == 1 else b
                for g, a, b in zip(given, self.data.shape, self.indices.shape[:n])]
        return (*lead, *tail)

    def split(self, shape: Sequence[int] | None = None) -> tuple[tuple, tuple, tuple]:
        """The sizes of batch, sparse and dense axes (of an array of another shape)."""
        shape = self.shape if shape is None else shape
        start, stop = self.n_batch, self.n_batch + self.n_sparse
        return tuple(shape[:start]), tuple(shape[start:stop]), tuple(shape[stop:])

    def _check(self) -> None:
        """ValueError unless the arrays fit together and have the shape."""
        batch, _, dense = self.split(self._shape)
        rank = self.n_batch + self.n_sparse + self.n_dense
        fits = self.data.shape[self.n_batch:] == (self.nse, *dense)
        for x in (self.data, self.indices):
            fits = fits and all(n in (1, size) for n, size in zip(x.shape, batch))
        if not fits or self.n_dense < 0 or len(self._shape) != rank:
            raise ValueError(errors.describe(
                f"Invalid data.shape={self.data.shape} for nse={self.nse}, "
                f"n_batch={self.n_batch}, n_dense={self.n_dense}",
                because=f"the shape is {self._shape}, the indices have {self.indices.shape}",
                fix="data[*batch, nse, *dense] for an array of shape (*batch, *sparse, *dense)"))
        if not jnp.issubdtype(self.indices.dtype, jnp.integer):
            raise ValueError(errors.describe(
                f"the indices of a sparse array must be integers, got {self.indices.dtype}",
                fix="indices.astype(int)"))


class BCOO(Batched):
    """Batched coordinates: BCOO((data, indices), shape=shape).

    Of the axes the first `n_batch` have lists of their own, the last `n_dense` are stored whole,
    and those between are given by indices: data[*batch, nse, *dense] and
    indices[*batch, nse, n_sparse].  An index outside of the array is padding, and its element
    counts as zero.  A batch axis of size 1 in `data` or `indices` stands for all batches.
    """

    fields = ("data", "indices")

    nse = property(lambda self: self.indices.shape[-2])
    n_sparse = property(lambda self: self.indices.shape[-1])
    n_batch = property(lambda self: self.indices.ndim - 2)


class BCSR(Batched):
    """Batched compressed rows: BCSR((data, indices, indptr), shape=shape).

    Two axes are sparse: elements indptr[i] to indptr[i + 1] are in row i, in the columns that
    `indices` says.  Batch and dense axes are those of BCOO.
    """

    fields = ("data", "indices", "indptr")
    n_sparse = 2

    nse = property(lambda self: self.indices.shape[-1])
    n_batch = property(lambda self: self.indices.ndim - 1)


class COO(JAXSparse):
    """A matrix in coordinates: COO((data, row, col), shape=shape)."""

    fields = ("data", "row", "col")
    flags = ("_rows_sorted", "_cols_sorted")

    def __init__(self, args: tuple[Array, Array, Array], *, shape: Sequence[int],
                 rows_sorted: bool = False, cols_sorted: bool = False):
        super().__init__(args, shape=shape)
        self.data, self.row, self.col = map(jnp.asarray, args)
        self._rows_sorted = rows_sorted
        self._cols_sorted = cols_sorted


class Compressed(JAXSparse):
    """What CSR and CSC have in common: a line is a row or a column."""

    fields = ("data", "indices", "indptr")

    def __init__(self, args: tuple[Array, Array, Array], *, shape: Sequence[int]):
        super().__init__(args, shape=shape)
        self.data, self.indices, self.indptr = map(jnp.asarray, args)


class CSR(Compressed):
    """A matrix in compressed rows: CSR((data, indices, indptr), shape=shape)."""


class CSC(Compressed):
    """A matrix in compressed columns: CSC((data, indices, indptr), shape=shape)."""


for _kind in (BCOO, BCSR, COO, CSR, CSC):
    tree.register_pytree_with_keys_class(_kind)
