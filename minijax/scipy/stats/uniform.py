"""The uniform distribution on [loc, loc + scale]."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, of_operands, scalar_operands, strong_operands

__all__ = ["cdf", "logpdf", "pdf", "ppf"]


@of_operands(promote=scalar_operands)
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    value = jnp.where((x < loc) | (x > loc + scale), -jnp.inf, -jnp.log(scale))
    return jnp.where(jnp.isnan(x), jnp.nan, value)


pdf = composed(jnp.exp, logpdf, "The density at x.")
cdf = formula("uniform.cdf", "P(X <= x).",
              lambda x, loc=0, scale=1: jnp.clip((x - loc) / scale, 0, 1), strong_operands)
ppf = formula(
    "uniform.ppf", "The x with P(X <= x) = q.",
    lambda q, loc=0, scale=1: jnp.where((q >= 0) & (q <= 1), q * scale + loc, jnp.nan))
