"""The operations of XLA as functions: no broadcasting, no promotion, static shapes.

Each file declares a family: user functions and their primitives (`sin`, `sin_p`). jnp functions
are written in these.

    >>> lax.add(jnp.float32([1, 2]), 2.0)
    Array([3., 4.], dtype=float32)
"""

from types import ModuleType as _ModuleType

from minijax.lax import explicit as _explicit, linalg
from minijax.lax.collectives import (
    all_gather, all_gather_p, all_to_all, all_to_all_p, axis_index, axis_index_p, axis_size,
    pbroadcast, pcast, pmax, pmax_p, pmean, pmin, pmin_p, ppermute, ppermute_p, pshuffle, psum,
    psum_p, psum_scatter, pswapaxes, reduce_scatter_p)
from minijax.lax.composite import composite
from minijax.lax.control_flow.cond import cond, cond_p, platform_dependent, switch
from minijax.lax.control_flow.loops import associative_scan, fori_loop, map
from minijax.lax.control_flow.scan import scan, scan_p
from minijax.lax.control_flow.solvers import (
    custom_linear_solve, custom_root, custom_root_p, linear_solve_p)
from minijax.lax.control_flow.while_loop import while_loop, while_p
from minijax.lax.conv import (
    ConvDimensionNumbers, ConvGeneralDilatedDimensionNumbers, conv, conv_dimension_numbers,
    conv_general_dilated, conv_general_dilated_local, conv_general_dilated_p,
    conv_general_dilated_patches, conv_general_permutations, conv_general_shape_tuple,
    conv_shape_tuple, conv_transpose, conv_transpose_shape_tuple, conv_with_general_padding)
from minijax.lax.cumulative import (
    cumlogsumexp, cumlogsumexp_p, cummax, cummax_p, cummin, cummin_p, cumprod, cumprod_p, cumsum,
    cumsum_p)
from minijax.lax.dot import (
    DotAlgorithm, DotAlgorithmPreset, DotDimensionNumbers, Precision, PrecisionLike, batch_matmul,
    dot, dot_general, dot_general_p)
from minijax.lax.elementwise import (
    abs, abs_p, acos, acos_p, acosh, acosh_p, add, add_p, asin, asin_p, asinh, asinh_p, atan, atan2,
    atan2_p, atan_p, atanh, atanh_p, cbrt, cbrt_p, ceil, ceil_p, complex, complex_p, conj, conj_p,
    cos, cos_p, cosh, cosh_p, div, div_p, exp, exp2, exp2_p, exp_p, expm1, expm1_p, floor, floor_p,
    imag, imag_p, integer_pow, integer_pow_p, log, log1p, log1p_p, log_p, logistic, logistic_p, max,
    max_p, min, min_p, mul, mul_p, mulhi, mulhi_p, neg, neg_p, nextafter, nextafter_p, pow, pow_p,
    real, real_p, reciprocal, rem, rem_p, round, round_p, rsqrt, rsqrt_p, sign, sign_p, sin, sin_p,
    sinh, sinh_p, sqrt, sqrt_p, square, square_p, sub, sub_p, tan, tan_p, tanh, tanh_p)
from minijax.lax.exchange import precv, psend, ragged_all_to_all, ragged_all_to_all_p
from minijax.lax.fft import FftType, fft, fft_p
from minijax.lax.gather import (
    GatherDimensionNumbers, GatherScatterMode, ScatterDimensionNumbers, gather, gather_p,
    index_take, scatter, scatter_add, scatter_add_p, scatter_apply, scatter_max, scatter_max_p,
    scatter_min, scatter_min_p, scatter_mul, scatter_mul_p, scatter_p, scatter_sub, scatter_sub_p)
from minijax.lax.identity import (
    copy_p, dce_sink, dce_sink_p, optimization_barrier, optimization_barrier_p, stage, stage_p,
    stop_gradient, stop_gradient_p)
from minijax.lax.incomplete import (
    betainc, igamma, igamma_grad_a, igamma_grad_a_p, igamma_p, igammac, igammac_p,
    random_gamma_grad, regularized_incomplete_beta_p)
from minijax.lax.logic import (
    and_p, bitwise_and, bitwise_not, bitwise_or, bitwise_xor, clamp, clamp_p, clz, clz_p, eq, eq_p,
    eq_to_p, ge, ge_p, gt, gt_p, is_finite, is_finite_p, le, le_p, le_to_p, lt, lt_p, lt_to_p, ne,
    ne_p, not_p, or_p, population_count, population_count_p, select, select_n, select_n_p,
    shift_left, shift_left_p, shift_right_arithmetic, shift_right_arithmetic_p, shift_right_logical,
    shift_right_logical_p, xor_p)
from minijax.lax.ragged import RaggedDotDimensionNumbers, ragged_dot, ragged_dot_general
from minijax.lax.moving import device_put_p
from minijax.lax.placement import sharding_constraint_p, with_sharding_constraint
from minijax.lax.random_bits import (
    RandomAlgorithm, rng_bit_generator, rng_bit_generator_p, rng_uniform, rng_uniform_p)
from minijax.lax.reduction import (
    argmax, argmax_p, argmin, argmin_p, reduce, reduce_and, reduce_and_p, reduce_max, reduce_max_p,
    reduce_min, reduce_min_p, reduce_or, reduce_or_p, reduce_p, reduce_prod, reduce_prod_p,
    reduce_sum, reduce_sum_p, reduce_xor, reduce_xor_p)
from minijax.lax.shapes import (
    broadcast, broadcast_in_dim, broadcast_in_dim_p, broadcast_like, broadcast_shapes,
    broadcast_to_rank, broadcasted_iota, collapse, concatenate, concatenate_p, empty, empty_p,
    expand_dims, full, full_like, iota, iota_p, pad, pad_p, reshape, reshape_p, rev, rev_p,
    shape_as_value, split, split_p, squeeze, squeeze_p, stack, stack_p, tile, tile_p, transpose,
    transpose_p, unstack, unstack_p)
from minijax.lax.scaled import scaled_dot, scaled_dot_p
from minijax.lax.slicing import (
    dynamic_index_in_dim, dynamic_slice, dynamic_slice_in_dim, dynamic_slice_p,
    dynamic_update_index_in_dim, dynamic_update_slice, dynamic_update_slice_in_dim,
    dynamic_update_slice_p, index_in_dim, slice, slice_in_dim, slice_p)
from minijax.lax.sorting import (
    approx_max_k, approx_min_k, approx_top_k_p, sort, sort_key_val, sort_p, top_k, top_k_p)
from minijax.lax.special import (
    bessel_i0e, bessel_i0e_p, bessel_i1e, bessel_i1e_p, digamma, digamma_p, erf, erf_inv, erf_inv_p,
    erf_p, erfc, erfc_p, lgamma, lgamma_p, polygamma, polygamma_p, zeta, zeta_p)
from minijax.lax.tokens import after_all, after_all_p, create_token, create_token_p
from minijax.lax.types import (
    AccuracyMode, RoundingMethod, Tolerance, bitcast_convert_type, bitcast_convert_type_p,
    convert_element_type, convert_element_type_p, dtype, reduce_precision, reduce_precision_p)
from minijax.lax.window import (
    padtype_to_pads, reduce_window, reduce_window_max_p, reduce_window_min_p, reduce_window_p,
    reduce_window_shape_tuple, reduce_window_sum_p, select_and_gather_add_p,
    select_and_scatter_add_p, select_and_scatter_p)

__all__ = ["linalg", *[name for name, value in globals().items()
                       if not name.startswith("_") and not isinstance(value, _ModuleType)]]
