"""The geometric distribution: the number of trials until the first success."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["logpmf", "pmf"]


@fused
def logpmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """Logarithm of the probability of k; -inf below 1."""
    k, p, loc = operands("geom.logpmf", k, p, loc)
    z = k - loc
    value = special.xlog1py(z - 1, -p) + jnp.log(p)
    return jnp.where(z < 1, -jnp.inf, value)


@fused
def pmf(k: ArrayLike, p: ArrayLike, loc: ArrayLike = 0) -> Array:
    """The probability at k."""
    return jnp.exp(logpmf(k, p, loc))
