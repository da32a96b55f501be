"""`jax.ops`: sums, products and extremes over segments of an array.

    segment_sum(jnp.array([5., 1., 7.]), jnp.array([0, 2, 0]), num_segments=3)    # [12, 0, 1]
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from minijax import lax
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import is_tracer, structural
from minijax.lax.explicit import left_to_compiler
from minijax.lax.rules import ArrayLike
from minijax.numpy import at, promotion, reductions
from minijax.runtime.call import fused

__all__ = ["segment_max", "segment_min", "segment_prod", "segment_sum"]

_RULES = {  # the update of `x.at`, the reduction over buckets, the value of an empty segment
    "segment_sum": ("add", structural.reduce_sum, lambda dtype: promotion.scalar(0, dtype)),
    "segment_prod": ("multiply", lax.reduce_prod, lambda dtype: promotion.scalar(1, dtype)),
    "segment_max": ("max", lax.reduce_max, reductions.lowest),
    "segment_min": ("min", lax.reduce_min, reductions.highest),
}


def _segment(name: str, doc: str) -> Callable[..., Array]:
    """The public function of this name."""
    def segment(
        data: ArrayLike, segment_ids: ArrayLike, num_segments: int | None = None,
        indices_are_sorted: bool = False, unique_indices: bool = False,
        bucket_size: int | None = None, mode: Any = None, out_sharding: Any = None,
    ) -> Array:
        promotion.check_array_like(name, data, segment_ids)
        size = _count(name, segment_ids, num_segments)
        bucket = None if bucket_size is None else operator.index(bucket_size)
        if mode is not None:
            mode = lax.GatherScatterMode.from_any(mode)
        args = (data, segment_ids, name, size, bool(indices_are_sorted), bool(unique_indices),
                bucket, mode)
        if out_sharding is None:
            return _combine(*args)
        return left_to_compiler(name, _combine, out_sharding, *args)

    segment.__name__ = segment.__qualname__ = name
    segment.__doc__ = f"""{doc}

    data: array whose rows (along axis 0) are combined; segment_ids: integers, one per row, not
    necessarily sorted; rows whose id is outside [0, num_segments) are dropped (see `mode`).
    num_segments: the size of the result's axis 0, by default the largest id plus one, which needs
    ids that are known. bucket_size: combine buckets of this many rows first, then the buckets,
    which keeps rounding errors small.
    """
    return segment


def _count(name: str, segment_ids: Any, num_segments: Any) -> int:
    if num_segments is None:
        num_segments = reductions.max(segment_ids) + 1
        num_segments = num_segments if is_tracer(num_segments) else max(int(num_segments), 0)
    if is_tracer(num_segments):
        raise errors.ConcretizationTypeError(num_segments, f"{name}() `num_segments` argument.")
    size = operator.index(num_segments)
    if size < 0:
        raise ValueError(errors.describe("num_segments must be non-negative.",
                                         because=f"it is {size}", fix=f"{name}(x, ids, 0)"))
    return size


@fused(static_argnums=(2, 3, 4, 5, 6, 7))
def _combine(data: Any, ids: Any, name: str, size: int, indices_are_sorted: bool,
             unique_indices: bool, bucket_size: int | None, mode: Any) -> Any:
    method, reduce, empty = _RULES[name]
    data, ids = promotion.as_array(data), promotion.as_array(ids)
    shape: tuple[int, ...] = (size, *data.shape[1:])
    index: Any = ids
    if bucket_size is not None:
        rows = data.shape[0]
        shape = (-(-rows // bucket_size), *shape)
        bucket = lax.div(lax.iota(ids.dtype, rows), lax.full((), bucket_size, ids.dtype))
        index, data = (bucket[None], ids[None]), data[None]
    start = lax.full(shape, empty(data.dtype), data.dtype)
    update = getattr(at._IndexUpdateRef(start, index), method)
    out = update(data, indices_are_sorted=indices_are_sorted, unique_indices=unique_indices,
                 mode=mode, wrap_negative_indices=False)
    return out if bucket_size is None else reduce(out, (0,))


segment_sum = _segment("segment_sum", "The sum of the rows of `data` in each segment, else 0.")
segment_prod = _segment("segment_prod", "The product of the rows of each segment, else 1.")
segment_max = _segment("segment_max", "The maximum of each segment, else -inf or the smallest.")
segment_min = _segment("segment_min", "The minimum of each segment, else inf or the largest.")
