"""`jax.flatten_util`: a tree of arrays as one vector, and back.

    flat, unravel = ravel_pytree({"w": jnp.ones((2, 3)), "b": jnp.zeros(2)})   # flat.shape == (8,)
    unravel(flat)                                                             # the tree again
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors, tree
from minijax.base.jaxlib import Array
from minijax.core import get_aval
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["ravel_pytree"]


def ravel_pytree(pytree: Any) -> tuple[Array, Callable[[Any], Any]]:
    """(all leaves one after the other in a vector of their common dtype, the way back).

    When all leaves have one dtype the way back keeps the dtype of its argument; else it takes the
    common dtype only, and gives each leaf its own.
    """
    leaves, treedef = tree.flatten(pytree)
    if not leaves:
        unravel = Unravel(treedef, (), (), np.dtype(np.float32))
        return promotion.as_array(np.zeros(0, np.float32)), unravel
    avals = [get_aval(leaf) for leaf in leaves]
    own = tuple(aval.dtype for aval in avals)
    common = dtypes.result_type(*own)
    shapes = tuple(aval.shape for aval in avals)
    return _ravel(leaves, common), Unravel(treedef, shapes, own, common)


@fused(static_argnums=1)
def _ravel(leaves: list, dtype: Any) -> Array:
    parts = [promotion.as_array(promotion.convert(leaf, dtype)) for leaf in leaves]
    return lax.concatenate([lax.reshape(x, (x.size,)) for x in parts], 0)


@dataclass(frozen=True)
class Unravel:
    """Makes a tree from a vector; equal, also as a static argument, for trees of equal types."""

    treedef: tree.PyTreeDef
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[Any, ...]
    dtype: Any

    def __call__(self, flat: Any) -> Any:
        if not self.shapes:
            return self.treedef.unflatten(())
        if any(dtype != self.dtype for dtype in self.dtypes):
            given = get_aval(flat).dtype
            if given != self.dtype:
                raise TypeError(errors.describe(
                    f"unravel function given array of dtype {given}, but expected dtype "
                    f"{self.dtype}", fix=f"flat.astype('{self.dtype}')"))
        return self.treedef.unflatten(_unravel(flat, self.shapes, self.dtypes, self.dtype))


@fused(static_argnums=(1, 2, 3))
def _unravel(flat: Any, shapes: tuple, own: tuple, common: Any) -> list:
    sizes = tuple(map(math.prod, shapes))
    parts = lax.split(promotion.as_array(flat), sizes)
    out = []
    for part, shape, dtype in zip(parts, shapes, own):
        part = lax.reshape(part, shape)
        out.append(part if dtype == common else promotion.convert(part, dtype))
    return out
