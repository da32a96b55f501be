"""`jax.extend.ifrt_programs`: how jaxlib describes programs to runtimes that take their own."""

from minijax.base import jaxlib

ifrt_programs = jaxlib._jax.ifrt_programs

__all__ = ["ifrt_programs"]
