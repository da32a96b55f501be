"""`jax.experimental.pjit`: another name of `jax.jit`."""

from minijax.api.jit import jit as pjit

__all__ = ["pjit"]
