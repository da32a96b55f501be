"""The version of this package, and the release of JAX whose API it follows."""

__version__ = "0.1.0"
__version_info__ = (0, 1, 0)
emulated_version = "0.10.2"
