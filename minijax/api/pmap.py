"""`pmap`: one program on several devices, each with its element of the mapped axis.

It is `shard_map` over a mesh with one axis: the mapped axis is split into pieces of size 1, which
the function does not see. Calls stay in C++ once their types have been seen.

    mean = jax.pmap(lambda x: lax.pmean(x, "i"), axis_name="i")
    mean(jnp.arange(jax.device_count()))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from minijax.api.flatten import check_callable, wraps
from minijax.api.jit import with_stages
from minijax.api.shard_map import Request, apply
from minijax.base import errors, tree
from minijax.core import Tracer, aval_of
from minijax.lax.shapes import expand_dims, squeeze
from minijax.runtime import arguments
from minijax.runtime.backend import devices as devices_of
from minijax.runtime.call import Options, Prefix
from minijax.sharding import AxisType, Mesh, PartitionSpec

__all__ = ["pmap"]

_UNNAMED = "_internal_pmap_axis_name"


def pmap(fun: Callable, axis_name: Any = None, *, in_axes: Any = 0, out_axes: Any = 0,
         static_broadcasted_argnums: int | Iterable[int] = (),
         devices: Sequence[Any] | None = None, backend: str | None = None,
         axis_size: int | None = None, donate_argnums: int | Iterable[int] = ()) -> Any:
    """`fun` run on several devices at once, each with one element of the mapped axes.

    in_axes: which axis of each argument is mapped: an int, None (every device has the whole), or
      trees of these that are prefixes of the arguments; keyword arguments are mapped over axis 0.
    out_axes: where the axis goes in the results; None takes the result of one device.
    axis_name: how collectives in `fun` name the axis. static_broadcasted_argnums,
      donate_argnums: as for `jit`. devices: which to use, default the first ones of `backend`.
    Raises ValueError when sizes disagree or there are fewer devices than elements.
    """
    check_callable(fun)
    if devices is not None and not len(devices):
        raise ValueError("'devices' argument to pmap must be non-empty, or None.")
    for what, axes in (("in_axes", in_axes), ("out_axes", out_axes)):
        _check_axes(what, axes)
    plan = _Plan(axis_name or _UNNAMED, tuple(in_axes) if type(in_axes) is list else in_axes,
                 out_axes, None if devices is None else tuple(devices), backend, axis_size)
    options = Options(
        arguments.resolve(fun, static_broadcasted_argnums, None, donate_argnums, None),
        moves_arguments=True)
    static = options.arguments.static_argnums

    @wraps(fun, "")
    def mapped(*args: Any, **kwargs: Any) -> Any:
        fixed = arguments.positions(static, len(args))
        _check_static(static, fixed, len(args))
        dynamic = [x for i, x in enumerate(args) if i not in fixed]
        leaves, treedef = tree.flatten((tuple(dynamic), kwargs))
        dims, size = plan.dims(tuple(dynamic), kwargs, leaves)

        def on_device(*local: Any) -> Any:
            own = [x if d is None else squeeze(x, (d,)) for x, d in zip(local, dims)]
            given, named = treedef.unflatten(own)
            given = iter(given)
            out = fun(*[x if i in fixed else next(given) for i, x in enumerate(args)], **named)
            return plan.stacked(out)

        mesh = plan.mesh(size)
        request = Request(
            mesh, Prefix.of(tuple(map(plan.spec, dims))), plan.out_specs(),
            frozenset((plan.axis_name,)), False)
        return apply(on_device, request, tuple(leaves))

    compiled = with_stages(mapped, options)
    compiled.__wrapped__ = fun
    return compiled


def _check_static(static: tuple, fixed: tuple, count: int) -> None:
    if len(fixed) < len(set(static)):
        raise ValueError(errors.describe(
            f"pmapped function has static_broadcasted_argnums={static} but was called with only "
            f"{count} positional argument{'s' * (count > 1)}. All static broadcasted arguments "
            "must be passed positionally.", fix="pass them without their names"))


def _check_axes(what: str, axes: Any) -> None:
    for leaf in tree.leaves(axes):
        if isinstance(leaf, bool) or not hasattr(leaf, "__index__"):
            raise TypeError(errors.describe(
                f"pmap {what} must be an int, None, or (nested) container with those types as "
                f"leaves, but got {axes}.", fix=f"pmap(f, {what}=0)"))


class _Plan:
    """What a pmapped function does with its axes, for the sizes of each call."""

    def __init__(self, axis_name: Any, in_axes: Any, out_axes: Any, devices: tuple | None,
                 backend_name: str | None, axis_size: int | None):
        self.axis_name, self.axis_size = axis_name, axis_size
        self.in_axes, self.out_axes = in_axes, out_axes
        self.devices, self.backend = devices, backend_name

    def spec(self, dim: int | None) -> PartitionSpec:
        """How an array is split whose axis `dim` is mapped."""
        return PartitionSpec() if dim is None else PartitionSpec(*[None] * dim, self.axis_name)

    def dims(self, args: tuple, kwargs: dict, leaves: Sequence[Any]) -> tuple[list, int]:
        """The mapped axis of each leaf, and its size."""
        if type(self.in_axes) is int:
            dims = [self.in_axes] * len(leaves)
        else:
            given = self._spread_in_axes(args, kwargs)
            dims = given + [0] * (len(leaves) - len(given))
        shapes = [np.shape(x) if not isinstance(x, Tracer) else x.shape for x in leaves]
        dims = [self._canonical(d, shape) for d, shape in zip(dims, shapes)]
        sizes = {shape[d] for shape, d in zip(shapes, dims) if d is not None}
        if not sizes:
            raise ValueError(errors.describe(
                "pmap requires at least one argument with a mapped axis.",
                fix="pass an array whose leading axis has one element per device"))
        if len(sizes) > 1:
            each = ", ".join(f"{shape} along axis {d}" for shape, d in zip(shapes, dims)
                             if d is not None)
            raise ValueError(errors.describe(
                "pmap got inconsistent sizes for array axes to be mapped: the arguments have the "
                f"shapes {each}", fix="give all mapped axes the same size, or in_axes=None"))
        return dims, self._checked_size(sizes.pop())

    def _spread_in_axes(self, args: tuple, kwargs: dict) -> list:
        """The entry of in_axes for each leaf of the positional arguments."""
        try:
            return tree.broadcast_prefix(self.in_axes, args, lambda x: x is None, "pmap in_axes")
        except ValueError as error:
            named = (f"\n{sorted(kwargs)} were passed by keyword: each argument passed by keyword "
                     "is mapped over its leading axis, in_axes are of the others" if kwargs else "")
            raise ValueError(f"{error}{named}") from None

    def _canonical(self, dim: Any, shape: tuple[int, ...]) -> int | None:
        if dim is None:
            return None
        if not -len(shape) <= dim < len(shape):
            raise ValueError(errors.describe(
                f"pmap was requested to map its argument along axis {dim}, which implies that its "
                f"rank should be at least {dim + 1 if dim >= 0 else -dim}, but is only "
                f"{len(shape)} (its shape is {shape})",
                fix="pass an array with an axis for the devices, or in_axes=None"))
        return dim % len(shape)

    def _checked_size(self, size: int) -> int:
        if self.axis_size is not None and self.axis_size != size:
            raise ValueError(errors.describe(
                f"Specified axis_size {self.axis_size} doesn't match received axis_size {size}.",
                fix="leave out axis_size"))
        if self.devices is not None and len(self.devices) != size:
            raise ValueError(errors.describe(
                "Leading axis size of input to pmapped function must equal the number of local "
                f"devices passed to pmap. Got axis_size={size}, "
                f"num_local_devices={len(self.devices)}.",
                fix="pmap(f, devices=jax.devices()[:n]) with n the size of the mapped axis"))
        return size

    def mesh(self, size: int) -> Mesh:
        """The mesh of the first `size` devices."""
        devices = devices_of(self.backend) if self.devices is None else self.devices
        if not 0 < size <= len(devices):
            raise ValueError(errors.describe(
                f"compiling computation that requires {size} logical devices, but only "
                f"{len(devices)} XLA devices are available (num_replicas={size})",
                fix=f"map at most {len(devices)} elements; vmap inside pmap does the rest"))
        grid = np.array(devices[:size], object)
        return Mesh(grid, (self.axis_name,), (AxisType.Auto,))

    def out_specs(self) -> Prefix:
        """How results are split, as a prefix tree."""
        leaves, treedef = tree.flatten(self.out_axes, is_leaf=lambda x: x is None)
        return Prefix(tuple(map(self.spec, leaves)), treedef)

    def stacked(self, out: Any) -> Any:
        """The result of one device, each leaf with a new axis of size 1 where out_axes says."""
        leaves, treedef = tree.flatten(out)
        dims = tree.broadcast_prefix(self.out_axes, out, is_leaf=lambda x: x is None)
        return treedef.unflatten([self._with_axis(x, d) for x, d in zip(leaves, dims)])

    def _with_axis(self, x: Any, dim: int | None) -> Any:
        if dim is None:
            return x
        rank = aval_of(x).ndim
        if dim < 0:
            raise ValueError(errors.describe(
                f"pmap out_axes must not be negative, but got {self.out_axes}",
                fix="count axes from the front"))
        if dim > rank:
            raise ValueError(errors.describe(
                f"axis {dim} is out of bounds for array of dimension {rank + 1}",
                because="out_axes says so", fix=f"choose out_axes between 0 and {rank}"))
        return expand_dims(x, (dim,))
