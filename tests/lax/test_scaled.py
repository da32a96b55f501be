"""Block-scaled products: values against a product in NumPy, defaults, dtypes, errors."""

import ml_dtypes
import numpy as np
import pytest

import minijax as jax
from minijax import lax

RNG = np.random.default_rng(0)
X, Y = RNG.integers(-4, 4, (2, 3, 64)), RNG.integers(-4, 4, (2, 64, 4))
S, T = 2.0 ** RNG.integers(-2, 3, (2, 3, 2)), 2.0 ** RNG.integers(-2, 3, (2, 4, 4))
F8, E8 = ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e8m0fnu
EXPECTED = (X * np.repeat(S, 32, 2)) @ (Y * np.repeat(T, 16, 1))


def call(x=X, y=Y, s=S, t=T, **options):
    return lax.scaled_dot(x.astype(F8), y.astype(F8), lhs_scale=s.astype(E8),
                          rhs_scale=t.astype(E8), **options)


def test_values_of_float8_operands():
    out = call(preferred_element_type=np.float32)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out, EXPECTED)  # all terms are small multiples of 1/16


def test_the_default_result_is_bfloat16():
    out = call()
    assert out.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(out, EXPECTED.astype(ml_dtypes.bfloat16))
    np.testing.assert_array_equal(call(X[0], Y[0], S[0], T[0]), out[0])


def test_missing_scales_are_ones():
    out = lax.scaled_dot(X.astype(F8), Y.astype(F8), rhs_scale=T.astype(E8),
                         preferred_element_type=np.float32)
    np.testing.assert_array_equal(out, X @ (Y * np.repeat(T, 16, 1)))


def test_dimension_numbers_and_vmap():
    numbers = (((1,), (1,)), ((), ()))
    out = jax.vmap(lambda x, y, s, t: call(x, y, s, t, dimension_numbers=numbers,
                                           preferred_element_type=np.float32))(
        X, Y.swapaxes(1, 2), S, T.swapaxes(1, 2))
    np.testing.assert_array_equal(out, EXPECTED)


def test_the_compiler_sees_one_operation():
    text = jax.jit(call).lower(X[0], Y[0], S[0], T[0]).as_text()
    assert 'stablehlo.composite "xla.scaled_dot"' in text
    assert ("{composite_attributes = {dimension_numbers = [[[1], [0]], [[], []]], "
            "preferred_element_type = bf16}") in text


@pytest.mark.parametrize("s, t, text", [
    (S[:, :, :1], T[:, :3], "RHS contracting dim 1 of size 64 must be divisible by its scale's "
     "dim size 3."),
    (np.ones((2, 3, 64)), T, "The ratio of LHS contracting dim 2 to its scale's dim size (1) must "
     "be at least 2."),
    (S[:, :2], T, "LHS dim 1 of size 3 does not match scale dim size 2."),
    (S[0], T, "All input tensors must have the same rank. Got lhs rank: 3 rhs rank: 3 lhs_scale "
     "rank: 2 rhs_scale rank: 3."),
])
def test_errors(s, t, text):
    with pytest.raises(TypeError) as caught:
        call(s=s, t=t)
    assert str(caught.value).split("\n")[0] == text
