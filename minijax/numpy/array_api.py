"""What the array API standard asks a namespace about itself: `jnp.__array_namespace_info__()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax.base import dtypes
from minijax.runtime import backend

_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


class NamespaceInfo:
    """Devices, dtypes and abilities."""

    def capabilities(self) -> dict[str, Any]:
        """Shapes may not depend on values, under jit."""
        return {"boolean indexing": True, "data-dependent shapes": False, "max dimensions": 64}

    def default_device(self) -> None:
        """None: operations choose a device, mostly that of their operands."""
        return None

    def devices(self) -> list[Any]:
        """The devices of all platforms, and None for the default."""
        return [None, *[d for client in backend.clients() for d in backend.devices(client)]]

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtypes of arrays made without one."""
        names = {"real floating": "float64", "complex floating": "complex128",
                 "integral": "int64", "indexing": "int64"}
        return {kind: dtypes.canonicalize_dtype(np.dtype(name)) for kind, name in names.items()}

    def dtypes(self, *, device: Any = None,
               kind: str | tuple[str, ...] | None = None) -> dict[str, np.dtype]:
        """The dtypes of a kind, or of several, that exist in the current precision."""
        kinds = (kind,) if isinstance(kind, str) else kind or ("bool", "numeric")
        known = {name: np.dtype(name) for k in kinds for name in _KINDS[k]}
        return {name: d for name, d in known.items() if dtypes.canonicalize_dtype(d) == d}


def namespace_info() -> NamespaceInfo:
    """See the standard's `__array_namespace_info__`."""
    return NamespaceInfo()
