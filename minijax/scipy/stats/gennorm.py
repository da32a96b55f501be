"""The generalized normal distribution, exp(-|x|**beta) up to a factor."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "logpdf", "pdf"]


@fused
def logpdf(x: ArrayLike, beta: ArrayLike) -> Array:
    """Logarithm of the density at x."""
    x, beta = operands("gennorm.logpdf", x, beta)
    return jnp.log(0.5 * beta) - special.gammaln(1 / beta) - jnp.abs(x) ** beta


@fused
def pdf(x: ArrayLike, beta: ArrayLike) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, beta))


@fused
def cdf(x: ArrayLike, beta: ArrayLike) -> Array:
    """P(X <= x)."""
    x, beta = operands("gennorm.cdf", x, beta)
    tail = 0.5 * special.gammaincc(1 / beta, jnp.abs(x) ** beta)
    return jnp.where(x > 0, 1 - tail, tail)
