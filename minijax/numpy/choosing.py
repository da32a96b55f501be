"""Elements taken from one array or another: where, select, piecewise.

Invariant: both sides are computed and one is chosen, so a derivative flows only into the side
that is chosen, provided that the other one is finite.

    where(x > 0, x, 0)
    select([x < 0, x > 1], [-x, 1], default=x)
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.base import errors
from minijax.base.jaxlib import Array
from minijax.core import structural
from minijax.lax.rules import ArrayLike
from minijax.numpy.promotion import (
    array_operand, as_array, broadcast, common_dtype, convert, is_array_like, operand, shape_of)
from minijax.numpy.selection import nonzero
from minijax.numpy.ufuncs import pick, truth
from minijax.runtime.call import fused


def where(condition: ArrayLike, x: ArrayLike | None = None, y: ArrayLike | None = None, /, *,
          size: int | None = None, fill_value: Any = None) -> Array | tuple[Array, ...]:
    """x where the condition holds and y elsewhere, all three broadcast.

    Without x and y the positions where it holds, as `nonzero` gives them; under jit these need
    `size`, to which they are cut or filled up.
    """
    if x is None and y is None:
        return nonzero(condition, size=size, fill_value=fill_value)
    if size is not None or fill_value is not None:
        raise ValueError(errors.describe(
            "size and fill_value arguments cannot be used in three-term where function.",
            fix="jnp.where(condition, x, y)"))
    return _where(condition, x, y)


@fused
def _where(condition: ArrayLike, x: ArrayLike, y: ArrayLike) -> Array:
    return pick(operand("where", condition), operand("where", x, 1), operand("where", y, 2))


@fused
def select(condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike],
           default: ArrayLike = 0) -> Array:
    """For each element the choice whose condition is the first to hold, else the default."""
    if len(condlist) != len(choicelist):
        raise ValueError(errors.describe(
            f"condlist must have length equal to choicelist ({len(condlist)} vs "
            f"{len(choicelist)})", fix="give one choice for each condition"))
    if len(condlist) == 0:
        raise ValueError(errors.describe("condlist must be non-empty", fix="give a condition"))
    conditions = [truth(operand("select", c)) for c in condlist]
    choices = [operand("select", x) for x in (*choicelist, default)]
    dtype, weak = common_dtype(*choices)
    choices = [convert(x, dtype, weak) for x in choices]
    shape = lax.broadcast_shapes(*[shape_of(x) for x in (*conditions, *choices)])
    result = broadcast(as_array(choices.pop()), shape)
    for condition, choice in zip(conditions[::-1], choices[::-1]):
        result = pick(condition, choice, result)
    return result


def piecewise(x: ArrayLike, condlist: Array | Sequence[ArrayLike],
              funclist: Sequence[ArrayLike | Callable[..., Any]], *args: Any, **kw: Any) -> Array:
    """For each element of x the function (or number) whose condition is the last to hold.

    One function more than there are conditions is the default, which is otherwise 0.  Functions
    are applied to the whole of x, and must work element by element.
    """
    x = array_operand("piecewise", x)
    if is_array_like(condlist):
        condlist = [condlist] if np.ndim(condlist) == x.ndim else list(condlist)
    conditions = [operand("piecewise", c) for c in condlist]
    functions = list(funclist)
    if len(functions) == len(conditions):
        functions.append(0)
    if len(functions) != len(conditions) + 1:
        n = len(conditions)
        raise ValueError(errors.describe(
            f"with {n} condition(s), either {n} or {n + 1} functions are expected; "
            f"got {len(functions)}", fix="give one function for each condition, and a default"))
    functions = tuple(functions)
    static = tuple(f if callable(f) else None for f in functions)
    values = [None if callable(f) else f for f in functions]
    return _piecewise(x, conditions, static, values, args, kw)


@fused(static_argnums=(2,))
def _piecewise(x: Array, conditions: list, functions: tuple, values: list, args: tuple,
               kw: dict) -> Array:
    conditions = [broadcast(as_array(truth(c)), x.shape) for c in conditions]
    nothing = as_array(np.bool_(True))
    for condition in conditions:
        nothing = lax.bitwise_and(nothing, lax.bitwise_not(condition))
    out = lax.full_like(x, 0)
    for i, (mask, function) in enumerate(zip([*conditions, nothing], functions)):
        later = conditions[i + 1:] if i < len(conditions) else []
        piece = function or values[i]
        out = pick(_only(mask, later), _piece(piece, x, mask, args, kw), out)
    return out


def _only(mask: Any, later: Sequence[Any]) -> Any:
    """The mask without the elements that a later condition claims."""
    for other in later:
        mask = lax.bitwise_and(mask, lax.bitwise_not(other))
    return mask


def _piece(function: Any, x: Any, mask: Any, args: tuple, kw: dict) -> Any:
    if not callable(function):
        return convert(function, x.dtype)
    # The derivative must not see the elements on which the function is not used.
    own = pick(mask, x, lax.stop_gradient(x))
    return structural.convert_element_type(as_array(function(own, *args, **kw)), x.dtype)
