"""Compiled programs on disk, for the next process that wants the same program.

    jax.config.update("jax_compilation_cache_dir", "/tmp/programs")

A program's file is named after a hash of all that the compiler sees: the module without
locations, the compile options, the versions of jaxlib and of the backend, the kind of the devices
and XLA_FLAGS.  Invariant: a file is written under another name and then moved, so whoever finds it
finds it whole; a file that cannot be read is compiled again.
"""

import hashlib
import os
import struct
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from minijax.base import config, jaxlib, monitoring, source

_SUFFIX = "-cache"
_HEADER = struct.Struct(">d")  # the seconds that compiling took


def is_enabled() -> bool:
    """Whether there is a folder to look in."""
    return config.enable_compilation_cache.value and bool(config.compilation_cache_dir.value)


def compiled(name: str, code: bytes, devices: Sequence[Any], options: Any,
             build: Callable[[], Any]) -> Any:
    """The loaded executable of a program: from the folder, or by `build()`, then kept there."""
    if not is_enabled():
        return build()
    monitoring.record_event("/jax/compilation_cache/compile_requests_use_cache")
    path = Path(config.compilation_cache_dir.value) / f"{name}-{key(code, devices, options)}"
    path = path.with_name(path.name + _SUFFIX)
    found = _guarded("reading", lambda: _read(path, devices, options))
    if found is not None:
        monitoring.record_event("/jax/compilation_cache/cache_hits")
        return found
    start = time.perf_counter()
    loaded = build()
    seconds = time.perf_counter() - start
    monitoring.record_event("/jax/compilation_cache/cache_misses")
    if seconds >= config.persistent_cache_min_compile_time_secs.value:
        _guarded("writing", lambda: _write(path, devices[0].client, loaded, seconds))
    return loaded


def key(code: bytes, devices: Sequence[Any], options: Any) -> str:
    """The hash of all that decides what the compiler makes of a program."""
    digest = hashlib.sha256(code)
    client = devices[0].client
    parts = [
        jaxlib.version_text, client.platform, client.platform_version, devices[0].device_kind,
        str(len(devices)), os.environ.get("XLA_FLAGS", ""), os.environ.get("LIBTPU_INIT_ARGS", "")]
    for part in (*parts, options.SerializeAsString()):
        part = part.encode() if isinstance(part, str) else part
        digest.update(struct.pack(">q", len(part)) + part)
    return digest.hexdigest()


def _guarded(what: str, action: Callable[[], Any]) -> Any:
    """The result of a file operation, or None with a warning: a cache must not stop a program."""
    try:
        return action()
    except Exception as error:
        if config.raise_persistent_cache_errors.value:
            raise
        source.warn(f"Error {what} persistent compilation cache entry: "
                    f"{type(error).__name__}: {error}")
        return None


def _read(path: Path, devices: Sequence[Any], options: Any) -> Any:
    start = time.perf_counter()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    seconds, = _HEADER.unpack_from(data)
    code = zlib.decompress(data[_HEADER.size:])
    loaded = devices[0].client.deserialize_executable(code, jaxlib.DeviceList(tuple(devices)),
                                                      options)
    os.utime(path)  # for eviction: this one is in use
    spent = time.perf_counter() - start
    about = "/jax/compilation_cache/"
    monitoring.record_event_duration_secs(about + "cache_retrieval_time_sec", spent)
    monitoring.record_event_duration_secs(about + "compile_time_saved_sec", seconds - spent)
    return loaded


def _write(path: Path, client: Any, loaded: Any, seconds: float) -> None:
    code = client.serialize_executable(loaded)
    if len(code) < config.persistent_cache_min_entry_size_bytes.value:
        return
    data = _HEADER.pack(seconds) + zlib.compress(code, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    limit = config.compilation_cache_max_size.value
    if limit >= 0 and not _make_room(path.parent, limit - len(data)):
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _make_room(folder: Path, limit: int) -> bool:
    """Remove the files not used for longest until at most `limit` bytes are left."""
    if limit < 0:
        return False
    files = [(path.stat(), path) for path in folder.glob(f"*{_SUFFIX}")]
    total = sum(stat.st_size for stat, _ in files)
    for stat, path in sorted(files, key=lambda entry: entry[0].st_mtime):
        if total <= limit:
            break
        path.unlink(missing_ok=True)
        total -= stat.st_size
    return True
