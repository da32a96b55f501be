"""Long short-term memory in the layout of weights that cuDNN has.

    weights = init_lstm_weight(key, input_size, hidden_size, num_layers=2, bidirectional=True)
    y, h, c = lstm_ref(x, h_0, c_0, *unpack_lstm_weights(weights, ...), seq_lengths=..., ...)

All weights are one vector: for each layer and direction the matrices that act on the input and on
the state, then for each the two biases. Gates come in the order input, forget, cell, output.
"""

from __future__ import annotations

import math
from typing import Any

from minijax import lax, nn, random
from minijax import numpy as jnp
from minijax.base import config
from minijax.base.jaxlib import Array

__all__ = ["get_num_params_in_lstm", "init_lstm_weight", "lstm", "lstm_ref", "swap_lstm_gates",
           "unpack_lstm_weights"]

_GATES = 4
_Parts = dict[int, Array]


def _shapes(input_size: int, hidden_size: int, num_layers: int,
            bidirectional: bool) -> list[tuple[int, ...]]:
    """The shapes of all parts in order: the matrices of each unit, then the biases of each."""
    rows, directions = _GATES * hidden_size, 2 if bidirectional else 1
    matrices = []
    for layer in range(num_layers):
        columns = input_size if layer == 0 else hidden_size * directions
        matrices += [(rows, columns), (rows, hidden_size)] * directions
    return matrices + [(rows,)] * (2 * num_layers * directions)


def get_num_params_in_lstm(input_size: int, hidden_size: int, num_layers: int,
                           bidirectional: bool) -> int:
    """How many weights there are."""
    return sum(map(math.prod, _shapes(input_size, hidden_size, num_layers, bidirectional)))


def init_lstm_weight(rng: Array, input_size: int, hidden_size: int, num_layers: int,
                     bidirectional: bool) -> Array:
    """Uniform weights between plus and minus 1 / sqrt(hidden_size)."""
    count = get_num_params_in_lstm(input_size, hidden_size, num_layers, bidirectional)
    bound = math.sqrt(1 / hidden_size)
    return random.uniform(rng, (count,), jnp.float32, -bound, bound)


def _parts(weights: Array, *sizes: Any) -> list[Array]:
    parts, start = [], 0
    for shape in _shapes(*sizes):
        stop = start + math.prod(shape)
        parts.append(weights[start:stop].reshape(shape))
        start = stop
    return parts


def unpack_lstm_weights(weights: Array, input_size: int, hidden_size: int, num_layers: int,
                        bidirectional: bool) -> tuple[_Parts, _Parts, _Parts, _Parts]:
    """The vector of weights as W_ih, W_hh, b_ih and b_hh: each by unit, layer after layer."""
    parts = _parts(weights, input_size, hidden_size, num_layers, bidirectional)
    half = len(parts) // 2
    groups = parts[:half:2], parts[1:half:2], parts[half::2], parts[half + 1::2]
    return tuple(dict(enumerate(group)) for group in groups)


def swap_lstm_gates(weights: Array, input_size: int, hidden_size: int, num_layers: int,
                    bidirectional: bool) -> Array:
    """The weights with the gates in the order that MIOpen has: the last two exchanged."""
    parts = _parts(weights, input_size, hidden_size, num_layers, bidirectional)
    swapped = []
    for part in parts:
        first, second, third, fourth = jnp.split(part, _GATES)
        swapped += [x.ravel() for x in (first, second, fourth, third)]
    return jnp.concatenate(swapped)


def lstm(x: Array, h_0: Array, c_0: Array, weights: Array, seq_lengths: Array, input_size: int,
         hidden_size: int, num_layers: int, dropout: float, bidirectional: bool,
         precision: Any = None) -> tuple[Array, Array, Array]:
    """`lstm_ref` of a vector of weights. precision: of products, "highest", or a lax.Precision."""
    sizes = input_size, hidden_size, num_layers
    parts = unpack_lstm_weights(weights, *sizes, bidirectional)
    if precision is None:
        precision = config.default_matmul_precision.value
    elif isinstance(precision, lax.Precision):
        precision = precision.name.lower()
    with config.default_matmul_precision(precision):
        return lstm_ref(x, h_0, c_0, *parts, seq_lengths, *sizes, dropout, bidirectional)


def lstm_ref(x: Array, h_0: Array, c_0: Array, W_ih: _Parts, W_hh: _Parts, b_ih: _Parts,
             b_hh: _Parts, seq_lengths: Array, input_size: int, hidden_size: int,
             num_layers: int, dropout: float, bidirectional: bool,
             ) -> tuple[Array, Array, Array]:
    """Outputs of the last layer, and each unit's state and cell after the last element.

    x: (batch, time, features), of which the first `seq_lengths` are given; outputs after them are
    zero. NotImplementedError with `dropout`.
    """
    if dropout:
        raise NotImplementedError("lstm_ref has no dropout")
    outputs, states, cells = x, [], []
    for layer in range(num_layers):
        ahead = []
        for direction in range(2 if bidirectional else 1):
            unit = len(states)
            given = _reversed(outputs, seq_lengths) if direction else outputs
            y, h, c = _unit(given, h_0[unit], c_0[unit], W_ih[unit], W_hh[unit],
                            b_ih[unit] + b_hh[unit], seq_lengths)
            ahead.append(_reversed(y, seq_lengths) if direction else y)
            states.append(h)
            cells.append(c)
        outputs = jnp.concatenate(ahead, axis=-1)
    inside = jnp.arange(x.shape[1])[None] < seq_lengths[:, None]
    return jnp.where(inside[..., None], outputs, 0.), jnp.stack(states), jnp.stack(cells)


def _reversed(x: Array, lengths: Array) -> Array:
    """Each sequence of the batch backwards; what comes after it, moved to the front of the rest."""
    places = (lengths[:, None] - 1 - jnp.arange(x.shape[1])[None]) % x.shape[1]
    return jnp.take_along_axis(x, places[..., None], axis=1)


def _unit(x: Array, h: Array, c: Array, W_ih: Array, W_hh: Array, bias: Array,
          lengths: Array) -> tuple[Array, Array, Array]:
    def step(carry: tuple, element: Array) -> tuple:
        h, c = carry
        gates = element @ W_ih.T + h @ W_hh.T + bias[None]
        entering, kept, new, leaving = jnp.split(gates, _GATES, axis=-1)
        c = nn.sigmoid(kept) * c + nn.sigmoid(entering) * jnp.tanh(new)
        h = nn.sigmoid(leaving) * jnp.tanh(c)
        return (h, c), (h, c)

    _, (hs, cs) = lax.scan(step, (h, c), jnp.swapaxes(x, 0, 1))
    last = lengths - 1, jnp.arange(x.shape[0])
    return jnp.swapaxes(hs, 0, 1), hs[last], cs[last]
