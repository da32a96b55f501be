"""Why a jitted function is traced again: what is new in this call (jax_explain_cache_misses).

Compares the key of the call with those that the cache of traces holds, and words the difference to
the nearest of them.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from minijax.base import config, source
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
    return getattr(fun, "__code__", None)


def _new_function(fun: Callable, seen_line: bool) -> list[str]:
    lines = ["  never seen function:", f"    {arguments.where_defined(fun)} id={id(fun)}"]
    if seen_line:
        lines += ["  but seen another function defined on the same line; maybe the function is",
                  "  being re-defined repeatedly, preventing caching?"]
    return lines


def _nearest(fun: Callable, context: Any, key: tuple, before: list) -> list[str]:
    """The shortest of the differences to earlier calls, rather of those with as many arguments."""
    same = [each for each in before if each[1][2] == key[2]]
    return min([_differences(fun, context, key, *each) for each in same or before], key=len)


def _differences(fun: Callable, context: tuple, key: tuple, other_context: tuple,
                 other: tuple) -> list[str]:
    options, signature, count, avals, axes = key
    other_options, other_signature, other_count, other_avals, other_axes = other
    lines = [f"  for {arguments.where_defined(fun)}"]
    if context != other_context:
        lines.append("  tracing context doesn't match, e.g. due to config or context manager:")
        lines += [f"    now {now} and before {old}"
                  for now, old in zip(context, other_context) if now != old]
    if options != other_options:
        lines.append("  different options of jit")
    if axes != other_axes:
        lines.append(f"  different named axes: now {axes} and before {other_axes}")
    if (count, signature.dynamic_arg_names) != (other_count, other_signature.dynamic_arg_names):
        lines.append(f"  different number of positional arguments or names: now {count} and "
                     f"{list(signature.dynamic_arg_names)}, before {other_count} and "
                     f"{list(other_signature.dynamic_arg_names)}")
    elif signature.dynamic_arg_treedefs != other_signature.dynamic_arg_treedefs:
        lines += _different_trees(signature, other_signature)
    elif avals != other_avals:
        lines += _different_types(_names(fun, key), avals, other_avals)
    if signature.static_args != other_signature.static_args:
        lines.append(f"  different value of static args: now {list(signature.static_args)!r:.200} "
                     f"and before {list(other_signature.static_args)!r:.200}")
    return lines


def _names(fun: Callable, key: tuple) -> Sequence[str]:
    options, signature, count = key[:3]
    static = arguments.positions(options.arguments.static_argnums, count)
    return CallDebug("", arguments.parameters_of(fun), count, static, signature).arg_names


def _different_trees(signature: Any, other: Any) -> list[str]:
    lines = ["  different input pytree:"]
    for i, (now, old) in enumerate(zip(signature.dynamic_arg_treedefs,
                                       other.dynamic_arg_treedefs)):
        if now == old:
            continue
        lines.append(f"    * at dynamic argument {i}, now {now} and before {old}")
    return lines


def _different_types(names: Sequence[str], avals: tuple, others: tuple) -> list[str]:
    lines, weak = ["  different input types:"], False
    for name, now, old in zip(names, avals, others):
        if now is old:
            continue
        texts = [now.str_short(), old.str_short()]
        if texts[0] == texts[1]:
            texts = [f"{text}{{weak_type={aval.weak_type}}}"
                     for text, aval in zip(texts, (now, old))]
            weak = True
        lines.append(f"    * at {name}, now {texts[0]} and before {texts[1]}")
    if weak:
        lines.append(f"  see {_WEAK_TYPES}")
    return lines
