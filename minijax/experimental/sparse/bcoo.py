"""All of BCOO, the batched coordinate format."""

from minijax.experimental.sparse.arrays import BCOO
from minijax.experimental.sparse.layout import (
    bcoo_eliminate_zeros, bcoo_extract, bcoo_fromdense, bcoo_sort_indices, bcoo_sum_duplicates,
    bcoo_todense, bcoo_update_layout)
from minijax.experimental.sparse.products import (
    bcoo_conv_general_dilated, bcoo_dot_general, bcoo_dot_general_sampled, bcoo_multiply_dense,
    bcoo_multiply_sparse)
from minijax.experimental.sparse.shapes import (
    bcoo_broadcast_in_dim, bcoo_concatenate, bcoo_dynamic_slice, bcoo_gather, bcoo_reduce_sum,
    bcoo_reshape, bcoo_rev, bcoo_slice, bcoo_squeeze, bcoo_transpose)

__all__ = [
    "BCOO", "bcoo_broadcast_in_dim", "bcoo_concatenate", "bcoo_conv_general_dilated",
    "bcoo_dot_general", "bcoo_dot_general_sampled", "bcoo_dynamic_slice", "bcoo_eliminate_zeros",
    "bcoo_extract", "bcoo_fromdense", "bcoo_gather", "bcoo_multiply_dense",
    "bcoo_multiply_sparse", "bcoo_reduce_sum", "bcoo_reshape", "bcoo_rev", "bcoo_slice",
    "bcoo_sort_indices", "bcoo_squeeze", "bcoo_sum_duplicates", "bcoo_todense", "bcoo_transpose",
    "bcoo_update_layout"]
