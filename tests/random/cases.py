"""Calls of samplers whose results are stored from JAX (tests/data/random.json).

    python tests/random/cases.py > tests/data/random.json    # with `jax` installed

A result is stored as its dtype, its shape and, if it is exact (integers, bits, keys), a checksum
of its bytes, else the bits of its first elements.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

SHAPES = [[], [5], [3, 4]]
FLOATS = ["float32", "bfloat16", "float16", "float64"]
SEEDS = [0, 7, -1, 2 ** 31 + 5]
MORE_SEEDS = [*SEEDS, *range(11, 17)]
IMPLS = ["threefry2x32", "rbg", "unsafe_rbg", "philox2x32", "philox4x32", "threefry4x32"]
KEPT = 4  # how many elements of an inexact result are stored


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
        yield from _common(seed, shape)
    for seed in SEEDS:
        yield from _choices(seed)
    for seed in MORE_SEEDS:
        yield from _with_parameters(seed)
        for impl in IMPLS:
            yield from _generators(seed, impl)


def _common(seed: int, shape: list) -> Iterator[tuple[str, int, list, dict]]:
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


def _choices(seed: int) -> Iterator[tuple[str, int, list, dict]]:
    matrix, logits = [[1, 2, 3], [4, 5, 6]], [[0.1, 2.0, -1.0], [0.0, 0.0, 3.0]]
    p = [0.1, 0.2, 0.3, 0.2, 0.2]
    yield "permutation", seed, [10], {}
    yield "permutation", seed, [matrix], {"axis": 1}
    yield "permutation", seed, [matrix], {"independent": True}
    yield "categorical", seed, [logits], {}
    yield "categorical", seed, [logits], {"axis": 0}
    yield "categorical", seed, [logits[0]], {"shape": [4]}
    yield "categorical", seed, [logits[0]], {"shape": [2], "replace": False}
    yield "choice", seed, [10, [4]], {}
    yield "choice", seed, [10, [4]], {"replace": False}
    yield "choice", seed, [[3, 1, 4, 1, 5], [2, 3]], {"p": p}
    yield "choice", seed, [5, [3]], {"p": p, "replace": False}


def _with_parameters(seed: int) -> Iterator[tuple[str, int, list, dict]]:
    """Samplers whose parameters are arrays, of which some elements are at the extremes."""
    shape = {"shape": [3]}
    concentration = [0.05, 1.0, 30.0]
    for name in ("gamma", "loggamma", "chisquare", "t", "pareto", "rayleigh", "wald"):
        yield name, seed, [concentration], shape
    for name in ("beta", "f"):
        yield name, seed, [concentration, 2.0], shape
    yield "maxwell", seed, [[2, 3]], {}
    yield "lognormal", seed, [0.3], shape
    yield "weibull_min", seed, [2.0, 3.0], shape
    yield "triangular", seed, [[0.0, 1.0, -1.0], 1.0, 3.0], shape
    yield "double_sided_maxwell", seed, [1.0, 2.0], shape
    yield "generalized_normal", seed, [3.0], shape
    yield "ball", seed, [3], {"p": 1.5, "shape": [2]}
    yield "dirichlet", seed, [[0.1, 1.0, 5.0]], {"shape": [2]}
    yield "multivariate_normal", seed, [[1.0, -1.0], [[2.0, 0.5], [0.5, 1.0]]], {"shape": [3]}
    yield "orthogonal", seed, [3], {"m": 2}
    yield "geometric", seed, [[0.1, 0.5, 0.9]], shape
    yield "poisson", seed, [[0.0, 0.5, 9.0, 11.0, 400.0]], {}
    yield "binomial", seed, [[3.0, 40.0, 1000.0], [0.7, 0.2, 0.5]], {}
    yield "multinomial", seed, [20.0, [0.2, 0.3, 0.5]], {}


def _generators(seed: int, impl: str) -> Iterator[tuple[str, int, list, dict]]:
    """Every generator; and the older layout of the first one."""
    for old in (False, True) if impl == "threefry2x32" else (False,):
        how = {"impl": impl, "old": old}
        yield "key_data", seed, [], how
        yield "split", seed, [3], how
        yield "fold_in", seed, [5], how
        for dtype in ("uint8", "uint16", "uint32"):
            yield "bits", seed, [[3, 3], dtype], how
        yield "randint", seed, [[5], 0, 100], how


PARAMETERS = {"permutation": 1, "categorical": 1, "choice": 1, "triangular": 3, "beta": 2, "f": 2,
              "dirichlet": 1, "multivariate_normal": 2, "geometric": 1, "poisson": 1,
              "binomial": 2, "multinomial": 2, "gamma": 1, "loggamma": 1, "chisquare": 1, "t": 1,
              "pareto": 1, "rayleigh": 1, "wald": 1}


def run(jax: Any, name: str, seed: int, args: list, kwargs: dict) -> np.ndarray:
    """The result of one call, with lists turned into shapes, arrays and dtypes."""
    def convert(i: int, x: Any) -> Any:
        if not isinstance(x, list):
            return x
        if i >= PARAMETERS.get(name, 0):
            return tuple(x)
        return np.array(x, None if isinstance(np.ravel(x)[0], np.integer) else np.float32)

    kwargs = {k: np.array(v, np.float32) if k == "p" and isinstance(v, list) else
              tuple(v) if isinstance(v, list) else v for k, v in kwargs.items()}
    impl = kwargs.pop("impl", None)
    with jax.threefry_partitionable(not kwargs.pop("old", False)):
        key = jax.random.key(seed, impl=impl)
        out = getattr(jax.random, name)(key, *[convert(i, x) for i, x in enumerate(args)],
                                        **kwargs)
    return np.asarray(jax.random.key_data(out) if name in ("split", "fold_in") else out)


def exact(x: np.ndarray) -> bool:
    return x.dtype.kind in "iub"


def kept(x: np.ndarray) -> np.ndarray:
    """The first elements of an inexact result, complex ones as pairs of reals."""
    flat = x.ravel()[:KEPT]
    return flat.view(flat.real.dtype) if x.dtype.kind == "c" else flat


def summary(x: np.ndarray) -> int | list[int]:
    """The checksum of an exact result, the bits of the first elements of another."""
    if exact(x):
        return zlib.crc32(np.ascontiguousarray(x).tobytes())
    first = kept(x)
    return [int(v) for v in first.view(f"u{first.dtype.itemsize}")]


def wanted(call: tuple[str, int, list, dict], x64: bool) -> bool:
    """Whether the call is stored in this mode."""
    name, seed, args, kwargs = call
    if any(str(a).endswith("64") and a != "complex64" for a in args):
        return x64
    if x64:
        return name in ("key_data", "randint", "gamma", "poisson", "beta", "wald", "ball") and (
            seed in SEEDS[:2]) and "impl" not in kwargs
    return True


if __name__ == "__main__":
    import jax

    rows = []
    for x64 in (False, True):
        jax.config.update("jax_enable_x64", x64)
        for call in calls():
            if wanted(call, x64):
                value = run(jax, *call)
                rows.append([x64, *call, str(value.dtype), list(value.shape), summary(value)])
    json.dump(rows, sys.stdout, separators=(",", ":"))
