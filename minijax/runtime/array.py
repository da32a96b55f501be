"""The concrete array: everything of `ArrayImpl` that is not an operator or a NumPy-named method.

jaxlib's C++ class cannot be subclassed, so its Python side is attached to it when this module is
imported (operators and NumPy methods come from `minijax.numpy.methods`).  Invariant: nothing
handed out lets the user write to the buffer of an array.

    x = device_put(np.arange(3.0))
    x.shape, x.dtype, x.sharding     # (3,), float32, SingleDeviceSharding(...)
    np.asarray(x).flags.writeable    # False
"""

import enum
import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from minijax.base import dtypes, errors, jaxlib
from minijax.core import AbstractRef, ShapedArray, Tracer, refs, register_aval
from minijax.runtime import backend, place
from minijax.sharding.layout import Format
from minijax.sharding.named import NamedSharding
from minijax.sharding.single import single_device

Array = jaxlib.Array
ArrayImpl = jaxlib.ArrayImpl
SingleDeviceSharding = jaxlib.SingleDeviceSharding

_put = jaxlib.batched_device_put
_ALWAYS_COPY = jaxlib.HostBufferSemantics.IMMUTABLE_ONLY_DURING_CALL

_SCALAR_TEXT = "Only scalar arrays can be converted to Python scalars; got arr.ndim={}"
_INDEX_TEXT = "Only integer scalar arrays can be converted to a scalar index."


class DLDeviceType(enum.IntEnum):
    """Kinds of devices in the DLPack protocol."""

    kDLCPU = 1
    kDLCUDA = 2
    kDLCUDAHost = 3
    kDLROCM = 10


class Shard:
    """One device's part of an array: `device`, `index` (slices), `replica_id`, `data`."""

    def __init__(self, device: Any, sharding: Any, global_shape: tuple[int, ...],
                 data: Any = None):
        self.device = device
        self._sharding = sharding
        self._global_shape = global_shape
        self.data = data  # an array on that device; None when that is another process's

    @property
    def index(self) -> tuple[slice, ...]:
        """Which part of the whole array it is."""
        return self._sharding.devices_indices_map(self._global_shape)[self.device]

    @property
    def replica_id(self) -> int:
        """How many devices before this one hold the same part."""
        places = self._sharding.devices_indices_map(self._global_shape)
        index = places[self.device]
        before = 0
        for device, other in places.items():
            if device == self.device:
                return before
            before += other == index
        raise KeyError(self.device)

    def __repr__(self) -> str:
        text = f"Shard(device={self.device!r}, index={self.index}, replica_id={self.replica_id}"
        return f"{text}, data={self.data})"


# ---------------------------------------------------------------------------- host values


def _read(x: ArrayImpl) -> tuple[np.ndarray, bool]:
    """The elements of an array on one device, and whether they were copied."""
    try:
        # jaxlib's own reader looks for a module of jax's at the first read of each array: 97 us
        # against 3.5 us, and where jax is installed it would be imported.
        return np.asarray(memoryview(x)), False
    except BufferError:  # another device, or a dtype that the buffer protocol does not know
        with jaxlib.standins():
            return x._single_device_array_to_np_array_did_copy()


def _value(self: ArrayImpl) -> np.ndarray:
    """The array as a read-only NumPy array: a view of the buffer on CPU, else a cached copy."""
    if self._npy_value is not None:
        return self._npy_value
    place.check_deleted(self)
    if type(self._sharding) is SingleDeviceSharding:
        value, copied = _read(self)
    else:
        value, copied = _gather(self), True
    value.flags.writeable = False
    if copied:  # a view is not kept: it would pin the buffer against donation
        self._npy_value = value
    return value


def _is_sum(x: ArrayImpl) -> bool:
    """Whether the devices hold terms of a sum that nobody has done."""
    return isinstance(x._sharding, NamedSharding) and bool(x._sharding.spec.unreduced)


def _gather(x: ArrayImpl) -> np.ndarray:
    """The whole value of an array that lives on several devices."""
    if x.is_fully_replicated:
        return np.asarray(x.addressable_data(0))
    if _is_sum(x):
        raise NotImplementedError(errors.describe(
            "An unreduced array has no value yet: its devices hold terms of a sum",
            because=f"its sharding is {x._sharding}", fix="jax.reshard(x, P()) sums it"))
    if not x.is_fully_addressable:
        raise RuntimeError(
            "Fetching value for `jax.Array` that spans non-addressable (non process local) "
            "devices is not possible. You can use `jax.experimental.multihost_utils."
            "process_allgather` to print the global array or use `.addressable_shards` method "
            "of jax.Array to inspect the addressable (process local) shards.")
    whole = np.empty(x.shape, x.dtype)
    for shard in x.addressable_shards:
        if shard.replica_id == 0:
            whole[shard.index] = np.asarray(shard.data)
    return whole


def _dunder_array(self: ArrayImpl, dtype: Any = None, context: Any = None,
                  copy: bool | None = None) -> np.ndarray:
    """A NumPy array: read-only and without a copy where that is possible."""
    return np.array(self._value, dtype=dtype, copy=copy)


def _tolist(self: ArrayImpl) -> Any:
    """The values as nested Python lists, a scalar for rank 0."""
    return self._value.tolist()


def _item(self: ArrayImpl, *args: Any) -> Any:
    """One element as a Python scalar; ValueError when there are several and no index."""
    return self._value.item(*args)


def _tobytes(self: ArrayImpl, order: str = "C") -> bytes:
    """The raw bytes of the values, in C order."""
    return self._value.tobytes(order)


# ---------------------------------------------------------------------------- conversions


def _scalar(x: ArrayImpl) -> Any:
    if x.aval.ndim:
        raise TypeError(_SCALAR_TEXT.format(f"{x.aval.ndim}"))
    return x._value[()]


def _bool(self: ArrayImpl) -> bool:
    if self.aval.size != 1:
        errors.check_truth(self.aval.size)
    return bool(self._value)


def _int(self: ArrayImpl) -> int:
    return self._value.__int__() if not self.aval.ndim and self.dtype.kind != "c" else int(
        _scalar(self).item())


def _float(self: ArrayImpl) -> float:
    return self._value.__float__() if not self.aval.ndim and self.dtype.kind != "c" else float(
        _scalar(self).item())


def _complex(self: ArrayImpl) -> complex:
    return complex(_scalar(self).item())


def _index(self: ArrayImpl) -> int:
    if self.aval.ndim or not dtypes.issubdtype(self.aval.dtype, np.integer):
        raise TypeError(_INDEX_TEXT)
    return operator.index(self._value.item())


def _hex(self: ArrayImpl) -> str:
    return hex(_index(self))


def _oct(self: ArrayImpl) -> str:
    return oct(_index(self))


def _len(self: ArrayImpl) -> int:
    if not self.aval.ndim:
        raise TypeError("len() of unsized object")
    return self.aval.shape[0]


def _iter(self: ArrayImpl) -> Iterator[Any]:
    """The parts along the first axis."""
    if not self.aval.ndim:
        raise TypeError("iteration over a 0-d array")
    place.check_deleted(self)
    if type(self._sharding) is SingleDeviceSharding and backend.is_cpu(self._sharding._device):
        return _iter_host(self)
    return (self[i] for i in range(self.aval.shape[0]))


def _iter_host(x: ArrayImpl) -> Iterator[Any]:
    """Rows by way of the host, where that is no transfer: no program runs for each of them."""
    aval = ShapedArray(x.aval.shape[1:], x.aval.dtype, x.aval.weak_type)
    sharding, committed = x._sharding, x._committed
    devices = [sharding._device]
    for row in x._value:
        yield _put(aval, sharding, [row], devices, committed, False, _ALWAYS_COPY, True)


# ---------------------------------------------------------------------------- printing


def _repr(self: ArrayImpl) -> str:
    aval = self.aval
    tail = f"dtype={aval.dtype.name}{', weak_type=True' if aval.weak_type else ''})"
    if _is_sum(self):
        return f"Array(shape={aval.shape}, {tail[:-1]}, sharding={self._sharding})"
    if not self.is_fully_addressable and not self.is_fully_replicated:
        return f"Array(shape={aval.shape}, {tail}"
    if aval.size == 0:
        return f"Array([], shape={aval.shape}, {tail}"
    text = np.array2string(self._value, prefix="Array(", suffix=",", separator=", ")
    last_line = len("Array(") + len(text) if "\n" not in text else len(text) - text.rfind("\n") - 1
    width = np.get_printoptions()["linewidth"]
    space = " " if last_line + len(tail) + 2 <= width else " " * len("Array(")
    return f"Array({text},{space}{tail}"


def _str(self: ArrayImpl) -> str:
    if _is_sum(self) or not (self.is_fully_addressable or self.is_fully_replicated):
        return repr(self)
    return str(self._value)


def _format(self: ArrayImpl, format_spec: str) -> str:
    if self.aval.ndim == 0:
        return format(self._value[()], format_spec)
    return format(self._value, format_spec)


# ---------------------------------------------------------------------------- copies, pickles


def _make_from_pickle(value: np.ndarray, weak_type: bool) -> ArrayImpl:
    """Where a pickled array comes back: uncommitted, on the default device."""
    from_value = place.from_value(value)
    if not weak_type:
        return from_value
    return place.rewrap(from_value, from_value.aval.update(weak_type=True))


def _reduce(self: ArrayImpl) -> tuple:
    return _make_from_pickle, (np.array(self._value), self.aval.weak_type)


def _copy(self: ArrayImpl) -> ArrayImpl:
    place.check_deleted(self)
    return place.copy(self)


def _deepcopy(self: ArrayImpl, memo: dict) -> ArrayImpl:
    return _copy(self)


def set_item(self: Any, i: Any, x: Any) -> None:
    """TypeError, for arrays and tracers alike, but for those of references."""
    if type(getattr(self, "aval", None)) is AbstractRef:
        return refs.set_item(self, i, x)
    raise TypeError(errors.describe(
        "JAX arrays are immutable and do not support in-place item assignment. Instead of "
        "x[idx] = y, use x = x.at[idx].set(y) or another .at[] method: "
        "https://docs.jax.dev/en/latest/_autosummary/jax.numpy.ndarray.at.html",
        fix="x = x.at[index].set(value)"))


# ---------------------------------------------------------------------------- exchange


def _dlpack_device(self: ArrayImpl) -> tuple[enum.Enum, int]:
    """(kind of device, its number) in terms of the DLPack protocol."""
    if len(self._sharding._internal_device_list) != 1:
        raise BufferError(
            "__dlpack__ only supported for unsharded arrays: gather the array onto one device "
            "first, e.g. with jax.device_put")
    device = next(iter(self._sharding._internal_device_list))
    platform = device.platform
    if platform == "cpu":
        return DLDeviceType.kDLCPU, 0
    if platform == "gpu":
        raw = device.client._raw_platform
        kind = DLDeviceType.kDLROCM if raw == "rocm" else DLDeviceType.kDLCUDA
        return kind, device.local_hardware_id or 0
    raise BufferError(f"__dlpack__ device not supported for platform {platform}")


def _dlpack(self: ArrayImpl, *, stream: Any = None, max_version: Any = None,
            dl_device: Any = None, copy: bool | None = None) -> Any:
    """A DLPack capsule that shares the buffer of the array."""
    here = _dlpack_device(self)
    if dl_device is not None and tuple(dl_device) != (int(here[0]), here[1]):
        if copy is False or int(dl_device[0]) != int(DLDeviceType.kDLCPU):
            raise BufferError(f"cannot export an array on {here} to DLPack device {dl_device}")
        host = backend.devices("cpu")[0]
        return _dlpack(place.place(self, single_device(host)), stream=stream)
    exported = place.copy(self) if copy else self
    place.check_deleted(exported)
    if stream is None and here[0] == DLDeviceType.kDLCPU:
        exported.block_until_ready()
    return jaxlib._jax.buffer_to_dlpack_managed_tensor(exported, stream=stream)


def _to_device(self: Any, device: Any, *, stream: Any = None) -> Any:
    """The array on another device or sharding (array API)."""
    if stream is not None:
        raise NotImplementedError("stream argument of array.to_device()")
    return place.device_put(self, device)


_namespace: list[Any] = []  # the module minijax.numpy, put in by numpy/methods.py


def _array_namespace(self: Any, *, api_version: str | None = None) -> Any:
    """The module that implements the array API for these arrays."""
    if api_version not in (None, "2024.12"):
        raise ValueError(f"{api_version=} is not available; available versions are: ['2024.12']")
    return _namespace[0]


# ---------------------------------------------------------------------------- shards


def _device(self: ArrayImpl) -> Any:
    """The device of the array; its sharding when it lives on several."""
    if type(self._sharding) is SingleDeviceSharding:
        return self._sharding._device
    if len(self._sharding._internal_device_list) == 1:
        return next(iter(self._sharding._internal_device_list))
    return self._sharding


def _devices(self: ArrayImpl) -> set[Any]:
    """The devices that hold parts of the array."""
    place.check_deleted(self)
    return self._sharding.device_set


def _single_arrays(x: ArrayImpl) -> list[ArrayImpl]:
    """The parts that this process holds, one array per device."""
    if type(x._sharding) is SingleDeviceSharding:
        return [x]
    with jaxlib.standins():
        return x._arrays


def _addressable_shards(self: ArrayImpl) -> list[Shard]:
    """The parts that this process holds."""
    place.check_deleted(self)
    return [
        Shard(next(iter(part._sharding._internal_device_list)), self._sharding, self.shape, part)
        for part in _single_arrays(self)]


def _addressable_data(self: ArrayImpl, index: int) -> ArrayImpl:
    """One of the parts that this process holds, as an array on its device."""
    place.check_deleted(self)
    if type(self._sharding) is SingleDeviceSharding:
        return [self][index]
    if self.is_fully_replicated:
        with jaxlib.standins():
            return self._fully_replicated_shard()
    return _single_arrays(self)[index]


def _global_shards(self: ArrayImpl) -> list[Shard]:
    """All parts of the array; those of other processes have no data."""
    if self.is_fully_addressable:
        return self.addressable_shards
    here = {shard.device: shard.data for shard in self.addressable_shards}
    places = self._sharding.devices_indices_map(self.shape)
    return [Shard(device, self._sharding, self.shape, here.get(device)) for device in places]


def _check_and_rearrange(*self_and_parts: Any) -> list:
    """For C++, when an array is put together from parts: checks them and orders them by device."""
    # With several processes jaxlib 0.12 calls it on the class, without an array.
    arrays, sharding, aval = self_and_parts[-3:]
    wanted = list(sharding._internal_device_list.addressable_device_list)
    for part in arrays:
        if len(part._sharding._internal_device_list) != 1:
            raise ValueError(
                "When making an array from single-device arrays the input arrays must have one "
                f"shard each. An argument array had {len(part.addressable_shards)} shard(s).")
    have = {next(iter(part._sharding._internal_device_list)): part for part in arrays}
    if len(arrays) != len(wanted):
        raise ValueError(
            f"Expected {len(wanted)} per-device arrays (this is how many devices are addressable "
            f"by the sharding), but got {len(arrays)}")
    if len(have) != len(arrays):
        raise ValueError(
            "When making an array from single-device arrays, the input arrays must be from "
            f"distinct devices, but these are on {list(have)}")
    if set(have) != set(wanted):
        missing, more = ({d.id for d in one} - {d.id for d in other}
                         for one, other in ((wanted, have), (have, wanted)))
        raise ValueError(
            "Addressable devices and per-device arrays devices do not match. Sharding contains "
            f"devices {missing} that are not present in per-device arrays. Per-device arrays "
            f"contain devices {more} that are not present in the sharding.")
    shape = sharding.shard_shape(aval.shape)
    for part in arrays:
        if part.shape != shape:
            raise ValueError(
                f"Expected shard shape {shape} doesn't match the single device array shape "
                f"{part.shape}. Shape of Array is {aval.str_short(False)} with sharding {sharding}")
        if part.dtype != aval.dtype:
            raise ValueError(
                "Input buffers to `Array` must have matching dtypes. "
                f"Got {part.dtype}, expected {aval.dtype} for an array on {part.devices()}")
    return [have[device] for device in wanted]


def _copy_to_host_async(self: ArrayImpl) -> None:
    """Start copying the values to the host, so that reading them later does not wait."""
    if self._npy_value is not None:
        return
    place.check_deleted(self)
    if type(self._sharding) is SingleDeviceSharding:
        self._copy_single_device_array_to_host_async()
        return
    for part in _single_arrays(self):
        part._copy_single_device_array_to_host_async()


# ---------------------------------------------------------------------------- attaching


def _gone(text: str) -> Any:
    def read(self: Any) -> Any:
        raise AttributeError(text)

    return read


def _flat(self: Any) -> Any:
    raise NotImplementedError(
        "JAX Arrays do not implement the arr.flat property: consider arr.flatten() instead.")


def _cuda_array_interface(self: ArrayImpl) -> Any:
    device = next(iter(self._sharding._internal_device_list))
    if device.platform != "gpu":
        raise AttributeError("__cuda_array_interface__ is only defined for GPU buffers.")
    return {
        "shape": self.shape,
        "typestr": self.dtype.str,
        "data": (self.unsafe_buffer_pointer(), True),
        "version": 2}


_PROPERTIES = {
    "shape": operator.attrgetter("aval.shape"),
    "dtype": operator.attrgetter("aval.dtype"),
    "ndim": operator.attrgetter("aval.ndim"),
    "size": operator.attrgetter("aval.size"),
    "weak_type": operator.attrgetter("aval.weak_type"),
    "sharding": operator.attrgetter("_sharding"),
    "committed": operator.attrgetter("_committed"),
    "itemsize": operator.attrgetter("aval.dtype.itemsize"),
    "nbytes": lambda self: math.prod(self.aval.shape) * self.aval.dtype.itemsize,
    "device": _device,
    "format": lambda self: Format(place.layout_of(self), self._sharding),
    "is_fully_addressable": operator.attrgetter("_sharding.is_fully_addressable"),
    "is_fully_replicated": operator.attrgetter("_sharding.is_fully_replicated"),
    "addressable_shards": _addressable_shards,
    "global_shards": _global_shards,
    "flat": _flat,
    "device_buffer": _gone("arr.device_buffer has been deprecated. Use arr.addressable_data(0)"),
    "device_buffers": _gone(
        "arr.device_buffers has been deprecated. Use [x.data for x in arr.addressable_shards]"
    ),
    "_value": _value,
    "__cuda_array_interface__": _cuda_array_interface}

_METHODS = {
    "__array__": _dunder_array,
    "__bool__": _bool,
    "__int__": _int,
    "__float__": _float,
    "__complex__": _complex,
    "__index__": _index,
    "__hex__": _hex,
    "__oct__": _oct,
    "__len__": _len,
    "__iter__": _iter,
    "__repr__": _repr,
    "__str__": _str,
    "__format__": _format,
    "__reduce__": _reduce,
    "__copy__": _copy,
    "__deepcopy__": _deepcopy,
    "__setitem__": set_item,
    "__dlpack__": _dlpack,
    "__dlpack_device__": _dlpack_device,
    "__array_namespace__": _array_namespace,
    "_check_and_rearrange": _check_and_rearrange,
    "addressable_data": _addressable_data,
    "copy_to_host_async": _copy_to_host_async,
    "devices": _devices,
    "item": _item,
    "to_device": _to_device,
    "tobytes": _tobytes,
    "tolist": _tolist}


def _under_standins(native: Callable) -> Callable:
    """A method of the C++ class that asks for modules of jax, with ours in their places."""
    def method(self: ArrayImpl, *args: Any) -> Any:
        with jaxlib.standins():
            return native(self, *args)
    return method


_NATIVE = ("unsafe_buffer_pointer", "_copy_single_device_array_to_host_async",
           "_fully_replicated_shard")


def _attach() -> None:
    """Give the C++ class its Python side; once, at import."""
    for name in _NATIVE:
        setattr(ArrayImpl, name, _under_standins(getattr(ArrayImpl, name)))
    for name, read in _PROPERTIES.items():
        setattr(ArrayImpl, name, property(read))
    for name, function in _METHODS.items():
        function.__name__ = name
        function.__qualname__ = f"Array.{name}"
        setattr(ArrayImpl, name, function)
    ArrayImpl.__hash__ = None
    ArrayImpl.__array_priority__ = 100


# --- What tracers lack ---------------------------------------------------------------------------


def _of_value(name: str, shown: str) -> Callable:
    """What a tracer has as attribute `name`: the error that only arrays with values have it."""
    def absent(self: Tracer, *args: Any, **kwargs: Any) -> Any:
        error = errors.ConcretizationTypeError(
            self, f"{shown} on {errors.name_of(self)}, which is not on a device yet.")
        error.fix, error.static_helps = "ask the array, outside of the traced function", False
        raise error

    absent.__name__ = name
    return absent


def _of_type(name: str) -> property:
    def absent(self: Tracer) -> Any:
        raise AttributeError(
            f"The '{name}' attribute is not available on {errors.name_of(self)}.\n"
            "  fix: jax.typeof(x) says what is known of a traced array, for example its sharding")

    return property(absent)


def _attach_to_tracers() -> None:
    for name in ("addressable_shards", "committed", "global_shards", "is_fully_addressable",
                 "is_fully_replicated", "traceback"):
        setattr(Tracer, name, property(_of_value(name, f"The '{name}' attribute was read")))
    for name in ("addressable_data", "delete", "devices", "is_deleted",
                 "on_device_size_in_bytes", "unsafe_buffer_pointer"):
        setattr(Tracer, name, _of_value(name, f"The {name}() method was called"))
    for name in ("copy_to_host_async", "device", "sharding"):
        setattr(Tracer, name, _of_type(name))
    Tracer.flat, Tracer.to_device = property(_flat), _to_device


_attach()
_attach_to_tracers()
jaxlib.provide("ShapedArray", ShapedArray)
jaxlib.provide("make_single_device_sharding", single_device)
register_aval(ArrayImpl, operator.attrgetter("aval"))
