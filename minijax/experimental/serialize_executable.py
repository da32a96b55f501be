"""`jax.experimental.serialize_executable`: compiled functions as bytes, for another process.

    payload, in_tree, out_tree = serialize(jax.jit(f).lower(x).compile())
    compiled = deserialize_and_load(payload, in_tree, out_tree)

The process that loads must have the same jaxlib and devices of the same kind. Bytes that others
made can run any code: load only what you trust.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from typing import Any

from minijax.base import errors, jaxlib
from minijax.runtime import backend as backends
from minijax.runtime.compile import Executable, compile_options
from minijax.runtime.stages import Compiled

__all__ = ["deserialize_and_load", "serialize"]


class _Pickler(pickle.Pickler):
    """Devices by their number; the machine code as XLA writes it."""

    def persistent_id(self, obj: Any) -> tuple | None:
        if isinstance(obj, jaxlib.Device):
            return "device", obj.id
        if isinstance(obj, jaxlib.xc.LoadedExecutable):
            return "code", obj.client.serialize_executable(obj)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: Any, devices: Sequence[Any]):
        super().__init__(file)
        self.devices = {d.id: d for d in devices}

    def persistent_load(self, pid: tuple) -> Any:
        kind, value = pid
        if kind == "code":
            return value
        if value not in self.devices:
            raise ValueError(errors.describe(
                f"the executable was compiled for device {value}, which is not among the execution "
                f"devices {list(self.devices.values())}",
                fix="deserialize_and_load(..., execution_devices=jax.devices())"))
        return self.devices[value]


def serialize(compiled: Compiled) -> tuple[bytes, Any, Any]:
    """(bytes, structure of the arguments, structure of the results) of a compiled function.

    ValueError if it holds references or calls back into Python.
    """
    if compiled._inner is not None and not compiled._inner.is_pure:
        raise ValueError(errors.describe(
            "can't serialize with a closed-over mutable array ref, or with one as an argument",
            fix="pass arrays, and return their new values"))
    executable = compiled._executable
    if executable.effects:
        raise ValueError(errors.describe(
            "Compilation does not support serialization",
            because=f"the program has effects: {sorted(map(str, executable.effects))}",
            fix="serialize a function without callbacks"))
    with io.BytesIO() as file:
        _Pickler(file).dump((executable.loaded, executable.facts(), compiled.facts()))
        return file.getvalue(), compiled.in_tree, compiled.out_tree


def deserialize_and_load(serialized: bytes, in_tree: Any, out_tree: Any,
                         backend: str | Any | None = None,
                         execution_devices: Sequence[Any] | None = None) -> Compiled:
    """The compiled function that `serialize` made bytes of, ready to be called.

    backend: a platform's name or client. execution_devices: the devices to look for those that it
    was compiled for. ValueError if these do not belong to the backend.
    """
    client = backends.get_client(backend)
    devices = client.devices() if execution_devices is None else list(execution_devices)
    if backend is not None and devices[0].client is not client:
        raise ValueError(errors.describe(
            "Execution devices belong to a client other than `backend`. Got backend client: "
            f"{client.platform} and execution devices client: {devices[0].client.platform}",
            fix="leave out backend or execution_devices"))
    code, facts, about = _Unpickler(io.BytesIO(serialized), devices).load()
    chosen = facts["placement"].devices
    loaded = chosen[0].client.deserialize_executable(
        code, jaxlib.DeviceList(tuple(chosen)), compile_options(chosen))
    return Compiled.restored(Executable.restored(loaded, facts), in_tree, out_tree, about)
