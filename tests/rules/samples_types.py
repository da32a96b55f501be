"""Samples of the primitives of lax/types.py."""

from __future__ import annotations

import numpy as np

from .sample import Sample, Samples

M = (2, 4)
EVERY = ("f", "c", "i", "u", "b")


def convert(dtype: str) -> dict:
    return {"new_dtype": np.dtype(dtype), "weak_type": False, "sharding": None}


LOSSY = "differences of size 1e-6 are lost in the narrower dtype"

SAMPLES: Samples = {
    "convert_element_type": [
        Sample((M,), convert("float64"), dtypes=("f", "i", "u", "b")),
        Sample((M,), convert("complex128"), dtypes=EVERY),
        Sample((M,), convert("float16"), dtypes=("f", "i", "b"), grad=False, reason=LOSSY),
        Sample((M,), convert("int32"), dtypes=("f", "i", "u", "b")),
        Sample((M,), convert("bool"), dtypes=EVERY, grad=False, reason="a bool has no derivative"),
    ],
    "bitcast_convert_type": [
        Sample((np.arange(8, dtype=np.int32).reshape(2, 4),), {"new_dtype": np.dtype(new)})
        for new in ("float32", "uint32", "int16", "uint8")
    ] + [Sample((np.arange(8, dtype=np.int16).reshape(4, 2),), {"new_dtype": np.dtype("int32")})],
    "reduce_precision": [
        Sample((M,), {"exponent_bits": 8, "mantissa_bits": 7}, grad=False, reason=LOSSY),
        Sample((M,), {"exponent_bits": 11, "mantissa_bits": 52}, dtypes=("f",)),
    ],
}
