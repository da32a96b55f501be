"""`jax.extend.mlir`: the MLIR bindings that lowering rules are written with."""

from __future__ import annotations

from minijax.base import jaxlib
from minijax.extend.mlir import dialects

ir = jaxlib.load("mlir.ir")
passmanager = jaxlib.load("mlir.passmanager")
deserialize_portable_artifact = jaxlib._jax.mlir.deserialize_portable_artifact
hlo_to_stablehlo = jaxlib._jax.mlir.hlo_to_stablehlo
refine_polymorphic_shapes = jaxlib._jax.mlir.refine_polymorphic_shapes
serialize_portable_artifact = jaxlib._jax.mlir.serialize_portable_artifact

__all__ = ["deserialize_portable_artifact", "dialects", "hlo_to_stablehlo", "ir", "passmanager",
           "refine_polymorphic_shapes", "serialize_portable_artifact"]
