"""Special functions against SciPy, at their boundaries, and their derivatives."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.special as sp

import minijax as jax
from minijax import lax

INF, NAN = np.inf, np.nan


def f32(*values):
    return np.array(values, np.float32)


def close(actual, expected, rtol, atol=0.0):
    np.testing.assert_allclose(np.asarray(actual, np.float64), expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("fun, reference, low, high", [
    (lax.erf, sp.erf, -3, 3), (lax.erfc, sp.erfc, -3, 3), (lax.erf_inv, sp.erfinv, -0.99, 0.99),
    (lax.lgamma, sp.gammaln, 0.1, 30), (lax.digamma, sp.digamma, 2, 30),
    (lax.bessel_i0e, sp.i0e, -60, 60), (lax.bessel_i1e, sp.i1e, -60, 60),
])
def test_unary_functions_in_single_precision(fun, reference, low, high):
    x = np.linspace(low, high, 101, dtype=np.float32)
    close(fun(x), reference(x.astype(np.float64)), 5e-6, 2e-6)


def test_bessel_i0e_in_other_precisions():
    x = np.linspace(-20, 20, 101)
    with jax.enable_x64(True):
        close(lax.bessel_i0e(x), sp.i0e(x), 2e-15)
    close(lax.bessel_i0e(x.astype(np.float16)), sp.i0e(x), 2e-3)


@pytest.fixture(scope="module")
def gamma_points():
    rng = np.random.default_rng(0)
    a = np.exp(rng.uniform(-6, 9, 500)).astype(np.float32)
    spread = np.exp(2 * rng.normal(size=500) / np.sqrt(1 + a))
    return a, (a * spread).astype(np.float32)


def test_incomplete_gamma_functions(gamma_points):
    a, x = gamma_points
    wide = a.astype(np.float64), x.astype(np.float64)
    close(lax.igamma(a, x), sp.gammainc(*wide), 2e-5)
    close(lax.igammac(a, x), sp.gammaincc(*wide), 2e-5, 2e-6)
    with jax.enable_x64(True):
        close(lax.igamma(*wide), sp.gammainc(*wide), 1e-12)
        close(lax.igammac(*wide), sp.gammaincc(*wide), 1e-12, 1e-14)


def test_derivatives_of_incomplete_gamma(gamma_points):
    a, x = [v.astype(np.float64) for v in gamma_points]
    step = 1e-5 * a
    by_a = (sp.gammainc(a + step, x) - sp.gammainc(a - step, x)) / (2 * step)
    density = np.exp(sp.xlogy(a - 1, x) - x - sp.gammaln(a))
    with jax.enable_x64(True):
        close(lax.igamma_grad_a(a, x), by_a, 1e-5, 1e-7)
        ones = np.ones_like(a)
        close(jax.jvp(lambda x: lax.igamma(a, x), (x,), (ones,))[1], density, 1e-9, 1e-12)
        close(jax.jvp(lambda a: lax.igammac(a, x), (a,), (ones,))[1], -by_a, 1e-5, 1e-7)
        sane = density > 1e-6
        close(np.asarray(lax.random_gamma_grad(a, x))[sane], (-by_a / density)[sane], 1e-3, 1e-3)


@pytest.mark.parametrize("a, x, lower", [
    (0, 1, 1), (0, 0, NAN), (1, INF, 1), (INF, INF, 1), (INF, 1, 0), (NAN, 1, NAN), (1, NAN, NAN),
    (-1, 1, NAN), (1, -1, NAN), (1, 0, 0),
])
def test_incomplete_gamma_at_the_boundary(a, x, lower):
    np.testing.assert_equal(np.asarray(lax.igamma(*f32(a, x))), np.float32(lower))
    np.testing.assert_equal(np.asarray(lax.igammac(*f32(a, x))), np.float32(1 - lower))


def test_incomplete_beta():
    rng = np.random.default_rng(1)
    a, b = np.exp(rng.uniform(-3, 6, (2, 500)))
    x = np.clip(rng.beta(a, b), 1e-20, 1 - 1e-7)
    with jax.enable_x64(True):
        close(lax.betainc(a, b, x), sp.betainc(a, b, x), 1e-11)
    a, b, x = [v.astype(np.float32) for v in (a, b, x)]
    wide = [v.astype(np.float64) for v in (a, b, x)]
    close(lax.betainc(a, b, x), sp.betainc(*wide), 2e-4)


@pytest.mark.parametrize("a, b, x, value", [
    (1, 1, 0, 0), (1, 1, 1, 1), (0, 1, 0.5, 1), (1, 0, 0.5, 0), (-1, 1, 0.5, NAN),
    (1, 1, -0.1, NAN), (1, 1, 1.1, NAN), (NAN, 1, 0.5, NAN), (1, 1, NAN, NAN), (INF, 1, 0.5, 0), (1, INF, 0.5, 1),
])
def test_incomplete_beta_at_the_boundary(a, b, x, value):
    np.testing.assert_equal(np.asarray(lax.betainc(*f32(a, b, x))), np.float32(value))


def test_derivatives_of_incomplete_beta():
    slope = jax.grad(lambda x: lax.betainc(np.float32(2), np.float32(3), x))
    assert float(slope(0.3)) == pytest.approx(12 * 0.3 * 0.7**2, rel=1e-5)
    assert float(slope(0.0)) == 0.0
    with pytest.raises(ValueError, match="Betainc gradient with respect to a and b not supported"):
        jax.grad(lambda a: lax.betainc(a, np.float32(3), np.float32(0.3)))(np.float32(2))


def test_derivatives_of_the_zeta_family():
    x = np.float32(1.3)
    assert float(jax.grad(lax.digamma)(x)) == pytest.approx(sp.polygamma(1, 1.3), rel=1e-5)
    second = jax.grad(lambda x: lax.polygamma(np.float32(1), x))(x)
    assert float(second) == pytest.approx(sp.polygamma(2, 1.3), rel=1e-5)
    by_q = jax.grad(lambda q: lax.zeta(np.float32(2), q))(x)
    assert float(by_q) == pytest.approx(-2 * sp.zeta(3, 1.3), rel=1e-5)
    with pytest.raises(ValueError, match="polygamma gradient with respect to m is not supported"):
        jax.grad(lambda m: lax.polygamma(m, x))(np.float32(1))
    with pytest.raises(NotImplementedError, match="Differentiation rule for 'zeta' not implement"):
        jax.grad(lambda s: lax.zeta(s, x))(np.float32(2))


def test_slope_of_bessel_i1e_at_zero():
    assert float(jax.grad(lax.bessel_i1e)(0.0)) == 0.5
    assert float(jax.grad(lax.bessel_i0e)(0.0)) == 0.0


def test_refused_dtypes():
    with pytest.raises(TypeError, match="erf does not accept dtype complex64"):
        lax.erf(np.complex64(1))
    with pytest.raises(TypeError, match="igamma does not accept dtype int32 at position 0"):
        lax.igamma(1, 2)


def test_half_precision_is_computed_in_single():
    x = np.float16([0.5, 2.0, 8.0])
    out = lax.igamma(np.float16(2.0), x)
    assert out.dtype == np.float16
    close(out, sp.gammainc(2.0, x.astype(float)), 1e-3)


# --- Fourier transforms ------------------------------------------------------------------------

Z = (np.arange(12).reshape(3, 4) ** 2 + 1j).astype(np.complex64)


@pytest.mark.parametrize("x, kind, lengths, expected", [
    (Z, "fft", (4,), np.fft.fft(Z)), (Z, lax.FftType.IFFT, (3, 4), np.fft.ifft2(Z)),
    (Z.real, "rfft", (4,), np.fft.rfft(Z.real)), (Z.real, "FFT", (4,), np.fft.fft(Z.real)),
    (Z, "irfft", (6,), np.fft.irfft(Z, 6)), (Z, "irfft", (7,), np.fft.irfft(Z, 7)),
    (np.arange(4, dtype=np.int32), "rfft", (4,), np.fft.rfft(np.arange(4))), (Z, "fft", (), Z),
])
def test_fft(x, kind, lengths, expected):
    out = np.asarray(lax.fft(x, kind, lengths))
    assert out.dtype == (np.float32 if expected.dtype.kind == "f" else np.complex64)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("x, kind, lengths, text", [
    (Z, "blah", (4,), "Unknown FFT type 'blah'"),
    (Z, "rfft", (4,), "only real valued inputs supported for rfft"),
    (Z, "fft", (5,), "FFT input shape (3, 4) minor dimensions must be equal to fft_lengths (5,)"),
    (Z[0], "fft", (3, 4), "FFT input shape (4,) must have at least as many input dimensions as "
     "fft_lengths (3, 4)."),
    (Z.real.astype(np.float16), "rfft", (4,), "RFFT input must be float32 or float64, got float16"),
])
def test_refused_transforms(x, kind, lengths, text):
    with pytest.raises(ValueError) as caught:
        lax.fft(x, kind, lengths)
    assert str(caught.value).split("\n")[0] == text
