"""Run a script as several processes on this machine: `python -m minijax.launch -n 4 script.py`.

In the script, `jax.distributed.initialize()` needs no arguments. Each process has one CPU device,
or as many as `--devices` says. If one process fails the others are ended, and the exit status is
its own.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

_GRACE = 5.0  # seconds that processes have to end by themselves after another one failed
_POLL = 0.05


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _environment(rank: int, count: int, address: str, devices: int) -> dict[str, str]:
    return {**os.environ, "JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": str(count),
            "JAX_PROCESS_ID": str(rank), "JAX_NUM_CPU_DEVICES": str(devices)}


def run(command: Sequence[str], count: int, devices: int = 1) -> int:
    """Start `count` processes of `command`; the exit status of the first that fails, or 0."""
    address = f"127.0.0.1:{_free_port()}"
    running = [subprocess.Popen(command, env=_environment(rank, count, address, devices))
               for rank in range(count)]
    try:
        return _wait(running)
    finally:
        _end(running)


def _wait(running: Sequence[subprocess.Popen]) -> int:
    while True:
        codes = [process.poll() for process in running]
        failed = [rank for rank, code in enumerate(codes) if code]
        if failed:
            rank = min(failed, key=lambda r: codes[r] > 0)  # a kill makes the others fail, too
            left = codes.count(None)
            print(f"minijax.launch: process {rank} {_described(codes[rank])}; "
                  f"ending the {left} still running", file=sys.stderr, flush=True)
            return codes[rank] if codes[rank] > 0 else 128 - codes[rank]
        if None not in codes:
            return 0
        time.sleep(_POLL)


def _described(code: int) -> str:
    return f"exited with status {code}" if code > 0 else f"was killed by signal {-code}"


def _end(running: Sequence[subprocess.Popen]) -> None:
    for process in running:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser("python -m minijax.launch", description=__doc__)
    parser.add_argument("-n", "--processes", type=int, default=2, help="how many processes")
    parser.add_argument("-d", "--devices", type=int, default=1, help="CPU devices of each")
    parser.add_argument("-m", action="store_true", help="the script is the name of a module")
    parser.add_argument("script")
    parser.add_argument("args", nargs=argparse.REMAINDER)
    given = parser.parse_args(arguments)
    if given.processes < 1 or given.devices < 1:
        parser.error("processes and devices are numbers from 1 on")
    command = [sys.executable, *(["-m"] if given.m else []), given.script, *given.args]
    return run(command, given.processes, given.devices)


if __name__ == "__main__":
    sys.exit(main())
