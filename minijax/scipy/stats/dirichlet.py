"""The Dirichlet distribution of points x of the simplex, along the first axis of x."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused
from minijax.scipy import special
from minijax.scipy.common import composed

__all__ = ["logpdf", "pdf"]


@fused
def logpdf(x: ArrayLike, alpha: ArrayLike) -> Array:
    """Logarithm of the density at x [n, ...] or [n - 1, ...], for alpha [n].

    The last entry may be left out, since the entries add up to 1; -inf off the simplex.
    """
    x, alpha = promotion.promoted_inexact("dirichlet.logpdf", x, alpha)
    if alpha.ndim != 1:
        raise ValueError(errors.describe(
            f"`alpha` must be one-dimensional; got alpha.shape={alpha.shape}",
            fix="use jax.vmap for batches"))
    n = alpha.shape[0]
    if not x.ndim or x.shape[0] not in (n, n - 1):
        raise ValueError(errors.describe(
            "`x` must have either the same number of entries as `alpha` or one entry fewer; got "
            f"x.shape={x.shape}, alpha.shape={alpha.shape}", fix="move the entries to axis 0"))
    total = jnp.sum(x, axis=0)
    if x.shape[0] == n - 1:
        x = jnp.concatenate([x, (1 - total)[None]], axis=0)
        total = jnp.ones_like(total)
    alpha = jnp.reshape(alpha, (n,) + (1,) * (x.ndim - 1))
    constant = special.gammaln(jnp.sum(alpha)) - jnp.sum(special.gammaln(alpha))
    value = constant + jnp.sum(special.xlogy(alpha - 1, x), axis=0)
    slack = 10 * float(dtypes.finfo(x.dtype).eps) * n
    inside = jnp.all(x > 0, axis=0) & (jnp.abs(total - 1) <= slack)
    return jnp.where(inside, value, -jnp.inf)


pdf = composed(jnp.exp, logpdf, "The density at x.")
