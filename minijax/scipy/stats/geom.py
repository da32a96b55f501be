"""The geometric distribution: the number of trials until the first success."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands, scalar_operands

__all__ = ["logpmf", "pmf"]


@of_operands(promote=scalar_operands)
def logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf below 1."""
    z = k - loc
    value = special.xlog1py(z - 1, -p) + jnp.log(p)
    return jnp.where(z < 1, -jnp.inf, value)


pmf = composed(jnp.exp, logpmf, "The probability at k.")
