"""The Bernoulli distribution: 1 with probability p, else 0."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "logpmf", "pmf", "ppf"]


@fused
def logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf outside [0, 1]."""
    k, p, loc = operands("bernoulli.logpmf", k, p, loc)
    z = k - loc
    value = special.xlogy(z, p) + special.xlog1py(1 - z, -p)
    return jnp.where((z < 0) | (z > 1), -jnp.inf, value)


@fused
def pmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The probability at k."""
    return jnp.exp(logpmf(k, p, loc))


@fused
def cdf(k: ArrayLike, p: ArrayLike) -> Array:
    """P(X <= k); NaN unless p is a probability."""
    k, p = operands("bernoulli.cdf", k, p)
    value = jnp.where(k < 0, 0, jnp.where(k < 1, 1 - p, 1))
    return jnp.where(jnp.isnan(k) | (p < 0) | (p > 1), jnp.nan, value)


@fused
def ppf(q: ArrayLike, p: ArrayLike) -> Array:
    """The smallest k with P(X <= k) >= q; NaN unless q and p are probabilities."""
    q, p = operands("bernoulli.ppf", q, p)
    value = jnp.where(q <= 1 - p, jnp.zeros_like(q), 1)
    unknown = jnp.isnan(q) | jnp.isnan(p) | (p < 0) | (p > 1) | (q < 0) | (q > 1)
    return jnp.where(unknown, jnp.nan, value)
