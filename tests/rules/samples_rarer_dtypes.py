"""Dtypes that operations take but are seldom given: the first sample of each once more.

Which classes an operation takes is found by asking its shape rule; `test_rules.py` fails when a
class is accepted that no sample has.
"""

import dataclasses

from . import (samples_control_flow, samples_conv, samples_dot, samples_elementwise,
               samples_gather, samples_reduction, samples_shapes, samples_sorting, samples_types,
               samples_window)
from .sample import Sample, Samples

_CLASSES = {
    samples_conv: {"conv_general_dilated": "ub"},
    samples_dot: {"dot_general": "b"},
    samples_elementwise: {"clamp": "cb"},
    samples_gather: {"scatter-min": "c", "scatter-max": "c"},
    samples_reduction: {"cummax": "c", "cummin": "c", "cumlogsumexp": "c"},
    samples_shapes: {"add_any": "iub", "pad": "ub"},
    samples_sorting: {"top_k": "b"},
    samples_types: {"bitcast_convert_type": "i"},
    samples_window: {"reduce_window_max": "c", "reduce_window_min": "c",
                     "select_and_gather_add": "ciub", "select_and_scatter_add": "ciub"},
    samples_control_flow: {"name": "ciub"},
}
_REASON = "no derivative: the order of complex numbers, or integers"


def _again(entry, classes: str) -> Sample:
    sample = entry() if callable(entry) else entry
    return dataclasses.replace(sample, dtypes=tuple(classes), grad=False, reason=_REASON, keep=())


SAMPLES: Samples = {
    name: [lambda entry=module.SAMPLES[name][0], classes=classes: _again(entry, classes)]
    for module, operations in _CLASSES.items() for name, classes in operations.items()}
