"""The normal distribution with mean `loc` and standard deviation `scale`."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    return -0.5 * (z * z + math.log(2 * math.pi)) - jnp.log(scale)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula("norm.cdf", "P(X <= x).",
              lambda x, loc=0, scale=1: special.ndtr((x - loc) / scale))
logcdf = formula("norm.logcdf", "Logarithm of P(X <= x), accurate in both tails.",
                 lambda x, loc=0, scale=1: special.log_ndtr((x - loc) / scale))
sf = formula("norm.sf", "P(X > x).", lambda x, loc=0, scale=1: special.ndtr((loc - x) / scale))
logsf = formula("norm.logsf", "Logarithm of P(X > x), accurate in both tails.",
                lambda x, loc=0, scale=1: special.log_ndtr((loc - x) / scale))
ppf = formula("norm.ppf", "The x with P(X <= x) = q.",
              lambda q, loc=0, scale=1: special.ndtri(q) * scale + loc)
isf = formula("norm.isf", "The x with P(X > x) = q.",
              lambda q, loc=0, scale=1: loc - special.ndtri(q) * scale)
