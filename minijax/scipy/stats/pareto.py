"""The Pareto distribution of exponent b, on x >= loc + scale."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, of_operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    value = jnp.log(b / scale) - (b + 1) * jnp.log(jnp.maximum(z, 1))
    return jnp.where(z < 1, -jnp.inf, value)


pdf = composed(jnp.exp, logpdf, "The density at x.")
logsf = formula("pareto.logsf", "Logarithm of P(X > x).",
                lambda x, b, loc=0, scale=1: -b * jnp.log(jnp.maximum((x - loc) / scale, 1)))
sf = composed(jnp.exp, logsf, "P(X > x).")
cdf = formula("pareto.cdf", "P(X <= x).",
              lambda x, b, loc=0, scale=1: -jnp.expm1(logsf(x, b, loc, scale)))
logcdf = composed(jnp.log, cdf, "Logarithm of P(X <= x).")


@of_operands
def ppf(q: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    inside = (q >= 0) & (q <= 1)
    safe = jnp.where(inside, q, 0)
    return jnp.where(inside, loc + scale * jnp.exp(-jnp.log1p(-safe) / b), jnp.nan)
