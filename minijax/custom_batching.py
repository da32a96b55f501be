"""`jax.custom_batching`: functions with a `vmap` rule of their own (see api/custom_vmap.py)."""

from minijax.api.custom_vmap import custom_vmap, sequential_vmap

__all__ = ["custom_vmap", "sequential_vmap"]
