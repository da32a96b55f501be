"""Names for policies of `jax.checkpoint`, and answers that they may give."""

from minijax.api.checkpoint import (
    Offloadable, Recompute, Saveable, checkpoint, checkpoint_name, checkpoint_policies, remat,
)
from minijax.api.residuals import print_saved_residuals

__all__ = ["Offloadable", "Recompute", "Saveable", "checkpoint", "checkpoint_name",
           "checkpoint_policies", "print_saved_residuals", "remat"]
