"""Looking at functions without running them: `make_jaxpr`, `eval_shape`, `ShapeDtypeStruct`."""

from __future__ import annotations

import contextlib
import math
import platform
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from minijax import core, version
from minijax.api.flatten import boundary, check_callable, wraps
from minijax.base import dtypes, errors, jaxlib
from minijax.runtime import arguments, backend, stages
from minijax.runtime.call import Options, weakly_keyable
from minijax.sharding.layout import Format, Layout
from minijax.sharding import PartitionSpec
from minijax.sharding.context import physical_mesh
from minijax.sharding.named import make, typed

__all__ = ["ShapeDtypeStruct", "ensure_compile_time_eval", "eval_shape", "make_jaxpr",
           "print_environment_info"]


class ShapeDtypeStruct:
    """The shape and dtype of an array without its data: an argument for AOT and `eval_shape`."""

    __slots__ = ("shape", "dtype", "weak_type", "manual_axis_type", "is_ref", "_layout", "_given")

    def __init__(self, shape: Sequence[int], dtype: Any, *, sharding: Any = None,
                 weak_type: bool = False, manual_axis_type: Any = None, is_ref: bool = False):
        if dtype is None:
            raise ValueError(errors.describe("ShapeDtypeStruct: dtype must be specified.",
                                             fix="jax.ShapeDtypeStruct((3,), 'float32')"))
        self.shape = tuple(shape)
        self.dtype = dtype if isinstance(dtype, dtypes.ExtendedDType) else np.dtype(dtype)
        self._layout, self._given = _format(sharding, self.shape)
        self.weak_type = weak_type
        self.manual_axis_type = manual_axis_type
        self.is_ref = is_ref  # it stands for a reference to such an array

    @classmethod
    def like(cls, x: Any, *, sharding: Any = None) -> "ShapeDtypeStruct":
        """The shape and dtype of an array, number or ShapeDtypeStruct, and where it is."""
        aval = core.get_aval(x)
        sharding = core.sharding_of(aval) if sharding is None else sharding
        if sharding is None and not core.is_tracer(x) and getattr(x, "committed", True):
            sharding = getattr(x, "sharding", None)
        return cls(aval.shape, aval.dtype, weak_type=aval.weak_type, sharding=sharding)

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    format = property(lambda self: Format(self._layout, self.sharding))

    @property
    def sharding(self) -> Any:
        """Where the array is; a PartitionSpec that was given means the mesh in context."""
        mesh = physical_mesh()
        if isinstance(self._given, PartitionSpec) and mesh is None:
            raise TypeError(errors.describe(
                "When specifying PartitionSpec to `ShapeDtypeStruct`, the context mesh cannot be "
                "empty. Please use `jax.set_mesh` to set the mesh context.",
                fix="NamedSharding(mesh, spec)"))
        return make(mesh, self._given) if isinstance(self._given, PartitionSpec) else self._given

    def update(self, **changes: Any) -> "ShapeDtypeStruct":
        if self._layout is not None and isinstance(changes.get("sharding"), jaxlib.Sharding):
            raise ValueError(errors.describe(
                f"You are updating ShapeDtypeStruct with a {type(changes['sharding'])} when the "
                f"original ShapeDtypeStruct had a concrete layout {self.format}",
                fix="update(sharding=Format(layout, sharding))"))
        fields = {name: getattr(self, name) for name in self.__slots__[:5]}
        return ShapeDtypeStruct(**{"sharding": self.format, **fields, **changes})

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        parts = [f"shape={self.shape}", f"dtype={self.dtype.name}"]
        if self.sharding is not None:
            parts.append(f"sharding={self.sharding}")
        if self._layout is not None:
            parts.append(f"format={self._layout}")
        if self.weak_type:
            parts.append("weak_type=True")
        if self.manual_axis_type is not None:
            parts.append(f"manual_axis_type={self.manual_axis_type}")
        if self.is_ref:
            parts.append("is_ref=True")
        return f"ShapeDtypeStruct({', '.join(parts)})"

    __str__ = __repr__

    def _fields(self) -> tuple:
        return (self.format, *[getattr(self, name) for name in self.__slots__[:5]])

    def __eq__(self, other: object) -> bool:
        if type(other) is not ShapeDtypeStruct:
            return NotImplemented
        return self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())


def _format(given: Any, shape: tuple) -> tuple[Any, Any]:
    """The layout and the sharding that a user gives for an array of this shape."""
    layout = given.layout if isinstance(given, Format) else None
    if layout is Layout.AUTO:
        raise TypeError(errors.describe(
            "`Layout.AUTO` cannot be used in place of a device-local layout in a "
            f"`ShapeDtypeStruct`. Got {given}", fix="the layout of a compiled function"))
    sharding = given.sharding if isinstance(given, Format) else given
    if not (sharding is None or isinstance(sharding, (jaxlib.Sharding, PartitionSpec))):
        raise ValueError(errors.describe(
            "sharding should be an instance of `jax.sharding.Sharding`, `jax.sharding."
            "PartitionSpec` or `jax.experimental.layout.Format`. Got "
            f"{sharding} of type {type(sharding)}.", fix="NamedSharding(mesh, P(...))"))
    if hasattr(sharding, "check_compatible_aval"):
        sharding.check_compatible_aval(shape)
    elif isinstance(sharding, PartitionSpec) and len(sharding) > len(shape):
        raise ValueError(f"PartitionSpec {sharding} is only valid for values of rank at least "
                         f"{len(sharding)}, but was applied to a value of rank {len(shape)}.")
    return layout, sharding


def _struct_aval(x: ShapeDtypeStruct) -> Any:
    where = core.placement(x.manual_axis_type or core.ManualAxisType(),
                           typed(x.sharding, len(x.shape)))
    aval = core.ShapedArray(
        x.shape, dtypes.canonicalize_dtype(x.dtype, allow_extended_dtype=True), x.weak_type, where)
    return core.AbstractRef(aval) if x.is_ref else aval


core.register_aval(ShapeDtypeStruct, _struct_aval)


@boundary
def eval_shape(fun: Callable, *args: Any, **kwargs: Any) -> Any:
    """The result of `fun(*args, **kwargs)` as ShapeDtypeStructs, computed without arithmetic.

    The arguments may be arrays or anything with a shape and a dtype.
    """
    check_callable(fun)
    if hasattr(fun, "_options"):  # jitted: it may say where results go
        return fun.eval_shape(*args, **kwargs)
    return stages.trace(weakly_keyable(fun), Options(), args, kwargs).out_info


def make_jaxpr(fun: Callable, static_argnums: int | Sequence[int] = (),
               axis_env: Sequence[tuple[Any, int]] | None = None,
               return_shape: bool = False) -> Callable:
    """A function that returns the jaxpr of `fun` at the given arguments.

    With `return_shape` it returns a pair of the jaxpr and the result as ShapeDtypeStructs.
    """
    check_callable(fun)
    fun = weakly_keyable(fun)
    options = Options(arguments.resolve(fun, static_argnums))

    @wraps(fun, "make_jaxpr")
    @boundary
    def make_jaxpr_fun(*args: Any, **kwargs: Any) -> Any:
        with _named_axes(axis_env):
            traced = stages.trace(fun, options, args, kwargs)
        return (traced.jaxpr, traced.out_info) if return_shape else traced.jaxpr
    return make_jaxpr_fun


@contextlib.contextmanager
def ensure_compile_time_eval() -> Iterator[None]:
    """Context in which operations on known arrays are run while an outer function is traced.

    Operations on traced values become part of the outer function, as they do without it.
    """
    outer = core.state.trace
    inner = core.eval_trace if outer is core.eval_trace else _KnownTrace(outer, False)
    with core.entered(inner, None):
        yield


class _KnownTrace(core.Trace):
    """Runs what it can; operations on tracers are for the trace in which it was opened."""

    def process_primitive(self, primitive: Any, args: tuple, params: dict) -> Any:
        traced = any(isinstance(x, core.Tracer) for x in args)
        trace = self.parent if traced else core.eval_trace
        with core.entered(trace, None):
            return trace.process_primitive(primitive, args, params)


def print_environment_info(return_string: bool = False) -> str | None:
    """Print (or return) versions and devices, for bug reports."""
    devices = backend.devices()
    text = "\n".join([
        f"jax:    {version.__version__}",
        f"jaxlib: {jaxlib.version_text}",
        f"numpy:  {np.__version__}",
        f"python: {sys.version}",
        f"device info: {devices[0].device_kind}-{len(devices)}, "
        f"{backend.local_device_count()} local devices",
        f"process_count: {backend.process_count()}",
        f"platform: {platform.uname()}"])
    if return_string:
        return text
    print(text)
    return None


def _named_axes(axis_env: Sequence[tuple[Any, int]] | None) -> core.entered:
    """A context in which the given axis names are bound."""
    trace = core.state.trace
    for name, size in axis_env or ():
        trace = core.BatchTrace(trace, core.AxisData(name, size))
    return core.entered(trace)
