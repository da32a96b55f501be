"""From a jaxpr to a loaded program that arrays can be given to.

Invariant: an `Executable` does no checking.  jaxlib compares only the sizes of buffers, so whoever
calls it has made sure of dtypes and shapes (the C++ jit by its key, AOT by comparing avals).

    program = lower_jaxpr(jaxpr, "f", Placement(devices), donated=(False,))
    program.compile().run([x])
"""

import functools
import hashlib
import itertools
import logging
import operator
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minijax.base import config, dtypes, errors, jaxlib, monitoring, source, util
from minijax.base.util import select
from minijax.core import (UNSPECIFIED, Jaxpr, JaxprEqn, Values, lowerable_effects, ordered_effects,
                          shardable_ordered_effects, sharding_of, show_scope, trace_closed)
from minijax.lax.control_flow.common import used_inputs
from minijax.lax.moving import hosted
from minijax.passes import structure
from minijax.passes.physicalize import is_extended, mentions_keys, physicalize
from minijax.runtime import disk_cache, foreign, mappings, place, spmd, tokens
from minijax.sharding import NamedSharding, PartitionSpec
from minijax.sharding.context import physical_mesh
from minijax.sharding.layout import mode
from minijax.sharding.memory import in_memory_of
from minijax.sharding.mesh import mesh_context
from minijax.sharding.named import make, padded, with_devices
from minijax.sharding.single import SingleDeviceSharding, single_device

logger = logging.getLogger(__name__)

ArrayImpl = jaxlib.ArrayImpl

# A larger constant is passed as an argument: copying it into the program costs more than passing.
EMBED_BYTES = 4096
_TEXT_CACHE_SIZE = 256
_FAQ = "See an explanation at https://docs.jax.dev/en/latest/faq.html#buffer-donation."


class Placement(NamedTuple):
    """Where a program runs and where its arguments and results are.

    `in_shardings` and `out_shardings` hold a Sharding, or UNSPECIFIED for "as XLA likes". Devices
    that are all the same stand for those of an abstract mesh.
    """

    devices: tuple[Any, ...]
    in_shardings: tuple[Any, ...] = ()
    out_shardings: tuple[Any, ...] = ()
    committed: bool = False
    in_layouts: tuple[Any, ...] = ()
    out_layouts: tuple[Any, ...] = ()

    def over(self, devices: tuple[Any, ...]) -> "Placement":
        """The same with these devices, in place of those that an abstract mesh does not have."""
        ins, outs = (tuple(with_devices(s, devices) for s in shardings)
                     for shardings in (self.in_shardings, self.out_shardings))
        return self._replace(devices=devices, in_shardings=ins, out_shardings=outs)

    def complete(self, num_inputs: int, num_outputs: int) -> "Placement":
        """The same with a sharding, or UNSPECIFIED, for every argument and result."""
        return self._replace(
            in_shardings=self.in_shardings or (UNSPECIFIED,) * num_inputs,
            out_shardings=self.out_shardings or (UNSPECIFIED,) * num_outputs)


# ---------------------------------------------------------------------------- options


def compile_options(devices: Sequence[Any], extra: Iterable[tuple[str, Any]] = (),
                    auto_inputs: Sequence[bool] = (), auto_outputs: Sequence[bool] = (),
                    keep_barriers: bool = False) -> Any:
    """jaxlib's CompileOptions for an SPMD program over `devices`, from the configuration.

    With `keep_barriers`, optimization barriers hold until kernels are chosen.
    """
    options = jaxlib.xc.CompileOptions()
    build = options.executable_build_options
    options.num_replicas = build.num_replicas = 1
    options.num_partitions = build.num_partitions = len(devices)
    assignment = jaxlib.xc.DeviceAssignment.create(
        np.array([[device.id for device in devices]], np.int32))
    options.device_assignment = build.device_assignment = assignment
    # A module with sdy operations aborts the process (jaxlib >= 0.11) unless both are on.
    build.use_spmd_partitioning = True
    build.use_shardy_partitioner = True
    if len(devices) > 1:
        build.allow_spmd_sharding_propagation_to_parameters = list(auto_inputs) or [False]
        build.allow_spmd_sharding_propagation_to_output = list(auto_outputs) or [True]
    overrides = []
    for name, value in extra:
        if name in _BUILD_OPTIONS:
            setattr(build, name, _LEVELS.get(value, value))
        else:
            overrides.append((name, _option_value(value)))
    disabled = [build.debug_options.xla_disable_hlo_passes]
    if not config.compiler_enable_remat_pass.value:
        disabled = ["rematerialization"]
    if keep_barriers:
        disabled.append(_BARRIERS)
    build.debug_options.xla_disable_hlo_passes = ",".join(filter(None, disabled))
    level = config.optimization_level.value
    if level != "UNKNOWN":
        build.optimization_level = _LEVELS[level]
    if config.disable_most_optimizations.value:
        build.debug_options.xla_backend_optimization_level = 0
        build.debug_options.xla_llvm_disable_expensive_passes = True
        build.debug_options.xla_test_all_input_layouts = False
    options.env_option_overrides = overrides
    return options


_BARRIERS = "cse_barrier_expander"  # the pass that removes barriers
_LEVELS = {"O0": 10, "O1": 20, "O2": 30, "O3": 40}
_BUILD_OPTIONS = ("exec_time_optimization_effort", "memory_fitting_effort", "optimization_level",
                  "memory_fitting_level")


def _option_value(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


# ---------------------------------------------------------------------------- lowering


def _is_embedded(value: Any) -> bool:
    """Whether a constant becomes part of the program's text."""
    if isinstance(value, ArrayImpl):
        return value.nbytes <= EMBED_BYTES and type(value._sharding) is SingleDeviceSharding
    return np.asarray(value).nbytes <= EMBED_BYTES


def expand(eqn: JaxprEqn) -> Jaxpr | None:
    """The jaxpr of an equation in terms of other primitives, if its primitive says how."""
    decompose = eqn.primitive.decompose
    if decompose is None:
        return None
    try:
        return _expand(eqn.primitive, tuple(v.aval for v in eqn.invars), tuple(eqn.params.items()),
                       tuple(map(util.exact, eqn.params.values())))
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _expand.__wrapped__(
            eqn.primitive, tuple(v.aval for v in eqn.invars), tuple(eqn.params.items()))


@functools.lru_cache(maxsize=512)
def _expand(primitive: Any, avals: tuple, params: tuple, exact: tuple = ()) -> Jaxpr:
    def body(*args: Any) -> Sequence[Any]:
        out = primitive.decompose(*args, **dict(params))
        return out if primitive.multiple_results else [out]

    return trace_closed(body, avals)


@functools.lru_cache
def _location_file(removed: str | None) -> Callable[[Any], str | None]:
    """The file of a frame as it appears in MLIR locations; None for minijax's own frames."""
    def file(code: Any) -> str | None:
        name = code.co_filename
        return None if source.is_internal(name) else re.sub(removed, "", name) if removed else name
    return file


class Program:
    """A lowered program: an MLIR module and what is needed to compile and call it."""

    def __init__(self, jaxpr: Jaxpr, name: str, placement: Placement, kept: tuple[bool, ...],
                 const_args: list, lowered: Any, out_avals: list, ordered: list,
                 keep_barriers: bool = False):
        self.jaxpr = jaxpr
        self.name = name
        self.placement = placement
        self.kept = kept
        self.const_args = const_args
        self.lowered = lowered
        self.out_avals = out_avals
        self.ordered = ordered  # the ordered effects, whose tokens are the first arguments
        self.keep_barriers = keep_barriers

    @property
    def module(self) -> Any:
        """The StableHLO module."""
        return self.lowered.module

    def compile(self, extra: Iterable[tuple[str, Any]] = ()) -> "Executable":
        """Compile and load; programs with the same text share one loaded executable."""
        devices = self.placement.devices
        if len(set(devices)) < len(devices):
            raise RuntimeError(errors.describe(
                "device_assignment cannot be `None` during compilation. Please pass a tuple of "
                "devices to `.compile(device_assignment=)`", because="the program is over an "
                "abstract mesh, which has no devices", fix="with jax.set_mesh(mesh): ..."))
        fixed = [False] * (len(self.ordered) + len(self.const_args))
        options = compile_options(
            devices, extra,
            fixed + [s is UNSPECIFIED for s in select(self.placement.in_shardings, self.kept)],
            [False] * len(self.ordered)
            + [s is UNSPECIFIED for s in self.placement.out_shardings], self.keep_barriers)
        with _compile_time(self.name):
            loaded = _load(self, devices, options)
        return Executable(self, loaded)


def lower_jaxpr(jaxpr: Jaxpr, name: str, placement: Placement, *, donated: Sequence[bool] = (),
                keep_unused: bool | Sequence[bool] = False,
                arg_names: Callable[[], Sequence[str]] | None = None,
                result_names: Callable[[], Sequence[str]] | None = None,
                platform: str | None = None, embed_consts: bool = False,
                shapes: Callable[[Sequence[bool]], Any] | None = None) -> Program:
    """Lower a top-level jaxpr; inputs that nobody reads are dropped unless `keep_unused`.

    Large constants become arguments unless `embed_consts`. `shapes`, for symbolic sizes, gives what
    finds them (see lowering/dynamic.py) from which inputs are kept.
    """
    placement = placement.complete(len(jaxpr.invars), len(jaxpr.outvars))
    whole = jaxpr = hosted(jaxpr, placement.in_shardings, placement.out_shardings)
    if mentions_keys(jaxpr):
        jaxpr = physicalize(jaxpr)
    kept = (True,) * len(jaxpr.invars) if keep_unused is True else used_inputs(jaxpr)
    if keep_unused not in (True, False):
        kept = tuple(map(operator.or_, kept, keep_unused))
    if not all(kept):
        jaxpr = jaxpr.replace(invars=select(jaxpr.invars, kept))
    as_args = [not (embed_consts or _is_embedded(value)) for value in jaxpr.consts]
    const_args = [place.from_value(c) for c, is_arg in zip(jaxpr.consts, as_args) if is_arg]
    kept_donated = select(donated, kept) if donated else [False] * sum(kept)
    ordered = _ordered_effects(jaxpr, len(placement.devices))
    own_platform = platform_of(placement.devices[0])
    pins: dict[Any, bool] = {}
    if platform is None and own_platform == "cpu" and len(placement.devices) == 1:
        pins = lowering_package().pins(jaxpr)
    lowered = _lower(
        jaxpr, platform=platform or own_platform, name=symbol_name(name), pins=pins,
        donated=kept_donated, const_args=as_args, expand=expand,
        arg_names=select(arg_names(), kept) if arg_names else (),
        result_names=result_names() if result_names else (),
        code_to_filename=_location_file(config.hlo_source_file_canonicalization_regex.value),
        scope=f"jit({name})", show_scope=show_scope, ordered_effects=ordered,
        devices=placement.devices, **_context(shapes, kept),
        in_layouts=select(map(mode, placement.in_layouts), kept) if placement.in_layouts else (),
        out_layouts=list(map(mode, placement.out_layouts)),
        **_sharding_texts(placement, jaxpr, kept, const_args))
    _warn_unusable(lowered.unused_donations, jaxpr.in_avals, len(ordered) + len(const_args))
    _warn_captured(const_args)
    if config.dump_ir_to.value:
        _dump(name, whole, lowered)
    return Program(whole, name, placement, kept, const_args, lowered, list(jaxpr.out_avals),
                   ordered, bool(pins))


def _context(shapes: Callable | None, kept: Sequence[bool]) -> dict[str, Any]:
    """What `lower` wants to know of symbolic sizes; nothing when there are none."""
    found = shapes(kept) if shapes is not None else None
    if found is None:
        return {}
    return {"context": functools.partial(lowering_package().DynamicContext, found)}


def symbol_name(name: str) -> str:
    """The name of a function's module, as it appears in files and profiles."""
    return re.sub(r"[^\w.-]", "_", f"jit_{name}").rstrip("_")


def _lowering_time(fun_name: str) -> monitoring.measured:
    return monitoring.measured("/jax/core/compile/jaxpr_to_mlir_module_duration",
                               f"jaxpr to MLIR module conversion {fun_name}", fun_name=fun_name)


def _compile_time(name: str) -> monitoring.measured:
    return monitoring.measured("/jax/core/compile/backend_compile_duration",
                               f"XLA compilation of jit({name})", fun_name=f"jit({name})")


def _lower(jaxpr: Jaxpr, **options: Any) -> Any:
    with _lowering_time(options["scope"]):
        return lowering_package().lower(jaxpr, **options)


def portable_text(code: bytes) -> str:
    """A program that `Lowered.portable` made, as text."""
    return lowering_package().portable_text(code)


def _ordered_effects(jaxpr: Jaxpr, count: int) -> list:
    """The ordered effects of a program for `count` devices; ValueError if some are impossible."""
    if not jaxpr.effects:
        return []
    refused = lowerable_effects.filter_not_in(jaxpr.effects)
    if refused:
        raise ValueError(f"Cannot lower jaxpr with effects: {set(refused)}")
    ordered = sorted(ordered_effects.filter_in(jaxpr.effects), key=repr)
    refused = shardable_ordered_effects.filter_not_in(ordered) if count > 1 else []
    if refused:
        raise ValueError(errors.describe(
            "The following ordered effects are not supported for more than 1 device: "
            f"{refused}", fix="leave out ordered=True"))
    return ordered


def _warn_unusable(unused: Sequence[int], avals: Sequence[Any], n_consts: int) -> None:
    if unused:
        names = ", ".join(avals[i - n_consts].str_short(False) for i in unused)
        source.warn(f"Some donated buffers were not usable: {names}.\n{_FAQ}")


def _warn_captured(consts: Sequence[ArrayImpl]) -> None:
    limit, total = config.captured_constants_warn_bytes.value, sum(c.nbytes for c in consts)
    if 0 <= limit <= total and consts:
        shown = ", ".join(c.aval.str_short(False) for c in consts[:5])
        source.warn(
            f"A large amount of constants were captured during lowering ({total} bytes total): "
            f"{shown}.\nPass such arrays as arguments. If this is intentional, disable this "
            "warning by setting JAX_CAPTURED_CONSTANTS_WARN_BYTES=-1.")


_dumped = itertools.count()


def _dump(name: str, jaxpr: Jaxpr, lowered: Any) -> None:
    """Write a program into the folder `jax_dump_ir_to`, in the forms `jax_dump_ir_modes`."""
    folder, number = Path(config.dump_ir_to.value), next(_dumped)
    folder.mkdir(parents=True, exist_ok=True)
    modes = config.dump_ir_modes.value.split(",")
    if "stablehlo" in modes:
        text = lowered.text(debug_info=config.include_debug_info_in_dumps.value)
        (folder / f"jax_ir{number:04}_{symbol_name(name)}_compile.mlir").write_text(text)
    if "jaxpr" in modes:
        (folder / f"jax_{number:06}_{symbol_name(name)[4:]}.jaxpr.txt").write_text(str(jaxpr))


def _sharding_texts(placement: Placement, jaxpr: Jaxpr, kept: Sequence[bool],
                    consts: Sequence[ArrayImpl]) -> dict[str, Any]:
    """What `lower` wants to know of shardings; nothing when there is one device."""
    if len(placement.devices) == 1:
        return {}
    meshes = spmd.Meshes()
    for demand in spmd.demands(jaxpr):
        meshes.name(demand.mesh)
    ins = select(placement.in_shardings, kept)
    return {
        "const_shardings": [meshes.text(_where_it_is(c), c.ndim) for c in consts],
        "in_shardings": [meshes.text(s, v.aval.ndim) for s, v in zip(ins, jaxpr.invars)],
        "out_shardings": [
            meshes.text(s, v.aval.ndim) for s, v in zip(placement.out_shardings, jaxpr.outvars)
        ],
        "spmd": meshes,
        "num_partitions": len(placement.devices)}


def _where_it_is(const: ArrayImpl) -> Any:
    """The sharding of a constant that is on several devices already."""
    return const._sharding if isinstance(const._sharding, NamedSharding) else UNSPECIFIED


@functools.cache
def lowering_package() -> Any:
    """The lowering package, loaded when the first program is lowered: it takes a while."""
    import lowering

    return lowering


def platform_of(device: Any) -> str:
    """The platform name that lowering rules use: "cpu", "cuda", "rocm" or "tpu"."""
    raw = getattr(device.client, "_raw_platform", device.platform)
    return raw if raw in ("cuda", "rocm") else device.platform


# ---------------------------------------------------------------------------- compiling


class _TextCache:
    """Loaded executables by program text, so that a new function with an old body compiles not."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.entries: OrderedDict[tuple, Any] = OrderedDict()

    def get(self, key: tuple) -> Any:
        with self.lock:
            found = self.entries.get(key)
            if found is not None:
                self.entries.move_to_end(key)
            return found

    def put(self, key: tuple, loaded: Any) -> Any:
        with self.lock:
            loaded = self.entries.setdefault(key, loaded)
            while len(self.entries) > _TEXT_CACHE_SIZE:
                self.entries.popitem(last=False)
            return loaded

    def clear(self) -> None:
        with self.lock:
            self.entries.clear()


_texts = _TextCache()


def _load(program: Program, devices: tuple[Any, ...], options: Any) -> Any:
    callbacks = program.lowered.host_callbacks
    client = devices[0].client
    code = (program.lowered.plain_bytecode() if config.cache_include_metadata_in_key.value
            else program.lowered.bytecode())
    foreign.prepare(code)
    mappings.ensure()
    if callbacks:
        return _compile(client, program, devices, options, callbacks)
    key = (hashlib.sha256(code).digest(), client, devices, options.SerializeAsString())
    loaded = _texts.get(key)
    if loaded is None:
        loaded = _texts.put(key, disk_cache.compiled(
            symbol_name(program.name), code, devices, options,
            lambda: _compile(client, program, devices, options, ())))
    return loaded


def _compile(client: Any, program: Program, devices: tuple, options: Any,
             callbacks: Sequence) -> Any:
    """An executable.

    Barriers are not kept if XLA fails, or mixes up arrays over them: at first only those are on
    which results depend, then none.
    """
    def load(module: Any) -> Any:
        return backend_compile_and_load(client, module, devices, options, callbacks)

    for needed_only in (False, True) if program.keep_barriers else ():
        module = program.lowered.for_compiler()
        if not lowering_package().settle(module, needed_only):
            break
        try:
            loaded = load(module)
            if not lowering_package().is_mixed_up(loaded.hlo_modules()[0].to_string()):
                return loaded
        except jaxlib.JaxRuntimeError:
            pass
    if program.keep_barriers:
        debug = options.executable_build_options.debug_options
        debug.xla_disable_hlo_passes = debug.xla_disable_hlo_passes.removesuffix(_BARRIERS)
    return load(program.lowered.for_compiler())


def backend_compile_and_load(client: Any, module: Any, devices: tuple, options: Any,
                             callbacks: Sequence) -> Any:
    """An executable; programs that forbid compiling for a platform replace this function."""
    return client.compile_and_load(module, jaxlib.DeviceList(devices), options,
                                   host_callbacks=list(callbacks))


def clear_caches() -> None:
    """Forget the executables that are kept for programs of the same text."""
    _texts.clear()
    _expand.cache_clear()


# ---------------------------------------------------------------------------- running


_FACTS = ("name", "kept", "placement", "in_avals", "out_avals", "result_avals", "in_shardings",
          "out_shardings", "ordered", "effects", "in_layouts")


class Executable:
    """A loaded program.  `run` takes the kept arguments, as arrays where the program wants them."""

    def __init__(self, program: Program, loaded: Any):
        self.loaded = loaded
        self.name = program.name
        self.kept = program.kept
        self.placement = program.placement
        self.out_avals = program.out_avals
        self.in_avals, self.result_avals = program.jaxpr.in_avals, program.jaxpr.out_avals
        self.meshes = [demand.mesh for demand in spmd.demands(program.jaxpr)]
        self.meshes += [c._sharding.mesh for c in program.const_args
                        if isinstance(c._sharding, NamedSharding)]
        mesh = physical_mesh() or mesh_context.value
        if mesh is not None and tuple(mesh.devices.flat) == self.placement.devices:
            self.meshes.append(mesh)
        count = len(program.const_args)
        kept_avals = [c.aval for c in program.const_args] + select(self.in_avals, self.kept)
        shardings = list(map(in_memory_of, kept_avals, self._input_shardings(program.const_args)))
        self.const_args = list(map(place.with_usual_layout, place.shard_args(
            program.const_args, shardings[:count])))
        self.in_shardings = shardings[count:]
        self.out_shardings = list(map(in_memory_of, self.out_avals, self._output_shardings()))
        self.out_avals = list(map(place.located, self.out_avals, self.out_shardings))
        self.ordered = program.ordered
        self.effects = program.jaxpr.effects
        self.in_layouts = (select(self.placement.in_layouts, self.kept)
                           if any(map(mode, self.placement.in_layouts)) else None)
        self._prepare_results()

    def _prepare_results(self) -> None:
        # A program knows only the words of random keys; its callers get keys back.
        wrap = [_wrapper(a) for a in self.result_avals]
        self.wrap = wrap if any(wrap) else None
        self.has_keys = any(map(is_extended, self.in_avals)) or self.wrap is not None
        committed = self.placement.committed
        self.out_committed = [committed] * len(self.out_avals)
        self.handlers = [
            place.result_handler(aval, sharding, committed)
            for aval, sharding in zip(self.out_avals, self.out_shardings, strict=True)]

    def facts(self) -> dict[str, Any]:
        """All that `restored` needs beside the machine code."""
        return {**{name: getattr(self, name) for name in _FACTS},
                "const_args": [(np.asarray(x), x._sharding) for x in self.const_args]}

    @classmethod
    def restored(cls, loaded: Any, facts: dict[str, Any]) -> "Executable":
        """The executable of `facts`, its code loaded again, in this or another process."""
        found = object.__new__(cls)
        found.loaded = loaded
        for name in _FACTS:
            setattr(found, name, facts[name])
        found.const_args = [place.device_put(x, sharding) for x, sharding in facts["const_args"]]
        found._prepare_results()
        return found

    def _input_shardings(self, consts: Sequence[ArrayImpl]) -> list[Any]:
        """Where the constants and the kept arguments must be."""
        devices = self.placement.devices
        given = list(map(_where_it_is, consts)) + select(self.placement.in_shardings, self.kept)
        if len(devices) == 1:
            return [s if isinstance(s, NamedSharding) else single_device(devices[0])
                    for s in given]
        if all(s is not UNSPECIFIED for s in given):
            return given
        ranks = [c.ndim for c in consts] + [aval.ndim for aval in select(self.in_avals, self.kept)]
        return self._chosen(given, self.loaded.get_parameter_shardings(), ranks)

    def _output_shardings(self) -> list[Any]:
        devices, given = self.placement.devices, self.placement.out_shardings
        if all(s is not UNSPECIFIED for s in given):
            return list(given)
        ranks = [aval.ndim for aval in self.out_avals]
        chosen = self._chosen(given, self.loaded.get_output_shardings(), ranks)
        like = {aval: s for aval, s in zip(self.in_avals, self.placement.in_shardings)
                if isinstance(s, NamedSharding)}  # the user's words for what is the same
        known = zip([like.get(a) or with_devices(sharding_of(a), devices) or s
                     for a, s in zip(self.result_avals, chosen)], chosen, ranks)
        return [padded(k, ndim) if k.is_equivalent_to(s, ndim) else s for k, s, ndim in known]

    def _chosen(self, given: Sequence[Any], found: Sequence[Any], ranks: Sequence[int]) -> list:
        """The given shardings, and where none was given what XLA chose."""
        placement = self.placement
        meshes = [s.mesh for s in (*placement.in_shardings, *placement.out_shardings)
                  if isinstance(s, NamedSharding)]
        meshes = list(dict.fromkeys([*meshes, *self.meshes]))
        if len(placement.devices) == 1:
            one = make(meshes[0], PartitionSpec()) if meshes else single_device(*placement.devices)
            return [one if s is UNSPECIFIED else s for s in given]
        return [
            s if s is not UNSPECIFIED
            else spmd.from_hlo(proto, ndim, meshes, placement.devices)
            for s, proto, ndim in zip(given, found[len(found) - len(given):], ranks, strict=True)]

    def arguments(self, args: Values) -> list[ArrayImpl]:
        """The arrays to give to the program, for all flat arguments of the call."""
        if self.has_keys:
            args = place.words(args)
        kept = select(args, self.kept) if not all(self.kept) else args
        if self.in_layouts is not None:
            kept = [place.shard_arg(x, sharding, layout) for x, sharding, layout in
                    zip(kept, self.in_shardings, self.in_layouts, strict=True)]
        arrays = place.shard_args(kept, self.in_shardings)
        for x in arrays:
            place.check_deleted(x)
        return arrays

    def run(self, arguments: list[ArrayImpl]) -> list[Any]:
        """Start the program; the results are arrays that may not be computed yet."""
        if self.const_args:
            arguments = [*self.const_args, *arguments]
        if self.effects:
            outs = tokens.execute(self.loaded, self.placement.devices, self.ordered, arguments,
                                  self.handlers)
        else:
            outs = self.loaded.execute_sharded(arguments).consume_with_handlers(self.handlers)
        if self.wrap is None:
            return outs
        return [x if wrap is None else wrap(x) for wrap, x in zip(self.wrap, outs, strict=True)]


def _wrapper(aval: Any) -> Callable | None:
    """How to make a result that is no array: random keys, and float0, which only NumPy has."""
    if is_extended(aval):
        return aval.dtype.wrap
    if aval.dtype == dtypes.float0:
        return lambda x: np.zeros(aval.shape, dtypes.float0)
    return None


# ---------------------------------------------------------------------------- caching by jaxpr


def _compile_jaxpr(jaxpr: Jaxpr, name: str, placement: Placement, donated: tuple[bool, ...],
                   keep_unused: bool, extra: tuple) -> Executable:
    known = structure.canonical(jaxpr)
    if known is not jaxpr:  # another function of the same structure, maybe compiled before
        misses = compile_jaxpr.cache_info().misses
        found = compile_jaxpr(known, name, placement, donated, keep_unused, extra)
        if compile_jaxpr.cache_info().misses == misses:  # listeners count functions, not programs
            for stage in (_lowering_time(f"jit({name})"), _compile_time(name)):
                with stage:
                    pass
        return found
    if config.log_compiles.value or logger.isEnabledFor(logging.DEBUG):
        level = logging.WARNING if config.log_compiles.value else logging.DEBUG
        logger.log(level, "Compiling jit(%s) with global shapes and types %s.", name,
                   jaxpr.in_avals)
    program = lower_jaxpr(jaxpr, name, placement, donated=donated, keep_unused=keep_unused)
    return program.compile(extra)


compile_jaxpr = util.trace_cache(_compile_jaxpr, maxsize=8192)
