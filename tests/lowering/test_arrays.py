"""Shapes, slices, gathers and scatters."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.lowering.fakes import Program, aval, check, inner, one, run, run_one, text

X = np.arange(12, dtype=np.float32).reshape(3, 4)


def mode(name):
    return SimpleNamespace(name=name)


def test_broadcast_reshape_transpose():
    np.testing.assert_array_equal(
        run_one("broadcast_in_dim", [X], ("float32", 2, 3, 4), shape=(2, 3, 4),
                broadcast_dimensions=(1, 2), sharding=None), np.broadcast_to(X, (2, 3, 4)))
    np.testing.assert_array_equal(
        run_one("reshape", [X], ("float32", 2, 6), new_sizes=(2, 6), dimensions=(1, 0),
                sharding=None), X.T.reshape(2, 6))
    np.testing.assert_array_equal(
        run_one("transpose", [X], ("float32", 4, 3), permutation=(1, 0)), X.T)


def test_joining_and_splitting():
    np.testing.assert_array_equal(
        run_one("concatenate", [X, X[:1]], ("float32", 4, 4), dimension=0), np.r_[X, X[:1]])
    np.testing.assert_array_equal(run_one("stack", [X, X], ("float32", 3, 2, 4), axis=1),
                                  np.stack([X, X], 1))
    parts = run_one("split", [X], ("float32", 3, 1), ("float32", 3, 3), sizes=(1, 3), axis=1)
    for got, want in zip(parts, np.split(X, [1], 1)):
        np.testing.assert_array_equal(got, want)
    rows = run_one("unstack", [X], *[("float32", 4)] * 3, axis=0)
    np.testing.assert_array_equal(rows, X)
    np.testing.assert_array_equal(run_one("tile", [X], ("float32", 6, 12), reps=(2, 3)),
                                  np.tile(X, (2, 3)))


def test_pad_with_interior_and_negative_edges():
    got = run_one("pad", [X, np.float32(9)], ("float32", 6, 6),
                  padding_config=((1, 0, 1), (-1, 3, 0)))
    want = np.full((6, 6), 9, np.float32)
    want[1::2, :3] = X[:, 1:]
    np.testing.assert_array_equal(got, want)


def test_scalars_pad_and_slice():
    np.testing.assert_array_equal(
        run_one("pad", [np.float32(1), np.float32(2)], ("float32",), padding_config=()), 1)


def test_rev_squeeze_iota():
    np.testing.assert_array_equal(run_one("rev", [X], ("float32", 3, 4), dimensions=(1,)),
                                  X[:, ::-1])
    np.testing.assert_array_equal(run_one("squeeze", [X[:1]], ("float32", 4), dimensions=(0,)),
                                  X[0])
    np.testing.assert_array_equal(
        run_one("iota", [], ("int8", 2, 3), dtype=np.int8, shape=(2, 3), dimension=1,
                sharding=None), [[0, 1, 2]] * 2)


def test_slices():
    np.testing.assert_array_equal(
        run_one("slice", [X], ("float32", 2, 2), start_indices=(1, 0), limit_indices=(3, 4),
                strides=(1, 2)), X[1:3, ::2])
    np.testing.assert_array_equal(
        run_one("dynamic_slice", [X, np.int32(9), np.int8(1)], ("float32", 2, 2),
                slice_sizes=(2, 2)), X[1:, 1:3])  # clamped; index dtypes may differ
    want = X.copy()
    want[1, 1] = 7
    np.testing.assert_array_equal(
        run_one("dynamic_update_slice", [X, np.float32([[7]]), np.int32(1), np.int32(1)],
                ("float32", 3, 4)), want)


GATHER_ROWS = SimpleNamespace(offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,),
                              operand_batching_dims=(), start_indices_batching_dims=())


def gather(x, indices, mode_name, fill=None):
    indices = np.asarray(indices)[:, None]
    return run_one("gather", [x, indices], (x.dtype, len(indices), 4),
                   dimension_numbers=GATHER_ROWS, slice_sizes=(1, 4), unique_indices=False,
                   indices_are_sorted=False, mode=mode(mode_name), fill_value=fill)


def test_gather_clips():
    np.testing.assert_array_equal(gather(X, [2, -5, 9], "CLIP"), X[[2, 0, 2]])


@pytest.mark.parametrize("dtype, fill, want", [
    (np.float32, None, np.nan), (np.int8, None, -128), (np.uint8, None, 255), (bool, None, True),
    (np.complex64, None, np.nan), (np.float32, 5.0, 5.0)])
def test_gather_fills(dtype, fill, want):
    got = gather(X.astype(dtype), [2, -1, 3], "FILL_OR_DROP", fill)
    np.testing.assert_array_equal(got[0], X[2].astype(dtype))
    np.testing.assert_array_equal(got[1:], np.full((2, 4), want, dtype))


def test_gather_fills_with_small_and_unsigned_indices():
    x = np.zeros((300, 4), np.float32)
    assert not np.isnan(gather(x, np.array([0, 255], np.uint8), "FILL_OR_DROP")).any()
    got = gather(x, np.array([-1, 127], np.int8), "FILL_OR_DROP")
    assert np.isnan(got[0]).all() and not np.isnan(got[1]).any()


def test_promised_gather_is_one_operation():
    jaxpr = one("gather", [aval("float32", 3, 4), aval("int32", 2, 1)], ("float32", 2, 4),
                dimension_numbers=GATHER_ROWS, slice_sizes=(1, 4), unique_indices=False,
                indices_are_sorted=True, mode=mode("PROMISE_IN_BOUNDS"), fill_value=None)
    check(text(jaxpr), """
        CHECK: %0 = "stablehlo.gather"(%arg0, %arg1)
        CHECK: return %0
    """)
    check(text(jaxpr), "CHECK: indices_are_sorted = true, slice_sizes = array<i64: 1, 4>")


SCATTER_ROWS = SimpleNamespace(update_window_dims=(1,), inserted_window_dims=(0,),
                               scatter_dims_to_operand_dims=(0,), operand_batching_dims=(),
                               scatter_indices_batching_dims=())


def scatter(name, indices, updates, mode_name, update_jaxpr=None, dtype="float32"):
    indices = np.asarray(indices, np.int32)[:, None]
    return run_one(name, [X.astype(dtype), indices, np.asarray(updates, dtype)], (dtype, 3, 4),
                   dimension_numbers=SCATTER_ROWS, indices_are_sorted=False, unique_indices=False,
                   mode=mode(mode_name), update_jaxpr=update_jaxpr, update_consts=())


@pytest.mark.parametrize("dtype", ["float32", "int16", "complex64"])
@pytest.mark.parametrize("name, ufunc", [
    ("scatter-add", np.add), ("scatter-sub", np.subtract), ("scatter-mul", np.multiply),
    ("scatter-min", np.minimum), ("scatter-max", np.maximum)])
def test_scatter_combines_and_drops(name, ufunc, dtype):
    updates = (np.arange(12).reshape(3, 4) + 1).astype(dtype)
    want = X.astype(dtype)
    ufunc.at(want, [1, 1], updates[:2])
    np.testing.assert_array_equal(scatter(name, [1, 1, 3], updates, "FILL_OR_DROP", dtype=dtype),
                                  want)


def test_scatter_replaces_and_clips():
    want = X.copy()
    want[[0, 2]] = [[1] * 4, [2] * 4]
    np.testing.assert_array_equal(
        scatter("scatter", [-3, 9], [[1] * 4, [2] * 4], "CLIP"), want)


def test_scatter_with_a_function():
    body = inner(lambda p, old, new: p.bind("neg", [old], ("float32",)), aval("float32"),
                 aval("float32"))
    want = X.copy()
    want[1] *= -1
    np.testing.assert_array_equal(
        scatter("scatter", [1], np.zeros((1, 4)), "FILL_OR_DROP", body), want)


def test_bool_scatter_add_is_or():
    program = Program()
    x, i, u = program.input(bool, 3), program.input("int32", 1, 1), program.input(bool, 1)
    numbers = SimpleNamespace(**{**vars(SCATTER_ROWS), "update_window_dims": ()})
    y = program.bind("scatter-add", [x, i, u], (bool, 3), dimension_numbers=numbers,
                     indices_are_sorted=False, unique_indices=False, mode=mode("CLIP"))
    got, = run(program.jaxpr(y), [False, True, False], [[0]], [True])
    np.testing.assert_array_equal(got, [True, True, False])
