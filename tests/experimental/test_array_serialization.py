"""Arrays written to storage and read back; needs tensorstore."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp

pytest.importorskip("tensorstore")
from minijax.experimental.array_serialization import serialization as s  # noqa: E402


@pytest.mark.parametrize("options, expected", [
    ({}, {"driver": "file", "path": "/a/b"}),
    ({"process_idx": 1}, {"driver": "file", "path": "/a/process_1/b"}),
    ({"ocdbt": True}, {"driver": "ocdbt", "base": {"driver": "file", "path": "/a"}, "path": "b"})])
def test_how_arrays_are_opened(options, expected):
    assert s.get_tensorstore_spec("/a/b", **options) == {"driver": "zarr", "kvstore": expected}


def test_buckets_and_relative_paths():
    assert s.get_tensorstore_spec("gs://x/y/z")["kvstore"] == {
        "driver": "gcs", "bucket": "x", "path": "y/z"}
    with pytest.raises(ValueError, match="Checkpoint path should be absolute. Got a"):
        s.get_tensorstore_spec("a/b")


def test_written_arrays_come_back(tmp_path):
    mesh = jax.make_mesh((len(jax.devices()),), ("x",))
    rows = jax.NamedSharding(mesh, jax.P("x"))
    arrays = [jax.device_put(jnp.arange(16, dtype=jnp.bfloat16) * 1.5, rows), jnp.float32(3),
              jnp.arange(6).reshape(2, 3)]
    places, paths = [x.sharding for x in arrays], [str(tmp_path / name) for name in "abc"]
    manager, called = s.GlobalAsyncCheckpointManager(), []
    manager.serialize_with_paths(arrays, paths, on_commit_callback=lambda: called.append(1))
    manager.wait_until_finished()
    manager.check_for_errors()
    assert called == [1]
    for found, x in zip(manager.deserialize_with_paths(places, paths), arrays):
        assert (found.dtype, found.sharding) == (x.dtype, x.sharding)
        np.testing.assert_array_equal(found, x)
    cut, = manager.deserialize_with_paths(places[2:], paths[2:], [(1, 5)], [jnp.float32])
    np.testing.assert_array_equal(cut, [[0.0, 1.0, 2.0, 0.0, 0.0]])
    assert cut.dtype == np.float32
    with pytest.raises(ValueError, match="does not exist"):
        manager.deserialize_with_paths(places[:1], [str(tmp_path / "nothing")])


def test_an_error_in_writing_is_raised_later(tmp_path):
    manager = s.GlobalAsyncCheckpointManager()
    (tmp_path / "file").write_text("")
    manager.serialize_with_paths([jnp.ones(2)], [str(tmp_path / "file" / "x")])
    with pytest.raises(ValueError):
        manager.wait_until_finished()
    manager.wait_until_finished()
