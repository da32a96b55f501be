"""Shardings in the words of the compiler: as Shardy text on the way in, from HLO on the way out.

Invariant: all shardings of one program cover the same devices in the same order, which is that of
the program's device assignment.

    meshes = Meshes()
    meshes.text(NamedSharding(mesh, P("x")), 2)     # '#sdy.sharding<@mesh, [{"x"}, {}]>'
    meshes.texts                                    # {"mesh": '<["x"=2]>'}
"""

import functools
import itertools
import math
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from minijax.base import jaxlib, util
from minijax.core import Jaxpr, JaxprEqn, jit_p, subjaxprs
from minijax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec
from minijax.sharding.context import physical_mesh
from minijax.sharding.named import make, padded
from minijax.sharding.spec import axes_of


class Meshes:
    """The meshes that one program uses, each under a name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._meshes: list[Mesh] = []

    @property
    def texts(self) -> dict[str, str]:
        """Name to text of each mesh."""
        return {name: text for text, name in self._names.items()}

    def name(self, mesh: Mesh | AbstractMesh) -> str:
        """The name of a mesh, given to it when it is first met."""
        axes = ", ".join(f"{_quote(name)}={size}" for name, size in mesh.shape_tuple)
        text = f"<[{axes}]>"
        count = len(self._names)
        if isinstance(mesh, Mesh) and mesh not in self._meshes:
            self._meshes.append(mesh)
        return self._names.setdefault(text, f"mesh_{count - 1}" if count else "mesh")

    def any_mesh(self) -> Mesh | None:
        """A mesh that the program uses, if it uses one."""
        return self._meshes[0] if self._meshes else physical_mesh()

    def text(self, sharding: Any, ndim: int, free: Collection[int] = ()) -> str | None:
        """The attribute for a value of rank `ndim`; None leaves the choice to the compiler.

        Dimensions in `free` may be split further.
        """
        if not isinstance(sharding, NamedSharding):
            return None
        return f"#sdy.sharding{self.local_text(sharding.mesh, sharding.spec, ndim, False, free)}"

    def local_text(self, mesh: Mesh | AbstractMesh, spec: Any, ndim: int, is_open: bool,
                   free: Collection[int] = ()) -> str:
        """`<@mesh, [{"x"}, {}]>`, for an operand or result of a manual region."""
        dims = spec_text(spec, ndim, range(ndim) if is_open else free)
        unreduced = getattr(spec, "unreduced", frozenset())
        rest = _axes_text(mesh, "unreduced", unreduced)
        if len(free) == ndim > 0:  # the compiler may split it further, but not along explicit axes
            whole = set(mesh.explicit_axes).difference(*axes_of(spec), unreduced)
            rest = _axes_text(mesh, "replicated", whole) + rest
        return f"<@{self.name(mesh)}, [{dims}]{rest}>"


def _axes_text(mesh: Mesh | AbstractMesh, kind: str, axes: Collection) -> str:
    names = ", ".join(map(_quote, sorted(axes, key=mesh.axis_names.index)))
    return f", {kind}={{{names}}}" if names else ""


def _quote(name: Any) -> str:
    return f'"{name}"'


def spec_text(spec: Any, ndim: int, free: Collection[int] = ()) -> str:
    """The dimensions of a Shardy sharding: `{"x"}, {}, {?}`."""
    parts = []
    entries = list(spec) + [None] * (ndim - len(spec))
    for i, (entry, axes) in enumerate(zip(entries, axes_of(entries), strict=True)):
        names = list(map(_quote, axes))
        if entry is PartitionSpec.UNCONSTRAINED or i in free:
            names.append("?")
        parts.append(f"{{{', '.join(names)}}}")
    return ", ".join(parts)


class Demand(NamedTuple):
    """An operation of a program that runs on the devices of a mesh."""

    name: str
    mesh: Mesh
    source: Any


# Parameters that may hold a mesh; nearly all operations have none, and are looked at no further.
_PLACES = frozenset({"mesh", "sharding", "dst_sharding", "devices", "in_shardings"})


@util.weak_cache
def demands(jaxpr: Jaxpr) -> tuple[Demand, ...]:
    found = []
    for eqn in jaxpr.eqns:
        if not _PLACES.isdisjoint(eqn.params):
            found += [Demand(eqn.primitive.name, m, eqn.source) for m in _meshes(eqn)
                      if isinstance(m, Mesh)]
        if eqn.primitive.multiple_results:  # as all operations have that contain programs
            for inner in subjaxprs(eqn.params):
                found += demands(inner)
    return tuple(found)


def _meshes(eqn: JaxprEqn) -> list[Any]:
    """Meshes that the parameters of an equation name, among other things."""
    params = eqn.params
    meshes = [params.get("mesh")]
    shardings = [params.get("sharding"), params.get("dst_sharding")]
    if eqn.primitive is jit_p:
        shardings += (*params["in_shardings"], *params["out_shardings"])
    elif eqn.primitive.name == "device_put":
        shardings += [s for s in params.get("devices", ()) if isinstance(s, NamedSharding)]
    return meshes + [getattr(s, "mesh", None) for s in shardings if s is not None]


def from_hlo(found: Any, ndim: int, meshes: Sequence[Mesh], devices: Sequence[Any]) -> Any:
    """A sharding that XLA chose: in terms of one of the meshes if possible, else as it is."""
    hlo = jaxlib.HloSharding.from_proto(found)
    if not hlo.is_manual():
        for mesh in meshes:
            spec = _spec_of(mesh, hlo, ndim)
            if spec is not None:
                return padded(make(mesh, spec), ndim)
    return jaxlib.GSPMDSharding(jaxlib.DeviceList(tuple(devices)), hlo)


@functools.lru_cache(maxsize=4096)
def _spec_of(mesh: Mesh, hlo: Any, ndim: int) -> PartitionSpec | None:
    """The spec over `mesh` that means `hlo`, found by trying; None when there is none."""
    if hlo.is_replicated():
        return PartitionSpec()
    groups = [group for count in range(len(mesh.axis_names) + 1)
              for group in itertools.permutations(mesh.axis_names, count)]
    sizes = hlo.tile_assignment_dimensions()[:ndim]
    for entries in itertools.product(*[
            [group for group in groups if math.prod(map(mesh.shape.get, group)) == size]
            for size in sizes]):
        used = [axis for group in entries for axis in group]
        if len(set(used)) == len(used) and (
                make(mesh, PartitionSpec(*entries))._to_xla_hlo_sharding(ndim) == hlo):
            last = max(i for i, group in enumerate(entries) if group)
            return PartitionSpec(*entries[:last + 1])
    return None
