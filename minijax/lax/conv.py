"""Convolutions of any rank, with strides, dilations, groups and any layout; no kernel is flipped.

    out[n, o, s] = sum over i, k of  lhs[n, i, s * stride + k - low] * rhs[o, i, k]

    >>> conv_general_dilated(images, kernel, (2, 2), "SAME",
    ...                      dimension_numbers=("NHWC", "HWIO", "NHWC"))

The one invariant: in params, `padding` is explicit and `dimension_numbers` is a
`ConvDimensionNumbers`, so rules never look at strings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.dims import index
from minijax.base.jaxlib import Array
from minijax.core import (Dims, Primitive, ShapedArray, Values, aval_of, convert_element_type,
                          each_operand, is_linear, move_axis, over_batch, unbatched_aval, zeros)
from minijax.lax import logic, shapes
from minijax.lax.dot import PrecisionLike, canonicalize_precision, dot_general
from minijax.lax.rules import ArrayLike, asked, check_same_dtypes, remembered
from minijax.lax.shapes import cut_axis, merge_axes
from minijax.lax.window import dilated, padtype_to_pads, positions
from minijax.sharding.spec import axes_of


class ConvDimensionNumbers(NamedTuple):
    """Where the logical dimensions of a convolution stand in its arrays.

    lhs_spec: batch, feature, then spatial dimensions of the left operand.
    rhs_spec: output feature, input feature, then spatial dimensions of the kernel.
    out_spec: batch, feature, then spatial dimensions of the result.
    """

    lhs_spec: Sequence[int]
    rhs_spec: Sequence[int]
    out_spec: Sequence[int]


ConvGeneralDilatedDimensionNumbers = None | ConvDimensionNumbers | tuple[str, str, str]

# --- User functions ----------------------------------------------------------------------------


def conv_general_dilated(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int],
                         padding: str | Sequence[tuple[int, int]],
                         lhs_dilation: Sequence[int] | None = None,
                         rhs_dilation: Sequence[int] | None = None,
                         dimension_numbers: ConvGeneralDilatedDimensionNumbers = None,
                         feature_group_count: int = 1, batch_group_count: int = 1,
                         precision: PrecisionLike = None, preferred_element_type: Any = None,
                         out_sharding: Any = None) -> Array:
    """The convolution of `lhs` with the kernel `rhs`.

    `padding` is "SAME", "SAME_LOWER", "VALID" or pairs of numbers; `dimension_numbers` are three
    strings such as ("NHWC", "HWIO", "NHWC") (default: batch, feature, spatial; output, input,
    spatial). `lhs_dilation` puts holes between elements of `lhs`, `rhs_dilation` of the kernel.
    """
    strides, pads, base, spread, dnums = _geometry(
        aval_of(lhs).shape, aval_of(rhs).shape, window_strides, padding, lhs_dilation,
        rhs_dilation, dimension_numbers)
    if preferred_element_type is not None:
        preferred_element_type = dtypes.check_user_dtype(preferred_element_type,
                                                         "conv_general_dilated")
    return conv_general_dilated_p.bind(
        lhs, rhs, window_strides=strides, padding=pads, lhs_dilation=base,
        rhs_dilation=spread, dimension_numbers=dnums,
        feature_group_count=feature_group_count, batch_group_count=batch_group_count,
        precision=canonicalize_precision(precision),
        preferred_element_type=preferred_element_type,
        out_sharding=None if out_sharding is None else asked(out_sharding, "conv_general_dilated"))


def conv(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int], padding: str,
         precision: PrecisionLike = None, preferred_element_type: Any = None) -> Array:
    """The convolution of batch, feature, spatial `lhs` with output, input, spatial `rhs`."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, precision=precision,
                                preferred_element_type=preferred_element_type)


def conv_with_general_padding(lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int],
                              padding: str | Sequence[tuple[int, int]],
                              lhs_dilation: Sequence[int] | None,
                              rhs_dilation: Sequence[int] | None,
                              precision: PrecisionLike = None,
                              preferred_element_type: Any = None) -> Array:
    """`conv` with dilations and explicit padding."""
    return conv_general_dilated(lhs, rhs, window_strides, padding, lhs_dilation, rhs_dilation,
                                precision=precision,
                                preferred_element_type=preferred_element_type)


def conv_transpose(lhs: ArrayLike, rhs: ArrayLike, strides: Sequence[int],
                   padding: str | Sequence[tuple[int, int]],
                   rhs_dilation: Sequence[int] | None = None,
                   dimension_numbers: ConvGeneralDilatedDimensionNumbers = None,
                   transpose_kernel: bool = False, precision: PrecisionLike = None,
                   preferred_element_type: Any = None,
                   use_consistent_padding: bool = False) -> Array:
    """The transpose of a convolution with respect to its left operand: `strides` enlarge.

    Layouts default to channels last. "SAME" and "VALID" are those of the convolution transposed,
    and so are explicit pads with `use_consistent_padding`; without it they are added to `lhs`
    after it is spread out. `transpose_kernel` flips the kernel and exchanges its features.
    """
    ndim = aval_of(lhs).ndim
    if dimension_numbers is None:
        if not 2 <= ndim <= 5:
            raise ValueError(errors.describe("No 4+ dimensional dimension_number defaults.",
                                             fix="pass dimension_numbers"))
        spatial = "HWD"[:ndim - 2]
        dimension_numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    dnums = conv_dimension_numbers(aval_of(lhs).shape, aval_of(rhs).shape, dimension_numbers)
    spread = (1,) * (ndim - 2) if rhs_dilation is None else tuple(rhs_dilation)
    shape = aval_of(rhs).shape
    kernel = [dilated(shape[d], s) for d, s in zip(dnums.rhs_spec[2:], spread)]
    pads = _transposed_pads(kernel, strides, padding, use_consistent_padding)
    if transpose_kernel:
        rhs = shapes.rev(rhs, tuple(dnums.rhs_spec[2:]))
        order = list(range(ndim))
        out_dim, in_dim = dnums.rhs_spec[:2]
        order[out_dim], order[in_dim] = in_dim, out_dim
        rhs = shapes.transpose(rhs, tuple(order))
    return conv_general_dilated(lhs, rhs, (1,) * (ndim - 2), pads, strides, spread, dnums,
                                precision=precision,
                                preferred_element_type=preferred_element_type)


def conv_general_dilated_patches(
        lhs: ArrayLike, filter_shape: Sequence[int], window_strides: Sequence[int],
        padding: str | Sequence[tuple[int, int]], lhs_dilation: Sequence[int] | None = None,
        rhs_dilation: Sequence[int] | None = None,
        dimension_numbers: ConvGeneralDilatedDimensionNumbers = None,
        precision: PrecisionLike = None, preferred_element_type: Any = None) -> Array:
    """What a convolution's kernel sees at each position, along the feature dimension.

    The features of the result are the input features, each with the places of the kernel in
    row-major order.
    """
    filter_shape = tuple(map(index, filter_shape))
    aval = aval_of(lhs)
    dnums = conv_dimension_numbers(aval.shape, (1, 1, *filter_shape), dimension_numbers)
    features, places = aval.shape[dnums.lhs_spec[1]], math.prod(filter_shape)
    row, column = [shapes.broadcasted_iota(np.dtype(np.int32), (places, places), i)
                   for i in (0, 1)]
    identity = convert_element_type(logic.eq(row, column), aval.dtype)
    kernel = shapes.broadcast_in_dim(identity, (features, places, places), (1, 2))
    kernel = shapes.reshape(kernel, (features * places, 1, *filter_shape))
    order = sorted(range(aval.ndim), key=dnums.rhs_spec.__getitem__)
    return conv_general_dilated(
        lhs, shapes.transpose(kernel, order), window_strides, padding, lhs_dilation, rhs_dilation,
        dnums, feature_group_count=features, precision=precision,
        preferred_element_type=preferred_element_type)


def conv_general_dilated_local(
        lhs: ArrayLike, rhs: ArrayLike, window_strides: Sequence[int],
        padding: str | Sequence[tuple[int, int]], filter_shape: Sequence[int],
        lhs_dilation: Sequence[int] | None = None, rhs_dilation: Sequence[int] | None = None,
        dimension_numbers: ConvGeneralDilatedDimensionNumbers = None,
        precision: PrecisionLike = None) -> Array:
    """A convolution with a kernel of its own at each position (unshared weights).

    `rhs` has, in the kernel's layout, output features, input features times the places of the
    kernel, and the spatial dimensions of the result.
    """
    dnums = conv_dimension_numbers(aval_of(lhs).shape, aval_of(rhs).shape, dimension_numbers)
    first = precision[0] if isinstance(precision, tuple) else precision
    patches = conv_general_dilated_patches(lhs, filter_shape, window_strides, padding,
                                           lhs_dilation, rhs_dilation, dnums, first)
    _, rhs_spec, out_spec = dnums
    out = dot_general(patches, rhs, (((out_spec[1],), (rhs_spec[1],)),
                                     (out_spec[2:], rhs_spec[2:])), precision)
    logical = (*out_spec[2:], *out_spec[:2])  # where each dimension of `out` belongs
    return shapes.transpose(out, sorted(range(len(logical)), key=logical.__getitem__))


def _transposed_pads(kernel: Sequence[int], strides: Sequence[int],
                     padding: str | Sequence[tuple[int, int]], consistent: bool) -> Any:
    """The pads of the convolution that transposes one with these strides and padding."""
    if isinstance(padding, str) and padding in ("SAME", "VALID"):
        pads = []
        for k, s in zip(kernel, strides, strict=True):
            overlap = max(k - s, 0)
            cut = overlap // 2 if padding == "SAME" else 0  # what the convolution padded in front
            kept = 0 if padding == "SAME" else overlap
            pads.append((k - 1 - cut, s - 1 + kept + cut))
        return pads
    if consistent and not isinstance(padding, str):
        return [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(kernel, padding)]
    return padding


@remembered(1024)
def _geometry(lhs_shape: tuple, rhs_shape: tuple, window_strides: Sequence[int],
              padding: str | Sequence[tuple[int, int]], lhs_dilation: Sequence[int] | None,
              rhs_dilation: Sequence[int] | None, dimension_numbers: Any) -> tuple:
    """Strides, pads, dilations and layout in the form that params have."""
    dnums = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    ones = (1,) * (len(dnums.lhs_spec) - 2)
    strides, base, spread = [
        ones if given is None else tuple(map(index, given))
        for given in (window_strides, lhs_dilation, rhs_dilation)]
    if isinstance(padding, str):
        padding = _pads(padding, lhs_shape, rhs_shape, strides, base, spread, dnums)
    try:
        pads = tuple([(index(low), index(high)) for low, high in padding])
    except (TypeError, ValueError):
        raise ValueError(errors.describe(
            "padding argument to conv_general_dilated should be a string or a sequence of "
            f"(low, high) pairs, got {padding}",
            fix=f"padding={[(1, 1)] * len(ones)}"))
    return strides, pads, base, spread, dnums


def _pads(padding: str, lhs_shape: tuple, rhs_shape: tuple, strides: tuple, base: tuple,
          spread: tuple, dnums: ConvDimensionNumbers) -> list[tuple[int, int]]:
    """Named padding as numbers."""
    if any(d != 1 for d in base):
        raise ValueError(errors.describe(
            "String padding is not implemented for transposed convolution using this op. Please "
            "either exactly specify the required padding or use conv_transpose.",
            fix="pass padding as pairs, one for each spatial dimension"))
    sizes = [lhs_shape[d] for d in dnums.lhs_spec[2:]]
    kernel = [rhs_shape[d] for d in dnums.rhs_spec[2:]]
    if len(strides) != len(sizes):
        raise ValueError(_stride_error(len(kernel), strides))
    if len(spread) == len(kernel):
        kernel = [dilated(k, d) for k, d in zip(kernel, spread)]
    return padtype_to_pads(sizes, kernel, strides, padding)


# --- Layouts -----------------------------------------------------------------------------------


def conv_dimension_numbers(lhs_shape: Sequence[int], rhs_shape: Sequence[int],
                           dimension_numbers: ConvGeneralDilatedDimensionNumbers,
                           ) -> ConvDimensionNumbers:
    """`dimension_numbers` (None, strings, or already converted) as `ConvDimensionNumbers`."""
    if type(dimension_numbers) is ConvDimensionNumbers:
        return dimension_numbers
    if len(lhs_shape) != len(rhs_shape):
        raise TypeError(errors.describe(
            "convolution requires lhs and rhs ndim to be equal, got "
            f"{len(lhs_shape)} and {len(rhs_shape)}.", fix="add dimensions of size 1"))
    if dimension_numbers is None:
        return _default_layout(len(lhs_shape))
    fail = None
    if not isinstance(dimension_numbers, (list, tuple)):
        fail = f" must be tuple/list or None, got {type(dimension_numbers)}."
    elif len(dimension_numbers) != 3:
        fail = f" list/tuple must be length 3, got {len(dimension_numbers)}."
    elif not all(isinstance(spec, str) for spec in dimension_numbers):
        fail = f" elements must be strings, got {tuple(map(type, dimension_numbers))}."
    else:
        for i, spec in enumerate(dimension_numbers):
            if len(spec) != len(lhs_shape):
                fail = (f"[{i}] must have len equal to the ndim of lhs and rhs, got {len(spec)} "
                        f"for lhs and rhs shapes {tuple(lhs_shape)} and {tuple(rhs_shape)}.")
                break
    if fail:
        raise TypeError(errors.describe(
            f"convolution dimension_numbers{fail}", fix='name the dimensions of lhs, rhs and '
            'result by letters: ("NHWC", "HWIO", "NHWC")'))
    return ConvDimensionNumbers(*conv_general_permutations(tuple(dimension_numbers)))


@lru_cache(maxsize=64)
def _default_layout(ndim: int) -> ConvDimensionNumbers:
    order = tuple(range(ndim))
    return ConvDimensionNumbers(order, order, order)


@lru_cache(maxsize=256)
def conv_general_permutations(dimension_numbers: tuple[str, str, str]) -> tuple:
    """For three layout strings, where the (batch, feature, spatial...) dimensions stand.

    The spatial dimensions are in the order of the kernel's string.
    """
    specs = []
    for i, (spec, (first, second)) in enumerate(zip(dimension_numbers, ("NC", "OI", "NC"))):
        if spec.count(first) != 1 or spec.count(second) != 1:
            raise TypeError(errors.describe(
                f"convolution dimension_numbers[{i}] must contain the characters '{first}' and "
                f"'{second}' exactly once, got {spec}.", fix='use for example "NHWC" and "HWIO"'))
        if len(set(spec)) != len(spec):
            raise TypeError(errors.describe(
                f"convolution dimension_numbers[{i}] cannot have duplicate characters, got "
                f"{spec}.", fix="use one letter for each dimension"))
        specs.append((spec, first, second))
    letters = [c for c in dimension_numbers[1] if c not in "OI"]
    for spec, first, second in specs:
        if set(spec) != {first, second, *letters}:
            raise TypeError(errors.describe(
                "convolution dimension_numbers elements must each have the same set of spatial "
                f"characters, got {dimension_numbers}.", fix='use for example "NHWC" and "HWIO"'))
    return tuple([tuple([spec.index(c) for c in (first, second, *letters)])
                  for spec, first, second in specs])


def conv_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int], strides: Sequence[int],
                     pads: str | Sequence[tuple[int, int]],
                     batch_group_count: int = 1) -> tuple[int, ...]:
    """The shape of a convolution of arrays in the default layout."""
    if isinstance(pads, str):
        pads = padtype_to_pads(lhs_shape[2:], rhs_shape[2:], strides, pads)
    ones = (1,) * len(strides)
    spatial = [positions(n, k, s, p, b, d) for n, k, s, p, b, d in
               zip(lhs_shape[2:], rhs_shape[2:], strides, pads, ones, ones)]
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *spatial)


def conv_general_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int],
                             window_strides: Sequence[int],
                             padding: str | Sequence[tuple[int, int]],
                             dimension_numbers: Any) -> tuple[int, ...]:
    """The shape of a convolution of arrays in a given layout."""
    dnums = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    logical = conv_shape_tuple([lhs_shape[d] for d in dnums.lhs_spec],
                               [rhs_shape[d] for d in dnums.rhs_spec], window_strides, padding)
    return _placed(logical, dnums.out_spec)


def conv_transpose_shape_tuple(lhs_shape: Sequence[int], rhs_shape: Sequence[int],
                               window_strides: Sequence[int],
                               padding: str | Sequence[tuple[int, int]],
                               dimension_numbers: Any) -> tuple[int, ...]:
    """The shape of `conv_transpose` of arrays in a given layout."""
    dnums = conv_dimension_numbers(lhs_shape, rhs_shape, dimension_numbers)
    kernel = [rhs_shape[d] for d in dnums.rhs_spec[2:]]
    pads = _transposed_pads(kernel, window_strides, padding, False)
    spread = [dilated(lhs_shape[d], s) for d, s in zip(dnums.lhs_spec[2:], window_strides)]
    logical = conv_shape_tuple([*[lhs_shape[d] for d in dnums.lhs_spec[:2]], *spread],
                               [rhs_shape[d] for d in dnums.rhs_spec],
                               (1,) * len(window_strides), pads)
    return _placed(logical, dnums.out_spec)


def _placed(logical: Sequence[int], spec: Sequence[int]) -> tuple[int, ...]:
    """Sizes in logical order put where `spec` says."""
    sizes = dict(zip(spec, logical))
    return tuple([sizes[d] for d in range(len(logical))])


# --- Types -------------------------------------------------------------------------------------


def _stride_error(rank: int, strides: Sequence[int]) -> str:
    return errors.describe(
        "conv_general_dilated window and window_strides must have the same number of dimensions, "
        f"but got {rank} and {len(strides)}", fix="give one stride for each spatial dimension")


def _group_error(x: ShapedArray, y: ShapedArray, dnums: ConvDimensionNumbers, groups: int,
                 batch_groups: int) -> str | None:
    """What is wrong with the numbers of groups, if anything."""
    for name, count in (("feature_group_count", groups), ("batch_group_count", batch_groups)):
        if not isinstance(count, (int, np.integer)) or count < 1:
            return f"{name} must be a positive integer, got {count}."
    batch, feature = [x.shape[d] for d in dnums.lhs_spec[:2]]
    out_features, in_features = [y.shape[d] for d in dnums.rhs_spec[:2]]
    if feature % groups:
        return ("feature_group_count must divide lhs feature dimension size, but "
                f"{groups} does not divide {feature}.")
    if feature // groups != in_features:
        return ("lhs feature dimension size divided by feature_group_count must equal the rhs "
                f"input feature dimension size, but {feature} // {groups} != {in_features}.")
    if out_features % groups:
        return ("rhs output feature dimension size must be a multiple of feature_group_count, "
                f"but {out_features} is not a multiple of {groups}.")
    if batch % batch_groups:
        return ("batch_group_count must divide lhs batch dimension size, but "
                f"{batch_groups} does not divide {batch}.")
    if out_features % batch_groups:
        return ("rhs output feature dimension size must be a multiple of batch_group_count, but "
                f"{out_features} is not a multiple of {batch_groups}.")
    if batch_groups > 1 and groups > 1:
        return ("at most one of batch_group_count and feature_group_count may be > 1, got "
                f"{batch_groups} and {groups}.")
    return None


_CLASSES = (np.bool_, np.integer, np.floating, np.complexfloating)


def _check_element_type(x: ShapedArray, preferred: Any) -> None:
    """The result may be of another width; integers may become floating."""
    if x.dtype == np.bool_ or x.dtype == preferred:
        return
    have, want = [next(i for i, kind in enumerate(_CLASSES) if dtypes.issubdtype(d, kind))
                  for d in (x.dtype, preferred)]
    fail = None
    if have != want and (have, want) != (1, 2):
        fail = ("Input type is incompatible with `preferred_element_type`. The compatible "
                "combinations of (input_type, preferred_element_type) are (integral, integral), "
                "(integral, floating), (floating, floating), (complex, complex.")
    elif want == 1 and dtypes.issubdtype(x.dtype, np.signedinteger) > dtypes.issubdtype(
            preferred, np.signedinteger):
        fail = "`preferred_element_type` must have the same signedness as the original type."
    elif np.dtype(preferred).itemsize < x.dtype.itemsize:
        fail = "`preferred_element_type` must not be narrower than the original type."
    if fail:
        raise TypeError(errors.describe(
            fail, because=f"the operands are {x.dtype.name}, preferred is "
            f"{np.dtype(preferred).name}", fix="convert the result instead"))


def _conv_shape(x: ShapedArray, y: ShapedArray, *, window_strides: tuple, padding: tuple,
                lhs_dilation: tuple, rhs_dilation: tuple,
                dimension_numbers: ConvDimensionNumbers, feature_group_count: int,
                batch_group_count: int, precision: Any, preferred_element_type: Any,
                out_sharding: Any) -> ShapedArray:
    if x.ndim != y.ndim:
        raise ValueError(errors.describe(
            "conv_general_dilated lhs and rhs must have the same number of dimensions, but got "
            f"{x.shape} and {y.shape}.", fix="add dimensions of size 1"))
    dnums = dimension_numbers
    rank = len(dnums.lhs_spec) - 2
    fail = _group_error(x, y, dnums, feature_group_count, batch_group_count)
    if fail:
        raise ValueError(errors.describe(f"conv_general_dilated {fail}",
                                         fix="match features, kernel and groups"))
    check_same_dtypes("conv_general_dilated", (x, y))
    if len(window_strides) != rank:
        raise ValueError(_stride_error(rank, window_strides))
    if len(padding) != rank:
        raise TypeError(errors.describe(
            f"Wrong number of explicit pads for convolution: expected {rank}, got "
            f"{len(padding)}.", fix="give a (low, high) pair for each spatial dimension"))
    if len(lhs_dilation) != rank or len(rhs_dilation) != rank:
        raise TypeError(errors.describe(
            f"Wrong number of dilations for convolution: expected {rank}, got "
            f"{len(lhs_dilation)} and {len(rhs_dilation)}.",
            fix="give one dilation for each spatial dimension"))
    if any(d <= 0 for d in (*lhs_dilation, *rhs_dilation)):
        bad = lhs_dilation if any(d <= 0 for d in lhs_dilation) else rhs_dilation
        raise TypeError(errors.describe(f"All dilations must be positive, got {bad}.",
                                        fix="use 1 for no dilation"))
    if any(s <= 0 for s in window_strides):
        raise TypeError(errors.describe(
            f"conv_general_dilated window_strides must be positive, got {window_strides}.",
            fix="use 1 for no stride"))
    if preferred_element_type is not None:
        _check_element_type(x, preferred_element_type)
    shape = _conv_sizes(x, y, dnums, (window_strides, padding, lhs_dilation, rhs_dilation),
                        batch_group_count)
    return ShapedArray(shape, np.dtype(preferred_element_type or x.dtype),
                       x.weak_type and y.weak_type)


def _conv_sizes(x: ShapedArray, y: ShapedArray, dnums: ConvDimensionNumbers, window: tuple,
                batch_groups: int) -> tuple[int, ...]:
    spatial = []
    padding = window[1]
    for d, k, s, p, b, w in zip(dnums.lhs_spec[2:], dnums.rhs_spec[2:], *window):
        if dilated(x.shape[d], b) + p[0] + p[1] < 0:
            sizes = tuple([x.shape[d] for d in dnums.lhs_spec[2:]])
            raise ValueError(errors.describe(
                "Negative padding is larger than the size of the corresponding dimension: got "
                f"padding={padding} for lhs_shape[2:]={sizes}", fix="cut off less"))
        spatial.append(positions(x.shape[d], y.shape[k], s, p, b, w))
    batch = x.shape[dnums.lhs_spec[0]] // batch_groups
    return _placed((batch, y.shape[dnums.rhs_spec[0]], *spatial), dnums.out_spec)


# --- Moving groups between dimensions ----------------------------------------------------------


def _merge_into(x: Any, src: int, dst: int) -> Any:
    """`x` without dimension `src`, which becomes the outer part of dimension `dst`.

    `dst` counts the dimensions of the result.
    """
    return merge_axes(move_axis(x, src, dst), dst)


def _move_outer(x: Any, src: int, dst: int, count: int) -> Any:
    """The outer `count` parts of dimension `src` moved to the outside of dimension `dst`."""
    if count == 1:
        return x
    # the parts are at src, everything after it moves by one
    return _merge_into(cut_axis(x, src, count), src, dst)


# --- Derivatives -------------------------------------------------------------------------------


def _spatial(x: ShapedArray, y: ShapedArray, out: tuple, params: dict) -> list[tuple]:
    """For each spatial dimension: sizes of lhs, kernel, result; stride, pads, dilations."""
    dnums = params["dimension_numbers"]
    return list(zip([x.shape[d] for d in dnums.lhs_spec[2:]],
                    [y.shape[d] for d in dnums.rhs_spec[2:]],
                    [out[d] for d in dnums.out_spec[2:]],
                    params["window_strides"], params["padding"], params["lhs_dilation"],
                    params["rhs_dilation"]))


def _transpose_lhs(ct: Any, x: ShapedArray, y: Any, params: dict) -> Any:
    """Convolve the cotangent, spread out by the strides, with the flipped kernel."""
    dnums = params["dimension_numbers"]
    groups, batch_groups = params["feature_group_count"], params["batch_group_count"]
    out_dim, in_dim = dnums.rhs_spec[:2]
    pads = []
    for n, k, m, stride, (low, _), base, spread in _spatial(x, aval_of(y), aval_of(ct).shape,
                                                            params):
        reach = dilated(k, spread) - 1
        before = reach - low
        pads.append((before, dilated(n, base) + reach - dilated(m, stride) - before))
    # input features and output features exchange places, group by group
    kernel = _move_outer(y, out_dim, in_dim, groups * batch_groups)
    kernel = shapes.rev(kernel, tuple(dnums.rhs_spec[2:]))
    out = conv_general_dilated_p.bind(
        ct, kernel, window_strides=params["lhs_dilation"], padding=tuple(pads),
        lhs_dilation=params["window_strides"], rhs_dilation=params["rhs_dilation"],
        dimension_numbers=ConvDimensionNumbers(
            dnums.out_spec, (in_dim, out_dim, *dnums.rhs_spec[2:]), dnums.lhs_spec),
        feature_group_count=groups * batch_groups, batch_group_count=1,
        precision=params["precision"], preferred_element_type=params["preferred_element_type"],
        out_sharding=None)
    out = _move_outer(out, dnums.lhs_spec[1], dnums.lhs_spec[0], batch_groups)
    return _as_dtype(out, x.dtype)


def _transpose_rhs(ct: Any, x: Any, y: ShapedArray, params: dict) -> Any:
    """Correlate the left operand with the cotangent: batch and features exchange roles."""
    dnums = params["dimension_numbers"]
    precision = params["precision"]
    pads = []
    for n, k, m, stride, (low, _), base, spread in _spatial(aval_of(x), y, aval_of(ct).shape,
                                                            params):
        extent = dilated(k, spread) + dilated(m, stride) - 1
        pads.append((low, extent - dilated(n, base) - low))
    lhs_spec, rhs_spec, out_spec = dnums
    out = conv_general_dilated_p.bind(
        x, ct, window_strides=params["rhs_dilation"], padding=tuple(pads),
        lhs_dilation=params["lhs_dilation"], rhs_dilation=params["window_strides"],
        dimension_numbers=ConvDimensionNumbers(
            (lhs_spec[1], lhs_spec[0], *lhs_spec[2:]), (out_spec[1], out_spec[0], *out_spec[2:]),
            (rhs_spec[1], rhs_spec[0], *rhs_spec[2:])),
        feature_group_count=params["batch_group_count"],
        batch_group_count=params["feature_group_count"], precision=precision,
        preferred_element_type=params["preferred_element_type"], out_sharding=None)
    return _as_dtype(out, y.dtype)


def _as_dtype(x: Any, dtype: Any) -> Any:
    return x if aval_of(x).dtype == dtype else convert_element_type(x, dtype)


def _conv_transpose_rule(ct: Any, x: Any, y: Any, **params: Any) -> list:
    operand = aval_of(y) if is_linear(x) else aval_of(x)
    if aval_of(ct).dtype != operand.dtype:  # a convolution's operands have one dtype
        ct = convert_element_type(ct, operand.dtype)
    if is_linear(x):
        return [_transpose_lhs(ct, x.aval, y, params), None]
    return [None, _transpose_rhs(ct, x, y.aval, params)]


# --- Batching ----------------------------------------------------------------------------------


def _conv_vmap(axis: Any, args: Values, dims: Dims, **params: Any) -> tuple:
    """The batch axis becomes the outer part of batch, of features, or of groups."""
    (x, y), (x_dim, y_dim) = args, dims
    dnums = params["dimension_numbers"]
    groups, batch_groups = params["feature_group_count"], params["batch_group_count"]
    if not axis.size:  # nothing to split dimensions into
        one = _conv_shape(*[aval_of(v) if d is None else unbatched_aval(aval_of(v), d)
                            for v, d in zip(args, dims)], **params)
        return zeros(one.update(shape=(0, *one.shape))), 0
    (n_dim, c_dim), o_dim = dnums.lhs_spec[:2], dnums.rhs_spec[0]
    out_n, out_c = dnums.out_spec[:2]
    asked = params.get("out_sharding")
    if asked is not None:
        params["out_sharding"] = _over_merged(asked, out_n if y_dim is None else out_c, axis)
    if y_dim is None:
        x = _merge_inside(x, x_dim, n_dim, batch_groups)
        out = conv_general_dilated_p.bind(x, y, **params)
        return cut_axis(out, out_n, axis.size), out_n
    if x_dim is None:
        count = groups * batch_groups
        y = _merge_inside(y, y_dim, o_dim, count)
        out = conv_general_dilated_p.bind(x, y, **params)
        if count == 1:
            return cut_axis(out, out_c, axis.size), out_c
        out = move_axis(cut_axis(out, out_c, count, axis.size), out_c + 1, 0)
        return merge_axes(out, out_c + 1), 0
    y = _merge_into(y, y_dim, o_dim)
    if batch_groups > 1:
        x = _merge_into(x, x_dim, n_dim)
        params["batch_group_count"] = batch_groups * axis.size
    else:
        x = _merge_into(x, x_dim, c_dim)
        params["feature_group_count"] = groups * axis.size
    out = conv_general_dilated_p.bind(x, y, **params)
    return cut_axis(out, out_c, axis.size), out_c


def _over_merged(asked: Any, dim: int, axis: Any) -> Any:
    """The sharding asked for one element, for a batch whose axis is the outer part of `dim`."""
    batched = over_batch(asked, dim, axis)
    spec = getattr(batched, "spec", batched)
    entries = spec.partitions
    outer, inner = axes_of(entries[dim:dim + 2])
    spec = spec.update((*entries[:dim], (*outer, *inner) or None, *entries[dim + 2:]))
    return asked.update(spec=spec) if hasattr(asked, "spec") else spec


def _merge_inside(x: Any, src: int, dst: int, groups: int) -> Any:
    """`_merge_into`, but between the `groups` groups of dimension `dst` and what is in them."""
    if groups == 1:
        return _merge_into(x, src, dst)
    x = cut_axis(move_axis(x, src, 0), dst + 1, groups)  # axis, ..., groups, inner, ...
    return merge_axes(move_axis(x, 0, dst + 1), dst, 3)  # ..., groups, axis, inner, ...


conv_general_dilated_p = Primitive(
    "conv_general_dilated", shape=_conv_shape, transpose=_conv_transpose_rule, vmap=_conv_vmap,
    jvp=each_operand(lambda g, out, x, y, **params: conv_general_dilated_p.bind(g, y, **params),
                     lambda g, out, x, y, **params: conv_general_dilated_p.bind(x, g, **params)))
