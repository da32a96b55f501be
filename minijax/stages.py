"""The stages of ahead-of-time compilation (see `minijax.runtime.stages`)."""

from minijax.runtime.stages import ArgInfo, Compiled, CompilerOptions, Lowered, Traced, Wrapped

__all__ = ["ArgInfo", "Compiled", "CompilerOptions", "Lowered", "Traced", "Wrapped"]
