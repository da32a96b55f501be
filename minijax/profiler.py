"""`jax.profiler`: what a program did when, for TensorBoard, XProf or Perfetto.

    with jax.profiler.trace("/tmp/trace"):
        for step in range(10):
            with jax.profiler.StepTraceAnnotation("train", step_num=step):
                state = train(state).block_until_ready()
"""

import functools
import gzip
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from minijax.base import jaxlib
from minijax.runtime import backend as backends

_profiler = jaxlib.load("_profiler")
_data = jaxlib.load("_profile_data")
F = TypeVar("F", bound=Callable[..., Any])

ProfileData = _data.ProfileData
ProfileEvent = _data.ProfileEvent
ProfilePlane = _data.ProfilePlane
ProfileOptions = _profiler.ProfileOptions
register_subprocess = _profiler.register_subprocess

__all__ = ["ProfileData", "ProfileEvent", "ProfileOptions", "ProfilePlane", "StepTraceAnnotation",
           "TraceAnnotation", "annotate_function", "device_memory_profile", "register_subprocess",
           "save_device_memory_profile", "start_server", "start_trace", "stop_server",
           "stop_trace", "trace"]


class _State:
    """The one session and the one server that a process may have."""

    lock = threading.Lock()
    session: Any = None
    log_dir: str = ""
    perfetto = False
    server: Any = None


class TraceAnnotation(_profiler.TraceMe):
    """A span of time with a name: a context manager, or a decorator of a function."""

    def __call__(self, function: F) -> F:
        name, keywords = self._name, self._keywords

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with TraceAnnotation(name, **keywords):
                return function(*args, **kwargs)
        return wrapper

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._name, self._keywords = name, kwargs


class StepTraceAnnotation(TraceAnnotation):
    """A span that is one step of training: the profiler computes statistics by `step_num`."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, _r=1, **kwargs)


def annotate_function(func: F, name: str | None = None, **decorator_kwargs: Any) -> F:
    """`func` with a span around each call, named after it unless `name` is given."""
    label = name or getattr(func, "__qualname__", None) or func.__name__

    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with TraceAnnotation(label, **decorator_kwargs):
            return func(*args, **kwargs)
    return wrapper


def start_server(port: int, requires_backend: bool = True) -> Any:
    """Let profilers connect to this process at `port`, until the result is garbage or stopped."""
    if _State.server is not None:
        raise ValueError("Only one profiler server can be active at a time.")
    if requires_backend:
        backends.clients()
    _State.server = _profiler.start_server(port)
    return _State.server


def stop_server() -> None:
    """End the server that `start_server` began."""
    if _State.server is None:
        raise ValueError("No active profiler server.")
    _State.server = None


def start_trace(log_dir: os.PathLike | str, create_perfetto_link: bool = False,
                create_perfetto_trace: bool = False,
                profiler_options: Any = None) -> None:
    """Record what this process and its devices do, until `stop_trace` writes it to `log_dir`."""
    with _State.lock:
        if _State.session is not None:
            raise RuntimeError("Profile has already been started. Only one profile may be run at "
                               "a time.")
        backends.clients()
        _State.session = (_profiler.ProfilerSession() if profiler_options is None
                          else _profiler.ProfilerSession(profiler_options))
        _State.log_dir = os.fspath(log_dir)
        _State.perfetto = create_perfetto_link or create_perfetto_trace


def stop_trace() -> None:
    """Write what was recorded since `start_trace`."""
    with _State.lock:
        if _State.session is None:
            raise RuntimeError("No profile started")
        # "Export" of the session writes what TensorBoard and XProf read.
        _State.session.stop_and_export(_State.log_dir)
        _State.session = None
        if _State.perfetto:
            _compress_newest(Path(_State.log_dir))


def _compress_newest(log_dir: Path) -> None:
    """Put the newest trace where Perfetto's users look for it."""
    traces = sorted(log_dir.glob("plugins/profile/*/*.trace.json.gz"), key=os.path.getmtime)
    if traces:
        traces[-1].with_name("perfetto_trace.json.gz").write_bytes(traces[-1].read_bytes())


@contextmanager
def trace(log_dir: os.PathLike | str, create_perfetto_link: bool = False,
          create_perfetto_trace: bool = False, profiler_options: Any = None) -> Iterator[None]:
    """`start_trace` and `stop_trace` around a block."""
    start_trace(log_dir, create_perfetto_link, create_perfetto_trace, profiler_options)
    try:
        yield
    finally:
        stop_trace()


def device_memory_profile(backend: str | None = None) -> bytes:
    """What is in device memory and who made it, in the compressed format of `pprof`."""
    return gzip.compress(backends.get_client(backend).heap_profile())


def save_device_memory_profile(filename: Any, backend: str | None = None) -> None:
    """`device_memory_profile` written to a file."""
    with open(filename, "wb") as file:
        file.write(device_memory_profile(backend))
