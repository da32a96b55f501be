"""Functions with derivatives of their own, and what their rules meet."""

from minijax.api.custom_jvp import SymbolicZero, custom_jvp, custom_jvp_call_p
from minijax.api.custom_vjp import (
    CustomVJPPrimal, closure_convert, custom_gradient, custom_vjp, custom_vjp_call_p,
    custom_vjp_primal_tree_values, zero_from_primal,
)
from minijax.api.linear_call import linear_call
from minijax.api.replaceable import remat_opt_p

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp",
    "custom_jvp_call_p", "custom_vjp", "custom_vjp_call_p", "custom_vjp_primal_tree_values",
    "linear_call", "remat_opt_p", "zero_from_primal",
]
