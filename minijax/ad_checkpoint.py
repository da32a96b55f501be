"""Names for policies of `jax.checkpoint`, answers that they may give, and what is saved."""

from minijax.api.checkpoint import checkpoint as checkpoint
from minijax.api.checkpoint import remat as remat
from minijax.api.policies import (
    Offloadable, Recompute, Saveable, checkpoint_name, checkpoint_policies,
)
from minijax.api.residuals import print_saved_residuals

__all__ = ["Offloadable", "Recompute", "Saveable", "checkpoint_name", "checkpoint_policies",
           "print_saved_residuals"]
