"""Room for compiled programs: Linux limits how many pieces of memory a process may have mapped.

A program for CPUs takes 3 to 20 of these mappings (65,530 by default, vm.max_map_count), and where
none is left XLA does not fail but crashes.  So they are counted now and then before a program is
loaded, and the caches are emptied in time; what is still needed is compiled again.
"""

import gc
from collections.abc import Callable
from pathlib import Path

from minijax.base import errors

BETWEEN = 32  # programs from one count to the next, which takes up to 20 ms

forget: Callable[[], None]  # set by dispatch.py: empties the caches

_loads = 0


def limit() -> int | None:
    """How many mappings a process may have; None where nothing says so."""
    try:
        return int(Path("/proc/sys/vm/max_map_count").read_text())
    except (OSError, ValueError):
        return None


def count() -> int:
    """How many mappings this process has."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def ensure() -> None:
    """Make room for another program; RuntimeError if users' programs leave none."""
    global _loads
    _loads += 1
    most = None if _loads % BETWEEN else limit()
    if most is None or count() < 0.75 * most:
        return
    forget()
    gc.collect()
    used = count()
    if used > 0.94 * most:
        raise RuntimeError(errors.describe(
            f"There is no room for another compiled program: {used} of the {most} memory mappings "
            "that this process may have are in use.",
            because="programs that are still referred to cannot be unloaded",
            fix="drop compiled programs that are no longer needed, or allow more mappings: "
                "sysctl vm.max_map_count=1000000"))
