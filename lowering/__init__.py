"""jaxprs to StableHLO: `lower(jaxpr, platform=...) -> Lowered`.

The package knows a jaxpr only by its attributes and a primitive only by its name, imports nothing
of minijax, and makes no client. Each module beside this one holds the rules of the primitives that
the file of the same name declares.
"""

from lowering import (  # noqa: F401  (importing a module registers its rules)
    callbacks,
    calls,
    collectives,
    control_flow,
    conv,
    custom_call,
    dot,
    elementwise,
    exchange,
    exported,
    fft,
    gather,
    layouts,
    linalg,
    linalg_cpu,
    random_bits,
    reduction,
    regions,
    shapes,
    sharding,
    slicing,
    sorting,
    special,
    structural,
    window,
)
from lowering.barriers import is_mixed_up, settle
from lowering.build import portable_text
from lowering.dynamic import DynamicContext
from lowering.fusion import pins
from lowering.module import Context, Lowered, lower
from lowering.rules import rule, set_object_rule, set_rule

__all__ = ["Context", "DynamicContext", "Lowered", "is_mixed_up", "lower", "pins",
           "portable_text", "rule", "set_object_rule", "set_rule", "settle"]
