"""The beta distribution with shapes a and b on [loc, loc + scale]."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


@of_operands
def logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x; NaN unless a and b are positive."""
    z = (x - loc) / scale
    outside = (z < 0) | (z > 1)
    safe = jnp.where(outside, 0.5, z)
    powers = special.xlogy(a - 1, safe) + special.xlog1py(b - 1, -safe)
    value = powers - special.betaln(a, b) - jnp.log(scale)
    return jnp.where((a > 0) & (b > 0), jnp.where(outside, -jnp.inf, value), jnp.nan)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula(
    "beta.cdf", "P(X <= x).",
    lambda x, a, b, loc=0, scale=1: special.betainc(a, b, jnp.clip((x - loc) / scale, 0, 1)))
logcdf = composed(jnp.log, cdf, "Logarithm of P(X <= x).")
sf = formula(
    "beta.sf", "P(X > x).",
    lambda x, a, b, loc=0, scale=1: special.betainc(b, a, jnp.clip(1 - (x - loc) / scale, 0, 1)))
logsf = composed(jnp.log, sf, "Logarithm of P(X > x).")
