"""The uniform distribution on [loc, loc + scale]."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import operands

__all__ = ["cdf", "logpdf", "pdf", "ppf"]


@fused
def logpdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, loc, scale = operands("uniform.logpdf", x, loc, scale)
    value = jnp.where((x < loc) | (x > loc + scale), -jnp.inf, -jnp.log(scale))
    return jnp.where(jnp.isnan(x), jnp.nan, value)


@fused
def pdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, loc, scale))


@fused
def cdf(x: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    x, loc, scale = operands("uniform.cdf", x, loc, scale)
    return jnp.clip((x - loc) / scale, 0, 1)


@fused
def ppf(q: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = q."""
    q, loc, scale = operands("uniform.ppf", q, loc, scale)
    return jnp.where((q >= 0) & (q <= 1), q * scale + loc, jnp.nan)
