"""Several processes: collectives over gloo, and what happens when one of them dies."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

START = """
import os, sys
import numpy as np
import minijax as jax
from minijax import lax
from minijax.experimental import multihost_utils
jax.distributed.initialize()
P, rank = jax.P, jax.process_index()
"""
WORK = START + """
assert jax.distributed.is_initialized() and jax.process_count() == 2
mesh = jax.make_mesh((4,), ("x",))
sharding = jax.NamedSharding(mesh, P("x"))
x = jax.make_array_from_process_local_data(sharding, np.arange(2.0) + 2 * rank)
assert x.shape == (4,) and not x.is_fully_addressable
total = jax.shard_map(lambda x: lax.psum(x, "x"), mesh=mesh, in_specs=P("x"), out_specs=P())(x)
assert float(total[0]) == 6.0
assert float(jax.jit(lambda x: (x ** 2).sum())(x)) == 14.0
assert multihost_utils.process_allgather(np.int32(rank)).tolist() == [0, 1]
assert multihost_utils.process_allgather(x, tiled=True).tolist() == [0, 1, 2, 3]
assert multihost_utils.broadcast_one_to_all(np.int32(rank + 5)) == 5
multihost_utils.sync_global_devices("here")
whole = multihost_utils.host_local_array_to_global_array(np.full(2, rank), mesh, P("x"))
assert whole.shape == (4,)
mine = multihost_utils.global_array_to_host_local_array(whole, mesh, P("x"))
assert mine.tolist() == [rank, rank]
try:
    multihost_utils.assert_equal(np.int32(rank), "ranks")
except AssertionError as error:
    assert "ranks" in str(error)
else:
    raise SystemExit("assert_equal found different values equal")
jax.distributed.shutdown()
"""


def launch(tmp_path, text, count=2, devices=2):
    script = tmp_path / "script.py"
    script.write_text(text)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "minijax.launch", "-n", str(count), "-d", str(devices),
         str(script)], env=env, capture_output=True, text=True, timeout=120)


def test_two_processes_are_one_program(tmp_path):
    done = launch(tmp_path, WORK)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


@pytest.mark.parametrize("death, status, said", [
    ("raise ValueError('broken')", 1, "process 1 exited with status 1"),
    ("os.kill(os.getpid(), 9)", 137, "process 1 was killed by signal 9"),
])
def test_a_process_that_dies_ends_the_others(tmp_path, death, status, said):
    wait = "multihost_utils.process_allgather(np.int32(rank))"
    done = launch(tmp_path, START + f"if rank == 1:\n    {death}\n{wait}\n", devices=1)
    assert done.returncode == status
    assert said in done.stderr
