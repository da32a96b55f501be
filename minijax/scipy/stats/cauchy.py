"""The Cauchy distribution with median `loc`."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    return -jnp.log(math.pi * scale) - jnp.log1p(z * z)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula("cauchy.cdf", "P(X <= x).",
              lambda x, loc=0, scale=1: jnp.arctan2(scale, loc - x) / math.pi)
logcdf = composed(jnp.log, cdf, "Logarithm of P(X <= x).")
sf = formula("cauchy.sf", "P(X > x).",
             lambda x, loc=0, scale=1: jnp.arctan2(scale, x - loc) / math.pi)
logsf = composed(jnp.log, sf, "Logarithm of P(X > x).")
ppf = formula("cauchy.ppf", "The x with P(X <= x) = q.",
              lambda q, loc=0, scale=1: loc + scale * jnp.tan(math.pi * (q - 0.5)))
isf = formula("cauchy.isf", "The x with P(X > x) = q.",
              lambda q, loc=0, scale=1: loc - scale * jnp.tan(math.pi * (q - 0.5)))
