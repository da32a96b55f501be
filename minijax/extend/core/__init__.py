"""`jax.extend.core`: programs, their parts, and the operations that they are made of.

    for eqn in jax.make_jaxpr(f)(x).eqns:
        args = [v.val if isinstance(v, Literal) else env[v] for v in eqn.invars]
        out = eqn.primitive.bind(*args, **eqn.params)
"""

from minijax.base.errors import InconclusiveDimensionOperation, JaxprTypeError
from minijax.core import (AbstractToken, DebugInfo, DropVar, Effect, Literal, Primitive, Token,
                          Var, jaxpr_as_fun)
from minijax.core.ir import NO_EFFECTS as no_effects
from minijax.extend.core import primitives
from minijax.extend.core.names import (
    Effects, TraceTag, array_types, call_impl, concrete_or_error, find_top_trace, gensym,
    get_opaque_trace_state, jaxprs_in_params, mapped_aval, new_jaxpr_eqn,
    nonempty_axis_env_DO_NOT_USE, primal_dtype_to_tangent_dtype, set_current_trace, subjaxprs,
    take_current_trace, unmapped_aval, unsafe_am_i_under_a_jit_DO_NOT_USE,
    unsafe_am_i_under_a_vmap_DO_NOT_USE, unsafe_get_axis_names_DO_NOT_USE, valid_jaxtype)
from minijax.extend.core.primitives import CallPrimitive
from minijax.extend.core.programs import ClosedJaxpr, Jaxpr, JaxprEqn
from minijax.passes.check import check_jaxpr

__all__ = [
    "AbstractToken", "CallPrimitive", "ClosedJaxpr", "DebugInfo", "DropVar", "Effect", "Effects",
    "InconclusiveDimensionOperation", "Jaxpr", "JaxprEqn", "JaxprTypeError", "Literal",
    "Primitive", "Token", "TraceTag", "Var", "array_types", "call_impl", "check_jaxpr",
    "concrete_or_error", "find_top_trace", "gensym", "get_opaque_trace_state", "jaxpr_as_fun",
    "jaxprs_in_params", "mapped_aval", "new_jaxpr_eqn", "no_effects",
    "nonempty_axis_env_DO_NOT_USE", "primal_dtype_to_tangent_dtype", "primitives",
    "set_current_trace", "subjaxprs", "take_current_trace", "unmapped_aval",
    "unsafe_am_i_under_a_jit_DO_NOT_USE", "unsafe_am_i_under_a_vmap_DO_NOT_USE",
    "unsafe_get_axis_names_DO_NOT_USE", "valid_jaxtype"]
