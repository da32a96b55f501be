"""`jax.experimental.sparse`: arrays that store the elements that may differ from zero.

    m = sparse.BCOO.fromdense(jnp.array([[0., 1.], [2., 0.]]))
    m @ jnp.ones(2)                       # Array([1., 2.])
    sparse.sparsify(jnp.sum)(m)           # a function of dense arrays, on a sparse one
"""

from minijax.experimental.sparse.bcoo import (
    BCOO, JAXSparse, bcoo_broadcast_in_dim, bcoo_concatenate, bcoo_dot_general, bcoo_extract,
    bcoo_fromdense, bcoo_multiply_dense, bcoo_multiply_sparse, bcoo_reduce_sum, bcoo_reshape,
    bcoo_sort_indices, bcoo_squeeze, bcoo_sum_duplicates, bcoo_todense, bcoo_transpose,
    bcoo_update_layout, empty, eye, todense)
from minijax.experimental.sparse.transform import sparsify

__all__ = ["BCOO", "JAXSparse", "bcoo_broadcast_in_dim", "bcoo_concatenate", "bcoo_dot_general",
           "bcoo_extract", "bcoo_fromdense", "bcoo_multiply_dense", "bcoo_multiply_sparse",
           "bcoo_reduce_sum", "bcoo_reshape", "bcoo_sort_indices", "bcoo_squeeze",
           "bcoo_sum_duplicates", "bcoo_todense", "bcoo_transpose", "bcoo_update_layout", "empty",
           "eye", "sparsify", "todense"]
