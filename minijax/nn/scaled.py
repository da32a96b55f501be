"""Products of arrays in narrow floats with one scale for each block of elements.

Formats: "mxfp8" (OCP Microscaling v1.0: float8_e4m3fn elements, blocks of 32, scales that are
powers of two) and "nvfp4" (float4_e2m1fn elements, blocks of 16, float8_e4m3fn scales, and a
global one). Blocks lie along the axis that is summed over.

    scaled_dot_general(x, y, (((2,), (2,)), ((0,), (0,))), configs=[config] * 3)
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import ml_dtypes
import numpy as np

from minijax import lax
from minijax.api.custom_vjp import custom_vjp
from minijax.base import dtypes, errors
from minijax.base.jaxlib import Array
from minijax.base.util import canonicalize_axes
from minijax.core import aval_of
from minijax.numpy import creation, promotion, reductions, ufuncs

_FLOAT = np.dtype(np.float32)


@dataclasses.dataclass
class BlockScaleConfig:
    """How the elements of one operand are stored."""

    mode: str
    block_size: int
    data_type: Any
    scale_type: Any
    global_scale: Any = None
    infer_only: bool = False


def get_scaled_dot_general_config(mode: Literal["nvfp4", "mxfp8"],
                                  global_scale: Array | None = None) -> BlockScaleConfig:
    """The format of this name; `global_scale` (default 1) is for "nvfp4" only."""
    if mode == "mxfp8":
        return BlockScaleConfig(mode, 32, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e8m0fnu)
    if mode == "nvfp4":
        scale = creation.ones((1,), _FLOAT) if global_scale is None else global_scale
        return BlockScaleConfig(mode, 16, ml_dtypes.float4_e2m1fn, ml_dtypes.float8_e4m3fn, scale)
    raise ValueError(errors.describe(f"Unsupported mode: {mode}", fix="mode='mxfp8'"))


def scaled_matmul(lhs: Array, rhs: Array, lhs_scales: Array, rhs_scales: Array,
                  preferred_element_type: Any = np.float32) -> Array:
    """[B, M, N] sums over k of lhs[B, M, k] * rhs[B, N, k], elements times their block's scale.

    The scales, [B, M, K / block] and [B, N, K / block], may have any float dtype.
    """
    shapes = [aval_of(x).shape for x in (lhs, rhs, lhs_scales, rhs_scales)]
    if any(len(shape) != 3 for shape in shapes):
        raise ValueError(errors.describe(
            "scaled_matmul requires all inputs to be 3-dimensional arrays",
            because=f"the shapes are {shapes}", fix="x[None]"))
    a, b, a_scales, b_scales = shapes
    if (a[0], a[2]) != (b[0], b[2]):
        raise ValueError(errors.describe(
            "scaled_matmul requires inputs a and b to have matching batch (B) and contract (K) "
            f"dimensions, but got shapes {a} and {b}", fix="lhs is [B, M, K], rhs is [B, N, K]"))
    if (a_scales[0], a_scales[2]) != (b_scales[0], b_scales[2]):
        raise ValueError(errors.describe(
            "scaled_matmul requires scales to have matching batch (B) and contract (K) dimensions,"
            f" but got shapes {a_scales} and {b_scales}", fix="one scale for each block of K"))
    for x, scales in ((a, a_scales), (b, b_scales)):
        if x[:2] != scales[:2] or not scales[2] or x[2] % scales[2]:
            raise ValueError(errors.describe(
                "scaled_matmul requires scales to match non-contract dimensions of inputs, but "
                f"got shapes {x} and {scales}", fix="scales of shape [B, M, K / block]"))
    wide = [_unscaled(x, scales) for x, scales in ((lhs, lhs_scales), (rhs, rhs_scales))]
    return lax.dot_general(*wide, (((2,), (2,)), ((0,), (0,))),
                           preferred_element_type=preferred_element_type)


def _unscaled(x: Any, scales: Any) -> Any:
    """Elements times the scales of their blocks, in float32."""
    x, scales = (lax.convert_element_type(v, _FLOAT) for v in (x, scales))
    *lead, blocks = scales.shape
    grouped = lax.reshape(x, (*lead, blocks, x.shape[-1] // blocks))
    spread = lax.broadcast_in_dim(scales, grouped.shape, tuple(range(scales.ndim)))
    return lax.reshape(lax.mul(grouped, spread), x.shape)


def scaled_dot_general(lhs: Array, rhs: Array, dimension_numbers: Any,
                       preferred_element_type: Any = np.float32,
                       configs: Sequence[BlockScaleConfig] | None = None,
                       implementation: Literal["cudnn"] | None = None) -> Array:
    """`lax.dot_general` of operands that are rounded to block-scaled formats first.

    configs: the formats of lhs, rhs and of the gradient of the result; None rounds nothing.
    """
    if configs is None:
        return lax.dot_general(lhs, rhs, dimension_numbers,
                               preferred_element_type=preferred_element_type)
    (contract, batch) = dimension_numbers
    lhs_axes, lhs_shape = _to_matrices(aval_of(lhs), contract[0], batch[0])
    rhs_axes, rhs_shape = _to_matrices(aval_of(rhs), contract[1], batch[1])
    a = lax.reshape(lax.transpose(lhs, lhs_axes), _sizes(lhs_shape))
    b = lax.reshape(lax.transpose(rhs, rhs_axes), _sizes(rhs_shape))
    out = _product(a, b, tuple(configs), dtypes.check_user_dtype(preferred_element_type,
                                                                 "scaled_dot_general"))
    return lax.reshape(out, (*lhs_shape[0], *lhs_shape[1], *rhs_shape[1]))


def _to_matrices(aval: Any, contract: Sequence[int],
                 batch: Sequence[int]) -> tuple[tuple[int, ...], tuple]:
    """The order batch, free, contracted of the axes, and their sizes in these groups."""
    contract, batch = (canonicalize_axes(tuple(x), aval.ndim) for x in (contract, batch))
    free = tuple(i for i in range(aval.ndim) if i not in contract and i not in batch)
    groups = tuple(tuple(aval.shape[i] for i in axes) for axes in (batch, free, contract))
    return (*batch, *free, *contract), groups


def _sizes(groups: Sequence[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(math.prod, groups))


def _product(a: Any, b: Any, configs: tuple, dtype: Any) -> Any:
    """[B, M, K] times [B, N, K]; gradients are rounded like operands of products of their own."""
    def run(a: Any, b: Any) -> Any:
        return _rounded_product(a, b, configs[0], configs[1], dtype)

    def backward(saved: tuple, g: Any) -> tuple:
        a, b = saved
        swap = (0, 2, 1)
        grad_a = _rounded_product(g, lax.transpose(b, swap), configs[2], configs[1], a.dtype)
        grad_b = _rounded_product(lax.transpose(g, swap), lax.transpose(a, swap), configs[2],
                                  configs[0], b.dtype)
        return grad_a, grad_b

    product = custom_vjp(run)
    product.defvjp(lambda a, b: (run(a, b), (a, b)), backward)
    return product(a, b)


def _rounded_product(a: Any, b: Any, a_config: BlockScaleConfig, b_config: BlockScaleConfig,
                     dtype: Any) -> Any:
    (a, a_scales), (b, b_scales) = _quantized(a, a_config), _quantized(b, b_config)
    out = scaled_matmul(a, b, a_scales, b_scales, _FLOAT)
    for config in (a_config, b_config):
        if config.global_scale is not None:
            out = ufuncs.multiply(out, promotion.convert(config.global_scale, _FLOAT))
    return lax.convert_element_type(out, dtype)


def _quantized(x: Any, config: BlockScaleConfig) -> tuple[Any, Any]:
    """(elements, scales): the largest of a block becomes about the largest number there is."""
    *lead, size = x.shape
    if size % config.block_size:
        raise ValueError(errors.describe(
            f"scaled_dot_general needs contracted sizes that are multiples of the block size "
            f"{config.block_size}, got {size}", fix="pad the operands with zeros"))
    blocks = lax.reshape(lax.convert_element_type(x, _FLOAT),
                         (*lead, size // config.block_size, config.block_size))
    largest = float(ml_dtypes.finfo(config.data_type).max)
    top = reductions.max(lax.abs(blocks), axis=-1, keepdims=True)
    if config.mode == "mxfp8":
        scale = _power_of_two_above(lax.div(top, _FLOAT.type(largest)))
    else:
        scale = ufuncs.divide(top, ufuncs.multiply(
            promotion.convert(config.global_scale, _FLOAT), largest))
    stored = lax.convert_element_type(scale, config.scale_type)
    scale = lax.convert_element_type(stored, _FLOAT)
    if config.global_scale is not None:
        scale = ufuncs.multiply(scale, promotion.convert(config.global_scale, _FLOAT))
    safe = ufuncs.pick(scale == 0, _FLOAT.type(1), scale)
    limited = lax.clamp(_FLOAT.type(-largest), lax.div(blocks, lax.broadcast_in_dim(
        safe, blocks.shape, tuple(range(blocks.ndim)))), _FLOAT.type(largest))
    elements = lax.convert_element_type(lax.reshape(limited, x.shape), config.data_type)
    return elements, lax.squeeze(stored, (stored.ndim - 1,))


def _power_of_two_above(x: Any) -> Any:
    """The least power of two not below x, at least 2**-127, at most 2**127; x is float32."""
    exponent = lax.ceil(ufuncs.log2(ufuncs.maximum(x, 2.0 ** -127)))
    return ufuncs.exp2(lax.clamp(_FLOAT.type(-127), exponent, _FLOAT.type(127)))
