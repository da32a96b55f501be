"""The files in `cases`, each in a process of its own with eight virtual CPU devices."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CASES = sorted((Path(__file__).parent / "cases").glob("*.py"))
ROOT = Path(__file__).parent.parent.parent


SLOW = {"transformer"}  # compiles ten training steps


@pytest.mark.parametrize("path", [
    pytest.param(p, marks=[pytest.mark.slow] if p.stem in SLOW else [], id=p.stem) for p in CASES])
def test_on_eight_devices(path):
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
         str(path)], cwd=ROOT, env={**os.environ, "JAX_NUM_CPU_DEVICES": "8"},
        capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
