"""Arrays put together from parts: given ones, computed ones, or those of each process.

Invariant: the parts of this process are exactly those that the sharding asks of it; nothing is
sent between processes.

    make_array_from_callback((8, 2), sharding, lambda index: table[index])
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.base import dtypes, jaxlib, tree
from minijax.core import ShapedArray, is_tracer
from minijax.runtime import place
from minijax.sharding.layout import Format, Layout
from minijax.sharding.single import SingleDeviceSharding, single_device

ArrayImpl = jaxlib.ArrayImpl


def make_array_from_single_device_arrays(shape: Sequence[int], sharding: Any, arrays: Sequence[Any],
                                         *, dtype: Any = None) -> ArrayImpl:
    """One array out of the parts that this process has; they are not copied.

    ValueError when number, devices, shapes or dtypes of the parts do not fit the sharding.
    """
    if not isinstance(arrays, (list, tuple)):
        raise TypeError("jax.make_array_from_single_device_arrays `arrays` argument must be a list "
                        f"or tuple, but got {type(arrays)}.")
    if any(map(is_tracer, arrays)):
        raise ValueError("jax.make_array_from_single_device_arrays requires a list of concrete "
                         f"arrays as input, but got the types {list(map(type, arrays))}")
    arrays = list(arrays)
    if dtype is None:
        if not arrays:
            raise ValueError(
                "If the Array has no addressable shards, `dtype` must be provided via the `dtype` "
                "argument to `jax.make_array_from_single_device_arrays`.")
        dtype = arrays[0].dtype
    if any(part.dtype != dtype for part in arrays):
        raise ValueError(
            "If `dtype` is provided to `jax.make_array_from_single_device_arrays`, it must match "
            f"the dtype of the addressable shards. Got dtype={np.dtype(dtype)} and shards of "
            f"{arrays[0].dtype}")
    if isinstance(dtype, dtypes.ExtendedDType):
        parts = place.words(arrays)
        inner = parts[0].shape[len(arrays[0].shape):]
        return dtype.wrap(make_array_from_single_device_arrays((*shape, *inner), sharding, parts))
    weak_type = bool(arrays) and all(part.weak_type for part in arrays)
    aval = ShapedArray(tuple(shape), dtype, weak_type)
    if type(sharding) is not SingleDeviceSharding:
        return ArrayImpl(place.located(aval, sharding), sharding, arrays, committed=True)
    (part,) = ArrayImpl._check_and_rearrange(arrays, sharding, aval)
    return place.rewrap(part, aval, True, sharding)


def make_array_from_callback(shape: Sequence[int], sharding: Any,
                             data_callback: Callable[[Any], Any], dtype: Any = None) -> ArrayImpl:
    """An array whose part at each index (a tuple of slices) is `data_callback(index)`.

    Called once for each different part that this process holds.
    """
    shape = tuple(shape)
    layout = None
    if isinstance(sharding, Format):
        if sharding.layout is Layout.AUTO:
            raise TypeError("`Layout.AUTO` cannot be used in place of a device-local layout when "
                            "calling `jax.make_array_from_callback`.")
        layout, sharding = sharding.layout, sharding.sharding
    if sharding is None:
        raise TypeError("sharding should be an instance of `jax.sharding`. Got None")
    sharding = place.target_sharding(sharding)
    made: dict[Any, Any] = {}
    parts = []
    for device, index in sharding.addressable_devices_indices_map(shape).items():
        key = tuple((part.start, part.stop, part.step) for part in index)
        if key not in made:
            made[key] = data_callback(index)
        value = made[key]
        if dtype is not None and not isinstance(dtype, dtypes.ExtendedDType):
            value = np.asarray(value, dtype)
        parts.append(place.put_leaf(value, single_device(device), None, layout))
    return make_array_from_single_device_arrays(shape, sharding, parts, dtype=dtype)


def make_array_from_process_local_data(sharding: Any, local_data: Any,
                                       global_shape: Any = None) -> Any:
    """A tree of arrays whose addressable parts are what this process has in `local_data`.

    Each leaf covers the block of the whole that the devices of this process hold, without gaps.
    sharding, global_shape: prefix trees; a shape of None, or a None in it, means that every
    process has the same amount of what is split.
    """
    leaves, treedef = tree.flatten(local_data)
    shapes = tree.broadcast_prefix(global_shape, local_data, is_leaf=_is_shape)
    places = tree.broadcast_prefix(sharding, local_data)
    return treedef.unflatten([
        _from_local(place.target_sharding(where), np.asarray(local), shape)
        for where, local, shape in zip(places, leaves, shapes, strict=True)])


def _is_shape(x: Any) -> bool:
    return x is None or (isinstance(x, tuple) and all(n is None or type(n) is int for n in x))


def _from_local(sharding: Any, local: np.ndarray, global_shape: Any) -> Any:
    shape = _global_shape(sharding, local)
    if global_shape is not None:
        if len(global_shape) != local.ndim:
            raise ValueError(f"global_shape {global_shape} has another rank than the local data "
                             f"of shape {local.shape}")
        shape = tuple(
            guess if size is None else size
            for size, guess in zip(global_shape, shape, strict=True))
    places = sharding.addressable_devices_indices_map(shape)
    bounds = [[index[axis].indices(size)[:2] for index in places.values()]
              for axis, size in enumerate(shape)]
    starts = [min(low for low, _ in ends) for ends in bounds]
    block = tuple(max(high for _, high in ends) - start
                  for ends, start in zip(bounds, starts, strict=True))
    whole = local.shape == shape
    if not whole and local.shape != block:
        raise ValueError(
            f"the devices of this process hold a block of shape {block} of an array of shape "
            f"{shape}, but the local data has the shape {local.shape}")

    def part(index: tuple[slice, ...]) -> np.ndarray:
        if whole:
            return local[index]
        ends = [i.indices(size)[:2] for i, size in zip(index, shape, strict=True)]
        return local[tuple(
            slice(low - start, high - start)
            for (low, high), start in zip(ends, starts, strict=True))]

    return make_array_from_callback(shape, sharding, part)


def _global_shape(sharding: Any, local: np.ndarray) -> tuple[int, ...]:
    """The whole's shape when each process holds an equal share of every split dimension."""
    if sharding.is_fully_addressable:
        return local.shape
    # Indices into an imaginary whole with one element per part tell how the parts are spread.
    parts = sharding.num_devices
    imaginary = (parts,) * local.ndim
    places = sharding.addressable_devices_indices_map(imaginary)
    shape = []
    for axis, size in enumerate(local.shape):
        covered = {i for index in places.values() for i in range(*index[axis].indices(parts))}
        shape.append(size * parts // len(covered))
    return tuple(shape)
