"""Options: the `jax_*` names and `JAX_*` environment variables over jaxlib's Config objects.

Every option is a `State`: `.value` is the value of this thread (a C++ read), calling it gives a
context manager, and the object `config` sets it for the process.  Invariant: an option that can
change what is traced is in the trace context, and what changes which executable runs is in the
key of the C++ jit.

    with enable_x64(True): ...
    config.update("jax_default_matmul_precision", "float32")
    config.jax_enable_x64, enable_x64.value, x64_enabled()
"""

import contextlib
import enum
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

from minijax.base import jaxlib

trace_context = jaxlib.trace_context
_unset = jaxlib.unset

# What the scope of each program begins with that is traced now: attributes for the compiler, parts
# of a scope that are not shown. "\0key=value" gives one, "\0key" takes it back.
attribute_scope = jaxlib.Config("minijax_attribute_scope", (), include_in_jit_key=True,
                                include_in_trace_context=True)

_required = object()

_TRUE = {"y", "yes", "t", "true", "on", "1"}
_FALSE = {"n", "no", "f", "false", "off", "0", ""}


class NumpyDtypePromotion(enum.StrEnum):
    """Whether operands of different dtypes are promoted (standard) or refused (strict)."""

    STANDARD = "standard"
    STRICT = "strict"


class ExplicitX64Mode(enum.IntEnum):
    """What a 64-bit dtype that the user asks for means while x64 is off."""

    WARN = 1
    ERROR = 2
    ALLOW = 3

    @classmethod
    def _missing_(cls, value: object) -> "ExplicitX64Mode | None":
        return cls.__members__.get(value.upper()) if isinstance(value, str) else None


class LegacyPrngKeyState(enum.StrEnum):
    """What happens when a raw uint32 key is given to a random function."""

    ALLOW = "allow"
    WARN = "warn"
    ERROR = "error"


class State(jaxlib.Config):
    """One option.  `state.value` reads it, `with state(new):` sets it for this thread."""

    def __init__(self, name: str, default: Any, check: Callable[[str, Any], Any], *,
                 traced: bool = False, keyed: bool = False,
                 context_default: Any = _required) -> None:
        super().__init__(
            name, default, include_in_jit_key=traced or keyed, include_in_trace_context=traced)
        self.default = default
        self.listeners: list[Callable[[Any, bool], None]] = []
        self.validators: list[Callable[[str, Any], Any]] = []  # of rooms that come later
        self._check = check
        self._context_default = context_default

    def __bool__(self) -> bool:
        raise TypeError(
            f"an option is neither true nor false; for its value write `{self.name}.value`")

    def __repr__(self) -> str:
        return f"<option {self.name}={self.value!r}>"

    def set(self, value: Any) -> None:
        """Set the option for the whole process; ValueError when the value is not possible."""
        value = self._check(self.name, value)
        for validate in self.validators:
            value = validate(self.name, value)
        self.set_global(value)
        for listener in self.listeners:
            listener(value, True)

    def __call__(self, new_val: Any = _required) -> "Setting":
        """A context manager (and decorator) that sets the option for the current thread."""
        if new_val is _required:
            new_val = self._context_default
            if new_val is _required:
                raise TypeError(
                    f"Context manager for {self.name} config option requires an argument "
                    "representing the new value for the config option.")
        return Setting(self, self._check(self.name, new_val))

    def on_change(self, listener: Callable[[Any, bool], None]) -> None:
        """Call listener(value, is_global) whenever the option changes, and once now."""
        self.listeners.append(listener)
        listener(self.get_global(), True)


class Setting(contextlib.ContextDecorator):
    """Options that have other values within a `with` block; may be entered more than once."""

    def __init__(self, state: State, value: Any, *others: State) -> None:
        self.states = (state, *others)
        self.value = value
        self._before: list[list[Any]] = []

    def __enter__(self) -> None:
        self._before.append([state.swap_local(self.value) for state in self.states])
        for state in self.states:
            for listener in state.listeners:
                listener(self.value, False)

    def __exit__(self, *exc_info: Any) -> None:
        for state, value in zip(self.states, self._before.pop(), strict=True):
            state.set_local(value)
            for listener in state.listeners:
                listener(None if value is _unset else value, False)


def _as_bool(name: str, value: Any) -> bool:
    return bool(value)


def _as_type(kind: type, optional: bool) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if value is None and optional:
            return None
        if kind is float and type(value) is int:
            return float(value)
        if isinstance(value, kind):
            return value
        allowed = f"None or of type {kind.__name__}" if optional else f"of type {kind.__name__}"
        raise ValueError(
            f"new {'string' if kind is str else kind.__name__} config value must be {allowed}, "
            f"got {value} of type {type(value)}.")

    return check


def _one_of(values: tuple[str, ...], optional: bool) -> Callable[[str, Any], Any]:
    def check(name: str, value: Any) -> Any:
        if (value is None and optional) or (isinstance(value, str) and value in values):
            return value
        allowed = f"None or in {list(values)}" if optional else f"in {list(values)}"
        raise ValueError(f"new enum value must be {allowed}, got {value} of type {type(value)}.")

    return check


def _of_enum(kind: type[enum.Enum]) -> Callable[[str, Any], Any]:
    return lambda name, value: kind(value)


def _as_device(name: str, value: Any) -> Any:
    if value is None or isinstance(value, jaxlib.Device):
        return value
    if isinstance(value, str) and value in ("cpu", "gpu", "tpu", "cuda", "rocm", "metal"):
        return value
    raise ValueError(
        "jax.default_device must be passed either a Device object (e.g. `jax.devices('cpu')[0]`) "
        f"or a platform name string like 'cpu' or 'gpu', got: {value!r}")


def _from_environment(name: str, default: Any) -> Any:
    text = os.environ.get(name.upper())
    if text is None:
        return default
    if isinstance(default, bool):
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise ValueError(f"invalid truth value {text!r} for environment {name.upper()!r}")
    if isinstance(default, (int, float)) and not isinstance(default, enum.Enum):
        return type(default)(text)
    return text


_states: dict[str, State] = {}
_environment = dict(os.environ)


def read_environment() -> None:
    """Set the options whose variables a program has set since this module was loaded."""
    for name, state in _states.items():
        variable = name.upper()
        if os.environ.get(variable) not in (None, _environment.get(variable)):
            state.set(_from_environment(name, state.default))
    _environment.update(os.environ)


def _register(name: str, default: Any, check: Callable[[str, Any], Any], **kwargs: Any) -> State:
    initial = check(name, _from_environment(name, default))
    state = State(name, initial, check, **kwargs)
    _states[name] = state
    return state


def _flag(name: str, default: bool = False, **kwargs: Any) -> State:
    return _register(name, default, _as_bool, context_default=True, **kwargs)


def _text(name: str, default: str | None = None, **kwargs: Any) -> State:
    return _register(name, default, _as_type(str, default is None), **kwargs)


def _number(name: str, default: float, **kwargs: Any) -> State:
    return _register(name, default, _as_type(type(default), False), **kwargs)


def _choice(name: str, default: str | None, values: tuple[str, ...], **kwargs: Any) -> State:
    return _register(name, default, _one_of(values, default is None), **kwargs)


# --- what is traced ---
enable_x64 = _flag("jax_enable_x64", traced=True)
explicit_x64_dtypes = _register(
    "jax_explicit_x64_dtypes", ExplicitX64Mode.WARN, _of_enum(ExplicitX64Mode), traced=True)
numpy_dtype_promotion = _register(
    "jax_numpy_dtype_promotion", NumpyDtypePromotion.STANDARD, _of_enum(NumpyDtypePromotion),
    traced=True)
numpy_rank_promotion = _choice(
    "jax_numpy_rank_promotion", "allow", ("allow", "warn", "raise"), traced=True)
default_matmul_precision = _choice(
    "jax_default_matmul_precision", None,
    ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")
    + ("ANY_F8_ANY_F8_F32", "ANY_F8_ANY_F8_F32_FAST_ACCUM")
    + ("ANY_F8_ANY_F8_ANY", "ANY_F8_ANY_F8_ANY_FAST_ACCUM")
    + ("F16_F16_F16", "F16_F16_F32", "BF16_BF16_BF16", "BF16_BF16_F32", "BF16_BF16_F32_X3")
    + ("BF16_BF16_F32_X6", "BF16_BF16_F32_X9", "TF32_TF32_F32", "TF32_TF32_F32_X3")
    + ("F32_F32_F32", "F64_F64_F64"),
    traced=True)
default_device = _register("jax_default_device", None, _as_device, traced=True)
disable_jit_state = _flag("jax_disable_jit", traced=True)
threefry_partitionable = _flag("jax_threefry_partitionable", True, traced=True)
random_seed_offset = _number("jax_random_seed_offset", 0, traced=True)
default_prng_impl = _choice(
    "jax_default_prng_impl", "threefry2x32",
    ("threefry2x32", "threefry4x32", "rbg", "unsafe_rbg", "philox2x32", "philox4x32"), traced=True)
enable_custom_prng = _flag("jax_enable_custom_prng", traced=True)
legacy_prng_key = _register(
    "jax_legacy_prng_key", LegacyPrngKeyState.ALLOW, _of_enum(LegacyPrngKeyState))
debug_key_reuse = _flag("jax_debug_key_reuse", traced=True)
softmax_custom_jvp = _flag("jax_softmax_custom_jvp", traced=True)
check_static_indices = _flag("jax_check_static_indices", traced=True)
high_dynamic_range_gumbel = _flag("jax_high_dynamic_range_gumbel", traced=True)
allow_f16_reductions = _flag("jax_allow_f16_reductions", True, traced=True)
remove_size_one_mesh_axis_from_type = _flag("jax_remove_size_one_mesh_axis_from_type", traced=True)
disallow_mesh_context_manager = _flag("jax_disallow_mesh_context_manager")
use_shardy_partitioner = _flag("jax_use_shardy_partitioner", True, traced=True)

# --- checks ---
debug_nans = _flag("jax_debug_nans", keyed=True)
debug_infs = _flag("jax_debug_infs", keyed=True)
check_tracer_leaks = _flag("jax_check_tracer_leaks", keyed=True)
enable_checks = _flag("jax_enable_checks", keyed=True)
no_tracing = _flag("jax_no_tracing", keyed=True)
no_execution = _flag("jax_no_execution", traced=True)
disable_bwd_checks = _flag("jax_disable_bwd_checks")
mutable_array_checks = _flag("jax_mutable_array_checks", True, traced=True)
_GUARDS = ("allow", "log", "disallow", "log_explicit", "disallow_explicit")
transfer_guard_host_to_device = _choice("jax_transfer_guard_host_to_device", None, _GUARDS)
transfer_guard_device_to_device = _choice("jax_transfer_guard_device_to_device", None, _GUARDS)
transfer_guard_device_to_host = _choice("jax_transfer_guard_device_to_host", None, _GUARDS)
transfer_guard_state = _choice("jax_transfer_guard", None, _GUARDS)
array_garbage_collection_guard = _choice(
    "jax_array_garbage_collection_guard", None, ("allow", "log", "fatal"))
thread_guard = _flag("jax_thread_guard")

# --- what is said ---
log_compiles = _flag("jax_log_compiles")
explain_cache_misses = _flag("jax_explain_cache_misses")
log_checkpoint_residuals = _flag("jax_log_checkpoint_residuals")
traceback_filtering = _choice(
    "jax_traceback_filtering", "auto",
    ("off", "tracebackhide", "remove_frames", "quiet_remove_frames", "auto"))
tracer_error_num_traceback_frames = _number("jax_tracer_error_num_traceback_frames", 5)
pprint_use_color = _flag("jax_pprint_use_color", True)
debug_log_modules = _text("jax_debug_log_modules", "")
logging_level = _choice(
    "jax_logging_level", "NOTSET", ("NOTSET", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"))
captured_constants_warn_bytes = _number("jax_captured_constants_warn_bytes", 2_000_000_000)
captured_constants_report_frames = _number("jax_captured_constants_report_frames", 0)
dump_ir_to = _text("jax_dump_ir_to", "")
dump_ir_modes = _text("jax_dump_ir_modes", "stablehlo")
include_debug_info_in_dumps = _flag("jax_include_debug_info_in_dumps", True)
include_full_tracebacks_in_locations = _flag("jax_include_full_tracebacks_in_locations", True)
hlo_source_file_canonicalization_regex = _text("jax_hlo_source_file_canonicalization_regex")
traceback_in_locations_limit = _number("jax_traceback_in_locations_limit", 100)

# --- compiling, and the cache on disk ---
enable_compilation_cache = _flag("jax_enable_compilation_cache", True)
compilation_cache_dir = _text("jax_compilation_cache_dir")
compilation_cache_max_size = _number("jax_compilation_cache_max_size", -1)
cache_include_metadata_in_key = _flag("jax_compilation_cache_include_metadata_in_key")
persistent_cache_min_compile_time_secs = _number("jax_persistent_cache_min_compile_time_secs", 1.0)
persistent_cache_min_entry_size_bytes = _number("jax_persistent_cache_min_entry_size_bytes", 0)
persistent_cache_enable_xla_caches = _text(
    "jax_persistent_cache_enable_xla_caches", "xla_gpu_per_fusion_autotune_cache_dir")
raise_persistent_cache_errors = _flag("jax_raise_persistent_cache_errors")
embedded_constants_max_bytes = _number("jax_embedded_constants_max_bytes", 32, traced=True)
disable_most_optimizations = _flag("jax_disable_most_optimizations")
compiler_enable_remat_pass = _flag("jax_compiler_enable_remat_pass", True)
_LEVELS = ("UNKNOWN", "O0", "O1", "O2", "O3")
optimization_level = _choice("jax_optimization_level", "UNKNOWN", _LEVELS)
memory_fitting_level = _choice("jax_memory_fitting_level", "O2", _LEVELS)
exec_time_optimization_effort = _number("jax_exec_time_optimization_effort", 0.0)
memory_fitting_effort = _number("jax_memory_fitting_effort", 0.0)
enable_pgle = _flag("jax_enable_pgle", traced=True)
export_calling_convention_version = _number("jax_export_calling_convention_version", 10)
use_magma = _choice("jax_use_magma", "auto", ("off", "on", "auto"))

# --- devices ---
platforms = _text("jax_platforms")
platform_name = _text("jax_platform_name", "")
num_cpu_devices = _number("jax_num_cpu_devices", -1)
cpu_enable_async_dispatch = _flag("jax_cpu_enable_async_dispatch", True)
cpu_collectives_implementation = _choice(
    "jax_cpu_collectives_implementation", "gloo", ("gloo", "mpi", "megascale"))
cuda_visible_devices = _text("jax_cuda_visible_devices", "all")
rocm_visible_devices = _text("jax_rocm_visible_devices", "all")
pjrt_client_create_options = _text("jax_pjrt_client_create_options")

# --- read and set as in JAX, with no effect: they choose between two ways of doing the same, of
# which minijax has one, or concern what it does not have (TPU pods, Pallas, profile guidance) ---
for _name, _default in {
    "check_vma": False, "eager_constant_folding": False, "jax_auto_pcast": True,
    "jax2tf_associative_scan_reductions": False, "jax2tf_default_native_serialization": True,
    "jax_backend_target": "", "jax_bcoo_cusparse_lowering": False, "jax_check_proxy_envs": True,
    "jax_compilation_cache_check_contents": False, "jax_compilation_cache_expect_pgle": False,
    "jax_compiler_detailed_logging_min_ops": 10, "jax_cpu_get_global_topology_timeout_minutes": 5,
    "jax_cpu_get_local_topology_timeout_minutes": 2, "jax_cross_host_transfer_socket_address": "",
    "jax_cross_host_transport_addresses": "", "jax_custom_vjp3": False,
    "jax_debug_leaked_clients_on_clear_backends": False, "jax_disable_vmap_shmap_error": False,
    "jax_distributed_debug": False, "jax_enable_preemption_service": True,
    "jax_enable_recoverability": False,
    "jax_experimental_unsafe_xla_runtime_errors": False,
    "jax_export_ignore_forward_compatibility": False, "jax_force_dcn_cross_host_transfers": False,
    "jax_mock_gpu_topology": "", "jax_mosaic_allow_hlo": False,
    "jax_oneapi_visible_devices": "all",
    "jax_pallas_enable_debug_checks": False, "jax_pallas_poison_buffers": False,
    "jax_pallas_use_mosaic_gpu": True, "jax_pallas_verbose_errors": False,
    "jax_pgle_aggregation_percentile": 90, "jax_pgle_profiling_runs": 3,
    "jax_ragged_dot_use_gpu_pallas_triton_lowering": False,
    "jax_ragged_dot_use_ragged_dot_instruction": True, "jax_refs_to_pins": False,
    "jax_remat3": False, "jax_remove_custom_partitioning_ptr_from_cache_key": False,
    "jax_scan3": False, "jax_serialization_version": 0, "jax_share_binary_between_hosts": False,
    "jax_share_binary_between_hosts_timeout_ms": 1200000,
    "jax_sort_devices_by_process_index": True, "jax_threefry_gpu_kernel_lowering": False,
    "jax_use_direct_linearize": True, "jax_use_emit_pipeline_primitive": False,
    "jax_use_simplified_jaxpr_constants": False, "jax_xla_backend": "",
    "jax_xla_profile_version": 0, "mock_num_gpu_processes": 0,
}.items():
    {bool: _flag, int: _number, str: _text}[type(_default)](_name, _default)
for _name in ("jax_cross_host_transfer_timeout_seconds", "jax_cross_host_transfer_transfer_size",
              "jax_source_url_schema"):
    _text(_name)
_choice("jax_send_traceback_to_runtime", "off", ("off", "on", "full"))
for _name in ("divide", "nan", "oob"):
    _choice(f"jax_error_checking_behavior_{_name}", "ignore", ("ignore", "raise"))

auto_pcast = _states["jax_auto_pcast"]
jax2tf_associative_scan_reductions = _states["jax2tf_associative_scan_reductions"]

jaxlib.jax_jit.set_enable_x64_state(enable_x64)
jaxlib.jax_jit.set_disable_jit_state(disable_jit_state)
post_hook: jaxlib.Config = jaxlib.Config("post_hook", None)
jaxlib.jax_jit.set_post_hook_state(post_hook)


def x64_enabled() -> bool:
    """Whether 64-bit dtypes are on, here and now."""
    return enable_x64.value


def disable_jit(disable: bool = True) -> Setting:
    """Context manager under which `jit` runs Python functions operation by operation."""
    return disable_jit_state(disable)


def checking_leaks() -> Setting:
    """Context manager that looks for tracers that outlive their trace."""
    return check_tracer_leaks(True)


_TRANSFER_GUARDS = (
    transfer_guard_host_to_device,
    transfer_guard_device_to_device,
    transfer_guard_device_to_host)


def transfer_guard(new_val: str) -> Setting:
    """Context manager that sets the guard of transfers in all three directions."""
    checked = transfer_guard_state(new_val).value
    return Setting(transfer_guard_state, checked, *_TRANSFER_GUARDS)


def _keep(name: str, value: Any) -> Any:
    return value


# Set by checkify: indices that lie outside of an axis stay in the program, to be checked there.
keep_static_indices = State("minijax_keep_static_indices", False, _keep, traced=True)


def make_user_context(default_value: Any = None) -> State:
    """A new option of the user's own, whose value is part of every cache key.

    `context = make_user_context(); with context(1): f(x)` traces f again.
    """
    return State(f"user_context_{next(_user_contexts)}", default_value, _keep, traced=True)


class Config:
    """The process-wide view of all options: attributes to read, `update` to set."""

    def update(self, name: str, val: Any) -> None:
        """Set an option for the process; AttributeError when there is none of that name."""
        self._state(name).set(val)

    def read(self, name: str) -> Any:
        """The value of an option."""
        return self._state(name).value

    @property
    def values(self) -> dict[str, Any]:
        """All options and their values."""
        return {name: state.value for name, state in _states.items()}

    @property
    def x64_enabled(self) -> bool:
        """Whether 64-bit dtypes are on."""
        return enable_x64.value

    def config_with_absl(self) -> None:
        """Define an absl flag for each option; given flags count once absl has parsed them."""
        from absl import app, flags

        for name, state in _states.items():
            if name in flags.FLAGS:
                continue
            kinds = {bool: flags.DEFINE_bool, int: flags.DEFINE_integer, float: flags.DEFINE_float}
            define = kinds.get(type(state.value), flags.DEFINE_string)
            value = state.value.name if isinstance(state.value, enum.Enum) else state.value
            define(name, value, f"The option {name} of jax.config.")
        app.call_after_init(self.complete_absl_config)

    def complete_absl_config(self) -> None:
        """Take over the absl flags that were given on the command line."""
        from absl import flags

        for name in _states:
            if flags.FLAGS[name].present:
                self.update(name, flags.FLAGS[name].value)

    def parse_flags_with_absl(self) -> None:
        """Read `--jax_...` options from the command line now, before absl does."""
        from absl import flags

        self.config_with_absl()
        given = [arg for arg in sys.argv[1:] if arg.lstrip("-").startswith(("jax", "nojax"))]
        flags.FLAGS(sys.argv[:1] + given, known_only=True)
        self.complete_absl_config()

    def _state(self, name: str) -> State:
        state = _states.get(name)
        if state is None:
            raise AttributeError(f"Unrecognized config option: {name}")
        return state

    def __getattr__(self, name: str) -> Any:
        state = _states.get(name)
        if state is None:
            raise AttributeError(f"'Config' object has no attribute {name!r}")
        return state.value

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _states:
            raise AttributeError(
                f"config.{name} cannot be assigned; write config.update({name!r}, {value!r})")
        object.__setattr__(self, name, value)

    def __dir__(self) -> Iterator[str]:
        return iter(sorted({*object.__dir__(self), *_states}))


config = Config()
_user_contexts = itertools.count()


def _guard(attribute: str, levels: Any) -> Callable[[Any, bool], None]:
    library = jaxlib._jax.guard_lib

    def set_guard(value: str | None, everywhere: bool) -> None:
        place = library.global_state() if everywhere else library.thread_local_state()
        level = None if value is None else getattr(levels, value.upper())
        setattr(place, attribute, level)

    return set_guard


def _connect_guards() -> None:
    library = jaxlib._jax.guard_lib
    levels = library.TransferGuardLevel
    for state in _TRANSFER_GUARDS:
        direction = state.name.removeprefix("jax_transfer_guard_")
        state.on_change(_guard(direction, levels))
    array_garbage_collection_guard.on_change(
        _guard("garbage_collect_array", library.GarbageCollectionGuardLevel))
    thread_guard.on_change(
        lambda value, everywhere: library.update_thread_guard_global_state(bool(value)))

    def all_directions(value: str | None, everywhere: bool) -> None:
        if everywhere:
            for state in _TRANSFER_GUARDS:
                state.set(value)

    transfer_guard_state.listeners.append(all_directions)
    if transfer_guard_state.value is not None:
        all_directions(transfer_guard_state.value, True)


def _connect_logging() -> None:
    def set_level(value: str, everywhere: bool) -> None:
        if value != "NOTSET":
            logging.getLogger("minijax").setLevel(value)

    def debug_modules(value: str, everywhere: bool) -> None:
        for name in filter(None, (value or "").split(",")):
            logging.getLogger(name.strip()).setLevel(logging.DEBUG)

    logging_level.on_change(set_level)
    debug_log_modules.on_change(debug_modules)


_connect_guards()
_connect_logging()
