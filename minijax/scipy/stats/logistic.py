"""The logistic distribution with mean `loc`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands

__all__ = ["cdf", "isf", "logpdf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / (2 * scale)
    return -2 * jnp.logaddexp(z, -z) - jnp.log(scale)


pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return special.expit((x - loc) / scale)


@of_operands
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return special.expit((loc - x) / scale)


@of_operands
def ppf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The value below which a share x of the distribution lies."""
    return loc + scale * special.logit(x)


@of_operands
def isf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The value above which a share x of the distribution lies."""
    return loc - scale * special.logit(x)
