"""The tracing core: types, programs, traces, and the transformations of programs.

It knows no operation but the six that transformations themselves need (structural.py), and
nothing of devices: `EvalTrace.run` and `jit_p.impl` are set by the runtime.
"""

from minijax.core.avals import (AbstractToken, ShapedArray, Zero, abstract_token, check_operands,
                                get_aval, is_valid, register_aval, zero_tangent)
from minijax.core.dce import dce_call, dce_jaxpr
from minijax.core.ir import (ClosedJaxpr, DebugInfo, DropVar, Jaxpr, JaxprEqn, Literal, Var,
                             axes_of, eval_jaxpr, jaxpr_as_fun, subjaxprs)
from minijax.core.jit import UNSPECIFIED, inline_jaxpr, jit_p, jit_params, merge_tangents
from minijax.core.jvp import JVPTrace, JVPTracer, jvp, jvp_jaxpr
from minijax.core.linearize import (LinearTrace, Linearized, forward_residuals, linearize,
                                    linearize_jaxpr)
from minijax.core.primitive import Primitive, infer, missing_rule
from minijax.core.reach import cut, reach_call, reached_outputs
from minijax.core.stage import JaxprTrace, JaxprTracer, close, trace_closed, trace_to_jaxpr
from minijax.core.structural import (add_any_p, add_tangents, align, broadcast_in_dim,
                                     broadcast_in_dim_p, convert_element_type,
                                     convert_element_type_p, each_operand, front_axis,
                                     instantiate, linear, materialize, move_axis,
                                     nondifferentiable, pointwise, reduce_axes, reduce_sum,
                                     reduce_sum_p, reshape, reshape_p, transpose, transpose_p,
                                     zeros)
from minijax.core.trace import (EvalTrace, Trace, Tracer, ancestors, aval_of, check_escaped,
                                entered, eval_trace, is_concrete, is_tracer, staging_flag, state,
                                to_concrete, visible_axes)
from minijax.core.transpose import Linear, backward_pass, is_linear, transpose_jaxpr
from minijax.core.vmap import (AxisData, BatchTrace, BatchTracer, axis_data, batch, batch_jaxpr,
                               batched_aval, unbatched_aval)

UndefinedPrimal = Linear  # the name that libraries with their own transpose rules use

__all__ = [name for name in dir() if not name.startswith("_")]
