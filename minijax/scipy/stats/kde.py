"""Gaussian kernel density estimates.

    kde = gaussian_kde(samples)          # [n], or [d, n] for points in d dimensions
    kde.pdf(points), kde.resample(key, (100,))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from minijax import lax, numpy as jnp, random
from minijax.base import errors, tree
from minijax.base.jaxlib import Array
from minijax.numpy import promotion
from minijax.scipy import special


@dataclass(frozen=True, init=False)
class gaussian_kde:
    """A density that puts a normal bell on each column of `dataset` [d, n].

    bw_method: "scott" (the default), "silverman", a number or a function of the estimate; it
    scales the weighted covariance of the data to that of a bell. Instances are pytrees.
    """

    neff: Any
    dataset: Any
    weights: Any
    covariance: Any
    inv_cov: Any

    def __init__(self, dataset: Any, bw_method: str | float | Callable | None = None,
                 weights: Any = None):
        promotion.check_array_like("gaussian_kde", dataset)
        dataset = jnp.atleast_2d(dataset)
        if jnp.issubdtype(dataset.dtype, jnp.complexfloating):
            raise NotImplementedError("gaussian_kde does not support complex data")
        if dataset.size <= 1:
            raise ValueError(errors.describe("`dataset` input should have multiple elements.",
                                             fix="pass [n] or [d, n] with n > 1"))
        d, n = dataset.shape
        dataset = dataset.astype(jnp.result_type(dataset, float)
                                 if dataset.dtype.kind != "f" else dataset.dtype)
        if weights is None:
            weights = jnp.full(n, 1 / n, dtype=dataset.dtype)
        else:
            promotion.check_array_like("gaussian_kde", weights)
            dataset, weights = promotion.promote_inexact(dataset, weights)
            weights = jnp.atleast_1d(weights)
            weights = weights / jnp.sum(weights)
            if weights.ndim != 1:
                raise ValueError("`weights` input should be one-dimensional.")
            if len(weights) != n:
                raise ValueError("`weights` input should be of length n")
        self._fill(dataset=dataset, weights=weights, neff=1 / jnp.sum(weights ** 2))
        factor = self._factor(bw_method)
        covariance = jnp.atleast_2d(jnp.cov(dataset, rowvar=True, bias=False, aweights=weights))
        inverse = jnp.linalg.inv(covariance) / factor ** 2
        self._fill(covariance=covariance * factor ** 2, inv_cov=inverse)

    def _fill(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _factor(self, bw_method: Any) -> Any:
        if bw_method is None or bw_method == "scott":
            return jnp.power(self.neff, -1.0 / (self.d + 4))
        if bw_method == "silverman":
            return jnp.power(self.neff * (self.d + 2) / 4.0, -1.0 / (self.d + 4))
        if callable(bw_method):
            return bw_method(self)
        if jnp.isscalar(bw_method) and not isinstance(bw_method, str):
            return bw_method
        raise ValueError(errors.describe(
            "`bw_method` should be 'scott', 'silverman', a scalar, or a callable.",
            fix="bw_method='scott'"))

    def tree_flatten(self) -> tuple:
        """The arrays, and nothing static."""
        return (self.neff, self.dataset, self.weights, self.covariance, self.inv_cov), None

    @classmethod
    def tree_unflatten(cls, aux_data: None, children: Sequence[Any]) -> "gaussian_kde":
        """The estimate made of these arrays."""
        kde = cls.__new__(cls)
        kde._fill(**dict(zip(("neff", "dataset", "weights", "covariance", "inv_cov"), children)))
        return kde

    @property
    def d(self) -> int:
        """The number of dimensions."""
        return self.dataset.shape[0]

    @property
    def n(self) -> int:
        """The number of data points."""
        return self.dataset.shape[1]

    def evaluate(self, points: Any) -> Array:
        """The density at points [d, k]: an array [k]."""
        return jnp.exp(self.logpdf(points))

    __call__ = evaluate

    def pdf(self, x: Any) -> Array:
        """The density at points [d, k]."""
        return self.evaluate(x)

    def logpdf(self, x: Any) -> Array:
        """Logarithm of the density at points [d, k]."""
        promotion.check_array_like("logpdf", x)
        points = self._points(x)
        factor = jnp.linalg.cholesky(self.inv_cov)
        energy = _energies(factor.T @ self.dataset, factor.T @ points)
        log_norm = jnp.sum(jnp.log(jnp.diagonal(factor))) - 0.5 * self.d * math.log(2 * math.pi)
        size = jnp.log(self.weights) + log_norm
        return special.logsumexp(size[:, None] - energy, axis=0)

    def _points(self, points: Any) -> Any:
        points = jnp.atleast_2d(points)
        if jnp.issubdtype(points.dtype, jnp.complexfloating):
            raise NotImplementedError("gaussian_kde does not support complex coordinates")
        if self.d != points.shape[0]:
            if points.shape == (1, self.d):  # one point, as a row
                points = points.T
            else:
                raise ValueError(errors.describe(
                    f"points have dimension {points.shape[0]}, dataset has dimension {self.d}",
                    fix="pass points of shape [d, k]"))
        return points.astype(self.dataset.dtype)

    def integrate_gaussian(self, mean: Any, cov: Any) -> Array:
        """The integral of this density times a normal one, with mean [d] and cov [d, d]."""
        mean = jnp.atleast_1d(jnp.squeeze(mean))
        cov = jnp.atleast_2d(cov)
        if mean.shape != (self.d,):
            raise ValueError(f"mean does not have dimension {self.d}")
        if cov.shape != (self.d, self.d):
            raise ValueError(f"covariance does not have dimension {self.d}")
        return self._overlap(self.covariance + cov, mean[:, None])[0]

    def _overlap(self, covariance: Any, points: Any) -> Any:
        """The weighted sums of normal densities of this covariance at points [d, k]."""
        lower = jnp.linalg.cholesky(covariance)

        def whiten(x: Any) -> Any:
            return lax.linalg.triangular_solve(lower, x, left_side=True, lower=True)

        energy = _energies(whiten(self.dataset), whiten(points))
        log_norm = -jnp.sum(jnp.log(jnp.diagonal(lower))) - 0.5 * self.d * math.log(2 * math.pi)
        return jnp.sum(jnp.exp(log_norm - energy) * self.weights[:, None], axis=0)

    def integrate_box_1d(self, low: Any, high: Any) -> Array:
        """The probability of [low, high], in one dimension."""
        if self.d != 1:
            raise ValueError("integrate_box_1d() only handles 1D pdfs")
        if jnp.ndim(low) or jnp.ndim(high):
            raise ValueError("the limits of integration in integrate_box_1d must be scalars")
        scale = jnp.sqrt(self.covariance[0, 0])
        low, high = [special.ndtr((x - self.dataset[0]) / scale) for x in (low, high)]
        return jnp.sum(self.weights * (high - low))

    def integrate_kde(self, other: "gaussian_kde") -> Array:
        """The integral of the product of two estimates."""
        if other.d != self.d:
            raise ValueError("KDEs are not the same dimensionality")
        values = self._overlap(self.covariance + other.covariance, other.dataset)
        return jnp.sum(values * other.weights)

    def resample(self, key: Any, shape: tuple[int, ...] = ()) -> Array:
        """Random points [d, *shape] from the estimate."""
        choose, move = random.split(key)
        index = random.choice(choose, self.n, shape=shape, p=self.weights)
        factor = jnp.linalg.cholesky(self.covariance)
        noise = random.normal(move, (self.d, math.prod(shape)), self.dataset.dtype)
        return self.dataset[:, index] + jnp.reshape(factor @ noise, (self.d, *shape))

    def integrate_box(self, low_bounds: Any, high_bounds: Any, maxpts: Any = None) -> None:
        """Refused: boxes in several dimensions have no closed form."""
        raise NotImplementedError(
            "only 1D box integrations are supported; use `integrate_box_1d`")

    def set_bandwidth(self, bw_method: Any = None) -> None:
        """Refused: estimates are immutable."""
        raise NotImplementedError(
            "dynamically changing the bandwidth method is not supported")


tree.register_pytree_node_class(gaussian_kde)


def _energies(data: Any, points: Any) -> Any:
    """Half the squared distances [n, k] between the columns of two arrays."""
    gaps = data[:, :, None] - points[:, None, :]
    return 0.5 * jnp.sum(gaps * gaps, axis=0)
