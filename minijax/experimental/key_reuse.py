"""A key that is used twice: `jax.debug_key_reuse(True)` makes it a `jax.errors.KeyReuseError`."""
