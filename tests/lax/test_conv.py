"""Convolutions against a plain NumPy loop, in every layout, with groups and dilations."""

import itertools

import numpy as np
import pytest

import minijax as jax
from minijax import lax

RNG = np.random.default_rng(0)
LHS = RNG.standard_normal((2, 4, 5, 6)).astype(np.float32)
RHS = RNG.standard_normal((6, 4, 3, 2)).astype(np.float32)


def spread(x, dilations):
    """Spatial dimensions with zeros between the elements."""
    shape = [(n - 1) * d + 1 for n, d in zip(x.shape[2:], dilations)]
    out = np.zeros((*x.shape[:2], *shape), x.dtype)
    out[(..., *[slice(None, None, d) for d in dilations])] = x
    return out


def by_loop(lhs, rhs, strides, padding, lhs_dilation=(1, 1), rhs_dilation=(1, 1),
            feature_group_count=1, batch_group_count=1):
    """Batch, feature, spatial convolution, one result position at a time."""
    lhs, rhs = spread(lhs, lhs_dilation), spread(rhs, rhs_dilation)
    lhs = np.pad(lhs, ((0, 0), (0, 0), *padding))
    groups = feature_group_count * batch_group_count
    sizes = [(n - k) // s + 1 for n, k, s in zip(lhs.shape[2:], rhs.shape[2:], strides)]
    batch = lhs.shape[0] // batch_group_count
    out = np.zeros((batch, rhs.shape[0], *sizes), np.float32)
    share = rhs.shape[0] // groups
    for o, (i, j) in itertools.product(range(rhs.shape[0]), itertools.product(*map(range, sizes))):
        group = o // share
        part = lhs[group * batch:(group + 1) * batch] if batch_group_count > 1 else lhs
        if feature_group_count > 1:
            part = part[:, group * rhs.shape[1]:(group + 1) * rhs.shape[1]]
        y, x = i * strides[0], j * strides[1]
        patch = part[:, :, y:y + rhs.shape[2], x:x + rhs.shape[3]]
        out[:, o, i, j] = (patch * rhs[o]).sum((1, 2, 3))
    return out


@pytest.mark.parametrize("options", [
    dict(strides=(1, 1), padding=((0, 0), (0, 0))),
    dict(strides=(2, 1), padding=((1, 2), (0, 1)), rhs_dilation=(1, 2)),
    dict(strides=(1, 3), padding=((2, 0), (1, 1)), lhs_dilation=(2, 1)),
    dict(strides=(1, 2), padding=((1, 1), (1, 0)), feature_group_count=2),
    dict(strides=(2, 1), padding=((0, 1), (0, 0)), batch_group_count=2),
])
def test_values(options):
    rhs = RHS[:, :2] if "feature_group_count" in options else RHS
    expected = by_loop(LHS, rhs, **options)
    given = {k: v for k, v in options.items() if k not in ("strides", "padding")}
    out = lax.conv_general_dilated(LHS, rhs, options["strides"], options["padding"], **given)
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("layout", [("NHWC", "HWIO", "NHWC"), ("HNCW", "WOHI", "CWNH"),
                                    ("NCHW", "OIHW", "NHWC")])
def test_layouts(layout):
    def put(x, names, order):
        return np.transpose(x, [names.index(c) for c in order])

    lhs, rhs = put(LHS, "NCHW", layout[0]), put(RHS, "OIHW", layout[1])
    # spatial parameters are in the order of the kernel's letters
    strides = (1, 2) if layout[1].index("W") < layout[1].index("H") else (2, 1)
    out = lax.conv_general_dilated(lhs, rhs, strides, "SAME", dimension_numbers=layout)
    expected = np.asarray(lax.conv(LHS, RHS, (2, 1), "SAME"))
    np.testing.assert_allclose(out, put(expected, "NCHW", layout[2]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding, pads", [
    ("SAME", ((1, 1), (0, 1))), ("SAME_LOWER", ((1, 1), (1, 0))), ("VALID", ((0, 0), (0, 0)))])
def test_named_padding(padding, pads):
    jaxpr = jax.make_jaxpr(lambda x, y: lax.conv(x, y, (1, 1), padding))(LHS, RHS)
    assert jaxpr.eqns[0].params["padding"] == pads


@pytest.mark.parametrize("batch_groups", [1, 2])
@pytest.mark.parametrize("feature_groups", [1, 2])
@pytest.mark.parametrize("axes", [(0, None), (None, 1), (2, 0)])
def test_vmap(axes, feature_groups, batch_groups):
    if feature_groups * batch_groups > 2:
        feature_groups = 1
    options = dict(feature_group_count=feature_groups, batch_group_count=batch_groups)
    lhs = RNG.standard_normal((3, 4, 4, 5, 6)).astype(np.float32)
    rhs = RNG.standard_normal((3, 6, 4 // feature_groups, 3, 2)).astype(np.float32)

    def fun(x, y):
        return lax.conv_general_dilated(x, y, (2, 1), "SAME", **options)

    args = [x[0] if a is None else np.moveaxis(x, 0, a) for x, a in zip((lhs, rhs), axes)]
    expected = np.stack([np.asarray(fun(lhs[0 if axes[0] is None else k],
                                        rhs[0 if axes[1] is None else k])) for k in range(3)])
    np.testing.assert_allclose(jax.vmap(fun, axes)(*args), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_conv_transpose_is_the_gradient(kernel, stride, padding):
    size = 4
    length = size * stride if padding == "SAME" else size * stride + max(kernel - stride, 0)
    x = RNG.standard_normal((1, size, 2)).astype(np.float32)
    weights = RNG.standard_normal((kernel, 3, 2)).astype(np.float32)

    def forward(image):
        return lax.conv_general_dilated(image, weights, (stride,), padding,
                                        dimension_numbers=("NHC", "HIO", "NHC"))

    _, pull = jax.vjp(forward, np.zeros((1, length, 3), np.float32))
    out = lax.conv_transpose(x, weights, (stride,), padding, transpose_kernel=True)
    np.testing.assert_allclose(out, pull(x)[0], rtol=1e-4, atol=1e-5)
    shape = lax.conv_transpose_shape_tuple(x.shape, weights.transpose(0, 2, 1).shape, (stride,),
                                           padding, ("NHC", "HIO", "NHC"))
    assert out.shape == shape


def test_conv_transpose_with_consistent_padding():
    x = RNG.standard_normal((1, 4, 2)).astype(np.float32)
    weights = RNG.standard_normal((3, 2, 5)).astype(np.float32)
    same = lax.conv_transpose(x, weights, (1,), "SAME")
    explicit = lax.conv_transpose(x, weights, (1,), [(1, 1)], use_consistent_padding=True)
    np.testing.assert_array_equal(same, explicit)


def test_dimension_numbers():
    numbers = lax.conv_dimension_numbers((1, 2, 3, 4), (1, 2, 3, 4), ("NHWC", "HWIO", "NHWC"))
    assert numbers == lax.ConvDimensionNumbers((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    assert lax.conv_dimension_numbers((1, 2, 3), (1, 2, 3), None).lhs_spec == (0, 1, 2)
    assert lax.conv_shape_tuple((2, 3, 8, 8), (4, 3, 3, 3), (1, 2), "SAME") == (2, 4, 8, 4)


@pytest.mark.parametrize("options, kind, message", [
    (dict(window_strides=(1,)), ValueError,
     "conv_general_dilated window and window_strides must have the same number of dimensions, but "
     "got 2 and 1"),
    (dict(padding=[(0, 0)]), TypeError,
     "Wrong number of explicit pads for convolution: expected 2, got 1."),
    (dict(padding="FOO"), RuntimeError,
     "Unrecognized padding type: expected 'VALID', 'SAME', or 'SAME_LOWER', got FOO."),
    (dict(padding=(3, 3)), ValueError,
     "padding argument to conv_general_dilated should be a string or a sequence of (low, high) "
     "pairs, got (3, 3)"),
    (dict(feature_group_count=3), ValueError,
     "conv_general_dilated feature_group_count must divide lhs feature dimension size, but 3 does "
     "not divide 4."),
    (dict(feature_group_count=2), ValueError,
     "conv_general_dilated lhs feature dimension size divided by feature_group_count must equal "
     "the rhs input feature dimension size, but 4 // 2 != 4."),
    (dict(batch_group_count=0), ValueError,
     "conv_general_dilated batch_group_count must be a positive integer, got 0."),
    (dict(rhs_dilation=(0, 1)), TypeError, "All dilations must be positive, got (0, 1)."),
    (dict(dimension_numbers=("NHCC", "OIHW", "NCHW")), TypeError,
     "convolution dimension_numbers[0] must contain the characters 'N' and 'C' exactly once, got "
     "NHCC."),
    (dict(dimension_numbers=("NHWC", "HWIO")), TypeError,
     "convolution dimension_numbers list/tuple must be length 3, got 2."),
    (dict(preferred_element_type=np.float16), TypeError,
     "`preferred_element_type` must not be narrower than the original type."),
    (dict(lhs_dilation=(1, 2)), ValueError,
     "String padding is not implemented for transposed convolution using this op. Please either "
     "exactly specify the required padding or use conv_transpose."),
])
def test_errors(options, kind, message):
    with pytest.raises(kind) as error:
        lax.conv_general_dilated(LHS, RHS, **{"window_strides": (1, 1), "padding": "VALID",
                                              **options})
    assert str(error.value).splitlines()[0] == message
    assert "fix: " in str(error.value)


def test_ranks():
    layout = lax.ConvDimensionNumbers((0, 1, 2), (0, 1, 2), (0, 1, 2))
    with pytest.raises(ValueError, match="conv_general_dilated lhs and rhs must have the same "
                                         r"number of dimensions, but got \(1, 1, 1\)"):
        lax.conv_general_dilated(np.ones((1, 1, 1)), np.ones((1,) * 4), (1,), [(0, 0)],
                                 dimension_numbers=layout)


def test_dtypes():
    with pytest.raises(TypeError, match="lax.conv_general_dilated requires arguments to have the "
                                        "same dtypes, got float32, int32."):
        lax.conv(LHS, RHS.astype(np.int32), (1, 1), "SAME")
    small = [np.round(3 * x).astype(np.int8) for x in (LHS, RHS)]
    wide = [x.astype(np.int32) for x in small]
    out = lax.conv(*small, (1, 1), "SAME", preferred_element_type=np.int32)
    np.testing.assert_array_equal(out, lax.conv(*wide, (1, 1), "SAME"))


@pytest.mark.parametrize("layout", [None, ("NHWC", "HWIO", "NHWC")])
def test_patches_and_unshared_kernels(layout):
    lhs = LHS if layout is None else LHS.transpose(0, 2, 3, 1)
    patches = lax.conv_general_dilated_patches(lhs, (3, 2), (2, 1), "VALID",
                                               dimension_numbers=layout)
    logical = np.asarray(patches) if layout is None else np.transpose(patches, (0, 3, 1, 2))
    expected = np.stack([[LHS[:, :, 2 * i:2 * i + 3, j:j + 2].reshape(2, -1) for j in range(5)]
                         for i in range(2)])
    np.testing.assert_array_equal(logical, expected.transpose(2, 3, 0, 1))
    same = np.broadcast_to(RHS.reshape(6, -1, 1, 1), (6, 24, 2, 5))
    kernel = same if layout is None else same.transpose(2, 3, 1, 0)
    out = lax.conv_general_dilated_local(lhs, kernel, (2, 1), "VALID", (3, 2),
                                         dimension_numbers=layout)
    shared = np.asarray(lax.conv(LHS, RHS, (2, 1), "VALID"))
    np.testing.assert_allclose(out, shared if layout is None else shared.transpose(0, 2, 3, 1),
                               rtol=1e-4, atol=1e-4)
