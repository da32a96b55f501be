"""The Pareto distribution of exponent b, on x >= loc + scale."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import operands

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


@fused
def logpdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, b, loc, scale = operands("pareto.logpdf", x, b, loc, scale)
    z = (x - loc) / scale
    value = jnp.log(b / scale) - (b + 1) * jnp.log(jnp.maximum(z, 1))
    return jnp.where(z < 1, -jnp.inf, value)


@fused
def pdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, b, loc, scale))


@fused
def logsf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    x, b, loc, scale = operands("pareto.logsf", x, b, loc, scale)
    return -b * jnp.log(jnp.maximum((x - loc) / scale, 1))


@fused
def sf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return jnp.exp(logsf(x, b, loc, scale))


@fused
def cdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return -jnp.expm1(logsf(x, b, loc, scale))


@fused
def logcdf(x: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    return jnp.log(cdf(x, b, loc, scale))


@fused
def ppf(q: ArrayLike, b: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    q, b, loc, scale = operands("pareto.ppf", q, b, loc, scale)
    inside = (q >= 0) & (q <= 1)
    safe = jnp.where(inside, q, 0)
    return jnp.where(inside, loc + scale * jnp.exp(-jnp.log1p(-safe) / b), jnp.nan)
