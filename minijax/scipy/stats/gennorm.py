"""The generalized normal distribution, exp(-|x|**beta) up to a factor."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "logpdf", "pdf"]


logpdf = formula(
    "gennorm.logpdf", "Logarithm of the density at x.",
    lambda x, beta: jnp.log(0.5 * beta) - special.gammaln(1 / beta) - jnp.abs(x) ** beta)
pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def cdf(x: ArrayLike, beta: ArrayLike) -> Array:
    """P(X <= x)."""
    tail = 0.5 * special.gammaincc(1 / beta, jnp.abs(x) ** beta)
    return jnp.where(x > 0, 1 - tail, tail)
