"""ravel_pytree: trees of arrays as vectors, and back."""

import numpy as np
import pytest

import minijax as jax
import minijax.numpy as jnp
from minijax.flatten_util import ravel_pytree

TREE = {"w": jnp.arange(6.0).reshape(2, 3), "b": [jnp.array(7.0), None, np.float32(8)]}


def test_there_and_back():
    flat, unravel = ravel_pytree(TREE)
    np.testing.assert_array_equal(flat, [7, 8, 0, 1, 2, 3, 4, 5])
    back = unravel(flat * 2)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    np.testing.assert_array_equal(back["w"], 2 * TREE["w"])
    assert back["b"][0].shape == () and back["b"][2].dtype == "float32"


@pytest.mark.parametrize("leaves,common", [
    ([np.ones(2, np.float32), np.ones(1, np.int32)], "float32"), ([True, 1], "int32"),
    ([jnp.ones(2, "bfloat16"), jnp.ones((), "float16")], "float32"),
    ([jnp.ones(1, "complex64"), 2.5], "complex64"), ([1, 2.0], "float32")])
def test_leaves_get_their_own_dtype_back(leaves, common):
    flat, unravel = ravel_pytree(leaves)
    assert flat.dtype == common and not flat.weak_type
    for leaf, back in zip(leaves, unravel(flat)):
        assert back.dtype == jnp.asarray(leaf).dtype
        np.testing.assert_array_equal(np.asarray(leaf), np.asarray(back).astype(back.dtype))
    with pytest.raises(TypeError, match=f"given array of dtype int8, but expected dtype {common}"):
        unravel(flat.real.astype("int8"))


def test_one_dtype_makes_the_way_back_polymorphic():
    flat, unravel = ravel_pytree([jnp.ones(2), jnp.ones((1, 1))])
    assert [x.dtype.name for x in unravel(flat.astype("int8"))] == ["int8", "int8"]
    with pytest.raises(ValueError, match=r"Sum of sizes 3 must be equal to dimension 0"):
        unravel(jnp.ones(4))


def test_an_empty_tree():
    flat, unravel = ravel_pytree({"a": [], "b": None})
    assert flat.shape == (0,) and flat.dtype == "float32"
    assert unravel(flat) == {"a": [], "b": None}


def test_the_way_back_can_be_a_static_argument():
    first, second = ravel_pytree(TREE)[1], ravel_pytree(TREE)[1]
    assert first == second and hash(first) == hash(second)
    traces = []

    def total(flat, unravel):
        traces.append(1)
        return unravel(flat)["w"].sum()

    total = jax.jit(total, static_argnums=1)
    flat = ravel_pytree(TREE)[0]
    assert total(flat, first) == total(flat, second) == 15
    assert len(traces) == 1


def test_under_transformations():
    gradient = jax.grad(lambda t: (ravel_pytree(t)[0] ** 2).sum())({"a": jnp.array([1.0, 2.0])})
    np.testing.assert_array_equal(gradient["a"], [2, 4])
    flat, unravel = ravel_pytree(TREE)
    jacobian = jax.jacrev(lambda v: unravel(v)["w"])(flat)
    np.testing.assert_array_equal(jacobian.reshape(6, 8), np.eye(8)[2:])
    rows = jax.vmap(lambda w: ravel_pytree({"w": w, "c": 1.0})[0])(jnp.ones((3, 2)))
    np.testing.assert_array_equal(rows, np.ones((3, 3)))
    key = jax.random.key(3)
    keys, back = ravel_pytree([key, jax.random.split(key)])
    assert keys.shape == (3,) and back(keys)[0] == key
