"""Linear algebra against SciPy, equations that define results, derivatives."""

import numpy as np
import pytest
import scipy.linalg

import minijax as jax
import minijax.numpy as jnp
from minijax.scipy import linalg

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 5, 5))
C = A + 1j * B
POSITIVE, HERMITIAN = A @ A.T + np.eye(5), C @ C.conj().T + np.eye(5)
W, V, U = RNG.normal(size=(5, 3)), RNG.normal(size=5), RNG.normal(size=4)

EXPRESSIONS = """
expm(A)
expm(C)
expm(100 * A)
expm(np.zeros((3, 3)))
expm_frechet(A, B)
expm_frechet(C, B)
sqrtm(POSITIVE)
sqrtm(A)
sqrtm(HERMITIAN)
polar(A)
polar(W)
polar(W.T, "left")
polar(C)
cholesky(POSITIVE)
cholesky(HERMITIAN, lower=True)
cholesky(HERMITIAN)
cho_solve(cho_factor(HERMITIAN), V)
cho_solve(cho_factor(HERMITIAN, lower=True), W)
lu(W)
lu(W.T)
lu(A, permute_l=True)
lu_factor(A)
lu_solve(lu_factor(A), V)
lu_solve(lu_factor(C), W, 1)
lu_solve(lu_factor(C), W, 2)
solve_triangular(A, V)
solve_triangular(C, W, "C", lower=True)
solve_triangular(C, W, 1, lower=True, unit_diagonal=True)
solve(POSITIVE, V, assume_a="pos")
solve(A, W)
inv(A)
det(C)
qr(W)
qr(W, mode="economic")
qr(A, mode="r")
qr(A, pivoting=True)
qr_multiply(W, V[:3], "left")
qr_multiply(W, W.T, "right", pivoting=True)
qr_multiply(C, W, "left", conjugate=True)
svd(W)
eigh(POSITIVE, eigvals_only=True)
schur(A)
schur(A, "complex")
rsf2csf(*schur(A))
rsf2csf(A, B)
hessenberg(A, calc_q=True)
hessenberg(C)
eigh_tridiagonal(V, U, eigvals_only=True)
eigh_tridiagonal(V, U, eigvals_only=True, select="i", select_range=(1, 3))
block_diag(A, V, W)
toeplitz(V)
toeplitz(C[0], V)
hankel(V)
hankel(V, U)
circulant(V)
companion(V)
fiedler(V)
fiedler_companion(V)
fiedler_companion(U)
fiedler_companion(U[:3])
fiedler_companion(np.arange(1.0, 10))
leslie(V, U)
convolution_matrix(V, 3)
convolution_matrix(V, 3, "same")
convolution_matrix(U, 7, "same")
convolution_matrix(U, 7, "valid")
convolution_matrix(V, 3, "valid")
dft(5)
dft(4, "sqrtn")
hadamard(8)
helmert(5)
helmert(5, True)
hilbert(5)
invhilbert(5)
pascal(5)
pascal(5, "upper")
invpascal(5)
invpascal(5, "lower")
""".split("\n")[1:-1]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_as_scipy(text):
    names = dict(A=A, B=B, C=C, POSITIVE=POSITIVE, HERMITIAN=HERMITIAN, W=W, V=V, U=U, np=np)
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        found = jax.tree.leaves(eval(text, vars(linalg) | names))
    expected = jax.tree.leaves(eval(text, vars(scipy.linalg) | names))
    for a, b in zip(found, expected, strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10 * np.abs(b).max())


@pytest.mark.parametrize("text", [
    "cholesky([[4., 2.], [2., 5.]])", "lu([[1., 2.], [3., 4.]])[1]", "svd([[1., 2.], [3., 4.]])[1]",
    "lu_factor([[1., 2.], [3., 4.]])[1]", "polar(((1., 2.), (3., 4.)))[1]"])
def test_factorizations_take_lists(text):
    np.testing.assert_allclose(eval(text, vars(linalg) | {}), eval(text, vars(scipy.linalg) | {}),
                               rtol=1e-5)


def test_functions_of_matrices():
    with jax.enable_x64(True):
        np.testing.assert_allclose(linalg.funm(POSITIVE, jnp.sqrt),
                                   scipy.linalg.sqrtm(POSITIVE), atol=1e-9)
        value, error = linalg.funm(A, jnp.exp, disp=False)
        np.testing.assert_allclose(value, scipy.linalg.expm(A), atol=1e-9)
        assert 0 < error < 1e-10
        triangle = np.triu(A)
        np.testing.assert_allclose(linalg.expm(triangle, upper_triangular=True),
                                   scipy.linalg.expm(triangle), rtol=1e-12)
        assert np.isnan(linalg.expm(A * 1e10)).all()
        batch = linalg.expm(np.stack([A, 50 * B]))
        np.testing.assert_allclose(batch[1], scipy.linalg.expm(50 * B), rtol=1e-9)
    root = linalg.sqrtm(np.diag(np.float32([0, 4, 0])))
    np.testing.assert_array_equal(root, np.diag([0, 2, 0]))


def test_leslie_matrices_of_batches():
    with jax.numpy_rank_promotion("raise"):
        found = linalg.leslie(W.T, B[:3, :4])
    wanted = [scipy.linalg.leslie(f, s[:4]) for f, s in zip(W.T, B)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("method", ["schur", "eigen"])
def test_sylvester_equations(method):
    with jax.enable_x64(True):
        for a, b, c in ((A, B, C), (A, B[:3, :3], W), (C, C + 1, A)):
            x = linalg.solve_sylvester(a, b, c, method=method)
            np.testing.assert_allclose(a @ x + x @ b, c, atol=1e-9)
        assert np.isnan(linalg.solve_sylvester(A, -A, B, method=method)).all()


@pytest.mark.parametrize("method", ["qdwh", "svd"])
def test_polar_factors_of_singular_and_stacked_matrices(method):
    low_rank = W @ W.T
    with jax.enable_x64(True):
        u, p = linalg.polar(low_rank, method=method)
        np.testing.assert_allclose(u @ p, low_rank, atol=1e-12)
        np.testing.assert_allclose(u.T @ u, np.eye(5), atol=1e-12)
        u, p = linalg.polar(np.stack([A, B]), method=method)
        np.testing.assert_allclose(u @ p, np.stack([A, B]), atol=1e-12)


def test_tridiagonal_matrices():
    d, e = RNG.normal(size=40), RNG.normal(size=39) + 1j * RNG.normal(size=39)
    dense = np.diag(d) + np.diag(e, 1) + np.diag(e.conj(), -1)
    with jax.enable_x64(True):
        np.testing.assert_allclose(linalg.eigh_tridiagonal(d, e, eigvals_only=True),
                                   np.linalg.eigvalsh(dense), atol=1e-12)
        w, v = linalg.eigh_tridiagonal(d, e, select="i", select_range=(3, 6))
        np.testing.assert_allclose(dense @ v, v * w, atol=1e-12)
        assert v.shape == (40, 4)
    twice = linalg.eigh_tridiagonal(np.ones(4, "f"), np.zeros(3, "f"), eigvals_only=True)
    np.testing.assert_allclose(twice, 1, rtol=1e-6)


DIFFERENTIABLE = {
    "expm": linalg.expm,
    "cholesky": lambda a: linalg.cholesky(a @ a.T),
    "cho_solve": lambda a: linalg.cho_solve(linalg.cho_factor(a @ a.T), a),
    "lu_solve": lambda a: linalg.lu_solve(linalg.lu_factor(a), a[0]),
    "solve_triangular": lambda a: linalg.solve_triangular(a, a[0], trans=1),
    "polar": lambda a: linalg.polar(a, method="svd"),
    "toeplitz": lambda a: linalg.toeplitz(a[0], a[1]),
    "companion": lambda a: linalg.companion(a),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_derivatives(name):
    fun, step = DIFFERENTIABLE[name], 1e-6
    with jax.enable_x64(True):
        out, tangent = jax.jit(lambda a, b: jax.jvp(fun, (a,), (b,)))(A, B)
        gradient = jax.jit(jax.grad(lambda a: sum(
            jnp.sum(jnp.sin(x)) for x in jax.tree.leaves(fun(a)))))(A)
        ahead, behind = fun(A + step * B), fun(A - step * B)
        slope = sum(np.sum(np.cos(x) * t) for x, t in zip(*map(jax.tree.leaves, (out, tangent))))
    for t, p, q in zip(*map(jax.tree.leaves, (tangent, ahead, behind))):
        np.testing.assert_allclose(t, (p - q) / (2 * step), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(np.sum(np.asarray(gradient) * B), slope, rtol=1e-8)


@pytest.mark.parametrize("text, error, message", [
    ("expm(W)", ValueError, r"Expected A to be a \(batched\) square matrix, got A.shape=\(5, 3\)"),
    ("eigh(A, B)", NotImplementedError, "Only the b=None case of eigh is implemented"),
    ("polar(A, 'both')", ValueError, "The argument `side` must be either"),
    ("polar(W, 'left')", NotImplementedError, "method='qdwh' only supports mxn matrices"),
    ("polar(A.astype('e'))", NotImplementedError, "polar does not support float16"),
    ("schur(A, 'other')", ValueError, "Expected 'output' to be either 'real' or 'complex'"),
    ("sqrtm(A, 2)", NotImplementedError, "Blocked version is not implemented yet."),
    ("solve(A, V, assume_a='other')", ValueError, "Expected assume_a to be one of"),
    ("hadamard(3)", ValueError, "n must be a positive power of 2; got 3"),
    ("toeplitz([1, 2])", TypeError, "toeplitz requires ndarray or scalar arguments"),
    ("hessenberg(W)", ValueError, "Argument to Hessenberg reduction must have shape"),
    ("eigh_tridiagonal(V, U, select='v', select_range=(0, 1))", NotImplementedError,
     "select='v'. is not implemented"),
    ("solve_sylvester(A, B, C, method='other')", ValueError, "Unrecognized method other"),
    ("fiedler_companion(np.zeros(0))", ValueError, "nonzero length"),
])
def test_mistakes(text, error, message):
    with pytest.raises(error, match=message):
        eval(text, vars(linalg) | dict(A=A, B=B, C=C, W=W, V=V, U=U, np=np))
