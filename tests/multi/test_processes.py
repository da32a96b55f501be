"""Several processes: collectives over gloo, and what happens when one of them dies."""

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers import assert_close

ROOT = Path(__file__).parent.parent.parent

START = """
import os, sys, time
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


def launch(tmp_path, text, count=2, devices=2, *args):
    script = tmp_path / "script.py"
    script.write_text(text)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", "minijax.launch", "-n", str(count), "-d", str(devices),
         str(script), *args], env=env, capture_output=True, text=True, timeout=300)


def test_two_processes_are_one_program(tmp_path):
    done = launch(tmp_path, WORK)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


TRAIN = START + """
import minijax.numpy as jnp
mesh = jax.make_mesh((4,), ("data",), (jax.sharding.AxisType.Auto,))
x = np.random.default_rng(0).normal(size=(64, 8)).astype(np.float32)
split = jax.NamedSharding(mesh, P("data"))
x, y = (jax.make_array_from_callback(a.shape, split, lambda i, a=a: a[i])
        for a in (x, np.sin(x.sum(1))))
params = jax.device_put({"in": jnp.eye(8, 16), "out": jnp.ones(16) / 4},
                        jax.NamedSharding(mesh, P()))

def loss(params, x, y):
    return jnp.mean((jnp.tanh(x @ params["in"]) @ params["out"] - y) ** 2)

@jax.jit
def step(params, x, y):
    value, grads = jax.value_and_grad(loss)(params, x, y)
    return jax.tree.map(lambda p, g: p - 0.2 * g, params, grads), value

losses = []
for i in range(6):
    if i == 3 and sys.argv[1:] == [str(rank)]:
        print("died at", time.time(), flush=True)
        os.kill(os.getpid(), 9)
    params, value = step(params, x, y)
    losses.append(float(value))
if rank == 0:
    print("losses", losses, flush=True)
"""


def curve(tmp_path, processes):
    done = launch(tmp_path, TRAIN, processes, 4 // processes)
    assert done.returncode == 0, done.stderr[-4000:]
    return ast.literal_eval(re.search(r"losses (\[.*\])", done.stdout).group(1))


@pytest.mark.slow
def test_training_data_parallel_learns_as_one_process_does(tmp_path):
    alone = curve(tmp_path, 1)
    assert len(alone) == 6 and alone[-1] < 0.8 * alone[0]
    for processes in (2, 4):
        assert_close(curve(tmp_path, processes), alone, rtol=1e-5, atol=0)


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 2])
def test_a_kill_in_the_midst_of_training_ends_all_four(tmp_path, victim):
    done = launch(tmp_path, TRAIN, 4, 1, str(victim))
    ended = time.time() - float(re.search(r"died at (\S+)", done.stdout).group(1))
    assert done.returncode == 137
    assert f"process {victim} was killed by signal 9" in done.stderr
    assert "losses" not in done.stdout
    assert ended < 60


@pytest.mark.parametrize("death, status, said", [
    ("raise ValueError('broken')", 1, "process 1 exited with status 1"),
    ("os.kill(os.getpid(), 9)", 137, "process 1 was killed by signal 9"),
])
def test_a_process_that_dies_ends_the_others(tmp_path, death, status, said):
    wait = "multihost_utils.process_allgather(np.int32(rank))"
    done = launch(tmp_path, START + f"if rank == 1:\n    {death}\n{wait}\n", devices=1)
    assert done.returncode == status
    assert said in done.stderr
