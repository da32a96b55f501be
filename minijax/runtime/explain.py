"""Why a jitted function is traced again: what is new in this call (jax_explain_cache_misses).

Compares the key of the call with those that the cache of traces holds, and words the difference to
the nearest of them.
"""

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from minijax.base import config, jaxlib, source, tree
from minijax.runtime import arguments
from minijax.runtime.arguments import CallDebug

logger = logging.getLogger(__name__)
_lines_seen: set[tuple[str, int]] = set()  # where explained functions are defined
_WEAK_TYPES = "https://docs.jax.dev/en/latest/type_promotion.html#weak-types"


def explain(fun: Callable, key: tuple, known: Iterable[tuple]) -> None:
    """Log why the call `key` = (options, signature, count, avals, axes) of `fun` is traced.

    `known` are the keys of the cache: (weak reference to a function, context, key, {}).
    """
    code = _code(fun)
    if code is None or source.is_internal(code.co_filename):
        return
    context = config.trace_context()
    before = []
    for reference, other_context, other, _ in known:
        other_fun = reference()
        if other_fun is fun and (other_context, other) != (context, key):
            before.append((other_context, other))
    line = (code.co_filename, code.co_firstlineno)
    lines = [f"TRACING CACHE MISS at {source.current_user_frame()} because:"]
    lines += (_nearest(fun, context, key, before) if before
              else _new_function(fun, line in _lines_seen))
    if len(_lines_seen) >= 4096:
        _lines_seen.clear()
    _lines_seen.add(line)
    logger.warning("\n".join(lines))


def _code(fun: Any) -> Any:
    while isinstance(fun, functools.partial):
        fun = fun.func
    return getattr(fun, "__code__", None)


def _new_function(fun: Callable, seen_line: bool) -> list[str]:
    lines = ["  never seen function:", f"    {arguments.where_defined(fun)} id={id(fun)}"]
    if seen_line:
        lines += ["  but seen another function defined on the same line; maybe the function is",
                  "  being re-defined repeatedly, preventing caching?",
                  "  fix: define it, and call jax.jit, once and outside of the loop"]
    return lines


def _nearest(fun: Callable, context: Any, key: tuple, before: list) -> list[str]:
    """The shortest of the differences to earlier calls, rather of those with as many arguments."""
    same = [each for each in before if each[1][2] == key[2]] or before
    found = [(list(_differences(fun, context, key, *each)), _distance(key[3], each[1][3]))
             for each in same]
    lines, _ = min(found, key=lambda one: (len(one[0]), one[1]))
    return [f"  for {arguments.where_defined(fun)}", *lines]


def _distance(avals: tuple, others: tuple) -> int:
    return sum(4 * (a.shape != b.shape) + 2 * (a.dtype != b.dtype) + (a.weak_type != b.weak_type)
               for a, b in zip(avals, others))


def _differences(fun: Callable, context: tuple, key: tuple, other_context: tuple,
                 other: tuple) -> Iterator[str]:
    options, signature, count, avals, axes = key
    other_options, other_signature, other_count, other_avals, other_axes = other
    if context != other_context:
        yield "  tracing context doesn't match, e.g. due to config or context manager:"
        for name, now, old in zip(jaxlib.context_names, context, other_context, strict=True):
            if now != old:
                yield f"    * {name} differs: now {now} and before {old}"
    if options != other_options:
        yield "  jit was called on the function again, with different options of jit"
        yield "  fix: call jax.jit once, and keep what it returns"
    if axes != other_axes:
        now, old = [[axis.name for axis in each] for each in (axes, other_axes)]
        yield f"  it is called inside of a map over different named axes: now {now}, before {old}"
    if (count, signature.dynamic_arg_names) != (other_count, other_signature.dynamic_arg_names):
        yield "  different number of positional arguments or names:"
        yield f"    * now {_passed(key)}, before {_passed(other)}"
        yield "  fix: pass each argument always by position, or always by its name"
    elif signature.dynamic_arg_treedefs != other_signature.dynamic_arg_treedefs:
        yield from _different_trees(_call(fun, key).argument_names(), signature, other_signature)
    elif avals != other_avals and context == other_context:
        yield from _different_types(_call(fun, key).arg_names, avals, other_avals)
    now, old = _static_values(fun, key), _static_values(fun, other)
    if now != old:
        yield "  different value of static args:"
        for name in sorted({*now, *old}):
            if now.get(name) != old.get(name):
                yield (f"    * {name}, now {now.get(name, 'its default')!s:.80} and before "
                       f"{old.get(name, 'its default')!s:.80}")
        yield "  fix: pass what takes many values as an array; each static value is compiled"


def _passed(key: tuple) -> str:
    names = list(key[1].dynamic_arg_names)
    return f"{key[2]} by position" + (f" and {names} by name" if names else "")


def _static_values(fun: Callable, key: tuple) -> dict[str, str]:
    """What static arguments were passed, as text by name."""
    options, signature, count = key[:3]
    known = arguments.parameters_of(fun)
    positional = known.positional if known else ()
    names = [positional[i] if i < len(positional) else f"argument {i}"
             for i in sorted(arguments.positions(options.arguments.static_argnums, count))]
    return {name: repr(x) for name, x in
            zip([*names, *signature.static_arg_names], signature.static_args)}


def _call(fun: Callable, key: tuple) -> CallDebug:
    options, signature, count = key[:3]
    static = arguments.positions(options.arguments.static_argnums, count)
    return CallDebug("", arguments.parameters_of(fun), count, static, signature)


def _different_trees(names: Sequence[str], signature: Any, other: Any) -> Iterator[str]:
    yield "  different input pytree:"
    for name, now, old in zip(names, signature.dynamic_arg_treedefs, other.dynamic_arg_treedefs):
        if now != old:
            one, two = [treedef.unflatten([0] * treedef.num_leaves) for treedef in (now, old)]
            paths = [{tree.keystr(p) for p, _ in tree.leaves_with_path(x)} for x in (one, two)]
            new, gone = sorted(paths[0] - paths[1])[:3], sorted(paths[1] - paths[0])[:3]
            yield f"    * at {name}, now {now!s:.80} and before {old!s:.80}"
            if new or gone:
                yield f"      new are {new or 'none'}, gone are {gone or 'none'}"
    yield "  fix: keep the structure of the argument from call to call"


def _different_types(names: Sequence[str], avals: tuple, others: tuple) -> Iterator[str]:
    yield "  different input types:"
    fixes = {}
    for name, now, old in zip(names, avals, others):
        if now is old:
            continue
        texts = [now.str_short(), old.str_short()]
        if now.shape != old.shape:
            what, fix = "another shape", "keep shapes equal, or pad to few sizes; each is compiled"
        elif now.dtype != old.dtype:
            what, fix = "another dtype", f"convert it before the call: {name}.astype('{old.dtype}')"
        elif texts[0] == texts[1]:
            texts = [f"{text}{{weak_type={a.weak_type}}}" for text, a in zip(texts, (now, old))]
            what = "a Python number" if now.weak_type else "an array, no Python number"
            fix = (f"pass an array of a dtype in both calls: jnp.{now.dtype}({name}); see "
                   f"{_WEAK_TYPES}")
        else:
            what, fix = "another sharding", "put it where it was before: jax.device_put"
        yield f"    * at {name}, now {texts[0]} and before {texts[1]}: {what}"
        fixes[what] = fix
    for fix in fixes.values():
        yield f"  fix: {fix}"
