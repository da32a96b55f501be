"""Between users' functions and the flat ones that core transforms.

A `Call` is a function with the tree of its arguments; calling it with flat leaves runs the user's
function and remembers the tree of the result.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

from minijax.base import errors, source, tree


class Call:
    """The user's function on flat leaves: `call(*leaves)` returns flat results.

    After the call `out_tree` is the structure of the result; with `has_aux`, the result is a pair
    whose second member's leaves come last, and `num_aux` is their number.
    """

    __slots__ = ("fun", "in_tree", "args", "argnums", "kwargs", "has_aux", "out_tree", "aux_tree",
                 "num_aux")

    def __init__(self, fun: Callable, in_tree: Any, args: tuple, argnums: int | tuple | None,
                 kwargs: dict, has_aux: bool = False):
        self.fun = fun
        self.in_tree = in_tree
        self.args = args
        self.argnums = argnums
        self.kwargs = kwargs
        self.has_aux = has_aux
        self.out_tree = self.aux_tree = None
        self.num_aux = 0

    def __call__(self, *leaves: Any) -> list:
        value = tree.unflatten(self.in_tree, leaves)
        if self.argnums is None:
            args = value
        elif type(self.argnums) is int:
            args = (*self.args[:self.argnums], value, *self.args[self.argnums + 1:])
        else:
            args = list(self.args)
            for i, v in zip(self.argnums, value):
                args[i] = v
        out = self.fun(*args, **self.kwargs)
        if not self.has_aux:
            outs, self.out_tree = tree.flatten(out)
            return outs
        if not isinstance(out, (tuple, list)) or len(out) != 2:
            raise TypeError(errors.describe(
                "expected function with aux output to return a two-element tuple, "
                f"but got type {type(out)} with value {out!r:.200}",
                fix="return a pair: `return loss, aux`"))
        outs, self.out_tree = tree.flatten(out[0])
        aux, self.aux_tree = tree.flatten(out[1])
        self.num_aux = len(aux)
        return [*outs, *aux]

    def count_aux(self) -> int:
        return self.num_aux


def with_fixed(args: Sequence[Any], fixed: Sequence[tuple[int, Any]]) -> list:
    """Arguments with others, (place, value) in the order of the places, put among them."""
    args = list(args)
    for i, value in fixed:
        args.insert(i, value)
    return args


def check_callable(fun: Any) -> None:
    if not callable(fun):
        raise TypeError(errors.describe(f"Expected a callable value, got {fun}",
                                        fix="pass the function itself, not its result"))


def fun_name(fun: Any) -> str:
    """A name for messages and for the compiled program."""
    while isinstance(fun, functools.partial):
        fun = fun.func
    name = getattr(fun, "__name__", None)
    return name if isinstance(name, str) else type(fun).__name__


_ABOUT = {
    "vmap": "Vectorized version of {}: takes its arguments with additional axes, over which it is "
            "mapped.",
    "grad": "Gradient of {}.",
    "value_and_grad": "Value and gradient of {}."}


def wraps(fun: Any, prefix: str) -> Callable[[Callable], Callable]:
    """`functools.wraps` that survives callables without a name."""
    def decorate(wrapper: Callable) -> Callable:
        wrapper.__wrapped__ = fun
        for attribute in ("__module__", "__qualname__", "__doc__", "__annotations__"):
            try:
                setattr(wrapper, attribute, getattr(fun, attribute))
            except (AttributeError, TypeError):
                pass
        # Programs are named after the user's function, whatever it was transformed by.
        name = wrapper.__name__ = fun_name(fun)
        if prefix == "make_jaxpr":
            wrapper.__module__ = "jax"
            wrapper.__name__ = f"make_jaxpr({name})"
            wrapper.__qualname__ = f"make_jaxpr({wrapper.__qualname__})"
        elif prefix in _ABOUT and wrapper.__doc__:
            wrapper.__doc__ = (f"{_ABOUT[prefix].format(name)}\n\nOriginal documentation:\n\n"
                               f"{wrapper.__doc__}")
        return wrapper
    return decorate


def boundary(fun: Callable) -> Callable:
    """`fun`, whose errors show the user's frames only (see jax_traceback_filtering)."""
    @functools.wraps(fun)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return fun(*args, **kwargs)
        except Exception as error:
            raise source.hide_internal_frames(error)
    return call


def canonical_argnums(argnums: int | Sequence[int], num_args: int) -> int | tuple[int, ...]:
    """`argnums` as non-negative ints, checked against the number of arguments given."""
    if isinstance(argnums, (tuple, list)):
        return tuple([_argnum(i, num_args) for i in argnums])
    return _argnum(argnums, num_args)


def _argnum(i: int, num_args: int) -> int:
    i = operator.index(i)
    if not -num_args <= i < num_args:
        raise ValueError(errors.describe(
            "Positional argument indices, e.g. for `static_argnums`, must have value greater than "
            "or equal to -len(args) and less than len(args), but got value "
            f"{i} for len(args) == {num_args}.",
            fix="pass the arguments by position, or change argnums"))
    return i % num_args


def flatten_axes(name: str, axes: Any, full: Any,
                 is_leaf: Callable[[Any], bool] | None = None) -> list:
    """The entry of the prefix tree `axes` for each leaf of `full`."""
    entries, axes_tree = tree.flatten(axes, is_leaf=lambda x: x is None)
    try:
        parts = axes_tree.flatten_up_to(full)
    except ValueError:
        raise ValueError(errors.describe(
            tree.prefix_mismatches(name, axes, full, is_leaf=lambda x: x is None),
            fix="nest the axes as the value is nested, or give one int for a whole subtree"),
        ) from None
    return [entry for entry, part in zip(entries, parts) for _ in tree.leaves(part, is_leaf)]
