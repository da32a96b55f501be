"""Scaled dot product attention, with masks, biases, grouped heads and sequence lengths.

Axes: batch b, query positions t, key positions s, heads n (of keys and values k, each serving g
query heads), features h.

    dot_product_attention(q, k, v, is_causal=True)      # [b, t, n, h] from [b, s, k, h]
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np

from minijax import lax
from minijax.base import dtypes, errors
from minijax.core import structural
from minijax.lax.rules import ArrayLike
from minijax.nn import activations
from minijax.numpy import einsums, promotion, ufuncs
from minijax.runtime.call import fused


def dot_product_attention(
    query: ArrayLike, key: ArrayLike, value: ArrayLike, bias: ArrayLike | None = None,
    mask: ArrayLike | None = None, *, scale: float | None = None, is_causal: bool = False,
    query_seq_lengths: ArrayLike | None = None, key_value_seq_lengths: ArrayLike | None = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: Literal["xla", "cudnn"] | None = None, return_residual: bool = False,
) -> Any:
    """softmax(scale * query @ key + bias) @ value, where the masks allow it.

    query is [(b,) t, n, h], key and value [(b,) s, k, h] with n a multiple of k; bias and mask
    broadcast to [b, n, t, s]. The default scale is 1/sqrt(h). `local_window_size` (left, right)
    limits how far keys may be from their query. `return_residual` adds the logsumexp of the
    logits, [(b,) t, n].
    """
    if implementation not in (None, "xla"):
        if implementation == "cudnn":
            raise RuntimeError(errors.describe("cuDNN is not detected.",
                                               fix="implementation='xla'"))
        raise ValueError(errors.describe(f"Unsupported implementation option: {implementation}",
                                         fix="implementation='xla'"))
    if isinstance(local_window_size, int):
        local_window_size = (local_window_size, local_window_size)
    if local_window_size is not None:
        left, right = local_window_size
        local_window_size = (int(left), int(right))
    options = (scale, bool(is_causal), local_window_size, bool(return_residual))
    return _attention(query, key, value, bias, mask, query_seq_lengths, key_value_seq_lengths,
                      options)


@fused(static_argnums=7)
def _attention(q: Any, k: Any, v: Any, bias: Any, mask: Any, q_lengths: Any, k_lengths: Any,
               options: tuple) -> Any:
    scale, is_causal, window, return_residual = options
    shape = np.shape(q)
    q, k, v = [_with_batch(x, 4) for x in (q, k, v)]
    batch, t, n, h = q.shape
    s, heads = k.shape[1:3]
    _check(q, k, v)
    for name, lengths in (("query_seq_lengths", q_lengths), ("key_value_seq_lengths", k_lengths)):
        _check_lengths(name, lengths, batch)
    groups = n // heads
    q = structural.reshape(q, (batch, t, heads, groups, h))
    wide = promotion.promote(q, np.float32(0))[0].dtype
    logits = einsums.einsum("btkgh,bskh->bkgts", q, k, preferred_element_type=wide)
    scale = 1 / math.sqrt(h) if scale is None else scale
    logits = ufuncs.multiply(logits, promotion.convert(scale, logits.dtype))
    full = (batch, n, t, s)
    if bias is not None:
        bias = _grouped(_with_batch(bias, 4), full, heads)
        logits = promotion.convert(ufuncs.add(logits, bias), logits.dtype)
    allowed = _allowed(mask, full, heads, is_causal, window, q_lengths, k_lengths)
    if allowed is not None:
        lowest = logits.dtype.type(0.7 * dtypes.finfo(logits.dtype).min)
        logits = ufuncs.pick(allowed, logits, lowest)
    shares = activations.softmax(logits, axis=-1)
    out = einsums.einsum("bkgts,bskh->btkgh", promotion.convert(shares, k.dtype), v)
    out = structural.reshape(out, (batch, t, n, h))
    if q_lengths is not None:
        present = _before(t, q_lengths)
        out = ufuncs.pick(lax.expand_dims(present, (2, 3)), out, 0)
    out = structural.reshape(out, shape)
    if not return_residual:
        return out
    sums = lax.stop_gradient(activations.logsumexp(logits, axis=-1))
    sums = structural.transpose(promotion.convert(sums, k.dtype), (0, 3, 1, 2))
    return out, structural.reshape(sums, shape[:-1])


def _with_batch(x: Any, rank: int) -> Any:
    return promotion.to_rank(promotion.array_operand("dot_product_attention", x),
                             rank)


def _check(q: Any, k: Any, v: Any) -> None:
    b, t, n, h = q.shape
    s, heads = k.shape[1:3]
    if heads == 0 or n % heads:
        raise ValueError(errors.describe(
            "The number of query heads must be a multiple of key/value heads, but got "
            f"{n} vs {heads}", fix="repeat the heads of key and value"))
    for name, x, expected in (("key", k, (b, s, heads, h)), ("value", v, (b, s, heads, h))):
        if tuple(x.shape) != expected:
            raise ValueError(errors.describe(
                f"{name} shape should be {list(expected)}: but got {tuple(x.shape)}",
                fix="axes are batch, positions, heads, features"))
        if x.dtype != q.dtype:
            raise ValueError(errors.describe(
                f"{name} dtype should be {q.dtype}, but got {x.dtype}",
                fix=f"{name}.astype(query.dtype)"))


def _check_lengths(name: str, lengths: Any, batch: int) -> None:
    if lengths is None:
        return
    dtype = promotion.dtype_of(lengths)
    if dtype != np.int32:
        raise ValueError(errors.describe(f"{name} dtype should be int32, but got {dtype}",
                                         fix=f"{name}.astype('int32')"))
    if np.shape(lengths) != (batch,):
        raise ValueError(errors.describe(
            f"{name} shape should be [{batch}]: but got {np.shape(lengths)}",
            fix="one length for each element of the batch"))


def _grouped(x: Any, full: tuple[int, ...], heads: int) -> Any:
    """[b|1, n|1, t|1, s|1] as [b|1, k|1, g|1, t|1, s|1]."""
    lax.broadcast_shapes(full, tuple(x.shape))
    b, n, t, s = x.shape
    if n == 1:
        return structural.reshape(x, (b, 1, 1, t, s))
    return structural.reshape(x, (b, heads, n // heads, t, s))


def _before(size: int, lengths: Any) -> Any:
    """[b, size]: whether a position is within its sequence."""
    lengths = promotion.as_array(lengths)
    shape = (lengths.shape[0], size)
    return lax.lt(lax.broadcasted_iota(lengths.dtype, shape, 1),
                  structural.broadcast_in_dim(lengths, shape, (0,)))


def _allowed(mask: Any, full: tuple[int, ...], heads: int, is_causal: bool,
             window: tuple[int, int] | None, q_lengths: Any, k_lengths: Any) -> Any:
    """Which keys each query may see, broadcasting to [b, k, g, t, s]; None for all."""
    t, s = full[2:]
    parts = []
    if mask is not None:
        mask = _with_batch(mask, 4)
        if mask.dtype != np.bool_:
            raise ValueError(errors.describe(f"mask dtype should be bool, but got {mask.dtype}",
                                             fix="mask != 0; a bias may be of any dtype"))
        parts.append(_grouped(mask, full, heads))
    distance = np.arange(s)[None] - np.arange(t)[:, None]
    if is_causal:
        parts.append(distance <= 0)
    if window is not None:
        parts.append((distance >= -window[0]) & (distance <= window[1]))
    for lengths, size, axis in ((q_lengths, t, 3), (k_lengths, s, 4)):
        if lengths is not None:
            shape = tuple(size if i == axis else full[0] if i == 0 else 1 for i in range(5))
            parts.append(structural.broadcast_in_dim(_before(size, lengths), shape, (0, axis)))
    if not parts:
        return None
    out = parts[0]
    for part in parts[1:]:
        out = ufuncs.logical_and(out, part)
    return out
