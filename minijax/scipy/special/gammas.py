"""The gamma and beta functions, binomial coefficients, entropies and other logarithms.

Invariant: limits are those of SciPy (poles of gamma are NaN, x log x is 0 at 0), and derivatives
are finite wherever the function is smooth.

    gammaln(x), betaln(a, b), comb(10, 3), xlogy(0.0, 0.0)
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.custom_jvp import custom_jvp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.nn import activations
from minijax.numpy import promotion
from minijax.runtime.call import fused
from minijax.scipy.common import (formula, operands, polynomial, real_operands,
                                  strong_operands)

Axis = int | tuple[int, ...] | None

# --- Softmax -----------------------------------------------------------------------------------


def softmax(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    """exp(x) / sum(exp(x)) over `axis` (all by default)."""
    return activations.softmax(x, axis)


def log_softmax(x: ArrayLike, /, *, axis: Axis = None) -> Array:
    """log(softmax(x)), accurate everywhere."""
    return activations.log_softmax(x, axis)


# --- Gamma -------------------------------------------------------------------------------------


gammaln = formula("gammaln", "log|gamma(x)| for real x.", lambda x: lax.lgamma(x))
digamma = formula("digamma", "The derivative of gammaln; NaN at 0, -1, -2, ...",
                  lambda x: lax.digamma(x))
gammainc = formula(
    "gammainc", "The regularized lower incomplete gamma function P(a, x), for a >= 0 and x >= 0.",
    lambda a, x: lax.igamma(a, x))
gammaincc = formula("gammaincc", "The regularized upper incomplete gamma function 1 - P(a, x).",
                    lambda a, x: lax.igammac(a, x))
gammasgn = formula(
    "gammasgn", "The sign of gamma(x): NaN at -1, -2, ... and at -inf, that of the zero at 0.",
    lambda x: _gammasgn(x), real_operands)


def _gammasgn(x: Any) -> Any:
    floor = jnp.floor(x)
    # multiples of 2 have no odd half; all large floats are even
    odd = floor != 2 * jnp.floor(floor / 2)
    sign = jnp.where((x < 0) & odd, -1.0, jnp.where((x == 0) & jnp.signbit(x), -1.0, 1.0))
    pole = ((x < 0) & (floor == x)) | jnp.isnan(x)
    return jnp.where(pole, jnp.nan, sign).astype(x.dtype)


@fused
def gamma(x: ArrayLike) -> Array:
    """The gamma function, for real and complex x; NaN at its poles except at 0, which is inf."""
    x, = strong_operands("gamma", x)
    if x.dtype.kind == "c":
        pole = (jnp.imag(x) == 0) & (jnp.real(x) <= 0) & (jnp.floor(jnp.real(x)) == jnp.real(x))
        return jnp.where(pole, complex(np.nan, np.nan), jnp.exp(_complex_loggamma(x)))
    return _gammasgn(x) * jnp.exp(lax.lgamma(x))


@fused
def loggamma(x: ArrayLike) -> Array:
    """The principal logarithm of gamma, whose cut is the negative axis; NaN for real x < 0."""
    x, = operands("loggamma", x)
    if x.dtype.kind == "c":
        return _complex_loggamma(promotion.strong(x))
    return jnp.where(x < 0, jnp.nan, lax.lgamma(x))


# B(2k) / (2k (2k - 1)), the coefficients of Stirling's series, from the highest.
_STIRLING = (-3617 / 122400, 1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360,
             1 / 12)
_SHIFT = 9


@custom_jvp
def _complex_loggamma(z: Any) -> Any:
    """Stirling's series right of 1/2, after steps to the right; left of it, by reflection."""
    left = jnp.real(z) < 0.5
    w = jnp.where(left, 1 - z, z)
    steps = sum(jnp.log(w + k) for k in range(_SHIFT))
    far = w + _SHIFT
    value = ((far - 0.5) * jnp.log(far) - far + 0.5 * math.log(2 * math.pi) + _stirling_rest(far)
             - steps)
    return jnp.where(left, math.log(math.pi) - _log_sin_pi(z) - value, value)


def _log_sin_pi(z: Any) -> Any:
    """log sin(pi z), continuous in each half-plane; the axis belongs to the upper one."""
    lower = jnp.imag(z) < 0
    w = jnp.where(lower, jnp.conj(z), z)
    turns = lax.complex(jnp.real(w) - 2 * jnp.round(jnp.real(w) / 2), jnp.imag(w))
    value = -1j * math.pi * w + jnp.log1p(-jnp.exp(2j * math.pi * turns)) + complex(
        -math.log(2), math.pi / 2)
    return jnp.where(lower, jnp.conj(value), value)


_complex_loggamma.defjvps(lambda t, out, z: _complex_digamma(z) * t)


def _complex_digamma(z: Any) -> Any:
    left = jnp.real(z) < 0.5
    w = jnp.where(left, 1 - z, z)
    steps = sum(1 / (w + k) for k in range(_SHIFT))
    inverse = 1 / (w + _SHIFT)
    square = inverse * inverse
    slopes = [k * c for k, c in zip(range(15, 0, -2), _STIRLING)]
    value = jnp.log(w + _SHIFT) - inverse / 2 - polynomial(square, slopes) * square - steps
    return jnp.where(left, value - math.pi / jnp.tan(math.pi * z), value)


def multigammaln(a: ArrayLike, d: ArrayLike) -> Array:
    """Logarithm of the gamma function of dimension d, for a > (d - 1) / 2; d is a number."""
    return _multigammaln(a, int(d))


@fused(static_argnums=1)
def _multigammaln(a: Any, d: int) -> Any:
    a, = strong_operands("multigammaln", a)
    halves = np.arange(d, dtype=a.dtype) / 2
    total = jnp.sum(lax.lgamma(a[..., None] - halves.reshape((1,) * a.ndim + (d,))), axis=-1)
    return total + 0.25 * d * (d - 1) * math.log(math.pi)


poch = formula(
    "poch", "gamma(z + m) / gamma(z), the rising factorial z (z + 1) ... (z + m - 1).",
    lambda z, m: _poch(z, m), strong_operands)


@custom_jvp
def _poch(z: Any, m: Any) -> Any:
    total = z + m
    # where both are poles, the product is that of the mirrored arguments
    both = (z <= 0) & (jnp.floor(z) == z) & (total <= 0) & (jnp.floor(total) == total)
    sign = jnp.where(both, jnp.where(jnp.floor(m / 2) * 2 == m, 1.0, -1.0).astype(z.dtype),
                     _gammasgn(z) * _gammasgn(total))
    size = jnp.where(both, lax.lgamma(1 - z) - lax.lgamma(1 - total),
                     lax.lgamma(total) - lax.lgamma(z))
    return jnp.where(m == 0, 1.0, sign * jnp.exp(size)).astype(z.dtype)


@_poch.defjvp
def _poch_jvp(primals: tuple, tangents: tuple) -> tuple:
    z, m = primals
    out = _poch(z, m)
    high = lax.digamma(z + m)
    return out, out * ((high - lax.digamma(z)) * tangents[0] + high * tangents[1])


@fused
def polygamma(n: ArrayLike, x: ArrayLike) -> Array:
    """The n-th derivative of digamma, for integers n; ValueError for other n."""
    kind = jnp.result_type(n)
    if not jnp.issubdtype(kind, jnp.integer):
        raise ValueError(errors.describe(
            f"Argument `n` to polygamma must be of integer type. Got dtype {kind}.",
            fix="polygamma(1, x)"))
    n, x = operands("polygamma", n, x)
    return lax.polygamma(n, x)


@fused
def zeta(x: ArrayLike, q: ArrayLike | None = None) -> Array:
    """Hurwitz's zeta function: the sum of (k + q)**-x over k = 0, 1, ..., for x > 1."""
    if q is None:
        raise NotImplementedError(errors.describe(
            "Riemann zeta function not implemented; pass q != None to compute the Hurwitz Zeta "
            "function.", fix="zeta(x, 1.0)"))
    return lax.zeta(*operands("zeta", x, q))


# --- Beta, binomials ---------------------------------------------------------------------------


betainc = formula(
    "betainc", "The regularized incomplete beta function I_x(a, b), for a, b > 0, 0 <= x <= 1.",
    lambda a, b, x: lax.betainc(a, b, x))
betaln = formula("betaln", "log|beta(a, b)|, without cancellation of large logarithms.",
                 lambda a, b: _betaln(a, b))


@fused
def beta(a: ArrayLike, b: ArrayLike) -> Array:
    """gamma(a) gamma(b) / gamma(a + b)."""
    a, b = real_operands("beta", a, b)
    return _gammasgn(a) * _gammasgn(b) * _gammasgn(a + b) * jnp.exp(_betaln(a, b))


def _stirling_rest(x: Any) -> Any:
    """lgamma(x) less Stirling's (x - 1/2) log x - x + log(2 pi) / 2, for x >= 8."""
    inverse = 1 / x
    return polynomial(inverse * inverse, _STIRLING) * inverse


@custom_jvp
def _betaln(a: Any, b: Any) -> Any:
    small, large = jnp.minimum(a, b), jnp.maximum(a, b)
    total = small + large
    far = (large >= 8) & (total >= 8)
    safe_large, safe_small = jnp.where(far, large, 8.0), jnp.where(far, small, 1.0)
    safe_total = safe_large + safe_small
    # lgamma(large) - lgamma(total), whose leading terms cancel by hand
    gap = (-safe_small * jnp.log(safe_total) + safe_small
           - (safe_large - 0.5) * jnp.log1p(safe_small / safe_large)
           + _stirling_rest(safe_large) - _stirling_rest(safe_total))
    near = lax.lgamma(large) - lax.lgamma(total)
    return lax.lgamma(small) + jnp.where(far, gap, near)


_betaln.defjvps(lambda t, out, a, b: (lax.digamma(a) - lax.digamma(a + b)) * t,
                lambda t, out, a, b: (lax.digamma(b) - lax.digamma(a + b)) * t)


@fused(static_argnames="exact")
def factorial(n: ArrayLike, exact: bool = False) -> Array:
    """gamma(n + 1), and 0 for negative n; `exact` integers are refused."""
    if exact:
        raise NotImplementedError(errors.describe("factorial with exact=True",
                                                  fix="math.factorial(n)"))
    n, = operands("factorial", n)
    return jnp.where(n < 0, 0, jnp.exp(lax.lgamma(n + 1)))


@fused(static_argnames="repetition")
def comb(N: ArrayLike, k: ArrayLike, *, repetition: bool = False) -> Array:
    """The number of ways to choose k of N things, 0 unless 0 <= k <= N; or with repetition."""
    N, k = operands("comb", N, k)
    if repetition:
        several = _choose(N + k - 1, k)
        return jnp.where((N == 0) & (k == 0), 1, jnp.where(N > 0, several, 0))
    return _choose(N, k)


def _choose(n: Any, k: Any) -> Any:
    possible = (k >= 0) & (n >= k)
    n, k = jnp.where(possible, n, 1), jnp.where(possible, k, 1)
    return jnp.where(possible, jnp.exp(-jnp.log1p(n) - _betaln(n - k + 1, k + 1)), 0)


def bernoulli(n: int) -> Array:
    """The Bernoulli numbers B(0) ... B(n), with B(1) = -1/2; n is a number."""
    n = operator.index(n)
    if n < 0:
        raise ValueError(errors.describe("n must be a non-negative integer.", fix="bernoulli(3)"))
    values = np.zeros(n + 1)
    values[:2] = (1, -0.5)[:n + 1]
    size = 2.0
    for k in range(2, n + 1, 2):  # |B(k)| = 2 k! zeta(k) / (2 pi)**k
        size *= k * (k - 1) / (2 * math.pi) ** 2
        values[k] = (-1) ** (k // 2 + 1) * size * _EVEN_ZETA.get(k, sum(
            float(j) ** -k for j in range(40, 0, -1)))
    return jnp.asarray(values, dtype=float)


_EVEN_ZETA = {2: math.pi ** 2 / 6, 4: math.pi ** 4 / 90, 6: math.pi ** 6 / 945,
              8: math.pi ** 8 / 9450, 10: math.pi ** 10 / 93555}

# --- Logarithms and entropies ------------------------------------------------------------------


expit = formula("expit", "1 / (1 + exp(-x)).", lambda x: lax.logistic(x))
logit = formula("logit", "log(x / (1 - x)), the inverse of expit.", lambda x: _logit(x))


@custom_jvp
def _logit(x: Any) -> Any:
    return jnp.log(x / (1 - x))


_logit.defjvps(lambda t, out, x: t / (x * (1 - x)))


def _times_log(x: Any, y: Any, log: Any) -> Any:
    return jnp.where((x == 0) & ~jnp.isnan(y), 0, x * log(y))


@custom_jvp
def _xlogy(x: Any, y: Any) -> Any:
    return _times_log(x, y, jnp.log)


_xlogy.defjvps(lambda t, out, x, y: jnp.log(y) * t, lambda t, out, x, y: x / y * t)


@custom_jvp
def _xlog1py(x: Any, y: Any) -> Any:
    return _times_log(x, y, jnp.log1p)


_xlog1py.defjvps(lambda t, out, x, y: jnp.log1p(y) * t, lambda t, out, x, y: x / (1 + y) * t)


@custom_jvp
def _xlogx(x: Any) -> Any:
    return _times_log(x, x, jnp.log)


_xlogx.defjvps(lambda t, out, x: (jnp.log(x) + 1) * t)

xlogy = formula("xlogy", "x log(y), and 0 where x is 0.", lambda x, y: _xlogy(x, y))
xlog1py = formula("xlog1py", "x log(1 + y), and 0 where x is 0.", lambda x, y: _xlog1py(x, y))
entr = formula("entr", "-x log(x), 0 at 0 and -inf below.",
               lambda x: jnp.where(x < 0, -jnp.inf, -_xlogx(jnp.where(x < 0, 1, x))))
rel_entr = formula(
    "rel_entr", "p log(p / q), 0 where p is 0 and q is not negative, inf outside the domain.",
    lambda p, q: _rel_entr(p, q))
kl_div = formula("kl_div", "rel_entr(p, q) - p + q.", lambda p, q: _rel_entr(p, q) - p + q)


def _rel_entr(p: Any, q: Any) -> Any:
    inside = (p > 0) & (q > 0)
    safe_p, safe_q = jnp.where(inside, p, 1), jnp.where(inside, q, 1)
    unknown = jnp.isnan(p) | jnp.isnan(q)
    outside = jnp.where((p == 0) & (q >= 0), 0, jnp.where(unknown, jnp.nan, jnp.inf))
    value = safe_p * (jnp.log(safe_p) - jnp.log(safe_q))
    return jnp.where(inside, value, outside)


def _power_logarithm(log: Any, exponent: Any) -> Any:
    """expm1(exponent * log) / exponent, and log where the exponent is 0."""
    zero = exponent == 0
    safe = jnp.where(zero, 1, exponent)
    curve = jnp.where(jnp.isfinite(log), log * log / 2, 0)  # the slope in the exponent at 0
    return jnp.where(zero, log + exponent * curve, jnp.expm1(safe * log) / safe)


boxcox = formula("boxcox", "(x**lmbda - 1) / lmbda, and log(x) for lmbda = 0.",
                 lambda x, lmbda: _power_logarithm(jnp.log(x), lmbda))
boxcox1p = formula("boxcox1p", "boxcox(1 + x, lmbda), accurate for small x.",
                   lambda x, lmbda: _power_logarithm(jnp.log1p(x), lmbda))
