"""Distributions and sample statistics against SciPy."""

import types

import numpy as np
import pytest
import scipy.stats

import minijax as jax
import minijax.numpy as jnp
from minijax.scipy import stats

SHAPES = dict(gamma=(2.5,), chi2=(3.0,), beta=(2.0, 0.7), pareto=(1.5,), t=(3.5,),
              truncnorm=(-1.0, 2.0), gennorm=(1.3,), vonmises=(2.0,), wrapcauchy=(0.4,),
              bernoulli=(0.3,), binom=(7, 0.3), betabinom=(7, 2.0, 3.0), geom=(0.3,),
              nbinom=(4.0, 0.3), poisson=(2.5,))
MULTIVARIATE = ("dirichlet", "multinomial", "multivariate_normal")
DISTRIBUTIONS = [name for name in stats.__all__ if name not in MULTIVARIATE
                 and isinstance(getattr(stats, name), types.ModuleType)]
X = np.concatenate([np.linspace(-10, 10, 81), [-np.inf, np.nan, -30, 30]])
K = np.arange(-3, 20.0)
Q = np.concatenate([np.linspace(0.01, 0.99, 50), [0.0, 1.0, np.nan]])


def operand(name, function):
    if function in ("ppf", "isf"):
        # at the ends, cauchy has 1 / tan(0), gumbel is NaN, bernoulli stays at 0
        return Q[:50] if name in ("bernoulli", "cauchy", "gumbel_l", "gumbel_r") else Q
    if function == "entropy":
        return np.array([0.0, 0.5, 5.0, 39.0, 41.0, 500.0])
    return K if hasattr(getattr(scipy.stats, name), "pmf") else X


def marked(name):
    quick = ("bernoulli", "binom", "expon", "norm", "poisson", "t", "uniform")
    return pytest.param(name, marks=[] if name in quick else [pytest.mark.slow])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", list(map(marked, DISTRIBUTIONS)))
def test_as_scipy(name):
    module = getattr(stats, name)
    for function in module.__all__:
        args = (operand(name, function), *SHAPES.get(name, ()))
        args = args[:1] if function == "entropy" else args
        place = (0.5, 2.0)
        if name in ("gennorm", "vonmises", "wrapcauchy") or (
                name == "bernoulli" and function in ("cdf", "ppf")):
            place = ()
        elif hasattr(getattr(scipy.stats, name), "pmf"):
            place = (1,)
        with jax.enable_x64(True):
            found = getattr(module, function)(*args, *place)
        expected = getattr(getattr(scipy.stats, name), function)(*args, *place)
        np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-14,
                                   err_msg=f"{name}.{function}")


def test_densities_are_derivatives_of_distribution_functions():
    with jax.enable_x64(True):
        for name in ("norm", "cauchy", "logistic", "gamma", "beta", "truncnorm", "gumbel_r"):
            module, args = getattr(stats, name), SHAPES.get(name, ())
            slope = jax.grad(module.cdf)(0.45, *args)
            np.testing.assert_allclose(slope, module.pdf(0.45, *args), rtol=1e-10, err_msg=name)


def test_quantiles_invert_distribution_functions():
    q = np.linspace(0.05, 0.95, 7)
    with jax.enable_x64(True):
        for name in ("norm", "cauchy", "expon", "logistic", "gumbel_l", "gumbel_r", "uniform"):
            module = getattr(stats, name)
            np.testing.assert_allclose(module.cdf(module.ppf(q, 1.5, 2.5), 1.5, 2.5), q, rtol=1e-12)
        np.testing.assert_allclose(stats.norm.sf(stats.norm.isf(q)), q, rtol=1e-12)
        np.testing.assert_allclose(stats.pareto.cdf(stats.pareto.ppf(q, 2.5), 2.5), q, rtol=1e-12)


def test_tails_keep_their_digits():
    with jax.enable_x64(True):
        np.testing.assert_allclose(stats.norm.logsf(40.0), scipy.stats.norm.logsf(40.0), rtol=1e-13)
        np.testing.assert_allclose(stats.truncnorm.logpdf(41.0, 40.0, 42.0),
                                   scipy.stats.truncnorm.logpdf(41.0, 40.0, 42.0), rtol=1e-12)


RNG = np.random.default_rng(0)


def test_multivariate_normal():
    a = RNG.normal(size=(3, 3))
    cov, mean, x = a @ a.T + np.eye(3), RNG.normal(size=3), RNG.normal(size=(5, 3))
    expected = scipy.stats.multivariate_normal.logpdf(x, mean, cov)
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        normal = stats.multivariate_normal
        np.testing.assert_allclose(normal.logpdf(x, mean, cov), expected, rtol=1e-12)
        np.testing.assert_allclose(normal.pdf(x, mean, cov), np.exp(expected), rtol=1e-12)
        np.testing.assert_allclose(normal.logpdf(x[:, 0], 0.3, 2.0),
                                   scipy.stats.norm.logpdf(x[:, 0], 0.3, 2 ** 0.5), rtol=1e-12)
        batch = normal.logpdf(x, mean, np.stack([cov * (i + 1) for i in range(5)]))
        np.testing.assert_allclose(batch[0], expected[0], rtol=1e-12)
    with pytest.raises(ValueError, match="multivariate_normal.logpdf got incompatible shapes"):
        normal.logpdf(x, mean, np.eye(2))
    with pytest.raises(NotImplementedError, match="allow_singular argument"):
        normal.logpdf(x, mean, cov, allow_singular=True)


def test_dirichlet_and_multinomial():
    x, alpha = RNG.dirichlet([2.0, 3.0, 4.0], size=4).T, np.array([2.0, 3.0, 4.0])
    counts, p = np.array([[1, 2, 3], [0, 6, 0], [1, 1, 1]]), np.array([0.2, 0.3, 0.5])
    with jax.enable_x64(True):
        expected = [scipy.stats.dirichlet.logpdf(column, alpha) for column in x.T]
        np.testing.assert_allclose(stats.dirichlet.logpdf(x, alpha), expected, rtol=1e-12)
        np.testing.assert_allclose(stats.dirichlet.logpdf(x[:-1], alpha), expected, rtol=1e-12)
        assert stats.dirichlet.logpdf(x[:, 0] + 0.1, alpha) == -np.inf
        np.testing.assert_allclose(
            [stats.multinomial.pmf(c, 6, p) for c in counts],
            [scipy.stats.multinomial.pmf(c, 6, p) for c in counts], rtol=1e-12)
    with pytest.raises(ValueError, match="`x` must have either the same number of entries"):
        stats.dirichlet.logpdf(x, alpha[:1])
    with pytest.raises(ValueError, match="`alpha` must be one-dimensional"):
        stats.dirichlet.logpdf(x, x)


@pytest.mark.parametrize("bw_method, weighted", [
    (None, True), pytest.param("silverman", False, marks=pytest.mark.slow),
    pytest.param(0.4, True, marks=pytest.mark.slow)])
def test_kernel_density_estimates(weighted, bw_method):
    data, points = RNG.normal(size=(2, 30)), RNG.normal(size=(2, 5))
    weights = RNG.uniform(1, 2, 30) if weighted else None
    cov = np.array([[1.0, 0.3], [0.3, 2.0]])
    theirs = scipy.stats.gaussian_kde(data, bw_method, weights)
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        ours = stats.gaussian_kde(data, bw_method, weights)
        for a, b in ((ours.covariance, theirs.covariance), (ours.inv_cov, theirs.inv_cov),
                     (ours(points), theirs(points)), (ours.logpdf(points), theirs.logpdf(points)),
                     (ours.integrate_gaussian(points[:, 0], cov),
                      theirs.integrate_gaussian(points[:, 0], cov)),
                     (ours.integrate_kde(ours), theirs.integrate_kde(theirs))):
            np.testing.assert_allclose(a, b, rtol=1e-10)
        line = stats.gaussian_kde(data[0], bw_method, weights)
        np.testing.assert_allclose(
            line.integrate_box_1d(-1, 0.5),
            scipy.stats.gaussian_kde(data[0], bw_method, weights).integrate_box_1d(-1, 0.5),
            rtol=1e-10)


def test_kernel_density_estimates_are_trees_and_samplers():
    data = np.float32(RNG.normal(size=(2, 40)) * [[1.0], [3.0]])
    kde = stats.gaussian_kde(data)
    again = jax.jit(lambda kde: kde)(kde)
    np.testing.assert_array_equal(again.covariance, kde.covariance)
    points = kde.resample(jax.random.key(0), (4000,))
    assert points.shape == (2, 4000)
    np.testing.assert_allclose(np.cov(points), np.cov(data) * 40 / 39 + kde.covariance, rtol=0.15,
                               atol=0.2)
    with pytest.raises(NotImplementedError, match="dynamically changing the bandwidth"):
        kde.set_bandwidth("scott")
    with pytest.raises(ValueError, match="points have dimension 3, dataset has dimension 2"):
        kde.pdf(np.zeros((3, 4), "f"))


def test_modes_ranks_and_errors_of_means():
    x = RNG.integers(0, 4, (6, 5))
    for axis in (0, 1, None):
        found, expected = stats.mode(x, axis=axis), scipy.stats.mode(x, axis=axis)
        np.testing.assert_array_equal(found.mode, expected.mode)
        np.testing.assert_array_equal(found.count, expected.count)
        for method in ("average", "min", "max", "dense", "ordinal"):
            np.testing.assert_allclose(stats.rankdata(x, method, axis=axis),
                                       scipy.stats.rankdata(x, method, axis=axis))
        np.testing.assert_allclose(stats.sem(x, axis=axis), scipy.stats.sem(x, axis=axis),
                                   rtol=1e-5)
    y = np.where(x == 0, np.nan, x).astype(np.float32)
    np.testing.assert_allclose(stats.sem(y, nan_policy="omit"),
                               scipy.stats.sem(y, nan_policy="omit"), rtol=1e-5)
    assert jnp.isnan(stats.rankdata(y, axis=0)).any()
    with pytest.raises(ValueError, match="unknown method 'odd'"):
        stats.rankdata(x, "odd")
    with pytest.raises(NotImplementedError, match="Logic for `nan_policy` of omit"):
        stats.mode(x, nan_policy="omit")


@pytest.mark.parametrize("k, p, weak", [
    (1, 0.5, True), (1, np.float32(0.5), False), (np.array([1, 2]), 0.5, False)])
def test_weak_types_of_discrete_distributions(k, p, weak):
    for name in ("bernoulli.pmf", "bernoulli.cdf", "bernoulli.ppf", "geom.pmf", "poisson.cdf"):
        module, function = name.split(".")
        assert getattr(getattr(stats, module), function)(k, p).weak_type == weak, name


def test_weak_types_of_the_uniform_distribution():
    assert stats.uniform.pdf(0.5).weak_type and not stats.uniform.cdf(0.5).weak_type
