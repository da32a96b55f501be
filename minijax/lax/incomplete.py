"""The incomplete gamma and beta functions, by series and continued fractions.

The one invariant: everything that is large is kept as a logarithm until the end. The prefactor
x**a e**-x / gamma(a + 1), and that of the beta function, are written with what Stirling's formula
leaves of log gamma, because differences of large logarithms would not be exact. Loops run until
every element has converged; elements outside a method's region get harmless operands there.

    >>> lax.igamma(jnp.float32(2.0), jnp.float32(1.0))
    Array(0.26424116, dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minijax.base.jaxlib import Array
from minijax.core import Primitive, aval_of, convert_element_type, each_operand, pointwise
from minijax.lax.casts import vary_as
from minijax.lax.control_flow.while_loop import while_loop
from minijax.lax.elementwise import abs, add, div, exp, log, log1p, mul, neg, reciprocal, sub
from minijax.lax.logic import bitwise_and, bitwise_not, bitwise_or, choose, eq, ge, gt, le, lt, ne
from minijax.lax.reduction import reduce_or
from minijax.lax.rules import (FLOATING, ArrayLike, binary, broadcast_to, broadcasting, joint_shape,
                               no_rule, scalar_like as number)
from minijax.lax.special import digamma, lgamma


def igamma(a: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise P(a, x), the regularized lower incomplete gamma function; a > 0, x >= 0."""
    return igamma_p.bind(a, x)


def igammac(a: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise 1 - P(a, x), exact where P is close to 1."""
    return igammac_p.bind(a, x)


def igamma_grad_a(a: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise derivative of P(a, x) with respect to a."""
    return igamma_grad_a_p.bind(a, x)


def random_gamma_grad(a: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise derivative with respect to a of a gamma variate whose value is x.

    The variate moves with a so that its quantile stays: -(dP/da) / (dP/dx).
    """
    return random_gamma_grad_p.bind(a, x)


def betainc(a: ArrayLike, b: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise regularized incomplete beta function I_x(a, b); a, b > 0, 0 <= x <= 1."""
    return regularized_incomplete_beta_p.bind(a, b, x)


# --- Loops over arrays -------------------------------------------------------------------------

_LIMIT = 20_000  # iterations; the methods need some multiple of sqrt(a) near x = a


def _iterate(step: Callable[[Any, tuple], tuple[tuple, Any]], active: Any, values: tuple,
             like: Any) -> tuple:
    """Repeat `step(n, values) -> (values, converged)` for n = 1, 2, ... on the active elements."""
    axes = tuple(range(aval_of(like).ndim))

    def going(state: tuple) -> Any:
        return bitwise_and(lt(state[0], number(like, _LIMIT)), reduce_or(state[1], axes))

    def body(state: tuple) -> tuple:
        n, active, *old = state
        new, converged = step(n, tuple(old))
        kept = [choose(active, y, x, x) for x, y in zip(old, new)]
        return add(n, number(n, 1)), bitwise_and(active, bitwise_not(converged)), *kept

    start = (number(like, 1), *vary_as((active, *values), like, active, *values))
    return while_loop(going, body, start)[2:]


def _in_single_precision(fun: Callable) -> Callable:
    """`fun` on operands of one shape; half precision is computed in single."""
    def widened(*args: Any) -> Any:
        avals = [aval_of(x) for x in args]
        dtype = avals[0].dtype
        shape = joint_shape(fun.__name__.strip("_"), avals)
        wide = dtype if dtype.itemsize >= 4 else np.dtype(np.float32)
        args = [broadcast_to(convert_element_type(x, wide), shape) for x in args]
        return convert_element_type(fun(*args), dtype)
    return widened


def _epsilon(x: Any) -> float:
    return float(np.finfo(aval_of(x).dtype).eps)


# --- Incomplete gamma --------------------------------------------------------------------------


def _log_ratio_minus(x: Any, a: Any) -> Any:
    """log(x / a) - (x - a) / a without cancellation where x is near a."""
    u = div(sub(x, a), a)
    r = div(u, add(u, number(u, 2)))
    square = mul(r, r)
    terms = 20 if aval_of(u).dtype == np.float64 else 9
    series = number(u, 1 / (2 * terms + 1))
    for k in range(terms - 1, 0, -1):
        series = add(mul(series, square), number(u, 1 / (2 * k + 1)))
    near = sub(mul(mul(number(u, 2), mul(r, square)), series), mul(u, r))
    return choose(lt(abs(u), number(u, 0.5)), near, sub(log(div(x, a)), u), u)


def _stirling_rest(a: Any) -> Any:
    """log gamma(a) less Stirling's (a - 1/2) log a - a + log(2 pi) / 2."""
    large = gt(a, number(a, 16))
    inverse = reciprocal(choose(large, a, 16, a))
    square = mul(inverse, inverse)
    series = number(a, 1 / 1188)
    for c in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = add(mul(series, square), number(a, c))
    small = choose(large, 16, a, a)
    main = sub(mul(sub(small, number(a, 0.5)), log(small)), small)
    direct = sub(sub(lgamma(small), main), number(a, 0.5 * math.log(2 * math.pi)))
    return choose(large, mul(series, inverse), direct, a)


def _log_density(a: Any, x: Any) -> Any:
    """log(x**a e**-x / gamma(a + 1)) for x > 0."""
    width = mul(number(a, 0.5), log(mul(number(a, 2 * math.pi), a)))
    return sub(sub(mul(a, _log_ratio_minus(x, a)), _stirling_rest(a)), width)


def _series(a: Any, x: Any, active: Any, slopes: bool = False) -> tuple:
    """The sum S of x**n / ((a+1) ... (a+n)), where P = x**a e**-x / gamma(a+1) * S; and dS/da."""
    eps = _epsilon(a)

    def step(n: Any, values: tuple) -> tuple:
        term, total, log_slope, slope = values
        denominator = add(a, n)
        term = mul(term, div(x, denominator))
        total = add(total, term)
        small = le(term, mul(number(a, eps), total))
        if slopes:
            log_slope = sub(log_slope, reciprocal(denominator))
            change = mul(term, log_slope)
            slope = add(slope, change)
            small = bitwise_and(small, le(abs(change), mul(number(a, eps), abs(slope))))
        return (term, total, log_slope, slope), small

    one, zero = _ones(a)
    _, total, _, slope = _iterate(step, active, (one, one, zero, zero), a)
    return total, slope


def _ones(like: Any) -> tuple:
    shape = aval_of(like).shape
    return broadcast_to(number(like, 1), shape), broadcast_to(number(like, 0), shape)


def _away_from_zero(x: Any) -> Any:
    tiny = 1e-30
    return choose(lt(abs(x), number(x, tiny)), tiny, x, x)


def _fraction(a: Any, x: Any, active: Any, slopes: bool = False) -> tuple:
    """Legendre's continued fraction h, where 1 - P = x**a e**-x / gamma(a) * h; and d log h / da.

    Lentz's method: h is a product of ratios c * d, each differentiated along the way.
    """
    eps = _epsilon(a)
    one, zero = _ones(a)

    def step(n: Any, values: tuple) -> tuple:
        c, dc, d, dd, h, slope = values
        top = mul(n, sub(a, n))
        b = add(sub(x, a), add(add(n, n), number(n, 1)))
        ratio = div(top, c)
        if slopes:  # d top / da = n, d b / da = -1
            dc = sub(div(sub(n, mul(ratio, dc)), c), number(n, 1))
            dd = sub(add(mul(n, d), mul(top, dd)), number(n, 1))
        c = _away_from_zero(add(b, ratio))
        d = reciprocal(_away_from_zero(add(b, mul(top, d))))
        delta = mul(c, d)
        h = mul(h, delta)
        small = le(abs(sub(delta, number(n, 1))), number(n, eps))
        if slopes:
            dd = neg(mul(mul(dd, d), d))
            change = add(div(dc, c), div(dd, d))
            slope = add(slope, change)
            small = bitwise_and(small, le(abs(change), mul(number(n, eps), abs(slope))))
        return (c, dc, d, dd, h, slope), small

    start = reciprocal(add(sub(x, a), one))
    values = (broadcast_to(number(a, 1e30), aval_of(a).shape), zero, start, mul(start, start),
              start, start)
    *_, h, slope = _iterate(step, active, values, a)
    return h, slope


class _Regions(NamedTuple):
    """Which method is used where, and operands that are harmless elsewhere."""

    valid: Any
    fraction: Any
    series_args: tuple
    fraction_args: tuple


def _regions(a: Any, x: Any) -> _Regions:
    finite = number(a, float(np.finfo(aval_of(a).dtype).max))
    valid = bitwise_and(bitwise_and(gt(a, number(a, 0)), gt(x, number(x, 0))),
                        bitwise_and(le(a, finite), le(x, finite)))
    fraction = bitwise_and(valid, bitwise_and(gt(x, number(x, 1)), gt(x, a)))
    series = bitwise_and(valid, bitwise_not(fraction))
    return _Regions(valid, fraction, (choose(series, a, 1, a), choose(series, x, 0.5, x), series),
                    (choose(fraction, a, 1, a), choose(fraction, x, 2, x), fraction))


def _both_tails(a: Any, x: Any) -> tuple:
    """(P, 1 - P), each exact in the region where it is the smaller one."""
    valid, in_fraction, series_args, fraction_args = _regions(a, x)
    safe_a, safe_x = choose(valid, a, 1, a), choose(valid, x, 1, x)
    density = exp(_log_density(safe_a, safe_x))
    lower = mul(density, _series(*series_args)[0])
    upper = mul(mul(density, safe_a), _fraction(*fraction_args)[0])
    one = number(a, 1)
    lower, upper = (choose(in_fraction, sub(one, upper), lower, a),
                    choose(in_fraction, upper, sub(one, lower), a))
    return _limits(a, x, lower, 0, 1), _limits(a, x, upper, 1, 0)


def _limits(a: Any, x: Any, inside: Any, at_zero: float, at_infinity: float) -> Any:
    """`inside` with the values on the boundary of the domain, and NaN outside it."""
    zero, infinity = number(a, 0), number(a, np.inf)
    out = choose(bitwise_or(eq(x, zero), eq(a, infinity)), at_zero, inside, a)
    out = choose(bitwise_or(eq(a, zero), eq(x, infinity)), at_infinity, out, a)
    outside = bitwise_or(bitwise_or(lt(x, zero), lt(a, zero)),
                         bitwise_and(eq(x, zero), eq(a, zero)))
    unknown = bitwise_or(bitwise_or(ne(x, x), ne(a, a)), outside)
    return choose(unknown, math.nan, out, a)


def _igamma(a: Any, x: Any) -> Any:
    return _both_tails(a, x)[0]


def _igammac(a: Any, x: Any) -> Any:
    return _both_tails(a, x)[1]


def _slopes(a: Any, x: Any) -> tuple:
    """dP/da over x**a e**-x / gamma(a + 1), with the operands made valid and where they were."""
    valid, in_fraction, series_args, fraction_args = _regions(a, x)
    safe_a, safe_x = choose(valid, a, 1, a), choose(valid, x, 1, x)
    total, slope = _series(*series_args, slopes=True)
    h, log_slope = _fraction(*fraction_args, slopes=True)
    rate = sub(log(safe_x), digamma(safe_a))  # d/da of log(x**a / gamma(a))
    lower = add(mul(total, sub(rate, reciprocal(safe_a))), slope)
    upper = mul(mul(safe_a, h), add(rate, log_slope))
    return choose(in_fraction, neg(upper), lower, a), safe_a, safe_x, valid


def _edge(a: Any, x: Any, inside: Any, valid: Any) -> Any:
    """`inside` where valid; 0 at x = 0; NaN elsewhere."""
    at_zero = bitwise_and(eq(x, number(x, 0)), gt(a, number(a, 0)))
    return choose(valid, inside, choose(at_zero, 0, math.nan, a), a)


def _igamma_grad_a(a: Any, x: Any) -> Any:
    slope, safe_a, safe_x, valid = _slopes(a, x)
    return _edge(a, x, mul(exp(_log_density(safe_a, safe_x)), slope), valid)


def _random_gamma_grad(a: Any, x: Any) -> Any:
    slope, safe_a, safe_x, valid = _slopes(a, x)
    return _edge(a, x, neg(mul(slope, div(safe_x, safe_a))), valid)


def _power_log(exponent: Any, logarithm: Any) -> Any:
    """exponent * logarithm, where 0 * -inf is 0."""
    product = mul(exponent, logarithm)
    return choose(broadcast_to(eq(exponent, number(exponent, 0)), aval_of(product).shape), 0,
                  product, product)


def _gamma_density(a: Any, x: Any) -> Any:
    """dP/dx = x**(a-1) e**-x / gamma(a)."""
    power = _power_log(sub(a, number(a, 1)), log(x))
    return exp(sub(sub(power, x), lgamma(a)))


igamma_p = binary("igamma", FLOATING, decompose=_in_single_precision(_igamma), jvp=each_operand(
    lambda g, out, a, x: mul(g, igamma_grad_a(a, x)),
    lambda g, out, a, x: mul(g, _gamma_density(a, x))))
igammac_p = binary("igammac", FLOATING, decompose=_in_single_precision(_igammac), jvp=each_operand(
    lambda g, out, a, x: mul(g, neg(igamma_grad_a(a, x))),
    lambda g, out, a, x: mul(g, neg(_gamma_density(a, x)))))
igamma_grad_a_p = binary(
    "igamma_grad_a", FLOATING, decompose=_in_single_precision(_igamma_grad_a), jvp=each_operand(
        no_rule(NotImplementedError, "Differentiation rule for 'igamma_grad_a' not implemented",
                "lax.igamma_grad_a(lax.stop_gradient(a), x)",
                "the second derivative of igamma with respect to a has no closed form"),
        lambda g, out, a, x: mul(g, mul(_gamma_density(a, x), sub(log(x), digamma(a))))))
random_gamma_grad_p = binary("random_gamma_grad", FLOATING,
                             decompose=_in_single_precision(_random_gamma_grad))

# --- Incomplete beta ---------------------------------------------------------------------------


def _beta_fraction(a: Any, b: Any, x: Any, active: Any) -> Any:
    """The continued fraction f with I_x(a, b) = x**a (1-x)**b / (a B(a, b)) * f, by Lentz."""
    eps = _epsilon(a)
    one, _ = _ones(a)

    def apply(top: Any, c: Any, d: Any) -> tuple:
        c = _away_from_zero(add(one, div(top, c)))
        d = reciprocal(_away_from_zero(add(one, mul(top, d))))
        return c, d, mul(c, d)

    def step(n: Any, values: tuple) -> tuple:
        c, d, f = values
        even = add(a, add(n, n))
        top = div(mul(mul(n, sub(b, n)), x), mul(sub(even, one), even))
        c, d, first = apply(top, c, d)
        top = neg(div(mul(mul(add(a, n), add(add(a, b), n)), x), mul(even, add(even, one))))
        c, d, second = apply(top, c, d)
        small = le(abs(sub(second, one)), number(n, eps))
        return (c, d, mul(f, mul(first, second))), small

    start = neg(div(mul(add(a, b), x), add(a, one)))
    start = reciprocal(_away_from_zero(add(one, start)))
    return _iterate(step, active, (one, start, start), a)[2]


def _log_beta_scale(a: Any, b: Any, x: Any) -> Any:
    """log(x**a (1-x)**b / B(a, b)) for 0 < x < 1."""
    one, total = number(a, 1), add(a, b)
    mean = div(a, total)
    exponent = add(mul(a, _log_ratio_minus(x, mean)),
                   mul(b, _log_ratio_minus(sub(one, x), div(b, total))))
    width = mul(number(a, 0.5), log(mul(div(a, number(a, 2 * math.pi)), div(b, total))))
    rest = sub(_stirling_rest(total), add(_stirling_rest(a), _stirling_rest(b)))
    return add(add(exponent, width), rest)


def _log_beta(a: Any, b: Any) -> Any:
    return sub(add(lgamma(a), lgamma(b)), lgamma(add(a, b)))


def _betainc(a: Any, b: Any, x: Any) -> Any:
    zero, one, infinity = [number(a, v) for v in (0, 1, np.inf)]
    valid = bitwise_and(bitwise_and(gt(a, zero), gt(b, zero)),
                        bitwise_and(bitwise_and(lt(a, infinity), lt(b, infinity)),
                                    bitwise_and(gt(x, zero), lt(x, one))))
    # The fraction converges fast left of the mean; right of it, by symmetry, in 1 - x.
    mirrored = gt(x, div(add(a, one), add(add(a, b), number(a, 2))))
    p, q, y = [choose(valid, v, 0.5, v) for v in (choose(mirrored, b, a, a),
                                                  choose(mirrored, a, b, a),
                                                  choose(mirrored, sub(one, x), x, x))]
    tail = mul(div(exp(_log_beta_scale(p, q, y)), p), _beta_fraction(p, q, y, valid))
    out = choose(mirrored, sub(one, tail), tail, a)
    out = choose(bitwise_or(eq(a, zero), eq(b, infinity)), 1, out, a)
    out = choose(bitwise_or(eq(b, zero), eq(a, infinity)), 0, out, a)
    out = choose(eq(x, zero), 0, choose(eq(x, one), 1, out, a), a)
    same_limit = bitwise_and(eq(a, b), bitwise_or(eq(a, zero), eq(a, infinity)))
    out = choose(same_limit, math.nan, out, a)
    inside = bitwise_and(bitwise_and(ge(a, zero), ge(b, zero)),
                         bitwise_and(ge(x, zero), le(x, one)))
    return choose(inside, out, math.nan, a)


_no_shape_term = no_rule(ValueError, "Betainc gradient with respect to a and b not supported.",
                         "lax.betainc(lax.stop_gradient(a), lax.stop_gradient(b), x)")


def _beta_density(a: Any, b: Any, x: Any) -> Any:
    """dI/dx = x**(a-1) (1-x)**(b-1) / B(a, b)."""
    one = number(a, 1)
    powers = add(_power_log(sub(a, one), log(x)), _power_log(sub(b, one), log1p(neg(x))))
    return exp(sub(powers, _log_beta(a, b)))


regularized_incomplete_beta_p = Primitive(
    "regularized_incomplete_beta", vmap=pointwise, decompose=_in_single_precision(_betainc),
    shape=broadcasting("regularized_incomplete_beta", FLOATING, FLOATING, FLOATING),
    jvp=each_operand(_no_shape_term, _no_shape_term,
                     lambda g, out, a, b, x: mul(g, _beta_density(a, b, x))))
