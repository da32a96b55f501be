"""The Cauchy distribution wrapped around the circle, on [0, 2 pi], for 0 < c < 1."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import composed, of_operands

__all__ = ["logpdf", "pdf"]


@of_operands
def logpdf(x: ArrayLike, c: ArrayLike) -> Array:
    """Logarithm of the density at x; NaN unless 0 < c < 1."""
    outside = (x < 0) | (x > 2 * math.pi)
    width = 1 + c * c - 2 * c * jnp.cos(x)
    value = jnp.log1p(-c * c) - math.log(2 * math.pi) - jnp.log(width)
    value = jnp.where(outside, -jnp.inf, value)
    return jnp.where((c > 0) & (c < 1), value, jnp.nan)


pdf = composed(jnp.exp, logpdf, "The density at x.")
