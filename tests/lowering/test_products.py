"""Dot products, convolutions, Fourier transforms, random bits, factorizations."""

from types import SimpleNamespace

import ml_dtypes
import numpy as np
import pytest

from tests.lowering.fakes import aval, check, one, run, run_one, text

rng = np.random.default_rng(2)
F = np.float32
MATMUL = (((1,), (0,)), ((), ()))


def named(name):
    return SimpleNamespace(name=name)


def dot(x, y, out, precision=None, dimension_numbers=MATMUL, shape=None):
    shape = shape or (x.shape[0], y.shape[1])
    return run_one("dot_general", [x, y], (out, *shape), dimension_numbers=dimension_numbers,
                   precision=precision, preferred_element_type=np.dtype(out), out_sharding=None)


@pytest.mark.parametrize("dtype", [F, np.float64, np.complex64, np.int8, bool])
def test_matmul(dtype):
    x, y = (rng.integers(0, 3, s).astype(dtype) for s in ((3, 4), (4, 5)))
    np.testing.assert_array_equal(dot(x, y, dtype), x @ y)


@pytest.mark.parametrize("dtype, out", [(np.int8, np.int32), (ml_dtypes.bfloat16, F),
                                        (np.int8, F), (ml_dtypes.float8_e4m3fn, F)])
def test_preferred_element_type(dtype, out):
    x, y = (rng.integers(0, 4, s).astype(dtype) for s in ((3, 4), (4, 5)))
    np.testing.assert_array_equal(dot(x, y, out), x.astype(out) @ y.astype(out))


def test_mixed_operands_are_converted():
    x, y = np.int8([[1, 2]]), F([[0.5], [0.25]])
    np.testing.assert_array_equal(dot(x, y, F), [[1.0]])


def test_batched_contraction():
    x, y = rng.normal(size=(2, 3, 4)), rng.normal(size=(4, 5, 2))
    got = dot(x, y, np.float64, dimension_numbers=(((2,), (0,)), ((0,), (2,))), shape=(2, 3, 5))
    np.testing.assert_allclose(got, np.einsum("bij,jkb->bik", x, y))


def test_precision_attributes():
    def shown(precision, dtype="float32", **options):
        return text(one("dot_general", [aval(dtype, 2, 2)] * 2, (dtype, 2, 2), precision=precision,
                        dimension_numbers=MATMUL, preferred_element_type=None), **options)

    assert "precision" not in shown(None)
    check(shown((named("HIGHEST"), named("DEFAULT"))), "CHECK: precision = [HIGHEST, DEFAULT]")
    check(shown(named("BF16_BF16_F32_X3")), "CHECK: algorithm = <lhs_precision_type = bf16, "
          "rhs_precision_type = bf16, accumulation_type = f32")
    check(shown(named("F32_F32_F32"), "bfloat16"), """
        CHECK: stablehlo.convert %arg0 : (tensor<2x2xbf16>) -> tensor<2x2xf32>
        CHECK: stablehlo.dot_general
        CHECK: stablehlo.convert %2 : (tensor<2x2xf32>) -> tensor<2x2xbf16>
    """)
    with pytest.raises(ValueError, match="'TF32_TF32_F32' is not supported by dot_general on CPU"):
        shown(named("TF32_TF32_F32"))
    check(shown(named("TF32_TF32_F32"), platform="cuda"), "CHECK: lhs_precision_type = tf32")
    check(shown(named("ANY_F8_ANY_F8_F32_FAST_ACCUM"), "float8_e5m2", platform="cuda"),
          "CHECK: lhs_precision_type = f8E5M2, rhs_precision_type = f8E5M2, accumulation_type = "
          "f32, lhs_component_count = 1, rhs_component_count = 1, num_primitive_operations = 1, "
          "allow_imprecise_accumulation = true")


CONV = dict(window_strides=(1,), padding=((0, 0),), lhs_dilation=(1,), rhs_dilation=(1,),
            feature_group_count=1, batch_group_count=1, precision=None,
            preferred_element_type=None)
NWC = SimpleNamespace(lhs_spec=(0, 2, 1), rhs_spec=(2, 1, 0), out_spec=(0, 2, 1))


def convolution(x, kernel, length, **changes):
    params = {**CONV, "dimension_numbers": NWC, **changes}
    return run_one("conv_general_dilated", [x, kernel],
                   (x.dtype, x.shape[0], length, kernel.shape[2]), **params)


@pytest.mark.parametrize("dtype", [F, np.complex64])
def test_convolution(dtype):
    x, kernel = rng.normal(size=(1, 9, 1)), rng.normal(size=(3, 1, 1))
    if dtype is np.complex64:
        x, kernel = x + 1j * rng.normal(size=x.shape), kernel - 2j * rng.normal(size=(3, 1, 1))
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    want = np.correlate(x[0, :, 0], kernel[:, 0, 0].conj(), "valid")
    np.testing.assert_allclose(convolution(x, kernel, 7)[0, :, 0], want, rtol=1e-5, atol=1e-5)


def test_strided_dilated_padded_convolution():
    x, kernel = rng.normal(size=(1, 9, 1)).astype(F), rng.normal(size=(3, 1, 1)).astype(F)
    got = convolution(x, kernel, 5, window_strides=(2,), padding=((1, 3),), rhs_dilation=(2,))
    wide = np.zeros(5, F)
    wide[::2] = kernel[:, 0, 0]
    want = np.correlate(np.pad(x[0, :, 0], (1, 3)), wide, "valid")[::2]
    np.testing.assert_allclose(got[0, :, 0], want, rtol=1e-5, atol=1e-6)


def test_grouped_convolution():
    x, kernel = rng.normal(size=(1, 5, 2)).astype(F), rng.normal(size=(1, 1, 2)).astype(F)
    np.testing.assert_allclose(convolution(x, kernel, 5, feature_group_count=2),
                               x * kernel[0], rtol=1e-6)


@pytest.mark.parametrize("kind, numpy_name", [("FFT", np.fft.fft), ("IFFT", np.fft.ifft),
                                              ("RFFT", np.fft.rfft), ("IRFFT", np.fft.irfft)])
def test_fft(kind, numpy_name):
    x = rng.normal(size=(2, 6 if kind != "IRFFT" else 4))
    x = x if kind == "RFFT" else x + 0j
    want = numpy_name(x)
    got = run_one("fft", [x], (want.dtype, *want.shape), fft_type=named(kind), fft_lengths=(6,))
    np.testing.assert_allclose(got, want, atol=1e-12)


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_threefry_known_answers(shape):
    """The vectors of the Random123 distribution."""
    cases = [((0, 0, 0, 0), (0x6B200159, 0x99BA4EFE)),
             ((0xFFFFFFFF,) * 4, (0x1CB996FC, 0xBB002BE7)),
             ((0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0))]
    for words, want in cases:
        key = [np.uint32(w) for w in words[:2]]
        data = [np.full(shape, w, np.uint32) for w in words[2:]]
        got = run_one("threefry2x32", [*key, *data], ("uint32", *shape), ("uint32", *shape))
        for a, b in zip(got, want):
            np.testing.assert_array_equal(a, np.full(shape, b, np.uint32))


def test_rng_bit_generator_advances_its_state():
    key = np.uint32([1, 2, 3, 4])
    state, bits = run_one("rng_bit_generator", [key], ("uint32", 4), ("uint32", 100), shape=(100,),
                          dtype=np.dtype(np.uint32), algorithm=0, out_sharding=None)
    assert (state != key).any() and len(set(bits.tolist())) > 95


def test_rng_uniform_stays_in_range():
    got = run_one("rng_uniform", [F(2), F(3)], ("float32", 50), shape=(50,))
    assert (got >= 2).all() and (got < 3).all() and got.std() > 0.1
