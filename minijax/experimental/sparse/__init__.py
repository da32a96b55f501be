"""`jax.experimental.sparse`: arrays that store the elements that may differ from zero.

    m = sparse.BCOO.fromdense(jnp.array([[0., 1.], [2., 0.]]))
    m @ jnp.ones(2)                       # Array([1., 2.])
    sparse.sparsify(jnp.sum)(m)           # a function of dense arrays, on a sparse one

`arrays.py` has the classes, `layout.py`, `shapes.py` and `products.py` what is computed with BCOO;
the other formats are computed with by way of it.  Nothing here is a primitive but `todense`, so
every transformation works.
"""

from minijax.experimental.sparse import ad, linalg, methods, random, transform, util
from minijax.experimental.sparse.ad import grad, jacfwd, jacobian, jacrev, value_and_grad
from minijax.experimental.sparse.api import empty, eye, todense, todense_p
from minijax.experimental.sparse.arrays import BCOO, BCSR, COO, CSC, CSR, JAXSparse
from minijax.experimental.sparse.bcoo import (
    bcoo_broadcast_in_dim, bcoo_concatenate, bcoo_conv_general_dilated, bcoo_dot_general,
    bcoo_dot_general_sampled, bcoo_dynamic_slice, bcoo_extract, bcoo_fromdense, bcoo_gather,
    bcoo_multiply_dense, bcoo_multiply_sparse, bcoo_reduce_sum, bcoo_reshape, bcoo_rev, bcoo_slice,
    bcoo_sort_indices, bcoo_squeeze, bcoo_sum_duplicates, bcoo_todense, bcoo_transpose,
    bcoo_update_layout)
from minijax.experimental.sparse.bcsr import (
    bcsr_broadcast_in_dim, bcsr_concatenate, bcsr_dot_general, bcsr_extract, bcsr_fromdense,
    bcsr_sum_duplicates, bcsr_todense)
from minijax.experimental.sparse.coo import coo_fromdense, coo_matmat, coo_matvec, coo_todense
from minijax.experimental.sparse.csr import csr_fromdense, csr_matmat, csr_matvec, csr_todense
from minijax.experimental.sparse.random import random_bcoo
from minijax.experimental.sparse.transform import SparseTracer, sparsify
from minijax.experimental.sparse.util import (
    CuSparseEfficiencyWarning, SparseEfficiencyError, SparseEfficiencyWarning)

__all__ = [
    "BCOO", "BCSR", "COO", "CSC", "CSR", "CuSparseEfficiencyWarning", "JAXSparse",
    "SparseEfficiencyError", "SparseEfficiencyWarning", "SparseTracer", "ad",
    "bcoo_broadcast_in_dim", "bcoo_concatenate", "bcoo_conv_general_dilated", "bcoo_dot_general",
    "bcoo_dot_general_sampled", "bcoo_dynamic_slice", "bcoo_extract", "bcoo_fromdense",
    "bcoo_gather", "bcoo_multiply_dense", "bcoo_multiply_sparse", "bcoo_reduce_sum",
    "bcoo_reshape", "bcoo_rev", "bcoo_slice", "bcoo_sort_indices", "bcoo_squeeze",
    "bcoo_sum_duplicates", "bcoo_todense", "bcoo_transpose", "bcoo_update_layout",
    "bcsr_broadcast_in_dim", "bcsr_concatenate", "bcsr_dot_general", "bcsr_extract",
    "bcsr_fromdense", "bcsr_sum_duplicates", "bcsr_todense", "coo_fromdense", "coo_matmat",
    "coo_matvec", "coo_todense", "csr_fromdense", "csr_matmat", "csr_matvec", "csr_todense",
    "empty", "eye", "grad", "jacfwd", "jacobian", "jacrev", "linalg", "random", "random_bcoo",
    "sparsify", "todense", "todense_p", "transform", "util", "value_and_grad"]
