"""Samples follow the distributions that their names promise: Kolmogorov-Smirnov, chi-square.

Slow: the numbers themselves are compared with those of JAX in test_stored.py.
"""

import numpy as np
import pytest
from scipy import stats

import minijax as jax
import minijax.numpy as jnp

R = jax.random
KEY = R.key(1701)
N = (4000,)
WORST = 1e-3  # the p-value below which samples are refused; keys are fixed, so nothing is random

CONTINUOUS = {
    "uniform": (lambda k: R.uniform(k, N, minval=-1.0, maxval=3.0), stats.uniform(-1, 4)),
    "normal": (lambda k: R.normal(k, N), stats.norm()),
    "truncated_normal": (lambda k: R.truncated_normal(k, -1.0, 2.0, N), stats.truncnorm(-1, 2)),
    "exponential": (lambda k: R.exponential(k, N), stats.expon()),
    "laplace": (lambda k: R.laplace(k, N), stats.laplace()),
    "logistic": (lambda k: R.logistic(k, N), stats.logistic()),
    "cauchy": (lambda k: R.cauchy(k, N), stats.cauchy()),
    "gumbel": (lambda k: R.gumbel(k, N), stats.gumbel_r()),
    "gumbel_high": (lambda k: R.gumbel(k, N, mode="high"), stats.gumbel_r()),
    "maxwell": (lambda k: R.maxwell(k, N), stats.maxwell()),
    "double_sided_maxwell": (lambda k: R.double_sided_maxwell(k, 1.0, 2.0, N),
                             stats.dgamma(1.5)),
    "lognormal": (lambda k: R.lognormal(k, 0.5, N), stats.lognorm(0.5)),
    "pareto": (lambda k: R.pareto(k, 3.0, N), stats.pareto(3)),
    "rayleigh": (lambda k: R.rayleigh(k, 2.0, N), stats.rayleigh(scale=2)),
    "weibull_min": (lambda k: R.weibull_min(k, 2.0, 1.5, N), stats.weibull_min(1.5, scale=2)),
    "triangular": (lambda k: R.triangular(k, -1.0, 0.0, 3.0, N),
                   stats.triang(0.25, loc=-1, scale=4)),
    "wald": (lambda k: R.wald(k, 0.7, N), stats.invgauss(0.7)),
    "gamma": (lambda k: R.gamma(k, 2.5, N), stats.gamma(2.5)),
    "gamma_small": (lambda k: R.gamma(k, 0.3, N), stats.gamma(0.3)),
    "loggamma": (lambda k: R.loggamma(k, 0.3, N), stats.loggamma(0.3)),
    "beta": (lambda k: R.beta(k, 0.5, 2.0, N), stats.beta(0.5, 2)),
    "chisquare": (lambda k: R.chisquare(k, 3.0, N), stats.chi2(3)),
    "f": (lambda k: R.f(k, 3.0, 5.0, N), stats.f(3, 5)),
    "t": (lambda k: R.t(k, 2.5, N), stats.t(2.5)),
    "generalized_normal": (lambda k: R.generalized_normal(k, 3.0, N), stats.gennorm(3)),
    "dirichlet": (lambda k: R.dirichlet(k, jnp.array([0.5, 1.0, 1.0]), N)[:, 0],
                  stats.beta(0.5, 2)),
    "ball_radius": (lambda k: jnp.linalg.norm(R.ball(k, 3, shape=N), axis=1),
                    stats.powerlaw(3)),
    "multivariate_normal": (lambda k: R.multivariate_normal(
        k, jnp.array([1.0, 2.0]), jnp.array([[4.0, 1.0], [1.0, 2.0]]), N) @ jnp.array([1.0, 1.0]),
        stats.norm(3, np.sqrt(8))),
    "orthogonal": (lambda k: R.orthogonal(k, 3, N)[:, 0, 1], stats.uniform(-1, 2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTINUOUS)
def test_continuous(name):
    sample, distribution = CONTINUOUS[name]
    values = np.asarray(sample(KEY))
    if name == "double_sided_maxwell":  # SciPy's has no such; its square halves are gamma floats
        values = np.sign(values - 1) * ((values - 1) / 2) ** 2 / 2
    assert stats.kstest(values, distribution.cdf).pvalue > WORST


DISCRETE = {
    "bernoulli": (lambda k: R.bernoulli(k, 0.3, N), stats.bernoulli(0.3)),
    "bernoulli_high": (lambda k: R.bernoulli(k, 0.3, N, "high"), stats.bernoulli(0.3)),
    "rademacher": (lambda k: (R.rademacher(k, N) + 1) // 2, stats.bernoulli(0.5)),
    "randint": (lambda k: R.randint(k, N, -3, 9), stats.randint(-3, 9)),
    "bits": (lambda k: R.bits(k, N, "uint8") // 32, stats.randint(0, 8)),
    "geometric": (lambda k: R.geometric(k, 0.4, N), stats.geom(0.4)),
    "poisson": (lambda k: R.poisson(k, 3.5, N), stats.poisson(3.5)),
    "poisson_large": (lambda k: R.poisson(k, 40.0, N), stats.poisson(40)),
    "binomial": (lambda k: R.binomial(k, 12.0, 0.7, N), stats.binom(12, 0.7)),
    "binomial_large": (lambda k: R.binomial(k, 60.0, 0.4, N), stats.binom(60, 0.4)),
    "multinomial": (lambda k: R.multinomial(k, 9.0, jnp.array([0.2, 0.5, 0.3]),
                                            shape=(*N, 3))[:, 1], stats.binom(9, 0.5)),
    "categorical": (lambda k: R.categorical(k, jnp.log(jnp.array([0.5, 0.2, 0.3])), shape=N),
                    stats.rv_discrete(values=([0, 1, 2], [0.5, 0.2, 0.3]))),
    "choice": (lambda k: R.choice(k, 3, N, p=jnp.array([0.5, 0.2, 0.3])),
               stats.rv_discrete(values=([0, 1, 2], [0.5, 0.2, 0.3]))),
    "permutation": (lambda k: R.permutation(k, jnp.tile(jnp.arange(4), (N[0], 1)), axis=1,
                                            independent=True)[:, 0], stats.randint(0, 4)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DISCRETE)
def test_discrete(name):
    sample, distribution = DISCRETE[name]
    values = np.asarray(sample(KEY)).astype(int)
    found, counts = np.unique(values, return_counts=True)
    expected = distribution.pmf(found) * len(values)
    assert (expected > 0).all()
    often = expected >= 5  # the rare values together are one class
    observed = np.append(counts[often], len(values) - counts[often].sum())
    expected = np.append(expected[often], len(values) - expected[often].sum())
    if expected[-1] < 1:
        observed, expected = observed[:-1], expected[:-1] * observed[:-1].sum() / expected[
            :-1].sum()
    assert stats.chisquare(observed, expected).pvalue > WORST


@pytest.mark.parametrize("impl", ["rbg", "unsafe_rbg", "philox2x32", "philox4x32",
                                  "threefry4x32"])
def test_generators(impl):
    key = R.key(5, impl=impl)
    assert stats.kstest(np.asarray(R.normal(key, N)), stats.norm().cdf).pvalue > WORST
    words = np.asarray(R.key_data(R.split(key, 500)))
    assert len(np.unique(words, axis=0)) == 500
    ones = np.unpackbits(words.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 5 / np.sqrt(words.size * 32)


def test_matrices_are_orthogonal():
    for shape, m in (((), None), ((2,), 2), ((2,), 5)):
        q = R.orthogonal(KEY, 3, shape, m=m)
        small = q @ jnp.matrix_transpose(q) if (m or 3) >= 3 else jnp.matrix_transpose(q) @ q
        np.testing.assert_allclose(small, np.broadcast_to(np.eye(min(3, m or 3)), small.shape),
                                   atol=1e-5)
    q = R.orthogonal(KEY, 2, dtype="complex64")
    np.testing.assert_allclose(q @ q.conj().T, np.eye(2), atol=1e-5)


def test_draws_without_replacement_are_distinct():
    for draw in (R.choice(KEY, 8, (8,), replace=False),
                 R.choice(KEY, 8, (8,), replace=False, p=jnp.ones(8) / 8),
                 R.categorical(KEY, jnp.zeros(8), shape=(8,), replace=False),
                 R.permutation(KEY, 8)):
        assert sorted(np.asarray(draw).tolist()) == list(range(8))


@pytest.mark.parametrize("weights, floats", [
    ("bool", "float32"), ("uint8", "float32"), ("int64", "float64"), ("float64", "float64")])
@pytest.mark.parametrize("replace", [True, False])
def test_weights_of_a_choice_are_floats_of_their_own_width(weights, floats, replace):
    with jax.enable_x64(True):
        p = np.ones(64, weights)
        drawn = R.choice(KEY, 64, (8,), p=p, replace=replace)
        np.testing.assert_array_equal(drawn, R.choice(KEY, 64, (8,), p=p.astype(floats),
                                                      replace=replace))


def test_gamma_floats_move_with_their_parameter():
    """At a fixed probability of lesser values, by implicit differentiation."""
    a = 1.7
    sample = R.gamma(KEY, a, (5,))
    slopes = jax.jacobian(lambda a: R.gamma(KEY, a, (5,)))(a)
    share = stats.gamma(a).cdf(np.asarray(sample, np.float64))
    wanted = (stats.gamma(a + 1e-4).ppf(share) - stats.gamma(a - 1e-4).ppf(share)) / 2e-4
    np.testing.assert_allclose(slopes, wanted, rtol=1e-4)
    logs = jax.jacobian(lambda a: R.loggamma(KEY, a, (5,)))(a)
    np.testing.assert_allclose(logs, slopes / sample, rtol=1e-5)


def test_batches_of_keys_and_parameters():
    keys, a = R.split(KEY, 3), jnp.array([0.5, 1.0, 30.0])
    for sampler in (R.gamma, R.poisson, R.exponential):
        some = (lambda k, a: sampler(k, a)) if sampler is not R.exponential else (
            lambda k, a: sampler(k))
        together = jax.vmap(some)(keys, a)
        single = [some(k, x) for k, x in zip(keys, a)]
        np.testing.assert_allclose(together, single, rtol=1e-5)


def test_bounds_of_one_element_give_a_scalar_draw_their_shape():
    key = jax.random.key(0)
    out = jax.random.uniform(key, (), minval=jnp.full((1,), 2.0), maxval=jnp.full((1,), 3.0))
    assert out.shape == (1,)
    np.testing.assert_array_equal(out[0], jax.random.uniform(key, (), minval=2.0, maxval=3.0))
    with pytest.raises(ValueError, match=r"bounds of shape \(2,\), .* to shape \(\)"):
        jax.random.uniform(key, (), minval=jnp.zeros(2))
    with pytest.raises(ValueError, match=r"bounds of shape \(1, 3\), .* to shape \(3,\)"):
        jax.random.uniform(key, (3,), minval=jnp.zeros((1, 3)))
