"""The logistic distribution with mean `loc`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "isf", "logpdf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / (2 * scale)
    return -2 * jnp.logaddexp(z, -z) - jnp.log(scale)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula("logistic.cdf", "P(X <= x).",
              lambda x, loc=0, scale=1: special.expit((x - loc) / scale))
sf = formula("logistic.sf", "P(X > x).",
             lambda x, loc=0, scale=1: special.expit((loc - x) / scale))
ppf = formula("logistic.ppf", "The value below which a share x of the distribution lies.",
              lambda x, loc=0, scale=1: loc + scale * special.logit(x))
isf = formula("logistic.isf", "The value above which a share x of the distribution lies.",
              lambda x, loc=0, scale=1: loc - scale * special.logit(x))
