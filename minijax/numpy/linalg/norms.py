"""Norms of vectors and matrices, and the condition numbers made of them.

    norm(x, axis=-1), norm(a, "nuc"), cond(a)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.util import canonicalize_axes
from minijax.lax.rules import ArrayLike

from minijax.numpy import manipulation, promotion, reductions, ufuncs
from minijax.numpy.linalg.factoring import inv
from minijax.runtime.call import fused

_FROBENIUS = (None, "f", "fro")
_SPECTRAL = (2, -2, "nuc")


# --- Norms -------------------------------------------------------------------------------------


def norm(x: ArrayLike, ord: int | str | None = None, axis: None | tuple[int, ...] | int = None,
         keepdims: bool = False) -> Any:
    """The norm of vectors (one axis) or matrices (two axes); by default 2-norm, Frobenius norm.

    ord of vectors: a number, inf, -inf, 0; of matrices: "fro", "nuc", 1, -1, 2, -2, inf, -inf.
    """
    return _norm(x, _hashable(ord), reductions.static_axis(axis), bool(keepdims))


def _hashable(ord: Any) -> Any:
    return ord if ord is None or isinstance(ord, (str, int, float)) else float(ord)


@fused(static_argnums=(1, 2, 3))
def _norm(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = promotion.as_array(promotion.inexact_operand("norm", x))
    if axis is None and ord is None:
        return _two_norm(x, tuple(range(x.ndim)), keepdims)
    axes = canonicalize_axes(axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes, keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(errors.describe(
        f"Improper number of axes for norm: {axis=}. Pass one axis to compute a vector-norm, or "
        "two axes to compute a matrix-norm.".replace("axis=None", f"axis={axes}"),
        fix="norm(x, axis=-1)"))


def _two_norm(x: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    squares = lax.real(lax.mul(x, lax.conj(x))) if x.dtype in promotion.COMPLEX else lax.mul(x, x)
    return lax.sqrt(_sum(squares, axes, keepdims))


def _sum(x: Any, axes: Any, keepdims: bool) -> Any:
    return reductions._sum.body(x, axes, None, keepdims)


def _vector_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord is None or ord == 2:
        return _two_norm(x, axes, keepdims)
    if isinstance(ord, str):
        raise ValueError(errors.describe(f"Invalid order '{ord}' for vector norm.",
                                         fix="a number, jnp.inf, -jnp.inf or None"))
    if ord == np.inf:
        return reductions._max.body(lax.abs(x), axes, keepdims, 0)
    if ord == -np.inf:
        return reductions._min.body(lax.abs(x), axes, keepdims)
    real = lax.abs(x).dtype
    if ord == 0:
        return reductions._sum.body(ufuncs.not_equal.body(x, 0), axes, real, keepdims)
    if ord == 1:
        return _sum(lax.abs(x), axes, keepdims)
    total = _sum(ufuncs.power(lax.abs(x), float(ord)), axes, keepdims)
    return ufuncs.power(total, 1.0 / float(ord))


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord in _FROBENIUS:
        return _two_norm(x, axes, keepdims)
    if ord in _SPECTRAL:
        return _spectral_norm(x, ord, axes, keepdims)
    rows, columns = axes
    if ord in (1, -1):
        summed, kept = rows, columns
    elif ord in (np.inf, -np.inf):
        summed, kept = columns, rows
    else:
        raise ValueError(errors.describe(f"Invalid order '{ord}' for matrix norm.",
                                         fix="'fro', 'nuc', 1, -1, 2, -2, jnp.inf or -jnp.inf"))
    sums = _sum(lax.abs(x), (summed,), True)
    if ord > 0:
        out = reductions._max.body(sums, (kept,), True, 0)
    else:
        out = reductions._min.body(sums, (kept,), True)
    return out if keepdims else lax.squeeze(out, tuple(sorted(axes)))


def _spectral_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    """The largest, the smallest, or the sum of the singular values."""
    s = lax.linalg.svd(manipulation.moveaxis(x, axes, (-2, -1)), compute_uv=False)
    if ord == "nuc":
        out = _sum(s, (-1,), False)
    elif ord == 2:
        out = reductions._max.body(s, (-1,), False, 0)
    else:
        out = reductions._min.body(s, (-1,), False)
    return lax.expand_dims(out, tuple(sorted(axes))) if keepdims else out


def vector_norm(x: ArrayLike, /, *, axis: int | tuple[int, ...] | None = None,
                keepdims: bool = False, ord: int | str = 2) -> Any:
    """The norm of vectors along one or several axes (None: of all elements)."""
    return _vector_norms(x, _hashable(ord), reductions.static_axis(axis), bool(keepdims))


@fused(static_argnums=(1, 2, 3))
def _vector_norms(x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    x = promotion.as_array(promotion.inexact_operand("vector_norm", x))
    return _vector_norm(x, ord, canonicalize_axes(axis, x.ndim), keepdims)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: str | int = "fro") -> Any:
    """The norm of the matrices in the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


# --- Condition numbers -------------------------------------------------------------------------


def cond(x: ArrayLike, p: Any = None) -> Any:
    """The condition number of matrices: norm(x, p) * norm(inv(x), p), by default for the 2-norm.

    The orders None, 2 and -2 take rectangular matrices too; infinite where x is singular.
    """
    return _cond(x, _hashable(p))


@fused(static_argnums=1)
def _cond(x: Any, p: Any) -> Any:
    x = promotion.as_array(promotion.inexact_operand("linalg.cond", x))
    fail = None
    if x.ndim < 2:
        fail = f"jnp.linalg.cond: input array must be at least 2D; got arr.shape={x.shape}"
    elif 0 in x.shape:
        fail = f"jnp.linalg.cond: input array must not be empty; got arr.shape={x.shape}"
    elif p not in (None, 2, -2) and x.shape[-1] != x.shape[-2]:
        fail = f"jnp.linalg.cond: for {p=}, array must be square; got arr.shape={x.shape}"
    if fail:
        raise ValueError(errors.describe(fail, fix="pass matrices [..., m, n]"))
    if p in (None, 2, -2):
        s = lax.linalg.svd(x, compute_uv=False)
        if p != -2:
            return lax.div(s[..., 0], s[..., -1])
        out = lax.div(s[..., -1], s[..., 0])
    else:
        axes = (x.ndim - 2, x.ndim - 1)
        out = lax.mul(_matrix_norm(x, p, axes, False), _matrix_norm(inv.body(x), p, axes, False))
    # NaN that does not come from the operand stands for a singular matrix
    dirty = reductions._any.body(lax.ne(x, x), (-2, -1))
    singular = lax.bitwise_and(lax.ne(out, out), lax.bitwise_not(dirty))
    return lax.select(singular, lax.full_like(out, np.inf), out)
