"""Which arguments of a function are static or donated, and what the others are called.

Invariant: nothing here holds on to the user's function, so that names can be kept for messages
while caches hold the function weakly.

    resolve(f, static_argnames=("axis",))       # Resolved(static_argnums=(1,), ...)
    leaf_names(names_of(f), 2, signature)       # ["x['a']", "y"]
"""

import functools
import inspect
import itertools
import operator
from collections.abc import Callable, Hashable, Iterable
from types import FunctionType
from typing import Any, NamedTuple

from minijax.base import errors, jaxlib, tree

_VARARGS, _VARKEYWORDS = 0x04, 0x08


class Parameters(NamedTuple):
    """The parameters of a function, as far as they are known."""

    positional: tuple[str, ...]
    num_positional_only: int = 0
    varargs: str | None = None
    keyword_only: tuple[str, ...] = ()
    varkw: bool = False


class Resolved(NamedTuple):
    """Static and donated arguments by number and by name, each list complete."""

    static_argnums: tuple[int, ...] = ()
    static_argnames: tuple[str, ...] = ()
    donate_argnums: tuple[int, ...] = ()
    donate_argnames: tuple[str, ...] = ()


def parameters_of(fun: Callable) -> Parameters | None:
    """The parameters of any callable; None when they cannot be found out."""
    while type(fun) is jaxlib.PjitFunction:  # its __signature__ would ask inspect again, per level
        fun = fun.__wrapped__
    if type(fun) is FunctionType and not hasattr(fun, "__wrapped__"):
        return _of_code(fun.__code__)  # inspect.signature takes 20 times as long
    try:
        found = inspect.signature(fun).parameters.values()
    except (ValueError, TypeError):
        return None
    kinds = inspect.Parameter
    only = [p.name for p in found if p.kind is kinds.POSITIONAL_ONLY]
    both = [p.name for p in found if p.kind is kinds.POSITIONAL_OR_KEYWORD]
    return Parameters(
        (*only, *both), len(only),
        next((p.name for p in found if p.kind is kinds.VAR_POSITIONAL), None),
        tuple(p.name for p in found if p.kind is kinds.KEYWORD_ONLY),
        any(p.kind is kinds.VAR_KEYWORD for p in found))


def _of_code(code: Any) -> Parameters:
    names, count = code.co_varnames, code.co_argcount
    end = count + code.co_kwonlyargcount
    varargs = names[end] if code.co_flags & _VARARGS else None
    return Parameters(names[:count], code.co_posonlyargcount, varargs, names[count:end],
                      bool(code.co_flags & _VARKEYWORDS))


# ---------------------------------------------------------------------------- static, donated


def resolve(fun: Callable, static_argnums: int | Iterable[int] | None = None,
            static_argnames: str | Iterable[str] | None = None,
            donate_argnums: int | Iterable[int] | None = None,
            donate_argnames: str | Iterable[str] | None = None) -> Resolved:
    """Complete the lists: an argument given by number may be passed by name, and conversely.

    ValueError when the function has no such argument or one is both static and donated.
    """
    nothing = (None, ())
    if (static_argnums in nothing and static_argnames in nothing
            and donate_argnums in nothing and donate_argnames in nothing):
        return Resolved()
    known = parameters_of(fun)
    static = _complete(known, "static", static_argnums, static_argnames)
    donate = _complete(known, "donate", donate_argnums, donate_argnames)
    _check_apart(static, donate, named=static_argnums is None)
    return Resolved(*static, *donate)


def _numbers(given: int | Iterable[int] | None) -> tuple[int, ...]:
    if given is None:
        return ()
    if hasattr(given, "__index__"):
        return (operator.index(given),)
    return tuple(operator.index(i) for i in given)


def _names(given: str | Iterable[str] | None) -> tuple[str, ...]:
    if given is None:
        return ()
    names = (given,) if isinstance(given, str) else tuple(given)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"argument names must be strings, got {name!r}")
    return names


def _complete(known: Parameters | None, kind: str, argnums: Any,
              argnames: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    numbers, names = _numbers(argnums), _names(argnames)
    if known is None:
        if names and kind == "donate":
            raise ValueError(errors.describe(
                "Getting the signature of function failed. Pass donate_argnums instead of "
                "donate_argnames.", fix="jax.jit(f, donate_argnums=...)"))
        return numbers, names
    _check_numbers(known, kind, numbers)
    _check_names(known, kind, names)
    if argnums is None and argnames is not None:
        numbers = tuple(i for i, name in enumerate(known.positional) if name in names)
    elif argnames is None and argnums is not None:
        names = tuple(
            name for i, name in enumerate(known.positional)
            if i >= known.num_positional_only and i in numbers)
    return numbers, names


def _check_numbers(known: Parameters, kind: str, numbers: tuple[int, ...]) -> None:
    count = len(known.positional)
    if known.varargs is None and any(not -count <= i < count for i in numbers):
        raise ValueError(errors.describe(
            f"Jitted function has {kind}_argnums={numbers}, "
            f"but only accepts {count} positional arguments.",
            fix=f"count from 0, or name the arguments: {kind}_argnames=..."))


def _check_names(known: Parameters, kind: str, names: tuple[str, ...]) -> None:
    only = known.positional[:known.num_positional_only]
    valid = {*known.positional[known.num_positional_only:], *known.keyword_only}
    unknown = {name for name in names if name not in valid}
    if known.varkw:
        unknown &= {*only, known.varargs}
    if unknown:
        raise ValueError(errors.describe(
            f"Jitted function has invalid argnames {unknown} in {kind}_argnames. "
            "Function does not take these args.",
            fix=f"the function has the arguments {', '.join(sorted(valid))}"))


def _check_apart(static: tuple, donate: tuple, named: bool) -> None:
    kinds = ("argnames", "argnums") if named else ("argnums", "argnames")
    for kind in kinds:
        one, two = [pair[kind == "argnames"] for pair in (static, donate)]
        both = set(one) & set(two)
        if both:
            what = "Argument names" if kind == "argnames" else "Argument numbers"
            raise ValueError(
                f"static_{kind} and donate_{kind} cannot intersect. {what} {both} appear in both "
                f"static_{kind} and donate_{kind}")


def positions(argnums: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Argument numbers of a call with `count` positional arguments, counted from the front."""
    return tuple(i % count for i in argnums if -count <= i < count)


# ---------------------------------------------------------------------------- calls


def rebuild(signature: Any, count: int, static: tuple[int, ...], leaves: Iterable) -> tuple:
    """(args, kwargs) of a call from jaxlib's signature of it and the dynamic leaves.

    `count` is the number of positional arguments; `static` says which of them are static.
    """
    rest = iter(leaves)
    dynamic = iter([
        treedef.unflatten(itertools.islice(rest, treedef.num_leaves))
        for treedef in signature.dynamic_arg_treedefs])
    fixed = iter(signature.static_args)
    args = [next(fixed) if i in static else next(dynamic) for i in range(count)]
    kwargs = dict(zip(signature.dynamic_arg_names, dynamic, strict=True))
    kwargs.update(zip(signature.static_arg_names, fixed, strict=True))
    return args, kwargs


def donated_leaves(signature: Any, count: int, static: tuple[int, ...],
                   resolved: Resolved) -> tuple[bool, ...]:
    """For each dynamic leaf of a call, whether its argument is donated."""
    treedefs = signature.dynamic_arg_treedefs
    if not resolved.donate_argnums and not resolved.donate_argnames:
        return (False,) * sum(treedef.num_leaves for treedef in treedefs)
    donated = positions(resolved.donate_argnums, count)
    flags = [i in donated for i in range(count) if i not in static]
    flags += [name in resolved.donate_argnames for name in signature.dynamic_arg_names]
    return tuple(
        flag for flag, treedef in zip(flags, treedefs, strict=True)
        for _ in range(treedef.num_leaves))


# ---------------------------------------------------------------------------- names


class CallDebug:
    """Names for messages and program text, worked out when somebody asks (see core.DebugInfo)."""

    __slots__ = ("fun_name", "_parameters", "_count", "_static", "_signature", "out_tree")

    def __init__(self, fun_name: str, known: Parameters | None, count: int,
                 static: tuple[int, ...], signature: Any):
        self.fun_name = fun_name
        self._parameters = known
        self._count = count
        self._static = static
        self._signature = signature
        self.out_tree: Any = None

    traced_for = "jit"
    func_name = func_src_info = property(lambda self: self.fun_name)

    @property
    def arg_names(self) -> tuple[str, ...]:
        """A name for each dynamic leaf, like `x['a']`."""
        return tuple(
            name + tree.keystr(path)
            for name, treedef in zip(self.argument_names(), self._signature.dynamic_arg_treedefs,
                                     strict=True)
            for path in leaf_paths(treedef))

    def argument_names(self) -> list[str]:
        """A name for each dynamic argument."""
        known = self._parameters or Parameters((), varargs="args")
        number = len(known.positional)
        varargs = known.varargs or "args"
        names = [
            known.positional[i] if i < number else f"{varargs}[{i - number}]"
            for i in range(self._count) if i not in self._static]
        return names + list(self._signature.dynamic_arg_names)

    @property
    def result_paths(self) -> tuple[str, ...] | None:
        """A name for each leaf of the result, like `result['o']`; None before it is known."""
        if self.out_tree is None:
            return None
        return tuple("result" + tree.keystr(path) for path in leaf_paths(self.out_tree))


def leaf_paths(treedef: Any) -> list[tuple[Hashable, ...]]:
    """The key path of each leaf of a structure."""
    blank = treedef.unflatten([0] * treedef.num_leaves)
    return [path for path, _ in tree.leaves_with_path(blank)]


def where_defined(fun: Any) -> str:
    """`name at file:line` of a function, or just its name."""
    while isinstance(fun, functools.partial):
        fun = fun.func
    code = getattr(inspect.unwrap(fun) if callable(fun) else fun, "__code__", None)
    name = getattr(fun, "__name__", repr(fun))
    if code is None:
        return name
    return f"{name} at {code.co_filename}:{code.co_firstlineno}"
