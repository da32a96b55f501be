"""Differences, interpolation, convolution, polynomials, windows."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("calculus")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


@pytest.mark.parametrize("name", ["convolve", "correlate"])
@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("sizes", [(5, 3), (3, 5), (4, 2), (2, 4), (4, 4)])
def test_convolution_as_numpy(name, mode, sizes):
    a, v = [np.random.default_rng(n).integers(-3, 4, n).astype(np.float32) for n in sizes]
    np.testing.assert_allclose(getattr(jnp, name)(a, v, mode=mode), getattr(np, name)(a, v, mode),
                               atol=1e-5)


def test_apply_along_axis_as_numpy():
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    for axis in range(3):
        for fun in (lambda v: v.sum(), lambda v: v[::-1], lambda v: v[:, None] * v):
            np.testing.assert_allclose(jnp.apply_along_axis(fun, axis, x),
                                       np.apply_along_axis(fun, axis, x))


def test_bits_go_there_and_back():
    x = np.random.default_rng(0).integers(0, 2, (3, 11)).astype(bool)
    for axis in (0, 1):
        for order in ("big", "little"):
            packed = jnp.packbits(x, axis=axis, bitorder=order)
            np.testing.assert_array_equal(packed, np.packbits(x, axis=axis, bitorder=order))
            back = jnp.unpackbits(packed, axis=axis, count=x.shape[axis], bitorder=order)
            np.testing.assert_array_equal(back, x)


def test_polynomials_are_differentiable():
    p = jnp.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(jax.grad(lambda t: jnp.polyval(p, t))(jnp.float32(2.0)), 2.0)
