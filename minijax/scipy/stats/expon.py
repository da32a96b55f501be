"""The exponential distribution on x >= loc."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, log1mexp, of_operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    return jnp.where(z < 0, -jnp.inf, -z - jnp.log(scale))


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula("expon.cdf", "P(X <= x).",
              lambda x, loc=0, scale=1: -jnp.expm1(-jnp.maximum((x - loc) / scale, 0)))


@of_operands
def logcdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    z = (x - loc) / scale
    return jnp.where(z <= 0, -jnp.inf, log1mexp(jnp.where(z <= 0, 1, z)))


logsf = formula("expon.logsf", "Logarithm of P(X > x).",
                lambda x, loc=0, scale=1: -jnp.maximum((x - loc) / scale, 0))
sf = composed(jnp.exp, logsf, "P(X > x).")


@of_operands
def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    inside = (q >= 0) & (q <= 1)
    return jnp.where(inside, loc - scale * jnp.log1p(-jnp.where(inside, q, 0)), jnp.nan)
