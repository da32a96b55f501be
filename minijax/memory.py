"""`jax.memory`: kinds of memory, by what they are for."""

from minijax.sharding.memory import Space

__all__ = ["Space"]
