"""What changes in minijax itself once it goes by the name `jax`."""

import importlib
import sys

from minijax.base import config, jaxlib


def claim() -> None:
    """Called when `jax` has become a name of minijax; `sys.modules` has it already."""
    # Launchers load minijax before a program runs, which may set variables before it imports jax.
    config.read_environment()
    # Libraries tell arrays by the qualified name of their class.
    jaxlib.Array.__module__ = "jax"
    # Of some modules libraries look whether they are loaded (treescope).
    for name in ("jax.tree_util", *jaxlib.STANDIN_NAMES):
        sys.modules[name] = importlib.import_module(name)
    jaxlib.standins.permanent = True
