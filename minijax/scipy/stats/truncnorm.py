"""The normal distribution cut to [loc + a scale, loc + b scale]."""

from __future__ import annotations

from typing import Any

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, formula, of_operands
from minijax.scipy.stats import norm

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


def _log_mass(a: Any, b: Any) -> Any:
    """log P(a <= Z <= b) for a normal Z, in the tail where no digits cancel; -inf unless a < b."""
    right = a > 0
    low, high = jnp.where(right, -b, a), jnp.where(right, -a, b)
    proper = low < high
    low, high = jnp.where(proper, low, -1), jnp.where(proper, high, 0)
    outer, inner = norm.logcdf(high), norm.logcdf(low)
    one_side = outer + jnp.log1p(-jnp.exp(inner - outer))
    both = jnp.log1p(-norm.cdf(low) - norm.sf(high))
    return jnp.where(proper, jnp.where(high > 0, both, one_side), -jnp.inf)


@of_operands
def logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x; NaN unless a < b."""
    z = (x - loc) / scale
    value = norm.logpdf(z) - _log_mass(a, b) - jnp.log(scale)
    value = jnp.where((z < a) | (z > b), -jnp.inf, value)
    return jnp.where(a < b, value, jnp.nan)


pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def logcdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    z = jnp.clip((x - loc) / scale, a, b)
    value = _log_mass(a, z) - _log_mass(a, b)
    value = jnp.where(z >= b, 0, jnp.where(z <= a, -jnp.inf, value))
    return jnp.where((a < b) & ~jnp.isnan(z), value, jnp.nan)


cdf = composed(jnp.exp, logcdf, "P(X <= x).")
logsf = formula("truncnorm.logsf", "Logarithm of P(X > x).",
                lambda x, a, b, loc=0, scale=1: logcdf(-x, -b, -a, -loc, scale))
sf = composed(jnp.exp, logsf, "P(X > x).")
