"""Products in block-scaled formats: close to exact ones, exact where nothing is rounded."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import nn

RNG = np.random.default_rng(0)
ROWS = (((2,), (2,)), ((0,), (0,)))


def operands(*shape):
    return jnp.asarray(RNG.normal(size=shape).astype(np.float32))


def test_scales_multiply_their_blocks():
    x = jnp.asarray(RNG.integers(-4, 5, (2, 3, 64))).astype("float8_e4m3fn")
    y = jnp.asarray(RNG.integers(-4, 5, (2, 5, 64))).astype("float8_e4m3fn")
    sx, sy = (2.0 ** jnp.asarray(RNG.integers(-2, 3, (2, n, 2))) for n in (3, 5))
    out = nn.scaled_matmul(x, y, sx.astype("float8_e8m0fnu"), sy.astype("float8_e8m0fnu"))
    wide = [np.asarray(v, np.float32) * np.repeat(s, 32, -1) for v, s in ((x, sx), (y, sy))]
    np.testing.assert_array_equal(out, np.einsum("bmk,bnk->bmn", *wide))
    assert nn.scaled_matmul(x, y, sx, sy, preferred_element_type="bfloat16").dtype == "bfloat16"


@pytest.mark.parametrize("mode,error", [("mxfp8", 0.06), ("nvfp4", 0.25)])
def test_rounding_is_small_and_gradients_pass(mode, error):
    config = nn.get_scaled_dot_general_config(mode)
    x, y = operands(2, 32, 64), operands(2, 32, 64)

    def norm(configs):
        return lambda x: (nn.scaled_dot_general(x, y, ROWS, configs=configs) ** 2).sum()

    exact = nn.scaled_dot_general(x, y, ROWS)
    rounded = nn.scaled_dot_general(x, y, ROWS, configs=[config] * 3)
    assert 0 < np.linalg.norm(rounded - exact) < error * np.linalg.norm(exact)
    slope, plain = jax.grad(norm([config] * 3))(x), jax.grad(norm(None))(x)
    assert np.linalg.norm(slope - plain) < 2 * error * np.linalg.norm(plain)


def test_powers_of_two_are_not_rounded():
    x = jnp.asarray(2.0 ** RNG.integers(-3, 4, (1, 4, 32)), jnp.float32)
    config = nn.get_scaled_dot_general_config("mxfp8")
    out = nn.scaled_dot_general(x, x, ROWS, configs=[config] * 3)
    np.testing.assert_array_equal(out, np.einsum("bmk,bnk->bmn", x, x))


def test_mistakes():
    x, s = jnp.ones((1, 4, 64)), jnp.ones((1, 4, 2))
    for args, text in [((x[0], x, s, s), "requires all inputs to be 3-dimensional arrays"),
                       ((x, x[..., :32], s, s), "inputs a and b to have matching batch"),
                       ((x, x, s[..., :1], s), "scales to have matching batch"),
                       ((x, x[:, :2], s, s), "scales to match non-contract dimensions")]:
        with pytest.raises(ValueError, match=text):
            nn.scaled_matmul(*args)
    with pytest.raises(ValueError, match="Unsupported mode: fp3"):
        nn.get_scaled_dot_general_config("fp3")
