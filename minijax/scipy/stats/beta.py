"""The beta distribution with shapes a and b on [loc, loc + scale]."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


@fused
def logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x; NaN unless a and b are positive."""
    x, a, b, loc, scale = operands("beta.logpdf", x, a, b, loc, scale)
    z = (x - loc) / scale
    outside = (z < 0) | (z > 1)
    safe = jnp.where(outside, 0.5, z)
    powers = special.xlogy(a - 1, safe) + special.xlog1py(b - 1, -safe)
    value = powers - special.betaln(a, b) - jnp.log(scale)
    return jnp.where((a > 0) & (b > 0), jnp.where(outside, -jnp.inf, value), jnp.nan)


@fused
def pdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
        scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, a, b, loc, scale))


@fused
def cdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
        scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, a, b, loc, scale = operands("beta.cdf", x, a, b, loc, scale)
    return special.betainc(a, b, jnp.clip((x - loc) / scale, 0, 1))


@fused
def logcdf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
           scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    return jnp.log(cdf(x, a, b, loc, scale))


@fused
def sf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
       scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, a, b, loc, scale = operands("beta.sf", x, a, b, loc, scale)
    return special.betainc(b, a, jnp.clip(1 - (x - loc) / scale, 0, 1))


@fused
def logsf(x: ArrayLike, a: ArrayLike, b: ArrayLike, loc: ArrayLike = 0,
          scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    return jnp.log(sf(x, a, b, loc, scale))
