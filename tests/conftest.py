"""After every test: no trace is left current, no option is left changed, nobody asked for jax."""

import importlib.abc
import sys

import pytest

import minijax as jax
from minijax.core import eval_trace, staging_flag, state


class Watch(importlib.abc.MetaPathFinder):
    """Notes each attempt to import `jax`: jaxlib's C++ code makes them behind our back."""

    def __init__(self):
        self.wanted = []

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "jax":
            self.wanted.append(name)
        return None


watch = Watch()
sys.meta_path.insert(0, watch)


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    before = dict(jax.config.values)
    watch.wanted.clear()
    yield
    assert state.trace is eval_trace and not staging_flag.value
    assert dict(jax.config.values) == before
    assert not watch.wanted, "an import of the jax package was tried"
    assert "jax._src.api" not in sys.modules
