"""Compiled programs on disk."""

import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax import monitoring
from minijax.base import config
from minijax.runtime import compile, disk_cache


@pytest.fixture
def folder(tmp_path):
    options = {"jax_compilation_cache_dir": str(tmp_path),
               "jax_persistent_cache_min_compile_time_secs": 0.0,
               "jax_compilation_cache_max_size": -1,
               "jax_raise_persistent_cache_errors": True}
    before = {name: getattr(jax.config, name) for name in options}
    for name, value in options.items():
        jax.config.update(name, value)
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def events():
    found = []
    listener = lambda event, **_: found.append(event.rpartition("/")[2])  # noqa: E731
    monitoring.register_event_listener(listener)
    yield found
    monitoring.unregister_event_listener(listener)


def run(constant):
    """Compile and run as a new process would: nothing is remembered in memory."""
    compile.clear_caches()
    return float(jax.jit(lambda x: jnp.sin(x) * constant).lower(1.0).compile()(0.5))


def test_a_program_is_read_again(folder, events):
    first = run(3.25)
    name, = [path.name for path in folder.iterdir()]
    assert name.startswith("jit__lambda-") and name.endswith("-cache")
    assert run(3.25) == first
    assert events == ["compile_requests_use_cache", "cache_misses", "compile_requests_use_cache",
                      "cache_hits"]
    assert run(4.25) != first
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize("metadata, files", [(False, 1), (True, 2)])
def test_lines_are_part_of_the_key_if_asked_for(folder, metadata, files):
    with config.cache_include_metadata_in_key(metadata):
        for fun in (lambda x: jnp.sin(x) * 9.25,
                    lambda x: jnp.sin(x) * 9.25):
            compile.clear_caches()
            jax.jit(fun).lower(1.0).compile()
    assert len(list(folder.iterdir())) == files


def test_cheap_and_small_programs_are_not_kept(folder):
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1e6)
    run(5.25)
    assert not list(folder.iterdir())


def test_the_folder_stays_below_its_size(folder):
    run(6.25)
    size = sum(path.stat().st_size for path in folder.iterdir())
    jax.config.update("jax_compilation_cache_max_size", int(1.5 * size))
    run(7.25)
    assert len(list(folder.iterdir())) == 1


def test_a_broken_file_is_compiled_again(folder):
    value = run(8.25)
    path, = folder.iterdir()
    path.write_bytes(b"broken")
    jax.config.update("jax_raise_persistent_cache_errors", False)
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache entry"):
        assert run(8.25) == value


def test_it_can_be_switched_off(folder):
    with_flag = disk_cache.is_enabled()
    jax.config.update("jax_enable_compilation_cache", False)
    try:
        assert with_flag and not disk_cache.is_enabled()
    finally:
        jax.config.update("jax_enable_compilation_cache", True)
