"""Linear algebra by SciPy's names: factorizations, functions of matrices, special matrices.

    linalg.expm(a), linalg.solve_triangular(l, b, lower=True), linalg.toeplitz(c)
"""

from minijax.scipy.linalg.construction import (
    block_diag, circulant, companion, convolution_matrix, dft, fiedler, fiedler_companion,
    hadamard, hankel, helmert, hilbert, invhilbert, invpascal, leslie, pascal, toeplitz,
)
from minijax.scipy.linalg.factoring import (
    cho_factor, cho_solve, cholesky, det, eigh, eigh_tridiagonal, hessenberg, inv, lu, lu_factor,
    lu_solve, qr, qr_multiply, rsf2csf, schur, solve, solve_triangular, svd,
)
from minijax.scipy.linalg.functions import (
    expm, expm_frechet, funm, polar, solve_sylvester, sqrtm,
)

__all__ = [
    "block_diag", "cho_factor", "cho_solve", "cholesky", "circulant", "companion",
    "convolution_matrix", "det", "dft", "eigh", "eigh_tridiagonal", "expm", "expm_frechet",
    "fiedler", "fiedler_companion", "funm", "hadamard", "hankel", "helmert", "hessenberg",
    "hilbert", "inv", "invhilbert", "invpascal", "leslie", "lu", "lu_factor", "lu_solve", "pascal",
    "polar", "qr", "qr_multiply", "rsf2csf", "schur", "solve", "solve_sylvester",
    "solve_triangular", "sqrtm", "svd", "toeplitz",
]
