"""Sparse arrays in coordinate form, against the dense arrays they stand for."""

import numpy as np
import pytest
import scipy.sparse

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.experimental import sparse
from minijax.experimental.sparse import BCOO

RANDOM = np.random.default_rng(0)
A = (RANDOM.random((4, 5)) * (RANDOM.random((4, 5)) > 0.6)).astype(np.float32)
B = (RANDOM.random((5, 3)) * (RANDOM.random((5, 3)) > 0.5)).astype(np.float32)
C = np.stack([A, 2 * A[::-1]])
a, b = BCOO.fromdense(A), BCOO.fromdense(B)


def close(found, wanted):
    found = sparse.todense(found)
    assert found.shape == np.shape(wanted)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("found, wanted", [
    (lambda: a, A), (lambda: a.T, A.T), (lambda: -a, -A), (lambda: a + a, 2 * A),
    (lambda: a - a, 0 * A), (lambda: a * 2, 2 * A), (lambda: 2 * a, 2 * A),
    (lambda: a / 2, A / 2), (lambda: a * A, A * A), (lambda: a * a, A * A),
    (lambda: a * A[0], A * A[0]), (lambda: a + A, 2 * A), (lambda: a.sum(), A.sum()),
    (lambda: a.sum(0), A.sum(0)), (lambda: a.sum((0, 1)), A.sum()),
    (lambda: a.reshape(2, 10), A.reshape(2, 10)), (lambda: a.reshape((-1,)), A.reshape(-1)),
    (lambda: a @ B, A @ B), (lambda: a @ b, A @ B), (lambda: A @ b, A @ B),
    (lambda: a @ B[:, 0], A @ B[:, 0]), (lambda: A[0] @ b, A[0] @ B), (lambda: a[1], A[1]),
    (lambda: a.astype(jnp.float16).astype(jnp.float32), A.astype(np.float16)),
    (lambda: abs(-a), A), (lambda: (a + a).sum_duplicates(), 2 * A),
    (lambda: sparse.bcoo_concatenate([a, a], dimension=1), np.concatenate([A, A], 1)),
    (lambda: sparse.bcoo_broadcast_in_dim(a, shape=(3, 4, 5), broadcast_dimensions=(1, 2)),
     np.broadcast_to(A, (3, 4, 5))),
    (lambda: sparse.bcoo_squeeze(a.reshape(4, 1, 5), dimensions=(1,)), A),
    (lambda: sparse.bcoo_extract(a, 3 * A), 3 * A),
    (lambda: BCOO.from_scipy_sparse(scipy.sparse.csr_matrix(A)), A),
    (lambda: sparse.eye(3, 4, k=1), np.eye(3, 4, k=1)),
    (lambda: sparse.eye(4, 3, k=-2), np.eye(4, 3, k=-2)),
    (lambda: sparse.empty((2, 3)), np.zeros((2, 3)))])
def test_operations(found, wanted):
    close(found(), wanted)


@pytest.mark.parametrize("n_batch, n_dense", [
    (0, 0), (1, 0), (0, 1), pytest.param(1, 1, marks=pytest.mark.slow),
    pytest.param(2, 0, marks=pytest.mark.slow), pytest.param(0, 3, marks=pytest.mark.slow)])
def test_layouts(n_batch, n_dense):
    c = BCOO.fromdense(C, n_batch=n_batch, n_dense=n_dense)
    assert (c.n_batch, c.n_dense, c.n_sparse) == (n_batch, n_dense, 3 - n_batch - n_dense)
    close(c, C)
    close(c.update_layout(n_batch=0, n_dense=0), C)
    if not n_dense:
        close(c @ np.ones((5, 2), np.float32), C @ np.ones((5, 2)))
    close(c * 2, 2 * C)
    for axis in range(3):
        close(c.sum(axis), C.sum(axis))


def test_storing_more_needs_a_word():
    with pytest.raises(sparse.SparseEfficiencyError, match="set the on_inefficient argument"):
        a.update_layout(n_batch=1)
    with pytest.warns(sparse.SparseEfficiencyWarning, match="n_dense from 0 to 1"):
        close(a.update_layout(n_dense=1, on_inefficient="warn"), A)
    close(a.update_layout(n_batch=1, on_inefficient=None), A)


def test_padding_counts_as_zero():
    padded = BCOO.fromdense(A, nse=A.size)
    assert padded.nse == A.size
    close(padded, A)
    close(padded @ B, A @ B)
    close(padded.reshape(2, 10), A.reshape(2, 10))
    close(padded.sum(1), A.sum(1))
    assert padded.sum_duplicates(remove_zeros=False).nse == np.count_nonzero(A)
    assert padded.sum_duplicates().nse == np.count_nonzero(A)


def test_duplicates():
    twice = (a + a).sort_indices()
    assert twice.nse == 2 * a.nse
    merged = twice.sum_duplicates()
    assert (merged.nse, merged.unique_indices, merged.indices_sorted) == (a.nse, True, True)


def test_under_jit_the_number_of_elements_is_needed():
    close(jax.jit(lambda x: BCOO.fromdense(x, nse=20) @ B)(A), A @ B)
    with pytest.raises(jax.errors.ConcretizationTypeError):
        jax.jit(BCOO.fromdense)(A)


def test_transformations():
    close(jax.jit(lambda x: x @ B)(a), A @ B)
    gradient = jax.grad(lambda d: (BCOO((d, a.indices), shape=a.shape) @ B).sum())(a.data)
    close(gradient, B.sum(1)[np.asarray(a.indices)[:, 1]])
    close(jax.vmap(lambda x: x @ B[:, 0])(BCOO.fromdense(C, n_batch=1)), C @ B[:, 0])


@pytest.mark.parametrize("f, args, wanted", [
    (lambda x, y: (jnp.sin(x) @ y).sum(), (a, B), (np.sin(A) @ B).sum()),
    (lambda x: 2 * x.T - x.T, (a,), A.T), (jnp.sum, (a,), A.sum()),
    (lambda x, y: {"out": x * y}, (a, 3.0), 3 * A), (lambda x: x ** 2, (a,), A ** 2),
    (jax.jit(lambda x: jnp.tanh(x).reshape(20)), (a,), np.tanh(A).reshape(20)),
    (lambda x, y: jnp.concatenate([x, y]), (a, a), np.concatenate([A, A]))])
def test_sparsify(f, args, wanted):
    found = sparse.sparsify(f)(*args)
    close(found["out"] if isinstance(found, dict) else found, wanted)


def test_sparsify_names_what_it_cannot_do():
    for f, text in [
            (jnp.cos, "sparse rule for cos is not implemented because it would result in dense"),
            (lambda x: x ** -1, "integer_pow with non-positive exponent -1 is not implemented"),
            (lax.complex, "sparse rule for complex is not implemented."),
            (lambda x, _: 1 / x, "Division by a sparse array is not implemented"),
            (lambda x, _: x - A, "Subtraction between sparse and dense array."),
            (lambda x, _: x + 1, "Addition between a sparse array X and a dense array Y")]:
        args = (a,) if f is jnp.cos or "pow" in text else (a, a)
        with pytest.raises(NotImplementedError, match=text):
            sparse.sparsify(f)(*args)


def test_mistakes():
    with pytest.raises(TypeError, match=r"contracting dimensions to have the same shape, got \(5"):
        a @ A
    with pytest.raises(TypeError, match=r"cannot reshape array of shape \(4, 5\)"):
        a.reshape(3, 3)
    assert repr(a) == f"BCOO(float32[4, 5], nse={np.count_nonzero(A)})"
