"""Samples of the primitives of lax/shapes.py, and of the structural ones of core."""

from __future__ import annotations

import numpy as np

from .sample import Sample, Samples

V = (3,)
M = (2, 3)
EVERY = ("f", "c", "i", "u", "b")
NUMBER = ("f", "c", "i", "u")


def broadcast(shape: tuple[int, ...], dims: tuple[int, ...]) -> dict:
    return {"shape": shape, "broadcast_dimensions": dims, "sharding": None}


def reshape(shape: tuple[int, ...]) -> dict:
    return {"new_sizes": shape, "dimensions": None, "sharding": None}


def iota(dtype: str, shape: tuple[int, ...], dimension: int) -> dict:
    return {"dtype": np.dtype(dtype), "shape": shape, "dimension": dimension, "sharding": None}


def pad(*config: tuple[int, int, int]) -> Sample:
    return Sample(((3, 4), ()), {"padding_config": config}, dtypes=("f", "c", "i"))


SAMPLES: Samples = {
    "add_any": [Sample((M, M), dtypes=("f", "c"))],
    "broadcast_in_dim": [
        Sample((M,), broadcast((4, 2, 3), (1, 2)), dtypes=EVERY),
        Sample((V,), broadcast((3, 2), (0,)), dtypes=("f",)),
        Sample(((2, 1),), broadcast((2, 5, 3), (0, 2)), dtypes=("f",)),
        Sample(((),), broadcast((2, 3), ()), dtypes=EVERY),
    ],
    "reshape": [Sample((M,), reshape((3, 2)), dtypes=EVERY), Sample((M,), reshape((6,))),
                Sample((M,), reshape((1, 2, 1, 3)))],
    "transpose": [Sample(((2, 3, 4),), {"permutation": p}, dtypes=EVERY)
                  for p in ((1, 2, 0), (0, 2, 1))],
    "reduce_sum": [Sample(((2, 3, 4),), {"axes": axes, "out_sharding": None}, dtypes=NUMBER)
                   for axes in ((0,), (1, 2), ())],
    "squeeze": [Sample(((1, 3, 1),), {"dimensions": dims}, dtypes=EVERY)
                for dims in ((0,), (0, 2), ())],
    "rev": [Sample(((2, 3, 4),), {"dimensions": dims}, dtypes=EVERY)
            for dims in ((0,), (0, 2), ())],
    "tile": [Sample((M,), {"reps": reps}, dtypes=EVERY) for reps in ((2, 1), (3, 2))]
    + [Sample(((),), {"reps": ()})],
    "concatenate": [
        Sample((M, (2, 1), (2, 2)), {"dimension": 1}, dtypes=EVERY),
        Sample((M, (1, 3)), {"dimension": 0}),
        Sample((V,), {"dimension": 0}),
    ],
    "split": [Sample(((2, 5),), {"sizes": (1, 0, 4), "axis": 1}, dtypes=EVERY),
              Sample(((2, 5),), {"sizes": (2,), "axis": 0})],
    "stack": [Sample((M, M), {"axis": axis}, dtypes=EVERY) for axis in (0, 1, 2)]
    + [Sample(((), ()), {"axis": 0})],
    "unstack": [Sample((M,), {"axis": axis}, dtypes=EVERY) for axis in (0, 1)]
    + [Sample((V,), {"axis": 0})],
    "pad": [pad((1, 2, 0), (0, 0, 0)), pad((1, 0, 2), (-1, 3, 1)), pad((-1, -1, 0), (0, -2, 1)),
            pad((-2, 1, 3), (0, 0, 0))],
    "empty": [Sample((), {"shape": M, "dtype": np.dtype("float32"), "out_sharding": None})],
    "iota": [Sample((), iota("int32", (4,), 0)), Sample((), iota("float32", (2, 3), 1)),
             Sample((), iota("complex64", (2, 3), 0))],
}
