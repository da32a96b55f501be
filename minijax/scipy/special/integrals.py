"""Integrals of exp, sin, cos and log: error functions, exponential and trigonometric integrals.

Invariant: each function has its own derivative, in closed form, so the loops and regions below
need none. Half precision is computed in single.

    ndtri(0.975), expi(x), erfcx(x), si, ci = sici(x)
"""

from __future__ import annotations

import functools
import math
import operator
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.custom_jvp import custom_jvp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused
from minijax.scipy.common import (formula, polynomial, real_operands, strong_operands, together,
                                  widened)

_ROOT_PI = math.sqrt(math.pi)

# --- Error functions ---------------------------------------------------------------------------


erf = formula("erf", "2 / sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
              lambda x: lax.erf(x))
erfc = formula("erfc", "1 - erf(x), accurate for large x.", lambda x: lax.erfc(x))
erfinv = formula("erfinv", "The inverse of erf, on [-1, 1].", lambda x: lax.erf_inv(x))
erfcx = formula("erfcx", "exp(x**2) erfc(x), for real and complex x.",
                lambda x: _erfcx(x), strong_operands)


@fused
def wofz(z: ArrayLike) -> Array:
    """Faddeeva's function exp(-z**2) erfc(-i z), complex."""
    z, = strong_operands("wofz", z)
    return _erfcx(-1j * z.astype(dtypes.to_complex(z.dtype)))


@fused
def dawsn(x: ArrayLike) -> Array:
    """Dawson's integral exp(-x**2) times the integral of exp(t**2) from 0 to x; real x."""
    x, = strong_operands("dawsn", x)
    if x.dtype.kind == "c":
        raise ValueError("dawsn does not support complex-valued inputs.")
    return _dawsn(x)


@functools.lru_cache
def _weideman(terms: int) -> tuple[float, tuple[float, ...]]:
    """(l, coefficients) of Weideman's rational approximation of erfcx right of the axis.

    J. A. C. Weideman, Computation of the complex error function, SIAM J. Numer. Anal. 31 (1994).
    """
    half = 2 * terms
    l = math.sqrt(terms / math.sqrt(2))
    t = l * np.tan(np.arange(-half + 1, half) * math.pi / half / 2)
    values = np.concatenate([[0], np.exp(-t * t) * (l * l + t * t)])
    found = np.fft.fft(np.fft.fftshift(values)).real / (2 * half)
    return l, tuple(found[terms:0:-1].tolist())


def _erfcx_right(y: Any) -> Any:
    """erfcx for Re y >= 0."""
    l, coefficients = _weideman(64 if y.dtype in (np.float64, np.complex128) else 24)
    inverse = 1 / (l + y)
    return (2 * polynomial(2 * l * inverse - 1, coefficients) * inverse + 1 / _ROOT_PI) * inverse


@custom_jvp
@widened
def _erfcx(y: Any) -> Any:
    left = jnp.real(y) < 0
    right = _erfcx_right(jnp.where(left, -y, y))
    safe = jnp.where(left, y, 0)
    out = jnp.where(left, 2 * jnp.exp(safe * safe) - right, right)
    if y.dtype.kind != "c":
        return jnp.where(y == jnp.inf, 0, out)
    return jnp.where(jnp.isinf(jnp.real(y)) & ~left, 0, out)


_erfcx.defjvps(lambda t, out, y: (2 * y * out - 2 / _ROOT_PI) * t)


@custom_jvp
@widened
def _dawsn(x: Any) -> Any:
    small = jnp.abs(x) < 0.5
    series = lax.full_like(x, 1.0)
    safe = jnp.where(small, x, 0)
    for k in range(14, 0, -1):
        series = 1 - series * safe * safe * (2 / (2 * k + 1))
    size = jnp.abs(x)
    huge = size > 1e6
    y = lax.complex(lax.full_like(x, 0), -jnp.where(huge, 1.0, size))
    large = jnp.where(huge, 0.5 / jnp.where(huge, size, 1.0),
                      jnp.imag(_erfcx_right(y)) * (_ROOT_PI / 2))
    return jnp.where(small, safe * series, jnp.copysign(large, x))


_dawsn.defjvps(lambda t, out, x: (1 - 2 * x * out) * t)


@fused
def fresnel(x: ArrayLike) -> tuple[Array, Array]:
    """(S, C): the integrals of sin(pi t**2 / 2) and cos(pi t**2 / 2) from 0 to x; real x."""
    x, = strong_operands("fresnel", x)
    if x.dtype.kind == "c":
        raise NotImplementedError("Support for complex-valued inputs is not implemented yet.")
    return _fresnel(x)


@custom_jvp
@widened
def _fresnel(x: Any) -> tuple:
    size = jnp.abs(x)
    near = size < 1.25
    s, c = _fresnel_series(jnp.where(near, size, 0))
    far = jnp.where(near | jnp.isinf(x), 2.0, size)
    angle = _quarter_turns(far)
    wave = lax.complex(jnp.cos(angle), jnp.sin(angle))
    y = lax.complex(far, -far) * (_ROOT_PI / 2)
    both = (0.5 + 0.5j) * (1 - wave * _erfcx_right(y))
    out = []
    for series, part in ((s, jnp.imag(both)), (c, jnp.real(both))):
        value = jnp.where(near, series, jnp.where(jnp.isinf(x), 0.5, part))
        out.append(jnp.copysign(jnp.where(jnp.isnan(x), jnp.nan, value), x))
    return tuple(out)


def _quarter_turns(x: Any) -> Any:
    """pi x**2 / 2 less whole turns, for x > 0: x = 2 n + r gives r**2 + 4 n r modulo 4."""
    n = jnp.round(x / 2)
    rest = x - 2 * n
    square = rest * rest + jnp.fmod(4 * jnp.fmod(n * rest, 1.0), 4.0)
    return math.pi / 2 * square


def _fresnel_series(x: Any) -> tuple:
    square = (x * x) * (x * x) * (math.pi / 2) ** 2
    s, c = lax.full_like(x, 0.0), lax.full_like(x, 0.0)
    for k in range(9, -1, -1):
        sign = (-1) ** k
        s = s * square + sign / (math.factorial(2 * k + 1) * (4 * k + 3))
        c = c * square + sign / (math.factorial(2 * k) * (4 * k + 1))
    return s * (math.pi / 2) * x * x * x, c * x


@_fresnel.defjvp
def _fresnel_jvp(primals: tuple, tangents: tuple) -> tuple:
    x, = primals
    angle = math.pi / 2 * x * x
    return _fresnel(x), (jnp.sin(angle) * tangents[0], jnp.cos(angle) * tangents[0])


# --- The normal distribution -------------------------------------------------------------------


def _normal_operand(name: str, x: Any, where: str = ", see docstring for supported types") -> list:
    x = promotion.array_operand(name, x)
    if x.dtype not in (np.float32, np.float64):
        raise TypeError(errors.describe(f"x.dtype={x.dtype} is not supported{where}.",
                                        fix="convert it, e.g. x.astype(jnp.float32)"))
    return [promotion.strong(x)]


ndtr = formula("ndtr", "The normal distribution function; float32 and float64 only.",
               lambda x: _ndtr(x), _normal_operand)


def _ndtr(x: Any) -> Any:
    return 0.5 * lax.erfc(x * -math.sqrt(0.5))


def log_ndtr(x: ArrayLike, series_order: int = 3) -> Array:
    """log(ndtr(x)), accurate everywhere; float32 and float64 only.

    `series_order` must be an int from 0 to 30; no series is cut off at it here.
    """
    try:
        order = operator.index(series_order)
    except TypeError:
        raise TypeError("series_order must be a Python integer.") from None
    if not 0 <= order <= 30:
        raise ValueError("series_order must be non-negative." if order < 0
                         else "series_order must be <= 30.")
    return _log_ndtr_of(x)


@fused
def _log_ndtr_of(x: Any) -> Any:
    return _log_ndtr(*_normal_operand("log_ndtr", x, ""))


@custom_jvp
def _log_ndtr(x: Any) -> Any:
    left = x < 0
    low, high = jnp.where(left, x, -1.0), jnp.where(left, 1.0, x)
    scaled = _erfcx_right(low * -math.sqrt(0.5))
    lower = jnp.log(scaled * 0.5) - 0.5 * low * low
    return jnp.where(left, lower, jnp.log1p(-_ndtr(-high)))


@_log_ndtr.defjvp
def _log_ndtr_jvp(primals: tuple, tangents: tuple) -> tuple:
    x, = primals
    out = _log_ndtr(x)
    # exp(-x**2 / 2 - out), where for very negative x the difference would be inf - inf
    low = jnp.minimum(x, 0)
    slope = jnp.where(x < 0, 2 / _erfcx(low * -math.sqrt(0.5)), jnp.exp(-0.5 * x * x - out))
    return out, slope * (tangents[0] / math.sqrt(2 * math.pi))


# M. J. Wichura, Algorithm AS 241, Applied Statistics 37 (1988): the normal quantile function as
# quotients of polynomials, in the middle (in 0.180625 - q**2), in the tails and in the far tails.
_MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0))
_TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0))
_FAR_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0))


def _quotient(x: Any, pair: tuple) -> Any:
    return polynomial(x, pair[0]) / polynomial(x, pair[1])


ndtri = formula("ndtri", "The inverse of ndtr, on [0, 1]; float32 and float64 only.",
                lambda p: _ndtri(p), _normal_operand)


@custom_jvp
def _ndtri(p: Any) -> Any:
    q = p - 0.5
    middle = jnp.abs(q) <= 0.425
    inner = jnp.where(middle, q, 0)
    tail = jnp.where(q < 0, p, 1 - p)
    inside = (tail > 0) & ~middle
    r = jnp.sqrt(-jnp.log(jnp.where(inside, tail, 0.05)))
    outer = jnp.where(r <= 5, _quotient(r - 1.6, _TAIL), _quotient(r - 5, _FAR_TAIL))
    outer = jnp.where(tail > 0, outer, jnp.where(tail == 0, jnp.inf, jnp.nan))
    return jnp.where(middle, inner * _quotient(0.180625 - inner * inner, _MIDDLE),
                     jnp.where(q < 0, -outer, outer))


_ndtri.defjvps(lambda t, out, p: math.sqrt(2 * math.pi) * jnp.exp(0.5 * out * out) * t)


# --- Exponential integrals ---------------------------------------------------------------------


exp1 = formula("exp1", "The integral of exp(-t) / t from x to infinity, for x > 0.",
               lambda x: _expn(lax.full_like(x, 1.0), x), real_operands)
expn = formula(
    "expn", "The integral of exp(-x t) / t**n from 1 to infinity, for whole n >= 0 and x >= 0.",
    lambda n, x: _expn(jnp.floor(n), x), real_operands)


@custom_jvp
@widened
def _expn(n: Any, x: Any) -> Any:
    n, x = together(n, x)
    order = jnp.maximum(n, 1)
    near = x <= 1
    small, large = jnp.where(near & (x > 0), x, 0.5), jnp.where(near | jnp.isinf(x), 2.0, x)
    value = jnp.where(near, _expn_series(order, small),
                      _expn_fraction(order, large) * jnp.exp(-large))
    value = jnp.where(x == jnp.inf, 0, value)
    at_zero = jnp.where(n > 1, 1 / jnp.where(n > 1, n - 1, 1), jnp.inf)
    value = jnp.where(n == 0, jnp.exp(-x) / x, value)
    value = jnp.where(x == 0, at_zero, value)
    return jnp.where((x >= 0) & (n >= 0), value, jnp.nan)


def _expn_series(n: Any, x: Any) -> Any:
    """Powers of -x over k! (n - 1 - k), and for k = n - 1 a logarithm; 0 < x <= 1."""
    def step(k: Any, state: tuple) -> tuple:
        power, total = state
        k = lax.convert_element_type(k, x.dtype)
        gap = n - 1 - k
        special = gap == 0
        plain = power / jnp.where(special, 1, gap)
        logarithm = power * (lax.digamma(n) - jnp.log(x))
        return power * -x / (k + 1), total + jnp.where(special, logarithm, plain)

    power, total = lax.fori_loop(0, 22, step, (lax.full_like(x, 1.0), lax.full_like(x, 0.0)))
    return total


def _expn_fraction(n: Any, x: Any) -> Any:
    """exp(x) E_n(x) for x > 1, a continued fraction by Lentz's method."""
    def step(k: Any, state: tuple) -> tuple:
        b, c, d, h = state
        k = lax.convert_element_type(k, x.dtype)
        a = -k * (n - 1 + k)
        b = b + 2
        d = 1 / (a * d + b)
        c = b + a / c
        return b, c, d, h * c * d

    b = x + n
    start = (b, lax.full_like(x, 1e30), 1 / b, 1 / b)
    return lax.fori_loop(1, 100 if x.dtype == np.float64 else 40, step, start)[3]


_expn.defjvps(None, lambda t, out, n, x: -_expn(n - 1, x) * t)

expi = formula("expi", "The principal value of the integral of exp(t) / t from -infinity to x.",
               lambda x: _expi(x), real_operands)


@custom_jvp
@widened
def _expi(x: Any) -> Any:
    border = 40.0 if x.dtype == np.float64 else 20.0
    near = (x > 0) & (x < border)
    series = _expi_series(jnp.where(near, x, 1.0))
    far = jnp.where((x >= border) & (x < jnp.inf), x, border)
    total = lax.full_like(x, 1.0)
    for k in range(int(border) - 1, 0, -1):
        total = 1 + total * k / far
    large = jnp.where(x == jnp.inf, jnp.inf, jnp.exp(far) / far * total)
    negative = -_expn(lax.full_like(x, 1.0), jnp.where(x < 0, -x, 1.0))
    out = jnp.where(near, series, jnp.where(x < 0, negative, large))
    return jnp.where(x == 0, -jnp.inf, jnp.where(jnp.isnan(x), jnp.nan, out))


def _expi_series(x: Any) -> Any:
    def step(k: Any, state: tuple) -> tuple:
        power, total = state
        k = lax.convert_element_type(k, x.dtype)
        power = power * x / k
        return power, total + power / k

    start = lax.full_like(x, 1.0), lax.full_like(x, 0.0)
    total = lax.fori_loop(1, 140 if x.dtype == np.float64 else 80, step, start)[1]
    # near the zero of expi, at 0.37, the logarithm and Euler's constant must be added last
    return np.euler_gamma + jnp.log(x) + total


_expi.defjvps(lambda t, out, x: jnp.exp(x) / x * t)


# --- Sine and cosine integrals, dilogarithm, Owen's T -------------------------------------------


sici = formula(
    "sici", "(Si, Ci): the integrals of sin(t) / t from 0 to x, of cos(t) / t from infinity to x.",
    lambda x: _sici(x), real_operands)


@custom_jvp
@widened
def _sici(x: Any) -> tuple:
    size = jnp.abs(x)
    near = size < 4
    small = jnp.where(near, size, 1.0)
    square = small * small
    si, ci = lax.full_like(x, 0.0), lax.full_like(x, 0.0)
    for k in range(14, -1, -1):
        si = si * square + (-1) ** k / ((2 * k + 1) * math.factorial(2 * k + 1))
        ci = ci * square + (-1) ** (k + 1) / ((2 * k + 2) * math.factorial(2 * k + 2))
    far = jnp.where(near | jnp.isinf(x), 4.0, size)
    tail = _tail_fraction(far) * lax.complex(jnp.cos(far), -jnp.sin(far))
    si_far = jnp.where(jnp.isinf(x), math.pi / 2, math.pi / 2 + jnp.imag(tail))
    ci_far = jnp.where(jnp.isinf(x), 0, -jnp.real(tail))
    logarithm = jnp.where(x == 0, -jnp.inf, jnp.log(jnp.where(x == 0, 1.0, small)))
    ci_near = np.euler_gamma + logarithm + jnp.where(x == 0, 0, ci * square)
    si = jnp.copysign(jnp.where(near, jnp.where(x == 0, 0, si * small), si_far), x)
    ci = jnp.where(near, ci_near, ci_far)
    ci = jnp.where(x == -jnp.inf, jnp.nan, ci)
    unknown = jnp.isnan(x)
    return jnp.where(unknown, jnp.nan, si), jnp.where(unknown, jnp.nan, ci)


def _tail_fraction(x: Any) -> Any:
    """exp(z) E_1(z) at z = i x, from the end of the continued fraction."""
    z = lax.complex(lax.full_like(x, 0.0), x)
    total = lax.full_like(z, 0)
    for k in range(50 if x.dtype == np.float64 else 20, 0, -1):
        total = k * k / (z + (2 * k + 1) - total)
    return 1 / (z + 1 - total)


@_sici.defjvp
def _sici_jvp(primals: tuple, tangents: tuple) -> tuple:
    x, = primals
    return _sici(x), (jnp.sinc(x / math.pi) * tangents[0], jnp.cos(x) / x * tangents[0])


# B(2k) / (2k + 1)! from the highest.
_DEBYE = (-174611 / 330 / math.factorial(21), 43867 / 798 / math.factorial(19),
          -3617 / 510 / math.factorial(17), 7 / 6 / math.factorial(15),
          -691 / 2730 / math.factorial(13), 5 / 66 / math.factorial(11),
          -1 / 30 / math.factorial(9), 1 / 42 / math.factorial(7), -1 / 30 / math.factorial(5),
          1 / 6 / math.factorial(3))


spence = formula(
    "spence", "The integral of log(t) / (1 - t) from 1 to x, for x >= 0; float32 and float64 only.",
    lambda x: _spence(x), _normal_operand)


@custom_jvp
def _spence(x: Any) -> Any:
    """The series in -log y converges on [1/2, 2]; 1/x and 1 - x bring all x there."""
    large = x > 1
    t = jnp.where(large, 1 / jnp.where(large, x, 1.0), x)
    low = t < 0.5
    inside = t > 0
    safe = jnp.where(inside, t, 0.25)
    u = -jnp.log(jnp.where(low, 1 - safe, safe))
    square = u * u
    value = u - square / 4 + u * square * polynomial(square, _DEBYE)
    mirrored = math.pi ** 2 / 6 - jnp.log(safe) * jnp.log1p(-jnp.where(low, safe, 0)) - value
    value = jnp.where(inside, jnp.where(low, mirrored, value), math.pi ** 2 / 6)
    log = jnp.log(jnp.where(large, x, 1.0))
    out = jnp.where(large, -0.5 * log * log - value, value)
    return jnp.where(x >= 0, out, jnp.nan)


_spence.defjvps(
    lambda t, out, x: jnp.where(x == 1, -1, jnp.log(x) / jnp.where(x == 1, 1, 1 - x)) * t)

owens_t = formula(
    "owens_t", "Owen's T function: P(X > h and 0 < Y < a X) for independent normal X and Y.",
    lambda h, a: _owens_t(h, a), real_operands)


@custom_jvp
@widened
def _owens_t(h: Any, a: Any) -> Any:
    h, a = together(h, a)
    h, size = jnp.abs(h), jnp.abs(a)
    steep = size > 1
    slope = jnp.where(steep, 1 / jnp.where(steep, size, 1), size)
    height = jnp.where(steep, jnp.where(h == 0, 0, h * size), h)
    value = _owens_integral(height, slope)
    # T(h, a) + T(a h, 1/a) is known; with upper tails P and Q it is (P + Q) / 2 - P Q
    p, q = 0.5 * lax.erfc(h * math.sqrt(0.5)), 0.5 * lax.erfc(height * math.sqrt(0.5))
    value = jnp.where(steep, 0.5 * (p + q) - p * q - value, value)
    value = jnp.where(jnp.isinf(size), 0.5 * p, value)
    return jnp.where(jnp.isnan(h) | jnp.isnan(a), jnp.nan, jnp.copysign(value, a))


def _owens_integral(h: Any, a: Any) -> Any:
    """The integral of exp(-h**2 (1 + t**2) / 2) / (1 + t**2) / 2 pi over [0, a], 0 <= a <= 1."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    top = jnp.minimum(a, 12.0 / jnp.maximum(h, 1.0))  # beyond, exp underflows beside its start
    h = jnp.where(jnp.isinf(h), 1e6, h)[..., None]
    t = top[..., None] * ((nodes + 1) / 2).astype(a.dtype).reshape((1,) * a.ndim + (-1,))
    values = jnp.exp(-0.5 * h * h * (1 + t * t)) / (1 + t * t)
    weights = (weights / 2).astype(a.dtype).reshape((1,) * a.ndim + (-1,))
    return jnp.sum(values * weights, axis=-1) * top / (2 * math.pi)


@_owens_t.defjvp
def _owens_t_jvp(primals: tuple, tangents: tuple) -> tuple:
    h, a = primals
    in_h = -jnp.exp(-0.5 * h * h) * lax.erf(a * h * math.sqrt(0.5)) / math.sqrt(8 * math.pi)
    in_a = jnp.exp(-0.5 * h * h * (1 + a * a)) / (2 * math.pi * (1 + a * a))
    return _owens_t(h, a), in_h * tangents[0] + in_a * tangents[1]
