"""Methods and operators of the classes of sparse arrays.

Operators of BCOO arrays are those of dense arrays, sparsified; the other formats have a product
with dense arrays.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import numpy as jnp
from minijax.experimental.sparse import api, bcoo, bcsr, coo, csr
from minijax.experimental.sparse.arrays import BCOO, BCSR, COO, CSC, CSR, JAXSparse
from minijax.experimental.sparse.transform import sparsify

__all__: list[str] = []


# --- BCOO ---------------------------------------------------------------------------------------


def _fromdense(cls: type, mat: Any, *, nse: int | None = None, index_dtype: Any = np.int32,
               n_dense: int = 0, n_batch: int = 0) -> Any:
    """The elements of a dense array that are not zero; `nse` is needed while tracing."""
    make = bcsr.bcsr_fromdense if cls is BCSR else bcoo.bcoo_fromdense
    return make(mat, nse=nse, n_batch=n_batch, n_dense=n_dense, index_dtype=index_dtype)


def _from_scipy_sparse(cls: type, mat: Any, *, index_dtype: Any = None, n_dense: int = 0,
                       n_batch: int = 0) -> Any:
    """A SciPy matrix of any format."""
    if n_dense or n_batch:
        raise NotImplementedError(
            f"{cls.__name__}.from_scipy_sparse with nonzero n_dense/n_batch.")
    dtype = index_dtype or np.int32
    if cls is BCSR:
        mat = mat.tocsr()
        return BCSR((mat.data, mat.indices.astype(dtype), mat.indptr.astype(dtype)),
                    shape=mat.shape)
    mat = mat.tocoo()
    return BCOO((mat.data, np.column_stack((mat.row, mat.col)).astype(dtype)), shape=mat.shape)


def _bcoo_transpose(self: BCOO, axes: Sequence[int] | None = None) -> BCOO:
    """Axes in another order; batch, sparse and dense axes stay so."""
    axes = range(self.ndim)[::-1] if axes is None else axes
    return bcoo.bcoo_transpose(self, permutation=tuple(axes))


def _sum_duplicates(self: BCOO, nse: int | None = None, remove_zeros: bool = True) -> BCOO:
    """Each index once."""
    if remove_zeros:
        return bcoo.bcoo_eliminate_zeros(self, nse)
    return bcoo.bcoo_sum_duplicates(self, nse)


def _bcsr_sum_duplicates(self: BCSR, nse: int | None = None, remove_zeros: bool = True) -> BCSR:
    """Each place once."""
    if remove_zeros:
        return bcsr.bcsr_eliminate_zeros(self, nse)
    return bcsr.bcsr_sum_duplicates(self, nse)


def _update_layout(self: BCOO, *, n_batch: int | None = None, n_dense: int | None = None,
                   on_inefficient: str | None = "error") -> BCOO:
    """The same array with other kinds of axes."""
    return bcoo.bcoo_update_layout(self, n_batch=n_batch, n_dense=n_dense,
                                   on_inefficient=on_inefficient)


def _sparsified(fun: Callable) -> Callable:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return sparsify(lambda x, *xs: fun(x, *xs, **kwargs))(self, *args)
    return method


def _reversed(fun: Callable) -> Callable:
    return _sparsified(lambda x, y: fun(y, x))


def _getitem(self: Any, index: Any) -> Any:
    return sparsify(lambda x: x[index])(self)


def _static(name: str) -> Callable:
    """A method of arrays with static arguments: a shape, axes, a dtype."""
    def method(self: BCOO, *args: Any, **kwargs: Any) -> Any:
        return sparsify(lambda x: getattr(x, name)(*args, **kwargs))(self)
    method.__name__ = name
    return method


def _pow(self: BCOO, exponent: Any) -> BCOO:
    return sparsify(lambda x: x ** exponent)(self)


for _name, _fun in {
        "abs": operator.abs, "neg": operator.neg, "pos": operator.pos, "add": operator.add,
        "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv,
        "matmul": operator.matmul, "eq": operator.eq, "ne": operator.ne, "lt": operator.lt,
        "le": operator.le, "gt": operator.gt, "ge": operator.ge}.items():
    setattr(BCOO, f"__{_name}__", _sparsified(_fun))
    if _name in ("add", "sub", "mul", "truediv", "matmul"):
        setattr(BCOO, f"__r{_name}__", _reversed(_fun))

BCOO.__pow__ = _pow
BCOO.__rpow__ = _reversed(operator.pow)
BCOO.__getitem__ = BCSR.__getitem__ = _getitem
BCOO.__iter__ = lambda self: (self[i] for i in range(self.shape[0]))
BCOO.todense = bcoo.bcoo_todense
BCOO.transpose = _bcoo_transpose
BCOO.sort_indices = bcoo.bcoo_sort_indices
BCOO.sum_duplicates = _sum_duplicates
BCOO.update_layout = _update_layout
BCOO.astype, BCOO.sum, BCOO.reshape = map(_static, ("astype", "sum", "reshape"))
BCSR.todense = bcsr.bcsr_todense
BCSR.to_bcoo = bcsr.to_bcoo
BCSR.from_bcoo = staticmethod(bcsr.from_bcoo)
BCSR.sum_duplicates = _bcsr_sum_duplicates
BCSR.__matmul__ = _sparsified(operator.matmul)
BCSR.__rmatmul__ = _reversed(operator.matmul)
for _kind in (BCOO, BCSR):
    _kind.fromdense = classmethod(_fromdense)
    _kind.from_scipy_sparse = classmethod(_from_scipy_sparse)


# --- Matrices -----------------------------------------------------------------------------------


def _csc_fromdense(cls: type, mat: Any, *, nse: int | None = None,
                   index_dtype: Any = np.int32) -> CSC:
    """The elements of a dense matrix that are not zero; `nse` is needed while tracing."""
    made = csr.csr_fromdense(jnp.asarray(mat).T, nse=nse, index_dtype=index_dtype)
    return coo.transposed(made)


for _kind in (COO, CSR, CSC):
    _kind.todense = coo.todense
    _kind.transpose = coo.transposed
    _kind.__matmul__ = coo.matmul
COO.fromdense = staticmethod(coo.coo_fromdense)
CSR.fromdense = staticmethod(csr.csr_fromdense)
CSC.fromdense = classmethod(_csc_fromdense)
COO._sort_indices = coo.sorted_rows


def _refused(name: str) -> Callable:
    def method(self: JAXSparse, *args: Any) -> Any:
        raise NotImplementedError(f"{type(self)}.{name}")
    return method


for _name in ("neg", "pos", "add", "radd", "sub", "rsub", "mul", "rmul", "matmul", "rmatmul",
              "getitem"):
    setattr(JAXSparse, f"__{_name}__", _refused(f"__{_name}__"))
for _kind, _format in ((BCOO, "bcoo"), (BCSR, "bcsr"), (COO, "coo"), (CSR, "csr"), (CSC, "csc")):
    _kind._empty = staticmethod(
        lambda shape, *, _format=_format, **kwds: api.empty(shape, sparse_format=_format, **kwds))
    _kind._eye = staticmethod(
        lambda N, M, k, *, _format=_format, **kwds: api.eye(N, M, k, sparse_format=_format, **kwds))
