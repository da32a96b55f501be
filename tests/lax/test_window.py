"""Windowed reductions against a plain NumPy loop, and derivatives of pooling."""

import itertools

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import lax
from minijax.lax.window import Window

KINDS = {"sum": (lax.add, 0.0, np.sum), "max": (lax.max, -np.inf, np.max),
         "min": (lax.min, np.inf, np.min)}
WINDOWS = [
    dict(window_dimensions=(2, 2), window_strides=(2, 2)),
    dict(window_dimensions=(2, 3), window_strides=(1, 2), padding="SAME"),
    dict(window_dimensions=(2, 3), window_strides=(2, 1), padding="SAME_LOWER"),
    dict(window_dimensions=(2, 2), window_strides=(3, 3)),
    dict(window_dimensions=(2, 2), padding=((1, 1), (0, 2)), base_dilation=(1, 2),
         window_dilation=(2, 1)),
    dict(window_dimensions=(3, 2), window_strides=(2, 2), padding=((-1, 1), (0, 0))),
]
X = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)


def by_loop(x, init, function, window):
    """Every window of the dilated and padded operand, one by one."""
    base, pads = window.base_dilation, window.padding
    spread = np.full([(n - 1) * b + 1 for n, b in zip(x.shape, base)], init, x.dtype)
    spread[tuple(slice(None, None, b) for b in base)] = x
    spread = np.pad(spread, [(max(a, 0), max(b, 0)) for a, b in pads], constant_values=init)
    spread = spread[tuple(slice(max(-a, 0), n - max(-b, 0))
                          for n, (a, b) in zip(spread.shape, pads))]
    out = np.zeros(window.out_shape(x.shape), x.dtype)
    for place in itertools.product(*map(range, out.shape)):
        cut = tuple(slice(i * s, i * s + (w - 1) * d + 1, d) for i, s, w, d in zip(
            place, window.window_strides, window.window_dimensions, window.window_dilation))
        out[place] = function(spread[cut])
    return out


def geometry(primitive_params):
    return Window(**{name: primitive_params[name] for name in Window._fields})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", WINDOWS)
def test_values(kind, options):
    computation, init, function = KINDS[kind]
    fun = lambda x: lax.reduce_window(x, init, computation, **options)
    eqn, = jax.make_jaxpr(fun)(X).eqns
    assert eqn.primitive.name == f"reduce_window_{kind}"
    expected = by_loop(X, init, function, geometry(eqn.params))
    np.testing.assert_allclose(fun(X), expected, rtol=1e-5)
    other = lax.reduce_window(X, init, lambda a, b: computation(a, b), **options)
    np.testing.assert_allclose(other, expected, rtol=1e-5)


def test_several_operands():
    def both(a, b):
        return lax.add(a[0], b[0]), lax.max(a[1], b[1])

    total, most = lax.reduce_window((X, X), (0.0, -np.inf), both, (2, 2), (2, 2), "VALID")
    np.testing.assert_allclose(total, X.reshape(2, 2, 3, 2).sum((1, 3)), rtol=1e-5)
    np.testing.assert_allclose(most, X.reshape(2, 2, 3, 2).max((1, 3)))


def test_identity_of_the_operands_dtype_is_recognised():
    x = jnp.asarray(X, jnp.bfloat16)
    assert lax.reduce_window(x, 0.0, lax.add, (2, 2)).dtype == jnp.bfloat16
    with pytest.raises(TypeError, match="reduce_window got inconsistent dtypes for operands and "
                                        "init_values"):
        lax.reduce_window(x, 1.0, lax.mul, (2, 2))


@pytest.mark.parametrize("options, kind, message", [
    (dict(window_dimensions=(2,)), TypeError,
     "reduce_window got the wrong number of window_dimensions for operand: got operand shape "
     "(4, 6) with window_dimensions (2,)."),
    (dict(window_dimensions=(2, 2), window_strides=(2,)), TypeError,
     "reduce_window got inconsistent window_strides and window_dimensions: got window_strides "
     "(2,) and window_dimensions (2, 2)."),
    (dict(window_dimensions=(2, 2), window_strides=(2, 0)), TypeError,
     "reduce_window window_strides must have every element be strictly positive, got (2, 0)."),
    (dict(window_dimensions=(2, 2), padding="FOO"), RuntimeError,
     "Unrecognized padding type: expected 'VALID', 'SAME', or 'SAME_LOWER', got FOO."),
])
def test_errors(options, kind, message):
    with pytest.raises(kind) as error:
        lax.reduce_window(X, -np.inf, lax.max, **options)
    assert str(error.value).splitlines()[0] == message


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("spread", [1, 2])
def test_the_first_of_equal_elements_gets_the_gradient(stride, spread):
    x = np.array([0, 0, 2, 2, 1, 1, 1], np.float32)

    def fun(x):
        return jnp.sum(lax.reduce_window(x, -np.inf, lax.max, (2,), (stride,), "VALID",
                                         window_dilation=(spread,)))

    expected = np.zeros(7)
    for start in range(0, 7 - spread, stride):
        pair = [start, start + spread]
        expected[pair[int(np.argmax(x[pair]))]] += 1
    np.testing.assert_array_equal(jax.grad(fun)(x), expected)


@pytest.mark.parametrize("window, stride", [(2, 2), (3, 2), (4, 4), (2, 3)])
def test_max_pooling_of_an_image_with_many_ties(window, stride):
    """Blocks (windows that do not overlap) and select-and-scatter choose the same elements."""
    x = np.maximum(np.random.default_rng(1).standard_normal((2, 7, 6, 3)), 0).astype(np.float32)

    def pool(x):
        return lax.reduce_window(x, -np.inf, lax.max, (1, window, window, 1),
                                 (1, stride, stride, 1), "SAME")

    outs, pull = jax.vjp(pool, x)
    weights = np.arange(outs.size, dtype=np.float32).reshape(outs.shape) + 1
    params = jax.make_jaxpr(pool)(x).eqns[0].params
    scattered = lax.select_and_scatter_add_p.bind(
        weights, x, select_prim=lax.ge_p,
        **{n: params[n] for n in ("window_dimensions", "window_strides", "padding")})
    np.testing.assert_array_equal(pull(weights)[0], scattered)
    np.testing.assert_array_equal(outs, pool(x))


def test_pooling_without_overlap_needs_no_select_and_scatter():
    fun = jax.grad(lambda x: jnp.sum(lax.reduce_window(x, -np.inf, lax.max, (2, 2), (2, 2))))
    assert "select_and" not in str(jax.make_jaxpr(fun)(X))


def test_an_initial_value_that_is_not_neutral_counts_once():
    fun = lambda x, init: lax.reduce_window(x, init, lambda a, b: a * b, (2,), (2,), ((0, 1),))
    x = np.array([2, 3, 5], np.float32)
    np.testing.assert_array_equal(fun(x, 7.0), [42, 35])
    np.testing.assert_array_equal(jax.jacfwd(fun, 1)(x, 7.0), [6, 5])
    np.testing.assert_array_equal(jax.vmap(fun, (None, 0))(x, np.array([7, 1], np.float32)),
                                  [[42, 35], [6, 5]])


def test_shape_helper():
    assert lax.reduce_window_shape_tuple((4, 6), (2, 3), (1, 2), ((0, 0), (1, 1))) == (3, 3)
    assert lax.padtype_to_pads((10, 7), (3, 2), (2, 1), "SAME") == [(0, 1), (0, 1)]
    pads = lax.padtype_to_pads(np.array([7]), np.array([3]), (2,), "SAME")
    assert [type(n) for n in pads[0]] == [int, int]


def pooled(x, fill, size, stride, spread, pads, combine):
    """A pooling of the last two axes in NumPy, window by window."""
    x = np.pad(x, [(0, 0)] * (x.ndim - 2) + list(pads), constant_values=fill)
    reach = (size - 1) * spread + 1
    counts = [(n - reach) // stride + 1 for n in x.shape[-2:]]
    return np.stack([np.stack([combine(
        x[..., i * stride:i * stride + reach:spread, j * stride:j * stride + reach:spread],
        axis=(-2, -1)) for j in range(counts[1])], -1) for i in range(counts[0])], -2)


@pytest.mark.parametrize("size, stride, spread, pads", [
    (2, 2, 1, ((0, 0), (0, 0))), (3, 1, 1, ((1, 1), (1, 1))), (3, 2, 2, ((2, 0), (0, 1))),
    (5, 1, 1, ((2, 2), (2, 2))), (4, 2, 1, ((1, 1), (1, 2))), (6, 1, 1, ((0, 0), (3, 3)))])
@pytest.mark.parametrize("op, fill, combine", [
    (lax.max, -np.inf, np.max), (lax.min, np.inf, np.min), (lax.add, 0, np.sum)])
def test_small_and_large_windows(size, stride, spread, pads, op, fill, combine):
    """On the CPU small windows are slices, larger ones an operation of their own."""
    x = np.random.default_rng(2).integers(-9, 9, (2, 9, 8)).astype(np.float32)
    x[0, 4, 4] = np.nan

    def fun(x):
        return lax.reduce_window(x, np.float32(fill), op, (1, size, size), (1, stride, stride),
                                 ((0, 0), *pads), window_dilation=(1, spread, spread))
    np.testing.assert_array_equal(fun(x), pooled(x, fill, size, stride, spread, pads, combine))
    text = jax.jit(fun).lower(x).as_text()
    sliced = size * size <= (25 if stride == 1 else 9)
    assert ("stablehlo.reduce_window" in text) != sliced or jax.default_backend() != "cpu"


def test_sums_of_narrow_floats_add_in_float32():
    x = np.full((1, 3, 3), 257, np.float16)
    out = lax.reduce_window(x, np.float16(0), lax.add, (1, 3, 3))
    assert out.dtype == np.float16 and out.item() == np.float16(9 * 257)
