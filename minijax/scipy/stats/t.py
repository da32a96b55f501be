"""Student's t distribution with df degrees of freedom."""

from __future__ import annotations

from minijax import lax, numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import operands

__all__ = ["logpdf", "pdf"]


@fused
def logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    x, df, loc, scale = operands("t.logpdf", x, df, loc, scale)
    z = (x - loc) / scale
    constant = special.betaln(df / 2, lax.full_like(df, 0.5)) + 0.5 * jnp.log(df)
    return -constant - jnp.log(scale) - (df + 1) / 2 * jnp.log1p(z * z / df)


@fused
def pdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return jnp.exp(logpdf(x, df, loc, scale))
