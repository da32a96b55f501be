"""`jax.test_util`: compare derivatives with finite differences.

    check_grads(jnp.sin, (0.5,), order=2)       # raises AssertionError if they differ
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax.api.autodiff import jvp, vjp
from minijax.base import dtypes, tree

__all__ = ["check_grads", "check_jvp", "check_vjp"]

EPS = 1e-4
_TOLERANCES = {"bfloat16": 1e-1, "float16": 1e-2, "float32": 2e-3, "complex64": 2e-3}
_FINE = 1e-5  # for dtypes of 64 bits per number


def check_grads(f: Callable, args: Sequence[Any], order: int,
                modes: Sequence[str] = ("fwd", "rev"), atol: float | None = None,
                rtol: float | None = None, eps: float | None = None) -> None:
    """AssertionError if derivatives of `f` up to `order` differ from finite differences.

    `modes` are "fwd" (jvp) and "rev" (vjp), tried in every order one after the other.
    """
    unknown = set(modes) - {"fwd", "rev"}
    if unknown:
        raise ValueError(f"check_grads has the modes 'fwd' and 'rev', not {sorted(unknown)}")
    args = tuple(args)
    eps = EPS if eps is None else eps

    def check(f: Callable, args: tuple, order: int, path: str) -> None:
        if "fwd" in modes:
            check_jvp(f, functools.partial(jvp, f), args, atol, rtol, eps, f"{path} of jvp")
            if order > 1:
                directions = _random_like(args, np.random.RandomState(order))
                check(lambda *xs: jvp(f, xs, directions), args, order - 1, f"{path} of jvp")
        if "rev" in modes:
            check_vjp(f, functools.partial(vjp, f), args, atol, rtol, eps, f"{path} of vjp")
            if order > 1:
                check(lambda *xs: _pulled_back(f, xs), args, order - 1, f"{path} of vjp")

    check(f, args, order, "derivative")


def _pulled_back(f: Callable, args: tuple) -> tuple:
    out, pullback = vjp(f, *args)
    return pullback(out)


def check_jvp(f: Callable, f_jvp: Callable, args: Sequence[Any], atol: float | None = None,
              rtol: float | None = None, eps: float = EPS, err_msg: str = "") -> None:
    """AssertionError unless `f_jvp(args, tangents)` is the value of `f` and its differences."""
    args = tuple(args)
    tangents = _random_like(args, np.random.RandomState(0))
    value, tangent = f_jvp(args, tangents)
    _assert_close(value, f(*args), atol, rtol, f"{err_msg}: primal")
    _assert_close(tangent, _differences(f, args, tangents, eps), atol, rtol, f"{err_msg}: tangent")


def check_vjp(f: Callable, f_vjp: Callable, args: Sequence[Any], atol: float | None = None,
              rtol: float | None = None, eps: float = EPS, err_msg: str = "") -> None:
    """AssertionError unless the pullback of `f_vjp(*args)` is the transpose of differences."""
    args = tuple(args)
    random = np.random.RandomState(0)
    value, pullback = f_vjp(*args)
    _assert_close(value, f(*args), atol, rtol, f"{err_msg}: primal")
    tangents = _random_like(args, random)
    cotangents = _random_like(value, random)
    conj = functools.partial(tree.map, lambda x: x if _is_float0(x) else np.conj(x))
    found = conj(pullback(conj(cotangents)))
    _assert_close(_inner_product(tangents, found),
                  _inner_product(_differences(f, args, tangents, eps), cotangents),
                  atol, rtol, f"{err_msg}: cotangent")


def _is_float0(x: Any) -> bool:
    return getattr(x, "dtype", None) == dtypes.float0


def _random_like(value: Any, random: np.random.RandomState) -> Any:
    def leaf(x: Any) -> Any:
        dtype, shape = dtypes.dtype(x), np.shape(x)
        if not dtypes.issubdtype(dtype, np.inexact):
            return np.zeros(shape, dtypes.float0)
        made = random.randn(*shape)
        if dtypes.issubdtype(dtype, np.complexfloating):
            made = made + 1j * random.randn(*shape)
        return np.asarray(made, dtypes.canonicalize_dtype(dtype))
    return tree.map(leaf, value)


def _differences(f: Callable, args: tuple, tangents: tuple, eps: float) -> Any:
    """(f(x + eps t) - f(x - eps t)) / 2 eps."""
    def moved(step: float) -> Any:
        return f(*tree.map(
            lambda x, t: x if _is_float0(t) else np.asarray(x + step * t, t.dtype), args, tangents))

    def slope(a: Any, b: Any) -> Any:
        if not dtypes.issubdtype(dtypes.dtype(a), np.inexact):
            return np.zeros(np.shape(a), dtypes.float0)
        wide = np.complex128 if np.iscomplexobj(a) else np.float64
        return (np.asarray(a, wide) - np.asarray(b, wide)) / (2 * eps)
    return tree.map(slope, moved(eps), moved(-eps))


def _inner_product(a: Any, b: Any) -> Any:
    pairs = zip(tree.leaves(a), tree.leaves(b), strict=True)
    products = [np.sum(np.conj(x) * np.asarray(y)) for x, y in pairs if not _is_float0(x)]
    kind = min((np.asarray(x).dtype for x in tree.leaves(b) if not _is_float0(x)),
               key=lambda d: d.itemsize, default=np.dtype(np.float64))
    return np.asarray(np.real(sum(products)), dtypes.to_real(kind))


def _assert_close(found: Any, wanted: Any, atol: float | None, rtol: float | None,
                  what: str) -> None:
    if tree.structure(found) != tree.structure(wanted):
        raise AssertionError(f"{what}: {tree.structure(found)} is not {tree.structure(wanted)}")
    for x, y in zip(tree.leaves(found), tree.leaves(wanted), strict=True):
        if _is_float0(x):
            continue
        names = [dtypes.dtype(v).name for v in (x, y)]
        wide = np.complex128 if np.iscomplexobj(x) else np.float64
        np.testing.assert_allclose(
            np.asarray(x, wide), np.asarray(y, wide), atol=_tolerance(atol, names),
            rtol=_tolerance(rtol, names), err_msg=what)


def _tolerance(given: Any, names: Sequence[str]) -> float:
    """The tolerance for values of some dtypes; `given` may be one for each dtype, in a dict."""
    if given is not None and not isinstance(given, dict):
        return given
    own = {np.dtype(kind).name: value for kind, value in (given or {}).items()}
    return max(own.get(name, _TOLERANCES.get(name, _FINE)) for name in names)
