"""Higher derivatives along a curve: Taylor series in, Taylor series out.

Invariant: the result is that of forward mode nested as often as there are terms, so every
operation that has a JVP rule is covered; the cost doubles with each term.

    y, (y1, y2) = jet(jnp.sin, (0.3,), ((1.0, 0.0),))       # sin, and two of its derivatives
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from minijax import lax, numpy as jnp
from minijax.api.autodiff import jvp
from minijax.base import dtypes, errors, tree
from minijax.numpy import promotion

__all__ = ["fact", "jet", "jet2"]


def jet(fun: Callable, primals: Sequence[Any], series: Sequence[Sequence[Any]],
        factorial_scaled: bool = True, **_: Any) -> tuple[Any, Any]:
    """(value, terms) of fun along the curve through `primals` whose derivatives are `series`.

    series has one list of arrays per argument: first derivative, second, ...; each output leaf
    becomes such a list. Without `factorial_scaled` the k-th entries are divided by k!.
    """
    order = _order(primals, series)
    primals = [jnp.asarray(x) for x in primals]
    series = [[jnp.asarray(term) for term in terms] for terms in series]

    def along(step: Any) -> Any:
        return fun(*[_moved(x, terms, step, factorial_scaled)
                     for x, terms in zip(primals, series)])

    first, *rest = _derivatives(along, order)(0.0)
    leaves, structure = tree.flatten(first)
    columns = zip(*[tree.leaves(terms) for terms in rest]) if order else [()] * len(leaves)
    terms = []
    for leaf, column in zip(leaves, columns):
        column = [jnp.zeros_like(leaf) if t.dtype == dtypes.float0 else t for t in column]
        terms.append(column if factorial_scaled else [
            t / math.factorial(k + 1) for k, t in enumerate(column)])
    return first, tree.unflatten(structure, terms)


def jet2(fun: Callable, primals: Sequence[Any], series: Sequence[Sequence[Any]], *,
         factorial_scaled: bool = False, **_: Any) -> tuple[Any, Any]:
    """`jet` with plain Taylor coefficients by default."""
    return jet(fun, primals, series, factorial_scaled)


def fact(n: Any) -> Any:
    """n! as a float, weakly typed for a Python number n."""
    return jnp.exp(lax.lgamma(n + 1.0))


def _order(primals: Sequence[Any], series: Sequence[Sequence[Any]]) -> int:
    if len(primals) != len(series):
        raise ValueError(errors.describe(
            f"jet: {len(primals)} primals and {len(series)} series", fix="one series each"))
    orders = {len(terms) for terms in series}
    if len(orders) != 1:
        raise ValueError(errors.describe(
            "jet terms have inconsistent lengths for different arguments",
            fix="pad the shorter series with zeros"))
    for i, (x, terms) in enumerate(zip(primals, series)):
        if not promotion.is_array_like(x):
            raise ValueError(f"primal value at position {i} is not an array")
        for j, term in enumerate(terms):
            if not promotion.is_array_like(term):
                raise ValueError(f"term {j} for argument {i} is not an array")
    return orders.pop()


def _moved(x: Any, terms: Sequence[Any], step: Any, factorial_scaled: bool) -> Any:
    """The point of the curve at the parameter `step`; integers do not move."""
    if not jnp.issubdtype(x.dtype, jnp.inexact):
        return x
    total = 0.0
    for k in range(len(terms), 0, -1):
        scale = 1 / math.factorial(k) if factorial_scaled else 1.0
        total = (total + terms[k - 1].astype(x.dtype) * scale) * step
    return x + total


def _derivatives(f: Callable, order: int) -> Callable:
    """step -> (f, f', ..., the derivative of this order)."""
    if order == 0:
        return lambda step: (f(step),)
    lower = _derivatives(f, order - 1)

    def both(step: Any) -> tuple:
        values, slopes = jvp(lower, (step,), (1.0,))
        return (*values, slopes[-1])

    return both
