"""Derivatives by sparse arrays: by their elements, at their places.

    sparse.grad(lambda m: (m @ x).sum())(m)        # a BCOO array with the indices of m
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from minijax import numpy as jnp
from minijax.api import autodiff
from minijax.base import tree
from minijax.experimental.sparse.arrays import BCOO, is_sparse

__all__ = ["grad", "jacfwd", "jacobian", "jacrev", "value_and_grad"]


def value_and_grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
                   **kwargs: Any) -> Callable[..., tuple[Any, Any]]:
    """`jax.value_and_grad`, where arguments may be sparse: their derivatives are so too."""
    def wrapped(*args: Any, **keywords: Any) -> tuple[Any, Any]:
        by_data = autodiff.value_and_grad(_of_data(fun, args), argnums, has_aux, **kwargs)
        value, found = by_data(*map(_data, args), **keywords)
        return value, _sparse_again(found, args, argnums, lambda x, d: x.like(d))
    return functools.wraps(fun)(wrapped)


def grad(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
         **kwargs: Any) -> Callable:
    """`jax.grad`, where arguments may be sparse: their derivatives are so too."""
    inner = value_and_grad(fun, argnums, has_aux, **kwargs)

    def wrapped(*args: Any, **keywords: Any) -> Any:
        value, found = inner(*args, **keywords)
        return (found, value[1]) if has_aux else found
    return functools.wraps(fun)(wrapped)


def _jacobian(transform: Callable, fun: Callable, argnums: int | Sequence[int], has_aux: bool,
              **kwargs: Any) -> Callable:
    def wrapped(*args: Any, **keywords: Any) -> Any:
        by_data = transform(_of_data(fun, args), argnums, has_aux, **kwargs)
        found = by_data(*map(_data, args), **keywords)
        found, aux = found if has_aux else (found, None)
        found = _sparse_again(found, args, argnums, _with_axes_in_front)
        return (found, aux) if has_aux else found
    return functools.wraps(fun)(wrapped)


def _with_axes_in_front(mat: Any, data: Any) -> BCOO:
    """`mat` with other elements, that have the axes of a result before its own."""
    extra = data.ndim - mat.data.ndim
    if not extra:
        return mat.like(data)
    shape = data.shape[:extra]
    indices = jnp.broadcast_to(mat.indices, (*shape, *mat.indices.shape))
    return BCOO((data, indices), shape=(*shape, *mat.shape), indices_sorted=mat.indices_sorted,
                unique_indices=mat.unique_indices)


def jacfwd(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
           **kwargs: Any) -> Callable:
    """`jax.jacfwd`, where arguments may be sparse: their Jacobians are so too."""
    return _jacobian(autodiff.jacfwd, fun, argnums, has_aux, **kwargs)


def jacrev(fun: Callable, argnums: int | Sequence[int] = 0, has_aux: bool = False,
           **kwargs: Any) -> Callable:
    """`jax.jacrev`, where arguments may be sparse: their Jacobians are so too."""
    return _jacobian(autodiff.jacrev, fun, argnums, has_aux, **kwargs)


jacobian = jacrev


def _data(arg: Any) -> Any:
    """A tree with the elements of sparse arrays in their place."""
    return tree.map(lambda x: x.data if is_sparse(x) else x, arg, is_leaf=is_sparse)


def _of_data(fun: Callable, args: tuple) -> Callable:
    """`fun` of the elements, given the sparse arrays that they are from."""
    def by_data(*given: Any, **keywords: Any) -> Any:
        filled = [tree.map(lambda x, d: x.like(d) if is_sparse(x) else d, arg, d,
                           is_leaf=is_sparse) for arg, d in zip(args, given, strict=True)]
        return fun(*filled, **keywords)
    return by_data


def _sparse_again(found: Any, args: tuple, argnums: int | Sequence[int],
                  make: Callable[[Any, Any], Any]) -> Any:
    """Derivatives by elements as sparse arrays; `found` may be within a tree of results."""
    single = isinstance(argnums, int)
    chosen = args[argnums] if single else tuple(args[i] for i in argnums)
    inner = tree.structure(_data(chosen))

    def again(part: Any) -> Any:
        return tree.map(lambda x, d: make(x, d) if is_sparse(x) else d, chosen, part,
                        is_leaf=is_sparse)
    return tree.map(again, found, is_leaf=lambda x: tree.structure(x) == inner)
