"""The door to jaxlib: stand-ins, version check, and the refusal to share a process with jax."""

import subprocess
import sys
import threading

import pytest

from minijax.base import jaxlib


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_standins_appear_and_vanish():
    names = ["jax", "jax._src", "jax.core", "jax._src.named_sharding"]
    before = [sys.modules.get(name) for name in names]
    with jaxlib.standins():
        assert hasattr(sys.modules["jax.core"], "ShapedArray")
        assert hasattr(sys.modules["jax._src.named_sharding"], "check_pspec")
        with jaxlib.standins():
            assert "jax" in sys.modules
        assert "jax" in sys.modules
    assert [sys.modules.get(name) for name in names] == before


def test_standins_restore_what_was_there():
    code = """
import sys, types
from minijax.base import jaxlib
sys.modules["jax"] = marker = types.ModuleType("jax")
with jaxlib.standins():
    assert sys.modules["jax"] is not marker
assert sys.modules["jax"] is marker and "jax.core" not in sys.modules
"""
    result = run(code)
    assert result.returncode == 0, result.stderr


def test_refuses_to_share_a_process_with_jax():
    result = run("import sys, types; sys.modules['jax'] = types.ModuleType('jax'); "
                 "import minijax.base.jaxlib")
    assert "ImportError: minijax cannot be imported in a process where the package 'jax'" in (
        result.stderr)
    assert "fix: " in result.stderr


def test_no_module_named_jax_is_loaded_by_base():
    result = run("import minijax.base.tree, minijax.base.errors, sys; "
                 "print([m for m in sys.modules if m == 'jax' or m.startswith('jax.')])")
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize("text", ["0.10.0", "0.10.2", "0.11.2", "0.12.0.1"])
def test_supported_versions(text):
    assert jaxlib._check_version(text)[:2] >= (0, 10)


@pytest.mark.parametrize("text", ["0.9.2", "0.13.0", "1.0"])
def test_other_versions(text):
    with pytest.raises(ImportError, match="minijax needs jaxlib >= 0.10, < 0.13"):
        jaxlib._check_version(text)


def test_global_states_are_set_in_every_thread():
    from minijax.base import config

    seen = []
    thread = threading.Thread(target=lambda: seen.append(config.x64_enabled()))
    thread.start()
    thread.join()
    assert seen == [False]
