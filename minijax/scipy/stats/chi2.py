"""The chi-squared distribution with df degrees of freedom: a gamma distribution."""

from __future__ import annotations

from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.scipy.common import of_operands
from minijax.scipy.stats import gamma

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


@of_operands
def logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of the density at x."""
    return gamma.logpdf(x, df / 2, loc, 2 * scale)


@of_operands
def pdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """The density at x."""
    return gamma.pdf(x, df / 2, loc, 2 * scale)


@of_operands
def cdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X <= x)."""
    return gamma.cdf(x, df / 2, loc, 2 * scale)


@of_operands
def logcdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X <= x)."""
    return gamma.logcdf(x, df / 2, loc, 2 * scale)


@of_operands
def sf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """P(X > x)."""
    return gamma.sf(x, df / 2, loc, 2 * scale)


@of_operands
def logsf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0, scale: ArrayLike = 1) -> Array:
    """Logarithm of P(X > x)."""
    return gamma.logsf(x, df / 2, loc, 2 * scale)
