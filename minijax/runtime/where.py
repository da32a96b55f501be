"""Which devices a program runs on, and where its arguments and results are.

Shardings given to `jit`, committed arguments, and operations inside that name a mesh must agree.
Without any of them the mesh in context decides, or the default device.

    choose(Wishes(jaxpr, operands, ins, outs, names, "f"))      # a Placement
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from minijax.base import errors, jaxlib, source
from minijax.core import UNSPECIFIED, Jaxpr, get_aval, is_tracer, sharding_of
from minijax.passes.physicalize import physical_aval
from minijax.runtime import backend, place, spmd
from minijax.runtime.compile import Placement
from minijax.sharding import AbstractMesh, Mesh, NamedSharding
from minijax.sharding.context import NO_MESH, physical_mesh
from minijax.sharding.memory import space_of
from minijax.sharding.named import check_fits, make, with_devices
from minijax.sharding.spec import PartitionSpec

Array = jaxlib.Array


class Wishes(NamedTuple):
    """What says where a program runs; one entry of `ins` per operand, UNSPECIFIED for none."""

    jaxpr: Jaxpr
    operands: Sequence[Any]
    ins: Sequence[Any]
    outs: Sequence[Any]
    names: Callable[[], Sequence[str]]
    fun_name: str
    mesh: Mesh | None = None  # where to run if nothing else says so


def choose(wishes: Wishes) -> Placement:
    """Where the program runs; ValueError when wishes disagree or a shape cannot be split.

    The program takes operands in the order of elements that they have.
    """
    found = _choose(wishes)
    layouts = [place.unusual_layout(x) for x in wishes.operands]
    return found._replace(in_layouts=tuple(layouts)) if any(layouts) else found


def _choose(wishes: Wishes) -> Placement:
    found = committed = None
    for devices, text in _parties(wishes):
        if found is None:
            found, committed = devices, text
        elif found != devices:
            raise ValueError("Received incompatible devices for jitted computation. Got "
                             f"{committed()} and {text()}")
    given = [_operand_sharding(s, x) for s, x in zip(wishes.ins, wishes.operands, strict=True)]
    outs = [_typed_output(s, aval) for s, aval in
            zip(wishes.outs, wishes.jaxpr.out_avals, strict=True)]
    mesh = wishes.mesh or physical_mesh()
    if found is None and mesh is None:  # of an abstract mesh only the number of devices is known
        sizes = [s.mesh.size for s in (*given, *outs) if isinstance(s, NamedSharding)]
        found = (backend.default_device(),) * max(sizes, default=1)
    elif found is None:
        found = tuple(mesh.devices.flat)
    meshes = [s.mesh for s in given if isinstance(s, NamedSharding)]
    meshes += [demand.mesh for demand in spmd.demands(wishes.jaxpr)]
    outs = tuple([_concrete(s, found) for s in outs])
    meshes += [s.mesh for s in outs if isinstance(s, NamedSharding)]
    if len(found) == 1 and not meshes and (mesh is None or tuple(mesh.devices.flat) != found):
        return Placement(found, _hosted(given), _hosted(outs), committed is not None)
    ins = _spelled_out([_concrete(s, found) for s in given], meshes)
    _check_shapes(wishes, ins)
    return Placement(found, ins, outs, True)


def _hosted(shardings: Iterable[Any]) -> tuple:
    """What one device's shardings say of memory, if one of them says it."""
    found = tuple(s if space_of(s) else UNSPECIFIED for s in shardings)
    return () if set(found) <= {UNSPECIFIED} else found


def _spelled_out(ins: Sequence[Any], meshes: Sequence[Any]) -> tuple:
    """Where types say how values are split, one that says nothing is on all devices.

    Left to choose, the compiler might take an operand for terms of a sum.
    """
    mesh = next((m for m in (physical_mesh(), *meshes) if isinstance(m, Mesh)), None)
    if mesh is None or not mesh.are_all_axes_explicit:
        return tuple(ins)
    return tuple(make(mesh, PartitionSpec()) if s is UNSPECIFIED else s for s in ins)


def _typed_output(given: Any, aval: Any) -> Any:
    """Where a result is: as was asked for, else as its type says."""
    typed = sharding_of(aval)
    if given is not UNSPECIFIED or typed is None or not typed.mesh.are_all_axes_explicit:
        return given
    return typed


def on_device(device: Any, jaxpr: Jaxpr) -> Placement:
    """A program on one device that the user named; ValueError when it wants others inside."""
    for demand in spmd.demands(jaxpr):
        devices = tuple(demand.mesh.devices.flat)
        if devices != (device,):
            raise ValueError(
                "Received incompatible devices for jitted computation. Got explicit output "
                f"sharding{_on((device,))} and {demand.name} inside jit{_on(devices)} at "
                f"{source.user_frame(demand.source)}")
    return Placement((device,), committed=True)


def _parties(wishes: Wishes) -> Iterator[tuple[tuple, Callable[[], str]]]:
    """The devices that each wish asks for, and a description of it."""
    for sharding in (*wishes.ins, *wishes.outs):
        devices = _devices(sharding)
        if devices is not None:
            yield devices, lambda s=sharding, d=devices: f"explicit output sharding{_on(d)}"
    for i, (x, given) in enumerate(zip(wishes.operands, wishes.ins, strict=True)):
        devices = _devices(committed_sharding(x)) if given is UNSPECIFIED else None
        if devices is not None:
            yield devices, lambda i=i, d=devices: (
                f"argument {wishes.names()[i]} of {wishes.fun_name} with shape "
                f"{wishes.jaxpr.in_avals[i].str_short(False)} and{_on(d)}")
    for demand in spmd.demands(wishes.jaxpr):
        devices = tuple(demand.mesh.devices.flat)
        yield devices, lambda m=demand, d=devices: (
            f"{m.name} inside jit{_on(d)} at {source.user_frame(m.source)}")


def _on(devices: Sequence[Any]) -> str:
    return f" with device ids {[d.id for d in devices]} on platform {devices[0].platform.upper()}"


def _devices(sharding: Any) -> tuple | None:
    known = isinstance(sharding, jaxlib.Sharding) and (
        not isinstance(getattr(sharding, "mesh", None), AbstractMesh))
    return tuple(sharding._internal_device_list) if known else None


def _operand_sharding(given: Any, x: Any) -> Any:
    own = committed_sharding(x)
    if given is UNSPECIFIED or own is None:
        return given if own is None else own
    if given.num_devices > 1 and not isinstance(getattr(given, "mesh", None), AbstractMesh) and (
            not own.is_equivalent_to(given, x.ndim)):
        raise ValueError(errors.describe(
            "Sharding passed to jit does not match the sharding on the respective arg. Got jit "
            f"sharding: {given},\narg sharding: {own} for arg type: {get_aval(x).str_short(False)}",
            fix="jax.device_put(arg, sharding), or leave out in_shardings"))
    return given


def _concrete(sharding: Any, devices: tuple) -> Any:
    """A sharding over axes without devices, over those of the program."""
    mesh = getattr(sharding, "mesh", None)
    if not isinstance(mesh, AbstractMesh):
        return sharding
    if mesh.size != len(devices):
        return UNSPECIFIED
    return sharding if len(set(devices)) < len(devices) else with_devices(sharding, devices)


def committed_sharding(x: Any) -> Any:
    """Where an operand must stay; None when it may be moved.  (A ShapeDtypeStruct can say, too.)"""
    if isinstance(x, Array):
        return None if is_tracer(x) or not x.committed else x.sharding
    found = getattr(x, "sharding", None)
    known = isinstance(found, jaxlib.Sharding) and getattr(found, "mesh", None) is not NO_MESH
    return found if known else None


def _check_shapes(wishes: Wishes, ins: Iterable[Any]) -> None:
    avals = [*wishes.jaxpr.in_avals, *wishes.jaxpr.out_avals]
    for i, (sharding, aval) in enumerate(zip((*ins, *wishes.outs), avals, strict=True)):
        if isinstance(sharding, NamedSharding):
            shape = physical_aval(aval).shape
            if len(sharding.spec) > len(shape):
                check_fits(sharding, shape, _described(wishes, i))
            sharding.shard_shape(shape)


def _described(wishes: Wishes, i: int) -> str:
    """What the argument, or after the last of these the result, of a number is called."""
    names, paths = wishes.names(), wishes.jaxpr.debug.result_paths or ("result",) * i
    if i < len(names):
        return f"pjit arguments with pytree key path {names[i]}"
    return f"pjit outputs with pytree key path {paths[i - len(names)]}"
