"""The mesh in context: what a bare PartitionSpec refers to.

`set_mesh` says on which devices programs run; `use_abstract_mesh` only names axes, as code inside
`shard_map` sees them.  Invariant: both are part of every cache key, for they change meanings.

    with set_mesh(mesh):
        jax.jit(f, in_shardings=P("x"))(x)
"""

from types import TracebackType
from typing import Any

from minijax.base import jaxlib
from minijax.sharding.mesh import AbstractMesh, Mesh
from minijax.sharding.named import make
from minijax.sharding.spec import PartitionSpec

_concrete: jaxlib.Config = jaxlib.Config(
    "concrete_mesh", None, include_in_jit_key=True, include_in_trace_context=True)
abstract_context = _abstract = jaxlib.Config(
    "abstract_mesh", None, include_in_jit_key=True, include_in_trace_context=True)

NO_MESH = AbstractMesh((), ())


def get_abstract_mesh() -> AbstractMesh:
    """The axes in context; a mesh that is `empty` when there are none."""
    found = _abstract.value
    return NO_MESH if found is None else found


def get_mesh() -> Any:
    """The mesh given to `set_mesh`; one that is `empty` when there is none."""
    found = _concrete.value
    return Mesh.none() if found is None else found


def physical_mesh() -> Mesh | None:
    """The devices that a PartitionSpec means: those of `set_mesh`, with the axes in context."""
    mesh, axes = _concrete.value, _abstract.value
    if mesh is None or axes is None or axes.manual_axes or axes.size != mesh.size:
        return mesh
    return Mesh(mesh.devices.reshape(axes.axis_sizes), axes.axis_names, axes.axis_types)


def named(spec: Any, argument: str = "", otherwise: Mesh | None = None) -> Any:
    """A PartitionSpec over the mesh in context, else over `otherwise`; all else as it is.

    When there is no mesh, ValueError; RuntimeError for an `argument` "of", like "jit in_shardings".
    """
    if not isinstance(spec, PartitionSpec):
        return spec
    mesh = otherwise if _concrete.value is None else _concrete.value
    if _abstract.value is not None and (mesh is None or mesh.abstract_mesh != _abstract.value):
        mesh = _abstract.value
    if mesh is None and argument:
        function, _, name = argument.partition(" ")
        raise RuntimeError(
            f"{function} requires a non-empty mesh in context if you are passing `PartitionSpec`s "
            f"to {name}. You can define a context mesh via `jax.set_mesh(mesh)`. Alternatively, "
            f"provide `Sharding`s to {name} and then the mesh context manager is not required.")
    if mesh is None:
        raise ValueError(
            "Using PartitionSpec when you are not under a mesh context is not allowed. Please pass "
            f"a NamedSharding instance or enter into a mesh context via `jax.set_mesh`. Got {spec}")
    return make(mesh, spec)


class _Swap:
    """Sets the two configs; as a context manager, brings the old values back at the end."""

    def __init__(self, concrete: Mesh | None, abstract: AbstractMesh | None):
        self._outer = _concrete.swap_local(concrete), _abstract.swap_local(abstract)

    def __exit__(self, kind: type | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        _concrete.set_local(self._outer[0])
        _abstract.set_local(self._outer[1])


class set_mesh(_Swap):
    """Make a mesh the one in context: until the end of a `with` block, or from now on.

    mesh: a Mesh, or None for no mesh.
    """

    def __init__(self, mesh: Mesh | None):
        if mesh is not None and not isinstance(mesh, Mesh):
            raise ValueError(f"Expected mesh of type `jax.sharding.Mesh`. Got {type(mesh)}")
        self._mesh = mesh
        super().__init__(mesh, None if mesh is None else mesh.abstract_mesh)

    def __enter__(self) -> Mesh | None:
        return self._mesh


class use_abstract_mesh:
    """Within it, the axes in context are those of an AbstractMesh."""

    def __init__(self, mesh: AbstractMesh):
        if not isinstance(mesh, AbstractMesh):
            raise ValueError(f"Expected mesh of type `jax.sharding.AbstractMesh`. Got {type(mesh)}")
        self._mesh = mesh

    def __enter__(self) -> AbstractMesh:
        self._outer = _abstract.swap_local(None if self._mesh.empty else self._mesh)
        return self._mesh

    def __exit__(self, *exc_info: Any) -> None:
        _abstract.set_local(self._outer)
