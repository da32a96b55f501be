"""Samples of calls that tell the compiler something, and of operations that are objects."""

from __future__ import annotations

import numpy as np

import minijax as jax
from minijax import lax
from minijax.base import tree
from minijax.experimental.compute_on import compute_on2
from minijax.experimental.fused import fused
from minijax.experimental.hijax import VJPHiPrimitive, instantiate_zeros
from minijax.experimental.scheduling_groups import xla_metadata_call
from minijax.experimental.shard_alike import shard_alike_p  # noqa: F401  (it has a sample)
from minijax.experimental.xla_metadata import set_xla_metadata

from .sample import Sample, Samples

_ANY = ("f", "c", "i", "u", "b")


class Product(VJPHiPrimitive):
    """The product, with a rule for every transformation."""

    def __init__(self, aval):
        self.in_avals, self.out_aval, self.params = (aval, aval), aval, {}
        super().__init__()

    def expand(self, x, y):
        return lax.mul(x, y)

    def jvp(self, primals, tangents):
        (x, y), (dx, dy) = primals, map(instantiate_zeros, tangents)
        return self(x, y), lax.add(lax.mul(dx, y), lax.mul(x, dy))

    def vjp_fwd(self, nzs_in, x, y):
        return self(x, y), (x, y)

    def vjp_bwd_retval(self, res, ct):
        return lax.mul(ct, res[1]), lax.mul(ct, res[0])

    def batch_dim_rule(self, axis_data, dims):
        return dims[1] if dims[0] is None else dims[0]


def product(x, y):
    return Product(jax.typeof(x))(x, y)


def _tagged(bind):
    return lambda x: [set_xla_metadata(lax.mul(x, x), key="value")]


def _named(bind):
    return xla_metadata_call(lambda x, y: [lax.mul(lax.sin(x), y), y], key="value")


def _elsewhere(bind):
    return compute_on2(lambda x, y: [lax.mul(lax.sin(x), y), y], compute_type="device_host",
                       out_memory_spaces=jax.memory.Space.Device)


def _fused(bind):
    return fused(out_spaces=jax.memory.Space.Device)(lambda x, y: [lax.mul(lax.sin(x), y), y])


def _with_empty(bind):
    return lambda x: [lax.add(x, lax.convert_element_type(bind()[0], x.dtype))]


SAMPLES: Samples = {
    "xla_metadata_value": [Sample(((2, 3),), around=_tagged, dtypes=("f", "c", "i", "u"))],
    "shard_alike": [Sample(((2, 3), (2, 3)), dtypes=_ANY)],
    "xla_metadata_call": [Sample(((2, 3), (2, 3)), around=_named, dtypes=("f", "c"))],
    "compute_on": [Sample(((2, 3), (2, 3)), around=_elsewhere, dtypes=("f", "c"))],
    "fused_call": [Sample(((2, 3), (2, 3)), around=_fused, runs=False, grad=False,
                          reason="it runs on GPUs only")],
    "todense": [Sample(((2, 3),), dict(tree=tree.structure(0)), dtypes=_ANY)],
    "call_hi_primitive": [Sample(((2, 3), (2, 3)), around=lambda bind: lambda x, y: [product(x, y)],
                                 dtypes=("f", "c"), order=1)],
    "empty_value": [Sample(((2,),), dict(ty=jax.typeof(np.ones(2, np.float32))),
                           around=_with_empty, dtypes=("f", "c", "i"))],
    "hi_linear": [Sample(((2, 3), (2, 3)), around=lambda bind: lambda x, y: [product(x, y)],
                         runs=False, grad=False, reason="call_hi_primitive is transposed by it")],
}
