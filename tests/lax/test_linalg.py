"""lax.linalg against NumPy and SciPy: real, complex, batches, failures, shapes and errors."""

import numpy as np
import pytest
import scipy.linalg

import minijax as jax
from minijax import lax

linalg = lax.linalg
rng = np.random.default_rng(11)
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]


@pytest.fixture(autouse=True)
def wide_types():
    with jax.enable_x64(True):
        yield


def values(dtype, *shape):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def adjoint(x):
    return np.conj(np.swapaxes(x, -1, -2))


def close(x, y):
    tol = 2e-4 if np.finfo(np.asarray(y).dtype).bits == 32 else 1e-10
    np.testing.assert_allclose(x, y, rtol=tol, atol=tol)


def rows(x, order):
    return np.take_along_axis(x, np.asarray(order)[..., None], -2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_hermitian(dtype, batch):
    a = values(dtype, *batch, 4, 4)
    a = a @ adjoint(a) + np.eye(4, dtype=dtype)
    l = np.asarray(linalg.cholesky(a))
    close(l @ adjoint(l), a)
    assert not np.triu(l, 1).any()
    v, w = (np.asarray(x) for x in linalg.eigh(a))
    assert w.dtype == np.finfo(dtype).dtype and (np.diff(w) >= 0).all()
    close((v * w[..., None, :]) @ adjoint(v), a)
    _, d, e, _ = (np.asarray(x) for x in linalg.tridiagonal(a))
    t = np.zeros((*batch, 4, 4), dtype)
    i = np.arange(4)
    t[..., i, i], t[..., i[1:], i[:-1]], t[..., i[:-1], i[1:]] = d, e, e
    close(np.linalg.eigvalsh(t), np.linalg.eigvalsh(a))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (2, 3, 5)])
def test_rectangular(dtype, shape):
    a = values(dtype, *shape)
    m, n = shape[-2:]
    k = min(m, n)
    lu, pivots, order = (np.asarray(x) for x in linalg.lu(a))
    close((np.tril(lu, -1)[..., :k] + np.eye(m, k)) @ np.triu(lu)[..., :k, :], rows(a, order))
    np.testing.assert_array_equal(linalg.lu_pivots_to_permutation(pivots, m), order)
    for full in (True, False):
        q, r = (np.asarray(x) for x in linalg.qr(a, full_matrices=full))
        assert q.shape[-1] == (m if full else k)
        close(q @ r, a)
        close(adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1], dtype=dtype),
                                              (*shape[:-2], *q.shape[-1:] * 2)))
        q, r, order = (np.asarray(x) for x in linalg.qr(a, pivoting=True, full_matrices=full))
        close(q @ r, np.swapaxes(rows(np.swapaxes(a, -1, -2), order), -1, -2))
        u, s, vh = (np.asarray(x) for x in linalg.svd(a, full_matrices=full))
        close((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a)
    close(linalg.svd(a, compute_uv=False), np.linalg.svd(a, compute_uv=False))
    close(linalg.svd(a, compute_uv=False, algorithm=linalg.SvdAlgorithm.QR), s)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_general(dtype, batch):
    a = values(dtype, *batch, 4, 4)
    w, left, right = (np.asarray(x) for x in linalg.eig(a))
    close(a @ right, right * w[..., None, :])
    close(adjoint(left) @ a, w[..., :, None] * adjoint(left))
    t, z = (np.asarray(x) for x in linalg.schur(a))
    close(z @ t @ adjoint(z), a)
    close(linalg.schur(a, compute_schur_vectors=False)[0], t)
    h, taus = (np.asarray(x) for x in linalg.hessenberg(a))
    q = np.zeros_like(a)
    q[..., 0, 0] = 1
    q[..., 1:, 1:] = linalg.householder_product(h[..., 1:, :-1], taus)
    close(q @ np.triu(h, -1) @ adjoint(q), a)
    c = values(dtype, *batch, 3, 2)
    inner = q[..., 1:, 1:]
    close(linalg.ormqr(h[..., 1:, :-1], taus, c), inner @ c)
    close(linalg.ormqr(h[..., 1:, :-1], taus, adjoint(c), left=False, transpose=True),
          adjoint(c) @ adjoint(inner))


@pytest.mark.parametrize("dtype", [np.float32, np.complex128])
@pytest.mark.parametrize("flags", range(32))
def test_triangular_solve(dtype, flags):
    names = ("left_side", "lower", "transpose_a", "conjugate_a", "unit_diagonal")
    options = {name: bool(flags >> i & 1) for i, name in enumerate(names)}
    a = values(dtype, 2, 3, 3) / 3 + 2 * np.eye(3, dtype=dtype)
    b = values(dtype, 2, *((3, 2) if options["left_side"] else (2, 3)))
    t = np.tril(a) if options["lower"] else np.triu(a)
    if options["unit_diagonal"]:
        t[..., range(3), range(3)] = 1
    t = np.swapaxes(t, -1, -2) if options["transpose_a"] else t
    t = np.conj(t) if options["conjugate_a"] else t
    x = np.asarray(linalg.triangular_solve(a, b, **options))
    close(t @ x if options["left_side"] else x @ t, b)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tridiagonal_solve(dtype):
    lower, middle, upper = values(dtype, 5), values(dtype, 5) + 5, values(dtype, 5)
    b = values(dtype, 5, 2)
    bands = np.stack([np.roll(upper, 1), middle, np.roll(lower, -1)])
    close(linalg.tridiagonal_solve(lower, middle, upper, b),
          scipy.linalg.solve_banded((1, 1), bands, b))


def test_updates():
    r, w = np.triu(values(np.float64, 4, 4)), values(np.float64, 4)
    updated = np.asarray(linalg.cholesky_update(r, w))
    close(updated.T @ updated, r.T @ r + np.outer(w, w))
    mapped = jax.vmap(linalg.cholesky_update, in_axes=(None, 0))(r, np.stack([w, 0 * w]))
    close(mapped[0], updated)
    a = values(np.float64, 3, 2)
    c = np.eye(3)
    close(linalg.symmetric_product(a, c, alpha=2.0, beta=3.0, symmetrize_output=True),
          2 * a @ a.T + 3 * c)


def test_failures_are_nan():
    bad = np.array([[1.0, np.nan], [0.0, 1.0]])
    assert np.isnan(linalg.cholesky(-np.eye(2))[0, 0])
    assert all(np.isnan(x).all() for x in linalg.eigh(bad))
    assert all(np.isnan(x).all() for x in linalg.svd(bad))
    assert all(np.isnan(x).all() for x in linalg.eig(bad))
    zeros = np.zeros(3)
    assert np.isnan(linalg.tridiagonal_solve(zeros, zeros, zeros, np.ones((3, 1)))).all()
    solved = linalg.tridiagonal_solve(zeros, zeros, zeros, np.ones((3, 1)), perturb_singular=True)
    assert np.isfinite(solved).all()
    assert (np.asarray(linalg.lu(np.zeros((2, 2)))[0]) == 0).all()


@pytest.mark.parametrize("shape", [(2, 0, 0), (0, 3), (3, 0), (0, 2, 2)])
def test_empty(shape):
    a = np.zeros(shape)
    k = min(shape[-2:])
    u, s, vh = linalg.svd(a)
    expected = np.linalg.svd(a)
    assert [x.shape for x in (u, s, vh)] == [x.shape for x in expected]
    close(u, expected[0])
    assert [x.shape[-1] for x in linalg.qr(a, full_matrices=False)] == [k, shape[-1]]
    assert linalg.lu(a)[2].shape == shape[:-1]


def test_one_matrix_for_mapped_right_hand_sides_stays_one():
    a, b = np.eye(3) * 2, values(np.float64, 5, 3, 2)
    solve = jax.vmap(lambda b: linalg.triangular_solve(a, b, left_side=True))
    eqn, = (e for e in jax.make_jaxpr(solve)(b).eqns if e.primitive.name == "triangular_solve")
    assert [v.aval.shape for v in eqn.invars] == [(3, 3), (3, 10)]
    close(solve(b), b / 2)


@pytest.mark.parametrize("call, kind, text", [
    (lambda: linalg.lu(np.ones(3)), TypeError, "lu must have rank at least 2"),
    (lambda: linalg.qr(np.ones((2, 2), int)), TypeError, "qr does not accept dtype int64"),
    (lambda: linalg.cholesky(np.ones((2, 3)), symmetrize_input=False), ValueError,
     "must be a square matrix"),
    (lambda: linalg.triangular_solve(np.eye(3), np.ones((2, 2))), ValueError,
     r"Incompatible shapes for arguments to triangular_solve: \(3, 3\) and \(2, 2\)"),
    (lambda: linalg.ormqr(np.ones((3, 2)), np.ones(2), np.ones((2, 2))), ValueError,
     "same number of rows"),
    (lambda: linalg.ormqr(np.ones((3, 2)), np.ones(3), np.ones((3, 2))), ValueError,
     "at most 2 factors"),
    (lambda: linalg.householder_product(np.ones((2, 3, 3)), np.ones((4, 3))), ValueError,
     "same batch dimensions"),
    (lambda: linalg.householder_product(np.ones((2, 3, 3)), np.ones(3)), TypeError,
     "same number of batch dimensions"),
    (lambda: jax.jvp(linalg.schur, (np.eye(2),), (np.eye(2),)), NotImplementedError,
     "Differentiation rule for 'schur' not implemented"),
    (lambda: jax.jvp(linalg.svd, (np.ones((3, 2)),), (np.ones((3, 2)),)), NotImplementedError,
     "not implemented for full matrices"),
])
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()
