"""Samples of the primitives of lax/special.py and lax/incomplete.py."""

from __future__ import annotations

import numpy as np

from .sample import Sample, Samples

M = (2, 3)
A = np.array([0.6, 2.5, 11.0])
X = np.array([0.9, 1.7, 14.0])
ORDERS = np.array([[1.0, 2.0, 3.0], [1.0, 1.0, 2.0]])
ONE_SIDE = "only the second operand has a derivative; tests/lax/test_special.py checks it"


def smooth(domain: tuple[float, float], order: int = 2) -> list[Sample]:
    return [Sample((M,), domain=domain, order=order), Sample(((),), domain=domain)]


SAMPLES: Samples = {
    "erf": smooth((-2.0, 2.0), 3),
    "erfc": smooth((-2.0, 2.0), 3),
    "erf_inv": smooth((-0.8, 0.8), 3),
    "lgamma": smooth((0.5, 4.0), 3),
    "digamma": smooth((0.5, 4.0)),
    "bessel_i0e": smooth((0.5, 12.0)),
    "bessel_i1e": smooth((0.5, 12.0)),
    "polygamma": [Sample((ORDERS, np.full(M, 1.3)), grad=False, reason=ONE_SIDE)],
    "zeta": [Sample((ORDERS + 1, np.full(M, 1.3)), grad=False, reason=ONE_SIDE)],
    "igamma": [Sample((A, X), order=1), Sample((np.float64(2.0), X), order=1)],
    "igammac": [Sample((A, X), order=1)],
    "igamma_grad_a": [Sample((A, X), grad=False, reason=ONE_SIDE)],
    "random_gamma_grad": [Sample((A, X), grad=False, reason="no derivative, as in JAX")],
    "regularized_incomplete_beta": [
        Sample((A, A[::-1].copy(), np.array([0.2, 0.5, 0.9])), grad=False, reason=ONE_SIDE)],
}
