"""The von Mises distribution of angles, with concentration kappa > 0."""

from __future__ import annotations

import math

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy import special
from minijax.scipy.common import composed, of_operands

__all__ = ["logpdf", "pdf"]


@of_operands
def logpdf(x: ArrayLike, kappa: ArrayLike) -> Array:
    """Logarithm of the density at x; NaN unless kappa > 0."""
    value = kappa * (jnp.cos(x) - 1) - jnp.log(2 * math.pi * special.i0e(kappa))
    return jnp.where(kappa > 0, value, jnp.nan)


pdf = composed(jnp.exp, logpdf, "The density at x.")
