"""The only door to jaxlib: every name of it that minijax touches passes through this module.

Invariant: no other module imports jaxlib (lowering has its own door to `jaxlib.mlir`), so an
upgrade of jaxlib is an edit of this file.  Importing it checks the version, refuses to share a
process with the `jax` package (both attach methods to the same C++ classes), and prepares the
stand-ins for the Python modules that jaxlib's C++ code asks for by name:

    from minijax.base import jaxlib
    with jaxlib.standins():
        sharding = jaxlib.NamedSharding(mesh, spec)
"""

import gc
import importlib
import sys
import threading
from types import ModuleType
from typing import Any, NamedTuple

from jaxlib import version as _version

_LOWEST, _BEYOND = (0, 10), (0, 13)


def _refuse_foreign_jax() -> None:
    other = sys.modules.get("jax")
    if other is None or other is sys.modules.get("minijax"):
        return
    raise ImportError(
        "minijax cannot be imported in a process where the package 'jax' is loaded "
        f"({getattr(other, '__file__', None) or other!r}).\n"
        "  because both attach their methods to the same C++ array classes of jaxlib, and the "
        "later one would change the arrays of the other.\n"
        "  fix: import minijax in a process of its own, or run a script that says `import jax` "
        "with `python -m minijax script.py`.")


def _check_version(text: str) -> tuple[int, ...]:
    numbers = tuple(int(part) for part in text.split(".")[:3] if part.isdigit())
    if _LOWEST <= numbers < _BEYOND:
        return numbers
    low, high = ".".join(map(str, _LOWEST)), ".".join(map(str, _BEYOND))
    raise ImportError(
        f"minijax needs jaxlib >= {low}, < {high}; this is jaxlib {text}.\n"
        f"  because the C++ interface of jaxlib changes with every release.\n"
        f'  fix: pip install "jaxlib>={low},<{high}"')


_refuse_foreign_jax()
version_text: str = _version.__version__
version: tuple[int, ...] = _check_version(version_text)

# Below the checks on purpose: loading the C++ extension is slow, and a wrong one may crash.
from jaxlib import _jax, _pretty_printer as pretty_printer, cpu_feature_guard  # noqa: E402
from jaxlib import utils, xla_client as xc  # noqa: E402
from jaxlib.weakref_lru_cache import weakref_lru_cache  # noqa: E402

cpu_feature_guard.check_cpu_features()
# Before any client exists: later is too late for the line per device that it would print.
utils.absl_set_min_log_level(1)


class Config(_jax.config.Config):
    """A value with one setting for the process and one for each thread."""

    def __init__(self, name: str, value: Any, *, include_in_jit_key: bool = False,
                 include_in_trace_context: bool = False):
        super().__init__(name, value, include_in_jit_key=include_in_jit_key,
                         include_in_trace_context=include_in_trace_context)
        if include_in_trace_context:
            context_names.append(name)


context_names: list[str] = []  # what the values of `trace_context()` are of
trace_context = _jax.config.trace_context
unset = _jax.config.unset

jax_jit = _jax.jax_jit
pjit = _jax.pjit
PjitFunction = _jax.PjitFunction
PjitFunctionCache = _jax.PjitFunctionCache

Array = _jax.Array
ArrayImpl = _jax.ArrayImpl
Client = _jax.Client
Device = _jax.Device
DeviceList = _jax.DeviceList
Memory = _jax.Memory
HostBufferSemantics = _jax.HostBufferSemantics
ArrayCopySemantics = _jax.ArrayCopySemantics
JaxRuntimeError = _jax.JaxRuntimeError
batched_device_put = _jax.batched_device_put
array_result_handler = _jax.array_result_handler
set_tracer_class = _jax.set_tracer_class

Sharding = _jax.Sharding
NamedSharding = _jax.NamedSharding
SingleDeviceSharding = _jax.SingleDeviceSharding
GSPMDSharding = _jax.GSPMDSharding
HloSharding = xc.HloSharding
HloPrintOptions = xc.hlo.HloPrintOptions
OpSharding = xc.OpSharding

pytree = _jax.pytree
PyTreeDef = pytree.PyTreeDef
PyTreeRegistry = pytree.PyTreeRegistry

Traceback = _jax.Traceback
TracebackScope = _jax.TracebackScope

safe_map = utils.safe_map
safe_zip = utils.safe_zip
foreach = utils.foreach
topological_sort = utils.topological_sort


def load(name: str) -> ModuleType:
    """A module of jaxlib that only some programs need, e.g. load("lapack")."""
    return importlib.import_module(f"jaxlib.{name}")


# jaxlib frees Python references held by C++ in batches; a collection is the moment to do it.
gc.callbacks.append(lambda *_: _jax.collect_garbage())


class _PlainAval(NamedTuple):
    """Shape and dtype of an array that C++ makes before `core` has provided its own class."""

    shape: tuple[int, ...]
    dtype: Any
    weak_type: bool = False


class _NoTypedArray:
    """Stands for an array class that minijax does not have: nothing is an instance of it."""


def _modules() -> dict[str, ModuleType]:
    names = (
        "jax",
        "jax._src",
        "jax.core",
        "jax._src.named_sharding",
        "jax._src.sharding_impls",
        "jax._src.literals")
    modules = {name: ModuleType(name) for name in names}
    modules["jax.core"].ShapedArray = _PlainAval
    modules["jax._src.named_sharding"].check_pspec = lambda mesh, spec, *rest: None
    modules["jax._src.sharding_impls"].make_single_device_sharding = _single_device
    modules["jax._src.literals"].TypedNdArray = _NoTypedArray
    return modules


def _single_device(device: Any, *, memory_kind: str | None = None) -> Any:
    return SingleDeviceSharding(device, memory_kind=memory_kind)


_STANDINS = _modules()
STANDIN_NAMES = tuple(_STANDINS)
_HOME = {
    "ShapedArray": "jax.core",
    "check_pspec": "jax._src.named_sharding",
    "make_single_device_sharding": "jax._src.sharding_impls"}


def provide(name: str, value: Any) -> None:
    """Name the class or function that C++ shall find: ShapedArray, check_pspec, ...

    C++ remembers the first answer for ever, so this must happen before the first client.
    """
    setattr(_STANDINS[_HOME[name]], name, value)


def standin(name: str) -> Any:
    """Our stand-in for a module that C++ asks for; an empty one for any other name."""
    return _STANDINS.get(name) or ModuleType(name)


class standins:
    """Context manager: within it, jaxlib's look-ups of `jax.*` modules find our stand-ins.

    What was in `sys.modules` before comes back at the end: a stub left there would be taken for
    JAX by SciPy and by a later `import jax`.  Without the stand-ins C++ would import the real
    package where it is installed, which replaces our array methods.
    """

    __slots__ = ("_before",)
    # Set when minijax goes by the name `jax`, and these modules are there for good.
    permanent = False
    # Two threads within it at once would take each other's stand-ins for what was there before.
    _lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()
        modules = sys.modules
        names = () if standins.permanent else STANDIN_NAMES
        self._before = [(name, modules.get(name)) for name in names]
        modules.update((name, _STANDINS[name]) for name in names)

    def __exit__(self, *exc_info: Any) -> None:
        modules = sys.modules
        for name, module in self._before:
            if module is None:
                modules.pop(name, None)
            else:
                modules[name] = module
        self._lock.release()
