"""The Bernoulli distribution: 1 with probability p, else 0."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands, scalar_operands

__all__ = ["cdf", "logpmf", "pmf", "ppf"]


@of_operands(promote=scalar_operands)
def logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf outside [0, 1]."""
    z = k - loc
    value = special.xlogy(z, p) + special.xlog1py(1 - z, -p)
    return jnp.where((z < 0) | (z > 1), -jnp.inf, value)


pmf = composed(jnp.exp, logpmf, "The probability at k.")


@of_operands(promote=scalar_operands)
def cdf(k: ArrayLike, p: ArrayLike) -> Array:
    """P(X <= k); NaN unless p is a probability."""
    value = jnp.where(k < 0, 0, jnp.where(k < 1, 1 - p, 1))
    return jnp.where(jnp.isnan(k) | (p < 0) | (p > 1), jnp.nan, value)


@of_operands(promote=scalar_operands)
def ppf(q: ArrayLike, p: ArrayLike) -> Array:
    """The smallest k with P(X <= k) >= q; NaN unless q and p are probabilities."""
    value = jnp.where(q <= 1 - p, jnp.zeros_like(q), 1)
    unknown = jnp.isnan(q) | jnp.isnan(p) | (p < 0) | (p > 1) | (q < 0) | (q > 1)
    return jnp.where(unknown, jnp.nan, value)
