"""`shard_alike`: two arrays that the partitioner is to split in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base import errors, tree
from minijax.core import AxisData, Primitive, Zero, aval_of, instantiate, materialize, move_axis

__all__ = ["shard_alike"]


def shard_alike(x: Any, y: Any) -> tuple[Any, Any]:
    """`x` and `y`, pytrees of arrays of the same shapes, each leaf split as its partner is."""
    (xs, x_tree), (ys, y_tree) = tree.flatten(x), tree.flatten(y)
    if x_tree != y_tree:
        raise ValueError(errors.describe(
            f"Trees should be equal. Got x_tree: {x_tree}, y_tree: {y_tree}",
            fix="give both arguments the same structure"))
    for a, b in zip(map(aval_of, xs), map(aval_of, ys)):
        if a.shape != b.shape:
            raise ValueError(errors.describe(
                "The leaves shapes of `x` and `y` should match. Got `x` leaf shape: "
                f"{a.shape} and `y` leaf shape: {b.shape}",
                fix="pair arrays of one shape"))
    pairs = [shard_alike_p.bind(a, b) for a, b in zip(xs, ys)]
    return (tree.unflatten(x_tree, [a for a, _ in pairs]),
            tree.unflatten(y_tree, [b for _, b in pairs]))


def _jvp(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple:
    return shard_alike_p.bind(*primals), shard_alike_p.bind(*map(instantiate, tangents))


def _transpose(cts: Sequence[Any], *_: Any) -> Sequence[Any]:
    return cts if any(type(ct) is Zero for ct in cts) else shard_alike_p.bind(*cts)


def _vmap(axis: AxisData, args: Sequence[Any], dims: Sequence[int | None]) -> tuple:
    args = [materialize(x, None, axis.size) if d is None else move_axis(x, d, 0)
            for x, d in zip(args, dims)]
    return shard_alike_p.bind(*args), [0, 0]


shard_alike_p = Primitive("shard_alike", multiple_results=True, shape=lambda x, y: [x, y],
                          jvp=_jvp, transpose=_transpose, vmap=_vmap)
