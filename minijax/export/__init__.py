"""`jax.export`: programs that are stored, for sizes that may be known only when they are called."""

from minijax.base.dims import is_symbolic_dim as is_symbolic_dim
from minijax.export.program import DisabledSafetyCheck as DisabledSafetyCheck
from minijax.export.program import Exported as Exported
from minijax.export.program import default_export_platform as default_export_platform
from minijax.export.program import deserialize as deserialize
from minijax.export.program import export as export
from minijax.export.program import (
    maximum_supported_calling_convention_version as maximum_supported_calling_convention_version,
)
from minijax.export.program import (
    minimum_supported_calling_convention_version as minimum_supported_calling_convention_version,
)
from minijax.export.blob import (
    register_namedtuple_serialization as register_namedtuple_serialization,
)
from minijax.export.blob import (
    register_pytree_node_serialization as register_pytree_node_serialization,
)
from minijax.export.scope import SymbolicScope as SymbolicScope
from minijax.export.scope import symbolic_args_specs as symbolic_args_specs
from minijax.export.scope import symbolic_shape as symbolic_shape
