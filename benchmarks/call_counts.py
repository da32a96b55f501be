"""Python calls per traced operation: exact, so they can gate CI.

    python benchmarks/call_counts.py            # table; exit status 1 if a limit is exceeded
    python benchmarks/call_counts.py --impl jax # the same programs on JAX, for comparison

A program applies one operation n times inside `make_jaxpr`; the count of `cProfile` (Python
functions and built-in ones) for n = 60 less that for n = 20, divided by 40, is the cost of one.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import importlib
import pstats
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

FEW, MANY = 20, 60

# Limits per operation, and what JAX 0.10.2 needs (Python 3.11).
LIMITS = {"lax.sin": 25, "lax.mul": 25, "x * y": 45, "x * 2.0": 45, "jnp.sin": 45,
          "vmap of lax.mul": 70, "jvp of lax.mul": 100, "grad of lax.mul": 150,
          "grad of x * 2.0": 180, "jnp.where": 120, "x.at[0].set": 150, "x[0]": 60}
JAX = {"lax.sin": 62, "lax.mul": 81, "x * y": 179, "x * 2.0": 240, "jnp.sin": 125,
       "vmap of lax.mul": 233, "jvp of lax.mul": 401, "grad of lax.mul": 2486, "jnp.where": 415,
       "x.at[0].set": 1054}


def repeat(step: Callable[[Any], Any], n: int) -> Callable[[Any], Any]:
    def fun(x: Any) -> Any:
        for _ in range(n):
            x = step(x)
        return x
    return fun


def programs(impl: str) -> dict[str, Callable[[int], Callable]]:
    """For each row, n to a function whose tracing applies the operation n times."""
    jax = importlib.import_module(impl)
    jnp = importlib.import_module(f"{impl}.numpy")
    lax = importlib.import_module(f"{impl}.lax")

    def mul_chain(n: int) -> Callable:
        return repeat(lambda x: lax.mul(x, x), n)

    return {
        "lax.sin": lambda n: repeat(lax.sin, n),
        "lax.mul": mul_chain,
        "x * y": lambda n: repeat(lambda x: x * x, n),
        "x * 2.0": lambda n: repeat(lambda x: x * 2.0, n),
        "jnp.sin": lambda n: repeat(jnp.sin, n),
        "jnp.where": lambda n: repeat(lambda x: jnp.where(x, x, x), n),
        "x[0]": lambda n: (lambda x: [x[0] for _ in range(n)]),
        "x.at[0].set": lambda n: repeat(lambda x: x.at[0].set(1.0), n),
        "vmap of lax.mul": lambda n: jax.vmap(mul_chain(n)),
        "jvp of lax.mul": lambda n: (lambda x: jax.jvp(mul_chain(n), (x,), (x,))),
        "grad of lax.mul": lambda n: jax.grad(lambda x: lax.mul(mul_chain(n)(x), x).sum()),
        "grad of x * 2.0": lambda n: jax.grad(lambda x: repeat(lambda y: y * 2.0, n)(x).sum()),
    }


def calls(fun: Callable, impl: str) -> int:
    """Calls while tracing `fun` at a vector, the second time (caches of types are warm)."""
    jax = importlib.import_module(impl)
    x = np.ones((3,), np.float32)
    jax.make_jaxpr(fun)(x)
    profile = cProfile.Profile()
    gc.disable()  # its callbacks would be counted, whenever they come
    profile.enable()
    jax.make_jaxpr(lambda *a: fun(*a))(x)
    profile.disable()
    gc.enable()
    return pstats.Stats(profile).total_calls


def count(make: Callable[[int], Callable], impl: str = "minijax") -> float:
    """Calls per operation of one program."""
    return (calls(make(MANY), impl) - calls(make(FEW), impl)) / (MANY - FEW)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--impl", default="minijax")
    impl = parser.parse_args().impl
    failed = False
    print(f"{'':20s} {'calls':>7s} {'limit':>6s} {'JAX 0.10.2':>10s}")
    for name, make in programs(impl).items():
        found = count(make, impl)
        over = impl == "minijax" and found > LIMITS[name]
        failed |= over
        print(f"{name:20s} {found:7.1f} {LIMITS[name]:6d} {JAX.get(name, '-'):>10} "
              f"{'over the limit' if over else ''}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
