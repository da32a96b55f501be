"""Samples of functions with a `vmap` rule or a transpose of their own."""

from __future__ import annotations

from minijax import lax
from minijax.api.linear_call import _Pair
from minijax.base import tree
from minijax.core import vmap

from .samples_control_flow import X, Y, jaxpr, sample
from .sample import Samples


def _custom_vmap():
    def rule(size, batched, args):
        (x, y), (x_mapped, y_mapped) = args, batched
        x, y = [v if mapped else vmap.materialize(v, None, size)
                for v, mapped in ((x, x_mapped), (y, y_mapped))]
        return [lax.mul(lax.sin(x), y)], [True]
    args = tree.structure((0, 0))
    return sample([X, Y], dict(
        call=jaxpr(lambda x, y: [lax.mul(lax.sin(x), y)], X, Y), rule=rule,
        in_tree=tree.treedef_tuple((tree.structure([]), args)), out_tree=tree.structure(0)),
        grad=False, reason="reverse mode is an error; tests/api checks forward mode")


def _linear_call():
    leaf = tree.structure(0)
    pair = _Pair(lambda r, x: lax.mul(r, x), lambda r, ct: lax.mul(r, ct), leaf, leaf, leaf)
    return sample([X, Y], dict(callee=jaxpr(lambda r, x: [lax.mul(r, x)], X, Y), num_res=1,
                               num_callee_consts=0, transpose_thunk=pair),
                  grad=False, reason="no derivative by the residual; tests/api checks the others")


SAMPLES: Samples = {"custom_vmap_call": [_custom_vmap], "linear_call": [_linear_call]}
