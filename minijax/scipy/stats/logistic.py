"""The logistic distribution with mean `loc`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "isf", "logpdf", "pdf", "ppf", "sf"]


@fused
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, loc, scale = operands("logistic.logpdf", x, loc, scale)
    z = (x - loc) / (2 * scale)
    return -2 * jnp.logaddexp(z, -z) - jnp.log(scale)


@fused
def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, loc, scale))


@fused
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, loc, scale = operands("logistic.cdf", x, loc, scale)
    return special.expit((x - loc) / scale)


@fused
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, loc, scale = operands("logistic.sf", x, loc, scale)
    return special.expit((loc - x) / scale)


@fused
def ppf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The value below which a share x of the distribution lies."""
    x, loc, scale = operands("logistic.ppf", x, loc, scale)
    return loc + scale * special.logit(x)


@fused
def isf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The value above which a share x of the distribution lies."""
    x, loc, scale = operands("logistic.isf", x, loc, scale)
    return loc - scale * special.logit(x)
