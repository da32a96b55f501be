"""`jit` as a callable: a C++ function in front, tracing and compiling behind it.

The C++ function answers calls whose argument types it has seen; all others come to `_miss` with
the call's own arguments.  Invariant: what `_miss` gives C++ to remember was run on concrete arrays
outside of any trace that records, so a remembered call never needs Python again.

    f = make_jit(fun, Options())        # what `jax.jit(fun)` returns
    f(x)                                # traces, compiles, runs
    f(x)                                # stays in C++
"""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from minijax.base import config, dtypes, errors, jaxlib, monitoring, source, tree, util
from minijax.core import (
    UNSPECIFIED, Jaxpr, Tracer, aval_of, check_operands, close, get_aval, is_ref,
    is_valid, jit_p, jit_params, staging_flag, state, trace_to_jaxpr, uses_refs,
    visible_axes)
from minijax.lax.placement import demanding
from minijax.passes import key_reuse
from minijax.passes.discharge import Plain, bind_program, check_distinct, returned_ref
from minijax.passes.leaks import watched
from minijax.runtime import arguments, backend, explain, place, special, where
from minijax.runtime.arguments import CallDebug, Resolved
from minijax.runtime.compile import Executable, Placement, compile_jaxpr
from minijax.runtime.hitypes import Low, on_arrays
from minijax.sharding import PartitionSpec
from minijax.sharding.context import named
from minijax.sharding.layout import Format, Layout
from minijax.sharding.mesh import mesh_context

Array = jaxlib.Array
ArrayImpl = jaxlib.ArrayImpl

_parse = jaxlib.jax_jit.parse_arguments
_registry = tree.registry
_dispatch_registry = tree.dispatch_registry
_cache = jaxlib.PjitFunctionCache(capacity=8192)
_fused_cache = jaxlib.PjitFunctionCache(capacity=8192)

_CONCRETE = {ArrayImpl, np.ndarray, bool, int, float, complex}
_CONCRETE.update(t for t in np.sctypeDict.values() if issubclass(t, (np.number, np.bool_)))


class Options(NamedTuple):
    """What a call of `jit` asked for besides the function; hashable, so part of cache keys."""

    arguments: Resolved = Resolved()
    in_shardings: Any = UNSPECIFIED
    out_shardings: Any = UNSPECIFIED
    keep_unused: bool = False
    device: Any = None
    backend: str | None = None
    inline: bool = False
    compiler_options: tuple[tuple[str, Any], ...] = ()
    moves_arguments: bool = False  # to where the program wants them, committed or not
    in_mesh: bool = False  # under `with mesh:` it runs there, and None means everywhere


class FastPath(NamedTuple):
    """What C++ remembers of a call; it reads these names, and casts to a tuple."""

    xla_executable: Any
    out_pytree_def: Any
    in_shardings: Any
    out_shardings: Any
    out_avals: Any
    out_committed: Any
    kept_var_bitvec: Any
    in_device_local_layouts: Any
    const_args: Any


class Traced(NamedTuple):
    """A function traced at the types of one call; `captured` values are leading inputs."""

    jaxpr: Jaxpr
    captured: list
    closed: Jaxpr
    out_tree: Any
    donated: tuple[bool, ...]
    params: dict
    debug: CallDebug


class _Uncached(Exception):
    """Carries a trace past the cache: it captured tracers, which no cache may keep."""

    def __init__(self, traced: Traced):
        self.traced = traced


class _NotImplementedResult(Exception):
    """An operator's body returned NotImplemented."""


# ---------------------------------------------------------------------------- tracing


def _axes() -> tuple:
    """The named axes in scope: part of the key of every trace."""
    return visible_axes(state.trace) if state.trace.staging else ()


def _trace(fun: Callable, options: Options, signature: Any, count: int, avals: tuple,
           axes: tuple) -> Traced:
    """Trace `fun` for a call with `count` positional arguments whose leaves have these avals."""
    given = options.arguments
    static = arguments.positions(given.static_argnums, count)
    name = util.fun_name(fun)
    debug = CallDebug(name, arguments.parameters_of(fun), count, static, signature)
    _check_allowed(fun)
    if config.explain_cache_misses.value:
        explain.explain(fun, (options, signature, count, avals, axes), traces.cache_keys())

    def flat(*leaves: Any) -> list:
        args, kwargs = arguments.rebuild(signature, count, static, leaves)
        out = fun(*args, **kwargs)
        if out is NotImplemented:
            raise _NotImplementedResult
        outs, debug.out_tree = tree.flatten(out)
        _check_results(fun, outs, debug)
        return outs

    with monitoring.measured("/jax/core/compile/jaxpr_trace_duration", f"tracing {name} for jit",
                             fun_name=name):
        jaxpr, captured = watched(trace_to_jaxpr, flat, avals, debug)
    donated = arguments.donated_leaves(signature, count, static, given)
    ins, in_layouts = _parts(_flat_in_shardings(options, signature, len(captured)))
    outs, out_layouts = _parts(
        flat_shardings(options, options.out_shardings, debug.out_tree, "out_shardings"))
    params = jit_params(
        jaxpr, name, donated_invars=(False,) * len(captured) + donated,
        in_shardings=ins, out_shardings=outs, inline=options.inline,
        keep_unused=options.keep_unused, compiler_options_kvs=options.compiler_options)
    if in_layouts is not None:
        params["in_layouts"] = in_layouts
    if out_layouts is not None:
        params["out_layouts"] = out_layouts
    traced = Traced(jaxpr, captured, close(jaxpr, captured), debug.out_tree, donated, params, debug)
    if any(isinstance(x, Tracer) for x in captured):
        raise _Uncached(traced)
    return traced


def _check_allowed(fun: Callable) -> None:
    if config.no_tracing.value:
        raise RuntimeError(
            f"re-tracing function {arguments.where_defined(fun)} for `jit`, but 'no_tracing' is "
            "set")


traces = util.trace_cache(_trace, maxsize=8192)


def trace_call(fun: Callable, options: Options, signature: Any, count: int,
               avals: tuple) -> Traced:
    """`_trace` through its cache, which holds `fun` weakly."""
    try:
        return traces(fun, options, signature, count, avals, _axes())
    except _Uncached as found:
        return found.traced


def _check_results(fun: Callable, outs: list, debug: CallDebug) -> None:
    for i, x in enumerate(outs):
        if type(x) in _CONCRETE:
            continue
        if isinstance(x, Tracer) or is_valid(x):
            if is_ref(aval_of(x)):
                raise returned_ref(arguments.where_defined(fun), "jit", x)
            continue
        path = debug.result_paths[i].removeprefix("result")
        where = f" at output component {path}" if path else ""
        raise TypeError(errors.describe(
            f"function {arguments.where_defined(fun)} traced for jit returned a value of type "
            f"{type(x)}{where}, which is not a valid JAX type",
            fix="return arrays and numbers only, in tuples, lists and dicts"))


# ---------------------------------------------------------------------------- shardings


class Prefix(NamedTuple):
    """A tree of shardings as a hashable value, to be spread over the leaves of a call."""

    leaves: tuple
    treedef: Any

    @classmethod
    def of(cls, value: Any) -> "Prefix":
        """The tree `value`, in which None is a leaf."""
        leaves, treedef = tree.flatten(value, is_leaf=lambda x: x is None)
        return cls(tuple(leaves), treedef)


def prefix_of(shardings: Any) -> Any:
    """A user's tree of shardings as an Options field."""
    if shardings is UNSPECIFIED:
        return UNSPECIFIED
    given = Prefix.of(shardings)
    return given._replace(leaves=tuple(map(_one_sharding, given.leaves)))


def _one_sharding(x: Any) -> Any:
    if x is None or x is UNSPECIFIED:
        return UNSPECIFIED
    if isinstance(x, (PartitionSpec, Format)):  # the mesh is that in context at tracing
        return x
    if isinstance(x, (Layout, type(Layout.AUTO))):
        raise ValueError("`jax.jit` does not accept device-local layouts directly. Create a "
                         "`Format` instance wrapping this device-local layout and pass that to "
                         f"`jit` instead. Got {x}")
    sharding = place.target_sharding(x)
    if any(entry is PartitionSpec.UNCONSTRAINED for entry in getattr(sharding, "spec", ())):
        raise ValueError("Unconstrained dims are not allowed in in_shardings and out_shardings "
                         f"of jit. Got {sharding}")
    return UNSPECIFIED if sharding is None else sharding


def flat_shardings(options: Options, prefix: Any, treedef: Any, name: str) -> tuple | None:
    """One sharding per leaf of a structure; None when none was given."""
    if prefix is UNSPECIFIED:
        return None
    what = f"{'p' * options.in_mesh}jit {name}"
    mesh = mesh_context.value if options.in_mesh else None
    given = prefix.treedef.unflatten([
        named(PartitionSpec() if mesh is not None and x is UNSPECIFIED else x, what, mesh)
        for x in prefix.leaves])
    full = treedef.unflatten(range(treedef.num_leaves))
    try:
        return tuple(tree.broadcast_prefix(given, full, is_leaf=lambda x: x is None))
    except ValueError as error:
        raise ValueError(
            f"{what} specification must be a tree prefix of the corresponding value; {error}"
        ) from None


def _parts(given: tuple | None) -> tuple[tuple | None, tuple | None]:
    """The shardings and the layouts of what was given for each leaf."""
    if given is None or not any(isinstance(x, Format) for x in given):
        return given, None
    shardings = [x.sharding if isinstance(x, Format) else x for x in given]
    layouts = tuple(x.layout if isinstance(x, Format) else None for x in given)
    return tuple(UNSPECIFIED if s is None else s for s in shardings), layouts


def _flat_in_shardings(options: Options, signature: Any, num_captured: int) -> tuple | None:
    if options.in_shardings is UNSPECIFIED:
        return None
    treedefs = signature.dynamic_arg_treedefs
    names = len(signature.dynamic_arg_names)
    positional = tree.treedef_tuple(treedefs[:len(treedefs) - names])
    given = flat_shardings(options, options.in_shardings, positional, "in_shardings")
    rest = sum(treedef.num_leaves for treedef in treedefs[len(treedefs) - names:])
    return (UNSPECIFIED,) * num_captured + given + (UNSPECIFIED,) * rest


# ---------------------------------------------------------------------------- where to run


def placement(traced: Traced, options: Options, leaves: Sequence[Any]) -> Placement:
    """Where a program runs: as options say, else where its committed arguments are."""
    if options.device is not None:
        return where.on_device(options.device, traced.jaxpr)
    if options.backend is not None:
        client = backend.get_client(options.backend)
        return where.on_device(backend.first_local_device(client), traced.jaxpr)
    params, n = traced.params, len(traced.captured)
    operands = [None] * len(leaves) if options.moves_arguments else leaves
    found = where.choose(where.Wishes(
        traced.jaxpr, [*traced.captured, *operands], params["in_shardings"],
        params["out_shardings"], lambda: _names(traced), traced.debug.fun_name,
        mesh_context.value if options.in_mesh else None))
    found = found._replace(in_shardings=found.in_shardings[n:], in_layouts=found.in_layouts[n:])
    if any(params["in_layouts"]) or any(params["out_layouts"]):
        in_layouts = params["in_layouts"][n:]
        _check_layouts(in_layouts, leaves)
        own = found.in_layouts or (None,) * len(in_layouts)
        in_layouts = tuple(given or layout for given, layout in zip(in_layouts, own, strict=True))
        return found._replace(in_layouts=in_layouts, out_layouts=params["out_layouts"])
    return found


def _check_layouts(layouts: Sequence[Any], leaves: Sequence[Any]) -> None:
    for layout, x in zip(layouts, leaves, strict=True):
        if isinstance(layout, Layout):
            layout.check_compatible_aval(get_aval(x).shape)
        if isinstance(layout, Layout) and type(x) is ArrayImpl and x._committed:
            found = place.layout_of(x)
            if found.major_to_minor != layout.major_to_minor:
                raise ValueError(
                    "Layout passed to jit does not match the layout on the respective arg. Got "
                    f"layout: {layout}, arg layout: {found} for arg type: "
                    f"{x.aval.str_short(False)}")


def _names(traced: Traced) -> list[str]:
    hidden = [f"<captured constant {i}>" for i in range(len(traced.captured))]
    return [*hidden, *traced.debug.arg_names]


# ---------------------------------------------------------------------------- running


def run_traced(traced: Traced, options: Options,
               leaves: list) -> tuple[list, Executable | None]:
    """Compile (or find) the program of a trace and run it on concrete leaves.

    The program is None where C++ must not remember it, because it changes references.
    """
    program = on_arrays(traced.closed)
    if program is not None:
        outs, executable = run_traced(on_values(traced, program), options,
                                      program.values(leaves))
        return program.write_back(leaves, outs), executable if program.is_pure else None
    chosen = placement(traced, options, leaves)
    donated = () if special.enabled() else traced.donated
    executable = compile_jaxpr(
        traced.closed, traced.debug.fun_name, chosen, donated, options.keep_unused,
        options.compiler_options)
    try:
        return _execute(executable, traced.closed, leaves), executable
    except OverflowError as error:
        raise _overflow(traced, leaves) from error


def on_values(traced: Traced, program: Plain | Low) -> Traced:
    """A trace that takes references or values of high types as one that takes arrays."""
    given = traced.params
    ins, outs = program.shardings(tuple(given["in_shardings"])[len(traced.captured):],
                                  tuple(given["out_shardings"]))
    params = jit_params(program.jaxpr, given["name"], keep_unused=given["keep_unused"],
                        in_shardings=ins, out_shardings=outs)
    return traced._replace(jaxpr=program.jaxpr, captured=[], closed=program.jaxpr, params=params,
                           donated=params["donated_invars"])


def _execute(executable: Executable, jaxpr: Jaxpr, leaves: Sequence[Any],
             shown: str = "jit-compiled function") -> list:
    """Run a program, unless an option forbids it, and look at its results if one asks for it."""
    if config.no_execution.value:
        raise RuntimeError(
            f"JAX tried to execute function jit({executable.name}), but the no_execution config "
            "option is set")
    uses = key_reuse.uses_of(jaxpr) if config.debug_key_reuse.value else None
    if uses is not None:
        key_reuse.check_call(shown, uses, [*jaxpr.consts, *leaves])
    outs = executable.run(executable.arguments(leaves))
    if uses is not None:
        key_reuse.note_call(uses, [*jaxpr.consts, *leaves], outs)
    if special.enabled():
        special.check(executable.name, outs, jaxpr, leaves)
    return outs


def _overflow(traced: Traced, leaves: list) -> OverflowError:
    for name, aval, x in zip(traced.debug.arg_names, traced.closed.in_avals, leaves, strict=True):
        if type(x) is int and not np.iinfo(aval.dtype).min <= x <= np.iinfo(aval.dtype).max:
            return OverflowError(
                "An overflow was encountered while parsing an argument to a jitted computation, "
                f"whose argument path is {name}. Got {type(x)} with value {x}")
    return OverflowError("An overflow was encountered while parsing the arguments")


def fast_path(executable: Executable | None, out: Any, out_tree: Any) -> FastPath | None:
    """What C++ may remember of a call with result `out`; None when each call needs Python."""
    if (executable is None or executable.effects or special.enabled()
            or config.debug_key_reuse.value):
        return None
    if executable.wrap is not None:
        if any(aval.dtype == dtypes.float0 for aval in executable.out_avals):
            return None
        out_tree = _dispatch_registry.flatten(out)[1]  # C++ puts keys together out of words
    if executable.in_layouts is not None:
        return None
    consts = executable.const_args
    shardings = [c._sharding for c in consts] + executable.in_shardings
    return FastPath(
        executable.loaded, out_tree, shardings, executable.out_shardings, executable.out_avals,
        executable.out_committed, [True] * len(consts) + list(executable.kept),
        [None] * len(shardings), consts)


# ---------------------------------------------------------------------------- calls


def leaf_avals(leaves: list, fun: Callable, signature: Any, count: int,
               static: tuple[int, ...]) -> tuple:
    """The avals of a call's leaves; TypeError naming the argument that has none."""
    avals: list[Any] = []
    for i, x in enumerate(leaves):
        try:
            avals.append(x.aval if type(x) is ArrayImpl or isinstance(x, Tracer) else get_aval(x))
        except TypeError as error:
            known = arguments.parameters_of(fun)
            fixed = arguments.positions(static, count)
            names = CallDebug("", known, count, fixed, signature).arg_names
            raise TypeError(errors.describe(
                f"Error interpreting argument to {fun} as an abstract array. The problematic "
                f"value is of type {type(x)} and was passed to the function at path {names[i]}.\n"
                "This typically means that a jit-wrapped function was called with a non-array "
                "argument, and this argument was not marked as static using the static_argnums "
                "or static_argnames parameters of jax.jit.",
                fix=f"jax.jit(f, static_argnames={names[i].partition('[')[0]!r})")) from error
    return tuple(avals)


def call_jit(fun: Callable, options: Options, args: tuple, kwargs: dict) -> tuple:
    """One call that C++ has no answer for: (result, FastPath or None, whether to forget)."""
    given = options.arguments
    signature, leaves = _parse(args, tuple(kwargs.values()), tuple(kwargs), given.static_argnums,
                               given.static_argnames, _registry)
    avals = leaf_avals(leaves, fun, signature, len(args), given.static_argnums)
    traced = trace_call(fun, options, signature, len(args), avals)
    if uses_refs(traced.jaxpr):
        check_distinct(traced.captured, leaves, traced.debug.arg_names,
                       f"{arguments.where_defined(fun)} for jit")
    if _must_bind(leaves, traced.captured):
        params = demanding(traced.params)
        outs = bind_program(jit_p, [*traced.captured, *leaves], params, params["jaxpr"])
        return traced.out_tree.unflatten(outs), None, True
    return _run(traced, options, leaves)


def _must_bind(leaves: list, captured: list) -> bool:
    """Whether a call becomes an equation (or goes through rules) instead of being run."""
    if state.trace.staging:
        return True
    for x in leaves:
        if isinstance(x, Tracer):
            return True
    return any(isinstance(x, Tracer) for x in captured)


def make_jit(fun: Callable, options: Options) -> Any:
    """The C++ function of `jax.jit(fun, ...)`."""
    fun = weakly_keyable(fun)
    itself: list[weakref.ref] = []

    def cache_miss(*args: Any, **kwargs: Any) -> tuple:
        try:
            return call_jit(fun, options, args, kwargs)
        except BaseException as error:
            raise _recover(itself, error)

    return _make(fun, options, cache_miss, itself, _cache)


def fused(fun: Callable | None = None, *, static_argnames: str | Sequence[str] | None = None,
          static_argnums: int | Sequence[int] | None = None) -> Any:
    """Decorator of array functions: one program when called on arrays, inlined under a trace.

    `fused(f).body` is `f` itself, for callers that know that they hold tracers.
    """
    if fun is None:
        return functools.partial(fused, static_argnames=static_argnames,
                                 static_argnums=static_argnums)
    given = arguments.resolve(fun, static_argnums, static_argnames)
    options = Options(given)
    numbers, names = given.static_argnums, given.static_argnames
    itself: list[weakref.ref] = []

    def cache_miss(*args: Any, **kwargs: Any) -> tuple:
        if state.trace.staging:
            return fun(*args, **kwargs), None, True
        signature, leaves = _parse(args, tuple(kwargs.values()), tuple(kwargs), numbers, names,
                                   _registry)
        for x in leaves:
            if type(x) not in _CONCRETE and not _is_concrete(x):
                return fun(*map(_unwrapped, args), **kwargs), None, True
        try:
            return _call_fused(fun, options, signature, len(args), leaves)
        except _NotImplementedResult:
            return NotImplemented, None, True
        except BaseException as error:
            raise _recover(itself, error)

    made = _make(fun, options, cache_miss, itself, _fused_cache)
    made.body = fun
    return made


def _unwrapped(x: Any) -> Any:
    """The array that an argument of an unusual type stands for: it may be a tracer."""
    if isinstance(x, Tracer) or not hasattr(x, "__jax_array__"):
        return x
    return x.__jax_array__()


def _is_concrete(x: Any) -> bool:
    """Whether a leaf of an unusual type is an array that can be given to a program."""
    if isinstance(x, Tracer) or not is_valid(x):
        return False
    return not hasattr(x, "__jax_array__")


def _call_fused(fun: Callable, options: Options, signature: Any, count: int,
                leaves: list) -> tuple:
    avals = leaf_avals(leaves, fun, signature, count, options.arguments.static_argnums)
    traced = trace_call(fun, options, signature, count, avals)
    return _run(traced, options, leaves)


def _run(traced: Traced, options: Options, leaves: list) -> tuple:
    outs, executable = run_traced(traced, options, leaves)
    out = traced.out_tree.unflatten(outs)
    if staging_flag.value != state.trace.staging:
        return out, None, True  # the key would not describe the trace that a later call is in
    fast = fast_path(executable, out, traced.out_tree)
    return out, fast, fast is None


def _recover(itself: list[weakref.ref], error: BaseException) -> BaseException:
    """Undo what C++ does on an exception: it sends that signature to Python for ever after."""
    function = itself[0]()
    if function is not None:
        function._clear_cache()
    return source.hide_internal_frames(error)


def _make(fun: Callable, options: Options, cache_miss: Callable, itself: list,
          cache: Any) -> Any:
    given = options.arguments
    made = jaxlib.pjit(
        util.fun_name(fun), fun, cache_miss, given.static_argnums, given.static_argnames, options,
        _dispatch_registry, place.shard_arg, cache)
    itself.append(weakref.ref(made))
    functools.update_wrapper(made, fun)
    return made


def weakly_keyable(fun: Callable) -> Callable:
    """`fun`, or a function that calls it where it cannot be hashed or weakly referred to."""
    try:
        hash(fun)
        weakref.ref(fun)
        return fun
    except TypeError:
        return functools.wraps(fun, updated=())(lambda *args, **kwargs: fun(*args, **kwargs))


# ---------------------------------------------------------------------------- flat programs


class FlatOptions(NamedTuple):
    """How to run a jaxpr on flat operands; hashable."""

    name: str
    multiple_results: bool = True
    donated: tuple[bool, ...] = ()
    keep_unused: bool = False
    in_shardings: tuple = ()
    out_shardings: tuple = ()
    compiler_options: tuple = ()


def make_flat(options: FlatOptions, jaxpr_at: Callable[[tuple], Jaxpr]) -> Any:
    """A C++ function of flat operands that runs `jaxpr_at(avals)`."""
    itself: list[weakref.ref] = []

    def cache_miss(*operands: Any) -> tuple:
        try:
            return _call_flat(options, jaxpr_at, operands)
        except BaseException as error:
            raise _recover(itself, error)

    def without_jit(*operands: Any) -> Any:
        # C++ comes here under disable_jit, which is about users' functions, not operations.
        with config.disable_jit(False):
            return itself[0]()(*operands)

    made = jaxlib.pjit(options.name, without_jit, cache_miss, (), (), (), _dispatch_registry,
                       place.shard_arg, _flat_cache)
    itself.append(weakref.ref(made))
    return made


_flat_cache = jaxlib.PjitFunctionCache(capacity=8192)


def _call_flat(options: FlatOptions, jaxpr_at: Callable, operands: tuple) -> tuple:
    for x in operands:
        if isinstance(x, Tracer):
            raise errors.UnexpectedTracerError(x)
    try:
        avals = tuple(get_aval(x) for x in operands)
    except TypeError:
        check_operands(options.name, operands)
        raise
    jaxpr = jaxpr_at(avals)
    program = on_arrays(jaxpr)
    if program is not None:
        return _call_flat_on_values(options, program, operands)
    placement = _flat_placement(options, operands, jaxpr)
    executable = compile_jaxpr(
        jaxpr, options.name, placement, () if special.enabled() else options.donated,
        options.keep_unused, options.compiler_options)
    outs = _execute(executable, jaxpr, operands, options.name)
    result = outs if options.multiple_results else outs[0]
    fast = fast_path(executable, result, tree.structure(result))
    return result, fast, fast is None


def _call_flat_on_values(options: FlatOptions, program: Plain | Low, operands: tuple) -> tuple:
    """The same for a program that takes other values than arrays, which is run on arrays."""
    values = tuple(program.values(operands))
    outs, fast, forget = _call_flat(FlatOptions(options.name), lambda avals: program.jaxpr, values)
    outs = program.write_back(operands, outs)
    result = outs if options.multiple_results else outs[0]
    if program.is_pure and options.multiple_results:
        return result, fast, forget
    return result, None, True


def _flat_placement(options: FlatOptions, operands: tuple, jaxpr: Jaxpr) -> Placement:
    ins = options.in_shardings or (UNSPECIFIED,) * len(operands)
    outs = options.out_shardings or (UNSPECIFIED,) * len(jaxpr.outvars)
    names = [f"operand {i}" for i in range(len(operands))]
    return where.choose(where.Wishes(jaxpr, operands, ins, outs, lambda: names, options.name))


def _make_jaxpr_function(jaxpr: Jaxpr, options: FlatOptions) -> Any:
    found = weakref.ref(jaxpr)  # a strong reference from the cached value would keep the key alive
    return make_flat(options, lambda avals: found())


jaxpr_function = jaxlib.weakref_lru_cache(lambda: None, _make_jaxpr_function, 8192)


def _jit_impl(*operands: Any, jaxpr: Jaxpr, name: str, donated_invars: tuple, keep_unused: bool,
              in_shardings: tuple, out_shardings: tuple, compiler_options_kvs: tuple,
              **rest: Any) -> list:
    """Run a jit equation whose operands are all concrete."""
    options = FlatOptions(name, True, donated_invars, keep_unused, in_shardings, out_shardings,
                          compiler_options_kvs)
    return jaxpr_function(jaxpr, options)(*operands)


jit_p.impl = _jit_impl


def clear_caches() -> None:
    """Forget all traces and all that C++ remembers of calls."""
    traces.cache_clear()
    compile_jaxpr.cache_clear()
    jaxpr_function.cache_clear()
    for cache in (_cache, _fused_cache, _flat_cache):
        cache.clear()
