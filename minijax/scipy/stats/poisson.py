"""The Poisson distribution with mean mu."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands, scalar_operands, strong_operands

__all__ = ["cdf", "entropy", "logpmf", "pmf"]


def _entropy_sum(mu: Any) -> Any:
    """The sum of -P(k) log P(k), for means below 40."""
    k = np.arange(160, dtype=mu.dtype).reshape((1,) * mu.ndim + (-1,))
    log = logpmf(k, mu[..., None])
    return -jnp.sum(jnp.exp(log) * jnp.where(jnp.isinf(log), 0, log), axis=-1)


def _entropy_series(mu: Any) -> Any:
    """The asymptotic expansion in 1 / mu, for means from 40 on."""
    inverse = 1 / mu
    series = inverse * (-1 / 12 + inverse * (-1 / 24 + inverse * (-19 / 360 + inverse * (
        -9 / 80 + inverse * (-863 / 2520 - 1375 / 1008 * inverse)))))
    return 0.5 * jnp.log(2 * math.pi * math.e * mu) + series


@of_operands
def logpmf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf below 0 and between the integers."""
    z = k - loc
    inside = (z >= 0) & (jnp.floor(z) == z)
    z = jnp.where(inside, z, 0)
    value = special.xlogy(z, mu) - special.gammaln(z + 1) - mu
    return jnp.where(inside, value, -jnp.inf)


pmf = composed(jnp.exp, logpmf, "The probability at k.")


@of_operands(promote=scalar_operands)
def cdf(k: ArrayLike, mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    """P(X <= k)."""
    z = jnp.floor(k - loc)
    inside = z >= 0
    return jnp.where(inside, special.gammaincc(jnp.where(inside, z, 0) + 1, mu), 0)


@fused
def entropy(mu: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The entropy in nats; NaN for negative means."""
    mu, loc = strong_operands("poisson.entropy", mu, loc)
    del loc  # a shift does not change it
    small = mu < 40
    low = _entropy_sum(jnp.where(small, mu, 1))
    high = _entropy_series(jnp.where(small, 40, mu))
    return jnp.where(mu >= 0, jnp.where(small, low, high), jnp.nan)
