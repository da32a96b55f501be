"""`jax.experimental`: what may still change; its modules are loaded when they are used."""

import importlib
from typing import Any

_WHERE = {"io_callback": "minijax.api.callback",
          "primal_tangent_dtype": "minijax.experimental.primal_tangent"}

__all__ = sorted(_WHERE)


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'minijax.experimental' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
