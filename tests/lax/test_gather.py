"""Gather and scatter against NumPy indexing: modes, derivatives, batching, errors."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax

X = np.arange(20, dtype=np.float32).reshape(4, 5)
ROWS = lax.GatherDimensionNumbers(offset_dims=(1,), collapsed_slice_dims=(0,),
                                  start_index_map=(0,))
INTO_ROWS = lax.ScatterDimensionNumbers(update_window_dims=(1,), inserted_window_dims=(0,),
                                        scatter_dims_to_operand_dims=(0,))
WILD = np.array([[1], [7], [-1]], np.int32)
SCATTERS = {"scatter": lambda a, b: b, "scatter_add": np.add, "scatter_sub": np.subtract,
            "scatter_mul": np.multiply, "scatter_min": np.minimum, "scatter_max": np.maximum}


def equal(actual, expected):
    np.testing.assert_array_equal(np.asarray(actual), expected)


def rows(x, indices, **options):
    return lax.gather(x, indices, ROWS, (1, 5), **options)


def test_modes_of_gather():
    equal(rows(X, np.array([[2], [0]])), X[[2, 0]])
    equal(rows(X, WILD, mode="clip"), X[[1, 3, 0]])
    nan = np.full(5, np.nan, np.float32)
    equal(rows(X, WILD, mode="fill"), np.stack([X[1], nan, nan]))
    three = np.full(5, 3, np.float32)
    equal(rows(X, WILD, mode="fill", fill_value=3), np.stack([X[1], three, three]))


@pytest.mark.parametrize("dtype, fill", [
    ("int32", -2**31), ("int8", -128), ("uint8", 255), ("bool", True), ("complex64", np.nan)])
def test_default_fill_values(dtype, fill):
    out = rows(X.astype(dtype), WILD[1:2], mode="fill")
    equal(out, np.full((1, 5), fill, dtype))


@pytest.mark.parametrize("name", SCATTERS)
@pytest.mark.parametrize("mode, written", [("drop", [1]), ("clip", [1, 3, 0])])
def test_modes_of_scatter(name, mode, written):
    updates = -np.arange(1, 16, dtype=np.float32).reshape(3, 5)
    expected = X.copy()
    for i, row in enumerate(written):
        expected[row] = SCATTERS[name](expected[row], updates[i])
    equal(getattr(lax, name)(X, WILD, updates, INTO_ROWS, mode=mode), expected)


def test_mode_names():
    modes = lax.GatherScatterMode
    assert modes.from_any("clip") is modes.CLIP
    assert modes.from_any(None) is modes.from_any("drop") is modes.FILL_OR_DROP
    assert modes.from_any(modes.CLIP) is modes.CLIP
    with pytest.raises(ValueError, match='Unknown gather mode "foo"'):
        modes.from_any("foo")


def test_windows_and_batching_dimensions():
    dnums = lax.GatherDimensionNumbers((1, 2), (), (0, 1))
    out = lax.gather(X, np.array([[0, 1], [2, 2]]), dnums, (2, 3))
    equal(out, np.stack([X[0:2, 1:4], X[2:4, 2:5]]))
    each = lax.GatherDimensionNumbers((), (1,), (1,), (0,), (0,))
    columns = np.array([[3], [0], [4], [4]])
    equal(lax.gather(X, columns, each, (1, 1)), X[np.arange(4), columns[:, 0]])


def test_apply():
    out = lax.scatter_apply(X, np.array([[1], [3]]), lambda a: -a, INTO_ROWS, update_shape=(2, 5))
    equal(out, np.where(np.arange(4)[:, None] % 2, -X, X))


def test_index_take():
    out = lax.index_take(X, (np.array([1, -1]), np.array([-6, 2])), (0, 1))
    equal(out, X[[1, 3], [4, 2]])
    equal(lax.index_take(X, (np.array([1, 9]),), (1,)), X.T[[1, 4]])


@pytest.mark.parametrize("change, slice_sizes, message", [
    ({}, (1, 6), "Slice size at index 1 in gather op is out of range, must be within [0, 5 + 1), "
                 "got 6."),
    ({}, (2, 5), "Gather op can only collapse slice dims with bound 1, but bound is 2 for index 0 "
                 "at position 0."),
    (dict(offset_dims=(2,)), (1, 5), "Offset dimension 0 in gather op is out of bounds; got 2, "
                                     "but should have been in [0, 2)"),
    (dict(start_index_map=(3,)), (1, 5), "Invalid start_index_map; domain is [0, 2), got: 0->3."),
    (dict(collapsed_slice_dims=(0, 0)), (1, 5), "collapsed_slice_dims in gather op must not "
                                                "repeat; got: (0, 0)."),
])
def test_gather_errors(change, slice_sizes, message):
    with pytest.raises(TypeError) as error:
        lax.gather(X, np.array([[1]]), ROWS._replace(**change), slice_sizes)
    assert str(error.value).splitlines()[0] == message
    assert "fix: " in str(error.value)


def test_scatter_errors():
    with pytest.raises(TypeError, match="Bounds of the scatter dimensions of updates must be the "
                                        "same as the bounds of the corresponding dimensions"):
        lax.scatter(X, WILD, X[:2], INTO_ROWS)
    with pytest.raises(TypeError, match="same dtypes, got float32, int32"):
        lax.scatter_add(X, WILD, X[:3].astype(int), INTO_ROWS)
    with pytest.raises(ValueError, match="indices must have an integer type"):
        lax.scatter_add(X, WILD * 1.0, X[:3], INTO_ROWS)
    both = INTO_ROWS._replace(operand_batching_dims=(0,), scatter_indices_batching_dims=(0,))
    with pytest.raises(TypeError, match="inserted_window_dims and operand_batching_dims in scatter "
                                        "op must be disjoint"):
        lax.scatter_add(X, WILD[:, :0], X[:3], both)


@pytest.mark.parametrize("name", sorted(set(SCATTERS) - {"scatter_mul"}))
def test_a_place_written_twice(name):
    """Derivatives against differences where updates compete for the same elements."""
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        x, updates, dx, du = [rng.standard_normal(s) for s in ((4, 5), (3, 5), (4, 5), (3, 5))]
        indices = np.array([[1], [3], [1]])

        def fun(x, u):
            return getattr(lax, name)(x, indices, u, INTO_ROWS)

        tangent = jax.jvp(fun, (x, updates), (dx, du))[1]
        step = 1e-6
        difference = (np.asarray(fun(x + step * dx, updates + step * du))
                      - np.asarray(fun(x - step * dx, updates - step * du))) / (2 * step)
        np.testing.assert_allclose(tangent, difference, atol=1e-7)


def test_ties_share_the_tangent():
    x, updates = np.ones(2, np.float32), np.ones((2,), np.float32)
    dnums = lax.ScatterDimensionNumbers((), (0,), (0,))

    def fun(x, u):
        return jnp.sum(lax.scatter_max(x, np.array([[0], [0]]), u, dnums))

    dx, du = jax.grad(fun, (0, 1))(x, updates)
    np.testing.assert_allclose(dx, [1 / 3, 1])
    np.testing.assert_allclose(du, [1 / 3, 1 / 3])


def test_one_window_needs_no_promise_of_uniqueness():
    def fun(x):
        return jnp.sum(lax.scatter(x, np.array([[2]]), X[:1], INTO_ROWS))

    assert "uint32" not in str(jax.make_jaxpr(jax.grad(fun))(X))
    equal(jax.grad(fun)(X), np.where(np.arange(4) == 2, 0, 1)[:, None] * np.ones((4, 5)))


def test_derivative_of_scatter_mul_needs_unique_indices():
    fun = lambda u: jnp.sum(lax.scatter_mul(X, np.array([[0], [1]]), u, INTO_ROWS))
    with pytest.raises(NotImplementedError, match="only implemented if `unique_indices=True`"):
        jax.grad(fun)(X[:2])


@pytest.mark.parametrize("axes", [(0, None), (None, 0), (0, 0), (2, 1)])
def test_batched_gather_and_scatter(axes):
    rng = np.random.default_rng(1)
    xs = rng.standard_normal((3, 4, 5)).astype(np.float32)
    indices = rng.integers(-1, 5, (3, 2, 1))
    given = [x[0] if a is None else np.moveaxis(x, 0, a) for x, a in zip((xs, indices), axes)]
    one = [(xs[k if axes[0] is not None else 0], indices[k if axes[1] is not None else 0])
           for k in range(3)]

    def take(x, i):
        return rows(x, i, mode="fill", fill_value=0)

    def put(x, i):
        return lax.scatter_add(x, i, X[:2], INTO_ROWS)

    for fun in (take, put):
        equal(jax.vmap(fun, axes)(*given), np.stack([np.asarray(fun(*pair)) for pair in one]))


def test_weak_type_is_that_of_the_operand():
    weak = jax.ShapeDtypeStruct((4, 5), np.float32, weak_type=True)
    strong = jax.ShapeDtypeStruct((3, 5), np.float32)
    assert jax.eval_shape(lambda x: rows(x, WILD), weak).weak_type
    assert jax.eval_shape(lambda x, u: lax.scatter_add(x, WILD, u, INTO_ROWS), weak,
                          strong).weak_type


def test_equal_scatters_share_one_update_jaxpr():
    jaxpr = jax.make_jaxpr(lambda x: lax.scatter_add(lax.scatter_add(
        x, WILD, X[:3], INTO_ROWS), WILD, X[:3], INTO_ROWS))(X)
    first, second = [e.params["update_jaxpr"] for e in jaxpr.eqns]
    assert first is second
