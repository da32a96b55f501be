"""Store what JAX computes for random programs: values and cotangents, flat.

    python -m tests.data.record_programs        # in an environment with jax 0.10.2; writes
                                                # tests/data/random_programs.json
"""

import json
from pathlib import Path

import numpy as np

from tests.programs import Programs

SEEDS = range(3000, 3030)


def main() -> None:
    import jax

    jax.config.update("jax_enable_x64", True)
    programs, found = Programs(jax), {}
    for seed in SEEDS:
        random = np.random.RandomState(seed)
        x, _, _, ct = (tuple(np.asarray(random.uniform(-1, 1, shape))
                             for shape in ((), (3,), (3, 3))) for _ in range(4))
        out, pullback = jax.vjp(programs.make(seed), *x)
        found[seed] = [float(f"{a:.10g}") for leaf in (*out, *pullback(ct))
                       for a in np.ravel(np.asarray(leaf))]
    path = Path(__file__).parent / "random_programs.json"
    path.write_text(json.dumps(found, separators=(",", ":")).replace('],"', '],\n"') + "\n")


if __name__ == "__main__":
    main()
