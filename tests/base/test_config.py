"""Options: names, values, context managers, environment variables and cache keys."""

import os
import subprocess
import sys
import threading

import pytest

from minijax.base import config as c
from minijax.base import jaxlib
from minijax.base.config import config


def test_update_and_read():
    config.update("jax_enable_x64", True)
    try:
        assert config.jax_enable_x64 is True and config.x64_enabled and c.x64_enabled()
        assert config.read("jax_enable_x64") is True
        assert config.values["jax_enable_x64"] is True
    finally:
        config.update("jax_enable_x64", False)


@pytest.mark.parametrize("use", [
    lambda: config.update("jax_foo", 1), lambda: config.read("jax_foo")])
def test_unknown_option(use):
    with pytest.raises(AttributeError, match="Unrecognized config option: jax_foo"):
        use()


def test_unknown_attribute():
    with pytest.raises(AttributeError, match="'Config' object has no attribute 'jax_foo'"):
        config.jax_foo  # noqa: B018
    with pytest.raises(AttributeError, match=r"config.update\('jax_enable_x64', True\)"):
        config.jax_enable_x64 = True


@pytest.mark.parametrize(("name", "value", "text"), [
    ("jax_numpy_rank_promotion", "foo", r"new enum value must be in \['allow', 'warn', 'raise'\], "
     "got foo of type <class 'str'>."),
    ("jax_transfer_guard", "foo", "new enum value must be None or in"),
    ("jax_numpy_dtype_promotion", "fo", "'fo' is not a valid NumpyDtypePromotion"),
    ("jax_platforms", 3, "new string config value must be None or of type str, got 3"),
    ("jax_num_cpu_devices", "a", "new int config value must be"),
    ("jax_default_device", 3, "jax.default_device must be passed either a Device object"),
])
def test_impossible_values(name, value, text):
    with pytest.raises(ValueError, match=text):
        config.update(name, value)


def test_context_managers_nest_and_restore():
    assert not c.x64_enabled()
    with c.enable_x64():
        assert c.x64_enabled()
        with c.enable_x64(False):
            assert not c.x64_enabled()
        assert c.x64_enabled()
    assert not c.x64_enabled()


def test_context_manager_is_a_decorator_and_reusable():
    setting = c.numpy_rank_promotion("raise")

    @setting
    def inside():
        with setting:
            return c.numpy_rank_promotion.value

    assert inside() == "raise" and c.numpy_rank_promotion.value == "allow"


def test_context_manager_restores_after_an_error():
    with pytest.raises(KeyError), c.debug_nans(True):
        raise KeyError
    assert c.debug_nans.value is False


def test_context_managers_are_per_thread():
    seen = []
    with c.enable_x64(True):
        thread = threading.Thread(target=lambda: seen.append(c.x64_enabled()))
        thread.start()
        thread.join()
    assert seen == [False]


def test_context_manager_needs_a_value():
    with pytest.raises(TypeError, match="requires an argument"):
        c.default_matmul_precision()
    with pytest.raises(TypeError, match="neither true nor false"):
        bool(c.enable_x64)


def test_functions():
    with c.disable_jit():
        assert config.jax_disable_jit
        with c.disable_jit(False):
            assert not config.jax_disable_jit
    with c.checking_leaks():
        assert config.jax_check_tracer_leaks
    assert not config.jax_check_tracer_leaks


def test_transfer_guard_covers_all_directions():
    guard = jaxlib._jax.guard_lib
    with c.transfer_guard("disallow"):
        assert config.jax_transfer_guard_host_to_device == "disallow"
        assert guard.thread_local_state().host_to_device == guard.TransferGuardLevel.DISALLOW
    assert config.jax_transfer_guard_host_to_device is None
    assert guard.thread_local_state().host_to_device is None


def test_options_that_change_traces_are_in_the_key():
    before = c.trace_context()
    for setting in (c.enable_x64(True), c.numpy_dtype_promotion("strict"), c.disable_jit(),
                    c.default_matmul_precision("float32"), c.threefry_partitionable(False)):
        with setting:
            assert c.trace_context() != before
    with c.log_compiles(True):
        assert c.trace_context() == before
    assert c.trace_context() == before


def test_user_context_is_in_the_key():
    context = c.make_user_context(None)
    before = c.trace_context()
    with context(1):
        assert c.trace_context() != before and context.value == 1
    assert c.trace_context() == before


def test_enum_options_equal_their_names():
    assert c.numpy_dtype_promotion.value == "standard"
    with c.explicit_x64_dtypes("allow"):
        assert c.explicit_x64_dtypes.value is c.ExplicitX64Mode.ALLOW


def run(code, **env):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **env},
                          capture_output=True, text=True)


def test_environment_variables():
    code = ("from minijax.base.config import config as c; print(c.jax_enable_x64, "
            "c.jax_num_cpu_devices, c.jax_platforms, c.jax_threefry_partitionable)")
    result = run(code, JAX_ENABLE_X64="yes", JAX_NUM_CPU_DEVICES="3", JAX_PLATFORMS="cpu",
                 JAX_THREEFRY_PARTITIONABLE="0")
    assert result.stdout.split() == ["True", "3", "cpu", "False"], result.stderr
    result = run("import minijax.base.config", JAX_ENABLE_X64="maybe")
    assert "invalid truth value 'maybe' for environment 'JAX_ENABLE_X64'" in result.stderr
