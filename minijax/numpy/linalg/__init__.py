"""Linear algebra, `jnp.linalg`: factorizations, solutions, norms and products of matrices.

    jnp.linalg.solve(a, b), jnp.linalg.eigh(a), jnp.linalg.norm(x, axis=-1)
"""

from minijax.numpy.linalg.factoring import (
    cholesky, eig, eigh, eigvals, eigvalsh, inv, qr, svd, svdvals,
)
from minijax.numpy.linalg.norms import (
    cond, matrix_norm, norm, vector_norm,
)
from minijax.numpy.linalg.products import (
    cross, diagonal, matmul, matrix_power, matrix_transpose, multi_dot, outer, tensordot, trace,
    vecdot,
)
from minijax.numpy.linalg.solving import (
    det, lstsq, matrix_rank, pinv, slogdet, solve, tensorinv, tensorsolve,
)

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "lstsq", "matmul", "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose",
    "multi_dot", "norm", "outer", "pinv", "qr", "slogdet", "solve", "svd", "svdvals",
    "tensordot", "tensorinv", "tensorsolve", "trace", "vecdot", "vector_norm",
]
