"""Clients and devices: made once, at first need, CPU always and accelerators by plugin packages.

Invariant: importing this module makes no client; every reader goes through `clients()`, which
makes them all under one lock.  `devices()` before any array is made is what starts the runtime:

    devices()               # [CpuDevice(id=0)]
    default_backend()       # "cpu"
    get_client("gpu")       # RuntimeError naming the platforms that are present
"""

import copyreg
import ctypes
import functools
import glob
import importlib
import importlib.util
import logging
import os
import pathlib
import pkgutil
import sys
import threading
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minijax.base import jaxlib
from minijax.base.config import config, num_cpu_devices, platform_name
from minijax.runtime import foreign
from minijax.sharding import Mesh, NamedSharding, PartitionSpec, single

logger = logging.getLogger(__name__)

Client = jaxlib.Client
Device = jaxlib.Device

_ALIASES = {"gpu": ("cuda", "rocm")}
_FORK_TEXT = (
    "os.fork() was called. os.fork() is incompatible with multithreaded code, and JAX is "
    "multithreaded, so this will likely lead to a deadlock.")


class _State:
    """What exists after the first need: the clients by platform, best first, and failures."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.clients: dict[str, Any] = {}
        self.errors: dict[str, str] = {}
        self.default: Any = None


_state = _State()


class Plugin(NamedTuple):
    """How to make the client of one platform; larger priority is preferred."""

    make: Callable[[], Any]
    priority: int
    experimental: bool = False


# ---------------------------------------------------------------------------- CPU


def _make_cpu_client() -> Any:
    """The CPU client; as many virtual devices as the config (or, without it, XLA_FLAGS) says."""
    count = config.jax_num_cpu_devices
    client, node, num_nodes = distributed() or Cluster(None, 0, 1)
    collectives = None
    if client is not None:
        collectives = jaxlib._jax.make_gloo_tcp_collectives(distributed_client=client)
    return jaxlib.xc.make_cpu_client(
        asynchronous=config.jax_cpu_enable_async_dispatch, distributed_client=client, node_id=node,
        num_nodes=num_nodes, collectives=collectives,
        num_devices=None if count is None or count < 0 else count)


class Cluster(NamedTuple):
    """Facts about a run of several processes, set by `minijax.distributed` before any client."""

    client: Any
    process_id: int
    num_processes: int


_cluster: list[Cluster] = []


def distributed() -> Cluster | None:
    """The cluster that this process belongs to, if `join` was called."""
    return _cluster[0] if _cluster else None


def join(cluster: Cluster | None) -> None:
    """Make later clients part of a cluster (None: leave); RuntimeError when clients exist."""
    if cluster is not None and _state.clients:
        raise RuntimeError("jax.distributed.initialize() must be called before any JAX "
                           "calls that might initialise the XLA backend.")
    _cluster[:] = [] if cluster is None else [cluster]


# ---------------------------------------------------------------------------- plugins


def _plugin_modules() -> list[str]:
    """Names of installed plugin modules, not imported: the namespace package and entry points."""
    names = []
    spec = importlib.util.find_spec("jax_plugins")
    if spec is not None and spec.submodule_search_locations is not None:
        for info in pkgutil.iter_modules(spec.submodule_search_locations, "jax_plugins."):
            names.append(info.name)
    return names + [name for name in _entry_points() if name not in names]


def _entry_points() -> list[str]:
    """Modules that installed packages name in the entry point group `jax_plugins`.

    Read from the files: importlib.metadata brings the email package, 20 ms of every start.
    """
    found = []
    for folder in sys.path:
        for file in glob.glob(os.path.join(glob.escape(folder), "*-info", "entry_points.txt")):
            with open(file, encoding="utf-8") as lines:
                _, header, rest = lines.read().partition("[jax_plugins]")
            if header:
                section = rest.partition("[")[0].splitlines()
                values = [line.partition("=")[2] for line in section if "=" in line]
                found += [value.partition(":")[0].strip() for value in values]
    return found


_CUDA_LIBRARIES = ("cudart", "nvJitLink", "nvrtc", "cublasLt", "cublas", "cupti", "cusparse",
                   "cusolver", "cufft", "cudnn", "nccl", "nvshmem_host")


def _preload_nvidia() -> None:
    """Load the CUDA libraries of the pip packages first, so they win over system copies."""
    spec = importlib.util.find_spec("nvidia")
    if spec is None or spec.submodule_search_locations is None:
        return
    for name in _CUDA_LIBRARIES:
        for root in spec.submodule_search_locations:
            for path in glob.glob(os.path.join(root, "*", "lib", f"lib{name}.so*")):
                try:
                    ctypes.CDLL(path)
                except OSError as error:
                    logger.debug("could not preload %s: %s", path, error)


def _load_cuda(module: str) -> Any:
    """Load a CUDA plugin without its Python (which would import jax); return its client."""
    folder = pathlib.Path(importlib.util.find_spec(module).origin).parent
    version = module.rpartition("_")[2]
    _preload_nvidia()
    xc = jaxlib.xc
    if not xc.pjrt_plugin_loaded("cuda"):
        api = xc.load_pjrt_plugin_dynamically("cuda", str(folder / "xla_cuda_plugin.so"))
        jaxlib.load("_profiler").register_plugin_profiler(api)
        extension = importlib.import_module(f"jax_{version}_plugin.cuda_plugin_extension")
        _register_gpu_calls(api, extension)
    if not xc.pjrt_plugin_initialized("cuda"):
        xc.initialize_pjrt_plugin("cuda")
    options = xc.generate_pjrt_gpu_plugin_options()
    visible = config.jax_cuda_visible_devices
    if visible and visible != "all":
        options["visible_devices"] = [int(part) for part in visible.split(",")]
    return _c_api_client("cuda", options)


def _register_gpu_calls(api: Any, extension: Any) -> None:
    xc = jaxlib.xc
    custom_type = functools.partial(extension.register_custom_type, api)
    xc.register_custom_type_handler("CUDA", custom_type)
    custom_call = functools.partial(extension.register_custom_call_target, api)
    xc.register_custom_call_handler("CUDA", custom_call)
    for name, value in extension.ffi_types().items():
        xc.register_custom_type(name, value, platform="CUDA")
    for name, value in extension.ffi_handlers().items():
        xc.register_custom_call_target(name, value, platform="CUDA", api_version=1)
    foreign.prepare_gpu("CUDA")


def _c_api_client(platform: str, options: dict[str, Any]) -> Any:
    cluster = distributed()
    if cluster is not None:
        options["node_id"] = cluster.process_id
        options["num_nodes"] = cluster.num_processes
    return jaxlib.xc.make_c_api_client(
        platform, options, None if cluster is None else cluster.client)


def _load_other(module: str, name: str) -> Any:
    """A plugin of somebody else: only its shared library is used, never its Python."""
    folder = pathlib.Path(importlib.util.find_spec(module).origin).parent
    libraries = sorted(folder.glob("*.so")) + sorted(folder.glob("*.dylib"))
    if len(libraries) != 1:
        raise RuntimeError(f"expected one shared library in {folder}, found {len(libraries)}")
    return _load_from_path(name, str(libraries[0]))


def _load_tpu() -> Any:
    return _load_from_path("tpu", importlib.import_module("libtpu").get_library_path())


def _load_from_path(name: str, path: str) -> Any:
    xc = jaxlib.xc
    if not xc.pjrt_plugin_loaded(name):
        xc.load_pjrt_plugin_dynamically(name, path)
    if not xc.pjrt_plugin_initialized(name):
        xc.initialize_pjrt_plugin(name)
    return _c_api_client(name, {})


def plugins() -> dict[str, Plugin]:
    """Every platform that could be tried, nothing is loaded yet."""
    found = {"cpu": Plugin(_make_cpu_client, 0)}
    if importlib.util.find_spec("libtpu") is not None:
        found["tpu"] = Plugin(_load_tpu, 300)
    for module in _plugin_modules():
        name = module.rpartition(".")[2]
        if name.startswith("xla_cuda"):
            found["cuda"] = Plugin(functools.partial(_load_cuda, module), 500)
        else:
            make = functools.partial(_load_other, module, name)
            found[name] = Plugin(make, 400, experimental=True)
    for entry in filter(None, os.environ.get("PJRT_NAMES_AND_LIBRARY_PATHS", "").split(",")):
        name, _, path = entry.partition(":")
        found[name] = Plugin(functools.partial(_load_from_path, name, path), 400, True)
    return found


# ---------------------------------------------------------------------------- clients


def clients() -> dict[str, Any]:
    """All clients by platform name, the default first; made at the first call."""
    if _state.default is None:
        with _state.lock:
            if _state.default is None:
                _make_clients()
    return _state.clients


def initialized() -> bool:
    """Whether clients exist already (this call does not make them)."""
    return _state.default is not None


def _only_before_start(name: str, value: Any) -> Any:
    if initialized() and value != config.jax_num_cpu_devices:
        raise RuntimeError(
            f"{name} config should be updated before backends are initialized, i.e. before any JAX "
            "operation is executed. You should initialize this config immediately after "
            "`import jax`.")
    return value


num_cpu_devices.validators.append(_only_before_start)


def start_errors() -> dict[str, str]:
    """Why platforms did not start, by name."""
    return _state.errors


def _make_clients() -> None:
    wanted = config.jax_platforms
    if wanted:
        _make_wanted([name.strip() for name in wanted.split(",") if name.strip()])
    else:
        _make_available()
    _warm_up(next(iter(_state.clients.values())))
    _register_fork_warning()
    _state.default = _chosen()


def _chosen() -> Any:
    """The default client: the one that jax_platform_name names, else the best."""
    name = config.jax_platform_name
    return _find(name) if name else next(iter(_state.clients.values()))


def _choose_again(name: str, everywhere: bool) -> None:
    if initialized():
        _state.default = _chosen()
        jaxlib.PjitFunctionCache.clear_all()  # of programs for the other devices


platform_name.on_change(_choose_again)


def _make_wanted(names: list[str]) -> None:
    """Clients of the platforms that the configuration lists; the first of them must start."""
    known = plugins()
    for name in names:
        for platform in _ALIASES.get(name, (name,)):
            if platform in known:
                _try(platform, known[platform])
        made = [p for p in _ALIASES.get(name, (name,)) if p in _state.clients]
        if made:
            continue
        reason = _state.errors.get(name) or (
            f"Backend '{name}' is not in the list of known backends: {sorted(known)}.")
        _state.clients.clear()
        raise RuntimeError(
            f"Unable to initialize backend '{name}': {reason} "
            "(set JAX_PLATFORMS='' to automatically choose an available backend)")


def _make_available() -> None:
    """Clients of every platform that works, best first; failures of plugins are only logged."""
    known = plugins()
    for name in sorted(known, key=lambda name: -known[name].priority):
        _try(name, known[name])
    if not _state.clients:
        raise RuntimeError(f"No backend could be initialized: {_state.errors}")


def _try(name: str, plugin: Plugin) -> None:
    if name in _state.clients:
        return
    try:
        client = plugin.make()
        if client.device_count() == 0:
            raise RuntimeError(f"Backend '{name}' provides no devices.")
        _state.clients[name] = client
    except Exception as error:  # any failure of foreign code means "not available"
        _state.errors[name] = str(error)
        level = logging.INFO if name in ("tpu", "cpu") else logging.WARNING
        logger.log(level, "Unable to initialize backend '%s': %s", name, error)


@functools.cache
def _register_fork_warning() -> None:
    os.register_at_fork(before=_warn_fork)


def _warn_fork() -> None:
    warnings.warn(_FORK_TEXT, RuntimeWarning, stacklevel=2)


def _warm_up(client: Any) -> None:
    """Let C++ do, under the stand-ins, each look-up of a `jax.*` module that it remembers."""
    device = client.local_devices()[0]
    with jaxlib.standins():
        if client.platform == "cpu":
            capsule = np.zeros(1, np.float32).__dlpack__()
            jaxlib._jax.dlpack_managed_tensor_to_buffer(capsule, device, None)
        NamedSharding(Mesh(np.array([device]), ("x",)), PartitionSpec())
        if hasattr(jaxlib._jax, "shard_args"):
            sharding = single.single_device(device)
            reuse = jaxlib.ArrayCopySemantics.REUSE_INPUT
            jaxlib._jax.shard_args([sharding], [None], [reuse], [np.zeros(1, np.float32)], None)


def clear_backends() -> None:
    """Forget all clients; live arrays and executables keep theirs alive."""
    with _state.lock:
        _state.clients = {}
        _state.errors = {}
        _state.default = None
        _first_devices.clear()
        single.forget_devices()
        jaxlib.PjitFunctionCache.clear_all()


# ---------------------------------------------------------------------------- queries


def get_client(platform: Any = None) -> Any:
    """The client of a platform name (aliases as "gpu" included); None means the default one."""
    if isinstance(platform, Client):
        return platform
    clients()
    return _find(platform) if platform else _state.default


def _find(platform: str) -> Any:
    made = _state.clients
    for name in _ALIASES.get(platform, (platform,)):
        if name in made:
            return made[name]
    if platform in _ALIASES:
        raise RuntimeError(
            f"Unknown backend: '{platform}' requested, but no platforms that are instances of "
            f"{platform} are present. Platforms present are: {','.join(made)}")
    reason = _state.errors.get(platform)
    if reason is not None:
        raise RuntimeError(f"Backend '{platform}' failed to initialize: {reason}. "
                           f"Available backends are {list(made)}")
    raise RuntimeError(f"Unknown backend {platform}. Available backends are {list(made)}")


def devices(backend: str | None = None) -> list[Any]:
    """All devices of a backend (default: the default one), of all processes, in order of id."""
    return get_client(backend).devices()


def local_devices(process_index: int | None = None, backend: str | None = None,
                  host_id: int | None = None) -> list[Any]:
    """Like `devices`, of one process only (default: this one); ValueError when it is unknown."""
    if host_id is not None:
        warnings.warn(
            "The argument to jax.local_devices has been renamed from `host_id` to "
            "`process_index`. This alias will eventually be removed; please update your code.",
            stacklevel=2)
        process_index = host_id
    client = get_client(backend)
    if process_index is None:
        process_index = client.process_index()
    if not 0 <= process_index < process_count(backend):
        raise ValueError(f"Unknown process_index {process_index}")
    return [device for device in client.devices() if device.process_index == process_index]


def device_count(backend: str | None = None) -> int:
    """The number of devices of all processes."""
    return int(get_client(backend).device_count())


def local_device_count(backend: str | None = None) -> int:
    """The number of devices that this process can address."""
    return int(get_client(backend).local_device_count())


def default_backend() -> str:
    """The platform name of the default backend: "cpu", "gpu" or "tpu"."""
    return get_client().platform


def process_index(backend: str | None = None) -> int:
    """The number of this process, 0 when there is only one."""
    return get_client(backend).process_index()


def process_count(backend: str | None = None) -> int:
    """The number of processes that own devices of this backend."""
    return max((device.process_index for device in devices(backend)), default=0) + 1


def process_indices(backend: str | None = None) -> list[int]:
    """The numbers of all processes."""
    return list(range(process_count(backend)))


def live_arrays(platform: str | None = None) -> list[Any]:
    """All arrays of this process that have not been deleted."""
    return [array for array in get_client(platform).live_arrays() if not array.is_deleted()]


def default_device() -> Any:
    """Where an uncommitted value goes: `jax_default_device`, else the first local device."""
    chosen = config.jax_default_device
    if chosen is None:
        if _state.default is None:
            clients()
        return first_local_device(_state.default)
    if isinstance(chosen, Device):
        return chosen
    return first_local_device(get_client(chosen))


_first_devices: dict[int, tuple[Any, Any]] = {}


def first_local_device(client: Any) -> Any:
    """The first device of a client that this process can address."""
    entry = _first_devices.get(id(client))
    if entry is None or entry[0] is not client:
        entry = (client, client.local_devices()[0])
        _first_devices[id(client)] = entry
    return entry[1]


def is_cpu(device: Any) -> bool:
    """Whether the memory of a device is the memory of the host."""
    return device.platform == "cpu"


def _find_device(platform: str, device_id: int) -> Any:
    return next(d for d in devices(platform) if d.id == device_id)


# Another process has devices of its own; the one with the same number stands for this one.
copyreg.pickle(jaxlib.Device, lambda device: (_find_device, (device.platform, device.id)))
