"""The tracing core: types, programs, traces, and the transformations of programs.

It knows no operation but the six that transformations themselves need (structural.py).
"""

from importlib import import_module
from typing import Any

from minijax.core.avals import (AbstractToken, AbstractValue, ShapedArray, Token, Zero,
                                abstract_token, check_operands, get_aval, is_valid, register_aval,
                                zero_tangent)
from minijax.core.dce import dce_call, dce_jaxpr
from minijax.core.effects import (DebugEffect, Effect, EffectSet, IOEffect, OrderedDebugEffect,
                                  OrderedIOEffect, check_control_flow, checkpoint_effects,
                                  control_flow_effects, custom_derivatives_effects, debug_effect,
                                  io_effect, lowerable_effects, ordered_debug_effect,
                                  ordered_effects, ordered_io_effect, shardable_ordered_effects)
from minijax.core.ir import (ClosedJaxpr, DebugInfo, DropVar, Jaxpr, JaxprEqn, Literal, Var,
                             NameStack, SourceInfo, axes_of, eval_jaxpr, jaxpr_as_fun, show_scope,
                             subjaxprs)
from minijax.core.jit import (UNSPECIFIED, JaxprCall, inline_jaxpr, jit_p, jit_params,
                              merge_tangents)
from minijax.core.jvp import JVPTrace, JVPTracer, jvp, jvp_jaxpr
from minijax.core.linearize import (LinearTrace, Linearized, forward_residuals, linearize,
                                    linearize_jaxpr)
from minijax.core.placement import (ManualAxisType, MixedAxes, Placement, ShardingTypeError,
                                    Where, bare, cotangent_aval, dual, manual_type, memory_of,
                                    over_batch, placement, resplit, sharding_of, varying_axes,
                                    with_manual, with_memory, with_sharding, with_varying)
from minijax.core.primitive import Dims, Primitive, Values, infer, missing_rule
from minijax.core.reach import cut, reach_call, reached_outputs
from minijax.core.refs import AbstractRef, Ref, RefEffect, is_ref, uses_refs
from minijax.core.stage import JaxprTrace, JaxprTracer, close, trace_closed, trace_to_jaxpr
from minijax.core.structural import (add_any_p, add_tangents, align, broadcast_in_dim,
                                     broadcast_in_dim_p, convert_element_type, conform,
                                     convert_element_type_p, each_operand, front_axis,
                                     instantiate, instantiate_cotangent, linear, materialize,
                                     move_axis, nondifferentiable, pointwise, reduce_axes,
                                     reduce_sum, reduce_sum_p, reshape, reshape_p, transpose,
                                     transpose_p, zeros)
from minijax.core.trace import (AxisTrace, EvalTrace, Trace, Tracer, ancestors, aval_of,
                                check_escaped, entered, eval_trace, is_concrete, is_tracer,
                                staging_flag, state, to_concrete, visible_axes)
from minijax.core.transpose import Linear, backward_pass, is_linear, transpose_jaxpr
from minijax.core.vmap import (AxisData, BatchTrace, BatchTracer, axis_data, batch, batch_jaxpr,
                               batched_aval, materialize_output, unbatched_aval)

UndefinedPrimal = Linear  # the name that libraries with their own transpose rules use

# Names that only libraries ask for, and where they are.
_ELSEWHERE = {"JaxprTypeError": "minijax.base.errors", "check_jaxpr": "minijax.passes.check",
              "CallPrimitive": "minijax.extend.core", "call": "minijax.extend.core.primitives",
              "call_p": "minijax.extend.core.primitives", "no_effects": "minijax.extend.core",
              "ensure_compile_time_eval": "minijax.api.misc"}

__all__ = [name for name in dir() if not name.startswith("_")]


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'minijax.core' has no attribute '{name}'")
    return getattr(import_module(_ELSEWHERE.get(name, "minijax.extend.core.names")), name)
