"""The normal distribution cut to [loc + a scale, loc + b scale]."""

from __future__ import annotations

from typing import Any

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import operands
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


@fused
def logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x; NaN unless a < b."""
    x, a, b, loc, scale = operands("truncnorm.logpdf", x, a, b, loc, scale)
    z = (x - loc) / scale
    value = norm.logpdf(z) - _log_mass(a, b) - jnp.log(scale)
    value = jnp.where((z < a) | (z > b), -jnp.inf, value)
    return jnp.where(a < b, value, jnp.nan)


@fused
def pdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
        scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, a, b, loc, scale))


@fused
def logcdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    x, a, b, loc, scale = operands("truncnorm.logcdf", x, a, b, loc, scale)
    z = jnp.clip((x - loc) / scale, a, b)
    value = _log_mass(a, z) - _log_mass(a, b)
    value = jnp.where(z >= b, 0, jnp.where(z <= a, -jnp.inf, value))
    return jnp.where((a < b) & ~jnp.isnan(z), value, jnp.nan)


@fused
def logsf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
          scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    x, a, b, loc, scale = operands("truncnorm.logsf", x, a, b, loc, scale)
    return logcdf(-x, -b, -a, -loc, scale)


@fused
def sf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
       scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return jnp.exp(logsf(x, a, b, loc, scale))


@fused
def cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
        scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return jnp.exp(logcdf(x, a, b, loc, scale))
