"""Events for those who watch: what was traced, lowered and compiled, and how long it took.

    monitoring.register_event_duration_secs_listener(lambda event, seconds, **about: ...)
    with monitoring.measured("/jax/core/compile/backend_compile_duration", fun_name="jit(f)"): ...

Invariant: without listeners an event costs one look at an empty list.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from minijax.base import config

__all__ = [
    "clear_event_listeners", "record_event", "record_event_duration_secs",
    "record_event_time_span", "record_scalar", "register_event_duration_secs_listener",
    "register_event_listener", "register_event_time_span_listener", "register_scalar_listener",
    "unregister_event_duration_listener", "unregister_event_listener",
    "unregister_event_time_span_listener", "unregister_scalar_listener"]

logger = logging.getLogger(__name__)

_events: list[Callable] = []
_durations: list[Callable] = []
_spans: list[Callable] = []
_scalars: list[Callable] = []


def _tell(listeners: list[Callable], event: str, values: tuple, about: dict) -> None:
    for listener in list(listeners):
        listener(event, *values, **about)


def record_event(event: str, **kwargs: str | int) -> None:
    """Tell the listeners that something happened."""
    _tell(_events, event, (), kwargs)


def record_event_duration_secs(event: str, duration: float, **kwargs: str | int) -> None:
    """Tell the listeners how many seconds something took."""
    _tell(_durations, event, (duration,), kwargs)


def record_event_time_span(event: str, start_time: float, end_time: float,
                           **kwargs: str | int) -> None:
    """Tell the listeners when something began and ended, in seconds since 1970."""
    _tell(_spans, event, (start_time, end_time), kwargs)


def record_scalar(event: str, value: float | int, **kwargs: str | int) -> None:
    """Tell the listeners a number."""
    _tell(_scalars, event, (value,), kwargs)


def register_event_listener(callback: Callable[..., None]) -> None:
    """Call callback(event, **about) for every event."""
    _events.append(callback)


def register_event_duration_secs_listener(callback: Callable[..., None]) -> None:
    """Call callback(event, seconds, **about) for everything that takes time."""
    _durations.append(callback)


def register_event_time_span_listener(callback: Callable[..., None]) -> None:
    """Call callback(event, start, end, **about) for everything that takes time."""
    _spans.append(callback)


def register_scalar_listener(callback: Callable[..., None]) -> None:
    """Call callback(event, value, **about) for every number."""
    _scalars.append(callback)


def unregister_event_listener(callback: Callable[..., None]) -> None:
    """Forget a listener; ValueError if it is none."""
    _events.remove(callback)


def unregister_event_duration_listener(callback: Callable[..., None]) -> None:
    """Forget a listener; ValueError if it is none."""
    _durations.remove(callback)


def unregister_event_time_span_listener(callback: Callable[..., None]) -> None:
    """Forget a listener; ValueError if it is none."""
    _spans.remove(callback)


def unregister_scalar_listener(callback: Callable[..., None]) -> None:
    """Forget a listener; ValueError if it is none."""
    _scalars.remove(callback)


def clear_event_listeners() -> None:
    """Forget all listeners."""
    for listeners in (_events, _durations, _spans, _scalars):
        listeners.clear()


class measured:
    """`with measured(event, said, **about):` records how long the block took, if it ended well.

    `said` goes to the log, as a warning under jax_log_compiles.
    """

    __slots__ = ("event", "said", "about", "start")

    def __init__(self, event: str, said: str, **about: str | int):
        self.event = event
        self.said = said
        self.about = about

    def __enter__(self) -> None:
        self.start = time.time()
        if _scalars:
            record_scalar(self.event, self.start, **self.about)

    def __exit__(self, kind: Any, *rest: Any) -> None:
        if kind is not None:
            return
        end = time.time()
        if config.log_compiles.value or logger.isEnabledFor(logging.DEBUG):
            level = logging.WARNING if config.log_compiles.value else logging.DEBUG
            logger.log(level, "Finished %s in %.9f sec", self.said, end - self.start)
        if _durations or _spans:
            record_event_duration_secs(self.event, end - self.start, **self.about)
            record_event_time_span(self.event, self.start, end, **self.about)
