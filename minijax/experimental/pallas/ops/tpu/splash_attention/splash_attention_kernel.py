"""Attention with a mask that is known beforehand.

    attend = make_splash_mha(MultiHeadMask([CausalMask((8, 8))] * heads), head_shards=1,
                             q_seq_shards=1)
    attend(q, k, v)           # q, k, v: [heads, length, size]; no scaling of q

Computed with two products and a softmax: block sizes and shard counts change nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minijax import nn
from minijax import numpy as jnp
from minijax.base.jaxlib import Array
from minijax.experimental.pallas.ops.tpu.splash_attention.splash_attention_mask import Mask

__all__ = ["BlockSizes", "SegmentIds", "make_splash_mha", "make_splash_mqa"]

# Of a row that may look at nothing: finite, so that its softmax is no NaN.
DEFAULT_MASK_VALUE = -0.7 * float(np.finfo(np.float32).max)


class SegmentIds(NamedTuple):
    """Tokens look at tokens of their own segment only: q [queries], kv [keys]."""

    q: Any
    kv: Any


@dataclasses.dataclass(frozen=True)
class BlockSizes:
    """Sizes of the blocks that kernels on TPUs work on; here they change nothing."""

    block_q: int
    block_kv: int
    block_kv_compute: int | None = None
    block_q_dkv: int | None = None
    block_kv_dkv: int | None = None
    block_kv_dkv_compute: int | None = None
    block_q_dq: int | None = None
    block_kv_dq: int | None = None
    use_fused_bwd_kernel: bool = False


def make_splash_mha(mask: Mask | np.ndarray, *, head_shards: int, q_seq_shards: int,
                    block_sizes: BlockSizes | None = None, is_mqa: bool = False,
                    mask_value: float = DEFAULT_MASK_VALUE,
                    attn_logits_soft_cap: float | None = None,
                    **options: Any) -> Callable[..., Array]:
    """The attention of q [heads, queries, size] to k, v [key heads, keys, size], masked."""
    allowed = mask if isinstance(mask, np.ndarray) else mask.array()

    def attend(q: Any, k: Any, v: Any, segment_ids: SegmentIds | None = None) -> Array:
        if is_mqa:
            k, v = k[None], v[None]
        group = q.shape[0] // k.shape[0]
        k, v = jnp.repeat(k, group, axis=0), jnp.repeat(v, group, axis=0)
        logits = jnp.einsum("hqd,hkd->hqk", q, k, preferred_element_type=np.float32)
        if attn_logits_soft_cap is not None:
            logits = jnp.tanh(logits / attn_logits_soft_cap) * attn_logits_soft_cap
        visible = jnp.asarray(allowed)
        if segment_ids is not None:
            visible = visible & (segment_ids.q[:, None] == segment_ids.kv[None, :])
        weights = nn.softmax(jnp.where(visible, logits, mask_value), axis=-1)
        return jnp.einsum("hqk,hkd->hqd", weights.astype(v.dtype), v)
    return attend


def make_splash_mqa(mask: Mask | np.ndarray, **options: Any) -> Callable[..., Array]:
    """`make_splash_mha` for keys and values [keys, size] that all heads share."""
    return make_splash_mha(mask, is_mqa=True, **options)
