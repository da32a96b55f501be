"""Fourier transforms: values against NumPy, derivatives, batching, and what is refused."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4, 5, 6)).astype(np.float32)
C = (X + 1j * X[::-1]).astype(np.complex64)


def close(found, wanted):
    scale = max(1.0, float(np.abs(wanted).max()))
    np.testing.assert_allclose(found, wanted, rtol=0, atol=3e-6 * scale)


@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_along_one_axis(name, norm):
    x = X if name in ("rfft", "ihfft") else C
    for n, axis in [(None, -1), (3, 1), (9, 0), (5, -2)]:
        found = getattr(jnp.fft, name)(x, n, axis, norm)
        close(found, getattr(np.fft, name)(x, n, axis, norm))
        assert found.dtype == (np.float32 if name in ("irfft", "hfft") else np.complex64)


@pytest.mark.parametrize("name", ["irfft", "hfft", "irfft2", "irfftn"])
def test_nothing_is_transformed_to_nothing(name):
    found = getattr(jnp.fft, name)(jnp.ones((2, 0)))
    assert found.shape == (2, 0) and found.dtype == np.float32


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_along_many_axes(name):
    for s, axes, norm in [(None, None, None), ((3, 7), (0, 2), "ortho"), (None, (3, 1, 0, 2), None),
                          ((2, 3, 5, 4), (0, 1, 2, 3), "forward")]:
        close(getattr(jnp.fft, name)(X, s, axes, norm), getattr(np.fft, name)(X, s, axes, norm))


def test_at_most_three_axes_in_one_operation():
    eqns = jax.make_jaxpr(jnp.fft.rfftn)(X).eqns
    kinds = [e.params["fft_lengths"] for e in eqns if e.primitive.name == "fft"]
    assert kinds == [(4, 5, 6), (3,)]
    assert [e.primitive.name for e in jax.make_jaxpr(jnp.fft.rfft)(X).eqns] == ["fft"]


def test_inverses_and_derivatives():
    close(jnp.fft.irfftn(jnp.fft.rfftn(X), X.shape), X)
    x = X[0, 0, 0]

    def power(x):
        return jnp.sum(jnp.abs(jnp.fft.rfft(x, n=8)) ** 2)

    matrix = np.fft.fft(np.eye(8))[:5, :6]
    close(jax.grad(power)(x), 2 * np.real(matrix.conj().T @ (matrix @ x)))
    close(jax.vmap(jnp.fft.fft)(C[0, 0]), np.fft.fft(C[0, 0]))


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_frequencies(n):
    close(jnp.fft.fftfreq(n, 0.3), np.fft.fftfreq(n, 0.3))
    close(jax.jit(lambda d: jnp.fft.rfftfreq(n, d))(0.3), np.fft.rfftfreq(n, 0.3))
    values = np.arange(n)
    np.testing.assert_array_equal(jnp.fft.ifftshift(jnp.fft.fftshift(values)), values)


@pytest.mark.parametrize("call, text", [
    (lambda: jnp.fft.fft(X, norm="twice"), "Invalid norm value twice"),
    (lambda: jnp.fft.fft(X, axis=(0, 1)), "does not support multiple axes"),
    (lambda: jnp.fft.ifft(X, n=0), "Shape should be positive"),
    (lambda: jnp.fft.fftn(X, axes=[0, 0]), r"not support repeated axes. Got axes \[0, 0\]."),
    (lambda: jax.lax.fft(X, "irfft", X.shape), "IRFFT input shape .* must be equal to all except "
                                               "the last fft_length, got fft_lengths="),
    (lambda: jnp.fft.fftn(X, (2,), (0, 1)), "Shape and axes have different lengths"),
    (lambda: jnp.fft.fft2(X, axes=[1]), r"fft2 only supports 2 axes. Got axes = \[1\]"),
    (lambda: jnp.fft.rfft(C), "only real valued inputs supported for rfft"),
    (lambda: jnp.fft.fftfreq([4]), "only takes an int"),
    (lambda: jnp.fft.rfftfreq(4, [0.1]), "only takes a single value")])
def test_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
