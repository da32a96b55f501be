"""`jax.tree`: trees of containers."""

from minijax.base.tree import all as all
from minijax.base.tree import broadcast as broadcast
from minijax.base.tree import flatten as flatten
from minijax.base.tree import flatten_with_path as flatten_with_path
from minijax.base.tree import leaves as leaves
from minijax.base.tree import leaves_with_path as leaves_with_path
from minijax.base.tree import map as map
from minijax.base.tree import map_with_path as map_with_path
from minijax.base.tree import reduce as reduce
from minijax.base.tree import reduce_associative as reduce_associative
from minijax.base.tree import static as static
from minijax.base.tree import structure as structure
from minijax.base.tree import transpose as transpose
from minijax.base.tree import unflatten as unflatten

__all__ = [
    "all",
    "broadcast",
    "flatten",
    "flatten_with_path",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "reduce",
    "reduce_associative",
    "static",
    "structure",
    "transpose",
    "unflatten",
]
