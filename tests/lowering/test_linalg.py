"""Linear algebra: the operations StableHLO has, and the calls of LAPACK on the CPU."""

import numpy as np
import pytest

from minijax.runtime import foreign

from .fakes import aval, check, one, run, run_one, text

rng = np.random.default_rng(5)
FLAGS = dict(left_side=True, lower=True, transpose_a=False, conjugate_a=False,
             unit_diagonal=False)


@pytest.fixture(autouse=True)
def kernels():
    foreign.prepare(b"lapack_")


def values(dtype, *shape):
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def test_a_call_of_lapack():
    check(text(one("cholesky", [aval("float32", 5, 3, 3)], ("float32", 5, 3, 3))), """
        CHECK: stablehlo.custom_call @lapack_spotrf_ffi(%arg0)
        CHECK: stablehlo.compare EQ
        CHECK: stablehlo.select
    """)
    found = text(one("cholesky", [aval("float32", 5, 3, 3)], ("float32", 5, 3, 3)))
    assert "operand_layouts = [dense<[1, 2, 0]> : tensor<3xindex>]" in found
    assert "backend_config = {uplo = 76 : ui8}" in found
    assert "result_layouts = [dense<[1, 2, 0]> : tensor<3xindex>, dense<0> : tensor<1xindex>]" \
        in found


def test_other_platforms_use_stablehlo():
    found = text(one("cholesky", [aval("float32", 3, 3)], ("float32", 3, 3)), platform="cuda")
    check(found, "CHECK: stablehlo.cholesky %arg0, lower = true")
    found = text(one("triangular_solve", [aval("float16", 3, 3)] * 2, ("float16", 3, 3), **FLAGS))
    check(found, "CHECK: stablehlo.triangular_solve")


def test_types_lapack_does_not_know():
    with pytest.raises(NotImplementedError, match="Unsupported dtype float16"):
        text(one("cholesky", [aval("float16", 3, 3)], ("float16", 3, 3)))


def test_no_rule_on_other_platforms():
    jaxpr = one("schur", [aval("float32", 3, 3)], ("float32", 3, 3), compute_schur_vectors=False,
                sort_eig_vals=False, select_callable=None)
    with pytest.raises(NotImplementedError, match="it has a rule for: cpu"):
        text(jaxpr, platform="tpu")


def test_empty_matrices_do_not_reach_lapack():
    jaxpr = one("svd", [aval("float32", 2, 3, 0)], ("float32", 2, 0), ("float32", 2, 3, 3),
                ("float32", 2, 0, 0), full_matrices=True, compute_uv=True, subset_by_index=None,
                algorithm=None)
    assert "custom_call" not in text(jaxpr)
    _, u, _ = run(jaxpr, np.zeros((2, 3, 0), np.float32))
    np.testing.assert_array_equal(u, [np.eye(3)] * 2)


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_cholesky(dtype):
    a = values(dtype, 2, 4, 4)
    a = a @ a.conj().swapaxes(1, 2) + np.eye(4)
    got = np.tril(run_one("cholesky", [a], (dtype, 2, 4, 4)))
    np.testing.assert_allclose(got, np.linalg.cholesky(a), rtol=1e-10, atol=1e-12)


def test_failures_are_nan_in_their_own_batch_entry():
    a = np.stack([np.eye(2), -np.eye(2)])
    got = run_one("cholesky", [a], ("float64", 2, 2, 2))
    assert np.isfinite(got[0]).all() and np.isnan(got[1]).all()


@pytest.mark.parametrize("left, lower, transpose, conjugate", [
    (True, True, False, False), (True, False, True, False), (False, True, True, True),
    (False, False, False, True)])
def test_triangular_solve(left, lower, transpose, conjugate):
    a, b = values("complex128", 3, 3) + 3 * np.eye(3), values("complex128", 3, 3)
    x = run(one("triangular_solve", [aval("complex128", 3, 3)] * 2, ("complex128", 3, 3),
                left_side=left, lower=lower, transpose_a=transpose, conjugate_a=conjugate,
                unit_diagonal=False), a, b)[0]
    t = np.tril(a) if lower else np.triu(a)
    t = t.conj() if conjugate else t
    t = t.T if transpose else t
    np.testing.assert_allclose(t @ x if left else x @ t, b, atol=1e-12)


def test_pivots_to_permutation():
    pivots = np.array([[2, 1, 2], [3, 3, 2]], np.int32)
    got = run_one("lu_pivots_to_permutation", [pivots], ("int32", 2, 4), permutation_size=4)
    expected = []
    for row in pivots:
        order = np.arange(4)
        for i, j in enumerate(row):
            order[[i, j]] = order[[j, i]]
        expected.append(order)
    np.testing.assert_array_equal(got, expected)
