"""Eager operations: each primitive with its parameters is one C++ function, made at first use.

Invariant: the tables are bounded.  Parameters that hold jaxprs go to a small table of their own,
because keeping them keeps a user's program alive; and those of equal structure share a function,
so a loop whose body is a new lambda at each call is compiled once.
"""

from typing import Any

from minijax.core import EvalTrace, Jaxpr, Primitive, missing_rule, subjaxprs, trace_closed
from minijax.base.util import exact
from minijax.passes import alike, structure
from minijax.runtime import call, compile, layouts, mappings  # noqa: F401  (layouts sets a hook)
from minijax.runtime.call import FlatOptions, make_flat
from minijax.sharding import named
from minijax.sharding.single import SingleDeviceSharding

_LIMIT = 4096
_LIMIT_WITH_JAXPRS = 256

_functions: dict[Any, Any] = {}
_functions_with_jaxprs: dict[Any, Any] = {}
_functions_by_structure: dict[Any, Any] = {}


def run(primitive: Primitive, args: tuple, params: dict) -> Any:
    """Apply a primitive to concrete values."""
    if primitive.impl is not None:
        return primitive.impl(*args, **params)
    return compiled(primitive, params)(*args)


def compiled(primitive: Primitive, params: dict) -> Any:
    """The function that compiles and runs a primitive, whatever its `impl` is."""
    key = (primitive, *params.items(), *map(exact, params.values())) if params else primitive
    try:
        return (_functions.get(key) or _functions_with_jaxprs.get(key)
                or _remember(key, primitive, params))
    except TypeError:  # an unhashable parameter
        return _make(primitive, params)


def _make(primitive: Primitive, params: dict) -> Any:
    if primitive.shape is None:
        raise missing_rule(primitive, "shape", "Evaluation", "@primitive.def_impl, or "
                           "@primitive.def_abstract_eval and a lowering rule")

    def jaxpr_at(avals: tuple) -> Jaxpr:
        if primitive.multiple_results:
            return trace_closed(lambda *xs: primitive.bind(*xs, **params), avals)
        return trace_closed(lambda *xs: [primitive.bind(*xs, **params)], avals)

    return make_flat(FlatOptions(primitive.name, primitive.multiple_results,
                                 out_shardings=_asked(params)), jaxpr_at)


def _asked(params: dict) -> tuple:
    """Where users said results go: on a device, or as the specs of `shard_map` say."""
    if type(params.get("sharding")) is SingleDeviceSharding:
        return (params["sharding"],)
    mesh = params.get("mesh")
    if "out_specs" not in params or params["newly_manual_axes"] != frozenset(mesh.axis_names):
        return ()
    return tuple(named.make(mesh, spec) for spec in params["out_specs"])


def _remember(key: Any, primitive: Primitive, params: dict) -> Any:
    if not subjaxprs(params):
        return _keep(_functions, _LIMIT, key, _make(primitive, params))
    equal = structure.key_of_params(params)
    made = None if equal is None else _functions_by_structure.get((primitive, equal))
    if made is None:
        made = _make(primitive, params)
        if equal is not None:
            _keep(_functions_by_structure, _LIMIT_WITH_JAXPRS, (primitive, equal), made)
    return _keep(_functions_with_jaxprs, _LIMIT_WITH_JAXPRS, key, made)


def _keep(table: dict, limit: int, key: Any, made: Any) -> Any:
    while len(table) >= limit:
        table.pop(next(iter(table)), None)
    table[key] = made
    return made


def clear_caches() -> None:
    """Forget all traces, programs and functions of primitives; they are made again when needed."""
    _functions.clear()
    _functions_with_jaxprs.clear()
    _functions_by_structure.clear()
    structure.clear_caches()
    alike.clear_caches()
    call.clear_caches()
    compile.clear_caches()


EvalTrace.run = staticmethod(run)
mappings.forget = clear_caches
