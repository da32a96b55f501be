"""Samples for minijax/lax/exchange.py: an uneven exchange between three positions of an axis."""

import numpy as np

import minijax as jax
from minijax import core, lax

from .sample import Sample, Samples

ALL = ("f", "c", "i", "u", "b")
ALONE = dict(grad=False, reason="messages have no derivative, as in JAX", runs=False, dtypes=ALL)

# [sender, receiver]: where a run starts, how long it is, and where it arrives.
STARTS = np.array([[0, 1, 3], [0, 2, 2], [1, 0, 3]], np.int32)
SIZES = np.array([[1, 2, 1], [2, 0, 2], [1, 1, 0]], np.int32)
TARGETS = np.array([[0, 0, 4], [1, 2, 1], [4, 3, 0]], np.int32)


def _runs(count: int) -> tuple:
    """The four vectors for `count` runs to each receiver, of which the first is the above."""
    given = [np.zeros((3, 3, count), np.int32) for _ in range(4)]
    for vector, values in zip(given, (STARTS, SIZES, TARGETS, SIZES.T)):
        vector[..., 0] = values
    return tuple(v.reshape(3, -1) for v in given)


def _on_axis(bind):
    return jax.vmap(bind, axis_name="i", axis_size=3)


SAMPLES: Samples = {
    "ragged_all_to_all": [
        Sample(((3, 4, 2), (3, 5, 2), *_runs(1)), dict(axis_name=("i",), axis_index_groups=None),
               around=_on_axis, dtypes=ALL),
        Sample(((3, 4), (3, 5), *_runs(2)), dict(axis_name=("i",), axis_index_groups=None),
               around=_on_axis)],
    "psend": [Sample(((3,),), dict(axis_name=("i",), perm=((0, 1),)), **ALONE)],
    "precv": [Sample((), dict(
        axis_name=("i",), perm=((0, 1),),
        out_shape=core.ShapedArray((3,), np.dtype(np.float32))),
        around=lambda bind: lambda: bind(lax.create_token()), **ALONE)],
}
