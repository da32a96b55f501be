"""The gamma distribution of shape a, shifted by `loc` and stretched by `scale`."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


@fused
def logpdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, a, loc, scale = operands("gamma.logpdf", x, a, loc, scale)
    z = (x - loc) / scale
    safe = jnp.where(z < 0, 1, z)
    value = special.xlogy(a - 1, safe) - safe - special.gammaln(a) - jnp.log(scale)
    return jnp.where((z < 0) | (z == jnp.inf), -jnp.inf, value)


@fused
def pdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, a, loc, scale))


@fused
def cdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, a, loc, scale = operands("gamma.cdf", x, a, loc, scale)
    return special.gammainc(a, jnp.maximum((x - loc) / scale, 0))


@fused
def logcdf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    return jnp.log(cdf(x, a, loc, scale))


@fused
def sf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    x, a, loc, scale = operands("gamma.sf", x, a, loc, scale)
    return special.gammaincc(a, jnp.maximum((x - loc) / scale, 0))


@fused
def logsf(x: ArrayLike, a: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    return jnp.log(sf(x, a, loc, scale))
