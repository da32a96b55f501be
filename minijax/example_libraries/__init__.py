"""`jax.example_libraries`: layers (`stax`) and optimisers in their plainest form."""
