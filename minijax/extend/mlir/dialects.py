"""The dialects of jaxlib's MLIR, each loaded when it is asked for."""

from types import ModuleType

from minijax.base import jaxlib

__all__ = ["arith", "builtin", "chlo", "func", "math", "memref", "mpmd", "scf", "sdy",
           "sparse_tensor", "stablehlo", "vector"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return jaxlib.load(f"mlir.dialects.{name}")
    raise AttributeError(f"module 'minijax.extend.mlir.dialects' has no attribute '{name}'")
