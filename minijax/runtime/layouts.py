"""Arrays in another order of their elements: a copy that a program makes.

    relayout(x, Layout(major_to_minor=(1, 0)))      # columns are contiguous now
"""

import functools
from typing import Any

from minijax.base import jaxlib
from minijax.core import trace_closed
from minijax.runtime import place
from minijax.runtime.compile import Executable, Placement, lower_jaxpr
from minijax.sharding.layout import Layout


@functools.lru_cache(maxsize=256)
def _copier(aval: Any, sharding: Any, source: Layout, target: Layout) -> Executable:
    jaxpr = trace_closed(lambda x: [x], (aval.update(placement=None),))
    devices = tuple(sharding._internal_device_list)
    where = Placement(devices, (sharding,), (sharding,), True, (source,), (target,))
    return lower_jaxpr(jaxpr, "relayout", where).compile()


def relayout(x: jaxlib.ArrayImpl, layout: Layout) -> jaxlib.ArrayImpl:
    """A copy of an array with the layout `layout`, on the same devices."""
    layout.check_compatible_aval(x.aval.shape)
    source = place.layout_of(x)
    copied, = _copier(x.aval, x._sharding, source, layout).run([x])
    return place.rewrap(copied, x.aval, x._committed, x._sharding)


place.relayout = relayout
