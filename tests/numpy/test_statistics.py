"""Quantiles, histograms and covariance."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("statistics")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "inverted_cdf"])
def test_quantile_as_numpy(method):
    x = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    q = np.array([0.0, 0.2, 0.55, 1.0], np.float32)
    for axis in (None, 0, 1, (0, 1)):
        np.testing.assert_allclose(jnp.quantile(x, q, axis=axis, method=method),
                                   np.quantile(x, q, axis=axis, method=method), rtol=1e-5)


@pytest.mark.parametrize("q", [1, np.array([0, 1])])
def test_shares_are_no_integers(q):
    for fun in (jnp.quantile, jnp.nanquantile):
        with pytest.raises(TypeError, match="floor does not accept dtype int"):
            fun(jnp.arange(5.0), q)
    assert jnp.percentile(jnp.arange(5.0), 100) == 4


def test_histogram_under_jit():
    x = np.random.default_rng(0).normal(size=100).astype(np.float32)
    counts, edges = jax.jit(lambda x: jnp.histogram(x, bins=7))(x)
    expected, expected_edges = np.histogram(x, bins=7)
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_allclose(edges, expected_edges, rtol=1e-5)
