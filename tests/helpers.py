"""What several test files share: comparing trees of arrays, and numerical derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import minijax as jax


def assert_close(got: Any, expected: Any, rtol: float = 1e-5, atol: float = 1e-6) -> None:
    """The same structure, shapes and, but for rounding, values."""
    leaves, structure = jax.tree_util.tree_flatten(got)
    others, other = jax.tree_util.tree_flatten(expected)
    assert structure == other
    for x, y in zip(leaves, others):
        x, y = np.asarray(x), np.asarray(y)
        assert x.shape == y.shape
        np.testing.assert_allclose(x, y, rtol=rtol, atol=atol)


def types(tree: Any) -> list[tuple[str, tuple, bool]]:
    """(dtype, shape, weak type) of each leaf."""
    return [(x.dtype.name, x.shape, bool(x.weak_type))
            for x in jax.tree_util.tree_leaves(tree)]


def finite_difference(fun: Callable, x: Any, direction: Any, step: float = 1e-5) -> Any:
    """The derivative of `fun` at `x` in a direction, from two values; wants 64-bit floats."""
    ahead = jax.tree_util.tree_map(lambda a, d: a + step * d, x, direction)
    behind = jax.tree_util.tree_map(lambda a, d: a - step * d, x, direction)
    return jax.tree_util.tree_map(lambda a, b: (np.asarray(a) - np.asarray(b)) / (2 * step),
                                  fun(ahead), fun(behind))


def error_of(cls: type[BaseException], fun: Callable, *args: Any, **kwargs: Any) -> str:
    """The text of the error that a call raises, of exactly this class."""
    try:
        result = fun(*args, **kwargs)
    except BaseException as error:
        if type(error) is not cls:
            raise
        return str(error)
    raise AssertionError(f"no {cls.__name__}; the result is {result!r}")
