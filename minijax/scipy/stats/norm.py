"""The normal distribution with mean `loc` and standard deviation `scale`."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@fused
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, loc, scale = operands("norm.logpdf", x, loc, scale)
    z = (x - loc) / scale
    return -0.5 * (z * z + math.log(2 * math.pi)) - jnp.log(scale)


@fused
def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, loc, scale))


@fused
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, loc, scale = operands("norm.cdf", x, loc, scale)
    return special.ndtr((x - loc) / scale)


@fused
def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x), accurate in both tails."""
    x, loc, scale = operands("norm.logcdf", x, loc, scale)
    return special.log_ndtr((x - loc) / scale)


@fused
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, loc, scale = operands("norm.sf", x, loc, scale)
    return special.ndtr((loc - x) / scale)


@fused
def logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x), accurate in both tails."""
    x, loc, scale = operands("norm.logsf", x, loc, scale)
    return special.log_ndtr((loc - x) / scale)


@fused
def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    q, loc, scale = operands("norm.ppf", q, loc, scale)
    return special.ndtri(q) * scale + loc


@fused
def isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X > x) = q."""
    q, loc, scale = operands("norm.isf", q, loc, scale)
    return loc - special.ndtri(q) * scale
