"""Random numbers: explicit keys, and samplers that are functions of a key.

    key = jax.random.key(0)
    key, subkey = jax.random.split(key)
    x = jax.random.normal(subkey, (3,))
"""

from minijax.random.keys import (PRNGKey, clone, fold_in, key, key_data, key_dtype, key_impl,
                                 split, wrap_key_data)
from minijax.random.samplers import (bernoulli, bits, categorical, cauchy, choice, exponential,
                                     gumbel, laplace, logistic, normal, permutation, rademacher,
                                     randint, truncated_normal, uniform)

__all__ = ["PRNGKey", "bernoulli", "bits", "categorical", "cauchy", "choice", "clone",
           "exponential", "fold_in", "gumbel", "key", "key_data", "key_dtype", "key_impl",
           "laplace", "logistic", "normal", "permutation", "rademacher", "randint", "split",
           "truncated_normal", "uniform", "wrap_key_data"]
