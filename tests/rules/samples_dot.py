"""Samples for minijax/lax/dot.py."""

import numpy as np

from minijax.lax.dot import Precision

from .sample import Sample

NUMBER = ("f", "c", "i", "u")


def dot(x, y, contracting, batch=((), ()), precision=None, preferred=None, **options):
    params = dict(dimension_numbers=(contracting, batch), precision=precision,
                  preferred_element_type=preferred, out_sharding=None)
    return Sample((x, y), params, **options)


def scaled(x, y, x_scale, y_scale, contracting, batch=((), ()), preferred="float64"):
    params = dict(dimension_numbers=(contracting, batch),
                  preferred_element_type=np.dtype(preferred))
    return Sample((x, y, x_scale, y_scale), params, dtypes=(*NUMBER, "b"), grad=False,
                  reason="it has no derivative")


SAMPLES = {
    "dot_general": [
        dot((3, 4), (4, 2), ((1,), (0,)), dtypes=NUMBER),
        dot((4,), (4,), ((0,), (0,)), precision=(Precision.HIGHEST, Precision.DEFAULT)),
        dot((2, 3, 4), (4, 5, 2), ((2,), (0,)), ((0,), (2,))),
        dot((2, 3, 4, 5), (5, 2, 3, 2), ((3, 1), (0, 2)), ((0,), (1,))),
        dot((3, 2), (4,), ((), ())),
        dot((3, 4), (4, 2), ((1,), (0,)), preferred=np.dtype(np.float64)),
        dot((3, 4), np.ones((4, 2), np.int32), ((1,), (0,))),
        dot((3, 0), (0, 2), ((1,), (0,))),
    ],
    "scaled_dot": [
        scaled((3, 8), (8, 2), (3, 2), (4, 2), ((1,), (0,))),
        scaled((2, 3, 4), (4, 5, 2), (2, 3, 2), (1, 5, 2), ((2,), (0,)), ((0,), (2,)), "float32"),
    ],
}
