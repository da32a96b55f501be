"""Samples for minijax/lax/slicing.py."""

import numpy as np

from .sample import Sample

EVERY = ("f", "c", "i", "u", "b")
ONE, THREE = np.int32(1), np.int32(3)

SAMPLES = {
    "slice": [
        Sample(((4, 5),), dict(start_indices=(1, 0), limit_indices=(4, 3), strides=None),
               dtypes=EVERY),
        Sample(((7, 5),), dict(start_indices=(1, 0), limit_indices=(6, 5), strides=(2, 3))),
        Sample(((4,),), dict(start_indices=(2,), limit_indices=(2,), strides=(1,))),
    ],
    "dynamic_slice": [
        Sample(((4, 5), ONE, THREE), dict(slice_sizes=(2, 2)), dtypes=EVERY),
        Sample(((4, 5), THREE, np.int32(-7)), dict(slice_sizes=(2, 5))),
        Sample(((4,), np.uint8(3)), dict(slice_sizes=(2,))),
        Sample(((),), dict(slice_sizes=())),
    ],
    "dynamic_update_slice": [
        Sample(((4, 5), (2, 3), ONE, ONE), dtypes=EVERY),
        Sample(((4, 5), (2, 5), THREE, np.int32(-7))),
        Sample(((), ())),
    ],
}
