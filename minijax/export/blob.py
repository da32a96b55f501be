"""Exported programs as bytes.

A line that names the format and its version, a JSON header, the program, and in the same form the
program of the derivative. Invariant: what is written is complete, but for the types of the user's
pytree nodes, which whoever reads must have registered under the same names.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minijax.base import dtypes, errors, tree
from minijax.core import Effect, ShapedArray, lowerable_effects
from minijax.export.dims import Dim
from minijax.export.scope import SymbolicScope, symbolic_shape
from minijax.random.keys import KeyDType, key_dtype
from minijax.sharding import AbstractMesh, AxisType, NamedSharding, PartitionSpec

T = TypeVar("T")
_NAME = b"minijax exported program "
VERSION = 2

# The fields of an Exported that JSON can hold as they are.
_PLAIN = ("fun_name", "platforms", "module_kept_var_idx", "calling_convention_version",
          "nr_devices", "uses_global_constants")


def write(exported: Any, vjp_order: int) -> bytearray:
    """The bytes of a program and of its derivatives up to this order."""
    header = {name: getattr(exported, name) for name in _PLAIN}
    scopes = {n.scope for a in exported.in_avals for n in a.shape if isinstance(n, Dim)}
    header.update(
        in_tree=_tree_to_json(exported.in_tree), out_tree=_tree_to_json(exported.out_tree),
        in_avals=list(map(_aval_to_json, exported.in_avals)),
        out_avals=list(map(_aval_to_json, exported.out_avals)),
        constraints=[c.text for scope in scopes for c in scope.constraints],
        disabled=list(map(str, exported.disabled_safety_checks)),
        in_shardings=list(map(_sharding_to_json, exported.in_named_shardings)),
        out_shardings=list(map(_sharding_to_json, exported.out_named_shardings)),
        ordered=list(map(_effect_to_json, exported.ordered_effects)),
        unordered=list(map(_effect_to_json, exported.unordered_effects)),
        size=len(exported.mlir_module_serialized))
    derivative = write(exported.vjp(), vjp_order - 1) if vjp_order > 0 else b""
    text = json.dumps(header).encode()
    return bytearray(b"".join([_NAME, b"%d\n" % VERSION, len(text).to_bytes(8, "little"), text,
                               exported.mlir_module_serialized, derivative]))


def read(blob: bytes | bytearray, check: Callable[[str], Any]) -> tuple[dict[str, Any], bytes]:
    """The fields of an Exported, and the bytes of its derivative, b"" without one.

    check: makes a disabled check from its text.
    """
    blob = bytes(blob)
    name, end, rest = blob.partition(b"\n")
    if not name.startswith(_NAME) or not end:
        raise ValueError("not a program that Exported.serialize of minijax wrote")
    if int(name[len(_NAME):]) != VERSION:
        raise ValueError(errors.describe(
            f"the program was serialized in version {int(name[len(_NAME):])} of the format, and "
            f"this minijax reads version {VERSION}", fix="export the function again"))
    code = 8 + int.from_bytes(rest[:8], "little")
    header = json.loads(rest[8:code])
    end_of_code = code + header["size"]
    scope = SymbolicScope(header["constraints"])
    fields = {key: tuple(value) if isinstance(value, list) else value
              for key, value in header.items() if key in _PLAIN}
    for key in ("in", "out"):
        fields[f"{key}_tree"] = tree.structure(_example(header[f"{key}_tree"]))
        shardings = tuple(map(_sharding, header[f"{key}_shardings"]))
        fields[f"{key}_named_shardings"] = shardings
        fields[f"{key}_avals"] = tuple([_aval(data, scope) for data in header[f"{key}_avals"]])
    return dict(fields, ordered_effects=tuple(map(_effect, header["ordered"])),
                unordered_effects=tuple(map(_effect, header["unordered"])),
                disabled_safety_checks=tuple(map(check, header["disabled"])),
                mlir_module_serialized=rest[code:end_of_code]), rest[end_of_code:]


# --- Types --------------------------------------------------------------------------------------


def _aval_to_json(aval: ShapedArray) -> list:
    explicit = getattr(aval.placement, "sharding", None)
    dtype = aval.dtype
    name = (f"key:{dtype._impl.name}" if isinstance(dtype, KeyDType)
            else "float0" if dtype == dtypes.float0 else dtype.name)
    return [[n if isinstance(n, int) else str(n) for n in aval.shape], name, aval.weak_type,
            _sharding_to_json(explicit)]


def _aval(data: list, scope: SymbolicScope) -> ShapedArray:
    sizes, name, weak, sharding = data
    shape = [n if isinstance(n, int) else symbolic_shape(n, scope=scope)[0] for n in sizes]
    dtype = (key_dtype(name[4:]) if name.startswith("key:")
             else dtypes.float0 if name == "float0" else np.dtype(name))
    return ShapedArray(tuple(shape), dtype, weak, sharding=_sharding(sharding))


def _sharding_to_json(sharding: Any) -> Any:
    if sharding is None:
        return None
    mesh, spec = sharding.mesh, sharding.spec
    entries = ["*" if e is PartitionSpec.UNCONSTRAINED else list(e) if isinstance(e, tuple) else e
               for e in spec]
    return [list(mesh.shape_tuple), [kind.name for kind in mesh.axis_types], entries,
            sorted(spec.unreduced), sorted(spec.reduced), sharding.memory_kind]


def _sharding(data: Any) -> NamedSharding | None:
    if data is None:
        return None
    axes, kinds, entries, unreduced, reduced, memory_kind = data
    mesh = AbstractMesh(tuple([size for _, size in axes]), tuple([name for name, _ in axes]),
                        axis_types=tuple([AxisType[kind] for kind in kinds]))
    spec = PartitionSpec(*[PartitionSpec.UNCONSTRAINED if e == "*" else
                           tuple(e) if isinstance(e, list) else e for e in entries],
                         unreduced=set(unreduced), reduced=set(reduced))
    return NamedSharding(mesh, spec, memory_kind=memory_kind)


def _effect_to_json(effect: Effect) -> str:
    kind = type(effect)
    try:
        same = kind() == effect
    except TypeError as error:
        raise NotImplementedError(
            f"Effect {effect} must have a nullary constructor to be exported") from error
    if not same:
        raise NotImplementedError(
            f"Effect {effect} must have a nullary class constructor that produces an equal effect "
            "object.")
    return _effect_name(kind)


def _effect_name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _effect(name: str) -> Effect:
    for kind in lowerable_effects.classes:
        if _effect_name(kind) == name:
            return kind()
    raise NotImplementedError(f"the effect {name} of the program is not known here")


# --- Trees --------------------------------------------------------------------------------------


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
    if not hasattr(nodetype, "_fields"):
        raise ValueError(f"Use `jax.export.register_pytree_node_serialization` for types other "
                         f"than `collections.namedtuple`: {nodetype}")
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
