"""Samples for minijax/lax/reduction.py and minijax/lax/cumulative.py."""

import numpy as np

from minijax import lax
from minijax.core import ShapedArray
from minijax.lax.computation import binary_jaxpr, trace_computation

from .sample import Sample

NUMBER = ("f", "c", "i", "u")
REAL = ("f", "i", "u", "b")


def reduction(dtypes, **options):
    return [
        Sample(((3, 4, 2),), dict(axes=(0, 2)), dtypes=dtypes, **options),
        Sample(((3, 5),), dict(axes=(1,)), **options),
        Sample(((3,),), dict(axes=()), **options),
    ]


def logical():
    return [
        Sample(((3, 4, 2),), dict(axes=(0, 2)), dtypes=("b", "i", "u")),
        Sample(((4,),), dict(axes=()), dtypes=("b",)),
    ]


def position():
    return [
        Sample(((3, 4),), dict(axes=(1,), index_dtype=np.dtype(np.int32)), dtypes=REAL),
        Sample(((3, 4),), dict(axes=(0,), index_dtype=np.dtype(np.uint8))),
        Sample((np.array([1.0, np.nan, 3.0, np.nan]),),
               dict(axes=(0,), index_dtype=np.dtype(np.int32)), grad=False,
               reason="differences of NaN"),
    ]


def cumulative(dtypes):
    return [
        Sample(((2, 7),), dict(axis=1, reverse=False), dtypes=dtypes),
        Sample(((6, 2),), dict(axis=0, reverse=True)),
        Sample(((1,),), dict(axis=0, reverse=False)),
    ]


def product():
    params = dict(computation=lax.mul, jaxpr=binary_jaxpr(lax.mul, np.dtype(np.float64)),
                  dimensions=(0, 2))
    return Sample(((5, 3, 2), ()), params, keep=(0, 1))


def moments():
    """A sum and a product at once."""
    jaxpr = trace_computation(lambda a, b, c, d: [lax.add(a, c), lax.mul(b, d)],
                              [ShapedArray((), np.dtype(np.float64))] * 4, "Reduction")
    params = dict(computation=lax.add, jaxpr=jaxpr, dimensions=(1,))
    return Sample(((3, 4), (3, 4), (), ()), params, keep=(0, 1, 2, 3))


SAMPLES = {
    "reduce_max": reduction(REAL + ("c",)),
    "reduce_min": reduction(REAL + ("c",)),
    "reduce_prod": reduction(NUMBER),
    "reduce_and": logical(),
    "reduce_or": logical(),
    "reduce_xor": logical(),
    "argmax": position(),
    "argmin": position(),
    "reduce": [product, moments],
    "cumsum": cumulative(NUMBER),
    "cumprod": cumulative(NUMBER),
    "cummax": cumulative(("f", "i", "u")),
    "cummin": cumulative(("f", "i", "u")),
    "cumlogsumexp": cumulative(("f",)),
}
