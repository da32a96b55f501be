"""Gumbel's distribution of largest values."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, log1mexp, of_operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (loc - x) / scale
    return z - jnp.exp(z) - jnp.log(scale)


pdf = composed(jnp.exp, logpdf, "The density at x.")
logcdf = formula("gumbel_r.logcdf", "Logarithm of P(X <= x).",
                 lambda x, loc=0, scale=1: -jnp.exp((loc - x) / scale))
cdf = composed(jnp.exp, logcdf, "P(X <= x).")
sf = formula("gumbel_r.sf", "P(X > x).",
             lambda x, loc=0, scale=1: -jnp.expm1(-jnp.exp((loc - x) / scale)))
logsf = formula("gumbel_r.logsf", "Logarithm of P(X > x).",
                lambda x, loc=0, scale=1: log1mexp(jnp.exp((loc - x) / scale)))


@of_operands
def ppf(p: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, loc - scale * jnp.log(-jnp.log(safe)), jnp.nan)
