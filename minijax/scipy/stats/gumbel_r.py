"""Gumbel's distribution of largest values."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import log1mexp, operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@fused
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, loc, scale = operands("gumbel_r.logpdf", x, loc, scale)
    z = (loc - x) / scale
    return z - jnp.exp(z) - jnp.log(scale)


@fused
def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, loc, scale))


@fused
def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    x, loc, scale = operands("gumbel_r.logcdf", x, loc, scale)
    z = (loc - x) / scale
    return -jnp.exp(z)


@fused
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, loc, scale = operands("gumbel_r.cdf", x, loc, scale)
    z = (loc - x) / scale
    return jnp.exp(-jnp.exp(z))


@fused
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, loc, scale = operands("gumbel_r.sf", x, loc, scale)
    z = (loc - x) / scale
    return -jnp.expm1(-jnp.exp(z))


@fused
def logsf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    x, loc, scale = operands("gumbel_r.logsf", x, loc, scale)
    z = (loc - x) / scale
    return log1mexp(jnp.exp(z))


@fused
def ppf(p: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    p, loc, scale = operands("gumbel_r.ppf", p, loc, scale)
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, loc - scale * jnp.log(-jnp.log(safe)), jnp.nan)
