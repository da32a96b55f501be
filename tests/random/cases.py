"""Calls of samplers whose results are stored from JAX (tests/data/random.json).

    python tests/random/cases.py > tests/data/random.json    # with `jax` installed

Values are stored as integers: those of integer samplers, or the bits of floats.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

SHAPES = [[], [5], [3, 4]]
FLOATS = ["float32", "bfloat16", "float16", "float64"]
SEEDS = [0, 7, -1, 2 ** 31 + 5]


def calls() -> Iterator[tuple[str, int, list, dict]]:
    """(sampler, seed, arguments after the key, keyword arguments)"""
    for seed in SEEDS:
        yield "key_data", seed, [], {}
        for num in (2, 3, [2, 2]):
            yield "split", seed, [num], {}
        for data in (0, 1, 2 ** 31 + 1):
            yield "fold_in", seed, [data], {}
    for seed, shape in zip(SEEDS, [*SHAPES, [257]]):
        for dtype in ("uint8", "uint16", "uint32", "uint64"):
            yield "bits", seed, [shape, dtype], {}
        for dtype in FLOATS:
            for name in ("uniform", "normal", "exponential", "gumbel", "laplace", "logistic",
                         "cauchy"):
                yield name, seed, [shape, dtype], {}
        yield "uniform", seed, [shape], {"minval": -3.0, "maxval": 5.0}
        yield "normal", seed, [shape, "complex64"], {}
        yield "gumbel", seed, [shape], {"mode": "high"}
        yield "truncated_normal", seed, [-1.5, 0.5, shape], {}
        for p in (0.5, 0.1):
            yield "bernoulli", seed, [p, shape], {}
        yield "bernoulli", seed, [0.3, shape], {"mode": "high"}
        yield "rademacher", seed, [shape], {}
        for low, high, dtype in ((0, 10, "int32"), (-5, 5, "int8"), (0, 256, "uint8"),
                                 (0, 255, "uint8"), (3, 3, "int32"), (5, -5, "int32"),
                                 (-2 ** 31, 2 ** 31 - 1, "int32"), (0, 10 ** 6, "int16"),
                                 (0, 1000, "int64")):
            yield "randint", seed, [shape, low, high, dtype], {}
    for seed in SEEDS:
        yield "permutation", seed, [10], {}
        yield "permutation", seed, [[[1, 2, 3], [4, 5, 6]]], {"axis": 1}
        yield "permutation", seed, [[[1, 2, 3], [4, 5, 6]]], {"independent": True}
        yield "categorical", seed, [[[0.1, 2.0, -1.0], [0.0, 0.0, 3.0]]], {}
        yield "categorical", seed, [[[0.1, 2.0, -1.0], [0.0, 0.0, 3.0]]], {"axis": 0}
        yield "categorical", seed, [[0.1, 2.0, -1.0]], {"shape": [4]}
        yield "categorical", seed, [[0.1, 2.0, -1.0]], {"shape": [2], "replace": False}
        yield "choice", seed, [10, [4]], {}
        yield "choice", seed, [10, [4]], {"replace": False}
        yield "choice", seed, [[3, 1, 4, 1, 5], [2, 3]], {"p": [0.1, 0.2, 0.3, 0.2, 0.2]}
        yield "choice", seed, [5, [3]], {"p": [0.1, 0.2, 0.3, 0.2, 0.2], "replace": False}


def run(random: Any, name: str, seed: int, args: list, kwargs: dict) -> np.ndarray:
    """The result of one call, with lists turned into shapes, arrays and dtypes."""
    def convert(i: int, x: Any) -> Any:
        array = name in ("permutation", "categorical", "choice") and i == 0
        return np.array(x) if array and isinstance(x, list) else tuple(x) if isinstance(
            x, list) else x
    kwargs = {k: np.array(v, np.float32) if k == "p" else tuple(v) if isinstance(v, list) else v
              for k, v in kwargs.items()}
    args = [convert(i, x) for i, x in enumerate(args)]
    out = getattr(random, name)(random.key(seed), *args, **kwargs)
    if name in ("split", "fold_in"):
        out = random.key_data(out)
    return np.asarray(out)


def as_integers(x: np.ndarray) -> list:
    """The values of integers, the bits of floats, flat."""
    if x.dtype.kind == "c":
        x = np.stack([x.real, x.imag])
    if x.dtype.kind not in "iub":
        x = x.view(f"u{x.dtype.itemsize}")
    return [int(v) for v in x.ravel()]


if __name__ == "__main__":
    import jax

    rows = []
    for x64 in (False, True):
        jax.config.update("jax_enable_x64", x64)
        for call in calls():
            wide = any(str(a).endswith("64") and a != "complex64" for a in call[2])
            if wide and not x64 or (x64 and not wide and call[0] not in ("key_data", "randint")):
                continue
            value = run(jax.random, *call)
            rows.append([x64, *call, str(value.dtype), list(value.shape), as_integers(value)])
    json.dump(rows, sys.stdout, separators=(",", ":"))
