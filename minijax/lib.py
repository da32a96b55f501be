"""`jax.lib`: which jaxlib this is."""

from minijax.base.jaxlib import version_text as __version__

__all__ = ["__version__"]
