"""The least that `lowering` asks of a jaxpr, a CHECK matcher, and a way to run modules.

Nothing here is minijax: the package under test stands alone.

    program = Program()
    x = program.input("float32", 3)
    jaxpr = program.jaxpr(program.bind("sin", [x], ("float32", 3)))
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

import jaxlib.xla_client as xc
import ml_dtypes
import numpy as np
from jaxlib import _jax

import lowering
from minijax.base.jaxlib import standins


class Aval(NamedTuple):
    shape: tuple[int, ...]
    dtype: np.dtype
    weak_type: bool = False


class Var:
    def __init__(self, aval: Aval) -> None:
        self.aval = aval


class Literal:
    def __init__(self, val: Any, dtype: str) -> None:
        self.val = val
        self.aval = Aval((), np.dtype(dtype))


class Prim(NamedTuple):
    name: str


class Eqn(NamedTuple):
    primitive: Prim
    invars: list
    outvars: list
    params: dict
    effects: frozenset = frozenset()
    source: Any = None
    scope: tuple[str, ...] = ()


class Jaxpr:
    def __init__(self, invars: Sequence, outvars: Sequence, eqns: Sequence,
                 constvars: Sequence = (), consts: Sequence = ()) -> None:
        self.invars = list(invars)
        self.outvars = list(outvars)
        self.eqns = list(eqns)
        self.constvars = list(constvars)
        self.consts = list(consts)


def aval(dtype: Any, *shape: int) -> Aval:
    """`aval("float32", 3, 4)`; knows the names of ml_dtypes."""
    if isinstance(dtype, str):
        dtype = getattr(ml_dtypes, dtype, dtype)
    return Aval(shape, np.dtype(dtype))


class Program:
    """Collects equations into a jaxpr."""

    def __init__(self) -> None:
        self.inputs: list[Var] = []
        self.consts: list[tuple[Var, Any]] = []
        self.eqns: list[Eqn] = []

    def input(self, dtype: Any, *shape: int) -> Var:
        self.inputs.append(Var(aval(dtype, *shape)))
        return self.inputs[-1]

    def const(self, value: Any) -> Var:
        value = np.asarray(value)
        self.consts.append((Var(Aval(value.shape, value.dtype)), value))
        return self.consts[-1][0]

    def bind(self, primitive: str, operands: Sequence, /, *outs: tuple, source: Any = None,
             **params: Any) -> Any:
        """Append an equation; each of `outs` is (dtype, *shape). One result comes back bare."""
        outvars = [Var(aval(*out)) for out in outs]
        self.eqns.append(Eqn(Prim(primitive), list(operands), outvars, params, source=source))
        return outvars[0] if len(outvars) == 1 else outvars

    def jaxpr(self, *results: Any) -> Jaxpr:
        return Jaxpr(self.inputs, results, self.eqns, [v for v, _ in self.consts],
                     [value for _, value in self.consts])


def one(primitive: str, avals: Sequence[Aval], /, *outs: tuple, **params: Any) -> Jaxpr:
    """A jaxpr of one equation."""
    program = Program()
    inputs = [program.input(a.dtype, *a.shape) for a in avals]
    results = program.bind(primitive, inputs, *outs, **params)
    return program.jaxpr(*(results if isinstance(results, list) else [results]))


def inner(build: Callable[..., Any], *avals: Aval) -> Jaxpr:
    """The jaxpr that `build(program, *inputs)` writes; it returns a result or a list of them."""
    program = Program()
    results = build(program, *(program.input(a.dtype, *a.shape) for a in avals))
    return program.jaxpr(*(results if isinstance(results, (list, tuple)) else [results]))


def text(jaxpr: Jaxpr, **options: Any) -> str:
    return lowering.lower(jaxpr, **options).text()


def check(found: str, expected: str) -> None:
    """Each `CHECK:` line occurs in `found`, in order; `CHECK-NOT:` not before the next one."""
    lines = [" ".join(line.split()) for line in found.splitlines()]
    at, forbidden = 0, []
    for line in expected.splitlines():
        match = re.match(r"\s*CHECK(-NOT)?:\s*(.*?)\s*$", line)
        if match is None:
            continue
        pattern = " ".join(match.group(2).split())
        if match.group(1):
            forbidden.append(pattern)
            continue
        start = at
        while at < len(lines) and pattern not in lines[at]:
            at += 1
        assert at < len(lines), f"not found: {pattern}\nin:\n{found}"
        _absent(forbidden, lines[start:at], found)
        forbidden = []
        at += 1
    _absent(forbidden, lines[at:], found)


def _absent(patterns: Sequence[str], lines: Sequence[str], found: str) -> None:
    for pattern in patterns:
        assert not any(pattern in line for line in lines), f"unwanted: {pattern}\nin:\n{found}"


class Machine(NamedTuple):
    client: Any
    device: Any
    sharding: Any


@functools.cache
def _machine() -> Machine:
    client = xc.make_cpu_client(num_devices=1)
    device, = client.devices()
    sharding = _jax.GSPMDSharding(_jax.DeviceList((device,)), xc.HloSharding.replicate())
    machine = Machine(client, device, sharding)
    try:
        _put(machine, aval("int32"), 0)
    except Exception:  # noqa: BLE001  (the kind differs between versions)
        # Nobody has told jaxlib where its settings are; minijax has when it is loaded.
        make, states = _jax.config.Config, _jax.jax_jit
        states.set_enable_x64_state(make("enable_x64", True, include_in_jit_key=True,
                                         include_in_trace_context=True))
        states.set_disable_jit_state(make("disable_jit", False))
        states.set_post_hook_state(make("post_hook", None))
    return machine


def _put(machine: Machine, a: Aval, x: Any) -> Any:
    x = np.ascontiguousarray(np.asarray(x, a.dtype)).reshape(a.shape)
    return _jax.batched_device_put(_described(a), machine.sharding, [x], [machine.device],
                                   force_copy=True, enable_x64=True)


def _described(a: Aval) -> Any:
    return SimpleNamespace(**a._asdict())


def _handler(machine: Machine, a: Aval) -> Any:
    try:
        return _jax.array_result_handler(_described(a), machine.sharding, True, _skip_checks=True)
    except TypeError:  # the keyword went away in jaxlib 0.11
        return _jax.array_result_handler(_described(a), machine.sharding, True)


def run(jaxpr: Jaxpr, *args: Any, **options: Any) -> list[np.ndarray]:
    """Compile for CPU and run; gives NumPy arrays."""
    machine = _machine()
    lowered = lowering.lower(jaxpr, **options)
    program = machine.client.compile_and_load(
        lowered.module, _jax.DeviceList((machine.device,)), _jax.CompileOptions())
    inputs = [v.aval for v, is_arg in zip(jaxpr.constvars, options.get("const_args", ())) if is_arg]
    inputs += [v.aval for v in jaxpr.invars]
    arrays = [_put(machine, a, x) for a, x in zip(inputs, args, strict=True)]
    handlers = [_handler(machine, v.aval) for v in jaxpr.outvars]
    results = program.execute_sharded(arrays).consume_with_handlers(handlers)
    return [_read(r) for r in results]


def _read(result: Any) -> np.ndarray:
    try:
        return np.array(memoryview(result))
    except BufferError:  # bfloat16 and the narrow types; this reader asks for modules of jax
        with standins():
            return result._single_device_array_to_np_array_did_copy()[0].copy()


def run_one(primitive: str, args: Sequence[Any], /, *outs: tuple, **params: Any) -> Any:
    """Run a single equation on arrays; one result comes back bare."""
    args = [np.asarray(x) for x in args]
    results = run(one(primitive, [Aval(x.shape, x.dtype) for x in args], *outs, **params), *args)
    return results[0] if len(results) == 1 else results
