"""Programs that are stored: `export`, and the `Exported` that it gives.

    exported = export.export(jax.jit(f))(jax.ShapeDtypeStruct((2, 3), np.float32))
    blob = exported.serialize(vjp_order=1)             # may be stored
    export.deserialize(blob).call(x)                   # also under jit and grad

Invariant: `mlir_module_serialized` is complete, nothing of this process is needed to run it.
Its arguments: a token for each ordered effect; with several platforms the place of the one in use
in `platforms`; the arguments in `module_kept_var_idx`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minijax import lax
from minijax.api.autodiff import vjp
from minijax.api.jit import jit
from minijax.api.misc import ShapeDtypeStruct
from minijax.base import config, errors, jaxlib, tree
from minijax.core import (UNSPECIFIED, Effect, Jaxpr, ShapedArray, eval_jaxpr,
                          ordered_effects)
from minijax.export import blob
from minijax.export.call import call_exported_p, callable_of, differentiates
from minijax.export.dims import Dim
from minijax.export.shapes import Shapes, argument_names
from minijax.runtime import backend
from minijax.runtime.compile import Placement, lower_jaxpr, portable_text
from minijax.sharding import AbstractMesh, Mesh, NamedSharding

minimum_supported_calling_convention_version = 9
maximum_supported_calling_convention_version = 10

# Custom calls that XLA or jaxlib promise to keep; what else a program calls may not exist later.
_STABLE_CALLS = re.compile(
    r"lapack_\w+|(cu|hip)(solver|blas|sparse|dnn|da)?_?\w+|ducc_fft|Eigh|Qr|LuDecomposition|"
    r"ProductOfElementaryHouseholderReflectors|TopK|ApproxTopK|Sharding|SPMD\w+|shape_assertion|"
    r"annotate_\w+|(tf|chlo|mhlo|stablehlo|xla)\.[\w.]+")


@dataclasses.dataclass(frozen=True)
class DisabledSafetyCheck:
    """A check that the caller of `export` does not want."""

    _impl: str

    @classmethod
    def platform(cls) -> DisabledSafetyCheck:
        """Let a program be called on another platform than it was exported for."""
        return cls("platform")

    @classmethod
    def custom_call(cls, target_name: str) -> DisabledSafetyCheck:
        """Let a program call a target of this name, or any with the name "ALL"."""
        return cls(f"custom_call:{target_name}")

    def is_custom_call(self) -> str | None:
        """The target that is allowed, if this is about one."""
        return self._impl.partition(":")[2] or None

    def __str__(self) -> str:
        return self._impl


@dataclasses.dataclass(frozen=True, eq=False)
class Exported:
    """A program, and the types of its arguments and results.

    `in_named_shardings` and `out_named_shardings` have abstract meshes, or None where the program
    leaves the placement open. `uses_global_constants`: for several platforms or symbolic sizes.
    """

    fun_name: str
    in_tree: tree.PyTreeDef
    in_avals: tuple[ShapedArray, ...]
    out_tree: tree.PyTreeDef
    out_avals: tuple[ShapedArray, ...]
    in_named_shardings: tuple[NamedSharding | None, ...]
    out_named_shardings: tuple[NamedSharding | None, ...]
    nr_devices: int
    platforms: tuple[str, ...]
    ordered_effects: tuple[Effect, ...]
    unordered_effects: tuple[Effect, ...]
    disabled_safety_checks: tuple[DisabledSafetyCheck, ...]
    mlir_module_serialized: bytes = dataclasses.field(repr=False)
    calling_convention_version: int
    module_kept_var_idx: tuple[int, ...]
    uses_global_constants: bool
    _get_vjp: Callable[[Exported], Exported] | None = dataclasses.field(repr=False)

    @property
    def in_shardings_hlo(self) -> tuple[Any, ...]:
        """XLA's sharding of each argument, None where the program leaves it open."""
        return tuple(map(_hlo, self.in_named_shardings, self.in_avals))

    @property
    def out_shardings_hlo(self) -> tuple[Any, ...]:
        """XLA's sharding of each result, None where the program leaves it open."""
        return tuple(map(_hlo, self.out_named_shardings, self.out_avals))

    def in_shardings_jax(self, mesh: Mesh | AbstractMesh) -> tuple[Any, ...]:
        """The shardings of the arguments over the devices of a mesh, for `device_put`."""
        return tuple([_over(mesh, s, a) for s, a in zip(self.in_named_shardings, self.in_avals)])

    def out_shardings_jax(self, mesh: Mesh | AbstractMesh) -> tuple[Any, ...]:
        """The shardings of the results over the devices of a mesh."""
        return tuple([_over(mesh, s, a) for s, a in zip(self.out_named_shardings, self.out_avals)])

    def __str__(self) -> str:
        return f"Exported(fun_name={self.fun_name}, ...)"

    def mlir_module(self) -> str:
        """The program as text."""
        return portable_text(self.mlir_module_serialized)

    def has_vjp(self) -> bool:
        """Whether `vjp` gives a program."""
        return self._get_vjp is not None

    def vjp(self) -> Exported:
        """The program from arguments and cotangents of results to cotangents of arguments."""
        if self._get_vjp is None:
            raise ValueError(errors.describe(
                "No VJP is available", because="the program was serialized without it",
                fix="exported.serialize(vjp_order=1)"))
        return self._get_vjp(self)

    def serialize(self, vjp_order: int = 0) -> bytearray:
        """Bytes for `deserialize`, with the programs of derivatives up to this order."""
        return blob.write(self, vjp_order)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, as the function from which it was exported."""
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self.in_tree:
            raise ValueError(errors.describe(
                "The invocation args and kwargs must have the same pytree structure as when the "
                f"function '{self.fun_name}' was exported, but they have the following structural "
                f"differences: {tree.describe_difference(structure, self.in_tree)}",
                fix="call it with arguments like those it was exported with"))
        checked = DisabledSafetyCheck.platform() not in self.disabled_safety_checks
        return tree.unflatten(self.out_tree, callable_of(self, checked)(*leaves))


def deserialize(blob_: bytearray) -> Exported:
    """The program that `Exported.serialize` made into bytes."""
    fields, derivative = blob.read(blob_, DisabledSafetyCheck)
    return Exported(**fields, _get_vjp=(
        (lambda exported: deserialize(derivative)) if derivative else None))


def _hlo(sharding: NamedSharding | None, aval: ShapedArray) -> Any:
    return None if sharding is None else sharding._to_xla_hlo_sharding(aval.ndim)


def _over(mesh: Mesh | AbstractMesh, sharding: NamedSharding | None, aval: ShapedArray) -> Any:
    """A sharding over another mesh, in whose names if it has the axes that the sharding uses."""
    if sharding is None:
        return None
    if set(sharding.mesh.shape_tuple) <= set(mesh.shape_tuple) or isinstance(mesh, AbstractMesh):
        return NamedSharding(mesh, sharding.spec, memory_kind=sharding.memory_kind)
    devices = jaxlib.DeviceList(tuple(mesh.devices.flat))
    return jaxlib.GSPMDSharding(devices, sharding._to_xla_hlo_sharding(aval.ndim))


# --- Making -------------------------------------------------------------------------------------


def default_export_platform() -> str:
    """The platform that `export` takes unless it is told: "cpu", "cuda", "rocm" or "tpu"."""
    name = backend.default_backend()
    return "cuda" if name == "gpu" else name


def export(fun_jit: Any, *, platforms: Sequence[str] | None = None,
           disabled_checks: Sequence[DisabledSafetyCheck] = ()) -> Callable[..., Exported]:
    """A function that takes arguments, or ShapeDtypeStructs, and gives the program for them.

    fun_jit: the result of `jax.jit`.
    platforms: names such as "cpu", "cuda", "rocm", "tpu"; default: the one in use.
    """
    if isinstance(fun_jit, jaxlib.PjitFunction) and not hasattr(fun_jit, "trace"):
        fun_jit = jit(fun_jit)  # a function of jnp
    if not (hasattr(fun_jit, "trace") and hasattr(fun_jit, "lower")):
        raise ValueError(errors.describe(
            f"Function to be exported must be the result of `jit` but is: {fun_jit}",
            fix="export.export(jax.jit(f))"))
    wanted = tuple(platforms) if platforms is not None else (default_export_platform(),)
    if not wanted:
        raise ValueError("export needs at least one platform")

    version = config.export_calling_convention_version.value
    least, most = (minimum_supported_calling_convention_version,
                   maximum_supported_calling_convention_version)
    if not least <= version <= most:
        raise ValueError(f"The requested export calling convention version {version} is outside "
                         f"the range of supported versions [{least}..{most}]")

    def exporter(*args: Any, **kwargs: Any) -> Exported:
        _check_scopes(getattr(fun_jit, "__name__", "<unnamed function>"), args, kwargs)
        traced = fun_jit.trace(*args, **kwargs)
        if any(traced.donated) and len({name in _DONATING for name in wanted}) > 1:
            raise NotImplementedError(
                "In multi-platform lowering either all or no lowering platforms should support "
                f"donation. Lowering for {wanted} of which only {_DONATING} support donation")
        made = [_for_platform(traced, traced.placement, name, tuple(disabled_checks))
                for name in wanted]
        return made[0] if len(made) == 1 else _combine(traced, made)
    return exporter


_DONATING = ("cpu", "cuda", "rocm", "tpu", "neuron")


def _check_scopes(name: str, args: tuple, kwargs: dict) -> None:
    """ValueError if the shapes of arguments have symbolic sizes of more than one scope."""
    leaves, structure = tree.flatten((args, kwargs))
    first = None
    for leaf, place in zip(leaves, argument_names(structure)):
        for size in getattr(leaf, "shape", ()):
            if isinstance(size, Dim):
                first = first or (place, size.scope)
                size_scope, what = first[1], f"when exporting {name}"
                size_scope.check_same(size, what, f"current (from {first[0]}) ", f" ({place})")


def _for_platform(traced: Any, place: Placement, platform: str,
                  disabled: tuple[DisabledSafetyCheck, ...]) -> Exported:
    jaxpr: Jaxpr = traced.jaxpr
    shapes = _Arguments(argument_names(traced.in_tree), jaxpr)
    program = lower_jaxpr(
        jaxpr, traced.fun_name, place, donated=traced.donated, platform=platform,
        embed_consts=True, keep_unused=shapes.symbolic, shapes=shapes.kept,
        result_names=lambda: traced.result_paths)
    if program.lowered.host_callbacks:
        raise NotImplementedError(errors.describe(
            f"cannot export a function with callbacks and effects {set(jaxpr.effects)}: "
            "serialization of host_callbacks is not implemented",
            because="they are functions of this process", fix="export the part that computes"))
    _check_calls(program.lowered.text(), disabled)
    place = program.placement
    dynamic = any(shapes.symbolic) or program.lowered.is_dynamic
    ordered = tuple(ordered_effects.filter_in(program.ordered))
    return Exported(
        traced.fun_name, traced.in_tree, tuple(jaxpr.in_avals), traced.out_tree,
        tuple(jaxpr.out_avals), tuple(map(_abstract, place.in_shardings)),
        tuple(map(_abstract, place.out_shardings)), len(place.devices), (platform,), ordered,
        tuple(ordered_effects.filter_not_in(jaxpr.effects)), disabled, program.lowered.portable(),
        config.export_calling_convention_version.value,
        tuple(i for i, keep in enumerate(program.kept) if keep), dynamic,
        lambda exported: _vjp_of(jaxpr, place, exported))


class _Arguments:
    """The names and types of arguments, and which have symbolic sizes."""

    def __init__(self, names: Sequence[str], jaxpr: Jaxpr):
        self.pairs = [(name, a.shape) for name, a in zip(names, jaxpr.in_avals)]
        self.symbolic = [any([isinstance(n, Dim) for n in shape]) for _, shape in self.pairs]
        if any(self.symbolic):
            Shapes(self.pairs).check_solvable()

    def kept(self, kept: Sequence[bool]) -> Shapes | None:
        """What finds the dimension variables from the arguments that are kept."""
        if not any(self.symbolic):
            return None
        return Shapes([pair for pair, keep in zip(self.pairs, kept) if keep])


def _abstract(sharding: Any) -> NamedSharding | None:
    """A sharding over an abstract mesh; None unless it has a mesh."""
    if not isinstance(sharding, NamedSharding):
        return None
    if isinstance(sharding.mesh, AbstractMesh):
        return sharding
    return NamedSharding(sharding.mesh.abstract_mesh, sharding.spec,
                         memory_kind=sharding.memory_kind)


def _check_calls(text: str, disabled: tuple[DisabledSafetyCheck, ...]) -> None:
    """ValueError if the program calls what may be missing where it is run."""
    allowed = {check.is_custom_call() for check in disabled}
    targets = set(re.findall(r'stablehlo\.custom_call @"?([^"(\s]+)', text))
    unstable = {t for t in targets - allowed if not _STABLE_CALLS.fullmatch(t)}
    if unstable and "ALL" not in allowed:
        raise ValueError(errors.describe(
            "Cannot serialize code with custom calls whose targets have no compatibility "
            f"guarantees: {', '.join(sorted(unstable))}",
            fix="export(f, disabled_checks=[DisabledSafetyCheck.custom_call("
                f"{sorted(unstable)[0]!r})])"))


def _combine(traced: Any, made: list[Exported]) -> Exported:
    """One program that is told its platform, from one program for each."""
    different = {one.mlir_module_serialized: one for one in made}
    programs = list(different.values())
    which = np.array([list(different).index(one.mlir_module_serialized) for one in made], np.int32)

    def choose(index: Any, *args: Any) -> Any:
        branches = [lambda *xs, one=one: call_exported_p.bind(*xs, exported=one, checked=False)
                    for one in programs]
        if len(branches) == 1:
            return branches[0](*args)
        if len(branches) < len(made):
            index = lax.dynamic_index_in_dim(which, index, keepdims=False)
        return lax.switch(index, branches, *args)

    first = made[0]
    choose.__name__ = traced.fun_name
    specs = [ShapeDtypeStruct(a.shape, a.dtype) for a in first.in_avals]
    whole = jit(choose, keep_unused=True).trace(ShapeDtypeStruct((), np.int32), *specs)
    shapes = _Arguments(["_platform_index", *argument_names(first.in_tree)], whole.jaxpr)
    code = lower_jaxpr(whole.jaxpr, traced.fun_name, traced.placement._replace(
        in_shardings=(), out_shardings=()), platform="cpu", keep_unused=True, embed_consts=True,
        shapes=shapes.kept).lowered.portable()
    return dataclasses.replace(
        first, platforms=tuple(name for one in made for name in one.platforms),
        mlir_module_serialized=code, module_kept_var_idx=tuple(range(len(specs))),
        uses_global_constants=True)


def _vjp_of(jaxpr: Jaxpr, place: Placement, exported: Exported) -> Exported:
    """The derivative of a program, exported: arguments and cotangents to cotangents."""
    diff = differentiates(exported.in_avals)
    out_diff = differentiates(exported.out_avals)

    def backward(*args: Any) -> list:
        def forward(*moving: Any) -> list:
            given = iter(moving)
            merged = [next(given) if d else x for x, d in zip(args, diff)]
            outs = eval_jaxpr(jaxpr, jaxpr.consts, *merged)
            return [x for x, d in zip(outs, out_diff) if d]

        _, pullback = vjp(forward, *[x for x, d in zip(args, diff) if d])
        return list(pullback(list(args[len(diff):])))

    backward.__name__ = f"{exported.fun_name}_vjp"
    cts = [a for a, d in zip(exported.out_avals, out_diff) if d]
    placed = {}
    if any([s is not UNSPECIFIED for s in (*place.in_shardings, *place.out_shardings)]):
        ins, outs = [[None if s is UNSPECIFIED else s for s in shardings]
                     for shardings in (place.in_shardings, place.out_shardings)]
        placed = {"in_shardings": (*ins, *[s for s, d in zip(outs, out_diff) if d]),
                  "out_shardings": [s for s, d in zip(ins, diff) if d]}
    return export(jit(backward, **placed), platforms=exported.platforms,
                  disabled_checks=exported.disabled_safety_checks)(
        *[ShapeDtypeStruct(a.shape, a.dtype) for a in (*exported.in_avals, *cts)])
