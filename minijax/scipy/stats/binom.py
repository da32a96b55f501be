"""The binomial distribution: successes in n trials of probability p."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands

__all__ = ["logpmf", "pmf"]


@of_operands
def logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; NaN unless p is a probability."""
    z = k - loc
    inside = (z >= 0) & (z <= n)
    z = jnp.where(inside, z, 0)
    ways = -jnp.log1p(n) - special.betaln(n - z + 1, z + 1)
    value = ways + special.xlogy(z, p) + special.xlog1py(n - z, -p)
    value = jnp.where(inside, value, -jnp.inf)
    return jnp.where((p >= 0) & (p <= 1) & (n >= 0), value, jnp.nan)


pmf = composed(jnp.exp, logpmf, "The probability at k.")
