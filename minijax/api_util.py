"""`jax.api_util`: flattening functions, and argument numbers, for libraries with own transforms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from minijax.api.flatten import flatten_axes as _flatten_axes
from minijax.base import errors, tree
from minijax.base.util import fun_name, safe_map
from minijax.core import DebugInfo
from minijax.core import get_aval as shaped_abstractify
from minijax.extend.linear_util import (Store, WrappedFun, transformation2,
                                        transformation_with_aux2)
from minijax.runtime.arguments import parameters_of

__all__ = ["argnums_partial", "debug_info", "donation_vector", "flatten_axes", "flatten_fun",
           "flatten_fun_nokwargs", "rebase_donate_argnums", "safe_map", "shaped_abstractify"]


@transformation_with_aux2
def flatten_fun(f: Callable, store: Store, in_tree: Any, *args_flat: Any) -> list:
    """A function of the leaves of (args, kwargs), and a thunk of the structure of its result."""
    args, kwargs = tree.unflatten(in_tree, args_flat)
    leaves, out_tree = tree.flatten(f(*args, **kwargs))
    store.store(out_tree)
    return leaves


@transformation_with_aux2
def flatten_fun_nokwargs(f: Callable, store: Store, in_tree: Any, *args_flat: Any) -> list:
    """The same for leaves of args."""
    leaves, out_tree = tree.flatten(f(*tree.unflatten(in_tree, args_flat)))
    store.store(out_tree)
    return leaves


@transformation2
def _fixed(f: Callable, numbers: tuple, fixed: tuple, *dynamic: Any, **kwargs: Any) -> Any:
    args = list(fixed)
    for i, x in zip(numbers, dynamic):
        args.insert(i, x)
    return f(*args, **kwargs)


def argnums_partial(f: WrappedFun, dyn_argnums: int | Sequence[int], args: Sequence[Any],
                    require_static_args_hashable: bool = True) -> tuple[WrappedFun, list]:
    """`f` as a function of the arguments `dyn_argnums` only, and these arguments."""
    numbers = (dyn_argnums,) if isinstance(dyn_argnums, int) else tuple(dyn_argnums)
    numbers = tuple(sorted(i % len(args) for i in numbers))
    fixed = tuple(x for i, x in enumerate(args) if i not in numbers)
    if require_static_args_hashable:
        for x in fixed:
            _check_hashable(x)
    return _fixed(f, numbers, fixed), [args[i] for i in numbers]


def _check_hashable(x: Any) -> None:
    try:
        hash(x)
    except TypeError:
        raise ValueError(errors.describe(
            f"Non-hashable static arguments are used in a jit function: {x!r:.200}",
            fix="pass it as a dynamic argument, or as a hashable value")) from None


def debug_info(traced_for: str, fun: Callable, args: Sequence[Any], kwargs: dict, *,
               static_argnums: Sequence[int] = (), static_argnames: Sequence[str] = (),
               **_: Any) -> DebugInfo:
    """Names of a function and of the leaves of its arguments, for messages."""
    known = parameters_of(fun)
    positional = known.positional if known else ()
    names: list[str] = []
    for i, x in enumerate(args):
        if i not in static_argnums:
            base = positional[i] if i < len(positional) else f"args[{i}]"
            names += [base + tree.keystr(path) for path, _ in tree.leaves_with_path(x)]
    for key, x in kwargs.items():
        if key not in static_argnames:
            names += [key + tree.keystr(path) for path, _ in tree.leaves_with_path(x)]
    return DebugInfo(traced_for, fun_name(fun), tuple(names))


def flatten_axes(name: str, treedef: Any, axis_tree: Any, *, kws: bool = False,
                 tupled_args: bool = False) -> list:
    """One entry of `axis_tree`, a prefix of the structure `treedef`, for each leaf of it."""
    given = treedef.unflatten(range(treedef.num_leaves))
    return _flatten_axes(name, (axis_tree, 0) if kws else axis_tree, given)


def rebase_donate_argnums(donate_argnums: Sequence[int],
                          static_argnums: Sequence[int]) -> tuple[int, ...]:
    """The numbers of donated arguments among the dynamic ones; ValueError if one is static."""
    static = tuple(i for i in static_argnums if i >= 0)
    if set(donate_argnums) & set(static_argnums):
        raise ValueError(errors.describe(
            f"`static_argnums` {tuple(static_argnums)} and `donate_argnums` "
            f"{tuple(donate_argnums)} cannot intersect.", fix="donate dynamic arguments only"))
    return tuple(sorted({i - sum(s < i for s in static) for i in donate_argnums}))


def donation_vector(donate_argnums: Sequence[int], donate_argnames: Sequence[str],
                    in_tree: Any, kws: bool = True) -> tuple[bool, ...]:
    """For each leaf of (args, kwargs) of the structure `in_tree`, whether it is donated."""
    given = in_tree.unflatten(range(in_tree.num_leaves))
    args, kwargs = given if kws else (given, {})
    flags: list[bool] = []
    for i, x in enumerate(args):
        flags += [i in donate_argnums] * len(tree.leaves(x))
    for key in sorted(kwargs):
        flags += [key in donate_argnames] * len(tree.leaves(kwargs[key]))
    return tuple(flags)
