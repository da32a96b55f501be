"""The negative binomial distribution: failures until the n-th success."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands, scalar_operands

__all__ = ["logpmf", "pmf"]


@of_operands(promote=scalar_operands)
def logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf below 0."""
    z = k - loc
    inside = z >= 0
    z = jnp.where(inside, z, 0)
    ways = -jnp.log(n + z) - special.betaln(z + 1, n)
    value = ways + special.xlogy(n, p) + special.xlog1py(z, -p)
    return jnp.where(inside, value, -jnp.inf)


pmf = composed(jnp.exp, logpmf, "The probability at k.")
