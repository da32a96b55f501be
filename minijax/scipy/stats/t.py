"""Student's t distribution with df degrees of freedom."""

from __future__ import annotations

from minijax import lax, numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands

__all__ = ["logpdf", "pdf"]


@of_operands
def logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    z = (x - loc) / scale
    constant = special.betaln(df / 2, lax.full_like(df, 0.5)) + 0.5 * jnp.log(df)
    return -constant - jnp.log(scale) - (df + 1) / 2 * jnp.log1p(z * z / df)


pdf = composed(jnp.exp, logpdf, "The density at x.")
