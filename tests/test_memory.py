"""Functions that are dropped take their traces and their executables with them.

Each measurement runs in a process of its own, with the caches that keep some programs on purpose
made small. After a warm-up, the number of loaded executables must not grow at all, and resident
memory by BYTES_EACH at most per function; a function that stays costs five times as much.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BYTES_EACH = 50_000
KEPT = 16

PROGRAM = """
import gc, json, sys
import minijax as jax, minijax.numpy as jnp
from minijax import lax
from minijax.passes import structure
from minijax.runtime import compile, dispatch

count, warm, keep, kinds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
compile._TEXT_CACHE_SIZE = dispatch._LIMIT_WITH_JAXPRS = structure._LIMIT = int(sys.argv[5])
kept = []

def scanned(f):
    return lambda x: lax.scan(lambda c, a: (c + f(a), None), 0.0, x[None])[0]

TRANSFORMS = [lambda f: jax.jit(jax.value_and_grad(f)), lambda f: jax.grad(jax.jit(f)),
              lambda f: jax.vmap(jax.jit(f)), scanned,
              lambda f: jax.jit(jax.grad(jax.checkpoint(f)))]

def one(i):
    scale = i + 0.5
    f = lambda x: jnp.sum(jnp.sin(x * scale) + scale)
    transform = TRANSFORMS[i % len(TRANSFORMS) if kinds == "all" else 0]
    f = transform(f)
    jax.block_until_ready(f(jnp.ones((4, 1))[:, 0] if transform is not TRANSFORMS[2]
                            else jnp.ones((4, 1))))
    if keep == "keep":
        kept.append(f)

def state():
    gc.collect()
    with open("/proc/self/statm") as f:
        resident = int(f.read().split()[1]) * 4096
    return resident, len(jax.devices()[0].client.live_executables())

for i in range(warm):
    one(i)
before = state()
for i in range(warm, warm + count):
    one(i)
after = state()
print(json.dumps([(after[0] - before[0]) / count, after[1] - before[1]]))
"""


def growth(count: int, warm: int, keep: str = "drop", kinds: str = "all",
           cached: int = KEPT) -> tuple[float, int]:
    """What `count` functions leave behind: bytes of memory for each, executables in all."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("needs /proc")
    out = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(count), str(warm), keep, kinds, str(cached)],
        check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    return tuple(json.loads(out.stdout.splitlines()[-1]))


def test_dropped_functions_are_forgotten():
    bytes_each, executables = growth(150, warm=60)
    assert executables <= KEPT // 2
    assert bytes_each <= BYTES_EACH


def test_the_bounds_would_catch_a_leak():
    bytes_each, executables = growth(40, warm=40, keep="keep")
    assert executables >= 40
    assert bytes_each > 3 * BYTES_EACH


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "warm"), [("jit", 300), ("all", 1400)])
def test_a_thousand_dropped_functions(kinds, warm):
    """With the caches as they are in use: they are full after the warm-up."""
    bytes_each, executables = growth(1000, warm=warm, kinds=kinds, cached=256)
    assert executables <= 8
    assert bytes_each <= BYTES_EACH
