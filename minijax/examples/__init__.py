"""Programs that show the library at work; each runs unchanged on JAX but for its import line."""
