"""Samples for minijax/lax/sorting.py."""

import numpy as np

from .sample import Sample

REAL = ("f", "i", "u")


def order(dimension, num_keys=1, is_stable=True):
    return dict(dimension=dimension, is_stable=is_stable, num_keys=num_keys)


def approximate(dimension, aggregate):
    return dict(k=2, reduction_dimension=dimension, recall_target=0.95, is_max_k=aggregate,
                reduction_input_size_override=-1, aggregate_to_topk=aggregate)


TIES = np.array([[2, 1, 2, 1], [3, 3, 0, 1]], np.int32)

SAMPLES = {
    "sort": [
        Sample(((3, 5),), order(1), dtypes=REAL + ("c", "b")),
        Sample(((4, 3), (4, 3)), order(0), dtypes=REAL),
        Sample((TIES, (2, 4), (2, 4)), order(1, num_keys=2)),
        Sample((np.array([3.0, np.nan, -0.0, 0.0, -np.inf]),), order(0), grad=False,
               reason="differences of NaN"),
    ],
    "approx_top_k": [
        Sample(((3, 5),), approximate(1, True)),
        Sample(((300, 2),), approximate(0, False)),
    ],
    "top_k": [
        Sample(((3, 5),), dict(k=2, axis=1), dtypes=REAL),
        Sample(((4, 3),), dict(k=4, axis=0)),
        Sample(((4,),), dict(k=0, axis=0)),
    ],
}
