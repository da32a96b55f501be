"""`jax.experimental.pallas`: of its operations those that exist; kernels cannot be written."""
