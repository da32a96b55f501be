"""Samples for minijax/lax/gather.py."""

import numpy as np

from minijax import lax
from minijax.lax.computation import binary_jaxpr
from minijax.lax.gather import (GatherDimensionNumbers, GatherScatterMode,
                                ScatterDimensionNumbers)

from .sample import Sample

EVERY = ("f", "c", "i", "u", "b")
CLIP = GatherScatterMode.CLIP
FILL = GatherScatterMode.FILL_OR_DROP
PROMISE = GatherScatterMode.PROMISE_IN_BOUNDS

ROWS = np.array([[1], [3], [1]], np.int32)  # one row twice
WILD = np.array([[1], [7], [-2]], np.int32)  # two rows out of bounds
DISTINCT = np.array([[2], [0], [3]], np.int32)
POINTS = np.array([[0, 2], [3, 4]], np.int32)
ROW_OF_EACH = np.array([[1, 0], [2, 3], [0, 4], [4, 1]], np.int32)[:, :, None]

TAKE_ROWS = ((1,), (0,), (0,))
TAKE_WINDOWS = ((1, 2), (), (0, 1))
TAKE_BATCHED = ((), (1,), (1,), (0,), (0,))


def gather(indices, dims, sizes, mode, fill=None, **options):
    params = dict(dimension_numbers=GatherDimensionNumbers(*dims), slice_sizes=sizes,
                  unique_indices=False, indices_are_sorted=False, mode=mode, fill_value=fill)
    return Sample(((4, 5), indices), params, **options)


def scatter(op, indices, dims, updates, mode, unique=False, **options):
    """`op` names the combining function; the update jaxpr depends on the dtype."""
    params = dict(update_jaxpr=op and binary_jaxpr(op, np.dtype(np.float64)), update_consts=(),
                  dimension_numbers=ScatterDimensionNumbers(*dims), indices_are_sorted=False,
                  unique_indices=unique, mode=mode)
    return Sample(((4, 5), indices, updates), params, **options)


def family(op, dtypes):
    """The cases that all scatters share."""
    return [
        lambda: scatter(op, DISTINCT, TAKE_ROWS, (3, 5), FILL, True, dtypes=dtypes),
        lambda: scatter(op, DISTINCT, TAKE_ROWS, (3, 3), PROMISE, True),
        lambda: scatter(op, WILD, TAKE_ROWS, (3, 5), FILL, True),
        lambda: scatter(op, np.array([[1, 9]], np.int32), TAKE_WINDOWS, (1, 2, 3), CLIP),
        lambda: scatter(op, ROW_OF_EACH, TAKE_BATCHED, (4, 2), FILL, True),
        lambda: scatter(op, POINTS, ((), (0, 1), (0, 1)), (2,), PROMISE, True),
    ]


def repeated(op):
    """The same element updated more than once."""
    return [lambda: scatter(op, ROWS, TAKE_ROWS, (3, 5), FILL),
            lambda: scatter(op, np.array([[0, 0], [1, 1]], np.int32), TAKE_WINDOWS, (2, 2, 3),
                            CLIP)]


SAMPLES = {
    "gather": [
        gather(ROWS, TAKE_ROWS, (1, 5), PROMISE, dtypes=EVERY),
        gather(WILD, TAKE_ROWS, (1, 5), CLIP),
        gather(WILD, TAKE_ROWS, (1, 3), FILL, 0.5),
        gather(WILD.astype(np.uint32), TAKE_ROWS, (1, 5), FILL, 0),
        gather(POINTS, TAKE_WINDOWS, (2, 3), CLIP),
        gather(ROW_OF_EACH, TAKE_BATCHED, (1, 1), FILL, 0),
        gather(np.int32(2)[None], ((0,), (0,), (0,)), (1, 5), CLIP),
    ],
    "scatter": family(None, EVERY) + repeated(None),
    "scatter-add": family(lax.add, ("f", "c", "i", "u")) + repeated(lax.add),
    "scatter-sub": family(lax.sub, ("f", "c", "i", "u")) + repeated(lax.sub),
    "scatter-mul": family(lax.mul, ("f", "c", "i", "u")) + [
        lambda: scatter(lax.mul, ROWS, TAKE_ROWS, (3, 5), FILL, grad=False,
                        reason="the updates' derivative needs unique indices")],
    "scatter-min": family(lax.min, ("f", "i", "u", "b")) + repeated(lax.min),
    "scatter-max": family(lax.max, ("f", "i", "u", "b")) + repeated(lax.max),
}
