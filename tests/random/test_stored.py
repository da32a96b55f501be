"""Samplers give the numbers that JAX gives: integers and bits equal, floats within 2 ulp."""

import json
from pathlib import Path

import numpy as np
import pytest

import minijax as jax
from minijax.base.dtypes import finfo
from minijax.base.jaxlib import version

from .cases import as_integers, run

RECORDED = (0, 10)  # the jaxlib under the JAX that gave the stored numbers
ROWS = json.loads((Path(__file__).parent.parent / "data" / "random.json").read_text())


def groups():
    """Rows by sampler and x64 mode."""
    found = {}
    for row in ROWS:
        found.setdefault((row[1], row[0]), []).append(row)
    return found


@pytest.mark.parametrize("group", groups(), ids=lambda g: f"{g[0]}-{'x64' if g[1] else 'x32'}")
def test_equal_to_jax(group):
    with jax.enable_x64(group[1]):
        for _, name, seed, args, kwargs, dtype, shape, stored in groups()[group]:
            value = run(jax.random, name, seed, args, kwargs)
            what = (name, seed, args, kwargs)
            assert (str(value.dtype), list(value.shape)) == (dtype, shape), what
            if value.dtype.kind in "iub":
                assert as_integers(value) == stored, what
            else:
                check_ulps(value, stored, what)


def check_ulps(value, stored, what):
    """Distance to the stored float in units of its last place."""
    real = np.dtype("float32") if value.dtype.kind == "c" else value.dtype
    expected = np.array(stored, f"u{real.itemsize}").view(real).astype(np.float64)
    actual = np.asarray(as_integers(value), f"u{real.itemsize}").view(real).astype(np.float64)
    floor, ulps = float(finfo(real).tiny), 2
    if version[:2] != RECORDED:
        # Another XLA computes log and log1p otherwise in these two types (by up to 63 ulp in
        # 0.12), which also matters more where a sampler subtracts terms of about 1.
        floor, ulps = 1.0, {"float16": 16, "float64": 128}.get(real.name, 2)
    unit = np.maximum(np.abs(expected), floor) * float(finfo(real).eps)
    assert np.all(np.abs(actual - expected) <= ulps * unit), (what, actual, expected)
