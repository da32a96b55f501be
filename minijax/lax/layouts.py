"""Asking the compiler for an order of elements in memory: `with_layout_constraint`.

    y = with_layout_constraint(x.T, Layout(major_to_minor=(1, 0)))
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from minijax.base import errors, tree
from minijax.core import Primitive, Values, aval_of, linear
from minijax.sharding.layout import Layout

__all__ = ["layout_constraint_p", "with_layout_constraint"]


def with_layout_constraint(x: Any, layouts: Any) -> Any:
    """`x`, a pytree, with the demand that each leaf lie in memory as `layouts` (a prefix) says.

    ValueError for other leaves of `layouts` than `Layout`, and for a layout of another rank.
    """
    leaves, treedef = tree.flatten(x)
    given = tree.broadcast_prefix(layouts, x, is_leaf=lambda d: d is None)
    if not all(isinstance(layout, Layout) for layout in given):
        raise ValueError(errors.describe(
            "layouts passed to `with_layout_constraint` must be of type `Layout`. Got "
            f"{list(map(type, given))}", fix="Layout(major_to_minor=(0, 1))"))
    return treedef.unflatten(list(map(_constrain, leaves, given)))


def _constrain(x: Any, layout: Layout) -> Any:
    try:
        layout.check_compatible_aval(aval_of(x).shape)
    except ValueError as e:
        raise ValueError(errors.describe(
            "One of with_layout_constraint arguments is incompatible with its layout annotation "
            f"{layout}: {e}", fix="name each dimension once in major_to_minor")) from None
    return layout_constraint_p.bind(x, layout=layout)


def _vmap(axis: Any, args: Values, dims: Sequence[int], *, layout: Layout) -> tuple:
    """The mapped axis is the slowest."""
    dim = dims[0]
    order = (dim, *[i + (i >= dim) for i in layout.major_to_minor])
    return layout_constraint_p.bind(args[0], layout=Layout(order)), dim


layout_constraint_p = Primitive(
    "layout_constraint", shape=lambda x, *, layout: x, jvp=linear, vmap=_vmap,
    transpose=lambda ct, x, *, layout: layout_constraint_p.bind(ct, layout=layout))
