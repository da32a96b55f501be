"""Samples of the operations on references."""

import minijax as jax
from minijax import lax

from .sample import Sample, Samples

_ANY = ("f", "c", "i", "u")


def _with_ref(use):
    """A function of two arrays that uses a reference to the first."""
    return lambda bind: lambda x, y: [use(jax.new_ref(x), y)]


def _written(ref, y):
    ref[1] = lax.mul(y, y)
    return ref[...]


def _added(ref, y):
    jax.ref.addupdate(ref, 0, lax.mul(y, y))
    return jax.freeze(ref)


def _swapped(ref, y):
    old = jax.ref.swap(ref, 0, y)
    return lax.add(lax.mul(old, ref[0]), ref[1])


_ARGS = ((2, 3), (3,))

SAMPLES: Samples = {
    "new_ref": [Sample(_ARGS, around=_with_ref(lambda ref, y: lax.mul(ref[1], y)), dtypes=_ANY)],
    "get": [Sample(_ARGS, around=_with_ref(lambda ref, y: lax.add(ref[-1], y)), dtypes=_ANY)],
    "swap": [Sample(_ARGS, around=_with_ref(_written), dtypes=_ANY),
             Sample(_ARGS, around=_with_ref(_swapped), dtypes=_ANY)],
    "addupdate": [Sample(_ARGS, around=_with_ref(_added), dtypes=_ANY)],
    "freeze": [Sample(_ARGS, around=_with_ref(lambda ref, y: lax.add(jax.freeze(ref)[0], y)),
                      dtypes=_ANY)],
}
