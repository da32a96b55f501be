"""Samples of the collectives: bound under a vmap that names the axis "i", of size 3."""

import minijax as jax

from .sample import Sample, Samples

_MAX = "the derivative of pmax and pmin is not defined, as in JAX"
_MOVE = ("f", "c", "i", "u", "b")


def _on_two_axes(*shapes: tuple, **params) -> dict:
    def around(bind):
        inner = jax.vmap(bind, axis_name="j", axis_size=3)
        return jax.vmap(inner, axis_name="i", axis_size=2)
    return dict(args=shapes, params=dict(params, axis_name=("i", "j")), around=around)


def _on_axis(*shapes: tuple, **params) -> dict:
    return dict(args=shapes, params=params,
                around=lambda bind: jax.vmap(bind, axis_name="i", axis_size=3))


SAMPLES: Samples = {
    "psum": [Sample(**_on_axis((3, 4), axes=("i",), axis_index_groups=None),
                    dtypes=("f", "c", "i", "u"))],
    "pmax": [Sample(**_on_axis((3, 4), axes=("i",), axis_index_groups=None), grad=False,
                    reason=_MAX, dtypes=("f", "i", "u", "b"))],
    "pmin": [Sample(**_on_axis((3, 4), axes=("i",), axis_index_groups=None), grad=False,
                    reason=_MAX, dtypes=("f", "i", "u", "b"))],
    "axis_index": [Sample(**_on_axis(axis_name="i"), dtypes=("i",))],
    "ppermute": [
        Sample(**_on_axis((3, 4), axis_name="i", perm=((0, 1), (1, 2), (2, 0))), dtypes=_MOVE),
        Sample(**_on_axis((3, 4), axis_name="i", perm=((0, 2), (2, 1))), dtypes=_MOVE)],
    "pbroadcast": [Sample(**_on_axis((3, 4), axis_name="i", source=1), dtypes=_MOVE)],
    "all_gather": [
        Sample(**_on_axis((3, 4), all_gather_dimension=1, axis_name="i", axis_index_groups=None,
                          axis_size=3, tiled=False), dtypes=_MOVE),
        Sample(**_on_axis((3, 4), all_gather_dimension=0, axis_name="i", axis_index_groups=None,
                          axis_size=3, tiled=True), dtypes=_MOVE),
        Sample(**_on_two_axes((2, 3, 4), all_gather_dimension=1, axis_index_groups=None,
                              axis_size=6, tiled=False))],
    "reduce_scatter": [
        Sample(**_on_axis((3, 2, 3), scatter_dimension=1, axis_name="i", axis_index_groups=None,
                          axis_size=3, tiled=False), dtypes=("f", "c", "i", "u")),
        Sample(**_on_axis((3, 6, 2), scatter_dimension=0, axis_name="i", axis_index_groups=None,
                          axis_size=3, tiled=True), dtypes=("f", "c", "i", "u")),
        Sample(**_on_two_axes((2, 3, 2, 12), scatter_dimension=1, axis_index_groups=None,
                              axis_size=6, tiled=True))],
    "all_to_all": [
        Sample(**_on_axis((3, 3, 2), split_axis=0, concat_axis=1, axis_name="i",
                          axis_index_groups=None, tiled=False), dtypes=_MOVE),
        Sample(**_on_axis((3, 6, 2), split_axis=0, concat_axis=1, axis_name="i",
                          axis_index_groups=None, tiled=True), dtypes=_MOVE),
        Sample(**_on_two_axes((2, 3, 6, 4), split_axis=0, concat_axis=1, axis_index_groups=None,
                              tiled=False)),
        Sample(**_on_two_axes((2, 3, 3, 12), split_axis=1, concat_axis=0, axis_index_groups=None,
                              tiled=True))],
}
