"""`jax.experimental.compilation_cache`: compiled programs kept on disk."""
