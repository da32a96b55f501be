"""Polar decomposition: factors against SVD, counts of steps, blocks of padded matrices."""

import numpy as np
import pytest

import minijax as jax
from minijax import lax

RNG = np.random.default_rng(1)


def expected(x):
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return u @ vh, vh.conj().T @ (s[:, None] * vh)


@pytest.mark.parametrize("shape, dtype", [((6, 4), np.float32), ((5, 5), np.complex64)])
def test_factors(shape, dtype):
    x = RNG.standard_normal(shape).astype(dtype)
    if np.dtype(dtype).kind == "c":
        x += 1j * RNG.standard_normal(shape).astype(np.float32)
    u, h, steps, converged = jax.jit(lax.linalg.qdwh)(x)
    for out, right in zip((u, h), expected(x)):
        np.testing.assert_allclose(out, right, atol=3e-6)
    assert (u.dtype, h.dtype, int(steps), bool(converged)) == (x.dtype, x.dtype, 4, True)


def test_small_singular_values_and_double_precision():
    with jax.enable_x64(True):
        x = np.diag([1.0, 1e-5, 1e-10]) @ np.linalg.qr(RNG.standard_normal((3, 3)))[0]
        u, h, _, converged = jax.jit(lax.linalg.qdwh)(x)
        np.testing.assert_allclose(u.T @ u, np.eye(3), atol=1e-14)
        np.testing.assert_allclose(u @ h, x, atol=1e-15)
        assert converged


def test_steps_can_be_limited():
    _, _, steps, converged = jax.jit(
        lambda x: lax.linalg.qdwh(x, max_iterations=2))(np.eye(3, dtype=np.float32))
    assert steps == 2 and not converged


def test_only_the_leading_block_is_read():
    x = RNG.standard_normal((5, 4)).astype(np.float32)
    u, h, _, _ = jax.jit(lambda x, m: lax.linalg.qdwh(x, dynamic_shape=(m, 2)))(x, 3)
    for out, right in zip((u[:3, :2], h[:2, :2]), expected(x[:3, :2])):
        np.testing.assert_allclose(out, right, atol=3e-6)
    assert not np.any(u[3:]) and not np.any(u[:, 2:]) and not np.any(h[2:])


def test_wide_matrices_are_refused():
    with pytest.raises(ValueError, match="The input matrix of shape M x N must have M >= N."):
        lax.linalg.qdwh(np.ones((2, 3), np.float32))
