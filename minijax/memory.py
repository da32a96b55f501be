"""`jax.memory`: kinds of memory, by what they are for."""

from minijax.base.memory import Space

__all__ = ["Space"]
