"""What is still to happen of the side effects of programs that were started.

The one invariant: a program with an ordered effect takes the token that the last such program of
this thread gave back, so the two run one after the other; `effects_barrier` waits for all of them.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from minijax.base import jaxlib
from minijax.core import ShapedArray
from minijax.runtime import place
from minijax.sharding.single import single_device

_TOKEN = ShapedArray((0,), np.bool_)  # what a token looks like from outside of a program


class _Pending(threading.local):
    def __init__(self) -> None:
        self.ordered: dict[Any, tuple[tuple, Any]] = {}  # effect: devices, token
        self.running: dict[Any, Any] = {}  # device: token of the last program with effects


_pending = _Pending()


def sharding_over(devices: tuple) -> Any:
    """The sharding of a token that is on each of the devices."""
    if len(devices) == 1:
        return single_device(devices[0])
    return jaxlib.GSPMDSharding(jaxlib.DeviceList(devices), jaxlib.HloSharding.replicate())


def _last_token(effect: Any, devices: tuple) -> Any:
    where, token = _pending.ordered.get(effect, (None, None))
    if where == devices:
        return token
    if token is not None:
        token.block_until_ready()  # other devices know nothing of it
    shards = [np.zeros(0, np.bool_)] * len(devices)
    return jaxlib.batched_device_put(_TOKEN, sharding_over(devices), shards, list(devices))


def execute(loaded: Any, devices: tuple, ordered: Sequence[Any], arguments: list,
            handlers: list) -> list:
    """Start a program with effects; its first arguments and results are tokens of `ordered`."""
    tokens = [_last_token(effect, devices) for effect in ordered]
    results = loaded.execute_sharded(tokens + arguments, with_tokens=True)
    running = results.consume_token()
    for device in devices:
        _pending.running[device] = running
    handler = place.result_handler(_TOKEN, sharding_over(devices), False)
    outs = results.consume_with_handlers([handler] * len(ordered) + handlers)
    for effect, token in zip(ordered, outs):
        _pending.ordered[effect] = devices, token
    return outs[len(ordered):]


def effects_barrier() -> None:
    """Wait until the side effects of all programs started so far have happened."""
    ordered, running = list(_pending.ordered.values()), list(_pending.running.values())
    _pending.ordered.clear()
    _pending.running.clear()
    for _, token in ordered:
        token.block_until_ready()
    for token in running:
        token.block_until_ready()
