"""`with_layout_constraint`: the module says it, values stay, bad layouts are refused."""

import numpy as np
import pytest

import minijax as jax
from minijax.experimental.layout import Layout, with_layout_constraint

X = np.arange(6, dtype=np.float32).reshape(2, 3)
COLUMNS = Layout(major_to_minor=(1, 0))


def test_the_module_names_the_order():
    f = jax.jit(lambda x: with_layout_constraint({"a": x.T}, COLUMNS)["a"] * 2)
    text = f.lower(X).as_text()
    assert "@LayoutConstraint" in text
    assert text.count("_layouts = [dense<[0, 1]> : tensor<2xindex>]") == 2
    np.testing.assert_array_equal(f(X), X.T * 2)
    assert "f32[3,2]{0,1}" in f.lower(X).compile().as_text()


def test_a_mapped_axis_is_the_slowest():
    f = jax.vmap(lambda x: with_layout_constraint(x, COLUMNS), in_axes=2, out_axes=2)
    eqn, = jax.make_jaxpr(f)(np.zeros((2, 3, 4), np.float32)).eqns
    assert eqn.params["layout"].major_to_minor == (2, 1, 0)


@pytest.mark.parametrize("layout, text", [
    (Layout((0, 1, 2)), "Length of major_to_minor and the rank of the value should match"),
    ("rows", "must be of type `Layout`. Got "),
])
def test_layouts_that_cannot_be(layout, text):
    with pytest.raises(ValueError, match=text):
        jax.jit(lambda x: with_layout_constraint(x, layout))(X)
