"""The normal distribution of vectors, with a mean and a covariance matrix."""

from __future__ import annotations

import math

from minijax import lax, numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["logpdf", "pdf"]


@fused
def logpdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike,
           allow_singular: None = None) -> Array:
    """Logarithm of the density at x [..., n], for mean [..., n] and cov [..., n, n].

    Where mean and cov are numbers, the density of each element of x.
    """
    if allow_singular is not None:
        raise NotImplementedError(errors.describe(
            "allow_singular argument of multivariate_normal.logpdf",
            fix="add a small multiple of the identity to cov"))
    name = "multivariate_normal.logpdf"
    x, mean, cov = promotion.promoted_inexact(name, x, mean, cov)
    if not mean.ndim and not cov.ndim:
        return -0.5 * ((x - mean) ** 2 / cov + math.log(2 * math.pi) + jnp.log(cov))
    n = mean.shape[-1] if mean.ndim else cov.shape[-1]
    mean = mean if mean.ndim else jnp.broadcast_to(mean, (n,))
    cov = cov if cov.ndim else cov * jnp.eye(n, dtype=cov.dtype)
    if cov.ndim < 2 or cov.shape[-2:] != (n, n):
        raise ValueError(errors.describe(
            f"{name} got incompatible shapes",
            because=f"x has shape {x.shape}, mean {mean.shape}, cov {cov.shape}",
            fix="cov must be [..., n, n] for mean [..., n]"))
    rank = max(x.ndim, mean.ndim)
    gap = promotion.to_rank(x, rank) - promotion.to_rank(mean, rank)
    outer = lax.broadcast_shapes(gap.shape[:-1], cov.shape[:-2])
    gap = promotion.broadcast(gap, (*outer, n))
    factor = jnp.linalg.cholesky(cov)
    half_log = jnp.sum(jnp.log(jnp.diagonal(factor, axis1=-2, axis2=-1)), axis=-1)
    factor = promotion.broadcast(factor, (*outer, n, n))
    z = lax.linalg.triangular_solve(factor, gap, lower=True, transpose_a=True)
    return -0.5 * (jnp.sum(z * z, axis=-1) + n * math.log(2 * math.pi)) - half_log


@fused
def pdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Array:
    """The density at x [..., n]."""
    return jnp.exp(logpdf(x, mean, cov))
