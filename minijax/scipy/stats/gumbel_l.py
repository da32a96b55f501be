"""Gumbel's distribution of smallest values: that of largest values, of -x."""

from __future__ import annotations

from collections.abc import Callable

from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import formula, of_operands
from minijax.scipy.stats import gumbel_r

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "ppf", "sf"]


def _mirrored(name: str, doc: str, function: Callable) -> Callable:
    return formula(f"gumbel_l.{name}", doc,
                   lambda x, loc=0, scale=1: function(-x, -loc, scale))


logpdf = _mirrored("logpdf", "Logarithm of the density at x.", gumbel_r.logpdf)
pdf = _mirrored("pdf", "The density at x.", gumbel_r.pdf)
logcdf = _mirrored("logcdf", "Logarithm of P(X <= x).", gumbel_r.logsf)
cdf = _mirrored("cdf", "P(X <= x).", gumbel_r.sf)
sf = _mirrored("sf", "P(X > x).", gumbel_r.cdf)
logsf = _mirrored("logsf", "Logarithm of P(X > x).", gumbel_r.logcdf)


@of_operands
def ppf(p: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The x with P(X <= x) = p, for 0 < p < 1."""
    inside = (p > 0) & (p < 1)
    safe = jnp.where(inside, p, 0.5)
    return jnp.where(inside, loc + scale * jnp.log(-jnp.log1p(-safe)), jnp.nan)
