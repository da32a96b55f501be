"""Samples for minijax/lax/window.py."""

import numpy as np

from minijax import lax
from minijax.core import ShapedArray, trace_to_jaxpr
from minijax.lax.computation import binary_jaxpr

from .sample import Sample


def window(size, strides=None, padding=None, base=None, spread=None):
    ones = (1,) * len(size)
    return dict(window_dimensions=size, window_strides=strides or ones,
                padding=padding or ((0, 0),) * len(size), base_dilation=base or ones,
                window_dilation=spread or ones)


def undilated(size, strides=None, padding=None):
    params = window(size, strides, padding)
    del params["base_dilation"], params["window_dilation"]
    return params


POOL = window((1, 2, 2, 1), (1, 2, 2, 1))
OVERLAP = window((2, 3), (1, 2), ((1, 0), (2, 1)))
GAPS = window((2, 3), (2, 1), ((0, 1), (3, 0)), (2, 1), (1, 2))
CUT = window((2, 2), (2, 3), ((-1, 0), (1, 2)))


def windows(dtypes):
    return [
        Sample(((2, 4, 6, 3),), POOL, dtypes=dtypes),
        Sample(((4, 6),), OVERLAP),
        Sample(((4, 6),), GAPS),
        Sample(((5, 7),), CUT),
        Sample(((3,),), window((5,))),
    ]


def generic(keep=(0, 1)):
    jaxpr = binary_jaxpr(lax.mul, np.dtype(np.float64))
    return [Sample(((4, 6), ()), dict(params, jaxpr=jaxpr, consts=()), keep=keep)
            for params in (OVERLAP, GAPS)]


def selected():
    constant = "the operand only selects"
    return [
        Sample(((4, 6), (4, 6)), dict(OVERLAP, select_prim=lax.ge_p)),
        Sample(((4, 6), (4, 6)), dict(GAPS, select_prim=lax.le_p), grad=False,
               reason=f"{constant}, and windows with gaps are differentiated in another way"),
    ]


def scattered():
    return [
        Sample(((3, 4), (4, 6)), dict(undilated((2, 3)), select_prim=lax.ge_p)),
        Sample(((5, 4), (4, 6)),
               dict(undilated((2, 3), (1, 2), ((1, 1), (2, 1))), select_prim=lax.le_p)),
    ]


def any_selection():
    scalar = ShapedArray((), np.dtype(np.float64))
    largest, _ = trace_to_jaxpr(lambda x, y: [lax.ge(x, y)], [scalar, scalar])
    params = dict(undilated((2, 3), (1, 2), ((0, 0), (1, 0))), select_jaxpr=largest,
                  select_consts=(), scatter_jaxpr=binary_jaxpr(lax.add, scalar.dtype),
                  scatter_consts=())
    return Sample(((4, 6), (3, 3)), params, grad=False, keep=(0, 1),
                  reason="select_and_scatter_add is the differentiable one",
                  around=lambda bind: lambda x, source: bind(x, source, np.float64(0)))


SAMPLES = {
    "reduce_window_sum": windows(("f", "c", "i", "u")),
    "reduce_window_max": windows(("f", "i", "u", "b")),
    "reduce_window_min": windows(("f", "i", "u", "b")),
    "reduce_window": [lambda: generic()[0], lambda: generic()[1]],
    "select_and_gather_add": [lambda: selected()[0], lambda: selected()[1]],
    "select_and_scatter": [any_selection],
    "select_and_scatter_add": scattered(),
}
