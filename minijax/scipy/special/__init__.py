"""Special functions, `scipy.special`: elementwise, with NumPy's promotion and broadcasting.

    special.gammaln(x), special.logsumexp(x, axis=-1), special.expi(x)

gammas.py has the gamma and beta functions and what is made of them, integrals.py the integrals of
exp, sin and cos, series.py those that are summed: Bessel, Legendre, hypergeometric functions.
"""

from minijax.nn.activations import logsumexp
from minijax.scipy.special.gammas import (
    bernoulli, beta, betainc, betaln, boxcox, boxcox1p, comb, digamma, entr, expit, factorial,
    gamma, gammainc, gammaincc, gammaln, gammasgn, kl_div, log_softmax, loggamma, logit,
    multigammaln, poch, polygamma, rel_entr, softmax, xlog1py, xlogy, zeta,
)
from minijax.scipy.special.integrals import (
    dawsn, erf, erfc, erfcx, erfinv, exp1, expi, expn, fresnel, log_ndtr, ndtr, ndtri, owens_t,
    sici, spence, wofz,
)
from minijax.scipy.special.series import (
    bessel_jn, hyp1f1, hyp2f1, i0, i0e, i1, i1e, lpmn, lpmn_values, sph_harm_y,
)

__all__ = [
    "bernoulli", "bessel_jn", "beta", "betainc", "betaln", "boxcox", "boxcox1p", "comb", "dawsn",
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp1", "expi", "expit", "expn",
    "factorial", "fresnel", "gamma", "gammainc", "gammaincc", "gammaln", "gammasgn", "hyp1f1",
    "hyp2f1", "i0", "i0e", "i1", "i1e", "kl_div", "log_ndtr", "log_softmax", "loggamma", "logit",
    "logsumexp", "lpmn", "lpmn_values", "multigammaln", "ndtr", "ndtri", "owens_t", "poch",
    "polygamma", "rel_entr", "sici", "softmax", "spence", "sph_harm_y", "wofz", "xlog1py",
    "xlogy", "zeta",
]
