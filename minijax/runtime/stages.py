"""The stages of ahead-of-time compilation: Traced, Lowered, Compiled.

    traced = trace(f, options, args, kwargs)    # has the jaxpr
    lowered = traced.lower()                    # has the StableHLO text
    compiled = lowered.compile()                # can be called, with exactly these types

Invariant: a Compiled never runs a program on arguments of other types than it was compiled for;
the program itself would not notice.
"""

import copy
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from minijax.base import jaxlib, tree, util
from minijax.core import DebugInfo, Jaxpr, Ref, ShapedArray, Tracer, get_aval
from minijax.runtime import call, place
from minijax.runtime.call import Options
from minijax.runtime.compile import Executable, Placement, Program, lower_jaxpr
from minijax.runtime.hitypes import on_arrays
from minijax.sharding.layout import Format, Layout, unusual

ArrayImpl = jaxlib.ArrayImpl

# Set by minijax.api.jit: aval and sharding to the ShapeDtypeStruct of `out_info`.
struct_of: Callable[[ShapedArray, Any], Any]

_NEW_ERROR = (
    "Argument types differ from the types for which this computation was compiled. Perhaps you "
    "are calling the compiled executable with a different enable_x64 mode than when it was AOT "
    "compiled? The mismatches are:\n")


CompilerOptions = dict[str, str | bool]


@runtime_checkable
class Wrapped(Protocol):
    """What `jit` returns: a function that can also be traced and lowered ahead of time."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    def trace(self, *args: Any, **kwargs: Any) -> "Traced": ...

    def lower(self, *args: Any, **kwargs: Any) -> "Lowered": ...


@dataclasses.dataclass(frozen=True)
class ArgInfo:
    """One argument of a staged function: its type, and whether it is donated."""

    _aval: ShapedArray
    donated: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the argument."""
        return self._aval.shape

    @property
    def dtype(self) -> Any:
        """The dtype of the argument."""
        return self._aval.dtype


class _Stage:
    """What all stages know: the structure and the types of arguments and results."""

    def __init__(self, traced: call.Traced, in_tree: Any, options: Options):
        self._traced = traced
        self._options = options
        self.in_tree = in_tree
        self.out_tree = traced.out_tree

    @property
    def in_avals(self) -> Any:
        """The types of the arguments, as (args, kwargs)."""
        return self.in_tree.unflatten(self._traced.closed.in_avals)

    @property
    def args_info(self) -> Any:
        """An ArgInfo for each argument, as (args, kwargs)."""
        infos = map(ArgInfo, self._traced.closed.in_avals, self._traced.donated)
        return self.in_tree.unflatten(list(infos))

    @property
    def donate_argnums(self) -> tuple[int, ...]:
        """The numbers of the flat arguments that are donated."""
        return tuple(i for i, donated in enumerate(self._traced.donated) if donated)

    @property
    def out_info(self) -> Any:
        """The shape and dtype of each result, and the sharding that was asked for."""
        params = self._traced.params
        return self.out_tree.unflatten([
            struct_of(aval, Format(layout, s) if isinstance(s, jaxlib.Sharding) else None)
            for aval, s, layout in zip(self._traced.closed.out_avals, params["out_shardings"],
                                       params["out_layouts"], strict=True)])


class Traced(_Stage):
    """A function traced for given types, ready to be lowered."""

    def __init__(self, traced: call.Traced, in_tree: Any, options: Options, leaves: list):
        super().__init__(traced, in_tree, options)
        self._leaves = leaves  # until somebody asks where the program is to run
        self._inner = on_arrays(traced.closed)

    @functools.cached_property
    def placement(self) -> Placement:
        """Where arguments and results are."""
        traced, leaves = self._traced, self._leaves
        if self._inner is not None:
            traced, leaves = call.on_values(traced, self._inner), self._inner.values(leaves)
        found = call.placement(traced, self._options, leaves)
        self._leaves = []
        return found

    @property
    def jaxpr(self) -> Jaxpr:
        """The program."""
        return self._traced.closed

    @property
    def fun_name(self) -> str:
        """The name of the traced function."""
        return self._traced.debug.fun_name

    @property
    def donated(self) -> tuple[bool, ...]:
        """Which of the flat arguments are donated."""
        return self._traced.donated

    @property
    def result_paths(self) -> tuple[str, ...]:
        """What the results are called."""
        return self._traced.debug.result_paths

    @property
    def out_avals(self) -> Any:
        """The types of the results."""
        return self.out_tree.unflatten(self._traced.closed.out_avals)

    def lower(self, *, lowering_platforms: tuple[str, ...] | None = None) -> "Lowered":
        """Lower to StableHLO, for the platform of the arguments or for another one."""
        jaxpr, debug, donated = self.jaxpr, self._traced.debug, self._traced.donated
        if self._inner is not None:
            jaxpr, donated = self._inner.jaxpr, ()
            debug = DebugInfo("jit", debug.fun_name, *self._inner.names(debug))
        program = _lowered(
            jaxpr, debug, self.placement, donated,
            self._options.keep_unused, lowering_platforms[0] if lowering_platforms else None)
        return Lowered(self, program)


def _lower(jaxpr: Jaxpr, debug: Any, placement: Placement,
           donated: tuple[bool, ...], keep_unused: bool, platform: str | None) -> Program:
    return lower_jaxpr(
        jaxpr, debug.fun_name, placement, donated=donated, keep_unused=keep_unused,
        arg_names=lambda: debug.arg_names, result_names=lambda: debug.result_paths,
        platform=platform)


_lowered = util.trace_cache(_lower, maxsize=256)


class Lowered(_Stage):
    """A lowered function: StableHLO text, ready to be compiled."""

    def __init__(self, traced: Traced, program: Program):
        super().__init__(traced._traced, traced.in_tree, traced._options)
        self._inner = traced._inner
        self._program = program

    def compile(self, compiler_options: Mapping[str, Any] | None = None, *,
                device_assignment: Sequence[Any] | None = None) -> "Compiled":
        """Compile for the devices chosen at tracing; options are XLA flags by name."""
        program = self._program
        if device_assignment is not None:
            program = copy.copy(program)
            program.placement = program.placement.over(tuple(device_assignment))
        options = {**dict(self._options.compiler_options), **(compiler_options or {})}
        return Compiled(self, program.compile(sorted(options.items())))

    def as_text(self, dialect: str | None = None, *, debug_info: bool = False) -> str:
        """The program as text, in dialect "stablehlo" (default) or "hlo"."""
        if dialect in (None, "stablehlo"):
            return self._program.lowered.text(debug_info=debug_info)
        options = jaxlib.HloPrintOptions.short_parsable()
        options.print_metadata = debug_info
        return self.compiler_ir(dialect).get_hlo_module().to_string(options)

    def compiler_ir(self, dialect: str | None = None) -> Any:
        """The program as the compiler's own object: an MLIR module or an XlaComputation."""
        if dialect in (None, "stablehlo"):
            return self._program.module
        if dialect != "hlo":
            raise ValueError(f"unknown dialect: {dialect}")
        text = self._program.lowered.text(debug_info=True)
        return jaxlib._jax.mlir.mlir_module_to_xla_computation(
            text, use_tuple_args=False, return_tuple=False)

    def cost_analysis(self) -> dict[str, Any] | None:
        """XLA's estimate of the cost of the unoptimised program; None when there is none."""
        client = self._program.placement.devices[0].client
        module = self.compiler_ir("hlo").get_hlo_module()
        return jaxlib._jax.hlo_module_cost_analysis(client, module)


class Compiled(_Stage):
    """A compiled function; call it with arguments of the types that it was compiled for."""

    def __init__(self, lowered: Any, executable: Executable):
        super().__init__(lowered._traced, lowered.in_tree, lowered._options)
        self._executable = executable
        self._inner = lowered._inner
        self._names = self._traced.debug.arg_names
        if self._inner is not None:
            self._names, _ = self._inner.names(self._traced.debug)
        self._call = jaxlib.pjit(
            executable.name, None, self._miss, (), (), (), tree.dispatch_registry,
            place.shard_arg, None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The result; TypeError or ValueError when the arguments are not as compiled for."""
        return self._call(*args, **kwargs)

    def _miss(self, *args: Any, **kwargs: Any) -> tuple:
        leaves, given = tree.flatten((args, kwargs))
        for x in leaves:
            if isinstance(x, Tracer):
                raise TypeError(
                    "Cannot apply JAX transformations to a function lowered and compiled for a "
                    f"particular signature. Detected argument of Tracer type {type(x)}.")
        if given != self.in_tree:
            raise TypeError(_tree_error(self.in_tree, given))
        values = leaves if self._inner is None else self._inner.values(leaves)
        self._check_types(values)
        self._check_shardings(values)
        values = self._in_order(values)
        executable = self._executable
        outs = executable.run(executable.arguments(values))
        if self._inner is not None:
            outs = self._inner.write_back(leaves, outs)
            executable = executable if self._inner.is_pure else None
        out = self.out_tree.unflatten(outs)
        fast = call.fast_path(executable, out, self.out_tree)
        return out, fast, fast is None

    def _check_types(self, leaves: list) -> None:
        wrong = []
        for name, aval, x in zip(self._names, self._executable.in_avals, leaves, strict=True):
            place.check_leaf(x)
            found = get_aval(x)
            if found.shape != aval.shape or found.dtype != aval.dtype:
                wrong.append(f"Argument '{name}' compiled with {aval.str_short(False)} and called "
                             f"with {found.str_short(False)}")
        if wrong:
            raise TypeError(_NEW_ERROR + "\n".join(wrong))

    def _check_shardings(self, leaves: list) -> None:
        executable = self._executable
        if self._options.device is not None or self._options.moves_arguments:
            return  # arguments go where the program is
        names = util.select(self._names, executable.kept)
        kept = util.select(leaves, executable.kept)
        wrong = [
            f"Argument {name} with shape {x.aval.str_short(False)}:\n"
            f"  Passed sharding: {x._sharding}\n  Required sharding: {wanted}"
            for name, x, wanted in zip(names, kept, executable.in_shardings, strict=True)
            if type(x) is ArrayImpl and x._committed
            and not x._sharding.is_equivalent_to(wanted, x.ndim)]
        if wrong:
            raise ValueError(
                "Computation was compiled for input shardings that disagree with the shardings "
                f"of arguments passed to it. Here are the {len(wrong)} mismatches:\n"
                + "\n".join(wrong))

    @functools.cached_property
    def _in_layouts(self) -> list:
        if self._executable.ordered:  # XLA tells no layouts where there are tokens
            return [None] * len(self._executable.in_shardings)
        found = self._executable.loaded.get_parameter_layouts()
        return list(map(unusual, found[len(self._executable.const_args):]))

    def _in_order(self, leaves: list) -> list:
        """The arguments with their elements in the order that the program was compiled for."""
        found = list(map(place.unusual_layout, leaves))
        wanted = self._spread(self._in_layouts)
        if not any(found) and not any(wanted):
            return leaves
        out, wrong = list(leaves), []
        for i, (x, own, layout) in enumerate(zip(leaves, found, wanted, strict=True)):
            if own != layout and type(x) is ArrayImpl and self._executable.kept[i]:
                usual = Layout(tuple(range(x.ndim)))
                if x._committed:
                    wrong.append(f"Argument {self._names[i]} with shape {x.aval.str_short(False)}:"
                                 f"\n  Passed layout: {own or usual}\n"
                                 f"  Required layout: {layout or usual}")
                else:
                    out[i] = place.relayout(x, layout or usual)
        if wrong:
            raise ValueError(
                "Computation was compiled for input layouts that disagree with the layouts of "
                f"arguments passed to it. Here are the {len(wrong)} mismatches:\n"
                + "\n".join(wrong))
        return out

    def as_text(self) -> str:
        """The optimised program as HLO text."""
        return "\n\n".join(m.to_string() for m in self._executable.loaded.hlo_modules())

    def cost_analysis(self) -> Any:
        """XLA's estimate of the cost of the optimised program."""
        return self._executable.loaded.cost_analysis()

    def memory_analysis(self) -> Any:
        """XLA's account of the memory that the program needs."""
        return self._executable.loaded.get_compiled_memory_stats()

    def runtime_executable(self) -> Any:
        """The loaded executable of the runtime."""
        return self._executable.loaded

    @property
    def input_shardings(self) -> Any:
        """Where the arguments must be, as (args, kwargs); None for those never read."""
        return self.in_tree.unflatten(self._spread(self._executable.in_shardings))

    @property
    def output_shardings(self) -> Any:
        """Where the results are."""
        return self.out_tree.unflatten(self._executable.out_shardings)

    @property
    def input_formats(self) -> Any:
        """Layout and sharding of each argument, as (args, kwargs)."""
        found = self._executable.loaded.get_parameter_layouts()
        found = found[len(self._executable.const_args):]
        formats = map(_format, found, self._executable.in_shardings)
        return self.in_tree.unflatten(self._spread(list(formats)))

    @property
    def output_formats(self) -> Any:
        """Layout and sharding of each result."""
        found = self._executable.loaded.get_output_layouts()
        return self.out_tree.unflatten(list(map(_format, found, self._executable.out_shardings)))

    @property
    def out_info(self) -> Any:
        """The shape, dtype and sharding of each result."""
        executable = self._executable
        infos = map(struct_of, executable.result_avals, executable.out_shardings)
        return self.out_tree.unflatten(list(infos))

    def facts(self) -> dict[str, Any]:
        """All that `restored` needs beside the executable and the trees."""
        traced = self._traced
        return {"types": (traced.closed.in_avals, traced.closed.out_avals),
                "donated": traced.donated, "names": self._names,
                "moves": self._options.moves_arguments or self._options.device is not None}

    @classmethod
    def restored(cls, executable: Executable, in_tree: Any, out_tree: Any,
                 facts: dict[str, Any]) -> "Compiled":
        """A compiled function whose executable was loaded again."""
        in_avals, out_avals = facts["types"]
        traced = SimpleNamespace(
            closed=SimpleNamespace(in_avals=in_avals, out_avals=out_avals), out_tree=out_tree,
            donated=facts["donated"], debug=SimpleNamespace(arg_names=facts["names"]))
        options = SimpleNamespace(device=None, moves_arguments=facts["moves"])
        return cls(SimpleNamespace(_traced=traced, in_tree=in_tree, _options=options, _inner=None),
                   executable)

    def _spread(self, of_kept: Sequence[Any]) -> list[Any]:
        """One entry per flat argument, None for the dropped ones."""
        rest = iter(of_kept)
        return [next(rest) if keep else None for keep in self._executable.kept]


def _format(layout: Any, sharding: Any) -> Format:
    return Format(Layout.from_pjrt_layout(layout), sharding)


def _tree_error(seen: Any, given: Any) -> str:
    found = list(_differences("", seen, given))
    lines = "\n".join(f"    * at {where}, {text}" for where, text in found)
    return (
        "Function compiled with input pytree does not match the input pytree it was called with. "
        f"There are {len(found)} mismatches, including:\n{lines}")


def _differences(path: str, seen: Any, given: Any) -> Any:
    """(place, text) for each place where two structures part."""
    one, two = seen.node_data(), given.node_data()
    if one == two and len(seen.children()) == len(given.children()):
        for key, a, b in zip(_keys(path, seen), seen.children(), given.children(), strict=True):
            yield from _differences(path + key, a, b)
        return
    yield path or "the top", f"seen {_node(seen)} but now given {_node(given)}"


def _keys(path: str, treedef: Any) -> list[str]:
    kind, data = treedef.node_data() or (None, None)
    if not path and kind is tuple:
        return ["args", "kwargs"]
    if kind is dict:
        return [f"[{key!r}]" for key in data]
    return [f"[{i}]" for i in range(len(treedef.children()))]


def _node(treedef: Any) -> str:
    data = treedef.node_data()
    if data is None:
        return "pytree leaf"
    count = len(treedef.children())
    kind = getattr(data[0], "__name__", data[0])
    keys = f" with keys {list(data[1])}" if data[0] is dict else ""
    return f"{kind} of length {count}{keys}"


# ---------------------------------------------------------------------------- the front


def trace(fun: Callable, options: Options, args: tuple, kwargs: dict) -> Traced:
    """Trace a function for arguments that may be arrays or anything with a shape and a dtype."""
    given = options.arguments
    signature, leaves = jaxlib.jax_jit.parse_arguments(
        args, tuple(kwargs.values()), tuple(kwargs), given.static_argnums, given.static_argnames,
        tree.registry)
    leaves = [_stand_in(x) for x in leaves]
    avals = call.leaf_avals(leaves, fun, signature, len(args), given.static_argnums)
    traced = call.trace_call(fun, options, signature, len(args), avals)
    return Traced(traced, _in_tree(signature), options, leaves)


def _stand_in(x: Any) -> Any:
    """A value with an aval for anything that has a shape and a dtype."""
    if (isinstance(x, (ArrayImpl, Tracer, Ref, np.ndarray, np.generic)) or not hasattr(x, "shape")
            or getattr(x, "is_ref", False)):
        return x
    committed = getattr(x, "committed", True)  # an array of keys may be free to move
    return struct_of(_aval_of(x), getattr(x, "sharding", None) if committed else None)


def _aval_of(x: Any) -> ShapedArray:
    try:
        return get_aval(x)
    except TypeError:
        if not hasattr(x, "dtype"):
            raise
        return ShapedArray(tuple(x.shape), x.dtype, bool(getattr(x, "weak_type", False)))


def _in_tree(signature: Any) -> Any:
    """The structure of (args, kwargs) of the dynamic arguments."""
    treedefs = signature.dynamic_arg_treedefs
    names = signature.dynamic_arg_names
    count = len(treedefs) - len(names)
    args = tuple(t.unflatten([0] * t.num_leaves) for t in treedefs[:count])
    kwargs = {
        name: t.unflatten([0] * t.num_leaves)
        for name, t in zip(names, treedefs[count:], strict=True)}
    return tree.structure((args, kwargs))
