"""`jax.experimental.primal_tangent_dtype`: values of one dtype whose tangents are of another.

    coded = primal_tangent_dtype(jnp.int8, jnp.bfloat16)
    x.astype(coded)     # of eight bits; rules of functions may give it a bfloat16 gradient

Such values exist inside of programs only. They are moved about, and converted from and to the dtype
that they are stored as.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.core import convert_element_type


@dataclass(frozen=True, repr=False)
class PrimalTangentDType(dtypes.ExtendedDType):
    """Stored as `primal_dtype`, with tangents of `tangent_dtype`."""

    primal_dtype: np.dtype
    tangent_dtype: np.dtype
    name: str

    type, kind, word_shape = dtypes.extended, "V", ()
    word_dtype = property(attrgetter("primal_dtype"))

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Values that are all stored as 0."""
        return convert_element_type(lax.full(shape, 0, self.primal_dtype), self)

    def wrap(self, words: Any) -> Any:
        """An array outside of any program: there is none."""
        raise NotImplementedError(errors.describe(
            f"Values of dtype {self} exist inside of jit only.", fix="convert them before"))


def primal_tangent_dtype(primal_dtype: Any, tangent_dtype: Any,
                         name: str | None = None) -> PrimalTangentDType:
    """The dtype of values stored as `primal_dtype` whose tangents are of `tangent_dtype`."""
    both = np.dtype(primal_dtype), np.dtype(tangent_dtype)
    short = "/".join(map(dtypes.short_name, both))
    return PrimalTangentDType(*both, name or f"PrimalTangentDType{{{short}}}")
