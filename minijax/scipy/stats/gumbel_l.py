"""Gumbel's distribution of smallest values: that of largest values, of -x."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, of_operands
from minijax.scipy.stats import gumbel_r

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    return gumbel_r.logpdf(-x, -loc, scale)


pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    return gumbel_r.logsf(-x, -loc, scale)


@of_operands
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return gumbel_r.sf(-x, -loc, scale)


@of_operands
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return gumbel_r.cdf(-x, -loc, scale)


@of_operands
def logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    return gumbel_r.logcdf(-x, -loc, scale)


@of_operands
def ppf(p: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, loc + scale * jnp.log(-jnp.log1p(-safe)), jnp.nan)
