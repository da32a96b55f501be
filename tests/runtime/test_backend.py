"""Clients and devices; what needs a process of its own runs in one."""

import os
import subprocess
import sys
import textwrap

import pytest

import minijax as jax
from minijax.base import config
from minijax.runtime import backend


def run(code, **environment):
    """The standard output of a program run by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_queries():
    (device,) = jax.devices()[:1]
    assert jax.local_devices()[0] is device
    assert jax.device_count() == jax.local_device_count() == len(jax.devices())
    assert jax.default_backend() == device.platform == "cpu"
    assert jax.process_index() == 0
    assert jax.process_count() == 1
    assert backend.process_indices() == [0]
    assert jax.devices("cpu") == jax.devices() == jax.devices(device.client)
    assert list(backend.clients()) == ["cpu"]
    assert backend.default_device() is device


def test_unknown_names():
    with pytest.raises(RuntimeError) as error:
        jax.devices("gpu")
    assert str(error.value) == (
        "Unknown backend: 'gpu' requested, but no platforms that are instances of gpu are "
        "present. Platforms present are: cpu"
    )
    with pytest.raises(RuntimeError) as error:
        jax.devices("foo")
    assert str(error.value) == "Unknown backend foo. Available backends are ['cpu']"
    with pytest.raises(ValueError, match="Unknown process_index 1"):
        jax.local_devices(process_index=1)


def test_host_id_is_the_old_name():
    with pytest.warns(UserWarning, match="renamed from `host_id` to `process_index`"):
        assert jax.local_devices(host_id=0) == jax.local_devices()


def test_default_device():
    with config.default_device(jax.devices()[0]):
        assert backend.default_device() is jax.devices()[0]
    with config.default_device("cpu"):
        assert backend.default_device() is jax.devices()[0]
    with config.default_device("gpu"), pytest.raises(RuntimeError, match="Unknown backend: 'gpu'"):
        backend.default_device()


def test_live_arrays():
    import numpy as np

    x = jax.device_put(np.ones(17, np.float32))
    assert any(y is x for y in backend.live_arrays())
    x.delete()
    assert not any(y is x for y in backend.live_arrays())


def test_importing_makes_no_client_and_loads_no_lowering():
    assert run("""
        import sys
        import minijax as jax
        from minijax.runtime import backend
        import minijax.api.jit, minijax.lax
        assert not backend.initialized()
        assert "lowering" not in sys.modules and "jaxlib.mlir" not in sys.modules
        print(jax.device_put(1.0), backend.initialized(), "lowering" in sys.modules)
    """) == "1.0 True False"


@pytest.mark.parametrize(
    ("flags", "update", "count"),
    [("2", None, "2"), ("2", 3, "3"), ("", 4, "4")],
)
def test_virtual_devices(flags, update, count):
    environment = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={flags}"} if flags else {}
    code = "import minijax as jax\n"
    if update:
        code += f"jax.config.update('jax_num_cpu_devices', {update})\n"
    assert run(code + "print(jax.device_count())", **environment) == count


def test_the_default_platform_by_name():
    assert run("""
        import minijax as jax
        jax.config.update("jax_platform_name", "gpu")
        for _ in range(2):
            try:
                jax.numpy.ones(3)
            except RuntimeError as error:
                print(error.args[0][:33])
        jax.config.update("jax_platform_name", "cpu")
        print(jax.default_backend(), jax.numpy.ones(1))
    """).split("\n") == ["Unknown backend: 'gpu' requested, "[:33]] * 2 + ["cpu [1.]"]


def test_platform_choice():
    assert run("""
        import minijax as jax
        jax.config.update("jax_platforms", "foo")
        try:
            jax.devices()
        except RuntimeError as error:
            print(error)
        jax.config.update("jax_platforms", "cpu")
        print(jax.devices())
    """).splitlines() == [
        "Unable to initialize backend 'foo': Backend 'foo' is not in the list of known backends: "
        f"{sorted(backend.plugins())}. (set JAX_PLATFORMS='' to automatically choose an available "
        "backend)",
        "[CpuDevice(id=0)]",
    ]


def test_fork_warns():
    assert run("""
        import os, warnings
        import minijax as jax
        jax.devices()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            if os.fork() == 0:
                os._exit(0)
            os.wait()
        print(sum("os.fork() was called" in str(w.message) for w in seen))
    """) == "1"


def test_many_threads_make_one_client():
    assert run("""
        import threading
        from minijax.runtime import backend
        found = []
        threads = [threading.Thread(target=lambda: found.append(backend.get_client()))
                   for _ in range(8)]
        [t.start() for t in threads], [t.join() for t in threads]
        print(len(set(map(id, found))))
    """) == "1"


def test_several_devices():
    assert run("""
        import numpy as np
        import minijax as jax
        from minijax import lax
        from minijax.sharding import Mesh, NamedSharding, PartitionSpec as P

        first, second = jax.devices()
        x = jax.device_put(np.arange(4.0, dtype=np.float32))
        y = jax.device_put(x, second)
        assert lax.add(x, y).devices() == {second}
        try:
            lax.add(jax.device_put(x, first), y)
        except ValueError as error:
            assert str(error).startswith("Received incompatible devices for jitted computation.")
        with jax.config._state("jax_default_device")(second):
            assert jax.device_put(1.0).devices() == {second}
            assert lax.neg(1.0).devices() == {second}
        assert lax.neg(1.0).devices() == {first}

        mesh = Mesh(np.array([first, second]), ("x",))
        split, whole = NamedSharding(mesh, P("x")), NamedSharding(mesh, P())
        z = jax.device_put(x, split)
        assert [s.data.tolist() for s in z.addressable_shards] == [[0.0, 1.0], [2.0, 3.0]]
        for _ in range(2):
            total = lax.add(z, z)
            assert total.sharding == split, total.sharding
        np.testing.assert_array_equal(total, 2 * np.arange(4))
        out = jax.jit(lambda v: lax.sin(v), out_shardings=whole)(z)
        assert out.sharding == whole and out.is_fully_replicated
        f = jax.jit(lambda v: lax.sin(v), in_shardings=split)
        for argument in [np.arange(4.0, dtype=np.float32)] * 3 + [x, z]:
            assert f(argument).sharding == split
        table = np.arange(2000.0, dtype=np.float32)
        f = jax.jit(lambda v: lax.reduce_sum(lax.add(table, lax.reduce_sum(v, (0,))), (0,)))
        assert [float(f(z)) for _ in range(3)] == [float(table.sum() + 12000)] * 3
        np.testing.assert_array_equal(jax.device_put(z, first), np.arange(4))
        np.testing.assert_array_equal(jax.device_put(z, whole), np.arange(4))
        assert jax.device_put(out, whole).is_fully_replicated
        print("done")
    """, XLA_FLAGS="--xla_force_host_platform_device_count=2") == "done"


def test_entry_points_are_found(tmp_path, monkeypatch):
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text(
        "[console_scripts]\na = b:c\n\n[jax_plugins]\none = plugin.one\ntwo = plugin.two:start\n\n"
        "[other]\nx = y\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert backend._entry_points() == ["plugin.one", "plugin.two"]
