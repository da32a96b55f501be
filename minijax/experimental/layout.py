"""`jax.experimental.layout`: the order of an array's elements in memory."""

from minijax.lax.layouts import with_layout_constraint
from minijax.sharding.layout import Format, Layout

__all__ = ["Format", "Layout", "with_layout_constraint"]
