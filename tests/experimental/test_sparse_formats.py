"""BCSR and the formats of matrices, derivatives by sparse arrays, control flow, random arrays."""

import numpy as np
import pytest
import scipy.sparse

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.experimental import sparse
from minijax.experimental.sparse import BCOO, BCSR, COO, CSC, CSR

RANDOM = np.random.default_rng(1)
A = (RANDOM.random((4, 5)) * (RANDOM.random((4, 5)) > 0.6)).astype(np.float32)
X = RANDOM.random((5, 3)).astype(np.float32)
MATRICES = [COO, CSR, CSC]


def close(found, wanted):
    np.testing.assert_allclose(sparse.todense(found), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cls", MATRICES)
def test_matrices(cls):
    m = cls.fromdense(A)
    assert repr(m) == f"{cls.__name__}(float32[4, 5], nse={np.count_nonzero(A)})"
    close(m, A)
    close(m.T, A.T)
    close(jax.jit(lambda m, x: m @ x)(m, X), A @ X)
    close(m @ X[:, 0], A @ X[:, 0])
    gradient = jax.grad(lambda data: (m.like(data) @ X).sum())(m.data)
    close(m.like(gradient), np.where(A != 0, X.sum(1), 0))
    with pytest.raises(NotImplementedError, match="matmul between two sparse objects."):
        m @ m
    with pytest.raises(NotImplementedError, match="__add__"):
        m + m
    with pytest.raises(TypeError, match="unhashable"):
        hash(m)


def test_places_are_those_of_scipy():
    wanted = {CSR: scipy.sparse.csr_matrix(A), CSC: scipy.sparse.csc_matrix(A)}
    for cls, matrix in wanted.items():
        m = cls.fromdense(A)
        np.testing.assert_array_equal(m.indices, matrix.indices)
        np.testing.assert_array_equal(m.indptr, matrix.indptr)
    coo, m = scipy.sparse.coo_matrix(A), COO.fromdense(A)
    np.testing.assert_array_equal(np.stack([m.row, m.col]), np.stack([coo.row, coo.col]))
    close(BCSR.from_scipy_sparse(coo), A)


@pytest.mark.parametrize("kind", ["bcoo", "bcsr", "coo", "csr", "csc"])
def test_empty_and_eye(kind):
    close(sparse.empty((2, 3), sparse_format=kind), np.zeros((2, 3)))
    if kind != "bcsr":
        for k in (-2, 0, 1):
            m = sparse.eye(4, 3, k, sparse_format=kind)
            assert m.nse == np.count_nonzero(np.eye(4, 3, k))
            close(m, np.eye(4, 3, k))


@pytest.mark.parametrize("layout", [(1, 0), (2, 0), (0, 1), (1, 1), (0, 2)])
def test_eye_needs_few_places(layout):
    m = sparse.eye(4, k=1, n_batch=layout[0], n_dense=layout[1])
    close(m, np.eye(4, k=1))
    wanted = BCOO.fromdense(np.eye(4, k=1), n_batch=layout[0], n_dense=layout[1])
    assert (m.nse, m.n_batch, m.n_dense) == (wanted.nse, *layout)


def test_bcsr():
    m = BCSR.fromdense(A)
    close(m, A)
    close(m @ X, A @ X)
    assert m.indptr.shape == (5,)
    back = BCSR.from_bcoo(m.to_bcoo())
    for name in BCSR.fields:
        np.testing.assert_array_equal(getattr(back, name), getattr(m, name))
    batched = BCSR.fromdense(np.stack([A, 2 * A]), n_batch=1)
    close(batched, np.stack([A, 2 * A]))
    close(sparse.sparsify(jnp.sin)(m), np.sin(A))
    close(m[None], A[None])
    # Entries after the last row are padding.
    padded = BCSR((jnp.arange(4.0), jnp.array([0, 1, 2, 3]), jnp.array([0, 1, 3, 3])), shape=(3, 4))
    close(padded @ np.ones(4, np.float32), [0, 3, 0])
    with pytest.raises(ValueError, match="bcsr_fromdense: must have 2 sparse dimensions."):
        BCSR.fromdense(A[0])


@pytest.mark.parametrize("transform", [sparse.grad, sparse.jacrev, sparse.jacfwd])
def test_derivatives_by_sparse_arrays_are_sparse(transform):
    tree = {"m": BCOO.fromdense(A), "b": jnp.ones(4)}

    def f(tree, x):
        out = jnp.sin(tree["m"] @ x) * tree["b"]
        return out.sum() if transform is sparse.grad else out

    found = transform(f)(tree, X[:, 0])
    wanted = getattr(jax, transform.__name__)(f)({"m": A, "b": jnp.ones(4)}, X[:, 0])
    assert isinstance(found["m"], BCOO)
    close(found["m"], np.where(A != 0, wanted["m"], 0))
    close(found["b"], wanted["b"])


def test_value_and_grad_with_more_results():
    m = BCOO.fromdense(A)
    f = lambda m, x: ((m @ x).sum(), x.shape)  # noqa: E731
    (value, aux), (by_m, by_x) = sparse.value_and_grad(f, (0, 1), has_aux=True)(m, X)
    assert (aux, by_m.nse) == (X.shape, m.nse)
    close(value, (A @ X).sum())
    close(by_x, np.broadcast_to(A.sum(0)[:, None], X.shape))


@pytest.mark.parametrize("use_tracer", [False, True])
def test_sparsify_control_flow(use_tracer):
    m = BCOO.fromdense(A)

    def run(f, *args):
        return sparse.sparsify(f, use_tracer)(*args)

    close(run(lambda m: lax.cond(m.sum() > 0, lambda m: 2 * m, lambda m: m, m), m), 2 * A)
    close(run(lambda m: lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1, 2 * c[1]),
                                       (0, m))[1], m), 8 * A)
    close(run(lambda m: lax.fori_loop(0, 2, lambda i, v: (m @ v)[:4].sum() * v, X[:, 0]), m),
          lax.fori_loop(0, 2, lambda i, v: (A @ v)[:4].sum() * v, X[:, 0]))
    close(run(lambda m: sparse.todense(m) + 1, m), A + 1)
    square = jax.custom_jvp(lambda x: x ** 2)
    square.defjvp(lambda primals, tangents: (square(*primals), 3 * tangents[0] * primals[0]))
    close(run(jax.jit(lambda m: square(m) * 2), m), 2 * A ** 2)
    close(run(jax.grad(lambda m: square(m).sum()), m), 3 * A)
    with pytest.raises(TypeError, match="sparsified true_fun output must have same type"):
        run(lambda m: lax.cond(True, lambda m: m, lambda m: m @ X @ X.T, m), m)


def test_tracers():
    def f(x):
        seen.append(type(x))
        return x * 2
    for use_tracer in (False, True):
        seen = []
        close(sparse.sparsify(f, use_tracer)(BCOO.fromdense(A)), 2 * A)
        assert (seen[0] is sparse.SparseTracer) == use_tracer


def test_vmap_makes_and_takes_batches():
    stacked = np.stack([A, 2 * A])
    made = jax.vmap(lambda x: BCOO.fromdense(x, nse=20))(stacked)
    assert (made.shape, made.n_batch) == ((2, 4, 5), 1)
    close(made, stacked)
    close(jax.vmap(lambda m: m @ X[:, 0])(made), stacked @ X[:, 0])


def test_sampled_products_and_convolutions():
    m = BCOO.fromdense(A)
    wide = RANDOM.random((4, 6)).astype(np.float32)
    tall = RANDOM.random((6, 5)).astype(np.float32)
    data = sparse.bcoo_dot_general_sampled(wide, tall, m.indices,
                                           dimension_numbers=(((1,), (0,)), ((), ())))
    close(m.like(data), np.where(A != 0, wide @ tall, 0))
    row, kernel = A[0][None, None], X[:3, 0][None, None]
    for padding in ("SAME", "VALID", [(2, 1)]):
        found = sparse.bcoo_conv_general_dilated(
            BCOO.fromdense(row, n_batch=2), kernel, window_strides=(1,), padding=padding)
        close(found, lax.conv_general_dilated(row, kernel, (1,), padding))


@pytest.mark.parametrize("unique", [True, False])
def test_random(unique):
    m = sparse.random_bcoo(jax.random.key(0), (3, 4, 5), dtype="float32", n_batch=1, nse=6,
                           unique_indices=unique, sorted_indices=True)
    assert (m.shape, m.nse, m.n_batch) == ((3, 4, 5), 6, 1)
    if unique:
        assert all(len({tuple(map(int, place)) for place in batch}) == 6 for batch in m.indices)
    flat = np.asarray(m.indices[..., 0] * 5 + m.indices[..., 1])
    assert (np.diff(flat) >= unique).all()


def test_spsolve():
    matrix = A[:, :4] + 3 * np.eye(4, dtype=np.float32)
    m, b = CSR.fromdense(matrix), X[:4, 0]

    def solve(data, b):
        return sparse.linalg.spsolve(data, m.indices, m.indptr, b)

    np.testing.assert_allclose(solve(m.data, b), np.linalg.solve(matrix, b), rtol=1e-5)
    at, found = np.linalg.inv(matrix), jax.jit(jax.jacrev(solve, (0, 1)))(m.data, b)
    np.testing.assert_allclose(found[1], at, rtol=1e-4, atol=1e-6)
    row, col = np.nonzero(matrix)
    np.testing.assert_allclose(found[0], -at[:, row] * (at @ b)[col], rtol=1e-3, atol=1e-5)


def test_lobpcg():
    values = np.concatenate([np.linspace(1, 2, 30), [5, 9, 20]]).astype(np.float32)
    start = RANDOM.normal(size=(33, 3)).astype(np.float32)
    basis = np.linalg.qr(RANDOM.normal(size=(33, 33)))[0].astype(np.float32)
    matrix = basis * values @ basis.T
    for A_ in (matrix, lambda x: matrix @ x):
        found, vectors, steps = sparse.linalg.lobpcg_standard(A_, start, m=50, tol=1e-6)
        np.testing.assert_allclose(found, [20, 9, 5], rtol=1e-4)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(3), atol=1e-5)
        np.testing.assert_allclose(matrix @ vectors, vectors * found, atol=1e-3)
        assert steps < 50
    assert sparse.linalg.lobpcg_standard(matrix, start, m=4, tol=0.0)[2] == 4
    for bad, text in [((matrix, start[:, :0]), "search dim > 0"), (
            (matrix[:20], start), r"A must be \(33, 33\)"),
            ((matrix[:15, :15], start[:15]), r"search dim \* 5 < matrix dim"),
            ((lambda x: (matrix @ x).astype("float16"), start), "same dtypes")]:
        with pytest.raises(ValueError, match=text):
            sparse.linalg.lobpcg_standard(*bad)
