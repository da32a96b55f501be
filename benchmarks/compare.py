"""Ratios minijax / JAX, the two measured in turns in fresh processes.

    python benchmarks/compare.py dispatch --jax-python ../jax-env/bin/python [--rounds 3]

Groups: dispatch, fresh, trace, step, start. A row's figure is the median over the rounds of the
ratio of neighbouring runs; trust it, not the times beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def run(python: str, impl: str, group: str, layers: int | None) -> dict[str, tuple[float, str]]:
    """The rows of one run in a process of its own."""
    env = {**os.environ, "PYTHONPATH": str(HERE.parent) if impl == "minijax" else ""}
    command = [python, str(HERE / "rows.py"), group, "--impl", impl]
    command += ["--layers", str(layers)] if layers else []
    out = subprocess.run(command, env=env, capture_output=True, text=True)
    if out.returncode:
        sys.exit(f"{impl} failed:\n{out.stderr[-2000:]}")
    return {name: (value, unit) for name, value, unit in map(json.loads, out.stdout.splitlines())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("group")
    parser.add_argument("--python", default=sys.executable, help="with minijax's dependencies")
    parser.add_argument("--jax-python", default=sys.executable, help="with jax installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, help="of the transformer in trace and step")
    options = parser.parse_args()
    rounds = [(run(options.jax_python, "jax", options.group, options.layers),
               run(options.python, "minijax", options.group, options.layers))
              for _ in range(options.rounds)]
    print(f"{'':36s} {'JAX':>10s} {'minijax':>10s} {'':7s} ratio")
    ratios = []
    for name, (_, unit) in rounds[0][0].items():
        theirs = min(r[0][name][0] for r in rounds)
        ours = min(r[1][name][0] for r in rounds)
        ratio = statistics.median(r[1][name][0] / r[0][name][0] for r in rounds)
        ratios.append(ratio)
        print(f"{name:36s} {theirs:10.2f} {ours:10.2f} {unit:7s} {ratio:.4f}")
    print(f"geometric mean of the ratios: {statistics.geometric_mean(ratios):.3f}")


if __name__ == "__main__":
    main()
