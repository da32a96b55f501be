"""`jax.export`: a function as a portable StableHLO program, to be called elsewhere or later.

    exported = export.export(jax.jit(f))(jax.ShapeDtypeStruct((2, 3), np.float32))
    blob = exported.serialize(vjp_order=1)             # may be stored
    export.deserialize(blob).call(x)                   # also under jit and grad

The program is for fixed shapes and dtypes and one device, and for one or several platforms.
Invariant: `mlir_module_serialized` is complete, nothing of this process is needed to run it.
Calling is a primitive whose lowering embeds the program; its derivative is another program.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minijax import lax
from minijax.api.autodiff import vjp
from minijax.api.custom_vjp import custom_vjp
from minijax.api.jit import jit
from minijax.api.misc import ShapeDtypeStruct
from minijax.base import dtypes, errors, tree
from minijax.core import Jaxpr, Primitive, ShapedArray, eval_jaxpr
from minijax.runtime import backend
from minijax.runtime.compile import lower_jaxpr, portable_text

__all__ = ["DisabledSafetyCheck", "Exported", "default_export_platform", "deserialize", "export",
           "is_symbolic_dim",
           "maximum_supported_calling_convention_version",
           "minimum_supported_calling_convention_version",
           "register_namedtuple_serialization", "register_pytree_node_serialization"]

T = TypeVar("T")
minimum_supported_calling_convention_version = 9
maximum_supported_calling_convention_version = 10

_PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
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
        """Let a program call a target of this name."""
        return cls(f"custom_call:{target_name}")

    def is_custom_call(self) -> str | None:
        """The target that is allowed, if this is about one."""
        return self._impl.partition(":")[2] or None

    def __str__(self) -> str:
        return self._impl


@dataclasses.dataclass(frozen=True, eq=False)
class Exported:
    """A program, and the types of its arguments and results."""

    fun_name: str
    in_tree: tree.PyTreeDef
    in_avals: tuple[ShapedArray, ...]
    out_tree: tree.PyTreeDef
    out_avals: tuple[ShapedArray, ...]
    platforms: tuple[str, ...]
    disabled_safety_checks: tuple[DisabledSafetyCheck, ...]
    mlir_module_serialized: bytes
    module_kept_var_idx: tuple[int, ...]
    _get_vjp: Callable[[Exported], Exported] | None = dataclasses.field(repr=False)
    # Whether the first argument of the program is the place of the platform in `platforms`.
    uses_global_constants: bool = False
    calling_convention_version: int = maximum_supported_calling_convention_version
    nr_devices: int = 1
    ordered_effects: tuple = ()
    unordered_effects: tuple = ()

    @property
    def in_shardings_hlo(self) -> tuple[None, ...]:
        """None for each argument: the program leaves its placement open."""
        return (None,) * len(self.in_avals)

    @property
    def out_shardings_hlo(self) -> tuple[None, ...]:
        """None for each result."""
        return (None,) * len(self.out_avals)

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
        return _serialize(self, vjp_order)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program, as the function from which it was exported."""
        leaves, structure = tree.flatten((args, kwargs))
        if structure != self.in_tree:
            raise ValueError(errors.describe(
                "The invocation args and kwargs must have the same pytree structure as when the "
                f"function '{self.fun_name}' was exported, but they have the following structural "
                f"differences: {tree.describe_difference(structure, self.in_tree)}",
                fix="call it with arguments like those it was exported with"))
        return tree.unflatten(self.out_tree, _differentiable(self)(*leaves))


# --- Making -------------------------------------------------------------------------------------


def default_export_platform() -> str:
    """The platform that `export` takes unless it is told: "cpu", "cuda", "rocm" or "tpu"."""
    name = backend.default_backend()
    return "cuda" if name == "gpu" else name


def export(fun_jit: Any, *, platforms: Sequence[str] | None = None,
           disabled_checks: Sequence[DisabledSafetyCheck] = ()) -> Callable[..., Exported]:
    """A function that takes arguments, or ShapeDtypeStructs, and gives the program for them.

    fun_jit: the result of `jax.jit`.
    platforms: any of "cpu", "cuda", "rocm", "tpu"; default: the one in use.
    """
    if not (hasattr(fun_jit, "trace") and hasattr(fun_jit, "lower")):
        raise ValueError(errors.describe(
            f"Function to be exported must be the result of `jit` but is: {fun_jit}",
            fix="export.export(jax.jit(f))"))
    wanted = tuple(platforms) if platforms is not None else (default_export_platform(),)
    if not wanted or not set(wanted) <= set(_PLATFORMS):
        raise ValueError(f"cannot export for platforms {wanted}: choose from {_PLATFORMS}")

    def exporter(*args: Any, **kwargs: Any) -> Exported:
        traced = fun_jit.trace(*args, **kwargs)
        jaxpr = traced.jaxpr
        if jaxpr.effects:
            raise NotImplementedError(errors.describe(
                f"cannot export a function with effects: {sorted(map(str, jaxpr.effects))}",
                because="its callbacks are functions of this process",
                fix="export the part that computes"))
        made = [_for_platform(traced, name, tuple(disabled_checks)) for name in wanted]
        same = all(one.mlir_module_serialized == made[0].mlir_module_serialized for one in made)
        return (dataclasses.replace(made[0], platforms=wanted) if same
                else _combine(traced, made))
    return exporter


def is_symbolic_dim(p: Any) -> bool:
    """Whether a dimension stands for any size: none does, programs are for fixed shapes."""
    return False


def _for_platform(traced: Any, platform: str,
                  disabled: tuple[DisabledSafetyCheck, ...]) -> Exported:
    jaxpr: Jaxpr = traced.jaxpr
    program = lower_jaxpr(jaxpr, traced.fun_name, traced.placement, platform=platform,
                          embed_consts=True)
    if len(program.placement.devices) > 1:
        raise NotImplementedError(errors.describe(
            f"cannot export a function placed on {len(program.placement.devices)} devices",
            fix="export it without shardings, and place it where it is called"))
    _check_calls(program.lowered.text(), disabled)
    kept = tuple(i for i, keep in enumerate(program.kept) if keep)
    return Exported(
        traced.fun_name, traced.in_tree, tuple(jaxpr.in_avals), traced.out_tree,
        tuple(jaxpr.out_avals), (platform,), disabled, program.lowered.portable(), kept,
        lambda exported: _vjp_of(lambda *args: eval_jaxpr(jaxpr, jaxpr.consts, *args), exported))


def _check_calls(text: str, disabled: tuple[DisabledSafetyCheck, ...]) -> None:
    """ValueError if the program calls what may be missing where it is run."""
    allowed = {check.is_custom_call() for check in disabled}
    targets = set(re.findall(r'stablehlo\.custom_call @"?([^"(\s]+)', text))
    unstable = {t for t in targets - allowed if not _STABLE_CALLS.fullmatch(t)}
    if unstable:
        raise ValueError(errors.describe(
            "Cannot serialize code with custom calls whose targets have no compatibility "
            f"guarantees: {', '.join(sorted(unstable))}",
            fix="export(f, disabled_checks=[DisabledSafetyCheck.custom_call("
                f"{sorted(unstable)[0]!r})])"))


def _combine(traced: Any, made: list[Exported]) -> Exported:
    """One program that is told its platform, from one program for each."""
    def choose(index: Any, *args: Any) -> Any:
        branches = [lambda *xs, one=one: call_exported_p.bind(*xs, exported=one, checked=False)
                    for one in made]
        return lax.switch(index, branches, *args)

    choose.__name__ = traced.fun_name
    specs = [ShapeDtypeStruct(a.shape, a.dtype) for a in made[0].in_avals]
    whole = jit(choose, keep_unused=True).trace(ShapeDtypeStruct((), np.int32), *specs)
    code = lower_jaxpr(whole.jaxpr, traced.fun_name, whole.placement, platform="cpu",
                       keep_unused=True, embed_consts=True).lowered.portable()
    return dataclasses.replace(
        made[0], platforms=tuple(name for one in made for name in one.platforms),
        mlir_module_serialized=code, module_kept_var_idx=tuple(range(len(specs))),
        uses_global_constants=True)


# --- Calling and differentiating ----------------------------------------------------------------


def _shape(*avals: ShapedArray, exported: Exported, checked: bool) -> list[ShapedArray]:
    paths = [tree.keystr(path) for path, _ in tree.leaves_with_path(
        tree.unflatten(exported.in_tree, exported.in_avals))]
    for aval, wanted, path in zip(avals, exported.in_avals, paths, strict=True):
        name = f"args{path[3:]}" if path.startswith("[0]") else f"kwargs{path[3:]}"
        called = f"expected {wanted.shape} and called with {aval.shape}"
        if aval.ndim != wanted.ndim:
            raise ValueError(f"Rank mismatch for {name}: {called}")
        for i, (size, should) in enumerate(zip(aval.shape, wanted.shape)):
            if size != should:
                raise ValueError(f"Shape mismatch for {name}.shape[{i}] (expected same constant): "
                                 f"{called}")
        if aval.dtype != wanted.dtype:
            raise ValueError(f"Dtype mismatch for {name}: expected {wanted.dtype} and called with "
                             f"{aval.dtype}")
    return [a.update(weak_type=False) for a in exported.out_avals]


call_exported_p = Primitive("call_exported", multiple_results=True, shape=_shape)


def _differentiates(avals: Sequence[ShapedArray]) -> list[bool]:
    return [dtypes.issubdtype(a.dtype, np.inexact) for a in avals]


def _differentiable(exported: Exported) -> Callable[..., list]:
    """The program as a flat function whose derivative is the exported one."""
    @custom_vjp
    def run(*args: Any) -> list:
        args = [lax.convert_element_type(x, a.dtype) if a.weak_type else x
                for x, a in zip(args, exported.in_avals)]
        checked = DisabledSafetyCheck.platform() not in exported.disabled_safety_checks
        return call_exported_p.bind(*args, exported=exported, checked=checked)

    def backward(args: Sequence[Any], cts: Sequence[Any]) -> tuple:
        known = [ct for ct, d in zip(cts, _differentiates(exported.out_avals)) if d]
        found = iter(exported.vjp().call(*args, *known))
        return tuple(next(found) if d else None for d in _differentiates(exported.in_avals))

    run.defvjp(lambda *args: (run(*args), args), backward)
    return run


def _vjp_of(flat: Callable[..., list], exported: Exported) -> Exported:
    """The derivative of a flat function, exported: arguments and cotangents to cotangents."""
    n, diff = len(exported.in_avals), _differentiates(exported.in_avals)
    out_diff = _differentiates(exported.out_avals)

    def backward(*args: Any) -> list:
        _, pullback = vjp(flat, *args[:n])
        given = iter(args[n:])
        cts = [next(given) if d else np.zeros(aval.shape, dtypes.float0)
               for aval, d in zip(exported.out_avals, out_diff)]
        return [ct for ct, d in zip(pullback(cts), diff) if d]

    backward.__name__ = f"{exported.fun_name}_vjp"
    avals = [*exported.in_avals, *[a for a, d in zip(exported.out_avals, out_diff) if d]]
    return export(jit(backward), platforms=exported.platforms,
                  disabled_checks=exported.disabled_safety_checks)(
        *[ShapeDtypeStruct(a.shape, a.dtype) for a in avals])


# --- Bytes --------------------------------------------------------------------------------------

_MAGIC = b"minijax exported program 1\n"


class _Node(NamedTuple):
    """How the extra data of a node type is written, read, and made a node again."""

    type: type
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]
    build: Callable[[Any, Sequence[Any]], Any] | None


_nodes: dict[str, _Node] = {}


def register_pytree_node_serialization(
    nodetype: type[T], *, serialized_name: str, serialize_auxdata: Callable[[Any], bytes],
    deserialize_auxdata: Callable[[bytes], Any],
    from_children: Callable[[Any, Sequence[Any]], Any] | None = None
) -> type[T]:
    """Let exported functions take and return nodes of this type, which is a pytree already."""
    if serialized_name in _nodes or any(node.type is nodetype for node in _nodes.values()):
        raise ValueError(f"Duplicate serialization registration for type `{nodetype}` or name "
                         f"{serialized_name!r}")
    _nodes[serialized_name] = _Node(nodetype, serialize_auxdata, deserialize_auxdata, from_children)
    return nodetype


def register_namedtuple_serialization(nodetype: type[T], *, serialized_name: str) -> type[T]:
    """Let exported functions take and return this named tuple."""
    return register_pytree_node_serialization(
        nodetype, serialized_name=serialized_name, serialize_auxdata=lambda aux: b"",
        deserialize_auxdata=lambda data: nodetype,
        from_children=lambda aux, children: nodetype(*children))


def _tree_to_json(structure: tree.PyTreeDef) -> Any:
    if tree.treedef_is_leaf(structure) and structure.num_leaves == 1:
        return "*"
    data = structure.node_data()
    children = list(map(_tree_to_json, structure.children()))
    kind, aux = data or (type(None), None)
    if kind is type(None):
        return None
    if kind in (tuple, list):
        return [kind.__name__, children]
    if kind is dict:
        return ["dict", list(aux), children]
    for name, node in _nodes.items():
        if node.type is kind:
            return ["node", name, base64.b64encode(node.write(aux)).decode(), children]
    raise ValueError(errors.describe(
        f"Cannot serialize PyTreeDef with node type {kind}",
        fix="jax.export.register_pytree_node_serialization, or register_namedtuple_serialization"))


def _example(data: Any) -> Any:
    """A tree of zeros with the structure that `_tree_to_json` wrote."""
    if data == "*":
        return 0
    if data is None:
        return None
    children = list(map(_example, data[-1]))
    if data[0] == "dict":
        return dict(zip(data[1], children))
    if data[0] != "node":
        return tuple(children) if data[0] == "tuple" else children
    if data[1] not in _nodes:
        raise ValueError(f"Cannot deserialize a PyTreeDef with a node of the name {data[1]!r}: "
                         "register its type first")
    node = _nodes[data[1]]
    aux = node.read(base64.b64decode(data[2]))
    if node.build is not None:
        return node.build(aux, children)
    return node.type.tree_unflatten(aux, children)


def _avals_to_json(avals: Sequence[ShapedArray]) -> list:
    return [[list(a.shape), a.dtype.name, a.weak_type] for a in avals]


def _avals(data: list) -> tuple[ShapedArray, ...]:
    return tuple(ShapedArray(tuple(shape), np.dtype(name), weak) for shape, name, weak in data)


def _serialize(exported: Exported, vjp_order: int) -> bytearray:
    header = {
        "fun_name": exported.fun_name, "in_tree": _tree_to_json(exported.in_tree),
        "in_avals": _avals_to_json(exported.in_avals),
        "out_tree": _tree_to_json(exported.out_tree),
        "out_avals": _avals_to_json(exported.out_avals), "platforms": exported.platforms,
        "disabled": list(map(str, exported.disabled_safety_checks)),
        "kept": exported.module_kept_var_idx, "index": exported.uses_global_constants,
        "size": len(exported.mlir_module_serialized)}
    derivative = _serialize(exported.vjp(), vjp_order - 1) if vjp_order > 0 else b""
    text = json.dumps(header).encode()
    return bytearray(b"".join([_MAGIC, len(text).to_bytes(8, "little"), text,
                               exported.mlir_module_serialized, derivative]))


def deserialize(blob: bytearray) -> Exported:
    """The program that `Exported.serialize` made into bytes."""
    blob = bytes(blob)
    if not blob.startswith(_MAGIC):
        raise ValueError("not a program that Exported.serialize of minijax wrote")
    start = len(_MAGIC) + 8
    code = start + int.from_bytes(blob[start - 8:start], "little")
    header = json.loads(blob[start:code])
    end = code + header["size"]
    derivative = blob[end:]
    return Exported(
        header["fun_name"], tree.structure(_example(header["in_tree"])),
        _avals(header["in_avals"]), tree.structure(_example(header["out_tree"])),
        _avals(header["out_avals"]), tuple(header["platforms"]),
        tuple(map(DisabledSafetyCheck, header["disabled"])), blob[code:end],
        tuple(header["kept"]), (lambda exported: deserialize(derivative)) if derivative else None,
        header["index"])
