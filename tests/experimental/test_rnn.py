"""LSTM, against a loop in NumPy; the layout of weights, against the numbers that JAX gives."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.experimental import rnn

SIZES = dict(input_size=2, hidden_size=3, num_layers=2, bidirectional=True)


def test_layout_of_weights():
    count = rnn.get_num_params_in_lstm(**SIZES)
    assert count == 432
    assert rnn.init_lstm_weight(jax.random.key(0), **SIZES).shape == (count,)
    parts = rnn.unpack_lstm_weights(np.arange(count), **SIZES)
    first = [[int(part.ravel()[0]) for part in group.values()] for group in parts]
    assert first == [[0, 60, 120, 228], [24, 84, 192, 300], [336, 360, 384, 408],
                     [348, 372, 396, 420]]
    assert [group[2].shape for group in parts] == [(12, 6), (12, 3), (12,), (12,)]
    small = dict(input_size=1, hidden_size=1, num_layers=1, bidirectional=False)
    np.testing.assert_array_equal(rnn.swap_lstm_gates(np.arange(16), **small),
                                  [0, 1, 3, 2, 4, 5, 7, 6, 8, 9, 11, 10, 12, 13, 15, 14])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def loop(x, h, c, w, u, bias):
    """One unit over one sequence."""
    out = []
    for element in x:
        i, f, g, o = np.split(w @ element + u @ h + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        out.append(h)
    return np.array(out), h, c


@pytest.mark.parametrize("bidirectional", [False, True])
def test_lstm_ref(bidirectional):
    sizes = SIZES | {"bidirectional": bidirectional}
    random, directions, lengths = np.random.default_rng(0), 1 + bidirectional, [2, 4]
    weights = random.normal(size=rnn.get_num_params_in_lstm(**sizes)).astype(np.float32)
    x = random.normal(size=(2, 4, 2)).astype(np.float32)
    h_0, c_0 = random.normal(size=(2, 2 * directions, 2, 3)).astype(np.float32)
    parts = rnn.unpack_lstm_weights(weights, **sizes)
    with jax.numpy_rank_promotion("raise"):
        y, h_n, c_n = rnn.lstm_ref(x, h_0, c_0, *parts, seq_lengths=jnp.array(lengths),
                                   dropout=0.0, **sizes)
    W_ih, W_hh, b_ih, b_hh = parts
    for batch, length in enumerate(lengths):
        layer = x[batch, :length]
        for unit in range(0, 2 * directions, directions):
            outs = []
            for u in range(unit, unit + directions):
                given = layer[::-1] if u > unit else layer
                out, h, c = loop(given, h_0[u, batch], c_0[u, batch], W_ih[u], W_hh[u],
                                 b_ih[u] + b_hh[u])
                np.testing.assert_allclose(h_n[u, batch], h, rtol=1e-4, atol=1e-5)
                np.testing.assert_allclose(c_n[u, batch], c, rtol=1e-4, atol=1e-5)
                outs.append(out[::-1] if u > unit else out)
            layer = np.concatenate(outs, -1)
        np.testing.assert_allclose(y[batch, :length], layer, rtol=1e-4, atol=1e-5)
        assert (y[batch, length:] == 0).all()


@pytest.mark.parametrize("precision, text", [
    (None, "dot_general"), ("highest", "Precision.HIGHEST"),
    (jax.lax.Precision.HIGH, "Precision.HIGH")])
def test_lstm_takes_the_weights_as_one_vector(precision, text):
    random = np.random.default_rng(1)
    weights = random.normal(size=rnn.get_num_params_in_lstm(**SIZES)).astype(np.float32)
    x = random.normal(size=(2, 4, 2)).astype(np.float32)
    states = random.normal(size=(2, 4, 2, 3)).astype(np.float32)
    rest = dict(SIZES, seq_lengths=jnp.array([2, 4]), dropout=0.0)
    found = rnn.lstm(x, *states, weights, precision=precision, **rest)
    wanted = rnn.lstm_ref(x, *states, *rnn.unpack_lstm_weights(weights, **SIZES), **rest)
    jax.tree.map(np.testing.assert_array_equal, found, wanted)
    made = jax.make_jaxpr(lambda w: rnn.lstm(x, *states, w, precision=precision, **rest))(weights)
    assert text in str(made) and ("Precision" in str(made)) == (precision is not None)
