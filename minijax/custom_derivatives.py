"""Functions with derivatives of their own, and what their rules meet."""

from minijax.api.custom_jvp import SymbolicZero, custom_jvp, custom_jvp_call_p
from minijax.api.custom_vjp import (
    CustomVJPPrimal, closure_convert, custom_gradient, custom_vjp, custom_vjp_call_p,
    custom_vjp_primal_tree_values, zero_from_primal,
)
from minijax.api.linear_call import linear_call

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp",
    "custom_jvp_call_p", "custom_vjp", "custom_vjp_call_p", "custom_vjp_primal_tree_values",
    "linear_call", "zero_from_primal",
]
