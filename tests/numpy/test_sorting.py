"""Sorting, searching, sets."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("sorting")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


floats = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.5, np.inf, -np.inf, np.nan, 7.0])
vectors = hnp.arrays(np.float32, st.sampled_from([1, 6]), elements=floats)


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(vectors)
def test_sort_as_numpy(x):
    np.testing.assert_array_equal(jnp.sort(x), np.sort(x))
    np.testing.assert_array_equal(jnp.argsort(x), np.argsort(x, kind="stable"))


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(vectors, vectors, st.sampled_from(["left", "right"]),
                  st.sampled_from(["scan", "scan_unrolled", "compare_all", "sort"]))
def test_searchsorted_as_numpy(a, v, side, method):
    a = np.sort(a)
    got = jnp.searchsorted(a, v, side, method=method)
    np.testing.assert_array_equal(got, np.searchsorted(a, v, side))


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(vectors, st.integers(0, 3))
def test_partition_splits(x, kth):
    kth = min(kth, x.size - 1)
    x = np.nan_to_num(x, nan=3.0)
    out = np.asarray(jnp.partition(x, kth))
    np.testing.assert_array_equal(np.sort(out), np.sort(x))
    assert (out[:kth] <= out[kth]).all() and (out[kth:] >= out[kth]).all()
    place = np.asarray(jnp.argpartition(x, kth))
    assert sorted(place) == list(range(x.size)) and x[place[kth]] == out[kth]


small = hnp.arrays(np.int32, 5, elements=st.integers(0, 6))
SETS = ("union1d", "intersect1d", "setdiff1d", "setxor1d")
TRACED_SETS = jax.jit(lambda x, y: [getattr(jnp, name)(x, y, size=12, fill_value=-1)
                                    for name in SETS])


@hypothesis.settings(max_examples=40, deadline=None, derandomize=True)
@hypothesis.given(small, small)
def test_sets_as_numpy(x, y):
    for name, traced in zip(SETS, TRACED_SETS(x, y)):
        expected = getattr(np, name)(x, y)
        np.testing.assert_array_equal(getattr(jnp, name)(x, y), expected, err_msg=name)
        np.testing.assert_array_equal(traced[:expected.size], expected, err_msg=name)
        assert (np.asarray(traced[expected.size:]) == -1).all(), name
    np.testing.assert_array_equal(jnp.isin(x, y), np.isin(x, y))


def test_union_of_nothing_needs_a_value():
    nothing = jnp.zeros(0)
    with pytest.raises(ValueError, match="fill_value must be specified"):
        jnp.union1d(nothing, nothing, size=4)
    assert jnp.union1d(nothing, nothing, size=2, fill_value=3).tolist() == [3, 3]
    assert jnp.union1d(nothing, nothing, size=0).shape == (0,)


@hypothesis.settings(max_examples=30, deadline=None, derandomize=True)
@hypothesis.given(vectors)
def test_unique_as_numpy(x):
    expected = np.unique(x, True, True, True)
    for ours, theirs in zip(jnp.unique(x, True, True, True), expected):
        np.testing.assert_array_equal(ours, theirs)
    count = expected[0].size
    traced = jax.jit(lambda x: jnp.unique(x, True, True, True, size=9))(x)
    np.testing.assert_array_equal(traced[0][:count], expected[0])
    np.testing.assert_array_equal(traced[1][:count], expected[1])
    np.testing.assert_array_equal(traced[2], expected[2])
    np.testing.assert_array_equal(traced[3][:count], expected[3])


def test_sorting_rules():
    x = jnp.array([3.0, 1.0, 2.0])
    np.testing.assert_array_equal(jax.grad(lambda x: jnp.sort(x)[0] * 5)(x), [0, 5, 0])
    np.testing.assert_array_equal(jax.vmap(jnp.sort)(jnp.stack([x, -x])),
                                  np.sort(np.stack([x, -x])))


def test_bincount_counts_what_lies_in_range():
    x = jnp.array([0, 3, 3, 9])
    np.testing.assert_array_equal(jax.jit(lambda x: jnp.bincount(x, length=4))(x), [1, 0, 0, 2])
    with pytest.raises(jax.errors.ConcretizationTypeError, match="static `length`"):
        jax.jit(jnp.bincount)(x)
