"""Samplers: arrays of random numbers as functions of a key.

Each public function checks its arguments and calls a jitted body, so an eager call is one dispatch
and a traced one is one equation. All randomness comes from `bits_of(key, ...)`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax import numpy as jnp
from minijax.api.jit import jit
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.core import aval_of
from minijax.random.keys import as_key, bits_of, random_split_p
from minijax.random.threefry import UINT

__all__ = ["bernoulli", "bits", "categorical", "cauchy", "choice", "exponential", "gumbel",
           "laplace", "logistic", "normal", "permutation", "rademacher", "randint",
           "truncated_normal", "uniform"]

Shape = Sequence[int] | int


def canonical_shape(name: str, shape: Any) -> tuple[int, ...]:
    """`shape` as a tuple of ints; TypeError if it is not one, ValueError for negative sizes."""
    if isinstance(shape, (int, np.integer)):
        shape = (shape,)
    try:
        sizes = tuple(map(operator.index, shape))
    except TypeError:
        raise TypeError(errors.describe(
            f"Shapes must be 1D sequences of concrete values of integer type, got {shape}.",
            fix=f"jax.random.{name}(key, (3, 4))")) from None
    if any(n < 0 for n in sizes):
        raise ValueError(errors.describe(
            f"{name} got a negative size in the shape {sizes}", fix="sizes start at 0"))
    return sizes


def _float(name: str, dtype: Any, complex_too: bool = False) -> np.dtype:
    if dtype is None:
        return dtypes.canonicalize_dtype(np.float64)
    dtype = dtypes.check_user_dtype(dtype, name)
    kinds = "float or complex" if complex_too else "float"
    if not (dtypes.issubdtype(dtype, np.floating)
            or (complex_too and dtypes.issubdtype(dtype, np.complexfloating))):
        raise ValueError(errors.describe(
            f"dtype argument to `{name}` must be a {kinds} dtype, got {dtype}",
            fix=f"jax.random.{name}(key, shape, dtype='float32')"))
    return dtype


def _integer(name: str, dtype: Any) -> np.dtype:
    if dtype is None:
        return dtypes.canonicalize_dtype(np.int64)
    dtype = dtypes.check_user_dtype(dtype, name)
    if not dtypes.issubdtype(dtype, np.integer):
        raise TypeError(errors.describe(
            f"{name} only accepts integer dtypes, got {dtype}",
            fix=f"jax.random.{name}(key, shape, ..., dtype='int32')"))
    return dtype


def _static(*names: str) -> Callable[[Callable], Any]:
    return lambda fun: jit(fun, static_argnames=names)


def _two_keys(key: Any) -> tuple[Any, Any]:
    pair = random_split_p.bind(key, shape=(2,))
    return tuple(lax.index_in_dim(pair, i, keepdims=False) for i in range(2))


def _constant(value: Any, dtype: Any) -> Any:
    return np.asarray(value, dtype)[()]


def _scalar_or_ranked(x: Any, dtype: Any, shape: tuple[int, ...]) -> Any:
    """A bound as an array whose rank fits `shape`, with sizes 1 where it is repeated."""
    x = lax.convert_element_type(x, dtype)
    own = aval_of(x).shape
    if not own or len(own) == len(shape):
        return x
    lead = len(shape) - len(own)
    return lax.broadcast_in_dim(x, (1,) * lead + own, tuple(range(lead, len(shape))))


def bits(key: Array, shape: Shape = (), dtype: Any = None) -> Array:
    """Uniform random bits as unsigned integers (default uint32, or uint64 with x64)."""
    dtype = dtypes.canonicalize_dtype(np.uint64 if dtype is None else dtype)
    if not dtypes.issubdtype(dtype, np.unsignedinteger):
        raise ValueError(errors.describe(
            f"dtype argument to `bits` must be an unsigned int dtype, got {dtype}",
            fix="jax.random.bits(key, shape, 'uint32')"))
    key, _ = as_key("bits", key)
    return _bits(key, shape=canonical_shape("bits", shape), dtype=dtype)


@_static("shape", "dtype")
def _bits(key: Any, shape: tuple, dtype: Any) -> Any:
    return bits_of(key, np.iinfo(dtype).bits, shape)


def uniform(key: Array, shape: Shape = (), dtype: Any = None, minval: Any = 0.0,
            maxval: Any = 1.0) -> Array:
    """Uniform floats in [minval, maxval); the bounds broadcast to `shape`."""
    key, _ = as_key("uniform", key)
    return _uniform(key, minval, maxval, shape=canonical_shape("uniform", shape),
                    dtype=_float("uniform", dtype))


def uniform_body(key: Any, minval: Any, maxval: Any, shape: tuple, dtype: Any) -> Any:
    """Random mantissas with the exponent of 1, shifted to [0, 1) and scaled."""
    minval = _scalar_or_ranked(minval, dtype, shape)
    maxval = _scalar_or_ranked(maxval, dtype, shape)
    for bound in (minval, maxval):
        own = aval_of(bound).shape
        if own and np.broadcast_shapes(own, shape) != shape:
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
    mantissa = lax.shift_right_logical(words, _constant(random_width - info.nmant, uint))
    floats = lax.bitcast_convert_type(lax.bitwise_or(mantissa, one.view(uint)[()]), dtype)
    unit = lax.sub(floats, one[()])
    scaled = lax.add(lax.mul(unit, lax.sub(maxval, minval)), minval)
    return lax.max(minval, scaled)


_uniform = jit(uniform_body, static_argnames=("shape", "dtype"))


def _unit(key: Any, shape: tuple, dtype: Any, low: Any = 0.0, high: Any = 1.0) -> Any:
    return uniform_body(key, _constant(low, dtype), _constant(high, dtype), shape, dtype)


def _above_minus_one(dtype: Any) -> Any:
    return np.nextafter(np.array(-1.0, dtype), np.array(0.0, dtype), dtype=dtype)[()]


def normal(key: Array, shape: Shape = (), dtype: Any = None) -> Array:
    """Standard normal floats, or complex numbers of unit variance."""
    key, _ = as_key("normal", key)
    return _normal(key, shape=canonical_shape("normal", shape),
                   dtype=_float("normal", dtype, complex_too=True))


@_static("shape", "dtype")
def _normal(key: Any, shape: tuple, dtype: Any) -> Any:
    if not dtypes.issubdtype(dtype, np.complexfloating):
        return _normal_real(key, shape, dtype)
    part = dtypes.to_real(dtype)
    first, second = _two_keys(key)
    real = lax.convert_element_type(_normal_real(first, shape, part), dtype)
    imag = lax.convert_element_type(_normal_real(second, shape, part), dtype)
    total = lax.add(real, lax.mul(_constant(1j, dtype), imag))
    return lax.div(total, _constant(np.sqrt(2), dtype))


def _normal_real(key: Any, shape: tuple, dtype: Any) -> Any:
    u = _unit(key, shape, dtype, _above_minus_one(dtype), 1.0)
    return lax.mul(_constant(np.sqrt(2), dtype), lax.erf_inv(u))


def truncated_normal(key: Array, lower: Any, upper: Any, shape: Shape | None = None,
                     dtype: Any = None) -> Array:
    """Standard normal floats conditioned on lying in (lower, upper).

    The default shape is that of the bounds broadcast together.
    """
    key, _ = as_key("truncated_normal", key)
    bounds = np.broadcast_shapes(aval_of(lower).shape, aval_of(upper).shape)
    shape = bounds if shape is None else canonical_shape("truncated_normal", shape)
    return _truncated_normal(key, lower, upper, shape=shape,
                             dtype=_float("truncated_normal", dtype))


@_static("shape", "dtype")
def _truncated_normal(key: Any, lower: Any, upper: Any, shape: tuple, dtype: Any) -> Any:
    lower = _scalar_or_ranked(lower, dtype, shape)
    upper = _scalar_or_ranked(upper, dtype, shape)
    root = _constant(np.sqrt(2), dtype)
    u = uniform_body(key, lax.erf(lax.div(lower, root)), lax.erf(lax.div(upper, root)), shape,
                     dtype)
    out = lax.mul(root, lax.erf_inv(u))
    # The ends are excluded: erf_inv of a rounded bound could reach them.
    inside = lax.nextafter(lax.stop_gradient(lower), lax.full_like(lower, np.inf))
    below = lax.nextafter(lax.stop_gradient(upper), lax.full_like(upper, -np.inf))
    return lax.min(below, lax.max(inside, out))


def _float_sampler(name: str, body: Callable[[Any, tuple, Any], Any], doc: str) -> Callable:
    """A sampler with the arguments (key, shape, dtype)."""
    def body_fun(key: Any, shape: tuple, dtype: Any) -> Any:
        return body(key, shape, dtype)
    body_fun.__name__ = f"_{name}"
    compiled = jit(body_fun, static_argnames=("shape", "dtype"))

    def sampler(key: Array, shape: Shape = (), dtype: Any = None) -> Array:
        key, _ = as_key(name, key)
        return compiled(key, shape=canonical_shape(name, shape), dtype=_float(name, dtype))
    sampler.__name__ = sampler.__qualname__ = name
    sampler.__doc__ = doc
    return sampler


def _tiny(dtype: Any) -> Any:
    return dtypes.finfo(dtype).tiny


def _logistic(key: Any, shape: tuple, dtype: Any) -> Any:
    u = _unit(key, shape, dtype, _tiny(dtype))
    return lax.sub(lax.log(u), lax.log1p(lax.neg(u)))


def _laplace(key: Any, shape: tuple, dtype: Any) -> Any:
    u = _unit(key, shape, dtype, _above_minus_one(dtype))
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


def _cauchy(key: Any, shape: tuple, dtype: Any) -> Any:
    u = _unit(key, shape, dtype, dtypes.finfo(dtype).eps)
    return lax.tan(lax.mul(_constant(np.pi, dtype), lax.sub(u, _constant(0.5, dtype))))


exponential = _float_sampler(
    "exponential", lambda key, shape, dtype: lax.neg(lax.log1p(lax.neg(_unit(key, shape, dtype)))),
    "Exponential floats of rate 1.")
laplace = _float_sampler("laplace", _laplace, "Laplace floats of location 0 and scale 1.")
logistic = _float_sampler("logistic", _logistic, "Logistic floats of location 0 and scale 1.")
cauchy = _float_sampler("cauchy", _cauchy, "Cauchy floats of location 0 and scale 1.")


def _check_mode(mode: str | None) -> None:
    if mode not in (None, "low", "high"):
        raise ValueError(errors.describe(
            f"Must provide valid mode for gumbel got {mode!r}", fix="mode='low' or mode='high'"))


def gumbel(key: Array, shape: Shape = (), dtype: Any = None, mode: str | None = None) -> Array:
    """Gumbel floats of location 0 and scale 1; mode "high" resolves the upper tail better."""
    _check_mode(mode)
    key, _ = as_key("gumbel", key)
    return _gumbel(key, shape=canonical_shape("gumbel", shape), dtype=_float("gumbel", dtype),
                   mode=mode or "low")


def gumbel_body(key: Any, shape: tuple, dtype: Any, mode: str) -> Any:
    if mode == "low":
        return lax.neg(lax.log(lax.neg(lax.log(_unit(key, shape, dtype, _tiny(dtype), 1.0)))))
    high, low = _high_and_low(key, shape, dtype)
    info = dtypes.finfo(dtype)
    fine = lax.add(high, lax.mul(_constant(info.eps, dtype), low))
    fine = lax.add(fine, _constant(info.tiny, dtype))
    u = lax.select(lax.ge(high, _constant(0.5, dtype)), high, fine)
    return lax.neg(lax.log(lax.neg(lax.log1p(lax.neg(u)))))


def _high_and_low(key: Any, shape: tuple, dtype: Any) -> tuple[Any, Any]:
    """Two arrays of floats in [0, 1): the leading bits of a number, and those that follow."""
    both = _unit(key, (2, *shape), dtype)
    return tuple(lax.index_in_dim(both, i, keepdims=False) for i in range(2))


_gumbel = jit(gumbel_body, static_argnames=("shape", "dtype", "mode"))


def bernoulli(key: Array, p: Any = 0.5, shape: Shape | None = None, mode: str = "low") -> Array:
    """Booleans that are True with probability `p`; the default shape is that of `p`."""
    if mode not in ("low", "high"):
        raise ValueError(errors.describe(
            f"got mode={mode!r}, expected 'high' or 'low'", fix="mode='low'"))
    key, _ = as_key("bernoulli", key)
    p_aval = aval_of(p)
    if not dtypes.issubdtype(p_aval.dtype, np.floating):
        p = lax.convert_element_type(p, dtypes.canonicalize_dtype(np.float64))
    shape = p_aval.shape if shape is None else canonical_shape("bernoulli", shape)
    return _bernoulli(key, p, shape=shape, mode=mode)


@_static("shape", "mode")
def _bernoulli(key: Any, p: Any, shape: tuple, mode: str) -> Any:
    dtype = aval_of(p).dtype
    p = _scalar_or_ranked(p, dtype, shape)
    if mode == "low":
        return lax.lt(_unit(key, shape, dtype), lax.convert_element_type(p, dtype))
    high, low = _high_and_low(key, shape, dtype)
    return lax.lt(lax.mul(low, _constant(dtypes.finfo(dtype).eps, dtype)), lax.sub(p, high))


def rademacher(key: Array, shape: Shape = (), dtype: Any = None) -> Array:
    """-1 or 1 with equal probability."""
    dtype = _integer("rademacher", dtype) if dtype is None else dtypes.check_user_dtype(
        dtype, "rademacher")
    coin = bernoulli(key, 0.5, canonical_shape("rademacher", shape))
    coin = lax.convert_element_type(coin, dtype)
    return lax.sub(lax.mul(_constant(2, dtype), coin), _constant(1, dtype))


# --- Integers ----------------------------------------------------------------------------------


def randint(key: Array, shape: Shape, minval: Any, maxval: Any, dtype: Any = None) -> Array:
    """Uniform integers in [minval, maxval); minval where the range is empty.

    Bounds beyond the dtype are clipped to it; a maxval above its largest value includes that one.
    """
    dtype = _integer("randint", dtype)
    for bound in (minval, maxval):
        if not dtypes.issubdtype(aval_of(_narrow(bound)).dtype, np.integer):
            raise TypeError(errors.describe(
                "randint only accepts integer dtypes, got bounds of types "
                f"{aval_of(_narrow(minval)).dtype} and {aval_of(_narrow(maxval)).dtype}",
                fix="pass integer bounds"))
    key, _ = as_key("randint", key)
    shape = canonical_shape("randint", shape)
    info = dtypes.iinfo(dtype)
    if info.bits < 32:  # narrow integers are drawn as wider ones, so that maxval may be max + 1
        wide = np.dtype(np.int32)
        low = _clip_bound(minval, int(info.min), int(info.max), wide)
        high = _clip_bound(maxval, int(info.min), int(info.max) + 1, wide)
        out = _randint(key, low, high, shape=shape, dtype=wide, includes_largest=False)
        return lax.convert_element_type(out, dtype)
    includes_largest = isinstance(maxval, int) and maxval > info.max
    low, high = (_clip_bound(b, int(info.min), int(info.max)) for b in (minval, maxval))
    return _randint(key, low, high, shape=shape, dtype=dtype, includes_largest=includes_largest)


def _narrow(bound: Any) -> Any:
    return 0 if type(bound) is int else bound


def _clip_bound(bound: Any, low: int, high: int, dtype: Any = None) -> Any:
    """A bound within [low, high]; of `dtype` if given, else as it came."""
    if type(bound) is int:
        return min(max(bound, low), high)
    if dtype is None:
        return bound
    own = dtypes.iinfo(aval_of(bound).dtype)
    clipped = jnp.clip(bound, max(low, int(own.min)), min(high, int(own.max)))
    return lax.convert_element_type(clipped, dtype)


@_static("shape", "dtype", "includes_largest")
def _randint(key: Any, minval: Any, maxval: Any, shape: tuple, dtype: Any,
             includes_largest: bool) -> Any:
    info = dtypes.iinfo(dtype)
    if not includes_largest:
        given = aval_of(maxval)
        includes_largest = (lax.gt(maxval, _constant(info.max, given.dtype))
                            if dtypes.iinfo(given.dtype).max > info.max else False)
    minval = _scalar_or_ranked(_into_range(minval, info, dtype), dtype, shape)
    maxval = _scalar_or_ranked(_into_range(maxval, info, dtype), dtype, shape)
    uint = UINT[info.bits]
    first, second = _two_keys(key)
    higher, lower = bits_of(first, info.bits, shape), bits_of(second, info.bits, shape)
    span = lax.convert_element_type(lax.sub(maxval, minval), uint)
    one = lax.full_like(span, 1)
    span = lax.select(lax.le(maxval, minval), one, span)
    if includes_largest is not False:
        more = lax.gt(maxval, minval)
        if includes_largest is not True:
            more = lax.bitwise_and(more, includes_largest)
        span = lax.select(lax.broadcast_in_dim(more, aval_of(span).shape, tuple(
            range(aval_of(more).ndim))), lax.add(span, one), span)
    # 2**bits modulo span, from half of the bits at a time, joins the two words.
    half = lax.rem(lax.full_like(span, 2 ** (info.bits // 2)), span)
    multiplier = lax.rem(lax.mul(half, half), span)
    offset = lax.add(lax.mul(lax.rem(higher, span), multiplier), lax.rem(lower, span))
    return lax.add(minval, lax.convert_element_type(lax.rem(offset, span), dtype))


def _into_range(bound: Any, info: Any, dtype: Any) -> Any:
    given = aval_of(bound).dtype
    own = dtypes.iinfo(given)
    if own.max > info.max:
        bound = lax.min(bound, _constant(info.max, given))
    if own.min < info.min:
        bound = lax.max(bound, _constant(info.min, given))
    return lax.convert_element_type(bound, dtype)


# --- Choices -----------------------------------------------------------------------------------


def permutation(key: Array, x: int | Array, axis: int = 0, independent: bool = False) -> Array:
    """`x` (or range(x)) in a random order along `axis`.

    With `independent`, each vector along the axis is shuffled on its own.
    """
    key, _ = as_key("permutation", key)
    aval = aval_of(x)
    if not aval.ndim:
        if not dtypes.issubdtype(aval.dtype, np.integer):
            raise TypeError(errors.describe("x must be an integer or at least 1-dimensional",
                                            fix="jax.random.permutation(key, 10)"))
        return _shuffle(key, lax.iota(dtypes.canonicalize_dtype(np.int64), operator.index(x)),
                        axis=0)
    axis = operator.index(axis)
    if not -aval.ndim <= axis < aval.ndim:
        raise ValueError(errors.describe(
            f"axis {axis} is out of bounds for array of dimension {aval.ndim}",
            fix=f"choose an axis from {-aval.ndim} to {aval.ndim - 1}"))
    axis %= aval.ndim
    if independent or aval.ndim == 1:
        return _shuffle(key, x, axis=axis)
    order = _shuffle(key, lax.iota(dtypes.canonicalize_dtype(np.int64), aval.shape[axis]), axis=0)
    return jnp.take(x, order, axis=axis, unique_indices=True)


@_static("axis")
def _shuffle(key: Any, x: Any, axis: int) -> Any:
    """Sort by random keys, so often that ties among 32-bit keys do not matter."""
    exponent = 3
    x = jnp.asarray(x)
    rounds = math.ceil(exponent * math.log(max(1, x.size)) / math.log(2 ** 32 - 1))
    for _ in range(rounds):
        key, subkey = _two_keys(key)
        order = bits_of(subkey, 32, x.shape)
        _, x = lax.sort_key_val(order, x, dimension=axis)
    return x


def categorical(key: Array, logits: Any, axis: int = -1, shape: Shape | None = None,
                replace: bool = True, mode: str | None = None) -> Array:
    """Indices along `axis` with probabilities softmax(logits).

    shape: the shape of the result, of which the batch shape of logits is a suffix (default).
    Without replacement the draws along the leading axes of `shape` are distinct.
    """
    key, _ = as_key("categorical", key)
    logits = jnp.asarray(logits)
    _check_mode(mode)
    if not -logits.ndim <= axis < logits.ndim:
        raise ValueError(errors.describe(
            f"axis {axis} is out of bounds for array of dimension {logits.ndim}",
            fix="logits need at least one axis"))
    axis = axis % logits.ndim - logits.ndim
    rest = logits.shape[:axis] + logits.shape[logits.ndim + axis + 1:]
    shape = rest if shape is None else canonical_shape("categorical", shape)
    lead = shape[:len(shape) - len(rest)]
    if shape[len(lead):] != rest:
        raise ValueError(errors.describe(
            f"Shape passed to categorical (got {shape}) must end with the batch shape {rest} of "
            "the logits", fix=f"shape=(n, *{rest})"))
    if not dtypes.issubdtype(logits.dtype, np.floating):
        logits = lax.convert_element_type(logits, dtypes.canonicalize_dtype(np.float64))
    return _categorical(key, logits, axis=axis, lead=lead, replace=replace, mode=mode or "low")


@_static("axis", "lead", "replace", "mode")
def _categorical(key: Any, logits: Any, axis: int, lead: tuple, replace: bool, mode: str) -> Any:
    if replace:
        full = (*lead, *logits.shape)
        noise = gumbel_body(key, full, logits.dtype, mode)
        logits = lax.broadcast_in_dim(logits, full, tuple(range(len(lead), len(full))))
        return jnp.argmax(lax.add(noise, logits), axis=axis)
    count = math.prod(lead)
    size = logits.shape[axis]
    if count > size:
        raise ValueError(errors.describe(
            f"Number of samples without replacement ({count}) cannot exceed number of categories "
            f"({size}).", fix="draw fewer, or replace=True"))
    noisy = lax.add(logits, gumbel_body(key, logits.shape, logits.dtype, mode))
    _, chosen = lax.top_k(jnp.moveaxis(noisy, axis, -1), count)
    chosen = jnp.moveaxis(chosen, -1, 0)
    return lax.reshape(chosen, (*lead, *chosen.shape[1:]))


def choice(key: Array, a: int | Array, shape: Shape = (), replace: bool = True, p: Any = None,
           axis: int = 0, mode: str | None = None) -> Array:
    """Random elements of `a` (or of range(a)) along `axis`, with probabilities `p`."""
    typed, _ = as_key("choice", key)
    shape = canonical_shape("choice", shape)
    count = math.prod(shape)
    a_aval = aval_of(a)
    size = operator.index(a) if not a_aval.ndim else a_aval.shape[axis]
    if size <= 0:
        raise ValueError(errors.describe("a must be greater than 0 unless no samples are taken",
                                         fix="choose from at least one element"))
    if not replace and count > size:
        raise ValueError(errors.describe(
            f"Cannot take a larger sample (size {count}) than population (size {size}) when "
            "'replace=False'", fix="draw fewer, or replace=True"))
    if p is None:
        if not replace:
            shuffled = permutation(typed, a, axis)
            picked = lax.slice_in_dim(shuffled, 0, count, axis=axis)
        else:
            picked = _take(a, randint(typed, shape, 0, size), axis)
    else:
        picked = _take(a, _weighted(typed, jnp.asarray(p), size, count, shape, replace, mode), axis)
    if not a_aval.ndim:
        return lax.reshape(picked, shape)
    axis %= a_aval.ndim
    return lax.reshape(picked, (*a_aval.shape[:axis], *shape, *a_aval.shape[axis + 1:]))


def _take(a: Any, indices: Any, axis: int) -> Any:
    return indices if not aval_of(a).ndim else jnp.take(a, indices, axis=axis)


def _weighted(key: Any, p: Any, size: int, count: int, shape: tuple, replace: bool,
              mode: str | None) -> Any:
    if p.shape != (size,):
        raise ValueError(errors.describe(
            f"p must be None or a 1D vector with the same size as a.shape[axis]. p has shape "
            f"{p.shape} and a.shape[axis] is {size}.", fix="give one probability per element"))
    if not replace:
        noisy = lax.add(gumbel(key, (size,), p.dtype, mode), lax.log(p))
        return lax.top_k(noisy, count)[1]
    cumulative = jnp.cumsum(p)
    total = cumulative[-1]
    r = lax.mul(total, lax.sub(_constant(1, p.dtype), uniform(key, shape, p.dtype)))
    return jnp.searchsorted(cumulative, r)
