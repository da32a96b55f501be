"""Collectives over one and several mapped axes against NumPy; positional axes, errors."""

from functools import partial

import numpy as np
import pytest

import minijax as jax
from minijax import lax

X = np.arange(2 * 3 * 6 * 12, dtype=np.float32).reshape(2, 3, 6, 12)


def over_both(fun, x=X):
    inner = jax.vmap(fun, axis_name="j")
    return jax.vmap(inner, axis_name="i")(x)


def flat(names):
    """X with the positions along the named axes as one leading axis, in the order of `names`."""
    x = X if names == ("i", "j") else X.transpose(1, 0, 2, 3)
    return x.reshape(6, 6, 12)


def unflat(x, names):
    """Back from one position axis to the axes i and j."""
    if names == ("i", "j"):
        return x.reshape(2, 3, *x.shape[1:])
    return x.reshape(3, 2, *x.shape[1:]).swapaxes(0, 1)


@pytest.mark.parametrize("names", [("i", "j"), ("j", "i")])
def test_several_axes_are_one_in_row_major_order(names):
    x = flat(names)
    gathered = over_both(lambda v: lax.all_gather(v, names, axis=1))
    np.testing.assert_array_equal(gathered[1, 2], x.swapaxes(0, 1))
    tiled = over_both(lambda v: lax.all_gather(v, names, axis=1, tiled=True))
    np.testing.assert_array_equal(tiled[0, 1], np.concatenate(x, axis=1))
    scattered = over_both(lambda v: lax.psum_scatter(v, names))
    np.testing.assert_array_equal(scattered, unflat(x.sum(0), names))
    parts = over_both(lambda v: lax.psum_scatter(v, names, scatter_dimension=1, tiled=True))
    want = x.sum(0).reshape(6, 6, 2).swapaxes(0, 1)
    np.testing.assert_array_equal(parts, unflat(want, names))
    exchanged = over_both(lambda v: lax.all_to_all(v, names, 0, 1))
    np.testing.assert_array_equal(exchanged, unflat(x.transpose(1, 2, 0), names))
    chosen = over_both(lambda v: lax.pbroadcast(v, names, 4))
    np.testing.assert_array_equal(chosen, unflat(np.stack([x[4]] * 6), names))


@pytest.mark.parametrize("split, concat", [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_tiled_exchange_over_two_axes(split, concat):
    names = ("i", "j")
    out = over_both(lambda v: lax.all_to_all(v, names, split, concat, tiled=True))
    parts = [np.split(v, 6, split) for v in flat(names)]
    want = np.stack([np.concatenate([p[to] for p in parts], concat) for to in range(6)])
    np.testing.assert_array_equal(out, unflat(want, names))


def test_one_outer_axis():
    out = over_both(lambda v: lax.all_gather(v, "i", axis=1))
    np.testing.assert_array_equal(out[0, 2], X[:, 2].swapaxes(0, 1))


def test_derivative_over_two_axes():
    def loss(x):
        gathered = over_both(lambda v: lax.all_gather(v, ("j", "i"), tiled=True), x)
        return (gathered ** 2).sum()
    np.testing.assert_allclose(jax.grad(loss)(X), 12 * X)
    np.testing.assert_allclose(
        jax.vmap(jax.grad(lambda v: lax.pbroadcast(v, "i", 1)), axis_name="i")(np.ones(3)),
        [0, 3, 0])


def test_reductions_over_positional_axes_and_bools():
    both = jax.vmap(lambda v: lax.psum(v, ("i", 1)), axis_name="i")(X[0])
    np.testing.assert_array_equal(both[0], X[0].sum((0, 2)))
    own = jax.vmap(lambda v: lax.pmax(v, 0), axis_name="i")(X[0])
    np.testing.assert_array_equal(own, X[0].max(1))
    count = jax.vmap(lambda v: lax.psum(v > 1, "i"), axis_name="i")(np.arange(4))
    assert count.dtype == np.int32 and count[0] == 2


def test_mean_of_integers_is_a_float():
    out = jax.vmap(lambda v: lax.pmean(v, "i"), axis_name="i")(np.arange(4))
    np.testing.assert_array_equal(out, np.full(4, 1.5, np.float32))


def test_the_type_of_an_exchange_follows_the_axis():
    """Nothing is remembered of an axis of the same name and another size."""
    fun = lambda v: lax.all_to_all(v, "i", 0, 1, tiled=True)  # noqa: E731
    assert jax.vmap(jax.jit(fun), axis_name="i")(np.ones((2, 6, 1))).shape == (2, 3, 2)
    assert jax.vmap(jax.jit(fun), axis_name="i")(np.ones((3, 6, 1))).shape == (3, 2, 3)


@pytest.mark.parametrize("fun, error, text", [
    (lambda v: lax.all_to_all(v, "i", 0, 0), ValueError, "requires the size of the mapped axis"),
    (lambda v: lax.all_to_all(v, "i", 0, 0, tiled=True), ValueError, "has to be divisible by"),
    (lambda v: lax.all_to_all(v, "i", 7, 0), ValueError, "axis 7 is out of bounds"),
    (lambda v: lax.psum_scatter(v, "i"), ValueError, "must match the axis size 4"),
    (lambda v: lax.ppermute(v, "i", [(0, 9)]), ValueError, r"must be unique and in range\(4\)"),
    (lambda v: lax.pshuffle(v, "i", [0, 0, 1, 2]), ValueError, "does not represent a permutation"),
    (lambda v: lax.pbroadcast(v, "i", 4), ValueError, r"source must be in range\(4\)"),
    (lambda v: lax.psum(v, "k"), NameError, "Found an unbound axis name: k"),
    (lambda v: lax.all_gather(v, "i", to="nonsense"), ValueError, "Got unexpected `to` value"),
    (lambda v: lax.psum(v, "i", axis_index_groups=[[0, 1], [2, 3]]), NotImplementedError,
     "axis_index_groups not supported"),
])
def test_errors(fun, error, text):
    with pytest.raises(error, match=text):
        jax.vmap(fun, axis_name="i")(np.ones((4, 3)))


def test_permuting_two_axes_at_once_is_refused():
    with pytest.raises(NotImplementedError, match="ppermute over several axes"):
        over_both(partial(lax.ppermute, axis_name=("i", "j"), perm=[(0, 1)]))
