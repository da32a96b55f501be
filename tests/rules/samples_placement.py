"""Samples of operations about placement: on a mesh of one device, where they are the identity."""

import functools

import minijax as jax
import minijax.experimental.custom_partitioning as partitioning
from minijax.lax import sin
from minijax.sharding import AxisType
from minijax.sharding.context import NO_MESH
from minijax.sharding.layout import Layout

from .sample import Sample, Samples

P = jax.P
_ANY = ("f", "c", "i", "u", "b")


@functools.cache
def _mesh(kind=AxisType.Auto):
    return jax.make_mesh((1,), ("x",), (kind,))


def _in_shard_map(in_spec, out_spec):
    def around(bind):
        return jax.shard_map(bind, mesh=_mesh(), in_specs=in_spec, out_specs=out_spec)
    return around


def _mapped(bind):
    return jax.shard_map(lambda x, y: [sin(x) * y, y], mesh=_mesh(), in_specs=(P("x"), P("x")),
                         out_specs=[P("x"), P("x")])


def _constrained():
    return Sample(((2, 3),), dtypes=_ANY, params=dict(
        sharding=jax.NamedSharding(_mesh(), P("x")), layout=None, context_mesh=NO_MESH,
        unconstrained_dims=frozenset()))


def _to(kind):
    return lambda: Sample(((2, 3),), dtypes=_ANY, params=dict(
        dst_sharding=jax.NamedSharding(_mesh(kind), P("x"))))


def _partitioned(bind):
    f = partitioning.custom_partitioning(lambda x: [sin(x)])
    f.def_partition(lambda *_: None, sharding_rule="i j -> i j")
    return lambda x: f(x)


def _cast(in_spec, out_spec, **params):
    def around(bind):
        return jax.shard_map(bind, mesh=_mesh(AxisType.Explicit), in_specs=in_spec,
                             out_specs=out_spec)
    return Sample(((2, 3),), params=params or dict(axes=("x",)), around=around,
                  dtypes=("f", "c", "i", "u"))


_GATHER = dict(all_gather_dimension=0, axis_name=("x",), axis_size=1, tiled=True)

SAMPLES: Samples = {
    "pvary": [Sample(((2, 3),), params=dict(axes=("x",)), around=_in_shard_map(P(), P("x")),
                     dtypes=_ANY)],
    "psum_invariant": [Sample(((2, 3),), params=dict(axes=("x",), axis_index_groups=None),
                              around=_in_shard_map(P("x"), P()), dtypes=("f", "c", "i", "u"))],
    "preduced": [_cast(P(), P(reduced={"x"}))],
    "reduced_vary_cast_p": [_cast(P(reduced={"x"}), P("x"))],
    "vary_unreduced_cast_p": [_cast(P("x"), P(unreduced={"x"}))],
    "unreduced_psum": [_cast(P(unreduced={"x"}), P())],
    "unreduced_reduce_scatter": [_cast(
        P(unreduced={"x"}), P("x"), axis_name=("x",), axis_size=1, scatter_dimension=0,
        tiled=True)],
    "all_gather_invariant": [_cast(P("x"), P(), **_GATHER)],
    "all_gather_reduced": [_cast(P("x"), P(reduced={"x"}), **_GATHER)],
    "shard_map": [Sample(((2, 3), (2, 3)), around=_mapped, dtypes=("f", "c"))],
    "sharding_constraint": [_constrained],
    "layout_constraint": [Sample(((2, 3),), dtypes=_ANY, params=dict(layout=Layout((1, 0))))],
    "mesh_cast": [_to(AxisType.Auto)],
    "reshard": [_to(AxisType.Explicit)],
    "custom_partitioning": [Sample(
        ((2, 3),), around=_partitioned, grad=False, reason="its author gives none, as in JAX",
        dtypes=("f", "c"))],
}
