"""Initial values of weights: functions that make functions of (key, shape, dtype).

    init = glorot_uniform()
    w = init(key, (784, 128))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

from minijax import random
from minijax.base import dtypes, errors
from minijax.numpy import creation, linalg, manipulation, ufuncs
from minijax.random.common import placed

Axes = int | Sequence[int]


@runtime_checkable
class Initializer(Protocol):
    """What all functions of this module return: values from a key, a shape and a dtype."""

    def __call__(self, key: Any, shape: Sequence[int], dtype: Any = None,
                 out_sharding: Any = None) -> Any:
        """An array of the given shape (and dtype, if it is not None)."""


def _chosen(dtype: Any, default: Any) -> Any:
    dtype = default if dtype is None else dtype
    return dtypes.scalar_dtype(float) if dtype is None else dtypes.canonicalize_dtype(dtype)


def zeros(key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
    """Zeros; the key is not used."""
    return creation.zeros(shape, _chosen(dtype, None), out_sharding=out_sharding)


def ones(key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
    """Ones; the key is not used."""
    return creation.ones(shape, _chosen(dtype, None), out_sharding=out_sharding)


def _initializer(make: Callable[[Any, tuple[int, ...], Any], Any], default: Any) -> Initializer:
    """The initializer that makes its values by `make(key, shape, dtype)`."""
    def init(key: Any, shape: Sequence[int], dtype: Any = None, out_sharding: Any = None) -> Any:
        values = make(key, creation.shape_tuple(shape), _chosen(dtype, default))
        return placed(values, out_sharding)
    return init


def constant(value: Any, dtype: Any = None) -> Initializer:
    """Arrays filled with (or broadcast from) a value."""
    return _initializer(lambda key, shape, dtype: creation.full(shape, value, dtype), dtype)


def uniform(scale: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Uniform in [0, scale)."""
    return _initializer(lambda key, shape, dtype: _scaled(
        random.uniform(key, shape, dtype), scale, dtype), dtype)


def normal(stddev: Any = 1e-2, dtype: Any = None) -> Initializer:
    """Normal with mean 0."""
    return _initializer(lambda key, shape, dtype: _scaled(
        random.normal(key, shape, dtype), stddev, dtype), dtype)


def truncated_normal(stddev: Any = 1e-2, dtype: Any = None, lower: Any = -2.0,
                     upper: Any = 2.0) -> Initializer:
    """A standard normal cut at `lower` and `upper`, times `stddev`."""
    return _initializer(lambda key, shape, dtype: _scaled(
        random.truncated_normal(key, lower, upper, shape, dtype), stddev, dtype), dtype)


def _scaled(x: Any, scale: Any, dtype: Any) -> Any:
    if isinstance(scale, (int, float)):
        scale = np.asarray(scale).astype(dtype)[()]
    return ufuncs.multiply(x, scale)


# --- Scaled by the number of inputs and outputs ------------------------------------------------


def _axes(axes: Axes) -> list[int]:
    return [axes] if isinstance(axes, int) else list(axes)


def _fans(shape: Sequence[int], in_axis: Axes, out_axis: Axes,
          batch_axis: Axes) -> tuple[float, float]:
    """How many inputs each output has and how many outputs each input."""
    if len(shape) <= 1:
        raise ValueError(errors.describe(
            f"Can't compute input and output sizes of a {len(shape)}-dimensional weights tensor "
            "with default in_axis. Must be at least 2D or specify in_axis explicitly.",
            fix="use normal(stddev) or zeros for vectors"))
    sizes = [math.prod(shape[i] for i in _axes(axes)) for axes in (in_axis, out_axis, batch_axis)]
    receptive = math.prod(shape) / math.prod(sizes)
    return sizes[0] * receptive, sizes[1] * receptive


def variance_scaling(
    scale: Any, mode: Literal["fan_in", "fan_out", "fan_avg", "fan_geo_avg"],
    distribution: Literal["truncated_normal", "normal", "uniform"], in_axis: Axes = -2,
    out_axis: Axes = -1, batch_axis: Axes = (), dtype: Any = None,
) -> Initializer:
    """Mean 0 and variance scale / n, n being the number that `mode` names.

    Axes that are neither in, out nor batch axes are the receptive field and count in both.
    """
    def make(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        fan_in, fan_out = _fans(shape, in_axis, out_axis, batch_axis)
        numbers = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2,
                   "fan_geo_avg": (fan_in * fan_out) ** 0.5}
        if mode not in numbers:
            raise ValueError(errors.describe(
                f"invalid mode for variance scaling initializer: {mode}",
                fix=f"one of {list(numbers)}"))
        return _sample(key, shape, dtype, distribution, scale / numbers[mode])

    return _initializer(make, dtype)


def _sample(key: Any, shape: tuple[int, ...], dtype: Any, distribution: str,
            variance: Any) -> Any:
    """Values with mean 0 and the given variance."""
    if distribution == "normal":
        return _scaled(random.normal(key, shape, dtype), variance ** 0.5, dtype)
    complex_ = dtypes.issubdtype(dtype, np.complexfloating)
    if distribution == "uniform":
        if complex_:
            return _scaled(_complex_uniform(key, shape, dtype), variance ** 0.5, dtype)
        return _scaled(random.uniform(key, shape, dtype, -1), (3 * variance) ** 0.5, dtype)
    if distribution == "truncated_normal":
        if complex_:
            # The factor is the deviation of a complex normal cut at modulus 2.
            scale = variance ** 0.5 / 0.95311164380491208
            return _scaled(_complex_truncated_normal(key, 2, shape, dtype), scale, dtype)
        # Cutting a normal at +-2 makes its deviation smaller by this factor.
        scale = variance ** 0.5 / 0.87962566103423978
        return _scaled(random.truncated_normal(key, -2, 2, shape, dtype), scale, dtype)
    raise ValueError(errors.describe(
        f"invalid distribution for variance scaling initializer: {distribution}",
        fix="'truncated_normal', 'normal' or 'uniform'"))


def _polar(radius_squared: Any, key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Complex numbers of the given squared moduli in random directions."""
    real = np.finfo(dtype).dtype
    angle = ufuncs.multiply(random.uniform(key, shape, real), np.asarray(2 * np.pi, real)[()])
    radius, angle = ufuncs.sqrt(radius_squared).astype(dtype), angle.astype(dtype)
    return ufuncs.multiply(radius, ufuncs.exp(ufuncs.multiply(np.asarray(1j, dtype)[()], angle)))


def _complex_uniform(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Uniform on the unit disk, scaled to variance 1."""
    real = np.finfo(dtype).dtype
    key_r, key_angle = random.split(key)
    squared = ufuncs.multiply(random.uniform(key_r, shape, real), np.asarray(2, real)[()])
    return _polar(squared, key_angle, shape, dtype)


def _complex_truncated_normal(key: Any, upper: float, shape: tuple[int, ...], dtype: Any) -> Any:
    """Complex normal of variance 1 given that its modulus is below `upper`."""
    real = np.finfo(dtype).dtype
    key_r, key_angle = random.split(key)
    mass = np.asarray(1 - math.exp(-upper ** 2), real)[()]
    share = ufuncs.multiply(mass, random.uniform(key_r, shape, real))
    return _polar(ufuncs.negative(ufuncs.log1p(ufuncs.negative(share))), key_angle, shape, dtype)


def glorot_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
                   dtype: Any = None) -> Initializer:
    """Uniform with variance 1 / mean of inputs and outputs (Xavier)."""
    return variance_scaling(1.0, "fan_avg", "uniform", in_axis, out_axis, batch_axis, dtype)


def glorot_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
                  dtype: Any = None) -> Initializer:
    """Truncated normal with variance 1 / mean of inputs and outputs (Xavier)."""
    return variance_scaling(1.0, "fan_avg", "truncated_normal", in_axis, out_axis, batch_axis,
                            dtype)


def lecun_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
                  dtype: Any = None) -> Initializer:
    """Uniform with variance 1 / inputs."""
    return variance_scaling(1.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def lecun_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
                 dtype: Any = None) -> Initializer:
    """Truncated normal with variance 1 / inputs."""
    return variance_scaling(1.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis,
                            dtype)


def he_uniform(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
               dtype: Any = None) -> Initializer:
    """Uniform with variance 2 / inputs (Kaiming)."""
    return variance_scaling(2.0, "fan_in", "uniform", in_axis, out_axis, batch_axis, dtype)


def he_normal(in_axis: Axes = -2, out_axis: Axes = -1, batch_axis: Axes = (),
              dtype: Any = None) -> Initializer:
    """Truncated normal with variance 2 / inputs (Kaiming)."""
    return variance_scaling(2.0, "fan_in", "truncated_normal", in_axis, out_axis, batch_axis,
                            dtype)


# --- Orthogonal --------------------------------------------------------------------------------


def orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Uniform among matrices with orthonormal columns (or rows, if those are fewer).

    `column_axis` is the axis of the columns, all others together are the rows.
    """
    def make(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        if len(shape) < 2:
            raise ValueError(errors.describe(
                "orthogonal initializer requires at least a 2D shape", fix="use normal(stddev)"))
        columns = shape[column_axis]
        others = [n for i, n in enumerate(shape) if i != column_axis % len(shape)]
        rows = math.prod(others)
        q, r = linalg.qr(random.normal(key, (max(rows, columns), min(rows, columns)), dtype))
        # the factors with a positive diagonal are the ones that are uniformly distributed
        q = ufuncs.multiply(q, ufuncs.sign(linalg.diagonal(r))[None])
        q = q.T if rows < columns else q
        q = manipulation.moveaxis(q.reshape(*others, columns), -1, column_axis)
        return _scaled(q, scale, dtype)

    return _initializer(make, dtype)


def delta_orthogonal(scale: Any = 1.0, column_axis: int = -1, dtype: Any = None) -> Initializer:
    """Kernels of convolutions, 0 but for an orthogonal matrix at their centre (Xiao et al., 2018).

    Shapes have 3 to 5 axes, the last two being inputs and outputs, at least as many of these.
    """
    def make(key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        if len(shape) not in (3, 4, 5):
            raise ValueError(errors.describe(
                "Delta orthogonal initializer requires a 3D, 4D or 5D shape",
                fix="pass the shape of a kernel, (*spatial, inputs, outputs)"))
        if shape[-1] < shape[-2]:
            raise ValueError(errors.describe(
                "`fan_in` must be less or equal than `fan_out`.", because=f"the shape is {shape}",
                fix="use orthogonal()"))
        matrix = orthogonal(scale, column_axis, dtype)(key, shape[-2:])
        centre = tuple((n - 1) // 2 for n in shape[:-2])
        return creation.zeros(shape, dtype).at[centre].set(matrix)

    return _initializer(make, dtype)


xavier_uniform, xavier_normal = glorot_uniform, glorot_normal
kaiming_uniform, kaiming_normal = he_uniform, he_normal

__all__ = [
    "Initializer", "constant", "delta_orthogonal", "glorot_normal", "glorot_uniform", "he_normal",
    "he_uniform", "kaiming_normal", "kaiming_uniform", "lecun_normal", "lecun_uniform", "normal",
    "ones", "orthogonal", "truncated_normal", "uniform", "variance_scaling", "xavier_normal",
    "xavier_uniform", "zeros",
]
