"""The primitives themselves, by the names they have in JAX.

A `call` or `closed_call` is bound with a function and leaves an equation with its jaxpr; under any
other trace than one that makes a jaxpr, it just calls the function.
"""

from __future__ import annotations

from typing import Any

from minijax.api.checkpoint import remat_p
from minijax.api.custom_jvp import custom_jvp_call_p
from minijax.api.custom_vjp import custom_lin_p, custom_vjp_call_p
from minijax.api.policies import name_p
from minijax.core import jit_p
from minijax.lax import (
    abs_p, acos_p, acosh_p, add_p, after_all_p, all_gather_p, all_to_all_p, and_p, approx_top_k_p,
    argmax_p, argmin_p, asin_p, asinh_p, atan2_p, atan_p, atanh_p, axis_index_p, bessel_i0e_p,
    bessel_i1e_p, bitcast_convert_type_p, broadcast_in_dim_p, cbrt_p, ceil_p, clamp_p, clz_p,
    complex_p, concatenate_p, cond_p, conj_p, conv_general_dilated_p, convert_element_type_p,
    copy_p, cos_p, cosh_p, create_token_p, cumlogsumexp_p, cummax_p, cummin_p, cumprod_p, cumsum_p,
    digamma_p, div_p, dot_general_p, dynamic_slice_p, dynamic_update_slice_p, eq_p, eq_to_p,
    erf_inv_p, erf_p, erfc_p, exp2_p, exp_p, expm1_p, fft_p, floor_p, gather_p, ge_p, gt_p,
    igamma_grad_a_p, igamma_p, igammac_p, imag_p, integer_pow_p, iota_p, is_finite_p, le_p,
    le_to_p, lgamma_p, linear_solve_p, log1p_p, log_p, logistic_p, lt_p, lt_to_p, max_p, min_p,
    mul_p, ne_p, neg_p, nextafter_p, not_p, or_p, pad_p, pmax_p, pmin_p, polygamma_p,
    population_count_p, pow_p, ppermute_p, psum_p, ragged_all_to_all_p, real_p, reduce_and_p,
    reduce_max_p, reduce_min_p, reduce_or_p, reduce_p, reduce_precision_p, reduce_prod_p,
    reduce_sum_p, reduce_window_max_p, reduce_window_min_p, reduce_window_p, reduce_window_sum_p,
    reduce_xor_p, regularized_incomplete_beta_p, rem_p, reshape_p, rev_p, rng_bit_generator_p,
    rng_uniform_p, round_p, rsqrt_p, scan_p, scatter_add_p, scatter_max_p, scatter_min_p,
    scatter_mul_p, scatter_p, select_and_gather_add_p, select_and_scatter_add_p,
    select_and_scatter_p, select_n_p, sharding_constraint_p, shift_left_p,
    shift_right_arithmetic_p, shift_right_logical_p, sign_p, sin_p, sinh_p, slice_p, sort_p,
    sqrt_p, square_p, squeeze_p, stop_gradient_p, sub_p, tan_p, tanh_p, top_k_p, transpose_p,
    while_p, xor_p, zeta_p,
)
from minijax.lax.linalg import (
    cholesky_p, eig_p, eigh_p, hessenberg_p, householder_product_p, lu_p, qr_p, schur_p, svd_p,
    triangular_solve_p, tridiagonal_p, tridiagonal_solve_p,
)
from minijax.random.gamma import random_gamma_p
from minijax.random.keys import (
    random_bits_p, random_fold_in_p, random_seed_p, random_split_p,
)
from minijax.random.threefry import (
    threefry2x32_p,
)
from minijax.runtime.place import (
    device_put_p,
)
from minijax.core import add_any_p as add_jaxvals_p
from minijax.core import JaxprTrace, Primitive, aval_of, eval_jaxpr, state, trace_to_jaxpr
from minijax.passes.references import get_p, swap_p


class CallPrimitive(Primitive):
    """An operation that calls a function: `bind(*args, subfuns=(wrapped_fun,))`."""

    call_primitive = True

    def __init__(self, name: str):
        super().__init__(name, multiple_results=True, effectful=True,
                         shape=lambda *_, call_jaxpr, **__: (call_jaxpr.out_avals,
                                                             call_jaxpr.effects))

    def bind(self, *args: Any, subfuns: tuple = (), **params: Any) -> list:
        if type(state.trace) is not JaxprTrace:
            if subfuns:
                return list(subfuns[0].call_wrapped(*args))
            jaxpr = params["call_jaxpr"]
            return eval_jaxpr(jaxpr, jaxpr.consts, *args)
        if subfuns:
            jaxpr, captured = trace_to_jaxpr(lambda *xs: list(subfuns[0].call_wrapped(*xs)),
                                             [aval_of(x) for x in args])
            args, params = (*captured, *args), {**params, "call_jaxpr": jaxpr}
        return super().bind(*args, **params)


call_p = CallPrimitive("call")
closed_call_p = CallPrimitive("closed_call")
call = call_p.bind

__all__ = sorted(name for name in dir() if name.endswith("_p"))
