"""Polar decomposition by dynamically weighted Halley iteration (QDWH).

Nakatsukasa, Bai and Gygi, "Optimizing Halley's iteration for computing the matrix polar
decomposition", 2010: every step applies a rational function to the singular values that moves the
interval [l, 1] they lie in towards 1. The one invariant: l starts at the precision of the dtype, so
all weights are known while tracing; steps with large weights use QR, the others Cholesky.

    u, h, steps, converged = qdwh(x)          # u @ h == x, u^H u == 1, h positive semidefinite
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import aval_of, convert_element_type, reduce_sum
from minijax.lax import logic, reduction
from minijax.lax.control_flow.while_loop import while_loop
from minijax.lax.elementwise import abs, add, mul, rsqrt, sqrt, sub
from minijax.lax.identity import stage
from minijax.lax.rules import scalar_like
from minijax.lax.shapes import broadcasted_iota, concatenate
from minijax.lax.slicing import slice_in_dim

from minijax.lax.linalg.common import adjoint, eye_like, matmul, symmetrized
from minijax.lax.linalg.factor import cholesky_p, qr
from minijax.lax.linalg.solve import triangular_solve


def qdwh(x: Array, *, is_hermitian: bool = False, max_iterations: int | None = None,
         eps: float | None = None, dynamic_shape: tuple[int, int] | None = None,
         ) -> tuple[Array, Array, Array, Array]:
    """(u, h, steps, converged) with x = u h for x [m, n] of full rank, m >= n.

    Steps end when u changes by less than (5 eps)^(1/3) in norm, or after `max_iterations` (10).
    Only the leading `dynamic_shape` block of x is read; outside of it u and h are zero.
    """
    aval = aval_of(x)
    if aval.ndim != 2 or aval.shape[0] < aval.shape[1]:
        raise ValueError(errors.describe(
            "The input matrix of shape M x N must have M >= N.",
            because=f"x has shape {aval.shape}", fix="decompose the transpose, or use jax.vmap"))
    most = 10 if max_iterations is None else max_iterations
    eps = float(dtypes.finfo(aval.dtype).eps if eps is None else eps)
    x = x if dynamic_shape is None else _leading_block(x, dynamic_shape)
    one, infinity = _largest_sum(x, 0), _largest_sum(x, 1)
    scale = mul(rsqrt(one), rsqrt(infinity))  # the 2-norm is at most sqrt(one * infinity)
    scale = logic.select(logic.eq(one, scalar_like(one, 0)), scalar_like(one, 1), scale)
    u = mul(convert_element_type(scale, aval.dtype), x)
    weights = list(_weights(float(dtypes.finfo(aval.dtype).eps)))[:most]
    tolerance = (5 * eps) ** (1 / 3)
    going: Any = stage(np.bool_(True))
    for a, b, c in weights:
        previous, u = u, (_by_qr if c > 100 else _by_cholesky)(u, a, b, c)
        if c <= 100:
            going = _moved(previous, u, tolerance)

    def step(carry: tuple) -> tuple:
        k, u, _ = carry
        new = _by_cholesky(u, 3.0, 1.0, 3.0)
        return add(k, scalar_like(k, 1)), new, _moved(u, new, tolerance)

    steps, u, going = while_loop(
        lambda carry: logic.bitwise_and(carry[2], logic.lt(carry[0], scalar_like(carry[0], most))),
        step, (stage(len(weights)), u, going))
    # one step of Newton and Schulz restores what Cholesky lost of orthogonality
    u = sub(_times(1.5, u), matmul(_times(0.5, u), matmul(adjoint(u), u)))
    return u, symmetrized(matmul(adjoint(u), x)), steps, logic.bitwise_not(going)


def _weights(l: float) -> Iterator[tuple[float, float, float]]:
    """The a, b, c of x (a + b x^2) / (1 + c x^2), best for [l, 1], until l is 1."""
    precision = l
    while 1 - l > 10 * precision:
        d = (4 * (1 - l**2) / l**4) ** (1 / 3)
        root = (1 + d) ** 0.5
        a = root + 0.5 * (8 - 4 * d + 8 * (2 - l**2) / (l**2 * root)) ** 0.5
        b = (a - 1) ** 2 / 4
        c = a + b - 1
        yield a, b, c
        l = l * (a + b * l**2) / (1 + c * l**2)


def _times(number: float, x: Any) -> Any:
    return mul(scalar_like(x, number), x)


def _largest_sum(x: Any, axis: int) -> Any:
    return reduction.reduce_max(reduce_sum(abs(x), (axis,)), (0,))


def _moved(old: Any, new: Any, tolerance: float) -> Any:
    """Whether a step changed the matrix by more than `tolerance`."""
    size = abs(sub(new, old))
    change = sqrt(reduce_sum(mul(size, size), (0, 1)))
    return logic.gt(change, scalar_like(change, tolerance))


def _by_qr(u: Any, a: float, b: float, c: float) -> Any:
    """The step from the QR factors of [sqrt(c) u; 1]: no squares of large weights."""
    m, n = aval_of(u).shape
    eye = eye_like(slice_in_dim(u, 0, n, axis=0))
    q, _ = qr(concatenate([_times(c**0.5, u), eye], 0), full_matrices=False)
    product = matmul(slice_in_dim(q, 0, m, axis=0), adjoint(slice_in_dim(q, m, m + n, axis=0)))
    return add(_times(b / c, u), _times((a - b / c) / c**0.5, product))


def _by_cholesky(u: Any, a: float, b: float, c: float) -> Any:
    """The step by solving with 1 + c u^H u, which is well conditioned for small weights."""
    gram = _times(c, matmul(adjoint(u), u))
    factor = cholesky_p.bind(add(gram, eye_like(gram)))
    solved = triangular_solve(factor, adjoint(u), left_side=True, lower=True)
    solved = triangular_solve(factor, solved, left_side=True, lower=True, transpose_a=True,
                              conjugate_a=True)
    return add(_times(b / c, u), _times(a - b / c, adjoint(solved)))


def _leading_block(x: Any, shape: tuple) -> Any:
    """`x` with zeros outside of its first shape[0] rows and shape[1] columns."""
    inside = None
    for axis, size in enumerate(shape):
        places = broadcasted_iota(np.dtype(np.int32), aval_of(x).shape, axis)
        here = logic.lt(places, convert_element_type(stage(size), np.dtype(np.int32)))
        inside = here if inside is None else logic.bitwise_and(inside, here)
    return logic.choose(inside, x, 0, x)
