"""`jax.extend`: what libraries build new operations and transformations of."""

import importlib
from types import ModuleType

__all__ = ["backend", "core", "ifrt_programs", "linear_util", "lowering", "mlir", "random",
           "sharding", "source_info_util"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"minijax.extend.{name}")
    raise AttributeError(f"module 'minijax.extend' has no attribute '{name}'")


def __dir__() -> list[str]:
    return list(__all__)
