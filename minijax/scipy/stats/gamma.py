"""The gamma distribution of shape a, shifted by `loc` and stretched by `scale`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


@of_operands
def logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    safe = jnp.where(z < 0, 1, z)
    value = special.xlogy(a - 1, safe) - safe - special.gammaln(a) - jnp.log(scale)
    return jnp.where((z < 0) | (z == jnp.inf), -jnp.inf, value)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula(
    "gamma.cdf", "P(X <= x).",
    lambda x, a, loc=0, scale=1: special.gammainc(a, jnp.maximum((x - loc) / scale, 0)))
logcdf = composed(jnp.log, cdf, "Logarithm of P(X <= x).")
sf = formula(
    "gamma.sf", "P(X > x).",
    lambda x, a, loc=0, scale=1: special.gammaincc(a, jnp.maximum((x - loc) / scale, 0)))
logsf = composed(jnp.log, sf, "Logarithm of P(X > x).")
