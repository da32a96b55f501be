"""Looking into compiled programs: `print`, `log`, `callback`, shardings.

The operations have no result; an effect keeps them in the program. Public as `jax.debug`.

    >>> jax.jit(lambda x: jax.debug.print("x = {}", x))(3)
    x = 3
"""

from __future__ import annotations

import builtins
import functools
import logging
import string
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.callback import on_host
from minijax.api.flatten import with_fixed
from minijax.base import errors, jaxlib, source, tree
from minijax.core import (AxisData, DebugEffect, Dims, OrderedDebugEffect, Primitive, Tracer,
                          Values, debug_effect, entered, eval_trace, is_valid, ordered_debug_effect)
from minijax.core.primitive import Deferred
from minijax.runtime import place, spmd
from minijax.sharding.mesh import Mesh
from minijax.sharding.single import single_device

__all__ = ["DebugEffect", "OrderedDebugEffect", "callback", "inspect_array_sharding", "log",
           "print"]

logger = logging.getLogger(__name__)


def callback(callback: Callable[..., Any] | None = None, *args: Any, ordered: bool = False,
             partitioned: bool = False, **kwargs: Any) -> Any:
    """Call `callback(*args, **kwargs)` with the values of the arguments when the program runs.

    ordered: calls happen in program order. partitioned: each device calls with its own part of the
    arguments. Arguments that are no arrays are passed on as they are. Without `callback`, returns
    a function that takes it: `callback(ordered=True)(f, x)`.
    """
    if callback is None:
        _check_options_only("debug_callback", args, kwargs)
        return functools.partial(_callback, ordered, partitioned)
    return _callback(ordered, partitioned, callback, *args, **kwargs)


def print(fmt: str | None = None, *args: Any, ordered: bool = False, partitioned: bool = False,
          skip_format_check: bool = False, _use_logging: bool = False, **kwargs: Any) -> Any:
    """Print `fmt.format(*args, **kwargs)` with the values of the arguments when the program runs.

    `fmt` is no f-string: the values are not known yet while the program is traced. ordered: lines
    come in program order. partitioned: each device prints its own part of the arguments. Raises
    ValueError for arguments that `fmt` does not use. NumPy's print options hold. Without `fmt`,
    returns a function that takes it: `print(ordered=True)("{}", x)`.
    """
    options = (ordered, partitioned, skip_format_check, _use_logging)
    if fmt is None:
        _check_options_only("debug_print", args, kwargs)
        return functools.partial(_print, options)
    return _print(options, fmt, *args, **kwargs)


def log(fmt: str | None = None, *args: Any, ordered: bool = False, partitioned: bool = False,
        skip_format_check: bool = False, **kwargs: Any) -> Any:
    """As `print`, but the text goes to Python's logging, at level INFO."""
    return print(fmt, *args, ordered=ordered, partitioned=partitioned,
                 skip_format_check=skip_format_check, _use_logging=True, **kwargs)


def _check_options_only(name: str, args: tuple, kwargs: dict) -> None:
    if args or kwargs:
        raise TypeError(errors.describe(
            f"{name} received unexpected arguments in the two-call form: {args} {kwargs}",
            fix="give options first and all else second: jax.debug.print(ordered=True)('{}', x)"))


def _is_static(x: Any) -> bool:
    return not isinstance(x, (jaxlib.Array, Tracer)) and not is_valid(x)


def _split(args: tuple, kwargs: dict) -> tuple[list, tuple, Any]:
    """The arrays among the leaves of the arguments, the (place, value) of others, and the tree."""
    leaves, treedef = tree.flatten((args, kwargs))
    static = tuple((i, x) for i, x in enumerate(leaves) if _is_static(x))
    places = {i for i, _ in static}
    return [x for i, x in enumerate(leaves) if i not in places], static, treedef


def _joined(arrays: Sequence[Any], static: tuple, treedef: Any) -> tuple[tuple, dict]:
    return tree.unflatten(treedef, with_fixed(arrays, static))


# --- callback ----------------------------------------------------------------------------------


def _callback(ordered: bool, partitioned: bool, callback: Callable[..., Any], *args: Any,
              **kwargs: Any) -> None:
    if not callable(callback):
        raise TypeError(errors.describe(
            "first argument to jax.debug.callback must be callable, but got an object of type "
            f"{type(callback)}", fix="jax.debug.callback(f, x), or jax.debug.print('{}', x)"))
    arrays, static, treedef = _split(args, kwargs)

    def _flat_callback(*arrays: Any) -> None:
        args, kwargs = _joined(arrays, static, treedef)
        callback(*args, **kwargs)

    debug_callback_p.bind(*arrays, callback=_Hosted(_flat_callback), partitioned=partitioned,
                          effect=ordered_debug_effect if ordered else debug_effect)


class _Hosted:
    """A function of arrays, as programs call it."""

    def __init__(self, fun: Callable[..., None]):
        self.fun = fun

    def __call__(self, *args: np.ndarray) -> tuple:
        try:
            with entered(eval_trace):
                self.fun(*map(on_host, args))
        except BaseException:
            logger.exception("jax.debug.callback failed")
            raise
        return ()

    def __repr__(self) -> str:
        return repr(self.fun)


def _call_now(*args: Any, callback: _Hosted, **_: Any) -> list:
    callback(*args)
    return []


def _of_primals(primitive: Primitive) -> Callable:
    def jvp(primals: Values, tangents: Values, **params: Any) -> tuple[list, list]:
        return primitive.bind(*primals, **params), []
    return jvp


def _unrolled(primitive: Primitive) -> Callable:
    """The vmap rule: one operation for each element."""
    def vmap(axis: AxisData, args: Values, dims: Dims, **params: Any) -> tuple[list, list]:
        for i in range(axis.size):
            primitive.bind(*[x if d is None else lax.index_in_dim(x, i, d, keepdims=False)
                             for x, d in zip(args, dims)], **params)
        return [], []
    return vmap


def _of_words(primitive: Primitive) -> Callable:
    return lambda avals, *words, **params: primitive.bind(*words, **params)


_RULES: dict[str, Any] = dict(
    multiple_results=True, effectful=True, jvp=Deferred(_of_primals), vmap=Deferred(_unrolled),
    transpose=lambda cts, *args, **_: [None] * len(args), physical=Deferred(_of_words))


debug_callback_p = Primitive(
    "debug_callback", shape=lambda *_, effect, **__: ([], {effect}), impl=_call_now,
    **_RULES)


# --- print -------------------------------------------------------------------------------------


class _Checker(string.Formatter):
    """Finds out whether a format string uses all arguments, whatever their values."""

    def check_unused_args(self, used: Any, args: Values, kwargs: Any) -> None:
        unused = [x for i, x in enumerate(args) if i not in used]
        if unused:
            raise ValueError(errors.describe(
                f"Unused positional arguments to `jax.debug.print`: {unused}",
                fix="jax.debug.print('{}', x), with one {} for each value"))
        unused = [k for k in kwargs if k not in used]
        if unused:
            raise ValueError(errors.describe(
                f"Unused keyword arguments to `jax.debug.print`: {unused}",
                because="You may be passing an f-string, in which the values are already text",
                fix="jax.debug.print('{x}', x=x)"))

    def format_field(self, value: Any, spec: str) -> str:
        return ""

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return value


_checker = _Checker()


def _print(options: tuple, fmt: str, *args: Any, **kwargs: Any) -> None:
    ordered, partitioned, unchecked, use_logging = options
    if not isinstance(fmt, str):
        raise TypeError(errors.describe(f"expected str, got {type(fmt).__name__}",
                                        fix="jax.debug.print('{}', x)"))
    if not unchecked:
        _checker.format(fmt, *args, **kwargs)
    arrays, static, treedef = _split(args, kwargs)
    debug_print_p.bind(
        *arrays, fmt=fmt, ordered=ordered, partitioned=partitioned, in_tree=treedef,
        static_args=static, np_printoptions=tuple(np.get_printoptions().items()),
        has_placeholders=any(name is not None for _, name, _, _ in string.Formatter().parse(fmt)),
        logging_record=_record() if use_logging else None)


def _record() -> logging.LogRecord:
    frame = source.current_user_frame()
    frame = frame or source.Frame("", 0, "")
    return logging.LogRecord(logger.name, logging.INFO, frame.file, frame.line, "", (), None,
                             func=frame.function)


def _printer(fmt: str, static_args: tuple, in_tree: Any, np_printoptions: tuple,
             has_placeholders: bool, logging_record: logging.LogRecord | None) -> _Hosted:
    def show(*arrays: Any) -> None:
        args, kwargs = _joined(arrays, static_args, in_tree)
        with np.printoptions(**dict(np_printoptions)):
            text = fmt.format(*args, **kwargs) if has_placeholders or not args else " ".join(
                [fmt, *map(str, args)])
        if logging_record is None:
            builtins.print(text, file=sys.stdout)
        else:
            fields = {**vars(logging_record), "msg": text}
            logger.handle(logging.makeLogRecord(fields))
    return _Hosted(show)


def _as_callback(*args: Any, ordered: bool, partitioned: bool, **params: Any) -> list:
    return debug_callback_p.bind(*args, callback=_printer(**params), partitioned=partitioned,
                                 effect=ordered_debug_effect if ordered else debug_effect)


def _print_shape(*_: Any, ordered: bool, **__: Any) -> tuple:
    return [], {ordered_debug_effect if ordered else debug_effect}


debug_print_p = Primitive("debug_print", shape=_print_shape, impl=_as_callback,
                          decompose=_as_callback, **_RULES)


# --- shardings ---------------------------------------------------------------------------------


def inspect_array_sharding(value: Any, *, callback: Callable[[Any], None]) -> None:
    """Call `callback` with the sharding of each array of the pytree `value`.

    Of a traced array it is called when the program is compiled and the compiler has chosen.
    """
    for x in tree.leaves(value):
        if isinstance(x, Tracer):
            inspect_sharding_p.bind(x, callback=_Inspector(callback))
        else:
            callback(place.as_array(x).sharding)


class _Inspector:
    """What the compiler tells of one array."""

    def __init__(self, callback: Callable[[Any], None]):
        self.callback = callback
        self._kept: list[Callable] = []  # the program has but their addresses

    def of_one_device(self, device: Any) -> None:
        """The program is for one device."""
        self.callback(single_device(device))

    def encoded(self, devices: Sequence[Any], ndim: int) -> bytes:
        """How the program names the function to call with the sharding that was chosen."""
        def chosen(hlo_sharding: Any) -> None:
            mesh = Mesh(np.array(devices), ("devices",))
            self.callback(spmd.from_hlo(hlo_sharding.to_proto(), ndim, [mesh], devices))

        self._kept.append(chosen)
        return jaxlib.xc.encode_inspect_sharding_callback(chosen)


inspect_sharding_p = Primitive(
    "inspect_sharding", shape=lambda x, *, callback: ([], {debug_effect}),
    impl=lambda x, *, callback: callback.callback(place.as_array(x).sharding) or [],
    **_RULES)
