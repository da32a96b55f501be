"""The binomial distribution: successes in n trials of probability p."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["logpmf", "pmf"]


@fused
def logpmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; NaN unless p is a probability."""
    k, n, p, loc = operands("binom.logpmf", k, n, p, loc)
    z = k - loc
    inside = (z >= 0) & (z <= n)
    z = jnp.where(inside, z, 0)
    ways = -jnp.log1p(n) - special.betaln(n - z + 1, z + 1)
    value = ways + special.xlogy(z, p) + special.xlog1py(n - z, -p)
    value = jnp.where(inside, value, -jnp.inf)
    return jnp.where((p >= 0) & (p <= 1) & (n >= 0), value, jnp.nan)


@fused
def pmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The probability at k."""
    return jnp.exp(logpmf(k, n, p, loc))
