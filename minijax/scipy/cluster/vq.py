"""Vector quantization: the nearest of some codes for each observation."""

from __future__ import annotations

from minijax import numpy as jnp
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.lax.rules import ArrayLike
from minijax.numpy import promotion
from minijax.runtime.call import fused

__all__ = ["vq"]


@fused(static_argnames="check_finite")
def vq(obs: ArrayLike, code_book: ArrayLike, check_finite: bool = True) -> tuple[Array, Array]:
    """(index of the nearest code, distance to it) for observations [n, d] and codes [k, d].

    Both may be vectors of numbers.
    """
    obs, codes = [promotion.as_array(x) for x in promotion.promote_inexact(
        promotion.operand("scipy.cluster.vq.vq", obs),
        promotion.operand("scipy.cluster.vq.vq", code_book, 1))]
    if obs.ndim != codes.ndim:
        raise ValueError(errors.describe("Observation and code_book should have the same rank",
                                         because=f"shapes {obs.shape} and {codes.shape}",
                                         fix="pass [n, d] and [k, d]"))
    if obs.ndim == 1:
        obs, codes = obs[:, None], codes[:, None]
    elif obs.ndim != 2:
        raise ValueError("ndim different than 1 or 2 are not supported")
    distances = jnp.linalg.norm(obs[:, None, :] - codes[None], axis=-1)
    return jnp.argmin(distances, axis=-1), jnp.min(distances, axis=-1)
