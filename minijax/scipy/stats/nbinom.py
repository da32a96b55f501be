"""The negative binomial distribution: failures until the n-th success."""

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
    """Logarithm of the probability of k; -inf below 0."""
    k, n, p, loc = operands("nbinom.logpmf", k, n, p, loc)
    z = k - loc
    inside = z >= 0
    z = jnp.where(inside, z, 0)
    ways = -jnp.log(n + z) - special.betaln(z + 1, n)
    value = ways + special.xlogy(n, p) + special.xlog1py(z, -p)
    return jnp.where(inside, value, -jnp.inf)


@fused
def pmf(k: ArrayLike, n: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The probability at k."""
    return jnp.exp(logpmf(k, n, p, loc))
