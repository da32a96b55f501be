"""The stages of ahead-of-time compilation (see `minijax.runtime.stages`)."""

from minijax.runtime.stages import ArgInfo, Compiled, Lowered, Traced

__all__ = ["ArgInfo", "Compiled", "Lowered", "Traced"]
