"""Functions that are summed or run through a recurrence: Bessel, Legendre, hypergeometric.

Invariant: recurrences run in their stable direction (Miller's for Bessel functions, upwards in
the degree for Legendre functions); sums run until every element has converged.

    i0(x), bessel_jn(x, v=3), hyp2f1(a, b, c, x), sph_harm_y(n, m, theta, phi)
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from minijax import lax, numpy as jnp
from minijax.api.custom_jvp import custom_jvp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import Tracer
from minijax.lax.rules import ArrayLike
from minijax.runtime.call import fused
from minijax.scipy.common import formula, operands, real_operands, together, widened
from minijax.scipy.special.gammas import _gammasgn

# --- Bessel functions --------------------------------------------------------------------------


i0e = formula("i0e", "exp(-|x|) i0(x).", lambda x: lax.bessel_i0e(x))
i1e = formula("i1e", "exp(-|x|) i1(x).", lambda x: lax.bessel_i1e(x))
i0 = formula("i0", "The modified Bessel function of the first kind and order 0.",
             lambda x: jnp.exp(jnp.abs(x)) * lax.bessel_i0e(x))
i1 = formula("i1", "The modified Bessel function of the first kind and order 1.",
             lambda x: jnp.exp(jnp.abs(x)) * lax.bessel_i1e(x))


@fused(static_argnames=("v", "n_iter"))
def bessel_jn(z: ArrayLike, *, v: int, n_iter: int = 50) -> Array:
    """The Bessel functions of the first kind of orders 0 ... v at real z: shape (v + 1, *z.shape).

    The recurrence starts at the order `n_iter`, which must be well above |z| and v.
    """
    z, = real_operands("bessel_jn", z)
    return _bessel_jn(z, operator.index(v), max(n_iter, operator.index(v) + 1))


@widened
def _ratios(z: Any, highest: int) -> tuple:
    """J[k + 1] / J[k] for k = 0 ... highest - 1, from above, and the sum of J[2k] / J[0]."""
    def step(state: tuple, k: Any) -> tuple:
        ratio, total = state
        ratio = z / (2 * k - z * ratio)  # J[k] / J[k - 1]
        even = jnp.fmod(k, 2) == 0
        return (ratio, ratio * (total + jnp.where(even, 1.0, 0.0).astype(z.dtype))), ratio

    orders = jnp.arange(highest, 0, -1).astype(z.dtype)
    start = lax.full_like(z, 0.0), lax.full_like(z, 0.0)
    (_, total), ratios = lax.scan(step, start, orders)
    return ratios[::-1], total


def _bessel_jn(z: Any, v: int, highest: int) -> Any:
    # 1 = J[0] + 2 (J[2] + J[4] + ...)
    ratios, total = _ratios(z, highest)
    first = 1 / (1 + 2 * total)
    return jnp.concatenate([first[None], first[None] * jnp.cumprod(ratios[:v], axis=0)])


# --- Legendre functions ------------------------------------------------------------------------


def _recurrence(degree: int, normalized: bool) -> tuple:
    """(a, b, d): P[l, m] = a[l, m] z P[l-1, m] - b[l, m] P[l-2, m], P[m, m] = d[m] s**m."""
    l, m = np.meshgrid(np.arange(degree + 1.0), np.arange(degree + 1.0), indexing="ij")
    above = l > m
    gap = np.where(above, l - m, 1)
    if not normalized:
        factors = np.concatenate([[1.0], -np.arange(1.0, 2 * degree, 2)])
        return (np.where(above, (2 * l - 1) / gap, 0), np.where(above, (l + m - 1) / gap, 0),
                np.cumprod(factors))
    a = np.where(above, np.sqrt(np.abs(4 * l * l - 1) / (gap * np.maximum(l + m, 1))), 0)
    before = np.roll(a, 1, axis=0)
    k = np.arange(1.0, degree + 1)
    factors = np.concatenate([[math.sqrt(1 / (4 * math.pi))], -np.sqrt((2 * k + 1) / (2 * k))])
    return a, np.where(before > 0, a / np.where(before > 0, before, 1), 0), np.cumprod(factors)


def _legendre(degree: int, z: Any, normalized: bool) -> Any:
    """Associated Legendre functions with Condon and Shortley's phase: [m, l, ...z]."""
    a, b, d = [x.astype(z.dtype) for x in _recurrence(degree, normalized)]
    tail = (1,) * z.ndim
    sine = jnp.sqrt((1 - z) * (1 + z))
    powers = [lax.full_like(z, 1.0)]
    for _ in range(degree):
        powers.append(powers[-1] * sine)
    diagonal = jnp.stack(powers) * d.reshape(-1, *tail)
    one_hot = np.eye(degree + 1, dtype=z.dtype)

    def step(state: tuple, row: tuple) -> tuple:
        last, before = state
        a, b, here = [x.reshape(-1, *tail) for x in row]
        new = a * z[None] * last - b * before + here * diagonal
        return (new, last), new

    zero = jnp.zeros_like(diagonal)
    rows = lax.scan(step, (zero, zero), (a, b, one_hot))[1]
    return jnp.swapaxes(rows, 0, 1)


def _check_degrees(name: str, m: int, n: int, z: Any) -> Any:
    if m != n:
        raise NotImplementedError(errors.describe(
            "Computations for m!=n are not yet supported.", fix=f"{name}(n, n, z)"))
    z, = operands(name, z)
    if z.ndim != 1:
        raise ValueError(errors.describe("z must be a 1D array.", because=f"its shape is {z.shape}",
                                         fix="jnp.atleast_1d(z)"))
    return z


@fused(static_argnums=(0, 1))
def lpmn(m: int, n: int, z: ArrayLike) -> tuple[Array, Array]:
    """Associated Legendre functions and their derivatives at z [k]: two arrays [m + 1, n + 1, k].

    m and n are numbers and must be equal.
    """
    z = _check_degrees("lpmn", m, n, z)
    values = _legendre(n, z, False)
    order = np.arange(n + 1, dtype=z.dtype)
    l, k = order.reshape(1, -1, 1), order.reshape(-1, 1, 1)
    lower = jnp.concatenate([jnp.zeros_like(values[:, :1]), values[:, :-1]], axis=1)
    return values, (l * z[None, None] * values - (l + k) * lower) / ((z - 1) * (z + 1))[None, None]


@fused(static_argnums=(0, 1, 3), static_argnames="is_normalized")
def lpmn_values(m: int, n: int, z: ArrayLike, is_normalized: bool) -> Array:
    """Associated Legendre functions at z [k] as [m + 1, n + 1, k], perhaps those of unit norm.

    m and n are numbers and must be equal.
    """
    return _legendre(n, _check_degrees("lpmn_values", m, n, z), bool(is_normalized))


def sph_harm_y(n: ArrayLike, m: ArrayLike, theta: ArrayLike, phi: ArrayLike,
               diff_n: int | None = None, n_max: int | None = None) -> Array:
    """Spherical harmonics of degree n and order m, |m| <= n, at polar angle theta and azimuth phi.

    `n_max` bounds the degrees; under a trace, where n is not known, it must be given.
    """
    if diff_n is not None:
        raise NotImplementedError(
            "The 'diff_n' argument to jax.scipy.special.sph_harm_y is not supported.")
    if n_max is None:
        if isinstance(n, Tracer):
            raise errors.ConcretizationTypeError(
                n, "The `n_max` argument of `jnp.scipy.special.sph_harm` must be statically "
                "specified to use `sph_harm` within JAX transformations.")
        n_max = int(np.max(n))
    return _sph_harm_y(n, m, theta, phi, operator.index(n_max))


@fused(static_argnums=4)
def _sph_harm_y(n: Any, m: Any, theta: Any, phi: Any, n_max: int) -> Any:
    theta, phi = real_operands("sph_harm_y", theta, phi)
    n, m, theta, phi = jnp.broadcast_arrays(n, m, theta, phi)
    shape = theta.shape
    degree, order = jnp.ravel(n), jnp.ravel(m)
    size = jnp.abs(order)
    values = _legendre(n_max, jnp.cos(jnp.ravel(theta)), True)
    values = values[size, degree, jnp.arange(degree.size)]
    turn = size.astype(phi.dtype) * jnp.ravel(phi)
    out = lax.complex(values * jnp.cos(turn), values * jnp.sin(turn))
    sign = jnp.where(size % 2 == 0, 1.0, -1.0).astype(out.dtype)
    return jnp.reshape(jnp.where(order < 0, sign * jnp.conj(out), out), shape)


# --- Hypergeometric functions ------------------------------------------------------------------


def _sum_series(tops: tuple, bottoms: tuple, x: Any, limit: int) -> tuple:
    """The hypergeometric sum, and its derivatives in each of the parameters.

    A term changes by the sum of 1 / (top + k) or -1 / (bottom + k) times itself.
    """
    eps = float(dtypes.finfo(x.dtype).eps)
    parameters = (*tops, *bottoms)
    one, zero = lax.full_like(x, 1.0), lax.full_like(x, 0.0)
    axes = tuple(range(x.ndim))

    def going(state: tuple) -> Any:
        return (state[0] < limit) & jnp.any(~state[4], axis=axes)

    def step(state: tuple) -> tuple:
        k, term, total, slopes, done, terms = state
        ratio = x / (k + 1)
        new_terms = []
        for i, p in enumerate(parameters):
            ratio = ratio * (p + k) if i < len(tops) else ratio / (p + k)
        new = term * ratio
        for i, (p, own) in enumerate(zip(parameters, terms)):
            others = x / (k + 1)
            for j, q in enumerate(parameters):
                if j != i or i >= len(tops):
                    others = others * (q + k) if j < len(tops) else others / (q + k)
            # the derivative of a product of the terms so far with the new factor
            factor = others if i < len(tops) else -others / (p + k)
            new_terms.append(own * ratio + term * factor)
        total = total + new
        slopes = [s + t for s, t in zip(slopes, new_terms)]
        small = jnp.abs(new) <= eps * jnp.abs(total)
        for s, t in zip(slopes, new_terms):
            small = small & (jnp.abs(t) <= eps * jnp.maximum(jnp.abs(s), jnp.abs(total)))
        lost = jnp.isnan(total) | jnp.isinf(total) | (new == 0)
        return k + 1, new, total, slopes, done | small | lost, new_terms

    zeros = [zero] * len(parameters)
    done = jnp.isnan(x)
    start = (np.zeros((), x.dtype), one, one, zeros, done, zeros)
    state = lax.while_loop(going, step, start)
    return state[2], state[3]


@fused
def hyp1f1(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """Kummer's confluent hypergeometric function 1F1(a; b; x) for real arguments."""
    return _hyp1f1(*together(*real_operands("hyp1f1", a, b, x)))


def _hyp1f1(a: Any, b: Any, x: Any) -> Any:
    # for x < 0 the terms alternate; exp(x) 1F1(b - a; b; -x) has none of that cancellation
    negative = x < 0
    top = jnp.where(negative, b - a, a)
    value = _series_1f1(top, b, jnp.abs(x))
    return jnp.where(negative, jnp.exp(jnp.minimum(x, 0)) * value, value)


@custom_jvp
def _series_1f1(a: Any, b: Any, x: Any) -> Any:
    return _sum_series((a,), (b,), x, 2000)[0]


@_series_1f1.defjvp
def _series_1f1_jvp(primals: tuple, tangents: tuple) -> tuple:
    a, b, x = primals
    _, (in_a, in_b) = _sum_series((a,), (b,), x, 2000)
    in_x = a / b * _series_1f1(a + 1, b + 1, x)
    return _series_1f1(a, b, x), in_a * tangents[0] + in_b * tangents[1] + in_x * tangents[2]


@fused
def hyp2f1(a: ArrayLike, b: ArrayLike, c: ArrayLike, x: ArrayLike) -> Array:
    """Gauss's hypergeometric function 2F1(a, b; c; x) for real arguments, x <= 1.

    inf right of 1, unless the series ends; accuracy is lost near 1 and for large parameters.
    """
    return _hyp2f1(*together(*real_operands("hyp2f1", a, b, c, x)))


def _whole(x: Any) -> Any:
    return (x <= 0) & (jnp.floor(x) == x)


def _hyp2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    ends = _whole(a) | _whole(b)
    power = c - a - b
    pfaff = (x < 0) & ~ends  # (1 - x)**-a 2F1(a, c - b; c; x / (x - 1)), which lies in (0, 1)
    euler = (x > 0) & (x < 1) & (power < 0) & ~ends  # (1 - x)**power 2F1(c - a, c - b; c; x)
    unit = (x == 1) & ~ends
    outside = (x > 1) & ~ends
    usual = ~(unit | outside)
    safe_x = jnp.where(usual, x, 0)
    y = jnp.where(pfaff, safe_x / jnp.where(pfaff, safe_x - 1, 1), safe_x)
    top = jnp.where(euler, c - a, a)
    other = jnp.where(pfaff | euler, c - b, b)
    value = _series_2f1(top, other, c, y)
    rest = jnp.where(pfaff | euler, 1 - safe_x, 1)
    value = value * rest ** jnp.where(pfaff, -a, jnp.where(euler, power, 0))
    converges = unit & (power > 0) & ~_whole(c)
    fine = [jnp.where(converges, p, 1) for p in (c, power, c - a, c - b)]
    at_one = _gammasgn(fine[0]) * _gammasgn(fine[1]) * _gammasgn(fine[2]) * _gammasgn(
        fine[3]) * jnp.exp(lax.lgamma(fine[0]) + lax.lgamma(fine[1]) - lax.lgamma(fine[2])
                           - lax.lgamma(fine[3]))
    value = jnp.where(converges, at_one, jnp.where(unit | outside, jnp.inf, value))
    trivial = (x == 0) | (a == 0) | (b == 0)
    return jnp.where(trivial, 1, jnp.where(_whole(c) & ~trivial & ~ends, jnp.inf, value))


@custom_jvp
def _series_2f1(a: Any, b: Any, c: Any, x: Any) -> Any:
    return _sum_series((a, b), (c,), x, 10_000)[0]


@_series_2f1.defjvp
def _series_2f1_jvp(primals: tuple, tangents: tuple) -> tuple:
    a, b, c, x = primals
    _, slopes = _sum_series((a, b), (c,), x, 10_000)
    in_x = a * b / c * _series_2f1(a + 1, b + 1, c + 1, x)
    terms = zip((*slopes, in_x), tangents)
    return _series_2f1(a, b, c, x), sum(slope * t for slope, t in terms)
