"""What a recorded profile says about the operations of the program."""

from minijax.base import jaxlib

__all__ = ["get_profiled_instructions_proto"]


def get_profiled_instructions_proto(tensorboard_dir: str) -> bytes:
    """The costs of operations in a profile, as a serialized ProfiledInstructionsProto.

    tensorboard_dir: the folder "plugin/profile/RUN" of the profile. Empty unless it is of a GPU.
    """
    return jaxlib.load("_profiler").get_profiled_instructions_proto(tensorboard_dir)
