"""Layers as pairs of functions.

    init, apply = stax.serial(stax.Dense(128), stax.Relu, stax.Dense(10), stax.LogSoftmax)
    out_shape, params = init(jax.random.key(0), (-1, 784))
    y = apply(params, x)

`init(rng, input_shape)` gives (output_shape, params), `apply(params, inputs, **kwargs)` the
outputs; a size of -1 stands for any, and a keyword `rng` is split among the layers.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax, random
from minijax import numpy as jnp
from minijax.api.misc import ShapeDtypeStruct, eval_shape
from minijax.nn import (elu, gelu, leaky_relu, log_softmax, relu, selu, sigmoid, softmax, softplus,
                        standardize)
from minijax.nn.initializers import glorot_normal, normal, ones, zeros

Shape = tuple[int, ...]
Layer = tuple[Callable[..., tuple[Shape, Any]], Callable[..., Any]]

randn, glorot, logsoftmax = normal, glorot_normal, log_softmax


def _resulting(fun: Callable[..., Any], *shapes: Shape) -> Shape:
    """The output shape of `fun`; sizes of -1 in the first argument stay in their places."""
    known = [ShapeDtypeStruct([1 if s == -1 else s for s in shape], np.float32)
             for shape in shapes]
    out = eval_shape(fun, *known).shape
    return tuple(-1 if i < len(shapes[0]) and shapes[0][i] == -1 else s for i, s in enumerate(out))


# --- Layers with parameters ---------------------------------------------------------------------


def Dense(out_dim: int, W_init: Callable = glorot_normal(),  # noqa: B008
          b_init: Callable = normal()) -> Layer:  # noqa: B008
    """x @ W + b."""
    def init_fun(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        for_w, for_b = random.split(rng)
        params = W_init(for_w, (input_shape[-1], out_dim)), b_init(for_b, (out_dim,))
        return (*input_shape[:-1], out_dim), params

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return jnp.dot(inputs, params[0]) + params[1]
    return init_fun, apply_fun


def _convolution(operation: Callable, dimension_numbers: tuple[str, str, str], out_chan: int,
                 filter_shape: Sequence[int], strides: Sequence[int] | None, padding: Any,
                 W_init: Callable | None, b_init: Callable) -> Layer:
    lhs, rhs, out = dimension_numbers
    strides = strides or (1,) * len(filter_shape)
    make_w = W_init or glorot_normal(rhs.index("I"), rhs.index("O"))

    def convolve(inputs: Any, weights: Any) -> Any:
        return operation(inputs, weights, strides, padding, dimension_numbers=dimension_numbers)

    def init_fun(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        spatial = iter(filter_shape)
        channels = {"O": out_chan, "I": input_shape[lhs.index("C")]}
        shape = tuple(channels[c] if c in channels else next(spatial) for c in rhs)
        for_w, for_b = random.split(rng)
        bias = b_init(for_b, tuple(out_chan if c == "C" else 1 for c in out))
        return _resulting(convolve, input_shape, shape), (make_w(for_w, shape), bias)

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        return convolve(inputs, params[0]) + params[1]
    return init_fun, apply_fun


def GeneralConv(dimension_numbers: tuple[str, str, str], out_chan: int,
                filter_shape: Sequence[int], strides: Sequence[int] | None = None,
                padding: Any = "VALID", W_init: Callable | None = None,
                b_init: Callable = normal(1e-6)) -> Layer:  # noqa: B008
    """A convolution and a bias per channel; axes are named as in ("NHWC", "HWIO", "NHWC")."""
    return _convolution(lax.conv_general_dilated, dimension_numbers, out_chan, filter_shape,
                        strides, padding, W_init, b_init)


def GeneralConvTranspose(dimension_numbers: tuple[str, str, str], out_chan: int,
                         filter_shape: Sequence[int], strides: Sequence[int] | None = None,
                         padding: Any = "VALID", W_init: Callable | None = None,
                         b_init: Callable = normal(1e-6)) -> Layer:  # noqa: B008
    """A transposed convolution and a bias per channel."""
    return _convolution(lax.conv_transpose, dimension_numbers, out_chan, filter_shape, strides,
                        padding, W_init, b_init)


Conv = functools.partial(GeneralConv, ("NHWC", "HWIO", "NHWC"))
ConvTranspose = functools.partial(GeneralConvTranspose, ("NHWC", "HWIO", "NHWC"))
Conv1DTranspose = functools.partial(GeneralConvTranspose, ("NHC", "HIO", "NHC"))


def BatchNorm(axis: int | Sequence[int] = (0, 1, 2), epsilon: float = 1e-5, center: bool = True,
              scale: bool = True, beta_init: Callable = zeros,
              gamma_init: Callable = ones) -> Layer:
    """Mean 0 and variance 1 over `axis`, then times gamma plus beta for each other index."""
    axes = (axis,) if isinstance(axis, int) else tuple(axis)

    def init_fun(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        shape = tuple(s for i, s in enumerate(input_shape) if i not in axes)
        for_beta, for_gamma = random.split(rng)
        beta = beta_init(for_beta, shape) if center else ()
        gamma = gamma_init(for_gamma, shape) if scale else ()
        return input_shape, (beta, gamma)

    def apply_fun(params: Any, x: Any, **kwargs: Any) -> Any:
        index = tuple(None if i in axes else slice(None) for i in range(jnp.ndim(x)))
        out = standardize(x, axes, epsilon=epsilon)
        out = out * params[1][index] if scale else out
        return out + params[0][index] if center else out
    return init_fun, apply_fun


# --- Layers without parameters ------------------------------------------------------------------


def elementwise(fun: Callable[..., Any], **fun_kwargs: Any) -> Layer:
    """A function that works element by element, as a layer."""
    return (lambda rng, input_shape: (input_shape, ()),
            lambda params, inputs, **kwargs: fun(inputs, **fun_kwargs))


Tanh, Relu, Exp = elementwise(jnp.tanh), elementwise(relu), elementwise(jnp.exp)
LogSoftmax = elementwise(log_softmax, axis=-1)
Softmax = elementwise(softmax, axis=-1)
Softplus, Sigmoid, Elu = elementwise(softplus), elementwise(sigmoid), elementwise(elu)
LeakyRelu, Selu, Gelu = elementwise(leaky_relu), elementwise(selu), elementwise(gelu)
Identity = elementwise(lambda x: x)


def _pooling(reducer: Callable, start: float, mean: bool = False) -> Callable[..., Layer]:
    def pooling_layer(window_shape: Sequence[int], strides: Sequence[int] | None = None,
                      padding: str = "VALID", spec: str | None = None) -> Layer:
        """Windows over the spatial axes; `spec` names the axes, "NHWC" by default."""
        batch, channel = (0, len(window_shape) + 1) if spec is None else (
            spec.index("N"), spec.index("C"))

        def with_ones(sizes: Sequence[int]) -> Shape:
            sizes = list(sizes)
            for axis in sorted((batch, channel)):
                sizes.insert(axis, 1)
            return tuple(sizes)

        window = with_ones(window_shape)
        steps = with_ones(strides or (1,) * len(window_shape))

        def pool(inputs: Any) -> Any:
            out = lax.reduce_window(inputs, start, reducer, window, steps, padding)
            if not mean:
                return out
            whole = jnp.ones([1 if i in (batch, channel) else s
                              for i, s in enumerate(inputs.shape)], inputs.dtype)
            return out / lax.reduce_window(whole, 0.0, lax.add, window, steps, padding)

        return (lambda rng, input_shape: (_resulting(pool, input_shape), ()),
                lambda params, inputs, **kwargs: pool(inputs))
    return pooling_layer


MaxPool = _pooling(lax.max, -math.inf)
SumPool = _pooling(lax.add, 0.0)
AvgPool = _pooling(lax.add, 0.0, mean=True)


def _flatten_shape(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
    return (input_shape[0], math.prod(input_shape[1:])), ()


Flatten = (_flatten_shape,
           lambda params, inputs, **kwargs: jnp.reshape(inputs, (inputs.shape[0], -1)))


def Dropout(rate: float, mode: str = "train") -> Layer:
    """In mode "train", keep each element with probability `rate`, divided by it."""
    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        rng = kwargs.get("rng")
        if rng is None:
            raise ValueError("Dropout layer requires apply_fun to be called with a PRNG key: "
                             "apply_fun(params, inputs, rng=key)")
        if mode != "train":
            return inputs
        return jnp.where(random.bernoulli(rng, rate, inputs.shape), inputs / rate, 0)
    return (lambda rng, input_shape: (input_shape, ())), apply_fun


# --- Several layers -----------------------------------------------------------------------------


def FanOut(num: int) -> Layer:
    """The input, `num` times."""
    return (lambda rng, input_shape: ([input_shape] * num, ()),
            lambda params, inputs, **kwargs: [inputs] * num)


FanInSum = (lambda rng, input_shape: (input_shape[0], ()),
            lambda params, inputs, **kwargs: functools.reduce(operator.add, inputs))


def FanInConcat(axis: int = -1) -> Layer:
    """All inputs, joined along an axis."""
    def init_fun(rng: Any, input_shape: Sequence[Shape]) -> tuple[Shape, Any]:
        joined = list(input_shape[0])
        joined[axis] = sum(shape[axis] for shape in input_shape)
        return tuple(joined), ()
    return init_fun, lambda params, inputs, **kwargs: jnp.concatenate(inputs, axis)


def _rngs(kwargs: dict, count: int) -> list[dict]:
    """The keywords for each of several layers: a share of the random key, and all others."""
    others = {name: value for name, value in kwargs.items() if name != "rng"}
    rng = kwargs.get("rng")
    keys = [None] * count if rng is None else random.split(rng, count)
    return [{**others, "rng": key} for key in keys]


def serial(*layers: Layer) -> Layer:
    """One layer after the other."""
    def init_fun(rng: Any, input_shape: Shape) -> tuple[Shape, Any]:
        params = []
        for init, _ in layers:
            rng, mine = random.split(rng)
            input_shape, param = init(mine, input_shape)
            params.append(param)
        return input_shape, params

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> Any:
        for (_, apply), param, keywords in zip(layers, params, _rngs(kwargs, len(layers))):
            inputs = apply(param, inputs, **keywords)
        return inputs
    return init_fun, apply_fun


def parallel(*layers: Layer) -> Layer:
    """Layers side by side: each has an input and an output of its own."""
    def init_fun(rng: Any, input_shape: Sequence[Shape]) -> tuple[list, tuple]:
        keys = random.split(rng, len(layers))
        made = [init(key, shape) for (init, _), key, shape in zip(layers, keys, input_shape)]
        return [shape for shape, _ in made], tuple(param for _, param in made)

    def apply_fun(params: Any, inputs: Any, **kwargs: Any) -> list:
        return [apply(param, x, **keywords) for (_, apply), param, x, keywords
                in zip(layers, params, inputs, _rngs(kwargs, len(layers)))]
    return init_fun, apply_fun


def shape_dependent(make_layer: Callable[[Shape], Layer]) -> Layer:
    """The layer that `make_layer` gives for the shape of the input."""
    return (lambda rng, input_shape: make_layer(input_shape)[0](rng, input_shape),
            lambda params, inputs, **kwargs: make_layer(inputs.shape)[1](params, inputs, **kwargs))
