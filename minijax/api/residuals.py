"""What reverse mode keeps between the forward and the backward pass.

    print_saved_residuals(loss, w, x)       # f32[3,3] from the argument w
                                            # f32[3] output of sin from train.py:12:9 (loss)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minijax import core
from minijax.api.flatten import Call
from minijax.api.vmap import leaf_names
from minijax.base import source, tree
from minijax.core import Jaxpr, JaxprEqn, Literal, aval_of, jit_p
from minijax.lax.types import reduce_precision_p

__all__ = ["print_saved_residuals", "saved_residuals"]


def saved_residuals(f: Callable, *args: Any, **kwargs: Any) -> list[tuple[Any, str]]:
    """The type of each value that differentiating `f` at these arguments saves, and its origin."""
    leaves, in_tree = tree.flatten((args, kwargs))
    call = Call(lambda a, k: f(*a, **k), in_tree, (), None, {})
    jaxpr = core.trace_closed(lambda *xs: core.linearize(call, xs).residuals,
                              [aval_of(x) for x in leaves])
    names = dict(zip(jaxpr.invars, leaf_names(f, args, kwargs)))
    return _origins(jaxpr, names)


def print_saved_residuals(f: Callable, *args: Any, **kwargs: Any) -> None:
    """Print `saved_residuals`, one a line."""
    for aval, origin in saved_residuals(f, *args, **kwargs):
        print(f"{aval.str_short()} {origin}")


def _origins(jaxpr: Jaxpr, names: dict) -> list[tuple[Any, str]]:
    makers: dict = {}
    for eqn in jaxpr.eqns:  # what is saved was rounded to its type first
        rounded = eqn.primitive is reduce_precision_p and makers.get(eqn.invars[0])
        makers.update(dict.fromkeys(eqn.outvars, rounded or eqn))
    saved = dict.fromkeys(v for v in jaxpr.outvars if type(v) is not Literal)
    found = [(v.aval, "from a literal") for v in jaxpr.outvars if type(v) is Literal]
    found += [(v.aval, "from a constant") for v in jaxpr.constvars if v in saved]
    found += [(v.aval, f"from the {name}") for v, name in names.items() if v in saved]
    return found + [(v.aval, made_by(makers[v])) for v in saved if v in makers]


def made_by(eqn: JaxprEqn) -> str:
    frame = source.user_frame(eqn.source)
    where = f"{frame.file}:{frame.line}:{frame.column} ({frame.function})" if frame else ""
    if eqn.primitive.name == "name":
        return f"named '{eqn.params['name']}' from {where}"
    if eqn.primitive is jit_p:
        return f"output of jitted function '{eqn.params['name']}' from {where}"
    return f"output of {eqn.primitive.name} from {where}"
