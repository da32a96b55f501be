"""Programs and libraries written for JAX, unmodified: the name `jax` means minijax.

    import minijax
    minijax.install_as_jax()
    import optax                 # its `import jax` gives minijax

`alias` claims the name, `private` lists the private names of JAX that libraries touch, `launch`
runs programs, and `site` carries the name into Python processes that a program starts.
"""
