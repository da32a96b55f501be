"""Names for policies of `jax.checkpoint`, and answers that they may give."""

from minijax.api.checkpoint import (
    Offloadable, Recompute, Saveable, checkpoint_name, checkpoint_policies,
)

__all__ = ["Offloadable", "Recompute", "Saveable", "checkpoint_name", "checkpoint_policies"]
