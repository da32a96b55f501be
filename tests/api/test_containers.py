"""vmap of containers that say themselves how they are taken apart, and sums over the axis."""

import dataclasses

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.interpreters import batching

from ..helpers import assert_close

m34 = np.arange(12, dtype=np.float32).reshape(3, 4)


@dataclasses.dataclass
class Named:
    """An array with a name for each axis; no pytree."""

    names: tuple
    data: object


@dataclasses.dataclass(frozen=True)
class By:
    name: str
    axis: int | None


def to_elt(cont, index, value, spec):
    names = tuple(n for i, n in enumerate(value.names) if i != spec.axis)
    return Named(names, cont(value.data, spec.axis))


def from_elt(cont, size, elt, spec):
    names = list(elt.names)
    if spec.axis is not None:
        names.insert(spec.axis, spec.name)
    return Named(tuple(names), cont(size, elt.data, spec.axis))


@pytest.fixture
def named():
    batching.register_vmappable(Named, By, int, to_elt, from_elt, None)
    yield Named(("i", "j"), jnp.asarray(m34))
    batching.unregister_vmappable(Named)


def row(x):
    assert x.names == ("j",) and x.data.shape == (4,)
    return Named(x.names, x.data * 2)


@pytest.mark.parametrize("jit", [False, True])
def test_a_container_is_mapped_by_its_own_rules(named, jit):
    def whole(data):
        out = jax.vmap(row, in_axes=By("i", 0), out_axes=By("i", 1), axis_size=3)(
            Named(("i", "j"), data))
        assert out.names == ("j", "i")
        return out.data
    assert_close((jax.jit(whole) if jit else whole)(named.data), 2 * m34.T)


def test_containers_among_arrays(named):
    out, total = jax.vmap(lambda x, y: (row(x), x.data.sum() + y), in_axes=(By("i", 0), 0),
                          out_axes=(By("i", 0), 0), axis_size=3)(named, np.ones(3, np.float32))
    assert out.names == ("i", "j")
    assert_close(out.data, 2 * m34)
    assert_close(total, m34.sum(1) + 1)


def test_an_unmapped_container(named):
    out = jax.vmap(lambda x, y: Named(("j",), x.data[0] * y), in_axes=(By("", None), 0),
                   out_axes=By("k", 0), axis_size=2)(named, np.array([1, 2], np.float32))
    assert out.names == ("k", "j")
    assert_close(out.data, np.stack([m34[0], 2 * m34[0]]))


def test_the_number_of_the_element():
    class Numbered:
        pass

    batching.register_vmappable(
        Numbered, int, int, lambda cont, index, value, spec: index() * 10,
        lambda cont, size, elt, spec: elt, None)
    try:
        assert_close(jax.vmap(lambda x: x + 1, axis_size=3)(Numbered()),
                     np.array([1, 11, 21], np.int32))
    finally:
        batching.unregister_vmappable(Numbered)
    with pytest.raises(TypeError):
        jax.vmap(lambda x: x, axis_size=3)(Numbered())


def test_sum_match_adds_up_what_has_no_axis():
    def f(x):
        return x, jnp.sin(x), 2.0

    rows, total, same = jax.vmap(f, out_axes=(0, None, None), sum_match=True)(m34)
    assert_close(rows, m34)
    assert_close(total, np.sin(m34).sum(0), rtol=1e-6)
    assert same == 2.0
    with pytest.raises(ValueError, match="out_axes"):
        jax.vmap(f, out_axes=None)(m34)
