"""The release of JAX whose API this package follows, and the package's own version.

Programs compare `jax.__version__` with releases of JAX to choose a function or its arguments, so
that name says which release we behave like.
"""

minijax_version = "0.1.0"

__version__ = "0.10.2"
__version_info__ = (0, 10, 2)
