"""Tracing stays cheap: the exact number of Python calls per operation."""

import importlib.util
import sys
from pathlib import Path

import pytest

PATH = Path(__file__).parent.parent / "benchmarks" / "call_counts.py"
spec = importlib.util.spec_from_file_location("call_counts", PATH)
call_counts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(call_counts)


@pytest.mark.parametrize("name", call_counts.programs("minijax"))
def test_calls_per_operation(name):
    if sys.gettrace() is not None:
        pytest.skip("a tracer (coverage, debugger) changes the counts")
    make = call_counts.programs("minijax")[name]
    assert call_counts.count(make) <= call_counts.LIMITS[name]
