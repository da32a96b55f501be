"""`jax.experimental.layout`: the order of an array's elements in memory."""

from minijax.sharding.layout import Format, Layout

__all__ = ["Format", "Layout"]
