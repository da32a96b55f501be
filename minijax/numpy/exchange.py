"""Arrays from elsewhere: from other libraries' arrays, buffers, texts and files.

    from_dlpack(numpy_array)            # shares memory where both sides can
    frombuffer(b"\\0\\1\\2\\3", "uint8")
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from minijax.base import dtypes, errors
from minijax.base.dtypes import DTypeLike
from minijax.base.jaxlib import Array, JaxRuntimeError, _jax, standins
from minijax.numpy.creation import Place, asarray, astype
from minijax.runtime import backend, place

# Kinds of devices as the DLPack protocol counts them.
_PLATFORMS = {1: "cpu", 2: "cuda", 10: "rocm"}


def from_dlpack(x: Any, /, *, device: Place = None, copy: bool | None = None) -> Array:
    """An array on the memory of another library's array, which must not change any more.

    `copy`: True makes a copy always, False refuses to make one.  With a device the result is
    committed to it.  Numbers of 64 bits become such of 32 bits unless those are enabled.
    """
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(errors.describe(
            "The array passed to from_dlpack must have __dlpack__ and __dlpack_device__ methods.",
            because=f"it is of type {type(x)}", fix="jnp.asarray(x)"))
    source = _dlpack_source(*x.__dlpack_device__())
    stream = None if source.platform == "cpu" else source.get_stream_for_external_ready_events()
    target = place.target_sharding(device)
    if copy is False and target is not None and target.device_set != {source}:
        raise ValueError(errors.describe(
            f"Specified device {device} which requires a copy since the source device is "
            f"{source}, however copy=False.", fix="copy=None"))
    capsule = x.__dlpack__(stream=stream)
    try:
        with standins():
            out = _jax.dlpack_managed_tensor_to_buffer(capsule, source, stream, copy)
    except JaxRuntimeError as error:
        if copy is False and "aligned" in str(error):
            raise ValueError(errors.describe(
                "Specified input which requires a copy since the source data buffer is not aligned "
                "to 64 bytes.  However copy=False.", fix="copy=None")) from None
        raise
    canonical = dtypes.canonicalize_dtype(out.dtype)
    if out.dtype != canonical:
        out = astype(out, canonical)
    elif copy:
        out = place.copy(out)
    return out if target is None else place.device_put(out, target)


def _dlpack_source(kind: Any, number: int) -> Any:
    platform = _PLATFORMS.get(int(kind))
    if platform is None:
        raise TypeError(errors.describe(
            "Array passed to from_dlpack is on unsupported device type (DLDeviceType: "
            f"{kind}, array type.", fix="arrays on a CPU or on a CUDA or ROCm GPU"))
    if platform == "cpu":
        return backend.local_devices(backend="cpu")[0]
    return next(d for d in backend.local_devices(backend=platform)
                if d.local_hardware_id == number)


def frombuffer(buffer: Any, dtype: DTypeLike = float, count: int = -1, offset: int = 0) -> Array:
    """The bytes of a buffer as a vector."""
    return asarray(np.frombuffer(buffer, dtypes.to_numpy_dtype(dtype), count, offset))


def fromstring(string: str, dtype: DTypeLike = float, count: int = -1, *, sep: str) -> Array:
    """The numbers in a text, which `sep` keeps apart."""
    return asarray(np.fromstring(string, dtypes.to_numpy_dtype(dtype), count, sep=sep))


def _impure(name: str, consumed: str) -> Callable:
    def refuse(*args: Any, **kwargs: Any) -> Array:
        raise NotImplementedError(errors.describe(
            f"jnp.{name}() is not implemented because it may be non-pure and thus unsafe for use "
            "with JIT and other JAX transformations.",
            because=f"it would consume {consumed} while the function is traced, not when it runs",
            fix=f"jnp.asarray(np.{name}(...))"))

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = f"NotImplementedError, as reading consumes {consumed}: see the fix it names."
    return refuse


fromfile = _impure("fromfile", "the file object")
fromiter = _impure("fromiter", "the iterator")


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """What `numpy.load` reads from a .npy or .npz file, an array of it as an array of ours."""
    out = np.load(file, *args, **kwargs)
    if not isinstance(out, np.ndarray):
        return out
    # NumPy writes bfloat16 as two bytes of no particular type.
    return asarray(out.view(dtypes.bfloat16) if out.dtype == np.dtype("V2") else out)
