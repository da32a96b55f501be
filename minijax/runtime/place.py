"""Moving values: from NumPy and Python to devices, between devices, and back.

Nothing here compiles a program.  Invariant: an array made here never shares memory with a buffer
that the user can write to; only arrays that the caller gives away (`owned`) are taken as they are.

    device_put(np.arange(3), devices()[0])      # committed to that device
    device_get({"a": x})                        # {"a": NumPy array}
"""

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, errors, jaxlib, tree
from minijax.base.memory import Space
from minijax.core import ShapedArray, Tracer, Values, get_aval, placement, state
from minijax.lax.explicit import mesh_cast_p
from minijax.lax.moving import device_put_p
from minijax.passes.physicalize import is_extended
from minijax.runtime import backend
from minijax.sharding import NamedSharding, PartitionSpec
from minijax.sharding.context import physical_mesh
from minijax.sharding.layout import Format, Layout, unusual
from minijax.sharding.memory import in_space, space_of
from minijax.sharding.named import check_fits, counts_for_nothing, make, typed
from minijax.sharding.single import single_device

Array = jaxlib.Array
ArrayImpl = jaxlib.ArrayImpl
Device = jaxlib.Device
Sharding = jaxlib.Sharding
SingleDeviceSharding = jaxlib.SingleDeviceSharding

_put = jaxlib.batched_device_put
_guards = jaxlib._jax.guard_lib.thread_local_state
_copy_to = jaxlib.xc.batched_copy_array_to_devices_with_sharding
_Semantics = jaxlib.ArrayCopySemantics
_ALWAYS_COPY = jaxlib.HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL
_ZERO_COPY = jaxlib.HostBufferSemantics.ZERO_COPY
# From jaxlib 0.11 on, handlers never check and refuse the keyword.
_HANDLER_OPTIONS = {"_skip_checks": True} if jaxlib.version < (0, 11) else {}


# ---------------------------------------------------------------------------- host to device


def default_sharding() -> SingleDeviceSharding:
    """Where an uncommitted value goes."""
    return single_device(backend.default_device())


def from_numpy(value: np.ndarray, aval: ShapedArray, sharding: Any = None, committed: bool = False,
               owned: bool = False) -> ArrayImpl:
    """An array of type `aval` holding a copy of `value` (with `owned`, perhaps its memory)."""
    if value.dtype != aval.dtype:
        value = value.astype(aval.dtype)
    if not value.flags.c_contiguous and value.ndim:
        value = np.ascontiguousarray(value)
    if sharding is None:
        sharding = default_sharding()
    semantics = _ZERO_COPY if owned else _ALWAYS_COPY
    if type(sharding) is SingleDeviceSharding:
        shards, devices = [value], [sharding._device]
        if space_of(sharding):
            aval = located(aval, sharding)
    else:
        places = sharding.addressable_devices_indices_map(value.shape)
        shards, devices = [value[index] for index in places.values()], list(places)
        if not owned:  # C++ cannot copy two shards that are views of the same memory
            shards, semantics = list(map(np.array, shards)), _ZERO_COPY
        if isinstance(sharding, NamedSharding) and sharding.spec.unreduced:
            nothing = counts_for_nothing(sharding)
            shards = [np.zeros_like(x) if d in nothing else x for x, d in zip(shards, devices)]
        aval = located(aval, sharding)
    # enable_x64: the dtype is decided already, C++ must not narrow 64-bit data a second time.
    return _put(aval, sharding, shards, devices, committed, False, semantics, True)


def located(aval: ShapedArray, sharding: Any) -> ShapedArray:
    """The type of an array of this sharding: how explicit mesh axes split it, and its memory."""
    found, memory = typed(sharding, aval.ndim), space_of(sharding)
    if aval.placement is found is memory is None:
        return aval
    return aval.update(placement=placement(sharding=found, memory=memory))


def asarray_const(value: Any, aval: ShapedArray) -> ArrayImpl:
    """An uncommitted array of type `aval` from a value that nobody else will write to."""
    return from_numpy(np.asarray(value, aval.dtype), aval, owned=True)


def from_value(x: Any, sharding: Any = None, committed: bool = False) -> ArrayImpl:
    """Any value that jitted functions accept, as an array; a Python scalar gives a weak type."""
    aval = get_aval(x)
    if not isinstance(aval, ShapedArray):  # a value of a library, which no device holds
        return x
    if isinstance(x, np.ndarray):
        return from_numpy(x, aval, sharding, committed)
    if hasattr(x, "__jax_array__"):
        x = x.__jax_array__()
    if isinstance(x, ArrayImpl):
        return x if sharding is None else place(x, sharding)
    try:
        value = np.asarray(x, aval.dtype)
    except OverflowError as error:
        raise OverflowError(f"Python int {x} too large to convert to {aval.dtype}") from error
    except TypeError:
        raise TypeError(f"A {type(x).__name__} does not have a value to compute with") from None
    return from_numpy(value, aval, sharding, committed, True)


def as_array(x: Any) -> Any:
    """An array or a tracer as it is, any other value as an array (float0 stays with NumPy)."""
    if isinstance(x, Array) or (isinstance(x, np.ndarray) and x.dtype == dtypes.float0):
        return x
    return from_value(x)


@functools.lru_cache(maxsize=8192)
def result_handler(aval: ShapedArray, sharding: Any, committed: bool) -> Any:
    """The C++ callable that wraps result buffers, or re-wraps an array, as such an array."""
    return jaxlib.array_result_handler(
        located(aval, sharding), sharding, committed, **_HANDLER_OPTIONS)


def rewrap(x: ArrayImpl, aval: ShapedArray | None = None, committed: bool | None = None,
           sharding: Any = None) -> ArrayImpl:
    """The same buffers seen with another aval, commitment or (equivalent) sharding."""
    aval = x.aval if aval is None else aval
    sharding = x._sharding if sharding is None else sharding
    if type(x._sharding) is not SingleDeviceSharding:  # always committed
        return x._rewrap_with_aval_and_sharding(located(aval, sharding), sharding)
    return result_handler(aval, sharding, x._committed if committed is None else committed)(x)


# ---------------------------------------------------------------------------- between devices


def copy(x: ArrayImpl) -> ArrayImpl:
    """A new array with buffers of its own, at the same place."""
    return _move(x, x._sharding, x._committed, _Semantics.ALWAYS_COPY)


def _move(x: ArrayImpl, sharding: Any, committed: bool, semantics: Any) -> ArrayImpl:
    x = with_usual_layout(x)  # copies of the runtime say that they keep the order, and do not
    moved = _copy_to([x], [sharding._internal_device_list], [sharding], [semantics])[0]
    if moved._committed == committed and moved.aval is located(x.aval, sharding):
        return moved
    return rewrap(moved, x.aval, committed, sharding)


def place(x: ArrayImpl, sharding: Any, semantics: Any = _Semantics.REUSE_INPUT) -> ArrayImpl:
    """The array committed to `sharding`; without copying where it is there already."""
    source = x._sharding
    check_deleted(x)
    if source is sharding or source.is_equivalent_to(sharding, x.aval.ndim):
        if semantics == _Semantics.ALWAYS_COPY:
            return _move(x, sharding, True, semantics)
        if x._committed and (source is sharding or source == sharding):
            return x
        return rewrap(x, committed=True, sharding=sharding)
    same_layout = len(source._internal_device_list) == len(sharding._internal_device_list)
    ndim = x.aval.ndim
    if same_layout and (
        source._to_xla_hlo_sharding(ndim) == sharding._to_xla_hlo_sharding(ndim)
        or len(source._internal_device_list) == 1
    ):
        return _move(x, sharding, True, semantics)
    return _reshard(x, sharding)


def _reshard(x: ArrayImpl, sharding: Any) -> ArrayImpl:
    """An array in other parts: from the shards at hand, through the host."""
    source = x._sharding
    if source.is_fully_replicated and source.is_fully_addressable and sharding.is_fully_replicated:
        part = x.addressable_data(0)
        copies = [place(part, single_device(device)) for device in
                  sharding.addressable_devices_indices_map(x.shape)]
        aval = located(x.aval, sharding)
        return ArrayImpl(aval, sharding, copies, committed=True, _skip_checks=True)
    return from_numpy(np.asarray(x), x.aval, sharding, True)


def check_deleted(x: ArrayImpl) -> None:
    """Raise RuntimeError when the buffers of `x` are gone (deleted or donated)."""
    if x.is_deleted():
        raise RuntimeError(errors.describe(
            f"Array has been deleted with shape={x.aval.str_short(False)}.",
            because="it was donated to a jitted function, or deleted by x.delete()",
            fix="use the result of that call, x = f(x), or pass a copy: f(x.copy())"))


# ---------------------------------------------------------------------------- for executables


def shard_arg(x: Any, sharding: Any, layout: Any = None) -> ArrayImpl:
    """One argument of an executable, where and how the executable wants it."""
    if isinstance(layout, Layout):
        return _with_layout(shard_arg(x, sharding), layout)
    if type(x) is ArrayImpl:
        if x._sharding is sharding:
            return x
        return place(x, sharding)
    if isinstance(x, np.ndarray) and x.dtype == dtypes.float0:
        x = np.zeros(x.shape, bool)  # what programs have in its place
    return from_value(x, sharding, True)


relayout: Any = None  # set by runtime/layouts.py: an array copied to another layout


def layout_of(x: ArrayImpl) -> Layout:
    """The order of an array's elements; RuntimeError when it was deleted."""
    check_deleted(x)  # the runtime does not look
    return Layout.from_pjrt_layout(x._pjrt_layout)


def unusual_layout(x: Any) -> Layout | None:
    """The layout of an array whose last dimension is not the fastest; None for all other values."""
    if type(x) is not ArrayImpl or x.ndim < 2 or x.is_deleted():
        return None
    return unusual(x._pjrt_layout)


def _with_layout(x: ArrayImpl, layout: Layout) -> ArrayImpl:
    return x if layout_of(x).major_to_minor == layout.major_to_minor else relayout(x, layout)


def with_usual_layout(x: ArrayImpl) -> ArrayImpl:
    """The same array, its last dimension the fastest."""
    return x if unusual_layout(x) is None else relayout(x, Layout(tuple(range(x.ndim))))


def shard_args(args: Values, shardings: Sequence[Any]) -> list[ArrayImpl]:
    """All arguments of an executable, each where the executable wants it."""
    return [
        x if type(x) is ArrayImpl and x._sharding is sharding else shard_arg(x, sharding)
        for x, sharding in zip(args, shardings, strict=True)]


# ---------------------------------------------------------------------------- user functions


def target_sharding(device: Any) -> Any:
    """The sharding that a user's `device` argument means; None for None."""
    if device is None or isinstance(device, Sharding):
        return device
    if isinstance(device, Device):
        return single_device(device)
    if isinstance(device, PartitionSpec):
        mesh = physical_mesh()
        if mesh is None:
            raise ValueError("Please set a mesh via `jax.set_mesh` if a PartitionSpec is passed "
                             "to device_put")
        return make(mesh, device)
    sharding = getattr(device, "sharding", None)  # a layout together with a sharding
    if isinstance(sharding, Sharding):
        return sharding
    raise ValueError(
        "`jax.device_put` only accepts `None`, `jax.sharding.Sharding`, `jax.Device`, `Format`, "
        "`jax.memory.Space` or a pytree of these values. "
        f"Received invalid value: {device}")


def put_leaf(x: Any, sharding: Any, may_alias: bool | None = None, layout: Any = None) -> Any:
    """One concrete leaf of `device_put`."""
    if layout is not None:
        return _with_layout(put_leaf(x, sharding, may_alias), layout)
    if sharding is not None:
        check_fits(sharding, np.shape(x), "device_put args")
    if not isinstance(x, ArrayImpl):
        check_leaf(x)
        if isinstance(x, np.ndarray) and x.dtype == dtypes.float0:
            return x  # no device can hold it
        if hasattr(x, "aval") and is_extended(x.aval):
            return x.aval.dtype.wrap(put_leaf(words([x])[0], sharding, may_alias))
        return from_value(x, sharding, sharding is not None)
    if may_alias is False:
        where = x._sharding if sharding is None else sharding
        return place(x, where, _Semantics.ALWAYS_COPY)
    # `donate` allows, but does not ask for, an early end of the source; jaxlib's donating copy
    # between devices leaves the source array without a buffer to ask about, and crashes.
    return x if sharding is None else place(x, sharding)


def device_put(x: Any, device: Any = None, *, src: Any = None, donate: Any = False,
               may_alias: Any = None) -> Any:
    """Put the leaves of a tree onto devices; with a device given, they are committed to it.

    device: a Device, a Sharding, a Format, None (default device, uncommitted), or a tree prefix
    of these.  donate: the sources may be given up.  may_alias: False forces a copy.
    """
    leaves, treedef = tree.flatten(x)
    devices = _prefix("device", device, x, treedef)
    donated = _prefix("donate", donate, x, treedef)
    aliases = _prefix("may_alias", may_alias, x, treedef)
    where = list(map(_target, leaves, devices))
    if any(d and a for d, a in zip(donated, aliases, strict=True)):
        raise ValueError("may_alias and donate cannot be True at the same time.")
    if state.trace.staging or any(isinstance(leaf, Tracer) for leaf in leaves):
        for leaf in leaves:
            check_leaf(leaf)
        semantics = tuple(map(_semantics, donated, aliases))
        sources = _prefix("src", src, x, treedef)
        outs = device_put_p.bind(
            *leaves, devices=tuple(target_sharding(d) if isinstance(d, PartitionSpec) else d
                                   for d in devices), srcs=tuple(sources), copy_semantics=semantics)
    else:
        guards = _guards()
        guards.explicit_device_put = True  # a transfer guard may forbid implicit ones only
        try:
            outs = list(map(put_leaf, leaves, where, aliases, map(_layout_of, devices)))
        finally:
            guards.explicit_device_put = False
    return treedef.unflatten(outs)


def _layout_of(given: Any) -> Layout | None:
    """The layout that a Format asks for; ValueError if it leaves that to a compiler."""
    if not isinstance(given, Format) or given.layout is None:
        return None
    if given.layout is Layout.AUTO:
        raise ValueError("sharding and layout in `Layout` instance should be concrete. "
                         f"Got layout: {given}")
    return given.layout


def _target(x: Any, device: Any) -> Any:
    """The sharding that a user's `device` means for the leaf `x`."""
    if isinstance(device, Space):
        return in_space(getattr(x, "_sharding", None) or default_sharding(), device)
    return target_sharding(device)


def _prefix(what: str, given: Any, x: Any, treedef: Any) -> list[Any]:
    """One entry of the tree prefix `given` for each leaf of `x`."""
    if given is None or isinstance(given, (bool, Device, Sharding, Space)):
        return [given] * treedef.num_leaves
    try:
        return tree.broadcast_prefix(given, x, is_leaf=lambda leaf: leaf is None)
    except ValueError:
        raise ValueError(errors.describe(
            tree.prefix_mismatches(f"device_put {what}", given, x, is_leaf=lambda y: y is None),
            fix="nest the devices as the value is nested, or give one for a whole subtree"),
        ) from None


def _semantics(donate: bool, may_alias: bool | None) -> Any:
    if donate:
        return _Semantics.DONATE_INPUT
    return _Semantics.ALWAYS_COPY if may_alias is False else _Semantics.REUSE_INPUT


def _put_impl(*xs: Any, devices: tuple, srcs: tuple, copy_semantics: tuple) -> list[Any]:
    return [
        put_leaf(x, _target(x, device),
                 False if semantics == _Semantics.ALWAYS_COPY else None)
        for x, device, semantics in zip(xs, devices, copy_semantics, strict=True)]


device_put_p.impl = _put_impl


def check_leaf(x: Any) -> None:
    """TypeError unless `x` is a value that has an aval."""
    if isinstance(x, (ArrayImpl, Tracer)):
        return
    try:
        get_aval(x)
    except TypeError as error:
        if isinstance(x, (np.ndarray, np.generic)):
            raise TypeError(errors.describe(
                f"Dtype {x.dtype} is not a valid JAX array type. "
                "Only arrays of numeric types are supported by JAX.",
                fix="convert it to a numeric dtype first, e.g. x.astype('float32')")) from error
        raise TypeError(errors.describe(
            f"Argument '{x}' of type {type(x)} is not a valid JAX type",
            fix="pass arrays and numbers only, in tuples, lists and dicts")) from error


def device_get(x: Any) -> Any:
    """The tree with each array as a NumPy array; leaves that are no arrays stay as they are."""
    leaves, treedef = tree.flatten(x)
    for leaf in leaves:
        if type(leaf) is ArrayImpl and not leaf.is_deleted():
            leaf.copy_to_host_async()
    return treedef.unflatten([_to_host(leaf) for leaf in leaves])


def _to_host(x: Any) -> Any:
    if hasattr(x, "__array__") and not (isinstance(x, Array) and is_extended(x.aval)):
        return np.asarray(x)
    return x


def block_until_ready(x: Any) -> Any:
    """Wait until all arrays of the tree are computed; returns the tree."""
    arrays = []
    for leaf in tree.leaves(x):
        if type(leaf) is ArrayImpl:
            arrays.append(leaf)
        elif hasattr(leaf, "block_until_ready"):
            leaf.block_until_ready()
    if len(arrays) == 1:
        arrays[0].block_until_ready()
    elif arrays:
        jaxlib.xc.batched_block_until_ready(arrays)
    return x


def copy_to_host_async(x: Any) -> Any:
    """Start copying all arrays of the tree to the host; returns the tree."""
    for leaf in tree.leaves(x):
        if hasattr(leaf, "copy_to_host_async"):
            leaf.copy_to_host_async()
    return x


def words(leaves: Iterable[Any]) -> list[Any]:
    """Leaves with each array of random keys replaced by the array of the words it is made of."""
    return tree.dispatch_registry.flatten(list(leaves))[0]


def _mesh_cast_impl(x: Any, *, dst_sharding: Any) -> Any:
    """The same array on a mesh whose axes have other types."""
    x = as_array(x)
    if not isinstance(x._sharding, NamedSharding):
        return x
    kinds = dst_sharding.mesh.axis_types
    mesh = x._sharding.mesh.update(axis_types=kinds)
    return rewrap(x, sharding=x._sharding.update(mesh=mesh))


mesh_cast_p.impl = _mesh_cast_impl
