"""Samplers that transform uniform floats directly: uniform, normal, exponential and their kin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.jit import jit
from minijax.base import dtypes, errors
from minijax.base.config import config
from minijax.base.jaxlib import Array
from minijax.core import aval_of
from minijax.lax.rules import ArrayLike
from minijax.random.common import (
    Shape, aligned, body, canonical_shape, constant, draw, float_dtype, integer_dtype, placed,
    result_shape, split_keys)
from minijax.random.keys import as_key, bits_of
from minijax.random.threefry import UINT


def bits(key: Array, shape: Shape = (), dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Uniform random bits as unsigned integers (default uint32, or uint64 with x64)."""
    dtype = dtypes.default_uint() if dtype is None else dtypes.check_user_dtype(dtype, "bits")
    if not dtypes.issubdtype(dtype, np.unsignedinteger):
        raise ValueError(errors.describe(
            f"dtype argument to `bits` must be an unsigned int dtype, got {dtype}",
            fix="jax.random.bits(key, shape, 'uint32')"))
    key, _ = as_key("bits", key)
    return placed(_bits(key, shape=canonical_shape("bits", shape), dtype=dtype), out_sharding)


def _bits_body(key: Any, shape: tuple, dtype: Any) -> Any:
    return bits_of(key, np.iinfo(dtype).bits, shape)


_bits = jit(_bits_body, static_argnames=("shape", "dtype"), inline=True)


def uniform(key: Array, shape: Shape = (), dtype: Any = None, minval: ArrayLike = 0.0,
            maxval: ArrayLike = 1.0, *, out_sharding: Any = None) -> Array:
    """Uniform floats in [minval, maxval); the bounds broadcast to `shape`."""
    key, _ = as_key("uniform", key)
    dtype = float_dtype("uniform", dtype)
    out = _uniform(key, minval, maxval, shape=canonical_shape("uniform", shape), dtype=dtype)
    return placed(out, out_sharding)


def uniform_body(key: Any, minval: Any, maxval: Any, shape: tuple, dtype: Any) -> Any:
    """Random mantissas with the exponent of 1, shifted to [0, 1) and scaled."""
    minval = aligned(minval, dtype, shape)
    maxval = aligned(maxval, dtype, shape)
    for bound in (minval, maxval):
        own = aval_of(bound).shape
        # Beside the shape (), bounds of one element give the result their own shape.
        if own and lax.broadcast_shapes(own, shape) != shape and (shape or set(own) != {1}):
            raise ValueError(errors.describe(
                f"uniform got bounds of shape {own}, which do not broadcast to shape {shape}",
                fix="give a shape that the bounds broadcast to"))
    info = dtypes.finfo(dtype)
    width, uint = info.bits, UINT[info.bits]
    random_width = 8 if info.nmant < 8 else width
    words = bits_of(key, random_width, shape)
    if random_width != width:
        words = lax.convert_element_type(words, uint)
    one = np.array(1.0, dtype)
    mantissa = lax.shift_right_logical(words, constant(random_width - info.nmant, uint))
    floats = lax.bitcast_convert_type(lax.bitwise_or(mantissa, one.view(uint)[()]), dtype)
    unit = lax.sub(floats, one[()])
    scaled = lax.add(lax.mul(unit, lax.sub(maxval, minval)), minval)
    return lax.max(minval, scaled)


_uniform = jit(uniform_body, static_argnames=("shape", "dtype"))


def unit(key: Any, shape: tuple, dtype: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
    """Uniform floats between two numbers; for use in bodies."""
    return uniform_body(key, constant(low, dtype), constant(high, dtype), shape, dtype)


def _above_minus_one(dtype: Any) -> Any:
    return np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype), dtype=dtype)[()]


def normal(key: Array, shape: Shape = (), dtype: Any = None, *,
           out_sharding: Any = None) -> Array:
    """Standard normal floats, or complex numbers of unit variance."""
    key, _ = as_key("normal", key)
    dtype = float_dtype("normal", dtype, complex_too=True)
    return placed(_normal(key, shape=canonical_shape("normal", shape), dtype=dtype), out_sharding)


def normal_body(key: Any, shape: tuple, dtype: Any) -> Any:
    """Standard normal numbers: the inverse of the distribution function, at uniform floats."""
    if not dtypes.issubdtype(dtype, np.complexfloating):
        return _normal_real(key, shape, dtype)
    part = dtypes.to_real(dtype)
    first, second = split_keys(key)
    real = lax.convert_element_type(_normal_real(first, shape, part), dtype)
    imag = lax.convert_element_type(_normal_real(second, shape, part), dtype)
    total = lax.add(real, lax.mul(constant(1j, dtype), imag))
    return lax.div(total, constant(np.sqrt(2), dtype))


def _normal_real(key: Any, shape: tuple, dtype: Any) -> Any:
    u = unit(key, shape, dtype, _above_minus_one(dtype), 1.0)
    return lax.mul(constant(np.sqrt(2), dtype), lax.erf_inv(u))


_normal = jit(normal_body, static_argnames=("shape", "dtype"))


def truncated_normal(key: Array, lower: ArrayLike, upper: ArrayLike, shape: Shape | None = None,
                     dtype: Any = None, *, out_sharding: Any = None) -> Array:
    """Standard normal floats conditioned on lying in (lower, upper).

    The default shape is that of the bounds broadcast together.
    """
    return draw("truncated_normal", _truncated_normal, key, (lower, upper), shape, dtype,
                out_sharding)


@body()
def _truncated_normal(key: Any, lower: Any, upper: Any, shape: tuple, dtype: Any) -> Any:
    lower, upper = aligned(lower, dtype, shape), aligned(upper, dtype, shape)
    root = constant(np.sqrt(2), dtype)
    u = uniform_body(key, lax.erf(lax.div(lower, root)), lax.erf(lax.div(upper, root)), shape,
                     dtype)
    out = lax.mul(root, lax.erf_inv(u))
    # The ends are excluded: erf_inv of a rounded bound could reach them.
    inside = lax.nextafter(lax.stop_gradient(lower), lax.full_like(lower, np.inf))
    below = lax.nextafter(lax.stop_gradient(upper), lax.full_like(upper, -np.inf))
    return lax.min(below, lax.max(inside, out))


# --- Inverses of distribution functions --------------------------------------------------------


def _standard(name: str, body_fun: Callable[[Any, tuple, Any], Any], doc: str) -> Callable:
    """A sampler with the arguments (key, shape, dtype)."""
    def run(key: Any, shape: tuple, dtype: Any) -> Any:
        return body_fun(key, shape, dtype)

    run.__name__ = f"_{name}"
    compiled = jit(run, static_argnames=("shape", "dtype"))

    def sampler(key: Array, shape: Shape = (), dtype: Any = None, *,
                out_sharding: Any = None) -> Array:
        return draw(name, compiled, key, (), () if shape is None else shape, dtype, out_sharding)

    sampler.__name__ = sampler.__qualname__ = name
    sampler.__doc__ = doc
    return sampler


def _tiny(dtype: Any) -> Any:
    return dtypes.finfo(dtype).tiny


def exponential_body(key: Any, shape: tuple, dtype: Any) -> Any:
    """-log(1 - u)."""
    return lax.neg(lax.log1p(lax.neg(unit(key, shape, dtype))))


def _logistic(key: Any, shape: tuple, dtype: Any) -> Any:
    u = unit(key, shape, dtype, _tiny(dtype))
    return lax.sub(lax.log(u), lax.log1p(lax.neg(u)))


def _laplace(key: Any, shape: tuple, dtype: Any) -> Any:
    u = unit(key, shape, dtype, _above_minus_one(dtype))
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


def _cauchy(key: Any, shape: tuple, dtype: Any) -> Any:
    u = unit(key, shape, dtype, dtypes.finfo(dtype).eps)
    return lax.tan(lax.mul(constant(np.pi, dtype), lax.sub(u, constant(0.5, dtype))))


def maxwell_body(key: Any, shape: tuple, dtype: Any) -> Any:
    """The length of a vector of three normal floats."""
    x = normal_body(key, (*shape, 3), dtype)
    return lax.sqrt(lax.reduce_sum(lax.mul(x, x), (len(shape),)))


exponential = _standard("exponential", exponential_body, "Exponential floats of rate 1.")
laplace = _standard("laplace", _laplace, "Laplace floats of location 0 and scale 1.")
logistic = _standard("logistic", _logistic, "Logistic floats of location 0 and scale 1.")
cauchy = _standard("cauchy", _cauchy, "Cauchy floats of location 0 and scale 1.")
maxwell = _standard("maxwell", maxwell_body,
                    "Maxwell floats of scale 1: x**2 * exp(-x**2 / 2), up to a constant.")


def gumbel_mode(mode: str | None) -> str:
    """The mode of `gumbel`, "low" by default."""
    if mode is None:
        return "high" if config.jax_high_dynamic_range_gumbel else "low"
    if mode not in ("low", "high"):
        raise ValueError(errors.describe(f"Must provide valid mode for gumbel got: {mode}",
                                         fix="mode='low' or mode='high'"))
    return mode


def gumbel(key: Array, shape: Shape = (), dtype: Any = None, mode: str | None = None, *,
           out_sharding: Any = None) -> Array:
    """Gumbel floats of location 0 and scale 1; mode "high" resolves the upper tail better."""
    key, _ = as_key("gumbel", key)
    dtype = float_dtype("gumbel", dtype)
    out = _gumbel(key, shape=canonical_shape("gumbel", shape), dtype=dtype, mode=gumbel_mode(mode))
    return placed(out, out_sharding)


def gumbel_body(key: Any, shape: tuple, dtype: Any, mode: str) -> Any:
    """-log(-log(u)), or with twice the bits where u is close to 1."""
    if mode == "low":
        return lax.neg(lax.log(lax.neg(lax.log(unit(key, shape, dtype, _tiny(dtype), 1.0)))))
    high, low = _high_and_low(key, shape, dtype)
    info = dtypes.finfo(dtype)
    fine = lax.add(high, lax.mul(constant(info.eps, dtype), low))
    fine = lax.add(fine, constant(info.tiny, dtype))
    u = lax.select(lax.ge(high, constant(0.5, dtype)), high, fine)
    return lax.neg(lax.log(lax.neg(lax.log1p(lax.neg(u)))))


def _high_and_low(key: Any, shape: tuple, dtype: Any) -> tuple[Any, Any]:
    """Two arrays of floats in [0, 1): the leading bits of a number, and those that follow."""
    both = unit(key, (2, *shape), dtype)
    return tuple(lax.index_in_dim(both, i, keepdims=False) for i in range(2))


_gumbel = jit(gumbel_body, static_argnames=("shape", "dtype", "mode"))

# --- Coins -------------------------------------------------------------------------------------


def bernoulli(key: Array, p: ArrayLike = 0.5, shape: Shape | None = None, mode: str = "low", *,
              out_sharding: Any = None) -> Array:
    """Booleans that are True with probability `p`; mode "high" resolves small `p` better."""
    if mode not in ("low", "high"):
        raise ValueError(errors.describe(
            f"got mode={mode!r}, expected 'high' or 'low'", fix="mode='low'"))
    key, _ = as_key("bernoulli", key)
    given = aval_of(p)
    if not dtypes.issubdtype(given.dtype, np.floating):
        raise TypeError(errors.describe(
            f"bernoulli probability `p` must have a floating dtype, got {given.dtype}.",
            fix="jax.random.bernoulli(key, 0.5)"))
    shape = result_shape("bernoulli", shape, given.shape)
    return placed(_bernoulli(key, p, shape=shape, mode=mode), out_sharding)


@body("shape", "mode")
def _bernoulli(key: Any, p: Any, shape: tuple, mode: str) -> Any:
    dtype = aval_of(p).dtype
    p = aligned(p, dtype, shape)
    if mode == "low":
        return lax.lt(unit(key, shape, dtype), p)
    high, low = _high_and_low(key, shape, dtype)
    return lax.lt(lax.mul(low, constant(dtypes.finfo(dtype).eps, dtype)), lax.sub(p, high))


def rademacher(key: Array, shape: Shape = (), dtype: Any = None, *,
               out_sharding: Any = None) -> Array:
    """-1 or 1 with equal probability."""
    key, _ = as_key("rademacher", key)
    dtype = integer_dtype("rademacher", None) if dtype is None else dtypes.check_user_dtype(
        dtype, "rademacher")
    out = _rademacher(key, shape=canonical_shape("rademacher", shape), dtype=dtype)
    return placed(out, out_sharding)


def rademacher_body(key: Any, shape: tuple, dtype: Any) -> Any:
    """2 * coin - 1."""
    coin = lax.lt(unit(key, shape, dtypes.default_float()), constant(0.5, dtypes.default_float()))
    if dtype == np.bool_:  # both numbers are True
        return lax.full(shape, True)
    coin = lax.convert_element_type(coin, dtype)
    return lax.sub(lax.mul(constant(2, dtype), coin), constant(1, dtype))


_rademacher = jit(rademacher_body, static_argnames=("shape", "dtype"))


def geometric(key: Array, p: ArrayLike, shape: Shape | None = None, dtype: Any = None, *,
              out_sharding: Any = None) -> Array:
    """How many tosses of a coin of probability `p` until the first True (1, 2, ...)."""
    key, _ = as_key("geometric", key)
    dtype = integer_dtype("geometric", dtype, ValueError,
                          "dtype argument to `{name}` must be an int dtype, got {dtype}")
    shape = result_shape("geometric", shape, aval_of(p).shape)
    return placed(_geometric(key, p, shape=shape, dtype=dtype), out_sharding)


@body()
def _geometric(key: Any, p: Any, shape: tuple, dtype: Any) -> Any:
    real = dtypes.to_inexact(aval_of(p).dtype)
    p = aligned(p, real, shape)
    u = unit(key, shape, real)
    u = lax.select(lax.eq(u, constant(0, real)), lax.full_like(u, 1), u)
    tosses = lax.floor(lax.div(lax.log(u), lax.log1p(lax.neg(p))))
    return lax.convert_element_type(lax.add(tosses, constant(1, real)), dtype)
