"""Meshes, partition specs and shardings as data, on four virtual devices."""

import numpy as np
import pytest

import minijax as jax
from minijax.base import config, jaxlib
from minijax.sharding import (
    AbstractMesh,
    AxisType,
    Mesh,
    NamedSharding,
    P,
    PartitionSpec,
    SingleDeviceSharding,
    get_abstract_mesh,
    get_mesh,
    make_single_device_sharding,
    set_mesh,
    use_abstract_mesh,
)
from minijax.sharding.context import named
from minijax.sharding.layout import Format, Layout
from minijax.sharding.mesh import mesh_context
from minijax.sharding.named import DuplicateSpecError, IndivisibleError, typed


@pytest.fixture(scope="module")
def devices():
    return jaxlib.xc.make_cpu_client(num_devices=4).devices()


@pytest.fixture
def mesh(devices):
    return Mesh(np.array(devices).reshape(2, 2), ("x", "y"))


def test_mesh(mesh, devices):
    assert dict(mesh.shape) == {"x": 2, "y": 2} and mesh.size == 4 and not mesh.empty
    assert mesh.axis_names == ("x", "y") and mesh.axis_sizes == (2, 2)
    assert mesh.axis_types == (AxisType.Auto, AxisType.Auto) and mesh.are_all_axes_auto
    assert mesh.device_ids.tolist() == [[0, 1], [2, 3]]
    assert mesh.local_devices == devices and not mesh.is_multi_process
    assert str(mesh) == "Mesh('x': 2, 'y': 2, axis_types=(Auto, Auto))"
    assert repr(mesh) == (
        "Mesh(axis_sizes=(2, 2), axis_names=('x', 'y'), axis_types=(Auto, Auto))")
    assert str(mesh.abstract_mesh).startswith(
        "AbstractMesh('x': 2, 'y': 2, axis_types=(Auto, Auto), device_kind=cpu")


def test_meshes_are_interned(mesh, devices):
    assert Mesh(np.array(devices).reshape(2, 2), ("x", "y")) is mesh
    assert Mesh(np.array(devices).reshape(2, 2), ("y", "x")) != mesh
    assert mesh.update(axis_types=(AxisType.Explicit,) * 2).explicit_axes == ("x", "y")


def test_mesh_errors(devices):
    with pytest.raises(ValueError, match="devices.ndim == 1 and len.axis_names. == 2"):
        Mesh(np.array(devices), ("x", "y"))
    with pytest.raises(TypeError, match="Mesh needs an array of devices; got 1"):
        Mesh([1, 2], ("x",))
    with pytest.raises(ValueError, match="one size per axis name"):
        AbstractMesh((2,), ("x", "y"))


def test_mesh_as_context(mesh):
    assert mesh_context.value is None
    with pytest.warns(DeprecationWarning, match="jax.set_mesh"), mesh as inner:
        assert inner is mesh_context.value is mesh
    assert mesh_context.value is None
    with pytest.warns(DeprecationWarning):
        assert mesh(lambda: mesh_context.value)() is mesh


def test_set_mesh(mesh):
    assert get_mesh().empty and get_abstract_mesh().empty
    with set_mesh(mesh) as inner:
        assert inner is get_mesh() is mesh and get_abstract_mesh() is mesh.abstract_mesh
        with use_abstract_mesh(AbstractMesh((4,), ("z",))):
            assert get_abstract_mesh().axis_names == ("z",) and get_mesh() is mesh
        assert named(P("x"), "f") == NamedSharding(mesh, P("x"))
    assert get_mesh().empty
    with pytest.raises(RuntimeError, match="f requires a non-empty mesh in context"):
        named(P("x"), "f")
    with pytest.raises(ValueError, match="Expected mesh of type `jax.sharding.Mesh`"):
        set_mesh(mesh.abstract_mesh)


def test_axis_types_are_checked(devices):
    with pytest.raises(TypeError, match="must be of type `jax.sharding.AxisType`"):
        Mesh(np.array(devices), ("x",), ("auto",))
    with pytest.raises(ValueError, match="Number of axis names should match"):
        Mesh(np.array(devices), ("x",), (AxisType.Auto,) * 2)


def test_what_a_type_says_of_a_sharding(mesh):
    assert typed(NamedSharding(mesh, P("x")), 2) is None  # all axes are automatic
    mixed = mesh.update(axis_types=(AxisType.Explicit, AxisType.Auto))
    said = typed(NamedSharding(mixed, P(("x", "y"))), 2)
    assert said.spec == P("x", None) and said.mesh is mixed.abstract_mesh


def test_specs():
    assert repr(P()) == "P()" and repr(P("x")) == "P('x',)" and repr(P("x", None)) == "P('x', None)"
    assert P("x") == P(("x",)) == P(["x"]) and hash(P("x")) == hash(P(("x",)))
    assert P(()) == P(None) and P("x") != P("x", None) and P("x") != ("x",)
    assert P("x") + P("y") == P("x") + ("y",) == P("x", "y")
    assert list(P("x", "y")) == ["x", "y"] and P("x", "y", "z")[1:] == ("y", "z")
    assert repr(P(P.UNCONSTRAINED)) == "P(UNCONSTRAINED,)"
    assert repr(P("x", unreduced={"y"})) == "P('x', unreduced={'y'})"
    assert PartitionSpec is P and P("x", None).index("x") == 0


@pytest.mark.parametrize(("make", "error", "text"), [
    (lambda: P("x", unreduced={None}), ValueError, "unreduced cannot contain None"),
    (lambda: P("x", unreduced={"x"}), ValueError, "partitions cannot overlap with unreduced"),
    (lambda: P(unreduced="x"), TypeError, "of type `frozenset` or `set`"),
    (lambda: P((("x", "y"),)), ValueError, "cannot contain a nested tuple"),
    (lambda: P("x", unreduced={"z"}) + (None,), TypeError, "unreduced in `__add__` of Partition"),
    (lambda: (None,) + P("x", reduced={"z"}), TypeError, "reduced in `__radd__` of PartitionSpec"),
    (lambda: type("Mine", (P,), {}), TypeError, "Subclassing `jax.P` is prohibited"),
])
def test_spec_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(("spec", "ndim", "text"), [
    (P("x"), 2, "{devices=[2,1,2]<=[4] last_tile_dim_replicate}"),
    (P(("x", "y")), 2, "{devices=[4,1]<=[4]}"),
    (P(None, "x"), 2, "{devices=[1,2,2]<=[4] last_tile_dim_replicate}"),
    (P(), 2, "{replicated}"),
    (P("y", "x"), 2, "{devices=[2,2]<=[2,2]T(1,0)}"),
    (P(("y", "x")), 1, "{devices=[4]<=[2,2]T(1,0)}"),
    (P("y"), 1, "{devices=[2,2]<=[2,2]T(1,0) last_tile_dim_replicate}"),
])
def test_hlo_sharding(mesh, spec, ndim, text):
    assert str(NamedSharding(mesh, spec)._to_xla_hlo_sharding(ndim)) == text


def test_named_sharding(mesh, devices):
    sharding = NamedSharding(mesh, P("x"))
    assert str(sharding) == ("NamedSharding(mesh=Mesh('x': 2, 'y': 2, axis_types=(Auto, Auto)), "
                             "spec=P('x',), memory_kind=device)")
    assert sharding.device_set == set(devices) and sharding.num_devices == 4
    assert sharding.is_fully_addressable and not sharding.is_fully_replicated
    assert sharding.replicated_axes == {"y"}
    assert sharding.shard_shape((4, 4)) == (2, 4)
    whole = slice(None)
    assert list(sharding.devices_indices_map((4, 4)).values()) == [
        (slice(0, 2), whole), (slice(0, 2), whole), (slice(2, 4), whole), (slice(2, 4), whole)]
    both = NamedSharding(mesh, P(("y", "x")))
    assert [i[0].start for i in both.devices_indices_map((4,)).values()] == [0, 2, 1, 3]
    assert sharding == NamedSharding(mesh, P("x")) and sharding != NamedSharding(mesh, P("y"))
    assert sharding.is_equivalent_to(NamedSharding(mesh, P("x", None)), 2)
    assert NamedSharding(mesh, P(None)).is_fully_replicated
    assert sharding.with_memory_kind("device") == sharding
    assert sharding.update(spec=P("y")).spec == P("y")


def test_named_sharding_errors(mesh):
    with pytest.raises(ValueError, match="Resource axis: z of P.'z',. is not found in mesh"):
        NamedSharding(mesh, P("z"))
    with pytest.raises(DuplicateSpecError, match="duplicate entries for `x`"):
        NamedSharding(mesh, P("x", "x"))
    with pytest.raises(TypeError, match="fix: NamedSharding"):
        NamedSharding(mesh, "x")
    with pytest.raises(ValueError, match="cannot contain `P.UNCONSTRAINED` when no mesh axis_type"):
        NamedSharding(mesh.update(axis_types=(AxisType.Explicit,) * 2), P(P.UNCONSTRAINED))
    sharding = NamedSharding(mesh, P("x", "y"))
    with pytest.raises(ValueError, match="only valid for values of rank at least 2"):
        sharding.check_compatible_aval((4,))
    with pytest.raises(ValueError, match="For scalars the PartitionSpec should be P()"):
        sharding.check_compatible_aval(())
    with pytest.raises(ValueError, match="Unreduced axes .* not found in mesh"):
        NamedSharding(mesh, P("x", unreduced={"z"}))
    with pytest.raises(IndivisibleError, match="array axis 0 is partitioned 2 times, but the dim"):
        sharding.shard_shape((3, 4))


def test_abstract_mesh():
    mesh = AbstractMesh((2, 2), ("x", "y"), axis_types=(AxisType.Auto, AxisType.Explicit))
    assert mesh == AbstractMesh((2, 2), ("x", "y"), (AxisType.Auto, AxisType.Explicit))
    sharding = NamedSharding(mesh, P("x"))
    assert "AbstractMesh" in repr(sharding) and sharding.shard_shape((4,)) == (2,)
    with pytest.raises(ValueError, match="not implemented for `jax.sharding.AbstractMesh`"):
        sharding.device_set  # noqa: B018


def test_single_device_sharding(mesh, devices):
    sharding = make_single_device_sharding(devices[0])
    assert isinstance(sharding, SingleDeviceSharding)
    assert sharding == SingleDeviceSharding(devices[0]) != SingleDeviceSharding(devices[1])
    assert hash(sharding) == hash(SingleDeviceSharding(devices[0])) and sharding != 3
    assert sharding.shard_shape((3,)) == (3,) and sharding.is_fully_replicated
    assert str(sharding._to_xla_hlo_sharding(1)) == "{replicated}"
    single = NamedSharding(Mesh(devices[:1], "x"), P())
    assert sharding.is_equivalent_to(single, 1)


def test_layout_and_format(devices):
    assert Layout((0, 1)) == Layout((0, 1)) != Layout((1, 0))
    assert repr(Layout((0, 1), ((8, 128),))) == (
        "Layout(major_to_minor=(0, 1), tiling=((8, 128),), sub_byte_element_size_in_bits=0)")
    sharding = make_single_device_sharding(devices[0])
    assert Format(Layout((0,)), sharding) == Format(Layout((0,)), sharding)
    with pytest.raises(TypeError, match="Invalid value received for the layout argument"):
        Format(3)
    with pytest.raises(ValueError, match="Sharding has to be concrete"):
        Format(Layout((0,)), None)


def test_the_older_way_to_enter_a_mesh_can_be_refused():
    mesh = jax.make_mesh((1,), ("i",))
    with config.disallow_mesh_context_manager(True):
        with pytest.raises(RuntimeError, match=r"Mesh context manager is disabled\.(.|\n)*fix: with "
                           "jax.set_mesh"):
            with mesh:
                pass
        with jax.set_mesh(mesh):
            assert jax.sharding.get_mesh() == mesh
