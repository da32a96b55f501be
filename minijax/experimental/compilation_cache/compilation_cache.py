"""Where compiled programs are kept between runs."""

import os

from minijax.base.config import config
from minijax.runtime.compile import clear_caches

__all__ = ["reset_cache", "set_cache_dir"]


def set_cache_dir(path: str | os.PathLike) -> None:
    """Keep compiled programs in this folder, as the option jax_compilation_cache_dir does."""
    config.update("jax_compilation_cache_dir", os.fspath(path))


def reset_cache() -> None:
    """Look at the disk again for the next programs: forget those kept in memory."""
    clear_caches()
