"""The chi-squared distribution with df degrees of freedom: a gamma distribution."""

from __future__ import annotations

from collections.abc import Callable

from minijax.scipy.common import formula
from minijax.scipy.stats import gamma

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


def _of_gamma(function: Callable) -> Callable:
    return formula(f"chi2.{function.__name__}", function.__doc__,
                   lambda x, df, loc=0, scale=1: function(x, df / 2, loc, 2 * scale))


logpdf = _of_gamma(gamma.logpdf)
pdf = _of_gamma(gamma.pdf)
cdf = _of_gamma(gamma.cdf)
logcdf = _of_gamma(gamma.logcdf)
sf = _of_gamma(gamma.sf)
logsf = _of_gamma(gamma.logsf)
