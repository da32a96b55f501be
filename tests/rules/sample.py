"""What the primitive harness is told of each primitive: example operands and parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Sample:
    """One way to bind a primitive.

    args: NumPy arrays, scalars, or shapes (tuples of ints) to be filled at random from `domain`.
      Float arrays are cast to each dtype under test; arrays of other kinds stay as they are when
      the class under test is inexact and are cast too otherwise, unless `keep` lists the operand.
    dtypes: the classes of dtypes that the operation takes: "f" floating, "l" the floating ones
      that LAPACK knows, "c" complex, "i" signed, "u" unsigned, "b" bool.
    grad: whether derivatives are checked; if not, `reason` says why.
    order: the highest order of derivative that is checked.
    keep: operands that are not cast.
    around: makes of the function that binds the primitive the one that is checked, e.g. its vmap
      under an axis name.
    runs: False if the primitive exists only to be transposed.
    maps: False if `vmap` refuses it or draws anew for each element, both as in JAX.
    """

    args: tuple
    params: dict = field(default_factory=dict)
    grad: bool = True
    dtypes: tuple[str, ...] = ("f",)
    domain: tuple[float, float] | None = None
    order: int = 2
    reason: str = ""
    keep: tuple[int, ...] = ()
    around: Callable[[Callable], Callable] | None = None
    runs: bool = True
    maps: bool = True


Samples = dict[str, list[Sample | Callable[[], Sample]]]


def random_array(rng: np.random.Generator, shape: tuple[int, ...],
                 domain: tuple[float, float] | None) -> np.ndarray:
    """Values away from 0 and from each other, in the domain (default: -2 to 2)."""
    low, high = domain or (-2.0, 2.0)
    return rng.uniform(low, high, shape)


def operands(sample: Sample, dtype: Any, seed: int = 0) -> list[np.ndarray]:
    """The sample's operands with its float arrays cast to `dtype`."""
    rng = np.random.default_rng(seed)
    out = []
    for i, arg in enumerate(sample.args):
        if isinstance(arg, tuple):
            arg = random_array(rng, arg, sample.domain)
        arg = np.asarray(arg)
        if arg.dtype.kind == "f" and i not in sample.keep:
            arg = cast(arg, np.dtype(dtype), rng)
        out.append(arg)
    return out


def cast(x: np.ndarray, dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    """Float test values in another dtype: complex ones get an imaginary part."""
    if dtype.kind == "c":
        return (x + 1j * rng.uniform(-1, 1, x.shape)).astype(dtype)
    if dtype.kind == "b":
        return x > np.median(x) if x.size else x.astype(bool)
    if dtype.kind in "iu":
        whole = np.nan_to_num(np.round(3 * x), posinf=100, neginf=-100)
        return (np.abs(whole) if dtype.kind == "u" else whole).astype(dtype)
    return x.astype(dtype)
