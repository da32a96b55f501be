"""`jax._src`: the private names of JAX that libraries touch; see compat/private.py."""

from minijax.compat.private import find_module, install_finder

__path__: list[str] = []
install_finder()


def __getattr__(name: str) -> object:
    return find_module(name)
