"""Samples of `jit` as an operation, and of moving values to devices."""

import minijax as jax
from minijax import lax

from .sample import Sample, Samples

_ANY = ("f", "c", "i", "u", "b")


def _jitted(fun):
    """`fun` as a jit equation with the operands' types, whatever dtype is under test."""
    return lambda bind: lambda *args: list(jax.jit(fun)(*args))


def _put(bind):
    """All operands put where they are: bound under a trace, done at once otherwise."""
    return lambda *args: list(jax.device_put(args))


SAMPLES: Samples = {
    "jit": [
        Sample(((2, 3), (2, 3)), around=_jitted(lambda x, y: (lax.mul(lax.sin(x), y), x)),
               dtypes=("f", "c")),
        Sample(((2, 3), (2, 3)), around=_jitted(lambda x, y: (y, lax.transpose(x, (1, 0)))),
               dtypes=_ANY)],
    "device_put": [Sample(((2, 3), (4,)), around=_put, dtypes=_ANY)],
}
