"""Comparison of our results with what JAX answered (see tests/data/record_results.py)."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

import minijax
import minijax.numpy as jnp
from minijax.base.jaxlib import version
from tests.data import record_results

RECORDED = (0, 10)  # the jaxlib under the JAX that gave the stored results
DATA = pathlib.Path(__file__).parent.parent / "data"


def load(name: str) -> dict[str, dict]:
    """The recorded results of tests/data/<name>.txt by expression."""
    return json.loads((DATA / f"{name}.json").read_text())


def scope() -> dict[str, Any]:
    """The variables of the expressions, from minijax."""
    return record_results.names(minijax, jnp)


def check(text: str, expected: dict, found: dict, rtol: float = 2e-5) -> None:
    """AssertionError saying how the result of an expression differs from the recorded one."""
    if "error" in expected or "error" in found:
        assert found.get("error") == expected.get("error"), (text, expected, found)
        return
    assert len(found["arrays"]) == len(expected["arrays"]), (text, expected, found)
    for ours, theirs in zip(found["arrays"], expected["arrays"]):
        for field in ("dtype", "shape", "weak"):
            assert ours[field] == theirs[field], (text, field, theirs, ours)
        np.testing.assert_allclose(ours["values"], theirs["values"], rtol=_rtol(theirs, rtol),
                                   atol=_atol(theirs), err_msg=text)


def _atol(entry: dict) -> float:
    """1e-6; under another XLA than the recorded one a part of the largest value, for its FFT."""
    if version[:2] == RECORDED:
        return 1e-6
    size = np.max(np.abs(entry["values"]), initial=0.0, where=np.isfinite(entry["values"]))
    return max(1e-6, 1e-7 * size)


def _rtol(entry: dict, rtol: float) -> float:
    return {"bfloat16": 2 ** -7, "float16": 2 ** -10}.get(entry["dtype"], rtol)
