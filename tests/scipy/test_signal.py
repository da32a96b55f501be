"""Signals, cosine transforms, interpolation and clusters against SciPy."""

import numpy as np
import pytest
import scipy.cluster.vq
import scipy.fft
import scipy.interpolate
import scipy.ndimage
import scipy.signal

import minijax as jax
import minijax.numpy as jnp
from minijax.scipy import cluster, fft, integrate, interpolate, ndimage, signal

RNG = np.random.default_rng(0)


def close(found, expected, tolerance=1e-12):
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert np.shape(a) == np.shape(b)
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True), jax.numpy_rank_promotion("raise"):
        yield


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("name", ["convolve", "correlate"])
def test_convolutions(name, mode):
    pairs = [((9,), (4,)), ((4,), (9,)), ((4, 5), (2, 3))]
    pairs = [p for p in pairs if mode != "same" or p[0] > p[1]]
    for left, right in pairs:
        x, y = RNG.normal(size=left), RNG.normal(size=right) + 1j * RNG.normal(size=right)
        expected = getattr(scipy.signal, name)(x, y, mode, method="direct")
        for method in ("direct", "fft"):
            close(getattr(signal, name)(x, y, mode, method), expected)
        if len(left) == 2:
            close(getattr(signal, f"{name}2d")(x, y, mode),
                  getattr(scipy.signal, f"{name}2d")(x, y, mode))
            close(signal.fftconvolve(x, y[:1], mode, axes=1),
                  scipy.signal.fftconvolve(x, np.repeat(y[:1], 4, 0), mode, axes=1))


def test_trends():
    x = RNG.normal(size=(3, 10))
    for options in ({}, {"axis": 0}, {"type": "constant"}, {"bp": [0, 4]}):
        close(signal.detrend(x, **options), scipy.signal.detrend(x, **options))


@pytest.mark.parametrize("options", [
    {}, {"noverlap": 3, "window": "hamming"}, {"nfft": 13, "boundary": "odd"}, {"axis": 0},
    {"boundary": None, "padded": False, "detrend": "linear"}, {"return_onesided": False, "fs": 9},
    {"boundary": "constant"}, {"boundary": "even"},
])
def test_short_time_spectra(options):
    x = RNG.normal(size=(41, 37))
    options = {"nperseg": 8, **options}
    close(signal.stft(x, **options), scipy.signal.stft(x, **options))


@pytest.mark.filterwarnings("ignore:nperseg")
@pytest.mark.parametrize("options", [
    {}, {"scaling": "spectrum", "nfft": 9}, {"axis": 0}, {"average": "median"},
    {"return_onesided": False}, {"detrend": False, "window": np.ones(8)},
])
def test_power_spectra(options):
    x, y = RNG.normal(size=(2, 41, 37))
    options = {"nperseg": 8, **options}
    close(signal.welch(x, **options), scipy.signal.welch(x, **options))
    close(signal.csd(x, y, **options), scipy.signal.csd(x, y, **options))
    assert jnp.iscomplexobj(signal.csd(x, x, **options)[1])  # whatever the values of y are
    assert jnp.isrealobj(signal.csd(x, None, **options)[1])


@pytest.mark.parametrize("complex_", [False, True])
def test_signals_come_back_from_their_spectra(complex_):
    x = RNG.normal(size=(2, 64)) + (1j * RNG.normal(size=(2, 64)) if complex_ else 0)
    spectrum = signal.stft(x, nperseg=16, return_onesided=not complex_)[2]
    options = dict(nperseg=16, input_onesided=not complex_)
    close(signal.istft(spectrum, **options)[1], x)
    turned = np.moveaxis(np.asarray(spectrum), (-2, -1), (0, 1))
    close(signal.istft(turned, time_axis=1, freq_axis=0, **options)[1],
          scipy.signal.istft(turned, time_axis=1, freq_axis=0, **options)[1])


@pytest.mark.parametrize("norm", [None, "ortho"])
def test_cosine_transforms(norm):
    x = RNG.normal(size=(4, 7)) + 1j * RNG.normal(size=(4, 7))
    for name in ("dct", "idct"):
        for options in ({}, {"axis": 0}, {"n": 5}, {"n": 10}):
            close(getattr(fft, name)(x, norm=norm, **options),
                  getattr(scipy.fft, name)(x, norm=norm, **options))
        for options in ({}, {"s": (6,)}, {"s": (2, 9), "axes": (1, 0)}):
            close(getattr(fft, f"{name}n")(x, norm=norm, **options),
                  getattr(scipy.fft, f"{name}n")(x, norm=norm, **options))
    with pytest.raises(NotImplementedError, match="Only DCT type 2 is implemented"):
        fft.dct(x, type=1)
    with pytest.raises(ValueError, match=r"s must have at most x.ndim \(2\) elements, got 3"):
        fft.dctn(x, s=(1, 2, 3))


@pytest.mark.parametrize("mode", ["constant", "nearest", "wrap", "mirror", "reflect"])
@pytest.mark.parametrize("order", [0, 1])
def test_pixels_between_pixels(order, mode):
    image = RNG.normal(size=(4, 5))
    # inside only: SciPy treats the space just beyond the edges differently
    inside = RNG.uniform(0, 1, (2, 30)) * np.array([[3], [4]])
    expected = scipy.ndimage.map_coordinates(image, inside, order=order, mode=mode)
    close(ndimage.map_coordinates(image, inside, order, mode), expected)
    whole = np.round(RNG.uniform(-9, 9, (2, 30)))
    if mode != "wrap":
        expected = scipy.ndimage.map_coordinates(image, whole, order=order, mode=mode, cval=2.0)
        close(ndimage.map_coordinates(image, whole, order, mode, 2.0), expected)
    slope = jax.grad(lambda s: jnp.sum(ndimage.map_coordinates(
        jnp.arange(9.0), [jnp.arange(2.0, 6.0) + s], 1)))(0.3)
    assert slope == 4


@pytest.mark.parametrize("order", [0, 1])
def test_halves_of_integer_images(order):
    image, at = np.arange(-3, 3, dtype=np.int32), np.array([[0.5, 1.5, 2.5, 3.5]], np.float32)
    expected = scipy.ndimage.map_coordinates(image, at, order=order)
    np.testing.assert_array_equal(ndimage.map_coordinates(image, at, order), expected)


@pytest.mark.parametrize("method", ["linear", "nearest"])
def test_values_between_grid_points(method):
    x, y = np.array([0.0, 1, 3]), np.array([-1.0, 0, 2, 5])
    values = RNG.normal(size=(3, 4, 2))
    points = RNG.uniform(-1.5, 5.5, (40, 2))
    for fill in (np.nan, None, 7.0):
        ours = interpolate.RegularGridInterpolator((x, y), values, method, fill_value=fill)
        theirs = scipy.interpolate.RegularGridInterpolator((x, y), values, method, False, fill)
        close(ours(points), theirs(points))
        close(jax.jit(lambda f, p: f(p))(ours, points[:3]), theirs(points[:3]))
    with pytest.raises(ValueError, match="method 'cubic' is not defined"):
        interpolate.RegularGridInterpolator((x, y), values, "cubic")
    with pytest.raises(ValueError, match="there are 4 points and 3 values in dimension 0"):
        interpolate.RegularGridInterpolator((y, x), values)


def test_nearest_codes_and_integrals():
    observations, codes = RNG.normal(size=(20, 3)), RNG.normal(size=(4, 3))
    close(cluster.vq.vq(observations, codes), scipy.cluster.vq.vq(observations, codes))
    close(cluster.vq.vq(observations[:, 0], codes[:, 0]),
          scipy.cluster.vq.vq(observations[:, 0], codes[:, 0]))
    assert integrate.trapezoid(jnp.arange(4.0)) == 4.5
    with pytest.raises(ValueError, match="should have the same rank"):
        cluster.vq.vq(observations, codes[0])


@pytest.mark.parametrize("call, error, message", [
    (lambda x: signal.convolve(x, x, mode="other"), ValueError, "mode must be one of"),
    (lambda x: signal.convolve(x, x, method="other"), ValueError, "Got method='other'"),
    (lambda x: signal.convolve(x, x[0]), ValueError, "same number of dimensions"),
    (lambda x: signal.convolve2d(x, x, boundary="wrap"), NotImplementedError, "boundary='fill'"),
    (lambda x: signal.stft(x, nperseg=2, noverlap=2), ValueError, "noverlap must be less than"),
    (lambda x: signal.stft(x, nperseg=2, nfft=1), ValueError, "nfft must be greater than"),
    (lambda x: signal.welch(x, nperseg=2, scaling="other"), ValueError, "Unknown scaling: other"),
    (lambda x: signal.detrend(x, type="other"), ValueError, "Trend type must be"),
    (lambda x: ndimage.map_coordinates(x, [x, x], 2), NotImplementedError, "requires order<=1"),
    (lambda x: ndimage.map_coordinates(x, [x], 1), ValueError, "sequence of length input.ndim"),
    (lambda x: ndimage.map_coordinates(x, [[x]] * 3, 1), ValueError, "sequence of length"),
    (lambda x: ndimage.map_coordinates(x, [x, x], 1, "grid-wrap"), NotImplementedError,
     "does not yet support mode"),
])
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(np.ones((3, 4)))
