"""Random sparse arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax, random, vmap
from minijax import numpy as jnp
from minijax.base import dtypes
from minijax.base.jaxlib import Array
from minijax.experimental.sparse.arrays import BCOO
from minijax.experimental.sparse.layout import _unravelled

__all__ = ["random_bcoo"]


def random_bcoo(key: Array, shape: Sequence[int], *, dtype: Any = np.float64,
                indices_dtype: Any = None, nse: float = 0.2, n_batch: int = 0, n_dense: int = 0,
                unique_indices: bool = True, sorted_indices: bool = False,
                generator: Callable[..., Array] = random.uniform, **kwds: Any) -> BCOO:
    """A BCOO array with random elements at random places.

    nse: the number of elements per batch, or if less than 1 their part of all elements.
    generator: makes the elements, from a key, a shape, `dtype` and the other arguments `kwds`.
    """
    shape = tuple(map(int, shape))
    end = len(shape) - n_dense
    if n_batch < 0 or n_dense < 0 or n_batch > end:
        raise ValueError(f"Invalid n_batch={n_batch}, n_dense={n_dense} for shape={shape}")
    batch, sizes, dense = shape[:n_batch], shape[n_batch:end], shape[end:]
    size = math.prod(sizes)
    nse = math.ceil(nse * size) if 0 <= nse < 1 else int(nse)
    index_dtype = dtypes.canonicalize_dtype(np.dtype(np.int32 if indices_dtype is None
                                                     else indices_dtype))
    data_key, index_key = random.split(key)
    keys = random.split(index_key, math.prod(batch))

    def places(key: Array) -> Array:
        if unique_indices:
            flat = random.permutation(key, size)[:nse]
        else:
            flat = random.randint(key, (nse,), 0, size)
        return lax.sort(flat) if sorted_indices else flat

    flat = vmap(places)(keys).reshape(*batch, nse)
    cols = _unravelled(flat, sizes)
    indices = jnp.stack(cols, -1) if cols else jnp.zeros((*batch, nse, 0), np.int32)
    data = generator(data_key, (*batch, nse, *dense), dtype=dtype, **kwds)
    return BCOO((data, indices.astype(index_dtype)), shape=shape, indices_sorted=sorted_indices,
                unique_indices=unique_indices)
