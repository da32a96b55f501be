"""`jit`: compile a function of arrays; and its ahead-of-time front, `trace`, `lower`, `compile`.

    @jit
    def f(x, y): return x @ y + 1

    f(x, y)                             # traced and compiled once per argument types
    f.lower(x, y).compile()(x, y)       # the same in steps
"""

from __future__ import annotations

import copyreg
import functools
import sys
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from minijax.api.flatten import check_callable
from minijax.api.misc import ShapeDtypeStruct
from minijax.base import errors, jaxlib, source
from minijax.core import UNSPECIFIED, ShapedArray, sharding_of
from minijax.passes import structure
from minijax.runtime import arguments, call, compile, stages
from minijax.runtime.call import Options

__all__ = ["jit"]

_AUTO_TEXT = (
    "backend and device argument on jit is deprecated. You can use `jax.device_put(..., "
    "jax.local_devices(backend=\"cpu\")[0])` on the inputs to the jitted function to get the same "
    "behavior.")
_missing: Any = object()


def jit(fun: Callable = _missing, /, *, in_shardings: Any = UNSPECIFIED,
        out_shardings: Any = UNSPECIFIED, static_argnums: int | Sequence[int] | None = None,
        static_argnames: str | Iterable[str] | None = None,
        donate_argnums: int | Sequence[int] | None = None,
        donate_argnames: str | Iterable[str] | None = None, keep_unused: bool = False,
        device: Any = None, backend: str | None = None, inline: bool = False,
        compiler_options: Mapping[str, Any] | None = None) -> Any:
    """A function that compiles `fun` for the types of its arguments at the first such call.

    `fun` must be pure: Python runs when it is traced, not when the compiled program runs.  Static
    arguments are hashable Python values that the program is specialised on.  Donated arguments
    give their memory to the results and are deleted.  Without `fun`, returns a decorator.
    """
    if fun is _missing:
        return functools.partial(
            jit, in_shardings=in_shardings, out_shardings=out_shardings,
            static_argnums=static_argnums, static_argnames=static_argnames,
            donate_argnums=donate_argnums, donate_argnames=donate_argnames,
            keep_unused=keep_unused, device=device, backend=backend, inline=inline,
            compiler_options=compiler_options)
    _check_function(fun)
    if device is not None or backend is not None:
        _check_place(device, backend, in_shardings, out_shardings)
    if isinstance(donate_argnames, str):
        donate_argnames = (donate_argnames,)
    return with_stages(fun, Options(
        arguments.resolve(fun, static_argnums, static_argnames, donate_argnums, donate_argnames),
        call.prefix_of(in_shardings), call.prefix_of(out_shardings), bool(keep_unused), device,
        backend, bool(inline), tuple(sorted((compiler_options or {}).items()))))


def _check_function(fun: Any) -> None:
    if isinstance(fun, staticmethod):
        raise TypeError(errors.describe(
            f"staticmethod arguments are not supported, got {fun}",
            fix="put @staticmethod above @jax.jit"))
    check_callable(fun)
    if _is_generator(fun):
        raise TypeError(errors.describe(f"Expected a function, got a generator function: {fun}",
                                        fix="return a tuple or a list of the values"))


def _is_generator(fun: Any) -> bool:
    flags = getattr(getattr(fun, "__code__", None), "co_flags", 0)
    return bool(flags & 0x20)


def _check_place(device: Any, backend: str | None, *shardings: Any) -> None:
    source.warn(_AUTO_TEXT, DeprecationWarning)
    if device is not None and backend is not None:
        raise ValueError("can't specify both a device and a backend for jit, "
                         f"got device={device} and backend={backend!r}")
    if any(sharding is not UNSPECIFIED for sharding in shardings):
        raise ValueError("If backend or device is specified on jit, then "
                         "in_shardings or out_shardings should not be specified.")


# ---------------------------------------------------------------------------- ahead of time


def with_stages(fun: Callable, options: Options) -> Any:
    """The C++ function, with the methods of ahead-of-time compilation."""
    jitted = call.make_jit(fun, options)
    fun = jitted.__wrapped__
    itself = weakref.ref(jitted)  # methods must not keep the function alive that has them

    def trace(*args: Any, **kwargs: Any) -> stages.Traced:
        """Trace the function for arguments of these types (arrays or ShapeDtypeStructs)."""
        return stages.trace(fun, options, args, kwargs)

    def lower(*args: Any, **kwargs: Any) -> stages.Lowered:
        """Trace and lower the function for arguments of these types."""
        return stages.trace(fun, options, args, kwargs).lower()

    def eval_shape(*args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the result, without computing it."""
        return stages.trace(fun, options, args, kwargs).out_info

    def clear_cache() -> None:
        """Forget what earlier calls left, and programs that are kept for others like them."""
        itself()._clear_cache()
        call.traces.evict_weakref(fun)
        compile.clear_caches()
        structure.clear_caches()

    jitted.trace, jitted.lower, jitted.eval_shape = trace, lower, eval_shape
    jitted.clear_cache = clear_cache
    jitted._options, jitted._body = options, fun
    return jitted


def _reduce(jitted: Any) -> Any:
    """How to pickle a jitted function: by name where that finds it, else with its function."""
    module = sys.modules.get(jitted.__module__)
    if jitted.__module__ != "__main__" and "<locals>" not in jitted.__qualname__:
        found: Any = module
        for part in jitted.__qualname__.split("."):
            found = getattr(found, part, None)
        if found is jitted:
            return jitted.__qualname__
    return with_stages, (jitted._body, jitted._options)


copyreg.pickle(jaxlib.PjitFunction, _reduce)


def _struct_of(aval: ShapedArray, sharding: Any) -> ShapeDtypeStruct:
    if not isinstance(aval, ShapedArray):
        return aval
    if sharding is None:
        sharding = sharding_of(aval)
    return ShapeDtypeStruct(aval.shape, aval.dtype, sharding=sharding, weak_type=aval.weak_type,
                            manual_axis_type=aval.mat if any(aval.mat) else None)


stages.struct_of = _struct_of
