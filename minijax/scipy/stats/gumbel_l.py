"""Gumbel's distribution of smallest values: that of largest values, of -x."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import operands
from minijax.scipy.stats import gumbel_r

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@fused
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, loc, scale = operands("gumbel_l.logpdf", x, loc, scale)
    return gumbel_r.logpdf(-x, -loc, scale)


@fused
def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, loc, scale))


@fused
def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    x, loc, scale = operands("gumbel_l.logcdf", x, loc, scale)
    return gumbel_r.logsf(-x, -loc, scale)


@fused
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, loc, scale = operands("gumbel_l.cdf", x, loc, scale)
    return gumbel_r.sf(-x, -loc, scale)


@fused
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, loc, scale = operands("gumbel_l.sf", x, loc, scale)
    return gumbel_r.cdf(-x, -loc, scale)


@fused
def logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    x, loc, scale = operands("gumbel_l.logsf", x, loc, scale)
    return gumbel_r.logcdf(-x, -loc, scale)


@fused
def ppf(p: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    p, loc, scale = operands("gumbel_l.ppf", p, loc, scale)
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, loc + scale * jnp.log(-jnp.log1p(-safe)), jnp.nan)
