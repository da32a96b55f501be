"""`jax.experimental.pallas`: of its operations, those that exist here; kernels cannot be written."""
