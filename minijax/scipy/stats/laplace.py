"""The Laplace distribution with mean `loc`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "logpdf", "pdf"]


logpdf = formula("laplace.logpdf", "Logarithm of the density at x.",
                 lambda x, loc=0, scale=1: -jnp.abs(x - loc) / scale - jnp.log(2 * scale))
pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    z = (x - loc) / scale
    tail = 0.5 * jnp.exp(-jnp.abs(z))
    return jnp.where(z <= 0, tail, 1 - tail)
