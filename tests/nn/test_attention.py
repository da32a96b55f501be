"""dot_product_attention: results of JAX, and equal heads give equal results."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("attention")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))


def test_grouped_heads_are_repeated_heads():
    x = jnp.sin(jnp.arange(48.0))
    q, k, v = x.reshape(1, 3, 8, 2), x[:24].reshape(1, 3, 4, 2), x[24:].reshape(1, 3, 4, 2)
    grouped = jax.nn.dot_product_attention(q, k, v)
    whole = jax.nn.dot_product_attention(q, jnp.repeat(k, 2, 2), jnp.repeat(v, 2, 2))
    np.testing.assert_allclose(grouped, whole, rtol=1e-5)


def test_mask_bias_and_lengths_agree():
    x = jnp.cos(jnp.arange(24.0)).reshape(1, 3, 4, 2)
    allowed = jnp.arange(3)[None, None, None] < 2
    by_mask = jax.nn.dot_product_attention(x, x, x, mask=allowed)
    by_bias = jax.nn.dot_product_attention(x, x, x, bias=jnp.where(allowed, 0.0, -1e9))
    by_length = jax.nn.dot_product_attention(x, x, x, key_value_seq_lengths=jnp.array([2]))
    np.testing.assert_allclose(by_mask, by_bias, rtol=1e-5)
    np.testing.assert_allclose(by_mask, by_length, rtol=1e-5)
