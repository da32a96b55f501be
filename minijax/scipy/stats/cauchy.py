"""The Cauchy distribution with median `loc`."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, of_operands

__all__ = ["cdf", "isf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@of_operands
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    return -jnp.log(math.pi * scale) - jnp.log1p(z * z)


pdf = composed(jnp.exp, logpdf, "The density at x.")


@of_operands
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return jnp.arctan2(scale, loc - x) / math.pi


logcdf = composed(jnp.log, cdf, "Logarithm of P(X <= x).")


@of_operands
def sf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return jnp.arctan2(scale, x - loc) / math.pi


logsf = composed(jnp.log, sf, "Logarithm of P(X > x).")


@of_operands
def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    return loc + scale * jnp.tan(math.pi * (q - 0.5))


@of_operands
def isf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X > x) = q."""
    return loc - scale * jnp.tan(math.pi * (q - 0.5))
