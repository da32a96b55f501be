"""Random numbers: explicit keys, and samplers that are functions of a key.

    key = jax.random.key(0)
    key, subkey = jax.random.split(key)
    x = jax.random.normal(subkey, (3,))
"""

from minijax.random.choosing import categorical, choice, permutation, randint
from minijax.random.continuous import (
    double_sided_maxwell, lognormal, multivariate_normal, orthogonal, pareto, rayleigh,
    triangular, wald, weibull_min)
from minijax.random.discrete import binomial, multinomial, poisson
from minijax.random.gamma import (
    ball, beta, chisquare, dirichlet, f, gamma, generalized_normal, loggamma, random_gamma_p, t)
from minijax.random.keys import (
    PRNGKey, clone, fold_in, key, key_data, key_dtype, key_impl, split, wrap_key_data)
from minijax.random.samplers import (
    bernoulli, bits, cauchy, exponential, geometric, gumbel, laplace, logistic, maxwell, normal,
    rademacher, truncated_normal, uniform)

__all__ = [
    "PRNGKey", "ball", "bernoulli", "beta", "binomial", "bits", "categorical", "cauchy",
    "chisquare", "choice", "clone", "dirichlet", "double_sided_maxwell", "exponential", "f",
    "fold_in", "gamma", "generalized_normal", "geometric", "gumbel", "key", "key_data",
    "key_dtype", "key_impl", "laplace", "loggamma", "logistic", "lognormal", "maxwell",
    "multinomial", "multivariate_normal", "normal", "orthogonal", "pareto", "permutation",
    "poisson", "rademacher", "randint", "random_gamma_p", "rayleigh", "split", "t", "triangular",
    "truncated_normal", "uniform", "wald", "weibull_min", "wrap_key_data",
]
