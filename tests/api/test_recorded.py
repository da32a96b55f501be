"""Transformations give what JAX gives: values, dtypes, weak types, classes of errors."""

import pytest

from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("transforms")
SCOPE = recorded.scope()


@pytest.mark.parametrize("text", RECORDED)
def test_as_jax(text):
    recorded.check(text, RECORDED[text], record_results.evaluate(text, SCOPE))
