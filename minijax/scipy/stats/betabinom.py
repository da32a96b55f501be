"""The beta-binomial distribution: n trials whose probability has a beta distribution."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands, scalar_operands

__all__ = ["logpmf", "pmf"]


@of_operands(promote=scalar_operands)
def logpmf(k: ArrayLike, n: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf unless 0 <= k <= n."""
    z = jnp.floor(k - loc)
    inside = (z >= 0) & (z <= n) & (k - loc <= n)
    z = jnp.where(inside, z, 0)
    ways = -jnp.log1p(n) - special.betaln(n - z + 1, z + 1)
    value = ways + special.betaln(z + a, n - z + b) - special.betaln(a, b)
    value = jnp.where(inside, value, -jnp.inf)
    return jnp.where((n < 0) | (a <= 0) | (b <= 0), jnp.nan, value)


pmf = composed(jnp.exp, logpmf, "The probability at k.")
