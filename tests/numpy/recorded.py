"""Comparison of our results with what JAX answered (see tests/data/record_results.py)."""

from __future__ import annotations

import json
import pathlib
from typing import Any

import numpy as np

import minijax
import minijax.numpy as jnp
from tests.data import record_results

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
        # An FFT rounds to parts of its largest value, another XLA's to others.
        size = np.max(np.abs(theirs["values"]), initial=0.0, where=np.isfinite(theirs["values"]))
        np.testing.assert_allclose(ours["values"], theirs["values"], rtol=_rtol(theirs, rtol),
                                   atol=max(1e-6, 1e-7 * size), err_msg=text)


def _rtol(entry: dict, rtol: float) -> float:
    return 2e-2 if entry["dtype"] in ("bfloat16", "float16") else rtol
