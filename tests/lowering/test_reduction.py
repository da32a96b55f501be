"""Reductions, extremes, cumulative operations, windows, sorting."""

import ml_dtypes
import numpy as np
import pytest

from lowering.sorting import SORT_BY_BITS
from tests.lowering.fakes import Prim, Program, aval, check, inner, one, run, run_one, text

rng = np.random.default_rng(1)
F = np.float32
INT = dict(index_dtype=np.dtype(np.int32))


def test_reduce_is_compact():
    check(text(one("reduce_max", [aval("float32", 3, 4)], ("float32", 3), axes=(1,))), """
        CHECK: constant dense<0xFF800000> : tensor<f32>
        CHECK: stablehlo.reduce(%arg0 init: %cst) applies stablehlo.maximum across dimensions = [1]
    """)


@pytest.mark.parametrize("dtype", [F, np.int8, np.uint8, bool])
@pytest.mark.parametrize("name, reduce", [
    ("reduce_sum", np.sum), ("reduce_prod", np.prod), ("reduce_max", np.max),
    ("reduce_min", np.min)])
def test_reductions(name, reduce, dtype):
    x = rng.integers(0, 4, (3, 4)).astype(dtype)
    want = reduce(x, axis=0, dtype=dtype) if reduce in (np.sum, np.prod) else reduce(x, axis=0)
    np.testing.assert_array_equal(run_one(name, [x], (dtype, 4), axes=(0,)), want)


def test_bitwise_reductions():
    x = np.uint8([[1, 2], [3, 6]])
    for name, ufunc in [("reduce_and", np.bitwise_and), ("reduce_or", np.bitwise_or),
                        ("reduce_xor", np.bitwise_xor)]:
        np.testing.assert_array_equal(run_one(name, [x], ("uint8", 2), axes=(0,)),
                                      ufunc.reduce(x, 0))
    assert run_one("reduce_and", [np.array([True, True])], (bool,), axes=(0,))


@pytest.mark.parametrize("name, dtype, want", [
    ("reduce_max", "int8", -128), ("reduce_min", "uint8", 255), ("reduce_max", "bool", False),
    ("reduce_min", "float16", np.inf), ("reduce_max", "float8_e4m3fn", -448),
    ("reduce_and", "int8", -1), ("reduce_max", "complex64", -np.inf)])
def test_empty_reductions_give_the_neutral_element(name, dtype, want):
    got = run(one(name, [aval(dtype, 0)], (dtype,), axes=(0,)), np.zeros(0))[0]
    assert got.astype("complex64") == want


def test_generic_reduce():
    def body(p, a, b, c, d):
        return [p.bind("add", [a, c], ("float32",)), p.bind("mul", [b, d], ("float32",))]

    x = rng.normal(size=(3, 4)).astype(F)
    jaxpr = inner(body, *[aval("float32")] * 4)
    total, product = run_one("reduce", [x, x, F(0), F(1)], ("float32", 3), ("float32", 3),
                             jaxpr=jaxpr, dimensions=(1,), computation=None)
    np.testing.assert_allclose(total, x.sum(1), rtol=1e-5)
    np.testing.assert_allclose(product, x.prod(1), rtol=1e-5)


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("name, numpy_name", [("argmax", np.argmax), ("argmin", np.argmin)])
def test_arg_extremes_prefer_nan_then_the_first(name, numpy_name, platform):
    x = F([[1, 3, 3], [2, np.nan, np.nan], [-np.inf, -np.inf, -np.inf], [np.inf] * 3])
    jaxpr = one(name, [aval("float32", 4, 3)], ("int32", 4), axes=(1,), **INT)
    got, = run(jaxpr, x, platform=platform)  # both forms run on a CPU
    np.testing.assert_array_equal(got, numpy_name(x, 1))


def test_arg_extremes_of_integers_and_bools():
    x = rng.integers(0, 3, (5, 6))
    for dtype in (np.int8, np.uint16, bool):
        np.testing.assert_array_equal(
            run_one("argmax", [x.astype(dtype)], ("int32", 6), axes=(0,), **INT),
            np.argmax(x.astype(dtype), 0))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name, ufunc", [
    ("cumsum", np.add), ("cumprod", np.multiply), ("cummax", np.maximum), ("cummin", np.minimum),
    ("cumlogsumexp", np.logaddexp)])
def test_cumulative(name, ufunc, reverse):
    x = rng.normal(size=(5, 3)).astype(F)
    want = ufunc.accumulate(x[::-1])[::-1] if reverse else ufunc.accumulate(x)
    got = run_one(name, [x], ("float32", 5, 3), axis=0, reverse=reverse)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_cumlogsumexp_of_infinities():
    got = run_one("cumlogsumexp", [F([-np.inf, -np.inf, 0, np.inf])], ("float32", 4), axis=0,
                  reverse=False)
    np.testing.assert_array_equal(got, [-np.inf, -np.inf, 0, np.inf])


POOL = dict(window_dimensions=(2, 2), window_strides=(2, 2), padding=((0, 0), (0, 0)))
PLAIN = dict(base_dilation=(1, 1), window_dilation=(1, 1))


def windows(x):
    return np.lib.stride_tricks.sliding_window_view(x, (2, 2))[::2, ::2]


@pytest.mark.parametrize("name, reduce", [
    ("reduce_window_sum", np.sum), ("reduce_window_max", np.max), ("reduce_window_min", np.min)])
def test_pooling(name, reduce):
    x = rng.normal(size=(4, 6)).astype(F)
    got = run_one(name, [x], ("float32", 2, 3), **POOL, **PLAIN)
    np.testing.assert_allclose(got, reduce(windows(x), (2, 3)), rtol=1e-6)


def test_generic_window():
    body = inner(lambda p, a, b: p.bind("max", [a, b], ("float32",)), *[aval("float32")] * 2)
    x = rng.normal(size=(4, 6)).astype(F)
    got = run_one("reduce_window", [x, F(-np.inf)], ("float32", 2, 3), jaxpr=body, consts=(),
                  **POOL, **PLAIN)
    np.testing.assert_array_equal(got, windows(x).max((2, 3)))


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
@pytest.mark.parametrize("prim", ["ge", "le"])
def test_pooling_gradient_goes_to_the_first_extreme(prim, platform):
    x = rng.integers(0, 3, (4, 7)).astype(F)  # many ties; the last column is in no window
    g = rng.normal(size=(2, 3)).astype(F)
    jaxpr = one("select_and_scatter_add", [aval("float32", 2, 3), aval("float32", 4, 7)],
                ("float32", 4, 7), select_prim=Prim(prim), **POOL)
    want = np.zeros_like(x)
    for i in range(2):
        for j in range(3):
            window = x[2 * i:2 * i + 2, 2 * j:2 * j + 2]
            k = (np.argmax if prim == "ge" else np.argmin)(window)
            want[2 * i + k // 2, 2 * j + k % 2] = g[i, j]
    np.testing.assert_array_equal(run(jaxpr, g, x, platform=platform)[0], want)


def test_overlapping_and_padded_pooling_gradient():
    x, g = -np.ones((3, 3), F), np.ones((3, 3), F)
    got = run_one("select_and_scatter_add", [g, x], ("float32", 3, 3), select_prim=Prim("ge"),
                  window_dimensions=(2, 2), window_strides=(1, 1), padding=((0, 1), (0, 1)))
    assert got.sum() == 9  # none was lost to the padding


def test_pooling_tangent():
    x, t = rng.normal(size=(2, 4, 6)).astype(F)
    got = run_one("select_and_gather_add", [t, x], ("float32", 2, 3), select_prim=Prim("ge"),
                  **POOL, **PLAIN)
    best = windows(x).reshape(2, 3, 4).argmax(-1)
    want = np.take_along_axis(windows(t).reshape(2, 3, 4), best[..., None], -1)[..., 0]
    np.testing.assert_array_equal(got, want)


def sort(operands, num_keys=1, dimension=0, stable=True):
    operands = [np.asarray(x) for x in operands]
    got = run_one("sort", operands, *[(x.dtype, *x.shape) for x in operands], dimension=dimension,
                  is_stable=stable, num_keys=num_keys)
    return got if isinstance(got, list) else [got]


AWKWARD = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.0, -1.0, 0.0, -0.0, 3.0]


@pytest.mark.parametrize("size", [11, 2 * SORT_BY_BITS])
@pytest.mark.parametrize("dtype", [F, np.float64, np.float16, ml_dtypes.bfloat16])
def test_float_sort_puts_nan_last(dtype, size):
    x = np.resize(np.array(AWKWARD), size).astype(dtype)
    np.testing.assert_array_equal(sort([x])[0].astype(F), np.sort(x.astype(F)))
    keys, order = sort([x, np.arange(size, dtype=np.int32)])
    np.testing.assert_array_equal(order, np.argsort(x.astype(F), kind="stable"))
    np.testing.assert_array_equal(keys.astype(F), np.sort(x.astype(F)))


@pytest.mark.parametrize("rows", [3, SORT_BY_BITS])
def test_argsort_with_an_iota(rows):
    program = Program()
    x = program.input("float32", rows, 11)
    i = program.bind("iota", [], ("int32", rows, 11), dtype=np.int32, shape=(rows, 11),
                     dimension=1, sharding=None)
    out = program.bind("sort", [x, i], ("float32", rows, 11), ("int32", rows, 11), dimension=1,
                       is_stable=True, num_keys=1)
    value = np.broadcast_to(F(AWKWARD), (rows, 11))
    keys, order = run(program.jaxpr(*out), value)
    np.testing.assert_array_equal(order, np.argsort(value, 1, kind="stable"))
    np.testing.assert_array_equal(keys, np.sort(value, 1))


def test_complex_sort_and_two_keys():
    z = np.complex64([2 + 1j, 1 + 9j, 1 + 2j])
    np.testing.assert_array_equal(sort([z])[0], np.sort(z))
    a, b = np.int8([2, 1, 2, 1]), F([3, 2, 1, 0])
    first, second = sort([a, b], num_keys=2)
    order = np.lexsort([b, a])
    np.testing.assert_array_equal(first, a[order])
    np.testing.assert_array_equal(second, b[order])


@pytest.mark.parametrize("axis", [0, 1])
def test_top_k(axis):
    x = rng.normal(size=(5, 6)).astype(F)
    shape = [5, 6]
    shape[axis] = 2
    values, indices = run_one("top_k", [x], ("float32", *shape), ("int32", *shape), k=2, axis=axis)
    want = np.flip(np.argsort(x, axis), axis)
    np.testing.assert_array_equal(indices, want.take([0, 1], axis))
    np.testing.assert_array_equal(values, np.take_along_axis(x, indices, axis))


def test_approx_top_k_on_cpu_is_exact():
    x = rng.normal(size=(3, 50)).astype(F)
    values, _ = run_one("approx_top_k", [x], ("float32", 3, 4), ("int32", 3, 4), k=4,
                        reduction_dimension=-1, recall_target=0.95, is_max_k=True,
                        reduction_input_size_override=-1, aggregate_to_topk=True)
    np.testing.assert_array_equal(np.sort(values), np.sort(x)[:, -4:])
