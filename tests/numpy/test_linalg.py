"""Linear algebra against JAX's stored results, NumPy, and derivatives against differences."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("linalg")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE), 1e-4)


def as_numpy(name, *args, **kwargs):
    found = getattr(jnp.linalg, name)(*args, **kwargs)
    expected = getattr(np.linalg, name)(*args, **kwargs)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_as_numpy(dtype):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(2, 4, 4)).astype(dtype)
    if dtype == np.complex128:
        a += 1j * rng.normal(size=a.shape)
    with jax.enable_x64(True):
        for name in ("det", "slogdet", "inv", "pinv", "svdvals", "matrix_rank", "cond"):
            as_numpy(name, a)
        for order in (None, 1, -1, 2, -2, np.inf, -np.inf, "fro", "nuc"):
            as_numpy("norm", a, order, (0, 2))
            as_numpy("cond", a, order)
        as_numpy("solve", a, a[0])
        as_numpy("solve", a[0], a)
        as_numpy("matrix_power", a, -3)
        as_numpy("eigvalsh", a + np.conj(np.swapaxes(a, 1, 2)))
        x, _, rank, s = jnp.linalg.lstsq(a[0, :, :2], a[1])
        expected = np.linalg.lstsq(a[0, :, :2], a[1], rcond=None)
        for found, wanted in zip((x, rank, s), (expected[0], *expected[2:])):
            np.testing.assert_allclose(found, wanted, rtol=1e-9)


def test_results_have_names():
    a = np.eye(2)
    assert jnp.linalg.eigh(a).eigenvalues.shape == (2,)
    assert jnp.linalg.eig(a).eigenvectors.dtype == np.complex64
    assert jnp.linalg.svd(a).Vh.shape == (2, 2)
    assert jnp.linalg.qr(a).R.shape == (2, 2)
    assert jnp.linalg.slogdet(a).logabsdet == 0


def test_derivative_of_the_determinant_of_a_singular_matrix():
    grad = jax.grad(jnp.linalg.det)
    diagonal = np.diag(np.float32([0, 1, 2, 3]))
    expected = np.diag(np.float32([6, 0, 0, 0]))
    np.testing.assert_allclose(grad(diagonal), expected, atol=1e-5)
    nilpotent = np.eye(4, k=1, dtype=np.float32)
    np.testing.assert_allclose(grad(nilpotent), -np.eye(4, k=-3), atol=1e-5)
    regular = diagonal + np.eye(4, dtype=np.float32)
    both = jax.vmap(grad)(np.stack([diagonal, regular]))
    np.testing.assert_allclose(both[0], expected, atol=1e-5)
    np.testing.assert_allclose(both[1], grad(regular), rtol=1e-5)
    assert np.isfinite(jax.hessian(jnp.linalg.det)(np.eye(4))).all()


DIFFERENTIABLE = {
    "det": jnp.linalg.det,
    "slogdet": lambda a: jnp.linalg.slogdet(a)[1],
    "inv": jnp.linalg.inv,
    "solve": lambda a: jnp.linalg.solve(a, a[:, 0] ** 2),
    "solve of a batch": lambda a: jnp.linalg.solve(a, jnp.stack([a, a ** 2])),
    "cond": jnp.linalg.cond,
    "nuclear norm": lambda a: jnp.linalg.norm(a, "nuc"),
    "pinv": lambda a: jnp.linalg.pinv(a[:, :2]),
    "lstsq": lambda a: jnp.linalg.lstsq(a[:, :2], a[:, 3])[0],
    "hermitian svd": lambda a: jnp.linalg.svd(a + a.T, hermitian=True)[1],
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_first_and_second_derivatives(name):
    rng = np.random.default_rng(1)
    x, u, step = rng.normal(size=(4, 4)), rng.normal(size=(4, 4)), 1e-6
    f = DIFFERENTIABLE[name]
    with jax.enable_x64(True):
        for _ in range(2):
            tangent = jax.jvp(f, (x,), (u,))[1]
            difference = (np.asarray(f(x + step * u)) - np.asarray(f(x - step * u))) / (2 * step)
            np.testing.assert_allclose(tangent, difference, rtol=1e-6,
                                       atol=1e-6 * np.abs(difference).max())
            f = (lambda g: lambda x: jax.jvp(g, (x,), (u,))[1])(f)
