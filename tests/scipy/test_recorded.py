"""Values, dtypes, weak types and errors against what JAX answered (tests/data/scipy.json).

The file is written by `python tests/data/record_results.py tests/data/scipy.txt` where JAX is
installed.
"""

import warnings

import pytest

from tests.data import record_results
from tests.numpy import recorded

RECORDED = recorded.load("scipy")
SCOPE = recorded.scope()


def marked(text):
    """The expression as a parameter; what other files compare with SciPy too is slow."""
    compared = text.startswith(("scipy.stats", "scipy.linalg")) and "error" not in RECORDED[text]
    return pytest.param(text, marks=[pytest.mark.slow] if compared else [])


@pytest.mark.parametrize("text", list(map(marked, RECORDED)))
def test_as_jax(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = record_results.evaluate(text, SCOPE)
    recorded.check(text, RECORDED[text], found, 1e-4)
