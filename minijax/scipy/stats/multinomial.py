"""The multinomial distribution: how often each of k outcomes occurs in n trials."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import composed, operands

__all__ = ["logpmf", "pmf"]


@fused
def logpmf(x: ArrayLike, n: ArrayLike, p: ArrayLike) -> Array:
    """Logarithm of the probability of the counts x [..., k]; -inf unless they add up to n."""
    p, = operands("multinomial.logpmf", p)
    x = promotion.array_operand("multinomial.logpmf", x)
    n = promotion.array_operand("multinomial.logpmf", n)
    counts, trials = x.astype(p.dtype), n.astype(p.dtype)
    ways = special.gammaln(trials + 1) - jnp.sum(special.gammaln(counts + 1), axis=-1)
    value = ways + jnp.sum(special.xlogy(counts, p), axis=-1)
    return jnp.where(jnp.sum(counts, axis=-1) == trials, value, -jnp.inf)


pmf = composed(jnp.exp, logpmf, "The probability of the counts x.")
