"""Zeros, coefficients and fits of polynomials."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

X = np.linspace(-1, 2, 9, dtype=np.float32)


def test_roots():
    found = jnp.roots(jnp.array([0.0, 2.0, -6.0, 4.0, 0.0]))
    np.testing.assert_allclose(np.sort_complex(found), [0, 1, 2], atol=1e-6)
    assert found.dtype == np.complex64
    assert jnp.roots(jnp.zeros(3)).shape == jnp.roots(jnp.ones(1)).shape == (0,)


def test_roots_of_a_traced_polynomial():
    fun = jax.jit(lambda p: jnp.roots(p, strip_zeros=False))
    found = np.asarray(fun(jnp.array([0.0, 1.0, -3.0, 2.0])))
    np.testing.assert_allclose(np.sort_complex(found[:2]), [1, 2], atol=1e-6)
    assert np.isnan(found[2].real) and np.isnan(found[2].imag)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(jnp.roots)(jnp.ones(3))


def test_poly_inverts_roots():
    zeros = jnp.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(np.sort_complex(jnp.roots(jnp.poly(zeros))), [-2, 0.5, 1], atol=1e-5)
    matrix = jnp.array([[2.0, 1.0], [0.0, 3.0]])
    np.testing.assert_allclose(jnp.poly(matrix), [1, -5, 6], atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"cov": True}, {"cov": "unscaled"}, {"full": True}])
def test_fit(options):
    y = np.sin(3 * X)
    weights = {"w": 1 + X ** 2} if not options else {}
    found = jnp.polyfit(X, y, 2, **options, **weights)
    wanted = np.polyfit(X.astype(float), y.astype(float), 2, **options, **weights)
    if not options:
        found, wanted = [found], [wanted]
    for ours, numpys in list(zip(found, wanted))[:4]:
        np.testing.assert_allclose(ours, numpys, rtol=2e-4, atol=1e-5)


def test_fit_of_many_columns_and_its_derivative():
    y = np.stack([X ** 2, 1 - X], 1)
    np.testing.assert_allclose(jnp.polyfit(X, y, 2), [[1, 0], [0, -1], [0, 1]], atol=1e-5)
    slope = jax.grad(lambda y: jnp.polyfit(X, y, 1)[0])(y[:, 0])
    centred = X - X.mean()
    np.testing.assert_allclose(slope, centred / (centred ** 2).sum(), atol=1e-5)
