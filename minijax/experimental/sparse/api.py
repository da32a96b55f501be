"""Functions for sparse arrays of every format: `empty`, `eye`, `todense`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.core import AxisData, Primitive, batch, jvp, state
from minijax.experimental.sparse.arrays import BCOO, BCSR, COO, CSC, CSR, JAXSparse, is_sparse
from minijax.experimental.sparse.bcoo import bcoo_fromdense, bcoo_update_layout

__all__ = ["empty", "eye", "todense", "todense_p"]

_FORMATS = {"bcsr": BCSR, "bcoo": BCOO, "coo": COO, "csr": CSR, "csc": CSC}


def _format(name: str) -> type[JAXSparse]:
    if name not in _FORMATS:
        raise ValueError(errors.describe(
            f"sparse_format={name!r} not recognized; must be one of {list(_FORMATS)}",
            fix='sparse_format="bcoo"'))
    return _FORMATS[name]


def empty(shape: Sequence[int], dtype: Any = None, index_dtype: Any = "int32",
          sparse_format: str = "bcoo", **kwds: Any) -> JAXSparse:
    """A sparse array of zeros.

    Other arguments are those of the format: `n_batch`, `n_dense` and `nse` for BCOO and BCSR.
    """
    kind = _format(sparse_format)
    shape, index_dtype = tuple(shape), np.dtype(index_dtype)
    if kind in (BCOO, BCSR):
        return _empty_batched(kind, shape, dtype, index_dtype, **kwds)
    if kwds:
        raise TypeError(f"{kind.__name__}._empty() got an unexpected keyword argument "
                        f"{next(iter(kwds))!r}")
    if len(shape) != 2:
        raise ValueError(f"{kind.__name__} must have ndim=2; got shape={shape}")
    data, none = jnp.zeros(0, dtype), jnp.zeros(0, index_dtype)
    if kind is COO:
        return COO((data, none, none), shape=shape, rows_sorted=True, cols_sorted=True)
    return kind((data, none, jnp.zeros(shape[kind is CSC] + 1, index_dtype)), shape=shape)


def _empty_batched(kind: type, shape: tuple[int, ...], dtype: Any, index_dtype: Any, *,
                   n_batch: int = 0, n_dense: int = 0, nse: int = 0) -> JAXSparse:
    end = len(shape) - n_dense
    batch, sizes, dense = shape[:n_batch], shape[n_batch:end], shape[end:]
    if n_batch < 0 or n_dense < 0 or end < n_batch:
        raise ValueError(f"Invalid inputs: shape={shape}, n_batch={n_batch}, n_dense={n_dense}")
    data = jnp.zeros((*batch, nse, *dense), dtype)
    known = dict(shape=shape, indices_sorted=True, unique_indices=True)
    if kind is BCOO:
        padding = np.broadcast_to(np.array(sizes, index_dtype), (*batch, nse, len(sizes)))
        return BCOO((data, jnp.asarray(padding)), **known)
    if len(sizes) != 2:
        raise ValueError(errors.describe("BCSR sparse.empty: must have 2 sparse dimensions.",
                                         fix="choose n_batch and n_dense accordingly"))
    indices = jnp.full((*batch, nse), sizes[1], index_dtype)
    return BCSR((data, indices, jnp.zeros((*batch, sizes[0] + 1), index_dtype)), **known)


def eye(N: int, M: int | None = None, k: int = 0, dtype: Any = None, index_dtype: Any = "int32",
        sparse_format: str = "bcoo", **kwds: Any) -> JAXSparse:
    """A sparse matrix of ones on the k-th diagonal."""
    kind = _format(sparse_format)
    M = N if M is None else M
    row = np.arange(max(0, -k), max(0, -k, min(N, M - k)), dtype=index_dtype)
    col = (row + k).astype(index_dtype)
    data = jnp.ones(len(row), dtype)
    if kind is BCOO:
        return _eye_batched(data, np.stack([row, col], -1), (N, M), **kwds)
    if kind is COO:
        return COO((data, row, col), shape=(N, M), rows_sorted=True, cols_sorted=True)
    if kind is BCSR:
        raise KeyError(sparse_format)
    lines, count, other = (col, M, row) if kind is CSC else (row, N, col)
    ends = np.searchsorted(lines, np.arange(count + 1)).astype(index_dtype)
    return kind((data, other, ends), shape=(N, M))


def _eye_batched(data: Array, indices: np.ndarray, shape: tuple[int, int], n_batch: int = 0,
                 n_dense: int = 0) -> BCOO:
    """Each row has one element at most, so batches and dense axes need few places."""
    if n_batch + n_dense == 2:
        dense = jnp.zeros(shape, data.dtype).at[tuple(indices.T)].set(data)
        return bcoo_fromdense(dense, nse=min(1, len(indices)), n_batch=n_batch, n_dense=n_dense,
                              index_dtype=indices.dtype)
    known = dict(shape=shape, indices_sorted=True, unique_indices=True)
    if not n_batch:
        return bcoo_update_layout(BCOO((data, indices), **known), n_dense=n_dense,
                                  on_inefficient=None)
    nse, (row, col) = min(1, len(indices)), indices.T
    places = np.full((shape[0], nse, 1), shape[1], indices.dtype)
    places[row] = col[:, None, None]
    return BCOO((jnp.zeros((shape[0], nse), data.dtype).at[row].set(1), places), **known)


def todense(arr: Any) -> Array:
    """A sparse array with its zeros; a dense one as it is."""
    leaves, structure = tree.flatten(arr)
    if is_sparse(arr) or state.trace.parent is None:
        return _dense(*leaves, tree=structure)
    return todense_p.bind(*leaves, tree=structure)


def _dense(*leaves: Any, tree: Any) -> Any:
    arr = tree.unflatten(leaves)
    return arr.todense() if is_sparse(arr) else jnp.asarray(arr)


def _jvp(primals: Sequence[Any], tangents: Sequence[Any], *, tree: Any) -> tuple:
    outs, out_tangents = jvp(lambda *xs: [_dense(*xs, tree=tree)], primals, tangents)
    return outs[0], out_tangents[0]


def _vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[int | None], *, tree: Any) -> tuple:
    outs, out_dims = batch(lambda *xs: [_dense(*xs, tree=tree)], axis, args, dims)
    return outs[0], out_dims[0]


def _shape(*avals: Any, tree: Any) -> Any:
    arr = tree.unflatten(avals)
    return avals[0].update(shape=arr.shape) if is_sparse(arr) else avals[0]


# A mark for `sparsify`: here an array that may be sparse becomes dense.
todense_p = Primitive("todense", shape=_shape, jvp=_jvp, vmap=_vmap, decompose=_dense)
