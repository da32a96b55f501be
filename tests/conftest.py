"""After every test: no trace is left current, and no option is left changed."""

import pytest

import minijax as jax
from minijax.core import eval_trace, staging_flag, state


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = dict(jax.config.values)
    yield
    assert state.trace is eval_trace and not staging_flag.value
    assert dict(jax.config.values) == before
