"""Special functions of one element: error functions, gamma, zeta and Bessel functions.

The compiler knows those with a CHLO operation; `bessel_i0e` is decomposed here, the incomplete
gamma and beta functions in incomplete.py. All take real floating dtypes.

    >>> lax.erf(jnp.float32(0.5))
    Array(0.5204999, dtype=float32)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base.jaxlib import Array
from minijax.core import aval_of, convert_element_type, each_operand
from minijax.lax.elementwise import (abs, add, div, exp, mul, neg, reciprocal, rsqrt, sign,
                                     square, sub)
from minijax.lax.logic import choose, gt, le
from minijax.lax.rules import FLOATING, ArrayLike, binary, no_rule, scalar_like, unary

# --- Error functions ---------------------------------------------------------------------------


def erf(x: ArrayLike) -> Array:
    """Elementwise error function."""
    return erf_p.bind(x)


def erfc(x: ArrayLike) -> Array:
    """Elementwise 1 - erf(x), exact for large x."""
    return erfc_p.bind(x)


def erf_inv(x: ArrayLike) -> Array:
    """Elementwise inverse of erf, on [-1, 1]."""
    return erf_inv_p.bind(x)


_SLOPE = 2 / math.sqrt(math.pi)  # the derivative of erf at 0

erf_p = unary("erf", FLOATING, each_operand(
    lambda g, out, x: mul(g, mul(scalar_like(x, _SLOPE), exp(neg(square(x)))))))
erfc_p = unary("erfc", FLOATING, each_operand(
    lambda g, out, x: mul(g, mul(scalar_like(x, -_SLOPE), exp(neg(square(x)))))))
erf_inv_p = unary("erf_inv", FLOATING, each_operand(
    lambda g, out, x: mul(g, mul(scalar_like(x, 1 / _SLOPE), exp(square(out))))))

# --- Gamma and zeta functions ------------------------------------------------------------------


def lgamma(x: ArrayLike) -> Array:
    """Elementwise log|gamma(x)|."""
    return lgamma_p.bind(x)


def digamma(x: ArrayLike) -> Array:
    """Elementwise derivative of lgamma; NaN at 0, -1, -2, ..."""
    return digamma_p.bind(x)


def polygamma(m: ArrayLike, x: ArrayLike) -> Array:
    """Elementwise m-th derivative of digamma, for whole m given as floats."""
    return polygamma_p.bind(m, x)


def zeta(x: ArrayLike, q: ArrayLike) -> Array:
    """Elementwise Hurwitz zeta function: the sum of (k + q)**-x over k = 0, 1, ..."""
    return zeta_p.bind(x, q)


lgamma_p = unary("lgamma", FLOATING, each_operand(lambda g, out, x: mul(g, digamma(x))))
digamma_p = unary("digamma", FLOATING, each_operand(
    lambda g, out, x: mul(g, polygamma(scalar_like(x, 1), x))))
polygamma_p = binary("polygamma", FLOATING, jvp=each_operand(
    no_rule(ValueError, "polygamma gradient with respect to m is not supported",
            "lax.polygamma(lax.stop_gradient(m), x)"),
    lambda g, out, m, x: mul(g, polygamma(add(m, scalar_like(m, 1)), x))))
zeta_p = binary("zeta", FLOATING, jvp=each_operand(
    no_rule(NotImplementedError, "Differentiation rule for 'zeta' not implemented",
            "lax.zeta(lax.stop_gradient(x), q)",
            "only the derivative with respect to q is known in closed form"),
    lambda g, out, x, q: mul(g, mul(neg(x), zeta(add(x, scalar_like(x, 1)), q)))))

# --- Bessel functions --------------------------------------------------------------------------


def bessel_i0e(x: ArrayLike) -> Array:
    """Elementwise exp(-|x|) I0(x), the scaled modified Bessel function of order 0."""
    return bessel_i0e_p.bind(x)


def bessel_i1e(x: ArrayLike) -> Array:
    """Elementwise exp(-|x|) I1(x), the scaled modified Bessel function of order 1."""
    return bessel_i1e_p.bind(x)


def _i1e_term(g: Any, out: Any, x: Any) -> Any:
    tiny = float(np.finfo(np.float32).eps)  # below, the quotient is 0 / 0 and the slope 1/2
    ordinary = gt(abs(x), scalar_like(x, tiny))
    safe = choose(ordinary, x, tiny, x)
    slope = sub(bessel_i0e(safe), mul(out, add(sign(safe), reciprocal(safe))))
    return mul(g, choose(ordinary, slope, 0.5, x))


# Chebyshev coefficients of exp(-x) I0(x) on [0, 8], in the variable x / 4 - 1.
_I0E_SMALL = (
    0.33839763720473804, -0.3046826723431984, 0.17162090152220878, -0.094901097048047644,
    0.049305284239670708, -0.023737414805899469, 0.010546460394594998, -0.0043243099950505759,
    0.0016394756169413358, -0.00057637557453858237, 0.00018850288509584166,
    -5.7541950100821037e-5, 1.6448448070728897e-5, -4.4167383584587506e-6, 1.1173875391201037e-6,
    -2.6707938539406117e-7, 6.0469950225419189e-8, -1.300025009986248e-8, 2.6598237246823867e-9,
    -5.1897956016352629e-10, 9.6758090353732369e-11, -1.7268262914415557e-11,
    2.9550526631296398e-12, -4.8564467831119295e-13, 7.6761854986049356e-14,
    -1.1685332877993452e-14, 1.715391285555133e-15, -2.4312798465479547e-16,
)
# And of sqrt(x) exp(-x) I0(x) on [8, inf), in the variable 16 / x - 1.
_I0E_LARGE = (
    0.40224520550705442, 0.0033691164782556941, 6.889758346916824e-5, 2.8913705208347565e-6,
    2.0489185894690637e-7, 2.2666689904981781e-8, 3.3962320257083863e-9, 4.9406023882249696e-10,
    1.1889147107846438e-11, -3.1499165279632414e-11, -1.3215811840447713e-11,
    -1.7941785315068061e-12, 7.1801244513836662e-13, 3.8527783827421427e-13,
    1.5400862175214098e-14, -4.1505693472872221e-14, -9.5548466988283076e-15,
    3.8116806693526224e-15, 1.7725601330565264e-15, -3.4254856196772191e-16,
    -2.8276239805165835e-16, 3.4612228676974611e-17, 4.46562142029676e-17,
)


def _chebyshev(t: Any, coefficients: Sequence[float]) -> Any:
    """The series in Chebyshev polynomials of t, by Clenshaw's recurrence."""
    twice = add(t, t)
    above = last = scalar_like(t, 0)
    for c in reversed(coefficients[1:]):
        above, last = last, add(sub(mul(twice, last), above), scalar_like(t, c))
    return add(sub(mul(t, last), above), scalar_like(t, coefficients[0]))


def _i0e_series(x: Any) -> Any:
    dtype = aval_of(x).dtype
    if dtype.itemsize < 4:  # half precision is computed in single
        return convert_element_type(_i0e_series(convert_element_type(x, np.dtype(np.float32))),
                                    dtype)
    terms = (28, 23) if dtype == np.float64 else (18, 7)
    x = abs(x)
    small = le(x, scalar_like(x, 8))
    inner = choose(small, x, 8, x)
    outer = choose(small, 8, x, x)
    near = _chebyshev(sub(mul(scalar_like(x, 0.25), inner), scalar_like(x, 1)),
                      _I0E_SMALL[:terms[0]])
    far = _chebyshev(sub(div(scalar_like(x, 16), outer), scalar_like(x, 1)),
                     _I0E_LARGE[:terms[1]])
    return choose(small, near, mul(far, rsqrt(outer)), x)


bessel_i0e_p = unary("bessel_i0e", FLOATING, decompose=_i0e_series, jvp=each_operand(
    lambda g, out, x: mul(g, sub(bessel_i1e(x), mul(sign(x), out)))))
bessel_i1e_p = unary("bessel_i1e", FLOATING, each_operand(_i1e_term))
